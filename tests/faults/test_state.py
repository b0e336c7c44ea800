"""Whatever has happened to what a run left behind, the next one says so or makes it good, and loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_projects import FINDING, Project

from faults.judge import call, fit_to_print, refused, state_of
from tenure.errors import Terminated
from tenure.runs import publish, ways
from tenure.runs.publish import Reports

Change = Callable[[Path], Any]


def cut(share: float) -> Change:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


DAMAGES: dict[str, Change] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut in half": cut(0.5),
    "its end cut": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "its first byte": lambda path: path.write_bytes(path.read_bytes()[:1]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\xfa" * 99),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=[f"index damaged: {name}" for name in DAMAGES])
def test_index(project: Project, capfd: pytest.CaptureFixture[str], damage: Change) -> None:
    runs = state_of(project.reports.runs)
    damage(project.reports.index)
    said = call(capfd, "run")
    fit_to_print(said)
    assert said.status == 0
    assert "The index was missing or cut; it is made again." in said.err
    assert project.reports.shown() == project.reports.names()[-1]
    assert state_of(project.reports.runs) == runs
    assert "missing or cut" not in call(capfd, "run").err


PARTS = ("one.html", "two.html", "one.ipynb", "one.findings.json")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["missing", "cut in half"])
def test_page_of_a_report_damaged(
    project: Project, capfd: pytest.CaptureFixture[str], part: str, kind: str
) -> None:
    if kind != "missing" and not part.endswith("html"):
        pytest.skip("Only a page says where it ends.")
    DAMAGES[kind](project.published() / part)
    said = call(capfd, "run")
    fit_to_print(said)
    name = part.partition(".")[0]
    assert (said.status, project.record()["made"]) == (0, [name])
    assert (project.published() / part).stat().st_size > 100
    assert "Nothing has changed" in call(capfd, "run").out


@pytest.mark.parametrize("other", ["missing", "older", "nowhere"])
def test_link_to_the_latest_run(project: Project, capfd: pytest.CaptureFixture[str], other: str) -> None:
    link = project.reports.folder / "latest"
    link.unlink()
    if other != "missing":
        link.symlink_to(Path("runs") / (project.reports.names()[0] if other == "older" else "gone"))
    assert call(capfd, "run").status == 0
    assert link.resolve() == project.published()


WRONG: dict[str, Change] = {
    "a file": Path.touch,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
}
PLACES = {
    "folder": (".", ".state", "runs", ".state/logs"),
    "file": ("index.html", ".state/lock", ".state/running.json"),
}
KINDS = [(kind, place, wrong) for kind, places in PLACES.items() for place in places for wrong in WRONG]
KINDS = [case for case in KINDS if case[2] != f"a {case[0]}"]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("kind", "place", "wrong"), KINDS, ids=[f"{w} where a {k} should be: {p}" for k, p, w in KINDS]
)
def test_kind_of_file(
    project: Project, capfd: pytest.CaptureFixture[str], kind: str, place: str, wrong: str
) -> None:
    path = project.reports.folder / place
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    WRONG[wrong](path)
    before = state_of(project.reports.folder)
    refused(call(capfd, "run", "--force"), [str(path), f"no {kind}"])
    assert state_of(project.reports.folder) == before
    fit_to_print(call(capfd, "list"))


def record_with(**values: Any) -> Change:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def entry_with(**values: Any) -> Change:
    def change(path: Path) -> None:
        record = json.loads(path.read_text())
        record["reports"]["one"] |= values
        path.write_text(json.dumps(record))

    return change


RECORDS: dict[str, Change] = {
    **DAMAGES,
    **{
        f"is {text}": lambda path, text=text: path.write_text(text)
        for text in ("[]", "null", "3", '"a"', "{}")
    },
    "nested deeply": lambda path: path.write_text("[" * 99_999),
    "of another run": record_with(id="20200101T000000-000Z"),
    "reports are a list": record_with(reports=[1]),
    "history is a list": record_with(history=[]),
    "history of lists": record_with(history={"one": [1]}),
    "breaches are words": record_with(breaches=["one"]),
    "breaches without a sentence": record_with(breaches=[{"report": "one"}]),
    "an entry is a list": record_with(reports={"one": []}),
    "an unknown state": entry_with(state="paused"),
    "findings are words": entry_with(findings=["many"]),
    "findings without values": entry_with(findings=[{"id": "some.number"}]),
    "a page is a list": entry_with(page=["one.html"]),
    "a page that is not there": entry_with(page="gone.html"),
    "exports that are not there": entry_with(exports=["exports/one/gone.csv"]),
}


@pytest.mark.faults
@pytest.mark.parametrize("damage", RECORDS.values(), ids=[f"record damaged: {name}" for name in RECORDS])
def test_record(project: Project, capfd: pytest.CaptureFixture[str], damage: Change) -> None:
    damage(project.published() / "run.json")
    for arguments in (["list"], ["digest"], ["run"], ["run"], ["digest"]):
        said = call(capfd, *arguments)
        fit_to_print(said)
        assert said.status == 0, said.text
    assert project.reports.shown() == project.record()["id"]
    assert all(entry["state"] == "ok" for entry in project.record()["reports"].values())


TOP = ("format", "seconds", "asked_for", "made", "versions", "commit", "breaches", "history")
INSIDE = (
    *(
        "cell",
        "seconds",
        "tried",
        "started_at",
        "tried_at",
        "fingerprint",
        "made_of",
        "parts",
        "before",
        "failed_page",
    ),
    *(
        "as_of",
        "company",
        "logo",
        "accent",
        "parameters",
        "counters",
        "summary",
        "watch",
        "question",
        "title",
    ),
)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("inside", "key"),
    [(False, key) for key in TOP] + [(True, key) for key in INSIDE],
    ids=[
        f"record of an older version, without: {key}"
        for key in (*TOP, *(f"{key} of a report" for key in INSIDE))
    ],
)
def test_older(project: Project, capfd: pytest.CaptureFixture[str], inside: bool, key: str) -> None:
    path = project.published() / "run.json"
    record = json.loads(path.read_text())
    for part in record["reports"].values() if inside else [record]:
        del part[key]
    path.write_text(json.dumps(record))
    for arguments in (["list"], ["digest"], ["run", "two", "--force"], ["run"]):
        said = call(capfd, *arguments)
        fit_to_print(said)
        assert said.status == 0, said.text


@pytest.mark.parametrize("command", ["run", "list", "digest"])
@pytest.mark.parametrize("number", [2, 99, "2.0", None])
def test_record_of_a_newer_version(
    project: Project, capfd: pytest.CaptureFixture[str], number: Any, command: str
) -> None:
    record_with(format=number)(project.published() / "run.json")
    before = state_of(project.reports.runs)
    refused(call(capfd, command), ["run.json", "newer version"])
    assert state_of(project.reports.runs) == before


FOREIGN = (
    *(
        "reports/.state/staging-mine/keep",
        "reports/.state/staging-20200101T000000-000Z/keep",
        "reports/runs/notes/keep",
    ),
    *(
        "reports/runs/20200101T000000-000Z/keep",
        "reports/runs/29990101T000000-000Z/keep",
        "reports/.latest-x/keep",
    ),
    *("reports/.state/a.part/keep", "reports/notes.txt", "reports/runs/notes.txt"),
)


@pytest.mark.faults
@pytest.mark.parametrize("place", FOREIGN)
def test_what_is_not_ours_stays(project: Project, capfd: pytest.CaptureFixture[str], place: str) -> None:
    path = project.root / place
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    project.simple("one", "two", more="keep: 1")
    for _ in range(3):
        assert call(capfd, "run", "--force").status == 0
    assert path.read_text() == "mine"


def test_somebodys_own_page_is_not_replaced(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    page = project.root / "site" / "index.html"
    page.parent.mkdir()
    page.write_text("<html>mine</html>")
    refused(call(capfd, "run", "--to", str(page.parent)), [str(page), "not made by Tenure"])
    assert page.read_text() == "<html>mine</html>"


@pytest.mark.parametrize("name", ["29990101T000000-000Z", "99991231T235959-999Z", "20261399T999999-999Z"])
def test_clock_set_back(project: Project, capfd: pytest.CaptureFixture[str], name: str) -> None:
    newer = project.reports.runs / name
    shutil.copytree(project.published(), newer)
    record_with(id=name)(newer / "run.json")
    text = project.reports.index.read_text().replace(project.published().name, name)
    project.reports.index.write_text(text)
    os.utime(project.reports.index, (4e9, 4e9))
    for _ in range(2):
        said = call(capfd, "run", "--force")
        fit_to_print(said)
        assert said.status == 0
    assert project.reports.shown() == project.record()["id"]


# Where a stop may come, and whether the reports are published by then.
MOMENTS = {
    "before the index is made": ("tenure.report.checks_page", False),
    "before the run is moved": ("os.replace", False),
    "while the index is written": ("os.fsync", False),
    "when the link is set": ("os.symlink", True),
    "when older pages are linked": ("tenure.runs.collection._Run._finish", True),
}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, Terminated])
@pytest.mark.parametrize("moment", MOMENTS)
def test_stopped(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    stop: type[KeyboardInterrupt],
) -> None:
    place, published = MOMENTS[moment]
    before = project.reports.shown()

    def stopped(*_: Any, **__: Any) -> None:
        if project.reports.state.glob("staging-*"):
            raise stop

    with monkeypatch.context() as patch:
        project.run()  # so that the index is of today, and only what follows is stopped
        if place == "os.fsync":
            calls = iter(range(9))
            patch.setattr(place, lambda file: next(calls) and stopped())
        elif place == "os.replace":
            real = os.replace
            patch.setattr(place, lambda a, b: stopped() if Path(a).name == "run" else real(a, b))
        elif place == "os.symlink":
            patch.setattr(Reports, "_point_latest", stopped)
        else:
            patch.setattr(place, stopped)
        said = call(capfd, "run", "--force")
    words = "the reports had been published: " if published else "nothing was published"
    assert said.err.splitlines()[-1].startswith(f"Stopped; {words}"), said.err
    assert said.status == (143 if stop is Terminated else 130)
    assert (project.reports.shown() != before) == published
    assert call(capfd, "run").status == 0
    assert not list(project.reports.state.glob("staging-*"))
    assert not project.reports.unfinished.exists()
    assert (project.reports.folder / "latest").resolve() == project.published()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_stopped_when_all_is_said(project: Project, sign: signal.Signals) -> None:
    # Objects go after Python has taken its own handlers of signals away.
    late = f"import os; Late = type('Late', (), dict(__del__=lambda _, k=os.kill, p=os.getpid(): k(p, {int(sign)})))"
    code = f"{late}; late = Late(); from tenure.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "list"], cwd=project.root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_links_between_runs_are_set_by_the_next_run(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ways.connect
    with monkeypatch.context() as patch:
        patch.setattr(
            ways, "connect", lambda runs, some, beside: real(runs, some, beside) if len(some) == 1 else 1 / 0
        )
        call(capfd, "run", "--force")
    older = project.reports.runs / project.reports.names()[-2] / "one.html"
    assert 'rel="next"' not in older.read_text()
    project.reports.unfinished.touch()
    call(capfd, "run")
    assert 'rel="next"' in older.read_text()


CHANGES = {"data": "data/customers.csv", "mapping": "mapping.yml", "notebook": "notebooks/two.ipynb"}


@pytest.mark.parametrize("what", CHANGES)
@pytest.mark.parametrize("times", [1, 9])
def test_replaced_during_the_run(
    project: Project,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    times: int,
) -> None:
    from tenure.runs import execute

    real, file, done = execute.execute, project.root / CHANGES[what], []

    def meanwhile(path: Path, *given: Any, **more: Any) -> Any:
        if path.stem == "two" and len(done) < times:
            done.append(file.write_text(file.read_text().rstrip() + "\n" * (len(done) + 2)))
        return real(path, *given, **more)

    monkeypatch.setattr(execute, "execute", meanwhile)
    before = project.published()
    said = call(capfd, "run", "--force", "--jobs", "1", "--set", "mapping=mapping.yml")
    fit_to_print(said)
    assert "Something changed while these were made; once more: " in said.err
    record = project.record()["reports"]
    touched = "two" if what == "notebook" else "one"
    assert said.status == (times > 2 and what == "notebook")
    if times > 2 and what == "notebook":
        assert "was replaced while it was made, twice. Fix:" in said.out
        assert (record[touched]["state"], record[touched]["page"]) == ("failed", "two.html")
        assert (project.published() / "two.html").read_bytes() == (before / "two.html").read_bytes()
    else:
        assert record[touched]["state"] == "ok"


AGAIN: dict[str, tuple[Callable[[Project], Any], str]] = {
    "data": (
        lambda p: (p.root / "data" / "customers.csv").write_text("customer_id\nb\nc\n"),
        "the data (one)",
    ),
    "notebook": (lambda p: p.notebook("two", FINDING, "3", parameters="x: int = 1"), "the notebook (two)"),
    "default": (
        lambda p: p.notebook("two", FINDING, parameters="x: int = 1; y: int = 2"),
        "the notebook's parameters",
    ),
    "company": (
        lambda p: (p.root / "data" / "company.yml").write_text("margin: 0.5"),
        "the facts of the company",
    ),
    "runbook": (lambda p: p.simple("one"), "what the runbook lists (two)"),
    "record": (lambda p: entry_with(parts={})(p.published() / "run.json"), "the record itself"),
}


@pytest.mark.parametrize("what", AGAIN)
def test_made_again_after_a_change(project: Project, capfd: pytest.CaptureFixture[str], what: str) -> None:
    change, words = AGAIN[what]
    change(project)
    run = project.published().name
    before = state_of(project.reports.folder)
    refused(call(capfd, "run", "--again", run), [run, words])
    assert state_of(project.reports.folder) == before


@pytest.mark.parametrize("arguments", [["gone"], ["20200101T000000-000Z"], [""], ["../x"]])
def test_made_again_without_such_a_run(
    project: Project, capfd: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    said = call(capfd, "run", "--again", *arguments)
    fit_to_print(said)
    assert (said.status, project.reports.names()[0] in said.err) == (1, True)


def test_made_again(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    older = project.reports.names()[0]
    before = state_of(project.reports.folder)
    said = call(capfd, "run", "--again", older)
    assert (said.status, f"All findings are those of {older}." in said.out) == (0, True)
    assert state_of(project.reports.folder) == before
    again = Reports(project.root / "scratch" / older)
    record = again.published()
    assert record is not None
    assert record["reports"]["two"]["parameters"] == {"x": 2}
    refused(call(capfd, "run", "--again", older, "--set", "x=1"), ["--again", "--set"])


def test_the_keys_of_findings_are_those_of_today() -> None:
    from dataclasses import fields

    from tenure.report.findings import Finding

    assert {field.name for field in fields(Finding)} == publish._FINDING
