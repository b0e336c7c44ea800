"""Runs of the whole collection, each made once however many processes test it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tenure.paths import project_root
from tenure.runs import graph
from tenure.runs.publish import Reports
from tenure.runs.runbook import read_runbook


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Make a folder by a function, once in a test run: other processes wait for it and read it."""
    ours = tmp_path_factory.getbasetemp()
    shared = ours.parent if os.environ.get("PYTEST_XDIST_WORKER") else ours

    def made(name: str, make: Callable[[Path], None]) -> Path:
        place, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(place)
                done.touch()
        return place

    return made


def run_collection(folder: Path, data: Path) -> None:
    """Run every report of the runbook on a company, as the command does."""
    command = "import sys; from tenure.cli import main; main(sys.argv[1:])"
    arguments = ["run", "--to", str(folder), "--set", f"data={data}"]
    done = subprocess.run(
        [sys.executable, "-c", command, *arguments], capture_output=True, text=True, cwd=project_root()
    )
    assert (folder / "latest").exists(), done.stdout + done.stderr


@pytest.fixture(scope="session")
def small_run(once: Callable[..., Path]) -> Path:
    """The published run of all reports on a demo company of 2,000 customers."""
    from tenure_demo import write_demo

    company = once("small", lambda place: write_demo(place, customers=2000))
    return once("small-reports", lambda place: run_collection(place, company)) / "latest"


def published_already() -> Path | None:
    """The run that `make reports` has published, if it is of these notebooks, this code and this demo company."""
    reports = Reports(project_root() / "reports")
    record = reports.published() or {"reports": {}}
    entries, shared = record["reports"], graph.shared_by_all()
    for report in read_runbook(project_root() / "notebooks" / "runbook.yml").reports:
        upstream = {name: entries.get(name, {}).get("findings") for name in report.needs}
        made_of = graph.digest(graph.ingredients(report, shared, upstream))
        # What is about the run is made anew whenever any other is.
        same = report.last or entries.get(report.name, {}).get("made_of") == made_of
        if not same or entries.get(report.name, {}).get("state") != "ok":
            return None
    return reports.runs / record["id"]


@pytest.fixture(scope="session")
def demo_run(once: Callable[..., Path]) -> Path:
    """The published run of all reports on the demo company."""
    demo = project_root() / "data" / "demo"
    if not (demo / "truth.json").is_file():
        pytest.skip("The demo company is not there; `make demo` makes it.")
    if published := published_already():
        return published
    return once("demo-reports", lambda place: run_collection(place, demo)) / "latest"
