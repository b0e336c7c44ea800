"""PostgreSQL as a source: what it may hold, what may go wrong, and what is written back."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
import traceback

import ibis
import pandas as pd
import pyarrow.parquet as pq
import pytest

import tenure
from engines import servers
from engines.companies import AS_OF
from tenure.errors import InputError
from tenure.measures import revenue, subscriptions
from tenure.measures.calendar import day_index
from tenure.sources import results
from tenure.sources.checks import check

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: make setup")


@pytest.fixture(scope="module")
def admin(start, postgres):
    with psycopg.connect(start(servers.postgres), autocommit=True) as connection:
        for statement in (
            "CREATE ROLE reader LOGIN PASSWORD 's3cret/w@rd'",
            "GRANT USAGE ON SCHEMA company TO reader",
            "GRANT SELECT ON ALL TABLES IN SCHEMA company TO reader",
            "REVOKE TEMPORARY ON DATABASE postgres FROM PUBLIC",
            "REVOKE SELECT ON company.payments FROM reader",
        ):
            connection.execute(statement)
        yield connection


@pytest.fixture(scope="module")
def source(postgres):
    opened = tenure.open_source(postgres)
    yield opened
    opened.connection.disconnect()


def refusal(url, *more) -> str:
    with pytest.raises(InputError) as caught:
        tenure.open_source(url, *more)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "s3cret" not in told
    assert caught.value.__context__ is None
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Fix: " in sentence
    return sentence


def test_a_schema_is_a_folder_of_tables(source, company):
    files = tenure.open_source(company)
    assert list(source) == list(files)
    assert source.attributes == files.attributes
    assert source.last_day() == files.last_day()
    assert source.first_day() == files.first_day()
    assert source.mark is None
    for name in source:
        assert source[name].schema() == files[name].schema(), name


def test_checks_find_the_same(source, company):
    files = tenure.open_source(company)
    ours, theirs = (check(s, AS_OF).to_dict() for s in (files, source))
    assert ours["tables"] == theirs["tables"]
    # Only how a number is written within an example is an engine's own matter.
    same = ("severity", "rule", "table", "column", "count", "rows", "fix")
    assert [[p[k] for k in same] for p in ours["problems"]] == [
        [p[k] for k in same] for p in theirs["problems"]
    ]
    assert len(ours["problems"]) > 8


def test_a_mapping_names_tables_of_other_schemas_and_time_zones(admin, postgres, tmp_path):
    admin.execute("CREATE SCHEMA crm")
    admin.execute(
        "CREATE MATERIALIZED VIEW crm.people AS SELECT 'p' || i AS id, timestamp '2024-03-31 00:30' AS joined,"
        " 12.50::numeric(10, 2) AS price, gen_random_uuid() AS other FROM generate_series(1, 5) i"
    )
    mapping = tmp_path / "mapping.yml"
    mapping.write_text(
        """
time_zone: Europe/Rome
tables:
  customers: {from: crm.people, columns: {customer_id: id, created_at: joined}, attributes: [other]}
  subscriptions:
    from: people
    columns: {subscription_id: id, customer_id: id, started_at: joined}
    constants: {plan: Basic, billing_interval: month, currency: EUR, status: active, ended_at: null}
    money: {unit_amount_minor: {from: price, unit: major}}
"""
    )
    started = {
        "": dt.datetime(2024, 3, 31, 0, 30),
        "UTC": dt.datetime(2024, 3, 30, 23, 30),
        "Asia/Kolkata": dt.datetime(2024, 3, 31, 5, 0),
    }
    for zone, clock in started.items():
        source = tenure.open_source(postgres.replace("/company", "/crm"), mapping, zone)
        rows = tenure.collect(source["subscriptions"])
        assert set(rows["unit_amount_minor"]) == {1250}
        assert set(rows["started_at"]) == {clock}
        assert tenure.collect(source["customers"])["other"].str.len().tolist() == [36] * 5
        source.connection.disconnect()


QUERIES = """
inputs:
  people: {from: customers, columns: {who: customer_id, joined: created_at, note: note}, optional: [note]}
  extra: {columns: {who: id}, absent: allowed}
tables:
  customers:
    query: SELECT who AS customer_id, joined AS created_at, note FROM people WHERE who NOT IN (SELECT who FROM extra)
    attributes: [note]
  subscriptions: {where: "status = 'active' AND currency = 'EUR'"}
