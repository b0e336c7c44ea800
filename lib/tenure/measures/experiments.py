"""Experiments on prices, reduced to counts, moments and life tables by variant and segment.

A unit is a visitor or a customer who was put into a variant. Whoever was put into several counts where
they were put first, as the randomization meant it; `integrity` says how many there are. A day ``as_of``
means: the data is complete through the end of that day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import ibis
from ibis import _, ir

from tenure.economics import Economics
from tenure.errors import InputError
from tenure.measures.calendar import Period, day_index, day_of, end_of
from tenure.measures.spans import Tables, converted, instead, settle
from tenure.measures.subscriptions import life_table as by_group
from tenure.measures.subscriptions import spells
from tenure.policy import MetricPolicy

# What units have of their own, which no column to compare by may be called.
_TAKEN = {"customer_id", "visitor_id", "unit_id", "is_test", "variant", "price_minor", "week", "ripe", "n"}
_TAKEN |= {"converted", "subscribed", "revenue", "margin", "paid_days", "charges", "refunds", "pre_revenue"}
_NEVER = 99_999_999  # later than any day


def experiments(source: Tables) -> ir.Table:
    """List the experiments.

    Returns:
        A row an experiment: experiment, units (rows of assignments), variants, first and last
        (times of assignment); the latest first.
    """
    return (
        source["assignments"]
        .group_by("experiment")
        .agg(
            units=_.count().cast("int64"),
            variants=_.variant.nunique().cast("int64"),
            first=_.assigned_at.min(),
            last=_.assigned_at.max(),
        )
        .order_by(ibis.desc("last"), "experiment")
    )


def assigned_units(source: Tables, *, experiment: str, as_of: dt.date) -> ir.Table:
    """Return each unit of an experiment once, with the variant it was put into first.

    Returns:
        A row per unit: unit_id, customer_id ("" where there is none), variant, price_minor, assigned_at,
        assigned_day (days since 1970), repeats (further rows), crossed (1 if in several variants) and
        repriced (1 if shown several prices). Where there are no visits, and no unit names a customer, the
        units are the customers.
    """
    key = ("units", experiment, as_of)
    return settle(source, key, lambda: _assigned_units(source, experiment, as_of))


def _assigned_units(source: Tables, experiment: str, as_of: dt.date) -> ir.Table:
    rows = source["assignments"].filter((_.experiment == experiment) & (_.assigned_at < end_of(as_of)))
    rows = rows.select(
        "unit_id",
        "variant",
        "price_minor",
        "assigned_at",
        "customer_id",
    )
    named = rows.aggregate(named=_.customer_id.count())
    own = ibis.cases((_.named > 0, ""), else_=_.unit_id) if "visits" not in source else ""
    rows = rows.cross_join(named).mutate(customer_id=_.customer_id.fill_null(own)).drop("named")
    several = rows.group_by("unit_id").agg(n=_.count()).filter(_.n > 1).select("unit_id")
    zero = ibis.literal(0, "int64")
    once = rows.anti_join(several, "unit_id").mutate(repeats=zero, crossed=zero, repriced=zero)
    repeated = rows.semi_join(several, "unit_id")
    whole = repeated.group_by("unit_id").agg(
        repeats=(_.count() - 1).cast("int64"),
        crossed=(_.variant.min() != _.variant.max()).ifelse(1, 0).cast("int64"),
        repriced=(_.price_minor.min() != _.price_minor.max()).fill_null(False).ifelse(1, 0).cast("int64"),
        known=_.customer_id.max(),
    )
    # Rows that are alike in all of these are the same row.
    order = [
        repeated.assigned_at,
        repeated.variant,
        repeated.customer_id,
        repeated.price_minor.fill_null(-1),
    ]
    first = repeated.mutate(place=ibis.row_number().over(ibis.window(group_by="unit_id", order_by=order)))
    first = first.filter(_.place == 0).drop("place", "customer_id").inner_join(whole, "unit_id")
    first = first.select(
        "unit_id",
        "variant",
        "price_minor",
        "assigned_at",
        "repeats",
        "crossed",
        "repriced",
        customer_id=_.known,
    )
    both = ibis.union(once.select(first.columns), first)
    return both.mutate(assigned_day=day_index(both.assigned_at))


def currencies(source: Tables, *, experiment: str, as_of: dt.date) -> ir.Table:
    """Count the subscriptions of an experiment's customers by currency.

    Returns:
        A row per currency: currency, spans (0 where only payments are in it); the most frequent first.
    """
    tables = stays_of_units(source, experiment=experiment, as_of=as_of)
    rows = tables["subscriptions"].select("currency", spans=ibis.literal(1, "int64"))
    if "payments" in source:
        paid = source["payments"].semi_join(tables["customers"], "customer_id")
        rows = rows.union(paid.select("currency").distinct().mutate(spans=ibis.literal(0, "int64")))
    return (
        rows.group_by("currency")
        .agg(spans=_.spans.sum().cast("int64"))
        .order_by(ibis.desc("spans"), "currency")
    )


def daily_counts(source: Tables, *, experiment: str, as_of: dt.date) -> ir.Table:
    """Count the units that were assigned each day.

    Returns:
        A row per day and variant in order: day (since 1970), variant, n.
    """
    units = assigned_units(source, experiment=experiment, as_of=as_of)
    return (
        units.group_by(day=_.assigned_day, variant=_.variant)
        .agg(n=_.count().cast("int64"))
        .order_by("day", "variant")
    )


def segment_columns(source: Tables) -> list[str]:
    """Return the columns that effects may be compared by: known before the unit decided.

    Where there are visits, these are the visits' own columns: a characteristic that is known only for
    those who became customers would compare converted units with nobody. Without visits the units are
    customers, and it is the customers' columns.
    """
    schema = source["visits" if "visits" in source else "customers"].schema()
    times = {name for name, type_ in schema.items() if type_.is_timestamp() or type_.is_date()}
    return [name for name in schema if name not in _TAKEN | times]


def outcomes(
    source: Tables,
    *,
    experiment: str,
    as_of: dt.date,
    window_days: int = 90,
    pre_days: int = 90,
    segments: Sequence[str] = (),
    factors: Mapping[str, float] | None = None,
    outcome: str = "",
    on_day: int | None = None,
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Return what each unit did in the days after its assignment.

    Money is in minor units of the reporting currency: each currency is converted at one rate for the whole
    experiment, so that exchange rates that move look like no effect.

    Args:
        window_days: Days from the assignment on in which outcomes count, the day itself included.
        pre_days: Days before the assignment that `pre_revenue` covers.
        factors: For each currency the reporting minor units of one of its own (`tenure.money`); none: there
            is one currency, and nothing is converted.
        outcome: What is to convert: an event, "any event" or "payment"; empty: to subscribe or to pay.
        on_day: The day after the assignment on which the outcome counts; None: any of the window.

    Returns:
        A row per unit: the columns of `assigned_units`, the segments, observed_days, ripe (1 if the whole
        window was observed), subscribed (1 if a paid spell runs in the window), converted, paid_days, revenue
        (paid less refunded), charges, refunds, charged_otherwise (1 if no first span of a subscriber has the
        price assigned), pre_revenue, and the lowest and the highest currency charged in.

    Raises:
        InputError: A segment is not available, or the day of the outcome is not one of the window.
    """
    if on_day is not None and not (outcome and 0 <= on_day < window_days):
        raise InputError(
            f"The parameter `on_day` is {on_day}: name an `outcome` that counts on that day, and a "
            f"`window_days` beyond it, which is {window_days} now."
        )
    rates = tuple(sorted((factors or {}).items()))
    key = (
        "outcomes",
        experiment,
        as_of,
        window_days,
        pre_days,
        tuple(segments),
        rates,
        outcome,
        on_day,
        policy,
    )

    def make() -> ir.Table:
        units = with_segments(source, assigned_units(source, experiment=experiment, as_of=as_of), segments)
        how = (as_of, window_days, pre_days, dict(rates), policy, outcome, on_day)
        return _outcomes(source, units, *how)

    return settle(source, key, make)


