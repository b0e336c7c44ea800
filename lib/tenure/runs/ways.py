"""The ways from page to page: a run's page of checks, and on every page a bar, to the runs around it too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tenure.runs.publish import write

# The page of a run's data, checks, rules, parameters, versions and words.
CHECKS = "checks.html"


def write_checks(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a run's page of checks beside its reports.

    Args:
        folder: The run's folder, with the notebooks of its reports.
        record: What the run came to, as in its run.json.
    """
    from nbformat import v4

    from tenure import report

    notebooks = {
        report.label(name): v4.reads((folder / entry["notebook_file"]).read_text(encoding="utf-8"))
        for name, entry in record["reports"].items()
        if entry["notebook_file"]
    }
    about = {name: record[name] for name in ("id", "started", "finished", "seconds", "commit", "versions")}
    (folder / CHECKS).write_text(report.checks_page(notebooks, about), encoding="utf-8")


def connect(
    runs: Sequence[tuple[Path, Mapping[str, Any]]], some: Iterable[int], beside: Path | None = None
) -> None:
    """Give the pages of some runs their bar; a page that has it already stays as it is.

    Args:
        runs: Folder and record of each run, the oldest first.
        some: Places among them.
        beside: A folder to write a page in first, as for `write`.
    """
    from tenure import report

    for place in some:
        folder, record = runs[place]
        pages = {name: entry["page"] or entry["failed_page"] for name, entry in record["reports"].items()}
        links = [(report.label(name), page or "") for name, page in pages.items()]
        links += [(report.label(CHECKS.partition(".")[0]), CHECKS)]
        for name, page in {**pages, "": CHECKS}.items():
            if page and (folder / page).is_file():
                bar = report.bar(
                    [{"label": label, "href": href, "here": href == page} for label, href in links],
                    "../../index.html",
                    _other(runs[place::-1], name),
                    _other(runs[place:], name),
                )
                text = (folder / page).read_text(encoding="utf-8")
                if (filled := report.with_bar(text, bar)) != text:
                    write(folder / page, filled, beside)


def _other(runs: Sequence[tuple[Path, Mapping[str, Any]]], name: str) -> dict[str, str] | None:
    """The next among the runs that has another edition of the report than the first; None: there is none."""
    from tenure.report import format as fmt

    entries = [(folder.name, record["reports"].get(name) or {}) for folder, record in runs]
    made = entries[0][1].get("made")
    for run, entry in entries[1:]:
        if made and entry.get("made") not in (None, made) and entry["page"]:
            return {"href": f"../{run}/{entry['page']}", "label": fmt.date(entry["made_at"][:10])}
    return None
