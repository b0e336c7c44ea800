"""Projects of tiny notebooks, to run in tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tenure.report import make_finding
from tenure.report.display import FINDING as FINDING_TYPE
from tenure.result import counted
from tenure.runs.collection import Result, run_collection
from tenure.runs.execute import Outcome
from tenure.runs.notebook import read_notebook
from tenure.runs.publish import Reports
from tenure.runs.runbook import read_runbook

FINDING = """
from tenure import report
from tenure.result import Estimate
report.finding("some.number", "It is {value}.", Estimate(x, unit="count", exact=True))
"""


@dataclass
class Project:
    root: Path

    def notebook(self, name: str, *cells: str, parameters: str = "") -> Path:
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        node = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
        node.cells.append(nbformat.v4.new_markdown_cell(f"# About {name}\n\nWho asks, and why?"))
        if parameters:
            node.cells.append(nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        node.cells += [nbformat.v4.new_code_cell(textwrap.dedent(cell).strip()) for cell in cells]
        path = self.root / "notebooks" / f"{name}.ipynb"
        nbformat.write(node, path)
        return path

    def runbook(self, text: str) -> Path:
        path = self.root / "notebooks" / "runbook.yml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def simple(self, *names: str, more: str = "") -> None:
        """A runbook that lists notebooks of these names."""
        listed = "\n".join(f"- {{name: {name}, notebook: {name}.ipynb}}" for name in names)
        self.runbook(f"reports:\n{listed}\n{more}")

    @property
    def reports(self) -> Reports:
        return Reports(self.root / "reports")

    def run(self, *names: str, settings: Mapping[str, str] | None = None, **options: Any) -> Result:
        book = read_runbook(self.root / "notebooks" / "runbook.yml", settings, names)
        return run_collection(book, self.reports, names, **{"forked": False, **options})

    def command(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start `tenure` as a process of its own, with plain kernels unless told otherwise."""
        return subprocess.Popen(
            [sys.executable, "-c", "from tenure.cli import main; main()", *arguments],
            env={**os.environ, "TENURE_KERNELS": "plain", **environment},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where the tests run in the background, the shell has them ignore Ctrl-C, and their children too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def published(self) -> Path:
        """The folder of the run that the index shows."""
        record = self.reports.published()
        assert record is not None
        return self.reports.runs / record["id"]

    def record(self) -> dict[str, Any]:
        return json.loads((self.published() / "run.json").read_text(encoding="utf-8"))

    def everything(self) -> str:
        """All text that is under reports/, for what must not be there."""
        files = [path for path in self.reports.folder.rglob("*") if path.is_file()]
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)


def run_instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let notebooks run without a kernel, in no time: all they do is find the value of x."""

    def run(path: Path, parameters: Mapping[str, Any], *_: Any, **__: Any) -> Outcome:
        notebook = nbformat.read(path, 4)
        declared = read_notebook(path).parameters
        value = parameters.get("x", declared["x"].default if "x" in declared else 1)
        finding = asdict(make_finding("some.number", "It is {value}.", counted(value)))
        bundle = {"text/plain": finding["sentence"], FINDING_TYPE: finding}
        notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", bundle)]
        return Outcome("ok", "", notebook, None, 0.1)

    monkeypatch.setattr("tenure.runs.execute.execute", run)
