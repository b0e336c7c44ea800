"""A notebook's parameters: what its cell declares, and one clear sentence for each way to get one wrong."""

from __future__ import annotations

import ast
import datetime as dt
import math
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml

from tenure.errors import InputError
from tenure.renamed import now_called

_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
}
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list, such as [1, 2]",
    "dict": "a map, such as {a: 0.9, b: 0.1}",
}


@dataclass(frozen=True)
class Parameter:
    """A parameter that a notebook declares.

    Attributes:
        name: Its name.
        type: The declared type, such as ``str`` or ``list[str]``; empty where none is declared.
        default: Its default value; one that is computed as an expression of Python's syntax tree.
        help: The comment beside it.
    """

    name: str
    type: str
    default: Any
    help: str


def declared(source: str) -> list[Parameter]:
    """Return what a parameters cell declares, a `name: type = value  # help` a line.

    Raises:
        SyntaxError: The cell is not Python.

    Example:
        >>> declared("horizon: int = 24  # months")
        [Parameter(name='horizon', type='int', default=24, help='months')]
    """
    lines, found = source.splitlines(), []
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, kind = statement.target.id, ast.unparse(statement.annotation).replace(" ", "")
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name, kind = statement.targets[0].id, ""
        else:
            continue
        value = statement.value
        try:
            default = ast.literal_eval(value) if value else None
        except ValueError:
            default = value
        if not kind and default is not None and default is not value:
            kind = type(default).__name__
        # A comment cannot be told from a `#` inside the default by the line alone: look behind the value.
        end = (value or statement).end_col_offset or 0
        tail = lines[(statement.end_lineno or 1) - 1].encode()[end:].decode()
        found.append(Parameter(name, kind, default, tail.partition("#")[2].strip()))
    return found


def check_parameters(names: MutableMapping[str, Any]) -> list[str]:
    """Refuse parameters that the notebook does not have, or whose values are of the wrong type.

    Lists and maps are put right where they were written in another way (see `as_declared`).

    Papermill only warns about a misspelt parameter and runs on the defaults. This compares the cell it
    injects (it begins with ``# Parameters``) with the notebook's own parameters cell: of the cells of nothing
    but annotated assignments, the one with the most. What was run before that cell was run last does not
    count, so that a notebook can be corrected and run again in one kernel.

    Args:
        names: The notebook's ``globals()``.

    Returns:
        The names of its parameters.

    Raises:
        InputError: A parameter is unknown, or its value is not of the declared type.
    """
    cells = [cell for cell in names.get("In", []) if cell.strip()]
    found = [(len(ours), place, ours) for place, cell in enumerate(cells) if (ours := _parameters_cell(cell))]
    _, place, known = max(found, key=lambda one: one[:2], default=(0, 0, {}))
    injected = [cell for cell in cells[place:] if cell.lstrip().startswith("# Parameters")]
    for parameter in declared(injected[-1]) if injected and known else []:
        if parameter.name not in known:
            raise InputError(unknown_name("parameter", parameter.name, known))
    for name, parameter in known.items():
        if names[name] is None and parameter.default is None:
            continue
        names[name] = as_declared(parameter, names[name])
        if problem := misfit(parameter, names[name]):
            raise InputError(f"The parameter {problem}")
    return list(known)


def _parameters_cell(cell: str) -> dict[str, Parameter]:
    try:
        if all(isinstance(line, ast.AnnAssign) for line in ast.parse(cell).body):
            return {parameter.name: parameter for parameter in declared(cell)}
    except SyntaxError:  # a cell of magic
        pass
    return {}


def as_declared(parameter: Parameter, value: Any) -> Any:
    """Return a value as a list or a map, where its parameter is one; what cannot be read stays as it is.

    A list and a map of named things say the same, `papermill -p` hands over text, and brackets may be left
    out: ``control: 0.9, new: 0.1``.

    Example:
        >>> as_declared(Parameter("segments", "list", [], ""), "channel, device")
        ['channel', 'device']
        >>> as_declared(Parameter("split", "dict", {}, ""), ["control: 2", "new: 1"])
        {'control': 2, 'new': 1}
    """
    base = parameter.type.partition("|")[0].partition("[")[0]
    if base not in ("list", "dict") or value is None:
        return value
    read = _typed(value, base) if isinstance(value, str) else value
    if isinstance(read, str):
        return value
    entries = read if isinstance(read, list) else [read]
    if base == "list":
        named = [entry if isinstance(entry, dict) else {"": entry} for entry in entries]
        return [f"{key}: {it}" if key else it for entry in named for key, it in entry.items()]
    maps = [_typed(entry, base) if isinstance(entry, str) else entry for entry in entries]
    pairs = [pair.items() for pair in maps if isinstance(pair, dict)]
    return {str(name): entry for pair in pairs for name, entry in pair} if len(pairs) == len(maps) else value


