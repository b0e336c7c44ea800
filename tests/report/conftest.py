"""The sample notebook and the pages made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.backends import backend_agg
from report_sample import HOSTILE, executed, notebook, sample

from tenure import report


@pytest.fixture(autouse=True)
def fonts_that_we_bring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test draws, no letter of it comes from a font of this machine."""
    used: set[Path] = set()
    get_font = backend_agg.get_font

    def noted(paths: Any, *others: Any, **named: Any) -> Any:
        used.update(map(Path, paths))
        return get_font(paths, *others, **named)

    monkeypatch.setattr(backend_agg, "get_font", noted)
    yield
    ours = Path(matplotlib.get_data_path()).resolve()
    assert not [path for path in used if not path.resolve().is_relative_to(ours)]


@pytest.fixture(scope="session")
def ran() -> Any:
    """The sample notebook after its run."""
    node = executed(sample())
    errors = [out for cell in node.cells for out in cell.get("outputs", []) if out.output_type == "error"]
    assert not errors, errors[0]
    return node


@pytest.fixture(scope="session")
def stopped() -> Any:
    """A notebook that found one thing and then stopped at an error."""
    return executed(
        notebook(
            f"# Does {HOSTILE} hold?",
            "from tenure import report\nfrom tenure.errors import InputError\nfrom tenure.result import Estimate",
            'report.finding("price.shown", "{value} saw it.", Estimate(0.5, 0.4, 0.6, unit="percent"))',
            "## The prices that were shown",
            f"raise InputError({('The column price of ' + HOSTILE + ' is empty.')!r})",
            'print("never reached")',
        )
    )


@pytest.fixture(scope="session")
def entries(ran: Any) -> list[dict[str, Any]]:
    """What the index page is given: reports in every state."""
    found = report.read_findings(ran)
    past = {f["id"]: [["2026-09-01", 0.05], ["2026-10-01", None], ["2026-11-01", 0.04]] for f in found}
    blank = {"findings": [], "history": {}, "exports": [], "breaches": []}
    return [
        {
            "name": "30_churn",
            "title": "Who leaves?",
            "group": "Churn",
            "question": f"Which plan, {HOSTILE}, loses its customers?",
            "parameters": {"only": "country = 'IT'"},
            "state": "ok",
            "page": "runs/r7/30_churn.html",
            "notebook_file": "runs/r7/30_churn.ipynb",
            "made": "r7",
            "made_at": "2026-11-01T05:00:12Z",
            "findings": found,
            "history": past,
            "exports": ["exports/30_churn/at-risk.csv"],
            "breaches": ["Monthly churn is 4.1%, above its bound of 4%."],
        },
        {
            **blank,
            "name": "31_revenue",
            "title": f"What stays of {HOSTILE}?",
            "group": "Churn",
            "state": "ok",
            "page": "runs/r6/31.html",
            "made": "r6",
            "made_at": "2026-10-01T05:00:12Z",
        },
        {
            **blank,
            "name": "40_price",
            "title": "Is the new price better?",
            "group": "Prices",
            "state": "timed_out",
            "reason": "It took more than 30 minutes.",
            "page": "runs/r5/40.html",
            "failed_page": "runs/r7/40.failed.html",
            "made": "r5",
            "made_at": "2026-09-01T05:00:12Z",
            "findings": found[:1],
        },
        {
            **blank,
            "name": "41_survey",
            "title": "What would they pay?",
            "group": "Prices",
            "state": "not_applicable",
            "reason": "There is no table surveys.",
            "tried_at": "2026-11-01T05:00:12Z",
        },
        {**blank, "name": "42_new", "title": "New", "state": "never_run"},
    ]


@pytest.fixture(scope="session")
def pages(ran: Any, stopped: Any, entries: list[dict[str, Any]], tmp_path_factory: Any) -> dict[str, Path]:
    """Every kind of page, by name."""
    run = {
        "run": "r7",
        "started": "2026-11-01T05:00:00Z",
        "seconds": 12.3,
        "commit": "1a2b3c",
        "versions": {"python": "3.12.0"},
        "fingerprint": {"subscriptions": "77aa", "source": "postgres://reader:s3cret@db.example/x"},
    }
    made = {
        "report": report.render(ran, run=run),
        "bare": report.render(notebook("# Nothing found", "1 + 1")),
        "failed": report.render_failure(
            stopped, "prices", f"The column price of {HOSTILE} is empty.", run=run
        ),
        "not_applicable": report.render_failure(
            None, "surveys", "There is no table surveys.", state="not applicable"
        ),
        "index": report.index_page(entries, {"id": "r7", "finished": "2026-11-01T05:03:12Z", "seconds": 192}),
        "empty_index": report.index_page([], {"id": "r1"}),
    }
    folder = tmp_path_factory.mktemp("pages")
    paths = {}
    for name, page in made.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(page, encoding="utf-8")
    return paths
