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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from tenure.errors import InputError, TenureError, in_a_sentence, writing
from tenure.machine import MARK, clear_temporary, discard
from tenure.runs.progress import STATES

_ID = re.compile(r"\d{8}T\d{6}-\d{3}Z")
_MARK = re.compile(rf"<!-- tenure-run ({_ID.pattern}) -->\s*\Z")
_AWAY = "move it away, or publish to another folder with --to FOLDER"
# The shape of a run's record; one without a number has it, too.
FORMAT = 1
# What is known of the data and the pages of a report that was made.
HEAD = ("as_of", "company", "logo", "accent")
GOOD = ("made", "made_at", "page", "notebook_file", "findings_file", "findings", *HEAD, "exports")
# The entry of a report that has never been made, and a record without one; a value that may be none is none.
ENTRY: Mapping[str, Any] = {
    **dict.fromkeys(
        ("cell", "seconds", "tried", "started_at", "tried_at", "fingerprint", "made_of", "before")
    ),
    **dict.fromkeys(("failed_page", "made", "made_at", "page", "notebook_file", "findings_file")),
    "state": "never_run",
    "reason": "",
    **dict.fromkeys(HEAD, ""),
    "parameters": {},
    "parts": {},
    "counters": {},
    "findings": [],
    "exports": [],
    "summary": False,
}
_RECORD: Mapping[str, Any] = {
    **dict.fromkeys(("id", "started", "finished", "seconds", "commit")),
    "made": [],
    "versions": {},
    "reports": {},
    "breaches": [],
    "history": {},
}
_ANY = str | int | float | None
_FINDING = {
    *(
        "id",
        "sentence",
        "value",
        "low",
        "high",
        "unit",
        "level",
        "n",
        "of",
        "exact",
        "compare",
        "compare_label",
    ),
    *(
        "difference",
        "difference_low",
        "difference_high",
        "better",
        "target",
        "verdict",
        "lead",
        "unless",
        "shown",
    ),
}
_BREACH = {"report", "finding", "sentence"}


