"""Spark as a source: a catalog's database, a folder, and what may go wrong on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tenure
from engines import servers
from engines.conftest import TESTS
from engines.spark_catalog import by_zone
from tenure.errors import InputError
from tenure.sources.engine import guarded


@pytest.fixture(scope="module")
def found(start, company, tmp_path_factory):
    """What a process found that used Spark: it can be started once in each."""
    start(servers.java)
    scratch = tmp_path_factory.mktemp("spark")
    (scratch / "warehouse" / "none").mkdir(parents=True)
    command = [sys.executable, "-m", "engines.spark_catalog", str(company), str(scratch)]
    environment = {**os.environ, "TOKEN": "s3cret"}
    done = subprocess.run(command, cwd=TESTS, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    # Java's chatter must not come between the cells of a notebook.
    assert not done.stderr
    return json.loads(done.stdout)


@pytest.mark.engines
def test_a_database_of_the_catalog_is_a_folder_of_tables(found, company):
    files = tenure.open_source(company)
    assert found["tables"] == list(files)
    assert found["attributes"] == list(files.attributes)
    assert found["last_day"] == str(files.last_day())


@pytest.mark.engines
def test_days_are_those_of_a_zone(found, company, tmp_path):
    assert found["by_zone"] == by_zone(str(company), tmp_path)


@pytest.mark.engines
def test_results_are_written_as_a_table_and_as_files(found):
    kept, table, files = found["counts"]
    assert kept == table == files > 300
    assert len(found["refused"]) == 2
    assert all("is there already" in sentence for sentence in found["refused"])


@pytest.mark.engines
@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("no database", "nowhere"),
        ("no table", "has no table 'customers'"),
        ("no folder", "nowhere"),
        ("empty folder", "holds no .parquet files"),
        ("other master", "cannot be reached: Connection refused"),
        ("elsewhere", "Spark has no setting 'warehouse'"),
        ("both", "names both a database and a folder"),
        ("connect", "sc://127.0.0.1:1/shop;token=*** cannot be reached"),
        ("large result", "the engine ran out of room"),
        ("heap", "ran out of room"),  # Java says so, or has ended, or has stopped its context before it could
    ],
)
def test_what_goes_wrong_is_one_sentence(found, problem, words):
    sentence = found[problem]
    assert words in sentence
    assert "Fix: " in sentence
    assert "\n" not in sentence
    assert "s3cret" not in sentence
    if problem in ("large result", "heap"):
        assert "?spark.driver.memory=8g" in sentence
        assert "docs/scale.md" in sentence


def spark_says(message: str, kind: str = "SparkException") -> str:
    def run() -> None:
        raise type(kind, (Exception,), {"__module__": "pyspark.errors"})(message)

    with pytest.raises(InputError) as caught:
        guarded(run, "events")
    return str(caught.value)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Job 241 cancelled because SparkContext was shut down", "SparkException"),
        ("Cannot call methods on a stopped SparkContext.", "IllegalStateException"),
        ("Answer from Java side is empty", "Py4JError"),
        ("An error occurred while trying to connect to the Java server (127.0.0.1:1)", "Py4JNetworkError"),
    ],
)
def test_a_context_that_ends_under_a_query_names_both_causes(message, kind):
    sentence = spark_says(message, kind)
    assert "most likely because it ran out of room, or because it was stopped" in sentence
    assert "check that its server runs" in sentence
    assert "?spark.driver.memory=8g" in sentence
    assert "docs/scale.md" in sentence


def test_memory_and_a_lost_server_are_told_apart():
    # What is sure is said as such: Java's own word for memory, and a master that does not answer.
    memory = spark_says(
        "Job aborted: java.lang.OutOfMemoryError: Java heap space; SparkContext was shut down"
    )
    assert memory.startswith("events: the engine ran out of room (")
    for message in ("All masters are unresponsive! Giving up.", "Checkpoint block rdd_1_0 not found!"):
        lost = spark_says(message)
        assert lost.startswith("events: the connection to the engine was lost (")
        assert "memory" not in lost


@pytest.mark.parametrize(
    "says", [None, "An error occurred while calling z:py4j.reflection.TypeUtil.isInstanceOf"]
)
def test_an_error_of_a_java_that_has_ended_is_one_sentence(says):
    class Py4JError(Exception):
        __module__ = "py4j.protocol"

        def __str__(self) -> str:
            if says is None:
                raise ConnectionRefusedError(111, "Connection refused")
            return says

    def run() -> None:
        raise Py4JError

    with pytest.raises(InputError, match="events: Spark has ended, most likely because it ran out of room"):
        guarded(run, "events")


def refusal(url: str) -> str:
    with pytest.raises(InputError) as caught:
        tenure.open_source(url)
    assert caught.value.__context__ is None
    return str(caught.value)


def test_spark_without_java_says_so(start, monkeypatch, tmp_path):
    start(servers.java)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs Java 17" in refusal("spark://local")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'Error: this is Java 8' >&2\nexit 1\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    sentence = refusal("spark://local?spark.driver.memory=512m")
    assert "Spark cannot be started" in sentence
    assert "this is Java 8" in sentence


def test_spark_that_is_not_installed_says_so(monkeypatch):
    for name in ("pyspark", "pyspark.sql", "ibis.backends.pyspark"):
        monkeypatch.setitem(sys.modules, name, None)
    for url in ("spark://local/shop", "sc://127.0.0.1/shop"):
        sentence = refusal(url)
        assert "needs the package" in sentence
        assert "pip install --editable '.[spark]'" in sentence


def test_a_password_in_the_address_of_spark_is_refused():
    sentence = refusal("sc://host:15002/shop;token=s3cretword;user_id=me")
    assert "contains a password" in sentence
    assert "s3cret" not in sentence


def test_a_session_takes_its_share_of_the_machine(monkeypatch):
    spark = pytest.importorskip("tenure.sources.spark")
    assert spark._java_size("512MiB") == "512m"
    assert Path(spark.__file__).name == "spark.py"