def _outcomes(
    source: Tables,
    units: ir.Table,
    as_of: dt.date,
    window_days: int,
    pre_days: int,
    factors: Mapping[str, float],
    policy: MetricPolicy,
    outcome: str,
    on_day: int | None,
) -> ir.Table:
    cut = day_of(as_of).index + 1
    units = units.mutate(observed_days=(cut - _.assigned_day).cast("int64"))
    units = units.mutate(ripe=(_.observed_days >= window_days).ifelse(1, 0).cast("int64"))
    whose = _customers(units).anti_join(source["customers"].filter(_.is_test), "customer_id")
    units = _left_join_zero(units, _stays(source, whose, as_of, window_days, policy), "customer_id")
    charges = _charges(source, whose, as_of, window_days, pre_days, factors)
    units = _left_join_zero(units, charges, "customer_id")
    if not outcome:
        paid = (units.charges > 0).ifelse(1, 0).cast("int64")
        return units.mutate(converted=ibis.greatest(units.subscribed, paid))
    days = range(window_days) if on_day is None else [on_day]
    return _left_join_zero(units, _did(source, whose, as_of, days, outcome), "customer_id")


def with_margin(units: ir.Table, economics: Economics, currency: str) -> ir.Table:
    """Add to the units of `outcomes` what their revenue leaves: margin, rounded to the minor unit.

    Args:
        economics: The company's; a year has 12 months to 365 paid days.
        currency: The reporting currency.
    """
    months = units.paid_days * (12 / 365)
    left = economics.left_of(units.revenue, currency, charges=units.charges, months=months)
    return units.mutate(margin=left.round().cast("int64"))


