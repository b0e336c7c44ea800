"""Experiments: whether units were split over the variants as planned, and lifts of several measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special
from scipy.stats import binomtest

from tenure.errors import InputError
from tenure.result import NAN, Table
from tenure.stats.comparison import Comparison
from tenure.stats.lifetable import Array, chi2_p, holm, spelled

# A split that is not as planned fails below the first, and is to be looked at below the second.
SRM_ALPHA, SRM_LOOK = 0.001, 0.01


class SampleRatio(NamedTuple):
    """A test of whether units were split as planned: Pearson's statistic and its p-value.

    The table has a row per variant: `variant`, `n`, `share`, `planned`.
    """

    chi2: float
    p: float
    table: pd.DataFrame

    @property
    def furthest(self) -> pd.Series:
        """The row of the variant whose share is furthest from the planned one, by its standard error."""
        share, planned = self.table["share"].to_numpy(), self.table["planned"].to_numpy()
        off = np.abs(share - planned) / np.sqrt(planned * (1 - planned))
        return self.table.iloc[int(np.nan_to_num(off).argmax())]


def _planned_shares(variants: Sequence[str], planned: Mapping[str, float] | Sequence[float] = ()) -> Array:
    """Return the planned share of each variant; equal ones where none are given.

    Raises:
        InputError: The plan does not fit the variants or has a share that is not positive.

    Example:
        >>> _planned_shares(["a", "b"], {"a": 3, "b": 1}).tolist()
        [0.75, 0.25]
    """
    if not planned:
        return np.full(len(variants), 1 / len(variants))
    if isinstance(planned, Mapping):
        absent = sorted(set(variants) ^ set(planned))
        if absent:
            raise InputError(
                f"The planned split and the experiment differ in the variants {spelled(absent)}: "
                "Fix: name each variant that units were put into, as it is spelt in the data."
            )
        planned = [planned[name] for name in variants]
    values = np.asarray(planned, dtype=float)
    if len(values) != len(variants) or not (values > 0).all() or not np.isfinite(values).all():
        raise InputError(
            f"The planned split {list(planned)!r} must give a positive share to each of {len(variants)} "
            f"variants: {spelled(variants)}."
        )
    return values / values.sum()


def sample_ratio(counts: pd.DataFrame, planned: Mapping[str, float] | Sequence[float] = ()) -> SampleRatio:
    """Test whether units were split over the variants as planned.

    Pearson's chi-squared against the planned shares; where fewer than five units were planned in an arm, the
    exact binomial test of the arm that is off most, times the arms where there are more than two. NaN where
    there is only one variant or no unit. A split that is not as planned means that units were lost or added
    in some arms, and then no comparison can be trusted, however large.

    Args:
        counts: Columns `variant` and `n`.
        planned: Shares or weights by variant, or in the order of `counts`; empty for an even split.

    Raises:
        InputError: The plan does not fit the variants.

    Example:
        >>> round(sample_ratio(pd.DataFrame({"variant": ["a", "b"], "n": [44_000, 45_000]})).p, 6)
        0.000802
    """
    names, n = counts["variant"].astype(str).tolist(), counts["n"].to_numpy(dtype=float)
    shares = _planned_shares(names, planned)
    expected = n.sum() * shares
    known = len(n) > 1 and n.sum() > 0
    chi2 = float(((n - expected) ** 2 / expected).sum()) if known else NAN
    share = n / n.sum() if n.sum() else np.full(len(n), np.nan)
    table = pd.DataFrame({"variant": names, "n": n.astype(int), "share": share, "planned": shares})
    p = chi2_p(chi2, len(n) - 1)
    if known and expected.min() < 5:
        each = [binomtest(int(x), int(n.sum()), share).pvalue for x, share in zip(n, shares, strict=True)]
        p = min(1.0, min(each) * (len(n) if len(n) > 2 else 1))
    return SampleRatio(chi2, p, table)


def sample_ratio_by_segment(
    counts: pd.DataFrame, segment: str, planned: Mapping[str, float] | Sequence[float] = ()
) -> pd.DataFrame:
    """Test the split within each value of a segment, adjusted for the number of tests (Holm 1979).

    Args:
        counts: Columns `variant`, `n` and the segment.

    Returns:
        A row per value, the one furthest from the plan first: `value`, `p` and `chi2` (of `sample_ratio`),
        `p_adjusted`, and the `variant` that is off most, with its `n`, `share` and `planned`.

    Example:
        >>> rows = pd.DataFrame({"variant": ["a", "b"] * 2, "device": ["tv", "tv", "web", "web"],
        ...                      "n": [600, 400, 500, 500]})
        >>> sample_ratio_by_segment(rows, "device")[["value", "variant", "chi2", "p"]].values.tolist()[1]
        ['web', 'a', 0.0, 1.0]
    """
    wide = counts.pivot_table(index=segment, columns="variant", values="n", aggfunc="sum", fill_value=0)
    tests = [sample_ratio(row.rename("n").reset_index(), planned) for _, row in wide.iterrows()]
    table = pd.DataFrame([test.furthest for test in tests]).assign(value=wide.index.astype(str))
    table = table.assign(p=[test.p for test in tests], chi2=[test.chi2 for test in tests])
    table = table.assign(p_adjusted=holm(table["p"].to_numpy()))
    return table.sort_values(["p", "chi2"], ascending=[True, False], kind="stable", ignore_index=True)


def sequential_sample_ratio(
    counts: Array | pd.DataFrame, planned: Sequence[float] = (), *, concentration: float = 10_000.0
) -> pd.DataFrame:
    """Test the split after every look, without inflating the rate of false alarms.

    The Bayes factor of a Dirichlet(k theta0) alternative against the planned shares theta0 is a
    martingale under the plan, so 1 / (its largest so far) is a p-value at any time: with n_i units so
    far and a = k theta0,
    log B = lgamma(sum a) - lgamma(sum a + n) + sum(lgamma(a_i + n_i) - lgamma(a_i)) - sum n_i log theta0_i
    (Lindon & Malek 2022, "Anytime-valid inference for multinomial count data").

    Args:
        counts: A row per look, such as a day, a column per variant: units that came since the last look.
        planned: Shares or weights in the order of the columns; empty for an even split.
        concentration: k: the larger, the smaller the deviations that are looked for.

    Returns:
        A row per look: `n` (so far), `log_bayes_factor`, `p` (the smallest so far, valid at any time).

    Example:
        >>> looks = np.array([[100, 100], [300, 420]])
        >>> sequential_sample_ratio(looks, concentration=100)["p"].round(4).tolist()
        [1.0, 0.0027]
    """
    values = np.asarray(counts, dtype=float)
    shares = _planned_shares([str(i) for i in range(values.shape[1])], list(planned))
    so_far, a = values.cumsum(axis=0), concentration * shares
    n = so_far.sum(axis=1)
    log_b = special.gammaln(a.sum()) - special.gammaln(a.sum() + n)
    log_b += (special.gammaln(a + so_far) - special.gammaln(a) - so_far * np.log(shares)).sum(axis=1)
    p = np.exp(-np.maximum.accumulate(np.maximum(log_b, 0)))
    return pd.DataFrame({"n": n.astype(int), "log_bayes_factor": log_b, "p": p})


def side_by_side(compared: Mapping[str, Comparison], order: Iterable[str]) -> Table:
    """Put comparisons of several measures into one table, variant by variant.

    Args:
        compared: Comparisons by measure.
        order: The variants in the order they are shown.

    Returns:
        A row per variant and measure: `variant`, `measure`, `control`, `value`, `difference` and `lift` with
        their intervals, `p`, `p_adjusted`.
    """
    parts = [one.table.frame.assign(measure=name.replace("_", " ")) for name, one in compared.items()]
    places = {name: place for place, name in enumerate(order)}
    table = pd.concat(parts).sort_values("variant", key=lambda names: names.map(places), kind="stable")
    table = table.reset_index(drop=True)
    names = ["variant", "measure", "control", "value", "difference", "difference_low", "difference_high"]
    units = [one.table.units for one in compared.values()]
    alike = {name: unit for name, unit in units[0].items() if all(other[name] == unit for other in units)}
    return Table(table[[*names, "lift", "lift_low", "lift_high", "p", "p_adjusted"]], alike)
