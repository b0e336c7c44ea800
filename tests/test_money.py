"""Money of several currencies: minor units, rates, and what is said where a rate is absent."""

from __future__ import annotations

import pandas as pd
import pytest

from tenure import money
from tenure.errors import InputError

RATES = pd.DataFrame(
    {"currency": ["EUR", "JPY", "KWD", "USD"], "month": [1, 1, 1, 2], "rate": [1.0, 0.006, 3.0, 0.9]}
)


def test_a_minor_unit_is_not_a_cent():
    factors = money.factors_at(RATES, ["EUR", "JPY", "KWD"], "EUR", 1)
    # EUR 10.00 + JPY 1,000 at 0.006 is EUR 16.00; KWD 1.000 at 3 is EUR 3.00.
    assert round(1000 * factors["EUR"] + 1000 * factors["JPY"]) == 1600
    assert round(1000 * factors["KWD"]) == 300


def test_the_reporting_currency_may_be_another_than_the_rates():
    factors = money.factors_at(RATES, ["EUR", "JPY"], "JPY", 1)
    assert factors == pytest.approx({"EUR": 1 / 0.6, "JPY": 1.0})
    back = money.factors_at(RATES, ["JPY"], "EUR", 1)["JPY"]
    assert factors["EUR"] * back == pytest.approx(1.0)


def test_a_month_without_a_rate_keeps_the_one_before_and_the_first_months_the_first_known():
    table = money.factors_by_month(RATES, ["USD", "JPY"], "EUR", range(4))
    assert table["USD"].tolist() == [0.9] * 4
    assert table["JPY"].tolist() == pytest.approx([0.6] * 4)


def test_one_currency_needs_no_rates():
    assert money.factors_at(None, ["SEK"], "SEK", 7) == {"SEK": 1.0}
    assert money.factors_at(RATES, ["SEK"], "SEK", 1) == {"SEK": 1.0}


def test_a_currency_without_a_rate_is_refused_or_left_out():
    with pytest.raises(InputError, match="amounts in SEK and no exchange rate of it to EUR"):
        money.factors_at(RATES, ["EUR", "SEK"], "EUR", 1)
    with pytest.raises(InputError, match="no exchange rate of SEK to EUR, the currency of the table"):
        money.factors_at(RATES, ["EUR", "SEK"], "SEK", 1)
    assert money.known_factors(RATES, ["EUR", "SEK", "JPY"], "EUR", 1) == pytest.approx(
        {"EUR": 1, "JPY": 0.6}
    )
    assert money.known_factors(RATES, ["EUR", "SEK"], "SEK", 1) == {"SEK": 1.0}


def test_the_currency_is_the_one_asked_for_that_of_the_rates_or_that_of_most_customers():
    assert money.reporting_currency({"EUR": 480, "JPY": 120}) == "EUR"
    assert money.reporting_currency({"EUR": 5, "USD": 5}) == "EUR"
    assert money.reporting_currency({"EUR": 5, "USD": 9}, RATES) == "EUR"
    assert money.reporting_currency({"USD": 9}, RATES) == "USD"
    assert money.reporting_currency({"USD": 9}, RATES, wanted="GBP") == "GBP"
    assert money.reporting_currency({}) == ""
