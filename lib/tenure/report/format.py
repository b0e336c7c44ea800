"""Numbers, money, durations and dates as a reader expects them, in one locale.

All functions are pure: a value in, a string out. What is missing (None, NaN, NaT, an infinity) reads
"not available". The locale comes from :func:`set_locale`, else from the environment's TENURE_LOCALE,
else it is English. Shares ("percent") and their differences ("points") are fractions, money minor units.

Example:
    >>> percent(0.0512), money(123_456_789, "EUR"), duration(14.23, "months")
    ('5.1%', '€1.23M', '14.2 months')
    >>> interval(0.048, 0.055, "percent"), interval(11.0, float("inf"), "months")
    ('4.8% to 5.5%', '11 months or more')
"""

from __future__ import annotations

import copy
import datetime as dt
import functools
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tenure.errors import InputError
from tenure.money import minor_exponent
from tenure.result import Estimate

NOT_AVAILABLE = "not available"
UNITS = ("percent", "points", "days", "weeks", "months", "years", "count", "number", "ratio", "score")
_DURATIONS = ("days", "weeks", "months", "years")

# From here on numbers are written as 1.0e+15: the ends of an interval may be anywhere.
_HUGE = 10**15
_chosen_locale = ""


def set_locale(locale: str = "") -> None:
    """Choose the locale of all later formatting, such as "en", "en_GB" or "it"; "" returns to the default.

    Raises:
        InputError: There is no such locale.
    """
    global _chosen_locale
    _locale(locale or "en")
    _chosen_locale = locale


def language() -> str:
    """Return the language of the locale, such as "en"."""
    return str(_locale().language)


def plural_category(n: Any, language: str) -> str:
    """Return which form of a noun a number asks for: "one", "other" and, in some languages, more.

    Example:
        >>> plural_category(1, "en"), plural_category(0, "en"), plural_category(0, "fr")
        ('one', 'other', 'one')
    """
    return str(_parse_locale(language).plural_form(_decimal(n)))


def missing(value: Any) -> bool:
    """Say whether a value is absent: None, NaN, NaT, pandas' NA or an infinity.

    Example:
        >>> missing(float("nan")), missing(None), missing(0)
        (True, True, False)
    """
    if value is None or str(value) in ("<NA>", "NaT"):
        return True
    try:
        return not math.isfinite(value)
    except (TypeError, ValueError):
        return False


def percent(value: Any, digits: int | None = None, *, signed: bool = False) -> str:
    """Format a fraction as a percentage: one decimal, two below one percent.

    Example:
        >>> percent(0.0512), percent(1), percent(0.00512), percent(-0.3), percent(0.00002)
        ('5.1%', '100%', '0.51%', '−30%', '<0.01%')
    """
    return _value(value, "percent", signed=signed, digits=digits)


def points(value: Any, digits: int | None = None, *, signed: bool = False) -> str:
    """Format a difference of two fractions as percentage points.

    Example:
        >>> points(0.012), points(-0.0035, signed=True), points(0.01)
        ('1.2 points', '−0.35 points', '1 point')
    """
    return _value(value, "points", signed=signed, digits=digits)


def count(value: Any, *, signed: bool = False) -> str:
    """Format a number of things.

    Example:
        >>> count(12345), count(-3), count(2.5)
        ('12,345', '−3', '2.5')
    """
    return _value(value, "count", signed=signed)


def number(value: Any, digits: int | None = None, *, signed: bool = False) -> str:
    """Format a plain number to three significant digits or all its whole ones; two below one.

    Example:
        >>> number(1234.56), number(12.34), number(1.234), number(0.01234), number(7)
        ('1,235', '12.3', '1.23', '0.012', '7')
    """
    return _value(value, "number", signed=signed, digits=digits)


def ratio(value: Any, digits: int | None = None) -> str:
    """Format one quantity as a multiple of another.

    Example:
        >>> ratio(1.8), ratio(0.654), ratio(12.34), ratio(2)
        ('1.8×', '0.65×', '12.3×', '2×')
    """
    return _value(value, "ratio", digits=digits)


def score(value: Any, *, signed: bool = False) -> str:
    """Format a score such as an NPS.

    Example:
        >>> score(30.04), score(-12.26)
        ('30', '−12.3')
    """
    return _value(value, "score", signed=signed)


