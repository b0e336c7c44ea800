"""From the columns somebody has to the contract's types, or a refusal that names what cannot be read.

Everything runs in the engine: one aggregate counts, for all columns of a table at once, the values that
cannot be read; an example is fetched only for a column that has some.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from tenure import legible
from tenure.contract import Column, Table
from tenure.errors import InputError, all_faults
from tenure.money import EXPONENTS
from tenure.parameters import nearest
from tenure.sources.cut import STATUS, TRIAL, merged, status_of_today, without_trial
from tenure.sources.mapping import TableMapping, Written
from tenure.sources.zones import moved

_WHOLE = r"^\s*[+-]?[0-9]{1,18}(\.0*)?\s*$"
_NUMBER = r"^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
_ZONED = r"[0-9]:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?\s*(Z|z|UTC|[+-][0-9]{2}(:?[0-9]{2})?)$"
_NO_ZONE = r":[0-9.]+\s*[+-](1[5-9]|[2-9][0-9]|[0-9]{2}:?[6-9])[0-9:]*$"  # zones reach from -12:00 to +14:00
_DATE_ALONE = r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_EXACT = 2**53
_IN_WORDS = {
    "string": "text",
    "int64": "a whole number",
    "float64": "a number",
    "boolean": "true or false",
    "timestamp": "a time",
    "date": "a date",
}


@ibis.udf.scalar.builtin(name="try_strptime", signature=((dt.string, dt.string), dt.timestamp))
def _try_strptime(text, format):
    """Read a time written in a format; null where it cannot be (DuckDB)."""


@dataclass(frozen=True)
class Reading:
    """How the values of a table are written, where that is not how the contract writes them.

    Attributes:
        plan: What a mapping says of them.
        place: The key in the mapping, for hints.
        origin: Their name of a column, by ours, where it differs.
        time_zone: The zone of times without one.
        reporting_zone: The zone in which the company counts days: its clocks are the ones we read.
        last: The last day that the data covers, where the mapping says so.
    """

    plan: TableMapping = field(default_factory=TableMapping)
    place: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    time_zone: str = "UTC"
    reporting_zone: str = "UTC"
    last: datetime.date | None = None


@dataclass(frozen=True)
class Doubt:
    """Values of a column that may not be readable, to be counted before anything is built on them.

    Attributes:
        column: The contract's column, as the sentence names it.
        value: What was given.
        bad: True where it cannot be read.
        says: What is wrong, after "3 of 24 rows".
        fix: What to do about it.
    """

    column: str
    value: ir.Value
    bad: ir.BooleanValue
    says: str
    fix: str


def refuse(table: ir.Table, label: str, doubts: list[Doubt]) -> None:
    """Raise for the doubts that come true, all at once; see `come_true`."""
    if faults := come_true(table, label, doubts):
        raise all_faults(faults)


def come_true(table: ir.Table, label: str, doubts: list[Doubt]) -> list[str]:
    """Return a sentence for each doubt that comes true, naming table, column, rows, an example and the fix.

    Args:
        table: The table the doubts are about.
        label: Its name in the sentence.
        doubts: What to count, all in one scan.
    """
    if not doubts:
        return []
    counts = {f"bad_{i}": table.count(where=doubt.bad).fill_null(0) for i, doubt in enumerate(doubts)}
    found = table.aggregate(rows=table.count(), **counts).to_pyarrow().to_pylist()[0]
    faults = []
    for i, doubt in enumerate(doubts):
        if not (count := found[f"bad_{i}"]):
            continue
        worst = table.filter(doubt.bad).select(value=doubt.value.cast("string")).limit(1)
        example = worst.to_pyarrow().to_pylist()[0]["value"]
        shown = "an empty value" if example is None else repr(legible.value(example))
        faults.append(
            f"{label}.{doubt.column}: {count:,} of {found['rows']:,} rows {doubt.says}, "
            f"for example {shown}. Fix: {doubt.fix}."
        )
    return faults


def conform(table: ir.Table, contract: Table, reading: Reading, notes: list[str]) -> ir.Table:
    """Return the table with exactly the contract's columns and types, and a customer's attributes.

    Args:
        table: Columns already named as in the contract.
        contract: The table it is to become.
        reading: How its values are written.
        notes: Gets a sentence for each column that is left out.

    Returns:
        The contract's columns in order (an absent optional one filled with its default), then, where
        the contract welcomes them, all other columns as attributes.

    Raises:
        InputError: A required column is missing, or values cannot be read as the contract's type.
    """
    columns: dict[str, ir.Value] = {}
    doubts: list[Doubt] = []
    faults: list[str] = []
    plan, spans = reading.plan, contract.name == "subscriptions"
    cuts = (*(TRIAL if plan.trial else ()), *((STATUS,) if plan.status_now else ())) if spans else ()
    for column in (*contract.columns, *cuts):
        if column.name in table.columns:
            try:
                columns[column.name], doubt = read(table, column, contract.name, reading)
                doubts += doubt
            except InputError as error:
                faults.append(str(error))
        elif column.required:
            faults.append(_missing(table, contract, column, reading))
        else:
            columns[column.name] = ibis.literal(column.default, column.type)
    others = [name for name in table.columns if name not in columns]
    if contract.attributes:
        columns |= _attributes(table, others, contract.name, reading, notes)
    elif others:
        notes.append(
            f"{contract.name}: column{'s' * (len(others) > 1)} {', '.join(map(repr, others))} "
            f"{'are' if len(others) > 1 else 'is'} not in the contract and left aside"
            f"{_likely(others, contract)}."
        )
    try:
        refuse(table, contract.name, doubts)
    except InputError as error:
        faults += error.faults
    if faults:
        raise all_faults(faults)
    typed = table.select(**columns)
    whole = merged(typed) if plan.merge and spans else typed
    if plan.status_now and spans:
        day = reading.last
        last = typed.started_at.max().as_scalar() if day is None else ibis.timestamp(f"{day} 00:00:00")
        whole = status_of_today(whole, last)
    return without_trial(whole) if plan.trial and spans else whole


def read(
    table: ir.Table, column: Column, label: str, reading: Reading, raw: ir.Value | None = None
) -> tuple[ir.Value, list[Doubt]]:
    """Return a column as the contract's type, with the doubts to settle before it is used.

    Args:
        table: The table that holds it.
        column: What it is to become.
        label: The table's name in sentences.
        reading: How its values are written.
        raw: The column as it is; None: the table's column of that name.

    Raises:
        InputError: Its type can never be read as the contract's.
    """
    raw = table[column.name] if raw is None else raw
    theirs = reading.origin.get(column.name, column.name)
    name = column.name if theirs == column.name else f"{column.name} (from {theirs!r})"
    text = raw.type().is_string() and column.type != "string"
    if text and ibis.get_backend(table).name != "duckdb":
        raise InputError(
            f"{label}.{name} is text in the database and must be {_IN_WORDS[column.type]}. "
            f"Fix: cast it in a view, and name the view in the mapping."
        )
    value = _written(_unblank(raw, reading), column, reading)
    money = reading.plan.money.get(column.name)
    months = _months(table) if money and money.per == "month" else None
    if money and money.unit == "major":
        result, bad = _major(table, value, money.round, months)
    else:
        result, bad = _READERS[column.type](value, column, reading)
        if months is not None and result is not None:
            result = (result * months).cast("int64")
    if result is None and not table.aggregate(n=raw.count()).to_pyarrow()["n"][0].as_py():
        result = ibis.null(column.type)  # of a column without any value, programs write whatever type
    if result is None:
        says = f"which cannot be read as {_IN_WORDS[column.type]}"
        fix = "convert the column before reading it"
        if column.type == "timestamp" and raw.type().is_numeric():
            says = "which does not say its unit"
            fix = f"name it: `epoch: {{{column.name}: {{from: {theirs}, unit: s}}}}`, or `unit: ms`"
        raise InputError(f"{label}.{name} is of type {raw.type()}, {says}. Fix: {fix}.")
    doubts = []
    if months is not None:
        says, fix = "are prices of a month, billed by the day or week", "leave `per: month` out"
        doubts.append(Doubt(name, raw, months.isnull(), says, fix))
    if bad is not None:
        if text and reading.plan.blank is not None:
            blank = value.strip() == ""
            fix = "leave the field empty, or set `blank: null` in the mapping"
            doubts.append(Doubt(name, raw, blank, "are blank", fix))
            bad = bad & ~blank
        doubts.append(Doubt(name, raw, bad, *_unreadable(column, reading)))
    if column.name in reading.plan.values and column.enum:
        says = f"are none of {', '.join(column.enum)}"
        fix = f"add the value to `values: {{{column.name}: …}}` in the mapping"
        doubts.append(Doubt(name, result, result.notin(column.enum), says, fix))
    return result, doubts


def minor_digits(table: ir.Table) -> ir.Value:
    """Return how many decimals each row's currency has: 2 for EUR, 0 for JPY, 3 for KWD."""
    two = ibis.literal(2, "int64")
    if "currency" not in table.columns:
        return two
    odd: dict[int, list[str]] = {}
    for code, digits in EXPONENTS.items():
        odd.setdefault(digits, []).append(code)
    return ibis.cases(
        *((table.currency.upper().isin(codes), ibis.literal(n, "int64")) for n, codes in odd.items()),
        else_=two,
    )


