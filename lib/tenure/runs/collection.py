"""One run of the collection: make what is not up to date, publish the whole, say what is out of bounds."""

from __future__ import annotations

import contextlib
import datetime as dt
import html
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from tenure.errors import TenureError, unexpected
from tenure.machine import check_limits, cores, discard, memory
from tenure.parameters import unknown_name
from tenure.paths import project_root, resolve
from tenure.runs import graph, ways
from tenure.runs.progress import Progress
from tenure.runs.publish import ENTRY, FORMAT, GOOD, Reports, carry, now
from tenure.runs.runbook import Report, Runbook

_FAILURES = ("failed", "timed_out", "died")
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
# How many past values of a finding a run remembers for the index's lines.
_HISTORY = 60
_MOVED = (
    "What it is made of was replaced while it was made, twice. Fix: let the extract end before the run "
    "begins, and run it again."
)

_OLD = "The data ends on {}, more than {} days ago. Fix: see why no newer data arrives."


@dataclass(frozen=True)
class Breach:
    """A monitored number that is out of its bounds.

    Attributes:
        report: The report's name.
        finding: The finding's id.
        sentence: What is wrong, with value and bound.
    """

    report: str
    finding: str
    sentence: str


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Attributes:
        name: The published run's id; None where nothing has ever been published.
        entries: What stands of each report, by name: its state, findings, files; as in run.json.
        made: Names of the reports that were run, in the order they ended.
        selected: Names of the reports that were asked for, and what those need.
        breaches: Monitored numbers out of bounds in the selected reports.
        since: When the published run was made.
    """

    name: str | None
    entries: Mapping[str, Mapping[str, Any]]
    made: tuple[str, ...]
    selected: tuple[str, ...]
    breaches: tuple[Breach, ...]
    since: str | None

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the selected reports whose last try failed."""
        return tuple(name for name in self.selected if self.entries[name]["state"] in _FAILURES)

    @property
    def status(self) -> int:
        """The exit status: 0 all well, 1 something failed, 3 a monitored number is out of bounds."""
        return 1 if self.failed else 3 if self.breaches else 0


def run_collection(
    runbook: Runbook,
    reports: Reports,
    names: Sequence[str] = (),
    *,
    force: bool = False,
    jobs: int | None = None,
    wait: bool = False,
    forked: bool | None = None,
    progress: Progress | None = None,
) -> Result:
    """Make the reports that are not up to date and publish the whole set.

    Args:
        runbook: What there is to run.
        reports: Where to publish.
        names: Reports to run; empty: all.
        force: Whether to run them although nothing has changed.
        jobs: How many notebooks to run at once; None: two, or one on a single core.
        wait: Whether to wait while another run is in progress.
        forked: Whether to fork kernels from a warm process; None: where that is possible.
        progress: Is told how the run proceeds.

    Returns:
        What came of it. A failing notebook is no exception: its entry says so.

    Raises:
        BusyError: Another run is in progress.
    """
    check_limits()
    selected = runbook.with_needs(names)
    jobs = max(1, min(jobs or min(2, cores()), len(selected) or 1))
    asked = {report.name for report in runbook.select(names)}
    with reports.lock(wait=wait), _Run(runbook, reports, progress or Progress(), jobs, forked) as run:
        by_name = run.by_name

        def stands(name: str, parts: Mapping[str, Any]) -> bool:
            return not (force and name in asked and name not in run.made) and run.stands(name, parts)

        def work(name: str) -> None:
            parts = run.made_of(by_name[name])
            if stands(name, parts):
                run.progress.skip(by_name[name])
            else:
                run.make(by_name[name], parts)

        some = [by_name[name] for name in selected if by_name[name].values.get("only")]
        if some := [report for report in some if not stands(report.name, run.made_of(report))]:
            from tenure.only import check_reports

            check_reports(some)
        first = {n: by_name[n].needs for n in selected if not by_name[n].last}
        graph.walk(first, jobs, work)
        if moved := run.moved(first):
            run.progress.say(f"Something changed while these were made; once more: {', '.join(moved)}")
            graph.walk(first, jobs, lambda name: work(name) if run.moved([name]) else None)
            run.refuse(run.moved(first))
        # Those of the reports that were not asked for stand, too.
        breaches = _breaches(runbook.reports, run.entries)
        run.found = [vars(breach) for breach in breaches]
        for name in selected:
            if by_name[name].last and any(entry["made"] for entry in run.entries.values()):
                work(name)
        record = run.publish(names, breaches)
    return Result(
        name=record["id"] if record else None,
        entries=run.entries,
        made=tuple(run.made),
        selected=selected,
        breaches=tuple(breach for breach in breaches if breach.report in selected),
        since=record["started"] if record else None,
    )


