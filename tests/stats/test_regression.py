"""Hazard ratios on counts against statsmodels on the cells, published numbers and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from reference import survival as published
from simulations import coverage_survival as simulation
from tenure.errors import InputError
from tenure.stats import grouped
from tenure.stats.regression import hazard_ratios


def rossi() -> pd.DataFrame:
    from lifelines.datasets import load_rossi

    return load_rossi().rename(columns={"week": "exit", "arrest": "event"})


def subscribers(seed: int, size: int = 1500, *, late: bool = True) -> pd.DataFrame:
    """Subscribers seen in whole months, many leaving in the same one, some observed only from later on."""
    rng = np.random.default_rng(seed)
    plan, channel = rng.choice(["basic", "plus", "pro"], size), rng.choice(["ads", "friends"], size)
    rate = 0.08 * np.exp(0.4 * (plan == "basic") - 0.5 * (plan == "pro") + 0.3 * (channel == "ads"))
    leaving = np.ceil(rng.exponential(1 / rate)).astype(int)
    entry = np.where(rng.random(size) < 0.4, rng.integers(1, 8, size), 0) if late else np.zeros(size, int)
    watched = entry + rng.integers(1, 20, size)
    frame = {
        "plan": plan,
        "channel": channel,
        "entry": entry,
        "exit": np.minimum(leaving, watched),
        "event": (leaving <= watched).astype(int),
    }
    frame = pd.DataFrame(frame)
    return frame[frame["exit"] > frame["entry"]].reset_index(drop=True)


def counted(people: pd.DataFrame) -> pd.DataFrame:
    return people.groupby(list(people.columns)).size().rename("n").reset_index()


def by_name(fit) -> pd.DataFrame:
    rows = fit.table.frame
    return rows.set_index((rows["covariate"] + " " + rows["level"]).str.strip())


def cox(people: pd.DataFrame, **options):
    """lifelines' Cox regression with Efron's ties, on rows."""
    from lifelines import CoxPHFitter

    exact = {"precision": 1e-10, "r_precision": 1e-12}
    return CoxPHFitter().fit(people, "exit", "event", fit_options=exact, **options)


# --- published numbers --------------------------------------------------------------------------------


def assert_near(ours: pd.DataFrame, theirs, share: float) -> None:
    """Ours is no further from theirs than a share of a standard error."""
    for name, error in theirs.standard_errors_.items():
        assert abs(ours.loc[name, "coefficient"] - theirs.params_[name]) < share * error, name
        assert ours.loc[name, "standard_error"] == pytest.approx(error, rel=share)


def test_rossi_is_the_published_fit_and_grouped_time_is_near_it():
    theirs = cox(rossi())
    for name, expected in published.ROSSI_COX.items():
        found = theirs.params_[name], theirs.standard_errors_[name]
        assert found == pytest.approx(expected, abs=6e-6)
    assert theirs.log_likelihood_ == pytest.approx(published.ROSSI_LOG_LIKELIHOOD, abs=5e-4)
    ratio = theirs.log_likelihood_ratio_test().test_statistic
    assert ratio == pytest.approx(published.ROSSI_LIKELIHOOD_RATIO, abs=5e-3)

    fit = hazard_ratios(rossi(), list(published.ROSSI_COX))
    ours = by_name(fit)
    assert_near(ours, theirs, 0.02)
    assert (ours["hazard_ratio"] == np.exp(ours["coefficient"])).all()
    np.testing.assert_allclose(ours["p"], 2 * stats.norm.sf(abs(ours["z"])))
    assert fit.chi2 == pytest.approx(published.ROSSI_LIKELIHOOD_RATIO, rel=0.01)
    assert (fit.n, fit.events, fit.df) == (432, 114, 7)


def test_lung_and_freireich_are_the_published_fits_and_grouped_time_is_near_them():
    from lifelines.datasets import load_lung

    lung = load_lung().rename(columns={"time": "exit", "status": "event"}).dropna(subset=["ph.ecog"])
    theirs = cox(lung[["exit", "event", *published.LUNG_COX]])
    for name, expected in published.LUNG_COX.items():
        found = [theirs.params_[name], theirs.standard_errors_[name]]
        assert found == pytest.approx(expected, abs=2e-6)
    # Days, each of them a period.
    assert_near(by_name(hazard_ratios(lung, list(published.LUNG_COX), period="day")), theirs, 0.05)

    arms = {0: published.FREIREICH_6MP, 1: published.FREIREICH_PLACEBO}
    rows = [(arm, week, event) for arm, people in arms.items() for week, event in people]
    people = pd.DataFrame(rows, columns=["treat", "exit", "event"])
    theirs = cox(people)
    coefficient, error, ratio = published.FREIREICH_COX
    assert theirs.params_["treat"] == pytest.approx(coefficient, abs=5e-3)
    assert theirs.standard_errors_["treat"] == pytest.approx(error, abs=5e-4)
    assert theirs.log_likelihood_ratio_test().test_statistic == pytest.approx(ratio, abs=0.05)
    fit = hazard_ratios(people, ["treat"])
    assert_near(by_name(fit), theirs, 0.25)
    assert fit.chi2 == pytest.approx(ratio, rel=0.1)


def test_proportionality_is_near_the_published_test():
    """R's is of Cox's likelihood; twelve events in 26 people are few."""
    columns = ["exit", "event", "age", "resid.ds", "rx", "ecog.ps"]
    frame = pd.DataFrame(published.OVARIAN, columns=columns)
    p = hazard_ratios(frame, ["age", "ecog.ps"]).proportionality().frame.set_index("covariate")["p"]
    expected = published.OVARIAN_PROPORTIONALITY
    for name, chi2, df in (("age", "age", 1), ("ecog.ps", "ecog.ps", 1), ("all together", "all", 2)):
        assert p[name] == pytest.approx(stats.chi2.sf(expected[chi2], df), abs=0.08)


# --- statsmodels --------------------------------------------------------------------------------------


def cells(people: pd.DataFrame, covariates: list[str], strata: tuple[str, ...] = ()) -> pd.DataFrame:
    """At risk and events of each period and combination, from the rows, where some left and some did not."""
    parts = []
    for k in range(1, int(people["exit"].max()) + 1):
        there = people[(people["entry"] < k) & (people["exit"] >= k)]
        left = (there["exit"] == k) & (there["event"] == 1)
        cell = left.groupby([there[c] for c in (*strata, *covariates)]).agg(["size", "sum"]).reset_index()
        parts.append(cell.assign(baseline=str(k)))
    table = pd.concat(parts)
    for name in strata:
        table["baseline"] += " " + table[name].astype(str)
    sums = table.groupby("baseline")[["size", "sum"]].transform("sum")
    return table[sums["sum"].between(0, sums["size"], inclusive="neither")].reset_index(drop=True)


def glm(table: pd.DataFrame, effects: pd.DataFrame):
    import statsmodels.api as sm

    design = pd.concat([effects, pd.get_dummies(table["baseline"])], axis="columns").astype(float)
    answer = np.column_stack([table["sum"], table["size"] - table["sum"]])
    family = sm.families.Binomial(link=sm.families.links.CLogLog())
    fit = sm.GLM(answer, design, family=family).fit(maxiter=100, tol=1e-12)
    assert fit.converged
    return fit


@pytest.mark.parametrize(("late", "strata"), [(False, ()), (True, ()), (True, ("channel",))])
def test_the_fit_on_counts_is_statsmodels_on_the_cells(late, strata):
    people = subscribers(1, late=late)
    covariates = ["plan"] if strata else ["plan", "channel"]
    reference = {"plan": "plus"} if strata else {"plan": "plus", "channel": "friends"}
    fit = hazard_ratios(counted(people), covariates, reference=reference, strata=strata)
    table = cells(people, covariates, strata)
    effects = pd.DataFrame({"plan basic": table["plan"] == "basic", "plan pro": table["plan"] == "pro"})
    if not strata:
        effects["channel ads"] = table["channel"] == "ads"
    theirs, ours = glm(table, effects), by_name(fit).loc[effects.columns]
    np.testing.assert_allclose(ours["coefficient"], theirs.params[effects.columns], atol=1e-7)
    np.testing.assert_allclose(ours["standard_error"], theirs.bse[effects.columns], rtol=1e-6)
    assert fit.chi2 == pytest.approx(2 * (theirs.llf - glm(table, effects.iloc[:, :0]).llf), rel=1e-8)
    block = theirs.cov_params().loc[effects.columns, effects.columns]
    np.testing.assert_allclose(fit.covariance, block, rtol=1e-5)
    assert (fit.n, fit.events) == (len(people), people["event"].sum())

    # The test of proportionality is statsmodels' score test of the interactions with time.
    drift = fit.proportionality(transform="identity").frame.set_index("covariate")
    time = table["baseline"].str.split().str[0].astype(float)
    for covariate in covariates:
        own = effects.filter(like=covariate).astype(float).mul(time, axis=0)
        score = theirs.model.score_test(theirs.params, exog_extra=own.to_numpy(), observed=False)
        assert drift.loc[covariate, "chi2"] == pytest.approx(float(np.squeeze(score[0])), rel=1e-5)


def test_where_few_leave_at_once_it_is_coxs_fit():
    people = subscribers(1)
    design = people.assign(basic=people["plan"] == "basic", pro=people["plan"] == "pro")
    theirs = cox(design[["basic", "pro", "entry", "exit", "event"]].astype(float), entry_col="entry")
    fit = hazard_ratios(counted(people), ["plan"], reference={"plan": "plus"})
    assert_near(by_name(fit).rename(index=lambda name: name.removeprefix("plan ")), theirs, 0.1)


def test_a_renewal_that_takes_most_does_not_hide_a_hazard_ratio():
    """Efron's ties pull it towards 1: by a quarter where the month of renewal takes nine in ten."""
    rng = np.random.default_rng(3)
    pro = rng.integers(0, 2, 20_000)
    base = np.r_[np.full(11, 0.02), 2.5, np.full(6, 0.02)]
    reached = np.cumsum(base) * np.exp(0.5 * pro)[:, None]
    leaving = 1 + (reached < rng.exponential(size=(len(pro), 1))).sum(axis=1)
    people = pd.DataFrame({"pro": pro, "exit": np.minimum(leaving, 18), "event": (leaving <= 18).astype(int)})
    month = people[people["exit"] >= 12]
    assert ((month["exit"] == 12) & (month["event"] == 1)).mean() > 0.9
    row = hazard_ratios(people, ["pro"]).table.frame.iloc[0]
    assert abs(row["coefficient"] - 0.5) < 2 * row["standard_error"]
    assert cox(people).params_["pro"] < 0.4


