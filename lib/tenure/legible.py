"""Text that came with somebody's data, as it may be shown: it commands no terminal and fills no screen."""

from __future__ import annotations

import re
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
# A cell of text that a spreadsheet would calculate, and one that is kept from it.
FORMULA, KEPT = r"^([=+\-@\t\r])", r"^'([=+\-@\t\r])"


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


def replaced(frame: pd.DataFrame, pattern: str, by: str) -> pd.DataFrame:
    r"""Return a frame in whose texts a pattern is replaced; what is no text stays as it is.

    Example:
        >>> import pandas as pd
        >>> kept = replaced(pd.DataFrame({"plan": ["=1+1", "Basic"], "n": [-1, 2]}), FORMULA, r"'\1")
        >>> kept["plan"].tolist(), replaced(kept, KEPT, r"\1")["plan"].tolist()
        (["'=1+1", 'Basic'], ['=1+1', 'Basic'])
    """
    texts = frame.select_dtypes(["object", "string", "category"])
    change = re.compile(pattern)
    return frame.assign(**texts.map(lambda it: change.sub(by, it) if isinstance(it, str) else it))
