"""How a run proceeds: not shown at all, as lines for a log, or as bars."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from tenure.runs.runbook import Report

STATES = {
    "ok": "ok",
    "failed": "failed",
    "not_applicable": "not applicable",
    "timed_out": "timed out",
    "died": "kernel died",
    "never_run": "never run",
}


class Progress:
    """Is told how a run proceeds, from several threads; this one shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, report: Report) -> None:
        """A report begins."""

    def advance(self, report: Report, cells: int) -> None:
        """Some of its code cells are done."""

    def end(self, report: Report, entry: Mapping[str, Any]) -> None:
        """It has ended, well or not."""

    def skip(self, report: Report) -> None:
        """It is up to date."""

    def say(self, words: str) -> None:
        """Something is to be known about the run."""
        click.echo(words, err=True)


# Seconds of a report between two lines of a log.
_SAY_EVERY = 30.0


class Lines(Progress):
    """Progress as plain lines, for a log."""

    def __init__(self) -> None:
        """Prepare to say something about each report now and then."""
        self._said: dict[str, float] = {}

    def begin(self, report: Report) -> None:
        """Say that a report is being made."""
        self._said[report.name] = time.monotonic()
        click.echo(f"{report.name}: running", err=True)

    def advance(self, report: Report, cells: int) -> None:
        """Say how many cells are done, where that was not said lately."""
        if time.monotonic() - self._said[report.name] >= _SAY_EVERY:
            self._said[report.name] = time.monotonic()
            click.echo(f"{report.name}: {cells} of {report.notebook.cells} cells", err=True)

    def end(self, report: Report, entry: Mapping[str, Any]) -> None:
        """Say how it went."""
        click.echo(f"{report.name}: {STATES[entry['state']]} after {entry['seconds']:.1f} s", err=True)

    def skip(self, report: Report) -> None:
        """Say that it is up to date."""
        click.echo(f"{report.name}: up to date", err=True)


class Bars(Progress):
    """Progress as a bar for each notebook that runs."""

    def __init__(self) -> None:
        """Prepare the bars; they are shown inside a `with` block."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        cells = (BarColumn(), MofNCompleteColumn(), TextColumn("cells"), TimeElapsedColumn())
        described = TextColumn("{task.description}")
        self._bars = RichProgress(described, *cells, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, report: Report) -> None:
        """Show a bar."""
        with self._lock:
            self._tasks[report.name] = self._bars.add_task(report.name, total=report.notebook.cells)

    def advance(self, report: Report, cells: int) -> None:
        """Lengthen it."""
        self._bars.update(self._tasks[report.name], completed=cells)

    def end(self, report: Report, entry: Mapping[str, Any]) -> None:
        """Take it away."""
        self._bars.remove_task(self._tasks[report.name])
