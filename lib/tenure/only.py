"""Some customers only: the parameter `only`, a condition on what is known of customers, written as in SQL.

It is read into one expression of the engine, in which nothing can stand but columns, values and comparisons.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ibis
import sqlglot
from ibis import _, ir
from sqlglot import exp

from tenure import privacy
from tenure.errors import InputError, NotApplicable, TenureError
from tenure.measures import experiments, groups, subscriptions
from tenure.measures.spans import stacked
from tenure.parameters import unknown_name
from tenure.report.words import say
from tenure.sources.connect import Source, collect, open_source
from tenure.sources.published import published_segments

if TYPE_CHECKING:
    from tenure.runs.runbook import Report

# What each part of a condition means, of what its parts are.
_MEANS: dict[Any, Callable[..., Any]] = {
    exp.EQ: operator.eq, exp.NEQ: operator.ne, exp.LT: operator.lt, exp.LTE: operator.le, exp.GT: operator.gt,
    exp.GTE: operator.ge, exp.And: operator.and_, exp.Or: operator.or_, exp.Not: operator.inv,
    exp.Paren: lambda inner: inner, exp.Like: lambda text, like: text.like(like),
    exp.In: lambda value, *of: value.isin(of), exp.Between: lambda value, *ends: value.between(*ends),
}  # fmt: skip
_LEAVES = (exp.Is, exp.Neg, exp.Column, exp.Boolean, exp.Null, exp.Identifier, exp.Literal)
# Further parts, such as a table's name, may be none of theirs.
_PARTS = {"this", "expression", "expressions", "low", "high", "negate", "quoted", "is_string"}
_EXAMPLES = {"text": "IT", "a number": 1984, "true or false": True, "a day": "2026-01-31"}


@dataclass(frozen=True)
class Condition:
    """A condition that has been read: as it was written, and what it says."""

    text: str
    tree: exp.Expr

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(dict.fromkeys(column.name for column in self.tree.find_all(exp.Column)))


def read(text: str) -> Condition | None:
    """Read a condition; None where it is empty.

    Raises:
        InputError: It is no condition, or something stands in it that may not.

    Example:
        >>> read("country in ('IT', 'FR') and not plan = 'Annual'").columns
        ('country', 'plan')
    """
    if not text.strip():
        return None
    try:
        found = sqlglot.parse(text, read="duckdb")
    except sqlglot.errors.SqlglotError:
        found = []
    if len(found) != 1 or found[0] is None:
        raise _refused(f"is {text!r}, which cannot be read as a condition")
    for node in found[0].walk():
        parts = {name for name, part in node.args.items() if part}
        if type(node) not in (*_MEANS, *_LEAVES) or not parts <= _PARTS:
            raise _refused(f"has {node.sql('duckdb')} in it, which is no column, value or comparison")
    return Condition(text.strip(), found[0])


def equals(name: str, value: Any) -> str:
    """Write the condition that a column has a value; None: that it is missing.

    Example:
        >>> equals("country", "IT"), equals("is it?", None), equals("town", "L'Aquila")
        ("country = 'IT'", '"is it?" is null', "town = 'L''Aquila'")
    """
    plain = re.fullmatch(r"[a-z][a-z0-9_]*", name) and sqlglot.tokenize(name)[0].token_type.name == "VAR"
    column = exp.column(name, quoted=not plain).sql("duckdb")
    return f"{column} is null" if value is None else f"{column} = {_written(value)}"


def check(condition: Condition, source: Source, needs: Sequence[str] = ()) -> None:
    """Refuse a condition on columns that there are not, or on values of another kind than theirs.

    Where a workbook needs assignments, it speaks of the units of experiments, and of those only what was
    known before they decided.

    Raises:
        InputError: A column or a value is refused; in one sentence.
    """
    if "assignments" in needs:
        rows = _units(source)[0].select(*experiments.segment_columns(source))
    else:
        own = ["customer_id", "created_at", "is_test", "parent_id", *source.attributes]
        told = ["plan", *filter(_is_segment, condition.columns)]
        rows = source["customers"].select(own).mutate(**dict.fromkeys(told, ibis.null("string")))
    for name in condition.columns:
        if name not in rows.columns:
            hint = " Of an experiment, only what is known of all its units can be named."
            hint = hint if "assignments" in needs else " Text stands in single quotes, such as 'IT'."
            raise InputError(f"The parameter `only`: {unknown_name('column', name, rows.columns)}{hint}")
    if not source.dated and "created_at" in condition.columns:
        raise InputError(
            "The parameter `only` names created_at, but this data knows durations, and no dates. Fix: "
            "leave it out."
        )

    def example(name: str) -> Any:
        column = source["subscriptions"].plan if name == "plan" else rows[name]
        found = collect(column.as_table().filter(_[name].notnull()).limit(1))
        return None if found.empty else found.iloc[0, 0]

    _truth(condition.tree, rows, example)


def some(
    source: Source, condition: Condition, needs: Sequence[str], segments: Source, **scope: Any
) -> tuple[Source, str, str]:
    """Return a source with those only of whom a condition holds.

    `plan` is the plan with which a lifetime began, since by that of today only those would be chosen who have
    stayed. What is missing meets no comparison, as in SQL. What is known of the whole company alone is left
    out: targets, and spend unless the condition is on nothing but the channel.

    The source is by the unit whose life is one; `segments` is as it was before, for its customers may have
    published segments. `scope` has `as_of`, `currency` and `policy`, by which lifetimes begin.

    Returns:
        The source; whom it has, in a sentence; and what is left out, in words.

    Raises:
        NotApplicable: It holds of nobody, or those have no row in a table that is needed.
    """
    who, everybody = scope["policy"].unit, source["customers"]
    if "assignments" in needs:
        everybody, key = _units(source)
        rows, who, assigned = everybody, key.removesuffix("_id"), source["assignments"]
        own = assigned.unit_id if who == "visitor" else assigned.customer_id.fill_null(assigned.unit_id)
        whose = {"assignments": own, **({"visits": rows[key]} if who == "visitor" else {})}
    else:
        rows, key = _described(source, condition, segments, scope), "whose_life"
        keys = {name: {"referrals": "referrer_id"}.get(name, "customer_id") for name in source}
        whose = {name: source[name][own] for name, own in keys.items() if own in source[name].columns}
    chosen = rows.filter(_truth(condition.tree, rows)).select(of=key)
    chosen = source.settle(("only", condition.text), lambda: chosen)
    found = {
        name: source[name].semi_join(chosen, own == chosen.of).select(source[name].columns)
        for name, own in whose.items()
    }
    if "spend" in source and set(condition.columns) == {"channel"}:
        found["spend"] = source["spend"].filter(_truth(condition.tree, source["spend"]))
    counts = collect(chosen.aggregate(n=_.count(), of=everybody.count().as_scalar())).iloc[0]
    words: dict[str, Any] = {"n": int(counts["n"]), "all": int(counts["of"]), "only": condition.text}
    if words["n"] == 0 or words["n"] < min(privacy.smallest_group, words["all"]):
        none = f"Of {{all:{who}}}, none has {{only}}: there is nobody to speak of."
        few = f"Of {{all:{who}}}, fewer than {{least}} have {{only}}: too few to speak of."
        least = {"least": privacy.smallest_group}
        raise NotApplicable(say(few if words["n"] else none, **words, **least))
    parts = [rows.limit(1).select(table=ibis.literal(name)) for name, rows in found.items()]
    there = set(collect(stacked(parts))["table"])
    for name in needs:
        if name in found and name not in there:
            words["table"] = name
            raise NotApplicable(
                say(f"Of {{n:{who}}} with {{only}}, none is in the table {{table}}.", **words)
            )
    apart = [name for name in ("spend", "targets") if name in source and name not in there]
    tables = {name: rows if name in there else None for name, rows in found.items()}
    said = say(f"Only {{n:{who}}} of {{all}}: those with {{only}}.", **words)
    if "plan" in condition.columns:
        said += " " + say("The plan is the one that a lifetime began with.")
    # The data reaches as far as that of everybody.
    source = replace(source.instead(tables | dict.fromkeys(apart)), observed_until=source.last_day())
    return source, said, " and ".join(apart)


def check_reports(reports: Iterable[Report]) -> None:
    """Refuse reports whose `only` is no condition on what is known of customers, where that can be read.

    Raises:
        InputError: The report, and what is wrong, in one sentence.
    """
    opened: dict[tuple[str, str], Source] = {}
    for report in reports:
        place = str(report.values.get("data", "")), str(report.values.get("mapping", ""))
        try:
            condition = read(report.values.get("only") or "")
            # A cluster is not asked before the run; what else cannot be opened, the report itself will say.
            if condition and place not in opened and not place[0].startswith(("spark:", "sc:")):
                with contextlib.suppress(TenureError):
                    opened[place] = open_source(*place)
            if condition and place in opened:
                check(condition, opened[place], report.notebook.tables)
        except InputError as why:
            raise InputError(f"The report {report.name}: {why}") from None


def _units(source: Source) -> tuple[ir.Table, str]:
    """What is known of an experiment's units before they decide, and the key that they are known by."""
    return (source["visits"], "visitor_id") if "visits" in source else (source["customers"], "customer_id")