def with_segments(source: Tables, units: ir.Table, segments: Sequence[str]) -> ir.Table:
    """Add columns that were known when the units were assigned; see `segment_columns`.

    Raises:
        InputError: A column is not among them.
    """
    known = segment_columns(source)
    for name in segments:
        if name not in known:
            raise InputError(
                f"Effects cannot be compared by '{name}': it must be known for those who did not subscribe, "
                f"too. There are: {', '.join(known) or 'none'}."
            )
    if not segments:
        return units
    table, key, left = ("customers", "customer_id", "customer_id")
    if "visits" in source:
        table, key, left = ("visits", "visitor_id", "unit_id")
    values = source[table].select(**{left: _[key]}, **{f"seg_{name}": _[name] for name in segments})
    joined = units.left_join(values, left).drop(f"{left}_right")
    joined = joined.mutate(
        **{name: _[f"seg_{name}"].cast("string").fill_null("unknown") for name in segments}
    )
    return joined.drop(*(f"seg_{name}" for name in segments))


def integrity(units: ir.Table) -> ir.Table:
    """Count by variant what would make a comparison unsound.

    Returns:
        A row per variant in order: variant, units, ripe, converted, subscribed, repeated (assigned again),
        crossed (also put into another variant), shared (units whose customer is also another unit's),
        unpriced (without a price), prices (different ones), otherwise_priced (units shown another price than
        most of their variant), repriced (shown several prices), lowest_price and highest_price (minor units),
        charged_otherwise, revenue, refunds, pre_revenue (minor units), observed_days (sum), and
        lowest_currency and highest_currency charged in.
    """
    customers = units.filter(_.customer_id != "").group_by("customer_id").agg(n=_.count())
    shared = customers.filter(_.n > 1).select("customer_id").mutate(shared=ibis.literal(1, "int64"))
    units = _left_join_zero(units, shared, "customer_id")
    total = {
        "ripe": _.ripe,
        "converted": _.converted,
        "subscribed": _.subscribed,
        "repriced": _.repriced,
        "repeated": (_.repeats > 0).ifelse(1, 0),
        "crossed": _.crossed,
        "shared": _.shared,
        "unpriced": _.price_minor.isnull().ifelse(1, 0),
        "charged_otherwise": _.charged_otherwise,
        "revenue": _.revenue,
        "refunds": _.refunds,
        "pre_revenue": _.pre_revenue,
        "observed_days": _.observed_days,
    }
    priced = units.filter(_.price_minor.notnull()).group_by("variant", "price_minor").agg(m=_.count())
    priced = priced.group_by("variant").agg(otherwise_priced=(_.m.sum() - _.m.max()).cast("int64"))
    counted = units.group_by("variant").agg(
        units=_.count().cast("int64"),
        prices=_.price_minor.nunique().cast("int64"),
        lowest_price=_.price_minor.min().cast("int64"),
        highest_price=_.price_minor.max().cast("int64"),
        lowest_currency=_.lowest_currency.min(),
        highest_currency=_.highest_currency.max(),
        **{name: value.cast("int64").sum().cast("int64") for name, value in total.items()},
    )
    return _left_join_zero(counted, priced, "variant").order_by("variant")


