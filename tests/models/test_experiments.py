"""Experiments: published numbers, known truth, and every way in which a comparison can be empty."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import NormalIndPower

from reference import experiments as reference
from simulations import coverage_experiments as simulations
from tenure.errors import InputError, NotApplicable
from tenure.models import decision, experiments, integrity, power, visitor
from tenure.stats import comparison, intervals, survival
from tenure.stats.logrank import log_rank
from tenure.stats.power import peeking_price

USERS = pd.DataFrame(reference.TEA_TASTING_USERS)
REVENUE = pd.DataFrame(reference.GBSTATS_REVENUE)


def sums_of(units: pd.DataFrame, columns: list[str], pairs: list[tuple[str, str]] = []) -> pd.DataFrame:  # noqa: B006
    """The sums of units, as the engine makes them."""
    rows = []
    for variant, part in units.groupby("variant"):
        row = {"variant": variant, "n": len(part)}
        row |= {f"s_{c}": float(part[c].sum()) for c in columns}
        row |= {f"q_{c}": float((part[c] ** 2).sum()) for c in columns}
        row |= {f"c_{a}_{b}": float((part[a] * part[b]).sum()) for a, b in pairs}
        rows.append(row)
    return pd.DataFrame(rows)


def first(effects):
    """The first comparison, its difference's interval as low and high."""
    return effects.table.frame.iloc[0].rename({"difference_low": "low", "difference_high": "high"})


def matches(row, expected, **tolerance):
    assert {k: float(row[k]) for k in expected} == pytest.approx(expected, **tolerance)


# --- published numbers --------------------------------------------------------------------------------


def test_a_mean_is_tea_tastings():
    matches(first(comparison.compare(USERS, "orders", control="0")), reference.TEA_TASTING_ORDERS, rel=1e-9)


def test_a_ratio_of_means_is_tea_tastings():
    found = comparison.compare(USERS, "orders", control="0", denominator="sessions")
    matches(first(found), reference.TEA_TASTING_ORDERS_PER_SESSION, rel=1e-9)


def test_an_adjusted_mean_is_tea_tastings():
    sums = pd.DataFrame(reference.TEA_TASTING_COVARIATES)
    found = first(comparison.compare(sums, "orders", control="0", covariate="before"))
    # tea-tasting regresses over all users together, here it is within arms.
    matches(found, reference.TEA_TASTING_CUPED, rel=2e-3)
    plain = first(comparison.compare(sums, "orders", control="0"))
    assert found["standard_error"] < plain["standard_error"]
    share = explained(sums, "orders", "before")
    assert (found["standard_error"] / plain["standard_error"]) ** 2 == pytest.approx(1 - share, rel=0.01)


def explained(sums, measure, covariate):
    """The share of a measure's variance within arms that a covariate explains: its squared correlation."""
    n, y, x = sums["n"], sums[f"s_{measure}"], sums[f"s_{covariate}"]
    within = {
        "yy": (sums[f"q_{measure}"] - y * y / n).sum(),
        "xx": (sums[f"q_{covariate}"] - x * x / n).sum(),
        "xy": (sums[f"c_{measure}_{covariate}"] - x * y / n).sum(),
    }
    return within["xy"] ** 2 / within["xx"] / within["yy"]


def test_the_lift_of_an_adjusted_mean_divides_by_the_raw_control():
    sums = pd.DataFrame(reference.TEA_TASTING_COVARIATES)
    found = first(comparison.compare(sums, "orders", control="0", covariate="before"))
    assert found["lift"] == pytest.approx(found["difference"] / (1073 / 2023))


def test_welch_absolute_and_relative_are_gbstats():
    found = first(comparison.compare(REVENUE, "revenue", control="control", lift="linear"))
    matches(found, reference.GBSTATS_ABSOLUTE, abs=6e-6)
    matches(found, reference.GBSTATS_RELATIVE, abs=6e-6)


def test_the_confidence_sequence_is_gbstats():
    sums = REVENUE.assign(n=[reference.GBSTATS_SEQUENTIAL_N, 3461])
    found = first(
        comparison.compare(
            sums, "revenue", control="control", lift="linear", planned_n=reference.GBSTATS_SEQUENTIAL_TUNING
        )
    )
    assert (found["lift_low"], found["lift_high"]) == pytest.approx(reference.GBSTATS_SEQUENTIAL, abs=6e-6)


def test_chance_and_losses_are_gbstats():
    sums = pd.DataFrame({"variant": ["a", "b"], "n": 100, "s_won": [49.0, 51.0], "q_won": [49.0, 51.0]})
    # The lift of a share by the delta method, with the variance p (1 - p).
    p, q = sums["s_won"] / sums["n"]
    errors = np.sqrt(p * (1 - p) / 100), np.sqrt(q * (1 - q) / 100)
    found = decision.posterior(q / p - 1, np.hypot(errors[1] / p, errors[0] * q / p**2))
    expected = reference.GBSTATS_BAYES
    assert found.mean == pytest.approx(expected["lift"], abs=6e-6)
    assert found.chance == pytest.approx(expected["chance"], abs=6e-6)
    assert (found.loss_keep, found.loss_ship) == pytest.approx(
        (expected["loss_keep"], expected["loss_ship"]), abs=1e-7
    )