def _unreadable(column: Column, reading: Reading) -> tuple[str, str]:
    """What is wrong with values that cannot be read, and what to do about it."""
    name, format = column.name, reading.plan.formats.get(column.name)
    written = f" written {format!r}" if format else ""
    if name in reading.plan.money and reading.plan.money[name].unit == "major":
        return (
            "are not amounts that the currency can express",
            "write money in major units with a point, or name the marks in the mapping (`decimal: ','`, "
            "`thousands: '.'`), and with no more decimals than the currency has, or add `round: true`",
        )
    if column.type == "int64" and name.endswith("_minor"):
        theirs = reading.origin.get(name, name)
        return (
            "are not whole numbers without decimals",
            f"money is counted in minor units (1999 for 19.99): if these are major units, declare "
            f"`money: {{{name}: {{from: {theirs}, unit: major}}}}` in the mapping; else the same with "
            f"`unit: minor`",
        )
    return {
        "int64": ("are not whole numbers", "correct the values, or map another column"),
        "float64": ("are not numbers", "correct the values, or name the mark: `decimal: ','`"),
        "boolean": (
            "are neither true nor false",
            f"write true and false, or map them with `values: {{{name}: …}}`",
        ),
        "string": ("are ids with decimals", "write ids as text or as whole numbers"),
        "timestamp": (
            f"cannot be read as a time{written}",
            f'write times as 2024-03-31 17:05:00, or name their form: `formats: {{{name}: "%d/%m/%Y"}}`, or, '
            f"of numbers, the unit: `epoch: {{{name}: {{from: {reading.origin.get(name, name)}, unit: s}}}}`",
        ),
        "date": (
            f"cannot be read as a date{written}",
            f'write dates as 2024-03-31, or name their form: `formats: {{{name}: "%d/%m/%Y"}}`',
        ),
    }[column.type]


