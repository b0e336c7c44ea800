"""What segments are made of and what they are worth: representation, concentration, departures, moves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.result import Estimate
from tenure.stats.intervals import proportion
from tenure.stats.lifetable import chi2_p, holm, z_value

LEFT = "not subscribed"

# Described where they are known, and never used to choose whom to address.
# A column is one of them where a part of its name is: birth_year, age_group, customer_gender.
PROTECTED = frozenset(
    {
        "gender", "sex", "sexual", "age", "birth", "birthday", "birthdate", "dob", "ethnicity", "ethnic",
        "race", "religion", "religious", "disability", "disabled", "nationality", "marital", "pregnancy",
        "pregnant",
    }
)  # fmt: skip


def representation(counts: pd.DataFrame, *, level: float = 0.95, min_group: int = 30) -> pd.DataFrame:
    """Compare what each segment is made of with what all customers are made of.

    The ratio is the share of a level inside the segment over its share among everybody: 1 is as among
    everybody, 2 twice as many. Its interval is the delta method's on the logarithm for multinomial counts,
    which takes account of the segment being part of everybody; the test is that of an adjusted residual,
    and p-values are adjusted for all comparisons by Holm's method.

    Args:
        counts: Columns characteristic, level, segment and n.
        level: Level of the intervals.
        min_group: Levels and segments with fewer customers are left out.

    Returns:
        A row a characteristic, level and segment: characteristic, level, segment, n, share, base, ratio, low,
        high, p, p_adjusted; the largest differences first. NaN where nobody has the level.

    Example:
        >>> counts = pd.DataFrame({"characteristic": "household", "level": ["family", "single"] * 2,
        ...                        "segment": ["a", "a", "b", "b"], "n": [60, 40, 20, 80]})
        >>> representation(counts).query("segment == 'a'")[["level", "ratio"]].values.tolist()
        [['single', 0.6666666666666666], ['family', 1.5]]
    """
    z, rows = z_value(level), []
    for name, part in counts.groupby("characteristic", sort=True):
        table = part.pivot_table(index="level", columns="segment", values="n", aggfunc="sum", fill_value=0)
        total = float(table.to_numpy().sum())
        for kind in table.index:
            having = float(table.loc[kind].sum())
            for segment in table.columns:
                size, both = float(table[segment].sum()), float(table.loc[kind, segment])
                if having < min_group or size < min_group or size == total or having == total:
                    continue
                ratio = both * total / (size * having)
                expected = size * having / total
                residual = (both - expected) / np.sqrt(expected * (1 - size / total) * (1 - having / total))
                a = both if both > 0 else 0.5
                slope_a = 1 / a - 1 / size - 1 / having + 1 / total
                slope_b, slope_c = 1 / total - 1 / size, 1 / total - 1 / having
                rest = total - size - having + both
                error = np.sqrt(
                    a * slope_a**2
                    + (size - both) * slope_b**2
                    + (having - both) * slope_c**2
                    + max(rest, 0.0) / total**2
                )
                center = np.log(a * total / (size * having))
                rows.append(
                    {
                        "characteristic": name,
                        "level": kind,
                        "segment": segment,
                        "n": int(both),
                        "share": both / size,
                        "base": having / total,
                        "ratio": ratio,
                        "low": float(np.exp(center - z * error)) if both > 0 else 0.0,
                        "high": float(np.exp(center + z * error)),
                        "p": chi2_p(residual**2, 1),
                    }
                )
    columns = ["characteristic", "level", "segment", "n", "share", "base", "ratio", "low", "high", "p"]
    found = pd.DataFrame(rows, columns=columns)
    found["p_adjusted"] = holm(found["p"].to_numpy(dtype=float)) if len(found) else []
    found["distance"] = np.abs(np.log(found["ratio"].astype(float).clip(lower=0.01)))
    ordered = found.sort_values(
        ["distance", "characteristic", "level", "segment"], ascending=[False, True, True, True]
    )
    return ordered.drop(columns="distance").reset_index(drop=True)


def is_protected(name: str) -> bool:
    """Say whether a characteristic is protected: it is described, never used to target.

    Example:
        >>> is_protected("gender"), is_protected("Age group"), is_protected("household")
        (True, True, False)
    """
    return not PROTECTED.isdisjoint(re.split(r"[^a-z]+", name.lower()))


@dataclass(frozen=True, eq=False)
class Concentration:
    """How unevenly an amount is spread over customers.

    Attributes:
        curve: customers and value, both cumulated shares from the smallest customer on.
        gini: The Gini coefficient: 0 all alike, towards 1 all with one.
        top: The share of the amount that the top tenth of customers pay.
        n: Customers.
    """

    curve: pd.DataFrame
    gini: Estimate
    top: Estimate
    n: int


def concentration(
    counts: pd.DataFrame, *, top: float = 0.1, draws: int = 300, level: float = 0.95, seed: int = 0
) -> Concentration:
    """Return the Lorenz curve, the Gini coefficient and the share of the top customers.

    The curve is exact from the counts of equal amounts; intervals are percentiles over bootstrap samples of
    the counts.

    Args:
        counts: Columns value (not negative) and n.
        top: The share of customers that are the top.
        draws: Bootstrap samples.
        level: Level of the intervals.
        seed: The random seed.

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
    people, amount, gini, share = _lorenz(values, n, top)
    rng = np.random.default_rng(seed)
    samples = rng.multinomial(n.sum(), n / n.sum(), size=draws)
    found = np.array([_lorenz(values, sample, top)[2:] for sample in samples])
    tail = [(1 - level) / 2, (1 + level) / 2]
    (g_low, s_low), (g_high, s_high) = np.quantile(found, tail, axis=0)
    size = int(n.sum())
    return Concentration(
        curve=pd.DataFrame({"customers": people, "value": amount}),
        gini=Estimate(gini, float(g_low), float(g_high), size, level=level),
        top=Estimate(share, float(s_low), float(s_high), size, level=level),
        n=size,
    )


