"""The business's rates: what is counted at a month's end, renewals, retention, satisfaction, trials, CAC.

Customers are those with a subscription: *paying* (recurring revenue above 0; those *past due* within the
grace are among them) or *paused* (no revenue now). Tables are as the measures of the same name return them,
asked `on` the last days of several months where a function compares months; `rates` are exchange rates,
`currency` is the reporting currency, `level` that of an interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tenure import money
from tenure.errors import InputError, NotApplicable
from tenure.models.metrics import Metrics
from tenure.models.months import month_of
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import (
    NOTHING,
    effective_number,
    poisson_limits,
    pooled,
    proportion,
    weighted_share,
)
from tenure.stats.lifetable import check_level, z_value

# The lines of revenue on a day, in words, and whether they are part of recurring revenue.
_LINES = {
    "mrr": ("recurring revenue", "yes"),
    "leaving": ("cancelled, served until the term ends", "yes"),
    "committed": ("committed revenue", "yes"),
    "past_due": ("past due, within its grace", "yes"),
    "waiting": ("term over, may be renewed within the gap", "yes"),
    "trial": ("running trials, at their price", "no"),
    "paused": ("paused", "no"),
    "on_hold": ("free for a while, at the price before", "no"),
    "usage": ("usage, mean of up to three months", "no"),
}


def customers_and_revenue(
    customers: pd.DataFrame, lines: pd.DataFrame, rates: pd.DataFrame | None, *, currency: str
) -> Metrics:
    """Count paying customers and revenue at the ends of months.

    Revenue per customer (ARPA) is recurring revenue over paying customers, both counted, at the newest
    month's exchange rates throughout.

    Args:
        customers: As from `tenure.measures.revenue.customers_by_month`.
        lines: As from `tenure.measures.revenue.revenue_lines`.
        rates: Exchange rates.
        currency: The reporting currency.

    Returns:
        mrr.total, customers.paying, customers.paused, mrr.arpa, mrr.committed (recurring revenue without
        that of customers who have cancelled) and mrr.trials, all counted.

    Raises:
        NotApplicable: Nobody was a customer at any of the ends.

    Example:
        >>> people = pd.DataFrame({"on": ["2026-10-31"], "month": 24321, "customers": 4, "paying": 3})
        >>> paid = pd.DataFrame({"on": "2026-10-31", "line": "mrr", "currency": ["EUR", "JPY", "KWD"],
        ...                      "customers": 1, "amount_minor": 1000})
        >>> rates = pd.DataFrame({"currency": ["EUR", "JPY", "KWD"], "month": 24321, "rate": [1, 0.006, 3]})
        >>> found = customers_and_revenue(people, paid, rates, currency="EUR")
        >>> found["mrr.arpa"].value.__round__(), found["customers.paused"].value
        (633, 1.0)
    """
    if customers.empty:
        raise NotApplicable(
            "Whole months are compared here, and none has ended since the first customer began to pay. "
            "Fix: choose a later as_of, or wait for the end of the month."
        )
    used = sorted({*lines["currency"], currency})
    constant = money.factors_at(rates, used, currency, month_of(max(customers["on"])))
    unit = f"money:{currency}"

    def estimate(part: pd.DataFrame, month: int) -> dict[str, Estimate]:
        row, own = part[part["month"] == month], lines[lines["on"] == part["on"].iloc[0]]
        paying, everybody = (int(row[name].sum()) for name in ("paying", "customers"))
        sums, revenue = _amounts(own, rates, currency, month), own[own["line"] == "mrr"]
        held = int(own.loc[own["line"] == "on_hold", "customers"].sum())
        steady = float((revenue["amount_minor"] * revenue["currency"].map(constant)).sum())
        amounts = {
            "mrr.total": (np.floor(sums["amount"]["mrr"] + 0.5), paying),
            "mrr.arpa": (steady / paying if paying else NAN, paying),
            "mrr.committed": (sums["amount"]["committed"], int(sums["customers"]["mrr"])),
            "mrr.trials": (sums["amount"]["trial"], int(sums["customers"]["trial"])),
        }
        return {
            **{name: counted(value, n, of="customer", unit=unit) for name, (value, n) in amounts.items()},
            "customers.paying": counted(paying, paying, of="customer"),
            "customers.paused": counted(everybody - paying, everybody, of="customer").saying(
                "on hold" if held else "some" if everybody > paying else "none", held=counted(held)
            ),
        }

    return Metrics.as_known(customers, estimate)


def line_table(lines: pd.DataFrame, rates: pd.DataFrame | None, *, currency: str) -> Table:
    """List recurring revenue on the last day of `revenue_lines`, its parts, and what is not part of it.

    Returns:
        A row per line: line, per_month, customers (NaN for committed revenue, which is a difference) and
        in_recurring_revenue, whether it is part of it.

    Example:
        >>> lines = pd.DataFrame({"on": "2026-10-31", "line": ["mrr", "leaving"], "currency": "EUR",
        ...                       "customers": [3, 1], "amount_minor": [900, 200]})
        >>> line_table(lines, None, currency="EUR").frame["per_month"].tolist()
        [900.0, 200.0, 700.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    day = max(lines["on"])
    sums = _amounts(lines[lines["on"] == day], rates, currency, month_of(day)).reset_index(names="line")
    frame = sums.rename(columns={"amount": "per_month"}).assign(
        line=[words for words, _ in _LINES.values()],
        in_recurring_revenue=[part for _, part in _LINES.values()],
    )
    note = "Committed revenue is recurring revenue without that of customers who have cancelled."
    return Table(frame, {"per_month": f"money:{currency}", "customers": "count"}, (note,))


def paid_once(bought: pd.DataFrame, factors: Mapping[str, float], currency: str) -> Estimate:
    """Add up what was paid for access that is paid once, as from `tenure.measures.revenue.paid_once`.

    Returns:
        What was paid for it (in all; its price, where no payment is known to be for it); words: recent
        (customers within a year), year (what these paid) and share (of all that was paid within it). Its case
        is "none", "some", or "priced" where it is the price.

    Example:
        >>> rows = pd.DataFrame({"currency": ["EUR"], "customers": 3, "customers_year": 1, "once_minor": 900,
        ...     "once_minor_year": 300, "cash_minor_year": 1200, "price_minor": 900, "price_minor_year": 300})
        >>> found = paid_once(rows, {"EUR": 1.0}, "EUR")
        >>> found.value, found.words["recent"], found.words["share"].value
        (900.0, 1, 0.25)
    """
    rate, unit = bought["currency"].map(dict(factors)).astype(float), f"money:{currency}"
    case = "none" if not bought["customers"].sum() else "some" if bought["once_minor"].sum() else "priced"
    of = "once_minor" if case == "some" else "price_minor"
    value, year, cash = (float((bought[name] * rate).sum()) for name in (of, f"{of}_year", "cash_minor_year"))
    n, recent = (int(bought[name].sum()) for name in ("customers", "customers_year"))
    share = Estimate(year / cash if cash and case == "some" else NAN, unit="percent")
    words = {"recent": recent, "year": Estimate(year, unit=unit), "share": share}
    return counted(value, n, of="customer", unit=unit).saying(case, **words)


def _amounts(lines: pd.DataFrame, rates: pd.DataFrame | None, currency: str, month: int) -> pd.DataFrame:
    """The lines of one day over currencies, at a month's rates: amount, and customers where it is a count."""
    factors = money.factors_at(rates, sorted({*lines["currency"], currency}), currency, month)
    rows = lines.assign(amount=lines["amount_minor"] * lines["currency"].map(factors).astype(float))
    sums = rows.groupby("line")[["amount", "customers"]].sum().reindex(list(_LINES), fill_value=0)
    sums = sums.astype(float)
    sums.loc["committed"] = (sums["amount"]["mrr"] - sums["amount"]["leaving"], NAN)
    return sums


def renewals(due: pd.DataFrame, month: int) -> dict[str, Estimate]:
    """Estimate, for each term, the share that was not renewed within the twelve months to a month's end.

    Returns:
        By term (such as "1 year" or "3 months"), those of years first, then those with most renewals.

    Example:
        >>> due = pd.DataFrame({"month": [12, 24], "billing": "1 year", "due": [10, 20], "lost": [4, 10]})
        >>> renewals(due, 24)["1 year"].value, renewals(due, 12)["1 year"].value
        (0.5, 0.4)
    """
    year = due[due["month"].between(month - 11, month)]
    sums = year.groupby("billing")[["lost", "due"]].sum()
    order = sorted(sums.index, key=lambda term: (not term.endswith("year"), -sums["due"][term], term))
    return {
        term if term.startswith("1 ") else f"{term}s": pooled(
            sums.loc[[term]], "lost", "due", of="renewal", sample=(month - 11, month)
        )
        for term in order
    }


def at_renewal(terms: Metrics) -> Metrics:
    """Return the first of the metrics of `renewals` as churn.at_renewal; nothing where no term was due.

    Words: term, a duration. Its case is "all" where each of twenty or more ended: the plan may end
    by design.
    """
    for name in terms.recent:
        number, unit = name.removesuffix("s").split()
        term = Estimate(float(number), unit=f"{unit}s")
        sides = (terms.recent, terms.year)
        now = terms.recent[name]
        case = "all" if now.value == 1 and (now.n or 0) >= 20 else None
        return Metrics(*({"churn.at_renewal": side[name].saying(case, term=term)} for side in sides))
    return Metrics({}, {})


def renewal_table(terms: Metrics) -> Table:
    """List metrics of `renewals`: term, due, not_renewed with its limits, year_before."""
    rows = [
        (term, one.n, one.value, one.low, one.high, one.compare.value if one.compare else NAN)
        for term, one in terms.year.items()
    ]
    columns = ["term", "due", "not_renewed", "not_renewed_low", "not_renewed_high", "year_before"]
    return Table(pd.DataFrame(rows, columns=columns), dict.fromkeys(columns[2::3], "percent"))


def retention(moments: pd.DataFrame, month: int) -> dict[str, Estimate]:
    """Estimate gross and net revenue retention over the twelve months to a month's end.

    Args:
        moments: As from `tenure.measures.revenue.retention_moments`, not split by group.
        month: The month.

    Returns:
        mrr.gross_retention and mrr.net_retention; NaN where nobody paid a year ago.

    Example:
        >>> nothing = pd.DataFrame(columns=["month"])
        >>> [estimate.n for estimate in retention(nothing, 24321).values()]
        [0, 0]
    """
    rows = moments[moments["month"] == month].to_dict("records")
    estimators = {"mrr.gross_retention": gross_retention, "mrr.net_retention": net_retention}
    return {
        name: replace(estimate(rows[0]), sample=(month - 11, month)) if rows else NOTHING
        for name, estimate in estimators.items()
    }


def gross_retention(moments: Mapping[Any, Any], *, level: float = 0.95) -> Estimate:
    """Estimate gross revenue retention: of what customers paid then, the share they still pay.

    What a customer pays counts up to what the same customer paid then, so it never passes 100 %. The
    interval is that of `weighted_share`, each customer weighing what was paid then. NaN where nobody paid.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Example:
        >>> kept = gross_retention(dict(n=100, paid_then=1000.0, kept=800.0, var_then=0.0))
        >>> round(kept.value, 2), round(kept.low, 3), round(kept.high, 3)
        (0.8, 0.711, 0.867)
    """
    n, then = int(moments["n"]), float(moments["paid_then"])
    size = effective_number(n, then, float(moments["var_then"]))
    return weighted_share(float(moments["kept"]), then, size, n, level=level, of="customer")


def net_retention(moments: Mapping[Any, Any], *, level: float = 0.95) -> Estimate:
    """Estimate net revenue retention: what the same customers pay now over what they paid then.

    It is gross retention plus what was added, of which the share is a / t for sums a and t over customers of
    what they added and paid then. Its interval is made from both intervals (Zou and Donner 2008), that of a
    share added from the variance of a ratio of means (Cochran 1977, section 6.5), symmetric on the logarithm.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Example:
        >>> row = dict(n=100, paid_then=1000.0, kept=800.0, added=200.0, var_then=0.0, var_added=25.0,
        ...            cov_added=0.0)
        >>> grown = net_retention(row)
        >>> round(grown.value, 2), round(grown.low, 3), round(grown.high, 3)
        (1.0, 0.882, 1.143)
    """
    kept = gross_retention(moments, level=level)
    if not kept.known or moments["added"] <= 0:
        return kept
    n, then = int(moments["n"]), float(moments["paid_then"])
    added = float(moments["added"]) / then
    value = kept.value + added
    if n < 2:
        return replace(kept, value=value, low=NAN, high=NAN)
    variance = float(moments["var_added"]) - 2 * added * float(moments["cov_added"])
    variance += added**2 * float(moments["var_then"])
    factor = math.exp(z_value(level) * math.sqrt(max(variance, 0.0) * n) / then / added)
    low = value - math.hypot(kept.value - kept.low, added - added / factor)
    high = value + math.hypot(kept.high - kept.value, added * factor - added)
    return replace(kept, value=value, low=low, high=high)


def net_promoter_score(promoters: int, passives: int, detractors: int, *, level: float = 0.95) -> Estimate:
    """Estimate the net promoter score, 100 (promoters - detractors) / n.

    The interval is the adjusted Wald's: three answers are added, three quarters of one each to promoters
    and detractors, and it is kept within -100 and 100 (Rocks 2016, "Interval estimation for the net
    promoter score").

    Raises:
        InputError: A count is negative.

    Example:
        >>> score = net_promoter_score(50, 30, 20)
        >>> round(score.value, 1), round(score.low, 1), round(score.high, 1)
        (30.0, 14.1, 44.2)
    """
    check_level(level)
    if min(promoters, passives, detractors) < 0:
        raise InputError("Promoters, passives and detractors are counts and must not be negative.")
    n = promoters + passives + detractors
    score = Estimate(NAN, n=int(n), of="answer", unit="score", level=level)
    if n == 0:
        return score
    up, down = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
    half = z_value(level) * math.sqrt((up + down - (up - down) ** 2) / (n + 3))
    low, high = np.clip([100 * (up - down - half), 100 * (up - down + half)], -100.0, 100.0).tolist()
    return replace(score, value=100 * (promoters - detractors) / n, low=low, high=high)


def satisfaction(answers: pd.DataFrame | None) -> dict[int, dict[str, Estimate]]:
    """Return the net promoter score and the response rate of each month in which customers were asked.

    Args:
        answers: As from `tenure.measures.feedback.nps_counts`, not split by group; None: nobody was asked.

    Returns:
        By month nps.score and nps.response_rate.

    Example:
        >>> answers = pd.DataFrame({"month": [1], "promoters": [5], "passives": [3], "detractors": [2],
        ...                         "answered": 10, "sent": 40})
        >>> found = satisfaction(answers)[1]
        >>> found["nps.score"].value, found["nps.response_rate"].value
        (30.0, 0.25)
    """
    found = {}
    for row in [] if answers is None else answers.astype({"month": int}).to_dict("records"):
        month, sample = row["month"], (row["month"], row["month"])
        score = net_promoter_score(row["promoters"], row["passives"], row["detractors"])
        replied = proportion(int(row["answered"]), int(row["sent"]), of="survey", sample=sample)
        found[month] = {
            "nps.score": replace(score, sample=sample),
            "nps.response_rate": replied,
        }
    return found


def trials(counts: pd.DataFrame, month: int) -> Metrics:
    """Estimate the share of trials begun in the three months to a month's end that led to a payment.

    Returns:
        trials.conversion, beside the three months before and those of a year ago.

    Example:
        >>> counts = pd.DataFrame({"month": [24320, 24321], "converted": [3, 5], "ripe": [10, 10]})
        >>> trials(counts, 24321)["trials.conversion"].value
        0.4
    """
    found = {}
    for last in (month, month - 3, month - 12):
        own = counts[counts["month"].between(last - 2, last)]
        share = pooled(own, "converted", "ripe", of="trial", sample=(last - 2, last))
        found[last] = {"trials.conversion": share}
    return Metrics.of(found, month, back=3, label="the three months before")


def acquisition_cost(spend: float, customers: int, *, level: float = 0.95, unit: str = "number") -> Estimate:
    """Estimate what it costs to acquire a customer (CAC): money spent over customers acquired.

    The money is known; how many customers it brings is chance (exact Poisson limits of the count).

    Example:
        >>> cost = acquisition_cost(100_000, 40)
        >>> round(cost.value), round(cost.low), round(cost.high)
        (2500, 1836, 3499)
    """
    low, high = poisson_limits(customers, level)
    value, most = (spend / customers, spend / low) if customers else (NAN, NAN)
    return Estimate(value, spend / high, most, n=int(customers), of="new customer", unit=unit, level=level)
