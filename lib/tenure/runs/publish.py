"""Publishing a run as a whole or not at all.

    reports/
      index.html            the way in; replacing it is the moment a run is published
      latest -> runs/<id>   for those who prefer a fixed address
      runs/<id>/            the complete set as of that run, never changed afterwards but for its pages' links
                            to the runs before and after it
      .state/               lock, task database, logs and what is being written

A run is written under .state, renamed into runs/, and then the index is replaced. Whenever the process is
killed, a reader finds the old set or the new one; the next run removes what was left.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tenure.errors import TenureError, writing

_ID = re.compile(r"\d{8}T\d{6}-\d{3}Z")
_MARK = re.compile(rf"<!-- tenure-run ({_ID.pattern}) -->\s*\Z")


class BusyError(TenureError):
    """Another run is in progress in the same folder."""


@dataclass(frozen=True)
class Reports:
    """The folder that runs publish to.

    Attributes:
        folder: Where index.html is.
    """

    folder: Path

    @property
    def index(self) -> Path:
        """The page that lists the reports."""
        return self.folder / "index.html"

    @property
    def runs(self) -> Path:
        """The folder of published runs."""
        return self.folder / "runs"

    @property
    def state(self) -> Path:
        """The folder of what only the runner reads."""
        return self.folder / ".state"

    @property
    def logs(self) -> Path:
        """The folder of what kernels and the runner print."""
        return self.state / "logs"

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Hold the folder for one run.

        Args:
            wait: Whether to wait for another run to end.

        Raises:
            BusyError: Another run holds it, and `wait` is false.
        """
        holder = self.state / "running.json"
        lock = FileLock(self.state / "lock")
        with writing(self.folder, "publish to a folder that can be, with --to FOLDER"):
            self.state.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                raise BusyError(
                    f"Another run is in progress{_who(holder)}; wait for it with --wait."
                ) from None
        try:
            write(holder, json.dumps({"process": os.getpid(), "since": now()}))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def published(self) -> dict[str, Any] | None:
        """Return the record of the run that the index shows; None where there is none."""
        with contextlib.suppress(OSError):
            text = self.index.read_text(encoding="utf-8")
            if (match := _MARK.search(text)) and (record := self.record(match[1])):
                return record
        # The index was removed by hand: every folder in runs/ is whole, the newest is the best.
        return next((record for name in reversed(self.names()) if (record := self.record(name))), None)

    def names(self) -> list[str]:
        """Return the ids of the runs that are there, oldest first."""
        if not self.runs.is_dir():
            return []
        return sorted(path.name for path in self.runs.iterdir() if path.is_dir() and _ID.fullmatch(path.name))

    def record(self, name: str) -> dict[str, Any] | None:
        """Return a run's record, its run.json; None where it cannot be read."""
        try:
            return json.loads((self.runs / name / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def recorded(self) -> list[tuple[Path, dict[str, Any]]]:
        """Return the folder and the record of each run that has one, oldest first."""
        return [(self.runs / name, record) for name in self.names() if (record := self.record(name))]

    def clean(self) -> None:
        """Remove what a killed run left behind; only under the lock."""
        for path in self.state.glob("staging-*"):
            with contextlib.suppress(OSError):
                sockets = Path((path / "sockets").read_text(encoding="utf-8"))
                if sockets.name.startswith("tenure-"):
                    shutil.rmtree(sockets, ignore_errors=True)
            shutil.rmtree(path, ignore_errors=True)
        for path in [*self.state.glob("*.part"), *self.folder.glob(".latest-*")]:
            path.unlink(missing_ok=True)
        record = self.published()
        if record and self.index.exists():
            for name in self.names():
                if name > record["id"]:
                    shutil.rmtree(self.runs / name, ignore_errors=True)

    def stage(self, name: str) -> Path:
        """Make and return the folder that a run is written in."""
        folder = self.state / f"staging-{name}"
        (folder / "run").mkdir(parents=True)
        return folder

    def new_name(self) -> str:
        """Return an id for a run that begins now; ids sort by time."""
        name = _name(dt.datetime.now(dt.UTC))
        last = max(self.names(), default="")
        if name > last:
            return name
        # The clock was set back; the new run must not look older for that.
        return _name(_moment(last) + dt.timedelta(milliseconds=1))

    def publish(self, staging: Path, name: str, page: str, keep: int) -> None:
        """Make a staged run the one that readers see.

        Args:
            staging: The folder that `stage` returned.
            name: The run's id.
            page: The index page.
            keep: How many runs to keep, this one included.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        os.replace(staging / "run", self.runs / name)
        write(self.index, f"{page.rstrip()}\n<!-- tenure-run {name} -->\n", beside=self.state)
        self._point_latest(name)
        shutil.rmtree(staging, ignore_errors=True)
        for old in self.names()[: -max(keep, 1)]:
            shutil.rmtree(self.runs / old, ignore_errors=True)

    def _point_latest(self, name: str) -> None:
        # Some file systems have no links; the index is what counts.
        with contextlib.suppress(OSError, NotImplementedError):
            link = self.folder / f".latest-{name}"
            link.symlink_to(Path("runs") / name, target_is_directory=True)
            os.replace(link, self.folder / "latest")


def carry(source: Path, target: Path, names: Sequence[str]) -> None:
    """Bring files or folders of an older run into a new one, without copying their bytes if possible.

    Args:
        source: The older run's folder.
        target: The new run's folder.
        names: Paths inside the folder; what is absent is passed over.
    """
    for name in names:
        for path in _files(source / name):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(path, copy)
            except OSError:
                shutil.copy2(path, copy)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(inner for inner in path.rglob("*") if inner.is_file())
    return [path] if path.is_file() else []


def write(path: Path, text: str, beside: Path | None = None) -> None:
    """Write a file in one step: a reader sees the old content or the new, never a part.

    Args:
        path: The file.
        text: Its content.
        beside: A folder on the same file system to write it in first; by default the file's own.
    """
    handle, part = tempfile.mkstemp(dir=beside or path.parent, prefix=f".{path.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def now() -> str:
    """Return the present moment as ISO text, in UTC."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _name(moment: dt.datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}-{moment.microsecond // 1000:03d}Z"


def _moment(name: str) -> dt.datetime:
    return dt.datetime.strptime(name, "%Y%m%dT%H%M%S-%fZ").replace(tzinfo=dt.UTC)


def _who(holder: Path) -> str:
    try:
        running = json.loads(holder.read_text(encoding="utf-8"))
        return f" (process {running['process']}, since {running['since']})"
    except (OSError, ValueError, KeyError):
        return ""
