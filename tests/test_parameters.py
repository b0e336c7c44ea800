"""Parameters of notebooks: every way to get one wrong gives one sentence, and running again does not."""

from __future__ import annotations

import datetime as dt

import pytest

from tenure import parameters
from tenure.errors import InputError

OWN = (
    'data: str = "demo"  # where\nhorizon: int = 24\nshare: float = 0.5\nwide: bool = True\nnames: list = []'
)


def notebook(*cells: str, **extra: object) -> dict[str, object]:
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


def test_the_defaults_and_good_injections_pass():
    parameters.check_parameters(notebook(OWN))
    parameters.check_parameters(notebook(OWN, '# Parameters\nhorizon = 12\nnames = ["plan"]\nshare = 1\n'))
    parameters.check_parameters({"In": []})
    parameters.check_parameters({})


def test_a_misspelt_parameter_is_refused_with_the_nearest_name():
    said = refused(notebook(OWN, "# Parameters\nhorzon = 12\n"))
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
        ('names = "plan"', ["`names`", "list", "'plan'"]),
        ("share = None", ["`share`", "float", "None"]),
    ],
)
def test_a_value_of_another_type_is_refused(cell, words):
    said = refused(notebook(OWN, f"# Parameters\n{cell}\n"))
    assert all(word in said for word in words), said


def test_a_notebook_can_be_mended_and_run_again_in_the_same_kernel():
    bad = "# Parameters\nhorzon = 12\n"
    refused(notebook(OWN, bad))
    parameters.check_parameters(notebook(OWN, bad, OWN))
    parameters.check_parameters(notebook(OWN, bad, OWN, "# Parameters\nhorizon = 12\n"))
    refused(notebook(OWN, "# Parameters\nhorizon = 12\n", OWN, bad))


def test_other_cells_are_not_taken_for_the_parameters():
    parameters.check_parameters(notebook("mine: int = 3", OWN, "also: str = ''", "horizon = 3"))
    assert "`data`" in refused(notebook("mine: int = 3", OWN, "data = 7"))
    # A cell of magic is no Python, and is passed over.
    names = notebook(OWN)
    names["In"] = ["", "%load_ext autoreload", OWN, "!ls"]
    parameters.check_parameters(names)


def test_choices_bounds_and_dates():
    parameters.one_of("period", "week", ["day", "week"])
    with pytest.raises(InputError, match=r"`period` is 'weak'.*did you mean 'week'.*Allowed: day, week"):
        parameters.one_of("period", "weak", ["day", "week"])
    parameters.between("horizon", 2, 2)
    with pytest.raises(InputError, match="`horizon` is 1, but it must be at least 2"):
        parameters.between("horizon", 1, 2)
    assert parameters.optional_date("as_of", "2024-02-29") == dt.date(2024, 2, 29)
    assert parameters.optional_date("as_of", "") is None
    for text in ("2023-02-29", "31.10.2026", "tomorrow", "2026-13-01"):
        with pytest.raises(InputError, match=r"`as_of`.*year-month-day"):
            parameters.optional_date("as_of", text)