# Each reader returns the value and where it cannot be read; a value of None refuses the type.
_Read = tuple[ir.Value | None, ir.BooleanValue | None]


def _number(value: ir.Value) -> ir.Value:
    """A number as float64, NaN as null."""
    number = value.cast("float64")
    return number.isnan().ifelse(ibis.null("float64"), number) if value.type().is_floating() else number


def _whole(number: ir.Value) -> ir.Value:
    """The nearest whole number; null where float64 cannot hold it exactly: no engine may be asked for it."""
    return (number.abs() <= _EXACT).ifelse(number, ibis.null(number.type())).round()


def _to_int(value: ir.Value, column: Column, reading: Reading) -> _Read:
    given = value.type()
    # 10.00 is hardly meant as ten cents.
    money = column.name.endswith("_minor") and column.name not in reading.plan.money
    if given.is_unsigned_integer():
        value = (value <= _EXACT).ifelse(value.cast("float64"), ibis.literal(float("inf")))
        given = value.type()
    if given.is_integer():
        return value.cast("int64"), None
    if given.is_decimal() or given.is_floating():
        number = _number(value)
        odd = number != _whole(number)
        if money and given.is_decimal() and given.scale:
            odd = ibis.literal(True)
        bad = number.notnull() & odd.fill_null(True)
        return _whole(number).cast("int64"), bad
    if given.is_string():
        whole = value.re_search(_WHOLE) & ~(value.contains(".") & ibis.literal(money))
        digits = value.strip().re_replace(r"\.0*$", "").re_replace(r"^\+", "")
        return whole.ifelse(digits, ibis.null("string")).try_cast("int64"), value.notnull() & ~whole
    return None, None


