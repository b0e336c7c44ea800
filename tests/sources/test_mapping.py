from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenure.errors import InputError
from tenure.paths import project_root
from tenure.sources import check, collect, load_mapping, open_source

TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"

USERS = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "signup": ["31/03/2024 01:30", "31/03/2024 03:30", "27/10/2024 01:30", "15/01/2024 00:00"],
        "sex": ["M", "F", "x", ""],
        "town": ["Rome", "Lyon", " ", "Bari"],
    }
)
CONTRACTS = pd.DataFrame(
    {
        "no": ["a", "b", "c", "d"],
        "user": [1, 2, 3, 4],
        "product": ["Basic", "Plus", "Basic", "Plus"],
        "from": ["2024-04-01", "2024-07-01 12:00:00", "2024-11-01 12:00:00", "2024-07-01T12:00:00+05:00"],
        "to": ["", "2024-08-01", "", ""],
        "why": ["", "cancelled", "", ""],
        "price": [9.99, 19.9, 0.07, 1234567.89],
    }
)
RULES = {
    "time_zone": "Europe/Rome",
    "tables": {
        "customers": {
            "from": "users",
            "columns": {"customer_id": "id", "created_at": "signup", "gender": "sex"},
            "formats": {"created_at": "%d/%m/%Y %H:%M"},
            "values": {"gender": {"M": "male", "F": "female", "": "unknown"}},
            "attributes": ["town"],
            "blank": None,
        },
        "subscriptions": {
            "from": "contracts.csv",
            "columns": {
                "subscription_id": "no",
                "customer_id": "user",
                "plan": "product",
                "started_at": "from",
                "ended_at": "to",
                "end_reason": "why",
            },
            "money": {"unit_amount_minor": {"from": "price", "unit": "major"}},
            "constants": {"billing_interval": "month", "currency": "EUR", "status": "active"},
            "values": {"end_reason": {"cancelled": "voluntary"}},
        },
    },
}


def changed(*path_and_value, remove=()):
    """The rules with one entry changed (the last argument is the value) and others removed."""

    def copy(node):
        return {key: copy(value) for key, value in node.items()} if isinstance(node, dict) else node

    rules = copy(RULES)
    if path_and_value:
        *path, key, value = path_and_value
        node = rules
        for part in path:
            node = node.setdefault(part, {})
        node[key] = value
    for path in remove:
        node = rules
        for part in path[:-1]:
            node = node[part]
        del node[path[-1]]
    return rules


@pytest.fixture
def shop(write):
    return write({"users": USERS, "contracts": CONTRACTS}, "csv")


