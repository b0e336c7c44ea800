"""Discounted lifetimes against plain sums and closed forms; published ones are in models/test_retention.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.stats.lifetime import discount_weights, discounted_lifetime, period_rate, residual_lifetime


@given(
    st.lists(st.floats(0.01, 0.6), min_size=3, max_size=15),
    st.lists(st.floats(0, 100), min_size=16, max_size=16),
    st.floats(0, 3),
    st.integers(1, 20),
)
def test_residual_lifetimes_equal_a_plain_sum(hazards, money, rate, within):
    s = np.r_[1, np.cumprod(1 - np.array(hazards))]
    m = np.array(money[: len(s)])
    found = residual_lifetime(s[None], rate, m[None], within=within)[0]
    for k in range(len(s) - 1):
        ahead = range(k + 1, min(len(s), k + within + 1))
        wanted = sum(s[j] / s[k] * m[j] / (1 + rate) ** (j - k - 1) for j in ahead)
        # Towards the curve's own end nothing beyond it can be counted, with or without a limit.
        if k + within < len(s) or within >= len(s):
            assert found[k] == pytest.approx(wanted, abs=1e-6)


@given(st.floats(0.01, 0.9), st.floats(0, 5), st.integers(1, 80))
def test_a_new_customer_pays_once_and_then_what_one_at_the_first_renewal_does(hazard, rate, periods):
    curve = (1 - hazard) ** np.arange(periods + 1.0)
    new = discounted_lifetime(curve, rate)
    assert new == pytest.approx(1 + residual_lifetime(curve, rate)[0] / (1 + rate))
    # The sum of a geometric row.
    q = (1 - hazard) / (1 + rate)
    assert new == pytest.approx((1 - q ** (periods + 1)) / (1 - q))


def test_curves_that_end_and_extreme_rates_give_finite_values():
    gone = np.array([1.0, 0.5, 0.0, 0.0])
    assert residual_lifetime(gone, 0.1).tolist() == [0.5, 0.0, 0.0]
    assert residual_lifetime(gone, 1e6)[0] == pytest.approx(0.5)
    assert np.isfinite(residual_lifetime(np.ones(2_000), 100.0, within=1_500)).all()
    assert discounted_lifetime(gone, 0.0) == 1.5


def test_a_yearly_rate_is_the_same_whatever_the_period():
    for months in (1, 3, 12, 24):
        assert (1 + period_rate(0.12, months / 12)) ** (12 / months) == pytest.approx(1.12)
    assert discount_weights(25, period_rate(0.12, 1 / 12))[24] == pytest.approx(1.12**-2)
