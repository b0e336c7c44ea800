"""Notebooks run the way `tenure run` runs them: in-process Papermill, kernels forked from a warm parent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from notebooks.running import Ran, findings, run_notebook
from tenure.paths import project_root
from tenure.runs.kernels import Kernels

DEMO = project_root() / "data" / "demo"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that has a notebook run, for itself or for a few of its kind, is left to `make edge-test`.

    `make test` runs every notebook once, on a small company (tests/collection).
    """
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and {"kernels", "demo"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.edge)


@pytest.fixture(scope="session")
def kernels() -> Iterator[Kernels]:
    with Kernels(threads=1) as source:
        yield source


@pytest.fixture(scope="session")
def run(kernels: Kernels, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Run a notebook with parameters: `run("30_churn_curves.ipynb", by="channel")`."""
    return lambda name, **parameters: run_notebook(name, parameters, kernels, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def demo() -> Path:
    if not (DEMO / "truth.json").is_file():
        pytest.skip("The demo company is not there; `make demo` makes it.")
    return DEMO


@pytest.fixture(scope="session")
def truth(demo: Path) -> dict[str, Any]:
    """What the demo company was drawn from."""
    found: dict[str, Any] = json.loads((demo / "truth.json").read_text())
    return found


@pytest.fixture(scope="module")
def of_demo(ran: Ran) -> dict[str, dict[str, Any]]:
    """The findings of the notebook on the demo company, which a module runs in its fixture `ran`."""
    return findings(ran)
