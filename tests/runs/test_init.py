"""The first step with data of one's own: it is recognized, and its mapping reads it."""

from __future__ import annotations

import importlib
import random
import shutil
import sys

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

import tenure
from exports.measured import differences, measured
from tenure import cli
from tenure.errors import InputError
from tenure.paths import project_root
from tenure.sources import recognize as recognize_module
from tenure.sources.address import Address
from tenure.sources.places import open_catalog
from tenure.sources.recognize import recognize

RECIPES = sorted(file.stem for file in (project_root() / "data" / "mappings" / "recipes").glob("*.yml"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of its own, with the recipes and the notebooks."""
    root, own = tmp_path / "project", project_root()
    shutil.copytree(own / "data" / "mappings" / "recipes", root / "data" / "mappings" / "recipes")
    shutil.copytree(own / "notebooks", root / "notebooks")
    shutil.copy(own / "pyproject.toml", root)
    monkeypatch.setenv("TENURE_ROOT", str(root))
    return root


def init(*arguments):
    result = CliRunner().invoke(cli.cli, ["init", *map(str, arguments)])
    if isinstance(result.exception, InputError):
        return result.output + str(result.exception)
    assert result.exception is None, result.exception
    return result.output


@pytest.mark.parametrize("name", RECIPES)
def test_an_export_is_recognized_and_its_mapping_finds_what_is_true(name, tmp_path, project):
    export = importlib.import_module(f"exports.{name}")
    truth = export.write(tmp_path / "data_of_theirs")
    said = init(tmp_path / "data_of_theirs")
    assert f"It looks like {name}: 100% of the columns" in said
    assert "guessed" not in said
    mapping = project / "data" / "mappings" / "data_of_theirs.yml"
    assert "Next: tenure " in said
    zone = getattr(export, "ZONE", "")
    source = tenure.open_source(tmp_path / "data_of_theirs", mapping, time_zone=zone)
    if name != "experiment_visitors":
        assert differences(measured(source, truth.as_of), truth) == []
    assert (tmp_path / "data_of_theirs" / "company.yml").is_file()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", RECIPES)
def test_an_export_is_recognized_with_a_fifth_of_its_columns_renamed_or_gone(name, seed, tmp_path):
    importlib.import_module(f"exports.{name}").write(tmp_path / "export")
    chance = random.Random(seed)
    for file in sorted(path for path in (tmp_path / "export").rglob("*") if path.is_file()):
        rows = (
            pd.read_parquet(file)
            if file.suffix == ".parquet"
            else pd.read_csv(file, dtype=str, sep=None, engine="python")
        )
        columns = list(rows.columns)
        # The files of a folder are one table.
        chance = random.Random(f"{seed} {columns}")
        hit = chance.sample(columns, max(1, len(columns) // 5))
        gone = [column for column in hit if chance.random() < 1 / 3]
        other = {
            column: chance.choice(["My {}", "{} field"]).format(column.replace("_", " ").title())
            for column in hit
        }
        rows = rows[chance.sample([c for c in columns if c not in gone], len(columns) - len(gone))].rename(
            columns=other
        )
        place = tmp_path / "changed" / file.relative_to(tmp_path / "export")
        place.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(place) if file.suffix == ".parquet" else rows.to_csv(place, index=False)
    found = recognize(open_catalog(Address.read(tmp_path / "changed")))[0]
    assert found.recipe == name
    told = {
        ours for place in found.places.values() for ours in (*place.guessed, *place.lacking, *place.without)
    }
    assert told


def write(folder, encoding="utf-8", **tables):
    folder.mkdir()
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False, sep=";", encoding=encoding)
    return folder


CLIENTS = {
    "Client No": [1, 2, 3],
    "Sign-up": ["31/01/2025", "15/02/2025", "01/03/2025"],
    "City": ["Rome", "Köln", "Bari"],
}
CONTRACTS = {
    "Contract": ["a", "b", "c"], "Client": [1, 2, 3], "Product": ["Basic", "Plus", "Plus"],
    "Price": ["9,99", "1.019,99", "5,00"], "Ccy": "EUR", "Frequency": ["Monthly", "Annual", "Monthly"],
    "State": ["Active", "Cancelled", "Active"], "Start": ["31/01/2025", "15/02/2025", "01/03/2025"],
    "End": ["", "15/02/2026", ""],
}  # fmt: skip


def test_a_spreadsheet_is_read_with_what_is_guessed_of_it(tmp_path, project):
    said = init(write(tmp_path / "sheet", "cp1252", clients=CLIENTS, contracts=CONTRACTS))
    assert "contracts, as subscriptions: customer_id is guessed to be 'Client'" in said
    assert "times in 'Start' are written %d/%m/%Y." in said
    assert "churn_curves: can be made" in said
    source = tenure.open_source(tmp_path / "sheet", project / "data" / "mappings" / "sheet.yml")
    spans = tenure.collect(source["subscriptions"].order_by("subscription_id"))
    assert spans["unit_amount_minor"].tolist() == [999, 101_999, 500]
    assert spans["billing_interval"].tolist() == ["month", "year", "month"]
    assert spans["started_at"].dt.day.tolist() == [31, 15, 1]
    assert set(tenure.collect(source["customers"])["City"]) == {"Rome", "Köln", "Bari"}


def test_customers_are_those_of_the_subscriptions_where_there_is_no_table_of_them(tmp_path, project):
    init(write(tmp_path / "one", contracts=CONTRACTS), "--name", "mine")
    source = tenure.open_source(tmp_path / "one", project / "data" / "mappings" / "mine.yml")
    assert tenure.collect(source["customers"].order_by("customer_id"))["created_at"].dt.month.tolist() == [
        1,
        2,
        3,
    ]


def test_months_before_days_are_told_where_the_data_cannot_say(tmp_path, project):
    rows = CONTRACTS | {"Start": ["01/02/2025", "03/04/2025", "05/06/2025"], "End": ["", "02/11/2026", ""]}
    said = init(write(tmp_path / "unsure", contracts=rows))
    assert "times in 'Start' are written %d/%m/%Y, though the month might come first." in said
    said = init(write(tmp_path / "us", contracts=rows | {"End": ["", "02/13/2026", ""]}))
    assert "times in 'Start' are written %m/%d/%Y." in said
    assert "times in 'End' are written %m/%d/%Y." in said


def test_what_is_not_found_is_said_and_refused_until_it_is_filled_in(tmp_path, project):
    rows = {name: column for name, column in CONTRACTS.items() if name not in ("Start", "Ccy")}
    said = init(write(tmp_path / "less", contracts=rows | {"Colour": "red"}), "--recipe", "contract")
    assert "no column was found for started_at, which is needed." in said
    assert "has no column '???'" in said
    assert "Next: correct data/mappings/less.yml, then: tenure check" in said
    mapping = yaml.safe_load((project / "data" / "mappings" / "less.yml").read_text(encoding="utf-8"))
    assert mapping["tables"]["subscriptions"]["constants"] == {"currency": "???"}


def test_the_next_command_works_as_it_is_printed(tmp_path, project, monkeypatch):
    importlib.import_module("exports.wide_months").write(tmp_path / "wide")
    monkeypatch.setattr(sys, "argv", [".venv/bin/tenure", "init"])
    monkeypatch.setenv("PATH", str(tmp_path))
    said = init(tmp_path / "wide")
    *_, following = said.splitlines()
    assert "  metrics: can be made in one currency: --set currency=EUR\n" in said
    assert "  clv: needs one currency (`where` in the mapping) or fx_rates\n" in said
    assert "  churn_curves: can be made\n" in said
    # A third of the customers pay in a currency without a rate: together no report of money would be made.
    assert following == (
        f"Next: .venv/bin/tenure run metrics --set data={tmp_path / 'wide'} --set mapping=data/mappings/wide.yml "
        "--set currency=EUR"
    )


def test_a_snapshot_is_recognized(tmp_path, project):
    rows = {
        "customerID": ["a", "b"],
        "tenure": [3, 14],
        "MonthlyCharges": ["29.85", "50"],
        "Churn": ["No", "Yes"],
    }
    said = init(write(tmp_path / "churn", telco=rows))
    assert "It looks like snapshot" in said
    assert "metrics: needs real dates" in said
    assert "Next: correct data/mappings/churn.yml" in said  # which currency it is
    file = project / "data" / "mappings" / "churn.yml"
    file.write_text(file.read_text(encoding="utf-8").replace("???", "USD"), encoding="utf-8")
    spans = tenure.collect(tenure.open_source(tmp_path / "churn", file)["subscriptions"])
    assert sorted(spans["unit_amount_minor"]) == [2985, 5000]
    assert spans["ended_at"].notna().sum() == 1


def test_the_contracts_own_tables_need_no_mapping(tmp_path, project):
    customers = {"customer_id": ["a"], "created_at": ["2025-01-01"]}
    spans = {"subscription_id": ["s"], "customer_id": ["a"], "plan": ["x"], "billing_interval": ["month"], "unit_amount_minor": [999],
             "currency": ["EUR"], "status": ["active"], "started_at": ["2025-01-01"], "ended_at": [None]}  # fmt: skip
    said = init(write(tmp_path / "ours", customers=customers, subscriptions=spans))
    assert "mapping" not in said
    assert not list((project / "data" / "mappings").glob("*.yml"))


def test_what_is_there_is_never_overwritten(tmp_path, project):
    data = write(tmp_path / "one", contracts=CONTRACTS)
    (data / "company.yml").write_text("name: Mine\n")
    init(data)
    mapping = project / "data" / "mappings" / "one.yml"
    mapping.write_text("tables: {}  # mine\n")
    assert "is there already, and is kept. Fix: give another name by --name." in init(data)
    assert mapping.read_text() == "tables: {}  # mine\n"
    assert (data / "company.yml").read_text() == "name: Mine\n"


def test_data_that_nothing_is_like_is_said_to_be_so(tmp_path, project):
    said = init(write(tmp_path / "odd", things={"red": [1], "green": [2]}))
    assert "No export is recognized by these columns. Fix: say what it is by --recipe" in said
    assert "stripe_api" in said


GERMAN = {
    "Vertragsnr": ["V1", "V2"], "Kunde": ["Müller", "Bär"], "Tarif": ["Basis", "Plus"], "Preis": ["9,90 €", "1.198,80 €"],
    "Währung": "EUR", "Zahlungsweise": ["monatlich", "jährlich"], "Vertragsbeginn": ["31.01.2025", "01.02.2025"],
    "Kündigung zum": ["30.04.2025", ""],
}  # fmt: skip
ITALIAN = {
    "Numero": ["1", "2"], "Codice cliente": ["a", "b"], "Piano": ["Base", "Plus"], "Canone": ["9,90", "1.198,80"],
    "Valuta": "EUR", "Periodicità": ["mensile", "annuale"], "Data inizio": ["31/01/2025", "01/02/2025"],
    "Data fine": ["30/04/2025", ""], "Stato": ["Disdetto", "Attivo"],
}  # fmt: skip
FRENCH = {
    "Numéro": ["1", "2"], "Client": ["a", "b"], "Formule": ["Base", "Plus"], "Prix": ["9,90", "1.198,80"], "Devise": "eur",
    "Périodicité": ["mensuel", "annuel"], "Début": ["31/01/2025", "01/02/2025"], "Fin": ["30/04/2025", ""],
}  # fmt: skip
SPANISH = {
    "Cliente": ["a", "b"], "Producto": ["Base", "Plus"], "Precio": ["9,90", "1.198,80"], "Moneda": "EUR",
    "Frecuencia": ["mensual", "anual"], "Fecha de inicio": ["31/01/2025", "01/02/2025"], "Baja": ["30/04/2025", ""],
}  # fmt: skip


@pytest.mark.parametrize("rows", [GERMAN, ITALIAN, FRENCH, SPANISH])
def test_a_spreadsheet_in_another_language_needs_no_correction(rows, tmp_path, project):
    said = init(write(tmp_path / "own", "cp1252", verträge=rows))
    assert "It looks like contract" in said
    assert "Next: tenure run" in said
    source = tenure.open_source(tmp_path / "own", project / "data" / "mappings" / "own.yml")
    spans = tenure.collect(source["subscriptions"].order_by("customer_id", "started_at")).sort_values(
        "unit_amount_minor"
    )
    assert spans["unit_amount_minor"].tolist() == [990, 119_880]
    assert spans["billing_interval"].tolist() == ["month", "year"]
    assert spans["ended_at"].notna().tolist() == [True, False]
    assert "\\x" not in (project / "data" / "mappings" / "own.yml").read_text(encoding="utf-8")


def test_a_sheet_with_dollars_needs_its_currency_only(tmp_path, project):
    rows = {"Member": ["a", "b"], "Joined": ["3/15/2025", "4/1/2025"], "Amount": ["$9.90", "$1,198.80"],
            "Active": ["TRUE", "FALSE"], "Left on": ["", "5/1/2025"]}  # fmt: skip
    said = init(write(tmp_path / "sheet", members=rows))
    assert "no column was found for billing_interval, so that it is month in all rows." in said
    assert "times in 'Left on' are written %m/%d/%Y." in said  # as those of the others
    mapping = project / "data" / "mappings" / "sheet.yml"
    mapping.write_text(mapping.read_text(encoding="utf-8").replace("???", "USD"), encoding="utf-8")
    spans = tenure.collect(tenure.open_source(tmp_path / "sheet", mapping)["subscriptions"])
    assert sorted(spans["unit_amount_minor"]) == [990, 119_880]


def test_own_words_for_events_are_refused_until_they_are_said(tmp_path, project):
    log = {"ts": ["2025-03-01T00:30:00+02:00", "2025-04-05T10:00:00+02:00", "2025-04-06T10:00:00+02:00"], "account": "a",
           "type": ["sub.on", "login", "sub.off"], "plan": ["x", "", ""], "billing_period": ["month", "", ""],
           "price": ["9.90", "", ""], "currency": ["EUR", "", ""]}  # fmt: skip
    said = init(write(tmp_path / "log", events=log))
    assert "It looks like event_log" in said
    assert "inputs.events.values.event: 'login' is ???. Fix: say what it is, or null." in said
    mapping = project / "data" / "mappings" / "log.yml"
    text = mapping.read_text(encoding="utf-8")
    for theirs, ours in {"sub.on": "subscribed", "login": "null", "sub.off": "cancelled"}.items():
        text = text.replace(f"{theirs}: ???", f"{theirs}: {ours}")
    mapping.write_text(text, encoding="utf-8")
    spans = tenure.collect(tenure.open_source(tmp_path / "log", mapping)["subscriptions"])
    # The zone that a time has is not lost in a query.
    assert spans["started_at"].dt.strftime("%d %H:%M").tolist() == ["28 22:30"]
    assert spans["ended_at"].dt.day.tolist() == [6]


def test_lines_of_invoices_without_a_kind_are_of_subscriptions(tmp_path, project):
    lines = {"Invoice No": ["1", "2"], "Line No": "1", "Invoice Date": ["2025-01-01", "2025-01-20"],
             "Doc Type": ["Invoice", "Credit Note"], "Client ID": "c", "Item": "Plus", "Billing Cycle": "monthly",
             "Period Start": ["2025-01-01", "2025-01-20"], "Period End": "2025-01-31", "Qty": "1", "Unit Price": "20",
             "Line Total": ["20", "-7"], "Curr": "EUR", "Paid On": "2025-01-20", "Due": "2025-02-01", "State": "Paid"}  # fmt: skip
    said = init(write(tmp_path / "lines", export=lines))
    assert "It looks like invoices" in said
    assert "subscriptions: 1 row" in said
    source = tenure.open_source(tmp_path / "lines", project / "data" / "mappings" / "lines.yml")
    assert tenure.collect(source["subscriptions"])["ended_at"].dt.day.tolist() == [20]


def test_columns_that_are_named_like_months_are_months():
    names = [
        "Sep 2024",
        "2024-10-01 00:00:00",
        "11/2024",
        "1.12.2024",
        "Jan-25",
        "März 2025",
        "Q1 2024",
        "KW 12 2024",
        "%",
    ]
    found = ["2024-09", "2024-10", "2024-11", "2024-12", "2025-01", "2025-03"]
    assert list(recognize_module._months(names)) == found


def test_a_recipe_that_is_named_is_written_with_what_it_lacks(tmp_path, project):
    said = init(write(tmp_path / "odd", things={"red": [1], "green": [2]}), "--recipe", "transactions")
    assert "no column was found for months, which is needed." in said
    assert (project / "data" / "mappings" / "odd.yml").is_file()


def test_guesses_are_said_at_the_head_of_a_mapping_and_words_are_those_of_their_table(tmp_path, project):
    payments = {"Payment ID": ["1", "2"], "Client": [1, 2], "Attempted at": "2025-03-01", "Amount due": ["9.99", "5.00"],
                "Currency": "eur", "Kind": ["Recurring", "One-off"], "State": ["Paid", "Failed"]}  # fmt: skip
    init(write(tmp_path / "own", clients=CLIENTS, contracts=CONTRACTS, payments=payments))
    mapping = project / "data" / "mappings" / "own.yml"
    text = mapping.read_text(encoding="utf-8")
    assert "# contracts, as subscriptions: customer_id is guessed to be 'Client' (79% alike).\n" in text
    assert "        from: ???\n        unit: major\n" in text
    tables = yaml.safe_load(text)["tables"]
    assert tables["payments"]["values"] == {
        "kind": {"One-off": "one_off", "Recurring": "recurring"},
        "status": {"Failed": "failed", "Paid": "paid"},
    }
    assert "number_rows" not in tables["payments"]
    mapping.write_text(text.replace("???", "Amount due"), encoding="utf-8")
    source = tenure.open_source(tmp_path / "own", mapping)
    assert sorted(tenure.collect(source["payments"])["amount_minor"]) == [500, 999]


def test_what_an_empty_value_means_is_written_as_a_person_would(tmp_path, project):
    rows = {"order_id": ["1"], "bought_at": "2025-01-01", "email": "a", "product": "x", "months": 1, "amount": 9,
            "tax": 0, "currency": "EUR", "type": ["Sale"], "test": "false"}  # fmt: skip
    init(write(tmp_path / "shop", orders=rows))
    text = (project / "data" / "mappings" / "shop.yml").read_text(encoding="utf-8")
    # Words that the recipe knows stay, so that others can be counted when they come.
    known = "        '': purchase\n        purchase: purchase\n        refund: refund\n"
    assert f"      type:\n{known}        Sale: ???\n" in text
