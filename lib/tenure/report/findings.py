"""What a notebook found: sentences with a number, its interval and its comparison."""

from __future__ import annotations

import html
import math
import re
import string
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import FINDING, show

_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Finding:
    """A number that answers part of a report's question.

    Attributes:
        id: Its name, stable over runs, such as "churn.median_tenure".
        sentence: The sentence, rendered.
        value: The value in `unit`; None where it is not available.
        low: The lower end of its interval; None where unknown or without bound.
        high: The upper end; None likewise.
        unit: The unit, as :func:`tenure.report.format.check_unit` takes it.
        level: The interval's confidence level.
        n: How many things the value rests on.
        compare: What it is compared with, in the same unit.
        compare_label: What that is, such as "the year before".
        better: Which direction is good.
        target: What was aimed for, in the same unit.
        verdict: "better", "worse", "higher", "lower" or "no clear change" against `compare`; "" without one.
        lead: Whether it stands before the others where findings are listed.
        shown: Value, interval, comparison, difference, target and count as readers see them.
    """

    id: str
    sentence: str
    value: float | int | None
    low: float | int | None
    high: float | int | None
    unit: str
    level: float = 0.95
    n: int | None = None
    compare: float | int | None = None
    compare_label: str = ""
    better: Literal["up", "down"] | None = None
    target: float | int | None = None
    verdict: str = ""
    lead: bool = False
    shown: dict[str, str] = field(default_factory=dict)


def make_finding(
    id: str,
    sentence: str,
    *,
    value: Any,
    low: Any = None,
    high: Any = None,
    unit: str,
    n: Any = None,
    compare: Any = None,
    compare_label: str = "",
    compare_low: Any = None,
    compare_high: Any = None,
    better: Literal["up", "down"] | None = None,
    target: Any = None,
    level: float = 0.95,
    lead: bool = False,
    **words: Any,
) -> Finding:
    """Make a finding without showing it; the parameters are those of :func:`finding`.

    Example:
        >>> found = make_finding(
        ...     "churn.monthly", "{value} of customers left in {month} ({interval}).",
        ...     value=0.051, low=0.048, high=0.055, unit="percent", compare=0.046,
        ...     compare_label="the month before", better="down", month="October",
        ... )
        >>> found.sentence, found.verdict
        ('5.1% of customers left in October (4.8% to 5.5%).', 'worse')
    """
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InputError(
            f"The finding's id {id!r} must be lower-case words joined by dots, such as churn.median_tenure."
        )
    fmt.check_unit(unit)
    if better not in ("up", "down", None):
        raise InputError(f"The finding {id} has better={better!r}; it may be 'up', 'down' or None.")
    given = {"value": value, "low": low, "high": high, "compare": compare, "target": target}
    numbers = {name: _plain(id, name, number) for name, number in given.items()}
    if numbers["low"] is not None and numbers["high"] is not None and numbers["low"] > numbers["high"]:
        raise InputError(f"The finding {id} has an interval upside down: {low} to {high}; swap its ends.")
    size = _plain(id, "n", n)
    clear = _clear_change(
        numbers["value"],
        numbers["low"],
        numbers["high"],
        numbers["compare"],
        _plain(id, "compare_low", compare_low),
        _plain(id, "compare_high", compare_high),
    )
    shown = {
        "value": fmt.value(value, unit),
        "low": fmt.value(low, unit),
        "high": fmt.value(high, unit),
        "interval": fmt.interval(low, high, unit),
        "n": fmt.count(n),
        "compare": fmt.value(compare, unit),
        "difference": _difference(numbers["value"], numbers["compare"], unit),
        "target": fmt.value(target, unit),
    }
    return Finding(
        id=id,
        sentence=fill(sentence, {**words, **shown}, f"The finding {id}"),
        unit=unit,
        level=level,
        n=None if size is None else int(size),
        compare_label=str(compare_label),
        better=better,
        verdict=_verdict(numbers["value"], numbers["compare"], better, clear),
        lead=lead,
        shown=shown,
        **numbers,
    )


