"""Who is active how often, from counts of user-days, and who pays without using the service.

Silent customers pay and have not used the service for 28 days. Users of one window are often users of
another, too: the change of a share or a mean is estimated from pairs (`tenure.stats.intervals.paired_means`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tenure.models.metrics import Metrics, compared
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import median_of_counts, paired_means, proportion, wilson
from tenure.stats.lifetable import z_value

WINDOWS = {"DAU": 1, "WAU": 7, "MAU": 28}
_DAYS = WINDOWS["MAU"]


def active_users(counts: pd.DataFrame, *, first: int, last: int) -> pd.DataFrame:
    """Count distinct users of each day, and of the 7 and 28 days up to it.

    Args:
        counts: As from `tenure.measures.engagement.active_days`: day, gap, users. It must begin 27 days
            before `first`.
        first: The first day, since 1970-01-01.
        last: The last day.

    Returns:
        A row per day: day, DAU, WAU, MAU.

    Example:
        >>> counts = pd.DataFrame({"day": [0, 2, 2], "gap": [2, 28, 28], "users": [1, 1, 1]})
        >>> active_users(counts, first=0, last=3).values.tolist()
        [[0, 1, 1, 1], [1, 0, 1, 1], [2, 2, 2, 2], [3, 0, 2, 2]]
    """
    kept = counts[counts["day"] <= last]
    start = min([first, *kept["day"].astype(int)])
    begin, users = kept["day"].to_numpy(dtype=int) - start, kept["users"].to_numpy(dtype=float)
    table = {"day": np.arange(first, last + 1)}
    for name, window in WINDOWS.items():
        steps = np.zeros(last - start + 2)
        end = np.minimum(begin + np.minimum(kept["gap"].to_numpy(dtype=int), window), last - start + 1)
        np.add.at(steps, begin, users)
        np.add.at(steps, end, -users)
        table[name] = np.cumsum(steps)[first - start : last - start + 1].round().astype(np.int64)
    return pd.DataFrame(table)


def weekly(counts: pd.DataFrame, last: dt.date, *, weeks: int = 55) -> Table:
    """Count active users once a week, as `tenure.report.figures.line_with_interval` draws them.

    Days of the week differ, so daily users are a mean of the seven days up to it.

    Returns:
        A row per week and window: date, group (DAU, WAU or MAU), value.

    Example:
        >>> counts = pd.DataFrame({"day": range(60), "gap": 1, "users": 7})
        >>> weekly(counts, dt.date(1970, 2, 28), weeks=1).frame.tail(3)["value"].tolist()
        [7.0, 7.0, 7.0]
    """
    end = (last - dt.date(1970, 1, 1)).days
    daily = active_users(counts, first=end - 7 * weeks, last=end)
    daily = daily.assign(DAU=daily["DAU"].rolling(7, min_periods=7).mean()).dropna(subset="DAU")
    kept = daily[(end - daily["day"]) % 7 == 0]
    long = kept.melt("day", var_name="group", value_name="value")
    date = pd.Timestamp(0) + pd.to_timedelta(long["day"], unit="D")
    return Table(long.assign(date=date)[["date", "group", "value"]], {"date": "date", "value": "count"})


def stickiness(days: Any, users: Any, *, level: float = 0.95) -> Estimate:
    """Estimate stickiness: mean daily over monthly active users, both of the same 28 days.

    It is the mean number of active days of those who were active at all, over 28; so its interval is that of
    a mean over users.

    Args:
        days: Numbers of active days.
        users: How many users were active on so many days.
        level: Level of the interval.

    Example:
        >>> sticky = stickiness([7, 14, 21], [100, 100, 100])
        >>> sticky.value, round(sticky.low, 3), round(sticky.high, 3)
        (0.5, 0.477, 0.523)
    """
    days, users = np.asarray(days, dtype=float), np.asarray(users, dtype=float)
    n = users.sum()
    nobody = Estimate(NAN, n=int(n), of="user", unit="percent", level=level)
    if n < 2:
        return nobody
    center = (days * users).sum() / n
    half = z_value(level) * np.sqrt((users * (days - center) ** 2).sum() / (n - 1) / n)
    low, high = (np.clip([center - half, center + half], 0.0, _DAYS) / _DAYS).tolist()
    return replace(nobody, value=float(center) / _DAYS, low=low, high=high)


def stickiness_by_window(days: pd.DataFrame) -> Metrics:
    """Compare stickiness with that of the 28 days before and of a year ago, user by user.

    Args:
        days: As from `tenure.measures.engagement.days_used`.

    Returns:
        engagement.stickiness.

    Example:
        >>> days = pd.DataFrame({"window": "now", "active_days": [7, 21], "users": 10, "users_now": 10,
        ...                      "days_now": [70, 210]})
        >>> stickiness_by_window(days)["engagement.stickiness"].value
        0.5
    """
    parts = {name: days[days["window"] == name] for name in ("now", "before", "year ago")}
    values = {name: stickiness(part["active_days"], part["users"]) for name, part in parts.items()}
    both = days["users_now"], days["days_now"] / _DAYS
    moments = _moments(days["window"], days["active_days"] / _DAYS, days["users"], *both)
    labels = {"before": "the 28 days before", "year ago": "a year ago"}
    return _paired("engagement.stickiness", values, moments, labels)


def _moments(
    then: pd.Series, x: pd.Series, n: pd.Series, both: pd.Series, both_now: pd.Series
) -> pd.DataFrame:
    """Sums by time for `paired_means`, from rows of n customers with a value x.

    Of those customers `both` are counted now, too, and `both_now` is the sum of their values now.
    """
    sums = {"n": n, "sum": x * n, "squares": x**2 * n}
    sums |= {"both": both, "both_now": both_now, "both_then": x * both, "products": x * both_now}
    return pd.DataFrame(sums).groupby(then).sum()


def _paired(
    name: str, values: Mapping[Any, Estimate], moments: pd.DataFrame, labels: Mapping[Any, str]
) -> Metrics:
    """Compare the first of several estimates with the two others, by the customers who are in both."""
    now = next(iter(values))
    sides = []
    for then, label in labels.items():
        one = values[now]
        if then in moments.index and now in moments.index:
            (n, total, squares), rest = moments.loc[now].tolist()[:3], moments.loc[then].tolist()
            paired = paired_means((n, total, squares), tuple(rest[:3]), tuple(rest[3:]), unit="points")
            one = compared(one, values[then], label, paired)
        sides.append({name: one})
    return Metrics(*sides)


def session_length(lengths: pd.DataFrame, month: int, used: Metrics) -> Metrics:
    """Estimate the median length of a month's sessions, in minutes, beside that of earlier months.

    Sessions of one user are alike, so the interval rests on users, not on sessions. The same users are in
    both months and are alike in both, so that the true interval of the difference is shorter than the one
    that treats the months as independent: a change called clear is one.

    Args:
        lengths: As from `tenure.measures.engagement.sessions`.
        month: The month.
        used: As from `stickiness_by_window`: how many users each window had.

    Returns:
        engagement.session; nothing where there was no session.

    Example:
        >>> lengths = pd.DataFrame({"month": 24321, "minutes": [10, 30], "sessions": [5, 4]})
        >>> session_length(lengths, 24321, Metrics({}, {}))["engagement.session"].value
        10.0
    """
    recent, year = used["engagement.stickiness"], used.yearly("engagement.stickiness")
    found = {}
    for then, users in ((month, recent), (month - 1, recent.compare), (month - 12, year.compare)):
        own, size = lengths[lengths["month"] == then], users.n if users else None
        one = median_of_counts(own["minutes"], own["sessions"], size or None, of="user", sample=(then, then))
        found[then] = {"engagement.session": one}
    return Metrics.of(found, month)


def adoption(use: pd.DataFrame) -> Table:
    """Estimate the share of users that each feature reaches, and whether that has changed within a year.

    Users of today and of a year ago are partly the same and alike, so that a change called clear is one.

    Args:
        use: As from `tenure.measures.engagement.feature_use`: window, feature ("" for all), users.

    Returns:
        A row per feature, the most used first: label, value with its limits, users, before, year_ago and
        since_then ("rose", "fell", "no clear change" or, without a year ago, "").

    Example:
        >>> use = pd.DataFrame({"window": "now", "feature": ["", "live_events"], "users": [100, 40]})
        >>> adoption(use).frame[["label", "value", "since_then"]].values.tolist()
        [['live events', 0.4, '']]
    """
    windows = ["now", "before", "year ago"]
    wide = use.pivot_table(index="feature", columns="window", values="users", aggfunc="sum", fill_value=0)
    wide = wide.reindex(columns=windows, fill_value=0).astype(int)
    rows, users = [], wide.loc[""].to_dict()
    for feature, *counts in wide.drop(index="", errors="ignore").itertuples():
        now, before, ago = (
            proportion(count, int(users[window]), of="user", sample=window)
            for count, window in zip(counts, windows, strict=True)
        )
        rows.append(
            {
                "label": str(feature).replace("_", " "),
                "value": now.value,
                "value_low": now.low,
                "value_high": now.high,
                "users": counts[0],
                "before": before.value,
                "year_ago": ago.value,
                "since_then": now.against(ago, "a year ago").change if ago.known else "",
            }
        )
    frame = pd.DataFrame(rows).sort_values(["value", "label"], ascending=[False, True], ignore_index=True)
    return Table(frame, dict.fromkeys(("value", "before", "year_ago"), "percent"))


def adoption_moved(adopted: Table) -> Estimate:
    """Count the features whose share of users is clearly larger or smaller than a year ago.

    Words: more and fewer (their names); cases: "more", "fewer", "both", "none".
    """
    rows = adopted.frame
    more, fewer = (rows.loc[rows["since_then"] == way, "label"].tolist() for way in ("rose", "fell"))
    case = "both" if more and fewer else "more" if more else "fewer" if fewer else "none"
    return counted(len(more) + len(fewer)).saying(case, more=more, fewer=fewer)


def silence(quiet: pd.DataFrame, order: Sequence[str], factors: Mapping[str, float], currency: str) -> Table:
    """Count paying customers of the last day by their last use, over currencies.

    Args:
        quiet: As from `tenure.measures.engagement.silent_payers`.
        order: The last uses, the newest first; the first two are within 28 days.
        factors: Minor units of the reporting currency for one of each currency.
        currency: The reporting currency.

    Returns:
        A row for each of `order`: last_use, customers, per_month (what they pay).

    Example:
        >>> quiet = pd.DataFrame({"back": 0, "last_use": ["never"], "currency": "EUR", "customers": 2,
        ...                       "mrr_minor": 9})
        >>> silence(quiet, ["recently", "never"], {"EUR": 1.0}, "EUR").frame["customers"].tolist()
        [0, 2]
    """
    own = quiet[quiet["back"] == 0]
    own = own.assign(per_month=own["mrr_minor"] * own["currency"].map(dict(factors)).astype(float))
    sums = own.groupby("last_use")[["customers", "per_month"]].sum()
    sums = sums.reindex(pd.Index(order, name="last_use"), fill_value=0).reset_index()
    return Table(sums, {"per_month": f"money:{currency}"})


def silent_payers(quiet: pd.DataFrame, last_use: Table, currency: str) -> Metrics:
    """Estimate the share of paying customers who are silent, beside earlier days, customer by customer.

    Args:
        quiet: As for `silence`.
        last_use: As from `silence`.
        currency: The reporting currency.

    Returns:
        engagement.silent_payers. Words: silent (how many) and per_month (what they pay).

    Example:
        >>> quiet = pd.DataFrame({"back": 0, "last_use": ["a", "b", "c"], "currency": "EUR", "mrr_minor": 9,
        ...     "customers": [60, 20, 20], "paying_now": [60, 20, 20], "silent_now": [0, 0, 20]})
        >>> by_use = silence(quiet, ["a", "b", "c"], {"EUR": 1.0}, "EUR")
        >>> silent_payers(quiet, by_use, "EUR")["engagement.silent_payers"].value
        0.2
    """
    idle = last_use.frame.iloc[2:]
    silent = quiet["last_use"].isin(idle["last_use"]).astype(int)
    moments = _moments(
        quiet["back"], silent, quiet["customers"], quiet["paying_now"], quiet["silent_now"]
    ).reindex([0, 28, 364], fill_value=0)
    words = {
        "silent": int(idle["customers"].sum()),
        "per_month": counted(idle["per_month"].sum(), unit=f"money:{currency}"),
    }
    values = {
        back: proportion(int(row["sum"]), int(row["n"]), of="customer", words=words)
        for back, row in moments.iterrows()
    }
    return _paired("engagement.silent_payers", values, moments, {28: "the 28 days before", 364: "a year ago"})


def returning(counts: pd.DataFrame, *, days: Sequence[int]) -> Table:
    """Estimate the share of new users who come back, on a day and on that day or later.

    N-day retention asks who is active on exactly that day; unbounded (or rolling) retention who is active on
    it or on any later day that was observed. The two differ widely.

    Args:
        counts: As from `tenure.measures.engagement.return_days`: age, users, last; all observed equally long.
        days: Days since the first use, from 1.

    Returns:
        A row per day: days_since_the_first_use, new_users, N-day and unbounded, with their limits.

    Example:
        >>> counts = pd.DataFrame({"age": [0, 1, 5], "users": [3, 1, 1], "last": [1, 1, 1]})
        >>> back = returning(counts, days=[1, 6]).frame
        >>> back[["N-day", "unbounded"]].round(3).values.tolist()
        [[0.333, 0.667], [0.0, 0.0]]
    """
    seen = counts.set_index("age")
    size = int(seen["users"].get(0, 0))
    later = pd.Series([int(seen["last"][seen.index >= day].sum()) for day in days], index=list(days))
    frame = pd.DataFrame({"days_since_the_first_use": days, "new_users": size})
    for name, back in (("N-day", seen["users"].reindex(list(days), fill_value=0)), ("unbounded", later)):
        share = (back / size).to_numpy(dtype=float)
        low, high = wilson(share, size, 0.95)
        frame = frame.assign(**{name: share, f"{name}_low": low, f"{name}_high": high})
    note = "New users of a quarter, observed for 28 days. N-day: on that very day; unbounded: on it or later."
    return Table(frame, dict.fromkeys(("N-day", "unbounded"), "percent"), (note,))
