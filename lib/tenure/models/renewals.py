"""Billing intervals, and counts of how many of them customers stayed: what retention curves are fitted to.

A customer can leave at each renewal k = 1, 2, ... of the billing interval, such as "1 month" or "7 days".
Counts are by `group` and `interval`; `stays` are those of `tenure.measures.value.stay_counts`: n customers
were observed from after renewal `entry` to renewal `exit` and left there (`event` 1) or were still on (0).

A column or a value that is not as it should be raises InputError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from tenure import privacy
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.months import quarter_label
from tenure.money import minor_exponent
from tenure.result import Estimate, Table
from tenure.stats.lifetable import CAUSES, Array, spelled
from tenure.stats.lifetime import period_rate

KEYS = ("group", "interval")


def interval_years(interval: str) -> float:
    """Return the length of a billing interval in years.

    Example:
        >>> interval_years("3 months"), round(interval_years("7 days"), 4)
        (0.25, 0.0192)
    """
    number, _, unit = str(interval).partition(" ")
    if not number.isdigit() or int(number) < 1 or unit.rstrip("s") not in ("month", "day"):
        raise InputError(f"The interval {interval!r} is no number of months or days, such as '3 months'.")
    return int(number) / 12 if unit.startswith("month") else int(number) / 365.25


@dataclass(frozen=True)
class Terms:
    """The terms on which future payments are valued.

    Attributes:
        economics: Margin, fees, cost to serve and the yearly discount rate.
        currency: The reporting currency.
        factors: Its minor units for a minor unit of each currency; others are left out.
        years: A lifetime: payments count up to so many years from now.

    Example:
        >>> terms = Terms(Economics(discount_rate=0.10))
        >>> round(terms.rate("1 month"), 5), terms.periods("3 months"), terms.unit
        (0.00797, 120, 'money:EUR')
    """

    economics: Economics = field(default_factory=Economics)
    currency: str = "EUR"
    factors: Mapping[str, float] = field(default_factory=lambda: {"EUR": 1.0})
    years: int = 30

    def __post_init__(self) -> None:
        if isinstance(self.years, bool) or not 1 <= self.years <= 100:
            raise InputError(f"`years` must lie between 1 and 100; it is {self.years!r}.")

    @property
    def unit(self) -> str:
        """The unit of money."""
        return f"money:{self.currency}"

    def rate(self, interval: str) -> float:
        """The discount rate of a billing interval."""
        return period_rate(self.economics.discount_rate, interval_years(interval))

    def periods(self, interval: str) -> int:
        """How many billing intervals a lifetime holds."""
        return max(int(np.ceil(self.years / interval_years(interval))), 1)

    def words(self) -> dict[str, Any]:
        """The terms, as slots of a sentence."""
        facts = self.economics
        shares = {"margin": facts.margin, "fee_share": facts.fee_share, "discount_rate": facts.discount_rate}
        shares["monthly"] = self.rate("1 month")
        fixed = Estimate(facts.fee_fixed * 10 ** minor_exponent(self.currency), unit=self.unit)
        said: dict[str, Any] = {name: Estimate(value, unit="percent") for name, value in shares.items()}
        return said | {
            "fee_fixed": fixed,
            "currency": self.currency,
            "years": Estimate(self.years, unit="years"),
        }

    def rates(self, used: Sequence[str]) -> Table:
        """What one of each other currency counts as; where that is not known, its customers are left out."""
        others = sorted(set(used) - {self.currency})
        worth = [self.factors.get(name, np.nan) * 10 ** minor_exponent(name) for name in others]
        return Table(pd.DataFrame({"currency": others, "counts_as": worth}), {"counts_as": self.unit})

    def converted(self, rows: pd.DataFrame, *columns: str) -> tuple[pd.DataFrame, pd.Series]:
        """The rows whose currency has a rate, with columns in the reporting one; and the factor of each."""
        known = rows[rows["currency"].isin(list(self.factors))]
        factor = known["currency"].map(self.factors).astype(float)
        return known.assign(**{name: known[name] * factor for name in columns}), factor

    def contribution(self, paid: Any, refunded: Any = 0.0, charges: Any = 1.0, months: Any = 0.0) -> Any:
        """What is left of payments: margin on what is not refunded, less fees on all charges.

        Args:
            paid: What was paid, in minor units of the reporting currency; a number or a column.
            refunded: What of it was refunded; its fees are lost.
            months: For how many months of service.

        Example:
            >>> facts = Economics(margin=0.5, fee_share=0.02, fee_fixed=0.25)
            >>> Terms(facts).contribution(1000.0, refunded=100.0)
            405.0
        """
        left = self.economics.left_of(paid, self.currency, charges=charges, months=months)
        return left - self.economics.margin * refunded


def life_table(stays: pd.DataFrame, by: Sequence[str] = KEYS) -> pd.DataFrame:
    """Turn counts of spells into a life table by renewal, for each combination of the columns `by`.

    It has those columns, `period`, `at_risk`, `events`, `voluntary`, `involuntary`, `unknown`, `censored` and
    `entered`. Where nobody was observed for a whole billing interval, NotApplicable is raised.

    Example:
        >>> stays = pd.DataFrame({"group": "Plus", "entry": 0, "exit": [1, 2, 2], "event": [1, 1, 0],
        ...                       "cause": ["voluntary", "involuntary", None], "n": [20, 10, 70]})
        >>> life_table(stays, ["group"])[["period", "at_risk", "events", "involuntary", "censored"]]
           period  at_risk  events  involuntary  censored
        0       1      100      20            0         0
        1       2       80      10           10        70
    """
    absent = [c for c in (*by, "entry", "exit", "event", "cause", "n") if c not in stays.columns]
    if absent:
        raise InputError(
            f"The counts of spells have no column {spelled(absent)}; they have {spelled(stays.columns)}: "
            "make them with measures.value.stay_counts."
        )
    rows = stays[stays["exit"] > stays["entry"]]
    if rows.empty:
        raise NotApplicable(
            "Nobody was observed for a whole billing interval, so retention cannot be estimated: "
            "choose a later as-of date or a wider window."
        )
    labels, place = numbered(rows, by)
    cause = rows["cause"].where(rows["cause"].isin(CAUSES[:2]), "unknown")
    cause = cause.where(rows["event"] == 1, "censored")
    grid = pd.MultiIndex.from_product([labels.index, range(1, int(rows["exit"].max()) + 1)])

    def count(column: str, which: pd.Series) -> pd.Series:
        sums = rows["n"].where(which, 0).groupby([place, rows[column].astype("int64")]).sum()
        return sums.reindex(grid, fill_value=0).astype("int64")

    table = pd.DataFrame({name: count("exit", cause == name) for name in (*CAUSES, "censored")})
    table["entered"] = count("entry", rows["entry"] > 0)
    table.insert(0, "events", table[list(CAUSES)].sum(axis=1))
    change = (table["events"] + table["censored"] - table["entered"]).to_numpy().reshape(len(labels), -1)
    table.insert(0, "at_risk", change[:, ::-1].cumsum(axis=1)[:, ::-1].ravel())
    seen = (table != 0).any(axis=1)
    table.insert(0, "period", grid.get_level_values(1))
    keys = labels.loc[grid.get_level_values(0)].reset_index(drop=True)
    return pd.concat([keys, table.reset_index(drop=True)], axis=1)[seen.to_numpy()].reset_index(drop=True)


def folding(stays: pd.DataFrame, *, smallest: int) -> pd.DataFrame:
    """Find the groups that are large enough for a curve of their own, and those that join others.

    Groups with fewer than `smallest` customers, or in which nobody left, are *other* among those with the
    same billing interval; where even these are too few, they join the largest group of the interval. A group
    of ten or more, all of whom left at the renewals observed, ends by design or has no retention to project;
    it is left out, as are those of an interval at which nobody left, or that has too few customers to be
    named (see `tenure.privacy`).

    Returns:
        A row per group and interval: `group`, `interval`, `model_group`, whose curve holds (None: left out).

    Raises:
        NotApplicable: All would be left out.

    Example:
        >>> stays = pd.DataFrame({"group": ["a", "b", "c"], "interval": "1 month", "event": [1, 1, 0],
        ...                       "n": [900, 40, 30]})
        >>> folding(stays, smallest=50)["model_group"].tolist()
        ['a', 'other', 'other']
        >>> folding(stays, smallest=100)["model_group"].tolist()
        ['a', 'a', 'a']
    """
    rows = stays.assign(left=stays["n"] * stays["event"], due=stays["n"] * _passed(stays))
    sums = ["n", "left", "due"]
    every = rows.groupby(list(KEYS))[sums].sum().reset_index()
    few = every.groupby("interval")["n"].transform("sum") < privacy.smallest_group
    some = (every["left"] < every["due"]) | (every["n"] < 10)
    sizes = every[some & (~few | bool(few.all()))].copy()
    sizes["model_group"] = sizes["group"]
    for target in ("other", ""):
        whole = sizes.groupby(["model_group", "interval"])[sums].transform("sum")
        small = (whole["n"] < max(smallest, privacy.smallest_group)) | (whole["left"] == 0)
        largest = sizes.loc[sizes.groupby("interval")["n"].idxmax()].set_index("interval")["model_group"]
        joins = pd.Series(target, index=sizes.index) if target else sizes["interval"].map(largest)
        sizes["model_group"] = sizes["model_group"].where(~small, joins)
    whole = sizes.groupby(["model_group", "interval"])[sums].transform("sum")
    sizes = sizes[(whole["left"] > 0) & (whole["left"] < whole["due"])]
    if len(every) and sizes.empty:
        renewals, left = int(every["due"].sum()), int(every["left"].sum())
        raise NotApplicable(
            f"Of {renewals} renewals observed {left} were not renewed: where nobody leaves, or everybody "
            "does at the first, there is no retention to project, and so no value."
        )
    return every[list(KEYS)].merge(sizes[[*KEYS, "model_group"]], on=list(KEYS), how="left")


def left_out(stays: pd.DataFrame, mapping: pd.DataFrame) -> list[Estimate]:
    """The groups that `folding` left out, to be said in sentences.

    Returns:
        For each the renewals observed; its case is "all left" or "none left"; its words are group, interval
        and customers.
    """
    found = []
    out = mapping.loc[mapping["model_group"].isna(), list(KEYS)]
    for (group, length), own in stays.merge(out, on=list(KEYS)).groupby(list(KEYS)):
        due, left = (int((own["n"] * many).sum()) for many in (_passed(own), own["event"]))
        n = int(own["n"].sum())
        words = {"group": str(group), "interval": str(length), "customers": n}
        case = "all left" if left else "none left"
        found.append(Estimate(due, n=n, of="customer", unit="count", case=case, words=words))
    return [out for out in found if int(out.words["customers"]) >= privacy.smallest_group]


def _passed(stays: pd.DataFrame) -> pd.Series:
    """The renewals that each customer was observed at."""
    return stays["exit"] - stays["entry"] if "exit" in stays else stays["event"] + 1


def fold(counts: pd.DataFrame, mapping: pd.DataFrame) -> pd.DataFrame:
    """Give counts the groups that `folding` found; groups that it does not know are left out."""
    folded = counts.merge(mapping.dropna(subset="model_group"), on=list(KEYS), how="inner")
    return folded.drop(columns="group").rename(columns={"model_group": "group"})


def by_quarter(counts: pd.DataFrame) -> pd.DataFrame:
    """Add the quarter of each cohort, which is the index of a month.

    Example:
        >>> by_quarter(pd.DataFrame({"cohort": [2024 * 12 + 4]}))["quarter"].tolist()
        ['2024 Q2']
    """
    return counts.assign(quarter=counts["cohort"].map(quarter_label))


def across(table: Table, column: str, value: str) -> Table:
    """Spread an estimate over columns, one for each value of a column: "renewal 1", "renewal 2", ...

    Example:
        >>> long = pd.DataFrame({"group": "a", "renewal": [1, 2], "n": 1.0, "n_low": 0.0, "n_high": 3.0})
        >>> list(across(Table(long, {"n": "number"}), "renewal", "n").frame)[:4]
        ['group', 'renewal 1', 'renewal 1_low', 'renewal 1_high']
    """
    keys, parts = [name for name in KEYS if name in table.frame], []
    for number, part in table.frame.groupby(column):
        ends = {f"{value}{end}": f"{column} {number}{end}" for end in ("", "_low", "_high")}
        parts.append(part.set_index(keys)[list(ends)].rename(columns=ends))
    units = {f"{column} {number}": table.units[value] for number in table.frame[column].unique()}
    return Table(pd.concat(parts, axis=1).reset_index(), units)


def numbered(rows: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Array]:
    """Return the combinations of some columns, a row each in order, and each row's place there.

    Example:
        >>> labels, where = numbered(pd.DataFrame({"plan": ["b", "a", "b"]}), ["plan"])
        >>> labels["plan"].tolist(), where.tolist()
        (['a', 'b'], [1, 0, 1])
    """
    if not by:
        return pd.DataFrame(index=range(1)), np.zeros(len(rows), dtype=int)
    place = rows.groupby(list(by), dropna=False, observed=True).ngroup().to_numpy()
    first = np.unique(place, return_index=True)[1]
    return rows[list(by)].iloc[first].reset_index(drop=True), place