"""


def test_a_query_runs_where_the_data_is_and_changes_nothing(admin, postgres, company, tmp_path):
    mapping = tmp_path / "mapping.yml"
    mapping.write_text(QUERIES)
    found = []
    for place in (postgres, company):
        source = tenure.open_source(place, mapping)
        spans = source["subscriptions"].order_by("subscription_id", "started_at")
        found.append((tenure.collect(spans), tenure.collect(source["customers"].count()).iloc[0, 0]))
        assert source.left_out["subscriptions"] > 0
        source.connection.disconnect()
    pd.testing.assert_frame_equal(found[0][0], found[1][0], check_dtype=False)
    assert found[0][1] == found[1][1] > 0
    admin.execute("CREATE TABLE public.log (at timestamp)")
    admin.execute(
        "CREATE FUNCTION public.noted() RETURNS boolean LANGUAGE sql VOLATILE AS"
        " 'INSERT INTO public.log VALUES (now()) RETURNING true'"
    )
    mapping.write_text("tables: {subscriptions: {where: public.noted()}}")
    assert "read-only transaction" in refusal(postgres, mapping)
    assert admin.execute("SELECT count(*) FROM public.log").fetchone()[0] == 0
    mapping.write_text("tables: {subscriptions: {query: SELECT * FROM pg_read_file('/etc/passwd')}}")
    assert "may read only tables of the data" in refusal(postgres, mapping)


def test_text_is_compared_byte_by_byte(source, admin):
    by_language = admin.execute("SELECT min(customer_id) FROM company.customers").fetchone()[0]
    ids = tenure.collect(source["customers"].select("customer_id"))["customer_id"]
    assert by_language != min(ids)
    assert tenure.collect(source["customers"].customer_id.min()).iloc[0, 0] == min(ids)


def test_semi_joins_that_are_alike_all_count(source):
    """Ibis shares a join between queries, and a rewriting of the one must leave the other alone."""
    spans, tests = source["subscriptions"], source["customers"].filter(ibis._.is_test)
    parts = [
        spans.semi_join(tests, "customer_id").select("customer_id", n=ibis.literal(i, "int64"))
        for i in (1, 2)
    ]
    counts = tenure.collect(ibis.union(*parts).group_by("n").agg(rows=ibis._.count()))
    whole = tenure.collect(spans.semi_join(tests, "customer_id").count()).iloc[0, 0]
    assert counts["rows"].tolist() == [whole, whole]
    assert 0 < whole < tenure.collect(spans.count()).iloc[0, 0]


def test_who_may_only_read_reads(admin, postgres, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "s3cret/w@rd")
    url = postgres.replace("tester@", "reader:${SHOP_PASSWORD}@")
    sentence = refusal(url)
    assert "payments: this may not be read (permission denied for table payments)" in sentence
    connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'"
    for _ in range(100):  # who is refused is let go, which the server notices a moment later
        if admin.execute(connected).fetchone() == (0,):
            break
        time.sleep(0.05)
    assert admin.execute(connected).fetchone() == (0,)
    admin.execute("GRANT SELECT ON company.payments TO reader")
    source = tenure.open_source(url)
    assert "s3cret" not in source.url
    life = subscriptions.life_table(source, as_of=AS_OF)
    assert len(tenure.collect(life)) > 12
    stays = results.kept(subscriptions.spells(source, as_of=AS_OF))
    assert tenure.collect(stays.count()).iloc[0, 0] > 300
    for place in ("spells", "company.spells"):
        with pytest.raises(InputError, match="permission denied"):
            results.write(stays, place)
    source.connection.disconnect()


def test_an_engine_without_temporary_tables_runs_unsettled_and_says_so_once(admin, source, postgres):
    admin.execute("CREATE ROLE replica LOGIN IN ROLE pg_read_all_data")
    admin.execute("GRANT TEMPORARY ON DATABASE postgres TO replica")
    admin.execute("ALTER ROLE replica SET default_transaction_read_only = on")
    replica = tenure.open_source(postgres.replace("tester@", "replica@"))
    told = [p for p in check(replica, AS_OF).problems if p.rule == "unsettled"]
    assert ["temporary tables" in p.sentence for p in told] == [True]
    assert not [p for p in check(source, AS_OF).problems if p.rule == "unsettled"]
    for measure in (subscriptions.life_table, revenue.mrr_balances):
        ours, theirs = (tenure.collect(measure(one, as_of=AS_OF)) for one in (source, replica))
        pd.testing.assert_frame_equal(theirs, ours)
    assert not replica.settled
    replica.connection.disconnect()


def test_addresses_that_lead_nowhere(start, monkeypatch):
    server = start(servers.postgres)
    assert "has no table 'customers'" in refusal(server)
    assert "names a schema that does not exist" in refusal(f"{server}/nowhere")
    assert 'database "nowhere" does not exist' in refusal(f"{server.removesuffix('postgres')}nowhere")
    assert "cannot be reached" in refusal(f"postgres://tester@127.0.0.1:{servers.free_port()}/postgres")
    assert "cannot be reached" in refusal("postgres://tester@no.such.host.invalid/postgres")


def test_a_server_that_stops_in_the_middle(admin, postgres):
    source = tenure.open_source(postgres)
    pid = source.connection.raw_sql("SELECT pg_backend_pid()").fetchone()[0]
    admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    with pytest.raises(InputError, match="the connection to the engine was lost") as caught:
        tenure.collect(source["events"].count())
    assert "\n" not in str(caught.value)
    source.connection.disconnect()


def test_a_query_that_takes_too_long_or_too_much(postgres):
    source = tenure.open_source(f"{postgres}?options=-c%20statement_timeout%3D30")
    far = source["events"].cross_join(source["customers"].select(other="customer_id"))
    with pytest.raises(InputError, match="took too long"):
        tenure.collect(far.group_by("other").agg(n=ibis._.duration_s.nunique()))
    source.connection.disconnect()
    source = tenure.open_source(f"{postgres}?options=-c%20temp_file_limit%3D64%20-c%20work_mem%3D64")
    rows = source["events"].mutate(n=day_index(source["events"].occurred_at))
    ordered = rows.mutate(place=ibis.row_number().over(order_by=[rows.n, rows.customer_id, rows.duration_s]))
    with pytest.raises(InputError, match=r"ran out of room .*raise work_mem") as caught:
        tenure.collect(ordered.aggregate(x=ordered.place.max(), y=ordered.platform.max()))
    assert "docs/scale.md" in str(caught.value)
    source.connection.disconnect()


# ------------------------------------------------------------------------------------------------- results


def test_a_table_is_written_whole_or_not_at_all(source, admin):
    stays = subscriptions.spells(source, as_of=AS_OF)
    assert results.write(stays, "stays") == "stays"
    count = admin.execute("SELECT count(*), sum(spell), max(customer_id) FROM company.stays").fetchone()
    assert count[0] == tenure.collect(stays.count()).iloc[0, 0]
    with pytest.raises(InputError, match="stays is there already"):
        results.write(stays, "stays")
    broken = stays.mutate(x=stays.customer_id.cast("int64"))
    with pytest.raises(InputError):
        results.write(broken, "stays", replace=True)
    assert admin.execute("SELECT count(*) FROM company.stays").fetchone()[0] == count[0]
    results.write(stays.limit(3), "company.stays", replace=True)
    assert admin.execute("SELECT count(*) FROM company.stays").fetchone()[0] == 3
    with pytest.raises(InputError, match="neither a table's name"):
        results.write(stays, 'x"; DROP TABLE company.customers; --')


def test_rows_stream_into_parquet(source, tmp_path):
    place = tmp_path / "new" / "events.parquet"
    events = source["events"]
    assert results.write(events, place) == str(place)
    assert pq.read_metadata(place).num_rows == tenure.collect(events.count()).iloc[0, 0]
    with pytest.raises(InputError, match="is there already"):
        results.write(events, place)
    results.write(events.limit(2), place, replace=True)
    assert pq.read_metadata(place).num_rows == 2
    assert [path.name for path in place.parent.iterdir()] == ["events.parquet"]


def test_tables_need_a_database(company):
    stays = subscriptions.spells(tenure.open_source(company), as_of=AS_OF)
    with pytest.raises(InputError, match="there is no database to write a table to"):
        results.write(stays, "stays")
    with pytest.raises(InputError, match="cannot be written"):
        results.write(stays, "/proc/nowhere/stays.parquet")


def test_importing_the_sources_needs_no_driver():
    code = (
        "import sys, tenure.sources; print([m for m in ('psycopg', 'pyspark', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_list_of_customers_replaces_a_table_in_one_transaction(admin, start, tmp_path, monkeypatch):
    from tenure.sources.lists import customer_list, write_list

    admin.execute("CREATE SCHEMA lists")
    admin.execute("CREATE ROLE crm LOGIN PASSWORD 's3cret/w@rd'")
    admin.execute("GRANT USAGE, CREATE ON SCHEMA lists TO crm")
    monkeypatch.setenv("CRM_PASSWORD", "s3cret/w@rd")
    url = start(servers.postgres).replace("tester@", "crm:${CRM_PASSWORD}@") + "/lists"
    many = pd.DataFrame(
        {"customer_id": [f"c{i:05}" for i in range(25_000)], "value": 1234.5, "currency": "EUR"}
    )
    many.loc[0, "customer_id"] = "tab\tand \\N"
    many.to_csv(tmp_path / "values.csv", index=False)
    rows = customer_list([tmp_path])
    for _ in range(2):
        said = write_list(rows, url, "customers")
    assert "s3cret" not in said
    admin.execute("CREATE VIEW lists.good AS SELECT * FROM lists.customers")
    assert admin.execute("SELECT count(*), round(sum(value)), min(segment) FROM lists.good").fetchone() == (
        25_000, 308_625, None
    )  # fmt: skip
    assert admin.execute("SELECT max(customer_id) FROM lists.good").fetchone() == ("tab\tand \\N",)
    # Half of the rows are there when it fails; readers keep the old ones, and so does the view.
    rows.execute("UPDATE list SET customer_id = 'x' || chr(0) WHERE customer_id = 'c20000'")
    with pytest.raises(InputError) as failed:
        write_list(rows, url, "customers")
    assert "\n" not in str(failed.value)
    assert admin.execute("SELECT count(*) FROM lists.good").fetchone() == (25_000,)
    admin.execute("CREATE TABLE lists.orders (id int)")
    admin.execute("GRANT ALL ON lists.orders TO crm")
    with pytest.raises(InputError, match="has the columns id"):
        write_list(rows, url, "lists.orders")
    with pytest.raises(InputError, match="Fix: "):
        write_list(rows, url, "company.payments")
