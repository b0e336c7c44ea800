"""The workbooks of metrics and growth: the truth of the demo company, what is not there, and what the last run published."""

from __future__ import annotations

import duckdb
import nbformat
import pandas as pd
import pytest

from notebooks.running import NOTEBOOKS, findings
from tenure import report
from tenure.paths import project_root

NAME, GROWTH = "10_metrics.ipynb", "11_growth.ipynb"


@pytest.fixture(scope="module")
def outcome(run, demo):
    return run(NAME)


@pytest.fixture(scope="module")
def growth(run, demo):
    return run(GROWTH)


@pytest.fixture(scope="module")
def found(outcome, growth):
    return findings(outcome) | findings(growth)


def ask(demo, query):
    return duckdb.sql(query.format(**{p.stem: f"'{p}'" for p in demo.glob("*.parquet")})).fetchall()


def said(outcome):
    return " ".join(
        str(output.get("data", {}).get("text/html", ""))
        for cell in outcome.notebook.cells
        for output in cell.get("outputs", [])
    )


def test_the_pages_have_all_findings(found):
    assert set(found) == {
        "mrr.total", "mrr.net_new", "customers.paying", "churn.monthly", "mrr.churn", "mrr.quick_ratio",
        "churn.at_renewal", "mrr.gross_retention", "mrr.net_retention", "trials.conversion",
        "acquisition.cac", "acquisition.payback", "acquisition.ltv_cac", "engagement.stickiness",
        "engagement.session", "engagement.silent_payers", "nps.score", "nps.response_rate",
        "metrics.first_leak",
    }  # fmt: skip
    counted = {"mrr.total", "customers.paying"}
    for id, record in found.items():
        assert record["value"] is not None, id
        assert id in counted or record["low"] <= record["value"] <= record["high"], id
        assert record["n"] > 0, id
        assert record["of"], id
        assert (record["compare"] is None) == (id == "metrics.first_leak"), id
        assert bool(record["verdict"]) == (id != "metrics.first_leak"), id
    assert (
        found["mrr.total"]["n"]
        == found["engagement.silent_payers"]["n"]
        == found["customers.paying"]["value"]
    )
    assert all(found[id]["target"] for id in ("mrr.total", "churn.monthly", "nps.score", "customers.paying"))


def test_findings_equal_a_count_by_hand(found, demo):
    at = "timestamp '2026-11-01'"
    paying = f"""from {{subscriptions}} s join {{customers}} c using (customer_id)
        where not c.is_test and s.started_at < {at} and (s.ended_at is null or s.ended_at >= {at})
        and (s.status = 'active' or (s.status = 'past_due' and {at}::date - s.started_at::date <= 30))
        and s.unit_amount_minor * s.quantity > s.discount_minor"""
    ((customers,),) = ask(demo, "select count(distinct customer_id) " + paying)
    assert found["customers.paying"]["value"] == customers
    rows = ask(
        demo,
        """select s.currency, sum(floor((unit_amount_minor * quantity - discount_minor)
        * case billing_interval when 'year' then 1 else 12 end / (12.0 * billing_interval_count) + 0.5)) """
        + paying + " group by 1",
    )  # fmt: skip
    (usd,) = ask(demo, "select rate from {fx_rates} where currency = 'USD' order by date desc limit 1")[0]
    assert found["mrr.total"]["value"] == round(sum(a * (usd if c == "USD" else 1) for c, a in rows))


def test_findings_contain_the_truth_of_the_demo_company(found, growth, demo, truth):
    trials = truth["trials"]
    conversions = [trials[kind]["conversion"] for kind in ("7_days", "14_days")]
    assert found["trials.conversion"]["low"] <= max(conversions)
    assert found["trials.conversion"]["high"] >= min(conversions)
    # Spend of the last year over the customers of the last year, against all years' spend a customer.
    channels = pd.read_csv(growth.exports / "metrics_channels.csv").set_index("channel")
    for name, told in truth["acquisition"].items():
        if isinstance(told, dict) and told.get("spend_minor", 0) > 0:
            per_customer = told["cac_minor"]
            assert channels.loc[name, "cac"] == pytest.approx(per_customer, rel=0.15), name
    # Of annual contracts at their first renewal 1 - S(12) go; at later ones fewer do.
    annual = truth["survival"]["Annual"]
    assert 1 - annual[23] / annual[11] < found["churn.at_renewal"]["value"] < 1 - annual[11] + 0.02
    score = ask(
        demo,
        """select 100.0 * (count(*) filter (where score >= 9) - count(*) filter (where score <= 6)) / count(*)
        from {surveys} where survey = 'nps' and score is not null and sent_at >= timestamp '2026-10-01'""",
    )[0][0]
    assert found["nps.score"]["value"] == pytest.approx(float(score), abs=1.5)
    assert found["nps.score"]["low"] <= truth["nps"]["who_answered"] <= found["nps.score"]["high"]


