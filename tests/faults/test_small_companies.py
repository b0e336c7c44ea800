"""Companies of hardly anybody, and of one kind only: each report is a page, or ends in a sentence."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from faults.judge import Said, fit_to_print
from tenure.contract import TAKEN
from tenure.paths import project_root
from tenure.runs.collection import Result, run_collection
from tenure.runs.publish import Reports
from tenure.runs.runbook import read_runbook
from tenure_demo import write_demo

pytestmark = pytest.mark.faults

FIRST = "SELECT * REPLACE ({}) FROM '{{}}' QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY started_at) = 1"
ON = "CAST(NULL AS timestamp) AS ended_at, NULL AS end_reason"
# What the subscriptions of a company of 300 become.
KINDS = {
    "one plan": "SELECT * REPLACE ('Basic' AS plan) FROM '{}'",
    "nobody left": FIRST.format(ON),
    "everybody left": "SELECT * REPLACE (coalesce(ended_at, started_at + INTERVAL 3 DAY) AS ended_at, "
    "coalesce(end_reason, 'voluntary') AS end_reason) FROM '{}'",
    "one month": FIRST.format(
        f"TIMESTAMP '2026-10-01' + (started_at - date_trunc('month', started_at)) AS started_at, {ON}"
    ),
}


def reported(data: Path, place: Path) -> Result:
    book = read_runbook(project_root() / "notebooks" / "runbook.yml", {"data": str(data)})
    return run_collection(book, Reports(place), [])


def all_are_pages_or_sentences(result: Result, place: Path) -> None:
    for name, entry in result.entries.items():
        assert entry["state"] in ("ok", "not_applicable"), (name, entry["reason"])
        fit_to_print(Said(0, entry["reason"], ""))
        assert entry["state"] != "ok" or (place / "latest" / entry["page"]).is_file(), name


@pytest.mark.parametrize("customers", [1, 2, 10, 50, 500], ids=lambda n: f"a small company: {n} customers")
def test_a_company_of_few(tmp_path: Path, customers: int) -> None:
    write_demo(tmp_path / "data", customers=customers)
    all_are_pages_or_sentences(reported(tmp_path / "data", tmp_path / "reports"), tmp_path / "reports")


@pytest.mark.parametrize("query", KINDS.values(), ids=[f"a company of one kind: {kind}" for kind in KINDS])
def test_a_company_of_one_kind(tmp_path: Path, query: str) -> None:
    write_demo(tmp_path / "data", customers=300)
    place = tmp_path / "data" / "subscriptions.parquet"
    duckdb.sql(f"COPY ({query.format(place)}) TO '{place}.new' (FORMAT parquet)")
    Path(f"{place}.new").replace(place)
    all_are_pages_or_sentences(reported(tmp_path / "data", tmp_path / "reports"), tmp_path / "reports")


@pytest.mark.parametrize("half", [0, 1], ids=lambda half: f"names of columns: half {half}")
def test_a_company_that_says_much_of_its_customers_in_words_of_ours(tmp_path: Path, half: int) -> None:
    write_demo(tmp_path / "data", customers=2_000)
    place = tmp_path / "data" / "customers.parquet"
    odd = [
        "Customer Type",
        "Campaign",
        "Plan",
        "größe",
        "a.b",
        "x'y",
        "by ",
        "123",
        "SELECT",
        "segment:x",
        "{n}",
        "%d",
    ]
    ours = sorted(TAKEN - {"campaign"})
    names = [*ours, "segment", "currency", "billing", "start_month", *odd][half::2]
    levels = [f"'v' || hash(customer_id || '{place}') % 3 AS \"{name}\"" for place, name in enumerate(names)]
    duckdb.sql(f"COPY (SELECT *, {', '.join(levels)} FROM '{place}') TO '{place}.new' (FORMAT parquet)")
    Path(f"{place}.new").replace(place)
    result = reported(tmp_path / "data", tmp_path / "reports")
    assert {name: entry["state"] for name, entry in result.entries.items()} == dict.fromkeys(
        result.entries, "ok"
    )


def test_a_company_of_nobody(tmp_path: Path) -> None:
    write_demo(tmp_path / "data", customers=1)
    for place in (tmp_path / "data").glob("*.parquet"):
        duckdb.sql(f"COPY (FROM '{place}' LIMIT 0) TO '{place}.new' (FORMAT parquet)")
        Path(f"{place}.new").replace(place)
    result = reported(tmp_path / "data", tmp_path / "reports")
    for name, entry in result.entries.items():
        if entry["state"] == "failed":
            fit_to_print(Said(1, entry["reason"], ""))
            assert "has no rows" in entry["reason"], name
            assert "Fix:" in entry["reason"], name
