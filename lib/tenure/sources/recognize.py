"""Which export somebody's data is, by the names of its columns, and the mapping that reads it.

A recipe of data/mappings/recipes names the columns of an export; the contract and a snapshot's two columns
are looked for in the same way. A column is found by its name, or guessed by one that is alike; what is
guessed, and what is not found, stands in the mapping as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tenure.contract import TABLES
from tenure.parameters import one_of
from tenure.paths import project_root
from tenure.sources.catalog import Catalog, open_raw
from tenure.sources.connect import collect
from tenure.sources.mapping import load_mapping

RECIPES = "data/mappings/recipes"
_ALIKE, _SURE = 0.62, 0.75  # of 1: names that are less alike are not taken for one, if it is needed or not
_ENOUGH = 0.6  # share of an export's columns without which it is not recognized
# Words that mean one thing in a column's name, the first one standing for all.
_SAME = (
    "customer client user account member subscriber buyer person",
    "id no number key code uuid nr",
    "start started starts begin began from since",
    "created create opened registered joined signup signed",
    "end ended ends to until till expiry expires expired finish cancelled canceled termination",
    "plan product package tier sku offer tariff",
    "subscription contract agreement membership",
    "amount price fee value charge cost rate mrr",
    "interval frequency cycle cadence period",
    "currency ccy curr",
    "status state",
    "reason why cause",
    "quantity qty seats units licenses",
    "country region nation",
    "paid settled",
    "refund refunded refunds",
    "tenure age lifetime duration",
    "churned churn left gone lost exited",
    "test sandbox demo internal",
)
_FIRST = {word: words.split()[0] for words in _SAME for word in words.split()}
# How a spreadsheet is likelier to call columns of the contract.
_USUAL = {
    "created_at": "signup", "unit_amount_minor": "price", "discount_minor": "discount",
    "billing_interval": "interval", "end_reason": "reason", "started_at": "start", "ended_at": "end",
}  # fmt: skip
_FILLER = {"at", "on", "date", "day", "time", "utc", "the", "of", "timestamp", "datetime"}
_SLASHED = r"^(\d{1,2})([/.-])(\d{1,2})[/.-](\d{4})"
_COMMA = r"^[+-]?\d{1,3}(\.?\d{3})*,\d{1,4}$"


@dataclass(frozen=True)
class Place:
    """One of their tables as a recipe's input.

    Attributes:
        table: Its name.
        columns: Their column for each that was found.
        guessed: How alike the names are of those that were guessed, as a share.
        lacking: Columns that the recipe needs and that were not found.
        without: Columns that it can do without and that were not found.
        encoding: How the file is encoded, where that is not UTF-8.
        formats: How times are written, by column of ours.
        unsure: Those of the formats that could as well be month before day.
        decimal: The mark before decimals.
    """

    table: str
    columns: Mapping[str, str]
    guessed: Mapping[str, float]
    lacking: tuple[str, ...]
    without: tuple[str, ...]
    encoding: str = ""
    formats: Mapping[str, str] = field(default_factory=dict)
    unsure: tuple[str, ...] = ()
    decimal: str = "."


@dataclass(frozen=True)
class Export:
    """What data was recognized as.

    Attributes:
        recipe: The recipe's name, "contract" or "snapshot".
        places: By the recipe's input what it is made from.
        share: Of the columns that the recipe needs, the share that was found; a guess counts in part.
    """

    recipe: str
    places: Mapping[str, Place]
    share: float


def likeness(name: str, other: str) -> float:
    """Return how alike two columns' names are, from 0 to 1, whatever their case, order and filler words.

    Example:
        >>> likeness("Customer ID", "customer_id"), likeness("Client No.", "customer_id") > 0.9
        (1.0, True)
        >>> likeness("ended_at", "created_at") < 0.62
        True
    """
    if re.sub(r"[^a-z0-9]", "", name.lower()) == re.sub(r"[^a-z0-9]", "", other.lower()):
        return 1.0
    mine, theirs = _words(name), _words(other)
    if not mine or not theirs:
        return 0.0
    common = len(set(mine) & set(theirs)) / max(len(set(mine)), len(set(theirs)))
    letters = SequenceMatcher(None, " ".join(sorted(mine)), " ".join(sorted(theirs))).ratio()
    return 0.95 * max(common, letters if letters > 0.8 else 0.0)


def recognize(catalog: Catalog, recipe: str = "") -> list[Export]:
    """Return what data may be, the likeliest first; nothing where no recipe has enough of its columns.

    Args:
        catalog: The tables that are there; only their columns are looked at, and some rows of the likeliest.
        recipe: The one that it is; empty: whichever.

    Raises:
        InputError: There is no such recipe.
    """
    if recipe:
        one_of("recipe", recipe, _wanted())
    there: dict[str, tuple[Sequence[str], str]] = {}
    for name in catalog.names:
        for encoding in ("", "utf-16", "cp1252") if catalog.files else ("",):
            try:
                there[name] = open_raw(catalog, name, encoding).table.columns, encoding
                break
            except (ValueError, UnicodeError):
                continue
    found = [(_weight(needs, places), Export(name, places, _share(needs, places)))
             for name, needs in _wanted().items()
             if recipe in ("", name) and (places := _placed(needs, there))]  # fmt: skip
    enough = [(weight, one) for weight, one in found if recipe or one.share >= _ENOUGH]
    ranked = [one for _, one in sorted(enough, key=lambda pair: -pair[0])]
    return [replace(one, places=_read(catalog, one.places)) for one in ranked[:1]] + ranked[1:]


@dataclass(frozen=True)
class _Need:
    """An input of a recipe: its table's usual name, its columns, and whether it or they may be absent."""

    table: str
    columns: Mapping[str, str]
    optional: Iterable[str]
    absent: bool


