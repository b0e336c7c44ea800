"""Numbers, money, durations and dates as a reader expects them, in one locale.

All functions are pure: a value in, a string out. What is missing (None, NaN, NaT, an infinity) reads
"not available". The locale comes from :func:`set_locale`, else from the environment's TENURE_LOCALE,
else it is English. Shares ("percent") and their differences ("points") are fractions, money minor units.

Example:
    >>> percent(0.0512), money(123_456_789, "EUR"), value(14.23, "months")
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


def percent(fraction: Any, *, signed: bool = False) -> str:
    """Format a fraction as a percentage: one decimal, two below one percent.

    Example:
        >>> percent(0.0512), percent(1), percent(0.00512), percent(-0.3), percent(0.00002)
        ('5.1%', '100%', '0.51%', '−30%', '<0.01%')
    """
    return value(fraction, "percent", signed=signed)


def money(minor: Any, currency: str, *, compact: bool | None = None, digits: int | None = None) -> str:
    r"""Format an amount in minor units of an ISO 4217 currency: with cents below a thousand.

    Args:
        minor: The amount.
        currency: The currency.
        compact: Whether to shorten thousands and millions; None: from a million on.
        digits: Decimals to show, below 0 the tens to round to; None: by size.

    Example:
        >>> money(1234, "EUR"), money(123456, "USD"), money(-1250, "JPY"), money(1_000_000_00, "GBP")
        ('€12.34', '$1,235', '−\u2060¥1,250', '£1M')
        >>> money(123_456_789, "EUR", compact=False), money(1500, "KWD"), money(278_145, "EUR", digits=-2)
        ('€1,234,568', 'KWD\xa01.500', '€2,800')
    """
    if missing(minor):
        return NOT_AVAILABLE
    if digits is not None:
        exponent = minor_exponent(_currency(currency))
        minor = _round(_decimal(minor), digits - exponent)
        digits = digits if digits <= 0 else exponent
    style = _money_style([minor], currency, compact, digits)
    return _money(minor, currency, *style, keep=digits is not None)


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


def interval(low: Any, high: Any, unit: str, digits: int | None = None) -> str:
    """Format an interval, its ends with the same decimals; an end that is missing is open: "or more".

    Example:
        >>> interval(13.05, 15.2, "months"), interval(-0.012, 0.004, "points")
        ('13.0 to 15.2 months', '−1.2 to 0.4 points')
        >>> interval(90_00, 140_00, "money:EUR")
        '€90.00 to €140.00'
    """
    check_unit(unit)
    ends = [end for end in (low, high) if not missing(end)]
    if not ends:
        return NOT_AVAILABLE
    digits = _together(ends, unit) if digits is None else digits
    said = [value(end, unit, digits=digits) for end in ends]
    if len(ends) == 2 and (unit == "points" or unit in _DURATIONS):  # the word behind the second end alone
        said[0] = _sign(_body(low, unit, digits, keep=True), low)
    return between("" if missing(low) else said[0], "" if missing(high) else said[-1])


def _together(numbers: Sequence[Any], unit: str) -> int:
    """The decimals that an estimate and the ends of its interval share."""
    if unit.startswith("money:"):
        return _money_style(numbers, unit[6:])[1]
    whole = all(_whole(_round(_scaled(number, unit), 9)) for number in numbers)
    return 0 if whole and unit not in ("ratio", "score") else _places(numbers, unit)


def written(one: Estimate, exact: bool = False) -> dict[str, str]:
    """Return how sentences show an estimate: value, size (without its sign), low, high and interval.

    All have the same decimals. Unless it is to be exact, an amount with an interval is rounded to the
    largest power of ten within a quarter of the interval's half-width: it moves by an eighth of that at most.

    Example:
        >>> said = written(Estimate(278_145, 201_530, 354_610, unit="money:EUR"))
        >>> said["value"], said["interval"], written(Estimate(278_145, unit="money:EUR"))["value"]
        ('€2,800', '€2,000 to €3,500', '€2,781')
        >>> written(Estimate(0.055, 0.05, 0.06, unit="percent"))["interval"]
        '5.0% to 6.0%'
    """
    ends, digits = [end for end in (one.low, one.high) if not missing(end)], None
    known = [one.value, *ends]
    if ends and one.known:
        digits = _together(known, one.unit)
        width = (max(known) - min(known)) / len(ends)
        if one.unit.startswith("money:") and width and not exact:
            exponent = minor_exponent(one.unit[6:])
            meant = exponent - math.floor(math.log10(width / 4))
            # However wide the interval, a digit of the value stays.
            digits = min(digits, max(meant, exponent - _decimal(one.value).adjusted()))
    numbers = {"value": one.value, "size": abs(one.value), "low": one.low, "high": one.high}
    said = {name: value(number, one.unit, digits=digits) for name, number in numbers.items()}
    return {**said, "interval": interval(one.low, one.high, one.unit, digits)}


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


def value(number: Any, unit: str, *, signed: bool = False, digits: int | None = None) -> str:
    """Format a value by the name of its unit: one of UNITS, or "money:" and an ISO 4217 code.

    A duration has one decimal below 100 and two below 1, a number three significant digits or all its whole
    ones, a ratio two decimals below 10.

    Args:
        number: The value: a fraction for "percent" and "points", minor units for "money:EUR".
        unit: The unit.
        signed: Whether a plus is shown.
        digits: Decimals to show, zeros too; None: by size.

    Raises:
        InputError: There is no such unit.

    Example:
        >>> value(0.051, "percent"), value(-0.0035, "points"), value(0.01, "points"), value(1999, "money:EUR")
        ('5.1%', '−0.35 points', '1 point', '€19.99')
        >>> value(14.23, "months"), value(1, "months"), value(140.2, "days"), value(0.55, "years")
        ('14.2 months', '1 month', '140 days', '0.55 years')
        >>> value(1234.56, "number"), value(1.234, "number"), value(0.01234, "number"), value(2.5, "count")
        ('1,235', '1.23', '0.012', '2.5')
        >>> value(0.654, "ratio"), value(12.34, "ratio"), value(-12.26, "score"), value(None, "count")
        ('0.65×', '12.3×', '−12.3', 'not available')
    """
    check_unit(unit)
    if missing(number):
        return NOT_AVAILABLE
    if unit.startswith("money:"):
        return _sign(money(number, unit[6:], digits=digits), number, signed)
    # Nothing and all are so exactly.
    digits = 0 if unit == "percent" and number in (0, 1) else digits
    places, keep = _places([number], unit) if digits is None else digits, digits is not None
    if unit in _DURATIONS or unit == "points":
        return _worded(number, unit, places, keep, signed)
    if unit == "percent":
        smallest = Decimal(1).scaleb(-places - 2)
        if number and abs(_decimal(number)) < smallest / 2:
            return ("<" if number > 0 else ">−") + _body(smallest, unit, places, keep=True)
        places, keep = 0 if not keep and _whole(_round(_scaled(number, unit), places)) else places, True
    return _sign(_body(number, unit, places, keep), number, signed and unit != "ratio")


def shown(slot: Any) -> str:
    """Return what a slot of a sentence shows, whatever it is: an estimate is shown without its interval.

    Example:
        >>> shown("Basic"), shown(1234), shown(dt.date(2026, 10, 31)), shown(["a", "b"])
        ('Basic', '1,234', 'Oct 31, 2026', 'a and b')
        >>> june = dt.date(2026, 6, 1)
        >>> shown((14.2, "months")), shown(Estimate(0.05, unit="percent")), shown((june, "month"))
        ('14.2 months', '5%', 'Jun 2026')
    """
    if isinstance(slot, str):
        return slot
    if isinstance(slot, Estimate):
        return written(slot)["value"]
    if isinstance(slot, tuple) and len(slot) == 2 and not isinstance(slot[0], str):
        return date(*slot) if isinstance(slot[0], dt.date) else value(*slot)
    if isinstance(slot, list | tuple):
        return join(shown(one) for one in slot)
    return date(slot) if isinstance(slot, dt.date) else value(slot, "number")


def column(values: Iterable[Any], unit: str, *, compact: bool = False) -> list[str]:
    """Format the values of a column or an axis alike: the same decimals, and no word behind a duration.

    `compact` shortens thousands and millions of money.

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
    """What writes values of a unit with the decimals that the known ones need together."""
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
        largest = largest.scaleb(-minor_exponent(currency))
        shorten = largest >= 10_000
        # As few decimals as keep different amounts apart.
        for digits in range(-_power(largest) if shorten else 0, 3):
            written = {_money(value, currency, shorten, digits) for value in known}
            if len(written) == len(set(known)):
                break
    return lambda value: _money(value, currency, shorten, digits)