def finding(
    id: str,
    sentence: str,
    *,
    value: Any,
    low: Any = None,
    high: Any = None,
    unit: str,
    n: Any = None,
    compare: Any = None,
    compare_label: str = "",
    compare_low: Any = None,
    compare_high: Any = None,
    better: Literal["up", "down"] | None = None,
    target: Any = None,
    level: float = 0.95,
    lead: bool = False,
    **words: Any,
) -> None:
    """Say what was found: shows a line for people and keeps a record for machines.

    The comparison is called better or worse only where it is clear: the value's interval excludes what it is
    compared with or, where that has an interval of its own (`compare_low`, `compare_high`), the interval of
    the difference excludes zero. That interval is made from the two by the method of variance estimates
    recovery (Zou and Donner 2008, doi:10.1002/sim.3095).

    Args:
        id: A name that stays the same over runs, such as "churn.median_tenure"; once in a notebook.
        sentence: A template with any of {value} {low} {high} {interval} {n} {compare} {difference} {target}
            and the names of `words`.
        value: The value in `unit`; None or NaN reads "not available".
        low: The lower end of its interval; None, NaN or minus infinity where there is none.
        high: The upper end; None, NaN or infinity where there is none.
        unit: "percent" and "points" (fractions), "months", "weeks", "days", "years", "count", "number",
            "ratio", "score" or "money:EUR" (minor units).
        n: How many things the value rests on.
        compare: What it is compared with, in the same unit.
        compare_label: What that is, such as "the year before".
        compare_low: The lower end of the comparison's own interval.
        compare_high: The upper end of it.
        better: Which direction is good; None for neither.
        target: What was aimed for, in the same unit.
        level: The confidence level of the interval.
        lead: Whether it stands before the others in the report's *In short*.
        **words: Further placeholders, already formatted.

    Raises:
        InputError: The id, the unit, the interval or a placeholder is not as it should be.
    """
    found = make_finding(
        id,
        sentence,
        value=value,
        low=low,
        high=high,
        unit=unit,
        n=n,
        compare=compare,
        compare_label=compare_label,
        compare_low=compare_low,
        compare_high=compare_high,
        better=better,
        target=target,
        level=level,
        lead=lead,
        **words,
    )
    record = asdict(found)
    details = describe(record)
    page = (
        f'<p style="border-left:3px solid currentColor;padding-left:.8em">{html.escape(found.sentence)}'
        + (f"<br><small>{html.escape(details)}</small>" if details else "")
        + "</p>"
    )
    plain = found.sentence + (f" [{details}]" if details else "")
    show({"text/plain": plain, "text/html": page, FINDING: record})


def text(sentence: str, **words: Any) -> None:
    """Show a reading: a sentence made from numbers, with {placeholders} filled from `words`.

    Example:
        >>> text("Customers of {plan} stay longest.", plan="<b>Pro</b>")
        Customers of <b>Pro</b> stay longest.
    """
    filled = fill(sentence, words, "The text")
    show({"text/plain": filled, "text/html": f"<p>{html.escape(filled)}</p>"})


def describe(record: Mapping[str, Any]) -> str:
    """Say a finding's interval, count, comparison and target in one line.

    Example:
        >>> describe(asdict(make_finding("a.b", "{value}", value=3, low=2, high=4, unit="months", n=1200)))
        '95% interval 2 to 4 months · based on 1,200'
    """
    shown = record.get("shown", {})
    parts = []
    if record.get("low") is not None or record.get("high") is not None:
        parts.append(f"{fmt.percent(record.get('level', 0.95))} interval {shown['interval']}")
    if record.get("n") is not None:
        parts.append(f"based on {shown['n']}")
    if record.get("compare") is not None:
        parts.append(describe_comparison(record))
    if record.get("target") is not None:
        parts.append(describe_target(record))
    return " · ".join(parts)


