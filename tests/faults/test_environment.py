"""Whatever the system refuses, a run says in a sentence with its fix, and the last good reports stand."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import pytest
from tiny_projects import FINDING, Project

from faults.judge import Said, call, fit_to_print, refused, state_of
from tenure.runs import collection, publish

# What the system may say, and what a reader reads.
SAYS = {
    "ENOSPC": "no room left on the disk",
    "EDQUOT": "no room left on the disk",
    "EROFS": "the disk may only be read",
    "EACCES": "this user may not read or write it",
    "EMFILE": "too many files are open",
    "ENOMEM": "short of memory",
    "EIO": "the disk does not answer",
    "ENOENT": "it is not there",
}
# Where it may say so, and whether the reports are published by then.
STEPS = {
    "staging": ("pathlib.Path.touch", ".tenure", False),
    "page": ("pathlib.Path.write_text", "one.html", False),
    "record": ("pathlib.Path.write_text", "run.json", False),
    "moving": ("os.replace", "run", False),
    "index": ("os.replace", "index.html", False),
    "linking": ("tenure.runs.ways.write", ".html", True),
}


@pytest.mark.faults
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", SAYS)
def test_refused_by_the_system(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: str,
    step: str,
) -> None:
    place, name, published = STEPS[step]
    index, runs = project.reports.index.read_bytes(), state_of(project.published())
    code = getattr(errno, number)
    owner: Any = {"os": os, "pathlib.Path": Path}.get(place.rpartition(".")[0])
    real = getattr(owner, place.rpartition(".")[2]) if owner else None

    def refuse(path: Any, *given: Any, **more: Any) -> Any:
        target = str(given[0]) if place == "os.replace" and name == "index.html" else str(path)
        if target.endswith(name) and (not published or project.reports.index.read_bytes() != index):
            raise OSError(code, os.strerror(code), target)
        return real(path, *given, **more) if real else publish.write(path, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(place, refuse)
        said = call(capfd, "run", "--force")
    refused(said, [SAYS[number]])
    assert "unexpected" not in said.text
    assert ("It happened after the reports had been published" in said.err) == published
    if not published:
        assert project.reports.index.read_bytes() == index
        assert state_of(project.published()) == runs
        assert len(project.reports.names()) == 2
    assert not list(project.reports.state.glob("staging-*"))
    assert call(capfd, "run", "--force").status == 0


def command(
    project: Project,
    *arguments: str,
    shell: str = "",
    under: str = "",
    more: str = "",
    **environment: str | None,
) -> Said:
    """Run `tenure` as a process of its own, after some commands of the shell."""
    given = {**os.environ, "TENURE_KERNELS": "plain", **environment}
    line = f"{shell} exec {under} {sys.executable} -m tenure {' '.join(arguments)} {more}"
    done = subprocess.run(
        ["bash", "-c", line],
        env={name: value for name, value in given.items() if value is not None},
        cwd=project.root,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("-n 24", "512 files open at once, and only 24 may be"),
        ("-n 64", "512 files open at once, and only 64 may be"),
        ("-n 256", "512 files open at once, and only 256 may be"),
        ("-v 900000", "4,096 MiB of address space, and only 878 are"),
        ("-v 4000000", "4,096 MiB of address space, and only 3,906 are"),
    ],
)
def test_limits_of_the_shell(project: Project, limit: str, words: str) -> None:
    before = state_of(project.reports.folder)
    refused(command(project, "run", "--force", shell=f"ulimit {limit};"), [words, f"ulimit {limit[:2]}"])
    assert state_of(project.reports.folder) == before


@pytest.mark.faults
@pytest.mark.parametrize(
    "arguments", [("list",), ("digest",), ("check", "data"), ("run", "one.ipynb", "--set", "x=2")]
)
@pytest.mark.parametrize("home", [None, "/nonexistent", "/proc"])
def test_no_home(project: Project, arguments: tuple[str, ...], home: str | None) -> None:
    if arguments[0] == "run":
        arguments = ("run", "notebooks/one.ipynb")
        if home == "/proc":
            pytest.skip("One real kernel a kind of home is enough.")
    said = command(project, *arguments, HOME=home)
    fit_to_print(said)
    assert said.status == (arguments[0] == "check"), said.text


@pytest.mark.faults
@pytest.mark.parametrize("arguments", ["run --to", "list --to", "digest --from", "export out.csv --from"])
def test_a_file_where_reports_are_published(
    project: Project, capfd: pytest.CaptureFixture[str], arguments: str
) -> None:
    place = project.root / "a file"
    place.write_text("mine", encoding="utf-8")
    refused(call(capfd, *arguments.split(), str(place)), [str(place), "is a file"])
    assert place.read_text(encoding="utf-8") == "mine"


@pytest.mark.faults
@pytest.mark.parametrize("arguments", ["list", "digest", "run"])
@pytest.mark.parametrize("where", ["full: >/dev/full", "closed: >&-", "closed too: 2>&-", "gone: | true"])
def test_nowhere_to_print(project: Project, arguments: str, where: str) -> None:
    said = command(project, arguments, "two" if arguments == "run" else "", more=where.partition(": ")[2])
    fit_to_print(said)
    assert "Exception ignored" not in said.err


def denied(path: Path, real: Callable[..., Any]) -> Callable[..., Any]:
    """Tests may run as root, who may read everything: the refusal is the system's own, said by hand."""

    def refuse(self: Path, *given: Any, **more: Any) -> Any:
        if self == path or path in self.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, *given, **more)

    return refuse


