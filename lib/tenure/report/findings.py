"""What a notebook found: sentences made from estimates, and a record of each for machines."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import FINDING, show
from tenure.report.words import fill, things
from tenure.result import NAN, Estimate

Better = Literal["up", "down"] | None
Sentence = str | Mapping[str, str]

_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Finding:
    """A number that answers part of a report's question, as it is kept in findings.json.

    Attributes:
        id: Its name, stable over runs, such as "churn.median_tenure".
        sentence: The sentence, rendered.
        value: The value in `unit`; None where it is not available.
        low: The lower end of its interval; None where unknown or without bound.
        high: The upper end; None likewise.
        unit: The unit, as an `Estimate` has it.
        level: The interval's confidence level.
        n: How many things the value rests on.
        of: What they are, one of them: "customer".
        exact: Whether it is counted, not estimated.
        compare: What it is compared with, in the same unit.
        compare_label: What that is, such as "the year before".
        difference: Value less comparison, in the same unit.
        difference_low: The lower end of the difference's interval.
        difference_high: The upper end of it.
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
    of: str = ""
    exact: bool = False
    compare: float | int | None = None
    compare_label: str = ""
    difference: float | int | None = None
    difference_low: float | int | None = None
    difference_high: float | int | None = None
    better: Better = None
    target: float | int | None = None
    verdict: str = ""
    lead: bool = False
    shown: dict[str, str] = field(default_factory=dict)


def make_finding(
    id: str,
    sentence: Sentence,
    estimate: Estimate,
    *,
    better: Better = None,
    target: Any = None,
    lead: bool = False,
    **words: Any,
) -> Finding:
    """Make a finding without showing it; the parameters are those of :func:`finding`.

    Example:
        >>> now = Estimate(0.051, 0.048, 0.055, n=8090, of="customer", unit="percent", sample="October")
        >>> then = Estimate(0.046, 0.045, 0.047, unit="percent", sample="September")
        >>> found = make_finding(
        ...     "churn.monthly",
        ...     {"rose": "{value} of customers left in {month}, {change} more than in {compare_label}.",
        ...      "known": "{value} of customers left in {month}."},
        ...     now.against(then, "the month before"), better="down", month="October")
        >>> found.sentence, found.verdict
        ('5.1% of customers left in October, 0.5 points more than in the month before.', 'worse')
    """
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InputError(
            f"The finding's id {id!r} must be lower-case words joined by dots, such as churn.median_tenure."
        )
    if better not in ("up", "down", None):
        raise InputError(f"The finding {id} has better={better!r}; it may be 'up', 'down' or None.")
    fmt.check_unit(estimate.unit)
    than = estimate.compare
    moved = estimate.difference
    numbers = {
        name: _plain(id, name, number)
        for name, number in {
            "value": estimate.value,
            "low": estimate.low,
            "high": estimate.high,
            "compare": than and than.value,
            "difference": moved and moved.value,
            "difference_low": moved and moved.low,
            "difference_high": moved and moved.high,
            "target": target,
        }.items()
    }
    if numbers["low"] is not None and numbers["high"] is not None and numbers["low"] > numbers["high"]:
        raise InputError(
            f"The finding {id} has an interval upside down: {estimate.low} to {estimate.high}; swap its ends."
        )
    shown = _shown(estimate, target)
    slots = {"level": fmt.percent(estimate.level), **shown, "n": estimate.n, **estimate.words, **words}
    return Finding(
        id=id,
        sentence=fill(choose(sentence, estimate, f"The finding {id}"), slots, f"The finding {id}"),
        unit=estimate.unit,
        level=estimate.level,
        n=None if estimate.n is None else int(estimate.n),
        of=estimate.of,
        exact=estimate.exact,
        compare_label=estimate.compare_label,
        better=better,
        verdict=estimate.verdict(better),
        lead=lead,
        shown=shown,
        **numbers,
    )


def finding(
    id: str,
    sentence: Sentence,
    estimate: Estimate | None = None,
    *,
    better: Better = None,
    target: Any = None,
    lead: bool = False,
    **words: Any,
) -> None:
    """Say what was found: shows a line for people and keeps a record for machines.

    Args:
        id: A name that stays the same over runs, such as "churn.median_tenure"; once in a notebook.
        sentence: A whole sentence, or a set of whole sentences by case: the estimate's own case where a model
            has set one; else "not available", "rose", "fell" or "no clear change" where it was compared;
            else, and for every case that is not in the set, "known". Slots: {value} {low} {high} {interval}
            {n} {compare} {compare_label} {difference} {change} (the difference without its sign) {size} (the
            value without its sign) {target}, the estimate's own words, and `words`; ``{n:customer}`` counts.
        estimate: The number.
        better: Which direction is good; None for neither.
        target: What was aimed for, in the same unit.
        lead: Whether it stands before the others in the report's *In short*.
        **words: Further slots: texts, numbers, dates, estimates.

    Raises:
        InputError: The id, the unit, the interval, a case or a slot is not as it should be.
    """
    if estimate is None:
        estimate, words = _from_numbers(words)
    found = make_finding(id, sentence, estimate, better=better, target=target, lead=lead, **words)
    record = asdict(found)
    details = describe(record)
    page = (
        f'<p style="border-left:3px solid currentColor;padding-left:.8em">{html.escape(found.sentence)}'
        + (f"<br><small>{html.escape(details)}</small>" if details else "")
        + "</p>"
    )
    plain = found.sentence + (f" [{details}]" if details else "")
    show({"text/plain": plain, "text/html": page, FINDING: record})