@pytest.mark.parametrize(("n", "planned", "chi2", "p"), reference.SAMPLE_RATIOS)
def test_sample_ratios(n, planned, chi2, p):
    found = experiments.sample_ratio(pd.DataFrame({"variant": list("abc")[: len(n)], "n": n}), planned)
    assert found.p == pytest.approx(p, rel=5e-3)
    assert chi2 is None or found.chi2 == pytest.approx(chi2)


def test_the_sample_ratio_is_tea_tastings_but_for_its_correction():
    found = experiments.sample_ratio(USERS[["variant", "n"]]).table
    expected = found["n"].sum() * found["planned"]
    corrected = (((found["n"] - expected).abs() - 0.5) ** 2 / expected).sum()  # Yates
    assert stats.chi2.sf(corrected, 1) == pytest.approx(reference.TEA_TASTING_SAMPLE_RATIO)


def test_the_sequential_sample_ratio_stops_where_it_is_documented_to():
    known = reference.LINDON_MALEK
    draws = np.random.RandomState(known["seed"]).multinomial(1, known["true"], size=1000)
    found = experiments.sequential_sample_ratio(draws, known["null"], concentration=known["k"])
    assert (found["p"] <= 0.05).idxmax() + 1 == known["stops"]


def test_the_sequential_sample_ratio_depends_on_totals_alone():
    rng = np.random.default_rng(1)
    days = rng.multinomial(50, [0.5, 0.5], size=20)
    whole = experiments.sequential_sample_ratio(days.sum(axis=0)[None], concentration=100)
    daily = experiments.sequential_sample_ratio(days, concentration=100)
    assert daily["log_bayes_factor"].iloc[-1] == pytest.approx(whole["log_bayes_factor"].iloc[0])


def test_the_score_interval_of_a_difference_is_newcombes():
    (x1, n1), (x0, n0), limits = reference.NEWCOMBE
    counts = pd.DataFrame({"variant": ["old", "new"], "n": [n0, n1], "s_converted": [x0, x1]})
    found = first(comparison.compare_shares(counts, control="old"))
    assert (found["low"], found["high"]) == pytest.approx(limits, abs=6e-5)


def test_the_live_price_test_is_no_proof_and_says_keep_running():
    known, revenue = reference.LIVE_PRICE_TEST, reference.LIVE_REVENUE
    counts = pd.DataFrame({"variant": ["old", "new"], "n": known["n"], "s_converted": known["converted"]})
    assert first(comparison.compare_shares(counts, control="old"))["p"] == pytest.approx(known["p"], abs=5e-5)
    error = (revenue["high"] - revenue["low"]) / (2 * stats.norm.ppf(0.975))
    gain = revenue["new"] - revenue["old"]
    new = pd.DataFrame({"variant": ["new"], "difference": [gain], "standard_error": [error]})
    for ahead in (3_000, 30_000, 1_000_000):
        found = decision.decide(new, control_value=revenue["old"], visitors=ahead, n=sum(known["n"]))
        assert found.verdict == "keep running"
    # About 3,030 visitors a group are needed: z for both errors, with the spread that the interval implies.
    per_arm = error**2 / 2 * sum(known["n"]) / 2 * 2
    needed = 2 * per_arm * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 / gain**2 / 2
    assert needed == pytest.approx(3030, rel=0.03)


@pytest.mark.long
def test_the_survival_rows_of_a_design_find_what_they_say_four_times_out_of_five():
    """Arms that differ by just what is said to be detectable, drawn again and again, are told apart in 80 %."""
    rng, units, months, runs = np.random.default_rng(5), 20_000, 6, 400
    base, hazard = 0.2, 0.10

    def drawn(rate):
        joined = rng.binomial(units, base, runs)
        at_risk, tables = joined, []
        for period in range(1, months + 1):
            left = rng.binomial(at_risk, rate)
            tables.append((period, at_risk, left))
            at_risk = at_risk - left
        return tables

    def life(arms, run):
        rows = [
            {"group": g, "period": k, "at_risk": n[run], "events": d[run]}
            for g, arm in arms
            for k, n, d in arm
        ]
        table = pd.DataFrame(rows)
        later = table.groupby("group")["at_risk"].shift(-1).fillna(0).astype(int)
        return table.assign(censored=table["at_risk"] - table["events"] - later)

    control = drawn(hazard)
    plan = power.design(
        pd.DataFrame({"variant": ["control", "new"], "n": units}), [], control="control",
        life=life([("control", control)], 0), horizon=months, weekly_units=1000, smallest_lift=0.1,
    ).frame.set_index("measure")["detectable"]  # fmt: skip
    other = drawn(-np.expm1(np.log1p(-hazard) * (1 + plan["chance to leave"])))
    tables = [life([("control", control), ("new", other)], run) for run in range(runs)]
    found = np.mean([log_rank(table).p < 0.05 for table in tables])
    assert found == pytest.approx(0.8, abs=0.06)
    # The restricted mean: the difference of the means over the error that it has.
    means = [survival.restricted_mean(table, months).table.frame for table in tables[:100]]
    error = np.mean([np.hypot(*table["standard_error"]) for table in means])
    mean = np.mean([table["mean"].iloc[0] for table in means])
    assert plan["months paid by a subscriber"] * mean / error == pytest.approx(1.96 + 0.8416, rel=0.03)