@pytest.mark.faults
@pytest.mark.parametrize(
    "what", ["data", "mapping.yml", "notebooks/runbook.yml", "notebooks/one.ipynb", "company.yml"]
)
@pytest.mark.parametrize("how", ["open", "stat"])
def test_not_to_be_read(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, what: str, how: str
) -> None:
    path = project.root / what
    if what == "company.yml":
        path.write_text("margin: 0.5\n")
    before = state_of(project.reports.folder)
    with monkeypatch.context() as patch:
        for name in ("read_text", "read_bytes", "open") if how == "open" else ("stat", "is_file", "exists"):
            patch.setattr(Path, name, denied(path, getattr(Path, name)))
        said = call(capfd, "run", "--set", "mapping=mapping.yml", "--set", "company=company.yml")
    fit_to_print(said)
    assert said.status in (0, 1)
    assert said.status == 0 or "Fix:" in said.text
    assert state_of(project.reports.folder) == before or said.status == 0


# Root may read whatever the system lets it, so it gives that up.
MEEK = "setpriv --bounding-set=-dac_override,-dac_read_search,-fowner,-chown"
meek = pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or not shutil.which("setpriv"),
    reason="only root can give files to somebody else",
)


def to_somebody_else(path: Path, mode: int) -> None:
    path.chmod(mode)
    os.chown(path, 65534, 65534)


@meek
@pytest.mark.parametrize("place", ["", ".state", "runs"])
def test_reports_of_somebody_else(project: Project, place: str) -> None:
    folder = project.reports.folder / place
    index, runs = project.reports.index.read_bytes(), state_of(project.published())
    to_somebody_else(folder, 0o755)
    said = command(project, "run", "--force", under=MEEK)
    refused(said, [str(project.reports.folder), "Fix:"])
    assert project.reports.index.read_bytes() == index
    assert state_of(project.published()) == runs
    assert len(project.reports.names()) == 2


@meek
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "xlsx", "duckdb", "folder"])
def test_data_of_somebody_else(project: Project, tmp_path: Path, kind: str) -> None:
    path, frame = tmp_path / f"data/customers.{kind}", pd.DataFrame({"customer_id": ["a"]})
    (path if kind == "folder" else path.parent).mkdir(parents=True)
    if kind == "xlsx":
        frame.to_excel(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "duckdb":
        duckdb.connect(path).close()
    elif kind != "folder":
        frame.to_csv(path, index=False)
    to_somebody_else(path, 0o700)
    given = str(path if kind in ("duckdb", "folder") else path.parent)
    for what in ("check", "init"):
        refused(command(project, what, given, under=MEEK), [str(path), "this user may not read"])
    asked = [*MEEK.split(), sys.executable, "-c", f"import tenure; tenure.open_source({given!r})"]
    said = subprocess.run(asked, capture_output=True, check=False, text=True, timeout=60).stderr
    assert "InputError" in said
    assert str(path) in said


@pytest.mark.faults
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("size", ["16k", "64k", "160k", "ro"])
def test_small_disk(project: Project, size: str) -> None:
    disk = project.root / "disk"
    disk.mkdir()
    option = "size=1m,ro" if size == "ro" else f"size={size}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", option, "tmpfs", str(disk)], check=False).returncode:
        pytest.skip("Nothing can be mounted here.")
    try:
        said = command(project, "run", "--to", str(disk))
        if said.status:
            refused(said, [str(disk)])
        else:
            assert (disk / "index.html").is_file()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("oldest", "age", "status"),
    [(1, 1, 0), (1, 2, 3), (3, 3, 0), (3, 30, 3), (0, 0, 0), (0, 1, 3), (5, -9, 0)],
)
def test_extract_that_stopped_arriving(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    oldest: int,
    age: int,
    status: int,
) -> None:
    """Data of `age` days, of which `oldest` are allowed."""
    last = dt.date.today() - dt.timedelta(days=age)
    monkeypatch.setattr(
        "tenure.report.head_of", lambda _: {**dict.fromkeys(publish.HEAD, ""), "as_of": str(last)}
    )
    project.runbook(
        f"max_age_days: {oldest}\nreports:\n- {{name: one, notebook: one.ipynb}}\n"
        "- {name: two, notebook: two.ipynb, max_age_days: 99}\n"
    )
    for _ in range(2):
        said = call(capfd, "run", "--force")
        fit_to_print(said)
        assert said.status == status
    old = f"Out of bounds in one: The data ends on {last}, more than {oldest} days ago. Fix: "
    assert (old in said.out) == (status == 3)
    assert [breach["report"] for breach in project.record()["breaches"]] == ["one"] * (status == 3)


