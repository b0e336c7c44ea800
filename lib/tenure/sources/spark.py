"""Apache Spark: a session in this process, a cluster's master, or a Spark Connect server.

========================================  ==============================================================
``spark://host:7077/shop``                the database `shop` of a cluster's catalog
``spark://local/shop``                    the same, in this process on all its cores (TENURE_THREADS)
``spark:///shop``                         the master that Spark's own configuration names: YARN, Kubernetes
``sc://host:15002/shop``                  a Spark Connect server; after a `;` its own settings, such as token
``…?folder=s3a://bucket/shop``            a folder of Parquet files that every worker can read, instead
``…?spark.executor.memory=4g``            any setting of Spark's
========================================  ==============================================================
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import traceback
import uuid
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from tenure.errors import InputError
from tenure.machine import cores
from tenure.sources.catalog import Catalog, Raw, raw_table
from tenure.sources.engine import guarded

_LOCAL = "local"
_PATIENCE = 10  # seconds to wait for a server to answer at all
_DEFAULTS = {
    # No pages, no progress bars and no advice between a notebook's cells.
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Our queries name many columns one after the other, whose constraints Spark would multiply out.
    "spark.sql.constraintPropagation.enabled": "false",
}


def open_spark(url: str, shown: str) -> Catalog:
    """Find the tables of a Spark catalog's database or of a folder that Spark reads.

    Args:
        url: One of the forms above.
        shown: The address, safe to show.

    Raises:
        InputError: What is wrong with the address, or why Spark cannot be reached.
        ImportError: pyspark is not installed.
    """
    parts = urlsplit(url)
    path, _, own = parts.path.partition(";")
    settings = dict(parse_qsl(parts.query))
    folder = settings.pop("folder", "")
    database = unquote(path.strip("/"))
    for name in settings:
        if not name.startswith("spark."):
            raise InputError(
                f"{shown}: Spark has no setting {name!r}. Fix: name a folder of Parquet files with "
                f"`?folder=`, or a setting such as `?spark.executor.memory=4g`."
            )
    if folder and database:
        raise InputError(f"{shown} names both a database and a folder. Fix: keep one of them.")
    if parts.scheme == "sc":
        session = _remote(f"sc://{parts.netloc}/{';' + own if own else ''}", parts.netloc, settings, shown)
    else:
        session = _classic(parts.netloc, settings, shown)
    connection: Any = ibis.pyspark.connect(session)
    for name, value in settings.items():
        # Again, for a session that runs already; what only a start can set was set at the start.
        if name.startswith("spark.sql.") and session.conf.isModifiable(name):
            session.conf.set(name, value)
    if folder:
        return _folder(connection, folder, shown)
    names = tuple(sorted(connection.list_tables(database=database or None)))
    found = partial(raw_table, connection, shown, _instants, database=database)
    return Catalog(connection, shown, names, found, whole=False)


def _classic(master: str, settings: dict[str, str], shown: str) -> Any:
    """A session whose driver is a Java process beside this one."""
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        raise InputError(
            f"{shown} needs Java 17 or later, which is not installed. "
            f"Fix: install it (openjdk-17-jre-headless), or use a Spark Connect server (sc://…)."
        )
    wanted = {**_DEFAULTS, "spark.app.name": "tenure", **settings}
    if master == _LOCAL:
        wanted["spark.master"] = f"local[{os.environ.get('TENURE_THREADS') or cores()}]"
        if memory := _java_size(os.environ.get("TENURE_MEMORY_LIMIT", "")):
            wanted.setdefault("spark.driver.memory", memory)
    elif master:
        wanted["spark.master"] = f"spark://{master}"
        _answers(master, 7077, shown)
    running = SparkContext._active_spark_context
    if running is not None:
        if wanted.get("spark.master", running.master) != running.master:
            raise InputError(
                f"{shown}: this process uses the Spark at {running.master} already. "
                f"Fix: open the other one in a process of its own."
            )
        return SparkSession(running)
    conf = SparkConf().setAll(list(wanted.items()))
    with tempfile.TemporaryFile("w+") as log:
        try:
            return SparkSession(SparkContext(conf=conf, gateway=_gateway(conf, log)))
        except Exception as error:  # what Java says is in its log
            message = _complaint(log) or str(error)
            for frame, _ in traceback.walk_tb(error.__traceback__):
                if process := frame.f_locals.get("proc"):
                    process.communicate()  # pyspark leaves open the pipe to a Java that has not started
    raise InputError(
        f"Spark cannot be started for {shown}: {message}. "
        f"Fix: check that Java is version 17 or later, and the settings in the address."
    )


def _gateway(conf: Any, log: Any) -> Any:
    """Start Java with its chatter in a file, not between a notebook's cells."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway

    return SparkContext._gateway or launch_gateway(conf, popen_kwargs={"stdout": log, "stderr": log})


