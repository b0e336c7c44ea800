"""What a notebook found: sentences made from estimates, and a record of each for machines."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tenure.errors import InputError, NotApplicable
from tenure.report import format as fmt
from tenure.report.display import FINDING, HEADER, show
from tenure.report.words import fill, say, things, translated
from tenure.result import Estimate

Better = Literal["up", "down"] | None
Sentence = str | Mapping[str, str]

_HEAD = {"as_of": "as_of", "company": "Company", "logo": "logo", "accent": "accent"}
_ID = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")


@dataclass(frozen=True)
class Finding:
    """A number that answers part of a report's question, as it is kept in findings.json.

    Numbers are in `unit`, as an `Estimate` has them; None: not available, or the open end of an interval.

    Attributes:
        id: Its name, stable over runs, such as "churn.median_tenure".
        level: The interval's confidence level.
        n: How many things the value rests on; `of` is one of them: "customer".
        exact: Whether it is counted, not estimated.
        compare_label: What `compare` is, such as "the year before".
        difference: Value less comparison.
        better: Which direction is good.
        verdict: "better", "worse", "higher", "lower" or "no clear change" against `compare`; "" without one.
        lead: Whether it comes before the others where findings are listed.
        unless: What would change the decision that it is; empty: it is none.
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
    unless: str = ""
    shown: dict[str, str] = field(default_factory=dict)


