"""Curves as they were observed, where no fitted one follows them, with tails by models that fit their end.

A fitted curve's interval is not one of the truth where the curve does not fit. So where more than one
observed period in ten lies outside the fit, the rate of each renewal is the observed one as far as at least
`lifetable.FEWEST` are at risk, and customers differ from each other by the ratios of the fitted curves. For
what comes later each model is fitted to the last third of it; those that fit are the bounds of the tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from tenure.errors import NotApplicable
from tenure.models.retention import MODELS, NAMES, Cells, Retention, Seen, fit_retention
from tenure.stats.lifetable import (
    FEWEST,
    Array,
    Counts,
    chi2_p,
    first_enough,
    greenwood,
    log_log_band,
    pooled,
    product_limit,
    validate,
)  # fmt: skip

_COUNTS = ["period", "at_risk", "events", "censored", "entered"]
# Of the observed periods, the share outside the band from which on a curve does not fit; and the level.
_OUTSIDE, _CHANCE = 0.1, 0.01
_FREE = {model: len(names) for model, names in MODELS.items()}


@dataclass(frozen=True)
class Misfit:
    """How well a group's curve fits what was observed of it: the periods outside, of those observed."""

    outside: int
    observed: int
    p: float

    @property
    def bad(self) -> bool:
        """Whether more than one in ten is outside, beyond what chance allows."""
        return self.outside > _OUTSIDE * self.observed and self.p < _CHANCE


def anchored(fit: Retention, life: pd.DataFrame, *, rivals: bool = True) -> tuple[Retention, tuple[str, ...]]:
    """Put observed curves in the place of those that do not fit, and say which.

    A curve does not fit if more than one observed period in ten lies outside the 95% band of Kaplan and
    Meier (1958; limits from log(-log S)), and Pearson's chi-squared of who left in each period, see
    `misfit`, has p below 0.01. The observed chance to leave is d / n, at most 1 - 1 / (2 n); the tail is that
    of the first model, with the fewest parameters, that fits the end. Periods are renewals.

    Args:
        fit: Curves fitted to the life table.
        life: The life table, by group and characteristics.
        rivals: Whether to look for other tails, which intervals alone need.

    Returns:
        The curves; `others` are the same with the other tails that fit. And a sentence a group.
    """
    seen, tails, notes = [], {}, []
    for g, key in enumerate(fit.groups[list(fit.keys)].to_dict("records")):
        mine = np.logical_and.reduce([life[name].astype(str) == value for name, value in key.items()])
        counts = validate(pooled(life[mine]))
        start, until = _stretch(counts)
        found = misfit(fit, g, counts, start, until)
        if not found.bad:
            continue
        tails[g] = _tails(counts, until, rivals)
        if not tails[g]:
            continue
        seen.append(_seen(g, counts, start, until, next(iter(tails[g].values()))))
        models = dict.fromkeys(NAMES[model] for _, model in tails[g])
        notes.append(
            f"In group {' '.join(key.values())} the fitted curve lay outside what was observed at "
            f"{found.outside} of {found.observed} renewals, so it is taken as it was observed, and continued "
            f"as models that fit its end do: {', '.join(models)}."
        )
    others = [
        replace(
            fit,
            seen=tuple(
                replace(one, begin=end[0], tail=end[1]) if (end := tails[one.group].get(key)) else one
                for one in seen
            ),
        )
        for key in dict.fromkeys(key for one in seen for key in tails[one.group])
    ]
    return replace(fit, seen=tuple(seen), others=tuple(others)), tuple(notes)


def misfit(fit: Retention, group: int, counts: Counts, start: int, until: int) -> Misfit:
    """Compare a group's fitted curve with the observed one, between two periods.

    With d of those at risk leaving in a period, and h their fitted hazards, chi-squared is
    sum (d - sum h)^2 / sum h (1 - h) over periods, the inner sums over those at risk; its degrees of freedom
    are the periods less the parameters of the group's models, at least 1. Outside are periods in which the
    product of 1 - sum h / n so far is not within the 95% limits of Kaplan and Meier's S.
    """
    span, part = slice(start, until), fit.parts[0]
    own = np.flatnonzero(part.cells.group == group)
    cells = Cells(part.cells.group[own], part.cells.power[own])
    n = part.at_risk[own][:, span]
    hazard = -np.expm1(np.diff(fit.log_survival(cells, until), axis=1))[:, span]
    left, expected = counts.events[0, span], (n * hazard).sum(axis=0)
    spread = (n * hazard * (1 - hazard)).sum(axis=0)
    chi2 = float((((left - expected) ** 2)[spread > 0] / spread[spread > 0]).sum())
    here = replace(counts, at_risk=counts.at_risk[:, span], events=counts.events[:, span])
    survival, variance = product_limit(here), np.cumsum(greenwood(here), axis=1)
    low, high = log_log_band(survival, variance, here.at_risk, 0.95)
    fitted = np.cumprod(1 - expected / np.maximum(n.sum(axis=0), 1))
    outside = int(((fitted < low[0] - 1e-9) | (fitted > high[0] + 1e-9)).sum())
    freedom = max(until - start - sum(_FREE.get(p.models[group], 0) for p in fit.parts), 1)
    return Misfit(outside, until - start, chi2_p(chi2, freedom))


def _stretch(counts: Counts) -> tuple[int, int]:
    """The periods between which enough are at risk."""
    start = int(first_enough(counts.at_risk, FEWEST)[0])
    enough = counts.at_risk[0, start:] >= FEWEST
    return start, start + (len(enough) if enough.all() else int(np.argmin(enough)))


def _seen(group: int, counts: Counts, start: int, until: int, end: tuple[int, Retention]) -> Seen:
    n, d = counts.at_risk[0, start:until], counts.events[0, start:until]
    hazard = np.minimum(d / n, 1 - 0.5 / n)
    # Where nobody left, half a customer more keeps the error from being none.
    loose = np.minimum((d + 0.5) / (n + 1), 1 - 0.5 / n)
    return Seen(group, start, -np.log1p(-hazard), loose / (n * (1 - loose)), end[1], end[0])


def _tails(counts: Counts, until: int, rivals: bool) -> dict[tuple[int, str], tuple[int, Retention]]:
    """The models that fit the end of a curve, the fewest parameters first; all that can be, if none does.

    Without rivals it is the first that fits.

    The end is the last third, of six periods at least, or more where nobody left in it. Of 24 periods or more
    it is also taken as whole years of months, in which each month of the year is as often: the choice of an
    end belongs to what is not known. With each model, by the kind of end and name, is where the end begins.
    """
    third, last = max(6, until // 3), int(np.flatnonzero(counts.events[0])[-1])
    fits, good = {}, {}
    for kind, length in enumerate([-(-third // 12) * 12, third][until < 24 :]):
        begin = min(max(until - length, 0), last)
        rows = {name: getattr(counts, name)[0, begin:].astype(int) for name in _COUNTS[1:]}
        end = pd.DataFrame({"period": np.arange(1, len(rows["events"]) + 1), **rows})
        for model in MODELS:
            if model == "first":  # an end has no first renewal
                continue
            try:
                fitted = fit_retention(end, model)
            except NotApplicable:
                continue
            fits[kind, model] = begin, fitted
            if misfit(fitted, 0, validate(end), 0, until - begin).p >= _CHANCE:
                good[kind, model] = begin, fitted
                if not rivals:
                    return good
    return good or fits


def widened(ends: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The lowest and the highest of several intervals."""
    lows, highs = zip(*ends, strict=True)
    return np.minimum.reduce(lows), np.maximum.reduce(highs)
