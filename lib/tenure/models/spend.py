"""What customers without a contract spend per purchase: the gamma-gamma model, and a test of its assumption.

Amounts vary around a customer's mean, means vary between customers, and both are independent of how often
they buy (Fader and Hardie 2013), which `spend_independence` tests. `spend` has columns frequency (purchases
after the first, 1 or more), mean_spend (their mean amount) and n (customers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

from tenure.errors import InputError, NotApplicable
from tenure.result import Estimate
from tenure.stats.lifetable import Array, z_value
from tenure.stats.newton import minimize


@dataclass(frozen=True, eq=False)
class Spend:
    """A fitted gamma-gamma model.

    Attributes:
        p: Shape of amounts around a customer's mean.
        q: Shape of the means.
        gamma: Their scale, in the units of the amounts.
        log_likelihood: The log-likelihood.
        mean: What purchases cost on average over customers, p gamma / (q - 1); infinite if q <= 1.
        tie: The correlation of amounts and frequency, which the model assumes to be 0.
    """

    p: float
    q: float
    gamma: float
    log_likelihood: float
    mean: Estimate
    tie: Estimate

    @property
    def parameters(self) -> tuple[float, float, float]:
        """p, q and gamma, for `tenure.measures.purchases.score`."""
        return self.p, self.q, self.gamma

    def conditional_mean(self, frequency: Array, mean_spend: Array) -> Array:
        """A customer's expected amount per purchase, from how often they bought again and the mean amount.

        p (gamma + x z) / (p x + q - 1): their own mean, shrunk towards everybody's; the fewer their
        purchases, the more.
        """
        x = np.asarray(frequency, dtype=float)
        z = np.where(x > 0, np.asarray(mean_spend, dtype=float), 0)
        return self.p * (self.gamma + x * z) / (self.p * x + self.q - 1)


def fit_spend(spend: pd.DataFrame, *, unit: str = "number") -> Spend:
    """Fit the gamma-gamma model of spend by maximum likelihood; `unit` is that of the amounts.

    Raises:
        InputError: The amounts are not above 0.
        NotApplicable: Fewer than 10 customers bought again.

    Example:
        >>> rng = np.random.default_rng(1)
        >>> x = rng.integers(1, 6, 4000)
        >>> z = rng.gamma(6 * x, 1 / (x * rng.gamma(4, 1 / 15, 4000)))
        >>> fit = fit_spend(pd.DataFrame({"frequency": x, "mean_spend": z, "n": 1}))
        >>> bool(abs(fit.mean.value - 6 * 15 / 3) < 1.5)
        True
    """
    x, z, n = _repeated(spend)
    if n.sum() < 10:
        raise NotApplicable(
            f"Only {n.sum():,.0f} customers bought again, too few to say how spend differs between them."
        )
    if not (z > 0).all():
        raise InputError(
            f"Column mean_spend must be above 0; {int((~(z > 0)).sum())} of {len(z)} rows are not: leave "
            "free purchases out."
        )
    scale = float(np.average(z, weights=n))
    z = z / scale
    total = x * z

    def loss(theta: Array) -> tuple[float, Array]:
        p, q, g = np.exp(theta)
        px, log_sum = p * x, np.log(g + total)
        value = (
            special.gammaln(px + q)
            - special.gammaln(px)
            - special.gammaln(q)
            + q * theta[2]
            + px * np.log(total)
            - np.log(z)
            - (px + q) * log_sum
        )
        digamma = special.digamma(px + q)
        slope = np.array(
            [
                p * (n @ (x * (digamma - special.digamma(px) + np.log(total) - log_sum))),
                q * (n @ (digamma - special.digamma(q) + theta[2] - log_sum)),
                n @ (q - g * (px + q) / (g + total)),
            ]
        )
        return -float(n @ value) / n.sum(), -slope / n.sum()

    found = [minimize(loss, np.log(start), bound=12.0) for start in ((3.0, 3.0, 1.0), (8.0, 5.0, 0.5))]
    theta, square = min(found, key=lambda pair: loss(pair[0])[0])
    covariance = np.linalg.pinv(square * n.sum(), rcond=1e-12, hermitian=True)
    p, q, g = (float(value) for value in np.exp(theta))
    try:
        tie = spend_independence(spend)
    except NotApplicable:
        tie = Estimate(np.nan)
    mean = p * g / (q - 1) * scale if q > 1 else np.inf
    slope = np.array([1.0, -q / (q - 1) if q > 1 else 0.0, 1.0]) * (q > 1)
    half = float(np.exp(z_value(0.95) * np.sqrt(max(float(slope @ covariance @ slope), 0.0))))
    return Spend(
        p,
        q,
        g * scale,
        -loss(theta)[0] * float(n.sum()) - float(n.sum()) * np.log(scale),
        Estimate(mean, mean / half, mean * half, n=int(n.sum()), of="customer", unit=unit),
        tie,
    )


def spend_independence(spend: pd.DataFrame) -> Estimate:
    """Test whether customers who buy more often also pay more, or less, per purchase.

    The gamma-gamma model assumes that they do not. The mean of few purchases varies more than that of many,
    so the standard error is White's (1980), which allows for it. (Logarithms would be biased: that of a mean
    of few is lower on average than that of a mean of many.)

    Returns:
        The correlation of the mean amount and the number of repeat purchases; its case is "independent" or
        "associated", and its word `p` is the p-value of no correlation.

    Raises:
        NotApplicable: There are too few customers, or all bought equally often or paid the same.
    """
    x, z, n = _repeated(spend)
    if n.sum() < 10 or np.ptp(x) == 0 or np.ptp(z) == 0:
        raise NotApplicable(
            "Too few customers bought again, or all of them alike, to tell if spend depends on frequency."
        )
    r = correlation(x, z, n)
    x, z = x - np.average(x, weights=n), z - np.average(z, weights=n)
    rest = z - x * (n @ (x * z)) / (n @ x**2)
    error = float(np.sqrt((n @ (x * rest) ** 2) / ((n @ x**2) * (n @ z**2))))
    low, high = max(r - z_value(0.95) * error, -1.0), min(r + z_value(0.95) * error, 1.0)
    return Estimate(
        r, low, high, n=int(n.sum()), of="customer",
        case="independent" if low <= 0 <= high else "associated",
        words={"p": float(2 * special.ndtr(-abs(r) / error)) if error > 0 else 0.0},
    )  # fmt: skip


def _repeated(spend: pd.DataFrame) -> tuple[Array, Array, Array]:
    """Frequency, mean amount and number of customers who bought again."""
    rows = spend[spend["frequency"] > 0]
    frequency, mean_spend, n = rows[["frequency", "mean_spend", "n"]].to_numpy(dtype=float).T
    return frequency, mean_spend, n


def correlation(x: Array, y: Array, weight: Array) -> float:
    """Return the weighted correlation; NaN where one does not vary.

    Example:
        >>> correlation(np.array([1, 2, 3]), np.array([2.0, 4.0, 6.0]), np.ones(3))
        1.0
    """
    x, y = x - np.average(x, weights=weight), y - np.average(y, weights=weight)
    scale = np.sqrt((weight @ x**2) * (weight @ y**2))
    return float(weight @ (x * y) / scale) if scale > 0 else float("nan")