def test_a_week_of_runs_of_which_the_data_stops(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each day of a clock that moves: new data on three, then none, and nobody has touched anything."""
    first = dt.date.today()
    as_of = [first]
    monkeypatch.setattr(
        "tenure.report.head_of", lambda _: {**dict.fromkeys(publish.HEAD, ""), "as_of": str(as_of[0])}
    )
    more = "max_age_days: 2\nreports:\n- {name: one, notebook: one.ipynb}\n"
    project.runbook(more)
    statuses, runs = [], []
    for day in range(7):
        today = first + dt.timedelta(days=day)
        for module in (collection, publish):
            date = type("date", (dt.date,), {"today": classmethod(lambda _, today=today: today)})
            monkeypatch.setattr(module, "dt", SimpleNamespace(**{**vars(dt), "date": date}))
        if day < 3:
            as_of[0] = today
            (project.root / "data" / "customers.csv").write_text(f"customer_id\n{day}\n")
        statuses.append(call(capfd, "run").status)
        runs.append(project.published().name)
    assert statuses == [0, 0, 0, 0, 0, 3, 3]
    # A run for each new extract, and one that says that none came.
    assert len(set(runs)) == 4


def test_an_older_version_left_its_state(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """What the version before wrote: no number of the format, no parts, and a lock that nobody holds."""
    import json

    for name in project.reports.names():
        path = project.reports.runs / name / "run.json"
        record = json.loads(path.read_text())
        del record["format"]
        for entry in record["reports"].values():
            for key in ("parts", "before"):
                del entry[key]
        path.write_text(json.dumps(record, indent=1))
    (project.reports.state / "running.json").write_text(
        '{"process": 1, "since": "2026-01-01T00:00:00+00:00"}'
    )
    shutil.copytree(project.published(), project.reports.state / "staging-20260101T000000-000Z" / "run")
    said = call(capfd, "run")
    assert (said.status, "Nothing has changed" in said.out) == (0, True)
    assert call(capfd, "run", "two", "--force").status == 0
    assert len(project.record()["history"]["two"]["some.number"]) == 3


@pytest.mark.parametrize("what", [KeyError, ZeroDivisionError, RecursionError, UnicodeError, AssertionError])
def test_what_nobody_foresaw_is_reported_without_data(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: type[Exception],
) -> None:
    secret = "jane@example.com"

    def fail(*_: Any, **__: Any) -> None:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise what(secret) from error

    monkeypatch.setattr("tenure.runs.graph.shared_by_all", fail)
    project.notebook("three", FINDING)
    said = call(capfd, "run", "--force")
    log = project.reports.state / "errors.log"
    assert said.status == 1
    assert said.err.startswith("Something unexpected happened. Fix: run it again")
    assert str(log) in said.err
    text = log.read_text()
    assert what.__name__ in text
    assert "in fail" in text
    assert secret not in text + said.text


@pytest.mark.parametrize("typed", ["9" * 400, "9" * 5000, "[" * 3000, ".inf", "{", "yes"])
def test_what_was_typed_cannot_be_read(
    project: Project, capfd: pytest.CaptureFixture[str], typed: str
) -> None:
    before = state_of(project.root)
    refused(call(capfd, "run", "--set", f"x={typed}"), ["--set", "`x`"])
    assert state_of(project.root) == before


@pytest.mark.parametrize("typed", ["margin=yes", "margin=" + "9" * 400])
def test_check_refuses_facts_and_rules(
    project: Project, capfd: pytest.CaptureFixture[str], typed: str
) -> None:
    refused(call(capfd, "check", "data", "--set", typed), [typed.partition("=")[0]])
