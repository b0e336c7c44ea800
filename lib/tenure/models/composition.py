"""What segments consist of and what they are worth: representation, concentration, churn, moves.

`totals` has a row per segment, as `tenure.measures.features.segment_totals` returns them: segment, customers,
paying, value_minor (what they pay per month), value_var (its sample variance over the paying) and, where
known, active_days_a_month and active_days_a_month_var. Intervals are at 95 %.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure import privacy
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.rates import net_retention
from tenure.privacy import few
from tenure.result import NAN, Estimate, Table, counted, from_ends
from tenure.stats.intervals import money_sum, proportion
from tenure.stats.lifetable import chi2_p, holm, z_value
from tenure.stats.lifetime import discounted_lifetime, period_rate
from tenure.stats.logrank import log_rank

Array = NDArray[Any]

LEFT = "not subscribed"

_PLACE = ["characteristic", "level", "segment"]
_LEAST = 30  # customers of a level or segment to compare

# Described where they are known, and never used to target anybody. A column is protected where a part of its
# name is: birth_year, age_group, customer_gender.
PROTECTED = frozenset(
    {
        "gender", "sex", "sexual", "age", "birth", "birthday", "birthdate", "dob", "ethnicity", "ethnic",
        "race", "religion", "religious", "disability", "disabled", "nationality", "marital", "pregnancy",
        "pregnant",
    }
)  # fmt: skip


def is_protected(name: str) -> bool:
    """Return whether a characteristic is protected: it is described, never used to target.

    Example:
        >>> is_protected("gender"), is_protected("Age group"), is_protected("household")
        (True, True, False)
    """
    return not PROTECTED.isdisjoint(re.split(r"[^a-z]+", name.lower()))


# --- what they consist of ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Representation:
    """What each segment consists of, against all customers.

    Attributes:
        table: A row per characteristic, level and segment: characteristic, level, segment, n, share, base,
            ratio with its interval, p, p_adjusted; the largest differences first.
    """

    table: Table

    @property
    def clear(self) -> pd.DataFrame:
        """The rows that differ clearly after adjusting for all comparisons."""
        return self.table.frame[self.table.frame["p_adjusted"] < 0.05]

    @property
    def usable(self) -> pd.DataFrame:
        """The clear rows whose characteristic is not protected: those that may be used to target."""
        return self.clear[~self.clear["characteristic"].map(is_protected).astype(bool)]

    @property
    def number(self) -> Estimate:
        """How many comparisons show a clear difference: "nothing", "none", "clear" or "clear, protected"."""
        case = "nothing" if not len(self.table) else "none" if self.clear.empty else "clear"
        if len(self.usable) < len(self.clear):
            case = "clear, protected"
        return counted(len(self.clear), len(self.table), of="comparison").saying(case)


def representation(*counts: pd.DataFrame) -> Representation:
    """Compare the customers of each segment with all customers, characteristic by characteristic.

    The ratio is the share of a level inside the segment over its share among everybody: 1 is as among
    everybody, 2 twice as many. Its interval is the delta method's on the logarithm for multinomial counts,
    which takes account of the segment being part of everybody; the test is that of an adjusted residual,
    and p-values are adjusted for all comparisons by Holm's method. Levels and segments with fewer than 30
    customers are left out.

    Args:
        *counts: Columns characteristic, level, segment and n.

    Example:
        >>> counts = pd.DataFrame({"characteristic": "household", "level": ["family", "single"] * 2,
        ...                        "segment": ["a", "a", "b", "b"], "n": [60, 40, 20, 80]})
        >>> found = representation(counts).table.frame
        >>> found.query("segment == 'a'")[["level", "ratio"]].values.tolist()
        [['single', 0.6666666666666666], ['family', 1.5]]
    """
    units = {"share": "percent", "base": "percent", "ratio": "ratio", "p": "p", "p_adjusted": "p"}
    parts = [_ratios(name, rows) for some in counts for name, rows in some.groupby("characteristic")]
    if not parts:
        return Representation(Table(pd.DataFrame(columns=[*_PLACE, "n", *units]), units))
    found = pd.concat(parts, ignore_index=True)
    found["p_adjusted"] = holm(found["p"].to_numpy(dtype=float))
    found["distance"] = -np.abs(np.log(found["ratio"].astype(float).clip(lower=0.01)))
    found = found.sort_values(["distance", *_PLACE], ignore_index=True).drop(columns="distance")
    return Representation(Table(found, units))


def _ratios(name: Any, counts: pd.DataFrame) -> pd.DataFrame:
    table = counts.pivot_table(index="level", columns="segment", values="n", aggfunc="sum", fill_value=0)
    cells = table.to_numpy(dtype=float)
    total = cells.sum()
    rows, columns = cells.sum(axis=1), cells.sum(axis=0)
    compared = np.outer((rows >= _LEAST) & (rows < total), (columns >= _LEAST) & (columns < total))
    i, j = np.nonzero(compared)
    both, having, size = cells[i, j], rows[i], columns[j]
    expected = size * having / total
    residual = (both - expected) / np.sqrt(expected * (1 - size / total) * (1 - having / total))
    a = np.where(both > 0, both, 0.5)
    error = np.sqrt(
        a * (1 / a - 1 / size - 1 / having + 1 / total) ** 2
        + (size - both) * (1 / total - 1 / size) ** 2
        + (having - both) * (1 / total - 1 / having) ** 2
        + np.maximum(total - size - having + both, 0.0) / total**2
    )
    center, z = np.log(a * total / (size * having)), z_value(0.95)
    found = pd.DataFrame(
        {
            "characteristic": name,
            "level": table.index.to_numpy()[i],
            "segment": table.columns.to_numpy()[j],
            "n": both.astype(int),
            "share": both / size,
            "base": having / total,
            "ratio": both * total / (size * having),
            "ratio_low": np.where(both > 0, np.exp(center - z * error), 0.0),
            "ratio_high": np.exp(center + z * error),
            "p": [chi2_p(value**2, 1) for value in residual],
        }
    )
    small = found["n"].between(1, privacy.smallest_group - 1)
    return found[~(small | few(found, "n", ["level"]) | few(found, "n", ["segment"]))]


# --- what they pay ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Concentration:
    """How unevenly an amount is spread over customers.

    Attributes:
        curve: customers and value, both cumulated shares from the smallest customer on.
        gini: The Gini coefficient: 0 where all pay alike, close to 1 where one pays all.
        top: The share of the amount that the top tenth of customers pay.
    """

    curve: Table
    gini: Estimate
    top: Estimate


def concentration(counts: pd.DataFrame, *, of: str = "paying customer", draws: int = 300) -> Concentration:
    """Return the Lorenz curve, the Gini coefficient and the share of the top tenth of customers.

    The curve is exact from the counts of equal amounts; intervals are percentiles over bootstrap samples of
    the counts.

    Args:
        counts: Columns value (not negative) and n.
        of: What is counted, one of them.
        draws: Bootstrap samples.

    Raises:
        NotApplicable: Nobody pays anything.

    Example:
        >>> even = concentration(pd.DataFrame({"value": [10], "n": [100]}))
        >>> round(even.gini.value, 3), round(even.top.value, 3)
        (0.0, 0.1)
    """
    ordered = counts.groupby("value")["n"].sum().sort_index()
    values, n = ordered.index.to_numpy(dtype=float), ordered.to_numpy(dtype=np.int64)
    if not n.sum() or not (values * n).sum() > 0:
        raise NotApplicable("Nobody pays anything, so there is no revenue to be spread.")
    if values[0] < 0:
        raise InputError("An amount is negative: concentration is of what customers pay.")
    people, amount, *found = _lorenz(values, n)
    samples = np.random.default_rng(0).multinomial(n.sum(), n / n.sum(), size=draws)
    samples = samples[samples @ values > 0]  # of three customers of whom one pays, a sample may hold none
    low, high = np.quantile([_lorenz(values, sample)[2:] for sample in samples], [0.025, 0.975], axis=0)
    gini, top = (
        from_ends(map(float, ends), n=int(n.sum()), of=of, unit=unit)
        for unit, *ends in zip(("number", "percent"), found, low, high, strict=True)
    )
    curve = pd.DataFrame({"customers": people, "value": amount})
    return Concentration(Table(curve, dict.fromkeys(curve.columns, "percent")), gini, top)


def _lorenz(values: Array, n: Array) -> tuple[Array, Array, float, float]:
    """Cumulated shares of customers and of the amount, the Gini coefficient and the top tenth's share."""
    people, amount = (np.concatenate([[0.0], np.cumsum(part) / part.sum()]) for part in (n, values * n))
    gini, top = 1 - 2 * np.trapezoid(amount, people), 1 - np.interp(0.9, people, amount)
    return people, amount, float(gini), float(top)


