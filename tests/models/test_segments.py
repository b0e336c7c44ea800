"""Segments by recency, frequency and value, and by use: published numbers, planted groups, and none."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import rfm as published
from tenure.errors import InputError, NotApplicable
from tenure.models import segments as sg
from tenure.stats import clusters

# --- recency, frequency, value ------------------------------------------------------------------------


def published_scores():
    recency, frequency, value = np.array(published.CUSTOMERS).T
    # "Below the upper threshold" of whole numbers is "at most" the whole number before it.
    edges = {name: np.ceil(np.array(upper)) - 1 for name, upper in published.UPPER.items()}
    return (
        published.scores(recency, edges["recency"], reverse=True),
        published.scores(frequency, edges["frequency"]),
        published.scores(value, edges["value"]),
    )


def test_the_published_scores_of_the_r_package_are_reproduced():
    r, f, m = published_scores()
    assert (r * 100 + f * 10 + m)[:32].tolist() == published.FIRST_SCORES


def test_published_thresholds_are_our_edges_plus_one():
    customers = pd.DataFrame(published.CUSTOMERS, columns=["recency", "frequency", "value"])
    columns = [pd.DataFrame({"column": name, "value": customers[name], "n": 1}) for name in customers]
    counts = pd.concat(columns)
    for name, edges in sg.rfm_edges(counts).items():
        assert np.array(edges) + 1 == pytest.approx(published.UPPER[name])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (published.MAP, published.SEGMENTS),
        (published.PRESENT_MAP, published.PRESENT_SEGMENTS),
    ],
)
def test_the_published_segments_of_the_r_package_are_reproduced(cells, expected):
    r, f, m = published_scores()
    _recency, frequency, value = np.array(published.CUSTOMERS).T
    named = np.full(len(r), "Others", dtype=object)
    for name, *ends in reversed(cells):
        scores = zip((r, f, m), ends[::2], ends[1::2], strict=True)
        inside = np.logical_and.reduce([(score >= low) & (score <= high) for score, low, high in scores])
        named[inside] = name
    sums = {name: (named == name, frequency[named == name], value[named == name]) for name in set(named)}
    found = {name: tuple(int(part.sum()) for part in parts) for name, parts in sums.items()}
    assert found == expected


def test_our_map_is_a_partition_of_all_125_cells_with_every_segment_reachable():
    cells = sg.rfm_cells()
    every = {f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)}
    assert set(cells) == every
    assert set(cells.values()) == set(sg.RFM_SEGMENTS)


def test_more_recent_use_never_leads_to_an_inactive_segment():
    """A step up in recency never leads to a segment of those who stay away."""
    cells = sg.rfm_cells()
    away = {"must not lose", "at risk", "drowsy", "asleep"}
    for cell, name in cells.items():
        if name not in away:
            better = f"{min(int(cell[0]) + 1, 5)}{cell[1:]}"
            assert cells[better] not in away


@settings(max_examples=60)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=80), st.randoms())
def test_edges_are_numpys_quantiles_and_equal_values_have_equal_scores(values, random):
    counts = pd.DataFrame({"column": "value", "value": values, "n": 1})
    shuffled = list(values)
    random.shuffle(shuffled)
    edges = sg.rfm_edges(counts)["value"]
    assert edges == sg.rfm_edges(counts.assign(value=shuffled))["value"]
    assert np.array(edges) == pytest.approx(np.quantile(values, [0.2, 0.4, 0.6, 0.8]))
    scores = dict(zip(values, published.scores(values, edges).tolist(), strict=True))
    assert [scores[v] for v in values] == published.scores(values, edges).tolist()
    ordered = [scores[v] for v in sorted(scores)]
    assert ordered == sorted(ordered)
    assert set(ordered) <= {1, 2, 3, 4, 5}


def test_no_customers_to_score_is_explained():
    with pytest.raises(NotApplicable, match="nobody to score"):
        sg.rfm_edges(pd.DataFrame({"column": [], "value": [], "n": []}))


# --- how the product is used --------------------------------------------------------------------------

LABELS = {
    "platform_1": ("platform", "tv"),
    "platform_2": ("platform", "phone"),
    "category_1": ("category", "Kids"),
}


def agreement(a, b):
    counts = pd.DataFrame({"segment": a, "other": b, "n": 1})
    return clusters.rand_index(counts.groupby(["segment", "other"]).sum().reset_index())


def planted(n=900, seed=0):
    """Three kinds of use, and who is of which."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    means = {
        "events_a_month": [20, 20, 4],
        "minutes": [25, 80, 40],
        "weekend": [0.3, 0.5, 0.3],
        "daytime": [0.8, 0.3, 0.4],
        "platform_1": [0.5, 0.8, 0.2],
        "platform_2": [0.1, 0.1, 0.7],
        "category_1": [0.6, 0.1, 0.1],
    }
    frame = {"customer_id": [f"c{i:04d}" for i in range(n)], "events": rng.integers(3, 60, n)}
    for name, levels in means.items():
        center = np.array(levels, dtype=float)[kind]
        frame[name] = center * np.exp(rng.normal(0, 0.18, n))
    frame["trend"] = rng.normal(0, 0.2, n)
    frame["tenure_days"] = rng.integers(1, 900, n)
    return pd.DataFrame(frame), kind


