"""The runbook: which reports there are, with which parameters, and which findings have bounds."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tenure.errors import InputError
from tenure.parameters import unknown_name
from tenure.renamed import now_called
from tenure.runs.notebook import Notebook, Text, read_notebook
from tenure.settings import read_settings

# A password written into a URL would be kept in the notebook, the report and the record of the run.
_PASSWORD = re.compile(
    r"://[^/?#@\s:]*:(?P<plain>[^@\s]+)@|[?&;](?:password|pwd|token)=(?P<query>[^&\s]+)", re.I
)
_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_MOST_REPORTS = 500


class Bounds(BaseModel):
    """What a monitored number may be; both bounds are inclusive."""

    model_config = ConfigDict(extra="forbid", strict=True)
    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _in_order(self) -> Bounds:
        if self.min is None and self.max is None:
            raise ValueError("it needs a min or a max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("its min lies above its max")
        return self


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    notebook: str
    title: str = ""
    parameters: dict[str, Any] = {}
    needs: list[str] | Literal["all"] = []
    for_each: dict[str, list[Any]] = {}
    watch: dict[str, Bounds] = {}
    timeout: float = Field(default=1800, gt=0, le=604_800)
    max_age_days: int | None = Field(default=None, ge=0)

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError("a name is of lower-case letters, digits and `_`")
        return name


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    defaults: dict[str, Any] = {}
    keep: int = Field(default=30, ge=1)
    max_age_days: int | None = Field(default=None, ge=0)
    reports: list[_Entry] = Field(min_length=1)


@dataclass(frozen=True)
class Report:
    """One report to make: a notebook with its parameters.

    Attributes:
        name: Unique; names its files. A repeated report carries its values: ``churn_curves.IT``.
        group: The name in the runbook, shared by the repetitions of one entry.
        title: What the index calls it.
        heading: The title that repetitions share; empty where there is one report only.
        notebook: The notebook to run.
        parameters: Values for the notebook's parameters, checked; what is absent keeps its default.
        needs: Names of reports to finish first.
        last: Whether it is about the run: made after all others, whichever were asked for.
        watch: Bounds by finding id.
        timeout: Seconds the whole notebook may take.
        max_age_days: How old the data may be before somebody is told.
        before: Exports to compare with; None: those of the last good run.
    """

    name: str
    group: str
    title: str
    heading: str
    notebook: Notebook
    parameters: Mapping[str, Any]
    needs: tuple[str, ...]
    last: bool
    watch: Mapping[str, Bounds]
    timeout: float
    max_age_days: int | None
    before: Path | None = None

    @property
    def values(self) -> dict[str, Any]:
        """Every parameter's value, defaults included."""
        defaults = {name: parameter.default for name, parameter in self.notebook.parameters.items()}
        return {**defaults, **self.parameters}


