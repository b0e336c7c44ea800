"""What a reader sees of a whole run: every report, in language without an open slot or what is no number."""

from __future__ import annotations

import json
import re

import pytest
from bs4 import BeautifulSoup

from tenure.sources import counters

ODD = re.compile(
    r"\bnan\b|\bNaN\b|\bNone\b|\binf\b|[{}]|\bTrue\b|\bFalse\b|  |\s[,.;:]|\.\.|,,|\b1 (customers|subscribers|months|days)\b"
)


def test_every_report_is_made(small_run):
    record = json.loads((small_run / "run.json").read_text(encoding="utf-8"))["reports"]
    assert not {name: entry["reason"] for name, entry in record.items() if entry["state"] != "ok"}


def test_a_report_asks_its_engine_little(small_run):
    counted_of = {
        name: entry["counters"]
        for name, entry in json.loads((small_run / "run.json").read_text(encoding="utf-8"))["reports"].items()
        if not entry["summary"]  # which asks none
    }
    for name, counted in counted_of.items():
        assert set(counted) == set(counters())
        assert 0 < counted["queries"] <= 30, name
        assert counted["rows"] < 100_000, name
        assert all(counted[what] > 0 for what in ("building", "compiling", "running")), name
    # What one report of a run has checked, the others read.
    assert min(counted["checks"] for counted in counted_of.values()) == 0


@pytest.fixture(scope="session")
def sentences(small_run):
    return {
        record["id"]: record["sentence"]
        for file in sorted(small_run.glob("*.findings.json"))
        for record in json.loads(file.read_text(encoding="utf-8"))
    }


def test_every_finding_is_a_whole_sentence(sentences):
    assert sentences
    odd = {
        id: text for id, text in sentences.items() if ODD.search(text) or not re.match(r"[A-Z0-9€$“−]", text)
    }
    assert not odd
    assert not {id: text for id, text in sentences.items() if not text.rstrip().endswith((".", "!", "?"))}


def test_no_page_shows_what_is_no_language(small_run):
    odd = {}
    for file in sorted(small_run.glob("*.html")):
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        for part in page(["script", "style", "pre", "code", "table", "math", "svg"]):
            part.decompose()
        lines = (
            " ".join(line.get_text(" ", strip=True).split()) for line in page(["p", "li", "h1", "h2", "h3"])
        )
        found = [line for line in lines if re.search(r"\b(nan|NaN|None|True|False)\b|[{}]", line)]
        odd |= {file.name: found} if found else {}
    assert not odd


def test_no_page_is_wider_than_a_phone(small_run, browser):
    page = browser.new_page(viewport={"width": 360, "height": 800})
    for file in sorted(small_run.glob("*.html")):
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, file.name
    page.close()