def value_share(totals: pd.DataFrame, names: Sequence[str]) -> Estimate:
    """Estimate the share of revenue that some segments pay.

    The interval is the delta method's for a ratio of sums over customers, each of whom either is in one of
    the segments or is not. Segments that are not there count as empty.

    Example:
        >>> totals = pd.DataFrame({"segment": ["a", "b"], "paying": [100, 300],
        ...                        "value_minor": [1000, 3000], "value_var": [4.0, 4.0]})
        >>> share = value_share(totals, ["a"])
        >>> round(share.value, 3), round(share.low, 3), round(share.high, 3)
        (0.25, 0.207, 0.293)
    """
    paying, amounts = (totals[name].to_numpy(dtype=float) for name in ("paying", "value_minor"))
    variance = np.nan_to_num(totals["value_var"].to_numpy(dtype=float))
    squares = paying * (variance + (amounts / np.maximum(paying, 1)) ** 2)
    return _share_of(totals["segment"].isin(names).to_numpy(), paying, amounts, squares)


def _share_of(inside: Array, paying: Array, amounts: Array, squares: Array) -> Estimate:
    total, n = float(amounts.sum()), int(paying.sum())
    about: dict[str, Any] = {"n": n, "of": "paying customer", "unit": "percent"}
    if not total > 0:
        return Estimate(NAN, **about)
    share = float(amounts[inside].sum() / total)
    if share in (0.0, 1.0):
        # Nobody, or everybody: what remains possible is Wilson's interval of the customers.
        bound = proportion(int(n * share), n)
        return Estimate(share, bound.low, bound.high, **about)
    variance = float((squares * np.where(inside, 1 - share, share) ** 2).sum()) / total**2
    half = z_value(0.95) * float(np.sqrt(variance))
    return Estimate(share, max(0.0, share - half), min(1.0, share + half), **about)


