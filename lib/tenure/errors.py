"""Errors that a user can fix."""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tenure import legible

# JupyterLab stays at the last cell when all are run, wherever one of them stopped.
_INTO_VIEW = """
const output = element.closest(".jp-OutputArea") ?? element;
setTimeout(() => output.scrollIntoView({block: "center"}), 200);
"""


class Terminated(KeyboardInterrupt):
    """The process was asked to end, as `kill` does."""


def stop(*_: object) -> None:
    """Handle that signal."""
    raise Terminated


class TenureError(Exception):
    """Something the user can fix, said in one plain sentence.

    Jupyter shows the sentence alone, without a traceback, and JupyterLab brings it into view.
    """

    _seen = False

    def __str__(self) -> str:
        """The sentence, in which nothing of the data commands a terminal or fills it."""
        return legible.lines(super().__str__())

    def _render_traceback_(self) -> list[str]:
        if not self._seen and not os.environ.get("TENURE_OUTPUT"):
            from IPython.display import display

            self._seen = True  # Jupyter asks twice
            display({"text/plain": "", "application/javascript": _INTO_VIEW}, raw=True)
        return [str(self)]


class InputError(TenureError, ValueError):
    """A parameter, a table or a file is not as it should be; the sentence says how to fix it.

    Attributes:
        faults: A sentence for each fault, where it says several at once.
    """

    faults: tuple[str, ...] = ()


class NotApplicable(TenureError):
    """This data cannot answer the question; the sentence says what is missing."""


def all_faults(sentences: Sequence[str], label: str = "The data") -> InputError:
    """Return the error that says everything that is wrong at once.

    Args:
        sentences: One for each fault.
        label: What has them.

    Example:
        >>> print(all_faults(["A is missing.", "B is too."], "The mapping m.yml"))
        The mapping m.yml has 2 faults:
        1. A is missing.
        2. B is too.
    """
    listed = "\n".join(f"{i}. {sentence}" for i, sentence in enumerate(sentences, 1))
    several = f"{label} has {len(sentences)} faults:\n{listed}"
    error = InputError(several if len(sentences) > 1 else sentences[0])
    error.faults = tuple(sentences)
    return error


# What the system refuses, by the names of its errors: what is wrong, and what to do.
_REFUSED = {
    "ENOSPC EDQUOT": ("there is no room left on the disk", "free some, or use a folder on another disk"),
    "EACCES EPERM": ("this user may not read or write it", "change its permissions, or run as another user"),
    "EROFS": ("the disk may only be read", "use a folder that can be written to"),
    "EMFILE ENFILE": ("too many files are open", "allow more, such as with `ulimit -n 1024`"),
    "ENOMEM EAGAIN": (
        "the machine is short of memory or of processes",
        "allow more with `ulimit`, or run fewer notebooks at once with --jobs 1",
    ),
    "ENOENT": ("it is not there", "see whether something has removed it, and start again"),
    "ENOTDIR EEXIST": ("a file is where a folder should be", "move the file away"),
    "EISDIR ENOTEMPTY": ("a folder is where a file should be", "move the folder away"),
    "ENAMETOOLONG": ("its name is too long", "use a shorter one"),
    "ELOOP": ("its links lead in a circle", "correct them"),
    "EIO ESTALE ENXIO": ("the disk does not answer as it should", "check the disk, and start again"),
}


def refused(error: object, place: object = "") -> str:
    """Return what an error of the system means and its fix; empty where it is another kind of error.

    Args:
        error: The error, or the words of one that another process has met.
        place: Where it happened, if the error does not say.

    Example:
        >>> refused(OSError(28, "No space left on device", "a.html"))
        'a.html: there is no room left on the disk. Fix: free some, or use a folder on another disk.'
        >>> refused("[Errno 24] Too many open files")
        'Too many files are open. Fix: allow more, such as with `ulimit -n 1024`.'
    """
    known = re.match(r"\[Errno (\d+)\](?:.*(?:: |-> )(['\"])(.*?)\2)?", str(error))
    number = getattr(error, "errno", known and int(known[1]))
    number = errno.ENOMEM if isinstance(error, MemoryError) else number
    for names, (problem, fix) in _REFUSED.items():
        if errno.errorcode.get(number or 0) in names.split():
            place = (known and known[3]) or place
            said = f"{place}: {problem}" if place else problem[0].upper() + problem[1:]
            return f"{said}. Fix: {fix}."
    return ""


@contextmanager
def in_a_sentence(place: object = "") -> Iterator[None]:
    """Say what the system refuses in a sentence, around a block or as a decorator; other errors pass."""
    try:
        yield
    except (OSError, MemoryError) as error:
        if words := refused(error, place):
            raise InputError(words) from None
        raise


@contextmanager
def writing(place: object, fix: str) -> Iterator[None]:
    """Say in a sentence that a place cannot be written to, and what to do."""
    try:
        yield
    except OSError as error:
        why = f" ({error.strerror})" if error.strerror else ""
        raise InputError(f"{place} cannot be written to{why}. Fix: {fix}.") from None


def unexpected(error: BaseException, log: Path) -> str:
    """Note where an error that nobody foresaw happened, without its words, which may hold data.

    Returns:
        A sentence that says so, and how to report it.
    """
    import traceback

    seen: BaseException | None = error
    lines = [f"\n{time.strftime('%Y-%m-%dT%H:%M:%S%z')} on Python {sys.version.split()[0]}\n"]
    while seen:
        lines += [f"{type(seen).__name__}\n", *traceback.format_tb(seen.__traceback__)]
        seen = seen.__cause__ or seen.__context__
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.writelines(lines)
        where = f"report it with {log}, which holds none of your data"
    except OSError:
        where = "report what `tenure --debug` shows of it, without your data"
    return f"Something unexpected happened. Fix: run it again, and if it happens again, {where}."
