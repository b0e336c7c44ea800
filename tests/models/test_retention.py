"""Retention curves against published numbers, closed forms and simulated companies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from reference import retention as published
from reference.retention import cohort_life_table
from simulations import coverage_businesses as clubs
from simulations import coverage_value as simulation
from tenure.errors import InputError, NotApplicable
from tenure.models import retention
from tenure.models import retention_choice as choice
from tenure.models.renewals import KEYS, life_table
from tenure.models.retention import fit_retention, kept_survival, survival
from tenure.stats.lifetime import discounted_lifetime, residual_lifetime
from tenure.stats.newton import derivatives

COHORTS = {"regular": published.REGULAR, "high end": published.HIGH_END}


def cohort(name: str, years: int) -> pd.DataFrame:
    return cohort_life_table([[10 * share for share in COHORTS[name][: years + 1]]])


def values(fit: retention.Retention) -> list[float]:
    return fit.parameters().frame["value"].tolist()


# --- published ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "years"), published.SBG)
def test_shifted_beta_geometric_is_fader_and_hardies(name, years):
    fit = fit_retention(cohort(name, years), "sbg")
    alpha, beta, log_likelihood = published.SBG[name, years]
    assert values(fit) == pytest.approx([alpha, beta], abs=1e-4)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=6e-4)
    if years == 7:
        curve = survival("sbg", values(fit), 12)
        assert curve[8:] == pytest.approx(published.SBG_SURVIVAL[name], abs=6e-5)


@pytest.mark.parametrize("name", published.BDW)
def test_beta_discrete_weibull_is_the_published_one(name):
    fit = fit_retention(cohort(name, 7), "bdw")
    assert values(fit) == pytest.approx(published.BDW[name][:3], abs=2e-5)
    assert fit.log_likelihood == pytest.approx(published.BDW[name][3], abs=6e-4)


def test_geometric_and_likelihood_at_one_are_the_published_ones():
    fit = fit_retention(cohort("high end", 7), "geometric")
    assert values(fit) == pytest.approx([published.GEOMETRIC[0]], abs=6e-6)
    assert fit.log_likelihood == pytest.approx(published.GEOMETRIC[1], abs=6e-4)
    at_one = fit_retention(cohort("high end", 7), "sbg").parts[0].likelihood(np.zeros(2))[0]
    assert at_one == pytest.approx(published.AT_ONE, abs=6e-4)


@pytest.mark.parametrize("parameters", published.DEL)
def test_discounted_lifetime_is_the_published_one(parameters):
    curve = survival("sbg", parameters, 1_000)
    assert discounted_lifetime(curve, 0.1) == pytest.approx(published.DEL[parameters], abs=6e-5)


@pytest.mark.parametrize("parameters", published.DERL)
def test_residual_lifetimes_are_the_published_ones(parameters):
    found = residual_lifetime(survival("sbg", parameters, 1_000), 0.1)[:5]
    assert found == pytest.approx(published.DERL[parameters], abs=5.1e-3)


@pytest.mark.parametrize("parameters", published.BASE_VALUE)
def test_the_value_of_a_customer_base_is_the_published_one(parameters):
    naive, right = published.BASE_VALUE[parameters]
    curve = survival("sbg", parameters, 1_000)
    won = np.array(published.INTAKE, float)
    active = won * curve[4::-1]  # at the end of the fifth year
    rate = active[:4].sum() / (won[:4] * curve[3::-1]).sum()
    assert active.sum() * rate * 1.1 / (1.1 - rate) == pytest.approx(naive, abs=0.51)
    assert active @ residual_lifetime(curve, 0.1)[4::-1] == pytest.approx(right, abs=0.51)


def test_cohorts_are_fitted_together_as_published():
    fit = fit_retention(cohort_life_table(published.COHORTS), "sbg")
    alpha, beta, log_likelihood = published.COHORTS_SBG
    assert values(fit) == pytest.approx([alpha, beta], abs=6e-3)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-3)


# --- closed forms and the likelihood ------------------------------------------------------------------


@given(st.floats(0.05, 5), st.floats(0.1, 50), st.integers(1, 20), st.floats(0.05, 1))
def test_residual_lifetimes_equal_the_hypergeometric_formula(alpha, beta, n, rate):
    # Fader and Hardie (2010), equation 6.
    formula = (beta + n - 1) / (alpha + beta + n - 1)
    formula *= special.hyp2f1(1, beta + n, alpha + beta + n, 1 / (1 + rate))
    assert residual_lifetime(survival("sbg", [alpha, beta], 1_500), rate)[n - 1] == pytest.approx(formula)


def company(
    rng: np.random.Generator, size: int = 4000, apart: bool = True, entries: bool = False
) -> pd.DataFrame:
    """Lifetimes by a shifted beta-geometric law that a characteristic raises to a power, with failures."""
    level = rng.integers(0, 2, size)
    ratio = np.where(level == 1, 1.5, 1.0)
    baseline = survival("sbg", [1.2, 9.0], 60)
    chosen = (baseline[None] ** ratio[:, None] > rng.random((size, 1))).sum(axis=1)
    failed = rng.geometric(1 - 0.985**ratio) if apart else np.full(size, 10**6)
    watched = rng.integers(1, 30, size)
    entry = np.where(rng.random(size) < 0.4, rng.integers(0, 10, size), 0) if entries else np.zeros(size, int)
    out = np.minimum(chosen, failed)
    event = out <= watched
    frame = pd.DataFrame(
        {
            "group": rng.choice(["a", "b"], size),
            "interval": "1 month",
            "level": np.array(["no", "yes"])[level],
            "entry": entry,
            "exit": np.minimum(out, watched),
            "ripe": watched,
            "event": event.astype(int),
            "cause": np.where(event, np.where(chosen <= failed, "voluntary", "involuntary"), None),
            "n": 1,
        }
    )
    return frame[frame["exit"] > frame["entry"]]


@pytest.mark.parametrize("model", retention.MODELS)
@pytest.mark.parametrize("apart", [False, True])
def test_gradient_and_second_derivatives_are_those_of_the_likelihood(model, apart):
    stays = company(np.random.default_rng(3), 600, entries=True)
    life = life_table(stays, [*KEYS, "level"])
    fit = fit_retention(life, model, covariates=["level"], apart=apart)
    rng, total = np.random.default_rng(1), 0.0
    for part in fit.parts:
        theta = part.estimate + rng.normal(0, 0.2, len(part.estimate))
        _, slope, square = part.likelihood(theta, curved=True)
        for i in range(len(theta)):
            step = np.eye(len(theta))[i] * 1e-5
            up, down = (part.likelihood(theta + sign * step)[0] for sign in (1, -1))
            assert slope[i] == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-4)
        differences = derivatives(lambda t, part=part: part.likelihood(t)[1], theta)
        assert square == pytest.approx(differences, rel=1e-5, abs=1e-4)
        value, slope, square = part.likelihood(part.estimate, curved=True)
        total += value
        assert np.abs(slope).max() < 1e-3
    assert fit.log_likelihood == pytest.approx(total)


def test_the_likelihood_is_that_of_customers_one_by_one_with_late_entry():
    stays = company(np.random.default_rng(5), 500, apart=False, entries=True)
    fit = fit_retention(life_table(stays), "sbg")
    total = 0.0
    for row in stays.itertuples():
        alpha, beta = fit.parameters().frame.query("group == @row.group")["value"]
        s = lambda k, a=alpha, b=beta: np.exp(special.betaln(a, b + k) - special.betaln(a, b))  # noqa: E731
        seen = s(row.exit - 1) - s(row.exit) if row.event else s(row.exit)
        total += np.log(seen / s(row.entry))
    assert fit.log_likelihood == pytest.approx(total)


def test_nothing_depends_on_the_order_of_rows_or_on_how_counts_are_split():
    stays = company(np.random.default_rng(7), 800)
    by = [*KEYS, "level"]
    shuffled = stays.sample(frac=1, random_state=2)
    doubled = pd.concat([stays.assign(n=2), stays.assign(n=1)]).sample(frac=1, random_state=3)
    one, two, three = (
        fit_retention(
            life_table(s, by).sample(frac=1, random_state=1), "sbg", covariates=["level"], apart=True
        )
        for s in (stays, shuffled, doubled)
    )
    assert two.estimate == pytest.approx(one.estimate, abs=1e-8)
    assert three.estimate == pytest.approx(one.estimate, abs=1e-5)
    assert three.log_likelihood == pytest.approx(3 * one.log_likelihood)


def test_characteristics_and_failures_are_found_again():
    stays = company(np.random.default_rng(11), 60_000)
    fit = fit_retention(life_table(stays, [*KEYS, "level"]), "sbg", covariates=["level"], apart=True)
    table = fit.parameters().frame.set_index(["part", "group", "parameter"])
    for group in "ab":
        for name, truth in (("alpha", 1.2), ("beta", 9.0)):
            row = table.loc["choice", group, name]
            assert row["value_low"] < truth < row["value_high"]
        row = table.loc["failure", group, "theta"]
        assert row["value_low"] < 0.015 < row["value_high"]
    wanted = np.log({"yes": 1.5, "no": 1 / 1.5}[fit.covariates["level"][1]])
    for part in fit.parts:
        assert abs(part.estimate[-1] - wanted) < 1.96 * np.sqrt(part.covariance[-1, -1])


def test_kept_customers_stay_as_a_simulation_says():
    rng = np.random.default_rng(2)
    theta = rng.beta(0.8, 6, 400_000)
    for model, parameters, own in (
        ("sbg", [0.8, 6.0], lambda k: (1 - theta) ** k),
        ("bdw", [0.8, 6.0, 1.4], lambda k: (1 - theta) ** (k**1.4)),
    ):
        leaves = own(2.0) - own(3.0)  # the weight of those who would leave at renewal 3
        wanted = [np.average(own(3.0 + s) / own(3.0), weights=leaves) for s in range(6)]
        assert kept_survival(model, parameters, 3, 5) == pytest.approx(wanted, abs=4e-3)
    assert kept_survival("geometric", [0.1], 3, 2) == pytest.approx([1, 0.9, 0.81])
    assert kept_survival("first", [0.35, 0.1], 1, 2) == pytest.approx([1, 0.9, 0.81])


# --- intervals ----------------------------------------------------------------------------------------


def likelihood_interval(fit, function):
    """The interval of a function of the parameters that the likelihood allows (profile likelihood).

    Its ends are the least and the greatest value over all parameters whose log-likelihood is within chi-squared
    / 2 (one degree of freedom) of the best.
    """
    (part,) = fit.parts
    theta, gap = part.estimate, special.chdtri(1, 1 - fit.level) / 2
    scale = np.sqrt(np.diag(part.covariance))
    slope = lambda t: derivatives(lambda at: np.atleast_1d(function(at)), t)[0]  # noqa: E731
    error = float(fit.standard_errors(slope(theta)[None])[0])
    ends = []
    for sign in (-1.0, 1.0):
        found = optimize.minimize(
            lambda x, sign=sign: -sign * (function(theta + x * scale) - function(theta)) / error,
            sign * 1.96 * part.covariance @ slope(theta) / error / scale,
            jac=lambda x, sign=sign: -sign * slope(theta + x * scale) * scale / error,
            constraints={
                "type": "ineq",
                "fun": lambda x: gap - (fit.log_likelihood - part.likelihood(theta + x * scale)[0]),
                "jac": lambda x: part.likelihood(theta + x * scale)[1] * scale,
            },
            method="SLSQP",
            options={"maxiter": 60, "ftol": 1e-7},
        )
        ends.append(float(function(theta + found.x * scale)))
    return min(ends), max(ends)


@pytest.mark.long
def test_likelihood_delta_and_bootstrap_intervals_agree():
    stays = company(np.random.default_rng(13), 3000, apart=False).assign(group="all")
    stays = stays.groupby(["group", "interval", "entry", "exit", "event"], as_index=False)["n"].sum()
    stays = stays.assign(cause=np.where(stays["event"] == 1, "voluntary", None))
    fit = fit_retention(life_table(stays), "sbg")
    cells = fit.groups[["group", "interval"]]

    def lifetime(curves):
        return np.array([discounted_lifetime(curves.curves(cells, 300)[0], 0.02)])

    value, slopes = fit.delta(lambda t: np.exp(fit.log_survival(cells, 300, t)) @ 1.02 ** -np.arange(301.0))
    error = fit.standard_errors(slopes)[0] / value[0]
    low, high = likelihood_interval(
        fit, lambda t: float((np.exp(fit.log_survival(cells, 300, t)) @ 1.02 ** -np.arange(301.0))[0])
    )
    drawn = choice.bootstrap(stays, fit, lifetime, draws=80)
    again = choice.bootstrap(stays.sample(frac=1, random_state=2), fit, lifetime, draws=2)
    assert again.tolist() == drawn[:2].tolist()
    assert np.log(high / low) / (2 * 1.96) == pytest.approx(error, rel=0.06)
    assert np.log(drawn[:, 0]).std() == pytest.approx(error, rel=0.25)
    assert low < value[0] < high


@pytest.mark.long
def test_intervals_hold_the_truth_in_small_simulated_companies():
    table = simulation.simulate(500, 5, 3_000)
    assert table["coverage"].mean() > 0.85
    assert table.set_index("quantity").loc["value of the customer base", "coverage"] >= 4 / 5


# --- choice of model and backtest ---------------------------------------------------------------------


def test_the_model_that_made_the_data_is_chosen():
    rng = np.random.default_rng(17)
    train, test = (life_table(company(rng, 30_000), [*KEYS, "level"]) for _ in range(2))
    contest = choice.compare_models(train, test, covariates=["level"])
    assert (contest.model, contest.apart) == ("sbg", True)
    table = contest.table.frame
    chosen, worst = table[table["chosen"]].iloc[0], table.iloc[-1]
    assert chosen["model"] == "shifted beta-geometric with a separate involuntary hazard"
    assert worst["model"] == "geometric"
    assert worst["lag"] > 5 * worst["lag_error"]
    assert not worst["close"]
    assert chosen["model"] not in contest.rivals
    assert abs(chosen["error"]) < 0.03
    assert choice.likeliest_model(train, covariates=["level"]) == ("sbg", True)


def test_a_first_renewal_may_have_a_chance_of_its_own():
    """A club: 35 % do not buy a second term, 8 % of the others each further one."""
    there = 10_000 * np.r_[1, 0.65 * 0.92 ** np.arange(9)].round(4)
    life = cohort_life_table([there.round().astype(int).tolist()])
    fit = fit_retention(life, "first")
    assert values(fit) == pytest.approx([0.35, 0.08], abs=2e-3)
    assert survival("first", [0.35, 0.08], 2) == pytest.approx([1, 0.65, 0.65 * 0.92])
    assert choice.likeliest_model(life) == ("first", False)
    # The likelihood's own optimum, and its curvature: that of two binomial shares.
    found = fit.standard_errors(fit.delta(lambda q: -np.expm1(-np.exp(q)))[1])
    n, left = np.array([10_000, there[1:-1].sum()]), np.array([0.35, 0.08])
    assert found == pytest.approx(np.sqrt(left * (1 - left) / n), rel=0.02)
    # Without anybody who left at the first renewal there is one chance.
    none = cohort_life_table([[1000, 1000, 900, 810]])
    assert fit_retention(none, "first").groups["model"].tolist() == ["geometric"]


def test_a_characteristic_without_effect_is_not_chosen():
    rng = np.random.default_rng(19)
    stays = company(rng, 20_000)
    stays["noise"] = rng.choice(["x", "y", "z"], len(stays))
    split = pd.concat([stays.assign(name=name, level=stays[name]) for name in ("noise", "level")])
    chosen, table = choice.choose_covariates(split)
    assert chosen == ["level"]
    assert table.frame.set_index("covariate").loc["noise", "p"] > 0.001


def test_calibration_compares_customers_one_by_one():
    rng = np.random.default_rng(23)
    fit = fit_retention(life_table(company(rng, 20_000), [*KEYS, "level"]), "sbg",
                        covariates=["level"], apart=True)  # fmt: skip
    later = company(rng, 4_000, entries=True)
    backtest = choice.calibration(fit, later, ["group"])
    table = backtest.table.frame
    rows = later[(later["ripe"] > later["entry"])]
    curves = fit.curves(rows[["group", "interval", "level"]], 30)
    chance = curves[np.arange(len(rows)), rows["ripe"]] / curves[np.arange(len(rows)), rows["entry"]]
    wanted = pd.Series(chance).groupby(rows["group"].to_numpy()).sum()
    assert table["expected"].to_numpy() == pytest.approx(wanted.to_numpy())
    assert table["happened"].tolist() == (rows["event"] == 0).groupby(rows["group"]).sum().tolist()
    assert ((table["expected_low"] < table["happened"]) & (table["happened"] < table["expected_high"])).all()
    whole, off = backtest.total, backtest.error
    assert whole["happened"] == table["happened"].sum()
    assert off.value == pytest.approx(wanted.sum() / (rows["event"] == 0).sum() - 1)
    assert off.low < off.value < off.high
    assert off.case == ("low" if off.value < 0 else "high")


def test_projection_shows_the_observed_curve_and_no_more():
    stays = company(np.random.default_rng(31), 2_000)
    fit = fit_retention(life_table(stays), "sbg")
    table = choice.projection(fit, stays).frame
    part = table[table["group"] == "a"]
    life = life_table(stays[stays["group"] == "a"], ["group"])
    curve = np.cumprod(1 - life["events"] / life["at_risk"])
    assert part["seen"].dropna().to_numpy()[1:] == pytest.approx(curve.to_numpy())
    assert part.loc[part["month"] > life["period"].max(), "seen"].isna().all()
    assert ((part["seen_low"] <= part["seen"]) | part["seen"].isna()).all()
    assert part["fitted"].is_monotonic_decreasing


# --- data that cannot tell ----------------------------------------------------------------------------


def test_data_that_cannot_tell_get_one_clear_sentence():
    def refused(active, model, words):
        with pytest.raises(NotApplicable, match=words):
            fit_retention(cohort_life_table(active), model)

    refused([[100, 100, 100]], "sbg", r"Nobody left in group all in 200 renewals")
    refused([[100, 0]], "geometric", r"Everybody in group all left at the first renewal")
    refused([[100, 80]], "sbg", r"observed at 1 renewal, and the shifted beta-geometric model needs 2")
    refused([[100, 80, 70]], "bdw", r"observed at 2 renewals, and the beta-discrete-Weibull model needs 3")
    with pytest.raises(InputError, match="`model` is 'gbs'"):
        fit_retention(cohort_life_table([[10, 8, 7]]), "gbs")
    with pytest.raises(InputError, match="no column plan"):
        fit_retention(cohort_life_table([[10, 8, 7]]), covariates=["plan"])
    with pytest.raises(InputError, match="no column n"):
        life_table(
            pd.DataFrame({"group": ["a"], "entry": 0, "exit": 1, "event": 1, "cause": None}), ["group"]
        )
    with pytest.raises(NotApplicable, match="whole billing interval"):
        life_table(
            pd.DataFrame({"group": ["a"], "entry": 0, "exit": 0, "event": 0, "cause": None, "n": 1}),
            ["group"],
        )


def test_a_hazard_that_does_not_fall_is_constant_and_said_to_be():
    rising = [[1000, 960, 900, 810, 690, 540]]
    fit = fit_retention(cohort_life_table(rising), "sbg")
    assert "nothing shows a chance to leave that falls" in fit.notes[0]
    assert fit.parameters().frame["parameter"].tolist() == ["theta"]
    assert fit.groups["model"].tolist() == ["geometric"]
    assert (
        fit_retention(cohort_life_table(rising), "bdw")
        .parameters()
        .frame.set_index("parameter")
        .loc["c", "value"]
        > 1
    )


@pytest.mark.parametrize("model", retention.MODELS)
def test_who_left_at_the_first_renewal_alone_says_nothing_of_later_ones(model):
    # Six old accounts and one churned customer: no curve may say that nobody leaves later.
    fit = fit_retention(cohort_life_table([[26, 25, 25, 25]]), model)
    chance = fit.parameters().frame.iloc[0]
    assert fit.groups["model"].tolist() == ["geometric"]
    assert chance["value"] == pytest.approx(1 / 76)
    assert chance["value_low"] < 0.004 < 0.07 < chance["value_high"]


@pytest.mark.parametrize("seed", [105, 134])
def test_intervals_reach_over_models_that_the_data_cannot_tell_apart(seed):
    # A curve of customers who differ is likelier here than the true one, and puts values half as high again.
    said = clubs.one_company("club, by the term", seed)
    assert said["off_new"] > 0.4
    assert (said["new"], said["base"]) == (1, 1)


def test_one_constant_chance_is_not_chosen_against_all_that_was_seen_of_the_first_renewal():
    # Here it predicted the last year as well as the others, with a parameter less.
    assert clubs.one_company("club, by the term", 101)["false_alarm"] == 0


def test_everybody_gone_and_a_single_cohort_end_well():
    gone = fit_retention(cohort_life_table([[100, 50, 20, 5, 0]]), "sbg")
    assert np.isfinite(gone.estimate).all()
    cells = pd.DataFrame({"group": ["all"]})
    assert residual_lifetime(gone.curves(cells, 50), 0.1)[0, 0] < 2
    extreme = residual_lifetime(gone.curves(cells, 50), 1e6)
    assert extreme[0, 0] == pytest.approx(gone.curves(cells, 1)[0, 1], rel=1e-4)


def test_unknown_groups_and_levels_are_named():
    stays = company(np.random.default_rng(37), 2_000)
    fit = fit_retention(life_table(stays, [*KEYS, "level"]), covariates=["level"])
    with pytest.raises(InputError, match="know no group c 1 month; they know a 1 month, b 1 month"):
        fit.curves(pd.DataFrame({"group": ["c"], "interval": "1 month", "level": "no"}), 3)
    with pytest.raises(InputError, match="know no level 'maybe'"):
        fit.curves(pd.DataFrame({"group": ["a"], "interval": "1 month", "level": "maybe"}), 3)


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=2, max_size=12), st.sampled_from(list(retention.MODELS)))
def test_any_counts_give_a_curve_or_a_sentence(losses, model):
    active = np.r_[sum(losses) + 50, sum(losses) + 50 - np.cumsum(losses)]
    try:
        fit = fit_retention(cohort_life_table([active.tolist()]), model)
    except NotApplicable:
        return  # fewer renewals than the model needs
    curve = fit.curves(pd.DataFrame({"group": ["all"]}), 400)[0]
    assert np.isfinite(curve).all()
    assert (np.diff(curve) <= 1e-12).all()
    geometric = fit_retention(cohort_life_table([active.tolist()]), "geometric")
    assert fit.log_likelihood >= geometric.log_likelihood - 0.02


def test_a_single_interval_has_a_life_table_too():
    row = dict.fromkeys(KEYS, "month") | {"entry": 0, "exit": 1, "event": 1, "cause": "voluntary", "n": 9}
    table = life_table(pd.DataFrame([row]), list(KEYS))
    assert table[["period", "at_risk", "events", "voluntary"]].to_numpy().tolist() == [[1, 9, 9, 9]]