def refusal(*arguments) -> str:
    with pytest.raises(InputError) as caught:
        open_source(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "Fix: " in sentence
    return sentence


# ------------------------------------------------------------------------------------------------ tables


def test_columns_values_constants_money_and_times(shop, mapping):
    rules = mapping(RULES)
    source = open_source(shop, rules)
    customers = collect(source["customers"].order_by("customer_id"))
    assert customers["customer_id"].tolist() == ["1", "2", "3", "4"]
    assert customers["gender"].tolist() == ["male", "female", "x", "unknown"]
    assert customers["town"].tolist() == ["Rome", "Lyon", None, "Bari"]
    # The days are Rome's, whose zone is the only one that the mapping names.
    assert source.time_zone == "Europe/Rome"
    assert customers["created_at"].astype(str).tolist() == [
        "2024-03-31 01:30:00", "2024-03-31 03:30:00", "2024-10-27 01:30:00", "2024-01-15 00:00:00",
    ]  # fmt: skip
    # Rome is one hour ahead of UTC in winter and two in summer, which began at 2 o'clock on 31 March.
    instants = open_source(shop, rules, "UTC")
    assert collect(instants["customers"].order_by("customer_id"))["created_at"].astype(str).tolist() == [
        "2024-03-31 00:30:00", "2024-03-31 01:30:00", "2024-10-26 23:30:00", "2024-01-14 23:00:00",
    ]  # fmt: skip
    spans = collect(source["subscriptions"].order_by("subscription_id"))
    assert spans["unit_amount_minor"].tolist() == [999, 1990, 7, 123456789]
    # A day without a time of day stays that day; a time with an offset is absolute.
    assert spans["started_at"].astype(str).tolist() == [
        "2024-04-01 00:00:00", "2024-07-01 12:00:00", "2024-11-01 12:00:00", "2024-07-01 09:00:00",
    ]  # fmt: skip
    assert collect(instants["subscriptions"].order_by("subscription_id"))["started_at"].astype(str).tolist() == [
        "2024-04-01 00:00:00", "2024-07-01 10:00:00", "2024-11-01 11:00:00", "2024-07-01 07:00:00",
    ]  # fmt: skip
    assert spans["ended_at"].notna().tolist() == [False, True, False, False]
    assert spans["end_reason"].tolist() == [None, "voluntary", None, None]
    assert set(spans["currency"]) == {"EUR"}
    assert source.attributes == ("gender", "town")
    assert source.dated
    assert source.notes == ()


def test_parquet_and_duckdb_give_what_csv_gives(write, mapping):
    csv = open_source(write({"users": USERS, "contracts": CONTRACTS}, "csv", "csv"), mapping(RULES))
    path = mapping(changed("tables", "subscriptions", "from", "contracts"))
    for kind in ("parquet", "duckdb"):
        other = open_source(
            write({"users": USERS, "contracts": CONTRACTS.replace("", None)}, kind, kind), path
        )
        for name in csv:
            pd.testing.assert_frame_equal(
                collect(csv[name].order_by("customer_id")), collect(other[name].order_by("customer_id"))
            )


def test_money_follows_the_currencys_decimals(write, mapping):
    contracts = CONTRACTS.assign(price=["5", "1.25", "3.125", "7"], money=["JPY", "EUR", "KWD", "JPY"])
    constant = ("tables", "subscriptions", "constants", "currency")
    rules = changed("tables", "subscriptions", "columns", "currency", "money", remove=[constant])
    source = open_source(write({"users": USERS, "contracts": contracts}, "csv"), mapping(rules))
    amounts = collect(source["subscriptions"].order_by("subscription_id"))["unit_amount_minor"]
    assert amounts.tolist() == [5, 125, 3125, 7]
    wrong = contracts.assign(price=["5", "1.25", "3.125", "7.5"])
    sentence = refusal(write({"users": USERS, "contracts": wrong}, "csv"), mapping(rules))
    assert "1 of 4 rows are not amounts that the currency can express, for example '7.5'" in sentence


@given(cents=st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_major_money_is_exact_to_the_cent(write, mapping, cents):
    contracts = pd.DataFrame(
        {"no": range(len(cents)), "user": 1, "product": "p", "from": "2024-01-01", "to": "", "why": ""}
    )
    for kind, prices in (
        ("csv", [f"{c // 100}.{c % 100:02d}" for c in cents]),
        ("parquet", [c / 100 for c in cents]),
    ):
        path = write({"users": USERS, "contracts": contracts.assign(price=prices)}, kind, kind)
        rules = changed("tables", "subscriptions", "from", "contracts")
        if kind == "parquet":
            rules["tables"]["subscriptions"]["blank"] = None
        source = open_source(path, mapping(rules))
        found = collect(source["subscriptions"]).set_index("subscription_id")["unit_amount_minor"]
        assert [found[str(i)] for i in range(len(cents))] == cents


def test_observed_from_and_attributes_by_name(shop, mapping):
    rules = changed("tables", "customers", "attributes", {"city": "town"})
    source = open_source(shop, mapping({"observed_from": dt.date(2024, 1, 1), **rules}))
    assert source.observed_from == dt.date(2024, 1, 1)
    assert source.attributes == ("gender", "city")
    all_of_them = open_source(shop, mapping(changed("tables", "customers", "attributes", "all")))
    assert all_of_them.attributes == ("gender", "town")


def test_columns_that_look_like_trials_are_not_left_aside_in_silence(mapping, company, write):
    company["subscriptions"]["Trial_End"] = "2024-01-15"
    data, plan = write(company), {"columns": {"status": "status"}}
    source = open_source(data, mapping({"tables": {"subscriptions": plan}}))
    assert "subscriptions: trials in 'Trial_End' are left aside" in " ".join(source.notes)
    mapped = {"columns": {"end_reason": "Trial_End"}}
    assert not open_source(data, mapping({"tables": {"subscriptions": mapped}})).notes


def test_contract_tables_beside_the_mapped_ones_are_taken_as_they_are(company, write, mapping):
    path = write({"users": USERS, "contracts": CONTRACTS, "payments": company["payments"].head(3)}, "csv")
    source = open_source(path, mapping(RULES))
    assert sorted(source) == ["customers", "payments", "subscriptions"]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            changed("tables", "customers", "colums", {}),
            "tables.customers.colums: there is no such key. Fix: is 'columns' meant?",
        ),
        (changed("timezone", "UTC"), "timezone: there is no such key. Fix: is 'time_zone' meant?"),
        (
            changed("tables", "customer", {"from": "users"}),
            "tables.customer: the contract has no such table. Fix: is 'customers' meant?",
        ),
        (
            changed("tables", "customers", "columns", "costumer_id", "id"),
            (
                "tables.customers.columns.costumer_id: customers has no such column. Fix: is "
                "'customer_id' meant?"
            ),
        ),
        (
            changed("tables", "customers", "columns", "customer_id", "Id"),
            "tables.customers.columns.customer_id: the data has no column 'Id'. Fix: is 'id' meant?",
        ),
        (
            changed("tables", "customers", "attributes", ["twon"]),
            "tables.customers.attributes: the data has no column 'twon'. Fix: is 'town' meant?",
        ),
        (
            changed("tables", "subscriptions", "attributes", ["product"]),
            "only customers and visits have attributes",
        ),
        (changed("tables", "subscriptions", "from", "contract"), "tables.subscriptions.from: "),
        (
            changed("tables", "subscriptions", "values", "end_reason", {"cancelled": "voluntry"}),
            "'voluntry' is none of voluntary, involuntary",
        ),
        (
            changed("tables", "subscriptions", "constants", "status", "on"),
            "tables.subscriptions.constants.status: 'on' is none of",
        ),
        (changed("tables", "subscriptions", "constants", "plan", "x"), "it is under `columns` too"),
        (
            changed("tables", "subscriptions", "money", "plan", {"from": "price", "unit": "major"}),
            "not an amount of money",
        ),
        (
            changed(
                "tables", "subscriptions", "money", "unit_amount_minor", {"from": "price", "unit": "cents"}
            ),
            "unit",
        ),
        (
            changed("tables", "subscriptions", "money", "unit_amount_minor", {"unit": "major"}),
            "tables.subscriptions.money.unit_amount_minor.from is missing",
        ),
        (changed("time_zone", "Rome"), "time_zone is 'Rome'; a time zone is written like Europe/Rome"),
        (changed("observed_from", "soon"), "observed_from is 'soon'; "),
        (
            changed(remove=[("tables", "subscriptions", "columns", "plan")]),
            "subscriptions.plan is missing. Fix: name it in the mapping's tables.subscriptions",
        ),
        ({"tables": {}}, "it maps nothing"),
    ],
)
def test_what_a_mapping_may_not_say(shop, mapping, rules, said):
    assert said in refusal(shop, mapping(rules))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables: [", "is not YAML: line"),
        ("tables:\n  customers: {from: a}\n  customers: {from: b}\n", "line 3 repeats the key 'customers'"),
        ("just words", "has no keys"),
        ("", "has no keys"),
    ],
)
def test_a_mapping_that_is_not_yaml(shop, mapping, text, said):
    assert said in refusal(shop, mapping(text))


