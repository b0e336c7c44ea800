"""docs/findings.md says what the notebooks find, in the units that they find it in."""

from __future__ import annotations

import json

import pytest

from reference import findings_page
from tenure.paths import project_root
from tenure.runs.runbook import read_runbook


def test_the_page_is_as_the_notebooks_are(small_run):
    again = "run python tests/reference/findings_page.py reports/latest"
    assert findings_page.PAGE.read_text(encoding="utf-8") == findings_page.page(small_run), again


def test_every_finding_is_one_that_watch_knows(small_run, tmp_path):
    runbook = project_root() / "notebooks" / "runbook.yml"
    reports = {report.name: report.notebook.findings for report in read_runbook(runbook).reports}
    for name, known in reports.items():
        file = small_run / f"{name}.findings.json"
        said = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        assert {record["id"] for record in said} <= set(known)
    ids = {id for known in reports.values() for id in known}
    assert len(ids) > 60
    assert ids <= set(findings_page.PAGE.read_text(encoding="utf-8").replace("`", " ").split())


@pytest.mark.parametrize(
    ("words", "taken"), [("'a' if x else 'b'", "a"), ("{'q': 'q', 'z': '{value}'}", "{value}")]
)
def test_one_sentence_of_several(words, taken):
    import ast

    assert findings_page.sentence(ast.parse(words).body[0].value) == taken