def test_a_month_is_compared_with_the_one_before_as_it_was_known_then(found, demo):
    at = "timestamp '2026-10-01'"
    known = f"""from {{subscriptions}} s join {{customers}} c using (customer_id)
        where not c.is_test and s.started_at < {at} and (s.ended_at is null or s.ended_at >= {at})
        and (s.status = 'active' or (s.status = 'past_due' and {at}::date - s.started_at::date <= 30))
        and s.unit_amount_minor * s.quantity > s.discount_minor"""
    ((customers,),) = ask(demo, "select count(distinct customer_id) " + known)
    assert found["customers.paying"]["compare"] == customers


def company(demo, folder, *tables, rows="true", more=()):
    """A tenth of the demo company's customers, in one currency, with the tables named."""
    folder.mkdir()
    some = "hash(customer_id) % 10 = 3"
    for name in ("customers", "subscriptions", *tables):
        where = "true" if name in ("contents", "spend") else some
        where += f" and currency = 'EUR' and {rows}" if name == "subscriptions" else ""
        place = f"{demo}/events/*.parquet" if name == "events" else f"{demo}/{name}.parquet"
        table = duckdb.sql(f"from '{place}' where {where}")
        for values in more if name == "subscriptions" else {row["customer_id"]: row for row in more}.values():
            if name in ("customers", "subscriptions"):
                row = pd.DataFrame([{column: values.get(column) for column in table.columns}], dtype="object")
                kinds = zip(table.columns, table.types, strict=True)
                table = table.union(
                    duckdb.from_df(row).select(", ".join(f'"{c}"::{kind}' for c, kind in kinds))
                )
        table.write_parquet(str(folder / f"{name}.parquet"))
    return str(folder)


def late(number, start, amount, status="active"):
    """A customer and a subscription of theirs."""
    return {
        "customer_id": f"late{number}", "created_at": start, "channel": "search", "is_test": False,
        "subscription_id": f"late{number}", "plan": "Basic", "billing_interval": "month",
        "billing_interval_count": 1, "quantity": 1, "unit_amount_minor": amount, "discount_minor": 0,
        "currency": "EUR", "status": status, "started_at": start,
    }  # fmt: skip


def test_other_periods_stand_beside_the_month_whose_numbers_stay(found, run, demo, tmp_path):
    company = tmp_path / "company.yml"
    company.write_text((demo / "company.yml").read_text() + "fiscal_year_start: 4\n")
    ran = run(NAME, period="fiscal_year", company=str(company), as_of="2026-10-31")
    alone = findings(ran)
    assert {id: record["sentence"] for id, record in alone.items()} == {
        id: found[id]["sentence"] for id in alone
    }
    words = said(ran)
    assert "How revenue moved" in words
    assert words.count("so far") == 1
    assert "Apr 2026" in words
    spoken = " ".join(str(output) for cell in ran.notebook.cells for output in cell.get("outputs", []))
    assert "fiscal years new customers brought" in spoken


