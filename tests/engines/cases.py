"""One list of what is asked on every engine: each public measure, with the parameters that change its query."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import pkgutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pyarrow.parquet as pq
from ibis import ir

from engines.companies import AS_OF, ATTRIBUTE, EXPERIMENT, RATES, THEN
from tenure import MetricPolicy, collect, measures, only, privacy
from tenure.economics import Economics
from tenure.measures import (
    acquisition,
    calendar,
    elsewhere,
    engagement,
    experiments,
    features,
    feedback,
    groups,
    ledger,
    purchases,
    research,
    revenue,
    spans,
    subscriptions,
    units,
    value,
)
from tenure.measures.calendar import day_of
from tenure.periods import Every
from tenure.policy import stripe_like
from tenure.sources import Source, cut, results

Case = Callable[[Source], ir.Table]
CASES: dict[str, Case] = {}
# Functions that make no query of their own: they are plain arithmetic, or name columns.
NO_QUERY = {
    "calendar.day_of",
    "calendar.end_of",
    "experiments.segment_columns",
    "features.given",
    "features.share_columns",
    "groups.groupings",
    "research.rise_window",
    "spans.complete",
    "spans.instead",
    "spans.lenses",
    "spans.limit_days",
    "spans.settle",
    "spans.some",
    "spans.stage",
    "subscriptions.still",
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
)


BOTH = {"tenure": MetricPolicy(), "strict": STRICT}


def back(days: int) -> dt.date:
    return AS_OF - dt.timedelta(days=days)


# ------------------------------------------------------------------------------------------------ calendar


@case("calendar.day_index")
def _(s: Source) -> ir.Table:
    e = s["events"]
    return e.group_by(day=calendar.day_index(e.occurred_at)).agg(n=e.count().cast("int64"))


@case("calendar.month_index")
def _(s: Source) -> ir.Table:
    p = s["payments"]
    return p.group_by(month=calendar.month_index(p.attempted_at)).agg(n=p.count().cast("int64"))


@case("calendar.civil")
def _(s: Source) -> ir.Table:
    t = _days(s)
    found = calendar.civil(t.index)
    return t.mutate(month=found.month, day_of_month=found.day_of_month)


@case("calendar.month_start")
def _(s: Source) -> ir.Table:
    t = _months(s)
    return t.mutate(start=calendar.month_start(t.month), length=calendar.days_in_month(t.month))


CASES["calendar.days_in_month"] = CASES["calendar.month_start"]


@case("calendar.completed_periods")
def _(s: Source) -> ir.Table:
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


@case("spans.monthly_amount")
def _(s: Source) -> ir.Table:
    found = s["subscriptions"]
    return found.select("subscription_id", "started_at", amount=spans.monthly_amount(found))


CASES["spans.monthly"] = CASES["spans.monthly_amount"]


@case("spans.people")
def _(s: Source) -> ir.Table:
    return spans.people(s)


@case("calendar.date_of")
def _(s: Source) -> ir.Table:
    return _days(s).mutate(date=calendar.date_of(ibis._.index))


@case("ledger.known_spans")
def _(s: Source) -> ir.Table:
    return ledger.known_spans(s, spans.lenses(AS_OF, policies=BOTH))


@case("ledger.free_spans")
def _(s: Source) -> ir.Table:
    # One customer's only subscription was free for a month in the middle of its life.
    return ledger.free_spans(_with_a_free_month(s), spans.lenses(AS_OF, on=[AS_OF, THEN]))


@case("ledger.gap_days")
def _(s: Source) -> ir.Table:
    seen = spans.lenses(AS_OF)
    found = ledger.known_spans(s, seen)
    return found.select("subscription_id", "start_second", days=ledger.gap_days(found, seen))


@case("groups.grouped")
def _(s: Source) -> ir.Table:
    return groups.grouped(s, spans.people(s), ATTRIBUTE)


@case("subscriptions.spells: free for a while")
def _(s: Source) -> ir.Table:
    return subscriptions.spells(_with_a_free_month(s), as_of=AS_OF)


@case("revenue.revenue_lines: free for a while")
def _(s: Source) -> ir.Table:
    return revenue.revenue_lines(_with_a_free_month(s), as_of=AS_OF, on=[AS_OF, THEN])


ALIVE: list[Source] = []  # what a source has settled is gone with it


def _with_access_paid_once(s: Source) -> Source:
    """The source with each yearly plan as access that was paid once."""
    whole = s["subscriptions"]
    unit = (whole.billing_interval == "year").ifelse("once", whole.billing_interval)
    ALIVE.append(s.instead({"subscriptions": whole.mutate(billing_interval=unit)}))
    return ALIVE[-1]


def _with_a_free_month(s: Source) -> Source:
    """The source with the paid spans of a month cut in three, of which the middle one, that month, is free."""
    whole = s["subscriptions"]
    first, last = (ibis.literal(dt.datetime.combine(back(days), dt.time())) for days in (200, 170))
    ends_later = whole.ended_at.isnull() | (whole.ended_at > last)
    long = ((whole.started_at < first) & ends_later & (whole.status == "active")).fill_null(False)
    cut, none = whole.filter(long), ibis.null("string")
    parts = [
        whole.filter(~long),
        cut.mutate(ended_at=first, end_reason=none),
        cut.mutate(
            started_at=first, ended_at=last, end_reason=none, unit_amount_minor=ibis.literal(0, "int64")
        ),
        cut.mutate(started_at=last),
    ]
    return s.instead({"subscriptions": ibis.union(*(part.select(whole.columns) for part in parts))})


for whose in ("account", "subscription"):

    @case(f"units.by_unit: {whose}")
    def _(s: Source, whose: str = whose) -> ir.Table:
        return subscriptions.spells(s.instead(units.by_unit(s, whose)), as_of=AS_OF)


@case("ledger.settled_spans")
def _(s: Source) -> ir.Table:
    seen = spans.lenses(AS_OF, on=[AS_OF, THEN], policies=BOTH)
    return ledger.settled_spans(s, seen, "EUR")


for policy_name, chosen in (("", MetricPolicy()), (": other rules", STRICT)):
    case(f"subscriptions.spells{policy_name}")(
        lambda s, p=chosen: subscriptions.spells(s, as_of=AS_OF, currency="", policy=p)
    )
    case(f"subscriptions.active_value{policy_name}")(
        lambda s, p=chosen: subscriptions.active_value(s, by="plan", as_of=AS_OF, policy=p)
    )
    case(f"subscriptions.duration_counts{policy_name}")(
        lambda s, p=chosen: subscriptions.duration_counts(
            s, [ATTRIBUTE, "birth_year", "start_quarter"], as_of=AS_OF, policy=p
        )
    )

for by in (None, "plan", "segment", "start_month"):
    case(f"subscriptions.life_table: by {by}")(
        lambda s, b=by: subscriptions.life_table(s, by=b, as_of=AS_OF, min_group=5, max_groups=3)
    )
for period in ("day", "week"):
    case(f"subscriptions.life_table: {period}s, observed late")(
        lambda s, p=period: subscriptions.life_table(
            s, as_of=AS_OF, period=p, observed_from=back(300), start_to=THEN, currency="EUR"
        )
    )
case("subscriptions.churned_value")(lambda s: subscriptions.churned_value(s, as_of=AS_OF))
case("subscriptions.churned_value: by plan, in weeks")(
    lambda s: subscriptions.churned_value(
        s, by="plan", as_of=AS_OF, period="week", min_group=5, max_groups=3, observed_from=back(300)
    )
)
for cohort, period in (("month", "month"), ("quarter", "week"), ("year", "day")):
    case(f"subscriptions.retention_triangle: {cohort} by {period}")(
        lambda s, k=cohort, p=period: subscriptions.retention_triangle(
            s, as_of=AS_OF, cohort=k, period=p, start_from=back(400)
        )
    )


@case("subscriptions.exclusions")
def _(s: Source) -> ir.Table:
    return subscriptions.exclusions(s, as_of=AS_OF, currency="EUR")


@case("subscriptions.new_customers")
def _(s: Source) -> ir.Table:
    return subscriptions.new_customers(s, since=THEN, as_of=AS_OF)


@case("subscriptions.currencies")
def _(s: Source) -> ir.Table:
    return subscriptions.currencies(s)


@case("subscriptions.characteristics")
def _(s: Source) -> ir.Table:
    return subscriptions.characteristics(s, most_levels=20)


@case("groups.group_column")
def _(s: Source) -> ir.Table:
    stays = subscriptions.spells(s, as_of=AS_OF)
    for name in ("currency", "billing", "start_year", "segment:crm", "country", ATTRIBUTE):
        stays = groups.group_column(s, stays, name)
    return stays.drop("start", "end")


def _of_many(make: Callable[[], ir.Table]) -> ir.Table:
    """What is asked where groups of fewer than 40 people are not named."""
    privacy.smallest_group = 40
    try:
        return make()
    finally:
        privacy.smallest_group = 1


@case("groups.nameable")
def _(s: Source) -> ir.Table:
    return _of_many(lambda: groups.nameable(s["customers"].select("customer_id", ATTRIBUTE), ATTRIBUTE))


@case("groups.group_column: of many")
def _(s: Source) -> ir.Table:
    stays = subscriptions.spells(s, as_of=AS_OF)
    for name in ("currency", "country", ATTRIBUTE):
        stays = _of_many(lambda stays=stays, name=name: groups.group_column(s, stays, name))
    return stays.drop("start", "end")


@case("subscriptions.active_value: on two days")
def _(s: Source) -> ir.Table:
    return subscriptions.active_value(s, as_of=AS_OF, on=[AS_OF, THEN])


# ------------------------------------------------------------------------------------------------- revenue


@case("revenue.mrr")
def _(s: Source) -> ir.Table:
    return revenue.mrr(s, as_of=AS_OF, by="country", months=[day_of(AS_OF).month, day_of(THEN).month])


for name in (
    "mrr_balances",
    "customers_by_month",
    "mrr_movements",
    "customer_movements",
    "renewals",
    "revenue_lines",
):
    measure = getattr(revenue, name)
    case(f"revenue.{name}")(lambda s, f=measure: f(s, as_of=AS_OF))
    case(f"revenue.{name}: other rules")(lambda s, f=measure: f(s, as_of=AS_OF, policy=STRICT))
for unit in ("week", "fiscal_year"):
    for name in ("mrr_balances", "mrr_movements"):
        measure = getattr(revenue, name)
        case(f"revenue.{name}: by the {unit}")(
            lambda s, f=measure, u=unit: f(s, as_of=AS_OF, every=Every(u, 4))
        )


@case("spans.recent")
def _(s: Source) -> ir.Table:
    month = AS_OF.year * 12 + AS_OF.month - 1
    lately = spans.recent(s, month=month, policies=BOTH)
    return revenue.mrr_balances(lately, as_of=AS_OF, policies=BOTH, months=[month])


@case("revenue.mrr_movements: of some customers")
def _(s: Source) -> ir.Table:
    text = "country in ('IT', 'FR') and created_at >= '2023-01-01' and plan not like 'B%' or segment is null"
    condition = only.read(text)
    how = {"as_of": AS_OF, "currency": "", "policy": MetricPolicy()}
    some, *_ = only.some(s, condition, ["customers"], s, **how)
    return revenue.mrr_movements(some, as_of=AS_OF)


for by in ("plan", "billing", "start_quarter"):
    case(f"revenue.mrr_movements: by {by}")(lambda s, b=by: revenue.mrr_movements(s, as_of=AS_OF, by=b))
case("revenue.mrr_movements: by an attribute")(lambda s: revenue.mrr_movements(s, as_of=AS_OF, by=ATTRIBUTE))
for name in ("mrr_balances", "customers_by_month", "mrr_movements"):
    measure = getattr(revenue, name)
    case(f"revenue.{name}: on two days by two policies")(
        lambda s, f=measure: f(s, as_of=AS_OF, on=[AS_OF, THEN], policies=BOTH)
    )
case("revenue.renewals: on two days")(lambda s: revenue.renewals(s, as_of=AS_OF, on=[AS_OF, THEN]))
case("revenue.retention_moments: on two days")(
    lambda s: revenue.retention_moments(s, as_of=AS_OF, on=[AS_OF, THEN], back=6, rates=RATES)
)
case("revenue.paid_once")(lambda s: revenue.paid_once(_with_access_paid_once(s), as_of=AS_OF))
case("revenue.revenue_lines: on two days")(lambda s: revenue.revenue_lines(s, as_of=AS_OF, on=[AS_OF, THEN]))
CASES["revenue.balances"] = CASES["revenue.mrr_balances"]
CASES["calendar.first_day"] = CASES["revenue.mrr_movements: by the week"]
CASES["changes.changes"] = CASES["changes.movements"] = CASES["revenue.mrr_movements"]


@case("spans.term_days")
def _(s: Source) -> ir.Table:
    term = spans.term_days(s["subscriptions"])
    return s["subscriptions"].select(
        "subscription_id", "started_at", term=term, gap=spans.bridged_days(term, 1, 14)
    )


CASES["spans.bridged_days"] = CASES["spans.term_days"]
case("ledger.ledger")(lambda s: ledger.ledger(s, spans.lenses(AS_OF)))
case("ledger.metered")(ledger.metered)
case("ledger.usage")(lambda s: ledger.usage(s, spans.lenses(AS_OF)))
CASES["ledger.intervals"] = CASES["ledger.ledger"]
CASES["ledger.named"] = CASES["revenue.customer_movements"]
case("revenue.mismatches")(lambda s: revenue.mismatches(s, as_of=AS_OF, by="plan"))


@case("revenue.largest_movements")
def _(s: Source) -> ir.Table:
    month = day_of(AS_OF).month - 1
    return revenue.largest_movements(s, as_of=AS_OF, month=month, limit=7)


@case("revenue.retention_moments")
def _(s: Source) -> ir.Table:
    months = [day_of(AS_OF).month - k for k in (0, 1, 3)]
    return revenue.retention_moments(s, as_of=AS_OF, months=months, back=6, rates=RATES)


@case("revenue.retention_moments: by plan")
def _(s: Source) -> ir.Table:
    return revenue.retention_moments(s, as_of=AS_OF, months=[day_of(AS_OF).month], by="plan")


@case("revenue.revenue_cohorts")
def _(s: Source) -> ir.Table:
    return revenue.revenue_cohorts(s, as_of=AS_OF, by="country")


def _with_mrr_elsewhere(s: Source) -> Source:
    """The source, with what was paid in the last months as another system's revenue."""
    p = s["payments"].filter(ibis._.attempted_at >= dt.datetime.combine(back(90), dt.time()))
    theirs = p.select("customer_id", "currency", "amount_minor", month=p.attempted_at.date())
    ALIVE.append(s.instead({"mrr_elsewhere": theirs}))
    return ALIVE[-1]


