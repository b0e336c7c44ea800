"""What a notebook asks for, read from its file alone: no kernel, no Jupyter library."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tenure.errors import InputError
from tenure.parameters import Parameter, as_declared, as_yaml, declared, misfit, unknown_name


@dataclass(frozen=True)
class Notebook:
    """A notebook as its file describes it.

    Attributes:
        path: The file.
        title: Its first heading; the file's name where it has none.
        question: The first paragraph below the heading, as plain text; may be empty.
        parameters: What the cell tagged `parameters` declares, by name.
        tables: Contract tables that it requires, as named where it opens its data.
        dated: Whether it needs real dates, which a snapshot does not have.
        findings: The ids of what it finds; empty: not all of them are written in its cells as texts.
        cells: The number of code cells that will run.
    """

    path: Path
    title: str
    question: str
    parameters: Mapping[str, Parameter]
    tables: tuple[str, ...]
    dated: bool
    findings: tuple[str, ...]
    cells: int

    def values(self, given: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Return the given values, checked against the declared names and types.

        Args:
            given: Values by parameter name; a `Text` is read as its parameter's type demands.
            origin: Where they come from, for the sentence that refuses one.

        Returns:
            Values by parameter name, of the declared types.

        Raises:
            InputError: A name is unknown or a value is of another type.
        """
        for name in given:
            if name not in self.parameters:
                raise InputError(f"{origin}: {unknown_name('parameter', name, self.parameters)}")
        return {name: _value(self.parameters[name], value, origin) for name, value in given.items()}


@dataclass(frozen=True)
class Text:
    """A value as it was typed on the command line, not yet of any type.

    Attributes:
        raw: The characters after the equals sign.
    """

    raw: str


def read_notebook(path: Path) -> Notebook:
    """Read a notebook's title, parameters and needs from its file.

    Args:
        path: An .ipynb file.

    Raises:
        InputError: The file is absent or no notebook, or its parameters cell is no valid Python.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = [(cell, text_of(cell["source"])) for cell in document["cells"]]
    except FileNotFoundError:
        raise InputError(
            f"There is no notebook {path}. Fix: correct its name in the runbook, or the path."
        ) from None
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as a notebook ({error}). Fix: save it again in JupyterLab."
        ) from None
    prose = "\n\n".join(source for cell, source in cells if cell["cell_type"] == "markdown")
    code = [(cell, source) for cell, source in cells if cell["cell_type"] == "code" and source.strip()]
    tagged = [source for cell, source in code if is_parameters(cell)]
    heading = re.search(r"^#\s+(.+)$", prose, re.MULTILINE)
    after = prose[heading.end() :] if heading else prose
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", after) if part.strip()]
    question = paragraphs[0] if paragraphs and not paragraphs[0].startswith("#") else ""
    found = dict.fromkeys(id for _, source in code for id in _found(source))
    return Notebook(
        path=path,
        title=_plain(heading.group(1)) if heading else path.stem,
        question=_plain(question),
        parameters=_declared(tagged[0], path) if tagged else {},
        tables=tuple(dict.fromkeys(table for _, source in code for table in _required(source))),
        dated=any(_dated(source) for _, source in code),
        findings=() if "" in found else tuple(found),
        cells=len(code),
    )


def _plain(markdown: str) -> str:
    """Markdown's words without its marks: code, emphasis and links.

    Example:
        >>> _plain("Needs `customers` and **one** [table](data/README.md); a_b stays.")
        'Needs customers and one table; a_b stays.'
    """
    words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    words = re.sub(r"`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*", lambda m: m[1] or m[2] or m[3], words)
    return " ".join(words.split())


def is_parameters(cell: Mapping[str, Any]) -> bool:
    """Whether a cell declares the notebook's parameters."""
    return "parameters" in cell.get("metadata", {}).get("tags", [])


def text_of(source: str | list[str]) -> str:
    """A cell's source in one piece; files may hold it in lines."""
    return source if isinstance(source, str) else "".join(source)


def _declared(source: str, path: Path) -> dict[str, Parameter]:
    try:
        found = declared(source)
    except SyntaxError as error:
        raise InputError(
            f"The parameters cell of {path.name} is no valid Python ({error}). Fix: correct it."
        ) from None
    for parameter in found:
        if isinstance(parameter.default, ast.expr):
            raise InputError(
                f"The parameter `{parameter.name}` of {path.name} must have a literal default. Fix: "
                "derive what is computed in the next cell."
            )
    return {parameter.name: parameter for parameter in found}


def _calls(source: str, sections: bool = True) -> list[tuple[str, ast.Call]]:
    """The calls of a cell, with the names of their functions; or only those that no section stands for."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell of magic
        return []
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With | ast.Try)]
    inside = {node for block in blocks for node in ast.walk(block)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [call for call in calls if sections or call not in inside]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    return list(zip(names, calls, strict=True))


def _found(source: str) -> list[str]:
    """The ids in a cell's calls of ``report.finding``; empty: one that is not written as a text."""
    said = [call.args[0] if call.args else None for name, call in _calls(source) if name == "finding"]
    return [str(id.value) if isinstance(id, ast.Constant) else "" for id in said]


def _required(source: str) -> list[str]:
    """The tables that a cell names in ``open_workbook(…, needs=[…])`` or ``source.require(…)``.

    What is required within a ``with report.section()`` (or a ``try``) is not needed to make the report.
    """
    named: list[ast.expr] = []
    for function, call in _calls(source, sections=False):
        if function == "require":
            named += call.args
        elif function == "open_workbook":
            given = [keyword.value for keyword in call.keywords if keyword.arg == "needs"]
            named += [
                item for value in given if isinstance(value, ast.List | ast.Tuple) for item in value.elts
            ]
    return [node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _dated(source: str) -> bool:
    """Whether a cell says ``open_workbook(…, dated=True)``."""
    opened = [call for name, call in _calls(source) if name == "open_workbook"]
    given = [keyword.value for call in opened for keyword in call.keywords if keyword.arg == "dated"]
    return any(isinstance(node, ast.Constant) and node.value is True for node in given)


def _value(parameter: Parameter, given: Any, origin: str) -> Any:
    base = parameter.type.partition("[")[0].partition("|")[0]
    if isinstance(given, Text):
        if base == "str":
            return given.raw
        try:
            given = given.raw if base in ("list", "dict") else as_yaml(given.raw)
        except ValueError:
            raise InputError(
                f"{origin}: the value {given.raw!r} of `{parameter.name}` is no valid YAML. Fix: put it "
                "in quotation marks, or correct it."
            ) from None
    given = as_declared(parameter, given)
    if given is None and (parameter.type.startswith("Optional[") or "None" in parameter.type.split("|")):
        return None
    if base == "str" and isinstance(given, date) and not isinstance(given, datetime):
        return given.isoformat()
    if type(given) in (int, float) and not abs(given) <= sys.float_info.max:
        raise InputError(
            f"{origin}: `{parameter.name}` must be a finite number, but it is {given}. Fix: correct it."
        )
    if problem := misfit(parameter, given):
        raise InputError(f"{origin}: {problem}")
    return float(given) if base == "float" else given
