"""Months as each was known at its own end, and what has become of them since.

A customer past due counts until the grace is over, and is then lost from the day on which paid service ended.
So the newest month still holds customers whom earlier months have given up by now, and to compare it with
those as they are known today would flatter it. Here each month is counted from the data as it was known at
that month's end: measures are asked with `on=month_ends(...)`, and name the day in a column `on`. What has
been revised since is a number of its own.

Customers are those with a subscription: *paying* (recurring revenue above 0; those *past due* within the
grace are among them) or *paused* (no revenue now).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tenure import money
from tenure.models.months import month_date, month_of, month_slot
from tenure.models.movements import (
    GAIN_WORDS,
    Ledger,
    ledger,
    month_rates,
)
from tenure.models.rates import Course, retention
from tenure.policy import MetricPolicy
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import pooled

# The lines beside recurring revenue, in words, and whether they are part of it.
_LINES = {
    "mrr": ("recurring revenue", "yes"),
    "leaving": ("asked to leave", "yes"),
    "committed": ("committed revenue", "yes"),
    "past_due": ("past due, within its grace", "yes"),
    "trial": ("running trials, at their price", "no"),
    "paused": ("paused", "no"),
    "usage": ("usage, a mean of three months", "no"),
}


def ledgers(movements: pd.DataFrame, rates: pd.DataFrame | None, currency: str) -> dict[str, Ledger]:
    """Return the ledger as it was known at the end of each of several days, the newest first.

    Args:
        movements: As from `tenure.measures.revenue.mrr_movements`, asked `on` several days.
        rates: Exchange rates, as `tenure.models.movements.ledger` takes them.
        currency: The reporting currency.
    """
    days = sorted(movements["on"].unique(), reverse=True)
    return {
        day: ledger(movements[movements["on"] == day], rates, currency=currency, until=month_of(day))
        for day in days
    }


def _course(answers: pd.DataFrame, estimate: Callable[[pd.DataFrame, int], dict[str, Estimate]]) -> Course:
    """Compare what is estimated from each day's answer: the newest, then the month before, then the year."""
    days = sorted(answers["on"].unique(), reverse=True)
    return _compared({month_of(day): estimate(answers[answers["on"] == day], month_of(day)) for day in days})


def _compared(found: Mapping[int, Mapping[str, Estimate]]) -> Course:
    """Compare the estimates of the newest month with those of the month before and of a year ago."""
    if not found:
        return Course({}, {})
    month = max(found)
    now, before, ago = (found.get(month - back, {}) for back in (0, 1, 12))
    return Course.of(now, before, ago, month=month)


def movements_course(
    books: Mapping[str, Ledger], policy: MetricPolicy, effective: Mapping[int, float] | None = None
) -> Course:
    """Compare the rates of the newest month with those of earlier ones, each from its own ledger.

    Args:
        books: As from `ledgers`.
        policy: It says what churn is divided by.
        effective: As for `month_rates`.
    """
    months = {month_of(day): book for day, book in books.items()}
    return _compared(
        {
            month: month_rates(book, month, churn_base=policy.churn_base, effective=effective)
            for month, book in months.items()
        }
    )


