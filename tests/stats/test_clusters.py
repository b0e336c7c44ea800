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
