from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.runs.publish import Reports, carry, write


def test_readers_see_whole_runs_only(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    page = "<p>" + "x" * 50_000 + "</p>"
    ended = threading.Event()
    wrong: list[str] = []
    reads = 0

    def read() -> None:
        nonlocal reads
        while not ended.is_set():
            try:
                text = reports.index.read_text(encoding="utf-8")
            except FileNotFoundError:
                continue
            name = text.split("<!-- tenure-run ")[-1].split(" ")[0]
            # A reader as slow as ten runs may come too late for one; the index then shows a later run.
            gone = not (reports.runs / name / "last.html").is_file()
            if not text.startswith(page) or (gone and reports.index.read_text(encoding="utf-8") == text):
                wrong.append(name)
            reads += 1

    reports.state.mkdir(parents=True)
    reader = threading.Thread(target=read)
    reader.start()
    names = []
    while len(names) < 40 or reads < 40:
        name = reports.new_name()
        staging = reports.stage(name)
        for file in ("first.html", "last.html", "run.json"):
            (staging / "run" / file).write_text("{}")
        reports.publish(staging, name, page, keep=10)
        names.append(name)
    ended.set()
    reader.join()
    assert not wrong
    assert names == sorted(set(names))
    assert reports.names() == names[-10:]
    assert (tmp_path / "latest" / "last.html").is_file()


@given(st.lists(st.sampled_from(["20200101T000000-000Z", "29990101T000000-000Z", "29991231T235959-999Z"])))
def test_ids_sort_by_time_whatever_the_clock_says(past: list[str]) -> None:
    class Past(Reports):
        def names(self) -> list[str]:
            return sorted(set(past))

    name = Past(Path("nowhere")).new_name()
    assert len(name) == len("29990101T000000-000Z")
    assert all(name > old for old in past)


def test_carrying_copies_where_links_are_not_to_be_had(tmp_path: Path, monkeypatch) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "exports" / "one").mkdir(parents=True)
    (source / "exports" / "one" / "rows.csv").write_text("rows")
    (source / "one.html").write_text("page")

    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    carry(source, target, ["one.html", "exports/one", "absent.html"])
    assert (target / "exports" / "one" / "rows.csv").read_text() == "rows"
    assert (target / "one.html").read_text() == "page"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "index.html"
    write(path, "old")

    def refuse(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="full"):
        write(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.html"]


def test_the_lock_is_given_back(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    order: list[str] = []

    def second() -> None:
        with reports.lock(wait=True):
            order.append("second")

    with reports.lock():
        waiting = threading.Thread(target=second)
        waiting.start()
        time.sleep(0.2)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"]


PUBLISHES = """
import sys
from pathlib import Path
from tenure.runs.publish import Reports
reports = Reports(Path(sys.argv[1]))
print("ready", flush=True)
while True:
    with reports.lock(wait=True):
        reports.clean()
        name = reports.new_name()
        staging = reports.stage(name)
        for file in ("first.html", "last.html"):
            (staging / "run" / file).write_text(name)
        (staging / "run" / "run.json").write_text('{"id": "%s"}' % name)
        reports.publish(staging, name, "<p>" + "x" * 20_000, keep=3)
"""


def test_nobody_else_may_look_into_a_run_before_it_is_published(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    staging = reports.stage(reports.new_name())
    assert staging.stat().st_mode & 0o777 == 0o700
    assert (staging / "run").stat().st_mode == reports.state.stat().st_mode  # it is published


def test_killed_at_any_moment_the_last_run_stands(tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    chance = random.Random(7)
    published: list[str] = []
    for number in range(100):
        # A busy machine publishes little before a kill.
        if number >= 12 and len(set(published)) > 5:
            break
        program = subprocess.Popen(
            [sys.executable, "-c", PUBLISHES, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        time.sleep(0.02 + chance.random() / 20)
        program.kill()
        program.communicate()
        if not reports.index.exists():
            continue
        record = reports.published()
        assert record is not None
        folder = reports.runs / record["id"]
        assert f"<!-- tenure-run {folder.name} -->" in reports.index.read_text(encoding="utf-8")
        assert (folder / "first.html").read_text() == (folder / "last.html").read_text() == folder.name
        published.append(folder.name)
        with reports.lock():
            reports.clean()
            assert reports.names()[-1] == folder.name
            left = {path.name for path in reports.state.iterdir()}
            assert left <= {"lock", "running.json", "unfinished"}
    assert len(set(published)) > 5
    assert published == sorted(published)
