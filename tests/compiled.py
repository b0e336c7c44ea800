"""Compile a question once for all tests of a process that ask it of companies with the same columns.

Tests ask the same questions of one small company after another, and what that costs is mostly Ibis's compiling.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import ibis.expr.operations as ops
from ibis.backends.sql import SQLBackend
from ibis.common.graph import Node

_TABLES = (ops.DatabaseTable, ops.InMemoryTable)
# What Tenure and Ibis call the tables that they make themselves: each time anew, and like no column.
_MADE = re.compile(r"(kept|table|view|ibis_\w+)_\w{8,}")

_MOST = 500  # of some 100 KB each


def once() -> None:
    """Have DuckDB's compiler remember what it has compiled, by all of an expression but its tables' names."""
    compiled: dict[tuple[Any, ...], str] = {}
    compile_anew = SQLBackend.compile

    def compile_once(engine: Any, expr: Any, /, **options: Any) -> str:
        if engine.name != "duckdb" or options.get("params"):
            return compile_anew(engine, expr, **options)
        try:
            question, tables = _shape(expr.as_table().op())
        except RecursionError:
            return compile_anew(engine, expr, **options)
        key = (*question, *options.items())
        if key not in compiled:
            sql = compile_anew(engine, expr, **options)
            for place, table in enumerate(tables):
                sql = sql.replace(f'"{table.name}"', f'"\0{place}"')
            if len(compiled) == _MOST:
                compiled.clear()
            compiled[key] = sql
        sql = compiled[key]
        for place, table in enumerate(tables):
            sql = sql.replace(f'"\0{place}"', f'"{table.name}"')
        return sql

    SQLBackend.compile = compile_once


def _shape(op: Node) -> tuple[list[tuple[Any, ...]], list[Any]]:
    """An expression's nodes, each with the numbers of those it is made of, and its tables, which have none."""
    numbers: dict[Node, int] = {}
    nodes: list[tuple[Any, ...]] = []
    tables: list[Any] = []

    def told(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple([told(part) for part in value])
        if isinstance(value, Mapping):
            return tuple([(name, told(part)) for name, part in value.items()])
        if not isinstance(value, Node):
            return value
        if value not in numbers:
            if isinstance(value, _TABLES) and _MADE.fullmatch(value.name):
                tables.append(value)
                node = (type(value), value.schema, getattr(value, "namespace", None))
            elif isinstance(value, _TABLES):
                node = (type(value), value.schema, value.name, getattr(value, "namespace", None))
            elif isinstance(value, ops.Literal):
                node = (ops.Literal, repr(value.value), value.dtype)
            else:
                node = (type(value), *[told(part) for part in value.__args__])
            numbers[value] = len(nodes)
            nodes.append(node)
        return Node, numbers[value]

    told(op)
    return nodes, tables