def test_a_mapping_that_is_not_there(shop):
    assert "The mapping nowhere.yml does not exist" in refusal(shop, "nowhere.yml")


def test_values_that_yaml_likes_to_turn_into_something_else(write, mapping):
    users = USERS.assign(sex=["Yes", "NO", "012", "1"])
    rules = """
tables:
  customers:
    from: users
    columns: {customer_id: id, created_at: signup, gender: sex}
    formats: {created_at: "%d/%m/%Y %H:%M"}
    values: {gender: {Yes: y, NO: n, 012: twelve, 1: one}}
"""
    path = write({"users": users, "subscriptions": pd.DataFrame()}, "csv")
    (Path(path) / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
        "S,1,p,month,1,EUR,active,2024-01-01,\n"
    )
    customers = collect(open_source(path, mapping(rules))["customers"].order_by("customer_id"))
    assert customers["gender"].tolist() == ["y", "n", "twelve", "one"]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "from",
            ["2024-01-01", "2024-02-31", "2024-02-31", "2024-01-01"],
            (
                "subscriptions.started_at (from 'from'): 2 of 4 rows cannot be read as a time, for "
                "example '2024-02-31'"
            ),
        ),
        (
            "price",
            ["1", "two", "3", "4"],
            (
                "subscriptions.unit_amount_minor (from 'price'): 1 of 4 rows are not amounts that "
                "the currency can express, for example 'two'"
            ),
        ),
        (
            "price",
            ["1", "1.999", "3", "4"],
            "1 of 4 rows are not amounts that the currency can express, for example '1.999'",
        ),
        (
            "why",
            ["cancelled", "moved", "moved", ""],
            (
                "subscriptions.end_reason (from 'why'): 2 of 4 rows are none of voluntary, "
                "involuntary, switched, expired, unknown, for example 'moved'"
            ),
        ),
        (
            "from",
            ["2024-01-01", " ", "2024-01-01", "2024-01-01"],
            "subscriptions.started_at (from 'from'): 1 of 4 rows are blank, for example ' '",
        ),
    ],
)
def test_values_that_cannot_be_read(write, mapping, column, values, said):
    contracts = CONTRACTS.assign(**{column: values})
    assert said in refusal(write({"users": USERS, "contracts": contracts}, "csv"), mapping(RULES))