def _lorenz(values: Any, n: Any, top: float) -> tuple[Any, Any, float, float]:
    people = np.concatenate([[0.0], np.cumsum(n) / n.sum()])
    amounts = values * n
    amount = np.concatenate([[0.0], np.cumsum(amounts) / amounts.sum()])
    area = float(((amount[1:] + amount[:-1]) / 2 * np.diff(people)).sum())
    share = 1 - float(np.interp(1 - top, people, amount))
    return people, amount, 1 - 2 * area, share


def departure_table(departures: pd.DataFrame, months: int) -> pd.DataFrame:
    """Turn counts of who left in which month into a life table that starts at a day.

    Args:
        departures: Columns segment, month (missing: still there), cause and n.
        months: Whole months that were watched.

    Returns:
        A life table as `tenure.stats.survival` takes it, a row a segment and month.

    Example:
        >>> counts = pd.DataFrame({"segment": "a", "month": [1, 3, None],
        ...                        "cause": ["voluntary", "unknown", None], "n": [5, 5, 90]})
        >>> departure_table(counts, 3)[["period", "at_risk", "events", "censored"]].values.tolist()
        [[1, 100, 5, 0], [2, 95, 0, 0], [3, 95, 5, 90]]
    """
    rows = []
    for segment, part in departures.groupby("segment", sort=True):
        month = pd.to_numeric(part["month"]).to_numpy(dtype=float)
        n, cause = part["n"].to_numpy(), part["cause"].fillna("").to_numpy()
        size = int(n.sum())
        # Who leaves after the last whole month was there throughout it.
        left = np.where(month <= months, month, np.nan)
        for period in range(1, months + 1):
            here = left == period
            causes = {c: int(n[here & (cause == c)].sum()) for c in ("voluntary", "involuntary")}
            events = int(n[here].sum())
            rows.append(
                {
                    "group": segment,
                    "period": period,
                    "at_risk": size,
                    "events": events,
                    **causes,
                    "unknown": events - sum(causes.values()),
                    "censored": size - events if period == months else 0,
                    "entered": 0,
                }
            )
            size -= events
    return pd.DataFrame(rows)


