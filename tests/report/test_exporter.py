"""The page made of a notebook."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import subprocess
import sys

import nbformat
import pytest
from bs4 import BeautifulSoup
from report_sample import HOSTILE, notebook

from tenure import report
from tenure.errors import InputError
from tenure.report import exporter, tables
from tenure.report.display import CHECKS, FINDING
from tenure.report.words import things

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture(scope="module")
def page(pages):
    return BeautifulSoup(pages["report"].read_text(encoding="utf-8"), "html.parser")


def shown(*outputs, source="…", cells=()):
    node = notebook(*cells, source)
    node.cells[-1].outputs = [
        nbformat.v4.new_output("display_data", data, metadata=about) for data, about in outputs
    ]
    return node


def test_the_answer_comes_first(page):
    order = [tag.get("id") for tag in page.select("h1, h2, .card, [id]") if tag.get("id")]
    wanted = ["what-happened", "who-stays", "for-the-analyst", "about-this-report", "warnings"]
    wanted += ["left-out", "glossary", "parameters", "made"]
    assert [name for name in order if name in wanted] == wanted
    assert page.h1.text == "Who leaves, when, and is the difference real?"
    assert page.title.text == page.h1.text
    facts = {row.dt.text: row.dd.text for row in page.select(".facts > div")}
    assert facts["As of"] == "Oct 31, 2026"


def test_each_finding_has_its_number_interval_and_comparison(page, ran):
    records = report.read_findings(ran)
    cards = page.select(".card")
    assert len(cards) == exporter.CARDS < len(records)
    assert len(page.select(".also li")) == len(records) - exporter.CARDS
    assert sum(record["lead"] for record in records) < 2
    for card, record in zip(cards, records, strict=False):
        words = card.get_text(" ", strip=True)
        assert record["sentence"] in words
        assert record["shown"]["interval"] in words
        if record["compare"] is not None:
            assert record["verdict"] in words
            assert record["compare_label"] in words
        target = card.a["href"].removeprefix("#")
        finding = page.find(id=target)
        assert finding["class"] == ["finding"]
        if record["n"] is not None:
            assert f"based on {things(record['n'], record['of'])}" in finding.get_text(" ", strip=True)


def test_a_finding_is_said_once_on_top_and_once_in_the_body(page, ran):
    for record in report.read_findings(ran):
        said = [tag for tag in page.select(".says, .also li, .finding p") if record["sentence"] in tag.text]
        assert len(said) == 2, record["id"]


def test_ids_are_unique_and_links_lead_somewhere(pages):
    for path in pages.values():
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        ids = [tag["id"] for tag in soup.select("[id]")]
        assert len(ids) == len(set(ids))
        for link in soup.select("a[href^='#']"):
            assert link["href"][1:] in ids


def test_headings_step_down_one_at_a_time(pages):
    for path in pages.values():
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        levels = [int(tag.name[1]) for tag in soup.select("h1, h2, h3, h4")]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_nothing_hostile_is_markup(pages):
    for path in pages.values():
        words = path.read_text(encoding="utf-8")
        assert "<script>alert" not in words
        assert not re.search(r"<b\b[^>]*onclick", words)


def test_the_page_forbids_itself_the_network(page):
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none';")
    [script] = page.select("script")
    digest = base64.b64encode(hashlib.sha256(script.string.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'; base-uri 'none'" in policy
    assert len(script.string) < 4_000
    assert "http:" not in policy
    for tag in page.select("[src]"):
        assert tag["src"].startswith("data:")
    assert page.find("link")["href"] == "data:,"
    assert page.html["lang"] == "en"


def test_a_page_is_light(pages):
    assert pages["report"].stat().st_size < 400_000


def test_passwords_are_hidden(pages):
    words = pages["report"].read_text(encoding="utf-8")
    assert "s3cret" not in words
    assert "postgres://***@db.example/warehouse" in words


def test_parameters_have_value_meaning_and_mark(page, ran):
    rows = {row["name"]: row for row in exporter.parameters(ran)}
    assert list(rows) == ["data", "by", "horizon", "database"]
    assert rows["horizon"] == {
        "name": "horizon",
        "value": "30",
        "help": "how many months to look at",
        "changed": True,
    }
    assert not rows["by"]["changed"]
    assert "another place" not in " ".join(code.text for code in page.select(".source"))


def test_warnings_exclusions_and_terms_are_collected(page):
    assert len(page.select(".warnings li")) == 2
    assert page.select(".notice a")[0].text == "2 things to know about the data"
    assert "zero price <i>" in page.find(id="left-out").find_parent("details").get_text()
    assert [term.text for term in page.select(".glossary dt")][:2] == ["at risk", "censoring"]


def test_figures_have_words_and_data(page):
    drawn = page.select("figure > [role=img]")
    assert len(drawn) == 2
    assert all([svg["class"] for svg in one.select("svg[aria-hidden]")] == [["w"], ["n"]] for one in drawn)
    said = [title.text for title in page.select("figure > .takeaway strong")]
    assert all(one["aria-label"].startswith(f"{title}. ") for one, title in zip(drawn, said, strict=True))
    assert len(page.select("details.data table")) == 2
    titles = [title.text for title in page.select("figure > .takeaway strong")]
    assert titles == [
        "Annual customers stay; half of Basic is gone within two years",
        "12.3% of Annual leave in month 12",
    ]
    assert page.select("figure > .takeaway span")[0].text.startswith("Share still subscribed by months")
    assert all(title not in " ".join(tag.text for tag in page.select(".text > p")) for title in titles)


def test_a_folded_table_is_for_analysts_under_the_title_of_its_section(page):
    folded = page.find("caption", string="The same, folded <b>").find_parent("details")
    assert folded.summary.text == "Which of them should we talk to?"
    assert folded.find_parent("section").h2.text == "For the analyst"
    assert not folded.has_attr("open")
    assert "14.2<small>13.0 to 15.5</small>" in str(folded)


@pytest.mark.parametrize("about", [{}, {"image/png": {}}, {"image/png": {"alt": " "}}, {"image/png": None}])
def test_a_figure_without_words_is_refused(about):
    node = shown(({"image/png": PIXEL}, about), source="plt.plot([1])\nplt.show()")
    with pytest.raises(InputError, match=r"no alternative text in the cell that begins with 'plt\.plot"):
        report.render(node)


def test_a_picture_in_text_needs_words_too():
    with pytest.raises(InputError, match="no alternative text"):
        report.render(notebook("# T", "# x\n\n![](data:image/png;base64,AAAA)"))


def test_foreign_html_loses_what_acts():
    cell = '<td><img src=x onerror=alert(1)><a href="javascript:x()">t</a></td>'
    bad = f'<table onclick="x()"><tr>{cell}</tr></table>'
    soup = BeautifulSoup(
        report.render(shown(({"text/html": bad + "<script>x()</script>"}, {}))), "html.parser"
    )
    cell = soup.select_one(".text table td")
    assert cell.text == "t"
    assert not soup.select(".text img, .text script, [onclick]")
    assert not soup.select("a[href^=javascript]")


def test_markdown_made_of_data_is_escaped():
    words = report.render(shown(({"text/markdown": f"**{HOSTILE}** [x](javascript:alert)"}, {})))
    assert "<script>alert" not in words
    assert 'href="javascript' not in words


def test_terminal_colors_and_warnings_do_not_reach_the_page():
    node = notebook("print(1)")
    node.cells[0].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="\x1b[31mred\x1b[0m"),
        nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: hush"),
    ]
    words = report.render(node)
    assert ">red<" in words
    assert "hush" not in words


def test_progress_does_not_reach_the_page():
    node = notebook("work()")
    bar = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "FloatProgress(3)"}
    node.cells[0].outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="\r 12% ▕█ ▏\r 100% ▕██▏\nmeant\r\n 7%\r 9%\n"),
        nbformat.v4.new_output("stream", name="stdout", text="\r 33% ▕█ ▏"),
        nbformat.v4.new_output("display_data", data=bar),
    ]
    words = report.render(node)
    assert "meant" in words
    assert not re.search(r"\d+% ▕|FloatProgress|[79]%", BeautifulSoup(words, "html.parser").main.text)
    assert words.count('<pre class="out"') == 1


def test_a_notebook_without_title_findings_or_headings_is_a_page_still(pages):
    soup = BeautifulSoup(report.render(nbformat.v4.new_notebook()), "html.parser")
    assert soup.h1.text == "Report"
    assert not soup.select(".card")
    assert soup.find(id="made")


def test_rendering_leaves_the_notebook_as_it_was(ran):
    before = nbformat.writes(ran)
    report.render(ran)
    assert nbformat.writes(ran) == before
    nbformat.validate(ran)


def test_where_several_findings_lead_they_alone_are_cards_and_notes_say_how_much_they_concern(ran):
    node = nbformat.reads(nbformat.writes(ran), as_version=4)
    bundles = list(report.findings.outputs(node))
    records = [bundle[FINDING] for bundle in bundles if FINDING in bundle]
    for record in records:
        record["lead"] = record is records[1] or record is records[2]
    next(bundle for bundle in bundles if CHECKS in bundle)[CHECKS]["most"] = 0.061
    page = BeautifulSoup(report.render(node), "html.parser")
    assert [card.select_one(".says").text for card in page.select(".card")] == [
        record["sentence"] for record in records[1:3]
    ]
    assert len(page.select(".also li")) == len(records) - 2
    assert page.select_one(".notice a").text == "2 notes on the data, on at most 6.1% of a table’s rows"


def test_a_second_finding_of_one_name_is_refused(ran):
    twice = nbformat.from_dict(ran)
    twice = nbformat.reads(nbformat.writes(twice), as_version=4)
    twice.cells.append(next(cell for cell in twice.cells if "churn.monthly" in cell.source))
    with pytest.raises(InputError, match="said twice"):
        report.render(twice)


def test_a_failure_says_why_and_where(pages):
    soup = BeautifulSoup(pages["failed"].read_text(encoding="utf-8"), "html.parser")
    assert soup.h1.text == f"Does {HOSTILE} hold?"
    words = soup.select_one(".failure").get_text(" ", strip=True)
    assert f"The column price of {HOSTILE} is empty." in words
    assert "It stopped at cell 5, in “The prices that were shown”" in words
    assert "raise InputError(" in words
    assert "50% saw it." in soup.select_one(".cards").text
    assert "never reached" not in soup.select_one(".failure").text


def test_what_does_not_apply_is_no_failure(pages):
    words = BeautifulSoup(pages["not_applicable"].read_text(encoding="utf-8"), "html.parser").get_text(" ")
    assert "This report does not apply to the data" in words
    assert "There is no table surveys." in words
    assert "could not be finished" not in words


def test_a_failure_with_a_bare_figure_is_shown_still():
    words = report.render_failure(shown(({"image/png": PIXEL}, {})), "x", "No words.")
    assert "A figure without description" in words


def test_how_it_was_made(page):
    made = page.find(id="made").find_parent("details")
    rows = {row.dt.text: row.dd.get_text(" ", strip=True) for row in made.select(".run > div")}
    assert rows["Run"] == "r7"
    assert rows["Started"] == "Nov 1, 2026, 05:00 UTC"
    assert rows["Took"] == "12.3 seconds"
    assert rows["Commit"] == "1a2b3c"
    assert "python" in rows["Versions"]
    assert "s3cret" not in rows["Data fingerprint"]


def test_importing_the_room_is_cheap():
    heavy = "pandas matplotlib seaborn nbconvert IPython PIL"
    code = f"import sys, tenure.report; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cells_stand_where_their_tags_and_headings_say():
    node = notebook(
        "# T\n\nWho asks.", "1", "## First", "2", "3", "## How we know", "4", "## What to do", "5"
    )
    for cell, tag in ((1, "about"), (4, "analyst"), (5, "analyst")):
        node.cells[cell].metadata["tags"] = [tag]
    node.cells += notebook("## For the analyst", "### Fit", "6", "### Nothing").cells
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                nbformat.v4.new_output("display_data", {"text/html": f"<p>seen {cell.source}</p>"})
            ]
    page = BeautifulSoup(report.render(node), "html.parser")
    assert [tag.text for tag in page.select(".text > h2")] == ["What to do", "First"]
    folded = {
        part.summary.text: re.findall("seen .", part.text) for part in page.select(".analyst > details")
    }
    assert folded == {"First": ["seen 3"], "How we know": ["seen 4"], "Fit": ["seen 6"]}
    assert re.findall("seen .|Who asks", page.select_one(".about").text) == ["seen 1", "Who asks"]
    assert re.findall("seen .", page.select_one(".text").text) == [f"seen {k}" for k in (5, 2, 3, 4, 6, 1)]


def test_with_a_page_of_checks_a_report_says_only_what_is_special_to_it(ran):
    page = BeautifulSoup(report.render(ran, run={"checks": "checks.html"}), "html.parser")
    assert page.select_one(".notice a")["href"] == "checks.html#warnings"
    about = page.select_one(".about")
    assert about.find("a", href="checks.html")
    assert [row.code.text for row in about.select("tbody tr")] == ["horizon"]
    assert [part.h3.text for part in about.select("details")] == ["Whom it is for"]


def test_a_long_table_shows_twelve_rows_until_all_are_asked_for():
    rows = "".join(f"<tr><td>{k}</td></tr>" for k in range(13))
    html = f'<div class="table long"><table><thead><tr><th>n</th></tr></thead><tbody>{rows}</tbody></table></div>'
    page = BeautifulSoup(report.render(shown(({"text/html": html}, {}))), "html.parser")
    more = page.select_one(".table.long + label.more")
    assert more.span.text == "Show all 13 rows"
    assert more.input["type"] == "checkbox"


def test_the_style_sheet_hides_the_rows_that_a_table_is_long_by():
    assert f"tr:nth-child(n + {tables.BRIEF + 1})" in exporter.stylesheet()


def test_a_page_has_a_drawing_without_the_style_that_jupyterlab_needs(page):
    assert page.select("figure.drawn .plate svg")
    assert not page.select("body style")
