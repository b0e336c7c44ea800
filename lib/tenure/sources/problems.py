"""A problem with the data, and the rule that it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import ibis.expr.types as ir

from tenure import legible
from tenure.contract import Table
from tenure.sources.connect import collect

Severity = Literal["error", "warning"]

SAMPLES = 3


@dataclass(frozen=True)
class Problem:
    """A rule that the data breaks.

    Attributes:
        severity: An error stops a run; a warning is printed in the report.
        rule: The rule's name.
        table: The table it is about.
        column: The column; empty where it is about whole rows.
        count: Rows that break it.
        rows: Rows the table has.
        sample: A few of them, in words.
        sentence: What is wrong, with the count and an example.
        fix: What to do about it.
    """

    severity: Severity
    rule: str
    table: str
    column: str
    count: int
    rows: int
    sample: tuple[str, ...]
    sentence: str
    fix: str


@dataclass(frozen=True)
class Rule:
    """A rule; `shows` names the columns whose values tell its examples."""

    name: str
    column: str
    says: str
    fix: str
    bad: ir.BooleanValue | None = None
    shows: tuple[str, ...] = ()
    severity: Severity = "warning"

    def broken(self, table: str, count: int, rows: int, sample: tuple[str, ...]) -> Problem:
        """The problem that so many of its rows break the rule."""
        example = f", for example {sample[0]}" if sample else ""
        where = f"{table}.{self.column}" if self.column and "," not in self.column else table
        sentence = f"{where}: {count:,} of {rows:,} rows {self.says}{example}."
        return Problem(self.severity, self.name, table, self.column, count, rows, sample, sentence, self.fix)


def count_of(table: ir.Table) -> int:
    """How many rows there are."""
    return int(collect(table.count()).to_numpy().item())


def sample_of(contract: Table, bad: ir.Table, shows: tuple[str, ...]) -> tuple[str, ...]:
    """A few offending rows in words, the same ones whatever order the rows come in."""
    ids = contract.key or contract.column_names
    told = [name for name in dict.fromkeys((*ids[:1], *shows)) if name in bad.columns]
    rows = bad.select(*[bad[name].cast("string").name(name) for name in told])
    sample = []
    for row in collect(rows.order_by(*told).limit(SAMPLES)).to_dict("records"):
        given = {name: short(value) for name, value in row.items() if isinstance(value, str)}
        head = named_row(told[0], given[told[0]]) if told[0] in given else "a row without one"
        rest = [given[name] for name in told[1:] if name in given]
        span = len(rest) == 2 and shows[0] in told and shows[-1].endswith("_at")
        sample.append(f"{head} ({(' to ' if span else ', ').join(rest)})" if rest else head)
    return tuple(sample)


def named_row(column: str, value: str) -> str:
    """A row by its id, in words."""
    return f"{column.removesuffix('_id').replace('_', ' ')} {short(value)!r}"


def short(value: str) -> str:
    """A value as a sentence names it: on one line, and a time without what is zero in it."""
    return legible.value(value.removesuffix(".000000").removesuffix(" 00:00:00"))
