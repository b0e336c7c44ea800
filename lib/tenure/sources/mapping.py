"""A mapping: a YAML file that turns somebody's columns into the contract's.

data/mappings/example.yml explains every key. What a mapping says is checked twice: the file when it is
loaded (keys, names, zones), the data when it is opened (columns, values, units, dates).
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tenure import settings
from tenure.contract import BY_NAME, Table
from tenure.economics import known_day, known_zone
from tenure.errors import InputError, all_faults
from tenure.parameters import nearest
from tenure.paths import resolve

RECONCILED = {"reconcile": "mrr_elsewhere", "reconcile_movements": "movements_elsewhere"}
UNKNOWN = "???"  # what `tenure init` writes for what it does not know


def as_text(value: Any) -> Any:
    """A YAML scalar as the text it stands for: an empty key is the empty value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float | dt.date) else value


_Text = Annotated[str, BeforeValidator(as_text)]
_Zone = Annotated[str, AfterValidator(known_zone)]

_CODES = "abcdfghjmnpuwxyzABGHIMSTUVWXYZ%"  # of strftime's, those that the engine reads


def _known_codes(form: str) -> str:
    """Refuse a time's form with codes that the engine does not read."""
    codes = re.findall(r"%-?.?", form)
    if odd := next((code for code in codes if not re.fullmatch(f"%-?[{_CODES}]", code)), ""):
        raise ValueError(f"it has {odd!r}, which is no code of a time's form, such as %d/%m/%Y %H:%M")
    return form


_Scalar = bool | int | float | dt.datetime | dt.date | str | None


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Money(_Keys):
    """Where an amount comes from, and what it is.

    Attributes:
        origin: Their column.
        unit: major (19.99) or minor (1999).
        per: What it is the price of: the billing interval, or a month of it.
        round: Whether more decimals than the currency has are rounded, and not refused.
    """

    origin: str = Field(alias="from")
    unit: Literal["major", "minor"]
    per: Literal["interval", "month"] = "interval"
    round: bool = False


class Epoch(_Keys):
    """Where a time comes from that is a number, and what it counts since 1970: seconds or milliseconds."""

    origin: str = Field(alias="from")
    unit: Literal["s", "ms"]


class Trial(_Keys):
    """Where the days come from on which the trial of a subscription began and ended."""

    begin: str = Field(alias="from")
    end: str = Field(alias="to")


class StatusNow(_Keys):
    """Where the day comes from on which the status of today began."""

    since: str


class Newest(_Keys):
    """Which rows are versions of one, and by which column the newest is found."""

    by: list[str]
    latest: str


class Tenure(_Keys):
    """Where a snapshot's tenure comes from, in completed units."""

    origin: str = Field(alias="from")
    unit: Literal["day", "week", "month", "year"] = "month"


class Churned(_Keys):
    """Where a snapshot marks churned customers, and what its values mean."""

    origin: str = Field(alias="from")
    values: dict[_Text, bool] = {}


class Written(_Keys):
    """How a table of text is written.

    Attributes:
        encoding: How its file is encoded, if not as UTF-8.
        formats: How times are written, by the name that we or queries know them by (strftime codes).
        decimal: The mark before decimals.
        thousands: The mark between thousands; empty: none.
    """

    encoding: str = ""
    formats: dict[str, Annotated[str, AfterValidator(_known_codes)]] = {}
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""


class Looked(Written):
    """One of their tables as queries know it.

    Attributes:
        origin: Their file or table; empty: of the same name.
        columns: Their column for each name that queries use; empty: all, under their own names.
        values: The value that queries know for each of theirs, by name; none (null) leaves it empty.
        optional: Names that are empty columns where the table lacks theirs.
        absent: Whether a table that is not there is refused, or has no rows.
    """

    origin: str = Field(default="", alias="from")
    columns: dict[str, _Text] = {}
    values: dict[str, dict[_Text, _Scalar]] = {}
    optional: list[str] = []
    absent: Literal["refused", "allowed"] = "refused"


