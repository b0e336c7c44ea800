"""Errors that a user can fix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tenure import legible

# JupyterLab stays at the last cell when all are run, wherever one of them stopped.
_INTO_VIEW = """
const output = element.closest(".jp-OutputArea") ?? element;
setTimeout(() => output.scrollIntoView({block: "center"}), 200);
"""


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


@contextmanager
def writing(place: object, fix: str) -> Iterator[None]:
    """Say in a sentence that a place cannot be written to, and what to do."""
    try:
        yield
    except OSError as error:
        why = f" ({error.strerror})" if error.strerror else ""
        raise InputError(f"{place} cannot be written to{why}. Fix: {fix}.") from None
