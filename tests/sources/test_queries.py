"""Tables that are derived by a query: what it may read, and what is said when it may not."""

from __future__ import annotations

import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.sources import check, collect, load_mapping, open_source

LOG = pd.DataFrame(
    {
        "Contract No": ["a", "a", "b", "c"],
        "Day": ["2024-01-10", "2024-03-05", "2024-02-01", " "],
        "What": ["on", "off", "on", "on"],
        "Price": ["9.99", "", "1000", "5"],
    }
)
SPANS = """
-- A contract is on from the day it began to the day it ended.
WITH began AS (SELECT contract, CAST(day AS TIMESTAMP) AS day, price FROM log WHERE what = 'on' AND day IS NOT NULL),
     ended AS (SELECT contract, CAST(day AS TIMESTAMP) AS day FROM log WHERE what = 'off')
SELECT began.contract AS subscription_id, began.contract AS customer_id, began.day AS started_at,
       ended.day AS ended_at, began.price, coupon
FROM began LEFT JOIN ended USING (contract) LEFT JOIN coupons USING (contract);
"""
RULES = {
    "inputs": {
        "log": {
            "from": "changes",
            "columns": {"contract": "Contract No", "day": "Day", "what": "What", "price": "Price"},
        },
        "coupons": {"columns": {"contract": "no", "coupon": "code"}, "absent": "allowed"},
    },
    "tables": {
        "customers": {
            "query": "SELECT contract AS customer_id, MIN(CAST(day AS TIMESTAMP)) AS created_at FROM log "
            "WHERE day IS NOT NULL GROUP BY ALL",
        },
        "subscriptions": {
            "query": "spans.sql",
            "money": {"unit_amount_minor": {"from": "price", "unit": "major"}},
            "constants": {"plan": "Only", "billing_interval": "month", "currency": "EUR", "status": "active"},
        },
    },
}


@pytest.fixture
def ask(write, mapping, tmp_path):
    """Open the log with the rules, of which some tables or inputs are changed."""

    def asked(kind="csv", sql=SPANS, frames=None, **changes):
        (tmp_path / "spans.sql").write_text(sql)
        rules = {key: {**RULES[key], **changes.get(key, {})} for key in RULES}
        return open_source(write(frames or {"changes": LOG}, kind), mapping(rules))

    return asked


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_a_query_makes_a_table_of_files_and_of_a_database(ask, kind):
    frame = LOG if kind == "csv" else LOG.assign(Day=LOG["Day"].str.strip().replace("", None))
    frame = frame if kind == "csv" else frame.assign(Price=pd.to_numeric(frame["Price"]))
    source = ask(kind, frames={"changes": frame})
    rows = collect(source["subscriptions"].order_by("subscription_id"))
    assert rows["unit_amount_minor"].tolist() == [999, 100_000]
    assert rows["started_at"].dt.strftime("%d %b").tolist() == ["10 Jan", "01 Feb"]
    assert rows["ended_at"].notna().tolist() == [True, False]


def test_an_optional_column_that_is_absent_is_empty(ask):
    log = {**RULES["inputs"]["log"], "optional": ["what"]}
    sql = SPANS.replace("WHERE what = 'on' AND", "WHERE what IS NULL AND")
    source = ask(sql=sql, frames={"changes": LOG.drop(columns="What")}, inputs={"log": log})
    assert len(collect(source["subscriptions"])) == 3


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1; DROP TABLE log", "must be one SELECT"),
        ("SELECT * FROM log; SELECT 1", "must be one SELECT"),
        ("WITH x AS (DELETE FROM log RETURNING *) SELECT * FROM x", "must be one SELECT"),
        ("SELECT * INTO other FROM log", "must be one SELECT"),
        ("SELECT * FROM read_csv('/etc/passwd')", "reads from READ_CSV('/etc/passwd'), and may read only tables"),
        ("SELECT * FROM glob('/*')", "may read only tables of the data"),
        ("SELECT * FROM '/etc/passwd'", "there is no table '/etc/passwd' to read"),
        ("SELECT * FROM lgo", "there is no table 'lgo' to read. Fix: is 'log' meant?"),
        ("SELECT contract FROM (log", "is not SQL that can be read"),
        ("SELECT colour FROM log", "colour"),
        ("SELECT CAST(contract AS INT) AS x FROM log", "'a'"),
    ],
)  # fmt: skip
def test_what_a_query_may_not_be(ask, sql, said):
    with pytest.raises(InputError) as caught:
        ask(sql="-- A query.\n" + sql)
    assert "tables.subscriptions.query" in str(caught.value)
    assert said.lower() in str(caught.value).lower()
    assert "Fix: " in str(caught.value)


