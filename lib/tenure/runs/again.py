"""Making an old run anew from its record, or saying what has changed since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tenure.errors import InputError
from tenure.parameters import unknown_name
from tenure.runs import graph
from tenure.runs.publish import Reports
from tenure.runs.runbook import Report, Runbook

# What a report is made of, as readers know it.
_PARTS = {
    "data": "the data",
    "mapping": "the mapping",
    "company": "the facts of the company",
    "notebook": "the notebook",
    "parameters": "the notebook's parameters",
    "code": "Tenure itself",
    "versions": "the libraries",
    "locale": "TENURE_LOCALE",
}


def as_recorded(runbook: Runbook, reports: Reports, run: str, names: Sequence[str] = ()) -> Runbook:
    """Return the runbook that makes the reports of a run as they were made then.

    Args:
        runbook: What there is to run today.
        reports: Where the run was published.
        run: The run's id.
        names: Some of its reports; empty: all.

    Raises:
        InputError: There is no such run, or something that its reports were made of has changed since.
    """
    record = reports.record(run)
    if not record:
        raise InputError(f"--again: {unknown_name('run', run, reports.names())}")
    shared, today = graph.shared_by_all(), {report.name: report for report in runbook.reports}
    wanted = set(
        runbook.with_needs([name for name in names if name in record["reports"]]) if names else today
    )
    good = {name: entry for name, entry in record["reports"].items() if entry["state"] == "ok"}
    chosen: list[Report] = []
    changed: dict[str, list[str]] = {}
    for name, entry in good.items():
        if (name in today and name not in wanted) or entry["summary"]:
            continue
        other = ["what the runbook lists"] if name not in today else []
        if not entry["parts"]:
            other = ["the record itself, which did not yet say what reports are made of"]
        elif name in today:
            report = _as_then(today[name], entry, reports, good)
            parts = graph.ingredients(report, shared, {})
            other = [said for part, said in _PARTS.items() if parts[part] != entry["parts"].get(part)]
            chosen.append(report)
        for said in other:
            changed.setdefault(said, []).append(name)
    if changed:
        listed = "; ".join(f"{said} ({', '.join(of)})" for said, of in changed.items())
        raise InputError(
            f"The run {run} cannot be made again: since then this has changed: {listed}.{_then(record)} "
            "Fix: restore it, or leave out --again to make today's reports."
        )
    if not chosen:
        raise InputError(
            f"The run {run} holds no such report that went well. Fix: name another run or report."
        )
    return Runbook(tuple(chosen), keep=runbook.keep)


def differences(old: Mapping[str, Any], new: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return which findings of a run are not as they were, as report and id.

    Args:
        old: The run's record.
        new: The entries of the reports that were made anew.
    """
    return [
        f"{name} {finding['id']}"
        for name, entry in new.items()
        for finding in old["reports"][name]["findings"]
        if finding not in entry["findings"]
    ]


def _as_then(report: Report, entry: Mapping[str, Any], reports: Reports, good: Mapping[str, Any]) -> Report:
    return replace(
        report,
        parameters={
            name: value for name, value in entry["parameters"].items() if name in report.notebook.parameters
        },
        needs=tuple(name for name in report.needs if name in good),
        before=reports.runs / entry["before"] / "exports" / report.name if entry["before"] else None,
        watch={},
        max_age_days=None,
    )


def _then(record: Mapping[str, Any]) -> str:
    """Which commit and which libraries the run was made with, where they are others now."""
    now = graph.versions()
    said = [f"{name} {old}" for name, old in record["versions"].items() if now.get(name) != old]
    said += [f"commit {record['commit']}"] if record["commit"] else []
    return f" It was made with {', '.join(said)}." if said else ""
