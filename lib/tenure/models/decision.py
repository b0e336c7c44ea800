"""A decision on the value of a visitor: what is believed, what waiting would bring, ship or keep.

`unit` is that of values, `level` that at which all intervals hold together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.result import NAN, Estimate, Table
from tenure.stats.comparison import sequence_half_width
from tenure.stats.lifetable import check_level, z_value


class Posterior(NamedTuple):
    """What is believed of a difference: its mean and standard deviation, and the chance that it is above 0.

    `loss_ship` is what shipping loses on average, E[max(-difference, 0)]; `loss_keep` E[max(difference, 0)].
    """

    mean: float
    sd: float
    chance: float
    loss_ship: float
    loss_keep: float


def posterior(difference: float, standard_error: float) -> Posterior:
    """Return the posterior of a difference with a normal likelihood and a flat prior.

    With d the mean and s the standard deviation of the posterior, z = d/s: the chance is Phi(z) and the
    expected losses are s phi(z) + d Phi(z) of keeping and s phi(z) - d Phi(-z) of shipping.

    Example:
        >>> found = posterior(0.040816, 0.147253)
        >>> round(found.chance, 4), round(found.loss_keep, 4), round(found.loss_ship, 4)
        (0.6092, 0.0814, 0.0406)
    """
    if standard_error == 0:
        d = float(difference)
        return Posterior(d, 0.0, float(d > 0), max(-d, 0.0), max(d, 0.0))
    z = difference / standard_error
    density = float(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    up, down = float(special.ndtr(z)), float(special.ndtr(-z))
    losses = standard_error * density - difference * down, standard_error * density + difference * up
    return Posterior(float(difference), float(standard_error), up, float(losses[0]), float(losses[1]))


Case = Literal["ship", "keep running", "too small", "unlikely"]
_VERDICTS = {"too small": "keep", "unlikely": "keep"}


@dataclass(frozen=True, eq=False)
class Decision:
    """Whether to ship, to keep or to keep running.

    Attributes:
        variant: The variant to ship, or the one that is nearest to it.
        case: Why: "ship" (its interval lies above no difference), "keep running" (the data allow for a gain
            worth a change, and for none), and for keeping the control "too small" (even the top of the
            interval is less than a change is worth) or "unlikely" (a gain worth a change is not to be
            expected, and making sure costs more than it is worth).
        table: A row per variant other than the control: `variant`, `difference` (of a visitor's value) with
            its interval, `chance` (of being better than the control), `chance_worthwhile` (by what is worth a
            change), `loss_ship` and `loss_keep` (expected, over all visitors of the planning horizon),
            `waiting` (what waiting brings over them, net), `more` (units to wait for), `needed` (further
            units until the interval would exclude 0 if the difference stays as it is) and `verdict`.
        worthwhile: The smallest difference of a visitor's value that is worth a change.
        n: Units of the experiment.
        level: The level at which the intervals hold together.
    """

    variant: str
    case: Case
    table: Table
    worthwhile: Estimate
    n: int
    level: float

    @property
    def verdict(self) -> str:
        """What to do: "ship", "keep" or "keep running"."""
        return _VERDICTS.get(self.case, self.case)

    def of(self, name: str, variant: str = "") -> Estimate:
        """Return a column of the table for a variant, the one that the verdict is about by default."""
        return self.table.estimate(variant or self.variant, name, n=self.n, of="visitor", level=self.level)

    @property
    def difference(self) -> Estimate:
        """The difference that the verdict is about; its case is the verdict."""
        return self.of("difference").saying(self.verdict, worth=self.worthwhile)

    def waiting(self) -> Estimate:
        """Return what waiting for `more` visitors brings; its case is "wait" or "do not wait".

        Its other words are the chance that a visitor is worth more, and `enough`, by what is worth a change.
        """
        more = int(self.of("more").value)
        words = {"more": more, "chance": self.of("chance"), "enough": self.of("chance_worthwhile")}
        return self.of("waiting").saying("wait" if more else "do not wait", **words)

    def beside(self, other: Decision) -> Estimate:
        """Return another estimate of the same difference, such as a fitted curve's, and whether it agrees.

        Its case is "another verdict", "another size" (it lies outside this interval) or "agrees".
        """
        own, its = self.of("difference"), other.of("difference", self.variant)
        case = "agrees" if own.low <= its.value <= own.high else "another size"
        return its.saying(case if other.verdict == self.verdict else "another verdict")


def decide(
    differences: pd.DataFrame,
    *,
    control_value: float,
    visitors: float,
    n: float,
    smallest_lift: float = 0.05,
    planned_n: int | None = None,
    unit: str = "number",
    level: float = 0.95,
) -> Decision:
    """Decide on the value of a visitor: ship, keep or keep running.

    Let w be the smallest difference worth a change. A variant is *shipped* if its interval lies above 0. The
    control is *kept* if the interval lies below w, or if a difference of w is not expected and waiting costs
    more than it brings. Otherwise the experiment *keeps running*. Of several variants the one goes first
    that is to be shipped, then the one with the largest difference; intervals hold for all variants
    together (Bonferroni), and at any number of looks with `planned_n` (see `tenure.stats.comparison`).

    Waiting for r n further units moves the posterior mean m of the difference less w by a variance
    s^2 r / (1 + r). Over V visitors it brings (V - r n) E[max(m', 0)] + r n m / 2 - V max(m, 0): those who
    come after decide better, half of those who come meanwhile get the variant (value of sample information;
    Raiffa and Schlaifer 1961). The best of a few r counts.

    Args:
        differences: Columns `variant`, `difference` (of a visitor's value), `standard_error`, and the ends of
            the interval, whose middle is believed: where conversions are rare, the difference is not in it.
        control_value: A visitor's value under the control.
        visitors: V.
        n: Units of the experiment so far.
        smallest_lift: w as a share of the control's value.
        planned_n: Units at which the intervals should be tightest, if looked at early; None: one look.

    Raises:
        InputError: `smallest_lift` is negative or `visitors` is not above 0.
        NotApplicable: No variant has a difference.

    Example:
        >>> new = pd.DataFrame(dict(variant=["new"], difference=0.0535, standard_error=0.0446))
        >>> decide(new, control_value=0.0972, visitors=100_000, n=1124).verdict
        'keep running'
    """
    check_level(level)
    if smallest_lift < 0 or not visitors > 0:
        raise InputError(
            f"`smallest_lift` must be at least 0 and `visitors` above 0; they are {smallest_lift!r} and "
            f"{visitors!r}."
        )
    known = differences.dropna(subset=["difference", "standard_error"])
    known = known[known["standard_error"] > 0]
    if known.empty or np.isnan(control_value):
        raise NotApplicable(
            "There is nothing to decide on: no variant can be compared with the control. Choose a shorter "
            "horizon or window_days, or wait until more have converted and been observed for that long."
        )
    worthwhile = smallest_lift * abs(control_value)
    each = 1 - (1 - level) / len(known)
    low, high = (known.get(f"difference_{end}", known["difference"]) for end in ("low", "high"))
    middle = (low + high) / 2
    rows = []
    for variant, difference, error, believed in zip(
        known["variant"], known["difference"], known["standard_error"], middle, strict=True
    ):
        half = z_value(each) * error
        if planned_n is not None:
            half = float(sequence_half_width(error**2 * n, n, planned_n, each))
        belief, net = posterior(believed, error), posterior(believed - worthwhile, error)
        waiting, more = _waiting(net, visitors, n)
        case = "keep running"
        if believed - half > 0:
            case = "ship"
        elif believed + half < worthwhile:
            case = "too small"
        elif net.mean <= 0 and waiting <= 0:
            case = "unlikely"
        needed = n * max((half / difference) ** 2 - 1, 0) if difference > 0 else NAN
        found = {"difference": difference, "difference_low": believed - half}
        found |= {"difference_high": believed + half, "chance": belief.chance}
        found |= {"chance_worthwhile": net.chance, "loss_ship": belief.loss_ship * visitors}
        found |= {"loss_keep": belief.loss_keep * visitors, "waiting": waiting, "more": more}
        verdict = {"needed": needed, "verdict": _VERDICTS.get(case, case), "case": case}
        rows.append({"variant": str(variant)} | found | verdict)
    table = pd.DataFrame(rows)
    rank = table["case"].map({"ship": 2, "keep running": 1}).fillna(0)
    order = table.assign(rank=rank).sort_values(["rank", "difference"], ascending=False, kind="stable")
    losses = dict.fromkeys(("loss_ship", "loss_keep", "waiting"), "count" if unit == "points" else unit)
    units = {"difference": unit, **losses} | dict.fromkeys(("chance", "chance_worthwhile"), "percent")
    return Decision(
        variant=order["variant"].iloc[0],
        case=order["case"].iloc[0],
        table=Table(table.drop(columns="case"), units | dict.fromkeys(("more", "needed"), "count")),
        worthwhile=Estimate(float(worthwhile), unit=unit, exact=True),
        n=int(n),
        level=level,
    )


def decide_between(basis: Any, control: str, **scale: Any) -> Decision:
    """Decide by what a visitor is worth (`VisitorValue`) or did (`Comparison`); the rest is as for `decide`.

    Raises:
        NotApplicable: There is neither, or no variant has a difference.
    """
    if basis is None:
        raise NotApplicable("There is nothing to decide on yet, since no effect can be told: wait.")
    base = basis.arm(control)
    unit = "points" if base.unit == "percent" else base.unit
    return decide(basis.differences(control), control_value=base.value, unit=unit, **scale)


def _waiting(net: Posterior, visitors: float, n: float) -> tuple[float, int]:
    """The best net value of waiting over some numbers of further units, and that number; 0 where none."""
    best = (0.0, 0)
    for share in (0.25, 0.5, 1.0, 2.0, 4.0):
        more = share * n
        if more >= visitors:
            continue
        moved = posterior(net.mean, net.sd * float(np.sqrt(share / (1 + share))))
        later = (visitors - more) * moved.loss_keep + more * net.mean / 2
        best = max(best, (later - visitors * max(net.mean, 0.0), round(more)))
    return best