def test_a_date_that_does_not_follow_its_format(write, mapping):
    users = USERS.assign(signup=["31/03/2024 01:30", "2024-03-31", "31/02/2024 10:00", "01/01/2024 00:00"])
    sentence = refusal(write({"users": users, "contracts": CONTRACTS}, "csv"), mapping(RULES))
    assert "customers.created_at (from 'signup'): 2 of 4 rows cannot be read as a time written" in sentence
    assert "for example '2024-03-31'" in sentence


def test_major_amounts_declared_as_minor(shop, mapping):
    rules = changed(
        "tables", "subscriptions", "money", "unit_amount_minor", {"from": "price", "unit": "minor"}
    )
    sentence = refusal(shop, mapping(rules))
    assert "subscriptions.unit_amount_minor (from 'price'): 4 of 4 rows are not whole numbers" in sentence
    assert "{from: price, unit: major}" in sentence


# ---------------------------------------------------------------------------------------------- snapshots

SNAPSHOT = {
    "as_of": dt.date(2024, 1, 15),
    "tenure": {"from": "months", "unit": "month"},
    "churned": {"from": "left", "values": {"Yes": True, "No": False}},
    "columns": {"customer_id": "id", "plan": "product"},
    "money": {"unit_amount_minor": {"from": "price", "unit": "major"}},
    "constants": {"currency": "EUR", "billing_interval": "month"},
    "attributes": "all",
}
CHURN = pd.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "product": ["Basic", "Plus", "Basic", "Plus"],
        "price": ["9.99", "19", "5.5", "1"],
        "months": ["0", "1", "12", "71"],
        "left": ["No", "Yes", "No", "Yes"],
        "payment": ["card", "card", "debit", "debit"],
    }
)


def completed(start: pd.Timestamp, end: pd.Timestamp, unit: str) -> int:
    """Whole units between two times, counted the long way."""
    if unit in ("day", "week"):
        return (end - start).days // (7 if unit == "week" else 1)
    months = (end.year - start.year) * 12 + end.month - start.month
    months -= (end.day, end.time()) < (start.day, start.time())
    return months // (12 if unit == "year" else 1)


