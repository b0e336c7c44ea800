"""Each recipe makes of its vendor's made-up export what is true of the company, to the cent."""

from __future__ import annotations

import importlib
import re

import duckdb
import pytest
import yaml

import tenure
from exports.measured import differences, measured
from tenure.measures import experiments
from tenure.paths import project_root
from tenure.sources import check
from tenure.sources.mapping import TableMapping

# A recipe each; visitors of an experiment have no subscriptions, and a test of their own.
RECIPES = sorted(
    file.stem
    for file in (project_root() / "data" / "mappings" / "recipes").glob("*.yml")
    if file.stem != "experiment_visitors"
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_finds_what_is_true(name, tmp_path):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path)
    zone = getattr(export, "ZONE", "")
    source = tenure.open_source(tmp_path, f"data/mappings/recipes/{name}.yml", time_zone=zone)
    assert not check(source, truth.as_of).errors
    assert differences(measured(source, truth.as_of), truth) == []


@pytest.mark.edge
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_finds_the_same_in_typed_columns_and_another_order(name, tmp_path):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path / "export")
    for file in sorted((tmp_path / "export").iterdir()):
        read = (
            f"'{file}'"
            if file.suffix == ".parquet"
            else f"read_csv('{file}{'/*.csv' if file.is_dir() else ''}')"
        )
        to = tmp_path / "typed" / f"{file.stem}.parquet"
        to.parent.mkdir(exist_ok=True)
        duckdb.sql(f"COPY (SELECT * FROM {read} AS own ORDER BY HASH(own)) TO '{to}'")
    zone = getattr(export, "ZONE", "")
    source = tenure.open_source(tmp_path / "typed", f"data/mappings/recipes/{name}.yml", time_zone=zone)
    assert differences(measured(source, truth.as_of), truth) == []


def test_visitors_of_an_experiment_convert_and_pay_as_is_true(tmp_path):
    truth = importlib.import_module("exports.experiment_visitors").write(tmp_path)
    source = tenure.open_source(tmp_path, "data/mappings/recipes/experiment_visitors.yml")
    name = tenure.collect(experiments.experiments(source))["experiment"][0]
    as_of = source.last_day()
    units = experiments.outcomes(source, experiment=name, as_of=as_of, window_days=1)
    found = tenure.collect(units).groupby("variant").agg(
        visitors=("unit_id", "nunique"), converted=("converted", "sum"), revenue=("revenue", "sum")
    )  # fmt: skip
    told = {variant: (one.visitors, one.converted, one.revenue) for variant, one in truth.items()}
    assert {variant: tuple(row) for variant, row in found.iterrows()} == told
    assert {"country", "device"} <= set(experiments.segment_columns(source))


def test_the_page_on_data_names_each_recipe_and_only_keys_that_there_are():
    page = (project_root() / "docs" / "your_data.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(\.\./data/mappings/recipes/(\w+)\.yml\)", page))
    assert linked == {*RECIPES, "experiment_visitors"}
    rows = page[page.index("| the data | the key |") : page.index("Rows that `where`")].splitlines()[2:]
    for key in re.findall(r"`([^`]+)`", "\n".join(row.split("|")[2] for row in rows if row)):
        written = yaml.safe_load(key)
        if isinstance(written, dict):  # the others are values of a key named before
            TableMapping.model_validate(written)
