"""What is wrong with the data, counted where the data is.

All rules about single rows of a table are counted in one scan; keys, overlaps and orphans take a query each.
Rows are fetched only as examples, of rules that are broken.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from babel.numbers import list_currencies

from tenure import privacy
from tenure.contract import BY_NAME, Column, Table
from tenure.economics import Economics
from tenure.errors import InputError
from tenure.money import MOST_LEFT_OUT
from tenure.policy import named
from tenure.sources.connect import Source, collect, midnight
from tenure.sources.counting import doing
from tenure.sources.hints import hints
from tenure.sources.mapping import UNKNOWN
from tenure.sources.problems import SAMPLES, Problem, Rule, count_of, named_row, sample_of, short

_MOST = 10**13  # minor units of one price: sums of 100,000 such stay exact
_LARGE = 5_000_000  # rows of a table that are not all compared with each other
_DEFAULTS = Economics()
# ISO 4217 without its codes for "no currency" and for tests.
_CURRENCIES = sorted(list_currencies() - {"XXX", "XTS"})
# A released film may well be older than the company; a target and the end of a term lie ahead.
_ANY_DATE = {
    *("contents.published_at", "segments.as_of", "fx_rates.date", "annotations.date"),
    "subscriptions.commitment_ends_at",
}
# What comes first, and what comes later.
_ORDER = {
    "subscriptions": [("started_at", "ended_at"), ("cancel_requested_at", "ended_at")],
    "surveys": [("sent_at", "answered_at")],
    "tickets": [("opened_at", "closed_at")],
    "visits": [("first_seen_at", "trial_started_at"), ("first_seen_at", "subscribed_at")],
    "referrals": [("invited_at", "subscribed_at")],
}


@dataclass(frozen=True)
class CheckReport:
    """What `check` found.

    Attributes:
        url: The source, safe to show.
        as_of: The day the data was checked as of.
        tables: Rows by table.
        problems: Errors first, then warnings.
    """

    url: str
    as_of: dt.date
    tables: Mapping[str, int]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop a run."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that a report prints."""
        return tuple(problem for problem in self.problems if problem.severity == "warning")

    def raise_errors(self) -> None:
        """Raise InputError with the first error's sentence, and how many more there are."""
        if self.errors:
            first, more = self.errors[0], len(self.errors) - 1
            rest = f" ({more} more error{'s' * (more > 1)}: `tenure check` lists them.)" if more else ""
            raise InputError(f"{first.sentence} Fix: {first.fix}.{rest}")

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain lists, texts and numbers, ready for JSON."""
        counts = {"errors": len(self.errors), "warnings": len(self.warnings)}
        return {**asdict(self), "as_of": self.as_of.isoformat(), **counts}


@doing("checking")
def check(source: Source, as_of: dt.date | None = None, facts: Economics = _DEFAULTS) -> CheckReport:
    r"""Check a source against the contract and against common sense.

    Args:
        source: The contract tables.
        as_of: The day the data is looked at; None: its last day.
        facts: Those of the company, whose settings need not be advised again.

    Returns:
        The problems, with counts and examples; what was left aside while opening is among them.

    Raises:
        InputError: `as_of` is not a day that the data can be looked at.

    Example:
        >>> import tempfile, pathlib
        >>> from tenure.sources import open_source
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "customers.csv").write_text("customer_id,created_at\nC1,2024-01-31\n")
        >>> _ = (folder / "subscriptions.csv").write_text(
        ...     "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,"
        ...     "started_at,ended_at\nS1,C1,Basic,month,999,EUR,active,2024-02-01,2024-01-01\n"
        ... )
        >>> problem = check(open_source(folder)).errors[0]
        >>> problem.table, problem.column, problem.count, problem.sample
        ('subscriptions', 'ended_at', 1, ("subscription 'S1' (2024-02-01 to 2024-01-01)",))
    """
    day = check_as_of(source, as_of)
    ignore = "none is needed if that is intended; else rename or map it"
    problems = []
    for note in source.notes:
        said, _, fix = note.partition(" Fix: ")
        fix = fix.removesuffix(".") or ignore
        problems.append(Problem("warning", "left_aside", said.partition(":")[0], "", 0, 0, (), said, fix))
    if not source.settles:
        says = "This user may make no temporary tables, so what several questions share is computed for each."
        fix = "let the user create temporary tables, or wait longer"
        problems.append(Problem("warning", "unsettled", "", "", 0, 0, (), says, fix))
    rows: dict[str, int] = {}
    for name, table in source.items():
        contract = BY_NAME[name]
        rules = [*_contract_rules(contract, table, day), *_table_rules(source, name, table, day)]
        counts = {f"rule_{i}": table.count(where=rule.bad).fill_null(0) for i, rule in enumerate(rules)}
        found = collect(table.aggregate(rows=table.count(), **counts)).iloc[0]
        rows[name] = int(found["rows"])
        for i, rule in enumerate(rules):
            if count := int(found[f"rule_{i}"]):
                sample = sample_of(contract, table.filter(rule.bad), rule.shows)
                problems.append(rule.broken(name, count, rows[name], sample))
        problems += _repeated(contract, table, rows[name])
        problems += _orphans(source, contract, table, rows[name])
    if spans := rows.get("subscriptions", 0):
        problems += _overlaps(source, spans)
        problems += _long_past_due(source, day, spans, named("tenure", facts.rules).grace_days)
        problems += _idle_customers(source, rows.get("customers", 0))
        problems += _without_rates(source, spans)
        problems += hints(source, day, rows.get("customers", 0), facts)
    if source.dated:
        problems += _late_as_of(source, as_of, spans)
        problems += _ends(source, day, spans)
    problems.sort(key=lambda problem: problem.severity != "error")
    return CheckReport(source.url, day, rows, tuple(problems))


def check_once(source: Source, as_of: dt.date, facts: Economics = _DEFAULTS) -> CheckReport:
    """Check a source once in a run: what one report of the run has found, the others read.

    Args:
        source: The contract tables.
        as_of: The day the data is looked at.
        facts: Those of the company.
    """
    file = source.shared(("checks", as_of, facts.rules, facts.commission), ".json")
    if file is None:
        return check(source, as_of, facts)
    if not file.is_file():
        found = check(source, as_of, facts)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(found.to_dict()), encoding="utf-8")
        draft.replace(file)
        return found
    said = json.loads(file.read_text(encoding="utf-8"))
    problems = tuple(Problem(**{**one, "sample": tuple(one["sample"])}) for one in said["problems"])
    return CheckReport(said["url"], as_of, said["tables"], problems)


def check_as_of(source: Source, as_of: dt.date | None = None) -> dt.date:
    """Return the day a source is to be looked at, or refuse it.

    Args:
        source: The contract tables.
        as_of: The day asked for; None: the data's last.

    Raises:
        InputError: The day lies before the first subscription or ahead, or is not the day a snapshot was
            taken.
    """
    last = source.last_day()
    if as_of is None or as_of == last:
        return last
    if not source.dated:
        raise InputError(
            f"as_of: {source.url} is a snapshot of {last} and cannot be looked at as of {as_of}. "
            f"Fix: leave as_of empty, or change it in the mapping."
        )
    if as_of < source.first_day():
        raise InputError(
            f"as_of: {as_of} lies before the data, which runs from {source.first_day()} to {last}. "
            f"Fix: choose a day in between, or leave as_of empty for the last one."
        )
    if as_of > max(last, source.today()):
        raise InputError(
            f"as_of: {as_of} lies ahead; the data ends on {last}. Fix: leave as_of empty for its last day."
        )
    return as_of


def _contract_rules(contract: Table, table: ir.Table, as_of: dt.date) -> Iterator[Rule]:
    """What the contract says of single values."""
    times = [column.name for column in contract.columns if column.type == "timestamp"]
    for column in contract.columns:
        value, name = table[column.name], column.name
        if not column.nullable:
            missing = value.isnull() | (value == "") if column.type == "string" else value.isnull()
            # The example must be named by something other than what is missing.
            other = tuple(time for time in times if time != name)[:1]
            fix = "fill them in, or leave the rows out with `where` in a mapping"
            yield Rule("missing", name, "are empty", fix, missing, other, "error")
        if column.enum:
            bad = value.notin(column.enum) & (value != "")
            says = f"are none of {', '.join(column.enum)}"
            fix = f"map them: `values: {{{name}: {{theirs: ours}}}}`"
            yield Rule("enum", name, says, fix, bad, (name,), "error")
        # An odd year of birth is no reason to stop; it has a rule of its own.
        if column.minimum is not None and name != "birth_year":
            says = "are negative" if column.minimum == 0 else f"are below {column.minimum}"
            refund = "a refund is a row of status refunded, its amount positive"
            fix = refund if name == "amount_minor" else "correct them"
            yield Rule("minimum", name, says, fix, value < column.minimum, (name,), "error")
        if column.positive:
            says, fix = "are not above 0", "correct them, or leave the rows out with `where` in a mapping"
            yield Rule("positive", name, says, fix, value <= 0, (name,), "error")
        if column.type in ("int64", "float64"):
            says, bad = f"are larger than {column.maximum:,}", value.cast("float64").abs() > column.maximum
            yield Rule("maximum", name, says, "correct them", bad, (name,), "error")
        if name == "currency" and _has_odd_currency(table):
            says, fix = "are no ISO 4217 currencies", "write codes in capitals, such as EUR"
            bad = value.notin([*_CURRENCIES, UNKNOWN]) & (value != "")
            yield Rule("currency", name, says, fix, bad, (name,), "error")
            says, fix = (
                f"are still {UNKNOWN}",
                f"write the currency for {UNKNOWN} in the mapping, such as EUR",
            )
            yield Rule("currency", name, says, fix, value == UNKNOWN, (), "error")
        if column.type in ("timestamp", "date") and f"{contract.name}.{name}" not in _ANY_DATE:
            yield from _date_rules(column, value, as_of)


def _date_rules(column: Column, value: Any, as_of: dt.date) -> Iterator[Rule]:
    after, zero = midnight(as_of + dt.timedelta(days=1)), midnight(dt.date(1970, 1, 2))
    if column.type == "date":
        after, zero = after.date(), zero.date()
    # An end is exclusive: what ends at the next midnight was on through the day.
    end = column.name == "ended_at"
    says = f"lie after the as-of day {as_of}" + " and count as still on" * end
    fix = "none is needed if they are planned or as_of is meant to be early; else correct them"
    bad = value > after if end else value >= after
    yield Rule("after_as_of", column.name, says, fix, bad, (column.name,))
    says, fix = "lie before 1970-01-02, as an empty date often does", "correct them or leave them empty"
    yield Rule("zero_date", column.name, says, fix, value < zero, (column.name,))


def _table_rules(source: Source, name: str, table: ir.Table, as_of: dt.date) -> Iterator[Rule]:
    """What common sense says of a table."""
    for earlier, later in _ORDER.get(name, ()):
        first, fix = table[earlier], f"correct {earlier} or {later}"
        if source.time_zone != "UTC":  # clocks that are put back show an hour twice
            first = first - ibis.interval(hours=1)
        bad, shows = table[later] < first, (earlier, later)
        if later == "ended_at" and earlier == "started_at":
            yield Rule("order", later, "end before they start", fix, bad, shows, "error")
        else:
            yield Rule("order", later, f"lie before {earlier}", fix, bad, shows)
    if name == "customers":
        bad = (table.birth_year < as_of.year - 120) | (table.birth_year > as_of.year - 5)
        says, fix = "are no plausible years of birth", "correct them or leave them empty"
        yield Rule("birth_year", "birth_year", says, fix, bad, ("birth_year",))
        for attribute in source.attributes:
            if table[attribute].type().is_numeric() and not table[attribute].type().is_boolean():
                says, fix = "are negative", "correct them, or leave them empty where they are not known"
                yield Rule("negative", attribute, says, fix, table[attribute] < 0, (attribute,))
        says, fix = "are test accounts and are not counted", "none is needed if these are your test accounts"
        yield Rule("test_account", "is_test", says, fix, table.is_test)
    elif name == "subscriptions":
        bad = (table.ended_at == table.started_at) if source.dated else ibis.literal(False)
        says, fix = "end the moment they start", "leave them out with `where` in a mapping, or correct them"
        yield Rule("empty_span", "ended_at", says, fix, bad, ("started_at",))
        bad = (table.status == "past_due") & table.ended_at.notnull() & table.end_reason.isnull()
        says = (
            "were past due and give no reason for their end: they count as paid where the subscription goes "
            "on within the grace, else as lost to a failed payment"
        )
        fix = "fill in end_reason: switched where it was paid, involuntary where it was not"
        yield Rule("past_due_reason", "end_reason", says, fix, bad, ("started_at", "ended_at"))
        bad = (table.status == "paused") & (table.unit_amount_minor == 0)
        says = "are paused and priced 0: they count as free for a while, at the price before"
        fix = "give a pause the price that it interrupts"
        yield Rule("paused_free", "unit_amount_minor", says, fix, bad, ("started_at", "ended_at"))
        price = table.unit_amount_minor.cast("float64") * table.quantity
        says, fix = f"are a price of more than {_MOST:,} in minor units", "correct the quantity or the amount"
        shows = ("quantity", "unit_amount_minor")
        yield Rule("overflow", "quantity", says, fix, price > _MOST, shows, "error")
        bad = (table.discount_minor > 0) & (table.discount_minor > price)
        says = "take off more than the price, which then counts as 0"
        fix = "give the discount of an interval in minor units"
        yield Rule("discount", "discount_minor", says, fix, bad, ("discount_minor", "unit_amount_minor"))
        if source.observed_from:
            bad = table.ended_at < midnight(source.observed_from)
            says = f"end before {source.observed_from}, the mapping's observed_from"
            fix = "set observed_from to an earlier day, or leave such rows out with `where`"
            yield Rule("observed_from", "ended_at", says, fix, bad, ("ended_at",))
    elif name == "surveys":
        bad = (table.survey == "nps") & ((table.score < 0) | (table.score > 10))
        says = "are NPS scores outside 0 to 10"
        fix = "NPS is defined on 0 to 10 only: correct the scores, or give the survey another kind"
        yield Rule("nps_score", "score", says, fix, bad, ("score",))
    elif name == "tickets":
        says, fix = "rate above 5", "bring ratings to a scale of 1 to 5"
        yield Rule("satisfaction", "satisfaction", says, fix, table.satisfaction > 5, ("satisfaction",))


def _has_odd_currency(table: ir.Table) -> bool:
    """Comparing every row with 300 codes is expensive, so the few that occur are compared first."""
    codes = table.select("currency").distinct()
    return len(collect(codes.filter(codes.currency.notin(_CURRENCIES), codes.currency != "").limit(1))) > 0


def _repeated(contract: Table, table: ir.Table, rows: int) -> Iterator[Problem]:
    if not (key := contract.key):
        yield from _equal_rows(contract, table, rows)
        return
    whole = table.filter(*[table[name].notnull() for name in key])
    counts = whole.group_by(*key).aggregate(n=whole.count())
    repeated = counts.filter(counts.n > 1)
    if extra := int(collect((repeated.n - 1).sum().fill_null(0)).to_numpy().item()):
        worst = collect(repeated.order_by(*key).limit(SAMPLES))
        sample = tuple(
            f"{', '.join(named_row(name, str(row[name])) for name in key)} ({row['n']} times)"
            for row in worst.to_dict("records")
        )
        says = f"repeat a row of the same {' and '.join(key)}"
        fix = "keep one row for each, as `deduplicate` in a mapping does"
        rule = Rule("duplicate", ", ".join(key), says, fix, severity="error")
        yield rule.broken(contract.name, extra, rows, sample)


def _equal_rows(contract: Table, table: ir.Table, rows: int) -> Iterator[Problem]:
    """Rows of a table without a key that repeat another one; of a large table those of its last month."""
    moments = [column.name for column in contract.columns if column.type == "timestamp"]
    if rows > _LARGE and moments:
        last = collect(table.aggregate(last=table[moments[0]].max())).iloc[0]["last"]
        table = table.filter(table[moments[0]] >= midnight(last.date() - dt.timedelta(days=31)))
    if extra := count_of(table) - count_of(table.distinct()):
        says = "repeat another row in every column"
        fix = "where they tell of one thing twice, set `deduplicate: true` in a mapping"
        yield Rule("equal_rows", "", says, fix).broken(contract.name, extra, rows, ())


def _orphans(source: Source, contract: Table, table: ir.Table, rows: int) -> Iterator[Problem]:
    for column, target in contract.references:
        if target not in source:
            continue
        given = table.filter(table[column].notnull())
        key = source[target][BY_NAME[target].key[0]]
        lost = given.anti_join(source[target], given[column] == key)
        if count := count_of(lost):
            distinct = collect(lost.select(column).distinct().order_by(column).limit(SAMPLES))[column]
            fix = f"add the missing {target}; until then these rows belong to no group"
            theirs = source[target].select(like=key.strip().lower())
            alike = lost.semi_join(theirs, lost[column].strip().lower() == theirs.like)
            if found := count_of(alike):
                fix = f"set `lower` and `trim` for {column} in a mapping, which finds {found:,} of them"
            rule = Rule("orphan", column, f"point at no row of {target}", fix)
            sample = tuple(named_row(column, str(one)) for one in distinct)
            yield rule.broken(contract.name, count, rows, sample)


def _overlaps(source: Source, rows: int) -> Iterator[Problem]:
    """Spans that begin while an earlier span of the same subscription is still on."""
    spans = source["subscriptions"]
    # A subscription with a single span cannot overlap: most need no sorting. Spans without any length or with
    # their ends reversed are told of elsewhere.
    spans = spans.filter(
        spans.subscription_id.notnull(),
        spans.started_at.notnull(),
        spans.ended_at.isnull() | (spans.ended_at > spans.started_at),
    )
    until = spans.ended_at.fill_null(midnight(dt.date(9999, 12, 31)))
    spans = spans.select("subscription_id", "started_at", until=until)
    several = spans.group_by("subscription_id").aggregate(n=spans.count())
    spans = spans.semi_join(several.filter(several.n > 1), "subscription_id")
    before = ibis.window(group_by="subscription_id", order_by=["started_at", "until"], preceding=(None, 1))
    spans = spans.mutate(earlier=spans.until.max().over(before))
    over = spans.filter(spans.started_at < spans.earlier)
    if count := count_of(over):
        worst = over.order_by("subscription_id", "started_at", "until").limit(SAMPLES)
        shown = collect(worst.select(*[worst[name].cast("string").name(name) for name in worst.columns]))
        sample = tuple(
            f"{named_row('subscription_id', row['subscription_id'])} (from {short(row['started_at'])}, while "
            f"an earlier span is on until {short(row['earlier'])})".replace("until 9999-12-31", "without end")
            for row in shown.to_dict("records")
        )
        says = "begin while another span of the same subscription is on"
        fix = "end the earlier span where the later one begins, or give them different subscription ids"
        rule = Rule("overlap", "started_at", says, fix, severity="error")
        yield rule.broken("subscriptions", count, rows, sample)


def _long_past_due(source: Source, as_of: dt.date, rows: int, grace: int | None) -> Iterator[Problem]:
    """Spans past due or paused that look as if the status of today were written as that of always."""
    spans = source["subscriptions"]
    first = spans.group_by("subscription_id").aggregate(first=spans.started_at.min())
    due = spans.filter(spans.status.isin(["past_due", "paused"])).inner_join(first, "subscription_id")
    end = midnight(as_of + dt.timedelta(days=1))
    lasted = ibis.least(due.ended_at.fill_null(end), end).epoch_seconds() - due.started_at.epoch_seconds()
    at_once = (due.started_at == due.first) & due.ended_at.isnull()
    bad = due.filter(at_once | ((due.status == "past_due") & (lasted > (grace or 0) * 86_400)))
    if grace is not None and (count := count_of(bad)):
        says = (
            f"are past due or paused from their first day on, or past due for more than {grace} days, and "
            f"count as lost"
        )
        fix = "where that is the status of today, say so by `status_now` in a mapping; else none is needed"
        rule = Rule("long_past_due", "status", says, fix)
        sample = sample_of(BY_NAME["subscriptions"], bad, ("started_at",))
        yield rule.broken("subscriptions", count, rows, sample)


def _idle_customers(source: Source, rows: int) -> Iterator[Problem]:
    idle = source["customers"].anti_join(source["subscriptions"], "customer_id")
    if count := count_of(idle):
        fix = "none is needed if they never subscribed"
        rule = Rule("no_subscription", "customer_id", "have no subscription", fix)
        yield rule.broken("customers", count, rows, sample_of(BY_NAME["customers"], idle, ()))


def _without_rates(source: Source, rows: int) -> Iterator[Problem]:
    """Currencies that cannot be added up with the others."""
    spans = source["subscriptions"]
    spans = spans.filter(spans.currency.isin(_CURRENCIES))  # of the others another rule tells
    counts = spans.group_by("currency").agg(rows=spans.count(), customers=spans.customer_id.nunique())
    found = collect(counts.order_by(ibis.desc("customers"), "currency"))
    if len(found) < 2:
        return
    known = set(found["currency"][:1])
    if "fx_rates" in source:
        known = set(collect(source["fx_rates"].select("currency").distinct())["currency"])
    lacking = found[~found["currency"].isin(known)]
    if len(lacking):
        names = privacy.folded(found["currency"], found["customers"])
        shares = (found["customers"] / found["customers"].sum()).groupby(names, sort=False).sum()
        paid = [f"{name} ({share:.1%})" for name, share in shares.items()]
        without = ", ".join(names[lacking.index].unique())
        says = (
            f"are in currencies without an exchange rate ({without}; customers pay in {', '.join(paid)}): "
            f"reports of money leave these out, and refuse to answer above {MOST_LEFT_OUT:.0%}"
        )
        fix = "put their rates into the table fx_rates, in which the currency to report in has the rate 1"
        rule = Rule("no_rate", "currency", says, fix)
        yield rule.broken("subscriptions", int(lacking["rows"].sum()), rows, ())


def _late_as_of(source: Source, as_of: dt.date | None, rows: int) -> Iterator[Problem]:
    last = source.last_day()
    late = (as_of - last).days if as_of else 0
    if late > 7:
        said = (
            f"as_of {as_of} lies {late:,} days after the last day of the data, {last}: if the data was "
            f"extracted before, nothing is known of the time in between, and everybody seems to have stayed."
        )
        fix = (
            f"set as_of to {last}, or `observed_until` in a mapping or company.yml to the last day that the "
            f"extract covers"
        )
        yield Problem("warning", "as_of_after_data", "subscriptions", "", rows, rows, (), said, fix)


def _ends(source: Source, as_of: dt.date, rows: int) -> Iterator[Problem]:
    """What the ends look like when an extract cuts lives off, behind or ahead."""
    spans = source["subscriptions"]
    horizon = midnight(as_of + dt.timedelta(days=1))
    ended = spans.filter(spans.ended_at <= horizon, spans.end_reason.fill_null("unknown") != "switched")
    days = collect(ended.group_by(day=ended.ended_at.date()).aggregate(n=ended.count()).order_by("day"))
    by_day = {pd.Timestamp(day).date(): int(n) for day, n in zip(days["day"], days["n"], strict=True)}
    yield from _cut_ahead(source, ended, by_day, rows)
    if source.observed_from is None and by_day:
        yield from _cut_behind(source, spans, min(by_day), sum(by_day.values()), horizon, rows)


def _cut_ahead(source: Source, ended: ir.Table, by_day: dict[dt.date, int], rows: int) -> Iterator[Problem]:
    last = source.last_day()
    next_day = midnight(last + dt.timedelta(days=1))
    at_end = ended.filter(ended.ended_at >= midnight(last), ended.ended_at <= next_day)
    count = count_of(at_end)
    year = {day: n for day, n in by_day.items() if last - dt.timedelta(days=365) <= day < last}
    average = sum(year.values()) / ((last - min(year)).days if year else 1)
    if count >= 5 and count > 5 * average and count > 1.5 * max(year.values(), default=0):
        sample = sample_of(BY_NAME["subscriptions"], at_end, ("ended_at",))
        said = (
            f"subscriptions.ended_at: {count:,} of {rows:,} rows end exactly with the data, on {last}, "
            f"against {average:,.1f} on an average day: the extract's end seems to be written as theirs."
        )
        fix = "leave ended_at empty for subscriptions that are still on"
        yield Problem(
            "warning", "cut_at_the_end", "subscriptions", "ended_at", count, rows, sample, said, fix
        )


def _cut_behind(
    source: Source, spans: ir.Table, first: dt.date, ends: int, horizon: ir.Value, rows: int
) -> Iterator[Problem]:
    """Compare the ends that a constant rate would have given before the first one with the none there are."""
    interval = spans.billing_interval
    unit = ibis.cases((interval == "year", 366), (interval == "month", 31), (interval == "week", 7), else_=1)
    start = spans.started_at.epoch_seconds()
    stop = ibis.least(spans.ended_at.fill_null(horizon), horizon).epoch_seconds()
    begin = (first - dt.date(1970, 1, 1)).days * 86_400
    # Nobody can leave before the first term is over, so that time promises no ends.
    free = ibis.literal(begin, "int64") - start - unit * spans.billing_interval_count * 86_400
    found = collect(
        spans.aggregate(
            free=ibis.greatest(free, 0).sum().cast("float64"),
            lived=ibis.greatest(stop - start, 0).sum().cast("float64"),
            early=spans.count(where=spans.started_at < midnight(first)).fill_null(0),
        )
    ).iloc[0]
    expected = ends * found["free"] / found["lived"] if found["lived"] > 0 else 0.0
    if expected >= 10 and (first - source.first_day()).days > 60:
        count = int(found["early"])
        said = (
            f"subscriptions.ended_at: nobody left before {first}, although {count:,} of {rows:,} rows began "
            f"earlier, from {source.first_day()} on, and about {expected:,.0f} would have ended: it seems "
            f"that customers who churned earlier are not in the data, which makes lifetimes look longer than "
            f"they are."
        )
        fix = f"set `observed_from: {first}` in a mapping, or add the customers who churned earlier"
        yield Problem("warning", "cut_behind", "subscriptions", "ended_at", count, rows, (), said, fix)