def _typed(text: str, base: str) -> list[Any] | dict[str, Any] | str:
    """A list or a map that was typed, with its brackets or without; the text where it is neither."""
    for written in (text, f"{{{text}}}" if base == "dict" else f"[{text}]"):
        try:
            found = as_yaml(written)
        except ValueError:
            continue
        if found is None or isinstance(found, list):
            return found or []
        if isinstance(found, dict):
            # A variant may be called on, off or 1.10, which YAML would read as a truth or a number.
            named = yaml.load(written, yaml.BaseLoader).items()
            return {name: yaml.safe_load(it) if isinstance(it, str) else it for name, it in named}
    return text


def as_yaml(text: str) -> Any:
    """Return what a text says in YAML; ValueError where it says nothing that can be read."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ValueError("no valid YAML") from None


def misfit(parameter: Parameter, value: Any) -> str:
    """Return what is wrong with a value's type, as the rest of a sentence; empty where it fits.

    Example:
        >>> misfit(Parameter("horizon", "int", 24, ""), "many")
        "`horizon` must be a whole number (int), but 'many' is str. Fix: correct it."
    """
    base, _, inner = parameter.type.partition("|")[0].removesuffix("]").partition("[")
    kinds, items = _KINDS.get(base), _KINDS.get(inner)
    if kinds is None or (
        _is(value, kinds) and (base != "list" or not items or all(_is(v, items) for v in value))
    ):
        return ""
    wanted = f"{_WORDS.get(base, parameter.type)} ({parameter.type})"
    fix = "put it in quotation marks" if base == "str" else "correct it"
    if value is None:
        return f"`{parameter.name}` must be {wanted}, but it is empty. Fix: {fix}."
    return f"`{parameter.name}` must be {wanted}, but {value!r} is {type(value).__name__}. Fix: {fix}."


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence that refuses a name and says what it is called now, or suggests the nearest one.

    Example:
        >>> unknown_name("parameter", "perod", ["period", "by"])
        'There is no parameter `perod`; did you mean `period`? Fix: use one of by, period.'
    """
    known = sorted(known)
    new = now_called(kind, name)
    like = get_close_matches(name, known, n=1)
    hint = f"; it is now {new}." if new else f"; did you mean `{like[0]}`?" if like else "."
    return f"There is no {kind} `{name}`{hint} Fix: use one of {', '.join(known)}."


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the name most like `name`, ignoring case and underscores; None if none is close.

    Example:
        >>> nearest("customerId", ["created_at", "customer_id"])
        'customer_id'
    """

    def plain(text: str) -> str:
        return text.lower().replace("_", "").replace(" ", "").replace("-", "")

    by_plain = {plain(candidate): candidate for candidate in names}
    found = get_close_matches(plain(name), list(by_plain), 1, cutoff)
    return by_plain[found[0]] if found else None


def one_of(name: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not allowed, with a sentence that lists what is.

    Example:
        >>> one_of("period", "month", ["day", "week", "month"])
    """
    allowed = list(allowed)
    if value not in allowed:
        like = get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean '{like[0]}'?" if like else "."
        raise InputError(
            f"The parameter `{name}` is {value!r}, which is not available{hint} "
            f"Fix: use one of {', '.join(allowed)}."
        )


def between(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Refuse a value that does not lie between two others and is none of them.

    Example:
        >>> between("alpha", 0.05, 0, 1)
    """
    if not low <= value <= high:
        limits = f"of at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise InputError(f"The parameter `{name}` is {value!r}. Fix: give it a number {limits}.")


def sensible(name: str, value: Any) -> None:
    """Refuse numbers that are negative, infinite or none at all, in lists and maps, too.

    Example:
        >>> sensible("leave", [0.0, 0.05])
    """
    several = (
        list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    )
    for one in several:
        if isinstance(one, int | float) and not 0 <= one < math.inf:
            raise InputError(
                f"The parameter `{name}` is {value!r}. Fix: give it finite numbers of at least 0."
            )


def optional_date(name: str, value: str) -> dt.date | None:
    """Return a date from its ISO text (2026-10-31), None where the text is empty, and refuse any other.

    Example:
        >>> optional_date("as_of", "2026-10-31")
        datetime.date(2026, 10, 31)
    """
    if not value:
        return None
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise InputError(
            f"The parameter `{name}` is {value!r}, which is no date. "
            "Fix: write year-month-day, such as 2026-10-31."
        ) from None