def _described(source: Source, condition: Condition, before: Source, scope: dict[str, Any]) -> ir.Table:
    """Customers with the columns that a condition names: customer_id is who pays, whose_life the unit."""
    customers, who = source["customers"], "owner" if scope["policy"].unit == "subscription" else "customer_id"
    own = {"whose_life", "customer_id", *condition.columns} & {*customers.columns, "whose_life"} - {"plan"}
    rows = customers.mutate(whose_life=customers.customer_id, customer_id=customers[who])
    rows = rows.select(*sorted(name for name in own if not _is_segment(name)))
    if "plan" in condition.columns:
        first = subscriptions.spells(source, **scope).filter(_.spell == 1).select("plan", of="customer_id")
        rows = rows.left_join(first, rows.whose_life == first.of).drop("of")
    for name in filter(_is_segment, condition.columns):
        published = published_segments(before, name.partition(":")[2])
        known = before.instead({"segments": published[1]}) if published else before
        people = groups.group_column(known, before["customers"].select("customer_id"), name)
        people = people.select(of="customer_id", **{name: people[name].nullif("unknown")})
        rows = rows.left_join(people, rows.customer_id == people.of).drop("of")
    return rows


def _is_segment(name: str) -> bool:
    return name.partition(":")[0] == "segment"