def _differences(s: Source) -> ir.Table:
    rules = {"strict": replace(STRICT, unit="customer"), "stripe": stripe_like()}
    return elsewhere.differences(_with_mrr_elsewhere(s), as_of=AS_OF, policies=rules, rates=RATES)


case("elsewhere.reported")(lambda s: elsewhere.reported(_with_mrr_elsewhere(s)))
case("elsewhere.reported_months")(lambda s: elsewhere.reported_months(_with_mrr_elsewhere(s), currency="EUR"))
case("elsewhere.differences")(_differences)
case("elsewhere.by_rule")(lambda s: elsewhere.by_rule(_differences(s)))
case("elsewhere.largest")(lambda s: elsewhere.largest(_differences(s), 20))


@case("revenue.month_rates")
def _(s: Source) -> ir.Table:
    return revenue.month_rates(s, as_of=AS_OF, every=Every("week"))


# --------------------------------------------------------------------------------------------- acquisition


case("acquisition.spend")(lambda s: acquisition.spend(s, as_of=AS_OF, lag_days=31))
case("acquisition.customers_won")(lambda s: acquisition.customers_won(s, as_of=AS_OF, by="channel"))
case("acquisition.trials")(lambda s: acquisition.trials(s, as_of=AS_OF, by="channel"))