@given(
    as_of=st.dates(dt.date(1995, 1, 1), dt.date(2040, 12, 31)),
    tenures=st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=60),
    unit=st.sampled_from(["day", "week", "month", "year"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_snapshots_tenures_are_exact(write, mapping, as_of, tenures, unit):
    if unit == "year":
        tenures = [(n % 60, left) for n, left in tenures]
    frame = pd.DataFrame(
        {
            "id": [f"c{i:03d}" for i in range(len(tenures))],
            "months": [n for n, _ in tenures],
            "left": ["Yes" if left else "No" for _, left in tenures],
            "price": 1.0,
            "product": "p",
        }
    )
    rules = {"snapshot": {**SNAPSHOT, "as_of": as_of, "tenure": {"from": "months", "unit": unit}}}
    path = f"{write({'churn': frame}, 'parquet')}/churn.parquet"
    if as_of.day > 28 and unit in ("month", "year"):
        assert "a day that not every month has" in refusal(path, mapping(rules))
        return
    source = open_source(path, mapping(rules))
    spans = collect(source["subscriptions"].order_by("subscription_id"))
    end = pd.Timestamp(as_of)
    assert [completed(start, end, unit) for start in spans["started_at"]] == [n for n, _ in tenures]
    # One moment earlier, one unit fewer is complete: an event falls into its own period.
    early = end - pd.Timedelta(microseconds=1)
    before = [completed(start, early, unit) for start in spans["started_at"]]
    assert all(done == n - 1 for done, (n, _) in zip(before, tenures, strict=True) if n)
    assert spans["ended_at"].notna().tolist() == [left for _, left in tenures]
    assert (spans["ended_at"].dropna() == end).all()
    assert spans["end_reason"].tolist() == ["unknown" if left else None for _, left in tenures]
    assert source.last_day() == as_of
    assert not source.dated


def test_a_snapshot_makes_customers_and_subscriptions(write, mapping):
    path = f"{write({'churn': CHURN}, 'csv')}/churn.csv"
    source = open_source(path, mapping({"snapshot": SNAPSHOT}))
    customers = collect(source["customers"].order_by("customer_id"))
    spans = collect(source["subscriptions"].order_by("customer_id"))
    assert source.attributes == ("payment",)
    assert (customers["created_at"] == spans["started_at"]).all()
    assert spans["unit_amount_minor"].tolist() == [999, 1900, 550, 100]
    assert spans["subscription_id"].tolist() == ["a", "b", "c", "d"]
    assert set(spans["status"]) == {"active"}
    assert check(source).problems == ()


def test_a_snapshot_is_looked_at_on_its_day_only(write, mapping):
    from tenure.sources import check_as_of

    source = open_source(f"{write({'churn': CHURN}, 'csv')}/churn.csv", mapping({"snapshot": SNAPSHOT}))
    assert check_as_of(source, dt.date(2024, 1, 15)) == dt.date(2024, 1, 15)
    with pytest.raises(
        InputError, match="is a snapshot of 2024-01-15 and cannot be looked at as of 2023-12-31"
    ):
        check_as_of(source, dt.date(2023, 12, 31))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "months",
            ["0", "-1", "-2", "3"],
            "snapshot.tenure (from 'months'): 2 of 4 rows are negative, for example '-1'",
        ),
        (
            "months",
            ["0", "1.5", "2", "3"],
            "snapshot.tenure (from 'months'): 1 of 4 rows are not whole numbers, for example '1.5'",
        ),
        (
            "months",
            ["0", " ", "2", "3"],
            "snapshot.tenure (from 'months'): 1 of 4 rows are blank, for example ' '",
        ),
        (
            "months",
            ["0", "", "2", "3"],
            "snapshot.tenure (from 'months'): 1 of 4 rows are empty, for example an empty value",
        ),
        (
            "months",
            ["0", "1201", "2", "3"],
            "snapshot.tenure (from 'months'): 1 of 4 rows are longer than a century",
        ),
        (
            "left",
            ["No", "Yes", "perhaps", "Yes"],
            "snapshot.churned (from 'left'): 1 of 4 rows are none of Yes, No, for example 'perhaps'",
        ),
        ("left", ["No", "Yes", "", "Yes"], "snapshot.churned (from 'left'): 1 of 4 rows are empty"),
    ],
)
def test_what_a_snapshot_may_not_hold(write, mapping, column, values, said):
    path = f"{write({'churn': CHURN.assign(**{column: values})}, 'csv')}/churn.csv"
    assert said in refusal(path, mapping({"snapshot": SNAPSHOT}))


def test_rows_without_a_tenure_are_left_out_and_counted_where_the_mapping_says_so(write, mapping):
    path = f"{write({'churn': CHURN.assign(months=['0', ' ', '', '3'])}, 'csv')}/churn.csv"
    source = open_source(path, mapping({"snapshot": {**SNAPSHOT, "blank": None}}))
    assert collect(source["subscriptions"])["customer_id"].tolist() == ["a", "d"]
    assert source.notes == ("snapshot: 2 rows have no tenure ('months') and are left out.",)
    assert [problem.sentence for problem in check(source).warnings] == list(source.notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"tenure": {"from": "month", "unit": "month"}},
            "snapshot.tenure.from: the data has no column 'month'. Fix: is 'months' meant?",
        ),
        ({"tenure": {"from": "months", "unit": "moon"}}, "snapshot.tenure.unit"),
        ({"churned": {"from": "gone"}}, "snapshot.churned.from: the data has no column 'gone'"),
        (
            {"churned": {"from": "left", "value": "Yes"}},
            "snapshot.churned.value: there is no such key. Fix: is 'values' meant?",
        ),
        ({"columns": {"plan": "product"}}, "does not say which column is customer_id"),
        (
            {"columns": {"customer_id": "id", "started_at": "months"}},
            "a snapshot makes this of as_of and tenure",
        ),
        ({"money": {}}, "subscriptions.unit_amount_minor is missing. Fix: name it in the mapping's snapshot"),
    ],
)
def test_what_a_snapshots_mapping_may_not_say(write, mapping, change, said):
    path = f"{write({'churn': CHURN}, 'csv')}/churn.csv"
    assert said in refusal(path, mapping({"snapshot": {**SNAPSHOT, **change}}))


