"""What a reader sees of a whole run: every report, in language without an open slot or what is no number."""

from __future__ import annotations

import json
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from reference import page_counts
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


def test_no_notebook_warns(small_run):
    warned = {
        file.name: [
            output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"
        ]
        for file in sorted(small_run.glob("*.ipynb"))
        if (cells := [cell for cell in nbformat.read(file, 4).cells if cell.cell_type == "code"])
    }
    assert warned
    assert not {name: texts for name, texts in warned.items() if texts}


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


def test_every_page_of_a_run_is_without_barrier_noise_and_sideways_scroll(small_run, browser):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": 390, "height": 844})
    page, noise = context.new_page(), []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on(
        "request", lambda asked: noise.append(asked.url) if asked.url[:5] not in ("file:", "data:") else 0
    )
    wrong = {}
    for file in sorted(small_run.glob("*.html")):
        page.goto(file.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        found = Axe().run(page)
        assert found.response["passes"], "nothing was checked"
        wrong[file.name] = [each["id"] for each in found.response["violations"]]
        page.set_viewport_size({"width": 360, "height": 844})
        wrong[file.name] += page.evaluate("document.documentElement.scrollWidth > 360 ? ['wide'] : []")
        page.set_viewport_size({"width": 390, "height": 844})
    context.close()
    assert not {name: faults for name, faults in wrong.items() if faults}
    assert not noise


def test_no_table_is_wider_than_a_sheet_of_paper(small_run, browser):
    page = browser.new_page(viewport={"width": 673, "height": 900})  # 178 mm at 96 dots an inch
    page.emulate_media(media="print")
    for file in sorted(small_run.glob("*.html")):
        page.goto(file.as_uri())
        right = "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
        assert max(page.evaluate(right), default=0) <= 674, file.name
    page.close()


def test_reports_are_short_and_light(small_run, browser):
    page = browser.new_page()
    counts = [(file.stem, page_counts.counted(page, file)) for file in page_counts.reports(small_run)]
    page.close()
    assert len(counts) > 8
    # A half more than the aims, which are for the demo company as it is.
    over = [
        (name, of)
        for name, of in counts
        if any(of[what] > 1.5 * aim for what, aim in page_counts.AIMS.items())
    ]
    assert not over, "\n".join(page_counts.rows(over))


def test_a_run_has_one_page_of_checks_that_every_report_leads_to(small_run):
    checks = BeautifulSoup((small_run / "checks.html").read_text(encoding="utf-8"), "html.parser")
    for part in ("warnings", "left-out", "rules", "economics", "data", "glossary", "parameters", "made"):
        assert checks.find(id=part), part
    for file in page_counts.reports(small_run):
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        bar = {link.text: link["href"] for link in page.select(".reports-bar a")}
        assert bar["Checks"] == "checks.html"
        assert all((small_run / link).exists() for link in bar.values() if not link.startswith("../"))
        assert page.select_one(".reports-bar [aria-current]")["href"] == file.name
        for link in page.select("a[href^='checks.html#']"):
            assert checks.find(id=link["href"].partition("#")[2]), link