# ---------------------------------------------------------------------------------------------- engagement


case("engagement.event_kinds")(lambda s: engagement.event_kinds(s, as_of=AS_OF))
case("engagement.active_days")(lambda s: engagement.active_days(s, as_of=AS_OF, days=400))
case("engagement.active_days: one kind")(
    lambda s: engagement.active_days(s, as_of=AS_OF, days=90, longest=7, events=["play"])
)
case("engagement.return_days")(lambda s: engagement.return_days(s, as_of=AS_OF, horizon=14, days=200))
case("engagement.sessions")(lambda s: engagement.sessions(s, as_of=AS_OF, days=180))
case("engagement.feature_use")(lambda s: engagement.feature_use(s, as_of=AS_OF))
case("engagement.days_used")(lambda s: engagement.days_used(s, as_of=AS_OF, events=["play"]))
case("engagement.content_use")(lambda s: engagement.content_use(s, as_of=AS_OF, days=365))
case("engagement.last_use")(lambda s: engagement.last_use(s, as_of=AS_OF, events=["play"]))
case("engagement.silent_payers")(lambda s: engagement.silent_payers(s, as_of=AS_OF, events=["play"]))


# ------------------------------------------------------------------------------------------------ feedback


case("feedback.nps_counts")(lambda s: feedback.nps_counts(s, as_of=AS_OF, by=ATTRIBUTE))


