"""Which export somebody's data is, by the names of its columns, and the mapping that reads it.

A recipe of data/mappings/recipes names the columns of an export; the contract and a snapshot's two columns
are looked for in the same way. A column is found by its name, or guessed by one that is alike; what is
guessed, and what is not found, stands in the mapping as such.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.optimize import linear_sum_assignment

from tenure.contract import TABLES
from tenure.parameters import one_of
from tenure.paths import project_root
from tenure.sources.catalog import Catalog, open_raw
from tenure.sources.connect import collect
from tenure.sources.mapping import RECONCILED, UNKNOWN, load_mapping

RECIPES = "data/mappings/recipes"
_ALIKE, _SURE = 0.62, 0.75  # of 1: names that are less alike are not taken for one, if it is needed or not
_ENOUGH = 0.6  # share of an export's columns without which it is not recognized
# What columns and values are called in several languages.
WORDS = yaml.safe_load((Path(__file__).parent / "words.yml").read_text(encoding="utf-8"))
_FIRST = {word: words.split()[0] for words in WORDS["same"] for word in words.split()}
_FILLER, _MONTHS = WORDS["filler"].split(), 6  # so many columns of months make a table that has one for each
_MONTH = {word: f"m{number}" for number, words in enumerate(WORDS["months"], 1) for word in words.split()}
# A year and a month, or a month and a year, with anything around them but quarters and weeks.
_YEAR_AND_MONTH = (
    r"(?!.*\b(?:q|t|w|kw|week)\b)(?:.* )?"
    r"(?:(20\d\d) m?(\d\d?)(?: .*)?|m?(\d\d?) (20\d\d)(?: .*)?|m(\d\d?) (\d\d))"
)
# What stands for a column of subscriptions that the data does not have, to be corrected.
INSTEAD = {"plan": "Subscription", "billing_interval": "month", "status": "active", "currency": UNKNOWN,
           "unit_amount_minor": UNKNOWN}  # fmt: skip
_MADE = {*INSTEAD, "subscription_id"} - {"unit_amount_minor"}
_SLASHED = r"^(\d{1,2})([/.-])(\d{1,2})[/.-](\d{4})"
_COMMA, _POINT = r"[+-]?\d{1,3}(\.?\d{3})*,\d{1,4}", r"[+-]?\d{1,3}(,?\d{3})*\.\d+"


@dataclass(frozen=True)
class Place:
    """One of their tables as a recipe's input.

    Attributes:
        table: Its name.
        columns: Their column for each that was found.
        guessed: How alike the names are of those that were guessed, as a share.
        lacking: Columns that the recipe needs and that were not found.
        without: Columns that it can do without and that were not found.
        unsure: Columns with times of which the month could as well come before the day.
        written: How text is written: encoding, decimal, thousands and formats, as a mapping says it.
    """

    table: str
    columns: dict[str, str]
    guessed: Mapping[str, float]
    lacking: tuple[str, ...]
    without: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    written: dict[str, Any] = field(default_factory=dict)


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


@lru_cache(maxsize=100_000)
def likeness(name: str, other: str) -> float:
    """Return how alike two columns' names are, from 0 to 1, whatever their case, order and filler words.

    Example:
        >>> likeness("Customer ID", "customer_id"), likeness("Kündigung zum", "ended_at") > 0.9
        (1.0, True)
        >>> likeness("ended_at", "created_at") < 0.62
        True
    """
    if bare(name) == bare(other):
        return 1.0
    if max(len(name), len(other)) > 200:  # no name, and endless to compare
        return 0.0
    mine, theirs = _words(name), _words(other)
    if not mine or not theirs:
        return 0.0
    common = len(set(mine) & set(theirs)) / max(len(set(mine)), len(set(theirs)))
    letters = SequenceMatcher(None, " ".join(sorted(mine)), " ".join(sorted(theirs)))
    # The quick ratio is never less than the ratio, which is slow to find.
    ratio = letters.ratio() if letters.quick_ratio() > 0.8 else 0.0
    if not (shared := max(common, ratio if ratio > 0.8 else 0.0)):
        return 0.0
    same = SequenceMatcher(None, plain(name), plain(other)).ratio()  # of names that mean the same
    return (0.93 + 0.02 * same) * shared


def bare(text: str) -> str:
    """Return the letters and digits of a text, small and without accents.

    Example:
        >>> bare("1. Währung")
        '1wahrung'
    """
    return re.sub(r"[^a-z0-9]", "", plain(text))


@lru_cache(maxsize=10_000)
def plain(text: str) -> str:
    """Return text in small letters without accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


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
    wanted = dict(_wanted())
    months = max((_months(columns) for columns, _ in there.values()), key=len, default={})
    if len(months) >= _MONTHS:
        wide = wanted["wide_months"]["wide"]
        own = {name: usual for name, usual in wide.columns.items() if not name[:2].isdigit()}
        columns = own | {month: [column] for month, column in months.items()}
        wanted["wide_months"] = {"wide": replace(wide, columns=columns)}
    elif not recipe:
        wanted.pop("wide_months", None)
    found = [Export(name, places, _share(needs, places)) for name, needs in wanted.items()
             if recipe in ("", name) and (places := _placed(needs, there, bool(recipe)))]  # fmt: skip
    # What speaks for a recipe are the columns that are there, less those that are not.
    ranked = sorted(
        (one for one in found if recipe or one.share >= _ENOUGH),
        key=lambda one: -sum(_found(place) - len(place.lacking) for place in one.places.values()),
    )
    for one in ranked[:1]:
        ranked[0] = replace(one, places={name: _read(catalog, place) for name, place in one.places.items()})
    return ranked