class TableMapping(Written):
    """How one of their tables becomes one of the contract's. Keys are ours, values theirs.

    Attributes:
        origin: Their file or table; empty for the only one.
        query: Instead of a table: SQL over their tables and the mapping's inputs, or a file beside the
            mapping that holds it; what follows speaks of its answer.
        columns: Their column for each of ours.
        constants: A value for every row.
        values: Our value for each of theirs, by column.
        money: Amounts, with their unit.
        epoch: Times that are numbers, with their unit.
        time_zone: The zone of times without one.
        trim: Columns of text to take blanks off, at both ends.
        lower: Columns of text to write in small letters.
        upper: Columns of text to write in capitals.
        where: Which rows to keep: a condition in SQL on their columns.
        deduplicate: Whether equal rows count once; or which rows are versions of one, to keep the newest.
        number_rows: A column of ours that gets the number of the row, as an id.
        merge: Whether spans of a subscription that follow on each other and are equal in all else are one.
        trial: The trial that is part of a span, to be cut off.
        status_now: Whether past_due and paused are statuses of today, which did not hold from the start.
        attributes: Further columns to compare groups by.
        blank: What blank text is: refused, or null.
    """

    origin: str = Field(default="", alias="from")
    query: str = ""
    columns: dict[str, str] = {}
    constants: dict[str, _Scalar] = {}
    values: dict[str, dict[_Text, _Scalar]] = {}
    money: dict[str, Money] = {}
    epoch: dict[str, Epoch] = {}
    time_zone: _Zone = ""
    trim: list[str] = []
    lower: list[str] = []
    upper: list[str] = []
    where: str = ""
    deduplicate: bool | Newest = False
    number_rows: str = ""
    merge: bool = False
    trial: Trial | None = None
    status_now: bool | StatusNow = False
    attributes: Literal["all"] | list[str] | dict[str, str] = []
    blank: Literal["refuse"] | None = "refuse"


class Snapshot(TableMapping):
    """One row per customer, with a tenure and a flag for churned customers, as of one day."""

    as_of: dt.date
    tenure: Tenure
    churned: Churned


class Mapping(_Keys):
    """A whole mapping file.

    Attributes:
        observed_from: Customers who churned before this day are not in the data.
        observed_until: The last day that the data covers, whether anything happened on it or not: the day
            before the extract was taken; the company's, where the mapping gives none.
        time_zone: The zone of times without one, for all tables; the company's, where company.yml names none.
        inputs: Their tables by the name that queries know them by.
        tables: By the contract's table.
        snapshot: Instead of customers and subscriptions.
        reconcile: Recurring revenue as another system reports it: the table mrr_elsewhere.
        reconcile_movements: What moved it in each month, as it reports that: the table movements_elsewhere.
        published: Contract tables that a report has published, with the report; they replace ours.
    """

    observed_from: dt.date | None = None
    observed_until: Annotated[dt.date | None, AfterValidator(known_day)] = None
    time_zone: _Zone = ""
    inputs: dict[str, Looked] = {}
    tables: dict[str, TableMapping] = {}
    snapshot: Snapshot | None = None
    reconcile: TableMapping | None = None
    reconcile_movements: TableMapping | None = None
    published: dict[str, str] = {}

    @property
    def zone(self) -> str:
        """The only zone that it names, for all tables or for some; empty: it names none, or several."""
        zones = {self.time_zone, *(plan.time_zone for plan in self.tables.values())} - {""}
        return zones.pop() if len(zones) == 1 else ""


