"""Maximum likelihood for a handful of parameters: Newton's method, damped."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from tenure.stats.lifetable import Array

Loss = Callable[[Array], tuple[float, Array]]

BOUND = 16.0

# At most so many steps; after steps shorter than this the second derivatives are used again.
_STEPS, _NEAR = 200, 0.03


def minimize(
    loss: Loss,
    start: Array,
    *,
    square: Callable[[Array], Array] | None = None,
    bound: float = BOUND,
) -> tuple[Array, Array]:
    """Find a minimum, and its second derivatives, by Newton's method, damped as by Levenberg and Marquardt.

    The problems are small and smooth, so that a step is worth its second derivatives: a dozen steps do what
    takes quasi-Newton methods hundreds, and the second derivatives are needed for the covariance anyway.
    Parameters that run away come to where a function has no digits left: the search ends before it.

    Args:
        loss: Takes parameters; returns the value and its gradient. It should be of the order of 1, such as
            minus the log-likelihood of an observation.
        start: Where to begin.
        square: Gives the matrix of second derivatives; None: differences of the gradient.
        bound: No parameter goes beyond this on either side; they are logarithms.

    Example:
        >>> def bowl(x):
        ...     return float((x**2).sum() + x[0] ** 4), 2 * x + np.array([4 * x[0] ** 3, 0.0])
        >>> minimize(bowl, np.array([3.0, -2.0]))[0].round(6).tolist() == [0.0, 0.0]
        True
    """
    theta, bent = np.asarray(start, dtype=float), square or partial(hessian, loss)
    value, slope = loss(theta)
    curve, damping, known = bent(theta), 1e-3, True
    for _ in range(_STEPS):
        scale = np.maximum(np.abs(np.diag(curve)), 1e-8)
        values, vectors = np.linalg.eigh(curve / np.sqrt(np.outer(scale, scale)))
        # Where the curve bends down, a plain Newton step along it would lead up.
        bend = np.maximum(np.abs(values), 1e-10) + damping
        step = (vectors @ ((vectors.T @ (slope / np.sqrt(scale))) / bend)) / np.sqrt(scale)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        better = np.clip(theta - step, -bound, bound)
        found = loss(better)
        if np.isfinite(found[0]) and found[0] <= value:
            gained, moved = value - found[0], float(np.abs(better - theta).max())
            last, theta, (value, slope), damping = theta, better, found, damping / 10
            if moved < 1e-7 or (gained < 1e-14 and np.abs(slope).max() < 1e-7):
                known = known and moved < 1e-7
                break
            # Close to the minimum second derivatives hardly change, and they are what takes the time.
            known = moved > _NEAR
            if known and not np.isfinite(closer := bent(theta)).all():
                return last, curve
            curve = closer if known else curve
        else:
            if not known:
                curve, known = bent(theta), True
                continue
            damping = max(damping * 10, 1e-6)
            if damping > 1e6:
                break
    closer = curve if known else bent(theta)
    return theta, closer if np.isfinite(closer).all() else curve


def hessian(loss: Loss, theta: Array, step: float = 1e-4) -> Array:
    """Return second derivatives, as differences of the gradient."""
    square = derivatives(lambda at: loss(at)[1], theta, step)
    return (square + square.T) / 2


def derivatives(function: Callable[[Array], Array], theta: Array, step: float = 1e-4) -> Array:
    """Return central differences of a function that gives an array, shape (values, parameters).

    Example:
        >>> derivatives(lambda x: np.array([x[0] * x[1], x[1] ** 2]), np.array([2.0, 3.0])).round(6).tolist()
        [[3.0, 2.0], [0.0, 6.0]]
    """
    shifts = np.eye(len(theta)) * step
    return np.stack([(function(theta + s) - function(theta - s)) / (2 * step) for s in shifts], axis=-1)