@dataclass(frozen=True)
class _Need:
    """An input of a recipe: its table's usual name, its columns, and whether it or they may be absent."""

    table: str
    columns: Mapping[str, Sequence[str]]
    optional: Iterable[str]
    absent: bool


@cache
def _wanted() -> dict[str, dict[str, _Need]]:
    """The inputs of every recipe, of the contract, and of a snapshot."""

    def also(columns: Mapping[str, str]) -> dict[str, list[str]]:
        more = {**WORDS["contract"], **WORDS["recipes"]}
        return {ours: [usual, *more.get(ours, [])] for ours, usual in columns.items()}

    contract = {
        table.name: _Need(
            table.name,
            {c.name: WORDS["contract"].get(c.name, [c.name]) for c in table.columns},
            [column.name for column in table.columns if not column.required or column.name in _MADE],
            table.name != "subscriptions",  # from which customers can be told
        )
        for table in TABLES
        if table.name not in RECONCILED.values()  # which any sums by customer would pass for
    }
    columns = {name: [name] for name in ("customer_id", "tenure", "churned", "plan", "currency")}
    columns |= {"unit_amount_minor": ["monthly amount"]}
    snapshot = {"": _Need("churn", columns, ["customer_id", "plan", "unit_amount_minor", "currency"], False)}
    found = {"contract": contract, "snapshot": snapshot}
    for file in sorted((project_root() / RECIPES).glob("*.yml")):
        inputs = load_mapping(file).inputs
        found[file.stem] = {
            name: _Need(one.origin or name, also(one.columns), one.optional, one.absent == "allowed")
            for name, one in inputs.items()
        }
    return found


def _months(columns: Sequence[str]) -> dict[str, str]:
    """Their columns that are named like months, by the month: 2025-03 for "Mar 2025", 03/2025 or 1.3.2025."""
    found = {}
    for column in columns:
        parts = re.findall(r"[a-z]+|[0-9]+", plain(column))
        match = re.fullmatch(_YEAR_AND_MONTH, " ".join(_MONTH.get(part[:3], part) for part in parts))
        if match:
            year, month, earlier, later, short, last = match.groups()
            found[f"{year or later or f'20{last}'}-{int(month or earlier or short):02d}"] = column
    return found


def _placed(needs: Mapping[str, _Need], there: Mapping[str, Any], named: bool) -> dict[str, Place]:
    """For each input the table that has most of its columns; empty where one that is needed has none.

    Where the recipe is named, a table that has few will do.
    """
    names, tables = list(needs), list(there)
    made = {(i, j): _place(needs[i], j, *there[j]) for i in names for j in tables}
    score = np.array(
        [
            [_found(made[i, j], needs[i].optional) + 0.3 * likeness(needs[i].table, j) for j in tables]
            for i in names
        ]
    )
    rows, columns = linear_sum_assignment(-score) if score.size else ((), ())
    chosen = {names[i]: made[names[i], tables[j]] for i, j in zip(rows, columns, strict=True)}
    places = {}
    for name, need in needs.items():
        required = [column for column in need.columns if column not in need.optional]
        few = name not in chosen or len(chosen[name].lacking) > 0.5 * len(required)
        if name in chosen and not (few and (need.absent or not named)):
            places[name] = chosen[name]
        elif not need.absent:
            return {}
    return places


