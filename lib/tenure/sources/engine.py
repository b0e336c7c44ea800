"""The embedded engine, and the files it reads."""

from __future__ import annotations

import csv
import gzip
import os
import re
import shutil
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.errors import InputError, writing
from tenure.machine import Temporary, cores, memory, scratch
from tenure.sources.address import ambient, redact

T = TypeVar("T")

_TEXT = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_KINDS = {**dict.fromkeys(_TEXT, "csv"), ".parquet": "parquet", ".xlsx": "xlsx"}
_SIZE = r"(?=.*[1-9])\d+(\.\d+)?\s*([KMGT]?i?B|%)"
_SETTINGS = {"TENURE_MEMORY_LIMIT": (_SIZE, "4GB"), "TENURE_TEMP_LIMIT": (_SIZE, "20GB")}
_SETTINGS |= {"TENURE_THREADS": (r"[1-9]\d{0,2}", "4")}
_UNNAMED = "__unnamed_"


def kind_of(file: Path) -> tuple[str, str]:
    """Return the name of a file without its endings, and its kind: csv, parquet, xlsx or nothing we read.

    Example:
        >>> kind_of(Path("export/Subscriber.txt.gz")), kind_of(Path("notes.pdf"))
        (('Subscriber', 'csv'), ('notes.pdf', ''))
    """
    for ending, kind in _KINDS.items():
        if file.name.lower().endswith(ending):
            return file.name[: -len(ending)], kind
    return file.name, ""


def embedded() -> Any:
    """Return an in-memory DuckDB that spills to disk rather than eat the machine.

    TENURE_MEMORY_LIMIT (60 % of the memory unless set), TENURE_THREADS (all), TENURE_TEMP_DIRECTORY and
    TENURE_TEMP_LIMIT (80 % of its free room) bound it.

    Raises:
        InputError: One of these settings is none.
    """
    for name, (form, example) in _SETTINGS.items():
        if (given := os.environ.get(name)) and not re.fullmatch(form, given.strip(), re.IGNORECASE):
            raise InputError(f"The setting {name} is {given!r}. Fix: set it to something like {example}.")
    room = _room(scratch())
    with writing(scratch(), "name a folder with room to spill with TENURE_TEMP_DIRECTORY"):
        folder = Temporary(scratch())
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": os.environ.get("TENURE_MEMORY_LIMIT") or f"{int(memory() * 0.6) // 2**20}MiB",
        "threads": os.environ.get("TENURE_THREADS") or str(cores()),
        "temp_directory": str(folder.path / "spilled"),
        "max_temp_directory_size": os.environ.get("TENURE_TEMP_LIMIT") or room,
        # Results are ordered where it matters; keeping the order of files would cost memory.
        "preserve_insertion_order": "false",
        # Nothing may be fetched from the network behind the reader's back.
        "autoinstall_known_extensions": "false",
    }
    try:
        connection = duckdb.connect(":memory:", config=settings)
    except duckdb.Error as error:
        raise InputError(
            f"The engine refuses its settings: {first_line(error)}. Fix: correct TENURE_MEMORY_LIMIT "
            f"(such as 4GB), TENURE_THREADS (a whole number) or TENURE_TEMP_LIMIT (such as 20GB)."
        ) from None
    with suppress(duckdb.InvalidInputException):  # where it could not be drawn, it cannot be set either
        connection.execute("SET enable_progress_bar = false")  # it would write into a notebook's output
    engine = ibis.duckdb.from_connection(connection)  # sets the session's time zone to UTC
    weakref.finalize(engine, folder.remove)
    return engine


def _room(place: Path) -> str:
    try:
        free = shutil.disk_usage(place).free
    except OSError:
        raise InputError(
            f"TENURE_TEMP_DIRECTORY: {place} does not exist. Fix: name a folder with room to spill."
        ) from None
    return f"{max(int(free * 0.8) // 2**20, 64)}MiB"


