"""Rules that the library keeps everywhere."""

from __future__ import annotations

import re

from tenure.paths import project_root

LIBRARY = project_root() / "lib" / "tenure"
# The runner and the command's main say what went wrong, whatever it was.
CATCH_ALL = {"cli.py", "runs/execute.py", "runs/collection.py"}
# Drivers of engines share no class of errors; each says why where it catches them.
CATCH_DRIVERS = {"sources/engine.py", "sources/databases.py", "sources/spark.py", "sources/results.py"}


def found(pattern, kept=frozenset()):
    """Where a pattern stands in the library, but for some files."""
    files = {file.relative_to(LIBRARY).as_posix(): file for file in sorted(LIBRARY.rglob("*.py"))}
    return [
        f"{name}:{number}: {line.strip()}"
        for name, file in files.items()
        if name not in kept
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]


def test_only_the_runner_and_the_command_catch_everything():
    assert not found(r"except( Exception|:)|suppress\(Exception\)", CATCH_ALL | CATCH_DRIVERS)


def test_warnings_of_libraries_are_fixed_at_their_cause():
    assert not found(r"warnings\.(filterwarnings|simplefilter|catch_warnings)")


def test_floors_import_only_what_lies_below():
    above = {
        "stats": "measures|models|report|runs|sources|workbook|cli",
        "measures": "models|report|runs|workbook|cli",
        "models": "measures|report|runs|workbook|cli",
        "report": "measures|models|runs|workbook|cli",
        "sources": "measures|models|report|runs|workbook|cli|stats",
    }
    broken = [
        line
        for room, rooms in above.items()
        for line in found(rf"^\s*(from|import) tenure\.({rooms})\b|^\s*from tenure import .*\b({rooms})\b")
        if line.startswith(f"{room}/")
    ]
    assert not broken
