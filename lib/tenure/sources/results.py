"""Results of a row per customer: kept in the engine, streamed out of it, or written down by it.

They never pass through pandas. What is small comes out by `tenure.collect`.
"""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Any

import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.errors import InputError, writing
from tenure.paths import resolve
from tenure.sources.engine import guarded, may_not_write, written

_NAME = re.compile(r"(?:[A-Za-z_]\w*\.){0,2}[A-Za-z_]\w*")
_ROWS_AT_ONCE = 250_000


def kept(table: ir.Table) -> ir.Table:
    """Have the engine compute a table once, for all that is asked of it later in this session.

    It is kept until nothing uses it any more. Where this user may write nothing at all, the table is returned
    as it was, to be computed each time.

    Example:
        >>> import ibis
        >>> stays = kept(ibis.memtable({"customer_id": ["C1", "C2"]}).mutate(spell=1))
        >>> stays.count().execute()
        2
    """
    backend: Any = table.get_backend()
    exact = _exact(table)
    try:
        if backend.name == "pyspark" and hasattr(backend._session, "sparkContext"):
            return _checkpointed(backend, exact)
        return written(backend, "TABLE", exact) if backend.name in ("duckdb", "postgres") else exact.cache()
    except Exception as error:
        if may_not_write(error):
            return table
        raise


def _checkpointed(backend: Any, table: ir.Table) -> ir.Table:
    """A table that Spark has computed, without its plan, which each query on a cached one would plan again.

    Its rows lie on the workers; a run that loses one of these ends, and is to be started again.
    """
    name = f"kept_{uuid.uuid4().hex[:12]}"
    _spark_frame(table).localCheckpoint().createOrReplaceTempView(name)
    return backend.table(name).cast(table.schema())


def batches(table: ir.Table) -> pa.RecordBatchReader:
    """Return the rows as Arrow record batches, a batch in memory at a time where the engine can.

    Spark brings all rows to its driver first.

    Raises:
        InputError: The engine cannot finish; in one sentence.

    Example:
        >>> import ibis
        >>> reader = batches(ibis.memtable({"customer_id": ["C1", "C2"]}))
        >>> sum(batch.num_rows for batch in reader)
        2
    """
    backend, table = table.get_backend(), _exact(table)
    if backend.name != "pyspark":
        return guarded(lambda: table.to_pyarrow_batches(chunk_size=_ROWS_AT_ONCE))
    schema = table.schema().to_pyarrow()
    found = guarded(lambda: _spark_frame(table).toArrow()).cast(schema)
    return pa.RecordBatchReader.from_batches(schema, found.to_batches(max_chunksize=_ROWS_AT_ONCE))


def write(table: ir.Table, place: str | Path, *, replace: bool = False) -> str:
    """Have the engine write the rows down: as a table beside the data, or as Parquet.

    Args:
        table: The rows.
        place: ``name``, ``schema.name`` or ``catalog.schema.name`` of a table of the engine; or a path that
            ends in ``.parquet``. A relative path counts from the project's root. With Spark it is a path
            that all workers can write to, and becomes a folder of files.
        replace: Whether what is there already may be replaced. It stays until the new rows are complete.

    Returns:
        The table's name or the path.

    Raises:
        InputError: It is there already, nothing may be written there, or the engine cannot finish.

    Example:
        >>> import ibis, tempfile
        >>> path = write(ibis.memtable({"customer_id": ["C1"]}), Path(tempfile.mkdtemp()) / "a.parquet")
        >>> pq.read_table(path).num_rows
        1
    """
    backend: Any = table.get_backend()
    table = _exact(table)
    if str(place).endswith(".parquet"):
        if backend.name == "pyspark":
            return _spark_files(table, str(place), replace)
        return _file(table, backend, resolve(place), replace)
    if not _NAME.fullmatch(str(place)):
        raise InputError(
            f"{str(place)!r} is neither a table's name nor a path that ends in .parquet. "
            f"Fix: give one of them, such as analytics.segments or segments.parquet."
        )
    if backend.name == "duckdb":
        raise InputError(
            f"{place}: the data is read from files, so there is no database to write a table to. "
            f"Fix: give a path that ends in .parquet."
        )
    *where, name = str(place).split(".")
    if not replace and name in guarded(lambda: backend.list_tables(database=".".join(where) or None)):
        raise _there(str(place))
    making = {"pyspark": _spark_table, "postgres": _postgres_table}.get(backend.name, _any_table)
    guarded(lambda: making(table, backend, str(place), replace), str(place))
    return str(place)