def read_files(engine: Any, files: tuple[Path, ...], name: str, encoding: str = "") -> ir.Table:
    """Open the CSV or Parquet files of a table, which must agree on columns and types.

    Args:
        engine: The embedded engine.
        files: All CSV or all Parquet; every column of CSV is text.
        name: The table's name in sentences.
        encoding: How CSV files are encoded, such as cp1252; empty: as UTF-8.

    Raises:
        InputError: A file is empty, damaged, or disagrees with the first.
    """
    for file in files:
        if not file.stat().st_size:
            raise InputError(f"{name}: the file {file.name} is empty. Fix: write it again, or remove it.")
        file.open("rb").close()  # what the user may not read is not damaged
    if kind_of(files[0])[1] == "csv":
        if encoding:
            files = _in_utf8(engine, files, name, encoding)
        return guarded(lambda: _csv(engine, files, name), name)
    schemas = {file: _parquet_schema(file, name) for file in files}
    _agree(schemas, name)
    paths = [_literal(file) for file in files]
    # Without this a folder named a=b on the way would add a column a.
    return guarded(lambda: engine.read_parquet(paths, hive_partitioning=False), name)


def _parquet_schema(file: Path, name: str) -> dict[str, str]:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{name}: {file.name} cannot be read as Parquet ({first_line(error)}). "
            f"Fix: write the file again; it is damaged or is not Parquet."
        ) from None
    _once(schema.names, file, name)
    kinds = {c.name: c.type.value_type if pa.types.is_dictionary(c.type) else c.type for c in schema}
    return {name: str(kind).removeprefix("large_").removesuffix("_view") for name, kind in kinds.items()}


def _in_utf8(engine: Any, files: tuple[Path, ...], name: str, encoding: str) -> tuple[Path, ...]:
    """Copies of text files in UTF-8, which last as long as the engine."""
    folder = Temporary(scratch())
    weakref.finalize(engine, folder.remove)
    copies = tuple((folder.path / file.name).with_suffix(".csv") for file in files)
    for file, plain in zip(files, copies, strict=True):
        try:
            with opened(file, encoding) as given, plain.open("w", encoding="utf-8", newline="") as copy:
                shutil.copyfileobj(given, copy)
        except (LookupError, UnicodeError):
            raise InputError(
                f"{name}.encoding: {file.name} cannot be read as {encoding}. Fix: name another, such as "
                f"cp1252 (Windows), utf-16 or latin-1."
            ) from None
    return copies


def _csv(engine: Any, files: tuple[Path, ...], name: str) -> ir.Table:
    """Read everything as text: what a value means is the contract's matter, not a guess's."""
    found = {file: _csv_header(file, name) for file in files}
    delimiter, header = found[files[0]]
    for file, (mark, columns) in found.items():
        says = ""
        if mark != delimiter:
            says = f"separates columns by {mark!r} and {files[0].name} by {delimiter!r}"
        elif sorted(columns) == sorted(header) and columns != header:
            says = f"has its columns in another order than {files[0].name}"
        if says:
            fix = "write all files of a table in the same way"
            raise InputError(f"{name}: {file.name} {says}. Fix: {fix}.")
    _agree({file: dict.fromkeys(columns, "text") for file, (_, columns) in found.items()}, name)
    table = engine.read_csv(
        [_literal(file) for file in files],
        columns=dict.fromkeys(header, "VARCHAR"),
        header=True,
        auto_detect=False,
        delim=delimiter,
        quote='"',
        escape='"',
        hive_partitioning=False,
    )
    return table.drop(*[column for column in header if column.startswith(_UNNAMED)])


def opened(file: Path, encoding: str) -> Any:
    """Open a text file, packed or not."""
    pack = gzip.open if file.suffix.lower() == ".gz" else open
    return pack(file, "rt", encoding=encoding, newline="")


def _csv_header(file: Path, name: str) -> tuple[str, list[str]]:
    """The separator and the column names that a CSV file's first line gives."""
    try:
        with opened(file, "utf-8-sig") as lines:
            line = lines.readline()
    except (UnicodeDecodeError, gzip.BadGzipFile):
        line = ""
    if not line.strip():
        raise InputError(
            f"{name}: {file.name} does not begin with column names in UTF-8. Fix: name its encoding in a "
            f"mapping, such as `encoding: cp1252`, or write it again in UTF-8."
        )
    delimiter = max(",;\t|", key=line.count)
    header = [column.strip() for column in next(csv.reader([line], delimiter=delimiter))]
    _once([column for column in header if column], file, name)
    # A nameless column is the row number that some programs write; it means nothing.
    return delimiter, [column or f"{_UNNAMED}{i}" for i, column in enumerate(header)]


def _once(columns: list[str], file: Path, name: str) -> None:
    """Refuse two columns of one name, in which no engine tells letters of either case apart."""
    seen: dict[str, str] = {}
    for column in columns:
        if (other := seen.setdefault(column.casefold(), column)) is not column:
            also = f" (in capitals or not: {other!r})" if other != column else ""
            raise InputError(
                f"{name}.{column}: {file.name} has two columns of that name{also}. Fix: rename one of them."
            )