def test_thirty_levels_in_three_years_take_little_memory():
    import tracemalloc

    rng = np.random.default_rng(4)
    size = 60_000
    people = pd.DataFrame({"country": rng.integers(0, 30, size).astype(str)})
    for name in "abc":
        people[name] = rng.integers(0, 4, size).astype(str)
    leaving, seen = rng.geometric(0.05, size), rng.integers(1, 37, size)
    people["exit"], people["event"] = np.minimum(leaving, seen), (leaving <= seen).astype(int)
    counts = counted(people)
    assert len(counts[["country", *"abc"]].drop_duplicates()) > 1_900
    tracemalloc.start()
    fit = hazard_ratios(counts)
    fit.proportionality()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert fit.df == 29 + 9


# --- the rows -----------------------------------------------------------------------------------------


def row_log_likelihood(people: pd.DataFrame, x: np.ndarray, beta: float) -> float:
    """The log-likelihood person by person, each period's baseline being the best."""
    entry, exit_, event = (people[c].to_numpy() for c in ("entry", "exit", "event"))
    total = 0.0
    for t in sorted(set(exit_[event == 1])):
        there = (entry < t) & (exit_ >= t)
        left = (exit_ == t)[there] & (event == 1)[there]
        if left.all():
            continue
        weight = np.exp(beta * x[there])

        def slope(a: float, weight=weight, left=left) -> float:
            rate = np.exp(a) * weight
            return float(np.where(left, rate / np.expm1(np.minimum(rate, 700)), -rate).sum())

        rate = np.exp(brentq(slope, -40, 40, xtol=1e-13)) * weight
        total += np.where(left, np.log(-np.expm1(-rate)), -rate).sum()
    return total


