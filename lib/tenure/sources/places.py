"""The places that hold tables: a folder, a file, a database."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from tenure.errors import InputError
from tenure.paths import project_root
from tenure.sources.address import Address
from tenure.sources.catalog import Catalog, Raw
from tenure.sources.databases import open_database
from tenure.sources.engine import embedded, first_line, kind_of, read_files
from tenure.sources.sheets import read_sheet, sheets


def open_catalog(address: Address) -> Catalog:
    """Find the tables of a place, without reading them.

    Raises:
        InputError: There is nothing to read, or it cannot be reached.
    """
    path, shown = address.path, address.shown
    if path is None:
        return open_database(address)
    if not path.exists():
        demo = path == project_root() / "data" / "demo"
        fix = (
            "run `tenure demo` to make it"
            if demo
            else "correct the path" + "; a relative one counts from the project's root" * (str(path) != shown)
        )
        raise InputError(f"{shown} does not exist. Fix: {fix}.")
    if path.is_dir():
        return _folder(path, shown)
    if path.suffix == ".duckdb" or address.text.startswith("duckdb://"):
        return _duckdb_file(path, shown)
    if kind_of(path)[1]:
        engine, files = embedded(), dict.fromkeys(_tables_of(path), (path,))
        sole = next(iter(files)) if len(files) == 1 else None
        return Catalog(
            engine, shown, tuple(files), partial(_from_files, engine, files), sole=sole, files=True
        )
    raise InputError(
        f"{shown} is neither a folder, a .parquet, a .csv, a .xlsx nor a .duckdb file. "
        f"Fix: convert it to one of these, or give a database's URL."
    )


def _folder(path: Path, shown: str) -> Catalog:
    files: dict[str, tuple[Path, ...]] = {}
    for entry in sorted(path.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            inside = tuple(
                file
                for file in sorted(entry.iterdir())
                if file.is_file() and kind_of(file)[1] and not file.name.startswith((".", "_"))
            )
        else:
            inside = (entry,) if kind_of(entry)[1] else ()
        if not inside:
            continue
        for name in _tables_of(entry):
            if name in files:
                both = " and ".join(sorted({files[name][0].relative_to(path).parts[0], entry.name}))
                raise InputError(f"{name}: {shown} holds it twice, as {both}. Fix: keep one of them.")
            if len({kind_of(file)[1] for file in inside}) > 1:
                raise InputError(
                    f"{name}: {shown}/{name} holds several kinds of files. Fix: keep CSV or Parquet."
                )
            files[name] = inside
    if not files:
        raise InputError(
            f"{shown} holds no .parquet, no .csv and no .xlsx files. "
            f"Fix: put the tables there as <table>.parquet or <table>.csv; data/README.md lists them."
        )
    engine = embedded()
    return Catalog(engine, shown, tuple(files), partial(_from_files, engine, files), files=True)


def _tables_of(entry: Path) -> list[str]:
    """What the tables of a file or folder are called: of a spreadsheet with several sheets as these are."""
    name, kind = kind_of(entry) if entry.is_file() else (entry.name, "")
    names = sheets(entry) if kind == "xlsx" else []
    return names if len(names) > 1 else [name]


def _from_files(engine: Any, files: Mapping[str, tuple[Path, ...]], name: str, encoding: str = "") -> Raw:
    kind = kind_of(files[name][0])[1]
    if encoding and kind != "csv":
        raise InputError(f"{name}.encoding: {files[name][0].name} is no text file. Fix: remove the key.")
    if kind == "xlsx":
        return Raw(read_sheet(engine, files[name], name), text=True)
    return Raw(read_files(engine, files[name], name, encoding), text=kind == "csv")


def _duckdb_file(path: Path, shown: str) -> Catalog:
    engine = embedded()
    path.open("rb").close()
    try:
        engine.attach(path, name="data", read_only=True)
    except (duckdb.Error, RuntimeError) as error:
        raise InputError(
            f"{shown} cannot be opened as a DuckDB file: {first_line(error)}. Fix: close programs that "
            f"have it open for writing, or export its tables as Parquet where a newer DuckDB wrote it."
        ) from None
    names = tuple(sorted(engine.list_tables(database=("data", "main"))))
    return Catalog(engine, shown, names, lambda name: Raw(engine.table(name, database=("data", "main"))))