def test_a_design_needs_as_many_units_as_statsmodels_says_and_no_lift_none():
    n, mean, sd = 1000, 5.0, 12.0
    sums = pd.DataFrame({"variant": ["control", "new"], "n": n, "s_y": n * mean})
    sums["q_y"] = sd**2 * (n - 1) + n * mean**2
    design = {"control": "control", "weekly_units": 400, "alpha": 0.02, "power": 0.9}
    plan = power.design(sums, ["y"], smallest_lift=0.1, **design).frame.iloc[0]
    needed = NormalIndPower().solve_power(0.1 * mean / sd, alpha=0.02, power=0.9)
    assert plan["units"] == np.ceil(needed)
    assert plan["weeks"] == np.ceil(2 * needed / 400)
    assert NormalIndPower().solve_power(nobs1=n, alpha=0.02, power=0.9) * sd / mean == pytest.approx(
        plan["detectable"],
        rel=1e-4,  # which counts the far tail too
    )
    often = power.design(sums, ["y"], smallest_lift=0.1, looks=5, **design).frame.iloc[0]
    assert often["units"] / plan["units"] == pytest.approx(peeking_price(5, alpha=0.02, power=0.9), rel=1e-3)
    life = pd.DataFrame(
        {"group": ["control"], "period": [1], "at_risk": [90], "events": [9], "censored": [81]}
    )
    none = power.design(sums, ["y"], life=life, horizon=1, smallest_lift=0, **design).frame
    assert none[["units", "weeks"]].isna().all(axis=None)
    assert (none["detectable"].iloc[[0, 1]] > 0).all()


def test_what_nobody_left_yet_cannot_be_designed():
    life = pd.DataFrame({"group": ["control"], "period": [1], "at_risk": [9], "events": [0], "censored": [9]})
    sums = pd.DataFrame({"variant": ["control", "new"], "n": 50})
    asked = {"control": "control", "weekly_units": 9, "smallest_lift": 0.1}
    plan = power.design(sums, [], life=life, **asked).frame
    assert plan[["detectable", "units", "weeks"]].isna().all(axis=None)


# --- against the units themselves -----------------------------------------------------------------------


@given(st.integers(0, 10_000), st.integers(5, 60))
@settings(max_examples=25, deadline=None)
def test_a_comparison_of_sums_is_welchs_test_of_units(seed, n):
    rng = np.random.default_rng(seed)
    units = pd.DataFrame(
        {"variant": np.repeat(["a", "b"], [n, n + 3]), "y": rng.integers(-50, 400, 2 * n + 3), "x": 1.0}
    )
    found = first(comparison.compare(sums_of(units, ["y"]), "y", control="a"))
    a, b = (units.loc[units["variant"] == v, "y"] for v in "ab")
    test = stats.ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval()
    expected = [b.mean() - a.mean(), interval.low, interval.high, test.pvalue]
    assert [found[k] for k in ("difference", "low", "high", "p")] == pytest.approx(expected, rel=1e-7)


def test_a_large_mean_leaves_the_variance_exact():
    rng = np.random.default_rng(3)
    y = 10_000_000 + rng.integers(0, 100, 50_000)
    units = pd.DataFrame({"variant": np.where(np.arange(50_000) % 2, "a", "b"), "y": y})
    exact = {v: int((part["y"].astype(object) ** 2).sum()) for v, part in units.groupby("variant")}
    sums = sums_of(units, ["y"]).assign(q_y=[float(exact["a"]), float(exact["b"])])
    arms = comparison.compare(sums, "y", control="a").arms.frame.set_index("variant")
    for v, part in units.groupby("variant"):
        assert arms["standard_error"][v] == pytest.approx(part["y"].sem(), rel=1e-4)


def test_finer_sums_add_up_to_the_same():
    rng = np.random.default_rng(5)
    units = pd.DataFrame(
        {
            "variant": rng.choice(["a", "b"], 500),
            "channel": rng.choice(list("xyz"), 500),
            "y": rng.integers(0, 99, 500),
        }
    )
    fine = pd.concat(sums_of(p, ["y"]).assign(channel=c) for c, p in units.groupby("channel"))
    whole = comparison.compare(sums_of(units, ["y"]), "y", control="a").table.frame
    added = comparison.compare(
        comparison.add_up(fine.sample(frac=1, random_state=1)), "y", control="a"
    ).table.frame
    pd.testing.assert_frame_equal(added, whole)
    pd.testing.assert_frame_equal(comparison.compare(fine, "y", control="a").table.frame, whole)


def test_the_confidence_sequences_p_agrees_with_its_interval():
    sums = pd.DataFrame({"variant": ["a", "b"], "n": 1000, "s_y": [0.0, 0.0], "q_y": [1000.0, 1000.0]})
    edge = comparison.sequence_half_width(2 * 2.002, 2000, 2000)
    for shift, clear in ((0.98 * edge, False), (1.02 * edge, True)):
        moved = sums.assign(s_y=[0.0, 1000 * shift], q_y=[1000.0, 1000.0 + 1000 * shift**2])
        row = first(comparison.compare(moved, "y", control="a", planned_n=2000))
        assert (row["low"] > 0) == (row["p"] < 0.05) == clear


