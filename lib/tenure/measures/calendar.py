"""Calendar arithmetic on integers, so that it means the same on every query engine.

Days are counted from 1970-01-01 and months from January of year 0; no interval types, no truncation.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass, fields
from typing import Any, Literal

import ibis
from ibis import ir

from tenure.periods import Every

Period = Literal["day", "week", "month"]

_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Day:
    """A day as three integers, as expressions of a query or plain: its index, month and day of month."""

    index: Any
    month: Any
    day_of_month: Any


def day_of(date: dt.date) -> Day:
    """Return a calendar date as plain integers.

    Example:
        >>> day_of(dt.date(1970, 2, 1))
        Day(index=31, month=23641, day_of_month=1)
    """
    return Day((date - _EPOCH).days, date.year * 12 + date.month - 1, date.day)


def end_of(date: dt.date) -> dt.datetime:
    """Return the first moment after a day."""
    return dt.datetime.combine(date + dt.timedelta(days=1), dt.time())


def day_index(moment: ir.Value) -> ir.IntegerValue:
    """Return days since 1970-01-01 of a timestamp or date column, as int64."""
    date = moment.date() if moment.type().is_timestamp() else moment
    return date.delta(ibis.date("1970-01-01"), unit="day").cast("int64")


def month_index(moment: ir.Value) -> ir.IntegerValue:
    """Return months since January of year 0 of a timestamp or date column, as int64."""
    return (moment.year().cast("int64") * 12 + moment.month().cast("int64") - 1).cast("int64")


def day(moment: ir.Value) -> Day:
    """Return the day of a timestamp or date column."""
    return Day(day_index(moment), month_index(moment), moment.day().cast("int64"))


def numbered(table: ir.Table, *names: str) -> ir.Table:
    """Add the numbers of some days as columns, so that they are computed once; `numbers_of` reads them."""
    days = {name: day(table[name]) for name in names}
    parts = [field.name for field in fields(Day)]
    return table.mutate(**{f"{n}_{part}": getattr(d, part) for n, d in days.items() for part in parts})


def numbers_of(table: ir.Table, name: str) -> Day:
    """Return the day whose numbers `numbered` has added."""
    return Day(table[f"{name}_index"], table[f"{name}_month"], table[f"{name}_day_of_month"])


def date_of(index: ir.IntegerValue) -> ir.DateValue:
    """Return the date of a day index."""
    moment = index.as_interval("D") + ibis.date("1970-01-01")
    return moment.cast("timestamp").date()  # a date on some engines, a timestamp on others


def civil(index: ir.IntegerValue) -> Day:
    """Return the day of a day index."""
    date = date_of(index)
    return Day(index, month_index(date), date.day().cast("int64"))


def days_in_month(month: ir.IntegerValue) -> ir.IntegerValue:
    """Return how many days a month has, from its index."""
    year = _div(month, 12)
    number = month - year * 12 + 1
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    return ibis.cases(
        ((number == 2) & leap, 29),
        (number == 2, 28),
        (number.isin([4, 6, 9, 11]), 30),
        else_=31,
    ).cast("int64")


def month_start(month: ir.IntegerValue) -> ir.IntegerValue:
    """Return the day index of the first day of a month, from its index."""
    return day_index(ibis.date(month // 12, month % 12 + 1, 1))


def first_day(every: Every, rows: ir.Table, name: str, later: int = 0) -> ir.IntegerValue:
    """Return the first day of the month or week in which a day of rows lies, or of a later one."""
    day, month = rows[f"{name}_day"], rows[f"{name}_month"]
    return (every.number(day, month) + later) * 7 - 3 if every.unit == "week" else month_start(month + later)


def completed_periods(start: Day, end: Day, period: Period) -> ir.IntegerValue:
    """Return how many whole periods lie between two days.

    A month is whole on the same day of the next month, or on its last day where it is too short: from
    31 January, one month is whole on 28 February.
    """
    if period == "month":
        length = (
            calendar.monthrange(end.month // 12, end.month % 12 + 1)[1]
            if isinstance(end.month, int)
            else days_in_month(end.month)
        )
        short = end.day_of_month < ibis.least(start.day_of_month, length)
        return (end.month - start.month - short.ifelse(1, 0)).cast("int64")
    return _div(end.index - start.index, _DAYS[period])


def begun_periods(start: Day, end: Day, period: Period) -> ir.IntegerValue:
    """Return how many periods have begun between two days: the whole ones, and one more if any is left."""
    if period == "month":
        # Where the end's month is too short for the start's day, its days are all smaller: none is left.
        more = end.day_of_month > start.day_of_month
        return (end.month - start.month + more.ifelse(1, 0)).cast("int64")
    return _div(end.index - start.index + _DAYS[period] - 1, _DAYS[period])


_DAYS = {"day": 1, "week": 7}


def _div(value: ir.IntegerValue, by: int) -> ir.IntegerValue:
    return (value // by).cast("int64")
