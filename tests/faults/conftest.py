from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_projects import FINDING, Project, run_instantly

REPORT = 'x: int = 1  # the number\ndata: str = "data"\nmapping: str = ""'


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of two reports that has published two runs."""
    root = tmp_path_factory.mktemp("template")
    for folder in ("notebooks", "data"):
        (root / folder).mkdir()
    (root / "pyproject.toml").touch()
    (root / "data" / "customers.csv").write_text("customer_id\na\n")
    (root / "mapping.yml").write_text("time_zone: UTC\n")
    with pytest.MonkeyPatch.context() as patch:
        inside(root, patch)
        project = Project(root)
        project.notebook("one", FINDING, parameters=REPORT)
        project.notebook("two", FINDING, parameters="x: int = 1")
        project.simple("one", "two")
        for number in "21":
            assert project.run(settings={"x": number}).status == 0
    return root


def inside(root: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("TENURE_ROOT", str(root))
    patch.setenv("TENURE_KERNELS", "plain")
    patch.chdir(root)
    patch.setattr("tenure.runs.graph.code_digest", lambda package: "this code")
    run_instantly(patch)
    # What pages look like is tested elsewhere; these are ready in no time.
    page = "<html><!--bar--><!--/bar--> " + "page " * 99 + "</html>"
    for name in ("render", "render_failure", "index_page", "checks_page"):
        patch.setattr(f"tenure.report.{name}", lambda *_, **__: page)


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of that project, whose notebooks run in no time."""
    root = tmp_path / "project"
    shutil.copytree(template, root, symlinks=True)
    inside(root, monkeypatch)
    return Project(root)