def share_change(moves: pd.DataFrame, name: str, label: str) -> Estimate:
    """Estimate the share of revenue that one segment pays, compared with that of an earlier day.

    Most customers are there on both days, so the difference is paired: with a customer's amounts y and x on
    the later and the earlier day, it adds y (in - p) / Y - x (was in - q) / X, where p and q are the shares
    and Y and X the sums, and the variance is the sum of its squares (delta method).

    Args:
        moves: As from `tenure.measures.features.moves`: before, after, customers, paying, then_minor,
            now_minor, then_squares, now_squares and change_squares.
        name: The segment.
        label: What the earlier day is called.
    """
    then, now, changes = (
        moves[f"{part}_squares"].to_numpy(dtype=float) for part in ("then", "now", "change")
    )
    was, is_ = (moves[side].eq(name).to_numpy() for side in ("before", "after"))
    amounts = [moves[f"{day}_minor"].to_numpy(dtype=float) for day in ("now", "then")]
    paying = [moves[f"{day}_paying"].to_numpy(dtype=float) for day in ("now", "then")]
    later = _share_of(is_, paying[0], amounts[0], now)
    earlier = _share_of(was, paying[1], amounts[1], then)
    if not later.known or not earlier.known:
        return later
    a, b = (is_ - later.value) / amounts[0].sum(), (was - earlier.value) / amounts[1].sum()
    both = (now + then - changes) / 2  # the sum of products of what customers pay on the two days
    half = z_value(0.95) * float(np.sqrt((a**2 * now + b**2 * then - 2 * a * b * both).sum()))
    moved = later.value - earlier.value
    return later.versus(earlier, Estimate(moved, moved - half, moved + half, unit="points"), label)


# --- what they are worth ------------------------------------------------------------------------------


def departure_table(departures: pd.DataFrame, months: int) -> pd.DataFrame:
    """Turn counts of who churned in which month into a life table that starts at a day.

    Args:
        departures: Columns segment, month (missing: still there) and n.
        months: Whole months that were observed.

    Example:
        >>> counts = pd.DataFrame({"segment": "a", "month": [1, 3, None], "n": [5, 5, 90]})
        >>> departure_table(counts, 3)[["period", "at_risk", "events", "censored"]].values.tolist()
        [[1, 100, 5, 0], [2, 95, 0, 0], [3, 95, 5, 90]]
    """
    # A customer who churned after the last whole month was there throughout it.
    month = pd.to_numeric(departures["month"]).astype(float).fillna(np.inf).clip(upper=months + 1)
    wide = departures.assign(period=month.astype(int)).pivot_table(
        index="segment", columns="period", values="n", aggfunc="sum", fill_value=0
    )
    wide = wide.reindex(columns=range(1, months + 2), fill_value=0)
    counts = wide.to_numpy(dtype=int)
    at_risk = counts[:, ::-1].cumsum(axis=1)[:, ::-1]  # those who churned in the month or later, or never
    stayed = np.where(np.arange(1, months + 1) == months, at_risk[:, 1:], 0)
    return pd.DataFrame(
        {
            "group": np.repeat(wide.index, months),
            "period": np.tile(np.arange(1, months + 1), len(wide)),
            "at_risk": at_risk[:, :-1].ravel(),
            "events": counts[:, :-1].ravel(),
            "censored": stayed.ravel(),
        }
    )


