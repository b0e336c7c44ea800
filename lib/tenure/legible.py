"""Text that came with somebody's data, as it may be shown: it commands no terminal and fills no screen."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

# Control characters as the pictures that Unicode has of them; those without one, and those that turn the
# direction of writing, as U+FFFD.
_TURNS = [0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_PICTURES = {code: 0x2400 + code for code in range(32)} | {0x7F: 0x2421}
_PICTURES |= dict.fromkeys([*range(0x80, 0xA0), *_TURNS], 0xFFFD)
_PROSE = {code: picture for code, picture in _PICTURES.items() if code not in (9, 10)}
_LONGEST_WORD, _LONGEST_LINE = 300, 900
# Text that is not written into CSV as it is, and how a cell begins that a spreadsheet would calculate.
ODD = r"^[=+\-@\t]|[\x00-\x08\x0b-\x1f\x7f-\x9f\x{200e}\x{200f}\x{202a}-\x{202e}\x{2066}-\x{2069}]"
KEPT = r"^'([=+\-@\t])"


def visible(text: str) -> str:
    r"""Return text whose control characters are shown as such; tabs and line ends stay.

    Example:
        >>> visible("a\x1b[2Jb")
        'a␛[2Jb'
    """
    return text.translate(_PROSE)


def value(text: str, most: int = 80) -> str:
    r"""Return one value on one line, shortened to `most` characters.

    Example:
        >>> value("a\nb"), value("x" * 100, 10)
        ('a␊b', 'xxxxxxxxx…')
    """
    shown = text.translate(_PICTURES)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def lines(text: str) -> str:
    """Return sentences as a terminal may show them: visible, and without endless words and lines."""
    words = re.compile(rf"\S{{{_LONGEST_WORD},}}")
    shown = words.sub(lambda word: _cut(word[0], _LONGEST_WORD // 3), visible(text))
    return "\n".join(_cut(line, _LONGEST_LINE) for line in shown.split("\n"))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 2 // 3]} … {text[-most // 3 :]}"


def cell(text: str) -> str:
    """Return text as a cell of CSV: visible, and with an apostrophe where a spreadsheet would calculate it.

    Example:
        >>> cell("=1+1"), cell("a=b")
        ("'=1+1", 'a=b')
    """
    shown = visible(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@", "\t") else shown


def texts(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a frame whose texts are changed; what is no text stays as it is."""
    found = frame.select_dtypes(["object", "string", "category"])
    return frame.assign(**found.map(lambda one: change(one) if isinstance(one, str) else one))
