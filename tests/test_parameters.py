"""Parameters of notebooks: every way to get one wrong gives one sentence, and running again does not."""

from __future__ import annotations

import datetime as dt

import nbformat
import pytest
import yaml
from papermill.cli import _resolve_type

from notebooks.running import NOTEBOOKS
from tenure import parameters
from tenure.errors import InputError
from tenure.runs.notebook import Text, read_notebook

OWN = (
    'data: str = "demo"  # where\nhorizon: int = 24\nshare: float = 0.5\nwide: bool = True\nnames: list = []'
)


def running(*cells: str, **extra: object) -> dict[str, object]:
    """What a notebook's globals hold after the cells have run."""
    names: dict[str, object] = {"In": ["", *cells]}
    for cell in cells:
        exec(cell, names)
    return {**names, **extra}


def refused(names: dict[str, object]) -> str:
    with pytest.raises(InputError) as error:
        parameters.check_parameters(names)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["32_churn_reasons", "41_clv_budgets"])
def test_a_table_that_only_a_section_requires_is_not_needed(name):
    notebook = read_notebook(NOTEBOOKS / f"{name}.ipynb")
    assert 'require(\\"payments' in notebook.path.read_text()
    assert notebook.tables == ()


def test_the_defaults_and_good_injections_pass():
    parameters.check_parameters(running(OWN))
    parameters.check_parameters(running(OWN, '# Parameters\nhorizon = 12\nnames = ["plan"]\nshare = 1\n'))
    parameters.check_parameters({"In": []})
    parameters.check_parameters({})


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    said = refused(running(OWN, "# Parameters\nhorzon = 12\n"))
    assert "`horzon`" in said
    assert "did you mean `horizon`" in said


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('horizon = "many"', ["`horizon`", "int", "'many'", "str"]),
        ("horizon = 1.5", ["`horizon`", "int", "1.5"]),
        ("horizon = True", ["`horizon`", "int", "bool"]),
        ("data = 5", ["`data`", "str", "5"]),
        ("wide = 1", ["`wide`", "bool"]),
        ('names = "[plan"', ["`names`", "list", "'[plan'"]),
        ("share = None", ["`share`", "float", "empty"]),
    ],
)
def test_a_value_of_another_type_is_refused(cell, words):
    said = refused(running(OWN, f"# Parameters\n{cell}\n"))
    assert all(word in said for word in words), said


def test_a_notebook_can_be_mended_and_run_again_in_the_same_kernel():
    bad = "# Parameters\nhorzon = 12\n"
    refused(running(OWN, bad))
    parameters.check_parameters(running(OWN, bad, OWN))
    parameters.check_parameters(running(OWN, bad, OWN, "# Parameters\nhorizon = 12\n"))
    refused(running(OWN, "# Parameters\nhorizon = 12\n", OWN, bad))


def test_other_cells_are_not_taken_for_the_parameters():
    parameters.check_parameters(running("mine: int = 3", OWN, "also: str = ''", "horizon = 3"))
    assert "`data`" in refused(running("mine: int = 3", OWN, "data = 7"))
    # A cell of magic is no Python, and is passed over.
    names = running(OWN)
    names["In"] = ["", "%load_ext autoreload", OWN, "!ls"]
    parameters.check_parameters(names)


def test_choices_bounds_and_dates():
    parameters.one_of("period", "week", ["day", "week"])
    with pytest.raises(
        InputError, match=r"`period` is 'weak'.*did you mean 'week'.*Fix: use one of day, week"
    ):
        parameters.one_of("period", "weak", ["day", "week"])
    parameters.between("horizon", 2, 2)
    with pytest.raises(InputError, match=r"`horizon` is 1\. Fix: give it a number of at least 2"):
        parameters.between("horizon", 1, 2)
    assert parameters.optional_date("as_of", "2024-02-29") == dt.date(2024, 2, 29)
    assert parameters.optional_date("as_of", "") is None
    for text in ("2023-02-29", "31.10.2026", "tomorrow", "2026-13-01"):
        with pytest.raises(InputError, match=r"`as_of`.*year-month-day"):
            parameters.optional_date("as_of", text)


# --- lists and maps -------------------------------------------------------------------------------------


def lists_and_maps():
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        for parameter in read_notebook(path).parameters.values():
            if parameter.type.partition("[")[0] in ("list", "dict"):
                value = parameter.default or (
                    {"control": 0.94, "on": 0.06} if parameter.type == "dict" else ["plan", "channel"]
                )
                yield pytest.param(path, parameter.name, value, id=f"{path.stem}-{parameter.name}")


@pytest.mark.parametrize(("path", "name", "value"), list(lists_and_maps()))
def test_each_list_and_map_can_be_given_on_the_command_line_in_yaml_and_to_papermill(path, name, value):
    notebook = read_notebook(path)
    typed = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()
    for text in (typed, typed[1:-1]):
        assert notebook.values({name: Text(text)}, "--set")[name] == value
    assert notebook.values(yaml.safe_load(f"{name}: {typed}"), "runbook.yml")[name] == value
    cell = next(c for c in nbformat.read(path, 4).cells if "parameters" in c.metadata.get("tags", []))
    # `-p` hands over text or a number, `-y` and a file of parameters the thing itself.
    for given in (_resolve_type(typed), _resolve_type(typed[1:-1]), yaml.safe_load(typed)):
        names = running(cell.source, f"# Parameters\n{name} = {given!r}\n")
        parameters.check_parameters(names)
        assert names[name] == value


@pytest.mark.parametrize(
    "text",
    [
        "{control: 0.94, new: 0.06}",
        "control: 0.94, new: 0.06",
        "[control: 0.94, new: 0.06]",
        '["control: 0.94", "new: 0.06"]',
    ],
)
def test_a_map_may_be_written_as_its_help_says(text):
    notebook = read_notebook(NOTEBOOKS / "60_pricing_experiment.ipynb")
    wanted = {"planned_split": {"control": 0.94, "new": 0.06}}
    assert notebook.values({"planned_split": Text(text)}, "--set") == wanted
    written = yaml.safe_load(text) if text[0] in "[{" else text
    assert notebook.values({"planned_split": written}, "runbook.yml") == wanted


def test_what_is_no_map_is_refused_and_names_of_variants_stay_as_they_are():
    notebook = read_notebook(NOTEBOOKS / "60_pricing_experiment.ipynb")
    for text in ("{control: 0.9", "[1, 2]", "[[control]]"):
        with pytest.raises(InputError, match=r"`planned_split` must be a map, such as"):
            notebook.values({"planned_split": Text(text)}, "--set")
    found = notebook.values({"planned_split": Text("{on: 1, yes: 1, 1.10: 2}")}, "--set")
    assert found["planned_split"] == {"on": 1, "yes": 1, "1.10": 2}