def _place(need: _Need, table: str, columns: Sequence[str], encoding: str) -> Place:
    ours = list(need.columns)
    alike = np.array([[_alike(i, need.columns[i], j) for j in columns] for i in ours])
    enough = np.array([[_SURE if name in need.optional else _ALIKE] for name in ours])
    alike = np.where(alike < enough, 0, alike) if alike.size else alike
    rows, found = linear_sum_assignment(-alike) if alike.size else ((), ())
    pairs = {ours[i]: (columns[j], alike[i, j]) for i, j in zip(rows, found, strict=True) if alike[i, j] > 0}
    absent = [column for column in ours if column not in pairs]
    return Place(
        table,
        {name: theirs for name, (theirs, _) in pairs.items()},
        {name: float(share) for name, (_, share) in pairs.items() if share < 1},
        tuple(column for column in absent if column not in need.optional),
        tuple(column for column in absent if column in need.optional),
        written={"encoding": encoding} if encoding else {},
    )


def _alike(ours: str, usual: Sequence[str], theirs: str) -> float:
    """How alike a name is to the usual one; that of queries and further ones say less and less."""
    less = max((0.9 - 0.05 * i) * likeness(other, theirs) for i, other in enumerate([ours, *usual[1:]]))
    return 1.0 if ours == theirs else max(likeness(usual[0], theirs), less)


def _found(place: Place, optional: Iterable[str] = ()) -> float:
    """How many of the columns are there, a guess as what it is like; optional ones do not count."""
    return sum(place.guessed.get(name, 1.0) for name in place.columns if name not in optional)


def _share(needs: Mapping[str, _Need], places: Mapping[str, Place]) -> float:
    wanted = sum(len(set(needs[name].columns) - set(needs[name].optional)) for name in places)
    return sum(_found(place, needs[name].optional) for name, place in places.items()) / max(wanted, 1)


def _read(catalog: Catalog, place: Place) -> Place:
    """The place with how its text is written, by some of its rows."""
    raw = open_raw(catalog, place.table, place.written.get("encoding", ""))
    if not raw.text or not place.columns:
        return place
    columns = {ours: raw.table[theirs].cast("string") for ours, theirs in place.columns.items()}
    rows = collect(raw.table.select(**columns).limit(20_000))
    found, sure = {}, {}
    for column in rows.columns:
        text = rows[column].str.strip().replace("", None).dropna()
        parts = text.str.extract(_SLASHED)
        if len(parts) and parts[0].notna().all():
            early, late = parts[0].astype(int).max(), parts[2].astype(int).max()
            if max(early, late) > 12:
                sure[column] = "%m{0}%d{0}%Y" if late > 12 else "%d{0}%m{0}%Y"
            clock = text.str.extract(r"\d{4}[ T](\d{1,2}:\d{2})(:\d{2})?").notna().any()
            found[column] = parts[1].iloc[0], " %H:%M" * bool(clock[0]) + ":%S" * bool(clock[1])
    # A column that does not tell is written as the others are.
    usual = next(iter(sure.values()), "%d{0}%m{0}%Y")
    cells: Any = rows.stack()
    bare = cells.str.replace(r"[\s$€£¥]", "", regex=True)
    comma = bare.str.fullmatch(_COMMA).any() and not bare.str.fullmatch(_POINT).any()
    grouped = bare.str.fullmatch(r"[+-]?\d+,[\d,]+\.\d+") | cells.str.fullmatch(r"[+-]?[$€£¥]\s?[\d.,]+")
    written: dict[str, Any] = {
        "decimal": "," * bool(comma),
        "thousands": "." if comma else "," * bool(grouped.any()),
        "formats": {k: sure.get(k, usual).format(mark) + clock for k, (mark, clock) in found.items()},
    }
    written = place.written | {key: value for key, value in written.items() if value}
    return replace(place, unsure=() if sure else tuple(found), written=written)


@cache
def _words(name: str) -> tuple[str, ...]:
    """The words of a name, each as the one that stands for it."""
    split = plain(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))
    words = re.findall(r"[a-z]+|[0-9]+", re.sub(r"sign(ed)?[ _-]?up", "signup", split))
    known = [_FIRST.get(word, _FIRST.get(word[:-1], word)) for word in words if word not in _FILLER]
    return tuple(known or words)