def customers_course(
    customers: pd.DataFrame, lines: pd.DataFrame, rates: pd.DataFrame | None, *, currency: str
) -> Course:
    """Count who pays at the ends of months, and what stands beside recurring revenue.

    Revenue a customer (ARPA) is recurring revenue over paying customers, both counted, at the newest month's
    exchange rates throughout.

    Args:
        customers: As from `tenure.measures.revenue.customers_by_month`, asked `on` several days.
        lines: As from `revenue_lines`, asked `on` the same.
        rates: Exchange rates.
        currency: The reporting currency.

    Returns:
        mrr.total, customers.paying, customers.paused, mrr.arpa, mrr.committed (recurring revenue without
        that of who asked to leave) and mrr.trials, all counted.

    Example:
        >>> heads = pd.DataFrame({"on": ["2026-10-31"], "month": 24321, "customers": 4, "paying": 3})
        >>> paid = pd.DataFrame({"on": "2026-10-31", "line": "mrr", "currency": ["EUR", "JPY", "KWD"],
        ...                      "customers": 1, "amount_minor": 1000})
        >>> rates = pd.DataFrame({"currency": ["EUR", "JPY", "KWD"], "month": 24321, "rate": [1, 0.006, 3]})
        >>> found = customers_course(heads, paid, rates, currency="EUR")
        >>> found["mrr.arpa"].value.__round__(), found["customers.paused"].value
        (633, 1.0)
    """
    used = sorted({*lines["currency"], currency})
    constant = money.factors_at(rates, used, currency, month_of(max(customers["on"])))
    unit = f"money:{currency}"

    def estimate(part: pd.DataFrame, month: int) -> dict[str, Estimate]:
        row = part[part["month"] == month]
        own = lines[lines["on"] == part["on"].iloc[0]]
        paying, everybody = (int(row[name].sum()) for name in ("paying", "customers"))
        sums = _amounts(own, rates, currency, month)
        if not paying:
            return {}
        revenue = own[own["line"] == "mrr"]
        steady = float((revenue["amount_minor"] * revenue["currency"].map(constant)).sum())
        return {
            "mrr.total": counted(np.floor(sums["amount"]["mrr"] + 0.5), paying, of="customer", unit=unit),
            "customers.paying": counted(paying, paying, of="customer"),
            "customers.paused": counted(everybody - paying, everybody, of="customer").saying(
                "some" if everybody > paying else "none"
            ),
            "mrr.arpa": counted(steady / paying, paying, of="customer", unit=unit),
            "mrr.committed": _line(sums, "committed", unit),
            "mrr.trials": _line(sums, "trial", unit),
        }

    return _course(customers, estimate)


def _amounts(lines: pd.DataFrame, rates: pd.DataFrame | None, currency: str, month: int) -> pd.DataFrame:
    """The lines of one day over currencies, at a month's rates: amount, and customers where it is a count."""
    factors = money.factors_at(rates, sorted({*lines["currency"], currency}), currency, month)
    rows = lines.assign(amount=lines["amount_minor"] * lines["currency"].map(factors).astype(float))
    sums = rows.groupby("line")[["amount", "customers"]].sum().reindex(list(_LINES), fill_value=0)
    sums = sums.astype(float)
    sums.loc["committed"] = (sums["amount"]["mrr"] - sums["amount"]["leaving"], NAN)
    return sums


def _line(sums: pd.DataFrame, name: str, unit: str) -> Estimate:
    n = sums["customers"]["mrr" if name == "committed" else name]
    return counted(sums["amount"][name], int(n), of="customer", unit=unit)


def line_table(lines: pd.DataFrame, rates: pd.DataFrame | None, *, currency: str) -> Table:
    """Lay out what stands beside recurring revenue on the last day.

    Args:
        lines: As from `tenure.measures.revenue.revenue_lines`, asked `on` several days.
        rates: Exchange rates.
        currency: The reporting currency.

    Returns:
        A row a line: line, a_month, customers (NaN for committed revenue, which is a difference) and
        in_recurring_revenue, whether it is part of it.

    Example:
        >>> lines = pd.DataFrame({"on": "2026-10-31", "line": ["mrr", "leaving"], "currency": "EUR",
        ...                       "customers": [3, 1], "amount_minor": [900, 200]})
        >>> line_table(lines, None, currency="EUR").frame["a_month"].tolist()
        [900.0, 200.0, 700.0, 0.0, 0.0, 0.0, 0.0]
    """
    day = max(lines["on"])
    sums = _amounts(lines[lines["on"] == day], rates, currency, month_of(day)).reset_index()
    frame = sums.assign(
        line=[words for words, _ in _LINES.values()],
        in_recurring_revenue=[part for _, part in _LINES.values()],
    ).rename(columns={"amount": "a_month"})
    note = "Who asked to leave is served until the term ends: committed revenue is what is left without them."
    return Table(frame, {"a_month": f"money:{currency}", "customers": "count"}, (note,))


