"""The page that lists the reports."""

from __future__ import annotations

import math
from importlib.metadata import version

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from report_sample import HOSTILE

from tenure.report.index import SHOWN, index_page, spark


@pytest.fixture(scope="module")
def page(pages):
    return BeautifulSoup(pages["index"].read_text(encoding="utf-8"), "html.parser")


def test_every_state_is_told_in_words(page):
    states = [state.text for state in page.select(".report .state")]
    assert states == ["fresh", "kept", "failed", "not applicable", "not yet run"]
    assert [group.text for group in page.select(".group h2")] == ["Churn", "Prices", "Reports"]


def test_titles_lead_to_the_reports(page):
    links = [title.a["href"] if title.a else None for title in page.select(".report h3")]
    assert links == ["runs/r7/30_churn.html", "runs/r6/31.html", "runs/r5/40.html", None, None]
    hrefs = [link["href"] for link in page.select(".report a")]
    assert "runs/r7/exports/30_churn/at-risk.csv" in hrefs
    assert "runs/r7/40.failed.html" in hrefs


def test_reports_on_some_customers_say_which(page):
    said = [report.get_text() for report in page.select(".report")]
    assert ["Only: country = 'IT'" in words for words in said] == [True, *[False] * 4]


def test_failures_say_why_and_what_still_stands(page):
    failed, absent = page.select(".report")[2:4]
    assert "It took more than 30 minutes. The last good report stands below." in failed.get_text(" ")
    assert "There is no table surveys." in absent.get_text(" ")


def test_findings_and_their_past(page):
    first = page.select_one(".report")
    assert len(first.select(".found li")) == SHOWN
    label = first.select_one("svg")["aria-label"]
    assert label.startswith("Over the last 3 runs, from 5% to 4%")
    assert "3 more in" in first.text


def test_what_is_out_of_bounds_stands_on_top(page):
    assert "Monthly churn is 4.1%, above its bound of 4%." in page.select_one("header .notice").get_text(" ")


def test_hostile_names_are_shown(page):
    assert HOSTILE in page.get_text()
    assert not page.select("script")


def test_no_reports_yet(pages):
    assert "There are no reports yet." in pages["empty_index"].read_text(encoding="utf-8")


@given(
    st.lists(
        st.none() | st.floats(-1e200, 1e200) | st.just(float("nan")) | st.just(float("inf")), max_size=12
    )
)
def test_a_line_stays_in_its_box(values):
    line = spark({"unit": "number"}, [["t", value] for value in values])
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        assert line is None
        return
    pairs = [pair.split(",") for part in line["lines"] for pair in part.split()]
    assert len(pairs) == len(known)
    assert all(0 <= float(x) <= 120 and 0 <= float(y) <= 32 for x, y in pairs)


def test_a_page_says_how_old_its_data_are_and_which_version_made_it():
    entry = {"name": "one", "state": "ok", "page": "runs/r1/one.html", "made": "r1", "as_of": "2026-10-31"}
    entry |= {"findings": []}
    run = {"id": "r1", "finished": "2026-11-30T02:00:00+00:00"}
    made = BeautifulSoup(index_page([entry], run), "html.parser")
    assert "data until Oct 31, 2026, 30 days old" in made.select_one(".report .when").text
    assert f"Made by Tenure {version('tenure')};" in made.select_one("footer").text
