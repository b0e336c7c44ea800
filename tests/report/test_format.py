"""Numbers as readers see them."""

from __future__ import annotations

import datetime as dt
import math
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import InputError
from tenure.money import minor_exponent
from tenure.report import format as fmt
from tenure.result import Estimate

finite = st.floats(-1e12, 1e12, allow_nan=False)
units = st.sampled_from([*fmt.UNITS, "money:EUR", "money:JPY", "money:KWD"])


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.delenv("TENURE_LOCALE", raising=False)
    fmt.set_locale()
    yield
    fmt.set_locale()


@pytest.mark.parametrize(
    "absent", [None, math.nan, np.nan, pd.NaT, pd.NA, math.inf, -math.inf, Decimal("NaN")]
)
@pytest.mark.parametrize("unit", [*fmt.UNITS, "money:EUR"])
def test_what_is_missing_is_not_zero(absent, unit):
    assert fmt.value(absent, unit) == "not available"
    assert fmt.column([absent], unit) == ["not available"]


@given(finite, units)
def test_every_number_has_words(number, unit):
    words = fmt.value(number, unit)
    assert words
    assert "nan" not in words.lower()
    assert "-" not in words.replace("E-", "")
    if number > 0:
        assert "−" not in words


@given(st.floats(0, 1))
def test_a_percentage_is_right_to_its_last_digit(share):
    words = fmt.percent(share)
    if words.startswith("<"):
        assert 0 < share < 0.0001
        return
    digits = len(words.rstrip("%").partition(".")[2])
    assert abs(float(words.rstrip("%")) - 100 * share) <= 0.5 * 10**-digits + 1e-9


@given(st.integers(-(10**12), 10**12), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_money_in_full_can_be_read_back(minor, currency):
    places = minor_exponent(currency)
    words = fmt.money(minor, currency, compact=False, digits=places)
    number = Decimal(re.sub(r"[^\d.]", "", words)) * (-1 if "−" in words else 1)
    assert number.scaleb(places) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "words"),
    [
        (0, "EUR", "€0.00"),
        (1, "EUR", "€0.01"),
        (-1, "EUR", "−\u2060€0.01"),
        (99_999, "EUR", "€999.99"),
        (100_000, "EUR", "€1,000"),
        (99_994_999, "EUR", "€999,950"),
        (123_400_000, "EUR", "€1.23M"),
        (-123_400_000, "EUR", "−\u2060€1.23M"),
        (250_000_000_000, "USD", "$2.5B"),
        (500, "JPY", "¥500"),
        (12_345, "JPY", "¥12,345"),
        (1_500, "KWD", "KWD\xa01.500"),
        (150, "RSD", "RSD\xa01.50"),
    ],
)
def test_money(minor, currency, words):
    assert fmt.money(minor, currency) == words


@pytest.mark.parametrize("code", ["", "eur", "EURO", "€", None])
def test_a_currency_that_is_none_is_refused(code):
    with pytest.raises(InputError, match="ISO 4217"):
        fmt.money(1, code)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0%"), (1, "100%"), (-0.051, "−5.1%"), (0.0000001, "<0.01%"), (0.9996, "100%"), (1.5, "150%")],
)
def test_percent(value, words):
    assert fmt.percent(value) == words


def test_signs_are_shown_where_asked():
    assert fmt.value(0.012, "points", signed=True) == "+1.2 points"
    assert fmt.percent(-0.0, signed=True) == "0%"
    assert fmt.value(150, "money:EUR", signed=True) == "+\u2060€1.50"


@pytest.mark.parametrize(
    ("low", "high", "unit", "words"),
    [
        (0.048, 0.0553, "percent", "4.8% to 5.5%"),
        (0.24, 0.30, "percent", "24% to 30%"),
        (0.0012, 0.0031, "percent", "0.12% to 0.31%"),
        (0, 0.004, "percent", "0% to 0.40%"),
        (13, None, "months", "13 months or more"),
        (math.nan, 2.5, "months", "2.5 months or less"),
        (None, None, "months", "not available"),
        (0.0, 1.0, "months", "0 to 1 month"),
        (-0.01, 0.02, "points", "−1 to 2 points"),
        (0.05, 0.0604, "percent", "5.0% to 6.0%"),
        (13, 15.2, "months", "13.0 to 15.2 months"),
        (99_000, 120_000, "money:EUR", "€990 to €1,200"),
        (1.62, 2.0, "ratio", "1.62× to 2.00×"),
    ],
)
def test_interval(low, high, unit, words):
    assert fmt.interval(low, high, unit) == words


@given(st.integers(-(10**10), 10**10), st.integers(1, 10**10))
def test_rounding_moves_an_amount_by_an_eighth_of_its_interval_at_most(minor, half):
    said = fmt.written(Estimate(minor, minor - half, minor + half, unit="money:EUR"))
    power = {"K": 3, "M": 6, "B": 9, "T": 12}.get(said["size"][-1], 0)
    shown = Decimal(re.sub(r"[^\d.]", "", said["size"])).scaleb(power + 2)
    assert abs(shown - abs(minor)) <= max(Decimal(half) / 8, Decimal(5).scaleb(len(str(abs(minor))) - 4))
    assert fmt.written(Estimate(minor, unit="money:EUR"))["value"] == fmt.value(minor, "money:EUR")


