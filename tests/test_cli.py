from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner
from tiny_projects import FINDING, Project, run_instantly

from tenure import cli
from tenure.errors import InputError

SLEEPS = "import os, time; open('../pids', 'a').write(f'{os.getpid()} '); time.sleep(60)"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    monkeypatch.setenv("TENURE_KERNELS", "plain")
    monkeypatch.setattr("tenure.runs.graph.code_digest", lambda package: "this code")
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """The command's exit status and what it printed, in this process."""
    status = 0
    try:
        cli.main(arguments)
    except SystemExit as left:
        status = int(left.code or 0)
    printed = capfd.readouterr()
    return status, printed.out, printed.err


def until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_run_and_its_exit_statuses(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.notebook("one", FINDING, "1 / x", parameters="x: int = 1  # the number")
    project.runbook("reports:\n- {name: one, notebook: one.ipynb, watch: {some.number: {max: 5}}}\n")

    status, out, err = call(capfd, "run")
    assert (status, "one: ok. It is 1." in out, "one: running" in err) == (0, True, True)
    assert project.reports.index.is_file()
    status, out, _ = call(capfd, "run")
    assert (status, "Nothing has changed" in out) == (0, True)
    status, out, _ = call(capfd, "run", "one", "--set", "x=9")
    assert status == 3
    assert "some.number is 9, above its maximum 5." in out
    status, out, _ = call(capfd, "run", "--set", "x=0")
    assert status == 1
    assert "ZeroDivisionError" in out
    status, out, _ = call(capfd, "list")
    assert status == 0
    assert "About one" in out
    assert "failed" in out
    assert "the number" in out
    assert "findings: some.number" in out


def test_a_log_says_how_far_a_long_report_is(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenure.runs.progress._SAY_EVERY", 0)
    project.notebook("one", "pass", "pass", "pass")
    project.simple("one")
    lines = call(capfd, "run")[2].splitlines()
    assert lines[:4] == ["one: running", *(f"one: {done} of 3 cells" for done in (1, 2, 3))]
    assert lines[4].startswith("one: ok after")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "won"], "There is no report `won`; did you mean `one`?"),
        (["run", "--set", "y=1"], "There is no parameter `y`"),
        (["run", "--set", "x=many"], "must be a whole number"),
        (["run", "--set", "x"], "Fix: give a name and a value"),
    ],
)
def test_mistakes_get_a_sentence(
    project: Project, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    project.notebook("one", "pass", parameters="x: int = 1")
    project.simple("one")
    status, out, err = call(capfd, *arguments)
    assert status == 1
    assert words in err
    assert len(err.strip().splitlines()) == 1
    assert not out
    assert not (project.reports.folder / "index.html").exists()


def test_usage_errors_and_surprises(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capfd, "run", "--jobs", "0")[0] == 2
    assert call(capfd, "runn")[0] == 2
    assert "no runbook" in call(capfd, "list")[2]

    def surprise() -> Path:
        secret = "what"
        raise KeyError(secret)

    monkeypatch.setattr(cli, "_runbook_path", surprise)
    status, _, err = call(capfd, "list")
    assert status == 1
    assert err.startswith("Something unexpected happened. Fix: run it again")
    assert len(err.strip().splitlines()) == 1
    log = (project.reports.state / "errors.log").read_text(encoding="utf-8")
    assert "KeyError" in log
    assert "in surprise" in log
    assert "'what'" not in log
    with pytest.raises(KeyError):
        cli.main(["--debug", "list"])


def test_help_is_quick() -> None:
    import subprocess

    program = (
        "import sys, time; from tenure.cli import cli\n"
        "try: cli(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pandas', 'ibis', 'papermill', 'pydantic', 'rich', 'nbformat'} & set(sys.modules)\n"
        "print(time.process_time(), heavy or '')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    last = done.stdout.strip().splitlines()[-1].split()
    assert len(last) == 1, last
    assert float(last[0]) < 0.5


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_run_that_is_stopped_publishes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: int, status: int
) -> None:
    run_instantly(monkeypatch)
    project.notebook("one", FINDING, parameters="x: int = 1")
    project.simple("one")
    first = project.run()
    assert first.status == 0
    before = {path: path.read_bytes() for path in project.published().rglob("*") if path.is_file()}
    index = project.reports.index.read_bytes()

    project.notebook("long", SLEEPS)
    project.notebook("short", "print(1)")
    project.simple("short", "long", "one")
    running = project.command("run", "--jobs", "2", "--set", "x=2", "--force")
    pids = project.root / "pids"
    until(lambda: pids.exists() and pids.read_text())
    # Only the long one is left: a kernel that is born as its run is killed may write once more into its folder.
    for made in ("short", "one"):
        until(lambda made=made: list(project.reports.state.glob(f"staging-*/run/{made}.html")))
    family = [process.pid for process in psutil.Process(running.pid).children(recursive=True)]
    assert int(pids.read_text()) in family
    words = [word for pid in family for word in psutil.Process(pid).cmdline()]
    (sockets,) = {Path(word).parent for word in words if word.endswith(("k1.json", "k2.json"))}
    assert sockets.is_dir()
    running.send_signal(number)
    _, err = running.communicate(timeout=20)
    assert running.returncode == status
    if number != signal.SIGKILL:
        assert err.strip().splitlines()[-1] == "Stopped; nothing was published."
        assert "Traceback" not in err
        assert not list(project.reports.state.glob("staging-*"))
    until(lambda: all(gone(pid) for pid in family), seconds=5)

    assert project.reports.index.read_bytes() == index
    assert {path: path.read_bytes() for path in project.published().rglob("*") if path.is_file()} == before
    # The next run is not hindered, and clears up.
    project.simple("short", "one")
    result = project.run(settings={"x": "2"})
    assert result.status == 0
    assert set(result.made) == {"short", "one"}
    assert not sockets.exists()
    assert not list(project.reports.state.glob("staging-*"))


def test_a_second_run_declines_or_waits(project: Project) -> None:
    project.notebook("one", "pass")
    project.simple("one")
    with project.reports.lock():
        declined = project.command("run")
        _, err = declined.communicate(timeout=30)
        assert declined.returncode == 1
        assert "Another run is in progress" in err
        assert str(os.getpid()) in err
        waiting = project.command("run", "--wait")
        time.sleep(1)
        assert waiting.poll() is None
    waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert project.record()["made"] == ["one"]


def test_demo_is_written_once(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict] = []

    def write(folder: Path, progress: object, **settings: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "customers.parquet").touch()
        calls.append(settings)

    monkeypatch.setattr("tenure_demo.write_demo", write)
    assert call(capfd, "demo", "--customers", "50")[0] == 0
    status, out, _ = call(capfd, "demo", "--customers", "50")
    assert (status, "there already" in out, len(calls)) == (0, True, 1)
    call(capfd, "demo", "--customers", "60")
    call(capfd, "demo", "--customers", "60", "--force")
    assert [each["customers"] for each in calls] == [50, 60, 60]
    monkeypatch.setattr(cli, "_demo_code", lambda: "other code")
    call(capfd, "demo", "--customers", "60")
    assert len(calls) == 4


def test_somebodys_own_data_is_not_written_over(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    own = project.root / "data" / "own"
    own.mkdir(parents=True)
    (own / "customers.csv").write_text("customer_id")
    status, _, err = call(capfd, "demo", "data/own", "--force")
    assert status == 1
    assert "not a demo company" in err.splitlines()[-1]
    assert (own / "customers.csv").read_text() == "customer_id"


def test_the_demo_company_is_made_on_first_use(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_instantly(monkeypatch)
    made: list[Path] = []
    monkeypatch.setattr(cli, "_make_demo", lambda place: made.append(place))
    project.notebook("one", "pass", parameters='data: str = "data/demo"')
    project.simple("one")
    call(capfd, "run")
    assert made == [project.root / "data" / "demo"]
    call(capfd, "run", "--set", "data=data/other")
    assert len(made) == 1
    (project.root / "data" / "demo").mkdir(parents=True)
    (project.root / "data" / "demo" / "company.yml").touch()
    call(capfd, "run")
    assert len(made) == 2
    (project.root / "data" / "demo" / "customers.csv").touch()
    call(capfd, "run")
    assert len(made) == 2


def test_check_speaks_and_fails(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("tenure.sources.checks")
    (tmp_path / "customers.csv").write_text("customer_id,created_at\nC1,2024-01-01\nC1,2024-01-01\n")
    (tmp_path / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
        "S1,C1,Basic,month,999,EUR,active,2024-02-01,\n"
    )
    status, out, _ = call(capfd, "check", str(tmp_path))
    assert status == 1
    assert "customers" in out
    assert "error" in out
    status, out, _ = call(capfd, "check", str(tmp_path), "--json")
    assert status == 1
    assert json.loads(out)
    (tmp_path / "company.yml").write_text("time_zone: Mars\n")
    status, _, err = call(capfd, "check", str(tmp_path))
    assert status == 1
    assert err.startswith("company.yml: time_zone is 'Mars'; a time zone is written like Europe/Rome")
    status, _, err = call(capfd, "check", str(tmp_path / "nowhere"))
    assert status == 1
    assert len(err.strip().splitlines()) == 1


def test_a_sentence_of_ours_has_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @cli.cli.command("fails")
    def fails() -> None:
        raise InputError("The column is absent.")

    result = CliRunner().invoke(cli.cli, ["fails"])
    assert isinstance(result.exception, InputError)
    del cli.cli.commands["fails"]


def test_what_is_typed_in_another_folder_counts_from_there(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_instantly(monkeypatch)
    project.notebook("one", "pass", parameters='data: str = "data/demo"; mapping: str = ""; frozen: str = ""')
    project.simple("one")
    here = project.root / "work"
    for folder in (here / "shop", project.root / "data" / "demo", project.root / "data" / "mine"):
        folder.mkdir(parents=True)
        (folder / "customers.csv").write_text("customer_id\n")
    (here / "map.yml").write_text("time_zone: Mars\n")
    monkeypatch.chdir(here)
    call(
        capfd, "run", "--set", "data=shop", "--set", "mapping=map.yml", "--set", "frozen=last", "--to", "out"
    )
    values = json.loads((here / "out" / "latest" / "run.json").read_text())["reports"]["one"]["parameters"]
    assert values == {"data": "work/shop", "mapping": "work/map.yml", "frozen": "last"}
    call(capfd, "run", "--set", "data=data/mine")
    assert project.record()["reports"]["one"]["parameters"]["data"] == "data/mine"
    assert "Mars" in call(capfd, "check", "shop", "--mapping", "map.yml")[2]
    assert "work/nowhere" in call(capfd, "check", "nowhere")[2]
    monkeypatch.setattr(cli, "_make_demo", lambda place, *_: print(place) or True)
    assert call(capfd, "demo", "mine")[1].strip() == str(here / "mine")
    assert call(capfd, "demo")[1].strip() == str(project.root / "data" / "demo")


def test_what_was_published_is_summed_up_and_listed(
    project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_instantly(monkeypatch)
    assert "Nothing has been published in" in call(capfd, "digest")[2]
    assert "Fix: `tenure run` first." in call(capfd, "export", "list.csv")[2]
    project.notebook("one", "pass", parameters="x: int = 9")
    project.notebook("two", "pass", parameters="x: int = 1")
    project.runbook(
        "reports:\n- {name: one, notebook: one.ipynb, watch: {some.number: {max: 5}}}\n"
        "- {name: two, notebook: two.ipynb}\n"
    )
    # Neither notebook names its finding, so that the watch is not known to be wrong.
    assert call(capfd, "run")[0] == 3
    said = call(capfd, "digest")[1]
    assert "some.number is 9, above its maximum 5." in said
    assert f"{project.published().as_uri()}/one.html" in said
    # A run of something else leaves what is out of bounds out of bounds.
    assert call(capfd, "run", "two", "--force")[0] == 0
    assert "above its maximum 5." in call(capfd, "digest", "--format", "slack", "--link", "https://r/")[1]
    assert "https://r/runs/" in call(capfd, "digest", "--format", "html", "--link", "https://r/")[1]
    assert call(capfd, "digest", "--format", "pdf")[0] == 2
    status, _, said = call(capfd, "digest", "--link", "javascript:alert(1)")
    assert status == 1
    assert "--link is 'javascript:alert(1)', no web address. Fix:" in said
    assert "single customers" in call(capfd, "export", "list.csv")[2]
    folder = project.published() / "exports" / "two"
    folder.mkdir(parents=True)
    (folder / "mine.csv").write_text("customer_id,segment\na,fans\nb,\n")
    status, out, _ = call(capfd, "export", "list.csv")
    assert status == 0
    assert "customer_id (2), segment (1), score (0)" in out
    assert "data about persons" in out
    assert (project.root / "list.csv").read_text().splitlines()[1] == "a,fans,,,,"
