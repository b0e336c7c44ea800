"""Companies, terms and payments that tests of what customers pay and are worth share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.models.payments import Payments
from tenure.models.renewals import KEYS, Terms, life_table
from tenure.models.retention import Retention, fit_retention
from tenure.result import Table


def terms(
    currency: str = "EUR", factors: dict[str, float] | None = None, years: int = 30, **facts: Any
) -> Terms:
    """Terms of a company that keeps all of its revenue, if `facts` do not say otherwise; extremes are let by."""
    known = Economics(margin=1.0, fee_share=0.0, fee_fixed=0.0).model_dump()
    economics = Economics.model_construct(**{**known, **facts})
    return Terms(economics, currency, factors or {"EUR": 1.0}, years)


def fitted(model: str = "sbg", apart: bool = False, covariates: tuple[str, ...] = ()) -> Retention:
    """Curves of two plans, paid monthly and yearly, with a characteristic."""
    rng = np.random.default_rng(4)
    size = 6000
    level = rng.integers(0, 2, size)
    plan = rng.integers(0, 2, size)
    theta = rng.beta(1.2, np.where(plan == 0, 9.0, 2.0))
    chosen = rng.geometric(np.clip(1 - (1 - theta) ** np.where(level == 1, 1.4, 1.0), 1e-9, 1))
    failed = rng.geometric(np.where(plan == 0, 0.01, 0.1))
    watched = rng.integers(1, 30, size)
    left = np.minimum(chosen, failed) <= watched
    stays = pd.DataFrame(
        {
            "group": np.array(["Plus", "Year"])[plan],
            "interval": np.array(["1 month", "12 months"])[plan],
            "channel": np.array(["ads", "web"])[level],
            "entry": 0,
            "exit": np.minimum(np.minimum(chosen, failed), watched),
            "event": left.astype(int),
            "cause": np.where(left, np.where(chosen <= failed, "voluntary", "involuntary"), None),
            "n": 1,
        }
    )
    life = life_table(stays, [*KEYS, *covariates])
    return fit_retention(life, model, covariates=list(covariates), apart=apart)


def pay(
    amounts: dict[str, list[float]], errors: float = 0.0, on: Terms | None = None, margin: float = 1.0
) -> Payments:
    """Payments by tenure for the two plans, of which a share is left."""
    intervals = {"Plus": "1 month", "Year": "12 months"}
    rows = [
        (group, intervals[group], k, 500, amount, amount * margin)
        for group, levels in amounts.items()
        for k, amount in enumerate(levels)
    ]
    table = pd.DataFrame(rows, columns=["group", "interval", "tenure", "customers", "revenue", "margin"])
    levels = table.groupby(["group", "interval"], as_index=False)[["revenue", "margin"]].mean()
    levels = Table(levels.assign(refunded=0.0, fees=0.0))
    return Payments(table.assign(relative_error=errors), levels, on or terms())


def flat(on: Terms | None = None, **options: float) -> Payments:
    """Everybody pays the same, always."""
    return pay({"Plus": [1000.0], "Year": [9000.0]}, on=on, **options)


def base_of(rows: list[tuple], yearly_rate: float = 0.10) -> pd.DataFrame:
    """Today's customers, whose next bills are discounted by the wait for them."""
    columns = ["group", "interval", "tenure", "currency", "customers", "billed_minor", "wait_days"]
    table = pd.DataFrame(rows, columns=columns)
    waited = table["billed_minor"] * (1 + yearly_rate) ** -(table["wait_days"] / 365.25)
    return table.assign(waited_minor=waited)
