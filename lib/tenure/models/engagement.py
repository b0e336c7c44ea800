"""Who is active how often, from counts of user-days."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tenure.models.rates import verdict
from tenure.result import Estimate
from tenure.stats.intervals import median_of_counts, proportion
from tenure.stats.lifetable import z_value

WINDOWS = {"DAU": 1, "WAU": 7, "MAU": 28}

# How columns of `returning` read.
RETURN_TITLES = {"day": "days since the first use", "n_day": "N-day", "unbounded": "unbounded"}


def active_users(counts: pd.DataFrame, *, first: int, last: int) -> pd.DataFrame:
    """Count distinct users of each day, and of the 7 and 28 days up to it.

    Args:
        counts: As from `tenure.measures.engagement.active_days`: day, gap, users. It must begin 27 days
            before `first`.
        first: The first day, since 1970-01-01.
        last: The last day.

    Returns:
        A row a day: day, DAU, WAU, MAU.

    Example:
        >>> counts = pd.DataFrame({"day": [0, 2, 2], "gap": [2, 28, 28], "users": [1, 1, 1]})
        >>> active_users(counts, first=0, last=3).values.tolist()
        [[0, 1, 1, 1], [1, 0, 1, 1], [2, 2, 2, 2], [3, 0, 2, 2]]
    """
    start = min(first, int(counts["day"].min())) if len(counts) else first
    table = {"day": np.arange(first, last + 1)}
    for name, window in WINDOWS.items():
        steps = np.zeros(last - start + 2)
        kept = counts[counts["day"] <= last]
        begin = kept["day"].to_numpy(dtype=int) - start
        end = np.minimum(begin + np.minimum(kept["gap"].to_numpy(dtype=int), window), last - start + 1)
        np.add.at(steps, begin, kept["users"].to_numpy(dtype=float))
        np.add.at(steps, end, -kept["users"].to_numpy(dtype=float))
        table[name] = np.cumsum(steps)[first - start : last - start + 1].round().astype(np.int64)
    return pd.DataFrame(table)


def stickiness(days: Any, users: Any, *, window: int = 28, level: float = 0.95) -> Estimate:
    """Estimate stickiness: mean daily over monthly active users, both of the same days.

    It is the mean number of active days of those who were active at all, over the days there are; so its
    interval is that of a mean over users.

    Args:
        days: Numbers of active days.
        users: How many users were active on so many days.
        window: How many days there are.
        level: Level of the interval.

    Example:
        >>> sticky = stickiness([7, 14, 21], [100, 100, 100])
        >>> sticky.value, round(sticky.low, 3), round(sticky.high, 3)
        (0.5, 0.477, 0.523)
    """
    days_, users_ = np.asarray(days, dtype=float), np.asarray(users, dtype=float)
    n = users_.sum() if len(users_) else 0.0
    if n < 2:
        return Estimate(math.nan, math.nan, math.nan, int(n), level=level)
    center = (days_ * users_).sum() / n
    variance = (users_ * (days_ - center) ** 2).sum() / (n - 1)
    half = z_value(level) * math.sqrt(variance / n)
    ends = (float(max(center - half, 0.0)) / window, float(min(center + half, window)) / window)
    return Estimate(float(center) / window, *ends, int(n), level=level)


def by_window(days: pd.DataFrame, *, window: int = 28, level: float = 0.95) -> dict[str, Estimate]:
    """Return stickiness now, before and a year ago.

    Args:
        days: As from `tenure.measures.engagement.days_used`: window, active_days, users.
        window: How many days a window has.
        level: Level of the intervals.

    Example:
        >>> days = pd.DataFrame({"window": "now", "active_days": [7, 21], "users": [10, 10]})
        >>> by_window(days)["now"].value
        0.5
    """
    parts = {name: days[days["window"] == name] for name in ("now", "before", "year ago")}
    return {
        name: stickiness(part["active_days"], part["users"], window=window, level=level)
        for name, part in parts.items()
    }


def session_length(
    lengths: pd.DataFrame, month: int, *, users: int | None = None, level: float = 0.95
) -> Estimate:
    """Estimate the median length of a month's sessions, in minutes.

    Sessions of one user are alike, so the interval rests on users, not on sessions.

    Args:
        lengths: As from `tenure.measures.engagement.sessions`.
        month: The month.
        users: How many users had them.
        level: Level of the interval.

    Example:
        >>> lengths = pd.DataFrame({"month": 1, "minutes": [10, 30], "sessions": [5, 4]})
        >>> session_length(lengths, 1).value
        10.0
    """
    own = lengths[lengths["month"] == month]
    return median_of_counts(own["minutes"], own["sessions"], users, level=level)


def adoption(use: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Estimate the share of users that each feature reaches, and whether that has changed within a year.

    Args:
        use: As from `tenure.measures.engagement.feature_use`: window, feature ("" for all), users.
        level: Level of the intervals.

    Returns:
        A row a feature, the most used first: label, value, low, high, users, before, year_ago and
        since_then, how it compares with a year ago.

    Example:
        >>> use = pd.DataFrame({"window": "now", "feature": ["", "live"], "users": [100, 40]})
        >>> adoption(use)[["label", "value", "since_then"]].values.tolist()
        [['live', 0.4, 'nothing to compare']]
    """
    counts = {
        (str(window), str(feature)): int(users)
        for window, feature, users in use[["window", "feature", "users"]].itertuples(index=False, name=None)
    }
    columns = ["label", "value", "low", "high", "users", "before", "year_ago", "since_then"]
    rows = []
    for feature in sorted({feature for window, feature in counts if feature}):
        now, before, ago = (
            proportion(counts.get((window, feature), 0), counts.get((window, ""), 0), level=level)
            for window in ("now", "before", "year ago")
        )
        users = counts.get(("now", feature), 0)
        rows.append(
            (feature, now.value, now.low, now.high, users, before.value, ago.value, verdict(now, ago))
        )
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["value", "label"], ascending=[False, True], ignore_index=True)