def test_a_posterior_is_that_of_simulation():
    found = decision.posterior(0.2, 0.35)
    draws = np.random.default_rng(0).normal(0.2, 0.35, 500_000)
    assert found.loss_ship == pytest.approx(np.maximum(-draws, 0).mean(), rel=0.01)
    assert found.loss_keep == pytest.approx(np.maximum(draws, 0).mean(), rel=0.01)
    assert found.chance == pytest.approx((draws > 0).mean(), abs=2e-3)


# --- segments ---------------------------------------------------------------------------------------------


def segments(spread, seed, arms=400):
    rng = np.random.default_rng(seed)
    parts = []
    for name in "pqrstuvw":
        effect = 1 + spread * rng.normal()
        for variant, shift in (("a", 0.0), ("b", effect)):
            y = rng.normal(10 + shift, 5, arms)
            parts.append({"variant": variant, "kind": name, "n": arms, "s_y": y.sum(), "q_y": (y**2).sum()})
    return pd.DataFrame(parts)


@pytest.mark.long
def test_segments_that_differ_by_chance_alone_are_drawn_together():
    p, closer = [], []
    for seed in range(60):
        found = comparison.segment_effects(segments(0, seed), "y", segment="kind", control="a", variant="b")
        p.append(found.p)
        raw, shrunk = found.table.frame["difference"] - 1, found.table.frame["shrunk"] - 1
        closer.append((shrunk**2).mean() < (raw**2).mean())
        assert (
            found.table.frame["shrunk"]
            .between(found.table.frame["difference"].min(), found.table.frame["difference"].max())
            .all()
        )
    assert np.mean(np.array(p) < 0.05) < 0.15
    assert np.mean(closer) > 0.9


def test_segments_that_truly_differ_are_left_apart():
    found = comparison.segment_effects(segments(3, 1, 4000), "y", segment="kind", control="a", variant="b")
    assert found.p < 1e-6
    assert found.spread == pytest.approx(3, rel=0.6)
    assert (found.table.frame["shrunk"] - found.table.frame["difference"]).abs().max() < 0.05


def test_an_interaction_says_whether_segments_differ():
    apart = comparison.segment_effects(segments(3, 1, 4000), "y", segment="kind", control="a", variant="b")
    alike = comparison.segment_effects(segments(0, 1), "y", segment="kind", control="a", variant="b")
    assert apart.interaction().case == "differ"
    assert apart.interaction().value == apart.spread
    assert alike.interaction(1e-6).case == "cannot be told apart"


def test_comparisons_stand_side_by_side_in_the_order_of_the_labels():
    one = comparison.compare(REVENUE, "revenue", control="control", unit="money:EUR")
    order = ["new", "control"]
    table = experiments.side_by_side({"revenue": one, "again": one}, order)
    assert table.frame[["variant", "measure"]].to_numpy().tolist() == [["new", "revenue"], ["new", "again"]]
    assert table.units["value"] == "money:EUR"
    shares = comparison.compare_shares(REVENUE.assign(s_converted=10), control="control")
    mixed = experiments.side_by_side({"revenue": one, "converted": shares}, order)
    assert "value" not in mixed.units
    assert mixed.units["lift"] == "percent"


def test_an_arm_is_compared_by_the_models_own_difference():
    found = comparison.compare(REVENUE, "revenue", control="control", unit="money:EUR")
    new = found.against_control("new")
    assert (new.difference.value, new.difference.low) == pytest.approx((0.29, 0.04538), abs=6e-6)
    assert (new.change, new.compare.sample, new.compare_label) == ("rose", "control", "the control")
    assert new.n == 3461


def test_one_segment_cannot_be_compared():
    one = segments(0, 1)
    with pytest.raises(NotApplicable, match="two segments"):
        comparison.segment_effects(one[one["kind"] == "p"], "y", segment="kind", control="a", variant="b")


# --- empty and awkward cases -------------------------------------------------------------------------------


def test_zero_conversions_have_intervals_and_no_lift():
    counts = pd.DataFrame({"variant": ["a", "b"], "n": [50, 60], "s_converted": [0, 0]})
    found = comparison.compare_shares(counts, control="a")
    row = first(found)
    assert row["difference"] == 0
    assert row["low"] < 0 < row["high"]
    assert np.isnan([row["lift"], row["p"]]).all()
    assert found.arms.frame["value_low"].tolist() == [0, 0]
    assert (found.arms.frame["value_high"] > 0).all()
    row = first(comparison.compare_shares(counts.assign(s_converted=[5, 0]), control="a"))
    assert row["lift_low"] == row["lift"] == -1
    assert -1 < row["lift_high"] < 0


# Of 260 visitors, 245 saw the old price and 20 of them subscribed; of 15 nobody did.
NOBODY = pd.DataFrame(
    {"variant": ["old", "new"], "n": [245, 15], "s_converted": [20, 0], "converted": [20, 0]}
)
NOBODY = NOBODY.assign(s_revenue=[20_000.0, 0.0], q_revenue=[20e6, 0.0], k_revenue=[20, 0], price=1000)
NOBODYS_LIFE = pd.DataFrame({"group": "old", "period": [1, 2], "at_risk": [20, 15], "events": [5, 0]})
NOBODYS_LIFE = NOBODYS_LIFE.assign(censored=[0, 15])


