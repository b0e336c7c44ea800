from __future__ import annotations

from pathlib import Path

import pytest
from tiny_projects import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    # Somebody may edit the library while the tests run; its digest has a test of its own.
    monkeypatch.setattr("tenure.runs.graph.code_digest", lambda package: "this code")
    return Project(tmp_path)
