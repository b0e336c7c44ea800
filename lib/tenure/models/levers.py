"""What it is worth to keep some of those who leave at a certain point or for a certain cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.stats.lifetable import check_horizon, check_level, whole_numbers


@dataclass(frozen=True, eq=False)
class RetentionLevers:
    """What keeping some of those who leave is worth, lever by lever.

    Attributes:
        table: A row a lever, the dearest first: `lever`, `leavers` (within the horizon), `share` (of all
            leavers), `gain`, `gain_low`, `gain_high` (paid periods gained by a new subscriber), `money`,
            `money_low`, `money_high` (the gain times the value of a period).
        kept: The share of these leavers who are kept.
        horizon: The horizon, in periods.
        value_per_period: Money a subscriber brings in a period.
        level: The intervals' level.
    """

    table: pd.DataFrame
    kept: float
    horizon: int
    value_per_period: float
    level: float


def retention_levers(
    life: pd.DataFrame,
    levers: Mapping[str, pd.Series],
    *,
    value_per_period: float,
    horizon: int,
    kept: float = 0.1,
    level: float = 0.95,
    draws: int = 2000,
) -> RetentionLevers:
    """Estimate what it is worth to keep some of the leavers that a lever can reach.

    With d leavers among n at risk in a period, e of whom the lever can reach, the hazard falls from d/n to
    (d - kept e)/n. Paid periods to expect within the horizon are S(0) + ... + S(horizon - 1); the gain is
    their rise. Those kept go on to leave like everybody else who is still there. The interval comes from
    `draws` samples of each period's counts from their multinomial distribution, with a fixed seed; it
    speaks of sampling only, not of whether the lever works.

    Args:
        life: The life table of one group: `period`, `at_risk`, `events`.
        levers: For each lever the leavers it can reach, in the order of the rows of `life`.
        value_per_period: Money a subscriber brings in a period, in any unit.
        horizon: Whole periods from 1 up; leaving after it does not count.
        kept: The share of these leavers who stay, such as 0.1 for one in ten.
        level: Level of the intervals.
        draws: How many samples.

    Raises:
        InputError: The life table holds several groups, or a lever reaches more than those who left.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2, 3], at_risk=[1000, 800, 700], events=[200, 100, 70]))
        >>> first = life["events"].where(life["period"] == 1, 0)
        >>> worth = retention_levers(life, {"first month": first}, value_per_period=10.0, horizon=3)
        >>> worth.table[["lever", "leavers", "share", "gain", "money"]].round(3).to_dict("records")
        [{'lever': 'first month', 'leavers': 200, 'share': 0.541, 'gain': 0.037, 'money': 0.375}]
    """
    check_horizon(horizon)
    check_level(level)
    if not 0 <= kept <= 1:
        raise InputError(f"`kept` must lie between 0 and 1, such as 0.1 for one in ten; it is {kept!r}.")
    if "group" in life and len(life["group"].unique()) > 1:
        raise InputError(
            "The life table holds several groups; pass one group at a time, or everybody together."
        )
    period = life["period"].to_numpy()
    order = np.flatnonzero(period <= horizon)
    order = order[np.argsort(period[order], kind="stable")]
    rows = life.iloc[order]
    n, d = rows["at_risk"].to_numpy(float), rows["events"].to_numpy(float)
    after = horizon - whole_numbers(rows, "period", smallest=1)
    rng = np.random.default_rng(0)
    found = []
    for name, reached in levers.items():
        e = np.asarray(reached, dtype=float)[order]
        if (e > d).any() or (e < 0).any():
            raise InputError(f"The lever {name!r} reaches more leavers than there are in a period.")
        gain = _gain(n, d, e, kept, after)
        # Each period's n at risk fall into: left and reachable, left otherwise, stayed.
        left = rng.binomial(
            n.astype(int), np.divide(d, n, out=np.zeros_like(d), where=n > 0), (draws, len(n))
        )
        own = rng.binomial(left, np.divide(e, d, out=np.zeros_like(d), where=d > 0))
        low, high = np.quantile(_gain(n, left, own, kept, after), [(1 - level) / 2, (1 + level) / 2])
        found.append((name, int(e.sum()), e.sum() / d.sum() if d.sum() else np.nan, gain, low, high))
    table = pd.DataFrame(found, columns=["lever", "leavers", "share", "gain", "gain_low", "gain_high"])
    for column in ("gain", "gain_low", "gain_high"):
        table[column.replace("gain", "money")] = table[column] * value_per_period
    table = table.sort_values(["gain", "lever"], ascending=[False, True], ignore_index=True)
    return RetentionLevers(table, kept, horizon, value_per_period, level)


def _gain(n: np.ndarray, d: np.ndarray, e: np.ndarray, kept: float, after: np.ndarray) -> np.ndarray:
    """Paid periods gained; the rows may be sparse, since nothing happens between them."""
    return _paid(n, d - kept * e, after) - _paid(n, d, after)


def _paid(n: np.ndarray, d: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Sum of S(0) ... S(horizon - 1), less a constant: the loss at each row lasts to the horizon."""
    stay = 1 - np.divide(d, n, out=np.zeros(np.broadcast_shapes(d.shape, n.shape)), where=n > 0)
    before = np.cumprod(np.concatenate([np.ones((*stay.shape[:-1], 1)), stay[..., :-1]], axis=-1), axis=-1)
    return -(before * (1 - stay) * after).sum(axis=-1)
