"""What a place holds, before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir


@dataclass(frozen=True)
class Raw:
    """A table as it was found.

    Attributes:
        table: Its columns under their own names.
        text: Whether every column is text, because a CSV file has no types.
    """

    table: ir.Table
    text: bool = False


@dataclass(frozen=True)
class Catalog:
    """The tables that a place holds, before anything is made of them.

    Attributes:
        connection: The Ibis backend that reads them.
        url: Where they are, safe to show.
        names: Their names, in order.
        open: Opens one by its name.
        whole: Whether the place holds this data and nothing else, so that a stray table is worth a word.
        sole: The only table's name where the place is a single file.
    """

    connection: ibis.BaseBackend
    url: str
    names: tuple[str, ...]
    open: Callable[[str], Raw]
    whole: bool = True
    sole: str | None = None
