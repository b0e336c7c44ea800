"""Proportional hazards in grouped time: the likelihood, with each period's baseline at its best.

Of n at risk with covariates x in period t, d ~ Binomial(n, 1 - exp(-exp(a_t + x beta))) leave: hazards
h0(t) exp(x beta) that are seen by the period (Prentice and Gloeckler 1978). `tenure.stats.regression` is
built on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.stats.lifetable import Array

# A chance to leave is 1 beyond exp(30); no finite hazard ratio is as large as exp(300).
_SURE, _STEEPEST = 30.0, 300.0
# Periods are taken so many at a time that no matrix has more cells than this.
_CELLS = 2_000_000


@dataclass(frozen=True, eq=False)
class Stratum:
    """Risk sets of a stratum: `at_risk` and `events` have a row an event time, a column a row of `x`."""

    times: Array
    x: Array
    at_risk: Array
    events: Array


def risk_sets(frame: pd.DataFrame, covariates: list[str], x: Array, strata: Sequence[str]) -> list[Stratum]:
    """Risk sets by stratum, from equal covariates added up.

    `frame` has a row per combination of covariates, `_entry`, `_exit` and `_event` with its count `_n`; `x`
    has its row of the design. A period in which all at risk left carries no information: its chance is 1,
    whatever the ratios.
    """
    whole = np.zeros(len(frame), dtype=int)
    key = frame.groupby(list(strata), observed=True).ngroup().to_numpy() if strata else whole
    sets = []
    for stratum in np.unique(key):
        rows = key == stratum
        part = frame[rows]
        alike = part.groupby(covariates, observed=True).ngroup().to_numpy()
        _, example, pattern = np.unique(alike, return_index=True, return_inverse=True)
        n, left = part["_n"].to_numpy(dtype=float), part["_event"].to_numpy() == 1
        start, end = part["_entry"].to_numpy(), part["_exit"].to_numpy()
        times = np.unique(end[left])
        change = np.zeros((len(times) + 1, len(example)))
        # At risk at time t: entry < t <= exit. Column 0 of the slots stands for "before every event".
        np.add.at(change, (np.searchsorted(times, end, side="right"), pattern), n)
        np.add.at(change, (np.searchsorted(times, start, side="right"), pattern), -n)
        at_risk = change[::-1].cumsum(axis=0)[::-1][1:]
        events = np.zeros_like(at_risk)
        np.add.at(events, (np.searchsorted(times, end[left]), pattern[left]), n[left])
        some = events.sum(axis=1) < at_risk.sum(axis=1)
        if some.any():
            sets.append(Stratum(times[some], x[rows][example], at_risk[some], events[some]))
    return sets


def profile(part: Stratum, beta: Array) -> tuple[float, Array, Array, Array]:
    """Log-likelihood, score and information, with the baseline that is likeliest for `beta`.

    The baseline a_t is solved for by Fisher scoring in each period on its own. With s the derivative of the
    log-likelihood by the linear predictor and w its expected information, the score is X' s and the
    information X' W X - X' w (1' w)^-1 w' X: what Fisher scoring of all parameters at once comes to, without
    a matrix that has a column a period.

    Returns:
        The log-likelihood; scores of shape (periods, p); and of the information the weights w, of shape
        (periods, combinations), and the root of what is subtracted, of shape (periods, p).
    """
    eta = part.x @ beta
    size = max(_CELLS // len(part.x), 1)
    likelihood, weights, scores = 0.0, [], []
    for first in range(0, len(part.times), size):
        n, d = (rows[first : first + size] for rows in (part.at_risk, part.events))
        some, slope, weight = _baseline(n, d, eta)
        likelihood += some
        weights.append(weight)
        scores.append(slope @ part.x)
    weight = np.concatenate(weights)
    taken = weight @ part.x / np.sqrt(weight.sum(axis=1, keepdims=True))
    return likelihood, np.concatenate(scores), weight, taken


def _baseline(n: Array, d: Array, eta: Array) -> tuple[float, Array, Array]:
    """The log-likelihood at the best baseline, and its derivatives by the linear predictor."""
    left = d.sum(axis=1) / n.sum(axis=1)
    eta = np.clip(eta, -_STEEPEST, _STEEPEST)
    baseline = np.log(-np.log1p(-left)) - np.log(n @ np.exp(eta) / n.sum(axis=1))
    for _ in range(200):
        rate = np.exp(np.clip(baseline[:, None] + eta, -_STEEPEST, _SURE))
        share = -np.expm1(-rate)
        slope = (d - n * share) * rate / share
        weight = n * rate**2 * np.exp(-rate) / share
        step = np.clip(slope.sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-300), -2, 2)
        if np.abs(step).max() < 1e-10:
            break
        baseline = baseline + step
    return float((d * np.log(share) - (n - d) * rate).sum()), slope, weight


def total(sets: list[Stratum], beta: Array) -> tuple[float, Array, Array]:
    """Log-likelihood, score and information of all strata and periods."""
    value, score, information = 0.0, np.zeros(len(beta)), np.zeros((len(beta), len(beta)))
    for part in sets:
        likelihood, scores, weight, taken = profile(part, beta)
        value += likelihood
        score += scores.sum(axis=0)
        information += (part.x.T * weight.sum(axis=0)) @ part.x - taken.T @ taken
    return value, score, information


def independent(information: Array) -> Array:
    """Which columns are linearly independent of those before them (pivots of a Cholesky factorization)."""
    rest = information.copy()
    kept = np.zeros(len(rest), dtype=bool)
    for j in range(len(rest)):
        if information[j, j] > 1e-12 and rest[j, j] > 1e-9 * information[j, j]:
            kept[j] = True
            rest = rest - np.outer(rest[:, j], rest[j]) / rest[j, j]
    return kept


def scoring(sets: list[Stratum], p: int) -> tuple[Array, Array, float]:
    """Fisher scoring with halved steps: coefficients, which of them are finite, log-likelihood.

    beta + I^-1 U, with score U and expected information I (`total`), from 0 on; at most 5 at a time, halved
    while the likelihood falls. Coefficients are log hazard ratios for one unit of a column of x.

    Example:
        >>> at_risk, events = np.array([[100.0, 100.0]]), np.array([[10.0, 20.0]])
        >>> beta, *_ = scoring([Stratum(np.array([1]), np.array([[0.0], [1.0]]), at_risk, events)], 1)
        >>> round(float(np.exp(beta[0])), 4), round(float(np.log(0.8) / np.log(0.9)), 4)
        (2.1179, 2.1179)
    """
    beta = np.zeros(p)
    value, score, information = total(sets, beta)
    at_start = np.diag(information).copy()
    step = np.zeros(p)
    for _ in range(40):
        step = np.linalg.lstsq(information, score, rcond=1e-13)[0]
        size = np.abs(step).max()
        if size > 5:
            step = step * 5 / size
        for _ in range(30):
            trial = total(sets, beta + step)
            if trial[0] >= value - 1e-9 * (1 + abs(value)):
                break
            step = step / 2
        rise = trial[0] - value
        beta = beta + step
        value, score, information = trial
        if np.abs(step).max() < 1e-8 or (abs(rise) < 1e-11 * (1 + abs(value)) and np.abs(step).max() < 1e-5):
            break
    # Towards an infinite maximum the steps do not vanish, until the information has.
    finite = (np.abs(step) < 1e-3) & (np.diag(information) > 1e-7 * at_start)
    return beta, finite, value