def retention_course(moments: pd.DataFrame) -> Course:
    """Compare gross and net retention with those of earlier months.

    Args:
        moments: As from `tenure.measures.revenue.retention_moments`, asked `on` several days.
    """
    return _course(moments, retention)


def retention_lines(moments: pd.DataFrame) -> Table:
    """Lay gross and net retention of several months out, as `figures.line_with_interval` draws them.

    Args:
        moments: As from `tenure.measures.revenue.retention_moments` of one day.

    Returns:
        A row a rate and month: date, group ("net", "gross"), value with its limits.
    """
    months = sorted(moments["month"].astype(int))
    found = {month: retention(moments, month) for month in months}
    return trend(
        {group: {m: found[m][f"mrr.{group}_retention"] for m in months} for group in ("net", "gross")}
    )


def trend(rates: Mapping[str, Mapping[int, Estimate]]) -> Table:
    """Lay estimates by month out; months without one are left out.

    Args:
        rates: For each group its estimates by month.

    Returns:
        A row a group and month: date, group, value with its limits.

    Example:
        >>> trend({"all": {24321: Estimate(0.5, unit="percent")}}).frame["date"].tolist()
        [datetime.date(2026, 10, 1)]
    """
    rows = [
        (month_date(month), group, one.value, one.low, one.high, one.unit)
        for group, months in rates.items()
        for month, one in sorted(months.items())
        if one.known
    ]
    frame = pd.DataFrame(rows, columns=["date", "group", "value", "value_low", "value_high", "unit"])
    unit = frame["unit"].iloc[0] if len(frame) else "number"
    return Table(frame.drop(columns="unit"), {"date": "month", "value": unit})


def renewal_rates(due: pd.DataFrame, month: int, *, level: float = 0.95) -> dict[str, Estimate]:
    """Estimate, for each term, the share that was not renewed within a year.

    Args:
        due: As from `tenure.measures.revenue.renewals`.
        month: The last month of the year.
        level: Level of the intervals.

    Returns:
        By term (such as "1 year" or "3 months"), those of years first, then those with most renewals.

    Example:
        >>> due = pd.DataFrame({"month": [12, 24], "billing": "1 year", "due": [10, 20], "lost": [4, 10]})
        >>> renewal_rates(due, 24)["1 year"].value, renewal_rates(due, 12)["1 year"].value
        (0.5, 0.4)
    """
    year = due[due["month"].between(month - 11, month)]
    sizes = year.groupby("billing")["due"].sum()
    terms = sorted(sizes.index, key=lambda term: (not term.endswith("year"), -sizes[term], term))
    return {
        term if term.startswith("1 ") else f"{term}s": pooled(
            year[year["billing"] == term],
            "lost",
            "due",
            level=level,
            of="renewal",
            sample=(month - 11, month),
        )
        for term in terms
    }


def renewals_course(due: pd.DataFrame) -> Course:
    """Compare the renewals of each term with earlier ones, from `renewals` asked `on` several days."""
    return _course(due, renewal_rates)


def at_renewal(terms: Course) -> Course:
    """Return the renewals of the term that matters most, as churn.at_renewal; nothing where no term was due.

    Words: term, such as "1-year".
    """
    for name in terms.recent:
        term = name.removesuffix("s").replace(" ", "-")
        return Course(
            *({"churn.at_renewal": each[name].saying(term=term)} for each in (terms.recent, terms.year))
        )
    return Course({}, {})


