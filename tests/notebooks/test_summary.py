"""The executive summary as a notebook: of a run's folder, of the run that is made, and of none."""

from __future__ import annotations

import json

import pytest

from notebooks.running import findings

NAME = "00_executive_summary.ipynb"


@pytest.fixture
def folder(tmp_path):
    def entry(value, **more):
        found = {"id": "mrr.total", "sentence": f"It was {value}.", "value": value, "unit": "money:EUR", "n": 3,
                 "of": "customer", "level": 0.95, "exact": True, "low": None, "high": None, "compare": 1,
                 "compare_label": "a year ago", "difference": value - 1, "difference_low": None,
                 "difference_high": None, "better": "up", "verdict": "better", "lead": True, "target": None,
                 "unless": "Less.", "shown": {"value": str(value), "compare": "1", "interval": "", "n": "3"}}  # fmt: skip
        return {"title": "Metrics: how is it?", "state": "ok", "reason": "", "page": "m.html", "as_of": "2026-10-31",
                "notebook": "m.ipynb", "parameters": {}, "findings": [found], **more}  # fmt: skip

    record = {
        "reports": {"m": entry(2), "other": entry(5, notebook="o.ipynb")},
        "breaches": [],
        "history": {},
    }
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def test_it_says_what_a_run_found(run, folder):
    outcome = run(NAME, run=str(folder))
    text = str([cell.get("outputs") for cell in outcome.notebook.cells])
    assert "It was 5." in text
    assert "do not rely on either" in text
    assert findings(outcome)["summary.changes"]["value"] == 2
    assert (outcome.exports / "executive_claims.csv").is_file()


def test_it_refuses_what_is_no_run(run, tmp_path):
    outcome = run(NAME, run=str(tmp_path))
    assert outcome.state == "failed"
    assert "holds no run.json. Fix: name a folder of reports/runs." in outcome.reason
