"""What a customer's life is here, and which settings it asks for, where the data shows it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import ibis
from ibis import _

from tenure.economics import Economics
from tenure.policy import MetricPolicy, named
from tenure.sources.connect import Source, collect
from tenure.sources.problems import SAMPLES, Problem, Rule, count_of, named_row

_AWAY, _FEW = 60, 20  # days away after which nobody is thought to have meant to stay; customers to speak of


def hints(source: Source, as_of: dt.date, rows: int, facts: Economics) -> Iterator[Problem]:
    """Yield what asks for a setting that the company does not have, of so many customers."""
    policy = named("tenure", facts.rules)
    if policy.unit != "subscription":
        yield from _at_once(source, rows)
    if source.dated:
        yield from _lives(source, as_of, rows, policy)
    yield from _not_told(source, rows, facts, policy)


def _at_once(source: Source, rows: int) -> Iterator[Problem]:
    """Customers who hold several subscriptions at the same time."""
    spans = source["subscriptions"]
    spans = spans.filter((spans.ended_at.isnull() | (spans.ended_at > spans.started_at)).fill_null(True))
    ids = spans.group_by("customer_id").agg(held=spans.subscription_id.nunique())
    spans = spans.semi_join(ids.filter(ids.held > 1), "customer_id")
    # From one subscription to the next, ends come before beginnings at the same moment.
    moments = ibis.union(
        spans.select("customer_id", moment="started_at", step=ibis.literal(1, "int64")),
        spans.filter(spans.ended_at.notnull()).select(
            "customer_id", moment="ended_at", step=ibis.literal(-1, "int64")
        ),
    )
    so_far = ibis.window(group_by="customer_id", order_by=["moment", "step"], preceding=None, following=0)
    most = moments.mutate(held=moments.step.sum().over(so_far)).group_by("customer_id").agg(most=_.held.max())
    several = most.filter(_.most > 1)
    found = collect(several.aggregate(n=_.count(), most=_.most.max())).iloc[0]
    if count := int(found["n"]):
        worst = collect(several.order_by(ibis.desc("most"), "customer_id").limit(SAMPLES))
        sample = tuple(
            f"{named_row('customer_id', row['customer_id'])} ({int(row['most'])})"
            for row in worst.to_dict("records")
        )
        says = (
            f"hold several subscriptions at once, up to {int(found['most'])}: churn and retention count them "
            f"as one customer, who leaves with the last of them and pays the sum; customer value adds up "
            f"what each subscription is worth where more than one customer in twenty holds several"
        )
        fix = "none, if a customer is who pays; `unit: subscription` under `rules` in company.yml counts each"
        rule = Rule("several_at_once", "customer_id", says, fix)
        yield rule.broken("customers", count, rows, sample)


def _lives(source: Source, as_of: dt.date, rows: int, policy: MetricPolicy) -> Iterator[Problem]:
    """What a life is here that the rules of counting do not know unless company.yml or a mapping says so."""
    day, cut = 86_400, (as_of - dt.date(1970, 1, 1)).days + 1
    s = source["subscriptions"].filter(_.status != "trialing")
    s = s.select(
        "customer_id",
        "plan",
        "status",
        start=s.started_at.epoch_seconds() // day,
        until=s.ended_at.epoch_seconds().fill_null(cut * day * 2) // day,
        agreed=s.commitment_ends_at.notnull(),
        told=(s.end_reason.isin(["expired", "voluntary", "involuntary"])).fill_null(False) | ~s.renews,
        term=ibis.cases(
            (s.billing_interval == "year", 365), (s.billing_interval == "month", 30.4375), else_=0
        ) * s.billing_interval_count,
    )  # fmt: skip
    mine = ibis.window(group_by="customer_id", order_by=["start", "until"], preceding=(None, 1))
    month, year = policy.gap_days
    bridged = ibis.greatest(month, (ibis.least(s.term / 365, 1.0) * year).floor())
    s = s.mutate(gap=s.start - s.until.max().over(mine), bridged=(s.term > 31).ifelse(bridged, month))
    whole = s.group_by("customer_id").agg(
        gone=(_.until.max() < cut - _AWAY).ifelse(1, 0),
        returns=(_.gap > _.bridged).sum(),
        soon=((_.gap > _.bridged) & (_.gap <= _AWAY)).sum(),
        longest=_.gap.max(where=_.gap <= _AWAY),
    )
    back = whole.aggregate(
        ends=_.gone.sum() + _.returns.sum(), soon=_.soon.sum(), n=(_.soon > 0).sum(), longest=_.longest.max()
    )
    found = collect(back.fill_null(0)).iloc[0]
    if found["n"] >= _FEW and found["soon"] > 0.2 * found["ends"]:
        says = f"came back within {_AWAY} days of leaving, after at most {int(found['longest'])} days"
        fix = f"set `gap_days: {int(found['longest'])}` under `rules` in company.yml where that is one spell"
        yield Rule("came_back", "customer_id", says, fix).broken("customers", int(found["n"]), rows, ())
    pause = 366 if policy.pause_days is None else policy.pause_days
    long = s.filter((_.status == "paused") & (_.until <= cut) & (_.until - _.start).between(pause + 1, 366))
    again = s.filter(_.status == "active").select(whose="customer_id", then="start")
    long = long.inner_join(again, [long.customer_id == again.whose, long.until == again.then])
    found = collect(long.aggregate(n=_.customer_id.nunique(), longest=(_.until - _.start).max())).iloc[0]
    if found["n"] >= _FEW:
        says = f"came back from a pause of more than {pause} days, of at most {int(found['longest'])}"
        fix = f"set `pause_days: {int(found['longest'])}` under `rules` in company.yml if they had not left"
        yield Rule("long_pause", "customer_id", says, fix).broken("customers", int(found["n"]), rows, ())
    last = s.group_by("customer_id").agg(latest=_.start.max())
    ended = s.inner_join(last, "customer_id").filter((_.until <= cut) & (_.term > 0))
    at_term = (ended.until - ended.start - ended.term).between(-3, 3) & (ended.latest <= ended.start)
    plans = ended.group_by("plan").agg(
        n=_.count(), designed=(at_term & ~ended.told).sum(), terms=(_.term > 31).all()
    )
    for plan in collect(plans.filter(_.n >= _FEW, _.designed == _.n, _.terms).order_by("plan")).itertuples():
        says = f"of plan {plan.plan!r} all ended at the end of their first term"
        fix = "map `renews: false` for them if they end by design, as gifts do; else they are lost renewals"
        yield Rule("all_end", "renews", says, fix).broken("subscriptions", n := int(str(plan.n)), n, ())
    # Who came under observation late cannot have been seen to leave early.
    first = (source.observed_from - dt.date(1970, 1, 1)).days if source.observed_from else 0
    deals = ended.filter((_.until > _.start) & (_.start >= first) & ~_.agreed)
    deals = deals.mutate(terms=(_.until - _.start) / _.term)
    off = (_.terms - _.terms.round()).abs() * _.term
    deals = deals.group_by("plan").agg(n=_.count(), least=_.terms.round().min(), off=off.max())
    for plan in collect(deals.filter(_.n >= _FEW, _.least > 1, _.off <= 3).order_by("plan")).itertuples():
        n, least = int(str(plan.n)), int(str(plan.least))
        says = f"of plan {plan.plan!r} ended after {least} billing intervals or more, none before"
        fix = "map `commitment_ends_at` if so long a term is agreed; else renewals are due with each bill"
        yield Rule("long_term", "commitment_ends_at", says, fix).broken("subscriptions", n, n, ())
    if "payments" in source:
        yield from _without_span(source, rows, policy)


def _not_told(source: Source, rows: int, facts: Economics, policy: MetricPolicy) -> Iterator[Problem]:
    """Columns of customers that ask for a setting which company.yml does not have."""
    people = source["customers"]
    others = people.select(parent_id="customer_id").distinct()
    own = people.filter(_.parent_id != _.customer_id).semi_join(others, "parent_id")
    if policy.unit == "customer" and (count := count_of(own)):
        says = "belong to another customer and count by themselves"
        fix = "set `unit: account` under `rules` in company.yml if the parent is the customer"
        yield Rule("belongs", "parent_id", says, fix).broken("customers", count, rows, ())
    if "store" in source.attributes and not facts.commission:
        says = "name a store, and nothing is taken off for what it keeps"
        fix = "set `commission` in company.yml, such as {app_store: 0.3}"
        count = count_of(people.filter(_.store.notnull()))
        yield Rule("store", "store", says, fix).broken("customers", count, rows, ())


def _without_span(source: Source, rows: int, policy: MetricPolicy) -> Iterator[Problem]:
    """Customers who have paid for a subscription or its use, and hold none with a price."""
    s = source["subscriptions"]
    priced = s.filter(s.unit_amount_minor * s.quantity > s.discount_minor)
    paid = source["payments"].filter((_.status == "paid") & (_.amount_minor > 0))
    paid = paid.filter(paid.kind.isin(["recurring", "usage"])).anti_join(priced, "customer_id")
    paid = paid.semi_join(source["customers"], "customer_id")
    free = paid.semi_join(s, "customer_id")
    counts = {"none": paid.anti_join(s, "customer_id")}
    if policy.usage == "alone":
        counts["usage"] = free.filter(_.kind == "usage")
    for kind, part in counts.items():
        if count := int(collect(part.aggregate(n=_.customer_id.nunique())).iloc[0]["n"]):
            says, fix = (
                ("pay for usage alone: that is their recurring revenue, a mean of up to three months",
                 "none is needed; `usage: apart` under `rules` in company.yml keeps it out")
                if kind == "usage"
                else ("have paid for a subscription and have no row in subscriptions",
                      "add the spans that they paid for")
            )  # fmt: skip
            yield Rule(f"paying_{kind}", "customer_id", says, fix).broken("customers", count, rows, ())