def duration(value: Any, unit: str) -> str:
    """Format a length of time in days, weeks, months or years.

    Example:
        >>> duration(14.23, "months"), duration(1, "month"), duration(0.55, "years"), duration(140.2, "days")
        ('14.2 months', '1 month', '0.55 years', '140 days')
    """
    units = {**{unit: unit for unit in _DURATIONS}, **{unit.removesuffix("s"): unit for unit in _DURATIONS}}
    if unit not in units:
        raise InputError(f"There is no unit of time {unit!r}; use one of {', '.join(_DURATIONS)}.")
    return _value(value, units[unit])


def currency_exponent(currency: str) -> int:
    """Return how many decimals ISO 4217 gives the currency's minor unit.

    Example:
        >>> currency_exponent("EUR"), currency_exponent("JPY"), currency_exponent("KWD")
        (2, 0, 3)
    """
    return minor_exponent(_currency(currency))


def money(minor: Any, currency: str, *, compact: bool | None = None, digits: int | None = None) -> str:
    r"""Format an amount in minor units: with cents below a thousand, in short from a million on.

    Args:
        minor: The amount in minor units (cents).
        currency: The ISO 4217 code.
        compact: Whether to shorten thousands and millions; None: from a million on.
        digits: Decimals to show; None: by size.

    Example:
        >>> money(1234, "EUR"), money(123456, "USD"), money(-1250, "JPY"), money(1_000_000_00, "GBP")
        ('€12.34', '$1,235', '−¥1,250', '£1M')
        >>> money(123_456_789, "EUR", compact=False), money(1500, "KWD")
        ('€1,234,568', 'KWD\xa01.500')
    """
    if missing(minor):
        return NOT_AVAILABLE
    return _money(minor, currency, *_money_style([minor], currency, compact, digits))


def p_value(value: Any) -> str:
    """Format a p-value to two significant digits, never as zero.

    Example:
        >>> p_value(0.0123), p_value(0.00002), p_value(0.87)
        ('p = 0.012', 'p < 0.001', 'p = 0.87')
    """
    if missing(value):
        return NOT_AVAILABLE
    if value < 0.001:
        return "p < " + _body(0.001, "number", 3)
    return "p = " + _body(value, "number", 3 if value < 0.1 else 2, keep=value >= 0.1)


def date(value: Any, precision: str = "day") -> str:
    """Format a day ("day"), its month ("month") or a time in UTC ("minute").

    Args:
        value: A date, a datetime, a pandas Timestamp or an ISO 8601 string.
        precision: "day", "month" or "minute".

    Example:
        >>> date("2026-10-31"), date("2026-10", "month"), date("2026-10-31T09:05:00", "minute")
        ('Oct 31, 2026', 'Oct 2026', 'Oct 31, 2026, 09:05')
    """
    if missing(value) or value == "":
        return NOT_AVAILABLE
    from babel.dates import format_date, format_skeleton

    if isinstance(value, str):
        text = value if len(value) != 7 else f"{value}-01"
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"The date {value!r} is not in ISO format; write it as in 2026-10-31.") from None
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        value = value.astimezone(dt.UTC)
    if precision == "month":
        return format_skeleton("yMMM", value, locale=_locale())
    day = format_date(value, format="medium", locale=_locale())
    return f"{day}, {value:%H:%M}" if precision == "minute" and isinstance(value, dt.datetime) else day


def interval(low: Any, high: Any, unit: str) -> str:
    """Format an interval, its ends rounded alike; an end that is missing is open, and reads "or more".

    Example:
        >>> interval(13.05, 15.2, "months"), interval(-0.012, 0.004, "points")
        ('13 to 15.2 months', '−1.2 to 0.4 points')
        >>> interval(90_00, 140_00, "money:EUR")
        '€90.00 to €140.00'
    """
    check_unit(unit)
    if missing(low) and missing(high):
        return NOT_AVAILABLE
    if missing(high):
        return between(value(low, unit), "")
    if missing(low):
        return between("", value(high, unit))
    ends = [low, high]
    places = _places(ends, unit)
    if unit == "percent":
        if all(_whole(_round(_decimal(end) * 100, places)) for end in ends):
            places = 0
        # Nothing and all are so exactly.
        exact = [0 if _decimal(end) in (0, 1) else places for end in ends]
        return between(
            *(_sign(_body(end, unit, k, keep=True), end) for end, k in zip(ends, exact, strict=True))
        )
    if unit == "points":
        return between(_sign(_body(low, unit, places), low), _points(high, places))
    if unit in _DURATIONS:
        return between(_sign(_body(low, unit, places), low), _duration(high, unit, places))
    if unit.startswith("money:"):
        currency = unit[6:]
        return between(*(_money(end, currency, *_money_style(ends, currency)) for end in ends))
    if unit == "ratio":
        return between(*(ratio(end, places) for end in ends))
    return between(value(low, unit), value(high, unit))


