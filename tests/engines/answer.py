"""Ask every case of one engine, in a process of its own: ``python -m engines.answer URL OUT [CASE …]``."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import ibis.expr.operations as ops
import ibis.expr.types as ir

import tenure
from engines.cases import CASES
from tenure.sources import Source

Answer = dict[str, Any]


def answers(url: str, names: list[str]) -> dict[str, Answer]:
    """The rows of each case, as plain values, or why there are none."""
    opened = tenure.open_source(url)
    source = Noting(**{field.name: getattr(opened, field.name) for field in fields(opened)})
    found: dict[str, Answer] = {}
    for name in names:
        began = time.perf_counter()
        source.asked.clear()
        try:
            expr = source.note(CASES[name](source))
            schema = expr.schema()
            frame = tenure.collect(expr)
            whole = [kind.is_integer() for kind in schema.values()]
            rows = [tuple(map(plain, row, whole)) for row in frame.itertuples(index=False, name=None)]
            found[name] = {
                "columns": list(frame.columns),
                "types": [str(kind.copy(nullable=True)) for kind in schema.values()],
                "rows": sorted(rows, key=order),
                "operations": set(source.asked),
            }
        except Exception:
            found[name] = {"error": traceback.format_exc(limit=-4)[-3000:]}
        found[name]["seconds"] = time.perf_counter() - began
        print(f"{found[name]['seconds']:6.2f} s  {name}", flush=True)
    return found


class Noting(Source):
    """A source that notes the operations of what is settled, which the last expression does not show."""

    asked: ClassVar[set[str]] = set()

    def note(self, table: ir.Table) -> ir.Table:
        self.asked.update(type(node).__name__ for node in table.op().find(ops.Node))
        return table

    def settle(self, key: Hashable, make: Callable[[], ir.Table], *, share: bool = False) -> ir.Table:
        table = self.note(make())
        return super().settle(key, lambda: table, share=share)

    def stage(self, key: Hashable, make: Callable[[], ir.Table]) -> ir.Table:
        table = self.note(make())
        return super().stage(key, lambda: table)


def plain(value: Any, whole: bool) -> Any:
    """A value as Python has it; whatever is missing is None."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value != value or str(value) == "NaT":
        return None
    if whole and isinstance(value, float | decimal.Decimal):
        # pandas turns whole numbers into floats where one is missing.
        assert value == int(value)
        return int(value)
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return value


def order(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A key by which rows of any values sort alike everywhere; numbers that differ by a rounding tie."""
    return tuple(
        (value is not None, f"{value:.6g}" if isinstance(value, float) else repr(value)) for value in row
    )


def differences(ours: Answer, theirs: Answer) -> str:
    """What differs between two answers, in words; empty where they are the same."""
    for answer in (ours, theirs):
        if "error" in answer:
            return answer["error"]
    for part in ("columns", "types"):
        if ours[part] != theirs[part]:
            return f"{part}: {ours[part]} there {theirs[part]}"
    if len(ours["rows"]) != len(theirs["rows"]):
        return f"{len(ours['rows'])} rows, there {len(theirs['rows'])}" + _unshared(ours, theirs)
    for mine, other in zip(ours["rows"], theirs["rows"], strict=True):
        if not all(map(same, mine, other)):
            return f"{dict(zip(ours['columns'], mine, strict=True))} there {other}"
    return ""


def same(a: Any, b: Any) -> bool:
    """Equal, and of one type; floating point to a few units in the last places, as sums are in any order."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return type(a) is type(b) and a == b


def _unshared(ours: Answer, theirs: Answer) -> str:
    mine, other = set(map(order, ours["rows"])), set(map(order, theirs["rows"]))
    return f"; only here {sorted(mine - other)[:3]}, only there {sorted(other - mine)[:3]}"


if __name__ == "__main__":
    url, out, *only = sys.argv[1:]
    Path(out).write_bytes(pickle.dumps(answers(url, only or list(CASES))))
