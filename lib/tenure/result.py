"""What every model returns: a number with its uncertainty, or a table that knows its units.

An :class:`Estimate` knows its value, its interval, its unit, what it counts and, where it was compared, what
with. Whether a change is clear is decided here and nowhere else, so that a card, a scorecard, a table and the
index cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from tenure.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

NAN = float("nan")
T = TypeVar("T")

Change = Literal["rose", "fell", "no clear change", ""]


@dataclass(frozen=True)
class Estimate:
    """A number with its interval and what it rests on.

    Attributes:
        value: The value in `unit`; NaN: not available.
        low: Lower end of the interval; NaN: unknown or open.
        high: Upper end; NaN likewise.
        n: How many things it rests on; None: not a count of things.
        of: What n counts, one of them: "customer", "payment".
        unit: Its unit: "percent" and "points" (fractions), "days", "weeks", "months", "years", "count",
            "number", "ratio", "score" or "money:EUR" (minor units).
        level: The interval's confidence level.
        exact: Whether it is counted, not estimated: it has no interval, and any difference is one.
        case: Which of a set of sentences speaks of it, such as "reached"; empty: "known", "not available" or,
            where it was compared, how it changed.
        sample: The sample it comes from; two estimates are independent only where they name different ones.
        words: What else its sentences may say, by name: texts, numbers, dates or other estimates.
        compare: What it is compared with.
        compare_label: What that is, such as "the month before".
        difference: Value less comparison, an estimate of its own.

    Example:
        >>> tenure = Estimate(14.0, 13.0, 15.2, n=20_000, of="customer", unit="months")
        >>> tenure.known, tenure.change
        (True, '')
    """

    value: float
    low: float = NAN
    high: float = NAN
    n: int | None = None
    of: str = ""
    unit: str = "number"
    level: float = 0.95
    exact: bool = False
    case: str = ""
    sample: Hashable = None
    words: Mapping[str, Any] = field(default_factory=dict)
    compare: Estimate | None = None
    compare_label: str = ""
    difference: Estimate | None = None

    @property
    def known(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def change(self) -> Change:
        """How it changed: "rose" or "fell" where the difference's interval excludes 0.

        What is counted has no interval: any difference of two counts is one.
        """
        d = self.difference
        if d is None or not d.known:
            return ""
        if d.exact:
            return "rose" if d.value > 0 else "fell" if d.value < 0 else "no clear change"
        if d.value > 0 and d.low > 0:
            return "rose"
        return "fell" if d.value < 0 and d.high < 0 else "no clear change"

    def verdict(self, better: Literal["up", "down"] | None = None) -> str:
        """Return the change judged: better, worse, higher, lower, no clear change; empty where not compared.

        Example:
            >>> now = Estimate(0.050, 0.038, 0.065, n=1000, unit="percent", sample="October")
            >>> then = Estimate(0.080, 0.065, 0.098, n=1000, unit="percent", sample="September")
            >>> now.against(then, "the month before").verdict("down")
            'better'
        """
        if self.change in ("", "no clear change"):
            return self.change
        if better is None:
            return "higher" if self.change == "rose" else "lower"
        return "better" if (self.change == "rose") == (better == "up") else "worse"

    def against(self, other: Estimate, label: str) -> Estimate:
        """Compare with an estimate from an independent sample.

        The limits of the difference are recovered from both intervals (Zou and Donner 2008,
        doi:10.1002/sim.3095); for two shares with Wilson's intervals that is Newcombe's method (1998). An end
        that is unknown leaves that end of the difference unknown, and so the change unclear.

        Raises:
            InputError: The units differ, or the samples may share what they count; the difference must then
                come from a model that knows the pairs (see `versus`).

        Example:
            >>> new = Estimate(0.6, 0.5, 0.7, unit="percent", sample="started in 2026")
            >>> old = Estimate(0.5, 0.4, 0.6, unit="percent", sample="started in 2025")
            >>> difference = new.against(old, "a year earlier").difference
            >>> round(difference.low, 3), round(difference.high, 3), difference.unit
            (-0.041, 0.241, 'points')
        """
        counted = self.exact and other.exact
        sure = self.exact or other.exact
        if not sure and (self.sample is None or other.sample is None or self.sample == other.sample):
            raise InputError(
                "Two estimates can be compared by their intervals only where each names a sample of its own; "
                f"these are of {self.sample!r} and {other.sample!r}. Fix: hand over the paired difference "
                "with `versus`."
            )
        gap = self.value - other.value
        self_low, self_high, other_low, other_high = (
            end if not one.exact else one.value for one in (self, other) for end in (one.low, one.high)
        )
        low = gap - math.hypot(self.value - self_low, other_high - other.value)
        high = gap + math.hypot(self_high - self.value, other.value - other_low)
        difference = Estimate(
            gap,
            NAN if counted else low,
            NAN if counted else high,
            unit=_difference_unit(self.unit),
            level=self.level,
            exact=counted,
        )
        return self.versus(other, difference, label)

    def versus(self, other: Estimate, difference: Estimate, label: str) -> Estimate:
        """Compare with another estimate by a difference that a model has estimated, such as a paired one.

        Raises:
            InputError: The units differ.
        """
        if self.unit != other.unit or difference.unit not in (_difference_unit(self.unit), self.unit):
            raise InputError(
                f"Estimates in {self.unit} and {other.unit} cannot be compared by a difference in "
                f"{difference.unit}."
            )
        return replace(
            self, compare=other, compare_label=label, difference=difference if self.known else None
        )

    def saying(self, case: str | None = None, **words: Any) -> Estimate:
        """Return it with a case of its own or with further words for its sentences.

        Example:
            >>> Estimate(0.5).saying(group="Basic").words["group"]
            'Basic'
        """
        return replace(self, case=self.case if case is None else case, words={**self.words, **words})

    def scaled(self, factor: float, unit: str = "") -> Estimate:
        """Return it times a known number, in another unit if one is named.

        Example:
            >>> Estimate(2.0, 1.0, 3.0, unit="months").scaled(500, "money:EUR").high
            1500.0
        """
        ends = self.low * factor, self.high * factor
        low, high = ends if factor >= 0 else ends[::-1]
        return replace(
            self, value=self.value * factor, low=low, high=high, unit=unit or self.unit,
            compare=None, compare_label="", difference=None,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Table:
    """A small frame that knows the units of its columns.

    Attributes:
        frame: The rows. Columns `x`, `x_low` and `x_high` are an estimate and its interval, which the report
            prints in one cell.
        units: For a column its unit, as an `Estimate` has it, or "date", "month", "p" or "words"
            (of ours, which are translated).
        notes: What a reader should know, in sentences.
        people: Of rows of people who share a characteristic, the column that counts them, and others that
            would tell how many they are: a report leaves these empty where they are too few.
    """

    frame: pd.DataFrame
    units: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    people: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.frame)

    def pipe(self, function: Callable[[pd.DataFrame], pd.DataFrame]) -> Table:
        """Return the table with a function applied to its frame; columns that remain keep their units.

        Example:
            >>> import pandas as pd
            >>> rates = Table(pd.DataFrame({"plan": ["a", "b"], "churn": [0.1, 0.2]}), {"churn": "percent"})
            >>> rates.pipe(lambda rows: rows[rows["churn"] > 0.15]).frame["plan"].tolist()
            ['b']
        """
        return replace(self, frame=function(self.frame))

    def estimate(self, row: Hashable, column: str, **about: Any) -> Estimate:
        """Return the estimate of a row, which its first column names: a column with its interval and unit.

        Args:
            row: The row's name.
            column: The column.
            **about: What else the estimate knows, such as `n`, `of` and `sample`.

        Raises:
            InputError: There is no such row.

        Example:
            >>> import pandas as pd
            >>> rates = Table(pd.DataFrame({"plan": ["a"], "churn": [0.1]}), {"churn": "percent"})
            >>> rates.estimate("a", "churn", n=90, of="customer").unit
            'percent'
        """
        names = self.frame.iloc[:, 0]
        if not (found := self.frame[names == row].to_dict("records")):
            known = ", ".join(map(str, names))
            raise InputError(f"There is no {self.frame.columns[0]} {row!r}; there are {known}.")
        return from_row(found[0], column, unit=self.units.get(column, "number"), **about)

    def renamed(self, **names: str) -> Table:
        """Return the table with columns renamed, old name to new, each with its interval and unit.

        Example:
            >>> import pandas as pd
            >>> rates = Table(pd.DataFrame({"value": [0.1], "value_low": [0.0]}), {"value": "percent"})
            >>> list(rates.renamed(value="churn").frame), rates.renamed(value="churn").units
            (['churn', 'churn_low'], {'churn': 'percent'})
        """
        ends = {f"{old}{end}": f"{new}{end}" for old, new in names.items() for end in ("", "_low", "_high")}
        units = {names.get(name, name): unit for name, unit in self.units.items()}
        people = [names.get(name, name) for name in self.people]
        return replace(self, frame=self.frame.rename(columns=ends), units=units, people=people)


def from_ends(ends: Iterable[float], **about: Any) -> Estimate:
    """Return an estimate from its value and the two ends of its interval.

    Example:
        >>> from_ends((0.5, 0.4, 0.6), n=100, of="customer", unit="percent").high
        0.6
    """
    value, low, high = ends
    return Estimate(value, low, high, **about)


def from_row(row: Mapping[Any, Any] | pd.Series, column: str, **about: Any) -> Estimate:
    """Return the estimate that a row of a table holds: a column with the ends of its interval.

    Example:
        >>> from_row({"churn": 0.5, "churn_low": 0.4, "churn_high": 0.6}, "churn", unit="percent").high
        0.6
    """
    value, low, high = (float(row.get(column + end, NAN)) for end in ("", "_low", "_high"))
    return Estimate(value, low, high, **about)


def interval(column: str, value: T, low: T, high: T) -> dict[str, T]:
    """Return an estimate and the ends of its interval as columns of a table.

    Example:
        >>> interval("churn", 0.5, 0.4, 0.6)
        {'churn': 0.5, 'churn_low': 0.4, 'churn_high': 0.6}
    """
    return {column: value, f"{column}_low": low, f"{column}_high": high}


def counted(value: float, n: int | None = None, *, of: str = "", unit: str = "count") -> Estimate:
    """Return a number that is counted, not estimated.

    Example:
        >>> counted(8090, unit="count").against(counted(8001, unit="count"), "the month before").change
        'rose'
    """
    return Estimate(float(value), n=n, of=of, unit=unit, exact=True)


def _difference_unit(unit: str) -> str:
    return "points" if unit == "percent" else unit