def make_finding(
    id: str,
    sentence: Sentence,
    estimate: Estimate,
    *,
    better: Better = None,
    target: Any = None,
    lead: bool = False,
    unless: Sentence = "",
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
        ('5.1% of customers left in October, 0.50 points more than in the month before.', 'worse')
    """
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InputError(
            f"The finding's id {id!r} must be lower-case words joined by dots, such as churn.median_tenure."
        )
    if better not in ("up", "down", None):
        raise InputError(f"The finding {id} has better={better!r}; it may be 'up', 'down' or None.")
    if not isinstance(estimate, Estimate):
        raise InputError(
            f"The finding {id} needs an Estimate, such as curves.at(12) or tenure.result.counted(8); "
            f"it has {estimate!r}."
        )
    fmt.check_unit(estimate.unit)
    than, moved, who = estimate.compare, estimate.difference, f"The finding {id}"
    given = {
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "compare": than and than.value,
        "difference": moved and moved.value,
        "difference_low": moved and moved.low,
        "difference_high": moved and moved.high,
        "target": target,
    }
    numbers = {name: _plain(who, name, number) for name, number in given.items()}
    if numbers["low"] is not None and numbers["high"] is not None and numbers["low"] > numbers["high"]:
        raise InputError(
            f"{who} has an interval upside down: {estimate.low} to {estimate.high}; swap its ends."
        )
    return Finding(
        id=id,
        sentence=_said(sentence, estimate, who, words, target),
        unit=estimate.unit,
        level=estimate.level,
        n=None if estimate.n is None else int(estimate.n),
        of=estimate.of,
        exact=estimate.exact,
        compare_label=estimate.compare_label,
        better=better,
        verdict=estimate.verdict(better),
        lead=lead,
        unless=_said(unless, estimate, who, words, target) if unless and estimate.known else "",
        shown=_shown(estimate, target),
        **numbers,
    )


def finding(
    id: str,
    sentence: Sentence,
    estimate: Estimate,
    *,
    better: Better = None,
    target: Any = None,
    lead: bool = False,
    unless: Sentence = "",
    **words: Any,
) -> None:
    """Say what was found: show a line to people and keep a record for machines.

    Args:
        id: A name that stays the same over runs, such as "churn.median_tenure"; once in a notebook.
        sentence: A whole sentence, or a set of whole sentences by case: the estimate's own case where a model
            has set one; else "not available", "rose", "fell" or "no clear change" where it was compared;
            else, and for every case that is not in the set, "known". Slots: {value} {low} {high} {interval}
            {level} {n} {compare} {compare_label} {difference} {change} (the difference without its sign)
            {size} (the value without its sign) {target}, the estimate's own words, and `words`;
            ``{n:customer}`` counts.
        better: Which direction is good; None for neither.
        target: What was aimed for, in the same unit.
        lead: Whether it comes before the others in the report's *In short*.
        unless: Of a decision: what would change it, in a sentence or a set of them. It then stands among the
            decisions of the run.
        **words: Further slots: texts, numbers, dates, estimates.

    Raises:
        InputError: The id, the unit, the interval, a case or a slot is not as it should be.
    """
    found = make_finding(
        id, sentence, estimate, better=better, target=target, lead=lead, unless=unless, **words
    )
    record = asdict(found)
    details = describe(record)
    small = f"<br><small>{html.escape(details)}</small>" if details else ""
    page = (
        '<p style="border-left:3px solid currentColor;padding-left:.8em">'
        f"{html.escape(found.sentence)}{small}</p>"
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
        filled = _said(sentence, estimate, "The text", words)
    elif isinstance(sentence, str):
        filled = fill(sentence, words, "The text")
    else:
        raise InputError("The text has sentences by case, but no estimate to choose one by: pass it.")
    if filled:
        show({"text/plain": filled, "text/html": f"<p>{html.escape(filled)}</p>"})


@contextmanager
def section() -> Iterator[None]:
    """End a section that the data cannot answer in its sentence, while the page goes on.

    Example:
        >>> with section():
        ...     raise NotApplicable("Nobody has left yet.")
        Nobody has left yet.
    """
    try:
        yield
    except NotApplicable as why:
        text("{why}", why=translated(str(why)))


def choose(sentence: Sentence, estimate: Estimate, who: str) -> str:
    """Return the sentence that speaks of the estimate's case.

    Raises:
        InputError: There is none for it.

    Example:
        >>> choose({"known": "{value} left.", "not available": "Nobody knows."}, Estimate(float("nan")), "It")
        'Nobody knows.'
    """
    if isinstance(sentence, str):
        return sentence
    case = estimate.case or (estimate.change or "known" if estimate.known else "not available")
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
    parts = evidence(record)
    compared = f"{translated(record.get('verdict', ''))} {parts['against']}".strip()
    return " · ".join(part for part in (parts["interval"], parts["count"], compared, parts["target"]) if part)


def evidence(record: Mapping[str, Any]) -> dict[str, str]:
    """Return what a finding rests on, in words: its interval, n, what it is compared with, and its target."""
    shown: Mapping[str, str] = record["shown"]
    value, better, target = (record.get(name) for name in ("value", "better", "target"))
    parts = dict.fromkeys(("interval", "count", "against", "target"), "")
    if record.get("low") is not None or record.get("high") is not None:
        alike = "{low} at both ends of the {level} interval"  # as of whole months
        kind = alike if shown["low"] == shown["high"] else "{level} interval {interval}"
        parts["interval"] = say(kind, **shown, level=fmt.percent(record.get("level", 0.95)))
    if record.get("n") is not None:
        n = things(record["n"], record["of"]) if record.get("of") else shown["n"]
        parts["count"] = say("based on {n}", n=n)
    if record.get("compare") is not None:
        label = record.get("compare_label", "")
        compare = f"{shown['compare']} ({translated(label)})" if label else shown["compare"]
        kinds = {"no clear change": "from {compare}", "": "compared with {compare}"}
        parts["against"] = say(kinds.get(record.get("verdict", ""), "than {compare}"), compare=compare)
    if target is not None:
        parts["target"] = say("target {target}", target=shown["target"])
        if value is not None and better is not None:
            met = value >= target if better == "up" else value <= target
            parts["target"] += " " + say("met" if met else "missed")
    return parts


def head_of(notebook: Any) -> dict[str, str]:
    """Return what an executed notebook says at its head: as_of (ISO 8601), company, logo and accent."""
    heads = [bundle[HEADER] for bundle in outputs(notebook) if HEADER in bundle]
    said: dict[str, Any] = {}
    for head in heads:
        said |= {**dict(head.get("facts", [])), **head}
    return {name: str(said.get(key) or "") for name, key in _HEAD.items()}


def anchor(id: str) -> str:
    """Return the place of a finding on its report's page."""
    return "finding-" + id.replace(".", "-").replace("_", "-")


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
    plain = [{**record, "shown": dict(record["shown"])} for record in records]
    return sorted(plain, key=lambda record: not record.get("lead"))


def outputs(notebook: Any) -> Iterable[Mapping[str, Any]]:
    """Yield the media bundle of each output of each code cell."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()) if cell["cell_type"] == "code" else ():
            yield output.get("data", {})


def _said(
    sentence: Sentence, estimate: Estimate, who: str, words: Mapping[str, Any], target: Any = None
) -> str:
    """The sentence for the estimate's case, filled; another whole one where a number is missing."""
    about = {"level": fmt.percent(estimate.level), **_shown(estimate, target), "n": estimate.n}
    slots = {**about, **estimate.words, **_sums(estimate), **words}
    chosen = choose(sentence, estimate, who)
    instead = "" if isinstance(sentence, str) else sentence.get("not available", "")
    for one in dict.fromkeys((chosen, instead or chosen)):
        said = fill(one, slots, who)
        if fmt.NOT_AVAILABLE not in said or fmt.NOT_AVAILABLE in one:
            return said
    return fill("The data does not hold what is needed to answer this.", {}, who)


def _sums(estimate: Estimate) -> dict[str, str]:
    """The amounts in a sentence that have no interval, with the same decimals, as in a sum."""
    unit, moved = estimate.unit, estimate.difference
    parts = {"value": estimate, "change": moved and moved.scaled(-1 if moved.value < 0 else 1)}
    same = {
        name: one.value
        for name, one in {**parts, **estimate.words}.items()
        if isinstance(one, Estimate) and one.unit == unit and fmt.missing(one.low) and fmt.missing(one.high)
    }
    return dict(zip(same, fmt.column(same.values(), unit), strict=True)) if unit.startswith("money:") else {}


def _shown(estimate: Estimate, target: Any) -> dict[str, str]:
    unit, moved, than = estimate.unit, estimate.difference, estimate.compare
    return {
        **fmt.written(estimate),
        "n": fmt.value(estimate.n, "count"),
        "compare": fmt.shown(than) if than else fmt.NOT_AVAILABLE,
        "compare_label": translated(estimate.compare_label),
        "difference": fmt.value(moved.value, moved.unit, signed=True) if moved else fmt.NOT_AVAILABLE,
        "change": fmt.written(moved)["size"] if moved else fmt.NOT_AVAILABLE,
        "target": fmt.value(target, unit),
    }


def _plain(who: str, name: str, number: Any) -> float | int | None:
    """A number that JSON can hold; None if it is missing."""
    if fmt.missing(number):
        return None
    try:
        exact = float(number)
    except (TypeError, ValueError):
        raise InputError(f"{who} has {name}={number!r}, which is not a number.") from None
    return int(number) if exact.is_integer() and not isinstance(number, float) else exact