@dataclass(frozen=True, eq=False)
class SegmentValues:
    """What each segment pays, how fast it churns, and what a customer in it is worth.

    Attributes:
        table: A row per segment, the largest first: segment, customers, share, value_minor, watched (how many
            were there on the earlier day) and, with intervals, value_share, arpa, churn (per month),
            active_days (per month), retained and worth. NaN where unknown.
        life: The life table by segment since the earlier day.
        months: Months observed.
        averages: arpa and churn of all of them together, and paying, how many pay.
    """

    table: Table
    life: pd.DataFrame
    months: int
    averages: Mapping[str, float]

    @property
    def same_churn(self) -> float:
        """The log-rank test's p-value for all segments leaving at the same rate."""
        return log_rank(self.life).p if len(self.life) else NAN

    def curve(self, segment: str) -> list[float]:
        """The shares of a segment still there after 0, 1, ... months."""
        mine = self.life[self.life["group"] == segment].sort_values("period")
        stayed = 1 - mine["events"].astype(float) / mine["at_risk"]
        return [1.0, *stayed.cumprod().tolist()]

    def largest(self) -> Estimate:
        """The share of revenue of the segment that pays most, with its name and share of customers.

        Its case is "one segment" where there is nothing to compare.
        """
        top = self.table.frame.sort_values("value_share").iloc[-1]
        n = int(self.averages["paying"])
        found = self.table.estimate(top["segment"], "value_share", n=n, of="paying customer")
        case = "one segment" if len(self.table) == 1 else ""
        return found.saying(case, name=top["segment"], share=Estimate(top["share"], unit="percent"))

    def fastest_leaving(self) -> Estimate:
        """The churn of the segment that leaves fastest, compared with that of the one that leaves slowest.

        They are picked from all pairs, so the interval of their difference is widened to hold for all pairs
        at once (Bonferroni's adjustment of Newcombe's interval).
        """
        rows = self.table.frame.dropna(subset=["churn"]).sort_values("churn", kind="stable")
        if len(rows) < 2:
            return Estimate(NAN, unit="percent")
        wide = 1 - 0.05 / (len(rows) * (len(rows) - 1) / 2)
        calm, restless = rows["segment"].iloc[[0, -1]]
        slow, fast = (churn_of(self.life, name, self.months) for name in (calm, restless))
        low, high = (churn_of(self.life, name, self.months, level=wide) for name in (calm, restless))
        judged = high.against(low, f"“{calm}”")
        return replace(
            fast.saying(name=restless), compare=slow, compare_label=judged.compare_label,
            difference=judged.difference,
        )  # fmt: skip


