"""A company whose names are attacks: every page of a run is opened in Chromium, and nothing is executed."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tenure.paths import project_root
from tenure.runs.collection import run_collection
from tenure.runs.publish import Reports
from tenure.runs.runbook import read_runbook

pytestmark = [pytest.mark.faults, pytest.mark.browser]

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RUN = "window.attacked=true"
# What each of the columns is turned into; a name stays one name, so that the reports say the same.
ATTACKS = {
    "subscriptions": {
        "plan": [f"<script>{RUN}</script>", f"\"><img src=x onerror=\"{RUN}\">", "=cmd|' /C calc'!A0", "\x1b[2J\x1b]0;x\x07"],
    },
    "customers": {
        "channel": [f"</style><script>{RUN}</script>", f"javascript:{RUN}", "\u202egnp.exe", "'; drop table x; --", "@SUM(1)"],
        "country": [f"<svg onload={RUN}>", f"]]><script>{RUN}</script>", "{{7*7}}{% raw %}", "${{7*7}}", "-2+3", "a\nb"],
    },
}  # fmt: skip


def attack(folder: Path) -> None:
    """Turn the names of a company into attacks, and its ids into formulas."""
    for table, columns in ATTACKS.items():
        place = folder / f"{table}.parquet"
        chosen = []
        for column, names in columns.items():
            listed = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
            own = f"SELECT list_sort(list(DISTINCT {column})) FROM '{place}'"
            at = f"(list_position(({own}), {column}) - 1) % {len(names)} + 1"
            chosen.append(f"CASE WHEN {column} IS NULL THEN NULL ELSE [{listed}][{at}] END AS {column}")
        with duckdb.connect() as connection:
            query = f"SELECT * REPLACE ({', '.join(chosen)}) FROM '{place}'"
            connection.execute(f"COPY ({query}) TO '{place}.new' (FORMAT parquet)")
        Path(f"{place}.new").replace(place)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tenure_demo import write_demo

    folder = tmp_path_factory.mktemp("hostile")
    write_demo(folder / "data", customers=800)
    attack(folder / "data")
    book = read_runbook(project_root() / "notebooks" / "runbook.yml", {"data": str(folder / "data")})
    result = run_collection(book, Reports(folder / "reports"), [], forked=False)
    states = {name: entry["reason"] for name, entry in result.entries.items() if entry["state"] == "failed"}
    assert not states
    return folder / "reports"


def test_nothing_is_executed_and_nothing_asked_for(browser: Any, published: Path) -> None:
    pages = [published / "index.html", *sorted((published / "latest").glob("*.html"))]
    assert len(pages) > 9
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    for path in pages:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert page.evaluate("window.attacked === undefined"), path.name
        assert page.locator("img[onerror], svg[onload], a[href^='javascript']").count() == 0, path.name
    page.close()
    assert {url for url in asked if not url.startswith("file:")} == set()
    own = {path.as_uri() for path in pages}
    assert {url for url in asked if url not in own} == set()


def test_no_control_character_reaches_a_page_or_a_table(published: Path) -> None:
    def read(path: Path) -> str:
        return path.read_text(encoding="utf-8")

    files = [
        *(published / "latest").glob("*.html"),
        *(published / "latest").rglob("*.csv"),
        published / "index.html",
    ]
    assert len(files) > 20
    assert any("&lt;script&gt;" in read(path) for path in files)  # the attacks got there
    for path in files:
        found = _CONTROLS.search(read(path).replace("\r\n", "\n"))
        assert not found, (path.name, read(path)[max(0, found.start() - 80) :][:200])
    cells = [
        cell
        for path in (published / "latest").rglob("*.csv")
        for row in csv.reader(io.StringIO(read(path)))
        for cell in row
    ]
    assert any(cell.startswith(("'=", "'@", "'-")) for cell in cells)  # so did the formulas
    number = re.compile(r"-[0-9.]+(e[+-]?[0-9]+)?")
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t")) and not number.fullmatch(cell)]