def _agree(schemas: dict[Path, dict[str, str]], name: str) -> None:
    """Refuse files of a table that disagree; an engine would silently take the first one's word."""
    first, expected = next(iter(schemas.items()))
    for file, schema in schemas.items():
        for column in {**expected, **schema}:
            one, other = expected.get(column), schema.get(column)
            if one == other:
                continue
            if one and other:
                both = f"{file.name} holds {other} and {first.name} holds {one}"
            else:
                lacks, has = (first, file) if other else (file, first)
                both = f"{lacks.name} lacks the column, which {has.name} has"
            fix = "write all files of a table with the same columns and types"
            raise InputError(f"{name}.{column}: {both}. Fix: {fix}.")


def keep(engine: Any, table: ir.Table) -> ir.Table:
    """Store the rows in the engine, so that a CSV file is parsed once; they spill to disk if they must."""
    return engine.create_table(f"kept_{uuid.uuid4().hex[:8]}", table, temp=True).cast(table.schema())


def named(engine: Any, table: ir.Table) -> ir.Table:
    """Give an expression a name in the engine, as a view of this session.

    A query that uses an expression twice would have DuckDB and PostgreSQL write its rows down in between; a
    view's are read again, with only the columns needed: a tenth of the memory.
    """
    return written(engine, "VIEW", table) if engine.name in ("duckdb", "postgres") else table


def may_settle(engine: Any) -> bool:
    """Whether temporary tables may be made: a replica refuses them, and may refuse them to who only reads."""
    if engine.name != "postgres":
        return True
    try:
        _say(engine, "CREATE TEMPORARY TABLE tenure_trial ()")
        _say(engine, "DROP TABLE tenure_trial")
    except Exception as error:
        if not may_not_write(error):
            raise
        return False
    return True


def written(engine: Any, kind: str, table: ir.Table) -> ir.Table:
    """Write an expression down in DuckDB or PostgreSQL, as a temporary TABLE or VIEW of this session.

    A table is dropped when nothing uses it any more.
    """
    # Ibis's own would have PostgreSQL's text compared by a language, where ours is compared byte by byte.
    engine._run_pre_execute_hooks(table)
    name = f"{kind.lower()}_{uuid.uuid4().hex[:8]}"
    _say(engine, f"CREATE TEMPORARY {kind} {name} AS {engine.compile(table)}")
    if kind == "TABLE" and engine.name == "postgres":
        _say(engine, f"ANALYZE {name}")
    op = ops.DatabaseTable(name, schema=table.schema(), source=engine)
    if kind == "TABLE":
        weakref.finalize(op, _forget, engine, name).atexit = False
    return op.to_expr()


def _say(engine: Any, sql: str) -> None:
    if engine.name == "duckdb":
        engine.con.execute(sql)
        return
    with engine.con.cursor() as cursor:
        cursor.execute(sql)


def _forget(engine: Any, name: str) -> None:
    # A session that is closed or broken has forgotten it already.
    with suppress(duckdb.Error, OSError):
        if engine.name == "duckdb" or not (engine.con.closed or engine.con.broken):
            _say(engine, f"DROP TABLE IF EXISTS {name} CASCADE")  # and views of it, which are used no more