@pytest.mark.parametrize("control", ["old", "new"])
def test_an_arm_without_a_conversion_is_uncertain_in_every_measure(control):
    other = "new" if control == "old" else "old"
    scale = {"visitors": 10_000, "n": 260}
    for compared in (
        comparison.compare_shares(NOBODY, control=control),
        comparison.compare(NOBODY, "revenue", control=control),
        comparison.compare(NOBODY, "revenue", control=control, planned_n=260),
    ):
        row = first(compared)
        assert row["low"] < 0 < row["high"]
        assert row["p"] > 0.05
        assert row["standard_error"] > 0
        arm = compared.arms.frame.set_index("variant").loc["new"]
        assert arm["value_low"] == 0 < arm["value_high"]
        assert decision.decide_between(compared, control, **scale).verdict == "keep running"
    # Alike in what each pays, revenue is as uncertain as conversion.
    shares, money = (
        first(comparison.compare_shares(NOBODY, control=control)),
        first(comparison.compare(NOBODY, "revenue", control=control)),
    )
    assert [money["low"], money["high"], money["p"]] == pytest.approx(
        [1000 * shares["low"], 1000 * shares["high"], shares["p"]], rel=1e-6
    )
    worth = visitor.visitor_value(NOBODY, NOBODYS_LIFE, simulations.earned(), horizon=2)
    assert worth.arm("new").value == 0 < worth.arm("new").high
    found = decision.decide_between(worth, control, **scale)
    assert found.difference.low < 0 < found.difference.high
    assert found.verdict == "keep running"
    assert found.variant == other


def test_many_visitors_without_a_conversion_do_tell():
    known = NOBODY.assign(n=[600, 600], s_converted=[20, 0])
    assert first(comparison.compare_shares(known, control="old"))["p"] < 1e-4
    row = first(comparison.compare(known, "revenue", control="old"))
    assert row["high"] < 0
    assert row["p"] < 0.001


def test_one_conversion_gives_its_amount_no_interval():
    sums = NOBODY.assign(
        s_converted=[20, 1], q_converted=[20, 1], k_converted=[20, 1], c_revenue_converted=0.0
    )
    sums = sums.assign(s_revenue=[20_000.0, 500.0], q_revenue=[21e6, 25e4], c_revenue_converted=[2e4, 500.0])
    row = first(comparison.compare(sums, "revenue", control="old", denominator="converted"))
    assert row["value"] == 500
    assert np.isnan([row["low"], row["high"], row["p"]]).all()


def test_five_expected_conversions_decide_between_score_and_exact_limits():
    assert not intervals.expects_few(np.array([22, 14]), np.array([574, 550]))
    assert intervals.expects_few(np.array([20, 0]), np.array([245, 15]))
    assert intervals.expects_few(np.array([245, 15]), np.array([245, 15]))
    low, high = intervals.share_limits([0, 200], [15, 200], 0.95)
    assert (low[0], high[1]) == (0, 1)
    assert high[0] == pytest.approx(1 - 0.025 ** (1 / 15))
    assert low[1] == pytest.approx(0.025 ** (1 / 200))


@pytest.mark.parametrize("planned", [{}, {"a": 8, "b": 2}, {"a": 6, "b": 3, "c": 1}])
def test_the_segment_that_breaks_the_split_is_named_whatever_was_planned(planned):
    plan = planned or {"a": 1, "b": 1}
    whole = sum(plan.values())
    rows = [
        {"variant": name, "kind": kind, "n": round(4000 * weight / whole * (0.8 if lost else 1))}
        for kind in ("phone", "desk", "tablet")
        for name, weight in plan.items()
        for lost in [kind == "tablet" and name == "b"]
    ]
    found = experiments.sample_ratio_by_segment(pd.DataFrame(rows), "kind", planned)
    assert found["value"].iloc[0] == "tablet"
    assert found["variant"].iloc[0] in ("b" if len(plan) > 2 else "ab")  # two arms are off alike
    assert found["p_adjusted"].iloc[0] < 0.001
    assert (found["p_adjusted"].iloc[1:] > 0.5).all()
    # Small values of a segment raise no alarm: one of 20 was planned in c, and it got two.
    few = pd.DataFrame({"variant": ["a", "b"], "n": [1, 2]})
    assert experiments.sample_ratio(few, [0.94, 0.06]).p == pytest.approx(3 * 0.06**2 * 0.94 + 0.06**3)


@pytest.mark.parametrize(
    ("n", "result"), [((5000, 5000), "passed"), ((5132, 4868), "look"), ((5170, 4830), "failed")]
)
def test_a_sample_ratio_has_three_answers(n, result):
    table = facts(units=list(n), ripe=list(n))
    observed = {"s_observed_days": [50.0 * k for k in n], "q_observed_days": [2600.0 * k for k in n]}
    results, found = checked(table, **observed)
    assert results["sample ratio"] == result
    assert bool(found.failed) == (result == "failed")


def test_everybody_converts():
    counts = pd.DataFrame({"variant": ["a", "b"], "n": [50, 60], "s_converted": [50, 60]})
    row = first(comparison.compare_shares(counts, control="a"))
    assert row["low"] < 0 < row["high"]
    assert row["lift"] == 0