def moments(
    units: ir.Table,
    measures: Sequence[str],
    *,
    by: Sequence[str] = ("variant",),
    covariates: Mapping[str, str] | None = None,
    ratios: Sequence[tuple[str, str]] = (),
    cap: tuple[float, float] | None = None,
) -> ir.Table:
    """Reduce units to the sums that means, variances and covariances are made of, in one pass.

    Sums are of whole numbers and exact (then given as floating point), so they do not depend on the
    order of rows or on how they are cut into chunks. A value may be up to about 3 billion minor units;
    beyond that the engine refuses to multiply.

    Args:
        units: A row per unit; the measures are whole numbers and never null.
        measures: Columns to take moments of.
        by: Columns to group by.
        covariates: For a measure, its column from before the experiment (CUPED).
        ratios: Pairs of measures whose ratio is wanted, so that their products are summed.
        cap: Two shares, such as (0, 0.99): values beyond these quantiles of all units together (of no
            arm alone, or arms would be cut differently) are moved to them; units with 0 stand aside, or few
            conversions would all be cut to 0.

    Returns:
        A row per group in order: `by`, n, and for each column a (measures and covariates) s_a, its sum,
        and q_a, the sum of squares; for each measure k_a, of how many units it is not 0; and for each pair
        of columns c_a_b, the sum of products.

    Raises:
        InputError: A column is absent, or the shares of `cap` are not in order.
    """
    covariates = dict(covariates or {})
    outcomes = dict.fromkeys([*measures, *(name for pair in ratios for name in pair)])
    columns = list(dict.fromkeys([*outcomes, *covariates.values()]))
    for name in (*columns, *by):
        if name not in units.columns:
            raise InputError(f"The units have no column '{name}'; they have {', '.join(units.columns)}.")
    units = units.select(*by, **{name: _[name].cast("int64") for name in columns if name not in by})
    if cap is not None:
        units = _capped(units, columns, cap)
    pairs = dict.fromkeys([*covariates.items(), *ratios])
    sums = {f"s_{name}": units[name].sum() for name in columns}
    sums |= {f"q_{name}": (units[name] * units[name]).sum() for name in columns}
    sums |= {f"k_{name}": (units[name] != 0).sum() for name in outcomes}
    sums |= {f"c_{a}_{b}": (units[a] * units[b]).sum() for a, b in pairs}
    table = units.group_by(*by).agg(
        n=units.count().cast("int64"), **{name: value.cast("float64") for name, value in sums.items()}
    )
    return table.order_by(*by)


def stays_of_units(
    source: Tables,
    *,
    experiment: str,
    as_of: dt.date,
    segments: Sequence[str] = (),
) -> Tables:
    """Return the customers and subscriptions of an experiment, as seen from their assignment on.

    Any measure of spells works on them, by ``variant``: spans before the assignment are cut off, so that
    a customer who was there already counts from the assignment. Customers of units in different variants
    are left out.

    Returns:
        Contract tables, of which `customers`, with the columns variant and the segments, and
        `subscriptions` are those of the experiment.
    """
    units = with_segments(source, assigned_units(source, experiment=experiment, as_of=as_of), segments)
    whose = _customers(units, ["variant", *segments])
    columns = [c for c in source["customers"].columns if c not in ("variant", *segments)]
    customers = source["customers"].select(columns).inner_join(whose.drop("assigned_at"), "customer_id")
    subscriptions = source["subscriptions"].inner_join(
        whose.select("customer_id", "assigned_at"), "customer_id"
    )
    return instead(
        source,
        {
            "customers": customers.drop("assigned_day"),
            "subscriptions": _from_assignment(subscriptions).drop("assigned_at"),
        },
    )


