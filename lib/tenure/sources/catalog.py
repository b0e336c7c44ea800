"""What a place holds, before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
from ibis.common.exceptions import TableNotFound

from tenure.errors import InputError
from tenure.sources.engine import guarded


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
        open: Opens one by its name; a text file that is not in UTF-8 by its encoding, too.
        whole: Whether the place holds this data and nothing else, so that a stray table is worth a word.
        files: Whether they are files, which may be text in any encoding.
        sole: The only table's name where the place is a single file.
    """

    connection: ibis.BaseBackend
    url: str
    names: tuple[str, ...]
    open: Callable[..., Raw]
    whole: bool = True
    sole: str | None = None
    files: bool = False

    def may_have(self, name: str) -> bool:
        """Whether it may hold a table: a database in another schema, too, which its list leaves out."""
        return name in self.names or (not self.whole and "." in name)


def open_raw(catalog: Catalog, name: str, encoding: str = "") -> Raw:
    """Open one of the tables of a place.

    Raises:
        InputError: It cannot be read, or it has an encoding and is no text file.
    """
    if encoding and not catalog.files:
        raise InputError(f"encoding: {catalog.url} is a database, which knows its own. Fix: remove the key.")
    return catalog.open(name, encoding) if encoding else catalog.open(name)


def raw_table(
    connection: Any, shown: str, read: Callable[[Any, ir.Table], ir.Table], name: str, database: str = ""
) -> Raw:
    """Open a table of a database, by its name or by that of its schema, too."""
    *schema, table = name.split(".")
    place = ".".join(schema) or database or None
    try:
        return Raw(guarded(lambda: read(connection, connection.table(table, database=place)), name))
    except TableNotFound:
        raise InputError(f"{shown} has no table {name!r}. Fix: correct its name.") from None