def _remote(url: str, place: str, settings: dict[str, str], shown: str) -> Any:
    """A session of a Spark Connect server, which needs no Java here."""
    from pyspark.sql import SparkSession

    _answers(place, 15002, shown)
    session = SparkSession.builder.remote(url).create()
    for name, value in _DEFAULTS.items():
        # What a server does not allow it does not need, either.
        with contextlib.suppress(Exception):
            session.conf.set(name, value)
    for name, value in settings.items():
        session.conf.set(name, value)
    return session


def _answers(places: str, port: int, shown: str) -> None:
    """Refuse a server that does not answer at once; Spark itself would try for minutes."""
    message = ""
    for place in places.split(","):
        host, _, number = place.rpartition("@")[2].partition(":")
        try:
            socket.create_connection((host, int(number or port)), _PATIENCE).close()
            return
        except (OSError, ValueError) as error:
            message = getattr(error, "strerror", None) or str(error)
    raise InputError(
        f"{shown} cannot be reached: {message}. Fix: check the address, and that the server runs."
    )


def _folder(connection: Any, folder: str, shown: str) -> Catalog:
    """The tables of a folder: ``<table>.parquet``, a file or a folder as Spark writes it, or ``<table>/``."""
    root, session = folder.rstrip("/"), connection._session
    reader = session.read.format("binaryFile").option("recursiveFileLookup", "true")
    listed = reader.option("pathGlobFilter", "*.parquet").load(root).select("path").toPandas()["path"]
    places: dict[str, str] = {}
    for path in sorted(listed):
        # Spark spells addresses out, as file:/… or with the name of the storage.
        place = f"/{_bare(path)}".partition(f"/{_bare(root)}/")[2].partition("/")[0]
        name = place.removesuffix(".parquet")
        if places.setdefault(name, place) != place:
            raise InputError(
                f"{name}: {shown} holds it twice, as {places[name]} and {place}. Fix: keep one of them."
            )
    if not places:
        raise InputError(f"{shown} holds no .parquet files that Spark can see. Fix: correct the folder.")

    def open_table(name: str) -> Raw:
        # Without these a folder named a=b would add a column a, and one file's columns would stand for all.
        options = {"recursiveFileLookup": "true", "mergeSchema": "true"}
        view = f"files_{uuid.uuid4().hex[:8]}"
        read = session.read.options(**options).parquet
        guarded(lambda: read(f"{root}/{places[name]}").createOrReplaceTempView(view), name)
        return Raw(_instants(connection, connection.table(view)))

    return Catalog(connection, shown, tuple(sorted(places)), open_table)


def _instants(connection: Any, table: ir.Table) -> ir.Table:
    """Have Ibis know which of Spark's timestamps are instants, and which are times without a zone."""
    kinds = connection._session.sql(connection.compile(table.limit(0))).dtypes
    instants = [name for name, kind in kinds if kind == "timestamp"]
    return table.mutate(**{name: table[name].cast(dt.Timestamp("UTC")) for name in instants})


def _bare(path: str) -> str:
    return re.sub(r"^\w+:", "", unquote(path)).strip("/")


def _java_size(text: str) -> str:
    """A size as Java writes it: 4g for 4GB, 512m for 512MiB; empty for anything else.

    Example:
        >>> _java_size("512MiB"), _java_size("4GB"), _java_size("plenty")
        ('512m', '4g', '')
    """
    found = re.fullmatch(r"\s*(\d+)\s*([MG])i?B\s*", text, re.IGNORECASE)
    return f"{found[1]}{found[2].lower()}" if found else ""


def _complaint(log: Any) -> str:
    """What Java gave up for: the first line that looks like an error."""
    log.seek(0)
    lines = [line.strip() for line in log if re.search(r"error|exception", line, re.IGNORECASE)]
    return lines[0][:300].rstrip(".:") if lines else ""
