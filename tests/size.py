"""How large the house is, by room: ``make size``. Lines of code, docstring, comment and blank lines apart.

The library's aim is a total without the demo company; a file of over 700 lines and a room of over a third of
the library are named, for they hide what is in them. What is no Python of the library stands below.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST, LARGEST = 700, 1 / 3
KINDS = ("code", "docstring", "comment", "blank")


def lines(source: str) -> Counter[str]:
    """How many lines of each kind a module has.

    Example:
        >>> sorted(lines("x = 1  # one\\n\\n# two\\n").items())
        [('blank', 1), ('code', 1), ('comment', 1)]
    """
    documented: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                documented |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    kinds = (
        "docstring" if number in documented
        else "blank" if not line.strip()
        else "comment" if line.lstrip().startswith("#")
        else "code"
        for number, line in enumerate(source.splitlines(), start=1)
    )  # fmt: skip
    return Counter(kinds)


def of_files(files: Iterable[Path]) -> Counter[str]:
    """The sum over some modules."""
    return sum((lines(file.read_text(encoding="utf-8")) for file in files), Counter())


def of_library(root: Path = ROOT) -> dict[str, Counter[str]]:
    """The lines of each room of the library."""
    library = root / "lib" / "tenure"
    rooms: dict[str, list[Path]] = {}
    for file in sorted(library.rglob("*.py")):
        inside = file.relative_to(library).parts
        rooms.setdefault(inside[0] if len(inside) > 1 else "ground floor", []).append(file)
    return {room: of_files(files) for room, files in rooms.items()}


def too_large(root: Path = ROOT) -> list[str]:
    """Files and rooms of the library that are larger than they should be, in words."""
    rooms = {room: counts.total() for room, counts in of_library(root).items()}
    total = sum(rooms.values())
    files = {
        file: len(file.read_text(encoding="utf-8").splitlines()) for file in (root / "lib").rglob("*.py")
    }
    said = [f"{file.relative_to(root)} has {n} lines" for file, n in sorted(files.items()) if n > LONGEST]
    return said + [
        f"{room} is {n / total:.0%} of the library" for room, n in rooms.items() if n > LARGEST * total
    ]


def _row(name: str, counts: Counter[str]) -> str:
    cells = "".join(f"{counts[kind]:>11,}" for kind in KINDS)
    return f"{name:<16}{counts.total():>9,}{cells}"


def _cells(notebook: Path) -> list[str]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()
    ]


def main() -> None:
    """Print it."""
    print(f"{'lib/tenure':<16}{'lines':>9}" + "".join(f"{kind:>11}" for kind in KINDS))
    rooms = of_library()
    for room, counts in sorted(rooms.items(), key=lambda pair: -pair[1].total()):
        print(_row(room, counts))
    print(_row("all", sum(rooms.values(), Counter())))
    print("\nbeside it")
    print(_row("lib/tenure_demo", of_files((ROOT / "lib" / "tenure_demo").rglob("*.py"))))
    print(_row("tests", of_files((ROOT / "tests").rglob("*.py"))))
    for name, suffixes in (
        ("templates", (".j2", ".css", ".js", ".html")),
        ("YAML", (".yml",)),
        ("SQL", (".sql",)),
    ):
        folders = [ROOT / "lib", ROOT / "data" / "mappings", ROOT / "notebooks", ROOT / "tests"]
        files = [file for folder in folders for file in folder.rglob("*") if file.suffix in suffixes]
        print(f"{name:<16}{sum(len(file.read_text(encoding='utf-8').splitlines()) for file in files):>9,}")
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    print(
        f"{'notebooks':<16}{sum(len(_cells(file)) for file in notebooks):>9,}  of code, in {len(notebooks)}"
    )
    if large := too_large():
        print("\ntoo large\n" + "\n".join(large))


if __name__ == "__main__":
    main()