def currency_symbol(currency: str) -> str:
    """Return a currency's sign in the locale, such as "€"."""
    from babel.numbers import get_currency_symbol

    return str(get_currency_symbol(_currency(currency), locale=_locale()))


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
        raise InputError(
            f"The locale {name!r}, as of TENURE_LOCALE, is not known. Fix: use one such as en, en_GB or it."
        ) from None


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
    """Write minus as a minus, and a plus where one is wanted; no line ends between sign and currency."""
    if re.search(r"[1-9]", text) is None:
        return text.replace("-", "")
    text = f"+{text}" if signed and value > 0 else text.replace("-", "−")
    return re.sub(r"([+−])(?=[^\d\u2060])", "\\1\u2060", text)


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
    whole = largest >= 100 or all(_whole(_decimal(value)) for value in values)
    return 0 if whole else _significant_places(largest)


def _significant_places(size: Decimal) -> int:
    if size >= 1:
        return 1 if size >= 10 else 2
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


def _worded(value: Any, unit: str, places: int, keep: bool = False, signed: bool = False) -> str:
    """A duration or a difference of percentages, with the word behind it."""
    from babel.units import format_unit

    from tenure.report.words import say

    rounded = _round(_scaled(value, unit), places)
    if unit == "points":
        text = _sign(_body(value, unit, places, keep), value, signed)
        one = abs(rounded) == 1 and not (keep and places)
        return say("{number} point" if one else "{number} points", number=text)
    if abs(value) >= _HUGE:
        return _sign(f"{float(value):.1e} {unit}", value, signed)
    if not keep:
        rounded = rounded.quantize(Decimal(1)) if _whole(rounded) else rounded.normalize()
    pattern = "#,##0." + ("0" if keep else "#") * places
    # Where the long form is the short one, as in Italian, Babel knows only the short one.
    for length in ("long", "short"):
        name = f"duration-{unit.removesuffix('s')}"
        text = format_unit(rounded, name, length=length, format=pattern, locale=_locale())
        if "duration" not in text:
            break
    return _sign(text, value, signed)


