"""Months as indices, counted from January of year 0, as the measures count them."""

from __future__ import annotations

import datetime as dt
from typing import Any


def month_label(month: int) -> str:
    """Return a month's name from its index.

    Example:
        >>> month_label(24321)
        '2026-10'
    """
    year, number = divmod(int(month), 12)
    return f"{year}-{number + 1:02d}"


def quarter_label(month: int) -> str:
    """Return the name of a month's quarter.

    Example:
        >>> quarter_label(24291)
        '2024 Q2'
    """
    year, number = divmod(int(month), 12)
    return f"{year} Q{number // 3 + 1}"


def month_date(month: int) -> dt.date:
    """Return a month's first day from its index.

    Example:
        >>> month_date(24321)
        datetime.date(2026, 10, 1)
    """
    year, number = divmod(int(month), 12)
    return dt.date(year, number + 1, 1)


def complete_month(as_of: dt.date) -> int:
    """Return the index of the last month that was over at the end of a day.

    Example:
        >>> [month_label(complete_month(dt.date(2026, 10, day))) for day in (30, 31)]
        ['2026-09', '2026-10']
    """
    tomorrow = as_of + dt.timedelta(days=1)
    return tomorrow.year * 12 + tomorrow.month - 2


def month_ends(as_of: dt.date) -> list[dt.date]:
    """Return the last days of the last whole month, the month before, and the same month a year ago.

    Example:
        >>> [day.isoformat() for day in month_ends(dt.date(2026, 11, 3))]
        ['2026-10-31', '2026-09-30', '2025-10-31']
    """
    month = complete_month(as_of)
    return [month_date(month + 1 - back) - dt.timedelta(days=1) for back in (0, 1, 12)]


def month_of(day: Any) -> int:
    """Return the index of the month of a day.

    Example:
        >>> month_of("2026-10-31")
        24321
    """
    year, month, _day = str(day).split("-")
    return int(year) * 12 + int(month) - 1
