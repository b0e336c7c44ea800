"""Exploring a report: a copy that runs where it is, while what is scheduled stays as it was."""

from __future__ import annotations

import json
import stat
import sys

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tiny_projects import FINDING, Project, run_instantly

from tenure import cli
from tenure.errors import InputError
from tenure.runs.explore import copy_notebook, with_defaults
from tenure.runs.notebook import read_notebook
from tenure.runs.runbook import alone, read_runbook

PARAMETERS = """
data: str = "data/demo"  # where it is, "#1" say
plans: list[str] = [
    "a",
]  # which
x: int = 1; share: float = 0.5
"""


@pytest.fixture
def explored(project: Project):
    (project.root / "data" / "demo").mkdir(parents=True)
    (project.root / "data" / "demo" / "customers.csv").touch()
    project.notebook("one", FINDING, "print(data, plans, x)", parameters=PARAMETERS)
    project.runbook("reports:\n- {name: one, notebook: one.ipynb, parameters: {x: 2}}\n")
    return project


def explore(*arguments: str) -> None:
    cli.cli(["explore", *arguments], standalone_mode=False)


def test_a_copy_has_the_values_as_defaults_and_never_replaces_another(explored: Project, capsys) -> None:
    runbook = explored.root / "notebooks" / "runbook.yml"
    before = {path: path.read_bytes() for path in (explored.root / "notebooks").iterdir()}
    explore("one", "--no-lab", "--set", "data=naïve/“shop”", "--set", "plans=[b, 'c#']", "--set", "x=3")
    copy = explored.root / "scratch" / "one.ipynb"
    assert "tenure run scratch/one.ipynb" in capsys.readouterr().out
    values = {name: each.default for name, each in read_notebook(copy).parameters.items()}
    assert values == {"data": "naïve/“shop”", "plans": ["b", "c#"], "x": 3, "share": 0.5}
    assert read_notebook(copy).parameters["data"].help == 'where it is, "#1" say'
    copy.write_text("mine")
    explore("one", "--no-lab")
    assert copy.read_text() == "mine"
    second = read_notebook(copy.with_name("one-2.ipynb"))
    assert second.parameters["x"].default == 2  # the runbook's
    assert {path: path.read_bytes() for path in (explored.root / "notebooks").iterdir()} == before
    assert read_runbook(runbook).reports[0].values["x"] == 2


def test_a_default_of_several_lines_is_replaced_whole() -> None:
    values = {"data": "é" * 3, "plans": [], "x": 7, "share": None}
    namespace: dict = {}
    exec(with_defaults(PARAMETERS, values), namespace)
    assert {name: namespace[name] for name in values} == values
    assert with_defaults(PARAMETERS, {}) == PARAMETERS


def test_outputs_stay_behind(explored: Project) -> None:
    path = explored.root / "notebooks" / "one.ipynb"
    node = nbformat.read(path, 4)
    node.cells[-1] |= {"execution_count": 3, "outputs": [nbformat.v4.new_output("stream", text="private")]}
    nbformat.write(node, path)
    copy = copy_notebook(read_runbook(path.with_name("runbook.yml")).reports[0], explored.root / "scratch")
    assert "private" not in copy.read_text()


def test_it_opens_in_jupyterlab_with_what_follows_two_dashes(explored: Project, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(cli.os, "execve", lambda *given: started.append(given))
    explore("one", "--", "--port", "8899")
    [(program, command, environment)] = started
    assert program == sys.executable
    assert command[1:] == [
        "-m", "jupyterlab", str(explored.root / "scratch" / "one.ipynb"), "--port", "8899"
    ]  # fmt: skip
    assert environment["TENURE_ROOT"] == str(explored.root)


def test_repetitions_are_told_apart(explored: Project) -> None:
    explored.runbook("reports:\n- {name: one, notebook: one.ipynb, for_each: {x: [1, 2]}}\n")
    with pytest.raises(InputError, match=r"name one of one\.1, one\.2\."):
        explore("one", "--no-lab")
    explore("one.2", "--no-lab")
    copy = explored.root / "scratch" / "one.2.ipynb"
    assert read_notebook(copy).parameters["x"].default == 2


def test_where_nothing_can_be_written_another_folder_is_asked_for(explored: Project) -> None:
    (explored.root / "scratch").touch()
    with pytest.raises(InputError, match=r"scratch cannot be written to .* --to"):
        explore("one", "--no-lab")
    explore("one", "--no-lab", "--to", "elsewhere")
    assert (explored.root / "elsewhere" / "one.ipynb").is_file()


def test_a_notebook_by_its_path_makes_a_report_apart(explored: Project, monkeypatch, capsys) -> None:
    run_instantly(monkeypatch)
    assert explored.run().made == ("one",)
    index = explored.reports.index.read_bytes()
    explore("one", "--no-lab", "--set", "x=5")
    (explored.root / "scratch" / "one.ipynb").rename(explored.root / "scratch" / "2 My idea.ipynb")
    monkeypatch.chdir(explored.root / "scratch")
    with pytest.raises(SystemExit) as left:
        cli.cli(["run", "2 My idea.ipynb"], standalone_mode=False)
    assert left.value.code == 0
    assert "my_idea: ok. It is 5." in capsys.readouterr().out
    place = explored.root / "scratch" / "2 My idea" / "latest"
    assert json.loads((place / "my_idea.findings.json").read_text())[0]["value"] == 5
    assert explored.reports.index.read_bytes() == index
    assert explored.run().made == ()  # tonight's run finds nothing changed
    with pytest.raises(InputError, match="name one notebook"):
        cli.cli(["run", "one", "2 My idea.ipynb"], standalone_mode=False)
    with pytest.raises(InputError, match=r"no notebook .*none\.ipynb"):
        cli.cli(["run", "none.ipynb"], standalone_mode=False)
    with pytest.raises(InputError, match="did you mean `x`"):
        alone(explored.root / "notebooks" / "one.ipynb", {"xx": "1"})


def test_a_refused_parameter_is_the_last_output_and_comes_into_view(tmp_path, monkeypatch) -> None:
    """As JupyterLab and VS Code run it: every cell after another, until one fails."""
    monkeypatch.delenv("TENURE_OUTPUT", raising=False)
    cells = [
        'by: str = "plan"',
        "from tenure.errors import InputError\nraise InputError('by is not available.')",
        "print('after')",
    ]
    node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with pytest.raises(CellExecutionError, match="by is not available"):
        NotebookClient(node, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    view, error = node.cells[1].outputs
    assert "scrollIntoView" in view["data"]["application/javascript"]
    assert error["traceback"] == ["by is not available."]
    assert not node.cells[2].outputs
    # In a run it is the runner that says so, and the page holds no program.
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    with pytest.raises(CellExecutionError):
        NotebookClient(node, kernel_name="python3").execute()
    assert [output["output_type"] for output in node.cells[1].outputs] == ["error"]


def test_a_folder_that_cannot_be_written_to_is_no_place_to_publish(explored: Project, monkeypatch) -> None:
    run_instantly(monkeypatch)
    explored.reports.folder.mkdir()
    explored.reports.folder.chmod(stat.S_IRUSR | stat.S_IXUSR)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)  # root may write anywhere
    with pytest.raises(InputError, match=r"reports cannot be written to \(Read-only.*--to FOLDER"):
        explored.run()
