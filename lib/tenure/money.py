"""Currencies: their minor units, their rates by month, and conversion; nothing else multiplies by a rate.

Amounts are integer minor units (cents, yen, fils). A rate is between *major* units: 1 JPY = 0.006 EUR, so
that a minor unit of yen is 0.6 minor units of euros. These functions return the *factor* between minor units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tenure.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Share of customers, in currencies without a rate, without whom there is still a report of money.
MOST_LEFT_OUT = 0.2

# ISO 4217 (list one of the maintenance agency): currencies whose minor unit is not a hundredth. CLDR's own
# digits are for display and differ (the Serbian dinar shows none, yet is counted in hundredths).
EXPONENTS: dict[str, int] = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}


def minor_exponent(currency: str) -> int:
    """Return how many decimals ISO 4217 gives the currency's minor unit.

    Example:
        >>> minor_exponent("EUR"), minor_exponent("JPY"), minor_exponent("KWD")
        (2, 0, 3)
    """
    return EXPONENTS.get(currency, 2)


def minor_units(currency: str) -> int:
    """Return the minor units of one of a currency; 1 without a currency: amounts stay as they are.

    Example:
        >>> minor_units("EUR"), minor_units("JPY"), minor_units("")
        (100, 1, 1)
    """
    return 10 ** minor_exponent(currency) if currency else 1


def unit_of(currency: str) -> str:
    """Return the unit of amounts: money or, without a currency, plain numbers.

    Example:
        >>> unit_of("EUR"), unit_of("")
        ('money:EUR', 'number')
    """
    return f"money:{currency}" if currency else "number"


def factor(rate: float, source: str, target: str) -> float:
    """Return minor units of the target currency for one minor unit of the source.

    Args:
        rate: Major units of the target for one of the source.
        source: The currency to convert from.
        target: The currency to convert to.

    Example:
        >>> round(1_000 * factor(0.006, "JPY", "EUR")), round(1_000 * factor(3.0, "KWD", "EUR"))
        (600, 300)
    """
    return rate * 10.0 ** (minor_exponent(target) - minor_exponent(source))


def base_currency(rates: pd.DataFrame) -> str:
    """Return the currency that rates are to: the one whose own is always 1; empty where none is.

    Args:
        rates: Columns currency and rate.

    Example:
        >>> import pandas as pd
        >>> base_currency(pd.DataFrame({"currency": ["EUR", "USD"], "rate": [1.0, 0.9]}))
        'EUR'
    """
    if rates.empty:
        return ""
    own = rates.assign(one=rates["rate"] == 1).groupby("currency")["one"].all()
    ones = sorted(str(name) for name in own.index[own])
    return ones[0] if ones else ""


def factors_by_month(
    rates: pd.DataFrame | None, used: Iterable[str], currency: str, months: Sequence[int]
) -> pd.DataFrame:
    """Spread month-end rates over all months, as factors between minor units.

    Args:
        rates: Columns currency, month, rate (major units of the table's base currency for one); a month
            without a rate keeps the one before, the first months the first one known. None: no rates.
        used: The currencies to convert.
        currency: The reporting currency.
        months: The months' indices.

    Returns:
        A row per month, a column a currency: reporting minor units for one minor unit.

    Raises:
        InputError: A currency has no rate.

    Example:
        >>> import pandas as pd
        >>> rates = pd.DataFrame({"currency": ["USD", "JPY"], "month": [1, 1], "rate": [0.9, 0.006]})
        >>> factors_by_month(rates, ["EUR", "USD", "JPY"], "EUR", range(1, 3)).values.tolist()
        [[1.0, 0.6, 0.9], [1.0, 0.6, 0.9]]
    """
    import pandas as pd

    known = pd.DataFrame(index=pd.Index(months, name="month"))
    given = pd.DataFrame(columns=["currency", "month", "rate"]) if rates is None else rates
    every = sorted({*given["month"].astype(int), *months})
    base = base_currency(given)
    names = sorted(set(used))
    for name in {*names, currency}:
        own = given[given["currency"] == name].set_index("month")["rate"].astype(float)
        if own.empty and name == currency and (base in ("", currency) or names == [currency]):
            own = pd.Series({every[0]: 1.0})
        if own.empty:
            raise InputError(_no_rate(name, currency, base))
        known[name] = own.reindex(every).ffill().bfill().reindex(list(months))
    ratios = known[names].div(known[currency], axis=0)
    return ratios.mul([factor(1.0, name, currency) for name in names], axis=1).rename_axis(columns="currency")


def factors_at(
    rates: pd.DataFrame | None, used: Iterable[str], currency: str, month: int
) -> dict[str, float]:
    """Return the factor of each currency at a month's end, as `factors_by_month` does for several.

    Example:
        >>> factors_at(None, ["EUR"], "EUR", 24321)
        {'EUR': 1.0}
    """
    row = factors_by_month(rates, used, currency, [month]).iloc[0]
    return {str(name): float(rate) for name, rate in row.items()}


def known_factors(
    rates: pd.DataFrame | None, used: Iterable[str], currency: str, month: int
) -> dict[str, float]:
    """Return the factors of those currencies that have a rate; the others are left out.

    Example:
        >>> known_factors(None, ["EUR", "USD"], "EUR", 24321)
        {'EUR': 1.0}
    """
    there = {currency} if rates is None else {currency, *rates["currency"]}
    usable = [name for name in used if name in there]
    if rates is not None and currency not in set(rates["currency"]) | {base_currency(rates)}:
        usable = [name for name in usable if name == currency]
    return factors_at(rates, usable, currency, month) if usable else {}


def reporting_currency(
    customers: Mapping[str, float], rates: pd.DataFrame | None = None, wanted: str = ""
) -> str:
    """Return the currency to report in: the one asked for, that of the rates, or that of most customers.

    Args:
        customers: How many pay in each currency; amounts in different currencies say nothing without rates.
        rates: Columns currency and rate; None: no rates.
        wanted: The currency asked for; empty: none.

    Example:
        >>> import pandas as pd
        >>> rates = pd.DataFrame({"currency": ["EUR", "USD"], "rate": [1.0, 0.9]})
        >>> reporting_currency({"EUR": 5, "USD": 9}, rates), reporting_currency({"EUR": 5, "USD": 9})
        ('EUR', 'USD')
    """
    if wanted or not customers:
        return wanted
    if len(customers) > 1 and rates is not None and (base := base_currency(rates)) in customers:
        return base
    return max(sorted(customers), key=lambda name: customers[name])


def _no_rate(name: str, currency: str, base: str) -> str:
    if name == currency:
        return (
            f"There is no exchange rate of {currency} to {base}, the currency of the table fx_rates. "
            f"Fix: put its rates in, or report in {base}."
        )
    return (
        f"There are amounts in {name} and no exchange rate of it to {currency}. Fix: put its rates into the "
        f"table fx_rates, or look at one currency only with currency='{name}'."
    )
