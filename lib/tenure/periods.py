"""Periods of the calendar in which revenue moves: weeks, months, quarters and the company's fiscal years."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

DAYS_A_MONTH = 30.4375  # on average
_MONTHS = {"month": 1, "quarter": 3, "fiscal_year": 12}
_MONDAY = dt.date(1969, 12, 29)  # of the week 0


@dataclass(frozen=True)
class Every:
    """Periods one after another, each with a number: weeks begin on Monday, quarters as the calendar's.

    Attributes:
        unit: What they are.
        starts: The month in which fiscal years begin, such as 4.
    """

    unit: Literal["week", "month", "quarter", "fiscal_year"] = "month"
    starts: int = 1

    @property
    def _shift(self) -> int:
        return self.starts - 1 if self.unit == "fiscal_year" else 0

    def number(self, day: Any, month: Any) -> Any:
        """Return the period of a day, by its number since 1970-01-01 and that of its month since year 0."""
        if self.unit == "week":
            return (day + 3) // 7
        if self.unit == "month":
            return month
        return (month - self._shift) // _MONTHS[self.unit]

    def of(self, day: dt.date) -> int:
        """Return the number of the period of a day.

        Example:
            >>> Every("fiscal_year", 4).of(dt.date(2026, 3, 31)), Every("quarter").of(dt.date(2026, 3, 31))
            (2025, 8104)
        """
        return int(self.number((day - dt.date(1970, 1, 1)).days, day.year * 12 + day.month - 1))

    def first(self, number: int) -> dt.date:
        """Return the first day of a period.

        Example:
            >>> [str(Every(unit, 4).first(Every(unit, 4).of(dt.date(2026, 3, 31)))) for unit in _MONTHS]
            ['2026-03-01', '2026-01-01', '2025-04-01']
        """
        if self.unit == "week":
            return _MONDAY + dt.timedelta(weeks=int(number))
        month = int(number) * _MONTHS[self.unit] + self._shift
        return dt.date(month // 12, month % 12 + 1, 1)

    def runs(self, day: dt.date) -> bool:
        """Whether the period of a day goes on after it."""
        return self.of(day) == self.of(day + dt.timedelta(days=1))


MONTHS = Every()