# ------------------------------------------------------------------------------------------------ research


case("research.price_questions")(lambda s: research.price_questions(s))
case("research.price_answers")(lambda s: research.price_answers(s, by="country"))
case("research.stated_demand")(lambda s: research.stated_demand(s))
case("research.price_choices")(lambda s: research.price_choices(s))
case("research.usage_counts")(lambda s: research.usage_counts(s, as_of=AS_OF, event="play"))
case("research.usage_counts: events")(
    lambda s: research.usage_counts(s, as_of=AS_OF, event="play", unit="events", months=2)
)
case("research.prices_paid")(lambda s: research.prices_paid(s, as_of=AS_OF))
case("research.price_rises")(lambda s: research.price_rises(s, as_of=AS_OF))
case("research.rise_response")(lambda s: research.rise_response(s, day=THEN))


# --------------------------------------------------------------------------------------------- experiments


ASKED: dict[str, Any] = {"experiment": EXPERIMENT, "as_of": AS_OF}


def _units(s: Source) -> ir.Table:
    company = Economics(margin=0.75, fee_share=0.25, fee_fixed=0.25, cost_to_serve=0.5)
    factors = {"EUR": 1.0, "USD": 0.5, "JPY": 0.625}
    units = experiments.outcomes(s, **ASKED, window_days=60, segments=["channel"], factors=factors)
    return experiments.with_margin(units, company, "EUR")


