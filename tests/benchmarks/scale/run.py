"""Measure the large company: ``python tests/benchmarks/scale/run.py``, or `make scale`.

Companies of three sizes are streamed into a temporary folder by `tenure demo`, every question is asked in a
process of its own with two threads and 4 GB, and pandas and polars answer some of them at the middle size. The
tables and the plot go into docs/scale.md, the figures to docs/scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCS = HERE.parents[2] / "docs"
CUSTOMERS = (23_300, 233_000, 2_330_000)  # 1, 10 and 100 million events
BOUNDS = {"TENURE_THREADS": "2", "TENURE_MEMORY_LIMIT": "4GB", "POLARS_MAX_THREADS": "2"}
LIBRARIES = ("pandas", "polars")


def printed(command: list[str | Path], **environment: str) -> dict[str, Any]:
    """The JSON that a command prints last; why there is none, where it was killed or failed."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env={**os.environ, **BOUNDS, **environment}
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"killed ({done.returncode})"]
        return {"failed": last[0]}
    return json.loads(done.stdout.splitlines()[-1])


def company(folder: Path, customers: int) -> dict[str, int]:
    """Write a company unless it is there; return how many rows its large tables have."""
    import duckdb

    if not (folder / "truth.json").exists():
        tenure = Path(sys.executable).with_name("tenure")
        subprocess.run([tenure, "demo", folder, "--customers", str(customers)], check=True)
    files = {"customers": "customers.parquet", "subscriptions": "subscriptions.parquet",
             "payments": "payments.parquet", "events": "events/*.parquet"}  # fmt: skip
    count = "select count(*) from read_parquet('{}')"
    return {
        name: duckdb.sql(count.format(folder / place)).fetchone()[0]  # type: ignore[index]
        for name, place in files.items()
    }


def measured(place: Path, sizes: list[int], only: str, libraries: Path | None) -> Iterator[tuple[str, Any]]:
    """The figures, a size after the other."""
    sys.path.insert(0, str(HERE))
    from others import BY_HAND
    from questions import QUESTIONS

    names = [name for name in QUESTIONS if re.search(only, name)]
    for number, customers in enumerate(sizes):
        folder = place / str(customers)
        yield f"{customers}", {"rows": company(folder, customers)}
        for name in names:
            yield f"{customers} {name}", printed([sys.executable, HERE / "one.py", folder, name])
            if libraries and number == min(1, len(sizes) - 1) and name in BY_HAND:
                for library in LIBRARIES:
                    command: list[str | Path] = [libraries, HERE / "others.py", folder, name, library]
                    yield f"{customers} {name} {library}", printed(command)
        if "TENURE_SCALE_FOLDER" not in os.environ:
            shutil.rmtree(folder)


def environment(folder: Path) -> Path | None:
    """A throw-away environment with pandas and polars; None, with a word, where it cannot be made."""
    uv, python = os.environ.get("UV") or shutil.which("uv"), folder / "bin" / "python"
    if not uv:
        print("There is no uv: pandas and polars are left out.")
        return None
    make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
    install = [uv, "pip", "install", "--quiet", "--python", str(folder), "pandas<3", "pyarrow", "polars"]
    for command in (make, install):
        subprocess.run(command, check=True)
    return python


def main() -> None:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=list(CUSTOMERS))
    parser.add_argument("--only", default="", help="Questions whose name matches this pattern.")
    parser.add_argument("--to", type=Path, default=DOCS / "scale.json")
    options = parser.parse_args()
    figures: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory(prefix="tenure-scale-") as scratch:
        place = Path(os.environ.get("TENURE_SCALE_FOLDER", scratch))
        libraries = environment(Path(scratch) / "libraries")
        for name, answer in measured(place, options.customers, options.only, libraries):
            figures[name] = answer
            print(name, json.dumps({k: v for k, v in answer.items() if k != "columns"}), flush=True)
            options.to.write_text(json.dumps(figures, indent=1) + "\n")
    from page import write_page

    if options.to == DOCS / "scale.json":
        write_page(figures, DOCS)


if __name__ == "__main__":
    main()
