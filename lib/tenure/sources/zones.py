"""Time zones: an instant as the clocks of a zone showed it, and back.

Twice a year clocks change. A time that they skip is read as if they had not been put forward yet. A time that
they show twice is read by DuckDB and PostgreSQL as the second, by Spark as the first; and as a clock does not
tell the two apart, a duration over the change is an hour off.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.datatypes as types
import ibis.expr.operations as ops
import ibis.expr.types as ir

from tenure.errors import InputError

_CLOCK, _INSTANT = types.timestamp, types.Timestamp("UTC")
_FIRST, _LAST = dt.datetime(1970, 1, 1), dt.datetime(2038, 1, 1)
_WEEK, _SECOND = dt.timedelta(days=7), dt.timedelta(seconds=1)


@ibis.udf.scalar.builtin(name="timezone", signature=((types.string, _CLOCK), _INSTANT))
def _from(zone, clock): ...


@ibis.udf.scalar.builtin(name="timezone", signature=((types.string, _INSTANT), _CLOCK))
def _to(zone, instant): ...


@ibis.udf.scalar.builtin(name="to_utc_timestamp", signature=((_INSTANT, types.string), _INSTANT))
def _spark_from(clock, zone): ...


@ibis.udf.scalar.builtin(name="from_utc_timestamp", signature=((_INSTANT, types.string), _INSTANT))
def _spark_to(instant, zone): ...


def moved(time: ir.Value, origin: str, zone: str) -> ir.Value:
    """Return what the clocks of `zone` showed when those of `origin` showed a time.

    Args:
        time: Timestamps without a zone.
        origin: The zone of these clocks, such as UTC.
        zone: The zone of those.

    Raises:
        InputError: The engine does not know time zones.

    Example:
        >>> noon = ibis.timestamp("2024-07-01 12:00:00")
        >>> str(moved(noon, "UTC", "Europe/Rome").execute())
        '2024-07-01 14:00:00'
    """
    if origin == zone:
        return time
    backend: Any = time._find_backend(use_default=True)
    if backend.name not in ("duckdb", "postgres", "pyspark"):
        raise InputError(
            f"{backend.name} cannot move times from {origin} to {zone}. Fix: have a view do it, and say "
            f"`time_zone: {zone}` in the mapping."
        )
    spark = backend.name == "pyspark"
    if origin != "UTC":
        time = _spark_from(time.cast(_INSTANT), origin) if spark else _from(origin, time)
        time = time.cast(_CLOCK)
    if zone == "UTC":
        return time
    if spark:
        return _spark_to(time.cast(_INSTANT), zone).cast(_CLOCK)
    column = time.op().arg if isinstance(time.op(), ops.Cast) else time.op()
    if backend.name == "duckdb" and isinstance(column, ops.Field):
        return _macro(backend, zone)(time)
    return _to(zone, time.cast(_INSTANT))


def _macro(backend: Any, zone: str) -> Any:
    """A macro of DuckDB's session, for columns: it takes a fifteenth of the time that `timezone` does."""
    name = f"tenure_{''.join(c if c.isalnum() else '_' for c in zone)}".lower()
    backend.raw_sql(f"CREATE OR REPLACE TEMPORARY MACRO {name}(clock) AS {_halved(_changes(zone))}")
    return ibis.udf.scalar.builtin(lambda clock: None, name=name, signature=((_CLOCK,), _CLOCK))


def _halved(changes: list[tuple[dt.datetime, dt.timedelta]]) -> str:
    """SQL that adds the offset that holds at a time, found by halving."""
    if len(changes) == 1:
        return f"clock + INTERVAL '{int(changes[0][1].total_seconds())} seconds'"
    half = len(changes) // 2
    before, after = _halved(changes[:half]), _halved(changes[half:])
    return f"CASE WHEN clock < TIMESTAMP '{changes[half][0]}' THEN {before} ELSE {after} END"


@cache
def _changes(name: str) -> list[tuple[dt.datetime, dt.timedelta]]:
    """When a zone's offset from UTC changed from 1970 to 2037, and to what; the first also holds before."""
    zone = ZoneInfo(name)

    def offset(at: dt.datetime) -> dt.timedelta:
        return at.replace(tzinfo=dt.UTC).astimezone(zone).utcoffset() or dt.timedelta()

    found, at = [(_FIRST, offset(_FIRST))], _FIRST
    while at < _LAST:
        if offset(at + _WEEK) != offset(at):
            seconds = range(_WEEK // _SECOND + 1)
            later = bisect_left(seconds, True, key=lambda n: offset(at + n * _SECOND) != offset(at))
            found.append((at + later * _SECOND, offset(at + later * _SECOND)))
        at += _WEEK
    return found
