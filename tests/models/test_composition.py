"""What segments are made of and worth: against counts worked out by hand, loops and simulated truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import composition as comp
from tenure.models import personas
from tenure.models.composition import LEFT
from tenure.models.segments import Rule
from tenure.result import Estimate, Table
from tenure.stats import survival


def two_by_two(a, b, c, d):
    return pd.DataFrame(
        {
            "characteristic": "plan",
            "level": ["x", "y", "x", "y"],
            "segment": ["s", "s", "t", "t"],
            "n": [a, b, c, d],
        }
    )


def ratios(counts):
    return comp.representation(counts).table.frame


def test_representation_is_the_share_inside_over_the_share_among_all():
    rows = ratios(two_by_two(60, 40, 20, 80)).set_index(["level", "segment"])
    row = rows.loc[("x", "s")]
    assert row["share"] == pytest.approx(0.6)
    assert row["base"] == pytest.approx(0.4)
    assert row["ratio"] == pytest.approx(1.5)
    assert row["ratio_low"] < 1.5 < row["ratio_high"]
    assert row["ratio_low"] > 1


def test_representations_test_is_pearsons_chi_squared_and_adjusted_by_holm():
    from scipy import stats

    rows = ratios(two_by_two(60, 40, 20, 80))
    chi2 = stats.chi2_contingency([[60, 40], [20, 80]], correction=False)
    assert rows["p"].tolist() == pytest.approx([chi2.pvalue] * 4)
    assert rows["p_adjusted"].max() == pytest.approx(min(1, 4 * chi2.pvalue))


@pytest.mark.long
def test_representation_covers_the_truth():
    rng = np.random.default_rng(0)
    chances = np.array([0.09, 0.21, 0.14, 0.56])  # inside with, inside without, outside with, outside without
    truth = (0.09 / 0.30) / 0.23
    held = 0
    for _ in range(600):
        table = ratios(two_by_two(*rng.multinomial(400, chances)))
        row = table[(table["level"] == "x") & (table["segment"] == "s")].iloc[0]
        held += row["ratio_low"] <= truth <= row["ratio_high"]
    assert 0.925 <= held / 600 <= 0.975


@pytest.mark.long
def test_representation_has_its_nominal_false_positive_rate():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(200):
        counts = rng.multinomial(600, np.full(12, 1 / 12))
        frame = pd.DataFrame(
            {
                "characteristic": "c",
                "level": list("abcd") * 3,
                "segment": np.repeat(list("xyz"), 4),
                "n": counts,
            }
        )
        wrong += (ratios(frame)["p_adjusted"] < 0.05).any()
    assert wrong / 200 <= 0.08


def test_small_levels_and_a_single_segment_are_left_out():
    assert ratios(two_by_two(60, 40, 0, 0).head(2)).empty
    assert ratios(two_by_two(3, 97, 2, 98)).empty or set(ratios(two_by_two(3, 97, 2, 98))["level"]) == {"y"}
    nobody = ratios(two_by_two(0, 100, 60, 40)).set_index(["level", "segment"])
    assert nobody.loc[("x", "s"), "ratio"] == 0
    assert nobody.loc[("x", "s"), "ratio_high"] > 0


@settings(max_examples=40)
@given(st.lists(st.integers(0, 500), min_size=2, max_size=60).filter(lambda v: sum(v) > 0))
def test_gini_is_the_mean_difference(values):
    """Gini = mean absolute difference over twice the mean (Gini 1912)."""
    counts = pd.DataFrame({"value": values, "n": 1})
    found = comp.concentration(counts, draws=2)
    v = np.array(values, dtype=float)
    truth = np.abs(v[:, None] - v[None, :]).mean() / (2 * v.mean())
    assert found.gini.value == pytest.approx(truth, abs=1e-12)
    assert found.curve.frame["value"].is_monotonic_increasing
    assert found.curve.frame.iloc[-1].tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.long
def test_concentration_of_an_exponential_population_is_covered():
    """Of an exponential the Gini coefficient is 1/2 and the top tenth hold 0.1 (1 + ln 10)."""
    rng = np.random.default_rng(3)
    held = np.zeros(2)
    for _ in range(80):
        values, n = np.unique(rng.exponential(1000, 800).round(), return_counts=True)
        found = comp.concentration(pd.DataFrame({"value": values, "n": n}), draws=200)
        held += [
            found.gini.low <= 0.5 <= found.gini.high,
            found.top.low <= 0.1 * (1 + np.log(10)) <= found.top.high,
        ]
    assert (held / 80 >= 0.86).all()


def test_no_revenue_and_negative_amounts_are_refused_in_a_sentence():
    with pytest.raises(NotApplicable, match="Nobody pays"):
        comp.concentration(pd.DataFrame({"value": [0], "n": [10]}))
    with pytest.raises(InputError, match="negative"):
        comp.concentration(pd.DataFrame({"value": [-1, 5], "n": [1, 1]}))


def test_departures_become_a_life_table_that_survival_takes():
    departures = pd.DataFrame(
        {
            "segment": ["a", "a", "a", "b", "b"],
            "month": [1, 3, None, 7, None],
            "n": [10, 20, 70, 5, 45],
        }
    )
    life = comp.departure_table(departures, 6)
    curves = survival.kaplan_meier(life).table.frame
    ends = curves[curves["period"] == 6].set_index("group")["survival"]
    assert ends["a"] == pytest.approx(0.7)
    assert ends["b"] == pytest.approx(
        1.0
    )  # those who left in the seventh month were there throughout the six
    assert life.groupby("group")["events"].sum().tolist() == [30, 0]


def totals(**columns):
    base = {"segment": ["a", "b"], "customers": [100, 50], "paying": [100, 50]}
    return pd.DataFrame(
        {**base, "value_minor": [100_000, 100_000], "value_var": [10_000.0, 40_000.0], **columns}
    )


ALL = Economics(margin=0.5, fee_share=0.0, fee_fixed=0.0, discount_rate=0.0)


NOBODY = pd.DataFrame({"segment": [], "month": [], "cause": [], "n": []})


def churned(names, n, events):
    """Counts of customers by segment, of whom some churned in the first month."""
    gone = pd.DataFrame({"segment": names, "month": 1.0, "cause": "unknown", "n": events})
    return pd.concat([gone, gone.assign(month=np.nan, cause=None, n=n - np.asarray(events))])


def valued(totals, gone, **given):
    return comp.segment_values(totals, gone, ALL, **{"months": 2, "horizon": 3, "currency": "EUR", **given})


def test_values_by_segment_follow_their_formulas():
    gone = pd.DataFrame(
        {"segment": ["a", "a"], "month": [2, None], "cause": ["unknown", None], "n": [19, 81]}
    )
    found = valued(totals(), gone)
    a, b = found.table.frame.to_dict("records")
    assert a["arpa"] == 1000
    assert a["churn"] == pytest.approx(0.1)  # 0.9 squared stay
    assert a["worth"] == pytest.approx(500 * (1 + 0.9 + 0.81))
    assert a["worth_low"] < a["worth"] < a["worth_high"]
    assert a["share"] + b["share"] == pytest.approx(1)
    assert np.isnan(b["churn"])
    assert np.isnan(b["worth"])
    assert found.averages["arpa"] == pytest.approx(200_000 / 150)
    assert found.averages["churn"] == pytest.approx(0.1)
    assert comp.churn_of(found.life, "a", 2).n == a["watched"] == 100
    assert found.largest().words["name"] == "b"
    assert (found.largest().value, found.largest().n) == (0.5, 150)
    assert not found.fastest_leaving().known


def test_what_is_left_of_a_price_is_the_companys_margin_less_fees():
    company = Economics(margin=0.8, fee_share=0.02, fee_fixed=0.3, cost_to_serve=1.0, discount_rate=0.0)
    found = comp.segment_values(
        totals(), churned(["a"], 100, [0]), company, months=1, horizon=2, currency="EUR"
    )
    assert found.table.frame["worth"].iloc[0] == pytest.approx(2 * (1000 * 0.78 - 30 - 100))


@pytest.mark.long
def test_the_fastest_leaving_segment_has_its_nominal_false_positive_rate():
    """Of four segments with the same churn two are picked for their difference."""
    rng = np.random.default_rng(7)
    names, wrong = list("abcd"), 0
    every = totals().iloc[[0] * 4].assign(segment=names)
    for _ in range(200):
        gone = churned(names, 500, rng.binomial(500, 0.1, 4))
        wrong += valued(every, gone, months=1).fastest_leaving().change == "rose"
    assert wrong / 200 <= 0.06
    found = valued(every, churned(names, 500, [20, 80, 40, 40]), months=1).fastest_leaving()
    assert (found.change, found.words["name"], found.compare_label) == ("rose", "b", "“a”")
    assert found.value == pytest.approx(0.16)


def test_nobody_paying_is_not_available():
    found = valued(
        totals(value_minor=[0, 0], paying=[0, 0], value_var=[np.nan, np.nan]),
        NOBODY,
    )
    assert found.table.frame[["arpa", "churn", "worth"]].isna().all().all()
    assert np.isnan(found.averages["arpa"])
    assert np.isnan(found.averages["churn"])


@pytest.mark.long
def test_the_share_of_revenue_covers_the_truth():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(400):
        inside = rng.random(300) < 0.3
        pays = np.where(inside, rng.normal(20, 5, 300), rng.normal(10, 3, 300))
        frame = pd.DataFrame({"segment": np.where(inside, "a", "b"), "pays": pays})
        table = (
            frame.groupby("segment")["pays"]
            .agg(paying="size", value_minor="sum", value_var="var")
            .reset_index()
        )
        share = comp.value_share(table, ["a"])
        held += share.low <= 0.3 * 20 / (0.3 * 20 + 0.7 * 10) <= share.high
    assert 0.92 <= held / 400 <= 0.98


def moves():
    return pd.DataFrame(
        {
            "before": ["a", "a", "a", "b", LEFT],
            "after": ["a", "b", LEFT, "b", "a"],
            "customers": [60, 20, 20, 10, 15],
            "then_minor": [6000, 2000, 2000, 500, 0],
            "now_minor": [6000, 2600, 0, 500, 1500],
            "change_squares": [0.0, 18_000.0, 200_000.0, 0.0, 150_000.0],
        }
    )


def test_moves_add_up():
    found = comp.migration(moves(), "EUR")
    assert found.matrix.loc["a"].tolist() == [60, 20, 20]
    assert found.shares.frame.loc["a"].sum() == pytest.approx(1)
    assert found.stayed.value == pytest.approx(70 / 90)
    total = found.change.value - found.lost.value + found.came.value
    same = moves().query("before == after")
    assert (
        total + (same["now_minor"] - same["then_minor"]).sum()
        == moves()["now_minor"].sum() - moves()["then_minor"].sum()
    )
    assert found.change.low < 600 < found.change.high
    assert (found.change.case, found.change.unit) == ("more", "money:EUR")
    assert found.between.frame[["before", "after"]].to_numpy().tolist() == [["a", "b"]]
    nobody = comp.migration(moves().tail(1), "EUR")
    assert not nobody.stayed.known
    assert not nobody.change.known


def test_moves_are_listed_in_the_order_given_with_churned_customers_last():
    found = comp.migration(moves(), "EUR", ["b"])
    assert found.matrix.index.tolist() == ["b", "a", LEFT]
    assert found.matrix.columns.tolist() == ["b", "a", LEFT]


@pytest.mark.long
def test_the_change_of_a_share_of_revenue_is_paired():
    """Most customers are there on both days; the difference covers the truth as often as it says."""
    rng = np.random.default_rng(8)
    held, apart = 0, 0
    for _ in range(400):
        pays = rng.normal(10, 3, 400).clip(1)
        silent_then = rng.random(400) < 0.2
        silent_now = np.where(rng.random(400) < 0.15, rng.random(400) < 0.3, silent_then)
        there, still = rng.random(400) < 0.9, rng.random(400) < 0.9
        names = np.array(["active", "silent"])
        frame = pd.DataFrame(
            {
                "before": np.where(there, names[silent_then.astype(int)], LEFT),
                "after": np.where(still, names[silent_now.astype(int)], LEFT),
                "then": pays * there,
                "now": pays * still,
            }
        )
        frame = frame.assign(change=frame["now"] - frame["then"])
        sums = frame.groupby(["before", "after"]).agg(
            customers=("now", "size"),
            then_paying=("then", lambda v: (v > 0).sum()),
            now_paying=("now", lambda v: (v > 0).sum()),
            then_minor=("then", "sum"),
            now_minor=("now", "sum"),
            **{f"{c}_squares": (c, lambda v: (v**2).sum()) for c in ("then", "now", "change")},
        )
        found = comp.share_change(sums.reset_index(), "silent", "then")
        held += found.difference.low <= (0.85 * 0.2 + 0.15 * 0.3) - 0.2 <= found.difference.high
        apart += found.difference.high - found.difference.low < np.hypot(
            found.high - found.low, found.compare.high - found.compare.low
        )
    assert 0.93 <= held / 400 <= 0.97
    assert apart == 400  # narrower than of two independent samples
    once = comp.share_change(sums.loc[[LEFT]].reset_index(), "silent", "then")
    assert once.known
    assert once.compare is None


def worths():
    frame = pd.DataFrame(
        {
            "segment": ["a", "b", "new"],
            "worth": [100.0, 160.0, np.nan],
            "worth_low": [90.0, 150.0, np.nan],
            "worth_high": [120.0, 165.0, np.nan],
        }
    )
    return comp.SegmentValues(Table(frame, {"worth": "money:EUR"}), pd.DataFrame(), 6, {})


def moved_as(gains):
    nothing = Estimate(np.nan)
    return comp.Migration(pd.DataFrame(), nothing, Table(gains), nothing, nothing, nothing, gains)


def test_what_moves_are_worth_is_the_sum_over_those_who_moved():
    gains = pd.DataFrame(
        {
            "before": ["a", "b", "a", LEFT, "new"],
            "after": ["b", "a", LEFT, "b", "a"],
            "customers": [30, 10, 7, 9, 5],
        }
    )
    found = comp.moved_worth(moved_as(gains), worths())
    each = [160 - 100] * 30 + [100 - 160] * 10  # who came, left, or was of unknown worth does not count
    assert found.value == pytest.approx(sum(each))
    assert (found.n, found.case) == (40, "raised")
    # 20 more in b and 20 fewer in a: their ends are those of 20 times each worth, joined as independent.
    assert found.value - found.low == pytest.approx(np.hypot(20 * 10, 20 * 20))
    assert found.high - found.value == pytest.approx(np.hypot(20 * 5, 20 * 10))
    nobody = comp.moved_worth(moved_as(gains.tail(1)), worths())
    assert (nobody.value, nobody.n, nobody.case) == (0, 0, "nobody")


def test_protected_characteristics_are_known_and_no_rule_uses_them():
    for name in ("Gender", "birth_year", "age_group", "customer age", "marital_status", "sexual_orientation"):
        assert comp.is_protected(name), name
    for name in ("plan", "household", "language", "message_count", "essex", "country"):
        assert not comp.is_protected(name), name
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"gender": rng.integers(0, 2, 400), "use": rng.normal(0, 1, 400)})
    segments = np.where(frame["gender"] == 1, "a", "b")
    rules = personas.plain_rules(frame, segments, ["gender", "use"])
    assert all(c.feature != "gender" for rule in rules.values() for c in rule.conditions)


def test_a_rule_has_at_most_three_conditions_and_an_unbiased_accuracy():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x": rng.uniform(0, 1, 3000), "y": rng.uniform(0, 1, 3000)})
    truth = np.where((frame["x"] > 0.7) & (frame["y"] > 0.5), "corner", "rest")
    flip = rng.random(3000) < 0.1
    segments = np.where(flip, np.where(truth == "corner", "rest", "corner"), truth)
    rule = personas.plain_rules(frame, segments, ["x", "y"])["corner"]
    assert 1 <= len(rule.conditions) <= 3
    fresh = pd.DataFrame({"x": rng.uniform(0, 1, 40_000), "y": rng.uniform(0, 1, 40_000)})
    inside = np.logical_and.reduce([c.holds(fresh) for c in rule.conditions])
    real = ((fresh["x"] > 0.7) & (fresh["y"] > 0.5)).to_numpy()
    precision = np.where(real[inside], 0.9, 0.1).mean()
    assert rule.precision.low - 0.01 <= precision <= rule.precision.high + 0.01
    missing = pd.DataFrame({"x": [np.nan], "y": [0.9]})
    assert not any(c.holds(missing)[0] for c in rule.conditions if c.feature == "x")


def test_a_rule_never_splits_by_missing_values():
    """Shares of use are not known of who did nothing; a rule must still say what to look for."""
    rng = np.random.default_rng(2)
    idle = rng.random(600) < 0.3
    events = np.where(idle, 0, rng.integers(1, 30, 600)).astype(float)
    share = np.where(idle, np.nan, rng.uniform(0, 1, 600))
    frame = pd.DataFrame({"share": share, "events": events})
    segments = np.where(idle, "no use", np.where(share > 0.6, "fans", "others"))
    rules = personas.plain_rules(frame, segments, ["share", "events"])
    for rule in rules.values():
        assert all(np.isfinite(condition.threshold) for condition in rule.conditions)
    assert [c.feature for c in rules["no use"].conditions] == ["events"]
    assert rules["no use"].precision.value == 1
    assert rules["fans"].conditions[0].feature == "share"
    unknown = frame.assign(share=np.nan, events=np.nan)
    assert personas.plain_rules(unknown, segments, ["share", "events"]) == {}


def test_small_segments_have_no_rule_and_a_typical_member():
    frame = pd.DataFrame({"customer_id": list("abcdefg"), "segment": ["a"] * 3 + ["b"] * 3 + ["rare"]})
    x = np.array([0.0, 1, 2, 10, 11, 13, 99])
    feature = {"name": "x", "transform": "none", "center": 0.0, "scale": 100.0, "mean": 0.0}
    by_use = Rule((feature,), 4.0, np.ones((1, 1)), ())
    for rule, column in ((by_use, "x"), (None, "value")):
        found = personas.personas(
            valued(totals(), NOBODY), frame.assign(**{"recency": np.nan, "frequency": np.nan, column: x}), {}, rule,
            common=pd.DataFrame(),
        )  # fmt: skip
        assert found.rules == {}
        assert found.typical["customer_id"].to_dict() == {"a": "b", "b": "e", "other": "g"}
        assert set(found.effects["feature"]) == {column}
    assert found.actions["champions"].startswith("Ask them to refer")


@pytest.mark.parametrize(
    ("churn", "arpa", "word"), [(0.08, 2000, "Keep"), (0.01, 2000, "Thank"), (0.04, 1000, "Treat")]
)
def test_advice_depends_on_differences_that_intervals_support(churn, arpa, word):
    row = {
        "churn_low": churn - 0.01,
        "churn_high": churn + 0.01,
        "arpa_low": arpa - 100,
        "arpa_high": arpa + 100,
    }
    assert personas.advice(row, {"churn": 0.04, "arpa": 1000}).startswith(word)
    assert personas.advice(dict.fromkeys(row, np.nan), {"churn": 0.04, "arpa": 1000}).startswith("Treat")
