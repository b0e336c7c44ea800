"""Groups in points: what is a gap and what is none, agreement, and data of few distinct points."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.stats import clusters


def test_a_gap_is_seen_between_two_heaps_and_not_within_one():
    rng = np.random.default_rng(11)
    heaps = {"uniform": rng.random, "normal": rng.standard_normal, "skewed": rng.standard_exponential}
    for name, draw in heaps.items():
        wrong = np.mean([clusters.gap(draw(400)) > clusters.NO_GAP for _ in range(60)])
        assert wrong <= (0.15 if name == "uniform" else 0.02), name
    two = [np.concatenate([rng.standard_normal(200), rng.standard_normal(200) + 4]) for _ in range(20)]
    assert np.mean([clusters.gap(values) > clusters.NO_GAP for values in two]) > 0.9
    shuffled = rng.permutation(two[0])
    assert clusters.gap(shuffled) == clusters.gap(two[0])
    assert clusters.gap(np.ones(50)) <= clusters.NO_GAP


HEAPS = {
    "counts": lambda rng: rng.poisson(3, 300),
    "rare counts": lambda rng: rng.poisson(0.4, 300),
    "scattered counts": lambda rng: rng.negative_binomial(1, 0.1, 300),
    "counts, as they are scaled": lambda rng: np.log1p(rng.poisson(3, 300)),
    "rounded": lambda rng: np.round(rng.lognormal(0, 1, 300), 1),
    "to the next five": lambda rng: np.round(rng.gamma(2, 4, 300)) * 5,
    "answers on a scale": lambda rng: rng.integers(1, 6, 300),
    "yes and no": lambda rng: rng.integers(0, 2, 300),
}


@pytest.mark.parametrize("kind", HEAPS)
def test_ties_are_no_gaps(kind):
    rng = np.random.default_rng(3)
    found = [clusters.gap(HEAPS[kind](rng)) > clusters.NO_GAP for _ in range(40)]
    assert np.mean(found) <= 0.05
    # In several columns, along any line between two halves of the cloud, too.
    y = np.column_stack([HEAPS[kind](rng), 0.2 * HEAPS[kind](rng)]).astype(float)
    halves = clusters.fit("k-means", 2, y, 0, starts=3).predict(y)
    assert not clusters.all_apart(y, halves)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_two_groups_measured_on_a_grid_are_still_two(step):
    rng, own = np.random.default_rng(4), np.repeat([0, 1], 150)
    found, apart = [], []
    for _ in range(20):
        y = np.round(rng.standard_normal((300, 2)) / step + 6 / step * own[:, None]) * step
        found.append(clusters.gap(y[:, 0]) > clusters.NO_GAP)
        apart.append(clusters.all_apart(y, own))
    assert min(np.mean(found), np.mean(apart)) > 0.9
    used = np.r_[np.zeros(150), rng.poisson(10, 150)]  # half of them not at all
    assert clusters.gap(used) > clusters.NO_GAP


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=60))
def test_the_rand_index_is_scikit_learns(pairs):
    from sklearn.metrics import adjusted_rand_score

    a, b = zip(*pairs, strict=True)
    counts = pd.DataFrame({"segment": a, "other": b, "n": 1}).groupby(["segment", "other"]).sum()
    ours = clusters.rand_index(counts.reset_index())
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert ours == pytest.approx(adjusted_rand_score(a, b))
    else:
        assert np.isnan(ours)


@pytest.mark.parametrize("family", clusters.FAMILIES)
def test_fewer_distinct_points_than_groups_are_fitted_by_fewer_and_are_not_found_again(family):
    few = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 40, axis=0)
    assert len(set(clusters.fit(family, 5, few, 0, starts=2).predict(few))) <= 3
    assert clusters.prediction_strength(family, 5, few, 0) == 0