@given(st.lists(finite, min_size=1, max_size=8), units)
def test_a_column_has_the_same_decimals(values, unit):
    words = fmt.column(values, unit)
    places = {len(re.search(r"\.(\d+)", word).group(1)) if "." in word else 0 for word in words}
    assert len(places) == 1 or unit.startswith("money:")
    assert len(words) == len(values)


def test_axis_labels_differ_where_values_differ():
    assert fmt.column([0, 250_000, 500_000], "money:EUR", compact=True) == ["€0", "€2,500", "€5,000"]
    assert fmt.column([1_000_000, 1_050_000], "money:EUR", compact=True) == ["€10K", "€10.5K"]


@pytest.mark.parametrize(
    ("value", "words"), [(0.0005, "p < 0.001"), (0.001, "p = 0.001"), (0.0499, "p = 0.05"), (1, "p = 1.00")]
)
def test_p_value(value, words):
    assert fmt.p_value(value) == words


def test_dates():
    assert fmt.date(dt.date(2026, 1, 2)) == "Jan 2, 2026"
    assert fmt.date(pd.Timestamp("2026-01-02"), "month") == "Jan 2026"
    assert fmt.date(dt.datetime(2026, 1, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))) == "Jan 1, 2026"
    assert fmt.date("") == fmt.date(None) == fmt.date(pd.NaT) == "not available"
    with pytest.raises(InputError, match="ISO format"):
        fmt.date("31/10/2026")


def test_durations_have_their_plural():
    assert [fmt.value(k, "months") for k in (0, 0.999, 1, 1.04, 1.06)] == [
        "0 months",
        "1 month",
        "1 month",
        "1 month",
        "1.1 months",
    ]
    with pytest.raises(InputError, match="no unit 'hours'"):
        fmt.value(1, "hours")


def test_locales(monkeypatch):
    fmt.set_locale("de")
    assert fmt.percent(0.0512) == "5,1\xa0%"
    assert fmt.money(123_456, "EUR") == "1.235\xa0€"
    assert fmt.value(2, "months") == "2 Monate"
    fmt.set_locale()
    monkeypatch.setenv("TENURE_LOCALE", "en_GB")
    assert fmt.date("2026-10-31") == "31 Oct 2026"
    with pytest.raises(InputError, match="is not known"):
        fmt.set_locale("xx_klingon")


def test_an_unknown_unit_is_refused():
    with pytest.raises(InputError, match="no unit 'percents'"):
        fmt.value(1, "percents")


