from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tiny_projects import Project

from tenure.runs import kernels as kernels_module
from tenure.runs.execute import Outcome, execute
from tenure.runs.kernels import Kernels, can_fork

PRELOAD = ("ipykernel.ipkernel", "ipykernel.kernelapp", "numpy", "matplotlib")


def opened(forked: bool) -> Iterator[Kernels]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels_module, "PRELOAD", PRELOAD)
        with Kernels(forked=forked, threads=1) as kernels:
            yield kernels


@pytest.fixture(scope="module")
def kernels() -> Iterator[Kernels]:
    """Kernels of the kind that runs use here."""
    yield from opened(can_fork())


@pytest.fixture(scope="module")
def plain_kernels() -> Iterator[Kernels]:
    yield from opened(False)


def run(project: Project, kernels: Kernels, *cells: str, parameters: str = "", **options) -> Outcome:
    path = project.notebook("tried", *cells, parameters=parameters)
    given = options.pop("given", {})
    return execute(path, given, kernels, log=project.root / "kernel.log", **options)


def printed(outcome: Outcome) -> str:
    return "".join(
        output.get("text", "")
        for cell in outcome.notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def gone(pid: int, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_what_is_loaded_beforehand_is_there() -> None:
    assert [name for name in kernels_module.PRELOAD if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize("kind", ["kernels", "plain_kernels"])
def test_outcomes(project: Project, kind: str, request: pytest.FixtureRequest) -> None:
    kernels = request.getfixturevalue(kind)
    told = "import os; print(os.getcwd(), os.environ['GIVEN'], x)"
    done: list[int] = []
    outcome = run(
        project, kernels, told, "", "x + 1", parameters="x: int = 1", given={"x": 41},
        environment={"GIVEN": "value"}, progress=done.append,
    )  # fmt: skip
    assert outcome.state == "ok", outcome.reason
    assert printed(outcome).split() == [str(project.root / "notebooks"), "value", "41"]
    assert done == [1, 2, 3]  # without the cell that Papermill adds and the empty one

    left = run(project, kernels, "print(1)", "import sys; sys.exit()", "print(2)")
    assert (left.state, left.cell) == ("failed", 2)
    assert "sys.exit" in left.reason

    killed = run(project, kernels, "import os; os.kill(os.getpid(), 9)", "print(2)")
    assert (killed.state, killed.cell) == ("died", 1)

    wrong = run(project, kernels, "1", "1 / 0", "print(2)")
    assert (wrong.state, wrong.cell, wrong.reason) == ("failed", 2, "ZeroDivisionError: division by zero")

    absent = run(project, kernels, "from tenure import NotApplicable", "raise NotApplicable('No payments.')")
    assert (absent.state, absent.reason) == ("not_applicable", "No payments.")

    meant = run(project, kernels, "from tenure import InputError; raise InputError('No column x. Fix: y.')")
    assert (meant.state, meant.reason) == ("failed", "No column x. Fix: y.")


@pytest.mark.parametrize("kind", ["kernels", "plain_kernels"])
def test_what_is_printed_past_python_goes_to_the_log_and_into_no_cell(
    project: Project, kind: str, request: pytest.FixtureRequest
) -> None:
    """An engine's progress bar, a library in C, a process that a library starts: none is a cell's own print."""
    outcome = run(
        project,
        request.getfixturevalue(kind),
        "import os, subprocess, sys",
        "print('meant'); os.write(1, b'bar 12%\\n'); os.write(2, b'chatter\\n');",
        "subprocess.run(['echo', 'started'], check=True);",
    )
    assert outcome.state == "ok", outcome.reason
    assert printed(outcome) == "meant\n"
    log = (project.root / "kernel.log").read_text()
    assert all(words in log for words in ("bar 12%", "chatter", "started"))


def test_time_limit_is_for_the_whole_notebook(project: Project, kernels: Kernels) -> None:
    began = time.monotonic()
    outcome = run(project, kernels, *["import time; time.sleep(0.9)"] * 9, timeout=2)
    assert outcome.state == "timed_out"
    assert outcome.cell is not None
    assert time.monotonic() - began < 8


def test_a_killed_kernel_takes_its_children_along(project: Project, kernels: Kernels) -> None:
    note = project.root / "child"
    start = f"""
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({str(note)!r}, "w").write(str(child.pid))
    """
    outcome = run(project, kernels, start, "import time; time.sleep(60)", timeout=3)
    assert outcome.state == "timed_out"
    assert gone(int(note.read_text()))


def test_secrets_are_removed_from_outputs(project: Project, kernels: Kernels) -> None:
    outcome = run(
        project, kernels, "print('hunter22')", "{'a': 'hunter22'}", "raise ValueError('is hunter22')",
        secrets=[("PGPASSWORD", "hunter22")],
    )  # fmt: skip
    assert "hunter22" not in json.dumps([cell.get("outputs") for cell in outcome.notebook.cells])
    assert outcome.reason == "ValueError: is ${PGPASSWORD}"


def test_a_tagged_cell_may_raise(project: Project, kernels: Kernels) -> None:
    import nbformat

    path = project.notebook("tried", "1 / 0", "print(2)")
    node = nbformat.read(path, 4)
    node.cells[1].metadata["tags"] = ["raises-exception"]
    nbformat.write(node, path)
    assert execute(path, {}, kernels, log=project.root / "kernel.log").state == "ok"


@pytest.mark.long
@pytest.mark.skipif(not can_fork(), reason="kernels cannot be forked here")
def test_forked_and_plain_kernels_say_the_same(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "PRELOAD", (*PRELOAD, "pandas", "matplotlib.pyplot"))
    cells = (
        "import pandas as pd, matplotlib.pyplot as plt, warnings, sys, os",
        "pd.DataFrame({'a': [1.5, 2.5]}).describe()",
        "figure, axes = plt.subplots(); _ = axes.plot([1, 3, 2]); plt.show()",
        "_ = plt.plot([1, 2])",
        "warnings.warn('careful')",
        "print(sys.argv[0].endswith('.py'), __name__, os.environ.get('OMP_NUM_THREADS'), plt.get_backend())",
        "print(sys.modules['__main__'].__dict__ is globals(), sys.path)",
        "import multiprocessing; print(multiprocessing.get_context('fork').Pool(1).map(abs, [-3]))",
        "{'plain': 1}",
    )
    path = project.notebook("same", *cells)
    seen = []
    for forked in (True, False):
        with Kernels(forked=forked, threads=1) as kernels:
            outcome = execute(path, {}, kernels, log=project.root / "kernel.log")
        assert outcome.state == "ok", outcome.reason
        outputs = [cell.get("outputs", []) for cell in outcome.notebook.cells]
        seen.append(json.loads(json.dumps(outputs)))
    plain = json.dumps(seen[1])
    assert "image/png" in plain
    assert "[3]" in plain
    for one, other in zip(*seen, strict=True):
        # A warning shows the kernel's process id in the name of the cell.
        if "careful" not in json.dumps(one):
            assert one == other


@pytest.mark.skipif(not can_fork(), reason="kernels cannot be forked here")
def test_forked_kernels_draw_different_random_numbers(project: Project, kernels: Kernels) -> None:
    draw = "import numpy as np; print(np.random.random())"
    assert printed(run(project, kernels, draw)) != printed(run(project, kernels, draw))


@pytest.mark.skipif(not can_fork(), reason="kernels cannot be forked here")
def test_a_broken_library_does_not_stop_kernels(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.root / "broken_library.py").write_text("this is no Python", encoding="utf-8")
    monkeypatch.syspath_prepend(str(project.root))
    monkeypatch.setattr(kernels_module, "PRELOAD", ("broken_library",))
    with Kernels(forked=True) as kernels:
        time.sleep(0.5)
        assert run(project, kernels, "print(1)").state == "ok"


@pytest.mark.parametrize("kind", ["plain", "forked"])
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="no process groups here")
def test_no_kernel_outlives_a_killed_runner(project: Project, kind: str) -> None:
    note, sockets = project.root / "pids", project.root / "sockets"
    # Holds the interpreter: no thread of the kernel can run meanwhile.
    stuck = "import re; re.match(r'(a|aa)+$', 'a' * 60 + 'b')"
    path = project.notebook(
        "long",
        f"import os; open({str(note)!r}, 'w').write(str(os.getpid()))",
        stuck if kind == "forked" else "import time; time.sleep(99)",
    )
    program = f"""
from pathlib import Path
from tenure.runs import kernels
from tenure.runs.execute import execute
kernels.PRELOAD = {PRELOAD!r}
with kernels.Kernels(forked={kind == "forked"}) as opened:
    Path({str(sockets)!r}).write_text(str(opened.folder))
    execute(Path({str(path)!r}), {{}}, opened, log=Path({str(project.root / "kernel.log")!r}))
"""
    runner = subprocess.Popen([sys.executable, "-c", program])
    try:
        end = time.monotonic() + 60
        while not (note.exists() and note.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        pid = int(note.read_text())
        time.sleep(0.5)
        family = [process.pid for process in psutil.Process(runner.pid).children(recursive=True)]
        assert pid in family
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait()
        shutil.rmtree(sockets.read_text())
    assert all(gone(member) for member in family)


def test_nothing_is_left_behind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "PRELOAD", ())
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with Kernels() as kernels:
        run(project, kernels, "print(1)")
        folder = kernels.folder
        assert not list(folder.glob("*.json"))
    assert not folder.exists()
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not [child for child in left if "resource_tracker" not in " ".join(child.cmdline())]
    assert Path.cwd() == project.root