def test_an_empty_arm_is_missing_not_zero():
    sums = pd.DataFrame({"variant": ["a", "b"], "n": [10, 0], "s_y": [5.0, 0.0], "q_y": [5.0, 0.0]})
    assert np.isnan(
        first(comparison.compare(sums, "y", control="a"))[["difference", "low", "p"]].astype(float)
    ).all()
    counts = sums.rename(columns={"s_y": "s_converted"})
    assert np.isnan(
        first(comparison.compare_shares(counts, control="a"))[["difference", "low"]].astype(float)
    ).all()


def test_negative_revenue_has_a_difference_but_no_lift():
    sums = pd.DataFrame({"variant": ["a", "b"], "n": 100, "s_y": [-50.0, 20.0], "q_y": [400.0, 500.0]})
    row = first(comparison.compare(sums, "y", control="a"))
    assert row["difference"] == pytest.approx(0.7)
    assert np.isnan([row["lift"], row["lift_low"], row["lift_high"]]).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: comparison.compare(REVENUE, "revenue", control="contrl"), "contrl"),
        (lambda: comparison.compare(REVENUE, "margin", control="control"), "s_margin"),
        (lambda: comparison.compare(REVENUE, "revenue", control="control", level=95), "level"),
        (lambda: comparison.compare(REVENUE, "revenue", control="control", planned_n=0), "planned_n"),
        (lambda: experiments.sample_ratio(USERS[["variant", "n"]], {"0": 1, "2": 1}), "1, 2"),
        (lambda: experiments.sample_ratio(USERS[["variant", "n"]], [1, 0]), "positive share"),
        (lambda: integrity.read_split({"control": "half"}), "a number above 0"),
        (lambda: integrity.choose_experiment(["x"], "y"), "'y'"),
        (lambda: decision.decide(pd.DataFrame(), control_value=1, visitors=0, n=1), "visitors"),
    ],
)
def test_mistakes_are_refused_in_a_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- integrity ----------------------------------------------------------------------------------------------


def facts(**changes):
    base = {
        "variant": ["control", "new"],
        "units": [1000, 1000],
        "ripe": [1000, 1000],
        "converted": [100, 90],
        "subscribed": [100, 90],
        "otherwise_priced": 0,
        "repriced": 0,
        "repeated": 0,
        "crossed": 0,
        "shared": 0,
        "unpriced": 0,
        "prices": 1,
        "lowest_price": [999, 1299],
        "charged_otherwise": 0,
        "revenue": [99_900, 116_910],
        "refunds": 0,
        "lowest_currency": "EUR",
        "highest_currency": "EUR",
    }
    return pd.DataFrame(base | changes)


def checked(table, **moments):
    daily = pd.DataFrame(
        {"day": [1, 1, 2, 2], "variant": ["control", "new"] * 2, "n": np.tile(table["units"] // 2, 2)}
    )
    base = {"variant": ["control", "new"], "n": table["units"], "s_pre_revenue": 0.0, "q_pre_revenue": 0.0}
    base |= {"s_observed_days": [5e4, 5e4], "q_observed_days": [2.6e6, 2.6e6]}
    found = integrity.check_integrity(table, daily, pd.DataFrame(base | moments), control="control")
    return found.table.frame.set_index("check")["result"], found


def test_a_sound_experiment_passes():
    results, found = checked(facts())
    assert set(results) == {"passed"}
    assert not found.failed


@pytest.mark.parametrize(
    ("check", "changes", "moments", "result"),
    [
        ("sample ratio", {"units": [1150, 850]}, {}, "failed"),
        (
            "sample ratio",
            {"units": [1060, 940]},
            {"s_observed_days": [5.3e4, 4.7e4], "q_observed_days": [2.756e6, 2.444e6]},
            "look",
        ),
        ("one price per variant", {"prices": [1, 2], "otherwise_priced": [0, 20]}, {}, "failed"),
        ("one price each", {"repriced": [0, 30]}, {}, "failed"),
        ("one price each", {"repriced": [0, 1]}, {}, "look"),
        ("somebody converted", {"converted": 0, "subscribed": 0}, {}, "look"),
        ("sample ratio on any day", {"units": [1400, 600]}, {}, "failed"),
        ("one variant each", {"crossed": [30, 0]}, {}, "failed"),
        ("one variant each", {"crossed": [1, 0]}, {}, "look"),
        ("assigned once", {"repeated": [4, 0]}, {}, "look"),
        ("one unit per customer", {"shared": [2, 0]}, {}, "look"),
        ("price charged as assigned", {"charged_otherwise": [0, 20]}, {}, "failed"),
        ("old enough to count", {"ripe": [900, 1000]}, {}, "look"),
        (
            "alike before the experiment",
            {},
            {"s_pre_revenue": [1e4, 2e4], "q_pre_revenue": [2e5, 5e5]},
            "failed",
        ),
        (
            "observed for as long",
            {},
            {"s_observed_days": [5e4, 6e4], "q_observed_days": [2.6e6, 3.7e6]},
            "failed",
        ),
        ("refunds", {"refunds": [20_000, 0]}, {}, "look"),
        ("one currency", {"highest_currency": ["EUR", "USD"]}, {}, "look"),
    ],
)
def test_each_fault_is_seen(check, changes, moments, result):
    results, found = checked(facts(**changes), **moments)
    assert results[check] == result
    assert bool(found.failed) == (result == "failed")


@pytest.mark.parametrize(
    ("changes", "planned", "words"),
    [
        (
            {"variant": ["control", "nwe"]},
            {"control": 1, "new": 1},
            "new has no units and nwe was not planned",
        ),
        ({"variant": ["old", "new"]}, {}, "'control'"),
    ],
)
def test_what_cannot_be_compared_ends_in_a_sentence(changes, planned, words):
    with pytest.raises((InputError, NotApplicable), match=words):
        integrity.check_variants(facts(**changes), "control", planned)
    integrity.check_variants(facts(), "control", {"control": 1, "new": 1})


@pytest.mark.parametrize(("ripe", "words"), [(0, "Nobody was"), ([1000, 0], "Nobody in new was")])
def test_effects_wait_for_those_whose_window_has_been_observed(ripe, words):
    sums = pd.DataFrame({"variant": ["control", "new", "new"], "ripe": [1, 1, 0], "n": [9, 8, 7]})
    with pytest.raises(NotApplicable, match=f"{words} assigned long enough ago"):
        integrity.ripe_sums(facts(ripe=ripe), sums)
    assert integrity.ripe_sums(facts(), sums)["n"].tolist() == [9, 8]


def test_one_arm_ends_in_a_sentence():
    with pytest.raises(NotApplicable, match="one arm"):
        integrity.check_variants(facts().head(1), "control", {})


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"unpriced": [0, 3]}, "no price for 3"), ({"prices": [1, 2]}, "2 different prices")],
)
def test_an_arm_without_a_price_leaves_prices_out_and_says_why(changes, words):
    assert integrity.variant_prices(facts(**changes)) == {}
    assert words in integrity.why_unpriced(facts(**changes))
    assert integrity.variant_prices(facts()) == {"control": 999, "new": 1299}