def test_a_run_lists_revisions_since_the_last_one_and_skips_absent_tables(run, demo, tmp_path):
    paid, unpaid = late(1, "2025-09-15", 7_000), late(1, "2026-07-15", 7_000, "past_due")
    paid |= {"ended_at": "2026-07-15", "end_reason": "switched"}
    july = company(demo, tmp_path / "july", "spend", "events", "contents", more=[paid, unpaid])
    first = run(NAME, data=july, as_of="2026-07-31", compare_with="tenure", by="channel")
    assert "Largest movements" not in said(first)
    grown = run(GROWTH, data=july, as_of="2026-07-31")
    found = findings(grown)
    assert all(found[id]["value"] for id in ("acquisition.cac", "engagement.stickiness"))
    assert found["nps.score"]["value"] is None
    assert "Nobody was asked" in said(grown)

    # Nineteen days later nothing was paid, and somebody of March has been entered at last.
    august = company(demo, tmp_path / "august", "surveys", more=[paid, unpaid, late(2, "2026-03-10", 12_345)])
    second = run(
        NAME,
        data=august,
        as_of="2026-08-19",
        compare_with="tenure",
        by="",
        largest=3,
        previous=str(first.exports),
    )
    found, words = findings(second), said(second)
    assert found["mrr.total"]["unit"] == "money:EUR"
    assert "Jul 2026" in found["mrr.total"]["sentence"]
    moved = pd.read_csv(second.exports / "metrics_largest_movements.csv")["customer_id"]
    assert len(moved) == 3
    assert "late2" not in set(moved)  # not among July's largest
    assert not any(name in words for name in moved)
    grown = run(GROWTH, data=august, as_of="2026-08-19")
    found = findings(grown)
    for id in ("acquisition.cac", "acquisition.payback", "acquisition.ltv_cac", "engagement.stickiness"):
        assert found[id]["value"] is None
    assert found["nps.score"]["value"] is not None
    for sentence in ("Spend on these customers is not known", "nobody who used the service"):
        assert sentence in said(grown), sentence
    before, now = (
        pd.read_csv(one.exports / "metrics_history.csv").set_index(["month", "kind"])["amount_minor"]
        for one in (first, second)
    )
    changed = (now - before.reindex(now.index, fill_value=0)).drop("2026-08")
    assert changed["2026-03", "new"] == 12_345
    assert changed["2026-05", "balance"] == 12_345
    assert changed["2026-07", "churn"] <= -7_000
    assert (
        (changed.drop(["2026-07"])[changed != 0].index.get_level_values("kind").unique())
        .isin(["new", "balance"])
        .all()
    )
    assert "differ from what the run of Jul 31, 2026 published" in words
    listed = words[words.index("differ from what the run of") :]
    assert ">123.45<" in listed
    assert "added, changed or removed since" in listed
    assert "past due then have not paid since" in listed


def test_yen_have_no_cents(run):
    """EUR 10.00, EUR 5.00 and JPY 1,000 at 0.006 are 21.00."""
    yen = project_root().parent / "shared" / "cases" / "yen"
    if not yen.is_dir():
        pytest.skip("The case of the yen is not there.")
    outcome = run(
        NAME,
        data=str(yen),
        as_of="2026-03-31",
        min_group=1,
        reporting_currency="EUR",
        compare_with="tenure",
        by="",
    )
    assert findings(outcome)["mrr.total"]["value"] == 2100


BREAK = """
from tenure.measures import revenue, spans
whole = revenue.movements
def broken(source, *args, **given):
    rows = whole(source, *args, **given)
    late = spans.people(source).filter(lambda who: who.customer_id == "late1").customer
    return rows.filter(~(rows.customer.isin(late) & (rows.month == 2026 * 12 + 6)))
revenue.movements = broken
"""


def test_movements_that_do_not_add_up_stop_the_report_and_show_the_smallest_example(run, demo, tmp_path):
    gone = late(1, "2025-09-15", 7_000) | {"ended_at": "2026-07-15", "end_reason": "voluntary"}
    notebook = nbformat.read(NOTEBOOKS / NAME, as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if "open_workbook" in cell.source)
    notebook.cells.insert(place, nbformat.v4.new_code_cell(BREAK))
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    data = company(demo, tmp_path / "data", more=[gone])
    outcome = run(str(tmp_path / "broken.ipynb"), data=data, as_of="2026-08-19")
    assert outcome.state == "failed"
    assert "at the end of 2026-07 group 'all' in EUR" in outcome.reason
    assert "customer late1 in 2026-07: the balance changes by -7000, the movements say 0" in outcome.reason
    assert "\n" not in outcome.reason
    assert report.read_findings(outcome.notebook) == []
    assert not list(outcome.exports.glob("*.csv"))


