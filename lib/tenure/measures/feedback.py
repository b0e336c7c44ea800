"""What customers say: answers to surveys, beside those who did not answer."""

from __future__ import annotations

import datetime as dt

import ibis
from ibis import _, ir

from tenure.measures.calendar import day_of, month_index
from tenure.measures.spans import Tables
from tenure.measures.subscriptions import group_column


def nps_counts(source: Tables, *, as_of: dt.date, by: str | None = None) -> ir.Table:
    """Count promoters, passives and detractors by the month in which they were asked.

    Only whole scores from 0 to 10 are answers to the question; others are counted apart.

    Args:
        source: Contract tables with surveys.
        as_of: The last day of the data; later answers are not known yet.
        by: Split by this column of the customers; None: all.

    Returns:
        A row a month and group: month (index), group, sent, answered (on the scale), promoters (9 or 10),
        passives (7 or 8), detractors (0 to 6) and off_scale.

    Raises:
        InputError: `by` is not available.
    """
    cut = ibis.literal(dt.datetime.combine(as_of + dt.timedelta(days=1), dt.time()), "timestamp")
    rows = source["surveys"].filter((_.survey == "nps") & (_.sent_at < cut))
    rows = rows.anti_join(source["customers"].filter(_.is_test).select("customer_id"), "customer_id")
    given = ((rows.answered_at < cut) & rows.score.notnull()).fill_null(False)
    rows = rows.mutate(given=given, value=rows.score.fill_null(-1.0))
    rows = rows.mutate(whole=rows.given & rows.value.between(0, 10) & (rows.value == rows.value.floor()))
    rows = group_column(source, rows, by) if by else rows
    group = rows[by] if by else ibis.literal("all")
    return (
        rows.group_by(month=month_index(rows.sent_at), group=group)
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