def plain_text(
    columns: Mapping[str, ir.StringValue], written: Written, zone: str
) -> tuple[dict[str, ir.Value], list[Doubt]]:
    """Return columns of text for a query: stripped, blank ones null, numbers with a point, times as times.

    Args:
        columns: By their names.
        written: Its marks and formats.
        zone: The zone of times without one.

    Returns:
        The columns, and the doubts about times, to be settled before they are used.
    """
    plain: dict[str, ir.Value] = {}
    doubts = []
    for name, value in columns.items():
        text = value.strip().nullif("")
        if form := written.formats.get(name):
            plain[name] = _try_strptime(text, form)
            bad = text.notnull() & plain[name].isnull()
            doubts.append(
                Doubt(name, text, bad, f"cannot be read as a time written {form!r}", "name its form")
            )
        else:
            # Casts in a query would drop the zone.
            time = _instant(text.re_search(_ZONED).ifelse(text, ibis.null("string")))
            local = moved(time, "UTC", zone).cast("string")
            number, good = _number_of(text, written)
            plain[name] = local.fill_null(text if good is None else good.ifelse(number, text))
    return plain, doubts


def _number_of(text: ir.Value, written: Written) -> tuple[ir.Value, ir.Value | None]:
    """Text as a number with a point, and where it is one by the marks; None: they are the usual ones."""
    if (written.decimal, written.thousands) == (".", ""):
        return text, None
    mark, between = re.escape(written.decimal), re.escape(written.thousands)
    whole = rf"([0-9]{{1,3}}({between}[0-9]{{3}})+|[0-9]+)" if between else "[0-9]+"
    bare = text.re_replace(r"^[\s\p{Sc}\x{a0}]+|[\s\p{Sc}\x{a0}]+$", "")
    plain = (bare.replace(written.thousands, "") if between else bare).replace(written.decimal, ".")
    return plain, bare.re_search(rf"^[+-]?{whole}({mark}[0-9]*)?$")


def _written(value: ir.Value, column: Column, reading: Reading) -> ir.Value:
    """Text with blanks, letters and numbers as the contract writes them."""
    if not value.type().is_string():
        return value
    plan = reading.plan
    for change, names in (("strip", plan.trim), ("lower", plan.lower), ("upper", plan.upper)):
        if column.name in names:
            value = getattr(value, change)()
    number, good = _number_of(value, plan)
    if good is None or column.type not in ("int64", "float64"):
        return value
    # What is written in another way must not be read as a number that it is not.
    return ibis.cases((good, number), (value.strip() == "", value), else_=ibis.literal("?"))


def _months(table: ir.Table) -> ir.Value:
    """How many months each row's billing interval has; null for days and weeks."""
    each = ibis.cases((table.billing_interval == "month", 1), (table.billing_interval == "year", 12))
    if "billing_interval_count" not in table.columns:
        return each
    return each * table.billing_interval_count.cast("int64")


def _major(table: ir.Table, value: ir.Value, rounded: bool = False, months: ir.Value | None = None) -> _Read:
    if value.type().is_string():
        readable, missing = value.re_search(_NUMBER), value.isnull()
        number = _text_number(value)
    elif value.type().is_numeric():
        number = _number(value)
        readable, missing = ibis.literal(True), number.isnull()
    else:
        return None, None
    minor = number * ibis.literal(10.0).pow(minor_digits(table)).cast("float64")
    if months is not None:
        minor = minor * months
    whole = _whole(minor)
    off = whole.isnull() if rounded else ((minor - whole).abs() > 1e-3)
    bad = ~missing & (~readable | off.fill_null(True))
    return bad.ifelse(ibis.null("float64"), whole).cast("int64"), bad


def _text_number(value: ir.Value) -> ir.Value:
    return value.re_search(_NUMBER).ifelse(value.strip(), ibis.null("string")).try_cast("float64")