def _currency(code: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", code or ""):
        raise InputError(f"The currency {code!r} is not an ISO 4217 code; write it as in EUR.")
    return code


def _money_style(
    values: Iterable[Any], currency: str, compact: bool | None = None, digits: int | None = None
) -> tuple[bool, int]:
    """Whether amounts are shortened, and their decimals."""
    exponent = minor_exponent(_currency(currency))
    largest = max((abs(_decimal(value)).scaleb(-exponent) for value in values), default=Decimal(0))
    if compact is None:
        compact = largest >= 1_000_000
    finest = 2 - _power(largest) if compact else exponent if largest < 1000 else 0
    return compact, finest if digits is None else digits


def _power(amount: Decimal) -> int:
    """The power of ten of an amount's thousands, millions and so on."""
    return max(0, amount.adjusted() // 3 * 3)


def _money(minor: Any, currency: str, compact: bool, digits: int, keep: bool = False) -> str:
    """An amount; a shortened one has at most two decimals, and zeros at the end where they are to be kept."""
    amount = _decimal(minor).scaleb(-minor_exponent(currency))
    if abs(minor) >= _HUGE:
        return _sign(f"{currency} {float(amount):.1e}", minor)
    form = _locale().compact_currency_formats["short"]["other"].get(str(10 ** max(0, amount.adjusted())))
    if compact and form is not None and "¤" in str(form.pattern):  # German has none for thousands
        power = amount.adjusted() + 1 - form.pattern.count("0")
        places = min(2, max(0, digits + power))
        text = _shaped(form, _round(amount.scaleb(-power), places), places, keep, currency)
    else:
        pattern, places = _locale().currency_formats["standard"], max(0, digits)
        text = _shaped(pattern, _round(amount, places), places, keep or not compact, currency)
    return _sign(re.sub(r"([A-Z]{3})(?=-?\d)", "\\1\u00a0", text), minor)
