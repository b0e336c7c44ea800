"""Executing one notebook through Papermill, and telling how it ended."""

from __future__ import annotations

import contextvars
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tenure.errors import refused

State = Literal["ok", "failed", "not_applicable", "timed_out", "died"]
# The cell that Papermill adds, which the author of a notebook does not know, and cells that never run.
_NOT_COUNTED = {"injected-parameters", "skip-execution"}
_DIED = (
    "The kernel died: it was killed from outside, or the machine ran out of memory. Fix: run fewer notebooks "
    "at once (--jobs 1), or lower TENURE_MEMORY_LIMIT so that the engine spills to disk; docs/scale.md says "
    "how much is needed."
)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """How the execution of a notebook ended.

    Attributes:
        state: `ok` only where every code cell ran to its end; `not_applicable` where the notebook
            said that its question cannot be asked of this data; `died` where the kernel did.
        reason: One sentence that says why it is not ok; empty where it is.
        notebook: The notebook with the outputs so far; None where nothing ran.
        cell: Which code cell it ended at, counted from 1; None where it is ok.
        seconds: Time it took.
    """

    state: State
    reason: str
    notebook: Any
    cell: int | None
    seconds: float


def papermill() -> Any:
    """Import papermill, without the two seconds of a grammar that it never uses.

    Where rfc3987_syntax is installed, jsonschema loads its grammar of international addresses on import;
    the schema of notebooks has no addresses.
    """
    name = "rfc3987_syntax"
    modules: dict[str, Any] = sys.modules
    hidden = name not in modules
    if hidden:
        modules[name] = None
    try:
        import jsonschema  # noqa: F401
        import papermill as library
    finally:
        if hidden:
            modules.pop(name, None)
    return library