def segment_values(
    totals: pd.DataFrame,
    departures: pd.DataFrame,
    economics: Economics,
    *,
    months: int,
    horizon: int,
    currency: str,
    kept: pd.DataFrame | None = None,
) -> SegmentValues:
    """Estimate what each segment pays, how fast it churns and what a customer in it is worth.

    The worth in brief is what is left of what a customer pays per month (`Economics.left_of`) over `horizon`
    months of the constant churn c observed, discounted: sum over t of (1 - c)^t / (1 + d)^(t/12). Churn falls
    with tenure, so it is on the low side. Its interval joins those of churn and of what they pay by the
    method of variance estimates recovery (Zou and Donner 2008).

    Args:
        totals: A row per segment.
        departures: Who churned since the earlier day, as `departure_table` takes it.
        economics: Margin, fees and discount rate.
        months: Months observed.
        horizon: Months that count.
        currency: The currency of the amounts.
        kept: Moments of retention by segment since the earlier day, as from
            `tenure.measures.revenue.retention_moments`.
    """
    net = {} if kept is None else {row["group"]: net_retention(row) for row in kept.to_dict("records")}
    life = departure_table(departures, months)
    rate, everybody, rows = period_rate(economics.discount_rate, 1 / 12), totals["customers"].sum(), []
    for row in totals.to_dict("records"):
        name, n, paying = row["segment"], int(row["customers"]), int(row["paying"])
        arpa = _mean(row["value_minor"] / paying if paying else NAN, row["value_var"], paying)
        churn = churn_of(life, name, months)
        left, more = (economics.left_of(pays, currency, months=1) for pays in (arpa.value, arpa.high))
        worth, most, least = (
            left * discounted_lifetime((1 - c) ** np.arange(horizon), rate)
            for c in (churn.value, churn.low, churn.high)
        )
        price = worth * (more - left) / left
        low, high = worth - np.hypot(worth - least, price), worth + np.hypot(most - worth, price)
        found = {"segment": name, "customers": n, "share": n / everybody}
        found |= {"value_minor": int(row["value_minor"]), "watched": churn.n}
        active, spread = (row.get(f"active_days_a_month{end}", NAN) for end in ("", "_var"))
        for column, one in {
            "value_share": value_share(totals, [name]),
            "arpa": arpa,
            "churn": churn,
            "active_days": _mean(active, spread, n),
            "worth": Estimate(worth, low, high),
            "retained": net.get(name, Estimate(NAN)),
        }.items():
            found |= {column: one.value, f"{column}_low": one.low, f"{column}_high": one.high}
        rows.append(found)
    unit, paying = f"money:{currency}", int(totals["paying"].sum())
    units = dict.fromkeys(("share", "value_share", "churn", "retained"), "percent")
    units |= {**dict.fromkeys(("value_minor", "arpa", "worth"), unit), "active_days": "number"}
    averages = {
        "arpa": float(totals["value_minor"].sum() / paying) if paying else NAN,
        "churn": churn_of(life, None, months).value,
        "paying": paying,
    }
    return SegmentValues(Table(pd.DataFrame(rows), units), life, months, averages)


def _mean(value: float, variance: float, n: int) -> Estimate:
    """A mean with its interval by the normal distribution; none where it rests on one."""
    half = z_value(0.95) * float(np.sqrt(variance / n)) if n > 1 else NAN
    return Estimate(value, value - half, value + half)


def churn_of(life: pd.DataFrame, segment: str | None, months: int, *, level: float = 0.95) -> Estimate:
    """Return the monthly churn of a segment, or of all: 1 - S^(1/m), with S the share still there at the end.

    Example:
        >>> life = pd.DataFrame({"group": "a", "period": [1, 2], "at_risk": [100, 90], "events": [10, 9]})
        >>> round(churn_of(life, "a", 2).value, 4)
        0.1
    """
    mine = life if segment is None else life[life["group"] == segment]
    there = int(mine.loc[mine["period"] == 1, "at_risk"].sum())
    lost = proportion(int(mine["events"].sum()), there, level=level, of="customer", sample=segment)
    value, low, high = (1 - (1 - share) ** (1 / months) for share in (lost.value, lost.low, lost.high))
    return replace(lost, value=value, low=low, high=high)


# --- who moved ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Migration:
    """Who moved between segments, and what it brought.

    Attributes:
        matrix: A row for each earlier segment, a column for each later one: customers.
        stayed: Of those subscribed at both days, the share in the same segment.
        gains: A row per move between different places, the largest change first: before, after, customers and
            change_minor with its interval.
        change: What the moves between segments changed in monthly revenue; its case: "more" or "less".
        lost: The monthly revenue of customers who left.
        came: The monthly revenue of customers who came.
        every: All moves, also those of too few people to be shown: before, after and customers.
        left: The place of those who are not subscribed.
    """

    matrix: pd.DataFrame
    stayed: Estimate
    gains: Table
    change: Estimate
    lost: Estimate
    came: Estimate
    every: pd.DataFrame
    left: str = LEFT

    @property
    def between(self) -> Table:
        """The moves of customers who were subscribed on both days."""
        both = self.gains.pipe(lambda rows: rows[(rows[["before", "after"]] != LEFT).all(axis=1)])
        return both.renamed(change_minor="change")

    @property
    def shares(self) -> Table:
        """Where those of each earlier segment are now: shares of the row."""
        rows = self.matrix.div(self.matrix.sum(axis=1), axis=0).drop(index=LEFT, errors="ignore")
        return Table(rows, dict.fromkeys(map(str, rows), "percent"))