LOCALES = {
    "nl": {
        "days": "14,2 dagen", "weeks": "14,2 weken", "months": "14,2 maanden", "years": "14,2 jaar",
        "one": "1 dag", "money": "€\xa012,34", "less": "€\xa0−12,34", "more": "+\u2060€\xa012,34",
        "dinar": "KWD\xa01,500", "large": "€\xa01.235", "million": "€\xa01,23\xa0mln.",
        "percent": "5,1%", "fell": "−30%", "points": "−1,2 points", "number": "1.235", "ratio": "0,65×",
        "shares": "4,0% to 5,5%", "amounts": "€\xa090,00 to €\xa0140,00", "open": "1 maand or more",
        "axis": ["€\xa00", "€\xa050K", "€\xa0100K"], "day": "31 okt 2026", "list": "a, b en c",
    },
    "ms": {
        "days": "14.2 hari", "weeks": "14.2 minggu", "months": "14.2 bulan", "years": "14.2 tahun",
        "one": "1 hari", "money": "€12.34", "less": "−\u2060€12.34", "more": "+\u2060€12.34",
        "dinar": "KWD\xa01.500", "large": "€1,235", "million": "€1.23J",
        "percent": "5.1%", "fell": "−30%", "points": "−1.2 points", "number": "1,235", "ratio": "0.65×",
        "shares": "4.0% to 5.5%", "amounts": "€90.00 to €140.00", "open": "1 bulan or more",
        "axis": ["€0", "€50K", "€100K"], "day": "31 Okt 2026", "list": "a, b dan c",
    },
    "fr": {
        "days": "14,2\xa0jours", "weeks": "14,2\xa0semaines", "months": "14,2\xa0mois", "years": "14,2 ans",
        "one": "1\xa0jour", "money": "12,34\xa0€", "less": "−12,34\xa0€", "more": "+12,34\xa0€",
        "dinar": "1,500\xa0KWD", "large": "1\u202f235\xa0€", "million": "1,23\xa0M\xa0€",
        "percent": "5,1\xa0%", "fell": "−30\xa0%", "points": "−1,2 points", "number": "1\u202f235",
        "ratio": "0,65×", "shares": "4,0\xa0% to 5,5\xa0%", "amounts": "90,00\xa0€ to 140,00\xa0€",
        "open": "1\xa0mois or more", "axis": ["0\xa0€", "50\xa0k\xa0€", "100\xa0k\xa0€"],
        "day": "31 oct. 2026", "list": "a, b et c",
    },
    "de": {
        "days": "14,2 Tage", "weeks": "14,2 Wochen", "months": "14,2 Monate", "years": "14,2 Jahre",
        "one": "1 Tag", "money": "12,34\xa0€", "less": "−12,34\xa0€", "more": "+12,34\xa0€",
        "dinar": "1,500\xa0KWD", "large": "1.235\xa0€", "million": "1,23\xa0Mio.\xa0€",
        "percent": "5,1\xa0%", "fell": "−30\xa0%", "points": "−1,2 points", "number": "1.235",
        "ratio": "0,65×", "shares": "4,0\xa0% to 5,5\xa0%", "amounts": "90,00\xa0€ to 140,00\xa0€",
        "open": "1 Monat or more", "axis": ["0\xa0€", "50.000\xa0€", "100.000\xa0€"],
        "day": "31.10.2026", "list": "a, b und c",
    },
    "pt": {
        "days": "14,2 dias", "weeks": "14,2 semanas", "months": "14,2 meses", "years": "14,2 anos",
        "one": "1 dia", "money": "€\xa012,34", "less": "−\u2060€\xa012,34", "more": "+\u2060€\xa012,34",
        "dinar": "KWD\xa01,500", "large": "€\xa01.235", "million": "€\xa01,23\xa0mi",
        "percent": "5,1%", "fell": "−30%", "points": "−1,2 points", "number": "1.235", "ratio": "0,65×",
        "shares": "4,0% to 5,5%", "amounts": "€\xa090,00 to €\xa0140,00", "open": "1 mês or more",
        "axis": ["€\xa00", "€\xa050\xa0mil", "€\xa0100\xa0mil"], "day": "31 de out. de 2026",
        "list": "a, b e c",
    },
    "it": {
        "days": "14,2 giorni", "weeks": "14,2 settimane", "months": "14,2 mesi", "years": "14,2 anni",
        "one": "1 giorno", "money": "12,34\xa0€", "less": "−12,34\xa0€", "more": "+12,34\xa0€",
        "dinar": "1,500\xa0KWD", "large": "1.235\xa0€", "million": "1,23\xa0Mln\xa0€",
        "percent": "5,1%", "fell": "−30%", "points": "−1,2 punti", "number": "1.235", "ratio": "0,65×",
        "shares": "da 4,0% a 5,5%", "amounts": "da 90,00\xa0€ a 140,00\xa0€", "open": "almeno 1 mese",
        "axis": ["0\xa0€", "50.000\xa0€", "100.000\xa0€"], "day": "31 ott 2026", "list": "a, b e c",
    },
}  # fmt: skip


@pytest.mark.parametrize("locale", LOCALES)
def test_every_unit_in_every_locale(locale):
    fmt.set_locale(locale)
    said = {unit: fmt.value(14.2, unit) for unit in ("days", "weeks", "months", "years")}
    said |= {
        "one": fmt.value(1, "days"),
        "money": fmt.value(1234, "money:EUR"),
        "less": fmt.value(-1234, "money:EUR"),
        "more": fmt.value(1234, "money:EUR", signed=True),
        "dinar": fmt.value(1500, "money:KWD"),
        "large": fmt.value(123_456, "money:EUR"),
        "million": fmt.value(123_456_789, "money:EUR"),
        "percent": fmt.value(0.0512, "percent"),
        "fell": fmt.value(-0.3, "percent"),
        "points": fmt.value(-0.012, "points"),
        "number": fmt.value(1234.56, "number"),
        "ratio": fmt.value(0.654, "ratio"),
        "shares": fmt.interval(0.04, 0.055, "percent"),
        "amounts": fmt.interval(90_00, 140_00, "money:EUR"),
        "open": fmt.interval(1, None, "months"),
        "axis": fmt.column([0, 5e6, 1e7], "money:EUR", compact=True),
        "day": fmt.date("2026-10-31"),
        "list": fmt.join("abc"),
    }
    assert said == LOCALES[locale]


def test_an_amount_that_has_no_short_form_is_written_out():
    fmt.set_locale("de")
    assert fmt.money(12_040_000, "EUR", compact=True) == "120.400\xa0€"
    assert fmt.money(1_204_000_000, "EUR", compact=True) == "12,04\xa0Mio.\xa0€"


def test_a_slot_shows_whatever_it_is_given():
    assert fmt.shown(Estimate(0.051, unit="percent")) == "5.1%"
    assert fmt.shown((14.2, "months")) == "14.2 months"
    assert fmt.shown((1999, "money:EUR")) == "€19.99"
    assert fmt.shown(("Basic", "Pro")) == "Basic and Pro"
    assert fmt.shown(pd.Timestamp("2026-10-31")) == "Oct 31, 2026"
    assert fmt.shown(np.int64(1234)) == "1,234"
    assert fmt.shown(float("nan")) == "not available"