class _Loader(settings.Loader):
    """YAML in which only true and false are booleans: not Yes and NO, which are answers and a country.

    Keys are text as it is written, since values in a file are: TRUE is not true there.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a part of the file stands for."""
        if isinstance(node, yaml.MappingNode):
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:null":
                    key.tag = "tag:yaml.org,2002:str"
        return super().construct_object(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:0|[1-9][0-9]*)\.[0-9]+$", "-+0123456789"),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping file and check everything that can be checked without the data.

    Args:
        path: The YAML file; a relative path counts from the project's root.

    Returns:
        The mapping, with the text of each query.

    Raises:
        InputError: The file is absent or not YAML, or keys, tables, columns or values in it are unknown: all
            of them are named.

    Example:
        >>> load_mapping("data/mappings/telco.yml").snapshot.tenure.unit
        'month'
    """
    mapping, faults = read_mapping(path)
    if faults:
        raise in_mapping(path, faults)
    return mapping


def read_query(text: str, folder: Path, place: str) -> str:
    """Return the SQL that a mapping names or holds.

    Args:
        text: SQL that begins with SELECT, WITH or a comment, or the path of a file.
        folder: Where relative paths count from.
        place: The key in the mapping, for sentences.

    Raises:
        InputError: There is no such file.

    Example:
        >>> read_query("SELECT 1 AS one", Path(), "tables.customers")
        'SELECT 1 AS one'
    """
    first = text.split(maxsplit=1)[0].lower() if text.strip() else ""
    if first in ("select", "with", "from") or first.startswith(("--", "(", "/*")):
        return text
    try:
        return (folder / text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"{place}.query: there is no file {text!r} beside the mapping that can be read. "
            f"Fix: correct the path, or write the SQL itself, which begins with SELECT or WITH."
        ) from None


def in_mapping(path: str | Path, faults: list[str]) -> InputError:
    """The error that says all faults of a mapping, or of data under it."""
    label = f"The mapping {path}"
    return all_faults(faults, label) if len(faults) > 1 else InputError(f"{label}: {faults[0]}")


def read_mapping(path: str | Path) -> tuple[Mapping, list[str]]:
    """Read as much of a mapping file as can be, with a sentence for everything that is wrong in it.

    Raises:
        InputError: The file is absent or not YAML.
    """
    file = resolve(path)
    if not file.is_file():
        raise InputError(
            f"The mapping {path} does not exist. Fix: correct the path; data/mappings has examples."
        )
    label = f"The mapping {path}"
    faults: list[str] = []
    mapping = settings.read_settings(
        file, Mapping, label=label, example="data/mappings/example.yml", loader=_Loader, faults=faults
    )
    tables, unread = {}, []
    plans = {name: plan for key, name in RECONCILED.items() if (plan := getattr(mapping, key))}
    for key, name in RECONCILED.items():
        if name in plans and name in mapping.tables:
            faults.append(f"{key}: there is tables.{name} too. Fix: keep one of them.")
    for name, plan in (plans | mapping.tables).items():
        try:
            query = read_query(plan.query, file.parent, f"tables.{name}") if plan.query else ""
            tables[name] = plan.model_copy(update={"query": query})
        except InputError as error:
            faults.append(str(error))
            tables[name] = plan
            unread.append(name)
    mapping = mapping.model_copy(update={"tables": tables})
    # Nothing is missing of what was not understood.
    faults += _problems(mapping) if mapping != Mapping() or not faults else ()
    readable = {name: plan for name, plan in tables.items() if name not in unread}
    return mapping.model_copy(update={"tables": readable}), faults


def _problems(mapping: Mapping) -> Iterator[str]:
    """Sentences about what is wrong in the file, the most telling first."""
    if mapping == Mapping():
        yield "it maps nothing. Fix: add `tables:` or `snapshot:`."
    for name, one in mapping.inputs.items():
        for column, values in one.values.items():
            if odd := [theirs for theirs, ours in values.items() if ours == UNKNOWN]:
                yield f"inputs.{name}.values.{column}: {odd[0]!r} is {UNKNOWN}. Fix: say what it is, or null."
            if one.columns and column not in one.columns:
                yield f"inputs.{name}.values.{column}: no column is called so{meant(column, one.columns)}"
    for name in mapping.published:
        if name not in BY_NAME:
            yield f"published.{name}: the contract has no such table{meant(name, BY_NAME)}"
        elif name in mapping.tables:
            yield f"tables.{name}: it is under `published` too. Fix: keep one of them."
    for name in mapping.tables:
        if name not in BY_NAME:
            yield f"tables.{name}: the contract has no such table{meant(name, BY_NAME)}"
    parts: list[tuple[str, TableMapping, tuple[Table, ...]]] = [
        (f"tables.{name}", plan, (BY_NAME[name],)) for name, plan in mapping.tables.items() if name in BY_NAME
    ]
    if snapshot := mapping.snapshot:
        if both := [name for name in ("customers", "subscriptions") if name in mapping.tables]:
            yield f"tables.{both[0]}: the snapshot makes this table already. Fix: remove one of the two."
        if mapping.observed_from:
            yield "observed_from: a snapshot has no dates to begin from. Fix: remove it."
        if mapping.observed_until:
            yield "observed_until: a snapshot has its day in `as_of`. Fix: remove it."
        if snapshot.tenure.unit in ("month", "year") and snapshot.as_of.day > 28:
            yield (
                f"snapshot.as_of: {snapshot.as_of} is a day that not every month has, so that whole months "
                f"cannot be counted back from it. Fix: take a day up to the 28th."
            )
        parts.append(("snapshot", snapshot, (BY_NAME["customers"], BY_NAME["subscriptions"])))
    for place, plan, tables in parts:
        yield from _table_problems(place, plan, tables)


def _table_problems(place: str, plan: TableMapping, tables: tuple[Table, ...]) -> Iterator[str]:
    known = {column.name: column for table in tables for column in table.columns}
    welcome = any(table.attributes for table in tables)
    if plan.query and plan.origin:
        yield f"{place}.query: there is `from` too. Fix: keep one of them."
    if plan.attributes and not welcome:
        yield f"{place}.attributes: only customers and visits have attributes. Fix: move them there."
    named = set(plan.attributes if not isinstance(plan.attributes, str) else ())
    hint = " Attributes are named under `attributes`." if welcome else ""
    for key in ("columns", "constants", "values", "money", "epoch", "formats", "trim", "lower", "upper"):
        for name in getattr(plan, key):
            attribute = key == "values" and welcome and (name in named or plan.attributes == "all")
            if name not in known and not attribute:
                yield f"{place}.{key}.{name}: {tables[-1].name} has no such column{meant(name, known)}{hint}"
    if isinstance(plan, Snapshot):
        for name in {"created_at", "started_at", "ended_at"} & {*plan.columns, *plan.constants}:
            yield f"{place}.columns.{name}: a snapshot makes this of as_of and tenure. Fix: remove it."
    no_money = [name for name in plan.money if name in known and not name.endswith("_minor")]
    for name in no_money:
        yield f"{place}.money.{name}: this is not an amount of money. Fix: name it under `columns`."
    for name in plan.epoch:
        if name in known and known[name].type != "timestamp":
            yield f"{place}.epoch.{name}: this is not a time. Fix: name it under `columns`."
    for key in ("merge", "trial", "status_now"):
        if getattr(plan, key) and "ended_at" not in known:
            yield f"{place}.{key}: only subscriptions have one. Fix: move it there."
    if plan.number_rows and plan.number_rows not in known:
        yield f"{place}.number_rows: there is no column {plan.number_rows!r}{meant(plan.number_rows, known)}"
    for first, second in itertools.combinations(("columns", "constants", "money", "epoch"), 2):
        for name in sorted({*getattr(plan, first)} & {*getattr(plan, second)} - {*no_money}):
            yield f"{place}.{second}.{name}: it is under `{first}` too. Fix: keep one of them."
    for name in sorted(set(plan.attributes if isinstance(plan.attributes, dict) else ()) & set(known)):
        yield f"{place}.attributes.{name}: the contract has this column. Fix: name it under `columns`."
    given = [("constants", name, [value]) for name, value in plan.constants.items()]
    given += [("values", name, list(values.values())) for name, values in plan.values.items()]
    for key, name, values in given:
        enum = known[name].enum if name in known else ()
        if wrong := [value for value in values if enum and value not in (None, *enum)]:
            listed = f"{', '.join(enum)}. Fix: use one of them."
            yield f"{place}.{key}.{name}: {wrong[0]!r} is none of {listed}"


def meant(name: str, names: Any) -> str:
    """Return how a sentence goes on that says a name is not known: the nearest one, or those there are."""
    if like := nearest(name, names):
        return f". Fix: is {like!r} meant?"
    return f" (it has {', '.join(list(names)[:12])}). Fix: use one of them."
