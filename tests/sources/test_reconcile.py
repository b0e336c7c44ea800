"""What another system reports of recurring revenue comes in by `reconcile:`, and the recipes for its exports."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest
import yaml

from tenure import contract
from tenure.errors import InputError
from tenure.models import movements
from tenure.paths import project_root
from tenure.sources import collect, load_mapping, open_source
from tenure.sources.address import Address
from tenure.sources.places import open_catalog
from tenure.sources.recognize import recognize

RECIPES = project_root() / "data" / "mappings" / "recipes" / "reconcile"
OURS = {
    "customers": pd.DataFrame({"customer_id": ["cus_A", "cus_B"], "created_at": pd.Timestamp("2026-01-01")}),
    "subscriptions": pd.DataFrame(
        {"subscription_id": ["1", "2"], "customer_id": ["cus_A", "cus_B"], "plan": "A", "billing_interval": "month",
         "unit_amount_minor": 1000, "currency": "EUR", "status": "active", "started_at": pd.Timestamp("2026-01-01"),
         "ended_at": pd.NaT}
    ),
}  # fmt: skip
STRIPE = pd.DataFrame(
    {"Customer ID": ["cus_A", "cus_B", "cus_C"], "Customer": ["Ada, Ltd.", "", "C"], "Customer Email": "a@b.it",
     "Currency": ["eur", "eur", "jpy"], "2026-09": ["10.00", None, "0"], "2026-10": ["10.00", "8.333", "1500"]}
)  # fmt: skip
CHARTMOGUL = pd.DataFrame(
    {"customer-external-id": ["cus_A", "cus_A", "cus_B", "cus_B", "cus_C"], "customer-name": "n",
     "date": ["2026-08-31T19:30:00-04:00", "2026-10-02T10:00:00+00:00", "2026-09-05T00:00:00+00:00",
              "2026-10-31T23:00:00+00:00", "2026-10-01T00:00:00+00:00"],
     "type": ["new_biz", "expansion", "new_biz", "churn", "new_biz"], "currency": "EUR",
     "activity-mrr": [1000, 1500, 700, 0, 300], "activity-mrr-movement": [1000, 500, 700, -700, 300]}
)  # fmt: skip
BAREMETRICS = pd.DataFrame({"oid": ["cus_A", "cus_B"], "email": "x@y.it", "current_mrr": [1000, 0]})
ROLL_FORWARD = pd.DataFrame(
    {"Month": ["2026-09", "2026-10"], "Starting MRR": ["0", "10.00"], "New": ["10.00", "5.00"], "Reactivation": "0",
     "Expansion": ["0", "1.5"], "Contraction": "0", "Churn": ["0", "2.00"], "Ending MRR": ["10.00", "14.50"]}
)  # fmt: skip
SEPTEMBER, OCTOBER, AUGUST = dt.date(2026, 9, 1), dt.date(2026, 10, 1), dt.date(2026, 8, 1)
EXPORTS = {
    "stripe": ("MRR_per_Subscriber", STRIPE, {
        ("cus_A", SEPTEMBER, "EUR", 1000), ("cus_A", OCTOBER, "EUR", 1000), ("cus_B", OCTOBER, "EUR", 833),
        ("cus_C", SEPTEMBER, "JPY", 0), ("cus_C", OCTOBER, "JPY", 1500)}),
    "chartmogul": ("chartmogul_activities", CHARTMOGUL, {
        ("cus_A", AUGUST, "EUR", 1000), ("cus_A", SEPTEMBER, "EUR", 1000), ("cus_A", OCTOBER, "EUR", 1500),
        ("cus_B", SEPTEMBER, "EUR", 700), ("cus_C", OCTOBER, "EUR", 300)}),
    "baremetrics": ("baremetrics_customers", BAREMETRICS, {
        ("cus_A", dt.date(2026, 10, 31), "USD", 1000), ("cus_B", dt.date(2026, 10, 31), "USD", 0)}),
}  # fmt: skip


def told(source):
    rows = collect(source["mrr_elsewhere"])
    days = pd.to_datetime(rows["month"]).dt.date
    return set(zip(rows["customer_id"], days, rows["currency"], rows["amount_minor"], strict=True))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_a_recipe_reads_what_the_system_reports(name, kind, write):
    table, frame, expected = EXPORTS[name]
    source = open_source(write({**OURS, table: frame}, kind), RECIPES / f"{name}.yml")
    assert told(source) == expected
    assert {"customers", "subscriptions"} <= set(source)


def test_every_recipe_is_tried():
    assert {file.stem for file in RECIPES.glob("*.yml")} == {*EXPORTS, "stripe_roll_forward"}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_roll_forward_tells_what_moved_revenue(kind, write):
    data = write({**OURS, "stripe_roll_forward": ROLL_FORWARD}, kind)
    rows = collect(open_source(data, RECIPES / "stripe_roll_forward.yml")["movements_elsewhere"])
    october = rows[pd.to_datetime(rows["month"]) == "2026-10-01"].set_index("kind")["amount_minor"]
    assert october[october != 0].to_dict() == {"new": 500, "expansion": 150, "churn": -200, "balance": 1450}
    assert set(rows["currency"]) == {"USD"}


def test_the_contract_knows_all_that_can_move_revenue():
    kind = next(c for c in contract.BY_NAME["movements_elsewhere"].columns if c.name == "kind")
    assert {*kind.enum} == {*movements.KINDS, "balance"} - {"transfer"}  # which is nobody's gain or loss


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_it_is_not_taken_for_a_whole_company(name, write):
    table, frame, _ = EXPORTS[name]
    assert recognize(open_catalog(Address.read(write({table: frame}, "csv")))) == []
    # Nor is it taken for a part of one.
    beside = recognize(open_catalog(Address.read(write({**OURS, table: frame}, "csv"))))
    assert beside[0].recipe == "contract"
    assert {name: beside[0].places[name].table for name in OURS} == {name: name for name in OURS}
    assert "mrr_elsewhere" not in beside[0].places


def test_reconcile_is_a_table_like_any_other(write, mapping):
    rows = pd.DataFrame(
        {"who": [" CUS_A", "cus_b"], "when": "2026-10", "mrr": ["1.019,50", "7"], "kept": ["y", "n"]}
    )
    rules = {"from": "dashboard", "columns": {"customer_id": "who", "month": "when"}, "where": "kept = 'y'",
             "money": {"amount_minor": {"from": "mrr", "unit": "major"}}, "constants": {"currency": "EUR"},
             "formats": {"month": "%Y-%m"}, "decimal": ",", "thousands": ".", "trim": ["customer_id"],
             "lower": ["customer_id"]}  # fmt: skip
    data = write({**OURS, "dashboard": rows}, "csv")
    source = open_source(data, mapping({"reconcile": rules}))
    assert told(source) == {("cus_a", OCTOBER, "EUR", 101_950)}
    assert source.left_out == {"mrr_elsewhere": 1}
    assert told(open_source(data, mapping({"tables": {"mrr_elsewhere": rules}}))) == told(source)


def test_what_is_wrong_in_it_is_said_in_one_sentence(write, mapping):
    rules = {"from": "dashboard", "columns": {"customer": "who"}}
    with pytest.raises(InputError, match=r"mrr_elsewhere.columns.customer: mrr_elsewhere has no such column"):
        load_mapping(mapping({"reconcile": rules}))
    with pytest.raises(
        InputError, match=r"reconcile: there is tables\.mrr_elsewhere too\. Fix: keep one of them\."
    ):
        load_mapping(mapping({"reconcile": {"from": "a"}, "tables": {"mrr_elsewhere": {"from": "b"}}}))
    with pytest.raises(InputError, match=r"reconcile_movements: there is tables\.movements_elsewhere too"):
        load_mapping(
            mapping({"reconcile_movements": {"from": "a"}, "tables": {"movements_elsewhere": {"from": "b"}}})
        )


def test_what_the_example_says_of_it_can_be_read(mapping):
    text = (project_root() / "data" / "mappings" / "example.yml").read_text(encoding="utf-8")
    part = text[text.index("# reconcile:") :].split("\n\n")[0]
    part = "\n".join(line for line in part.splitlines() if not line.startswith("# And what moved"))
    rules = yaml.safe_load("\n".join(line.removeprefix("#").removeprefix(" ") for line in part.splitlines()))
    assert load_mapping(mapping(rules)).tables["mrr_elsewhere"].columns["customer_id"]
    assert load_mapping(mapping(rules)).tables["movements_elsewhere"].columns["kind"]