def _to_float(value: ir.Value, column: Column, reading: Reading) -> _Read:
    given = value.type()
    if given.is_integer() or given.is_decimal():
        return value.cast("float64"), None
    if given.is_floating():
        return (number := _number(value)), number.isinf()
    if given.is_string():
        return (number := _text_number(value)), ~value.re_search(_NUMBER) | number.isinf().fill_null(False)
    return None, None


def _to_boolean(value: ir.Value, column: Column, reading: Reading) -> _Read:
    given = value.type()
    if given.is_boolean():
        return value, None
    if given.is_string():
        low = value.strip().lower()
        known = ibis.cases((low.isin(_TRUE), True), (low.isin(_FALSE), False), else_=ibis.null("boolean"))
        return known, low.notin(_TRUE + _FALSE)
    return (value == 1, value.notin([0, 1])) if given.is_integer() else (None, None)


def _to_string(value: ir.Value, column: Column, reading: Reading) -> _Read:
    kind = value.type()
    if kind.is_floating() or (kind.is_decimal() and kind.scale):
        number = _number(value)
        whole = (number == _whole(number)).fill_null(False)
        text = whole.ifelse(_whole(number), ibis.null("float64")).cast("int64").cast("string")
        if column.name.endswith("_id"):
            return text, number.notnull() & ~whole
        return whole.ifelse(text, value.cast("string")), None
    plain = kind.is_string() or kind.is_numeric() or kind.is_boolean() or kind.is_uuid() or kind.is_temporal()
    return (value.cast("string") if plain else None), None


def _to_timestamp(value: ir.Value, column: Column, reading: Reading) -> _Read:
    """A time as the company's clocks showed it; a day without a time of day stays that day."""
    given, zone = value.type(), reading.reporting_zone
    if epoch := reading.plan.epoch.get(column.name):
        number = _text_number(value) if given.is_string() else _number(value) if given.is_numeric() else None
        if number is None:
            return None, None
        millis = _whole(number * {"s": 1e3, "ms": 1.0}[epoch.unit])
        # Before 1973 and after 2299 it is another unit.
        good = millis.between(1e11, 1.04e13)
        time = good.ifelse(millis, ibis.null("float64")).cast("int64").as_timestamp("ms").cast("timestamp")
        return moved(time, "UTC", zone), value.notnull() & ~good.fill_null(False)
    if given.is_date():
        return value.cast("timestamp"), None
    if given.is_timestamp():
        origin = reading.time_zone if given.timezone is None else "UTC"
        return moved(value.cast("timestamp"), origin, zone), None
    if not given.is_string():
        return None, None
    text, format = value.strip(), reading.plan.formats.get(column.name)
    if format:
        codes = {format[i : i + 2] for i in range(len(format) - 1) if format[i] == "%"}
        time = _try_strptime(text, format)
        zoned, day = ibis.literal("%z" in codes), ibis.literal(not codes & {"%H", "%I", "%c", "%X"})
    else:
        time = _instant(text)
        zoned, day = text.re_search(_ZONED), text.re_search(_DATE_ALONE)
    bad = value.notnull() & time.isnull()
    if zone != "UTC" or reading.time_zone != "UTC":
        local = moved(time, reading.time_zone, zone)
        time = ibis.cases((day, time), (zoned, moved(time, "UTC", zone)), else_=local)
    return time, bad


def _instant(text: ir.Value) -> ir.Value:
    """A time in UTC, of text that may have a zone and a blank before it; null where it cannot be read."""
    readable = (text.re_search("^[0-9]") & ~text.re_search(_NO_ZONE)).ifelse(text, ibis.null("string"))
    readable = readable.re_replace(r"\s+([+-][0-9]{2}:?[0-9]{2})$", r"\1")
    return readable.try_cast(dt.Timestamp("UTC")).cast("timestamp")


def _to_date(value: ir.Value, column: Column, reading: Reading) -> _Read:
    given = value.type()
    if given.is_date():
        return value, None
    if given.is_timestamp():
        zone = "UTC" if given.timezone is None else reading.reporting_zone
        return moved(value.cast("timestamp"), "UTC", zone).date(), None
    if not given.is_string():
        return None, None
    text = value.strip()
    if format := reading.plan.formats.get(column.name):
        day = _try_strptime(text, format).date()
    else:
        day = text.re_search("^[0-9]").ifelse(text, ibis.null("string")).try_cast("date")
    return day, value.notnull() & day.isnull()


