"""Jupyter kernels for a run: forked from a process that has already imported the slow libraries.

Importing pandas, seaborn and statsmodels is most of what a small report costs. On Linux one server process
imports them once and every kernel is forked from it; elsewhere kernels are started as usual. Either way a
kernel does not outlive the run that started it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import itertools
import json
import multiprocessing
import os
import pkgutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self, cast

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

from tenure.machine import SHORT, Temporary

# What reports import, however indirectly. What is not installed is passed over.
PRELOAD = (
    *("numpy", "pandas", "pyarrow.parquet", "duckdb", "ibis", "ibis.backends.duckdb", "scipy.stats"),
    *("matplotlib.pyplot", "seaborn", "statsmodels.api", "lifelines", "babel.numbers"),
    *("ipykernel.ipkernel", "ipykernel.kernelapp", "tenure.workbook", "tenure.sources.checks"),
    *(
        f"tenure.{room}.{module.name}"
        for room in ("measures", "stats", "models", "report")
        for module in pkgutil.iter_modules([str(Path(__file__).parents[1] / room)])
    ),
)
_NO_CAPTURE = "--IPKernelApp.capture_fd_output=False"
_STOPS = (signal.SIGINT, signal.SIGTERM)
_INLINE = "module://matplotlib_inline.backend_inline"

# multiprocessing keeps its children in one set and reads an exit status from a pipe once.
_children = threading.RLock()


def can_fork() -> bool:
    """Whether kernels can be forked from a warm process here; ``TENURE_KERNELS=plain`` forbids it.

    Example:
        >>> isinstance(can_fork(), bool)
        True
    """
    if os.environ.get("TENURE_KERNELS") == "plain":
        return False
    return sys.platform == "linux" and "forkserver" in multiprocessing.get_all_start_methods()


class Kernels:
    """The kernels of one run; leaving the block stops them all.

    Attributes:
        forked: Whether they are forked from a warm process.
        folder: Holds their sockets and temporary files.
        path: Where forked kernels look for modules.
    """

    def __init__(self, forked: bool | None = None, threads: int | None = None):
        """Prepare to start kernels.

        Args:
            forked: Whether to fork them; None: where that is possible.
            threads: How many threads the numerical libraries of each may use, unless the environment says so
                already; None: as many as they like.
        """
        self.forked = can_fork() if forked is None else forked
        self._temporary = Temporary(SHORT)
        self.folder = self._temporary.path
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        self._limits = {name: str(threads) for name in names if threads}
        # Not the path of the program that started the run, which may have put anything on it.
        self.path: list[str] = _module_path() if self.forked else []
        self._living: set[int] = set()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._stopped = False

    def __enter__(self) -> Self:
        """Start the warm process; it loads its libraries while the caller goes on."""
        if self.forked:
            server = multiprocessing.get_context("forkserver")
            server.set_forkserver_preload(list(PRELOAD))
            from multiprocessing import forkserver, resource_tracker

            resource_tracker.ensure_running()  # else the server starts it, and is then open to signals again
            # The numerical libraries read these when they are imported, which is in the server.
            with _environment({"MPLBACKEND": _INLINE, **self._limits}), _signals_held(), self._sockets_here():
                forkserver.ensure_running()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop every kernel and the warm process."""
        self.stop()
        if self.forked:
            _stop_server()
        self._temporary.remove()

    def environment(self) -> dict[str, str]:
        """Return the environment a kernel starts with: this process's, thread limits, a place for files."""
        return {**self._limits, "TMPDIR": str(self.folder), **os.environ}

    @contextlib.contextmanager
    def _sockets_here(self) -> Iterator[None]:
        # multiprocessing's own folder for them would stay where this process is killed.
        config: dict[str, Any] = cast(Any, multiprocessing.current_process())._config
        before = dict(config)
        config["tempdir"] = str(self.folder)
        try:
            yield
        finally:
            config.clear()
            config.update(before)

    def manager_class(self, log: Path, started: Callable[[int], None]) -> type[AsyncKernelManager]:
        """Return a kernel manager class for one notebook.

        Args:
            log: File that takes what the kernel process itself prints.
            started: Called with the kernel's process id, which is also its process group.
        """
        return type(
            "TenureKernelManager", (_Manager,), {"kernels": self, "log_path": log, "started": started}
        )

    def stop(self) -> None:
        """Kill every kernel that is still alive, and let no more be started."""
        with self._lock:
            self._stopped = True
            living = list(self._living)
        for pid in living:
            self.kill(pid)

    def kill(self, pid: int) -> None:
        """Kill a kernel and whatever it has started; one that has ended already is no error.

        Args:
            pid: Its process id, as `started` was told.
        """
        with self._lock:
            # The number of a process that is gone may be another's by now.
            if pid in self._living:
                _kill(pid)

    def _register(self, pid: int) -> None:
        with self._lock:
            self._living.add(pid)
            stopped = self._stopped
        if stopped:
            self.kill(pid)

    def _forget(self, pid: int) -> None:
        with self._lock:
            self._living.discard(pid)


