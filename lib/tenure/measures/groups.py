"""The columns that groups are compared by: of a customer, or of what a spell began with."""

from __future__ import annotations

from difflib import get_close_matches

import ibis
from ibis import _, ir

from tenure import privacy
from tenure.errors import InputError, NotApplicable
from tenure.measures.spans import Tables, settle

# Groups that need no column of customers, and the names that a customers' column cannot have beside them.
OF_SPELLS = ("plan", "currency", "billing", "start_year", "start_quarter", "start_month")
# Time, the arms of an experiment and whose a subscription is are no characteristics of people.
EXEMPT = (*OF_SPELLS[3:], "variant", "owner")


def group_column(source: Tables, table: ir.Table, *names: str) -> ir.Table:
    """Add columns to compare groups by, as text, with "unknown" where it is missing.

    A name is one of: ``plan``, ``currency`` or ``billing`` (what the spell began with);
    ``start_year``, ``start_quarter`` or ``start_month``; ``segment`` (the first scheme of the segments
    table by name) or ``segment:<scheme>``, where there is that table; or a column of the customers table.
    Groups of too few people to be named are *other* (see `tenure.privacy`).

    Args:
        table: A table with customer_id and, for the names above, plan, currency, billing and start.

    Raises:
        InputError: There is no such column, and the sentence lists what there is; or those that are compared
            have none, as where they are customers of several plans.
        NotApplicable: A segment is asked for and there is no segments table.
    """
    known, own = groupings(source), []
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"Groups are compared by one column, such as 'plan'; asked for is {name!r}.")
        if name in OF_SPELLS and (name if name in OF_SPELLS[:3] else "start") not in table.columns:
            raise InputError(
                f"Groups cannot be compared by '{name}' here, which is known of subscriptions: these are "
                f"customers. Fix: use one of {', '.join(known[len(OF_SPELLS) :])}."
            )
        if name in OF_SPELLS[:3]:
            table = nameable(table.mutate(**{name: table[name].fill_null("unknown")}), name)
        elif name in OF_SPELLS:
            table = table.mutate(**{name: _start_label(table.start, name)})
        elif name.partition(":")[0] == "segment" and ("segments" in source or name not in known):
            table = _with_segment(source, table, name)
        elif name in known and name in table.columns:
            raise InputError(
                f"customers.{name}: groups cannot be compared by a column of that name, which the counts "
                f"use themselves. Fix: rename it in a mapping: `attributes: {{{name}_of_customer: {name}}}`."
            )
        elif name in known:
            own.append(name)
        else:
            nearest = get_close_matches(name, known, n=1)
            hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
            raise InputError(
                f"There is no column '{name}' to compare groups by{hint} There are: {', '.join(known)}."
            )
    if not own:
        return table
    values = {name: source["customers"][name].cast("string").fill_null("unknown") for name in own}
    return _joined(source, table, source["customers"].select("customer_id", **values))


def nameable(table: ir.Table, name: str, who: str = "customer_id") -> ir.Table:
    """Name groups *other* that too few of the table's people share."""
    if privacy.smallest_group == 1:
        return table
    return table.mutate(**{name: _named(table[name], privacy.too_few(_sizes(table, name, who)))})


def _named(labels: ir.StringValue, few: ir.Table) -> ir.StringValue:
    return labels.isin(few.group).ifelse(privacy.OTHER, labels)


def _sizes(table: ir.Table, name: str, who: str = "customer_id") -> ir.Table:
    return table.group_by(group=table[name]).agg(size=_[who].nunique())


def _joined(source: Tables, table: ir.Table, values: ir.Table) -> ir.Table:
    """Add what is known of customers; how many have ever subscribed decides which groups are named."""
    names = values.drop("customer_id").columns
    if privacy.smallest_group > 1:
        ever = values.semi_join(source["subscriptions"], "customer_id")

        def named(name: str) -> ir.StringValue:
            few = settle(source, ("few", name), lambda: privacy.too_few(_sizes(ever, name)))
            return _named(values[name], few)

        values = values.mutate(**{name: named(name) for name in names if name not in EXEMPT})
    found = table.left_join(values, "customer_id").drop("customer_id_right")
    return found.fill_null(dict.fromkeys(names, "unknown"))


def grouped(source: Tables, table: ir.Table, by: str | None) -> ir.Table:
    """Add the column to compare by (see `group_column`) as `group`; "all" where there is none."""
    if by is None:
        return table.mutate(group=ibis.literal("all"))
    return group_column(source, table, by).mutate(group=_[by])


def groupings(source: Tables) -> list[str]:
    """Return the names of the columns that groups can be compared by."""
    taken = {"customer_id", "is_test", *OF_SPELLS}
    attributes = [
        name
        for name, type_ in source["customers"].schema().items()
        if name not in taken and not type_.is_timestamp() and not type_.is_date()
    ]
    segment = ["segment"] if "segments" in source and "segment" not in attributes else []
    return [*OF_SPELLS, *segment, *attributes]


def _start_label(start: ir.DateValue, name: str) -> ir.StringValue:
    year = start.year().cast("string")
    if name == "start_year":
        return year
    if name == "start_quarter":
        return year + " Q" + ((start.month() + 2) // 3).cast("int64").cast("string")
    return year + "-" + start.month().cast("string").lpad(2, "0")


def _with_segment(source: Tables, table: ir.Table, name: str) -> ir.Table:
    if "segments" not in source:
        raise NotApplicable(
            "Segments are asked for, but none are published, and there is no table `segments`."
        )
    segments = source["segments"]
    scheme = name.partition(":")[2] or segments.scheme.min().as_scalar()
    chosen = segments.filter(_.scheme == scheme)
    latest = chosen.group_by("customer_id").agg(as_of=_.as_of.max())
    values = chosen.semi_join(latest, ["customer_id", "as_of"]).select("customer_id", **{name: _.segment})
    return _joined(source, table, values)
