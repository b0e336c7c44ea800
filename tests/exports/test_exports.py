"""The files of each export are written, and its truth is what the measures say of its lives."""

from __future__ import annotations

import importlib

import pytest

import tenure
from exports import unloads
from exports.lives import AS_OF
from exports.measured import differences, measured, write_contract
from exports.truth import truth_of

WITHOUT_TRIALS = ["customer_months", "recharge", "transactions"]
WITH_TRIALS = [
    "app_store", "chargebee", "event_log", "invoices", "paddle", "recurly", "revenuecat", "stripe_api",
    "stripe_dashboard", "woocommerce",
]  # fmt: skip


@pytest.mark.parametrize("name", WITH_TRIALS + WITHOUT_TRIALS)
def test_the_measures_say_of_the_lives_what_the_loops_do(name, tmp_path):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path / "export")
    assert list((tmp_path / "export").iterdir())
    assert truth.mrr
    assert truth.churned
    assert truth.trials == (0, 0) if name in WITHOUT_TRIALS else truth.trials[0] > truth.trials[1] > 0
    write_contract(export.told(), tmp_path / "contract")
    source = tenure.open_source(tmp_path / "contract")
    assert differences(measured(source, truth.as_of), truth) == []


@pytest.mark.parametrize(("name", "seats"), [
    ("stripe_api", (4, 9, 6)), ("chargebee", (4, 9, 6)), ("paddle", (4, 9, 6)), ("recurly", (4, 9, 6)),
    ("stripe_dashboard", (6, 6, 6)),  # a row a subscription: today's quantity
])  # fmt: skip
def test_a_customer_with_seats_counted_by_hand(name, seats):
    lives = importlib.import_module(f"exports.{name}").told()
    life = next(one for one in lives if one.facts["what"] == "seats")
    mrr = truth_of([life], AS_OF).mrr
    assert tuple(mrr[month, "EUR"] for month in ("2024-08", "2025-01", "2026-03")) == tuple(
        1225 * n for n in seats
    )


@pytest.mark.parametrize("database", unloads.DATABASES)
def test_what_databases_unload_maps_by_the_ordinary_keys(database, tmp_path):
    truth = unloads.write(tmp_path, database)
    source = tenure.open_source(tmp_path, tmp_path / "mapping.yml")
    assert differences(measured(source, truth.as_of), truth) == []
