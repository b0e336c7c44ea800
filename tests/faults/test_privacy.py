"""Whatever a run publishes, it names no group of fewer than five people, and no person but in exports."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tenure import privacy
from tenure_demo import write_demo

pytestmark = pytest.mark.faults

REPORTS = (
    *("executive_summary", "metrics", "growth", "segmentation", "churn_curves", "clv", "clv_budgets"),
    *("pricing_experiment", "price_research"),
    *("churn_reasons", "churn_risk", "retention_campaigns", "win_back"),
)
CHANNELS = {"page": ".html", "notebook": ".ipynb", "findings": ".findings.json", "exports": "/", "digest": ""}

LEAST = 5
PLANTED = {"country": "zzcountry", "channel": "zzchannel", "household": "zzhousehold", "plan": "zzplan"}
# Columns that name groups of people who share a characteristic, and those that count them.
GROUPS = {"group", "channel", "segment", "plan", "country", "level", "before", "category", "lever"}
COUNTS = {"customers", "n", "subscriptions", "users", "seats", "at_risk"}
# Time, age, arms of an experiment, and what is no person.
EXEMPT = {"metric", "variant", "period", "month", "quarter", "cohort", "date", "at_risk"}
ID = re.compile(r"\bc[0-9a-f]{8}\b")


def planted(folder: Path) -> Path:
    """The demo company in which three people alone share each of a few characteristics."""
    write_demo(folder, customers=2_000)
    engine = duckdb.connect()
    engine.execute(f"CREATE TABLE s AS FROM '{folder}/subscriptions.parquet'")
    paid = "SELECT customer_id FROM s WHERE unit_amount_minor > 0 GROUP BY ALL HAVING max(ended_at) IS NULL"
    engine.execute(f"CREATE TABLE few AS SELECT * FROM ({paid}) ORDER BY customer_id LIMIT 3")
    few = "customer_id IN (FROM few)"
    columns = [f"if({few}, '{word}', {name}) AS {name}" for name, word in PLANTED.items() if name != "plan"]
    for table, replaced in {
        "customers": ", ".join(columns),
        "subscriptions": f"if({few}, '{PLANTED['plan']}', plan) AS plan",
        "segments": f"if({few}, 'zzsegment', segment) AS segment",
    }.items():
        path = folder / f"{table}.parquet"
        rows = engine.execute(f"SELECT * REPLACE ({replaced}) FROM '{path}'").to_arrow_table()
        engine.register("rows", rows)
        engine.execute(f"COPY rows TO '{path}'")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return planted(tmp_path_factory.mktemp("company") / "data")


def tenure(*words: str, check: bool = True) -> str:
    command = [str(Path(sys.executable).with_name("tenure")), *words]
    return subprocess.run(command, capture_output=True, text=True, check=check, timeout=900).stdout


@pytest.fixture(scope="module", params=["country", "plan"])
def published(data, request, tmp_path_factory):
    """A run of all reports by a characteristic, whose workbooks would fold nothing by themselves."""
    folder = tmp_path_factory.mktemp(request.param)
    given = {"data": data, "by": request.param, "min_group": 1, "largest": 3}
    # Customers have no plan of their own, so answers to a survey on prices are not compared by it.
    refused = ["price_research"] if request.param == "plan" else []
    if not refused:
        given |= dict.fromkeys(("characteristics", "fairness_by"), f"[{request.param}]")
    given = [f"--set={name}={value}" for name, value in given.items()]
    tenure("run", "--force", "--to", str(folder), *given, check=not refused)
    made = json.loads((folder / "latest" / "run.json").read_text())["reports"]
    assert [name for name, entry in made.items() if entry["state"] != "ok"] == refused
    return folder


@cache
def texts(folder: Path) -> dict[str, str]:
    """All files of the newest run as text, exports as report/file, and its digest."""
    run = (folder / "latest").resolve()
    found = {
        "digest": tenure("digest", "--from", str(folder)),
        "index.html": (folder / "index.html").read_text(),
    }
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        parquet = path.suffix == ".parquet"
        text = pd.read_parquet(path).to_csv(index=False) if parquet else path.read_text("utf-8")
        found[str(path.relative_to(run)).removeprefix("exports/")] = text
    return found


class Tables(HTMLParser):
    """The tables of a page, as rows of texts; of a cell the first line."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.depth = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr" and self.tables:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables and self.tables[-1]:
            self.tables[-1][-1].append("")
            self.depth = 1
        elif self.depth:
            self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= bool(self.depth)

    def handle_data(self, data):
        if self.depth == 1:
            self.tables[-1][-1][-1] += data