def _module_path() -> list[str]:
    """The module path of a fresh interpreter."""
    show = "import json, sys; print(json.dumps(sys.path[1:]))"
    answer = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, AttributeError):
            # A kernel leads its own group, except in the first moment of its life.
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _signals_held() -> Iterator[None]:
    """Have a process that is started here never hear of a stop: it ends when its run does."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    # A new process would import the program that started the run, which no kernel needs.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _stop_server() -> None:
    from multiprocessing import forkserver

    # The next run starts its own server, with the libraries as they are then.
    server: Any = forkserver._forkserver
    with contextlib.suppress(AttributeError, OSError):
        server._stop()


class _ThisPython(KernelSpecManager):
    """Knows one kernel, this interpreter's, whatever kernels the user has installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            # What an engine prints past Python, such as its progress, goes to the log and into no page.
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", _NO_CAPTURE],
            display_name="Python 3",
            language="python",
        )


class _Manager(AsyncKernelManager):
    """A kernel manager that speaks over local sockets instead of TCP ports."""

    kernels: Kernels
    log_path: Path
    started: Callable[[int], None]

    def __init__(self, **options: Any):
        super().__init__(**{**options, "kernel_spec_manager": _ThisPython()})
        name = f"k{next(self.kernels._numbers)}"
        self.transport = "ipc"
        self.ip = str(self.kernels.folder / name)
        self.connection_file = str(self.kernels.folder / f"{name}.json")
        kind = _Forked if self.kernels.forked else _Plain
        self.provisioner = kind(parent=self, kernel_id=name, kernel_spec=self.kernel_spec)


class _Plain(LocalProvisioner):
    parent: _Manager

    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        with self.parent.log_path.open("ab") as log:
            info = await super().launch_kernel(cmd, **{**options, "stdout": log, "stderr": log})
        return self._announce(info)

    def _announce(self, info: KernelConnectionInfo) -> KernelConnectionInfo:
        assert self.pid is not None
        self.parent.kernels._register(self.pid)
        type(self.parent).started(self.pid)
        return info

    async def cleanup(self, restart: bool = False) -> None:
        await super().cleanup(restart=restart)
        if self.pid is not None:
            # Whatever the kernel started (a query engine's own process, say) is killed too.
            self.parent.kernels.kill(self.pid)
            self.parent.kernels._forget(self.pid)


class _Forked(_Plain):
    async def launch_kernel(self, cmd: list[str], **options: Any) -> KernelConnectionInfo:
        arguments = cmd[cmd.index("-f") :]
        folder = str(options.get("cwd") or Path.cwd())
        environment = dict(options.get("env") or os.environ)
        process = multiprocessing.get_context("forkserver").Process(
            target=_kernel,
            args=(arguments, folder, environment, str(self.parent.log_path), self.parent.kernels.path),
        )
        try:
            with _children, _no_main():
                process.start()
        except (EOFError, OSError):
            # The server could not load its libraries; the notebook will say which one is broken.
            return await super().launch_kernel(cmd, **options)
        self.process = cast(Any, _Child(process))
        self.pid = self.pgid = process.pid
        self.cwd = folder
        return self._announce(self.connection_info)


class _Child:
    """A forked kernel with the face of a `subprocess.Popen`, as far as a provisioner looks."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any):
        self._process = process
        self.pid: int = process.pid

    def poll(self) -> int | None:
        with _children:
            return None if self._process.is_alive() else self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _kernel(
    arguments: list[str], folder: str, environment: dict[str, str], log: str, path: list[str]
) -> None:
    """Become a kernel: in a process that was forked a moment ago."""
    os.setsid()
    _die_with_the_run()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    _redirect(log)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.setdefault("MPLBACKEND", _INLINE)
    os.chdir(folder)
    sys.path[:] = path
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [str(launcher.origin if launcher else ""), *arguments]
    _forget_what_was_forked()
    # The libraries stay, and an expression is many objects, hardly any of which can be collected.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])
    # A forked process leaves without this: temporary files of the notebook would stay.
    import atexit

    atexit._run_exitfuncs()


def _die_with_the_run() -> None:
    run = multiprocessing.parent_process()

    def watch() -> None:
        if run is not None:
            run.join()
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="tenure-run-watch", daemon=True).start()
    # The thread above needs the interpreter; a kernel deep in native code is killed by the system, as
    # soon as the server is gone. Holding on to this pipe would keep the server alive.
    from multiprocessing import forkserver

    server: Any = forkserver._forkserver
    with contextlib.suppress(AttributeError, OSError, TypeError):
        os.close(server._forkserver_alive_fd)
        server._forkserver_alive_fd = server._forkserver_address = None
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _redirect(log: str) -> None:
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.close(sink)
    os.close(nothing)


def _forget_what_was_forked() -> None:
    import numpy as np

    # Else every kernel of a run would draw the same numbers from the global generator.
    np.random.seed()  # noqa: NPY002
    import matplotlib as mpl

    tempfile.tempdir = None  # where the kernel's own environment says
    mpl.rcParams["backend"] = os.environ["MPLBACKEND"]