def shuffled(frame, seed=1):
    rng = np.random.default_rng(seed)
    columns = [c for c in frame if c not in ("customer_id", "events")]
    return frame.assign(**{c: rng.permutation(frame[c].to_numpy()) for c in columns})


@pytest.fixture(scope="module")
def found():
    return sg.find_segments(planted()[0], LABELS, most=6)


def test_planted_groups_are_found(found):
    frame, kind = planted()
    assert found.number.value == 3
    assert found.number.case == "groups"
    assert found.number.words["stable"].value == 3
    assert found.number.n == len(frame)
    assert agreement(found.rule.assign(frame), kind) > 0.95
    assert (found.nulls.frame["p"] <= 0.05).all()
    assert (found.stability.frame["overlap"] > 0.9).all()
    assert found.agreement.frame["adjusted_Rand_index"].iloc[0] > 0.95
    assert np.isnan(found.agreement.frame["adjusted_Rand_index"].iloc[1])  # no earlier day
    sizes = pd.Series(found.rule.assign(frame)).value_counts()
    assert found.stability.frame.set_index("segment")["customers"].to_dict() == sizes.to_dict()
    assert found.number.words["name"] == sizes.index[0]
    assert found.number.words["share"].value == sizes.iloc[0] / len(frame)


def test_groups_are_named_by_what_sets_them_apart(found):
    assert len(set(found.rule.names)) == 3
    words = " / ".join(found.rule.names)
    for word in ("Kids", "phone", "long sessions"):
        assert word in words


def test_shuffled_data_has_no_structure():
    verdict = sg.find_segments(shuffled(planted()[0]), LABELS, most=5)
    assert verdict.rule is None
    assert verdict.number.case == "no structure"
    assert "no structure" in verdict.reason or "No division" in verdict.reason


def test_one_cloud_with_related_features_has_no_structure():
    """One factor makes every feature rise together: a long cloud, which can be cut but has no gap."""
    rng = np.random.default_rng(5)
    factor = rng.normal(size=(700, 1))
    noise = rng.normal(size=(700, len(LABELS) + 4))
    values = 1 / (1 + np.exp(-(factor + 0.6 * noise)))
    frame = pd.DataFrame(values, columns=[*LABELS, "minutes", "weekend", "daytime", "trend"]).assign(events=9)
    assert sg.find_segments(frame, LABELS, most=5).rule is None


def test_a_long_skewed_cloud_is_cut_alike_in_both_halves_and_still_has_no_groups():
    """How much a product is liked, skewed over customers, moves all features; there is no gap anywhere."""
    rng = np.random.default_rng([7, 1500])
    liking = rng.gamma(2.0, 1.0, 900)[:, None] - 2.0
    values = 0.7 * liking + rng.normal(size=(900, len(LABELS) + 4))
    frame = pd.DataFrame(
        1 / (1 + np.exp(-values)), columns=[*LABELS, "minutes", "weekend", "daytime", "trend"]
    )
    assert sg.find_segments(frame.assign(events=9), LABELS, most=4).rule is None


def test_customers_with_few_events_are_not_a_group():
    """The same taste for all, seen through few or many events: spread differs, nothing else does."""
    rng = np.random.default_rng(6)
    events = rng.poisson(rng.gamma(1.2, 15, 900)) + 1
    tastes = np.array([rng.multinomial(n, [0.4, 0.3, 0.2, 0.1]) for n in events])
    shares = (tastes + 4 * np.array([0.4, 0.3, 0.2, 0.1])) / (events + 4)[:, None]
    labels = {f"category_{i}": ("category", name) for i, name in enumerate("abcd", 1)}
    frame = pd.DataFrame(shares, columns=list(labels)).assign(events=events, events_a_month=events / 6.0)
    assert sg.find_segments(frame, labels, most=5).rule is None


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"events": [3, 5, 0], "minutes": [1.0, 2.0, np.nan]}), "Only 2 customers"),
        (pd.DataFrame({"events": [0] * 500, "minutes": [np.nan] * 500}), "Only 0 customers"),
        (pd.DataFrame({"events": [4] * 500, "minutes": [30.0] * 500, "weekend": [0.2] * 500}), "alike"),
        (pd.DataFrame({"events": [4] * 500, "minutes": np.arange(500) % 7 + 1.0}), "alike"),
    ],
)
def test_too_few_customers_and_constant_features_are_explained(frame, words):
    verdict = sg.find_segments(frame)
    assert verdict.rule is None
    assert words in verdict.reason


