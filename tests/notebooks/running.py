"""What a run of a notebook leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure import report
from tenure.paths import project_root
from tenure.runs.execute import execute

NOTEBOOKS = project_root() / "notebooks"


@dataclass(frozen=True)
class Ran:
    """How a run ended, as in `tenure.runs.execute.Outcome`, and the folder of its exports."""

    state: str
    reason: str
    notebook: Any
    exports: Path


def run_notebook(name: str, parameters: dict[str, Any], kernels: Any, folder: Path) -> Ran:
    """Run a notebook the way `tenure run` does; what it exports goes to the folder.

    What this checkout's own reports have published does not reach it.
    """
    (root := folder / ".root").mkdir(exist_ok=True)
    if not (data := root / "data").exists():
        data.symlink_to(project_root() / "data")
    outcome = execute(
        NOTEBOOKS / name,
        parameters,
        kernels,
        environment={"TENURE_OUTPUT": str(folder), "TENURE_ROOT": str(root)},
        log=folder / "log.txt",
        timeout=600,
    )
    return Ran(outcome.state, outcome.reason, outcome.notebook, folder)


def findings(outcome: Ran) -> dict[str, dict[str, Any]]:
    """The findings of a run that went well, by their id."""
    assert outcome.state == "ok", outcome.reason
    return {record["id"]: record for record in report.read_findings(outcome.notebook)}