def segment_values(
    totals: pd.DataFrame,
    life: pd.DataFrame,
    *,
    months: int,
    horizon: int = 24,
    margin: float = 1.0,
    yearly_discount: float = 0.1,
    level: float = 0.95,
) -> pd.DataFrame:
    """Put together what each segment pays, how fast it leaves and what a customer in it is worth.

    Churn a month is 1 - S^(1/m), with S the share still there after the m months that were watched
    (Wilson's interval). The value in brief is what a customer pays a month, times margin, over `horizon`
    months of that constant churn, discounted: sum over t of (1 - c)^t / (1 + d)^(t/12). Churn falls with
    tenure, so it is on the low side. Its interval joins those of churn and of what they pay by the method of
    variance estimates recovery (Zou and Donner 2008).

    Args:
        totals: Columns segment, customers, paying, value_minor and value_var and, where known,
            active_days_a_month and its variance active_days_a_month_var.
        life: The life table by segment since the earlier day, as `departure_table` returns it.
        months: Months watched.
        horizon: Months that count.
        margin: Share of revenue that is left after the cost of serving.
        yearly_discount: Discount rate a year.
        level: Level of the intervals.

    Returns:
        A row a segment, the largest first: segment, customers, share, value_minor, value_share (with
        _low and _high), arpa, arpa_low, arpa_high, watched, churn, churn_low, churn_high, active_days
        (a month), worth, worth_low, worth_high (minor units). NaN where it is not known.
    """
    z, rows = z_value(level), []
    for row in totals.to_dict("records"):
        mine = life[life["group"] == row["segment"]] if len(life) else life
        paying, part = int(row["paying"]), value_share(totals, [row["segment"]], level=level)
        arpa = row["value_minor"] / paying if paying else float("nan")
        error = z * float(np.sqrt(row["value_var"] / paying)) if paying > 1 else float("nan")
        watched = int(mine["at_risk"].max()) if len(mine) else 0
        gone = int(mine["events"].sum()) if len(mine) else 0
        lost = proportion(gone, watched, level=level)
        churn = [1 - (1 - share) ** (1 / months) for share in (lost.value, lost.low, lost.high)]
        worth = [arpa * margin * _lifetime(c, horizon, yearly_discount) for c in churn]
        rows.append(
            {
                "segment": row["segment"],
                "customers": int(row["customers"]),
                "share": row["customers"] / totals["customers"].sum(),
                "value_minor": int(row["value_minor"]),
                "value_share": part.value,
                "value_share_low": part.low,
                "value_share_high": part.high,
                "arpa": arpa,
                "arpa_low": arpa - error,
                "arpa_high": arpa + error,
                "watched": watched,
                "churn": churn[0],
                "churn_low": churn[1],
                "churn_high": churn[2],
                "active_days": (active := row.get("active_days_a_month", float("nan"))),
                "active_days_low": active - (spread := z * _mean_error(row)),
                "active_days_high": active + spread,
                "worth": worth[0],
                "worth_low": worth[0] - float(np.hypot(worth[0] - worth[2], worth[0] * error / arpa)),
                "worth_high": worth[0] + float(np.hypot(worth[1] - worth[0], worth[0] * error / arpa)),
            }
        )
    return pd.DataFrame(rows)


def _mean_error(row: Mapping[Any, Any]) -> float:
    """Standard error of the mean active days."""
    variance, n = row.get("active_days_a_month_var", float("nan")), int(row["customers"])
    return float(np.sqrt(variance / n)) if n > 1 else float("nan")


def _lifetime(churn: float, horizon: int, yearly_discount: float) -> float:
    months = np.arange(horizon)
    return float((((1 - churn) ** months) / (1 + yearly_discount) ** (months / 12)).sum())


def overall(values: pd.DataFrame, life: pd.DataFrame, *, months: int) -> dict[str, float]:
    """Return what all segments together pay a customer (arpa), and their churn a month.

    Args:
        values: As `segment_values` returns them.
        life: The life table by segment that they were made from.
        months: Months watched.
    """
    paying = (values["value_minor"] / values["arpa"]).sum()
    watched = life.groupby("group")["at_risk"].max().sum() if len(life) else 0
    gone = life["events"].sum() if len(life) else 0
    nan = float("nan")
    return {
        "arpa": float(values["value_minor"].sum() / paying) if paying else nan,
        "churn": float(1 - (1 - gone / watched) ** (1 / months)) if watched else nan,
    }