class _Run:
    """The state of a run while it goes on."""

    def __init__(
        self, runbook: Runbook, reports: Reports, progress: Progress, jobs: int, forked: bool | None
    ):
        self.runbook, self.reports, self.progress = runbook, reports, progress
        self.by_name = {report.name: report for report in runbook.reports}
        reports.clean()
        self.made: list[str] = []
        self.found: list[dict[str, str]] = []
        self.previous = reports.published()
        known = self.previous["reports"] if self.previous else {}
        self._forked = forked
        self._threads = max(1, cores() // jobs)
        self._memory = int(memory() * 0.6 / jobs) // 2**20
        self._started, self._clock = now(), time.monotonic()
        self._name = reports.new_name()
        self._staging: Path | None = None
        self._kernels: Any = None
        self._lock, self._rendering, self._busy = threading.RLock(), threading.Lock(), threading.Condition()
        self._working, self._stopping = 0, False
        self._versions = graph.versions()
        self._shared = graph.shared_by_all()
        self.entries: dict[str, dict[str, Any]] = {
            report.name: {**ENTRY, **self._whole(known.get(report.name, {})), **_description(report)}
            for report in runbook.reports
        }
        self._before = dict(self.entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs, where a run is broken off, and leave nothing but what was published."""
        with self._busy:
            self._stopping = True
        with self._lock:
            kernels, staging = self._kernels, self._staging
        if kernels:
            kernels.stop()
        with self._busy:
            self._busy.wait_for(lambda: self._working == 0, timeout=10)
        if kernels:
            kernels.__exit__()
        if staging and staging.exists():
            discard(staging)

    def _whole(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known of a report, without its page where a file of it is gone or cut."""
        folder = self._folder(entry) if entry else None
        if not folder or (
            _is_whole(folder / entry["page"])
            and all(
                (folder / name).is_file()
                for name in (entry["notebook_file"], entry["findings_file"], *entry["exports"])
            )
        ):
            return entry
        gone = {name: ENTRY[name] for name in (*GOOD, "made_of")}
        return {**entry, **gone, "state": "never_run" if entry["state"] == "ok" else entry["state"]}

    def moved(self, names: Iterable[str]) -> list[str]:
        """Which reports are made of something that has changed since."""
        return [
            name
            for name in names
            if self.entries[name]["made_of"] != graph.digest(self.made_of(self.by_name[name]))
        ]

    def refuse(self, names: Iterable[str]) -> None:
        """Let the last good report stand, for what a new one is made of changes all the time."""
        for name in names:
            kept = {key: self._before[name][key] for key in GOOD}
            self.entries[name] |= {**kept, "state": "failed", "reason": _MOVED, "failed_page": None}
            if self._staging:
                for path in (self._staging / "run").glob(f"{name}.*"):
                    path.unlink()
                shutil.rmtree(self._staging / "run" / "exports" / name, ignore_errors=True)

    def made_of(self, report: Report) -> dict[str, Any]:
        """What a report is made of; to be asked when what it needs is done."""
        upstream = {name: self.entries[name]["findings"] for name in report.needs}
        if report.last:
            upstream = {"": self._record()}
        return graph.ingredients(report, self._shared, upstream)

    def _record(self) -> dict[str, Any]:
        """What is known of the run when all but its summary is made."""
        others = {name: entry for name, entry in self.entries.items() if not entry["summary"]}
        history = {name: lines for name, lines in self._history().items() if name in others}
        return {"reports": others, "breaches": self.found, "history": history}

    def stands(self, name: str, parts: Mapping[str, Any]) -> bool:
        """Whether the last report was made of the same and went well."""
        entry = self.entries[name]
        same = None not in parts.values() and entry["made_of"] == graph.digest(parts)
        return same and entry["state"] in ("ok", "not_applicable")

    def make(self, report: Report, parts: Mapping[str, Any]) -> None:
        """Make a report, unless the run is being broken off."""
        with self._busy:
            if self._stopping:
                return
            self._working += 1
        try:
            self._make(report, parts)
        finally:
            with self._busy:
                self._working -= 1
                self._busy.notify_all()

    def _make(self, report: Report, parts: Mapping[str, Any]) -> None:
        from tenure.runs.execute import execute

        self.progress.begin(report)
        started = now()
        staging, kernels = self._prepare()
        outcome = execute(
            report.notebook.path,
            report.parameters,
            kernels,
            environment=self._environment(report, staging),
            log=self._log(report),
            timeout=report.timeout,
            secrets=_secrets(report),
            progress=lambda cells: self.progress.advance(report, cells),
        )
        entry = {
            **self.entries[report.name],
            "state": outcome.state,
            "reason": outcome.reason,
            "cell": outcome.cell,
            "seconds": round(outcome.seconds, 2),
            "tried": self._name,
            "started_at": started,
            "tried_at": now(),
            "parameters": report.values,
            "fingerprint": parts["data"] and parts["data"][:24],
            "made_of": graph.digest(parts),
            "parts": parts,
            "before": self._before[report.name]["made"] and self.previous and self.previous["id"],
            "counters": _counters(staging / "counters" / f"{report.name}.json"),
            "failed_page": None,
        }
        exports = staging / "run" / "exports" / report.name
        with self._rendering:
            if outcome.state == "ok":
                entry = self._write(report, outcome, entry, staging / "run")
            if entry["state"] in _FAILURES:
                entry["failed_page"] = f"{report.name}.failed.html"
                page = self._failure_page(report, outcome, entry)
                (staging / "run" / entry["failed_page"]).write_text(page, encoding="utf-8")
        if entry["state"] != "ok":
            shutil.rmtree(exports, ignore_errors=True)
        if entry["state"] == "not_applicable":
            # The last good report spoke of other data; beside "not applicable" it would mislead.
            entry |= {key: ENTRY[key] for key in GOOD}
        with self._lock:
            self.entries[report.name] = entry
            if report.name not in self.made:
                self.made.append(report.name)
        if not self._stopping:
            self.progress.end(report, entry)

    # Making.

    def _stage(self) -> Path:
        if self._staging is None:
            self._staging = self.reports.stage(self._name)
        return self._staging

    def _prepare(self) -> tuple[Path, Any]:
        from tenure.runs.kernels import Kernels

        with self._lock:
            if self._stopping:
                raise KeyboardInterrupt
            staging = self._stage()
            if self._kernels is None:
                for folder in (staging / "temporary", staging / "counters", self.reports.logs):
                    folder.mkdir(exist_ok=True)
                self._kernels = Kernels(self._forked, threads=self._threads)
                self._kernels.__enter__()
            return staging, self._kernels

    def _log(self, report: Report) -> Path:
        log = self.reports.logs / f"{report.name}.log"
        log.unlink(missing_ok=True)
        return log

    def _environment(self, report: Report, staging: Path) -> dict[str, str]:
        upstream = staging / "upstream" / report.name
        for name in report.needs:
            upstream.mkdir(parents=True, exist_ok=True)
            (upstream / f"{name}.findings.json").write_text(
                json.dumps(self.entries[name]["findings"]), encoding="utf-8"
            )
        if report.last:
            upstream.mkdir(parents=True, exist_ok=True)
            (upstream / "run.json").write_text(json.dumps(self._record()), encoding="utf-8")
        exports = staging / "run" / "exports" / report.name
        exports.mkdir(parents=True, exist_ok=True)
        share = {
            "TENURE_THREADS": str(self._threads),
            "TENURE_MEMORY_LIMIT": f"{self._memory}MiB",
            "TENURE_TEMP_DIRECTORY": str(staging / "temporary"),
        }
        # What the last good run exported, for reports that say what has changed since.
        last = report.before or self._exports(self._before[report.name])
        return {
            **{name: value for name, value in share.items() if name not in os.environ},
            **({"TENURE_PREVIOUS": str(last)} if last else {}),
            "TENURE_ROOT": str(project_root()),
            "TENURE_REPORT": report.name,
            "TENURE_OUTPUT": str(exports),
            "TENURE_SHARED": str(staging / "shared"),
            "TENURE_UPSTREAM": str(upstream),
            "TENURE_COUNTERS": str(staging / "counters" / f"{report.name}.json"),
        }

    def _write(self, report: Report, outcome: Any, entry: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Write the report's files; an entry that failed where they cannot be made."""
        import nbformat

        from tenure import report as pages

        notebook = outcome.notebook
        try:
            findings = pages.read_findings(notebook)
            page = pages.render(notebook, run=self._about(report, entry))
            document = nbformat.writes(notebook)
        except TenureError as error:
            return {**entry, "state": "failed", "reason": f"The page cannot be made: {error}"}
        except Exception as error:
            words = unexpected(error, self.reports.state / "errors.log")
            return {**entry, "state": "failed", "reason": f"The page cannot be made: {words}"}
        exports = sorted(path for path in (folder / "exports" / report.name).rglob("*") if path.is_file())
        entry |= {
            "made": self._name,
            "made_at": entry["tried_at"],
            "page": f"{report.name}.html",
            "notebook_file": f"{report.name}.ipynb",
            "findings_file": f"{report.name}.findings.json",
            "findings": findings,
            **pages.head_of(notebook),
            "exports": [path.relative_to(folder).as_posix() for path in exports],
        }
        (folder / entry["notebook_file"]).write_text(document, encoding="utf-8")
        (folder / entry["findings_file"]).write_text(json.dumps(findings, indent=1), encoding="utf-8")
        (folder / entry["page"]).write_text(page, encoding="utf-8")
        return entry

    def _failure_page(self, report: Report, outcome: Any, entry: Mapping[str, Any]) -> str:
        from tenure import report as pages

        try:
            return pages.render_failure(
                outcome.notebook, report.title, entry["reason"], run=self._about(report, entry)
            )
        except Exception as error:
            unexpected(error, self.reports.state / "errors.log")
            title, reason = html.escape(report.title), html.escape(entry["reason"])
            return f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1><p>{reason}</p>"

    def _about(self, report: Report, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What a page says about how it was made."""
        return {
            "run": self._name,
            "started": entry["started_at"],
            "finished": entry["tried_at"],
            "seconds": entry["seconds"],
            "fingerprint": entry["fingerprint"],
            "parameters": entry["parameters"],
            "commit": self._commit,
            "versions": self._versions,
            "checks": ways.CHECKS,
        }

    @cached_property
    def _commit(self) -> str | None:
        return _commit()

    # Publishing.

    def publish(self, names: Sequence[str], breaches: Sequence[Breach]) -> dict[str, Any] | None:
        """Publish what was made beside what still stands; return the record of the published run."""
        if not self.made and self.previous and not self._listing_changed(breaches):
            self._repair(self.previous, breaches)
            return self.previous
        if not self.made and not self.previous:
            return None
        staging = self._stage()
        folder = staging / "run"
        for entry in self.entries.values():
            old = self._folder(entry)
            if old and old != folder:
                files = [entry["page"], entry["notebook_file"], entry["findings_file"], *entry["exports"]]
                carry(old, folder, [name for name in files if name])
            if entry["name"] not in self.made and entry["failed_page"] and self.previous:
                carry(self.reports.runs / self.previous["id"], folder, [entry["failed_page"]])
        for empty in sorted((folder / "exports").rglob("*"), reverse=True):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
        record = {
            "format": FORMAT,
            "id": self._name,
            "started": self._started,
            "finished": now(),
            "seconds": round(time.monotonic() - self._clock, 2),
            "asked_for": list(names),
            "made": self.made,
            "versions": self._versions,
            "commit": self._commit,
            "reports": self.entries,
            "breaches": [vars(breach) for breach in breaches],
            "history": self._history(),
        }
        (folder / "run.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        ways.write_checks(folder, record)
        ways.connect([*self.reports.recorded(), (folder, record)], [-1], self.reports.state)
        self.reports.publish(staging, self._name, _index(record, breaches), self.runbook.keep)
        self._finish()
        return record

    def _repair(self, record: Mapping[str, Any], breaches: Sequence[Breach]) -> None:
        """Make good what is wrong beside a run of which nothing is to be made anew."""
        if self.reports.unfinished.exists():
            self._finish()
        if not self.reports.up_to_date(record["id"]):
            if self.reports.shown() != record["id"]:
                self.progress.say("The index was missing or cut; it is made again.")
            self.reports.show(record["id"], _index(record, breaches))

    def _finish(self) -> None:
        """Link the pages of published runs with each other."""
        runs = self.reports.recorded()
        ways.connect(runs, range(len(runs)), self.reports.state)
        self.reports.unfinished.unlink(missing_ok=True)

    def _folder(self, entry: Mapping[str, Any]) -> Path | None:
        """Where a report's good files are: in what is being written, or in the published run."""
        if entry["made"] is None:
            return None
        if entry["made"] == self._name:
            return self._staging / "run" if self._staging else None
        return self.reports.runs / self.previous["id"] if self.previous else None

    def _exports(self, entry: Mapping[str, Any]) -> Path | None:
        folder = self._folder(entry)
        return folder and folder / "exports" / entry["name"]

    def _listing_changed(self, breaches: Sequence[Breach]) -> bool:
        assert self.previous is not None
        other = list(self.previous["reports"].items()) != list(self.entries.items())
        return other or self.previous["breaches"] != [vars(breach) for breach in breaches]

    def _history(self) -> dict[str, Any]:
        past = self.previous["history"] if self.previous else {}
        history = {}
        for name, entry in self.entries.items():
            lines = {key: list(points) for key, points in past.get(name, {}).items()}
            if entry["made"] == self._name:
                for finding in entry["findings"]:
                    points = lines.setdefault(finding["id"], [])
                    points.append([entry["made_at"], finding.get("value")])
                    del points[:-_HISTORY]
            history[name] = lines
        return history


def _description(report: Report) -> dict[str, Any]:
    return {
        "name": report.name,
        "group": report.heading,
        "title": report.title,
        "question": report.notebook.question,
        "notebook": report.notebook.path.name,
        "summary": report.last,
        "watch": {name: bounds.model_dump() for name, bounds in report.watch.items()},
    }


def _is_whole(page: Path) -> bool:
    """Whether a page is there to its end."""
    return page.is_file() and page.read_bytes().rstrip().endswith(b"</html>")


def _index(record: Mapping[str, Any], breaches: Sequence[Breach]) -> str:
    from tenure import report as pages

    listed = [
        {
            **entry,
            **{kind: _link(record["id"], entry[kind]) for kind in ("page", "failed_page", "notebook_file")},
            "history": record["history"].get(name, {}),
            "breaches": [breach.sentence for breach in breaches if breach.report == name],
        }
        for name, entry in record["reports"].items()
    ]
    return pages.index_page(listed, run=record)


def _link(run: str, name: str | None) -> str | None:
    return f"runs/{run}/{name}" if name else None


def _breaches(reports: Sequence[Report], entries: Mapping[str, Mapping[str, Any]]) -> tuple[Breach, ...]:
    found = []
    for report in reports:
        entry = entries[report.name]
        values = {finding["id"]: finding.get("value") for finding in entry["findings"]}
        if report.max_age_days is not None and entry["as_of"]:
            newest = dt.date.today() - dt.timedelta(days=report.max_age_days)
            if entry["as_of"][:10] < newest.isoformat():
                found.append(
                    Breach(report.name, "max_age_days", _OLD.format(entry["as_of"], report.max_age_days))
                )
        for name, bounds in report.watch.items() if entry["state"] == "ok" else ():
            value, sentence = values.get(name), ""
            if name not in values and name in report.notebook.findings:
                sentence = f"{name} was not stated, so its bounds cannot be checked."
            elif name not in values:
                sentence = f"The runbook watches {name}: {unknown_name('finding', name, values)}"
            elif value is None:
                sentence = f"{name} has no value, so its bounds cannot be checked."
            elif bounds.max is not None and value > bounds.max:
                sentence = f"{name} is {value:g}, above its maximum {bounds.max:g}."
            elif bounds.min is not None and value < bounds.min:
                sentence = f"{name} is {value:g}, below its minimum {bounds.min:g}."
            if sentence:
                found.append(Breach(report.name, name, sentence))
    return tuple(found)


def _secrets(report: Report) -> list[tuple[str, str]]:
    """Names and values of the environment variables that a report's source is opened with."""
    texts = [value for value in report.values.values() if isinstance(value, str)]
    mapping = report.values.get("mapping")
    if mapping:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            texts.append(resolve(mapping).read_text(encoding="utf-8"))
    names = dict.fromkeys(name for text in texts for name in _PLACEHOLDER.findall(text))
    # A value of a few characters would be found in every number.
    found = [(name, os.environ[name]) for name in names if len(os.environ.get(name, "")) >= 4]
    # In an address the value may be quoted.
    return found + [(name, quote(value, safe="")) for name, value in found]


def _counters(file: Path) -> dict[str, Any]:
    """What a notebook asked of its engine, as `tenure.sources.counters` has written it down."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _commit() -> str | None:
    """The project's commit, with a plus sign where files differ from it; None outside of git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        answer = subprocess.run(
            command, cwd=project_root(), capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