def migration(moves: pd.DataFrame, currency: str, order: Sequence[str] = ()) -> Migration:
    """Count who moved from which segment to which, and what that changed.

    Each customer's change is chance, so a sum of changes varies by the sum of their squares.

    Args:
        moves: Columns before, after, customers, then_minor, now_minor and change_squares.
        currency: The currency of the amounts.
        order: Segments in the order in which to list them; others follow by name.

    Returns:
        The migration; its estimates are not available where nobody was there on the earlier day.

    Example:
        >>> moves = pd.DataFrame({"before": ["a", "a", "a"], "after": ["a", "b", "not subscribed"],
        ...     "customers": [8, 1, 1], "then_minor": [800, 100, 100], "now_minor": [800, 150, 0],
        ...     "change_squares": [0.0, 2500.0, 10000.0]})
        >>> found = migration(moves, "EUR")
        >>> round(found.stayed.value, 3), found.change.value, found.lost.value
        (0.889, 50.0, 100.0)
    """
    shown = moves[~(few(moves, "customers", ["before"]) | few(moves, "customers", ["after"]))]
    place = {name: number for number, name in enumerate(order)} | {LEFT: len(order) + 1}

    def ordered(names: Any) -> list[str]:
        return sorted(names, key=lambda name: (place.get(name, len(order)), name))

    matrix = shown.pivot_table(
        index="before", columns="after", values="customers", aggfunc="sum", fill_value=0
    )
    columns = ordered({*matrix.columns, LEFT})
    matrix = matrix.reindex(index=ordered(matrix.index), columns=columns, fill_value=0).astype(int)
    half = z_value(0.95) * np.sqrt(moves["change_squares"].astype(float))
    change = (moves["now_minor"] - moves["then_minor"]).astype(float)
    ends = {"change_minor": change, "change_minor_low": change - half, "change_minor_high": change + half}
    moved = moves.assign(**ends)[moves["before"] != moves["after"]]
    there = (moves["before"] != LEFT) & (moves["after"] != LEFT)
    same = moves["before"] == moves["after"]
    unit, people = f"money:{currency}", moves["customers"]

    def total(part: pd.Series) -> Estimate:
        if (moves["before"] == LEFT).all():
            return Estimate(NAN, unit=unit)
        value, squares = float(change[part].sum()), float(moves.loc[part, "change_squares"].sum())
        case, n = "more" if value >= 0 else "less", int(people[part].sum())
        return money_sum(value, squares, n, of="customer", unit=unit, case=case)

    gains = moved[moved.index.isin(shown.index)].sort_values(
        "change_minor", key=lambda c: -c.abs(), kind="stable", ignore_index=True
    )
    return Migration(
        matrix=matrix,
        stayed=proportion(int(people[there & same].sum()), int(people[there].sum()), of="customer"),
        gains=Table(gains[["before", "after", "customers", *ends]], {"change_minor": unit}),
        change=total(there & ~same),
        lost=total(moves["after"] == LEFT).scaled(-1.0),
        came=total(moves["before"] == LEFT),
        every=moved[["before", "after", "customers"]],
    )


def moved_worth(moved: Migration, values: SegmentValues) -> Estimate:
    """Estimate what moves between segments changed in what customers are worth.

    Customers who moved are taken to be worth what customers of the new segment are, no longer what those of
    the old one are: the sum over segments of (came - went) times a customer's worth. Moves into and out of
    segments of unknown worth are left out. It assumes that the move is lasting.

    The intervals of each segment's worth are joined as of independent estimates (Zou and Donner 2008).

    Returns:
        The change; n is the customers who moved; its case: "raised", "lowered" or "nobody".
    """
    ends = ["worth", "worth_low", "worth_high"]
    known = values.table.frame.dropna(subset=ends).set_index("segment")[ends]
    moves = moved.every
    inside = moves[moves["before"].isin(known.index) & moves["after"].isin(known.index)]
    came, went = (inside.groupby(side)["customers"].sum() for side in ("after", "before"))
    net = came.reindex(known.index, fill_value=0) - went.reindex(known.index, fill_value=0)
    value, one, other = known.mul(net, axis=0).to_numpy(dtype=float).T
    total, n = float(value.sum()), int(inside["customers"].sum())
    below, above = (
        float(np.linalg.norm(value - end)) for end in (np.minimum(one, other), np.maximum(one, other))
    )
    case = "nobody" if not n else "raised" if total >= 0 else "lowered"
    unit = values.table.units["worth"]
    return Estimate(total, total - below, total + above, n=n, of="customer", unit=unit, case=case)
