"""The summary of a run: what is out of bounds, failed or clearly different, in three forms."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from bs4 import BeautifulSoup

from tenure.report import make_finding
from tenure.report.digest import digest
from tenure.result import Estimate

ID = "20261031T051500-000Z"


def finding(id: str, words: str, now: tuple, then: tuple | None = None, **more) -> dict:
    estimate = Estimate(*now, unit="percent", sample="now")
    if then:
        estimate = estimate.against(Estimate(*then, unit="percent", sample="then"), "September 2026")
    return asdict(make_finding(id, words, estimate, **more))


def entry(
    name: str, *findings: dict, state: str = "ok", reason: str = "", page: str | None = "", failed=None
):
    page = f"{name}.html" if page == "" else page
    return {
        "name": name, "title": f"About {name}", "state": state, "reason": reason, "findings": list(findings),
        "page": page, "failed_page": failed,
    }  # fmt: skip


@pytest.fixture
def record() -> dict:
    up = finding(
        "churn.monthly", "{value} of <Pro & co> left.", (0.08, 0.07, 0.09), (0.04, 0.03, 0.05), better="down"
    )
    more = finding("mrr.kept", "{value} was_kept.", (0.9, 0.89, 0.91), (0.5, 0.49, 0.51), better="up")
    noise = finding("a.noise", "{value} of noise.", (0.08, 0.01, 0.2), (0.07, 0.01, 0.2))
    alone = finding("a.alone", "{value} alone.", (0.08, 0.01, 0.2))
    old = finding("a.old", "{value} of an older run.", (0.08, 0.07, 0.09), (0.04, 0.03, 0.05))
    entries = [
        entry("metrics", more, noise, alone),
        entry("churn.IT", up),
        entry("clv", old, state="failed", reason="A table is missing.", failed="clv.failed.html"),
        entry("growth", state="died", reason="The kernel died.", page=None),
        entry("prices", state="not_applicable", reason="There is no experiment.", page=None),
    ]
    breach = {
        "report": "metrics",
        "finding": "a.noise",
        "sentence": "a.noise is 0.08, above its maximum 0.05.",
    }
    return {
        "id": ID, "finished": "2026-10-31T05:15:00+00:00", "reports": {each["name"]: each for each in entries},
        "breaches": [breach, {**breach, "report": "no longer in the runbook"}],
    }  # fmt: skip


def test_the_words_in_markdown(record) -> None:
    assert digest(record, base="https://reports.example/tenure").splitlines() == [
        "# Reports of Oct 31, 2026, 05:15 UTC",
        "",
        "## Out of bounds",
        "",
        f"- a.noise is 0.08, above its maximum 0.05. [metrics](<https://reports.example/tenure/runs/{ID}/metrics.html>)",
        "",
        "## Failed",
        "",
        f"- A table is missing. [clv](<https://reports.example/tenure/runs/{ID}/clv.failed.html>)",
        "",
        "- The kernel died. [growth](<https://reports.example/tenure/index.html>)",
        "",
        "## Clearly changed or different",
        "",
        rf"- 8% of \<Pro & co\> left. Worse than 4% (September 2026). "
        rf"[churn.IT](<https://reports.example/tenure/runs/{ID}/churn.IT.html>)",
        "",
        rf"- 90% was\_kept. Better than 50% (September 2026). "
        rf"[metrics](<https://reports.example/tenure/runs/{ID}/metrics.html>)",
        "",
        "No clear change in 1 other number.",
        "",
        "[All reports](<https://reports.example/tenure/index.html>)",
    ]


def test_a_page_for_a_mail(record) -> None:
    page = BeautifulSoup(digest(record, "html", "https://reports.example"), "html.parser")
    assert page.h1.text == page.title.text == "Reports of Oct 31, 2026, 05:15 UTC"
    assert [each.text for each in page.find_all("h2")][:2] == ["Out of bounds", "Failed"]
    [left] = [each for each in page.find_all("p") if "<Pro & co>" in each.text]
    assert left.a["href"] == f"https://reports.example/runs/{ID}/churn.IT.html"
    assert len(page.find_all("p")) == 5 + 2


def test_a_message_for_slack(record) -> None:
    message = json.loads(digest(record, "slack", "https://reports.example"))
    assert list(message) == ["text"]
    assert (
        f"• 8% of &lt;Pro &amp; co&gt; left. Worse than 4% (September 2026). <https://reports.example/runs/{ID}/churn.IT.html|churn.IT>"
        in message["text"]
    )
    assert "*Out of bounds*\n" in message["text"]


@pytest.mark.parametrize("form", ["markdown", "html", "slack"])
def test_a_quiet_run_says_so(record, form) -> None:
    quiet = {**record, "reports": {"prices": record["reports"]["prices"]}, "breaches": []}
    said = digest(quiet, form)
    assert "Nothing is out of bounds, nothing has failed, and no number is clearly different." in said
    assert "No clear change" not in said
    assert "Failed" not in said