def test_missing_values_are_at_the_center_and_no_use_is_its_own(found):
    frame, _kind = planted(60)
    frame.loc[:9, ["minutes", "category_1"]] = np.nan
    frame.loc[10:14, "events"] = 0
    assigned = found.rule.assign(frame)
    assert set(assigned[10:15]) == {sg.NO_USE}
    assert not pd.isna(assigned).any()
    assert (assigned[:10] != sg.NO_USE).all()


def test_the_order_of_the_rows_does_not_matter(found):
    frame, _kind = planted()
    assert np.array_equal(found.rule.assign(frame[::-1])[::-1], found.rule.assign(frame))


def test_a_rule_survives_json_and_a_broken_one_is_refused(found):
    text = json.dumps(found.rule.to_dict())
    again = sg.Rule.from_dict(json.loads(text))
    frame, _kind = planted(200, seed=3)
    assert np.array_equal(again.assign(frame), found.rule.assign(frame))
    assert again.to_dict() == found.rule.to_dict()
    for broken in ({}, {**json.loads(text), "weights": [[1.0]]}, {"segments": 3}):
        with pytest.raises(InputError, match="frozen segmentation"):
            sg.Rule.from_dict(broken)
    with pytest.raises(InputError, match="'minutes'"):
        again.assign(frame.drop(columns="minutes"))


def test_score_functions_assign_like_the_mixture(found):
    """Quadratic scores give the groups that scikit-learn's mixture gives."""
    y = found.rule.components(planted()[0])
    model = clusters.fit("Gaussian mixture", 3, y, 0, starts=2)
    scores = sg._score_functions(model, "Gaussian mixture")
    rule = sg.Rule(found.rule.features, found.rule.clip, found.rule.weights, scores)
    assert np.array_equal(rule.places(y), model.predict(y))


def test_refitting_an_earlier_day_finds_the_same_groups(found):
    earlier, _kind = planted(seed=8)
    again = sg.refit(earlier, LABELS, found)
    frame, _kind = planted()
    assert sg.agreement(found.rule, again, frame) > 0.95
    assert sg.agreement(found.rule, again, frame) == agreement(found.rule.assign(frame), again.assign(frame))
    assert sg.refit(earlier.head(10), LABELS, found) is None
    assert np.isnan(sg.agreement(found.rule, None, frame))


def test_cut_points_made_with_other_parameters_are_refused():
    frozen = {"days": 180, "currency": "EUR"}
    sg.check_frozen({}, days=90, currency="USD")
    sg.check_frozen(frozen, days=180, currency="EUR")
    with pytest.raises(InputError, match="`days` 180, and this run has 90"):
        sg.check_frozen(frozen, days=90, currency="EUR")
    with pytest.raises(InputError, match="set `currency` to EUR"):
        sg.check_frozen(frozen, days=180, currency="USD")


def test_effect_sizes_cover_the_truth():
    """Two normal groups a standard deviation apart: 95 % intervals of g hold it 95 times in 100."""
    rng = np.random.default_rng(2)
    segments = np.repeat(["a", "b"], [60, 90])
    held = 0
    for _ in range(400):
        frame = pd.DataFrame({"x": np.where(segments == "a", 1.0, 0.0) + rng.normal(size=150)})
        row = sg.effects(frame, segments, ["x"]).iloc[0]
        held += row["g_low"] <= 1 <= row["g_high"]
    assert 0.92 <= held / 400 <= 0.98


def test_base_shares_leave_out_rare_levels_and_kinds_of_one():
    levels = pd.DataFrame(
        {
            "kind": ["platform"] * 3 + ["feature"],
            "level": ["tv", "web", "fridge", "home"],
            "n": [700, 299, 1, 50],
        }
    )
    assert sg.base_shares(levels) == {"platform": {"tv": 0.7, "web": 0.299}}
    assert sg.base_shares(levels.head(0)) == {}