@st.composite
def small_crowds(draw):
    rows = []
    for _ in range(draw(st.integers(4, 25))):
        end = draw(st.integers(1, 5))
        rows.append(
            (
                draw(st.sampled_from([0.0, 1.0, 2.5])),
                draw(st.integers(0, end - 1)),
                end,
                draw(st.sampled_from([0, 1, 1])),
            )
        )
    return pd.DataFrame(rows, columns=["x", "entry", "exit", "event"])


@given(small_crowds(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_likelihood_is_that_of_the_people_one_by_one(people, random):
    fit = hazard_ratios(counted(people), ["x"])
    if fit.empty:
        return
    x = people["x"].to_numpy()
    assert fit.log_likelihood_null == pytest.approx(row_log_likelihood(people, x, 0), abs=1e-8)
    beta = fit.table.frame.loc[0, "coefficient"]
    if math.isnan(beta):
        assert fit.notes
        return
    assert fit.log_likelihood == pytest.approx(row_log_likelihood(people, x, beta), abs=1e-7)
    best = minimize_scalar(
        lambda b: -row_log_likelihood(people, x, b), bounds=(beta - 1, beta + 1), method="bounded"
    )
    assert fit.log_likelihood >= -best.fun - 1e-6
    rows = list(range(len(people)))
    random.shuffle(rows)
    again = hazard_ratios(people.iloc[rows], ["x"])
    pd.testing.assert_frame_equal(again.table.frame, fit.table.frame)
    assert again.log_likelihood == fit.log_likelihood


def test_rows_may_be_split_shuffled_or_empty():
    counts = counted(subscribers(2))
    half = counts.assign(n=counts["n"] // 2)
    rest = counts.assign(n=counts["n"] - half["n"])
    parts = pd.concat([half, rest, counts.assign(n=0)]).sample(frac=1, random_state=1)
    whole, split = (hazard_ratios(c, ["plan", "channel"]) for c in (counts, parts))
    pd.testing.assert_frame_equal(whole.table.frame, split.table.frame)
    assert whole.log_likelihood == split.log_likelihood


def test_proportionality_agrees_with_lifelines_approximation():
    from lifelines import CoxPHFitter
    from lifelines.statistics import proportional_hazard_test

    frame = rossi()[["fin", "age", "prio", "exit", "event"]]
    theirs = proportional_hazard_test(CoxPHFitter().fit(frame, "exit", "event"), frame, time_transform="km")
    ours = hazard_ratios(frame, ["fin", "age", "prio"]).proportionality().frame.iloc[:3]
    # lifelines has the older approximation: near, not equal.
    np.testing.assert_allclose(ours["chi2"], theirs.test_statistic, atol=0.3)
    assert (ours["p"] < 0.05).tolist() == [False, True, False]


# --- meaning ------------------------------------------------------------------------------------------


def test_two_groups_are_the_log_rank_score():
    """The score test of a single 0/1 covariate at 0 tends to the log-rank test as those at risk grow."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"x": rng.integers(0, 2, 6000), "exit": rng.integers(1, 400, 6000)})
    people["event"] = rng.integers(0, 2, 6000)
    _, score, information = grouped.total(hazard_ratios(people, ["x"])._sets, np.zeros(1))
    from lifelines.statistics import multivariate_logrank_test

    test = multivariate_logrank_test(people["exit"], people["x"], people["event"])
    assert (score**2 / information)[0, 0] == pytest.approx(test.test_statistic, rel=0.05)


def test_levels_and_references():
    counts = counted(subscribers(3))
    fit = hazard_ratios(counts, ["plan", "channel"])
    most = counts.groupby("plan")["n"].sum().idxmax()
    reference = fit.table.frame[fit.table.frame["reference"]].set_index("covariate")
    assert reference.loc["plan", "level"] == most
    assert reference.loc["plan", "hazard_ratio"] == 1
    assert math.isnan(reference.loc["plan", "hazard_ratio_low"])
    totals = counts.assign(left=counts["n"] * counts["event"]).groupby("plan")[["n", "left"]].sum()
    plans = fit.table.frame[fit.table.frame["covariate"] == "plan"].set_index("level")
    assert plans["n"].to_dict() == totals["n"].to_dict()
    assert plans["events"].to_dict() == totals["left"].to_dict()

    one, other = (hazard_ratios(counts, ["plan"], reference={"plan": p}) for p in ("pro", "basic"))
    assert by_name(one).loc["plan basic", "hazard_ratio"] == pytest.approx(
        1 / by_name(other).loc["plan pro", "hazard_ratio"]
    )
    # Wald's statistic of all levels together does not depend on which of them is the reference.
    beta = (fit_.table.frame.query("~reference")["coefficient"].to_numpy() for fit_ in (one, other))
    wald = [b @ np.linalg.solve(fit_.covariance, b) for b, fit_ in zip(beta, (one, other), strict=True)]
    assert wald[0] == pytest.approx(wald[1])
    categories = counts.assign(plan=pd.Categorical(counts["plan"], ["pro", "plus", "basic"]))
    ordered = hazard_ratios(categories, ["plan"]).table.frame
    assert ordered["level"].tolist() == ["pro", "plus", "basic"]
    assert ordered["reference"].tolist() == [True, False, False]
    flags = counts.assign(friend=counts["channel"] == "friends")
    assert hazard_ratios(flags, ["friend"]).table.frame["reference"].tolist() == [True, False]


def test_a_level_in_which_nobody_left_gets_a_note_and_changes_nothing_else():
    counts = counted(subscribers(4))
    silent = pd.DataFrame(
        {
            "plan": "gift",
            "channel": ["ads", "friends"],
            "entry": 0,
            "exit": [9, 12],
            "event": 0,
            "n": [30, 40],
        }
    )
    fit = hazard_ratios(pd.concat([counts, silent]), ["plan", "channel"], reference={"plan": "plus"})
    without = hazard_ratios(counts, ["plan", "channel"], reference={"plan": "plus"})
    row = by_name(fit).loc["plan gift"]
    assert (row["n"], row["events"]) == (70, 0)
    assert row[["coefficient", "hazard_ratio", "hazard_ratio_low", "hazard_ratio_high", "p"]].isna().all()
    assert "nobody left in gift (70 subscribers)" in fit.notes[0]
    estimates = ["coefficient", "standard_error", "hazard_ratio_low", "hazard_ratio_high", "p", "events"]
    shared = by_name(without)[estimates]
    pd.testing.assert_frame_equal(by_name(fit).loc[shared.index, estimates], shared)
    with pytest.raises(InputError, match="nobody left"):
        hazard_ratios(pd.concat([counts, silent]), ["plan"], reference={"plan": "gift"})
    many = silent.assign(n=5000)
    assert "compared with" in hazard_ratios(pd.concat([counts, many]), ["plan"]).notes[0]


def test_what_says_nothing_gets_a_note():
    counts = counted(subscribers(5))
    same = counts.assign(copy=counts["plan"], country="IT", constant=3.0)
    fit = hazard_ratios(same, ["plan", "copy", "country", "constant"])
    alone = hazard_ratios(counts, ["plan"])
    assert fit.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-9)
    table = by_name(fit)
    assert table.loc[["constant", "copy basic"], "hazard_ratio"].isna().any()
    assert table.loc["copy pro", "hazard_ratio"] != table.loc["copy pro", "hazard_ratio"]
    assert any(note.startswith("country: there is only IT") for note in fit.notes)
    assert any(note.startswith("copy ") for note in fit.notes)
    assert any(note.startswith("constant") for note in fit.notes)
    for covariates in (["country"], ["constant"], ["country", "constant"]):
        nothing = hazard_ratios(same, covariates)
        assert nothing.empty == nothing.notes[0] != ""
        assert nothing.empty.startswith("No characteristic (country") or covariates == ["constant"]
        assert not [note for note in nothing.notes if "covariate" in note]
        assert len(nothing.table) == 0


def test_perfect_separation_gets_a_note_not_a_number():
    rows = [(x, t, 1) for t, x in enumerate([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], start=1)]
    people = pd.DataFrame(rows, columns=["x", "exit", "event"])
    people["noise"] = [0, 1, 1, 0, 1, 0, 1]
    fit = hazard_ratios(people, ["x"])
    assert fit.table.frame["hazard_ratio"].isna().all()
    assert "x: it tells exactly who left first" in fit.notes[0]
    assert fit.proportionality().frame["p"].isna().all()
    assert fit.strongest().case == "none clear"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="exit"), "no column exit"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(plan=t["plan"].where(t.index > 2)), "Column plan .* empty in 3 of"),
        (lambda t: t.assign(event=2), "Column event .* 0 or 1"),
        (lambda t: t.assign(n=-1), "Column n .* from 0 up"),
        (lambda t: t.assign(exit=t["entry"]), "exit .* not after entry in"),
        (lambda t: t.assign(exit="soon"), "Column exit .* such as 'soon'"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        hazard_ratios(change(counted(subscribers(6, 200))), ["plan"])
    assert "\n" not in str(raised.value)


def test_bad_options_are_refused():
    counts = counted(subscribers(6, 200))
    for options in (
        {"covariates": ["typo"]},
        {"covariates": ["plan", "plan"]},
        {"covariates": ["plan"], "strata": ["plan"]},
        {"covariates": ["plan"], "reference": {"plan": "typo"}},
        {"covariates": ["plan"], "reference": {"channel": "ads"}},
        {"covariates": ["plan"], "level": 2},
    ):
        with pytest.raises(InputError):
            hazard_ratios(counts, **options)
    with pytest.raises(InputError, match="`period`"):
        hazard_ratios(counts, ["plan"], period="fortnight")
    with pytest.raises(InputError, match="transform"):
        hazard_ratios(counts, ["plan"]).proportionality(transform="typo")
    with pytest.raises(InputError, match="`at`"):
        hazard_ratios(counts, ["plan"]).split(at=500)


def test_a_table_in_which_nobody_left_says_so():
    nothing = hazard_ratios(counted(subscribers(6, 200)).assign(event=0), ["plan"])
    assert "Nobody left" in nothing.empty
    found = nothing.strongest()
    assert (found.case, found.known, found.words["reason"]) == ("nothing to compare", False, nothing.empty)
    assert len(nothing.proportionality()) == len(nothing.changing()) == 0


def test_customers_without_characteristics_are_not_compared():
    nothing = hazard_ratios(pd.DataFrame({"exit": [3, 5], "event": [1, 0], "n": [9, 1]}), [])
    assert "No characteristic" in nothing.empty
    assert (nothing.n, nothing.events) == (10, 9)
    assert nothing.strongest().case == "nothing to compare"
    assert len(nothing.proportionality()) == len(nothing.changing()) == 0


def test_the_strongest_ratio_is_the_one_furthest_from_1_that_is_clear():
    fit = hazard_ratios(
        counted(subscribers(3)), ["plan", "channel"], reference={"plan": "plus"}, period="week"
    )
    top = fit.strongest()
    assert (top.case, top.unit, top.of) == ("clear", "ratio", "customer")
    assert top.words == {"name": "plan", "kind": "basic", "reference": "plus", "period": "week"}
    row = by_name(fit).loc["plan basic"]
    assert row["coefficient"] > abs(by_name(fit)["coefficient"].drop("plan basic")).max()
    assert (top.value, top.n) == (row["hazard_ratio"], row["n"])
    # All columns but those of the counts are compared where none are named.
    pd.testing.assert_frame_equal(
        hazard_ratios(counted(subscribers(3))).table.frame,
        hazard_ratios(counted(subscribers(3)), ["plan", "channel"]).table.frame,
    )
    people = subscribers(3).assign(age=lambda t: (t["plan"] == "pro") * 2.0)
    number = hazard_ratios(people, ["age"]).strongest()
    assert (number.case, number.words["kind"], number.words["reference"]) == ("clear number", "", "")


# --- when hazard ratios change ------------------------------------------------------------------------


def crossing(seed: int, late_ratio: float, size: int = 4000) -> pd.DataFrame:
    """Plan B has twice the hazard in the first six months and `late_ratio` times it after."""
    rng = np.random.default_rng(seed)
    plan = rng.integers(0, 2, size)
    month = np.arange(1, 25)
    ratio = np.where(month <= 6, 2.0, late_ratio)
    rate = 0.05 * np.where(plan[:, None] == 1, ratio, 1.0)
    leaving = 1 + (np.cumsum(rate, axis=1) < rng.exponential(size=(size, 1))).sum(axis=1)
    watched = rng.integers(6, 25, size)
    return pd.DataFrame(
        {
            "plan": np.where(plan, "B", "A"),
            "exit": np.minimum(leaving, watched),
            "event": (leaving <= watched).astype(int),
        }
    )


@pytest.mark.parametrize("transform", ["km", "identity"])
def test_crossing_hazards_are_noticed(transform):
    fit = hazard_ratios(counted(crossing(1, 0.5)), ["plan"], reference={"plan": "B"})
    assert fit.proportionality(transform=transform).frame["p"].iloc[-1] < 1e-6
    changing = fit.changing()
    assert changing.frame["late"].iloc[0] / changing.frame["early"].iloc[0] > 2
    assert changing.units["late"] == "ratio"
    assert changing.notes[0].startswith("Early is up to month")


@pytest.mark.long
def test_proportional_hazards_are_not_accused():
    fits = [hazard_ratios(counted(crossing(s, 2.0, 800)), ["plan"]) for s in range(100)]
    p = [fit.proportionality().frame["p"].iloc[-1] for fit in fits]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.11


def test_early_and_late_hazard_ratios_are_found():
    fit = hazard_ratios(counted(crossing(2, 0.5, 8000)), ["plan"], reference={"plan": "A"})
    row = fit.split(at=6).frame.iloc[0]
    assert row["early_low"] < 2 < row["early_high"]
    assert row["late_low"] < 0.5 < row["late_high"]
    assert row["ratio"] == pytest.approx(row["late"] / row["early"])
    assert row["ratio_low"] < 0.25 < row["ratio_high"]
    assert row["p_adjusted"] < 1e-6
    note = hazard_ratios(counted(crossing(2, 0.5)), ["plan"]).split().notes[0]
    assert int(note.removeprefix("Early is up to month ").removesuffix(".")) <= 8


def test_the_split_is_two_fits_on_the_parts():
    people = subscribers(7)
    split = hazard_ratios(counted(people), ["plan", "channel"]).split(at=5).frame
    late = people[people["exit"] > 5].assign(entry=lambda t: t["entry"].clip(lower=5))
    early = people[people["entry"] < 5].assign(
        event=lambda t: t["event"].where(t["exit"] <= 5, 0), exit=lambda t: t["exit"].clip(upper=5)
    )
    missing = {"plan": set(people["plan"]) - set(split.loc[split["covariate"] == "plan", "level"])}
    missing["channel"] = set(people["channel"]) - set(split.loc[split["covariate"] == "channel", "level"])
    references = {name: levels.pop() for name, levels in missing.items()}
    fits = [hazard_ratios(part, ["plan", "channel"], reference=references) for part in (early, late)]
    for fit, name in zip(fits, ("early", "late"), strict=True):
        rows = fit.table.frame[~fit.table.frame["reference"]]
        ours = split[[name, f"{name}_low", f"{name}_high"]].to_numpy()
        theirs = rows[["hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"]].to_numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert sum(fit.events for fit in fits) == people["event"].sum()
    assert split["covariate"].tolist() == ["plan", "plan", "channel"]
    together = sum(fit.log_likelihood for fit in fits)
    assert together > hazard_ratios(people, ["plan", "channel"]).log_likelihood


def test_strata_take_out_what_differs_between_them():
    rng = np.random.default_rng(9)
    shop = rng.integers(0, 2, 6000)
    plan = (rng.random(6000) < np.where(shop, 0.8, 0.2)).astype(int)
    leaving = rng.geometric(1 - np.exp(-0.03 * np.exp(1.0 * shop + 0.4 * plan)))
    watched = rng.integers(1, 30, 6000)
    event = (leaving <= watched).astype(int)
    exit_ = np.minimum(leaving, watched)
    people = pd.DataFrame({"plan": plan, "shop": shop, "exit": exit_, "event": event})
    row = hazard_ratios(people, ["plan"], strata="shop").table.frame.iloc[0]
    assert row["hazard_ratio_low"] < math.exp(0.4) < row["hazard_ratio_high"]
    assert hazard_ratios(people, ["plan"]).table.frame.loc[0, "hazard_ratio_low"] > math.exp(0.4)


@pytest.mark.long
def test_intervals_of_hazard_ratios_hold_the_truth():
    for name, share in simulation.hazard_ratios(22, 200, 500):
        assert 0.90 <= share <= 0.985, name