def value_share(totals: pd.DataFrame, names: Sequence[str], *, level: float = 0.95) -> Estimate:
    """Estimate the share of revenue that some segments pay.

    The interval is the delta method's for a ratio of sums over customers, each of whom either is in one of
    the segments or is not.

    Args:
        totals: Columns segment, paying, value_minor and value_var.
        names: The segments; those that are not there count as empty.
        level: Level of the interval.

    Example:
        >>> totals = pd.DataFrame({"segment": ["a", "b"], "paying": [100, 300],
        ...                        "value_minor": [1000, 3000], "value_var": [4.0, 4.0]})
        >>> share = value_share(totals, ["a"])
        >>> round(share.value, 3), round(share.low, 3), round(share.high, 3)
        (0.25, 0.207, 0.293)
    """
    total = float(totals["value_minor"].sum())
    n = int(totals["paying"].sum())
    if not total > 0:
        return Estimate(float("nan"), float("nan"), float("nan"), n, level=level)
    inside = totals["segment"].isin(names).to_numpy()
    amounts, paying = totals["value_minor"].to_numpy(dtype=float), totals["paying"].to_numpy(dtype=float)
    share = float(amounts[inside].sum() / total)
    mean = amounts / np.maximum(paying, 1)
    squares = paying * (np.nan_to_num(totals["value_var"].to_numpy(dtype=float)) + mean**2)
    if share in (0.0, 1.0):
        # Nobody, or everybody: what remains possible is Wilson's interval of the customers.
        bound = proportion(int(n * share), n, level=level)
        return Estimate(share, bound.low, bound.high, n, level=level)
    variance = float((squares * np.where(inside, 1 - share, share) ** 2).sum()) / total**2
    half = z_value(level) * float(np.sqrt(variance))
    return Estimate(share, max(0.0, share - half), min(1.0, share + half), n, level=level)


def keeping(
    values: pd.DataFrame,
    *,
    kept: float = 0.1,
    horizon: int = 24,
    margin: float = 1.0,
    yearly_discount: float = 0.1,
) -> pd.DataFrame:
    """Say what it is worth to keep some of those who would leave each segment within a year.

    A customer who is kept goes on to leave like others of the segment, and is worth what they are. The
    leavers of a year are 1 - (1 - c)^12 of the customers; as more leave, more can be kept and each is worth
    less, so the least and the greatest over the interval of churn are taken, and joined with the interval of
    what they pay as in `segment_values`.

    Args:
        values: As `segment_values` returns them.
        kept: The share of the leavers that is kept.
        horizon: Months that count.
        margin: Share of revenue that is left after the cost of serving.
        yearly_discount: Discount rate a year.

    Returns:
        A row a segment, the dearest for each customer first: segment, customers, leavers (a year), money, and
        per_customer, per_customer_low, per_customer_high (minor units).

    Example:
        >>> values = pd.DataFrame({"segment": ["a"], "customers": [1000], "arpa": [1000.0],
        ...     "arpa_high": [1010.0], "churn": [0.05], "churn_low": [0.04], "churn_high": [0.06]})
        >>> keeping(values).round(0)[["leavers", "money"]].values.tolist()
        [[460.0, 606311.0]]
    """
    rows = []
    for row in values.to_dict("records"):
        ends = [row["churn"], *np.linspace(row["churn_low"], row["churn_high"], 21)]
        leavers = [1 - (1 - churn) ** 12 for churn in ends]
        each = [
            share * kept * row["arpa"] * margin * _lifetime(churn, horizon, yearly_discount)
            for share, churn in zip(leavers, ends, strict=True)
        ]
        n, value = int(row["customers"]), each[0]
        pays = value * (row["arpa_high"] - row["arpa"]) / row["arpa"]
        low = value - float(np.hypot(value - min(each), pays))
        high = value + float(np.hypot(max(each) - value, pays))
        rows.append((row["segment"], n, leavers[0] * n, value * n, value, low, high))
    columns = [
        "segment",
        "customers",
        "leavers",
        "money",
        "per_customer",
        "per_customer_low",
        "per_customer_high",
    ]
    return pd.DataFrame(rows, columns=columns).sort_values("per_customer", ascending=False, ignore_index=True)


