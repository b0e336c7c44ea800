"""A workbook as JupyterLab and VS Code run it: a copy elsewhere, cell by cell, by nbclient, without a runner."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tenure import report
from tenure.paths import project_root
from tenure.runs.explore import copy_notebook
from tenure.runs.runbook import read_runbook


@pytest.fixture
def explore(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("TENURE_OUTPUT", "TENURE_REPORT", "TENURE_PREVIOUS"):
        monkeypatch.delenv(name, raising=False)

    def run(**parameters: str) -> nbformat.NotebookNode:
        runbook = read_runbook(project_root() / "notebooks" / "runbook.yml", parameters, ["churn_curves"])
        [found] = runbook.select(["churn_curves"])
        node = nbformat.read(copy_notebook(found, tmp_path / "scratch"), 4)
        client = NotebookClient(
            node, resources={"metadata": {"path": str(tmp_path / "scratch")}}, timeout=600
        )
        try:
            client.execute()
        except CellExecutionError:
            return node
        return node

    return run


def test_a_copy_runs_with_the_data_of_the_project_and_exports_below_itself(explore, tmp_path):
    published = {path: path.stat().st_mtime_ns for path in (project_root() / "reports").rglob("*")}
    node = explore(by="channel")
    assert {record["id"] for record in report.read_findings(node)} >= {"churn.retention", "churn.best_lever"}
    assert "organic" in str([cell.get("outputs") for cell in node.cells])
    assert (tmp_path / "scratch" / "exports" / "churn_groups.csv").is_file()
    assert {path: path.stat().st_mtime_ns for path in (project_root() / "reports").rglob("*")} == published


def test_a_refused_parameter_ends_with_its_sentence(explore):
    node = explore(by="chanel")
    said = [output for cell in node.cells for output in cell.get("outputs", ())][-1]
    assert said["traceback"][0].startswith(
        "The parameter `by` is 'chanel', which is not available; did you mean"
    )
    assert len(said["traceback"]) == 1
