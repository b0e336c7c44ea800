"""What customers say: answers to surveys, beside those who did not answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_of, end_of, month_index
from tenure.measures.groups import grouped
from tenure.measures.spans import Tables, real


def nps_counts(source: Tables, *, as_of: dt.date, by: str | None = None) -> ir.Table:
    """Count promoters, passives and detractors by the month in which they were asked.

    Only whole scores from 0 to 10 are answers to the question; others are counted apart.

    Returns:
        A row per month and group: month (index), group, sent, answered (on the scale), promoters (9 or 10),
        passives (7 or 8), detractors (0 to 6) and off_scale.
    """
    cut = end_of(as_of)
    rows = source["surveys"].filter((_.survey == "nps") & (_.sent_at < cut))
    rows = real(source, rows)
    given = (answered_at(rows) < cut) & rows.score.notnull()
    rows = rows.mutate(given=given, value=rows.score.fill_null(-1.0))
    rows = rows.mutate(whole=rows.given & rows.value.between(0, 10) & (rows.value == rows.value.floor()))
    rows = grouped(source, rows, by).mutate(month=month_index(rows.sent_at))
    return (
        rows.group_by("month", "group")
        .agg(
            sent=_.count().cast("int64"),
            answered=_.whole.sum().cast("int64"),
            promoters=(_.whole & (_.value >= 9)).sum().cast("int64"),
            passives=(_.whole & (_.value >= 7) & (_.value < 9)).sum().cast("int64"),
            detractors=(_.whole & (_.value < 7)).sum().cast("int64"),
            off_scale=(_.given & ~_.whole).sum().cast("int64"),
        )
        .filter(_.month <= day_of(as_of).month)
        .order_by("month", "group")
    )


def questions(source: Tables, *, as_of: dt.date) -> ir.Table:
    """List the questions of the psychographic survey: question, answered, scores, least, most."""
    rows = _answers(source, as_of)
    return (
        rows.group_by("question")
        .agg(
            answered=_.count().cast("int64"),
            scores=_.score.count().cast("int64"),
            least=_.score.min(),
            most=_.score.max(),
        )
        .order_by("question")
    )


def response(source: Tables, *, as_of: dt.date) -> ir.Table:
    """Count who was asked anything of the psychographic survey, and who answered: asked, answered."""
    asked = _asked(source).filter(_.sent_at < end_of(as_of))
    return asked.aggregate(
        asked=_.customer_id.nunique().cast("int64"),
        answered=_.customer_id.nunique(where=_.given & (answered_at(_) < end_of(as_of))).cast("int64"),
    )


def answers(source: Tables, asked: Sequence[str], *, as_of: dt.date) -> ir.Table:
    """Return each customer's last answers to the psychographic survey, a column a question.

    Args:
        as_of: Answers after this day are not looked at.

    Returns:
        A row per customer who answered anything: customer_id and, for the i-th question from 1, score_i and
        answer_i; null where it was not answered.
    """
    rows = _answers(source, as_of)
    last = rows.group_by("customer_id", "question").agg(sent_at=_.sent_at.max())
    rows = rows.semi_join(last, ["customer_id", "question", "sent_at"])
    columns: dict[str, ir.Value] = {}
    for place, question in enumerate(asked, 1):
        mine = rows.question == question
        columns[f"score_{place}"] = rows.score.max(where=mine)
        columns[f"answer_{place}"] = rows.answer.max(where=mine)
    return rows.group_by("customer_id").agg(**columns)


def _asked(source: Tables) -> ir.Table:
    """Questions of the psychographic survey, and whether they were answered."""
    rows = real(source, source["surveys"].filter(_.survey == "psychographic"))
    return rows.mutate(given=rows.score.notnull() | rows.answer.notnull())


def _answers(source: Tables, as_of: dt.date) -> ir.Table:
    return _asked(source).filter(_.given & (answered_at(_) < end_of(as_of)))


def answered_at(rows: Any) -> ir.TimestampValue:
    """When an answer was given; one without a time, when it was asked for."""
    return ibis.coalesce(rows.answered_at, rows.sent_at)