@dataclass(frozen=True, eq=False)
class Migration:
    """Who moved between segments, and what it brought.

    Attributes:
        matrix: A row for each earlier segment, a column for each later one: customers.
        shares: The same as shares of the row.
        stayed: Of those subscribed at both days, the share in the same segment.
        gains: A row a move between different places, the weightiest first: before, after, customers,
            change_minor, low, high.
        change: What the moves between segments changed in revenue a month, of customers who stayed.
        lost: The revenue a month that left, negative.
        won: The revenue a month that came.
    """

    matrix: pd.DataFrame
    shares: pd.DataFrame
    stayed: Estimate
    gains: pd.DataFrame
    change: Estimate
    lost: Estimate
    won: Estimate


def migration(moves: pd.DataFrame, *, level: float = 0.95) -> Migration:
    """Read who moved from which segment to which.

    A sum of changes is as uncertain as its squares say, were the same customers to decide again by chance.

    Args:
        moves: Columns before, after, customers, then_minor, now_minor and change_squares.
        level: Level of the intervals.

    Raises:
        NotApplicable: Nobody was there on the earlier day.

    Example:
        >>> moves = pd.DataFrame({"before": ["a", "a", "a"], "after": ["a", "b", "not subscribed"],
        ...     "customers": [8, 1, 1], "then_minor": [800, 100, 100], "now_minor": [800, 150, 0],
        ...     "change_squares": [0.0, 2500.0, 10000.0]})
        >>> found = migration(moves)
        >>> round(found.stayed.value, 3), found.change.value, found.lost.value
        (0.889, 50.0, -100.0)
    """
    there = moves[moves["before"] != LEFT]
    if there.empty:
        raise NotApplicable("Nobody was subscribed on the earlier day, so nobody can have moved since.")
    rows = sorted(set(there["before"]))
    columns = [*sorted(set(moves["after"]) - {LEFT}), LEFT]
    index = [*rows, *({LEFT} & set(moves["before"]))]
    matrix = (
        moves.pivot_table(index="before", columns="after", values="customers", aggfunc="sum", fill_value=0)
        .reindex(index=index, columns=columns, fill_value=0)
        .astype(int)
    )
    shares = matrix.div(matrix.sum(axis=1), axis=0)
    both = moves[(moves["before"] != LEFT) & (moves["after"] != LEFT)]
    same = int(both.loc[both["before"] == both["after"], "customers"].sum())
    z = z_value(level)
    other = moves[moves["before"] != moves["after"]].assign(
        change_minor=lambda t: (t["now_minor"] - t["then_minor"]).astype(float),
        error=lambda t: z * np.sqrt(t["change_squares"].astype(float)),
    )
    other = other.assign(
        low=other["change_minor"] - other["error"], high=other["change_minor"] + other["error"]
    )
    gains = other.sort_values("change_minor", key=lambda c: -c.abs(), kind="stable")

    def total(part: pd.DataFrame) -> Estimate:
        value = float((part["now_minor"] - part["then_minor"]).sum())
        half = z * float(np.sqrt(part["change_squares"].sum()))
        return Estimate(value, value - half, value + half, int(part["customers"].sum()), level=level)

    return Migration(
        matrix=matrix,
        shares=shares,
        stayed=proportion(same, int(both["customers"].sum()), level=level),
        gains=gains[["before", "after", "customers", "change_minor", "low", "high"]].reset_index(drop=True),
        change=total(both[both["before"] != both["after"]]),
        lost=total(moves[moves["after"] == LEFT]),
        won=total(moves[moves["before"] == LEFT]),
    )