@dataclass(frozen=True)
class Runbook:
    """The reports of a project.

    Attributes:
        reports: All reports, in reading order.
        keep: How many runs to keep.
    """

    reports: tuple[Report, ...]
    keep: int

    def select(self, names: Sequence[str]) -> tuple[Report, ...]:
        """Return the named reports; all of them where no name is given.

        Args:
            names: Names of reports, or of entries that are repeated.

        Raises:
            InputError: A name is unknown.
        """
        known = {report.name for report in self.reports} | {report.group for report in self.reports}
        for name in names:
            if name not in known:
                raise InputError(unknown_name("report", name, known))
        return tuple(
            report for report in self.reports if not names or {report.name, report.group} & set(names)
        )

    def with_needs(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the names of those reports and of all that they need, in the order of the runbook."""
        by_name = {report.name: report for report in self.reports}
        wanted: set[str] = set()
        todo = [report.name for report in self.select(names)]
        if all(by_name[name].last for name in todo):
            todo = [*by_name]
        todo += [report.name for report in self.reports if report.last]
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo.extend(by_name[name].needs)
        return tuple(name for name in by_name if name in wanted)


def read_runbook(path: Path, settings: Mapping[str, str] | None = None, only: Sequence[str] = ()) -> Runbook:
    """Read and check a runbook.

    Args:
        path: The YAML file; notebooks are looked for beside it.
        settings: Values from the command line, as typed; each goes to every selected notebook that
            has the parameter, and to those that they need, so that all are about the same data.
        only: Names of the reports that the settings are for; empty: all.

    Returns:
        The runbook, its repeated reports spelled out.

    Raises:
        InputError: The file is absent or not as it should be; a report, a notebook or a parameter is
            unknown; a value is not of the declared type or holds a password.
    """
    file = _read(path)
    folder = path.parent
    for entry in file.reports:
        if not (folder / entry.notebook).is_file() and (new := now_called("notebook", entry.notebook)):
            raise InputError(
                f"{path.name}, report {entry.name}: the notebook {entry.notebook} is now {new}. Fix: name it."
            )
    notebooks = {entry.name: read_notebook(folder / entry.notebook) for entry in file.reports}
    for entry in file.reports:
        found = notebooks[entry.name].findings
        for id in entry.watch:
            if found and id not in found:
                words = unknown_name("finding", id, found)
                raise InputError(f"{path.name}, report {entry.name}, watch: {words}")
    _unique([entry.name for entry in file.reports], path)
    declared = {name for notebook in notebooks.values() for name in notebook.parameters}
    for name in file.defaults:
        if name not in declared:
            raise InputError(f"{path.name}, defaults: {unknown_name('parameter', name, declared)}")
    bare = Runbook(tuple(_expand(file, notebooks, path, {})), file.keep)
    chosen = {report.group for report in bare.select(only)}
    _no_cycle(bare.reports, path)
    reports = _expand(file, notebooks, path, dict(settings or {}), bare.with_needs(only))
    _all_offered(settings or {}, [notebooks[group] for group in chosen])
    _unique([report.name.casefold() for report in reports], path)
    return Runbook(tuple(reports), file.keep)


def alone(path: Path, settings: Mapping[str, str]) -> Runbook:
    """Return a runbook of one notebook, which need not be in the project's own.

    Args:
        path: The notebook; its report has its name, without the digits that it begins with.
        settings: Values from the command line, as typed.

    Raises:
        InputError: There is no such notebook or parameter, or a value is not as it should be.
    """
    notebook = read_notebook(path)
    name = re.sub(r"^[\d_]+|_+$", "", re.sub(r"[^a-z0-9]+", "_", path.stem.lower())) or "notebook"
    _all_offered(settings, [notebook])
    file = _File(reports=[_Entry(name=name, notebook=str(path))])
    return Runbook(tuple(_expand(file, {name: notebook}, path, settings, [name])), file.keep)


def _all_offered(settings: Iterable[str], notebooks: Sequence[Notebook]) -> None:
    offered = {name for notebook in notebooks for name in notebook.parameters}
    for name in settings:
        if name not in offered:
            raise InputError(f"--set {name}: {unknown_name('parameter', name, offered)}")


def _read(path: Path) -> _File:
    if not path.is_file():
        raise InputError(
            f"There is no runbook {path}, which names the reports to run. Fix: go to the project's "
            "folder, or restore the file."
        )
    return read_settings(path, _File, example="the head of the project's own runbook.yml")


def _unique(names: Sequence[str], path: Path) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"{path.name}: the report `{name}` is there more than once. Fix: rename one of them."
            )


def _expand(
    file: _File,
    notebooks: Mapping[str, Notebook],
    path: Path,
    settings: Mapping[str, str],
    chosen: Iterable[str] = (),
) -> list[Report]:
    names: dict[str, list[str]] = {}
    drafts = []
    for entry in file.reports:
        if not all(entry.for_each.values()):
            raise InputError(
                f"{path.name}, report {entry.name}: for_each has an empty list. Fix: write values into "
                "it, or remove it."
            )
        if (many := math.prod(map(len, entry.for_each.values()))) > _MOST_REPORTS:
            raise InputError(
                f"{path.name}, report {entry.name}: for_each makes {many:,} reports, and a run has at most "
                f"{_MOST_REPORTS:,}. Fix: list fewer values."
            )
        for combination in itertools.product(*entry.for_each.values()):
            each = dict(zip(entry.for_each, combination, strict=True))
            name = ".".join([entry.name, *(_slug(_named(value)) for value in combination)])
            names.setdefault(entry.name, []).append(name)
            drafts.append((entry, each, name))
    reports = []
    for entry, each, name in drafts:
        notebook = notebooks[entry.name]
        last, needs = entry.needs == "all", [] if entry.needs == "all" else entry.needs
        for need in needs:
            if need not in names:
                raise InputError(f"{path.name}, report {entry.name}: {unknown_name('report', need, names)}")
        defaults = {key: value for key, value in file.defaults.items() if key in notebook.parameters}
        origin = f"{path.name}, report {entry.name}"
        parameters = notebook.values(defaults, f"{path.name}, defaults")
        parameters |= notebook.values(entry.parameters, origin)
        # What is no parameter is a column of customers, where the notebook can look at some of them only.
        columns = [key for key in each if key not in notebook.parameters and "only" in notebook.parameters]
        given = {key: value for key, value in each.items() if key not in columns}
        parameters |= notebook.values(given, f"{origin}, for_each")
        if name in chosen:
            typed = {key: Text(raw) for key, raw in settings.items() if key in notebook.parameters}
            parameters |= notebook.values(typed, "--set")
        if columns:
            parameters["only"] = _only(parameters.get("only", ""), {key: each[key] for key in columns})
        for key, value in parameters.items():
            _refuse_password(key, value, name)
        suffix = f": {', '.join(map(_named, each.values()))}" if each else ""
        title = entry.title or notebook.title
        reports.append(
            Report(
                name=name,
                group=entry.name,
                title=title + suffix,
                heading=title if each else "",
                notebook=notebook,
                parameters=parameters,
                needs=tuple(instance for need in needs for instance in names[need]),
                last=last,
                watch=entry.watch,
                timeout=entry.timeout,
                max_age_days=file.max_age_days if entry.max_age_days is None else entry.max_age_days,
            )
        )
    return reports


def _only(own: str, values: Mapping[str, Any]) -> str:
    """An entry's own condition on customers, and that their columns have these values."""
    from tenure.only import equals

    # In brackets, for there may be an *or* in it.
    return " and ".join([*([f"({own})"] if own.strip() else []), *map(equals, values, values.values())])


def _named(value: Any) -> str:
    return "unknown" if value is None else str(value)


def _slug(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", str(value)).strip("-") or "empty"


def _refuse_password(key: str, value: Any, report: str) -> None:
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    for text in values:
        match = _PASSWORD.search(text) if isinstance(text, str) else None
        if match and not _PLACEHOLDER.fullmatch(match["plain"] or match["query"]):
            raise InputError(
                f"The parameter `{key}` of {report} holds a password, which would be kept in the report. "
                "Fix: put it in an environment variable and write ${NAME} in its place."
            )


def _no_cycle(reports: Sequence[Report], path: Path) -> None:
    from graphlib import CycleError, TopologicalSorter

    try:
        TopologicalSorter({report.name: report.needs for report in reports}).prepare()
    except CycleError as error:
        raise InputError(
            f"{path.name}: reports need each other in a circle: {' -> '.join(error.args[1])}. "
            "Fix: remove one `needs`."
        ) from None
