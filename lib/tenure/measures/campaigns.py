"""Campaigns to keep customers, or to win them back: who was contacted or held out, and what became of them.

A customer counts in a campaign who was paying on the day before the contact or, of one to win customers back,
who had left; and counts in the arm that was meant, whatever happened. `units` is the table of that name,
`horizon_days` after how many days one looks.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
from ibis import _, ir

from tenure.economics import Economics
from tenure.measures.calendar import day_index
from tenure.measures.engagement import SILENT_DAYS
from tenure.measures.groups import group_column, nameable
from tenure.measures.ledger import NEVER, settled_spans
from tenure.measures.spans import Lens, Tables, converted, lenses, people, real, settle, stacked
from tenure.measures.subscriptions import spells
from tenure.periods import DAYS_A_MONTH
from tenure.policy import MetricPolicy

_KEY = ["campaign", "customer_id"]
# Bands of what was known before the contact, in which customers are alike: up to so many.
_BANDS = (("how_long", "tenure_days", (91, 365)), ("how_much", "events", (0, 8)))
# Days since they left, and what customers who left are compared by that is no column of theirs.
_AWAY = {30: "0-30", 90: "31-90", 180: "91-180"}
OF_ENDS = ("cause", "days_since_end")


def units(
    source: Tables,
    *,
    as_of: dt.date,
    horizon_days: int = 91,
    left: bool = False,
    rates: Mapping[str, float] | None = None,
    currency: str = "",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return each customer of each campaign, with what was known before and what happened after.

    Args:
        left: Whether campaigns are looked at as such to win customers back. Who had left is then eligible: no
            gap or grace could bridge the end any more, so that it does not depend on who came back.
        rates: For each currency the reporting minor units of one of its own; None: nothing is converted.

    Returns:
        A row per campaign and customer: campaign, customer_id, arm, offer (empty: none, or the only one),
        contacted_day, cost and incentive (minor units), leaked (1: held out, and contacted all the same),
        elsewhere (1: another campaign reached them within the days), fold (0 to 4, by the customer),
        eligible (1: was paying on the day before), ripe (1: the whole of the days has passed), plan,
        tenure_days (of the spell, then), monthly (what they paid a month, then; minor units), events (in the
        28 days before), kept (1: paying at the horizon) and paid_days (before it).

        Of those who had left, plan, tenure_days, monthly and events are as of the end, and kept is 1 where
        they began to pay again within the days. There are then also away (days since the end),
        days_since_end (the same in bands) and cause (of the end).
    """
    lens, known = Lens(as_of, policy), None if rates is None else tuple(sorted(rates.items()))
    key = ("campaign units", as_of, horizon_days, left, known, currency, policy)

    def make() -> ir.Table:
        rows = _contacts(source, lens, horizon_days)
        return followed(source, rows, lens, left=left, rates=rates, currency=currency)

    return settle(source, key, make)


def _contacts(source: Tables, lens: Lens, horizon_days: int) -> ir.Table:
    rows = real(source, source["contacts"].filter(_.contacted_at < lens.cut))
    day = day_index(rows.contacted_at)
    rows = rows.select(
        *_KEY,
        "arm",
        day=day,
        horizon=(day + horizon_days).cast("int64"),
        offer=_.offer.fill_null(""),
        cost=_.cost_minor,
        incentive=_.incentive_minor,
    )
    got = (rows.cost > 0) | (rows.incentive > 0) | (rows.offer != "")
    rows = rows.mutate(leaked=((rows.arm == "control") & got).ifelse(1, 0).cast("int64"))
    days = rows.select(*_KEY, "day", "horizon")
    others = rows.filter((_.arm == "treatment") | (_.leaked == 1))
    reached = days.inner_join(others.select("customer_id", other="campaign", at="day"), "customer_id")
    reached = reached.filter((_.other != _.campaign) & (_.at >= _.day) & (_.at < _.horizon))
    reached = reached.select(*_KEY, elsewhere=ibis.literal(1, "int64")).distinct()
    rows = _joined(rows, reached)
    return rows.mutate(elsewhere=rows.elsewhere.fill_null(0))