def execute(
    path: Path,
    parameters: Mapping[str, Any],
    kernels: Any,
    *,
    environment: Mapping[str, str] | None = None,
    log: Path,
    timeout: float = 1800,
    secrets: Iterable[tuple[str, str]] = (),
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Run a notebook from top to bottom in a fresh kernel, in the notebook's own folder.

    Args:
        path: The notebook.
        parameters: Values for its parameters, checked already.
        kernels: A `Kernels` block that is open.
        environment: Environment variables for the kernel, beyond its own.
        log: File that takes what the kernel process prints outside of cells.
        timeout: Seconds the whole notebook may take.
        secrets: Names and values of environment variables to remove from every output.
        progress: Called with the number of code cells done.
    """
    papermill()
    _register_engine()
    execution = _Execution(
        kernels=kernels,
        environment={**kernels.environment(), **(environment or {})},
        log=log,
        progress=progress or (lambda done: None),
    )
    clock = threading.Timer(timeout, execution.expire)
    clock.daemon = True
    clock.start()
    began = time.monotonic()
    error: BaseException | None = None

    def run() -> None:
        from jupyter_core.utils import ensure_event_loop

        try:
            papermill().execute_notebook(
                str(path),
                None,
                parameters=dict(parameters),
                engine_name="tenure",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                resources={"metadata": {"path": str(path.parent)}},
                execution=execution,
            )
        finally:
            # Jupyter keeps a loop for each context and leaves it open; one that runs is somebody else's.
            loop = ensure_event_loop()
            if not loop.is_running():
                loop.close()

    try:
        contextvars.Context().run(run)
    except Exception as caught:
        error = caught
    finally:
        clock.cancel()
        execution.finish()
    seconds = time.monotonic() - began
    notebook = execution.notebook()
    state, reason, cell = _judge(notebook, error, execution.expired, timeout)
    for name, value in secrets:
        reason = reason.replace(value, f"${{{name}}}")
        for code in notebook.cells if notebook is not None else ():
            if code.cell_type == "code":
                code.outputs = _without(code.outputs, value, f"${{{name}}}")
    return Outcome(state, reason, notebook, cell, seconds)


class _Execution:
    """What the thread that runs a notebook shares with its clock."""

    def __init__(self, kernels: Any, environment: dict[str, str], log: Path, progress: Callable[[int], None]):
        self.kernels = kernels
        self.environment = environment
        self.log = log
        self.progress = progress
        self.manager: Any = None
        self.expired = False
        self._pid: int | None = None
        self._finished = False
        self._lock = threading.Lock()

    def notebook(self) -> Any:
        return self.manager.nb if self.manager is not None else None

    def started(self, pid: int) -> None:
        with self._lock:
            self._pid = pid
            expired = self.expired
        if expired:
            self._kill()

    def expire(self) -> None:
        with self._lock:
            if self._finished:
                return
            self.expired = True
        self._kill()

    def finish(self) -> None:
        with self._lock:
            self._finished = True
        self._kill()

    def _kill(self) -> None:
        if self._pid is not None:
            self.kernels.kill(self._pid)


def _register_engine() -> None:
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import Engine, papermill_engines

    if "tenure" in papermill_engines._engines:
        return

    class TenureEngine(Engine):
        """Papermill's own engine, with kernels of ours and the notebook kept whatever happens."""

        @classmethod
        def execute_managed_notebook(
            cls, nb_man: Any, kernel_name: str, execution: _Execution, resources: dict, **_: Any
        ) -> Any:
            execution.manager = nb_man
            done = 0

            def executed(cell: Any, **_: Any) -> None:
                nonlocal done
                if "injected-parameters" not in _tags(cell):
                    done += 1
                    execution.progress(done)

            client = PapermillNotebookClient(
                nb_man,
                kernel_manager_class=execution.kernels.manager_class(execution.log, execution.started),
                kernel_name=kernel_name,
                startup_timeout=120,
                timeout=None,
                resources=resources,
                on_cell_executed=executed,
                log=_quiet(),
            )
            return client.execute(env=execution.environment)

    papermill_engines.register("tenure", TenureEngine)


def _quiet() -> logging.Logger:
    # Errors are reported once, in the outcome.
    logger = logging.getLogger("tenure.execution")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def _judge(
    notebook: Any, error: BaseException | None, expired: bool, timeout: float
) -> tuple[State, str, int | None]:
    cells = [
        cell
        for cell in (notebook.cells if notebook is not None else [])
        if cell.cell_type == "code" and cell.source.strip() and not _NOT_COUNTED & set(_tags(cell))
    ]
    for number, code in enumerate(cells, 1):
        problem = next((output for output in code.outputs if output.output_type == "error"), None)
        if problem is None or "raises-exception" in _tags(code):
            continue
        if problem.ename == "SystemExit":
            reason = f"Cell {number} left the notebook by sys.exit; the cells below it never ran."
            return "failed", reason, number
        if problem.ename == "NotApplicable":
            return "not_applicable", problem.evalue, number
        return "failed", _reason(problem.ename, problem.evalue), number
    # A killed kernel leaves the cells it never ran marked as completed: only the execution count shows it.
    unrun = next((number for number, cell in enumerate(cells, 1) if cell.execution_count is None), None)
    running = next((n for n, cell in enumerate(cells, 1) if not _replied(cell)), unrun)
    if type(error).__name__ == "PapermillExecutionError":
        # Papermill objects to every error, those that a cell is tagged to raise included.
        error = None
    if expired:
        return "timed_out", f"The notebook took longer than its {timeout:g} seconds.", running
    if error is None and unrun is None and running is None:
        return "ok", "", None
    if error is None:
        cell = unrun or running
        return "failed", f"The notebook ended before cell {cell}, without an error.", cell
    kind = type(error).__name__
    if kind == "DeadKernelError" or "kernel died" in str(error).lower():
        return "died", _DIED, running
    return "failed", refused(error) or _reason(kind, str(error)), running


def _tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def _replied(cell: Any) -> bool:
    return "shell.execute_reply" in cell.metadata.get("execution", {})


def _reason(ename: str, evalue: str) -> str:
    first = _ESCAPES.sub("", evalue).strip().splitlines()
    words = first[0] if first else ""
    # Our own errors are sentences already.
    if ename in ("InputError", "TenureError") and words:
        return " ".join(_ESCAPES.sub("", evalue).split())
    if ename.endswith("MemoryError"):
        return refused(MemoryError())
    return refused(words) or (f"{ename}: {words}" if words else ename)


def _without(value: Any, secret: str, instead: str) -> Any:
    if isinstance(value, str):
        return value.replace(secret, instead)
    if isinstance(value, dict):
        return type(value)({key: _without(item, secret, instead) for key, item in value.items()})
    if isinstance(value, list):
        return [_without(item, secret, instead) for item in value]
    return value