# --- the value of a visitor and the decision --------------------------------------------------

LIFE = pd.DataFrame(
    {
        "group": np.repeat(["a", "b"], 3),
        "period": [1, 2, 3, 1, 2, 3],
        "at_risk": [200, 160, 90, 150, 120, 70],
        "events": [40, 30, 10, 30, 20, 7],
        "censored": [0, 40, 80, 0, 30, 63],
    }
)
COUNTS = pd.DataFrame({"variant": ["a", "b"], "n": 1000, "converted": [200, 150], "price": [1000, 1400]})


def test_the_value_of_a_visitor_is_conversion_times_margin_times_months():
    costs = simulations.earned(300, fee_share=0.02, fee_fixed=10)
    found = visitor.visitor_value(COUNTS, LIFE, costs, horizon=3)
    s = [1, 0.8, 0.8 * 130 / 160]
    months = sum(x / 1.01**t for t, x in enumerate(s))
    assert found.arm("a").value == pytest.approx(0.2 * (1000 * 0.98 - 10 - 300) * months)
    assert found.table.frame["months_of_a_visitor"].iloc[0] == pytest.approx(0.2 * sum(s))


def test_its_interval_is_that_of_a_bootstrap_of_units():
    rng = np.random.default_rng(0)
    found = visitor.visitor_value(COUNTS.head(1), LIFE.head(3), simulations.earned(300, monthly=0), horizon=3)
    cells = {(0, 0): 800, (1, 1): 40, (2, 1): 30, (2, 0): 40, (3, 1): 10, (3, 0): 80}
    draws = rng.multinomial(1000, np.array(list(cells.values())) / 1000, 4000)
    c = 1 - draws[:, 0] / 1000
    n2 = draws[:, 2:].sum(axis=1)
    s1, s2 = 1 - draws[:, 1] / draws[:, 1:].sum(axis=1), 1 - draws[:, 2] / n2
    spread = (c * 700 * (1 + s1 + s1 * s2)).std()
    arm = found.arm("a")
    assert (arm.high - arm.low) / 2 / stats.norm.ppf(0.975) == pytest.approx(spread, rel=0.05)


def test_beyond_what_was_observed_there_is_no_value_but_by_a_model():
    costs = simulations.earned(300, monthly=0)
    none = visitor.visitor_value(COUNTS, LIFE, costs, horizon=6)
    assert none.table.frame["value"].isna().all()
    assert "observed for 3 months, not up to the horizon of 6" in none.table.notes[0]
    tail = {"a": np.array([0.8**t for t in range(7)]), "b": np.array([0.8**t for t in range(7)])}
    some = visitor.visitor_value(COUNTS, LIFE, costs, horizon=6, tail=tail)
    seen = 0.2 * 700 * (1 + 0.8 + 0.65 + 0.65 * 80 / 90)
    last = 0.65 * 80 / 90
    assert some.arm("a").value == pytest.approx(seen + 0.2 * 700 * last * (0.8 + 0.64))
    assert some.table.frame["tail"].iloc[0] == pytest.approx(1 - seen / some.arm("a").value)


def test_a_month_in_which_nobody_left_an_arm_has_no_row_and_is_no_contradiction():
    quiet = LIFE.assign(events=[0, 30, 10, 30, 20, 7], at_risk=[160, 160, 90, 150, 120, 70]).iloc[1:]
    found = visitor.visitor_value(COUNTS, quiet, simulations.earned(), horizon=3)
    none = visitor.visitor_value(COUNTS.assign(converted=[200, 0]), quiet, simulations.earned(), horizon=3)
    assert found.arm("a").value == none.arm("a").value > 0


