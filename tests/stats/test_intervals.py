"""Rates and their intervals against published numbers and other libraries."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tenure.errors import InputError
from tenure.result import Estimate, counted
from tenure.stats import intervals


@pytest.mark.parametrize(("events", "n"), [(0, 10), (1, 10), (40, 1000), (10, 10), (123, 4567)])
def test_shares_and_their_changes_agree_with_statsmodels(events, n):
    from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

    found = intervals.proportion(events, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(events, n, method="wilson"), abs=1e-12)
    if 0 < events < n:
        other = intervals.proportion(events // 2, n)
        change = replace(found, sample="a").against(replace(other, sample="b"), "b").difference
        theirs = confint_proportions_2indep(events, n, events // 2, n, method="newcomb", compare="diff")
        assert (change.low, change.high) == pytest.approx(theirs, abs=1e-9)


def test_poisson_limits_agree_with_the_exact_test():
    from scipy.stats import poisson

    for events in (0, 1, 7, 250):
        low, high = intervals.poisson_limits(events, 0.95)
        assert poisson.cdf(events, high) == pytest.approx(0.025)
        assert events == 0 or poisson.sf(events - 1, low) == pytest.approx(0.025)


def test_what_cannot_be_had_is_missing_and_never_nothing():
    assert math.isnan(intervals.proportion(0, 0).value)
    assert math.isnan(intervals.money_share(0, 0, 0, 0).value)
    assert math.isnan(intervals.quick_ratio(100, 10, 0, 0, 5).value)
    assert math.isnan(intervals.weighted_share(0, 0, 0, 0).value)


def test_more_events_than_things_are_refused():
    with pytest.raises(InputError, match="between 0 and"):
        intervals.proportion(11, 10)


def test_what_is_counted_needs_no_interval_to_have_changed():
    assert counted(99).against(counted(100), "before").verdict("up") == "worse"
    assert counted(100).against(counted(100), "before").verdict("up") == "no clear change"
    one = intervals.mean(1000.0, float("nan"), 1)  # of a single customer: no interval, yet no count
    for other in (one, Estimate(2.0, n=1)):
        compared = replace(other, sample="now").against(replace(one, sample="then"), "then")
        assert compared.verdict("up") == "no clear change"
