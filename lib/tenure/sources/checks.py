"""What is wrong with the data, counted where the data is.

One aggregate expression a table counts every rule about single rows in one scan; keys, overlaps and
orphans have an expression each. Rows are fetched only as examples, and only for rules that are broken.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import ibis
import ibis.expr.types as ir
from babel.numbers import list_currencies

from tenure.contract import BY_NAME, Column, Table
from tenure.errors import InputError
from tenure.sources.connect import Source, collect

if TYPE_CHECKING:
    import pandas as pd

Severity = Literal["error", "warning"]

_SAMPLES = 3
# Nothing is known of the days after the data ends; more of them than this would count as people staying.
_LATEST_AS_OF = 31
# ISO 4217 without its codes for "no currency" and for tests.
_CURRENCIES = sorted(list_currencies() - {"XXX", "XTS"})
_DAY_S = 86_400
# A released film may well be older than the company; a target lies ahead.
_ANY_DATE = {
    ("contents", "published_at"),
    ("segments", "as_of"),
    ("fx_rates", "date"),
    ("annotations", "date"),
}
_ORDER = (
    # table, earlier, later, severity
    ("subscriptions", "started_at", "ended_at", "error"),
    ("subscriptions", "cancel_requested_at", "ended_at", "warning"),
    ("surveys", "sent_at", "answered_at", "warning"),
    ("tickets", "opened_at", "closed_at", "warning"),
    ("visits", "first_seen_at", "trial_started_at", "warning"),
    ("visits", "first_seen_at", "subscribed_at", "warning"),
    ("referrals", "invited_at", "subscribed_at", "warning"),
)


@dataclass(frozen=True)
class Problem:
    """A rule that the data breaks.

    Attributes:
        severity: An error stops a run; a warning is printed in the report.
        rule: The rule's name.
        table: The table it is about.
        column: The column; empty where it is about whole rows.
        count: Rows that break it.
        rows: Rows the table has.
        sample: A few of them, in words.
        sentence: What is wrong, with the count and an example.
        fix: What to do about it.
    """

    severity: Severity
    rule: str
    table: str
    column: str
    count: int
    rows: int
    sample: tuple[str, ...]
    sentence: str
    fix: str


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

    def to_frame(self) -> pd.DataFrame:
        """Return the problems as a table, one a row."""
        import pandas as pd

        columns = list(Problem.__dataclass_fields__)
        rows = [{**asdict(problem), "sample": "; ".join(problem.sample)} for problem in self.problems]
        return pd.DataFrame(rows, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Return everything in plain lists, texts and numbers, ready for JSON."""
        return {
            "url": self.url,
            "as_of": self.as_of.isoformat(),
            "tables": dict(self.tables),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "problems": [{**asdict(problem), "sample": list(problem.sample)} for problem in self.problems],
        }


@dataclass(frozen=True)
class _Rule:
    """A rule about single rows."""

    name: str
    column: str
    bad: ir.BooleanValue
    severity: Severity
    says: str
    fix: str
    shows: tuple[str, ...] = ()