case("experiments.experiments")(lambda s: experiments.experiments(s))
case("experiments.assigned_units")(lambda s: experiments.assigned_units(s, **ASKED))
case("experiments.currencies")(lambda s: experiments.currencies(s, **ASKED))
case("experiments.daily_counts")(lambda s: experiments.daily_counts(s, **ASKED))
case("experiments.outcomes")(_units)
case("experiments.outcomes: a return")(
    lambda s: experiments.outcomes(s, **ASKED, window_days=60, outcome="any event", on_day=7)
)
case("experiments.outcomes: payment")(
    lambda s: experiments.outcomes(s, **ASKED, window_days=60, outcome="payment")
)
CASES["experiments.with_margin"] = CASES["experiments.outcomes"]
case("experiments.integrity")(lambda s: experiments.integrity(_units(s)))
case("experiments.life_table")(lambda s: experiments.life_table(s, **ASKED, period="week"))


@case("experiments.with_segments")
def _(s: Source) -> ir.Table:
    return experiments.with_segments(s, experiments.assigned_units(s, **ASKED), ["channel"])


@case("experiments.stays_of_units")
def _(s: Source) -> ir.Table:
    tables = experiments.stays_of_units(s, **ASKED, segments=["channel"])
    return subscriptions.life_table(tables, by="variant", as_of=AS_OF, period="week")


@case("experiments.moments")
def _(s: Source) -> ir.Table:
    return experiments.moments(
        _units(s),
        ["converted", "paid_days", "charges"],
        by=["variant", "channel"],
        covariates={"paid_days": "refunds"},
        ratios=[("charges", "paid_days")],
        cap=(0.05, 0.95),
    )


