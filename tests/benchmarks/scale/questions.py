"""What is asked of the large company: the measures that read a large table, each with its floor.

A floor is the one distinct count that no way of answering can do without, such as the days on which each
customer was active. Measures that only go on from another's rows are not repeated.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from ibis import ir

from tenure.measures import (
    acquisition,
    engagement,
    experiments,
    features,
    purchases,
    research,
    revenue,
    subscriptions,
    value,
)
from tenure.sources import Source

AS_OF = dt.date(2026, 10, 31)
SHARES = {"category": {"Drama": 0.3, "Kids": 0.2}, "platform": {"tv": 0.5}, "feature": {"search": 0.1}}


@dataclass(frozen=True)
class Question:
    """A measure, and its floor as SQL over the tables: what has to be told apart, and from where."""

    build: Callable[[Source], ir.Table]
    distinct: str
    written: bool = False  # a row per customer: the engine writes it as Parquet


def _events(keys: str, days: int | None = None) -> str:
    since = f" and occurred_at >= timestamp '{AS_OF - dt.timedelta(days=days - 1)}'" if days else ""
    return f"select distinct {keys} from events where occurred_at < timestamp '2026-11-01'{since}"


def _histories(s: Source) -> ir.Table:
    return purchases.histories(s, as_of=AS_OF, kinds=("recurring", "one_off"))


def _experiment(s: Source) -> ir.Table:
    units = experiments.outcomes(s, experiment="standard_price_2025", as_of=AS_OF, window_days=90)
    return experiments.moments(units, ["converted", "paid_days", "charges"], by=["variant"])


def _stays(s: Source) -> ir.Table:
    return value.stays(s, by="plan", dims=["country"], as_of=AS_OF)


def _usage(s: Source) -> ir.Table:
    return features.usage(s, as_of=AS_OF, days=90, shares=SHARES)


DAY = "cast(occurred_at as date)"
PAYERS = "select distinct customer_id from subscriptions"
YEAR_AGO = dt.date(2025, 10, 31)
LAST = AS_OF.year * 12 + AS_OF.month - 1

QUESTIONS = {
    "engagement.event_kinds": Question(lambda s: engagement.event_kinds(s, as_of=AS_OF), _events("event", 365)),
    "engagement.active_days": Question(
        lambda s: engagement.active_days(s, as_of=AS_OF, days=400), _events(f"customer_id, {DAY}", 400)
    ),
    "engagement.return_days": Question(lambda s: engagement.return_days(s, as_of=AS_OF), _events("customer_id")),
    "engagement.days_used": Question(
        lambda s: engagement.days_used(s, as_of=AS_OF), _events(f"customer_id, {DAY}", 56)
    ),
    "engagement.feature_use": Question(
        lambda s: engagement.feature_use(s, as_of=AS_OF), _events("customer_id, feature", 56)
    ),
    "engagement.sessions": Question(
        lambda s: engagement.sessions(s, as_of=AS_OF, days=180), _events("customer_id, occurred_at", 180)
    ),
    "engagement.content_use": Question(
        lambda s: engagement.content_use(s, as_of=AS_OF), _events("customer_id, content_id", 28)
    ),
    "engagement.silent_payers": Question(
        lambda s: engagement.silent_payers(s, as_of=AS_OF), _events("customer_id")
    ),
    "features.usage_levels": Question(
        lambda s: features.usage_levels(s, as_of=AS_OF, days=90), _events("content_id, platform, feature", 90)
    ),
    "features.usage": Question(_usage, _events(f"customer_id, {DAY}", 90), written=True),
    "research.usage_counts": Question(
        lambda s: research.usage_counts(s, as_of=AS_OF, event="play"), _events(f"customer_id, {DAY}", 90)
    ),
    "purchases.grouped_counts": Question(
        lambda s: purchases.grouped_counts(_histories(s)),
        "select distinct customer_id, currency, cast(attempted_at as date) from payments where status = 'paid'",
    ),
    "value.paid_by_tenure": Question(
        lambda s: value.paid_by_tenure(s, _stays(s), since=YEAR_AGO, as_of=AS_OF),
        "select distinct customer_id from payments where attempted_at >= timestamp '2025-10-31'",
    ),
    "value.paid_by_cohort": Question(
        lambda s: value.paid_by_cohort(s, _stays(s), as_of=AS_OF), "select distinct customer_id from payments"
    ),
    "experiments.moments": Question(_experiment, "select distinct unit_id from assignments"),
    "acquisition.trials": Question(
        lambda s: acquisition.trials(s, as_of=AS_OF, by="channel"), "select distinct customer_id from visits"
    ),
    "subscriptions.life_table": Question(
        lambda s: subscriptions.life_table(s, by="plan", as_of=AS_OF), PAYERS
    ),
    "subscriptions.retention_triangle": Question(
        lambda s: subscriptions.retention_triangle(s, as_of=AS_OF), PAYERS
    ),
    "revenue.mrr_movements": Question(lambda s: revenue.mrr_movements(s, as_of=AS_OF, by="plan"), PAYERS),
    "revenue.mrr_balances": Question(lambda s: revenue.mrr_balances(s, as_of=AS_OF, by="plan"), PAYERS),
    "revenue.retention_moments": Question(
        lambda s: revenue.retention_moments(s, as_of=AS_OF, months=[LAST]), PAYERS
    ),
    "revenue.renewals": Question(lambda s: revenue.renewals(s, as_of=AS_OF), PAYERS),
    "value.stay_counts": Question(lambda s: value.stay_counts(_stays(s), as_of=AS_OF), PAYERS),
    "value.base_counts": Question(
        lambda s: value.base_counts(value.base(s, _stays(s), as_of=AS_OF, known_until=AS_OF)), PAYERS
    ),
}  # fmt: skip