def consumption(use: pd.DataFrame) -> pd.DataFrame:
    """Say what was consumed by category in hours.

    Args:
        use: As from `tenure.measures.engagement.content_use`.

    Returns:
        A row a category: category, hours, share, users, hours_a_user, times, pieces.

    Example:
        >>> use = pd.DataFrame({"category": ["Film"], "users": [2], "pieces": [3], "times": [4],
        ...                     "seconds": [7200]})
        >>> consumption(use)[["hours", "hours_a_user"]].values.tolist()
        [[2.0, 1.0]]
    """
    hours = use["seconds"] / 3600
    return pd.DataFrame(
        {
            "category": use["category"],
            "hours": hours,
            "share": hours / max(hours.sum(), 1e-12),
            "users": use["users"],
            "hours_a_user": hours / use["users"],
            "times": use["times"],
            "pieces": use["pieces"],
        }
    )


def silence(
    quiet: pd.DataFrame, order: Sequence[str], rates: Mapping[str, float] | None = None
) -> pd.DataFrame:
    """Add paying customers up by their last use, over currencies.

    Args:
        quiet: As from `tenure.measures.engagement.silent_payers`.
        order: The last uses, the newest first.
        rates: Value of one unit of each currency in the reporting currency; None: all are one.

    Returns:
        A row a last use, all of them: last_use, customers, revenue (minor units a month).

    Example:
        >>> quiet = pd.DataFrame({"last_use": ["never"], "currency": "EUR", "customers": 2, "mrr_minor": 9})
        >>> silence(quiet, ["lately", "never"])["customers"].tolist()
        [0, 2]
    """
    rate = 1.0 if rates is None else quiet["currency"].map(dict(rates)).astype(float)
    sums = quiet.assign(revenue=quiet["mrr_minor"] * rate).groupby("last_use")[["customers", "revenue"]].sum()
    return sums.reindex(pd.Index(order, name="last_use"), fill_value=0).reset_index()


def silent_share(quiet: pd.DataFrame, *, level: float = 0.95) -> Estimate:
    """Estimate the share of paying customers who have not used what they pay for within 28 days.

    Args:
        quiet: As from `silence`, whose first two rows are uses within 7 and 28 days.
        level: Level of the interval.

    Example:
        >>> silent_share(pd.DataFrame({"customers": [60, 20, 15, 5]})).value
        0.2
    """
    return proportion(int(quiet["customers"].iloc[2:].sum()), int(quiet["customers"].sum()), level=level)


def returning(counts: pd.DataFrame, *, days: Sequence[int], level: float = 0.95) -> pd.DataFrame:
    """Estimate the share of new users who come back, on a day and on that day or later.

    N-day retention asks who is active on exactly that day; unbounded (or rolling) retention who is active on
    it or on any later day that was watched. One number cannot stand for both.

    Args:
        counts: As from `tenure.measures.engagement.return_days`: age, users, last; all watched equally long.
        days: Days since the first use, from 1.
        level: Level of the intervals.

    Returns:
        A row a day: day, users (new ones), n_day, n_day_low, n_day_high, unbounded, unbounded_low,
        unbounded_high.

    Example:
        >>> counts = pd.DataFrame({"age": [0, 1, 5], "users": [3, 1, 1], "last": [1, 1, 1]})
        >>> back = returning(counts, days=[1, 6])
        >>> back[["n_day", "unbounded"]].round(3).values.tolist()
        [[0.333, 0.667], [0.0, 0.0]]
    """
    seen = counts.set_index("age")
    size = int(seen["users"].get(0, 0))
    rows = []
    for day in days:
        on = proportion(int(seen["users"].get(day, 0)), size, level=level)
        later = proportion(int(seen["last"][seen.index >= day].sum()), size, level=level)
        rows.append((day, size, on.value, on.low, on.high, later.value, later.low, later.high))
    ends = [f"{name}{end}" for name in ("n_day", "unbounded") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["day", "users", *ends])


def weekly(daily: pd.DataFrame) -> pd.DataFrame:
    """Keep every seventh day, the last one among them, as `line_with_interval` draws it.

    Days of the week differ, so daily users are a mean of the seven days up to it.

    Returns:
        A row a day and window: date, group (DAU, WAU or MAU), value.

    Example:
        >>> daily = pd.DataFrame({"day": range(14), "DAU": range(14), "WAU": 20, "MAU": 30})
        >>> weekly(daily)["value"].tolist()
        [3.0, 10.0, 20.0, 20.0, 30.0, 30.0]
    """
    daily = daily.sort_values("day")
    daily = daily.assign(DAU=daily["DAU"].rolling(7, min_periods=7).mean()).dropna(subset="DAU")
    kept = daily[(daily["day"].max() - daily["day"]) % 7 == 0]
    long = kept.melt("day", var_name="group", value_name="value")
    return long.assign(date=pd.Timestamp(0) + pd.to_timedelta(long["day"], unit="D"))[
        ["date", "group", "value"]
    ]
