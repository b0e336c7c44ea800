"""Cards of segments: who is in them, what they are worth, how to find them, what to do."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import show
from tenure.report.words import say

if TYPE_CHECKING:
    import pandas as pd


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
_SHARE_OF = {"category": "use of", "platform": "use on", "feature": "use of feature"}
_TRAITS = 3


def feature_words(name: str, labels: Mapping[str, tuple[str, str]], money: str = "number") -> tuple[str, str]:
    """Return how a feature reads, and its unit.

    Example:
        >>> feature_words("platform_2", {"platform_2": ("platform", "phone")})
        ('use on phone', 'percent')
    """
    if name in labels:
        kind, level = labels[name]
        return f"{_SHARE_OF.get(kind, kind)} {level.replace('_', ' ')}", "percent"
    if name == "value":
        return "pay per month", money
    return WORDS.get(name, (name.replace("_", " "), "number"))


def worded(
    effects: pd.DataFrame, labels: Mapping[str, tuple[str, str]], money: str = "number"
) -> pd.DataFrame:
    """Return effects with a column trait, and with inside and outside written in their units.

    Args:
        effects: Columns feature, inside and outside.
        labels: The columns that hold shares, with their kind and level.
        money: The unit of what customers pay.

    Example:
        >>> import pandas as pd
        >>> effects = pd.DataFrame({"feature": ["tv"], "inside": [0.5], "outside": [0.1]})
        >>> worded(effects, {"tv": ("platform", "tv")}).values.tolist()
        [['tv', '50%', '10%', 'use on tv']]
    """
    words = [feature_words(name, labels, money) for name in effects["feature"]]
    sides = {
        side: [fmt.value(number, unit) for number, (_words, unit) in zip(effects[side], words, strict=True)]
        for side in ("inside", "outside")
    }
    return effects.assign(**sides, trait=[trait for trait, _unit in words])


def rule_words(
    conditions: Iterable[Any], labels: Mapping[str, tuple[str, str]], money: str = "number"
) -> str:
    """Say the conditions of a rule: "use of Kids above 27% and use on tablet above 15%".

    Args:
        conditions: Each with feature, above and threshold.
        labels: The columns that hold shares, with their kind and level.
        money: The unit of what customers pay.
    """
    parts = []
    for condition in conditions:
        words, unit = feature_words(condition.feature, labels, money)
        side = "above" if condition.above else "at most"
        parts.append(f"{words} {side} {fmt.value(condition.threshold, unit)}")
    return " and ".join(parts)


def personas(who: Any, horizon: int) -> None:
    """Show a card for each segment.

    Args:
        who: What the members of each segment are like.
        horizon: Months that the worth is over.
    """
    worth, labels = who.worth, who.labels
    money = worth.table.units["arpa"]
    entries = []
    for row in worth.table.frame.to_dict("records"):
        name = str(row["segment"])
        curve = worth.curve(name)
        ended = fmt.percent(curve[-1])
        mine = who.effects[who.effects["segment"] == name]
        entries.append(
            {
                "name": name[:1].upper() + name[1:],
                "size": say(
                    "{n:customer}, {share} of all, pay {paid} per month, {part} of the revenue",
                    n=int(row["customers"]),
                    share=fmt.percent(row["share"]),
                    paid=fmt.value(row["value_minor"], money),
                    part=fmt.percent(row["value_share"]),
                ),
                "numbers": _numbers(row, money, horizon),
                "curve": curve,
                "curve_words": say("Still there after {n:month}: {share}", n=len(curve) - 1, share=ended)
                if len(curve) > 1
                else "",
                "sections": [
                    ("What sets them apart", _traits(mine, labels, money)),
                    ("More common among them", _common(who.common, name)),
                    ("A typical member", _member(who.typical, name, mine, labels, money)),
                    ("How to find them", _rule(who.rules.get(name), labels, money)),
                    ("What to do", who.actions.get(name, "")),
                ],
            }
        )
    cards(entries)


def cards(entries: Sequence[Mapping[str, Any]]) -> None:
    """Show cards: a name, numbers, a small curve and sections.

    Args:
        entries: For each card: name; size (a line); numbers (label, value and interval, already formatted);
            curve (shares still there, from 1 on); curve_words (what it shows); and sections (pairs of a
            heading and a line or a list of lines).

    Raises:
        InputError: A card has no name.

    Example:
        >>> cards([{"name": "<Fans>", "numbers": [("Pay", "€9", "")]}])
        <Fans>
          Pay: €9
    """
    pages, plain = [], []
    for entry in entries:
        if not str(entry.get("name", "")).strip():
            raise InputError("A card has no name.")
        pages.append(_card(entry))
        numbers = [f"  {label}: {value}" for label, value, _sure in entry.get("numbers", ())]
        plain.append("\n".join([str(entry["name"]), *numbers]))
    show({"text/plain": "\n".join(plain), "text/html": f'<ul class="cards personas">{"".join(pages)}</ul>'})


def _card(entry: Mapping[str, Any]) -> str:
    numbers = "".join(
        f"<div><dt>{html.escape(str(label))}</dt><dd>{html.escape(str(value))}"
        f"<small>{html.escape(str(sure))}</small></dd></div>"
        for label, value, sure in entry.get("numbers", ())
    )
    sections = "".join(
        f'<p class="evidence">{html.escape(str(title))}</p>{_lines(lines)}'
        for title, lines in entry.get("sections", ())
        if lines
    )
    return (
        f'<li class="card"><h3>{html.escape(str(entry["name"]))}</h3>'
        f'<p class="size">{html.escape(str(entry.get("size", "")))}</p>'
        f"{_curve(entry)}<dl>{numbers}</dl>{sections}</li>"
    )


def _lines(lines: str | Sequence[str]) -> str:
    if isinstance(lines, str):
        return f'<p class="line">{html.escape(lines)}</p>'
    return f"<ul>{''.join(f'<li>{html.escape(str(line))}</li>' for line in lines)}</ul>"


def _curve(entry: Mapping[str, Any]) -> str:
    """A small churn curve, from everybody on the left to those still there on the right."""
    shares = [float(share) for share in entry.get("curve", ()) if not fmt.missing(share)]
    if len(shares) < 2:
        return ""
    width, height = 240, 48
    # All cards have the same scale, from nobody to everybody, so that they can be compared.
    points = " ".join(
        f"{width * place / (len(shares) - 1):.1f},{(1 - share) * height:.1f}"
        for place, share in enumerate(shares)
    )
    words = html.escape(str(entry.get("curve_words", "")), quote=True)
    return (
        f'<svg role="img" aria-label="{words}" viewBox="0 0 {width} {height}" preserveAspectRatio="none">'
        f'<line x1="0" y1="0" x2="{width}" y2="0"/><line x1="0" y1="{height}" x2="{width}" y2="{height}"/>'
        f'<polyline points="{points}"/></svg><p class="size">{words}</p>'
    )


def _numbers(row: Mapping[Any, Any], money: str, horizon: int) -> list[tuple[str, str, str]]:
    named = (
        ("Pay per month", "arpa", money),
        ("Leave per month", "churn", "percent"),
        ("Revenue kept", "retained", "percent"),
        (f"Worth over {horizon} months", "worth", money),
    )
    return [
        (
            label,
            fmt.value(row[column], unit),
            ""
            if fmt.missing(row.get(f"{column}_low"))
            else fmt.interval(row[f"{column}_low"], row[f"{column}_high"], unit),
        )
        for label, column, unit in named
        if not fmt.missing(row.get(column))
    ]


def _traits(effects: pd.DataFrame, labels: Mapping[str, tuple[str, str]], money: str) -> list[str]:
    """The differences that are clear, the largest first, each with its effect size."""
    rows = [
        row
        for row in effects.to_dict("records")
        if abs(row["g"]) >= 0.2 and (row["g_low"] > 0 or row["g_high"] < 0)
    ]
    rows.sort(key=lambda row: (-abs(row["g"]), row["feature"]))
    lines = []
    for row in rows:
        words, unit = feature_words(row["feature"], labels, money)
        inside, outside = fmt.value(row["inside"], unit), fmt.value(row["outside"], unit)
        if inside != outside:  # rare things differ in how rare they are, which the middle does not show
            lines.append(
                f"{words[:1].upper() + words[1:]}: {inside} against {outside} of others "
                f"(effect {fmt.value(row['g'], 'number', digits=1, signed=True)}, "
                f"{fmt.interval(round(row['g_low'], 1), round(row['g_high'], 1), 'number')})"
            )
    return lines[:_TRAITS]


def _common(common: pd.DataFrame, name: str) -> list[str]:
    if common.empty:
        return []
    mine = common[(common["segment"] == name) & (common["ratio_low"] > 1)]
    mine = mine.sort_values("ratio", ascending=False, kind="stable").head(_TRAITS)
    return [
        f"{str(row['characteristic']).replace('_', ' ')}: {row['level']} {fmt.value(row['ratio'], 'ratio')} "
        f"({fmt.interval(row['ratio_low'], row['ratio_high'], 'ratio')})"
        for row in mine.to_dict("records")
    ]


def _member(
    typical: pd.DataFrame, name: str, effects: pd.DataFrame, labels: Mapping[str, tuple[str, str]], money: str
) -> str:
    if name not in typical.index:
        return ""
    member = typical.loc[name].to_dict()
    mine = effects.dropna(subset=["g"])
    order = mine.reindex(mine["g"].abs().sort_values(ascending=False, kind="stable").index)
    parts = []
    for feature in order["feature"].head(_TRAITS + 1):
        words, unit = feature_words(feature, labels, money)
        if not fmt.missing(member.get(feature)):
            parts.append(f"{words} {fmt.value(member[feature], unit)}")
    return f"Customer {member['customer_id']}: " + ", ".join(parts) if parts else ""


def _rule(rule: Any, labels: Mapping[str, tuple[str, str]], money: str) -> str:
    if rule is None:
        return ""
    words = rule_words(rule.conditions, labels, money)
    sure = fmt.interval(rule.precision.low, rule.precision.high, "percent")
    return (
        f"{words[:1].upper() + words[1:]}. Of those, {fmt.percent(rule.precision.value)} ({sure}) are in the "
        f"segment; the rule finds {fmt.percent(rule.recall.value)} of it."
    )