def life_table(
    source: Tables,
    *,
    experiment: str,
    as_of: dt.date,
    period: Period = "month",
    policy: MetricPolicy = MetricPolicy(),
) -> ir.Table:
    """Count, for each period of the lifetimes that followed an assignment, who was at risk and who left.

    Returns:
        A life table whose groups are the variants; see `tenure.measures.subscriptions.life_table`.
    """
    tables = stays_of_units(source, experiment=experiment, as_of=as_of)
    return by_group(tables, by="variant", as_of=as_of, period=period, policy=policy)


def _customers(units: ir.Table, carry: Sequence[str] = ()) -> ir.Table:
    """The units' customers, each once, from the first assignment on; none that is in several variants."""
    known = units.filter(_.customer_id != "")
    customers = known.group_by("customer_id").agg(
        assigned_day=_.assigned_day.min(),
        assigned_at=_.assigned_at.min(),
        low=_.variant.min(),
        high=_.variant.max(),
        **{name: _[name].min() for name in carry},
    )
    return customers.filter(_.low == _.high).drop("low", "high")


def _from_assignment(subscriptions: ir.Table) -> ir.Table:
    """Spans that run after the assignment, begun at it where they had begun before."""
    s = subscriptions.filter((_.ended_at.isnull() | (_.ended_at > _.assigned_at)).fill_null(True))
    return s.mutate(started_at=(_.started_at < _.assigned_at).ifelse(_.assigned_at, _.started_at))


def _stays(
    source: Tables, whose: ir.Table, as_of: dt.date, window_days: int, policy: MetricPolicy
) -> ir.Table:
    """For each customer: subscribed, paid_days and charged_otherwise within the window."""
    cut = day_of(as_of).index + 1
    spans = _from_assignment(
        source["subscriptions"].inner_join(
            whose.select("customer_id", "assigned_at", "assigned_day"), "customer_id"
        )
    )
    tables = {"subscriptions": spans.drop("assigned_at", "assigned_day")}
    runs = spells(instead(source, tables), as_of=as_of, policy=policy)
    runs = runs.select(
        "customer_id",
        from_day=day_index(runs.start),
        to_day=runs.end.isnull().ifelse(_NEVER, day_index(runs.end)).cast("int64"),
    )
    runs = runs.inner_join(whose.select("customer_id", "assigned_day"), "customer_id")
    runs = runs.mutate(closes=ibis.least(_.assigned_day + window_days, cut).cast("int64"))
    runs = runs.filter(_.from_day < _.closes).mutate(
        days=(ibis.least(_.to_day, _.closes) - _.from_day).cast("int64")
    )
    paid = runs.group_by("customer_id").agg(
        subscribed=(_.count() > 0).ifelse(1, 0).cast("int64"),
        paid_days=_.days.sum().cast("int64"),
        first_day=_.from_day.min(),
    )
    priced = source["assignments"].filter(_.customer_id.notnull() & _.price_minor.notnull())
    priced = priced.group_by("customer_id", "price_minor").agg(rows=_.count()).drop("rows")
    first = spans.mutate(span_day=day_index(spans.started_at)).inner_join(
        paid.select("customer_id", "first_day"), "customer_id"
    )
    first = first.filter(_.span_day == _.first_day).select("customer_id", "unit_amount_minor")
    first = first.inner_join(priced, "customer_id")
    charged = first.group_by("customer_id").agg(
        charged_otherwise=(_.unit_amount_minor == _.price_minor).ifelse(0, 1).min().cast("int64")
    )
    return _left_join_zero(paid.drop("first_day"), charged, "customer_id")