# ----------------------------------------------------------------------------------------------- purchases


def _histories(s: Source) -> ir.Table:
    return purchases.histories(s, as_of=AS_OF, kinds=("one_off", "recurring"))


def _buyers(s: Source) -> ir.Table:
    counts = _here(purchases.grouped_counts(_histories(s)))
    counts["probability_alive"] = 1 / (1 + counts["recency"])
    counts["expected_purchases"] = counts["frequency"] / counts["T"]
    chances = counts[["frequency", "recency", "T", "probability_alive", "expected_purchases"]]
    rates = pd.DataFrame(list(RATES.items()), columns=["currency", "factor"])
    return purchases.score(
        _histories(s), ibis.memtable(chances), ibis.memtable(rates), spend=(6.25, 3.74, 15.44)
    )


case("purchases.histories")(_histories)
case("purchases.grouped_counts")(lambda s: purchases.grouped_counts(_histories(s), unit_days=30))
case("purchases.spend_counts")(lambda s: purchases.spend_counts(_histories(s)))
case("purchases.score")(_buyers)
case("purchases.by_customer")(lambda s: purchases.by_customer(_buyers(s)))


@case("purchases.with_later")
def _(s: Source) -> ir.Table:
    earlier = purchases.histories(s, as_of=THEN, kinds=("one_off", "recurring"))
    rows = purchases.with_later(s, earlier, after=THEN, as_of=AS_OF, kinds=("one_off", "recurring"))
    return purchases.grouped_counts(rows)


# --------------------------------------------------------------------------------------------------- value


def _stays(s: Source, as_of: dt.date, by: str | None = "plan") -> ir.Table:
    return value.stays(s, by=by, dims=["country", "channel"], as_of=as_of)


def _scored(s: Source, as_of: dt.date) -> ir.Table:
    # Kept, as a workbook keeps it: the spells are asked for often, and to keep them must work everywhere.
    base = value.base(
        s, _stays(s, as_of).cache(), ["country"], as_of=as_of, known_until=as_of, yearly_rate=0.1
    ).cache()
    keys = ["group", "interval", "country", "tenure", "currency", "bills_left"]
    scores = _here(value.base_counts(base, ["country"]))[keys]
    scores["multiplier"] = 10.0 + scores["tenure"] % 7 / 8
    scores["low"], scores["high"] = scores["multiplier"] * 0.75, scores["multiplier"] * 1.25
    scores["stays_a_year"] = 0.5
    return value.score(base, ibis.memtable(scores), ["country"])


case("value.stays")(lambda s: _stays(s, AS_OF))
case("value.stay_counts")(lambda s: value.stay_counts(_stays(s, AS_OF), ["channel"], as_of=AS_OF))
case("value.stay_counts: from a day")(
    lambda s: value.stay_counts(_stays(s, AS_OF, None), as_of=AS_OF, observed_from=back(300), on_at=THEN)
)
case("value.still_on")(lambda s: value.still_on(_stays(s, AS_OF), at=THEN))
case("value.paid_after")(lambda s: value.paid_after(s, _stays(s, AS_OF), on_at=THEN, as_of=AS_OF))
case("value.split_counts")(
    lambda s: value.split_counts(_stays(s, AS_OF), ["channel", "country"], as_of=AS_OF)
)
case("value.base")(lambda s: value.base(s, _stays(s, AS_OF), ["country"], as_of=AS_OF, known_until=AS_OF))
CASES["ledger.with_usage"] = CASES["value.base"]
case("value.base_counts")(
    lambda s: value.base_counts(value.base(s, _stays(s, AS_OF, None), as_of=AS_OF, known_until=AS_OF))
)
case("value.paid_by_tenure")(lambda s: value.paid_by_tenure(s, _stays(s, AS_OF), since=THEN, as_of=AS_OF))
case("value.intervals_begun")(lambda s: value.intervals_begun(_stays(s, AS_OF), since=THEN, as_of=AS_OF))
case("value.newcomers")(lambda s: value.newcomers(_stays(s, AS_OF), since=THEN))
case("value.intake")(lambda s: value.intake(value.newcomers(_stays(s, AS_OF), since=THEN), ["channel"]))
case("value.payers")(lambda s: value.payers(s, value.newcomers(_stays(s, AS_OF), since=THEN), as_of=AS_OF))
case("units.running")(lambda s: units.running(s, AS_OF))
case("units.subscriptions_held")(lambda s: units.subscriptions_held(s, as_of=AS_OF))
case("units.with_held")(lambda s: units.with_held(_stays(s, AS_OF), s, at=THEN))
case("units.by_owner")(lambda s: units.by_owner(_scored(s, AS_OF), s))
case("value.paid_by_cohort")(lambda s: value.paid_by_cohort(s, _stays(s, AS_OF), as_of=AS_OF))
case("value.score")(lambda s: _scored(s, AS_OF))
case("value.value_by_cohort")(lambda s: value.value_by_cohort(_scored(s, AS_OF)))
case("value.brought")(lambda s: value.brought(s, as_of=AS_OF))
case("value.movement")(lambda s: value.movement(_scored(s, THEN), _scored(s, AS_OF), _stays(s, AS_OF), THEN))


