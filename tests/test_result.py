"""Estimates, their comparison and the one verdict."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations import verdict_change as simulation
from tenure.errors import InputError
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import paired_means, proportion, z_value

NOW = Estimate(0.05, 0.04, 0.06, n=1000, of="customer", unit="percent", sample="October")
THEN = Estimate(0.08, 0.07, 0.09, n=1000, of="customer", unit="percent", sample="September")


@pytest.mark.parametrize(
    ("one", "other"),
    [("October", "October"), (None, "October"), ("October", None), (None, None)],
)
def test_what_may_share_customers_is_not_compared_by_its_intervals(one, other):
    now, then = (Estimate(0.05, 0.04, 0.06, unit="percent", sample=sample) for sample in (one, other))
    with pytest.raises(InputError, match=r"names a sample of its own.*paired difference"):
        now.against(then, "the month before")
    same = paired_means((100, 8, 8), (100, 8, 8), (100, 8, 8, 5), unit="points")
    compared = now.versus(then, same, "the month before")
    assert compared.change == "no clear change"


def test_units_that_differ_are_not_compared():
    with pytest.raises(InputError, match="cannot be compared"):
        NOW.against(Estimate(3.0, 2.0, 4.0, unit="months", sample="September"), "then")
    with pytest.raises(InputError, match="cannot be compared"):
        NOW.versus(THEN, Estimate(3.0, 2.0, 4.0, unit="months"), "then")
    assert NOW.versus(THEN, Estimate(-0.03, -0.04, -0.02, unit="points"), "then").change == "fell"


@pytest.mark.parametrize(("better", "verdict"), [("down", "better"), ("up", "worse"), (None, "lower")])
def test_a_clear_change_is_judged_by_which_direction_is_better(better, verdict):
    assert NOW.against(THEN, "the month before").verdict(better) == verdict
    assert NOW.verdict(better) == ""


def test_an_open_end_leaves_a_change_unclear():
    """A share that fell from 1 % to 0 % with no upper limit may be the same: card and scorecard say so."""
    none = Estimate(0.0, 0.0, NAN, unit="percent", sample="October")
    compared = none.against(THEN, "the month before")
    assert (compared.change, compared.verdict("down")) == ("no clear change", "no clear change")
    assert math.isnan(compared.difference.high)
    unknown = Estimate(NAN, unit="percent", sample="October").against(THEN, "the month before")
    assert (unknown.change, unknown.difference) == ("", None)


def test_counts_have_changed_wherever_they_differ():
    assert counted(3).against(counted(2), "before").change == "rose"
    assert counted(2).against(counted(2), "before").change == "no clear change"


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 50))
def test_turning_a_comparison_round_turns_its_interval_round(a, b, extra):
    one, other = proportion(a, a + extra, sample="a"), proportion(b, b + extra, sample="b")
    forth, back = one.against(other, "").difference, other.against(one, "").difference
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-12)
    assert forth.low <= forth.value <= forth.high


def test_a_share_of_the_same_customers_changes_by_those_who_differ():
    """Of 1,000 customers 80 had it then and 50 have it now, 30 of them both times (Wald's paired interval)."""
    found = paired_means((1000, 50, 50), (1000, 80, 80), (1000, 50, 80, 30))
    half = z_value(0.95) * math.sqrt(20 + 50 - (20 - 50) ** 2 / 1000) / 1000
    assert (found.value, found.high - found.value) == pytest.approx((-0.03, half))


def test_a_part_differs_from_the_whole_by_what_sets_it_apart_from_the_rest():
    found = paired_means((500, 40, 40), (2000, 80, 80), (500, 40, 40, 40))
    part, rest = proportion(40, 500, sample="part"), proportion(40, 1500, sample="rest")
    apart = part.against(rest, "").difference.scaled(1 - 500 / 2000)
    assert found.value == pytest.approx(apart.value)
    assert found.high - found.low == pytest.approx(apart.high - apart.low, rel=0.03)


@pytest.mark.parametrize("how", list(simulation.HOW))
def test_the_verdict_calls_no_more_false_changes_than_it_says(how):
    """With 300 draws 5 % comes out as more than 9 % in 1 run of 500, and 95 % as less than 91 %."""
    found = simulation.rates(how, 1000, 0.05, 300, 5)
    assert found["alarms"] <= 0.09
    assert found["held"] >= 0.91
    if how != "independent":
        assert found["naive"] < 0.02, "by intervals as if independent, hardly any change would be seen"


def test_a_table_keeps_the_units_of_columns_that_remain():
    table = Table(pd.DataFrame({"churn": [0.1, 0.2], "churn_low": [0.0, 0.1]}), {"churn": "percent"})
    assert len(table.pipe(lambda rows: rows[rows["churn"] > 0.15])) == 1
    renamed = table.renamed(churn="rate")
    assert (list(renamed.frame), dict(renamed.units)) == (["rate", "rate_low"], {"rate": "percent"})
