"""Each recipe makes of its vendor's made-up export what is true of the company, to the cent."""

from __future__ import annotations

import importlib

import pytest

import tenure
from exports.measured import differences, measured
from exports.truth import Truth
from tenure.paths import project_root
from tenure.sources import check

RECIPES = sorted(file.stem for file in (project_root() / "data" / "mappings" / "recipes").glob("*.yml"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_finds_what_is_true(name, tmp_path):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path)
    if not isinstance(truth, Truth):
        pytest.skip("It has no subscriptions: see its own test.")
    zone = getattr(export, "ZONE", "")
    source = tenure.open_source(tmp_path, f"data/mappings/recipes/{name}.yml", time_zone=zone)
    assert not check(source, truth.as_of).errors
    assert differences(measured(source, truth.as_of), truth) == []