@cache
def _wanted() -> dict[str, dict[str, _Need]]:
    """The inputs of every recipe, of the contract, and of a snapshot."""
    contract = {
        table.name: _Need(
            table.name,
            {column.name: _USUAL.get(column.name, column.name) for column in table.columns},
            [column.name for column in table.columns if not column.required],
            table.name != "subscriptions",  # from which customers can be told
        )
        for table in TABLES
        if table.name != "mrr_elsewhere"  # which any sums by customer would pass for
    }
    columns = {"customer_id": "customer_id", "tenure": "tenure", "churned": "churned", "plan": "plan"}
    columns |= {"unit_amount_minor": "monthly amount", "currency": "currency"}
    snapshot = {"": _Need("churn", columns, ["customer_id", "plan", "unit_amount_minor", "currency"], False)}
    found = {"contract": contract, "snapshot": snapshot}
    for file in sorted((project_root() / RECIPES).glob("*.yml")):
        inputs = load_mapping(file).inputs
        found[file.stem] = {
            name: _Need(one.origin or name, one.columns, one.optional, one.absent == "allowed")
            for name, one in inputs.items()
        }
    return found


def _placed(needs: Mapping[str, _Need], there: Mapping[str, Any]) -> dict[str, Place]:
    """For each input the table that has most of its columns; empty where one that is needed has none."""
    names, tables = list(needs), list(there)
    made = {(i, j): _place(needs[i], j, *there[j]) for i in names for j in tables}
    score = np.array(
        [[_found(needs[i], made[i, j]) + 0.3 * likeness(needs[i].table, j) for j in tables] for i in names]
    )
    rows, columns = linear_sum_assignment(-score) if score.size else ((), ())
    chosen = {names[i]: made[names[i], tables[j]] for i, j in zip(rows, columns, strict=True)}
    places = {}
    for name, need in needs.items():
        required = [column for column in need.columns if column not in need.optional]
        if name in chosen and len(chosen[name].lacking) <= 0.5 * len(required):
            places[name] = chosen[name]
        elif not need.absent:
            return {}
    return places


