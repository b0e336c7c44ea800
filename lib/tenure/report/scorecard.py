"""A table of metrics that each have a unit of their own."""

from __future__ import annotations

from typing import Any

from tenure.report import format as fmt
from tenure.report.tables import table, table_of
from tenure.report.words import say, things, translated
from tenure.result import from_ends

_SIGNS = {"better": "▲", "worse": "▼", "higher": "▲", "lower": "▼", "no clear change": "≈"}


def scorecard(card: Any, *, caption: str) -> None:
    """Show metrics with their intervals, comparisons and targets, each in its unit.

    Args:
        card: As from `tenure.models.metrics.scorecard`: metric, unit, now, low, high, counted (whether it has
            no interval), n, of, before, against_before, year_ago, against_year_ago, target, met.
        caption: What the table shows.
    """
    given = table_of(card)
    rows = given.frame.to_dict("records")
    said = [
        fmt.written(from_ends((row["now"], row["low"], row["high"]), unit=row["unit"]), exact=True)
        for row in rows
    ]
    shown = given.frame[["metric"]].assign(
        now=[one["value"] for one in said],
        now_interval=[
            say("counted") if row["counted"] else one["interval"] for row, one in zip(rows, said, strict=True)
        ],
        based_on=[things(row["n"], row["of"]) for row in rows],
        before=[_judged(row["before"], row["unit"], row["against_before"]) for row in rows],
        a_year_ago=[_judged(row["year_ago"], row["unit"], row["against_year_ago"]) for row in rows],
    )
    if given.frame["target"].notna().any():
        met = {"yes": say("met"), "no": say("missed"), "": ""}
        shown["target"] = [
            f"{fmt.value(row['target'], row['unit'])} {met[row['met']]}".strip() for row in rows
        ]
    signs = (
        "▲ and ▼ say how a number has changed, ≈ that there is no clear change; "
        "without a sign it is not judged."
    )
    table(shown, caption=caption, note=" ".join([say(signs), *given.notes]))


def _judged(value: Any, unit: str, verdict: str) -> str:
    sign = _SIGNS.get(verdict, "")
    judged = "" if verdict == "no clear change" else translated(verdict)
    return " ".join(part for part in (fmt.value(value, unit), sign, judged) if part)
