"""Ask one question of one company, in a process of its own: ``python one.py FOLDER QUESTION [floor]``.

Prints the seconds, seconds of all cores and peak memory of the measure, its bare scan and its floor.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from questions import QUESTIONS

import tenure
from tenure.sources import results

# Where a set of columns could be any table's, the first of these has it; no measure reads the others' alone.
LARGE = ("customers", "events", "payments", "visits", "subscriptions")


def peak() -> float:
    """Peak memory of this process in MiB; not ru_maxrss, which a child inherits from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def timed(run: Any) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    rows = run()
    return {
        "wall": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "mib": peak(),
        "rows": int(rows),
    }


def ask(source: tenure.sources.Source, name: str) -> int:
    question = QUESTIONS[name]
    table = question.build(source)
    if question.written:
        with tempfile.TemporaryDirectory(dir=Path(source.url).parent) as place:
            path = results.write(table, Path(place) / "rows.parquet")
            return int(source.connection.read_parquet(path).count().to_pyarrow().as_py())
    return len(tenure.collect(table))


def columns_read(source: Any, name: str) -> dict[str, set[str]]:
    """The columns that the engine reads of each table, as its plan says where nothing is settled before."""
    source = replace(source, settles=False, settled={})
    connection = source.connection
    files = {table: set(source[table].columns) for table in source}
    plan = connection.con.execute(
        f"explain (format json) {connection.compile(QUESTIONS[name].build(source))}"
    ).fetchall()[0][1]
    found: dict[str, set[str]] = {}

    def walk(node: dict[str, Any]) -> None:
        if node["name"].strip() == "READ_PARQUET":
            read = node["extra_info"].get("Projections", [])
            read = {read} if isinstance(read, str) else set(read)
            filters = node["extra_info"].get("Filters", "")
            read |= set(re.findall(r"\b[a-z_]+\b", str(filters))) & everything
            owner = next((table for table in (*LARGE, *files) if read <= files[table]), "customers")
            found.setdefault(owner, set()).update(read)
        for child in node["children"]:
            walk(child)

    everything = set().union(*files.values())
    for node in json.loads(plan):
        walk(node)
    return found


def scan(source: Any, read: dict[str, set[str]]) -> int:
    """Read and decode every value of the columns; a mere count would be answered without them."""
    for table, columns in read.items():
        values = ", ".join(f'bit_xor(hash("{column}"))' for column in sorted(columns))
        source.connection.con.execute(f"select {values or 'count(*)'} from {table}").fetchall()
    return 0


def floor(source: Any, name: str) -> int:
    return source.connection.con.execute(f"select count(*) from ({QUESTIONS[name].distinct})").fetchone()[0]


if __name__ == "__main__":
    folder, name = sys.argv[1:]
    source = tenure.open_source(folder)
    for place in Path(folder).iterdir():
        if place.suffix == ".parquet" or place.name == "events":
            files = f"{place}/*.parquet" if place.is_dir() else str(place)
            source.connection.con.execute(
                f"create temp view {place.stem} as select * from read_parquet('{files}')"
            )
    answer: dict[str, Any] = {"measure": timed(lambda: ask(source, name))}
    read = columns_read(source, name)
    answer |= {"scan": timed(lambda: scan(source, read)), "floor": timed(lambda: floor(source, name))}
    answer["columns"] = {table: sorted(columns) for table, columns in read.items()}
    print(json.dumps(answer))