def check(source: Source, as_of: dt.date | None = None) -> CheckReport:
    r"""Check a source against the contract and against common sense.

    Args:
        source: The contract tables.
        as_of: The day the data is looked at; None: its last day.

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
    problems = [_noted(note) for note in source.notes]
    rows: dict[str, int] = {}
    for name, table in source.items():
        contract = BY_NAME[name]
        rules = list(_row_rules(source, contract, table, day))
        counts = {f"rule_{i}": table.count(where=rule.bad) for i, rule in enumerate(rules)}
        found = collect(table.aggregate(rows=table.count(), **counts)).iloc[0]
        rows[name] = int(found["rows"])
        for i, rule in enumerate(rules):
            if found[f"rule_{i}"]:
                problems.append(_broken(contract, table, rule, int(found[f"rule_{i}"]), rows[name]))
        problems += _repeated(contract, table, rows[name])
        problems += _orphans(source, contract, table, rows[name])
    problems += _overlaps(source, rows["subscriptions"])
    problems += _idle_customers(source, rows["customers"])
    if source.dated:
        problems += _late_as_of(source, as_of, rows["subscriptions"])
        problems += _ends(source, day, rows["subscriptions"])
    problems.sort(key=lambda problem: problem.severity != "error")
    return CheckReport(source.url, day, rows, tuple(problems))


def check_once(source: Source, as_of: dt.date) -> CheckReport:
    """Check a source once in a run: what one report of the run has found, the others read.

    The run names the folder that its reports share in TENURE_SHARED; without it, or where it cannot be known
    whether the data has changed, the source is checked.

    Args:
        source: The contract tables.
        as_of: The day the data is looked at.
    """
    shared = os.environ.get("TENURE_SHARED")
    if not shared or source.mark is None:
        return check(source, as_of)
    key = hashlib.sha256(f"{source.mark} {as_of}".encode()).hexdigest()[:16]
    file = Path(shared) / f"checks-{key}.json"
    if not file.is_file():
        found = check(source, as_of)
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
        InputError: The day lies before the first subscription or more than 31 days after the last day of
            the data, or is not the day a snapshot was taken.
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
    if (as_of - last).days > _LATEST_AS_OF:
        raise InputError(
            f"as_of: {as_of} lies {(as_of - last).days:,} days after the data, which ends on {last}; that "
            f"time would count as everybody staying. Fix: bring the data up to date, or leave as_of empty "
            f"for its last day."
        )
    return as_of


def _row_rules(source: Source, contract: Table, table: ir.Table, as_of: dt.date) -> Iterator[_Rule]:
    for column in contract.columns:
        yield from _column_rules(contract, table, column, as_of)
    for name, earlier, later, severity in _ORDER:
        if name == contract.name:
            first = table[earlier]
            if source.time_zone != "UTC":  # clocks that are put back show an hour twice
                first = first - ibis.interval(hours=1)
            yield _Rule(
                "order",
                later,
                table[later] < first,
                severity,  # type: ignore[arg-type]
                "end before they start"
                if (earlier, later) == ("started_at", "ended_at")
                else f"lie before {earlier}",
                f"correct {earlier} or {later}",
                (earlier, later),
            )
    if contract.name == "customers":
        year = table.birth_year
        yield _Rule(
            "birth_year",
            "birth_year",
            (year < as_of.year - 120) | (year > as_of.year - 5),
            "warning",
            "are no plausible years of birth",
            "correct them or leave them empty",
            ("birth_year",),
        )
        yield _Rule(
            "test_account",
            "is_test",
            table.is_test,
            "warning",
            "are test accounts and are not counted",
            "nothing, if that is right",
        )
    if contract.name == "subscriptions":
        yield _Rule(
            "empty_span",
            "ended_at",
            (table.ended_at == table.started_at) if source.dated else ibis.literal(False),
            "warning",
            "end the moment they start",
            "leave such rows out, or correct the dates",
            ("started_at",),
        )
        yield _Rule(
            "discount",
            "discount_minor",
            (table.discount_minor > 0) & (table.discount_minor > table.unit_amount_minor * table.quantity),
            "warning",
            "take off more than the price, which then counts as 0",
            "give the discount of an interval in minor units",
            ("discount_minor", "unit_amount_minor"),
        )
        if source.observed_from:
            yield _Rule(
                "observed_from",
                "ended_at",
                table.ended_at < _midnight(source.observed_from),
                "warning",
                f"end before {source.observed_from}, from which on the mapping says that leavers are known",
                "set observed_from in the mapping to an earlier day",
                ("ended_at",),
            )
    if contract.name == "surveys":
        yield _Rule(
            "nps_score",
            "score",
            (table.survey == "nps") & ((table.score < 0) | (table.score > 10)),
            "warning",
            "are NPS scores outside 0 to 10",
            "NPS is defined on 0 to 10 only: correct the scores, or give the survey another kind",
            ("score",),
        )
    if contract.name == "tickets":
        yield _Rule(
            "satisfaction",
            "satisfaction",
            table.satisfaction > 5,
            "warning",
            "rate above 5",
            "bring ratings to a scale of 1 to 5",
            ("satisfaction",),
        )


def _column_rules(contract: Table, table: ir.Table, column: Column, as_of: dt.date) -> Iterator[_Rule]:
    value = table[column.name]
    name = column.name
    if not column.nullable:
        missing = value.isnull() | (value == "") if column.type == "string" else value.isnull()
        yield _Rule("missing", name, missing, "error", "are empty", "fill them in or leave the rows out")
    if column.enum:
        yield _Rule(
            "enum",
            name,
            value.notin(column.enum) & (value != ""),
            "error",
            f"are none of {', '.join(column.enum)}",
            f"map them: `values: {{{name}: {{theirs: ours}}}}`",
            (name,),
        )
    # An odd year of birth is no reason to stop; it has a rule of its own.
    if column.minimum is not None and name != "birth_year":
        yield _Rule(
            "minimum",
            name,
            value < column.minimum,
            "error",
            "are negative" if column.minimum == 0 else f"are below {column.minimum}",
            "correct them"
            if name != "amount_minor"
            else "a refund is a row of status refunded, its amount positive",
            (name,),
        )
    if name == "currency" and _has_odd_currency(table):
        yield _Rule(
            "currency",
            name,
            value.notin(_CURRENCIES) & (value != ""),
            "error",
            "are no ISO 4217 currencies",
            "write codes in capitals, such as EUR",
            (name,),
        )
    if column.type in ("timestamp", "date") and (contract.name, name) not in _ANY_DATE:
        after = _midnight(as_of + dt.timedelta(days=1))
        zero = _midnight(dt.date(1970, 1, 2))
        if column.type == "date":
            after, zero = after.date(), zero.date()
        ahead = name == "ended_at"
        yield _Rule(
            "after_as_of",
            name,
            # An end is exclusive: what ends at the next midnight was on through the day.
            value > after if ahead else value >= after,
            "warning",
            f"lie after the as-of day {as_of}" + (" and count as still on" if ahead else ""),
            "nothing, if they are planned or as_of is meant to be early; else correct them",
            (name,),
        )
        yield _Rule(
            "zero_date",
            name,
            value < zero,
            "warning",
            "lie before 1970-01-02, as an empty date often does",
            "correct them or leave them empty",
            (name,),
        )


def _has_odd_currency(table: ir.Table) -> bool:
    """Comparing every row with 300 codes is dear, so the few that occur are compared first."""
    codes = table.select("currency").distinct()
    odd = codes.filter(codes.currency.notin(_CURRENCIES), codes.currency != "")
    return len(collect(odd.limit(1))) > 0


def _broken(contract: Table, table: ir.Table, rule: _Rule, count: int, rows: int) -> Problem:
    shows = rule.shows
    if rule.name == "missing":
        # The row must be told by something else than what it lacks.
        shows = tuple(c.name for c in contract.columns if c.name != rule.column and c.type == "timestamp")[:1]
    sample = _sample(contract, table.filter(rule.bad), shows)
    return _problem(
        contract.name, rule.column, rule.name, rule.severity, count, rows, sample, rule.says, rule.fix
    )


def _repeated(contract: Table, table: ir.Table, rows: int) -> Iterator[Problem]:
    key = contract.key
    if not key:
        return
    whole = table.filter(*[table[name].notnull() for name in key])
    counts = whole.group_by(*key).aggregate(n=whole.count())
    repeated = counts.filter(counts.n > 1)
    found = collect(repeated.aggregate(extra=(repeated.n - 1).sum().fill_null(0))).iloc[0]["extra"]
    if not found:
        return
    worst = collect(repeated.order_by(*key).limit(_SAMPLES))
    sample = tuple(
        f"{', '.join(_named(name, str(row[name])) for name in key)} ({row['n']} times)"
        for _, row in worst.iterrows()
    )
    yield _problem(
        contract.name,
        ", ".join(key),
        "duplicate",
        "error",
        int(found),
        rows,
        sample,
        f"repeat a row of the same {' and '.join(key)}",
        "keep one row for each",
    )


def _orphans(source: Source, contract: Table, table: ir.Table, rows: int) -> Iterator[Problem]:
    for column, target in contract.references:
        if target not in source:
            continue
        theirs = source[target]
        key = BY_NAME[target].key[0]
        given = table.filter(table[column].notnull())
        lost = given.anti_join(theirs, given[column] == theirs[key])
        count = int(collect(lost.aggregate(n=lost.count())).iloc[0]["n"])
        if count:
            distinct = lost.select(column).distinct().order_by(column).limit(_SAMPLES)
            yield _problem(
                contract.name,
                column,
                "orphan",
                "warning",
                count,
                rows,
                tuple(_named(column, str(value)) for value in collect(distinct)[column]),
                f"point at no row of {target}",
                f"add the missing {target}; until then these rows belong to no group",
            )


def _overlaps(source: Source, rows: int) -> Iterator[Problem]:
    """Spans that begin while an earlier span of the same subscription is still on."""
    spans = source["subscriptions"]
    # Whoever has a single span cannot overlap: most need no sorting. Spans without any length or with
    # their ends reversed are told of elsewhere.
    spans = spans.filter(
        spans.subscription_id.notnull(),
        spans.started_at.notnull(),
        spans.ended_at.isnull() | (spans.ended_at > spans.started_at),
    ).select(
        "subscription_id", "started_at", until=spans.ended_at.fill_null(_midnight(dt.date(9999, 12, 31)))
    )
    several = spans.group_by("subscription_id").aggregate(n=spans.count())
    several = several.filter(several.n > 1)
    spans = spans.semi_join(several, "subscription_id")
    before = ibis.window(group_by="subscription_id", order_by=["started_at", "until"], preceding=(None, 1))
    spans = spans.mutate(earlier=spans.until.max().over(before))
    over = spans.filter(spans.started_at < spans.earlier)
    count = int(collect(over.aggregate(n=over.count())).iloc[0]["n"])
    if not count:
        return
    worst = over.order_by("subscription_id", "started_at", "until").limit(_SAMPLES)
    shown = collect(worst.select(*[worst[name].cast("string").name(name) for name in worst.columns]))
    sample = tuple(
        f"{_named('subscription_id', row['subscription_id'])} (from {_short(row['started_at'])}, while an "
        f"earlier span is on {'until ' + _short(row['earlier'])})".replace("until 9999-12-31", "without end")
        for row in shown.to_dict("records")
    )
    yield _problem(
        "subscriptions",
        "started_at",
        "overlap",
        "error",
        count,
        rows,
        sample,
        "begin while another span of the same subscription is on",
        "end the earlier span where the later one begins, or give them different subscription ids",
    )


def _idle_customers(source: Source, rows: int) -> Iterator[Problem]:
    customers, spans = source["customers"], source["subscriptions"]
    idle = customers.anti_join(spans, customers.customer_id == spans.customer_id)
    count = int(collect(idle.aggregate(n=idle.count())).iloc[0]["n"])
    if count:
        yield _problem(
            "customers",
            "customer_id",
            "no_subscription",
            "warning",
            count,
            rows,
            _sample(BY_NAME["customers"], idle, ()),
            "have no subscription",
            "nothing, if they never subscribed",
        )


def _late_as_of(source: Source, as_of: dt.date | None, rows: int) -> Iterator[Problem]:
    last = source.last_day()
    late = (as_of - last).days if as_of else 0
    if late > 7:
        yield Problem(
            "warning",
            "as_of_after_data",
            "subscriptions",
            "",
            rows,
            rows,
            (),
            f"as_of {as_of} lies {late:,} days after the last day of the data, {last}: nothing is known of "
            f"the time in between, and everybody seems to have stayed.",
            f"set as_of to {last}, or bring the data up to date",
        )


def _ends(source: Source, as_of: dt.date, rows: int) -> Iterator[Problem]:
    """What the ends look like when an extract cuts lives off, behind or ahead."""
    spans = source["subscriptions"]
    horizon = _midnight(as_of + dt.timedelta(days=1))
    ended = spans.filter(spans.ended_at <= horizon, spans.end_reason.fill_null("unknown") != "switched")
    days = collect(ended.group_by(day=ended.ended_at.date()).aggregate(n=ended.count()).order_by("day"))
    by_day = {_as_date(day): int(n) for day, n in zip(days["day"], days["n"], strict=True)}
    yield from _cut_ahead(source, ended, by_day, rows)
    if source.observed_from is None and by_day:
        yield from _cut_behind(source, spans, min(by_day), sum(by_day.values()), horizon, rows)


def _cut_ahead(source: Source, ended: ir.Table, by_day: dict[dt.date, int], rows: int) -> Iterator[Problem]:
    last = source.last_day()
    next_day = last + dt.timedelta(days=1)
    at_end = ended.filter(ended.ended_at >= _midnight(last), ended.ended_at <= _midnight(next_day))
    count = int(collect(at_end.aggregate(n=at_end.count())).iloc[0]["n"])
    year = {day: n for day, n in by_day.items() if last - dt.timedelta(days=365) <= day < last}
    length = (last - min(year)).days if year else 1
    average = sum(year.values()) / length
    if count >= 5 and count > 5 * average and count > 1.5 * max(year.values(), default=0):
        yield Problem(
            "warning",
            "cut_at_the_end",
            "subscriptions",
            "ended_at",
            count,
            rows,
            _sample(BY_NAME["subscriptions"], at_end, ("ended_at",)),
            f"subscriptions.ended_at: {count:,} of {rows:,} rows end exactly with the data, on {last}, "
            f"against {average:,.1f} on an average day: the extract's end seems to be written as theirs.",
            "leave ended_at empty for subscriptions that are still on",
        )


def _cut_behind(
    source: Source, spans: ir.Table, first: dt.date, ends: int, horizon: ir.Value, rows: int
) -> Iterator[Problem]:
    """Compare the ends that a constant rate would have given before the first one with the none there are."""
    unit = ibis.cases(
        (spans.billing_interval == "year", 366),
        (spans.billing_interval == "month", 31),
        (spans.billing_interval == "week", 7),
        else_=1,
    )
    start = spans.started_at.epoch_seconds()
    stop = ibis.least(spans.ended_at.fill_null(horizon), horizon).epoch_seconds()
    begin = int(dt.datetime(first.year, first.month, first.day, tzinfo=dt.UTC).timestamp())
    # Nobody can leave before the first term is over, so that time promises no ends.
    free = ibis.literal(begin, "int64") - start - unit * spans.billing_interval_count * _DAY_S
    found = collect(
        spans.aggregate(
            free=ibis.greatest(free, 0).sum().cast("float64"),
            lived=ibis.greatest(stop - start, 0).sum().cast("float64"),
            early=spans.count(where=spans.started_at < _midnight(first)),
        )
    ).iloc[0]
    expected = ends * found["free"] / found["lived"] if found["lived"] > 0 else 0.0
    if expected >= 10 and (first - source.first_day()).days > 60:
        count = int(found["early"])
        yield Problem(
            "warning",
            "cut_behind",
            "subscriptions",
            "ended_at",
            count,
            rows,
            (),
            f"subscriptions.ended_at: nobody left before {first}, although {count:,} of {rows:,} rows began "
            f"earlier, from {source.first_day()} on, and about {expected:,.0f} would have ended: it seems "
            f"that earlier leavers are not in the data, which makes lives look longer than they are.",
            f"set `observed_from: {first}` in a mapping, or add the earlier leavers",
        )


def _noted(note: str) -> Problem:
    table = note.partition(":")[0]
    return Problem(
        "warning", "left_aside", table, "", 0, 0, (), note, "nothing, if that is right; else rename or map it"
    )


def _problem(
    table: str,
    column: str,
    rule: str,
    severity: Severity,
    count: int,
    rows: int,
    sample: tuple[str, ...],
    says: str,
    fix: str,
) -> Problem:
    example = f", for example {sample[0]}" if sample else ""
    where = f"{table}.{column}" if "," not in column else table
    sentence = f"{where}: {count:,} of {rows:,} rows {says}{example}."
    return Problem(severity, rule, table, column, count, rows, sample, sentence, fix)


def _sample(contract: Table, bad: ir.Table, shows: tuple[str, ...]) -> tuple[str, ...]:
    """A few offending rows in words, the same ones whatever order the rows come in."""
    ids = contract.key or contract.column_names
    told = [name for name in dict.fromkeys((*ids[:1], *shows)) if name in bad.columns]
    rows = bad.select(*[bad[name].cast("string").name(name) for name in told])
    found = collect(rows.order_by(*told).limit(_SAMPLES))
    sample = []
    for row in found.to_dict("records"):
        given = {name: _short(value) for name, value in row.items() if isinstance(value, str)}
        head = _named(told[0], given[told[0]]) if told[0] in given else "a row without one"
        rest = [given[name] for name in told[1:] if name in given]
        if shows and shows[0] in told and len(rest) == 2 and shows[-1].endswith("_at"):
            sample.append(f"{head} ({rest[0]} to {rest[1]})")
        elif rest:
            sample.append(f"{head} ({', '.join(rest)})")
        else:
            sample.append(head)
    return tuple(sample)


def _named(column: str, value: str) -> str:
    return f"{column.removesuffix('_id').replace('_', ' ')} {_short(value)!r}"


def _short(value: str) -> str:
    return value.removesuffix(".000000").removesuffix(" 00:00:00")


def _as_date(day: Any) -> dt.date:
    return day.date() if hasattr(day, "date") else day


def _midnight(day: dt.date) -> ir.Value:
    return ibis.literal(dt.datetime(day.year, day.month, day.day), "timestamp")
