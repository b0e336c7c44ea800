"""Latent classes: planted ones are found as well as can be, missing answers and covariates included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.models import latent
from tenure.stats import clusters

CHANCES = np.array([[0.9, 0.85, 0.1, 0.2, 0.8, 0.3], [0.15, 0.3, 0.85, 0.8, 0.3, 0.7]])


def answers(n=700, seed=0, missing=0.1, tie=0.0):
    """Two classes of people; `tie` is how much a characteristic raises the log odds of the second."""
    rng = np.random.default_rng(seed)
    having = rng.random(n) < 0.5
    second = rng.random(n) < 1 / (1 + np.exp(0.3 - tie * having))
    agrees = rng.random((n, CHANCES.shape[1])) < CHANCES[second.astype(int)]
    codes = np.where(rng.random(agrees.shape) < missing, np.nan, agrees.astype(float))
    names = [f"q{i}" for i in range(CHANCES.shape[1])]
    frame = pd.DataFrame(
        codes, columns=names, index=pd.Index([f"c{i}" for i in range(n)], name="customer_id")
    )
    levels = dict.fromkeys(names, ("does not agree", "agrees"))
    return latent.Items(frame[frame.notna().any(axis=1)], levels), second, having


@pytest.fixture(scope="module")
def found():
    return latent.find_classes(answers()[0], most=4)


@pytest.mark.long
def test_the_planted_number_of_classes_is_found_with_missing_answers(found):
    assert found.k == 2
    assert found.structure
    assert (found.number.value, found.number.case, found.number.n) == (2, "classes", found.n)
    assert 0.5 < found.evidence.frame.set_index("k").loc[2, "entropy"] < 1
    assert found.classes.frame["share"].sum() == pytest.approx(1)


@pytest.mark.long
def test_classes_are_found_about_as_well_as_with_known_chances(found):
    items, second, _having = answers()
    index = items.codes.index.str[1:].astype(int)
    codes = items.codes.to_numpy()
    known = ~np.isnan(codes)
    odds = np.zeros(len(codes))
    for c, sign in ((1, 1), (0, -1)):
        logs = np.where(codes == 1, np.log(CHANCES[c]), np.log(1 - CHANCES[c]))
        odds += sign * np.where(known, logs, 0).sum(axis=1)
    best = odds - 0.3 > 0

    def index_of(labels):
        counts = pd.DataFrame({"segment": labels, "other": second[index], "n": 1})
        return clusters.rand_index(counts.groupby(["segment", "other"]).sum().reset_index())

    assert index_of(found.members["segment"].to_numpy()) > index_of(best) - 0.06


def test_the_profile_has_the_planted_chances(found):
    order = found.classes.frame["segment"].tolist()
    agree = found.profile.frame[found.profile.frame["answer"] == "agrees"]
    chances = agree.pivot_table(index="segment", columns="question", values="chance").loc[order].to_numpy()
    nearest = [np.abs(CHANCES - row).max(axis=1).argmin() for row in chances]
    assert sorted(nearest) == [0, 1]
    assert np.abs(chances - CHANCES[nearest]).max() < 0.12


@pytest.mark.long
def test_people_who_answer_by_chance_are_one_class():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.integers(0, 2, (600, 5)).astype(float), columns=list("abcde"))
    frame.index.name = "customer_id"
    verdict = latent.find_classes(
        latent.Items(frame, dict.fromkeys("abcde", ("does not agree", "agrees"))), most=3
    )
    assert verdict.k == 1
    assert not verdict.structure
    assert verdict.number.case == "one class"
    nothing = latent.class_covariates(verdict, pd.DataFrame())
    assert len(nothing) == 0
    assert "no classes" in nothing.notes[0]


def test_three_steps_undo_the_bias_of_wrong_assignment():
    """Odds of being of a class by a characteristic: unadjusted they are too small, adjusted not."""
    truth, adjusted, naive = 1.2, [], []
    for seed in range(6):
        items, _second, having = answers(900, seed=seed, tie=truth, missing=0.25)
        found = latent.find_classes(items, most=2)
        index = items.codes.index.str[1:].astype(int)
        traits = pd.DataFrame({"has": np.where(having, "yes", "no")[index]}, index=items.codes.index)
        row = latent.class_covariates(found, traits).frame.iloc[0]
        # Which class and which level are the reference is a matter of size.
        order = found.classes.frame["segment"].tolist()
        agree = found.profile.frame.query("answer == 'agrees' and question == 'q2'").set_index("segment")[
            "chance"
        ]
        sign = (1 if agree[order[1]] > agree[order[0]] else -1) * (1 if row["level"] == "yes" else -1)
        adjusted.append(sign * np.log(row["ratio"]))
        seen = found.members["segment"].to_numpy() == row["segment"]
        has = (traits["has"] == row["level"]).to_numpy()
        odds = (seen & has).sum() * (~seen & ~has).sum() / ((seen & ~has).sum() * (~seen & has).sum())
        naive.append(sign * np.log(odds))
        low, high = np.log(row["ratio_low"]), np.log(row["ratio_high"])
        assert low < np.log(row["ratio"]) < high
    assert np.mean(naive) < truth - 0.15
    assert abs(np.mean(adjusted) - truth) < 0.15


def test_the_number_of_characteristics_is_limited_by_the_number_of_answers(found):
    items, _second, having = answers()
    index = items.codes.index.str[1:].astype(int)
    many = [f"town {i}" for i in index % 80]
    traits = pd.DataFrame(
        {"town": many, "has": np.where(having, "yes", "no")[index]}, index=items.codes.index
    )
    related = latent.class_covariates(found, traits)
    assert related.notes == ["Too few answered to look at town."]
    assert set(related.frame["characteristic"]) == {"has"}
    alone = latent.class_covariates(found, traits[["town"]])
    assert len(alone) == 0
    assert "too few answered" in alone.notes[0]


def test_the_third_step_agrees_with_stepmix(found):
    """StepMix's own three steps with maximum likelihood give the same coefficients."""
    from stepmix import StepMix

    items, _second, having = answers(tie=0.8)
    again = latent.find_classes(items, most=2)
    index = items.codes.index.str[1:].astype(int)
    traits = pd.DataFrame({"has": np.where(having, "yes", "no")[index]}, index=items.codes.index)
    row = latent.class_covariates(again, traits).frame.iloc[0]
    dummy = (traits["has"] == row["level"]).astype(float).to_numpy()[:, None]
    model = StepMix(
        2, measurement="categorical_nan", structural="covariate", n_steps=3, correction="ML", assignment="modal",
        n_init=4, random_state=0, progress_bar=0, abs_tol=1e-7,
    ).fit(items.codes, dummy)  # fmt: skip
    beta = np.asarray(model.get_parameters()["structural"]["beta"])
    assert abs(np.log(row["ratio"])) == pytest.approx(abs(beta[1, -1] - beta[0, -1]), abs=0.05)


def test_too_few_answers_and_too_few_questions_are_explained():
    items, _second, _having = answers(60)
    few = latent.find_classes(items)
    assert "at least 100" in few.reason
    assert (few.number.case, few.structure) == ("not available", False)
    one = pd.DataFrame({"customer_id": ["a", "b"], "score_1": [5.0, 1.0], "answer_1": [None, None]})
    asked = pd.DataFrame({"question": ["q"], "answered": [2], "scores": [2], "least": [1.0], "most": [5.0]})
    assert "Fewer than two" in latent.find_classes(latent.encode(one, asked)).reason