# ------------------------------------------------------------------------------------------------ features


SHARES = {"category": {"Drama": 0.4, "Kids": 0.2}, "platform": {"tv": 0.5}, "feature": {"search": 0.3}}


def _usage(s: Source, as_of: dt.date, **more: Any) -> ir.Table:
    return features.usage(s, as_of=as_of, days=90, shares=SHARES, **more)


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


def _segments(s: Source, as_of: dt.date) -> ir.Table:
    return features.assigned(_usage(s, as_of), _rule())


def _rfm(s: Source) -> ir.Table:
    paid = features.worth(s, as_of=AS_OF, rates=RATES)
    table = features.rfm(_usage(s, AS_OF), paid)
    edges = {"recency": [1, 7, 14, 30], "frequency": [1, 2, 5, 9], "value": [500, 999, 1500, 2_000_000]}
    return features.rfm_scores(table, edges)


case("features.usage_levels")(lambda s: features.usage_levels(s, as_of=AS_OF, days=400))
case("features.first_event")(lambda s: features.first_event(s))
case("features.first_event: one kind")(lambda s: features.first_event(s, events=["play"]))
case("features.silent")(
    lambda s: features.silent(s, features.worth(s, as_of=AS_OF, rates=RATES), as_of=AS_OF)
)
case("features.silence")(
    lambda s: features.silence(
        s,
        features.worth(s, as_of=AS_OF - dt.timedelta(days=60), rates=RATES),
        features.worth(s, as_of=AS_OF, rates=RATES),
        (AS_OF, AS_OF - dt.timedelta(days=60)),
    )
)
case("features.members")(lambda s: features.members(s, as_of=AS_OF, days=90))
case("features.members: everyone")(lambda s: features.members(s, as_of=AS_OF, days=90, everyone=True))
case("features.usage")(lambda s: _usage(s, AS_OF))
case("features.usage: everyone, elsewhere")(
    lambda s: _usage(s, AS_OF, everyone=True, events=["play"], policy=STRICT)
)
case("features.present")(
    lambda s: features.present(
        features.usage(s, as_of=AS_OF, days=90, shares=SHARES, everyone=True), AS_OF
    ).select("customer_id", "events")
)
case("features.characteristics")(
    lambda s: features.characteristics(s, s["subscriptions"].select("customer_id").distinct(), [ATTRIBUTE])
)
case("features.sampled")(lambda s: features.sampled(s["customers"].select("customer_id"), 40))
case("features.worth")(lambda s: features.worth(s, as_of=AS_OF, rates=RATES))
case("features.rfm")(lambda s: features.rfm(_usage(s, AS_OF), features.worth(s, as_of=AS_OF)))
case("features.value_counts")(lambda s: features.value_counts(_rfm(s), ["r", "frequency", "value"]))
case("features.rfm_scores")(_rfm)
case("features.rfm_segments")(lambda s: features.rfm_segments(_rfm(s), {"555": "best", "111": "lost"}))
case("features.assigned")(lambda s: _segments(s, AS_OF))
case("features.folded")(lambda s: features.folded(_segments(s, AS_OF), 30))
case("features.segment_rows")(lambda s: features.segment_rows(_segments(s, AS_OF), "behavior", AS_OF))
case("features.segment_totals")(
    lambda s: features.segment_totals(
        _segments(s, AS_OF), _usage(s, AS_OF), features.worth(s, as_of=AS_OF), ["minutes"]
    )
)
case("features.crossed")(lambda s: features.crossed(_segments(s, AS_OF), _named(s)))
case("features.departures")(lambda s: features.departures(s, _segments(s, THEN), since=THEN, as_of=AS_OF))
case("features.composition")(
    lambda s: features.composition(s, _segments(s, AS_OF), ["birth_year", "country", ATTRIBUTE], as_of=AS_OF)
)
case("feedback.questions")(lambda s: feedback.questions(s, as_of=AS_OF))
case("feedback.response")(lambda s: feedback.response(s, as_of=AS_OF))
case("feedback.answers")(lambda s: feedback.answers(s, ["what's new?"], as_of=AS_OF))


