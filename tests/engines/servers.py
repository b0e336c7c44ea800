"""Real servers for the tests: each is started on loopback in a folder of its own, and stopped by its id.

Where one cannot run here, `Missing` says why, and the tests are skipped with that reason.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class Missing(Exception):
    """A server cannot run here."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any] | None, what: str, log: Path) -> None:
    """Wait until a server answers; what it printed is part of the error when it does not."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        if ready():
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.1)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else ""
    raise RuntimeError(f"{what} did not start: {said}")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# Ends a group of processes when whoever started this has gone: its end of the pipe is then closed.
_WATCH = """
import os, signal, sys
sys.stdin.buffer.read()
try:
    os.killpg(int(sys.argv[1]), signal.SIGKILL)
except ProcessLookupError:
    pass
"""


def watch(process: subprocess.Popen[Any]) -> subprocess.Popen[Any]:
    """Let a process that leads a group end with this one, however this one ends."""
    command = [sys.executable, "-S", "-c", _WATCH, str(process.pid)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


@contextlib.contextmanager
def running(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process in a group of its own, which is ended with everything that it started."""
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True, **options)
    watcher = watch(process)
    try:
        yield process
    finally:
        watcher.kill()
        watcher.communicate()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


# ---------------------------------------------------------------------------------------------- PostgreSQL


def postgres_programs() -> Path:
    """The folder of the newest PostgreSQL's programs; Debian keeps them off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    on_path = shutil.which("postgres")
    if not found and not on_path:
        raise Missing("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL that sorts text by language, as most do; yields the URL of its database."""
    programs = postgres_programs()
    options: dict[str, Any] = {}
    if os.getuid() == 0:
        # PostgreSQL refuses to be run by root.
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            raise Missing("PostgreSQL cannot be run by root, and there is no user postgres.") from None
        options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, account.pw_uid, account.pw_gid)
        for parent in folder.parents:
            if not os.access(parent, os.X_OK) or not parent.stat().st_mode & 0o001:
                raise Missing(f"PostgreSQL's user may not enter {parent}.")
    data, port = folder / "data", free_port()
    language = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C", "--encoding=UTF8"]
    start = [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "--no-sync", *language]
    made = subprocess.run(start, capture_output=True, text=True, cwd=folder, **options)
    if made.returncode:
        raise RuntimeError(f"initdb: {made.stdout}{made.stderr}")
    settings = [
        "listen_addresses=127.0.0.1",
        "fsync=off",
        "shared_buffers=64MB",
        f"unix_socket_directories={folder}",
    ]
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
    for setting in settings:
        command += ["-c", setting]
    log = folder / "server.log"
    with running(command, log, cwd=folder, **options) as process:
        ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        wait_for(lambda: subprocess.run(ready).returncode == 0, process, "PostgreSQL", log)
        yield f"postgres://tester@127.0.0.1:{port}/postgres"


_POSTGRES = {
    pa.string(): "text",
    pa.int64(): "bigint",
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
    pa.timestamp("us"): "timestamp",
    pa.timestamp("us", tz="UTC"): "timestamptz",
    pa.timestamp("ns"): "timestamp",
    pa.date32(): "date",
}


def load_postgres(url: str, schema: str, folder: Path) -> str:
    """Copy a folder's Parquet tables into a schema, in another order; return its URL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(f'CREATE SCHEMA "{schema}"')
        for place in sorted(folder.iterdir()):
            if place.name.startswith("_") or not (place.is_dir() or place.suffix == ".parquet"):
                continue
            table = pq.read_table(place)
            table = table.take(np.random.default_rng(7).permutation(table.num_rows))
            names = [name.replace('"', '""').replace("%", "%%") for name in table.column_names]
            columns = ", ".join(
                f'"{n}" {_POSTGRES[f.type]}' for n, f in zip(names, table.schema, strict=True)
            )
            target = f'"{schema}"."{place.stem}"'
            connection.execute(f"CREATE TABLE {target} ({columns})")
            with connection.cursor().copy(f"COPY {target} FROM STDIN") as copy:
                for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
                    copy.write_row(row)
            connection.execute(f"ANALYZE {target}")
    return f"{url}/{schema}"


# --------------------------------------------------------------------------------------------------- Spark


def spark_home() -> Path:
    """Where pyspark keeps Spark itself."""
    try:
        import pyspark
    except ImportError:
        raise Missing("pyspark is not installed: make engines") from None
    java = shutil.which("java")
    if not java:
        raise Missing("Spark needs Java: apt-get install openjdk-17-jre-headless")
    return Path(pyspark.__file__).parent


@contextlib.contextmanager
def java(folder: Path) -> Iterator[str]:
    """Spark in the asking process itself needs nothing but what it is made of."""
    yield str(spark_home())


# A tiny company needs no parallel shuffles, and less compiling than it has rows.
SMALL = "&".join(
    [
        "spark.sql.shuffle.partitions=1",
        "spark.sql.adaptive.enabled=false",
        "spark.sql.codegen.wholeStage=false",
        "spark.sql.codegen.factoryMode=NO_CODEGEN",
        "spark.sql.autoBroadcastJoinThreshold=-1",
        "spark.driver.memory=1g",
        "spark.driver.extraJavaOptions=" + quote("-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xss8m"),
    ]
)
LOOPBACK = "&".join(
    [
        "spark.driver.host=127.0.0.1",
        "spark.driver.bindAddress=127.0.0.1",
        "spark.executor.memory=512m",
        "spark.executor.extraJavaOptions=" + quote("-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"),
        # Two, so that rows do travel between the workers.
        "spark.sql.shuffle.partitions=2",
    ]
)


@contextlib.contextmanager
def spark_cluster(folder: Path, workers: int = 2) -> Iterator[str]:
    """A standalone master and its workers, each a process of its own; yields spark://host:port."""
    home = spark_home()
    port = free_port()
    environment = {
        **os.environ,
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_NO_DAEMONIZE": "1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    start = [str(home / "bin" / "spark-class")]
    with contextlib.ExitStack() as stack:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "master.log"
        master = [*start, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1",
                  "--port", str(port), "--webui-port", str(free_port())]  # fmt: skip
        process = stack.enter_context(running(master, log, env=environment))
        wait_for(lambda: answers(port), process, "Spark's master", log)
        for number in range(workers):
            work = folder / f"worker-{number}"
            worker = [*start, "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", "1",
                      "--memory", "640m", "--work-dir", str(work), "--webui-port", str(free_port()),
                      f"spark://127.0.0.1:{port}"]  # fmt: skip
            stack.enter_context(running(worker, folder / f"worker-{number}.log", env=environment))
        wait_for(lambda: log.read_text().count("Registering worker") == workers, process, "a worker", log)
        yield f"spark://127.0.0.1:{port}"


@contextlib.contextmanager
def sail(folder: Path) -> Iterator[str]:
    """A Spark Connect server without Java; yields sc://host:port."""
    try:
        import pysail  # noqa: F401
        import pyspark  # noqa: F401
    except ImportError as error:
        raise Missing(f"{error.name} is not installed; `make engines` brings it.") from None
    port, log = free_port(), folder / "sail.log"
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    with running(command, log) as process:
        wait_for(lambda: answers(port), process, "Sail", log)
        yield f"sc://127.0.0.1:{port}"
