"""Bad parameters of every workbook are refused before its data is opened, in a sentence that names them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from notebooks.running import NOTEBOOKS
from tenure.errors import InputError
from tenure.parameters import declared

_NUMBERS = {"int": [-1, 10**30], "float": [-0.5, math.nan, math.inf, -math.inf]}
# What is none of these parameters, for a reason of its own.
_OWN: dict[str, list[Any]] = {
    "as_of": ["31.10.2026", "2026-02-30", "soon"], "start_from": ["01/02/2024"], "start_to": ["x"], "since": ["never"],
    "margin": [0, 1.5, 5], "fee_share": [1, 2], "discount_rate": [3], "kept": [1.5], "alpha": [0, 0.9],
    "period": ["decade", "Month"], "policy": ["ours"], "compare_with": ["theirs"], "unit": ["household"],
    "years": [0, 1000], "horizon": [0], "min_group": [0], "min_at_risk": [0], "holdout": [0], "pay_months": [0],
    "target_ratio": [0], "cap_quantile": [0.2, 1.5], "looks": [0], "window_days": [0], "cost_per": ["head"],
    "usage_unit": ["days"], "usage_months": [0], "waves": [0], "leave": [[0.1, 1.5], [-0.1]], "terms": [[0], [-3]],
    "plans": [["metered rate"], ["x: base -1"]], "offers": [["cheap"]], "currency": ["EURO", "€"],
    "reporting_currency": ["euro"], "smallest_effect": [2.0], "planned_split": [{"a": -1}, {"a": math.nan}],
    "most_segments": [0], "sample_size": [0], "scheme": ["zodiac"], "days": [0], "months_back": [0],
    "only": ["country = ", "nonsense ==", "country in ('IT'"], "chance": [2.0],
}  # fmt: skip
# A number that may be as large as one likes.
_NO_LIMIT = 10**30


def opening(name: str) -> tuple[str, str]:
    """The cells of a notebook that declare the parameters and open the data."""
    cells = [
        c
        for c in json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]
        if c["cell_type"] == "code"
    ]
    given = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    opens = next("".join(c["source"]) for c in cells if "open_workbook(" in "".join(c["source"]))
    return given, opens


def cases() -> list[Any]:
    found, seen = [], set()
    for path in sorted(NOTEBOOKS.glob("[1-9]*.ipynb")):
        given, _ = opening(path.name)
        for parameter in declared(given):
            bad = [n for n in _NUMBERS.get(parameter.type, []) if n != _NO_LIMIT] + _OWN.get(
                parameter.name, []
            )
            bad += [[]] if parameter.type == "str" else ["many"] if parameter.type in _NUMBERS else []
            marks = [pytest.mark.faults] if parameter.name in seen else []
            seen.add(parameter.name)
            for value in bad:
                id = f"the parameter {parameter.name}: {value} in {path.stem}"
                found.append(pytest.param(path.name, parameter.name, value, marks=marks, id=id))
    return found


@pytest.mark.parametrize(("notebook", "name", "value"), cases())
def test_it_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, notebook: str, name: str, value: Any
) -> None:
    def work(*_: Any, **__: Any) -> None:
        raise AssertionError(f"The data was opened with {name}={value!r}.")

    monkeypatch.setattr("tenure.sources.connect.open_source", work)
    given, opens = opening(notebook)
    cell: dict[str, Any] = {}
    exec(given, cell)
    cell |= {"In": [given], name: value}
    with pytest.raises(InputError) as refused:
        exec(opens, cell)
    sentence = str(refused.value)
    assert name in sentence, sentence
    assert "Fix:" in sentence, sentence
    assert not re.search(r"Error\b|Traceback|\binput should\b|NoneType", sentence), sentence


def test_nothing_is_refused_that_is_as_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened(Exception):
        pass

    def work(*_: Any, **__: Any) -> None:
        raise Opened

    monkeypatch.setattr("tenure.sources.connect.open_source", work)
    for path in sorted(NOTEBOOKS.glob("[1-9]*.ipynb")):
        given, opens = opening(path.name)
        cell: dict[str, Any] = {"In": [given]}
        exec(given, cell)
        with pytest.raises(Opened):
            exec(opens, cell)
