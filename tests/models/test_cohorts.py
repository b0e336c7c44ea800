"""Cohorts: the matrix, the change within a year, and small levels folded."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from tenure.errors import InputError
from tenure.models.cohorts import fold_levels, matrix, newest
from tenure.models.months import month_label, quarter_label

JANUARY = 2023 * 12


def triangle(cohorts, ages, stayed, size=200):
    rows = [
        {"cohort": cohort, "period": age, "size": size, "stayed": size if age == 0 else stayed(cohort, age)}
        for cohort in cohorts
        for age in ages(cohort)
    ]
    return pd.DataFrame(rows)


def test_labels_of_months_and_quarters():
    assert month_label(2024 * 12 + 11) == "2024-12"
    assert quarter_label(2024 * 12) == "2024 Q1"
    assert quarter_label(2024 * 12 + 9) == "2024 Q4"


def test_an_immature_cell_is_missing_and_an_empty_one_is_zero():
    data = triangle([JANUARY, JANUARY + 1], lambda c: range(3 if c == JANUARY else 2), lambda c, a: 0)
    found = matrix(data.sample(frac=1, random_state=1))
    assert found.frame["cohort"].tolist() == ["2023-01", "2023-02"]
    assert found.frame.iloc[0, 1:].tolist() == [1, 0, 0]
    assert np.isnan(found.frame["2"].iloc[1])
    assert found.units == {"0": "percent", "1": "percent", "2": "percent"}
    assert matrix(data, until=1, newest=1).frame.to_dict("list") == {
        "cohort": ["2023-02"],
        "0": [1],
        "1": [0],
    }


def test_without_a_triangle_there_is_a_sentence():
    assert len(matrix(None)) == 0
    assert "needs dates" in matrix(None).notes[0]


def test_a_change_is_that_of_the_pooled_cohorts_a_year_apart():
    data = triangle(
        range(JANUARY, JANUARY + 15), lambda c: range(4), lambda c, a: 150 if c >= JANUARY + 12 else 120
    )
    now = newest(data.sample(frac=1, random_state=1), 3)
    assert now.words["first"] == (dt.date(2024, 1, 1), "month")
    assert now.words["last"] == (dt.date(2024, 3, 1), "month")
    assert (now.value, now.n, now.compare.value, now.compare_label) == (0.75, 600, 0.6, "a year earlier")
    assert now.difference.value == pytest.approx(0.15)
    # Newcombe's method 10, from statsmodels.
    low, high = confint_proportions_2indep(450, 600, 360, 600, method="newcomb", compare="diff")
    assert (now.difference.low, now.difference.high) == pytest.approx((low, high))
    assert now.change == "rose"


def test_young_cohorts_and_those_without_a_year_before_are_not_compared():
    young = triangle(range(JANUARY, JANUARY + 15), lambda c: range(3), lambda c, a: 100)
    assert not newest(young, 3).known
    # A month of a year ago in which nobody began leaves two to compare three with.
    gap = triangle(
        [c for c in range(JANUARY, JANUARY + 15) if c != JANUARY + 1], lambda c: range(4), lambda c, a: 9
    )
    assert not newest(gap, 3).known
    assert not newest(None, 3).known


def test_the_interval_of_a_change_holds_the_truth():
    rng = np.random.default_rng(5)
    held, runs = 0, 400
    for _ in range(runs):
        sizes = rng.integers(20, 60, 15)
        chance = np.where(np.arange(15) >= 12, 0.8, 0.7)
        data = pd.DataFrame(
            {
                "cohort": JANUARY + np.arange(15),
                "period": 3,
                "size": sizes,
                "stayed": rng.binomial(sizes, chance),
            }
        )
        change = newest(data, 3).difference
        held += change.low <= 0.1 <= change.high
    assert 0.925 <= held / runs <= 0.98


def test_folding_keeps_every_customer_and_does_not_merge_large_levels():
    rng = np.random.default_rng(2)
    counts = pd.DataFrame(
        {
            "plan": rng.choice(["a", "b", "rare"], 60, p=[0.5, 0.45, 0.05]),
            "city": rng.choice(list("uvwxyz"), 60),
            "event": rng.integers(0, 2, 60),
            "n": rng.integers(1, 9, 60),
        }
    )
    folded = fold_levels(counts, ["plan", "city"], min_group=40)
    assert folded["n"].sum() == counts["n"].sum()
    for name in ("plan", "city"):
        sizes = counts.groupby(name)["n"].sum()
        large = sizes[sizes >= 40]
        assert folded.groupby(name)["n"].sum().drop("other", errors="ignore").to_dict() == large.to_dict()
    assert not folded.duplicated(["plan", "city", "event"]).any()
    with pytest.raises(InputError, match="no column 'town'"):
        fold_levels(counts, ["town"], min_group=5)


def test_folding_keeps_rows_whose_cause_is_missing():
    counts = pd.DataFrame({"plan": ["a", "b"], "cause": [None, "voluntary"], "n": [5, 90]})
    folded = fold_levels(counts, ["plan"], min_group=10)
    assert dict(zip(folded["plan"], folded["n"], strict=True)) == {"b": 90, "other": 5}
