"""What a report rests on: method, glossary and terms."""

from __future__ import annotations

from types import SimpleNamespace

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from report_sample import notebook

from tenure import report
from tenure.economics import Economics
from tenure.errors import InputError
from tenure.policy import MetricPolicy
from tenure.report import around, display, palette, terms


def test_the_method_shows_policy_economics_and_where_they_are_from(capsys):
    facts = Economics(margin=0.8, fee_fixed=0.25).model_copy(update={"given": ("margin", "currency")})
    facts = facts.overriding({"discount_rate": 0.125})
    book = SimpleNamespace(scope={"policy": MetricPolicy()}, economics=facts, currency="EUR")
    report.method(book)
    said = capsys.readouterr().out
    assert "Rules for counting" in said
    assert MetricPolicy().digest() not in said
    rows = {line.split()[1]: line.split()[2:] for line in said.splitlines() if len(line.split()) > 3}
    assert rows["margin"] == ["80%", "company.yml"]
    assert rows["fee_fixed"] == ["€0.25", "default"]
    assert rows["discount_rate"] == ["12.5%", "this", "notebook"]
    assert rows["horizon_months"] == ["24", "months", "default"]
    assert "logo" not in rows


def test_the_head_shows_the_companys_logo_and_color():
    record = {"facts": [], "logo": "data:image/png;base64,AA==", "accent": "#1f5fa8"}
    node = notebook("# Who leaves?", "…")
    node.cells[1].outputs = [
        nbformat.v4.new_output("display_data", {"text/plain": "", display.HEADER: record})
    ]
    page = BeautifulSoup(report.render(node), "html.parser")
    assert ".top{border-top:.4rem solid #1f5fa8}" in page.style.string
    assert page.header.img["src"] == record["logo"]
    plain = BeautifulSoup(report.render(notebook("# Who leaves?", "…")), "html.parser")
    assert plain.header.img is None
    assert ".top{border-top" not in plain.style.string


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True))
def test_any_color_of_a_company_can_be_read_on_both_papers(color):
    for paper in around.PAPERS:
        own = palette.readable(color, paper)
        assert palette.contrast(own, paper) >= 4.5
        assert own.lower() == color or palette.contrast(color, paper) < 4.5


def test_what_is_no_picture_and_no_estimate_is_refused():
    with pytest.raises(InputError, match=r"shows a Picture.*of type list"):
        report.figure([1, 2])
    with pytest.raises(InputError, match=r"churn\.share needs an Estimate.*has 0\.3"):
        report.finding("churn.share", "{value} left.", 0.3)


def test_terms_are_found_in_their_plural_and_by_their_longest_name():
    assert terms.terms_in("Voluntary churn, hazard ratios and ARPA.") == [
        "ARPA", "hazard ratio", "voluntary churn",
    ]  # fmt: skip
    assert terms.terms_in("Involuntary: an arpa of lifters") == []
    assert terms.terms_in("") == []


def test_a_page_explains_the_terms_that_it_uses_and_no_others():
    node = notebook("# Who leaves?\n\nThe hazard of each cohort.", "…", "## How we know", "…")
    output = nbformat.v4.new_output
    node.cells[1].outputs = [output("display_data", {"text/plain": "Two hazard ratios", "text/html": "<p>"})]
    node.cells[3].outputs = [output("display_data", {"text/plain": "", display.GLOSSARY: {"terms": "used"}})]
    page = report.render(node)
    for term in ("hazard ratio", "hazard", "cohort"):
        assert f"<dt>{term}</dt>" in page
    assert "<dt>churn</dt>" not in page


def test_a_term_that_is_none_is_refused():
    with pytest.raises(InputError, match="no term 'hazzard'"):
        report.glossary("hazzard")