def renewal_table(terms: Course) -> Table:
    """Lay renewals out by term.

    Args:
        terms: As from `renewals_course`.

    Returns:
        A row a term: term, due, not_renewed with its limits, year_before.
    """
    rows = [
        {
            "term": name,
            "due": one.n,
            "not_renewed": one.value,
            "not_renewed_low": one.low,
            "not_renewed_high": one.high,
            "year_before": one.compare.value if one.compare else NAN,
        }
        for name, one in terms.year.items()
    ]
    return Table(pd.DataFrame(rows), dict.fromkeys(("not_renewed", "year_before"), "percent"))


def revised(books: Mapping[str, Ledger]) -> Estimate:
    """Return what the month before has lost or gained since it was known at its own end.

    Args:
        books: As from `ledgers`.

    Returns:
        The change of its recurring revenue. Cases: "lower", "higher", "none" and, where there is no month
        before, "unknown". Words: month, then (what it was at its own end), customers (by how many there are
        now fewer or more).

    Example:
        >>> moved = pd.DataFrame({"on": ["2026-10-31", "2026-09-30"], "month": 24320, "currency": "EUR",
        ...     "group": "all", "kind": "new", "reason": "", "amount_minor": [900, 1000],
        ...     "customers": [9, 10], "logos": [9, 10], "n": [9, 10], "squares": 1.0})
        >>> found = revised(ledgers(moved, None, "EUR"))
        >>> found.value, found.case, found.words["customers"]
        (-100.0, 'lower', 1)
    """
    days = list(books)
    month = month_of(days[0]) - 1
    then = next((books[day] for day in days if month_of(day) == month), None)
    if then is None or month not in books[days[0]].flow.index:
        return Estimate(NAN, case="unknown")
    was, now = then.at(month), books[days[0]].at(month)
    change = now["closing"] - was["closing"]
    case = "lower" if change < 0 else "higher" if change > 0 else "none"
    words = {
        "month": month_slot(month),
        "then": counted(was["closing"], unit=then.unit),
        "customers": abs(int(now["customers"] - was["customers"])),
    }
    return counted(change, int(was["customers"]), of="customer", unit=then.unit).saying(case, **words)


def added(book: Ledger, kept: Course) -> Estimate:
    """Return what customers of a year ago have added to what they paid: net less gross retention.

    Gross and net retention may move apart only by it. Where they do, a sentence says so, and names the reason
    of expansion whose share of the revenue at the beginning of the twelve months has changed most.

    Args:
        book: The ledger as known now.
        kept: As from `retention_course`.

    Returns:
        Its share of what they paid, beside that of a year ago. Cases: "apart" (one retention rose, the other
        fell), "together" and, where a year ago is not known, "not available". Words: reason.
    """
    gross, net = (kept.yearly(f"mrr.{name}_retention") for name in ("gross", "net"))
    if gross.compare is None or net.compare is None:
        return Estimate(NAN, unit="percent", case="not available")
    now = Estimate(net.value - gross.value, n=net.n, of="customer", unit="percent")
    then = Estimate(net.compare.value - gross.compare.value, unit="percent")
    last = net.sample[1]  # type: ignore[index]
    shares = [_expansion(book, month) for month in (last, last - 12)]
    change = shares[0].sub(shares[1], fill_value=0.0)
    reason = GAIN_WORDS.get(str(change.abs().idxmax()), "") if len(change) else ""
    apart = {gross.change, net.change} == {"rose", "fell"}
    difference = Estimate(now.value - then.value, unit="points")
    found = now.versus(then, difference, "a year ago")
    return found.saying("apart" if apart else "together", reason=reason or "other changes")


def _expansion(book: Ledger, month: int) -> pd.Series:
    """Expansion of twelve months by reason, over the revenue at their beginning."""
    own = book.lines[(book.lines["kind"] == "expansion") & book.lines["month"].between(month - 11, month)]
    opening = book.flow["opening"].get(month - 11, 0)
    sums = own.groupby("reason")["amount_minor"].sum()
    return sums / opening if opening else sums.iloc[:0].astype(float)
