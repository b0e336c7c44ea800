"""Cards of segments: who is in them, what they are worth, how to find them, what to do.

`labels` are the columns that hold shares, with their kind and level; `money` is the unit of payments.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.report import format as fmt
from tenure.report.display import show
from tenure.report.words import say, word
from tenure.result import from_row

if TYPE_CHECKING:
    import pandas as pd

Labels = Mapping[str, tuple[str, str]]

# How features read in a sentence, and their unit.
WORDS: dict[str, tuple[str, str]] = {
    "events_a_month": ("events per month", "number"),
    "active_days_a_month": ("active days per month", "number"),
    "minutes": ("minutes at a time", "number"),
    "weekend": ("use at weekends", "percent"),
    "daytime": ("use from 6 to 18 o'clock", "percent"),
    "trend": ("trend of use", "number"),
    "breadth": ("kinds of use", "number"),
    "tenure_days": ("days subscribed", "count"),
    "tickets_a_year": ("support requests per year", "number"),
    "recency": ("days since the last use", "count"),
    "frequency": ("active days", "count"),
}
_SHARE_OF = {"category": "use of {level}", "platform": "use on {level}", "feature": "use of feature {level}"}
_TRAITS = 3


def feature_words(name: str, labels: Labels, money: str = "number") -> tuple[str, str]:
    """Return how a feature reads, and its unit.

    Example:
        >>> feature_words("platform_2", {"platform_2": ("platform", "phone")})
        ('use on phone', 'percent')
    """
    if name in labels:
        kind, level = labels[name]
        return say(_SHARE_OF.get(kind, "{kind} {level}"), kind=kind, level=level.replace("_", " ")), "percent"
    if name == "value":
        return say("pay per month"), money
    words, unit = WORDS.get(name, (name.replace("_", " "), "number"))
    return word(words), unit


def worded(effects: pd.DataFrame, labels: Labels, money: str = "number") -> pd.DataFrame:
    """Return effects with a column trait, and with inside and outside written in their units.

    Args:
        effects: Columns feature, inside and outside.
        labels: The columns that hold shares.
        money: The unit of what customers pay.

    Example:
        >>> import pandas as pd
        >>> effects = pd.DataFrame({"feature": ["tv"], "inside": [0.5], "outside": [0.1]})
        >>> worded(effects, {"tv": ("platform", "tv")}).values.tolist()
        [['tv', '50%', '10%', 'use on tv']]
    """
    words = [feature_words(name, labels, money) for name in effects["feature"]]
    units = [unit for _, unit in words]
    sides = {side: list(map(fmt.value, effects[side], units)) for side in ("inside", "outside")}
    return effects.assign(**sides, trait=[trait for trait, _ in words])


def personas(who: Any, horizon: int) -> None:
    """Show a card for each segment.

    Args:
        who: What the members of each segment are like.
        horizon: Months that the worth is over.
    """
    worth, labels = who.worth, who.labels
    money = worth.table.units["arpa"]
    pages, plain = [], []
    for row in worth.table.frame.to_dict("records"):
        name = str(row["segment"])
        size = say(
            "{n:customer}, {share} of all, pay {paid} per month, {part} of the revenue",
            n=int(row["customers"]), share=(row["share"], "percent"),
            paid=(row["value_minor"], money), part=(row["value_share"], "percent"),
        )  # fmt: skip
        mine = worded(who.effects[who.effects["segment"] == name], labels, money)
        sections = {
            say("What sets them apart"): _traits(mine),
            say("More common among them"): _common(who.common, name),
            say("A typical member"): _member(who.typical, name, mine, labels, money),
            say("How to find them"): _rule(who.rules.get(name), labels, money),
        }
        numbers, title = _numbers(row, money, horizon), word(name)[:1].upper() + word(name)[1:]
        pages.append(_card(title, size, worth.curve(name), numbers, sections, who.actions.get(name, "")))
        plain.append("\n".join([title, *(f"  {label}: {value}" for label, value, _ in numbers)]))
    show({"text/plain": "\n".join(plain), "text/html": f'<ul class="cards personas">{"".join(pages)}</ul>'})


def _card(
    name: str,
    size: str,
    curve: Sequence[float],
    numbers: Sequence[tuple[str, str, str]],
    sections: Mapping[str, str | Sequence[str]],
    action: str,
) -> str:
    terms = "".join(
        f"<div><dt>{html.escape(label)}</dt><dd>{html.escape(value)}<small>{html.escape(sure)}</small></dd></div>"
        for label, value, sure in numbers
    )
    parts = "".join(
        f'<p class="evidence">{html.escape(title)}</p>{_lines(lines)}'
        for title, lines in sections.items()
        if lines
    )
    words = html.escape(say("More about “{name}”", name=name), quote=True)
    more = f"{_curve(curve)}<dl>{terms}</dl>{parts}"
    head = f'<h3>{html.escape(name)}</h3><p class="size">{html.escape(size)}</p>'
    return (
        f'<li class="card">{head}{_lines(word(action))}'
        f'<details><summary aria-label="{words}">{say("More")}</summary>{more}</details></li>'
    )


def _lines(lines: str | Sequence[str]) -> str:
    if isinstance(lines, str):
        return f'<p class="line">{html.escape(lines)}</p>'
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def _curve(curve: Sequence[float]) -> str:
    """A small churn curve, from everybody on the left to those still there on the right."""
    shares = [float(share) for share in curve if not fmt.missing(share)]
    if len(shares) < 2:
        return ""
    width, height, last = 240, 48, len(shares) - 1
    # All cards have the same scale, from nobody to everybody, so that they can be compared.
    points = " ".join(
        f"{width * place / last:.1f},{(1 - share) * height:.1f}" for place, share in enumerate(shares)
    )
    ended = (curve[-1], "percent")
    words = html.escape(
        say("Still there after {n:month}: {share}", n=len(curve) - 1, share=ended), quote=True
    )
    return (
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        f'<line x1="0" y1="0" x2="{width}" y2="0"/><line x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
        f'<polyline points="{points}"/></svg><p class="size">{words}</p>'
    )


def _numbers(row: Mapping[Any, Any], money: str, horizon: int) -> list[tuple[str, str, str]]:
    """What is known of a segment in numbers: label, value and interval."""
    named = (
        (say("Pay per month"), "arpa", money),
        (say("Leave per month"), "churn", "percent"),
        (say("Revenue kept"), "retained", "percent"),
        (say("Worth over {n:month}", n=horizon), "worth", money),
    )
    numbers = []
    for label, column, unit in named:
        known = from_row(row, column, unit=unit)
        if known.known:
            said = fmt.written(known)
            numbers.append((label, said["value"], "" if fmt.missing(known.low) else said["interval"]))
    return numbers


def _traits(effects: pd.DataFrame) -> list[str]:
    """The differences that are clear, the largest first, each with its effect size."""
    clear = effects[(effects["g"].abs() >= 0.2) & ((effects["g_low"] > 0) | (effects["g_high"] < 0))]
    # Rare things differ in how rare they are, which the middle does not show.
    clear = clear[clear["inside"] != clear["outside"]]
    rows = sorted(clear.to_dict("records"), key=lambda row: (-abs(row["g"]), row["feature"]))
    return [
        say(
            "{name}: {inside} against {outside} of others (effect {g}, {sure})",
            name=row["trait"][:1].upper() + row["trait"][1:], inside=row["inside"], outside=row["outside"],
            g=fmt.value(row["g"], "score", digits=1, signed=True),
            sure=fmt.interval(row["g_low"], row["g_high"], "score", 1),
        )
        for row in rows[:_TRAITS]
    ]  # fmt: skip


def _common(common: pd.DataFrame, name: str) -> list[str]:
    if common.empty:
        return []
    mine = common[(common["segment"] == name) & (common["ratio_low"] > 1)]
    mine = mine.sort_values("ratio", ascending=False, kind="stable").head(_TRAITS)
    return [
        f"{str(row['characteristic']).replace('_', ' ')}: {row['level']} {said['value']} ({said['interval']})"
        for row in mine.to_dict("records")
        for said in [fmt.written(from_row(row, "ratio", unit="ratio"))]
    ]


def _member(typical: pd.DataFrame, name: str, effects: pd.DataFrame, labels: Labels, money: str) -> str:
    if name not in typical.index:
        return ""
    member, mine = typical.loc[name].to_dict(), effects.dropna(subset=["g"])
    order = mine["g"].abs().sort_values(ascending=False, kind="stable").index
    parts = []
    for feature in mine.loc[order, "feature"].head(_TRAITS + 1):
        words, unit = feature_words(feature, labels, money)
        if not fmt.missing(member.get(feature)):
            parts.append(f"{words} {fmt.value(member[feature], unit)}")
    return ", ".join(parts)


def _rule(rule: Any, labels: Labels, money: str) -> str:
    """A rule, such as "Use of Kids above 27% and use on tablet above 15%", and how far it is right."""
    if rule is None:
        return ""
    parts = []
    for condition in rule.conditions:
        words, unit = feature_words(condition.feature, labels, money)
        side = "{name} above {edge}" if condition.above else "{name} at most {edge}"
        parts.append(say(side, name=words, edge=(condition.threshold, unit)))
    conditions, right = fmt.join(parts), fmt.written(rule.precision)
    return say(
        "{rule}. Of those, {right} ({sure}) are in the segment; the rule finds {found} of it.",
        rule=conditions[:1].upper() + conditions[1:], right=right["value"], sure=right["interval"],
        found=rule.recall,
    )  # fmt: skip