def between(low: str, high: str) -> str:
    """Say the ends of an interval that are known, given as texts.

    Example:
        >>> between("4%", "6%"), between("4%", ""), between("", "6%")
        ('4% to 6%', '4% or more', '6% or less')
    """
    from tenure.report.words import say

    if not high:
        return say("{low} or more", low=low)
    return say("{low} to {high}", low=low, high=high) if low else say("{high} or less", high=high)


def estimate(best: Any, low: Any, high: Any, unit: str) -> str:
    """Format a value with its interval behind it, if it has one.

    Example:
        >>> estimate(1014, 945, 1088, "money:EUR"), estimate(7, 7, None, "months"), estimate(2, 2, 2, "days")
        ('€10.14 (€9.45 to €10.88)', '7 months (7 months or more)', '2 days')
    """
    sure = best == low == high or (missing(low) and missing(high))
    return value(best, unit) if sure else f"{value(best, unit)} ({interval(low, high, unit)})"


def value(value: Any, unit: str, *, signed: bool = False, digits: int | None = None) -> str:
    """Format a value by the name of its unit: one of UNITS, or "money:" and an ISO 4217 code.

    Args:
        value: The value: a fraction for "percent" and "points", minor units for "money:EUR".
        unit: The unit.
        signed: Whether a plus is shown.
        digits: Decimals to show, zeros too; None: by size.

    Raises:
        InputError: There is no such unit.

    Example:
        >>> value(0.051, "percent"), value(1999, "money:EUR"), value(None, "count")
        ('5.1%', '€19.99', 'not available')
    """
    check_unit(unit)
    if missing(value):
        return NOT_AVAILABLE
    if unit.startswith("money:"):
        return _sign(money(value, unit[6:], digits=digits), value, signed)
    places, keep = _places([value], unit) if digits is None else digits, digits is not None
    if unit in _DURATIONS:
        return _sign(_duration(value, unit, places), value, signed)
    if unit == "points":
        return _points(value, places, keep, signed)
    if unit == "percent":
        smallest = Decimal(1).scaleb(-places - 2)
        if value and abs(_decimal(value)) < smallest / 2:
            return ("<" if value > 0 else ">−") + _body(smallest, unit, places, keep=True)
        places, keep = 0 if not keep and _whole(_round(_scaled(value, unit), places)) else places, True
    return _sign(_body(value, unit, places, keep), value, signed and unit != "ratio")