def _literal(path: Path) -> str:
    """A path in which no character is a wildcard."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def guarded(run: Callable[[], T], name: str = "") -> T:
    """Run something in the engine; what the engine complains of becomes one sentence."""
    message = ""
    try:
        return run()
    except Exception as error:
        # Mistakes of ours keep their traceback; an engine's words are for the reader.
        origin = type(error).__module__.split(".")[0]
        ours = origin in {"builtins", "ibis", "tenure", "pandas", "numpy"}
        # Of these Python itself says that a server has gone.
        if ours and not isinstance(error, ConnectionError | EOFError):
            raise
        label = f"{name}: " if name else ""
        says = redact(first_line(error), ambient())
        problem, fix = _diagnosis(error, origin)
        if name.endswith((".query", ".where")) and problem == _UNREADABLE[0]:
            problem, fix = "it cannot be run", "correct the SQL"
        message = f"{label}{problem} ({says}). Fix: {fix}."
    raise InputError(message)


_UNREADABLE = ("the engine cannot read the data", "correct or rewrite what it names")
_SCALE = "docs/scale.md tells how much is needed"
_MORE_ROOM = {
    "duckdb": "give it more memory with TENURE_MEMORY_LIMIT, or more disk with TENURE_TEMP_DIRECTORY and "
    "TENURE_TEMP_LIMIT",
    "psycopg": "raise work_mem, temp_file_limit or the disk's room on the server, or ask for fewer months",
    "spark": "give its workers more with ?spark.executor.memory=8g in the address (?spark.driver.memory=8g "
    "where it runs in this process)",
}
_PROBLEMS = (
    (
        r"out of memory|OutOfMemory|heap space|GC overhead|exit code 137|No space left|53[12]00|53400"
        r"|UNABLE_TO_ACQUIRE_MEMORY|CANNOT_ACQUIRE_MEMORY|temp_file_limit|maxResultSize",
        "the engine ran out of room",
        "{room}",
    ),
    (
        r"permission denied|INSUFFICIENT_PERMISSIONS|AccessControl|not authorized|PERMISSION_DENIED|42501",
        "this may not be read",
        "ask for the right to read it, or name another user in the address",
    ),
    (
        # Java that is short of memory may end before it can say so.
        r"SparkContext was shut down|stopped SparkContext|answer from Java side is empty|Py4JNetworkError"
        r"|while calling \S+ Py4JError",
        "Spark has ended, most likely because it ran out of room, or because it was stopped",
        "check that its server runs, and if nobody stopped it, {room}",
    ),
    (
        r"server closed the connection|connection (is|was|already) (lost|closed)|terminating connection"
        r"|Connection refused|UNAVAILABLE|Checkpoint block|All masters are unresponsive|08006|57P0[123]",
        "the connection to the engine was lost",
        "check that the server runs, and start again",
    ),
    (
        r"TProtocol|Snappy|decompress|ZSTD|snappy|Parquet file|corrupt",
        "a file is damaged or is not what its name says",
        "write it again",
    ),
    (
        r"statement timeout|57014",
        "the engine was told to stop the query, which took too long",
        "raise the server's statement_timeout for this user",
    ),
)


def _diagnosis(error: Exception, origin: str) -> tuple[str, str]:
    """What an engine's error means, and what to do about it."""
    family = origin if origin in _MORE_ROOM else "spark"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "the engine ran out of room", f"{_MORE_ROOM['duckdb']}; {_SCALE}"
    words = f"{_sqlstate(error)} {_words(error)} {_causes(error)}"
    for pattern, problem, fix in _PROBLEMS:
        if re.search(pattern, words, re.IGNORECASE):
            return problem, fix.format(room=f"{_MORE_ROOM[family]}; {_SCALE}")
    return _UNREADABLE


def may_not_write(error: Exception) -> bool:
    """Whether an engine says that nothing may be written, not even a name: a replica, or a reader."""
    return _sqlstate(error) in ("42501", "25006") or "INSUFFICIENT_PERMISSIONS" in _words(error)


def _sqlstate(error: Exception) -> str:
    return str(getattr(error, "sqlstate", None) or "")


def _causes(error: BaseException | None) -> str:
    """The kinds of an error and of those behind it: a Java process that is gone has no words."""
    kinds = []
    while error is not None:
        kinds.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return " ".join(kinds)


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # an error of Java's is asked of Java, which may have ended since
        return "answer from Java side is empty"


def first_line(error: BaseException) -> str:
    """Return what an engine says in a line: for a CSV file with the file, the row and the reason."""
    lines = [line.strip() for line in _words(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines[0].startswith("An error occurred while calling") and len(lines) > 1:
        # What Java said comes after what Python called, and its first cause last.
        causes = [line for line in lines if line.startswith("Caused by: ")]
        lines = [re.sub(r"^(?:Caused by)?:?\s*(?:[\w$]+\.)+", "", line) for line in causes[-1:] or lines[1:]]
    if row := re.search(r"CSV Error on Line: (\d+)", lines[0]):
        file = re.search(r"^\s*file = (.+)$", str(error), re.MULTILINE)
        where = f"{Path(file[1]).name}, line {row[1]}" if file else f"line {row[1]}"
        what = next((line for line in lines[1:] if not line.startswith("Original Line")), "it is not CSV")
        return f"{where}: {what}".rstrip(".")
    return re.sub(r"^(?:\w+Exception|(?:[A-Z]\w* )*Error): ", "", lines[0])[:300].rstrip(".:")
