"""What goes wrong in words a reader can act on."""

from __future__ import annotations


class TenureError(Exception):
    """Something the reader can mend, said in one plain sentence.

    Jupyter shows the sentence alone, without a traceback.
    """

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class InputError(TenureError, ValueError):
    """A parameter, a table or a file is not as it should be; the sentence says how to mend it."""


class NotApplicable(TenureError):
    """The question cannot be asked of this data; the sentence says what is absent."""