def test_a_query_is_locked_out_of_files_that_no_check_of_its_words_would_find(ask, monkeypatch):
    monkeypatch.setattr("tenure.sources.queries._tables", lambda *_: {"log"})
    with pytest.raises(InputError, match="file system operations are disabled"):
        ask(sql="SELECT content FROM read_text('/etc/passwd')")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_values_that_are_not_listed_are_told_with_their_number(ask, kind):
    said = {"on": "on", "off": None, "": "on", "started": "off"}
    log = RULES["inputs"]["log"] | {"values": {"what": said, "price": {"5": 5, "": 1}}, "optional": ["price"]}
    more = pd.DataFrame(
        {"Contract No": "d", "Day": "2024-04-01", "What": ["login", " ", None, "off", "login"]}
    )
    rows = pd.concat([LOG[:3], more]).drop(columns="Price")
    source = ask(kind, inputs={"log": log}, frames={"changes": rows})
    (told,) = [problem for problem in check(source).problems if problem.table == "inputs.log.what"]
    assert told.sentence == (
        "inputs.log.what: 2 of 8 rows have a value that `values` does not list, for example 'login'."
    )
    assert told.fix == "list it: `values: {what: {theirs: ours}}`, with null for what is to be left aside"


def test_a_query_that_is_not_there(ask):
    with pytest.raises(InputError) as caught:
        ask(tables={"subscriptions": {"query": "gone.sql"}})
    assert "there is no file 'gone.sql' beside the mapping" in str(caught.value)
    assert str(caught.value).count("subscriptions.query") == 1


def test_a_query_beside_from(ask):
    with pytest.raises(InputError, match=r"tables\.customers\.query: there is `from` too"):
        ask(tables={"customers": {"query": "SELECT 1", "from": "changes"}})


def test_everything_that_is_wrong_is_said_at_once(ask):
    log = {
        "from": "changes",
        "columns": {"contract": "Contract", "day": "Tag", "what": "What", "price": "Price"},
    }
    plans = {"query": "spans.sql", "constants": {"status": "on"}, "monney": {}, "columns": {"planned": "x"}}
    with pytest.raises(InputError) as caught:
        ask(inputs={"log": log}, tables={"subscriptions": plans})
    said = str(caught.value)
    assert said.startswith("The mapping ")
    assert "has 4 faults:\n1. " in said
    for fault in (
        "tables.subscriptions.monney: there is no such key. Fix: is 'money' meant?",
        "tables.subscriptions.columns.planned: subscriptions has no such column",
        "tables.subscriptions.constants.status: 'on' is none of",
        "inputs.log.columns: changes has no column 'Contract' (as contract), 'Tag' (as day); it has Contract No",
    ):
        assert fault in said


def test_all_faults_of_the_data_are_said_at_once(write):
    customers = pd.DataFrame({"customer_id": ["a"], "created_at": ["soon"], "birth_year": ["old"]})
    spans = pd.DataFrame(
        {"subscription_id": ["a"], "customer_id": ["a"], "plan": ["x"], "started_at": ["never"]}
    )
    with pytest.raises(InputError) as caught:
        open_source(write({"customers": customers, "subscriptions": spans}, "csv"))
    said = str(caught.value)
    for column in ("customers.created_at", "customers.birth_year", "subscriptions.started_at"):
        assert f"{column}: 1 of 1 rows" in said
    for column in ("billing_interval", "unit_amount_minor", "currency", "status"):
        assert f"subscriptions.{column} is missing" in said


def test_a_mapping_is_another_when_a_query_has_changed(ask, tmp_path):
    before = ask() and load_mapping(tmp_path / "mapping.yml")
    assert before.tables["subscriptions"].query == SPANS
    assert ask(sql=SPANS.replace("A contract", "Each contract"))
    assert load_mapping(tmp_path / "mapping.yml") != before