@case("features.moves")
def _(s: Source) -> ir.Table:
    before, after = (_segments(s, day) for day in (THEN, AS_OF))
    return features.moves(before, after, features.worth(s, as_of=THEN), features.worth(s, as_of=AS_OF))


def _named(s: Source) -> ir.Table:
    rows = s["segments"]
    return rows.filter((rows.scheme == "crm") & (rows.as_of == rows.as_of.max())).select(
        "customer_id", "segment"
    )


def _here(expr: ir.Table) -> pd.DataFrame:
    """Counts that a model would be fitted on, in one order whatever the engine gave."""
    frame = collect(expr)
    return frame.sort_values(list(frame.columns)).reset_index(drop=True)


# ------------------------------------------------------------------------------------------------- results


def _far(s: Source) -> ir.Table:
    """A row per customer, as scores are: text, whole numbers, dates with nulls, floating point."""
    stays = subscriptions.spells(s, as_of=AS_OF)
    return stays.mutate(odds=stays.spell.cast("float64") / 7, large=stays.spell.cast("int64") * 3_000_000_001)


case("cut.merged")(lambda s: cut.merged(s["subscriptions"]))


@case("results.kept")
def _(s: Source) -> ir.Table:
    stays = results.kept(_far(s))
    return ibis.union(stays, stays.filter(stays.spell == 1))


@case("results.batches")
def _(s: Source) -> ir.Table:
    return ibis.memtable(results.batches(_far(s)).read_all())


@case("results.write: Parquet")
def _(s: Source) -> ir.Table:
    with tempfile.TemporaryDirectory() as place:
        path = results.write(_far(s), f"{place}/stays.parquet")
        return ibis.memtable(pq.read_table(path))


@case("results.save")
def _(s: Source) -> ir.Table:
    with tempfile.TemporaryDirectory() as place:
        results.save(_far(s), f"{place}/stays.parquet")
        return ibis.memtable(pq.read_table(f"{place}/stays.parquet"))


@case("results.write: a table, twice")
def _(s: Source) -> ir.Table:
    if s.connection.name == "duckdb":
        return _far(s)
    for name in ("written", "written"):
        results.write(_far(s), name, replace=True)
    return s.connection.table("written")


# Helpers, asked within the measures that use them.
CASES["calendar.numbered"] = CASES["calendar.numbers_of"] = CASES["value.stays"]
CASES["spans.converted"] = CASES["revenue.retention_moments"]
CASES["engagement.within"] = CASES["spans.real"] = CASES["spans.runs"] = CASES["engagement.sessions"]
CASES["spans.stacked"] = CASES["subscriptions.characteristics"]
CASES["subscriptions.grouped"] = CASES["subscriptions.outcome"] = CASES["subscriptions.life_table: by plan"]

# ---------------------------------------------------------------------------------------------- new workbooks

# `tenure new` writes the cases of a workbook into a file of their own.
for file in sorted(Path(__file__).parent.glob("cases_*.py")):
    importlib.import_module(f"engines.{file.stem}")