# The run that this process has begun to publish last, and where.
_begun: list[tuple[Reports, str]] = []


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

    def _check_kinds(self) -> None:
        """Refuse what is not ours: a file where a folder should be, the reverse, or somebody's own page."""
        folders = (self.folder, self.state, self.runs, self.logs)
        files = (self.index, self.state / "lock", self.state / "running.json")
        wrong = [(path, "folder") for path in folders if os.path.lexists(path) and not path.is_dir()]
        wrong += [(path, "file") for path in files if os.path.lexists(path) and not path.is_file()]
        latest = self.folder / "latest"
        wrong += [(latest, "link")] if latest.exists() and not latest.is_symlink() else []
        for path, kind in wrong:
            raise InputError(f"{path} is no {kind}, and Tenure needs one there. Fix: {_AWAY}.")
        if self.index.exists() and not (self.state.exists() or self.shown() or self.names()):
            raise InputError(f"{self.index} was not made by Tenure, which would replace it. Fix: {_AWAY}.")

    @contextlib.contextmanager
    def lock(self, wait: bool = False) -> Iterator[None]:
        """Hold the folder for one run.

        Args:
            wait: Whether to wait for another run to end.

        Raises:
            BusyError: Another run holds it, and `wait` is false.
        """
        _begun.clear()
        holder = self.state / "running.json"
        lock = FileLock(self.state / "lock")
        with writing(self.folder, "publish to a folder that can be, with --to FOLDER"):
            self._check_kinds()
            self.state.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=-1 if wait else 0)
            except Timeout:
                raise BusyError(
                    f"Another run is in progress{_who(holder)}; wait for it with --wait."
                ) from None
            write(holder, json.dumps({"process": os.getpid(), "since": now()}))
        try:
            with in_a_sentence(self.folder):
                yield
        finally:
            with contextlib.suppress(OSError):
                holder.unlink(missing_ok=True)
            lock.release()

    def shown(self) -> str | None:
        """Return the id of the run that the index shows; None where there is no index, or not all of it."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self.index.is_file() and (match := _MARK.search(self.index.read_text(encoding="utf-8"))):
                return match[1]
        return None

    def published(self) -> dict[str, Any] | None:
        """Return the record of the run that the index shows; None where there is none."""
        # If the index was removed by hand: every folder in runs/ is whole, the newest is the best.
        names = [*filter(None, [self.shown()]), *reversed(self.names())]
        return next((record for name in names if (record := self.record(name))), None)

    def names(self) -> list[str]:
        """Return the ids of the runs that are there, oldest first."""
        if not self.runs.is_dir():
            return []
        return sorted(path.name for path in self.runs.iterdir() if path.is_dir() and _moment(path.name))

    def record(self, name: str) -> dict[str, Any] | None:
        """Return a run's record, its run.json, as of this version; None where there is none that is sound.

        Raises:
            InputError: A newer version wrote it.
        """
        file = self.runs / name / "run.json"
        try:
            record = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except (OSError, ValueError, RecursionError):
            return None
        if isinstance(record, dict) and record.get("format", FORMAT) != FORMAT:
            raise InputError(
                f"{file} is of a newer version of Tenure: this one reads format {FORMAT} and no other. "
                "Fix: use that version, or publish to another folder with --to FOLDER."
            )
        if not (record := _sound(record, _RECORD)) or record["id"] != name:
            return None
        entries = {name: _sound(entry, ENTRY) for name, entry in record["reports"].items()}
        record["reports"] = {name: entry for name, entry in entries.items() if entry}
        return record

    def recorded(self) -> list[tuple[Path, dict[str, Any]]]:
        """Return the folder and the record of each run that has one, oldest first."""
        return [(self.runs / name, record) for name in self.names() if (record := self.record(name))]

    def clean(self) -> None:
        """Remove what a killed run left behind; only under the lock."""
        clear_temporary()
        for path in self.state.glob("staging-*"):
            if (path / MARK).is_file():
                discard(path)
            elif path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        for path in [*self.state.glob(".*.part"), *self.folder.glob(".latest-*")]:
            if path.is_symlink() or path.is_file():
                path.unlink()
        shown = self.shown()
        if shown and (self.runs / shown).is_dir():
            self._remove(name for name in self.names() if name > shown)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            if (self.runs / name / "run.json").is_file():  # else it is not ours
                shutil.rmtree(self.runs / name, ignore_errors=True)

    def stage(self, name: str) -> Path:
        """Make and return the folder that a run is written in, which nobody else may open."""
        folder = self.state / f"staging-{name}"
        folder.mkdir(mode=0o700, parents=True)
        try:
            (folder / MARK).touch()
            (folder / "run").mkdir()
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def new_name(self) -> str:
        """Return an id for a run that begins now; ids sort by time."""
        name = _name(dt.datetime.now(dt.UTC))
        last = max(self.names(), default="")
        if name > last:
            return name
        # The clock was set back; the new run must not look older for that.
        return _name(cast(dt.datetime, _moment(last)) + dt.timedelta(milliseconds=1))

    def publish(self, staging: Path, name: str, page: str, keep: int) -> None:
        """Make a staged run the one that readers see.

        Args:
            staging: The folder that `stage` returned.
            name: The run's id.
            page: The index page.
            keep: How many runs to keep, this one included.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        self.unfinished.touch()
        os.replace(staging / "run", self.runs / name)
        _begun[:] = [(self, name)]
        try:
            self.show(name, page)
        except OSError:
            shutil.rmtree(self.runs / name, ignore_errors=True)
            raise
        discard(staging)
        self._remove(self.names()[: -max(keep, 1)])

    @property
    def unfinished(self) -> Path:
        """A file that is there while the pages of published runs are not yet linked with each other."""
        return self.state / "unfinished"

    def show(self, name: str, page: str) -> None:
        """Have the index show a run, which is in `runs` already."""
        write(self.index, f"{page.rstrip()}\n<!-- tenure-run {name} -->\n", beside=self.state)
        self._point_latest(name)

    def up_to_date(self, name: str) -> bool:
        """Whether the index shows the run, and was written today, for it says how old the data is."""
        self._point_latest(name)
        return self.shown() == name and dt.date.fromtimestamp(self.index.stat().st_mtime) == dt.date.today()

    def _point_latest(self, name: str) -> None:
        # Some file systems have no links; the index is what counts.
        with contextlib.suppress(OSError, NotImplementedError):
            link = self.folder / f".latest-{name}"
            link.symlink_to(Path("runs") / name, target_is_directory=True)
            os.replace(link, self.folder / "latest")


def published_by_now() -> Path | None:
    """Return the index that this process has published a run to; None: it has not yet published any."""
    return next((reports.index for reports, name in _begun if reports.shown() == name), None)


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


def _moment(name: str) -> dt.datetime | None:
    """When a run began, by its id; None where it is no id, or of a time that no clock shows."""
    with contextlib.suppress(ValueError):
        if _ID.fullmatch(name) and name < "9999":
            return dt.datetime.strptime(name, "%Y%m%dT%H%M%S-%fZ").replace(tzinfo=dt.UTC)
    return None


def _sound(found: Any, like: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was read, with what it lacks; None where something is of another kind than it should be."""
    full = {**like, **found} if isinstance(found, dict) else {}
    kinds = {name: _ANY if value is None else type(value) for name, value in like.items()}
    if not full or not all(isinstance(full[name], kind) for name, kind in kinds.items()):
        return None
    for name, needed in (("findings", _FINDING), ("breaches", _BREACH)):
        if not all(isinstance(one, dict) and needed <= set(one) for one in full.get(name, ())):
            return None
    if not all(isinstance(lines, dict) for lines in full.get("history", {}).values()):
        return None
    return full if full.get("state", "ok") in STATES else None


def _who(holder: Path) -> str:
    try:
        running = json.loads(holder.read_text(encoding="utf-8"))
        return f" (process {running['process']}, since {running['since']})"
    except (OSError, ValueError, KeyError):
        return ""
