"""One list of what is asked on every engine: each public measure, with the parameters that change its query."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import ibis
import pandas as pd
from ibis import ir

from engines.companies import Company
from tenure import MetricPolicy, collect, measures
from tenure.measures import (
    acquisition,
    calendar,
    engagement,
    experiments,
    features,
    feedback,
    purchases,
    research,
    revenue,
    subscriptions,
    value,
)
from tenure.measures.calendar import day_of
from tenure.sources import Source

Case = Callable[[Source, Company], ir.Table]
CASES: dict[str, Case] = {}
# Functions that make no query of their own: they are plain arithmetic, or name columns.
NO_QUERY = {
    "calendar.day_of",
    "experiments.segment_columns",
    "features.share_columns",
    "subscriptions.groupings",
    "subscriptions.limit_days",
}


def case(name: str) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        assert name not in CASES, name
        CASES[name] = function
        return function

    return register


def public_measures() -> Iterator[str]:
    """Names of all public functions of the measures, as module.function."""
    for found in pkgutil.iter_modules(measures.__path__):
        module = importlib.import_module(f"{measures.__name__}.{found.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{found.name}.{name}"


def uncovered() -> set[str]:
    """Public measures that no case asks for; a case's name begins with the measure's."""
    return set(public_measures()) - NO_QUERY - {name.partition(":")[0] for name in CASES}


# The same with other rules: every branch of the policy makes another query.
STRICT = MetricPolicy(
    trials="full",
    cancel="request",
    gap_days=0,
    pauses="full",
    pause_days=None,
    grace_days=None,
    unpaid="grace",
    discounts="none",
    usage="included",
    weeks_per_year=53,
    unit="subscription",
    reactivation_days=30,
    utc_offset_minutes=-345,
)


def back(c: Company, days: int) -> dt.date:
    return c.as_of - dt.timedelta(days=days)


# ------------------------------------------------------------------------------------------------ calendar


@case("calendar.day_index")
def _(s: Source, c: Company) -> ir.Table:
    e = s["events"]
    return e.group_by(day=calendar.day_index(e.occurred_at)).agg(n=e.count().cast("int64"))


@case("calendar.month_index")
def _(s: Source, c: Company) -> ir.Table:
    p = s["payments"]
    return p.group_by(month=calendar.month_index(p.attempted_at)).agg(n=p.count().cast("int64"))


@case("calendar.civil")
def _(s: Source, c: Company) -> ir.Table:
    t = _days(s)
    found = calendar.civil(t.index)
    return t.mutate(month=found.month, day_of_month=found.day_of_month)


@case("calendar.month_start")
def _(s: Source, c: Company) -> ir.Table:
    t = _months(s)
    return t.mutate(start=calendar.month_start(t.month), length=calendar.days_in_month(t.month))


CASES["calendar.days_in_month"] = CASES["calendar.month_start"]


@case("calendar.completed_periods")
def _(s: Source, c: Company) -> ir.Table:
    spans = s["subscriptions"].filter(ibis._.ended_at.notnull())
    start, end = calendar.day(spans.started_at), calendar.day(spans.ended_at)
    counts = {}
    for period in ("day", "week", "month"):
        counts[f"whole_{period}"] = calendar.completed_periods(start, end, period)
        counts[f"begun_{period}"] = calendar.begun_periods(start, end, period)
    return spans.select("subscription_id", "started_at", **counts)


CASES["calendar.begun_periods"] = CASES["calendar.completed_periods"]
CASES["calendar.day"] = CASES["calendar.completed_periods"]


def _days(s: Source) -> ir.Table:
    """Every thousandth day over 800 years and the days around it, before 1970 too."""
    one = s["targets"].limit(1).select(zero=ibis.literal(0, "int64"))
    steps = one.mutate(step=ibis.range(-150, 150).unnest()).mutate(step=ibis._.step.cast("int64"))
    near = steps.mutate(near=ibis.range(-1, 2).unnest())
    return near.select(index=(near.step * 1000 + near.near).cast("int64"))


def _months(s: Source) -> ir.Table:
    one = s["targets"].limit(1).select(zero=ibis.literal(0, "int64"))
    steps = one.mutate(step=ibis.range(0, 600).unnest())
    return steps.select(month=(steps.step.cast("int64") * 5 + 22_000).cast("int64"))


# ------------------------------------------------------------------------------------------- subscriptions


@case("subscriptions.monthly_amount")
def _(s: Source, c: Company) -> ir.Table:
    spans = s["subscriptions"]
    return spans.select("subscription_id", "started_at", amount=subscriptions.monthly_amount(spans))


for policy_name, chosen in (("", MetricPolicy()), (": other rules", STRICT)):
    case(f"subscriptions.spells{policy_name}")(
        lambda s, c, p=chosen: subscriptions.spells(s, as_of=c.as_of, currency=c.currency, policy=p)
    )
    case(f"subscriptions.active_value{policy_name}")(
        lambda s, c, p=chosen: subscriptions.active_value(s, by="plan", as_of=c.as_of, policy=p)
    )
    case(f"subscriptions.duration_counts{policy_name}")(
        lambda s, c, p=chosen: subscriptions.duration_counts(
            s, [c.odd, "birth_year", "start_quarter"], as_of=c.as_of, policy=p
        )
    )

for by in (None, "plan", "segment", "start_month"):
    case(f"subscriptions.life_table: by {by}")(
        lambda s, c, b=by: subscriptions.life_table(s, by=b, as_of=c.as_of, min_group=5, max_groups=3)
    )
for period in ("day", "week"):
    case(f"subscriptions.life_table: {period}s, observed late")(
        lambda s, c, p=period: subscriptions.life_table(
            s, as_of=c.as_of, period=p, observed_from=back(c, 300), start_to=c.then, currency="EUR"
        )
    )
for cohort, period in (("month", "month"), ("quarter", "week"), ("year", "day")):
    case(f"subscriptions.retention_triangle: {cohort} by {period}")(
        lambda s, c, k=cohort, p=period: subscriptions.retention_triangle(
            s, as_of=c.as_of, cohort=k, period=p, start_from=back(c, 400)
        )
    )


@case("subscriptions.exclusions")
def _(s: Source, c: Company) -> ir.Table:
    return subscriptions.exclusions(s, as_of=c.as_of, currency="EUR")


@case("subscriptions.new_customers")
def _(s: Source, c: Company) -> ir.Table:
    return subscriptions.new_customers(s, since=c.then, as_of=c.as_of)


@case("subscriptions.currencies")
def _(s: Source, c: Company) -> ir.Table:
    return subscriptions.currencies(s)


@case("subscriptions.characteristics")
def _(s: Source, c: Company) -> ir.Table:
    return subscriptions.characteristics(s, most_levels=20)


@case("subscriptions.group_column")
def _(s: Source, c: Company) -> ir.Table:
    stays = subscriptions.spells(s, as_of=c.as_of)
    for name in ("currency", "billing", "start_year", "segment:crm", "country", c.odd):
        stays = subscriptions.group_column(s, stays, name)
    return stays.drop("start", "end")


@case("subscriptions.classified")
def _(s: Source, c: Company) -> ir.Table:
    return subscriptions.classified(
        s, s["subscriptions"], as_of=c.as_of, currency="EUR", policy=STRICT, also=["cancel_requested_at"]
    )


# ------------------------------------------------------------------------------------------------- revenue


@case("revenue.mrr")
def _(s: Source, c: Company) -> ir.Table:
    return revenue.mrr(s, as_of=c.as_of, by=c.by, months=[day_of(c.as_of).month, day_of(c.then).month])


for name in (
    "mrr_balances",
    "customers_by_month",
    "mrr_movements",
    "customer_movements",
    "renewals",
    "revenue_lines",
):
    measure = getattr(revenue, name)
    case(f"revenue.{name}")(lambda s, c, f=measure: f(s, as_of=c.as_of))
    case(f"revenue.{name}: other rules")(lambda s, c, f=measure: f(s, as_of=c.as_of, policy=STRICT))
for by in ("plan", "billing", "start_quarter"):
    case(f"revenue.mrr_movements: by {by}")(lambda s, c, b=by: revenue.mrr_movements(s, as_of=c.as_of, by=b))
case("revenue.mrr_movements: by an attribute")(lambda s, c: revenue.mrr_movements(s, as_of=c.as_of, by=c.odd))
case("revenue.mismatches")(lambda s, c: revenue.mismatches(s, as_of=c.as_of, by="plan"))


@case("revenue.largest_movements")
def _(s: Source, c: Company) -> ir.Table:
    month = day_of(c.as_of).month - 1
    return revenue.largest_movements(s, as_of=c.as_of, month=month, limit=7)


@case("revenue.retention_moments")
def _(s: Source, c: Company) -> ir.Table:
    months = [day_of(c.as_of).month - k for k in (0, 1, 3)]
    return revenue.retention_moments(s, as_of=c.as_of, months=months, back=6, rates=dict(c.rates))


@case("revenue.retention_moments: by plan")
def _(s: Source, c: Company) -> ir.Table:
    return revenue.retention_moments(s, as_of=c.as_of, months=[day_of(c.as_of).month], by="plan")


@case("revenue.revenue_cohorts")
def _(s: Source, c: Company) -> ir.Table:
    return revenue.revenue_cohorts(s, as_of=c.as_of, by=c.by)


@case("revenue.month_rates")
def _(s: Source, c: Company) -> ir.Table:
    return revenue.month_rates(s, as_of=c.as_of)


# --------------------------------------------------------------------------------------------- acquisition


case("acquisition.spend")(lambda s, c: acquisition.spend(s, as_of=c.as_of, lag_days=31))
case("acquisition.customers_won")(lambda s, c: acquisition.customers_won(s, as_of=c.as_of, by="channel"))
case("acquisition.trials")(lambda s, c: acquisition.trials(s, as_of=c.as_of, by="channel"))


# ---------------------------------------------------------------------------------------------- engagement


case("engagement.event_kinds")(lambda s, c: engagement.event_kinds(s, as_of=c.as_of))
case("engagement.active_days")(lambda s, c: engagement.active_days(s, as_of=c.as_of, days=400))
case("engagement.active_days: one kind")(
    lambda s, c: engagement.active_days(s, as_of=c.as_of, days=90, longest=7, events=[c.event])
)
case("engagement.sessions")(lambda s, c: engagement.sessions(s, as_of=c.as_of, days=180))
case("engagement.feature_use")(lambda s, c: engagement.feature_use(s, as_of=c.as_of))
case("engagement.days_used")(lambda s, c: engagement.days_used(s, as_of=c.as_of, events=[c.event]))
case("engagement.content_use")(lambda s, c: engagement.content_use(s, as_of=c.as_of, days=365))
case("engagement.silent_payers")(lambda s, c: engagement.silent_payers(s, as_of=c.as_of, events=[c.event]))


# ------------------------------------------------------------------------------------------------ feedback


case("feedback.nps_counts")(lambda s, c: feedback.nps_counts(s, as_of=c.as_of, by=c.odd))


# ------------------------------------------------------------------------------------------------ research


case("research.price_questions")(lambda s, c: research.price_questions(s))
case("research.price_answers")(lambda s, c: research.price_answers(s, by="country"))
case("research.stated_demand")(lambda s, c: research.stated_demand(s))
case("research.price_choices")(lambda s, c: research.price_choices(s))
case("research.usage_counts")(lambda s, c: research.usage_counts(s, as_of=c.as_of, event=c.event))
case("research.usage_counts: events")(
    lambda s, c: research.usage_counts(s, as_of=c.as_of, event=c.event, unit="events", months=2)
)
case("research.prices_paid")(lambda s, c: research.prices_paid(s, as_of=c.as_of))
case("research.price_rises")(lambda s, c: research.price_rises(s, as_of=c.as_of))
case("research.rise_response")(lambda s, c: research.rise_response(s, on=c.then))


# --------------------------------------------------------------------------------------------- experiments


def _asked(c: Company) -> dict[str, Any]:
    return {"experiment": c.experiment, "as_of": c.as_of}


def _units(s: Source, c: Company) -> ir.Table:
    costs = experiments.Costs(service_minor=50.0, fee_share=0.25, fee_minor=25.0, margin=0.5)
    return experiments.outcomes(s, **_asked(c), window_days=60, segments=["channel"], costs=costs)


case("experiments.experiments")(lambda s, c: experiments.experiments(s))
case("experiments.assigned_units")(lambda s, c: experiments.assigned_units(s, **_asked(c)))
case("experiments.currencies")(lambda s, c: experiments.currencies(s, **_asked(c)))
case("experiments.daily_counts")(lambda s, c: experiments.daily_counts(s, **_asked(c)))
case("experiments.outcomes")(_units)
case("experiments.integrity")(lambda s, c: experiments.integrity(_units(s, c)))
case("experiments.stay_counts")(
    lambda s, c: experiments.stay_counts(s, **_asked(c), period="week", segments=["channel"])
)


@case("experiments.with_segments")
def _(s: Source, c: Company) -> ir.Table:
    return experiments.with_segments(s, experiments.assigned_units(s, **_asked(c)), ["channel"])


@case("experiments.stays_of_units")
def _(s: Source, c: Company) -> ir.Table:
    tables = experiments.stays_of_units(s, **_asked(c), segments=["channel"])
    return subscriptions.life_table(tables, by="variant", as_of=c.as_of, period="week")


@case("experiments.moments")
def _(s: Source, c: Company) -> ir.Table:
    return experiments.moments(
        _units(s, c),
        ["converted", "paid_days", "charges"],
        by=["variant", "channel"],
        covariates={"paid_days": "refunds"},
        ratios=[("charges", "paid_days")],
        cap=(0.05, 0.95),
    )


# ----------------------------------------------------------------------------------------------- purchases


def _histories(s: Source, c: Company) -> ir.Table:
    return purchases.histories(s, as_of=c.as_of, kinds=("one_off", "recurring"))


def _buyers(s: Source, c: Company) -> ir.Table:
    counts = _here(purchases.grouped_counts(_histories(s, c)))
    counts["probability_alive"] = 1 / (1 + counts["recency"])
    counts["expected_purchases"] = counts["frequency"] / counts["T"]
    chances = counts[["frequency", "recency", "T", "probability_alive", "expected_purchases"]]
    rates = pd.DataFrame(list(c.rates), columns=["currency", "factor"])
    return purchases.score(
        _histories(s, c), ibis.memtable(chances), ibis.memtable(rates), spend=(6.25, 3.74, 15.44)
    )


case("purchases.histories")(_histories)
case("purchases.grouped_counts")(lambda s, c: purchases.grouped_counts(_histories(s, c), unit_days=30))
case("purchases.spend_counts")(lambda s, c: purchases.spend_counts(_histories(s, c)))
case("purchases.score")(_buyers)
case("purchases.by_customer")(lambda s, c: purchases.by_customer(_buyers(s, c)))


@case("purchases.with_later")
def _(s: Source, c: Company) -> ir.Table:
    earlier = purchases.histories(s, as_of=c.then, kinds=("one_off", "recurring"))
    rows = purchases.with_later(s, earlier, after=c.then, as_of=c.as_of, kinds=("one_off", "recurring"))
    return purchases.grouped_counts(rows)


# --------------------------------------------------------------------------------------------------- value


def _stays(s: Source, c: Company, as_of: dt.date, by: str | None = "plan") -> ir.Table:
    return value.stays(s, by=by, dims=["country", "channel"], as_of=as_of)


def _scored(s: Source, c: Company, as_of: dt.date) -> ir.Table:
    # Kept, as a workbook keeps it: the stays are asked for often, and to keep them must work everywhere.
    base = value.base(s, _stays(s, c, as_of).cache(), ["country"], as_of=as_of).cache()
    keys = ["group", "interval", "country", "tenure", "currency"]
    scores = _here(value.base_counts(base, ["country"]))[keys]
    scores["multiplier"] = 10.0 + scores["tenure"] % 7 / 8
    scores["low"], scores["high"] = scores["multiplier"] * 0.75, scores["multiplier"] * 1.25
    scores["stays_a_year"] = 0.5
    return value.score(base, ibis.memtable(scores), ["country"], yearly_rate=0.1)


case("value.stays")(lambda s, c: _stays(s, c, c.as_of))
case("value.stay_counts")(lambda s, c: value.stay_counts(_stays(s, c, c.as_of), ["channel"], as_of=c.as_of))
case("value.stay_counts: from a day")(
    lambda s, c: value.stay_counts(
        _stays(s, c, c.as_of, None), as_of=c.as_of, observed_from=back(c, 300), on_at=c.then
    )
)
case("value.base")(lambda s, c: value.base(s, _stays(s, c, c.as_of), ["country"], as_of=c.as_of))
case("value.base_counts")(
    lambda s, c: value.base_counts(value.base(s, _stays(s, c, c.as_of, None), as_of=c.as_of))
)
case("value.paid_by_tenure")(
    lambda s, c: value.paid_by_tenure(s, _stays(s, c, c.as_of), since=c.then, as_of=c.as_of)
)
case("value.intervals_begun")(
    lambda s, c: value.intervals_begun(_stays(s, c, c.as_of), since=c.then, as_of=c.as_of)
)
case("value.intake")(lambda s, c: value.intake(_stays(s, c, c.as_of), ["channel"], since=c.then))
case("value.acquisition")(
    lambda s, c: value.acquisition(s, _stays(s, c, c.as_of), since=c.then, as_of=c.as_of)
)
case("value.paid_by_cohort")(lambda s, c: value.paid_by_cohort(s, _stays(s, c, c.as_of), as_of=c.as_of))
case("value.score")(lambda s, c: _scored(s, c, c.as_of))
case("value.value_by_cohort")(lambda s, c: value.value_by_cohort(_scored(s, c, c.as_of)))
case("value.movement")(lambda s, c: value.movement(_scored(s, c, c.then), _scored(s, c, c.as_of)))
case("value.with_purchases")(
    lambda s, c: value.with_purchases(_scored(s, c, c.as_of), purchases.by_customer(_buyers(s, c)))
)
case("value.latest_rates")(lambda s, c: value.latest_rates(s, as_of=c.as_of))


# ------------------------------------------------------------------------------------------------ features


def _shares(c: Company) -> dict[str, dict[str, float]]:
    return {"category": {c.category: 0.4, "Kids": 0.2}, "platform": {"tv": 0.5}, "feature": {"search": 0.3}}


def _usage(s: Source, c: Company, as_of: dt.date, **more: Any) -> ir.Table:
    return features.usage(s, as_of=as_of, days=90, shares=_shares(c), **more)


def _rule() -> dict[str, Any]:
    columns = (
        ("events_a_month", "sqrt"),
        ("recency_days", "log"),
        ("weekend", "none"),
        ("category_1", "none"),
    )
    return {
        "clip": 3.0,
        "features": [
            {"name": name, "transform": transform, "center": 0.5, "scale": 1.5, "mean": 0.01}
            for name, transform in columns
        ],
        "weights": [[0.7, 0.1], [-0.4, 0.3], [0.2, -0.8], [0.1, 0.5]],
        "segments": [
            {
                "name": "Évening",
                "constant": 0.0,
                "linear": [0.9, 0.0],
                "quadratic": [[0.1, 0.0], [0.0, -0.2]],
            },
            {"name": "weekend", "constant": 0.1, "linear": [-0.2, 0.4], "quadratic": None},
        ],
    }


def _segments(s: Source, c: Company, as_of: dt.date) -> ir.Table:
    return features.assigned(_usage(s, c, as_of), _rule())


def _rfm(s: Source, c: Company) -> ir.Table:
    paid = features.worth(s, as_of=c.as_of, rates=dict(c.rates))
    table = features.rfm(_usage(s, c, c.as_of), paid)
    edges = {"recency": [1, 7, 14, 30], "frequency": [1, 2, 5, 9], "value": [500, 999, 1500, 2_000_000]}
    return features.rfm_scores(table, edges)


case("features.usage_levels")(lambda s, c: features.usage_levels(s, as_of=c.as_of, days=400))
case("features.members")(lambda s, c: features.members(s, as_of=c.as_of, days=90))
case("features.members: everyone")(lambda s, c: features.members(s, as_of=c.as_of, days=90, everyone=True))
case("features.usage")(lambda s, c: _usage(s, c, c.as_of))
case("features.usage: everyone, elsewhere")(
    lambda s, c: _usage(s, c, c.as_of, everyone=True, events=[c.event], policy=STRICT)
)
case("features.sampled")(lambda s, c: features.sampled(s["customers"].select("customer_id"), 40))
case("features.worth")(lambda s, c: features.worth(s, as_of=c.as_of, rates=dict(c.rates)))
case("features.rfm")(lambda s, c: features.rfm(_usage(s, c, c.as_of), features.worth(s, as_of=c.as_of)))
case("features.value_counts")(lambda s, c: features.value_counts(_rfm(s, c), ["r", "frequency", "value"]))
case("features.rfm_scores")(_rfm)
case("features.rfm_segments")(lambda s, c: features.rfm_segments(_rfm(s, c), {"555": "best", "111": "lost"}))
case("features.assigned")(lambda s, c: _segments(s, c, c.as_of))
case("features.folded")(lambda s, c: features.folded(_segments(s, c, c.as_of), 30))
case("features.segment_rows")(
    lambda s, c: features.segment_rows(_segments(s, c, c.as_of), "behavior", c.as_of)
)
case("features.segment_totals")(
    lambda s, c: features.segment_totals(
        _segments(s, c, c.as_of), _usage(s, c, c.as_of), features.worth(s, as_of=c.as_of), ["minutes"]
    )
)
case("features.crossed")(lambda s, c: features.crossed(_segments(s, c, c.as_of), _named(s)))
case("features.departures")(
    lambda s, c: features.departures(s, _segments(s, c, c.then), since=c.then, as_of=c.as_of)
)
case("features.composition")(
    lambda s, c: features.composition(
        s, _segments(s, c, c.as_of), ["birth_year", "country", c.odd], as_of=c.as_of
    )
)
case("features.questions")(lambda s, c: features.questions(s, as_of=c.as_of))
case("features.answers")(lambda s, c: features.answers(s, [c.question], as_of=c.as_of))


@case("features.moves")
def _(s: Source, c: Company) -> ir.Table:
    before, after = (_segments(s, c, day) for day in (c.then, c.as_of))
    return features.moves(before, after, features.worth(s, as_of=c.then), features.worth(s, as_of=c.as_of))


def _named(s: Source) -> ir.Table:
    rows = s["segments"]
    return rows.filter((rows.scheme == "crm") & (rows.as_of == rows.as_of.max())).select(
        "customer_id", "segment"
    )


def _here(expr: ir.Table) -> pd.DataFrame:
    """Counts that a model would be fitted on, in one order whatever the engine gave."""
    frame = collect(expr)
    return frame.sort_values(list(frame.columns)).reset_index(drop=True)
