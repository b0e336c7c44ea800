"""Errors that a user can fix."""

from __future__ import annotations


class TenureError(Exception):
    """Something the user can fix, said in one plain sentence.

    Jupyter shows the sentence alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class InputError(TenureError, ValueError):
    """A parameter, a table or a file is not as it should be; the sentence says how to fix it."""


class NotApplicable(TenureError):
    """This data cannot answer the question; the sentence says what is missing."""