def test_every_metric_has_comparisons_a_target_and_a_verdict(outcome, growth):
    cards = [
        pd.read_csv(one.exports / f"{name}_scorecard.csv", keep_default_na=True).set_index("metric")
        for name, one in (("metrics", outcome), ("growth", growth))
    ]
    assert [len(card) for card in cards] == [15, 9]
    card = pd.concat(cards)
    rest = card[~card["counted"]]
    assert rest[["low", "high", "before", "year_ago"]].notna().all().all()
    assert ((rest["low"] <= rest["now"]) & (rest["now"] <= rest["high"])).all()
    assert (card["n"] > 0).all()
    verdicts = {"better", "worse", "higher", "lower", "no clear change"}
    assert set(card["against_year_ago"]) <= verdicts
    # What looks back a year shares eleven months with the same a month earlier: there it is not judged.
    unjudged = card.index[card["against_before"].isna()]
    assert set(unjudged) == {"At-renewal churn", "Gross retention", "Net retention"}
    assert set(card["against_before"].dropna()) <= verdicts
    assert (rest["against_before"] == "no clear change").any()
    assert card.loc[card["target"].notna(), "met"].isin(["yes", "no"]).all()
    assert card.loc["Logo churn", "now"] == pytest.approx(
        card.loc[["Voluntary churn", "Involuntary churn"], "now"].sum(), abs=0.002
    )


def test_another_systems_revenue_is_explained_customer_by_customer(run, demo, tmp_path):
    data = company(demo, tmp_path / "data", more=[late(1, "2025-09-15", 7_000)])
    theirs = (
        "select 'late1' as customer_id, date '2026-07-05' as month, 'EUR' as currency, 7100 as amount_minor"
    )
    duckdb.sql(f"copy ({theirs}) to '{data}/mrr_elsewhere.parquet'")
    moved = "select date '2026-07-01' as month, 'EUR' as currency, 'new' as kind, 700 as amount_minor"
    duckdb.sql(f"copy ({moved}) to '{data}/movements_elsewhere.parquet'")
    outcome = run(NAME, data=data, as_of="2026-08-19", largest=3)
    found = findings(outcome)["mrr.elsewhere"]
    assert "Another system reports €71 for Jul 2026, not" in found["sentence"]
    parts = {name: pd.read_csv(outcome.exports / f"metrics_elsewhere_by_{name}.csv") for name in ("month", "rule", "customer", "movement")}  # fmt: skip
    assert parts["month"]["month"].tolist() == ["2026-07"]
    assert parts["rule"]["difference"].sum() == pytest.approx(found["value"], abs=0.01)
    assert parts["rule"]["rule"].iloc[-1] == "not explained"
    assert len(parts["customer"]) == 3
    moved = parts["movement"].set_index("kind")
    assert (moved.loc["new", "theirs"], moved.loc["balance", "theirs"]) == (700.0, 0.0)  # minor units
    without = run(NAME, data=company(demo, tmp_path / "without", more=[]), as_of="2026-08-19")
    assert "mrr.elsewhere" not in findings(without)


def test_a_young_company_gets_the_findings_that_its_data_supports(run, demo, tmp_path):
    duckdb.sql(f"copy (from '{demo}/customers.parquet') to '{tmp_path}/customers.parquet'")
    duckdb.sql(
        f"copy (from '{demo}/subscriptions.parquet' where started_at < timestamp '2024-01-15' "
        f"and currency = 'EUR') to '{tmp_path}/subscriptions.parquet'"
    )
    outcome = run(NAME, data=str(tmp_path), as_of="2024-01-14", by="", compare_with="tenure")
    found = findings(outcome)
    assert found["mrr.total"]["value"] > 0
    assert found["mrr.gross_retention"]["value"] is None
    assert "Nobody paid a year ago" in said(outcome)
    assert "No earlier run has published" in said(outcome)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bye": "channel"}, ["`bye`", "did you mean `by`"]),
        ({"policy": "stripe"}, ["`policy`", "stripe_like"]),
        ({"by": "chanel"}, ["'chanel'", "did you mean 'channel'"]),
        ({"gross_margin": 0.75}, ["`gross_margin`", "`margin`"]),
        ({"currency": "GBP"}, ["GBP", "EUR"]),
        ({"reporting_currency": "GBP"}, ["GBP", "fx_rates"]),
        ({"previous": "data"}, ["metrics_history.csv"]),
        ({"period": "year"}, ["`period`", "fiscal_year"]),
        ({"only": "contry = 'IT'"}, ["`contry`", "did you mean `country`"]),
        ({"as_of": "2019-01-01"}, ["2019-01-01", "before the data"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, words):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in words), outcome.reason
    assert "\n" not in outcome.reason


def test_a_snapshot_without_dates_is_not_applicable(run):
    telco = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
    if not telco.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(telco), mapping="data/mappings/telco.yml")
    assert outcome.state == "not_applicable"
    assert "real dates" in outcome.reason