def followed(
    source: Tables,
    rows: ir.Table,
    lens: Lens,
    *,
    left: bool,
    rates: Mapping[str, float] | None,
    currency: str = "",
) -> ir.Table:
    """Add to rows of campaign, customer_id, day and horizon what `units` knows of customers."""
    rows = rows.inner_join(people(source), "customer_id")
    # The upper bits of a scrambled number, so that neighbors are in different folds.
    fold = ((rows.customer * 2_654_435_761) % 4_294_967_296 // 65_536 % 5).cast("int64")
    rows = rows.mutate(fold=fold).drop("customer")
    days = rows.select(*_KEY, "day", "horizon")
    lived = days.inner_join(_stays(source, lens, currency), "customer_id").filter(_.from_day <= _.horizon)
    begun, there = lived.from_day < lived.day, lived.horizon < lived.to_day
    if left:
        latest = lived.to_day.max(where=begun).over(group_by=_KEY)
        mine = begun & (lived.reach < lived.day) & (lived.to_day == latest)
        there = (lived.from_day >= lived.day) & (lived.from_day < lived.horizon)
    else:
        lived = lived.filter(_.to_day >= _.day)
        mine = begun & (lived.day <= lived.to_day)
    lived = lived.mutate(mine=mine.ifelse(1, 0).cast("int64"), until=ibis.least(lived.to_day, lived.day))
    lived = lived.mutate(there=there.ifelse(1, 0).cast("int64"))
    paid = ibis.least(lived.to_day, lived.horizon) - ibis.greatest(lived.from_day, lived.day)
    lived = lived.group_by(_KEY).agg(
        eligible=_.mine.max(),
        kept=_.there.max(),
        paid_days=ibis.greatest(paid, 0).sum().cast("int64"),
        plan=_.plan.max(where=_.mine == 1),
        cause=_.cause.max(where=_.mine == 1),
        tenure_days=((_.until - _.from_day) * _.mine).max().cast("int64"),
        away=((_.day - _.until) * _.mine).max().cast("int64"),
    )
    rows = _joined(rows, lived)
    rows = rows.mutate(away=rows.away.fill_null(0))
    ends = rows.select(*_KEY, end=rows.day - rows.away)
    spans = settled_spans(source, lenses(lens.as_of, lens.policy), currency)
    spans = spans.inner_join(people(source), "customer")
    amount = spans.paid.cast("float64") if rates is None else converted(spans, spans.paid, rates)
    spans = spans.select("customer_id", "start_day", "end_day", amount=(amount + 0.5).floor().cast("int64"))
    pays = ends.inner_join(spans, "customer_id").filter((_.start_day < _.end) & (_.end <= _.end_day))
    rows = _joined(rows, pays.group_by(_KEY).agg(monthly=_.amount.sum().cast("int64")))
    if "events" in source:
        at = day_index(source["events"].occurred_at)
        used = ends.inner_join(source["events"].select("customer_id", at=at), "customer_id")
        used = used.filter((_.at < _.end) & (_.at >= _.end - SILENT_DAYS))
        rows = _joined(rows, used.group_by(_KEY).agg(events=_.count().cast("int64")))
    zero = ibis.literal(0, "int64")
    numbers = ("eligible", "kept", "paid_days", "tenure_days", "monthly", "events")
    rows = rows.mutate(**{n: rows[n].fill_null(0) if n in rows.columns else zero for n in numbers})
    ripe = (rows.horizon < lens.cut_day).ifelse(1, 0).cast("int64")
    rows = rows.mutate(ripe=ripe, plan=rows.plan.fill_null("unknown"), contacted_day=rows.day)
    if left:
        bands = ((rows.away <= days, name) for days, name in _AWAY.items())
        rows = rows.mutate(days_since_end=ibis.cases(*bands, else_="181+"))
        return rows.mutate(cause=rows.cause.fill_null("unknown")).drop("day", "horizon")
    return rows.drop("day", "horizon", "away", "cause")


def _stays(source: Tables, lens: Lens, currency: str) -> ir.Table:
    """Spells from and to a day, and up to which they could have gone on, by the gap or within the grace."""
    stays = spells(source, as_of=lens.as_of, currency=currency, policy=lens.policy)
    until = stays.end.isnull().ifelse(NEVER, day_index(stays.end)).cast("int64")
    grace = (stays.cause == "involuntary").fill_null(False).ifelse(lens.policy.grace_days or 0, 0)
    reach = ibis.greatest(stays.reach, until + grace)
    return stays.select(
        "customer_id", "plan", "cause", from_day=day_index(stays.start), to_day=until, reach=reach
    )


def _joined(rows: ir.Table, found: ir.Table) -> ir.Table:
    return rows.left_join(found, _KEY).drop(*(f"{name}_right" for name in _KEY))


def overview(units: ir.Table) -> ir.Table:
    """Count each campaign's arms and offers.

    Returns:
        A row per campaign, arm and offer in order: these, customers, eligible, and of the eligible: ripe,
        leaked, elsewhere, kept (of the ripe), free (contacted without any cost or incentive), and first_day
        and last_day of contact.
    """
    on = units.eligible == 1
    ripe = on & (units.ripe == 1)
    counts = {"leaked": on, "elsewhere": on, "kept": ripe}
    free = on & (units.arm == "treatment") & (units.cost == 0) & (units.incentive == 0)
    return (
        units.group_by("campaign", "arm", "offer")
        .agg(
            customers=units.count().cast("int64"),
            eligible=units.eligible.sum().cast("int64"),
            ripe=ripe.ifelse(1, 0).sum().cast("int64"),
            free=free.ifelse(1, 0).sum().cast("int64"),
            **{name: rows.ifelse(units[name], 0).sum().cast("int64") for name, rows in counts.items()},
            first_day=units.contacted_day.min(),
            last_day=units.contacted_day.max(),
        )
        .order_by("campaign", "arm", "offer")
    )


def compared(source: Tables, units: ir.Table, campaign: str, by: Sequence[str] = ()) -> ir.Table:
    """Return the eligible customers of a campaign whose days have passed, by what they are compared by.

    Args:
        by: Columns to compare by; see `tenure.measures.groups.group_column`.

    Returns:
        The rows of `units`, variant ("control", or the offer, "contacted" where there is one only), the
        columns of `by`, and the bands how_long and how_much of the days and of the use before.
    """
    rows = units.filter((_.campaign == campaign) & (_.eligible == 1) & (_.ripe == 1))
    offer = (rows.offer == "").ifelse("contacted", rows.offer)
    rows = rows.mutate(variant=(rows.arm == "control").ifelse("control", offer))
    return described(source, rows, by)


def described(source: Tables, rows: ir.Table, by: Sequence[str] = ()) -> ir.Table:
    """Add the columns of `by` and the bands how_long and how_much to rows of `units`."""
    own = [name for name in by if name in OF_ENDS and name in rows.columns]
    for name in own:
        rows = nameable(rows, name)
    rows = group_column(source, rows, *(name for name in by if name not in own))
    bands = {name: sum((rows[of] > edge).ifelse(1, 0) for edge in edges) for name, of, edges in _BANDS}
    return rows.mutate(**{name: band.cast("string") for name, band in bands.items()})


def in_segments(units: ir.Table, by: Sequence[str]) -> ir.Table:
    """Return the units once in all (by and segment are empty), and once for each characteristic."""
    empty = units.mutate(by=ibis.literal(""), segment=ibis.literal(""))
    parts = [units.mutate(by=ibis.literal(name), segment=units[name].cast("string")) for name in by]
    return stacked([part.drop(*(name for name in by if name != "segment")) for part in (empty, *parts)])


def with_profit(
    units: ir.Table, economics: Economics, currency: str, months_ahead: float, *, again: float | None = None
) -> ir.Table:
    """Add what customers brought: whole minor units, at the price of the day before the contact.

    Args:
        again: Of those who had left: what they pay on coming back for each unit of what they paid. Worth then
            counts from the return on, and an incentive is spent on those who come back.

    Returns:
        The rows with worth (what a customer who is kept brings beyond the horizon), margin (within it),
        spent (cost and incentive) and profit: margin, and worth if kept, less spent.
    """
    ratio = 1.0 if again is None else again

    def left(months: ir.NumericValue | float) -> ir.IntegerValue:
        amount = economics.left_of(units.monthly * (months * ratio), currency, charges=months, months=months)
        return (amount + 0.5).floor().cast("int64")

    units = units.mutate(worth=left(months_ahead), margin=left(units.paid_days / DAYS_A_MONTH))
    given = units.incentive if again is None else units.incentive * units.kept
    units = units.mutate(spent=(units.cost + given).cast("int64"))
    brought = units.worth * units.kept + (units.margin if again is None else 0)
    return units.mutate(profit=(brought - units.spent).cast("int64"))