def shown(value: Any) -> str:
    """Return what a slot of a sentence shows, whatever it is: an estimate is shown without its interval.

    Example:
        >>> shown("Basic"), shown(1234), shown(dt.date(2026, 10, 31)), shown(["a", "b"])
        ('Basic', '1,234', 'Oct 31, 2026', 'a and b')
        >>> shown((14.2, "months")), shown(Estimate(0.05, unit="percent")), shown(None)
        ('14.2 months', '5%', 'not available')
        >>> shown((dt.date(2026, 10, 1), "month"))
        'Oct 2026'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Estimate):
        value = (value.value, value.unit)
    if isinstance(value, tuple) and len(value) == 2 and not isinstance(value[0], str):
        return date(*value) if isinstance(value[0], dt.date) else _value(*value)
    if isinstance(value, list | tuple):
        return join(shown(one) for one in value)
    return date(value) if isinstance(value, dt.date) else number(value)


_value = value


def column(values: Iterable[Any], unit: str, *, compact: bool = False) -> list[str]:
    """Format the values of a column or an axis alike: the same decimals, and no word behind a duration.

    Args:
        values: The values.
        unit: Their unit.
        compact: Whether to shorten thousands and millions of money.

    Example:
        >>> column([0.3, 0.412, None], "percent"), column([12, 14.5], "months")
        (['30.0%', '41.2%', 'not available'], ['12.0', '14.5'])
        >>> column([0, 120_400, 35_800], "money:EUR"), column([0, 5e6, 1e7], "money:EUR", compact=True)
        (['€0', '€1,204', '€358'], ['€0', '€50K', '€100K'])
    """
    check_unit(unit)
    values = list(values)
    write = _alike([value for value in values if not missing(value)], unit, compact)
    return [NOT_AVAILABLE if missing(value) else write(value) for value in values]


def _alike(known: list[Any], unit: str, compact: bool) -> Callable[[Any], str]:
    if unit.startswith("money:"):
        return _alike_money(known, unit[6:], compact)
    exact = [_scaled(value, unit) for value in known]
    largest = max((abs(one) for one in exact), default=Decimal(0))
    if all(_whole(_round(one, 9)) for one in exact):
        places = 0
    elif unit in ("count", "number"):
        places = 0 if largest >= 1000 else 1 if largest >= 100 else _significant_places(largest)
    elif unit == "ratio":
        places = 2 if largest < 10 else 1
    else:
        places = _places(known, unit)
    return lambda value: _sign(_body(value, unit, places, keep=True), value)


def _alike_money(known: list[Any], currency: str, compact: bool) -> Callable[[Any], str]:
    shorten, digits = _money_style(known, currency, compact)
    if compact:
        largest = max((abs(_decimal(value)) for value in known), default=Decimal(0))
        shorten = largest.scaleb(-currency_exponent(currency)) >= 10_000
        # As few decimals as keep different amounts apart.
        for digits in range(3):
            written = {_money(value, currency, shorten, digits, tidy=False) for value in known}
            if len(written) == len(set(known)):
                break
    return lambda value: _money(value, currency, shorten, digits, tidy=not compact)


def check_unit(unit: str) -> str:
    """Return the unit if it is one that values can have.

    Raises:
        InputError: It is not.
    """
    if unit in UNITS:
        return unit
    if isinstance(unit, str) and unit.startswith("money:"):
        _currency(unit[6:])
        return unit
    raise InputError(f"There is no unit {unit!r}; use one of {', '.join(UNITS)} or money:EUR.")


def join(words: Iterable[Any]) -> str:
    """Join words as a sentence does.

    Example:
        >>> join(["Basic", "Plus", "Pro"]), join(["Basic"]), join([])
        ('Basic, Plus, and Pro', 'Basic', 'none')
    """
    from babel.lists import format_list

    parts = [str(word) for word in words]
    return format_list(parts, locale=_locale()) if parts else "none"


@functools.lru_cache
def _parse_locale(name: str) -> Any:
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        raise InputError(f"There is no locale {name!r}; use one such as en, en_GB or it.") from None


def _locale(name: str = "") -> Any:
    return _parse_locale(name or _chosen_locale or os.environ.get("TENURE_LOCALE", "") or "en")


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    return Decimal(str(int(value))) if float(value).is_integer() else Decimal(repr(float(value)))


def _scaled(value: Any, unit: str) -> Decimal:
    """The number that is written: 5.1 for a fraction of 0.051."""
    return _decimal(value) * (100 if unit in ("percent", "points") else 1)


def _round(exact: Decimal, places: int) -> Decimal:
    if abs(exact) >= 100 * _HUGE:
        return exact
    return exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)


def _whole(exact: Decimal) -> bool:
    return exact == exact.to_integral_value()


def _sign(text: str, value: Any, signed: bool = False) -> str:
    """Write minus as a minus, and a plus where one is wanted."""
    if re.search(r"[1-9]", text) is None:
        return text.replace("-", "")
    text = text.replace("-", "−")
    return f"+{text}" if signed and value > 0 else text


def _places(values: Sequence[Any], unit: str) -> int:
    """How many decimals values of a unit have together."""
    largest = max((abs(_decimal(value)) for value in values), default=Decimal(0))
    if unit in ("percent", "points"):
        return 2 if 0 < largest < Decimal("0.00995") else 1
    if unit in _DURATIONS:
        return 0 if largest >= 100 else 1 if largest >= 1 else 2
    if unit == "ratio":
        return 2 if largest < 10 else 1 if largest < 100 else 0
    if unit == "score":
        return 1
    return (
        0
        if largest >= 100 or all(_whole(_decimal(value)) for value in values)
        else _significant_places(largest)
    )


def _significant_places(exact: Decimal) -> int:
    size = abs(exact)
    if size >= 10:
        return 1
    if size >= 1:
        return 2
    return min(12, 1 - size.adjusted()) if size else 0


def _body(value: Any, unit: str, places: int, keep: bool = False) -> str:
    """The number with its sign of percent or ratio, but no word; `keep` its zeros at the end."""
    exact = _scaled(value, unit)
    if abs(exact) >= _HUGE:
        text = f"{float(exact):.1e}" + ("%" if unit == "percent" else "")
    elif unit == "percent":
        text = _shaped(_locale().percent_formats[None], _round(exact, places) / 100, places, keep)
    else:
        text = _shaped(_locale().decimal_formats[None], _round(exact, places), places, keep)
    return text + ("×" if unit == "ratio" else "")


def _shaped(pattern: Any, exact: Decimal, places: int, keep: bool, currency: str | None = None) -> str:
    """A number by a pattern of the locale, with other decimals than the pattern's."""
    own = copy.copy(pattern)
    own.frac_prec = (places if keep else 0, places)
    return str(own.apply(exact, _locale(), currency=currency, currency_digits=False))