def describe_comparison(record: Mapping[str, Any]) -> str:
    """Say how a finding compares: "worse than 4.6% in the month before"."""
    if record.get("compare") is None:
        return ""
    against = record["shown"]["compare"]
    label = record.get("compare_label")
    against = f"{against} ({label})" if label else against
    verdict = record.get("verdict")
    if verdict in ("better", "worse", "higher", "lower"):
        return f"{verdict} than {against}"
    return f"{verdict} from {against}" if verdict else f"compared with {against}"


def describe_target(record: Mapping[str, Any]) -> str:
    """Say whether a finding meets its target."""
    target, value, better = record.get("target"), record.get("value"), record.get("better")
    if target is None:
        return ""
    words = f"target {record['shown']['target']}"
    if value is None or better is None:
        return words
    met = value >= target if better == "up" else value <= target
    return f"{words} {'met' if met else 'missed'}"


def read_findings(notebook: Any) -> list[dict[str, Any]]:
    """Return the records of an executed notebook's findings: those that lead, then the others, in order.

    Args:
        notebook: A notebook node, or the same as plain dicts.

    Raises:
        InputError: Two findings have the same id.
    """
    records = [record for bundle in outputs(notebook) if (record := bundle.get(FINDING))]
    seen: set[str] = set()
    for record in records:
        if record["id"] in seen:
            raise InputError(
                f"The finding {record['id']} is said twice in this notebook; give one another id."
            )
        seen.add(record["id"])
    return [_as_dict(record) for record in sorted(records, key=lambda record: not record.get("lead"))]


def outputs(notebook: Any) -> Iterable[Mapping[str, Any]]:
    """Yield the media bundle of each output of each code cell."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()) if cell["cell_type"] == "code" else ():
            yield output.get("data", {})


def fill(template: str, words: Mapping[str, Any], who: str) -> str:
    """Fill the {placeholders} of a sentence.

    Raises:
        InputError: A placeholder is not among the words, or the braces do not match.

    Example:
        >>> fill("{value} left", {"value": "5.1%"}, "The text")
        '5.1% left'
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise InputError(f"{who} has an unmatched brace in {template!r}; write {{{{ for a brace.") from None
    filled = []
    for literal, name, spec, conversion in parts:
        filled.append(literal)
        if name is None:
            continue
        if name not in words or spec or conversion:
            known = ", ".join(sorted(words)) or "none"
            raise InputError(f"{who} has the unknown placeholder {{{name}}}; it knows: {known}.")
        filled.append(str(words[name]))
    return "".join(filled)


def _plain(id: str, name: str, number: Any) -> float | int | None:
    """Return a number that JSON can hold, None if it is missing."""
    if fmt.missing(number):
        return None
    try:
        exact = float(number)
    except (TypeError, ValueError):
        raise InputError(f"The finding {id} has {name}={number!r}, which is not a number.") from None
    if not math.isfinite(exact):
        return None
    return int(number) if exact.is_integer() and not isinstance(number, float) else exact


def _clear_change(
    value: float | None,
    low: float | None,
    high: float | None,
    compare: float | None,
    compare_low: float | None,
    compare_high: float | None,
) -> bool:
    """Say whether the value differs from the comparison beyond what its uncertainty allows."""
    if value is None or compare is None or value == compare:
        return False
    other_low = compare if compare_low is None else compare_low
    other_high = compare if compare_high is None else compare_high
    if value > compare:
        return low is None or value - compare > math.hypot(value - low, other_high - compare)
    return high is None or compare - value > math.hypot(high - value, compare - other_low)


def _verdict(
    value: float | None, compare: float | None, better: Literal["up", "down"] | None, clear: bool
) -> str:
    if value is None or compare is None:
        return ""
    if not clear:
        return "no clear change"
    if better is None:
        return "higher" if value > compare else "lower"
    return "better" if (value > compare) == (better == "up") else "worse"


def _difference(value: float | None, compare: float | None, unit: str) -> str:
    if value is None or compare is None:
        return fmt.NOT_AVAILABLE
    return fmt.value(value - compare, "points" if unit == "percent" else unit, signed=True)


def _as_dict(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in record.items()}
