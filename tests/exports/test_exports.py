"""The files of each export are written, and its truth is what the measures say of its lives."""

from __future__ import annotations

import importlib

import pytest

import tenure
from exports.measured import differences, measured, write_contract

NAMES = ["chargebee", "stripe_api", "stripe_dashboard", "woocommerce"]


@pytest.mark.parametrize("name", NAMES)
def test_the_measures_say_of_the_lives_what_the_loops_do(name, tmp_path):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path / "export")
    assert list((tmp_path / "export").iterdir())
    assert truth.mrr
    assert truth.churned
    assert truth.trials[0] > truth.trials[1] > 0
    write_contract(export.told(), tmp_path / "contract")
    source = tenure.open_source(tmp_path / "contract")
    assert differences(measured(source, truth.as_of), truth) == []
