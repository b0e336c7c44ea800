"""What has to run again: a graph of reports whose ingredients are compared with the last run's."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tenure.errors import InputError
from tenure.paths import resolve
from tenure.runs.runbook import Report

# Libraries whose version can change what a report says.
LIBRARIES = (
    "babel",
    "duckdb",
    "ibis-framework",
    "ipykernel",
    "lifelines",
    "matplotlib",
    "nbconvert",
    "numpy",
    "pandas",
    "papermill",
    "pyarrow",
    "scipy",
    "seaborn",
    "statsmodels",
    "tenure",
)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that make a report.

    Example:
        >>> versions()["pandas"].startswith("2.")
        True
    """
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def digest(value: Any) -> str:
    """Return a short text that changes when the value changes.

    Args:
        value: Bytes, or whatever JSON can hold.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:24]


def code_digest(package: Path) -> str:
    """Return a digest of the library's own files: code and page template."""
    files = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return digest({path.relative_to(package).as_posix(): digest(path.read_bytes()) for path in files})


def data_fingerprint(data: str) -> str | None:
    """Return a text that changes when a file or folder of data changes, without reading it.

    Args:
        data: A path as notebooks take it, relative to the project's root, or a URL.

    Returns:
        The digest of names, sizes and times; None for a database, of which it cannot be known.
    """
    from tenure.sources.address import Address

    try:
        return Address.read(data).mark()
    except InputError:
        return None  # opening it will say why


def ingredients(report: Report, shared: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report is made of, each part as a short text to compare.

    Args:
        report: The report.
        shared: What all reports are made of: the library's code and versions.
        upstream: Findings of the reports that this one needs, by name.
    """
    values = report.values
    mapping = resolve(values["mapping"]) if values.get("mapping") else None
    return {
        **shared,
        "notebook": digest(report.notebook.path.read_bytes()),
        "parameters": digest(values),
        "data": data_fingerprint(str(values["data"])) if values.get("data") else "",
        "mapping": digest(mapping.read_bytes()) if mapping and mapping.is_file() else "",
        "upstream": digest(dict(upstream)),
    }


def walk(
    reports: Sequence[Report],
    selected: Collection[str],
    *,
    database: Path,
    jobs: int,
    force: bool,
    made_of: Callable[[Report], dict[str, Any]],
    standing: Callable[[Report], str],
    make: Callable[[Report], None],
    skip: Callable[[Report], None],
) -> None:
    """Make every selected report that is not up to date, and what it needs, several at once.

    Args:
        reports: All reports.
        selected: Names of those that are asked for.
        database: File that remembers what each was made of.
        jobs: How many to make at once.
        force: Whether to make the selected ones whatever has changed.
        made_of: Returns a report's ingredients; called when what it needs is done.
        standing: Returns the id of the run that last made a report well; empty where that failed or
            its files are gone.
        make: Makes a report, in a thread of its own. Must not raise for a report that fails.
        skip: Called for a report that is up to date.

    Raises:
        Exception: What `make` raised.
    """
    from doit.control import TaskControl
    from doit.dependency import DatabaseException, Dependency, SqliteDB
    from doit.runner import MThreadRunner
    from doit.task import Stream, Task

    by_name = {report.name: report for report in reports}
    errors: list[BaseException] = []

    def task(report: Report) -> Task:
        def act() -> bool:
            try:
                make(report)
            except BaseException as error:
                errors.append(error)
                return False
            return True

        def current(task: Task, values: dict[str, Any]) -> bool:
            parts = made_of(report)
            state = digest(parts)
            task.value_savers.append(lambda: {"made_of": state, "run": standing(report)})
            return (
                not (force and report.name in selected)
                and None not in parts.values()
                and values.get("made_of") == state
                and bool(values.get("run"))
                and values.get("run") == standing(report)
            )

        return Task(
            report.name,
            actions=[(act,)],
            uptodate=[current],
            task_dep=list(report.needs),
            io={"capture": False},
        )

    class Listener:
        """Hears from doit; what it has to say goes to the caller, nothing is printed."""

        def skip_uptodate(self, task: Task) -> None:
            skip(by_name[task.name])

        def add_failure(self, task: Task, fail: Any) -> None:
            if not errors:
                errors.append(RuntimeError(fail.get_msg()))

        def runtime_error(self, message: str) -> None:
            errors.append(RuntimeError(message))

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    def remember() -> Dependency:
        return Dependency(SqliteDB, str(database))

    try:
        memory = remember()
    except DatabaseException:
        database.unlink()
        memory = remember()
    control = TaskControl([task(report) for report in reports])
    control.process([report.name for report in reports if report.name in selected])
    MThreadRunner(memory, Listener(), continue_=True, stream=Stream(2), num_process=max(jobs, 1)).run_all(
        control.task_dispatcher()
    )
    if errors:
        raise errors[0]