def _did(source: Tables, whose: ir.Table, as_of: dt.date, days: Sequence[int], outcome: str) -> ir.Table:
    """Who had an outcome on one of so many days after the assignment: converted."""
    if outcome == "payment":
        done = source["payments"].filter(_.status == "paid").select("customer_id", at=_.attempted_at)
    else:
        events = source["events"]
        events = events if outcome == "any event" else events.filter(_.event == outcome)
        done = events.select("customer_id", at=_.occurred_at)
    done = done.filter(_.at < end_of(as_of))
    done = done.select("customer_id", day=day_index(done.at))
    done = done.inner_join(whose.select("customer_id", "assigned_day"), "customer_id")
    done = done.filter((_.day - _.assigned_day).between(days[0], days[-1])).select("customer_id").distinct()
    return done.mutate(converted=ibis.literal(1, "int64"))


def _charges(
    source: Tables,
    whose: ir.Table,
    as_of: dt.date,
    window_days: int,
    pre_days: int,
    factors: Mapping[str, float],
) -> ir.Table:
    """For each customer: revenue, charges and refunds within the window, and revenue before it."""
    zero = ibis.literal(0, "int64")
    if "payments" not in source:
        sums = dict.fromkeys(("revenue", "charges", "refunds", "pre_revenue"), zero)
        texts = dict.fromkeys(("lowest_currency", "highest_currency"), ibis.literal(""))
        return whose.select("customer_id", **sums, **texts)
    p = source["payments"]
    p = p.filter((p.attempted_at < end_of(as_of)) & (p.status != "failed"))
    p = p.select("customer_id", "amount_minor", "currency", "status", day=day_index(p.attempted_at))
    p = p.inner_join(whose.select("customer_id", "assigned_day"), "customer_id")
    p = p.mutate(since=(_.day - _.assigned_day).cast("int64")).filter(
        (_.since >= -pre_days) & (_.since < window_days)
    )
    if factors:
        # Half a unit is rounded up; engines differ in how they round it themselves.
        amount = converted(p, p.amount_minor, factors)
        p = p.mutate(amount_minor=(amount + 0.5).floor().cast("int64"))
    p = p.mutate(
        inside=_.since >= 0,
        paid=(_.status == "paid").ifelse(_.amount_minor, 0).cast("int64"),
        back=(_.status == "refunded").ifelse(_.amount_minor, 0).cast("int64"),
    )
    net = p.paid - p.back
    return p.group_by("customer_id").agg(
        revenue=p.inside.ifelse(net, 0).sum().cast("int64"),
        charges=(p.inside & (p.status == "paid")).ifelse(1, 0).sum().cast("int64"),
        refunds=p.inside.ifelse(p.back, 0).sum().cast("int64"),
        pre_revenue=p.inside.ifelse(0, net).sum().cast("int64"),
        lowest_currency=p.currency.min(),
        highest_currency=p.currency.max(),
    )


def _left_join_zero(left: ir.Table, right: ir.Table, key: str) -> ir.Table:
    """Left join whose numbers are 0 where there is no match; texts stay null."""
    added = [name for name in right.columns if name != key]
    joined = left.left_join(right, key).drop(f"{key}_right")
    zero = {name: joined[name].fill_null(0) for name in added if joined[name].type().is_integer()}
    return joined.mutate(**zero)


def _capped(units: ir.Table, columns: Sequence[str], cap: tuple[float, float]) -> ir.Table:
    low, high = cap
    if not 0 <= low < high <= 1:
        raise InputError(f"`cap` must be two shares in order, such as (0, 0.99); it is {cap!r}.")
    limits = {}
    for name in columns:
        if low > 0:
            limits[f"{name}_low"] = units[name].nullif(0).quantile(low).floor().cast("int64")
        if high < 1:
            limits[f"{name}_high"] = units[name].nullif(0).quantile(high).ceil().cast("int64")
    if not limits:
        return units
    units = units.cross_join(units.aggregate(**limits))
    changed = {}
    for name in columns:
        value = units[name]
        value = ibis.greatest(value, units[f"{name}_low"]) if low > 0 else value
        value = ibis.least(value, units[f"{name}_high"]) if high < 1 else value
        changed[name] = (units[name] == 0).ifelse(0, value).cast("int64")
    return units.mutate(**changed).drop(*limits)