def _truth(node: exp.Expr, rows: ir.Table, example: Callable[[str], Any] = lambda name: None) -> Any:
    """What a condition says of rows, as an expression of the engine."""
    sides = list(node.iter_expressions())
    if isinstance(node, exp.Paren | exp.Not | exp.And | exp.Or):
        return _MEANS[type(node)](*(_truth(side, rows, example) for side in sides))
    named = [side.name for side in [node, *sides] if isinstance(side, exp.Column)]
    column, kind = (named[0], _kind(rows[named[0]])) if named else ("", "")
    if isinstance(node, exp.Column) and kind == "true or false":
        return rows[column]
    if isinstance(node, exp.Is) and kind and isinstance(node.expression, exp.Null):
        return rows[column].isnull()
    if not kind or type(node) not in _MEANS or (isinstance(node, exp.Like) and kind != "text"):
        raise _refused(f"has {node.sql('duckdb')} in it, which compares no column with a value of its kind")
    found = _MEANS[type(node)](*(_value(side, rows, column, example) for side in sides))
    return ~found if node.args.get("negate") else found


def _value(side: exp.Expr, rows: ir.Table, column: str, example: Callable[[str], Any]) -> Any:
    """A side of a comparison, which is to be of the kind of its column."""
    kind = _kind(rows[column])
    if isinstance(side, exp.Column) and _kind(rows[side.name]) == kind:
        return rows[side.name]
    with contextlib.suppress(ValueError):
        given = side.to_py()
        if kind == "a day" and isinstance(given, str):
            return ibis.literal(dt.datetime.combine(dt.date.fromisoformat(given), dt.time()))
        if isinstance(given, bool if kind == "true or false" else str if kind == "text" else ()):
            return ibis.literal(given)
        if kind == "a number" and type(given) in (int, float, Decimal) and abs(given) < 2**63:
            return ibis.literal(given if isinstance(given, int) else float(given))
    first = example(column)
    like = _written(_EXAMPLES[kind] if first is None else first)
    fix = "`is null` for what is missing" if isinstance(side, exp.Null) else "a value of that kind"
    said = f"The parameter `only` compares {column} with {side.sql('duckdb')}, but {column} is {kind}"
    raise InputError(f"{said}, such as {like}. Fix: write {fix}.")


def _kind(column: ir.Column) -> str:
    of = column.type()
    kinds = [of.is_string(), of.is_numeric(), of.is_boolean(), of.is_timestamp() or of.is_date()]
    return next((kind for kind, is_it in zip(_EXAMPLES, kinds, strict=True) if is_it), "")


def _written(value: Any) -> str:
    """A value as it is written in a condition."""
    value = value.item() if hasattr(value, "item") else value
    return exp.convert(str(value)[:10] if isinstance(value, dt.date) else value).sql("duckdb")


def _refused(what: str) -> InputError:
    return InputError(
        f"The parameter `only` {what}. Fix: compare columns with values by =, !=, <, <=, >, >=, in, between, "
        "like or is null, and join these by and, or and not."
    )