def save(table: ir.Table, path: str | Path) -> None:
    """Bring the rows here as one Parquet file, whichever engine has them; what is there is replaced.

    `write` has the engine write it, which with Spark is a place that its workers see. A relative path counts
    from the project's root.

    Raises:
        InputError: Nothing may be written there, or the engine cannot finish.

    Example:
        >>> import ibis, tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.parquet"
        >>> save(ibis.memtable({"customer_id": ["C1"]}), path)
        >>> pq.read_table(path).num_rows
        1
    """
    _file(_exact(table), table.get_backend(), resolve(path), replace=True)


def _exact(table: ir.Table) -> ir.Table:
    """Have the engine make the types that the expression tells.

    DuckDB and PostgreSQL make sums wider than what they add up, and a time of a date plus days; what Ibis
    takes for the right type already it does not cast.
    """
    kinds = table.schema().items()
    return table.select(**{name: ops.Cast(table[name], to=kind).to_expr() for name, kind in kinds})


def _file(table: ir.Table, backend: Any, path: Path, replace: bool) -> str:
    if path.exists() and not replace:
        raise _there(str(path))
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with writing(path, "name a folder with room to write to"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if backend.name == "duckdb":
                guarded(lambda: backend.to_parquet(table, draft, compression="zstd"), path.name)
            else:
                reader = batches(table)
                with pq.ParquetWriter(draft, reader.schema, compression="zstd", store_schema=False) as file:
                    for batch in _stream(reader, path.name):
                        file.write_batch(batch)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    return str(path)


def _stream(reader: pa.RecordBatchReader, name: str) -> Any:
    end = object()
    while (batch := guarded(lambda: next(reader, end), name)) is not end:
        yield batch


def _postgres_table(table: ir.Table, backend: Any, place: str, replace: bool) -> None:
    """In one transaction, so that readers see the old rows or the new ones."""
    backend._run_pre_execute_hooks(table)
    name = ".".join(f'"{part}"' for part in place.split("."))
    with backend.con.cursor() as cursor, backend.con.transaction():
        if replace:
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(f"CREATE TABLE {name} AS {backend.compile(table)}")


def _any_table(table: ir.Table, backend: Any, place: str, replace: bool) -> None:
    *where, name = place.split(".")
    backend.create_table(name, table, database=".".join(where) or None, overwrite=replace)


def _spark_table(table: ir.Table, backend: Any, place: str, replace: bool) -> None:
    mode = "overwrite" if replace else "error"
    _spark_frame(table).write.saveAsTable(place, format="parquet", mode=mode)


def _spark_files(table: ir.Table, path: str, replace: bool) -> str:
    if not replace:
        session = table.get_backend()._session
        reader = session.read.format("binaryFile").option("recursiveFileLookup", "true")
        try:
            there = bool(reader.load(path).select("path").limit(1).collect())
        except Exception:
            # It is not there, which is as it should be; anything else shows when it is written.
            there = False
        if there:
            raise _there(path)
    mode = "overwrite" if replace else "error"
    guarded(lambda: _spark_frame(table).write.parquet(path, mode=mode), path)
    return path


def _spark_frame(table: ir.Table) -> Any:
    backend: Any = table.get_backend()
    backend._run_pre_execute_hooks(table)
    return backend._session.sql(backend.compile(table))


def _there(place: str) -> InputError:
    return InputError(f"{place} is there already. Fix: name another place, or allow it to be replaced.")