def test_an_arm_that_nobody_joined_is_worth_nothing_and_says_so():
    counts = COUNTS.assign(converted=[200, 0])
    found = visitor.visitor_value(counts, LIFE.head(3), simulations.earned(), horizon=3)
    assert found.arm("b").value == 0
    assert "Nobody in b" in found.table.notes[0]
    with pytest.raises(InputError, match="no variant 'c'"):
        found.arm("c")


@pytest.mark.parametrize(
    ("difference", "error", "verdict"),
    [
        (1.0, 0.3, "ship"),
        (-1.0, 0.3, "keep"),
        (0.1, 0.1, "keep"),
        (1.0, 0.7, "keep running"),
        (0.0, 5.0, "keep running"),
    ],
)
def test_verdicts(difference, error, verdict):
    table = pd.DataFrame({"variant": ["b"], "difference": [difference], "standard_error": [error]})
    found = decision.decide(table, control_value=10, visitors=1_000_000, n=2000)
    assert found.verdict == verdict
    row = found.table.frame.iloc[0]
    assert row["loss_keep"] - row["loss_ship"] == pytest.approx(1_000_000 * difference, abs=1)


def test_waiting_is_not_worth_it_for_few_visitors():
    table = pd.DataFrame({"variant": ["b"], "difference": [-0.4], "standard_error": [0.7]})
    assert decision.decide(table, control_value=10, visitors=2_100, n=2000).verdict == "keep"
    assert decision.decide(table, control_value=10, visitors=10_000_000, n=2000).verdict == "keep running"


def test_looking_early_takes_more_proof():
    table = pd.DataFrame({"variant": ["b"], "difference": [1.0], "standard_error": [0.45]})
    assert decision.decide(table, control_value=10, visitors=1e6, n=2000).verdict == "ship"
    assert (
        decision.decide(table, control_value=10, visitors=1e6, n=2000, planned_n=4000).verdict
        == "keep running"
    )


def test_several_variants_are_judged_together_and_the_best_goes_first():
    table = pd.DataFrame(
        {"variant": ["b", "c", "d"], "difference": [2.0, 1.5, 0.5], "standard_error": [0.9, 0.2, 0.2]}
    )
    found = decision.decide(table, control_value=10, visitors=1e6, n=5000)
    assert (found.verdict, found.variant) == ("ship", "c")
    alone = decision.decide(table.head(1), control_value=10, visitors=1e6, n=5000)
    assert alone.verdict == "ship"
    assert found.table.frame.set_index("variant").loc["b", "verdict"] == "keep running"


def test_another_estimate_beside_the_verdict_says_whether_it_agrees():
    arms = pd.DataFrame({"variant": ["b", "c"], "difference": [-1.36, -3.0], "standard_error": [1.2, 1.2]})
    decided = decision.decide(arms, control_value=15, visitors=10_000, n=6700, unit="number")
    assert (decided.verdict, decided.variant, decided.case) == ("keep", "b", "unlikely")
    assert decided.difference.low < decided.difference.value == -1.36 < decided.difference.high
    near = decided.beside(
        decision.decide(arms.assign(difference=-0.28), control_value=15, visitors=10_000, n=6700)
    )
    assert (near.case, near.value) == ("agrees", -0.28)
    for other, case in ((2.5, "another verdict"), (-9.0, "another size")):
        curve = arms.assign(difference=other, standard_error=0.4)
        beside = decided.beside(decision.decide(curve, control_value=15, visitors=10_000, n=6700))
        assert (beside.case, beside.value) == (case, other)


def test_what_waiting_brings_says_whether_to_wait():
    table = pd.DataFrame({"variant": ["b"], "difference": [0.5], "standard_error": [0.7]})
    wait = decision.decide(table, control_value=10, visitors=1e6, n=2000).waiting()
    assert wait.case == "wait"
    assert wait.words["more"] > 0
    assert wait.words["chance"].value > wait.words["enough"].value
    table = table.assign(difference=-5.0)
    assert decision.decide(table, control_value=10, visitors=1e6, n=2000).waiting().case == "do not wait"


def test_nothing_to_decide_on_ends_in_a_sentence():
    table = pd.DataFrame({"variant": ["b"], "difference": [np.nan], "standard_error": [np.nan]})
    with pytest.raises(NotApplicable, match="nothing to decide"):
        decision.decide(table, control_value=1, visitors=10, n=10)


# --- simulation --------------------------------------------------------------------------------


@pytest.mark.long
def test_false_alarms_and_coverage_in_a_small_simulation():
    shares = dict(simulations.fixed(2, 500, 400) + simulations.sequential(3, 60, 1000))
    alarms = {k: v for k, v in shares.items() if "false alarms" in k}
    for name, share in alarms.items():
        low, high = (0, 0.07) if "looks" in name else (0.025, 0.075)
        assert low <= share <= high, name
    for name, share in shares.items():
        if name not in alarms:
            assert 0.925 <= share <= 0.975, name


@pytest.mark.long
@pytest.mark.parametrize("expected", [0.3, 1, 3, 8, 20])
def test_rare_conversions_raise_no_more_false_alarms_than_agreed(expected):
    for name, share in simulations.rare(5, 300, expected):
        assert share <= 0.08 if "false alarms" in name else share >= 0.92, name