def _points(value: Any, places: int, keep: bool = False, signed: bool = False) -> str:
    from tenure.report.words import say

    text = _sign(_body(value, "points", places, keep), value, signed)
    one = abs(_round(_scaled(value, "points"), places)) == 1
    return say("{number} point" if one else "{number} points", number=text)


def _duration(value: Any, unit: str, places: int) -> str:
    from babel.units import format_unit

    kind = unit.removesuffix("s")
    if abs(value) >= _HUGE:
        return _sign(f"{float(value):.1e} {kind}s", value)
    rounded = _round(_decimal(value), places)
    rounded = rounded.quantize(Decimal(1)) if _whole(rounded) else rounded.normalize()
    # Where the long form is the short one, as in Italian, Babel knows only the short one.
    for length in ("long", "short"):
        text = format_unit(rounded, f"duration-{kind}", length=length, locale=_locale())
        if "duration" not in text:
            break
    return _sign(text, value)


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code or ""):
        raise InputError(f"The currency {code!r} is not an ISO 4217 code; write it as in EUR.")
    return code


def _money_style(
    values: Iterable[Any], currency: str, compact: bool | None = None, digits: int | None = None
) -> tuple[bool, int]:
    exponent = currency_exponent(currency)
    largest = max((abs(_decimal(value)).scaleb(-exponent) for value in values), default=Decimal(0))
    if compact is None:
        compact = largest >= 1_000_000
    if digits is None:
        digits = 2 if compact else exponent if largest < 1000 else 0
    return compact, digits


def _money(minor: Any, currency: str, compact: bool, digits: int, tidy: bool = True) -> str:
    from babel.numbers import format_compact_currency

    amount = _decimal(minor).scaleb(-currency_exponent(currency))
    if abs(minor) >= _HUGE:
        return _sign(f"{currency} {float(amount):.1e}", minor)
    if compact and _shortens(amount):
        text = format_compact_currency(amount, currency, locale=_locale(), fraction_digits=digits)
        # Decimals that are all zero: 1.00M is 1M.
        text = re.sub(r"(\d)[.,]0+(?=\D|$)", r"\1", text) if tidy else text
    else:
        pattern = _locale().currency_formats["standard"]
        digits = 0 if compact and abs(amount) >= 1000 else digits
        text = _shaped(pattern, _round(amount, digits), digits, keep=not compact, currency=currency)
    return _sign(re.sub(r"([A-Z]{3})(?=-?\d)", "\\1\u00a0", text), minor)


def _shortens(amount: Decimal) -> bool:
    """Whether the locale has a short form for an amount of that size; German has none for thousands."""
    form = _locale().compact_currency_formats["short"]["other"].get(str(10 ** max(0, amount.adjusted())))
    return form is not None and "¤" in str(form.pattern)
