"""The judge of all faults: whatever is wrong is said in a sentence that names it, and nothing else happens."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tenure import cli

# What Python, the engine or a library says to programmers.
_NOT_FOR_READERS = re.compile(
    r"Traceback|\bFile \"|\b[A-Z]\w*(?:Error|Exception)\b|Something unexpected|(?:Conversion|Binder|Catalog|Parser"
    r"|Invalid Input|IO|Out of Range) Error|(?<!\.)\bduckdb\b|\bibis\b|pyarrow|pydantic|numpy|object at 0x|<class|\bNone\b"
    r"|\bnan\b(?!; it should|\. Fix)|errno|\bCAST\b|VARCHAR|BIGINT",
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONGEST = 1_000


@dataclass(frozen=True)
class Said:
    """What a command printed, and the status it ended with."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def call(capfd: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run the command in this process."""
    status = 0
    capfd.readouterr()
    try:
        cli.main(arguments)
    except SystemExit as left:
        status = int(left.code or 0)
    printed = capfd.readouterr()
    return Said(status, printed.out, printed.err)


def state_of(folder: Path) -> str:
    """A digest of every file below a folder, by name and content."""
    seen = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        seen.update(str(file.relative_to(folder)).encode())
        if file.is_file():
            seen.update(file.read_bytes())
    return seen.hexdigest()


def fit_to_print(said: Said) -> None:
    """Nothing that is printed is a programmer's word, commands the terminal or fills the screen."""
    assert not (word := _NOT_FOR_READERS.search(said.text)), (
        word and said.text[max(0, word.start() - 200) :][:600]
    )
    assert not (control := _CONTROLS.search(said.text)), repr(
        said.text[max(0, control.start() - 200) :][:400]
    )
    longest = max(said.text.splitlines(), key=len, default="")
    assert len(longest) <= _LONGEST, longest[:400]


def refused(said: Said, names: Iterable[str], status: int = 1) -> None:
    """Something was refused: the status says so, and one sentence names all that it must, and what to do."""
    fit_to_print(said)
    assert said.status == status, said.text
    sentences = [line for line in said.text.splitlines() if "Fix:" in line or "Write " in line]
    assert sentences, said.text
    told = [line for line in sentences if all(name in line for name in names)]
    assert told, f"No sentence names {list(names)}:\n{said.text}"
