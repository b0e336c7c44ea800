"""What segments are made of and worth: against counts worked out by hand, loops and simulated truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.errors import InputError, NotApplicable
from tenure.models import composition as comp
from tenure.models import personas
from tenure.models.composition import LEFT
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


def test_representation_is_the_share_inside_over_the_share_among_all():
    rows = comp.representation(two_by_two(60, 40, 20, 80)).set_index(["level", "segment"])
    row = rows.loc[("x", "s")]
    assert row["share"] == pytest.approx(0.6)
    assert row["base"] == pytest.approx(0.4)
    assert row["ratio"] == pytest.approx(1.5)
    assert row["low"] < 1.5 < row["high"]
    assert row["low"] > 1


def test_representations_test_is_pearsons_chi_squared_and_adjusted_by_holm():
    from scipy import stats

    rows = comp.representation(two_by_two(60, 40, 20, 80))
    chi2 = stats.chi2_contingency([[60, 40], [20, 80]], correction=False)
    assert rows["p"].tolist() == pytest.approx([chi2.pvalue] * 4)
    assert rows["p_adjusted"].max() == pytest.approx(min(1, 4 * chi2.pvalue))


def test_representation_covers_the_truth():
    rng = np.random.default_rng(0)
    chances = np.array([0.09, 0.21, 0.14, 0.56])  # inside with, inside without, outside with, outside without
    truth = (0.09 / 0.30) / 0.23
    held = 0
    for _ in range(600):
        table = comp.representation(two_by_two(*rng.multinomial(400, chances)))
        row = table[(table["level"] == "x") & (table["segment"] == "s")].iloc[0]
        held += row["low"] <= truth <= row["high"]
    assert 0.925 <= held / 600 <= 0.975


def test_representation_under_no_difference_errs_no_more_often_than_it_says():
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
        wrong += (comp.representation(frame)["p_adjusted"] < 0.05).any()
    assert wrong / 200 <= 0.08


def test_small_levels_and_a_single_segment_are_left_out():
    assert comp.representation(two_by_two(60, 40, 0, 0).head(2)).empty
    assert comp.representation(two_by_two(3, 97, 2, 98)).empty or set(
        comp.representation(two_by_two(3, 97, 2, 98))["level"]
    ) == {"y"}
    nobody = comp.representation(two_by_two(0, 100, 60, 40)).set_index(["level", "segment"])
    assert nobody.loc[("x", "s"), "ratio"] == 0
    assert nobody.loc[("x", "s"), "high"] > 0


@settings(max_examples=40)
@given(st.lists(st.integers(0, 500), min_size=2, max_size=60).filter(lambda v: sum(v) > 0))
def test_gini_is_the_mean_difference(values):
    """Gini = mean absolute difference over twice the mean (Gini 1912)."""
    counts = pd.DataFrame({"value": values, "n": 1})
    found = comp.concentration(counts, draws=2)
    v = np.array(values, dtype=float)
    truth = np.abs(v[:, None] - v[None, :]).mean() / (2 * v.mean())
    assert found.gini.value == pytest.approx(truth, abs=1e-12)
    assert found.curve["value"].is_monotonic_increasing
    assert found.curve.iloc[-1].tolist() == pytest.approx([1.0, 1.0])


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


def test_no_revenue_and_negative_amounts_are_a_sentence():
    with pytest.raises(NotApplicable, match="Nobody pays"):
        comp.concentration(pd.DataFrame({"value": [0], "n": [10]}))
    with pytest.raises(InputError, match="negative"):
        comp.concentration(pd.DataFrame({"value": [-1, 5], "n": [1, 1]}))


def test_departures_become_a_life_table_that_survival_takes():
    departures = pd.DataFrame(
        {
            "segment": ["a", "a", "a", "b", "b"],
            "month": [1, 3, None, 7, None],
            "cause": ["voluntary", "involuntary", None, "unknown", None],
            "n": [10, 20, 70, 5, 45],
        }
    )
    life = comp.departure_table(departures, 6)
    curves = survival.kaplan_meier(life).table.frame
    ends = curves[curves["period"] == 6].set_index("group")["survival"]
    assert ends["a"] == pytest.approx(0.7)
    assert ends["b"] == pytest.approx(1.0)  # who left in the seventh month was there throughout the six
    assert life.groupby("group")["events"].sum().tolist() == [30, 0]
    assert (life["events"] == life[["voluntary", "involuntary", "unknown"]].sum(axis=1)).all()


def totals(**columns):
    base = {"segment": ["a", "b"], "customers": [100, 50], "paying": [100, 50]}
    return pd.DataFrame(
        {**base, "value_minor": [100_000, 100_000], "value_var": [10_000.0, 40_000.0], **columns}
    )


def test_values_by_segment_follow_their_formulas():
    gone = pd.DataFrame(
        {"segment": ["a", "a"], "month": [2, None], "cause": ["unknown", None], "n": [19, 81]}
    )
    life = comp.departure_table(gone, 2)
    table = comp.segment_values(totals(), life, months=2, horizon=3, margin=0.5, yearly_discount=0.0)
    a, b = table.to_dict("records")
    assert a["arpa"] == 1000
    assert a["churn"] == pytest.approx(0.1)  # 0.9 squared stay
    assert a["worth"] == pytest.approx(500 * (1 + 0.9 + 0.81))
    assert a["worth_low"] < a["worth"] < a["worth_high"]
    assert a["share"] + b["share"] == pytest.approx(1)
    assert np.isnan(b["churn"])
    assert np.isnan(b["worth"])
    overall = comp.overall(table, life, months=2)
    assert overall["arpa"] == pytest.approx(200_000 / 150)
    assert overall["churn"] == pytest.approx(0.1)


def test_nobody_paying_is_not_available():
    table = comp.segment_values(
        totals(paying=[0, 0], value_minor=[0, 0], value_var=[np.nan, np.nan]), pd.DataFrame(), months=6
    )
    assert table[["arpa", "churn", "worth"]].isna().all().all()
    assert np.isnan(comp.overall(table, pd.DataFrame(), months=6)["arpa"])


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
    found = comp.migration(moves())
    assert found.matrix.loc["a"].tolist() == [60, 20, 20]
    assert found.shares.loc["a"].sum() == pytest.approx(1)
    assert found.stayed.value == pytest.approx(70 / 90)
    total = found.change.value + found.lost.value + found.won.value
    same = moves().query("before == after")
    assert (
        total + (same["now_minor"] - same["then_minor"]).sum()
        == moves()["now_minor"].sum() - moves()["then_minor"].sum()
    )
    assert found.change.low < 600 < found.change.high
    with pytest.raises(NotApplicable, match="earlier day"):
        comp.migration(moves().tail(1))


def worths():
    return pd.DataFrame(
        {
            "segment": ["a", "b", "new"],
            "worth": [100.0, 160.0, np.nan],
            "worth_low": [90.0, 150.0, np.nan],
            "worth_high": [120.0, 165.0, np.nan],
        }
    )


def test_what_moves_are_worth_is_the_sum_over_those_who_moved():
    gains = pd.DataFrame(
        {
            "before": ["a", "b", "a", LEFT, "new"],
            "after": ["b", "a", LEFT, "b", "a"],
            "customers": [30, 10, 7, 9, 5],
        }
    )
    found = comp.moved_worth(gains, worths())
    each = [160 - 100] * 30 + [100 - 160] * 10  # who came, left, or was of unknown worth does not count
    assert found.value == pytest.approx(sum(each))
    assert found.n == 40
    # 20 more in b and 20 fewer in a: their ends are those of 20 times each worth, joined as independent.
    assert found.value - found.low == pytest.approx(np.hypot(20 * 10, 20 * 20))
    assert found.high - found.value == pytest.approx(np.hypot(20 * 5, 20 * 10))
    nobody = comp.moved_worth(gains.tail(1), worths())
    assert (nobody.value, nobody.n) == (0, 0)


def test_keeping_adds_up_over_segments():
    values = pd.DataFrame(
        {
            "segment": ["a", "b", "new"],
            "customers": [100, 300, 5],
            "arpa": [1000.0] * 3,
            "arpa_high": [1050.0] * 3,
            "churn": [0.02, 0.05, np.nan],
            "churn_low": [0.01, 0.04, np.nan],
            "churn_high": [0.03, 0.06, np.nan],
        }
    )
    levers = comp.keeping(values)
    total = comp.total_keeping(levers)
    assert total.value == pytest.approx(levers["money"].sum())
    assert total.n == 400
    widths = (levers["per_customer"] - levers["per_customer_low"]) * levers["customers"]
    assert total.value - total.low == pytest.approx(np.sqrt((widths**2).sum()))
    assert total.low < total.value < total.high


def test_keeping_is_worth_more_where_more_leave_and_never_without_churn():
    values = pd.DataFrame(
        {
            "segment": ["calm", "restless", "new"],
            "customers": [100, 100, 5],
            "arpa": [1000.0] * 3,
            "arpa_high": [1050.0] * 3,
            "churn": [0.0, 0.05, np.nan],
            "churn_low": [0.0, 0.04, np.nan],
            "churn_high": [0.01, 0.06, np.nan],
        }
    )
    table = comp.keeping(values).set_index("segment")
    assert table.index[0] == "restless"
    assert table.loc["calm", "money"] == 0
    assert np.isnan(table.loc["new", "money"])
    low, value, high = table.loc["restless", ["per_customer_low", "per_customer", "per_customer_high"]]
    assert low < value < high


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


def test_a_rule_has_at_most_three_conditions_and_its_accuracy_is_honest():
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


def test_a_rule_is_never_that_something_is_missing():
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


def test_small_segments_have_no_rule_and_a_medoid():
    frame = pd.DataFrame({"customer_id": list("abcdef"), "x": [0.0, 1, 2, 10, 11, 13]})
    segments = np.array(["p"] * 3 + ["q"] * 3)
    portrait = personas.portray(frame, segments, ["x"], points=frame[["x"]].to_numpy())
    assert portrait.rules == {}
    assert portrait.typical["customer_id"].to_dict() == {"p": "b", "q": "e"}


@pytest.mark.parametrize(
    ("churn", "arpa", "word"), [(0.08, 2000, "Keep"), (0.01, 2000, "Thank"), (0.04, 1000, "Treat")]
)
def test_advice_follows_what_the_intervals_bear_out(churn, arpa, word):
    row = {
        "churn_low": churn - 0.01,
        "churn_high": churn + 0.01,
        "arpa_low": arpa - 100,
        "arpa_high": arpa + 100,
    }
    assert personas.advice(row, {"churn": 0.04, "arpa": 1000}).startswith(word)
    assert personas.advice(dict.fromkeys(row, np.nan), {"churn": 0.04, "arpa": 1000}).startswith("Treat")
