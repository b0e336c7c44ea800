"""Exploring: a copy of a report's notebook with its parameters, apart from what is scheduled."""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenure.runs.notebook import is_parameters, text_of
from tenure.runs.runbook import Report


def copy_notebook(report: Report, folder: Path) -> Path:
    """Copy a report's notebook without outputs, its parameters' defaults being the report's values.

    What is in the folder already keeps its name, and the copy gets a number.
    """
    document = json.loads(report.notebook.path.read_text(encoding="utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        cell |= {"execution_count": None, "outputs": []}
    first = next((cell for cell in code if is_parameters(cell)), None)
    if first is not None:
        declared = report.notebook.parameters
        other = {name: value for name, value in report.values.items() if value != declared[name].default}
        first["source"] = with_defaults(text_of(first["source"]), other).splitlines(keepends=True)
    folder.mkdir(parents=True, exist_ok=True)
    names = (f"{report.name}{f'-{number}' if number > 1 else ''}.ipynb" for number in itertools.count(1))
    path = next(folder / name for name in names if not (folder / name).exists())
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def with_defaults(source: str, values: Mapping[str, Any]) -> str:
    """Return a parameters cell with other default values, its comments as they are.

    Example:
        >>> with_defaults('by: str = "plan"  # groups to compare', {"by": "country"})
        "by: str = 'country'  # groups to compare"
    """
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for node in reversed(ast.parse(source).body):
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        name, value = getattr(target, "id", ""), getattr(node, "value", None)
        if name in values and value is not None:
            first, last = value.lineno - 1, value.end_lineno - 1
            new = lines[first][: value.col_offset] + repr(values[name]).encode()
            lines[first : last + 1] = [new + lines[last][value.end_col_offset :]]
    return b"".join(lines).decode()