def test_a_snapshot_has_no_dates_and_no_second_maker(write, mapping):
    path = f"{write({'churn': CHURN}, 'csv')}/churn.csv"
    assert "a snapshot has no dates" in refusal(
        path, mapping({"snapshot": SNAPSHOT, "observed_from": "2020-01-01"})
    )
    both = {"snapshot": SNAPSHOT, "tables": {"customers": {"from": "churn"}}}
    assert "the snapshot makes this table already" in refusal(path, mapping(both))


# ----------------------------------------------------------------------------------------- shipped mappings


def test_the_example_explains_every_key_and_works(write, mapping):
    from tenure.sources import mapping as keys

    file = project_root() / "data" / "mappings" / "example.yml"
    text = file.read_text(encoding="utf-8")
    names = [
        "Mapping",
        "Looked",
        "TableMapping",
        "Snapshot",
        "Money",
        "Epoch",
        "Trial",
        "StatusNow",
        "Newest",
        "Tenure",
        "Churned",
    ]
    for model in (getattr(keys, name) for name in names):
        for name, key in model.model_fields.items():
            assert f"{key.alias or name}:" in text
    users = USERS.rename(columns={"town": "city"}).assign(company_size=5)
    contracts = CONTRACTS.rename(
        columns={"no": "contract_no", "user": "user_id", "from": "valid_from", "to": "valid_to"}
    )
    contracts["committed_until"] = ["2025-03-31", "", "", ""]
    source = open_source(write({"users": users, "contracts": contracts}, "csv"), file)
    committed = collect(source["subscriptions"].select("commitment_ends_at", "renews"))
    assert committed["commitment_ends_at"].notna().sum() == 1
    assert committed["renews"].all()
    assert source.attributes == ("gender", "city", "company_size")
    assert source.observed_from == dt.date(2023, 1, 1)
    commented = text[text.index("# snapshot:") :]
    snapshot = load_mapping(mapping("\n".join(line.removeprefix("# ") for line in commented.splitlines())))
    assert snapshot.snapshot.blank is None


def test_a_mapping_may_say_only_what_the_data_as_a_whole_is_like(write, mapping):
    customers = pd.DataFrame({"customer_id": ["1"], "created_at": ["2024-07-01 12:00:00"]})
    subscriptions = pd.DataFrame(
        {
            "subscription_id": ["a"],
            "customer_id": ["1"],
            "plan": ["Basic"],
            "billing_interval": ["month"],
            "unit_amount_minor": [999],
            "currency": ["EUR"],
            "status": ["active"],
            "started_at": ["2024-07-01 12:00:00"],
            "ended_at": [""],
        }
    )
    place = write({"customers": customers, "subscriptions": subscriptions}, "csv")
    source = open_source(place, mapping({"observed_from": "2024-01-01", "time_zone": "Europe/Rome"}), "UTC")
    assert source.observed_from == dt.date(2024, 1, 1)
    for table, column in (("customers", "created_at"), ("subscriptions", "started_at")):
        assert collect(source[table])[column].item() == pd.Timestamp("2024-07-01 10:00:00")


@pytest.mark.skipif(
    not TELCO.exists(), reason="the telco data is not beside the project, in ../shared/data/telco"
)
def test_the_telco_snapshot():
    source = open_source(TELCO, "data/mappings/telco.yml")
    theirs = pd.read_csv(TELCO).set_index("customerID").sort_index()
    spans = collect(source["subscriptions"].order_by("customer_id")).set_index("customer_id")
    customers = collect(source["customers"].order_by("customer_id")).set_index("customer_id")
    day = pd.Timestamp("2018-01-01")
    assert len(spans) == len(customers) == 7043
    assert [completed(start, day, "month") for start in spans["started_at"]] == theirs["tenure"].tolist()
    assert (spans["ended_at"].notna().to_numpy() == (theirs["Churn"] == "Yes").to_numpy()).all()
    assert spans["ended_at"].notna().sum() == 1869
    assert (
        spans["unit_amount_minor"].to_numpy() == (theirs["MonthlyCharges"] * 100).round().to_numpy()
    ).all()
    assert (customers["payment_method"].to_numpy() == theirs["PaymentMethod"].to_numpy()).all()
    assert customers["senior"].value_counts().to_dict() == {"No": 5901, "Yes": 1142}
    assert not source.dated
    assert source.last_day() == dt.date(2018, 1, 1)
    assert check(source).problems == ()
