"""What a notebook asks of its engine: how many queries, and where their time goes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_COUNTS = {"queries": 0, "checks": 0, "settled": 0, "rows": 0}
_SECONDS = {"checking": 0.0, "building": 0.0, "compiling": 0.0, "running": 0.0}
_doing: list[str] = []
_since = [0.0]


def counters() -> dict[str, float]:
    """Return what this process has asked of its engines so far; run.json keeps it for each report.

    Returns:
        queries (answers brought here by `tenure.collect`), checks (answers to checks of the data, not among
        them), settled (tables that the engine computed once for several of them), rows (brought here), and
        the seconds of checking the data (but for its queries), building expressions (as far as `settle` and a
        workbook's `ask` do it), compiling them to SQL and running them.

    Example:
        >>> sorted(counters())
        ['building', 'checking', 'checks', 'compiling', 'queries', 'rows', 'running', 'settled']
    """
    return {**_COUNTS, **{what: round(seconds, 3) for what, seconds in _SECONDS.items()}}


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Count the time of a block as checking, building, compiling or running; a block within it as its own.

    Example:
        >>> with doing("running"), doing("compiling"):
        ...     pass
    """
    _charge()
    _doing.append(what)
    try:
        yield
    finally:
        _charge()
        _doing.pop()


def count(what: str, rows: int = 0) -> None:
    """Count a query or a settled table, and write the counters down where the run wants them."""
    _COUNTS["checks" if what == "queries" and "checking" in _doing else what] += 1
    _COUNTS["rows"] += rows
    if place := os.environ.get("TENURE_COUNTERS"):
        Path(place).write_text(json.dumps(counters()), encoding="utf-8")


def timed(connection: Any) -> None:
    """Have the time that a connection takes to compile counted."""
    compile_ = connection.compile

    def compiling(*args: Any, **options: Any) -> Any:
        with doing("compiling"):
            return compile_(*args, **options)

    connection.compile = compiling


def _charge() -> None:
    now = time.perf_counter()
    if _doing:
        _SECONDS[_doing[-1]] += now - _since[0]
    _since[0] = now
