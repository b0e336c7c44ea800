"""Checks of a notebook's parameters: one clear sentence for each way to get them wrong."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from tenure.errors import InputError
from tenure.renamed import now_called

_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "list": (list,),
}


def check_parameters(names: Mapping[str, Any]) -> None:
    """Refuse parameters that the notebook does not have, or whose values are of the wrong type.

    Papermill only warns about a misspelt parameter and runs on the defaults. This compares the cell it
    injects (it begins with ``# Parameters``) with the notebook's own parameters cell: of the cells of nothing
    but annotated assignments, the one with the most. What was run before that cell was run last does not
    count, so that a notebook can be mended and run again in one kernel.

    Args:
        names: The notebook's ``globals()``.

    Raises:
        InputError: A parameter is unknown, or its value is not of the declared type.
    """
    cells, place, known = _parameters_cell(names)
    injected = [cell for cell in cells[place:] if cell.lstrip().startswith("# Parameters")]
    for name in _assigned(injected[-1]) if injected and known else []:
        if name not in known:
            raise InputError(unknown_name("parameter", name, known))
    for name, (type_name, default) in known.items():
        if names[name] is not None or default is not None:
            check_type(name, names[name], type_name)


def declared(names: Mapping[str, Any]) -> list[str]:
    r"""Return the names of a notebook's parameters.

    Args:
        names: The notebook's ``globals()``.

    Example:
        >>> declared({"In": ["", "data: str = ''\nhorizon: int = 24", "x = 1"]})
        ['data', 'horizon']
    """
    return list(_parameters_cell(names)[2])


def _parameters_cell(names: Mapping[str, Any]) -> tuple[list[str], int, dict[str, tuple[str, Any]]]:
    """The cells that were run, the place of the parameters' and each parameter's type and default."""
    cells = [cell for cell in names.get("In", []) if cell.strip()]
    found = [(len(types), place, types) for place, cell in enumerate(cells) if (types := _declared(cell))]
    _, place, known = max(found, key=lambda one: one[:2], default=(0, 0, {}))
    return cells, place, known


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence that refuses a name and says what it is called now, or suggests the nearest one.

    Example:
        >>> unknown_name("parameter", "perod", ["period", "by"])
        'There is no parameter `perod`; did you mean `period`? Known: by, period.'
    """
    known = sorted(known)
    new = now_called(kind, name)
    nearest = get_close_matches(name, known, n=1)
    hint = f"; it is now {new}." if new else f"; did you mean `{nearest[0]}`?" if nearest else "."
    return f"There is no {kind} `{name}`{hint} Known: {', '.join(known)}."


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


def check_type(name: str, value: Any, type_name: str) -> None:
    """Refuse a value that is not of the declared type: str, int, float, bool, list or ``list[...]``.

    Raises:
        InputError: The value is of another type.

    Example:
        >>> check_type("horizon", 24, "int")
    """
    allowed = _TYPES.get(type_name.partition("[")[0])
    is_bool = isinstance(value, bool)
    if allowed and (not isinstance(value, allowed) or (is_bool and bool not in allowed)):
        raise InputError(
            f"The parameter `{name}` must be of type {type_name}, but {value!r} is of type "
            f"{type(value).__name__}."
        )


def one_of(name: str, value: str, allowed: Iterable[str]) -> str:
    """Return the value if it is allowed.

    Raises:
        InputError: It is not; the sentence lists what is.

    Example:
        >>> one_of("period", "month", ["day", "week", "month"])
        'month'
    """
    allowed = list(allowed)
    if value not in allowed:
        nearest = get_close_matches(str(value), allowed, n=1)
        hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
        raise InputError(
            f"The parameter `{name}` is {value!r}, which is not available{hint} "
            f"Allowed: {', '.join(allowed)}."
        )
    return value


def at_least(name: str, value: int, low: int) -> int:
    """Return the value if it is not below `low`.

    Raises:
        InputError: It is below.

    Example:
        >>> at_least("horizon", 24, 1)
        24
    """
    if value < low:
        raise InputError(f"The parameter `{name}` is {value}, but it must be at least {low}.")
    return value


def between(name: str, value: float, low: float, high: float) -> float:
    """Return the value if it lies between two others, or is one of them.

    Raises:
        InputError: It does not.

    Example:
        >>> between("alpha", 0.05, 0, 1)
        0.05
    """
    if not low <= value <= high:
        raise InputError(f"The parameter `{name}` is {value}, but it must be from {low} to {high}.")
    return value


def optional_date(name: str, value: str, default: dt.date | None = None) -> dt.date | None:
    """Return a date from its ISO text (2026-10-31), or the default where the text is empty.

    Raises:
        InputError: The text is no date.

    Example:
        >>> optional_date("as_of", "2026-10-31")
        datetime.date(2026, 10, 31)
    """
    if not value:
        return default
    try:
        return dt.date.fromisoformat(value)
    except ValueError:
        raise InputError(
            f"The parameter `{name}` is {value!r}, which is no date. "
            "Write year-month-day, such as 2026-10-31."
        ) from None


def _declared(cell: str) -> dict[str, tuple[str, Any]]:
    body = _parse(cell)
    if not body or not all(isinstance(line, ast.AnnAssign) for line in body):
        return {}
    return {
        line.target.id: (ast.unparse(line.annotation), _literal(line.value))
        for line in body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def _literal(value: ast.expr | None) -> Any:
    """A default that is written out; what is computed counts as not None."""
    return value.value if isinstance(value, ast.Constant) else value


def _assigned(cell: str) -> list[str]:
    return [
        target.id
        for line in _parse(cell)
        if isinstance(line, ast.Assign)
        for target in line.targets
        if isinstance(target, ast.Name)
    ]


def _parse(cell: str) -> list[ast.stmt]:
    try:
        return ast.parse(cell).body
    except SyntaxError:
        return []
