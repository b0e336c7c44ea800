"""What this process may use of the machine, which in a container may be less than all of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tenure.errors import InputError

# What a run of two notebooks needs at least: open files, and bytes of address space.
_FILES, _MEMORY = 512, 4 * 2**30
# In a temporary folder of ours: a file that its process holds locked as long as it lives.
MARK = ".tenure"
# The path of a socket must be short: 107 characters on Linux, 103 on macOS.
SHORT = Path("/tmp" if sys.platform == "linux" else tempfile.gettempdir())


def cores() -> int:
    """Return how many cores this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Return how many bytes of memory this process may have.

    Example:
        >>> memory() > 2**20
        True
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 * 2**30
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def check_limits() -> None:
    """Refuse to run where the shell's limits are below what kernels and their sockets need.

    Raises:
        InputError: They are.
    """
    with contextlib.suppress(ImportError):  # not on Windows
        import resource

        files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if 0 <= files < _FILES and not 0 <= most < _FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, most))
        elif 0 <= files < _FILES:
            raise InputError(
                f"A run needs {_FILES} files open at once, and only {files} may be. Fix: allow more, with "
                f"`ulimit -n {_FILES}`."
            )
        if 0 <= (room := resource.getrlimit(resource.RLIMIT_AS)[0]) < _MEMORY:
            raise InputError(
                f"A run needs {_MEMORY // 2**20:,} MiB of address space, and only {room // 2**20:,} are. "
                f"Fix: allow more, with `ulimit -v {_MEMORY // 2**10}`."
            )


def scratch() -> Path:
    """Return the folder that is meant for large temporary files: TENURE_TEMP_DIRECTORY, else the system's."""
    return Path(os.environ.get("TENURE_TEMP_DIRECTORY") or tempfile.gettempdir())


def discard(folder: Path) -> None:
    """Remove a folder that bears our mark, which goes last: a kill meanwhile leaves a folder that is ours."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != MARK:
            path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


class Temporary:
    """A folder for temporary files, which a later run clears where this process is killed.

    Attributes:
        path: The folder.
    """

    def __init__(self, place: Path):
        """Make it in a place that exists."""
        from filelock import FileLock

        self.path = Path(tempfile.mkdtemp(prefix="tenure-", dir=place))
        self._lock = FileLock(self.path / MARK)
        self._lock.acquire()

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        discard(self.path)
        self._lock.release()


def clear_temporary() -> None:
    """Remove the temporary folders of processes that were killed: ours, by their mark, and held by none."""
    from filelock import FileLock, Timeout

    for place in {SHORT, Path(tempfile.gettempdir()), scratch()}:
        for mark in place.glob(f"tenure-*/{MARK}"):
            with contextlib.suppress(OSError, Timeout):
                if not mark.is_symlink() and mark.parent.lstat().st_uid == getattr(os, "getuid", int)():
                    with FileLock(mark).acquire(timeout=0):
                        discard(mark.parent)