_READERS = {
    "string": _to_string,
    "int64": _to_int,
    "float64": _to_float,
    "boolean": _to_boolean,
    "timestamp": _to_timestamp,
    "date": _to_date,
}


def _unblank(value: ir.Value, reading: Reading) -> ir.Value:
    return value.strip().nullif("") if value.type().is_string() and reading.plan.blank is None else value


def _missing(table: ir.Table, contract: Table, column: Column, reading: Reading) -> str:
    if reading.place:
        return (
            f"{contract.name}.{column.name} is missing. Fix: name it in the mapping's {reading.place}, under "
            f"`columns` or `constants`" + (" or `money`." if column.name.endswith("_minor") else ".")
        )
    free = [name for name in table.columns if name not in contract.column_names]
    like = nearest(column.name, free)
    theirs = like or "their_column"
    hint = f" (the nearest is {like!r})" if like else f" (it has {', '.join(map(repr, table.columns[:12]))})"
    return (
        f"{contract.name}.{column.name} is missing{hint}. Fix: rename the column, or name it in a mapping: "
        f"`tables: {{{contract.name}: {{columns: {{{column.name}: {theirs}}}}}}}`."
    )


def _likely(others: list[str], contract: Table) -> str:
    optional = [column.name for column in contract.columns if not column.required]
    for name in others:
        if like := nearest(name, optional, 0.8):
            return f" (is {name!r} meant to be {like!r}?)"
    return ""


def _attributes(
    table: ir.Table, names: list[str], label: str, reading: Reading, notes: list[str]
) -> dict[str, ir.Value]:
    """Columns that the contract does not know, in plain types: to compare groups by."""
    columns: dict[str, ir.Value] = {}
    for name in names:
        value = table[name]
        given = value.type()
        if given.is_string():
            columns[name] = _unblank(value, reading)
        elif given.is_boolean() or given.is_date():
            columns[name] = value
        elif given.is_integer():
            columns[name] = value.cast("int64")
        elif given.is_decimal() or given.is_floating():
            columns[name] = _number(value)
        elif given.is_timestamp():
            columns[name] = value.cast("timestamp")
        elif given.is_uuid():
            columns[name] = value.cast("string")
        else:
            notes.append(f"{label}: column {name!r} is of type {given} and left aside.")
    return columns


def infer(table: ir.Table, names: list[str], reading: Reading) -> dict[str, ir.Value]:
    """Return text columns as the plainest type that every one of their values has.

    Whole numbers, then numbers, then true/false, then dates and times; text with leading zeros (a post
    code) stays text, and so does a column without any value.

    Args:
        table: A table of text columns, as a CSV file gives them.
        names: The columns to look at.
        reading: Whether blank text counts as a value.
    """
    if not names:
        return {}
    texts = {name: _unblank(table[name], reading) for name in names}
    tests = {
        "int64": lambda text: text.re_search(r"^-?(0|[1-9][0-9]{0,17})$"),
        "float64": lambda text: text.re_search(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$"),
        "boolean": lambda text: text.lower().isin(["true", "false"]),
        "date": lambda text: text.re_search(_DATE_ALONE) & text.try_cast("date").notnull(),
        "timestamp": lambda text: (
            text.re_search(r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[ T][0-9]")
            & text.try_cast(dt.Timestamp("UTC")).notnull()
        ),
        "string": lambda text: text.notnull(),
    }
    counts = {
        f"{kind} {name}": table.count(where=test(text)).fill_null(0)
        for name, text in texts.items()
        for kind, test in tests.items()
    }
    found = table.aggregate(**counts).to_pyarrow().to_pylist()[0]
    inferred: dict[str, ir.Value] = {}
    for name, text in texts.items():
        some = found[f"string {name}"]
        kind = next(kind for kind in tests if found[f"{kind} {name}"] == some) if some else "string"
        time = text.try_cast(dt.Timestamp("UTC")).cast("timestamp")
        inferred[name] = time if kind == "timestamp" else text.cast(kind)
    return inferred