def text(sentence: Sentence, estimate: Estimate | None = None, **words: Any) -> None:
    """Show a reading: a sentence made from numbers, or the one of a set that an estimate's case asks for.

    Example:
        >>> text("Customers of {plan} stay longest.", plan="<b>Pro</b>")
        Customers of <b>Pro</b> stay longest.
        >>> text("{value} left.", Estimate(0.051, unit="percent"))
        5.1% left.
    """
    if estimate is not None:
        words = {**_shown(estimate, None), "n": estimate.n, **estimate.words, **words}
        sentence = choose(sentence, estimate, "The text")
    elif not isinstance(sentence, str):
        raise InputError(
            "The text has sentences by case and no estimate to choose one by; pass the estimate."
        )
    filled = fill(sentence, words, "The text")
    if filled:
        show({"text/plain": filled, "text/html": f"<p>{html.escape(filled)}</p>"})


def choose(sentence: Sentence, estimate: Estimate, who: str) -> str:
    """Return the sentence that speaks of the estimate's case.

    Raises:
        InputError: There is none for it.

    Example:
        >>> choose({"known": "{value} left.", "not available": "Nobody knows."}, Estimate(NAN), "It")
        'Nobody knows.'
    """
    if isinstance(sentence, str):
        return sentence
    case = estimate.case or estimate.change or "known"
    if not estimate.case and not estimate.known:
        case = "not available"
    if case not in sentence and estimate.known:
        case = "known"
    if case not in sentence:
        raise InputError(f"{who} has no sentence for the case {case!r}; it has: {', '.join(sentence)}.")
    return sentence[case]


def describe(record: Mapping[str, Any]) -> str:
    """Say a finding's interval, count, comparison and target in one line.

    Example:
        >>> life = Estimate(3, 2, 4, n=1200, of="customer", unit="months")
        >>> describe(asdict(make_finding("a.b", "{value}", life)))
        '95% interval 2 to 4 months · based on 1,200 customers'
    """
    shown = record.get("shown", {})
    parts = []
    if record.get("low") is not None or record.get("high") is not None:
        parts.append(f"{fmt.percent(record.get('level', 0.95))} interval {shown['interval']}")
    if record.get("n") is not None:
        of = record.get("of") or ""
        parts.append(f"based on {things(record['n'], of) if of else shown['n']}")
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


def _shown(estimate: Estimate, target: Any) -> dict[str, str]:
    unit, moved, than = estimate.unit, estimate.difference, estimate.compare
    size = abs(estimate.value) if estimate.known else None
    return {
        "value": fmt.value(estimate.value, unit),
        "size": fmt.value(size, unit),
        "low": fmt.value(estimate.low, unit),
        "high": fmt.value(estimate.high, unit),
        "interval": fmt.interval(estimate.low, estimate.high, unit),
        "n": fmt.count(estimate.n),
        "compare": fmt.value(than and than.value, unit),
        "compare_label": estimate.compare_label,
        "difference": fmt.value(moved.value, moved.unit, signed=True) if moved else fmt.NOT_AVAILABLE,
        "change": fmt.value(abs(moved.value), moved.unit) if moved else fmt.NOT_AVAILABLE,
        "target": fmt.value(target, unit),
    }


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


def _from_numbers(given: dict[str, Any]) -> tuple[Estimate, dict[str, Any]]:
    """An estimate from the separate numbers of workbooks that have not moved to estimates yet."""

    def number(name: str) -> float:
        value = given.pop(name, None)
        return NAN if fmt.missing(value) else value

    names = ("value", "low", "high", "compare", "compare_low", "compare_high")
    value, low, high, *than = (number(name) for name in names)
    one = Estimate(
        value,
        low,
        high,
        n=None if fmt.missing(given.get("n")) else given["n"],
        unit=given.pop("unit"),
        level=given.pop("level", 0.95),
        exact=math.isnan(low) and math.isnan(high),
        sample="now",
    )
    label = given.pop("compare_label", "")
    given.pop("n", None)
    if math.isnan(than[0]):
        return one, given
    exact = math.isnan(than[1]) and math.isnan(than[2])
    return one.against(
        replace(one, value=than[0], low=than[1], high=than[2], exact=exact, sample="then"), label
    ), given


def _as_dict(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in record.items()}