def _place(need: _Need, table: str, columns: Sequence[str], encoding: str) -> Place:
    ours = list(need.columns)
    alike = np.array([[max(likeness(need.columns[i], j), _own(i, j)) for j in columns] for i in ours])
    rows, found = linear_sum_assignment(-alike) if alike.size else ((), ())
    pairs = {
        ours[i]: (columns[j], alike[i, j])
        for i, j in zip(rows, found, strict=True)
        if alike[i, j] >= (_SURE if ours[i] in need.optional else _ALIKE)
    }
    absent = [column for column in ours if column not in pairs]
    return Place(
        table,
        {name: theirs for name, (theirs, _) in pairs.items()},
        {name: float(share) for name, (_, share) in pairs.items() if share < 1},
        tuple(column for column in absent if column not in need.optional),
        tuple(column for column in absent if column in need.optional),
        encoding,
    )


def _own(ours: str, theirs: str) -> float:
    """How alike a name is to that of queries, which says less unless it is the very same."""
    return 1.0 if ours == theirs else 0.9 * likeness(ours, theirs)


def _found(need: _Need, place: Place) -> float:
    """How many of the columns that are needed are there, a guess as what it is like."""
    return sum(place.guessed.get(name, 1.0) for name in place.columns if name not in need.optional)


def _share(needs: Mapping[str, _Need], places: Mapping[str, Place]) -> float:
    wanted = sum(len(set(needs[name].columns) - set(needs[name].optional)) for name in places)
    return sum(_found(needs[name], place) for name, place in places.items()) / max(wanted, 1)


def _weight(needs: Mapping[str, _Need], places: Mapping[str, Place]) -> float:
    """What speaks for a recipe: the columns that are there, less those that are not."""
    return sum(
        sum(place.guessed.get(name, 1.0) for name in place.columns) - len(place.lacking)
        for place in places.values()
    )


def _read(catalog: Catalog, places: Mapping[str, Place]) -> dict[str, Place]:
    """The places with how their text is written, by some of their rows."""
    read = {}
    for name, place in places.items():
        raw = open_raw(catalog, place.table, place.encoding)
        if raw.text:
            rows = collect(
                raw.table.select(**{k: raw.table[v].cast("string") for k, v in place.columns.items()}).limit(
                    20_000
                )
            )
            formats, unsure = {}, []
            for column in rows.columns:
                parts = rows[column].str.strip().replace("", None).dropna().str.extract(_SLASHED)
                if len(parts) and parts[0].notna().all():
                    early, late = parts[0].astype(int).max(), parts[2].astype(int).max()
                    order = "%m{0}%d{0}%Y" if late > 12 else "%d{0}%m{0}%Y"
                    clock = (
                        rows[column]
                        .str.strip()
                        .str.extract(r"\d{4}[ T](\d{1,2}:\d{2})(:\d{2})?")
                        .notna()
                        .any()
                    )
                    formats[column] = (
                        order.format(parts[1].iloc[0])
                        + (" %H:%M" if clock[0] else "")
                        + (":%S" if clock[1] else "")
                    )
                    unsure += [column] if early <= 12 and late <= 12 else []
            comma = rows.apply(lambda column: column.dropna().str.strip().str.match(_COMMA).any()).any()
            point = rows.apply(
                lambda column: column.dropna().str.strip().str.match(r"^[+-]?\d+\.\d+$").any()
            ).any()
            place = replace(
                place, formats=formats, unsure=tuple(unsure), decimal="," if comma and not point else "."
            )
        read[name] = place
    return read


@cache
def _words(name: str) -> tuple[str, ...]:
    """The words of a name, each as the one that stands for it."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    words = re.findall(r"[a-z]+|[0-9]+", re.sub(r"sign(ed)?[ _-]?up", "signup", split))
    known = [_FIRST.get(word, _FIRST.get(word[:-1], word)) for word in words if word not in _FILLER]
    return tuple(known or words)
