"""The churn-curve workbook: the truth of the demo company, real data, and every way to get it wrong."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import duckdb
import nbformat
import pandas as pd
import pytest

from notebooks.running import findings
from tenure.paths import project_root

NAME = "30_churn_curves.ipynb"
TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"


@pytest.fixture(scope="module")
def of_demo(run, demo):
    return findings(run(NAME, by="channel"))


def test_findings_contain_the_truth_of_the_demo_company(of_demo, truth):
    involuntary = truth["cumulative_incidence"]["all"]["involuntary"]
    known = {
        "churn.median_tenure": truth["median_months"]["all"],
        "churn.retention": truth["survival"]["all"][11],
        "churn.mean_tenure": truth["restricted_mean_months"]["24"]["all"],
        "churn.first_period": 1 - truth["survival"]["all"][0],
        "churn.involuntary": involuntary[23],
    }
    found = {id: (of_demo[id]["low"], of_demo[id]["high"]) for id in known}
    outside = {id: (known[id], found[id]) for id in known if not found[id][0] <= known[id] <= found[id][1]}
    assert not outside


def test_the_longest_staying_channel_is_the_true_one(of_demo, truth):
    mean = truth["restricted_mean_months"]["24"]
    channels = truth["hazard_ratios"]["channel"]
    widest = max(mean[c] for c in channels) - min(mean[c] for c in channels)
    record = of_demo["churn.group_difference"]
    assert record["low"] <= widest <= record["high"]
    assert "referral" in record["sentence"]
    assert "affiliate" in record["sentence"]


def test_hazard_ratios_contain_the_truth_of_the_demo_company(run, demo, truth):
    outcome = run(NAME, characteristics=["plan", "channel", "household"])
    findings(outcome)
    table = pd.read_csv(outcome.exports / "churn_hazard_ratios.csv").query("covariate != 'plan'")
    for row in table.dropna(subset="hazard_ratio_low").itertuples():
        ratios = truth["hazard_ratios"][row.covariate]
        base = table.loc[(table.covariate == row.covariate) & table.reference, "level"].iloc[0]
        # Eight intervals at once: with Bonferroni's adjustment all of them hold in 95 of 100 companies.
        wider = (row.hazard_ratio_high / row.hazard_ratio_low) ** (2.73 / 1.96 / 2)
        assert row.hazard_ratio / wider <= ratios[row.level] / ratios[base] <= row.hazard_ratio * wider, row


def test_every_finding_has_an_interval_and_a_count(of_demo):
    assert len(of_demo) >= 9
    for record in of_demo.values():
        assert record["low"] <= record["value"] <= record["high"], record["id"]
        assert record["n"] > 0


def test_telco_gives_a_sound_report(run):
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(TELCO), mapping="data/mappings/telco.yml", by="contract", horizon=72)
    found = findings(outcome)
    raw = pd.read_csv(TELCO)
    from lifelines import KaplanMeierFitter

    curve = KaplanMeierFitter().fit(raw["tenure"], raw["Churn"] == "Yes")
    assert found["churn.retention"]["value"] == pytest.approx(float(curve.predict(12)), abs=1e-9)
    assert "Two year" in found["churn.group_difference"]["sentence"]
    said = " ".join(str(cell.get("outputs", "")) for cell in outcome.notebook.cells)
    assert "Cohorts are compared by calendar month" in said
    assert "does not say why customers left" in said
    left = raw.loc[raw["Churn"] == "Yes", "MonthlyCharges"].sum() / raw["MonthlyCharges"].sum()
    assert f"Of what all customers pay a month, {left:.1%} was paid by those who have left." in said
    # Its churn is below one point a month, so there is no whole point to take off.
    assert found["churn.point_of_retention"]["unit"] == "money:USD"
    assert found["churn.point_of_retention"]["sentence"].startswith("If monthly churn were 0.1 points lower")
    assert found["churn.point_of_retention"]["low"] > 0


def company(folder, customers, stay, **columns):
    """CSV files of customers who begin on the first days of 2022 and stay some days; None: to the end."""
    rows = []
    for number in range(customers):
        begin, days = dt.date(2022, 1, 1) + dt.timedelta(days=number % 300), stay(number)
        row = {
            "subscription_id": f"s{number}", "customer_id": f"c{number}", "plan": "AB"[number % 2],
            "billing_interval": "month", "unit_amount_minor": 1000, "currency": "EUR", "status": "active",
            "started_at": begin, "ended_at": begin + dt.timedelta(days=days) if days else None,
        }  # fmt: skip
        rows.append(row | {name: value(number) for name, value in columns.items()})
    subscriptions = pd.DataFrame(rows)
    subscriptions.to_csv(folder / "subscriptions.csv", index=False)
    people = subscriptions[["customer_id", "started_at"]].rename(columns={"started_at": "created_at"})
    people.assign(segment=["x" if n % 3 else "y" for n in range(customers)]).to_csv(
        folder / "customers.csv", index=False
    )
    return str(folder)


def words(outcome):
    return " ".join(str(output) for cell in outcome.notebook.cells for output in cell.get("outputs", []))


def test_a_company_that_nobody_left(run, tmp_path):
    data = company(tmp_path, 300, lambda n: None)
    outcome = run(NAME, data=data, by="segment", as_of="2022-11-20", horizon=6)
    found = findings(outcome)
    assert found["churn.retention"]["value"] == 1
    assert found["churn.median_tenure"]["value"] is None
    for id in ("churn.group_difference", "churn.point_of_retention", "churn.best_lever"):
        assert found[id]["value"] is None
    assert "nobody has left" in found["churn.group_difference"]["sentence"]


def test_a_company_that_everybody_left(run, tmp_path):
    data = company(tmp_path, 300, lambda n: 20 + n % 90)
    outcome = run(NAME, data=data, period="week", horizon=60)
    found = findings(outcome)
    assert found["churn.retention"]["value"] == 0
    assert found["churn.point_of_retention"]["value"] > 0
    assert "No action can be valued" in found["churn.best_lever"]["sentence"]
    assert "not available" not in " ".join(record["sentence"] for record in found.values())


def test_three_customers_and_two_currencies(run, tmp_path):
    (tmp_path / "three").mkdir()
    assert findings(run(NAME, data=company(tmp_path / "three", 3, lambda n: (None, 40, 200)[n])))
    (tmp_path / "two").mkdir()
    data = company(
        tmp_path / "two",
        600,
        lambda n: 40 + n % 250 if n % 2 else None,
        currency=lambda n: "JPY" if n % 5 == 0 else "EUR",
        unit_amount_minor=lambda n: 99_000 if n % 5 == 0 else 1000,
    )
    outcome = run(NAME, data=data)
    # The amounts are of those who pay in the commoner currency, however large the other's numbers.
    point = findings(outcome)["churn.point_of_retention"]
    assert point["unit"] == "money:EUR"
    assert "There is no exchange rate for JPY" in words(outcome)


def test_weeks_windows_and_one_group_run_too(run, demo):
    found = findings(run(NAME, by="", period="week", horizon=30, start_from="2025-01-01", currency="USD"))
    assert found["churn.median_tenure"]["unit"] == "weeks"
    assert found["churn.point_of_retention"]["unit"] == "money:USD"
    assert found["churn.group_difference"]["value"] is None


def test_segments_can_be_compared(run, demo):
    found = findings(run(NAME, by="segment"))
    assert found["churn.group_difference"]["value"] > 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"bye": "channel"}, ["`bye`", "did you mean `by`"]),
        ({"horizon": "many"}, ["`horizon`", "int", "'many'"]),
        ({"period": "fortnight"}, ["`period`", "day, week, month"]),
        ({"by": "chanel"}, ["'chanel'", "did you mean 'channel'"]),
        ({"as_of": "2019-01-01"}, ["as_of", "2019-01-01", "before the data"]),
        ({"as_of": "2036-01-01"}, ["as_of", "2036-01-01", "lies ahead"]),
        ({"as_of": "31.10.2026"}, ["`as_of`", "year-month-day"]),
        ({"currency": "GBP"}, ["GBP", "EUR"]),
        ({"characteristics": ["chanel"]}, ["'chanel'", "did you mean 'channel'"]),
        ({"data": "data/nowhere"}, ["data/nowhere"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, words):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in words), outcome.reason
    assert "\n" not in outcome.reason
    assert "Error" not in outcome.reason


def test_a_window_in_which_nobody_started_answers_nothing(run, demo):
    outcome = run(NAME, start_from="2030-01-01")
    assert outcome.state == "not_applicable"
    assert "start_from" in outcome.reason


def broken(tmp_path, kind):
    folder = tmp_path / "data"
    folder.mkdir()
    if kind == "empty folder":
        return folder
    for name in ("customers", "subscriptions"):
        source = project_root() / "data" / "demo" / f"{name}.parquet"
        if kind == "corrupt Parquet" and name == "subscriptions":
            (folder / f"{name}.parquet").write_bytes(source.read_bytes()[:5000])
        else:
            rows = "limit 0" if kind == "no rows" and name == "subscriptions" else ""
            duckdb.sql(f"copy (from '{source}' {rows}) to '{folder / name}.parquet'")
    return folder


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty folder", ["data"]),
        ("corrupt Parquet", ["subscriptions"]),
        ("no rows", ["subscriptions", "no rows"]),
    ],
)
def test_broken_data_gets_one_sentence(run, demo, tmp_path, kind, words):
    outcome = run(NAME, data=str(broken(tmp_path, kind)))
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in words), outcome.reason
    assert "Traceback" not in outcome.reason


def test_plain_papermill_works_from_another_folder(tmp_path, demo):
    # The notebook's own parameters are what `-p` may set; the data's path counts from the project's root.
    papermill = [sys.executable, "-m", "papermill", "--no-progress-bar", "-k", "python3"]
    notebook = str(project_root() / "notebooks" / NAME)
    done = subprocess.run(
        [*papermill, notebook, "out.ipynb", "-p", "by", "channel"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert nbformat.read(tmp_path / "out.ipynb", 4).metadata.papermill.exception is None
    wrong = subprocess.run(
        [*papermill, notebook, "out2.ipynb", "-p", "bye", "channel"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert wrong.returncode != 0
    assert "did you mean `by`" in wrong.stderr


CASES = project_root().parent / "shared" / "cases"


def test_two_who_left_early_do_not_speak_for_those_who_were_seen_only_later(run):
    case = CASES / "late_entry"
    if not case.is_dir():
        pytest.skip("The case is not there.")
    found = findings(run(NAME, data=str(case), mapping=str(case / "map.yml")))
    assert found["churn.median_tenure"]["sentence"].startswith("Of those who have stayed 21 months, more")
    assert 0.6 < found["churn.retention"]["value"] < 0.8
    assert "still subscribed 12 months later" in found["churn.retention"]["sentence"]
    assert found["churn.mean_tenure"]["low"] > 12
    assert "Too few were observed in their first month" in found["churn.first_period"]["sentence"]
    assert "per 1,000 customers who have stayed 21 months" in found["churn.point_of_retention"]["sentence"]