def small_cells(name: str, rows: list[list[str]]) -> list[str]:
    """Counts of one to four people in a table whose rows are people with a characteristic."""
    head = [re.sub(r" \(.*", "", title).lower().replace(" ", "_") for title in rows[0]] if rows else []
    if not GROUPS & set(head) or EXEMPT & set(head[:3]):
        return []
    if "customer_id" in head:
        return []
    places = [place for place, title in enumerate(head) if title in COUNTS]
    return [
        f"{name}: {dict(zip(head, row, strict=False))}"
        for row in rows[1:]
        for place in places
        if place < len(row) and re.fullmatch(r"[1-4](\.0)?", row[place].strip())
    ]


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_nothing_that_is_published_names_a_planted_group(published, report, channel):
    place = channel if channel == "digest" else report + CHANNELS[channel]
    found = {name: text for name, text in texts(published).items() if name.startswith(place)}
    refused = report == "price_research" and "plan" in published.name
    assert found or refused or (report, channel) == ("executive_summary", "exports")
    for name, text in found.items():
        assert not [word for word in (*PLANTED.values(), "zzsegment") if word in text.lower()], name


def test_no_table_figure_or_export_counts_fewer_than_five(published):
    found = []
    for name, text in texts(published).items():
        if name.endswith((".csv", ".parquet")):
            found += small_cells(name, list(csv.reader(io.StringIO(text))))
        elif name.endswith(".html"):
            found += [cell for rows in Tables(text).tables for cell in small_cells(name, rows)]
    assert not found


def test_no_total_gives_a_small_group_away(published):
    rows = pd.read_csv(published / "latest/exports/growth/metrics_channels.csv").set_index("channel")[
        "customers"
    ]
    totals = [name for name in rows.index if name.endswith(" channels")]
    hidden = rows["all channels"] - rows.drop(totals).sum()
    assert hidden == 0 or hidden >= LEAST


def test_only_exports_name_persons_and_nobody_else_reads_them(published):
    for name, text in texts(published).items():
        if not name.endswith((".csv", ".parquet")):
            assert not ID.search(text), name
    exports = [path for path in (published / "latest" / "exports").rglob("*.*") if path.is_file()]
    named = {path.name for path in exports if stat.S_IMODE(path.stat().st_mode) == 0o600}
    assert {
        "clv_customers.csv",
        "clv_buyers.csv",
        "churn_risk.parquet",
        "churn_risk_contacts.csv",
        "metrics_largest_movements.csv",
        "segments.parquet",
        "win_back_list.csv",
    } == named


def test_a_folder_that_hands_its_group_on_says_otherwise(tmp_path):
    for mode, expected in ((0o755, 0o600), (0o2775, 0o640)):
        tmp_path.chmod(mode)
        (file := tmp_path / "list.csv").write_text("customer_id")
        privacy.protect(file, ["customer_id"])
        assert stat.S_IMODE(file.stat().st_mode) == expected


def test_who_is_forgotten_is_in_no_file_of_any_run(published):
    customers = pd.read_csv(published / "latest/exports/clv/clv_customers.csv")["customer_id"]
    one, other = customers[:2]
    before = {
        path: path.read_text() for path in published.rglob("*") if path.is_file() and path.suffix == ".csv"
    }
    with pytest.raises(subprocess.CalledProcessError) as refused:
        tenure("forget", one, "c00000000", "--from", str(published))
    assert "'c00000000'" in refused.value.stderr
    assert "nothing was removed" in refused.value.stderr
    said = tenure("forget", one, "--from", str(published))
    assert "clv_customers.csv" in said
    assert "segments.parquet" in said
    assert "backups" in said
    texts.cache_clear()
    found = texts(published)
    assert not [name for name, text in found.items() if one in text]
    assert [name for name, text in found.items() if other in text]
    for path, text in before.items():
        gone = text.count("\n") - path.read_text().count("\n")
        assert gone == (one in text), path