def total_keeping(levers: pd.DataFrame, *, level: float = 0.95) -> Estimate:
    """Add up what keeping is worth in all segments.

    Args:
        levers: As `keeping` returns them; segments of which churn is not known count for nothing.
        level: Level of their intervals, which are joined as of independent estimates.

    Returns:
        The sum in minor units; n is the customers of the segments.
    """
    known = levers.dropna(subset=["money"])
    size = known["customers"].to_numpy(dtype=float)
    ends = {end: known[f"per_customer{end}"].to_numpy(dtype=float) * size for end in ("", "_low", "_high")}
    return _joined(ends[""], ends["_low"], ends["_high"], int(size.sum()), level)


def _joined(value: Any, low: Any, high: Any, n: int, level: float) -> Estimate:
    """The sum of independent estimates, its interval by variance estimates recovery."""
    total = float(value.sum())
    below, above = (float(np.sqrt(((value - end) ** 2).sum())) for end in (low, high))
    return Estimate(total, total - below, total + above, n, level=level)


def moved_worth(moves: pd.DataFrame, values: pd.DataFrame, *, level: float = 0.95) -> Estimate:
    """Say what moves between segments changed in what customers are worth.

    Whoever moved counts as worth what customers of the new segment are, no longer what those of the old one
    are: the sum over segments of (came - went) times a customer's worth, where moves into and out of
    segments of unknown worth are left out. That the move is lasting is taken for granted.

    Args:
        moves: Columns before, after and customers, as in `Migration.gains`.
        values: Segments with worth, worth_low and worth_high, as `segment_values` returns them.
        level: Level of their intervals, which are joined as of independent estimates (Zou and Donner 2008).

    Returns:
        The change in minor units; n is the customers who moved.

    Example:
        >>> moves = pd.DataFrame({"before": ["a", "b"], "after": ["b", "a"], "customers": [30, 10]})
        >>> values = pd.DataFrame({"segment": ["a", "b"], "worth": [100.0, 150.0],
        ...                        "worth_low": [90.0, 150.0], "worth_high": [110.0, 150.0]})
        >>> found = moved_worth(moves, values)
        >>> found.value, found.low, found.high, found.n
        (1000.0, 800.0, 1200.0, 40)
    """
    known = values.dropna(subset=["worth", "worth_low", "worth_high"]).set_index("segment")
    inside = moves[moves["before"].isin(known.index) & moves["after"].isin(known.index)]
    came, went = (inside.groupby(side)["customers"].sum() for side in ("after", "before"))
    net = came.reindex(known.index, fill_value=0) - went.reindex(known.index, fill_value=0)
    ends = [(net * known[end]).to_numpy(dtype=float) for end in ("worth", "worth_low", "worth_high")]
    low, high = np.minimum(ends[1], ends[2]), np.maximum(ends[1], ends[2])
    return _joined(ends[0], low, high, int(inside["customers"].sum()), level)


def differences(
    table: pd.DataFrame, value: str, *, better: str, groups: str = "segment"
) -> tuple[str, str] | None:
    """Return the two groups whose intervals of a value are farthest apart, best first; None if all overlap.

    Example:
        >>> table = pd.DataFrame({"segment": ["a", "b"], "churn": [0.02, 0.05], "churn_low": [0.01, 0.04],
        ...                       "churn_high": [0.03, 0.06]})
        >>> differences(table, "churn", better="down")
        ('a', 'b')
    """
    known = table.dropna(subset=[value, f"{value}_low", f"{value}_high"])
    if len(known) < 2:
        return None
    ordered = known.sort_values(value, kind="stable")
    least, most = ordered.iloc[0], ordered.iloc[-1]
    if least[f"{value}_high"] >= most[f"{value}_low"]:
        return None
    pair = (str(least[groups]), str(most[groups]))
    return pair if better == "down" else (pair[1], pair[0])


def ordered_by(segments: Iterable[str], table: pd.DataFrame) -> list[str]:
    """Return segments in the order in which a table has them; those it has not come last, by name."""
    place = {name: number for number, name in enumerate(table["segment"])}
    return sorted(segments, key=lambda name: (place.get(name, len(place)), name))
