"""Cox regression on counts against published numbers, lifelines on the rows, and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar

from reference import survival as published
from simulations import coverage_survival as simulation
from tenure.errors import InputError, NotApplicable
from tenure.stats.regression import _efron, cox_regression, proportionality, split_hazard_ratios


def rossi() -> pd.DataFrame:
    from lifelines.datasets import load_rossi

    return load_rossi().rename(columns={"week": "exit", "arrest": "event"})


def subscribers(seed: int, size: int = 1500, *, late: bool = True) -> pd.DataFrame:
    """Subscribers seen in whole months, many leaving in the same one, some watched only from later on."""
    rng = np.random.default_rng(seed)
    plan, channel = rng.choice(["basic", "plus", "pro"], size), rng.choice(["ads", "friends"], size)
    rate = 0.08 * np.exp(0.4 * (plan == "basic") - 0.5 * (plan == "pro") + 0.3 * (channel == "ads"))
    leaving = np.ceil(rng.exponential(1 / rate)).astype(int)
    entry = np.where(rng.random(size) < 0.4, rng.integers(1, 8, size), 0) if late else np.zeros(size, int)
    watched = entry + rng.integers(1, 20, size)
    frame = {
        "plan": plan,
        "channel": channel,
        "entry": entry,
        "exit": np.minimum(leaving, watched),
        "event": (leaving <= watched).astype(int),
    }
    frame = pd.DataFrame(frame)
    return frame[frame["exit"] > frame["entry"]].reset_index(drop=True)


def counted(people: pd.DataFrame) -> pd.DataFrame:
    return people.groupby(list(people.columns)).size().rename("n").reset_index()


def by_name(fit) -> pd.DataFrame:
    name = (fit.table["covariate"] + " " + fit.table["level"]).str.strip()
    return fit.table.set_index(name)


# --- published numbers --------------------------------------------------------------------------------


def test_rossi_is_the_published_fit():
    fit = cox_regression(rossi(), list(published.ROSSI_COX))
    for name, expected in published.ROSSI_COX.items():
        row = by_name(fit).loc[name]
        assert (row["coefficient"], row["standard_error"]) == pytest.approx(expected, abs=6e-6)
        assert row["hazard_ratio"] == pytest.approx(math.exp(row["coefficient"]))
        assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(row["z"])))
    assert fit.log_likelihood == pytest.approx(published.ROSSI_LOG_LIKELIHOOD, abs=5e-4)
    assert fit.chi2 == pytest.approx(published.ROSSI_LIKELIHOOD_RATIO, abs=5e-3)
    assert (fit.n, fit.events, fit.df) == (432, 114, 7)


def test_lung_and_freireich_are_the_published_fits():
    from lifelines.datasets import load_lung

    lung = load_lung().rename(columns={"time": "exit", "status": "event"}).dropna(subset=["ph.ecog"])
    fit = by_name(cox_regression(lung, list(published.LUNG_COX)))
    for name, expected in published.LUNG_COX.items():
        assert fit.loc[name, ["coefficient", "standard_error"]].tolist() == pytest.approx(expected, abs=1e-6)

    arms = {"6-MP": published.FREIREICH_6MP, "control": published.FREIREICH_PLACEBO}
    rows = [(arm, week, event) for arm, people in arms.items() for week, event in people]
    fit = cox_regression(
        pd.DataFrame(rows, columns=["treat", "exit", "event"]), ["treat"], reference={"treat": "6-MP"}
    )
    row = by_name(fit).loc["treat control"]
    coefficient, error, ratio = published.FREIREICH_COX
    assert row["coefficient"] == pytest.approx(coefficient, abs=5e-3)
    assert row["standard_error"] == pytest.approx(error, abs=5e-4)
    assert fit.chi2 == pytest.approx(ratio, abs=0.05)


def test_proportionality_is_the_published_test():
    columns = ["exit", "event", "age", "resid.ds", "rx", "ecog.ps"]
    frame = pd.DataFrame(published.OVARIAN, columns=columns)
    test = proportionality(cox_regression(frame, ["age", "ecog.ps"]))
    expected = published.OVARIAN_PROPORTIONALITY
    chi2 = test.table.set_index("covariate")["chi2"]
    assert chi2["age"] == pytest.approx(expected["age"], abs=5e-4)
    assert chi2["ecog.ps"] == pytest.approx(expected["ecog.ps"], abs=5e-4)
    assert (test.chi2, test.df) == (pytest.approx(expected["all"], abs=5e-4), 2)


# --- the rows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("late", "strata"), [(False, ()), (True, ()), (True, ("channel",))])
def test_the_fit_on_counts_is_lifelines_fit_on_the_rows(late, strata):
    from lifelines import CoxPHFitter

    people = subscribers(1, late=late)
    covariates = ["plan"] if strata else ["plan", "channel"]
    fit = cox_regression(counted(people), covariates, reference={"plan": "plus"}, strata=strata)
    design = people.assign(
        **{"plan basic": people["plan"] == "basic", "plan pro": people["plan"] == "pro"},
        **({} if strata else {"channel friends": people["channel"] == "friends"}),
    ).drop(columns=covariates)
    design = design.astype({c: float for c in design.columns if " " in c})
    options = {"fit_options": {"precision": 1e-10, "r_precision": 1e-12}, "strata": list(strata) or None}
    theirs = CoxPHFitter().fit(design, "exit", "event", entry_col="entry", **options)
    ours = by_name(fit)
    for name in theirs.params_.index:
        sign = -1 if name == "channel friends" and "channel friends" not in ours.dropna().index else 1
        other = "channel ads" if sign < 0 else name
        assert ours.loc[other, "coefficient"] == pytest.approx(sign * theirs.params_[name], abs=1e-6)
        assert ours.loc[other, "standard_error"] == pytest.approx(theirs.standard_errors_[name], abs=1e-6)
    assert fit.log_likelihood == pytest.approx(theirs.log_likelihood_, abs=1e-6)
    assert (fit.n, fit.events) == (len(people), people["event"].sum())


def row_log_likelihood(people: pd.DataFrame, x: np.ndarray, beta: float) -> float:
    """Efron's partial log-likelihood, person by person."""
    entry, exit_, event = (people[c].to_numpy() for c in ("entry", "exit", "event"))
    total = 0.0
    for t in sorted(set(exit_[event == 1])):
        risk = sum(math.exp(beta * x[i]) for i in range(len(x)) if entry[i] < t <= exit_[i])
        dead = [i for i in range(len(x)) if exit_[i] == t and event[i] == 1]
        tied = sum(math.exp(beta * x[i]) for i in dead)
        total += sum(beta * x[i] for i in dead)
        total -= sum(math.log(risk - step / len(dead) * tied) for step in range(len(dead)))
    return total


@st.composite
def small_crowds(draw):
    rows = []
    for _ in range(draw(st.integers(4, 25))):
        end = draw(st.integers(1, 5))
        rows.append(
            (
                draw(st.sampled_from([0.0, 1.0, 2.5])),
                draw(st.integers(0, end - 1)),
                end,
                draw(st.sampled_from([0, 1, 1])),
            )
        )
    return pd.DataFrame(rows, columns=["x", "entry", "exit", "event"])


@given(small_crowds(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_likelihood_is_efrons_person_by_person(people, random):
    try:
        fit = cox_regression(counted(people), ["x"])
    except NotApplicable:
        return
    x = people["x"].to_numpy()
    assert fit.log_likelihood_null == pytest.approx(row_log_likelihood(people, x, 0), abs=1e-9)
    beta = fit.table.loc[0, "coefficient"]
    if math.isnan(beta):
        assert fit.notes
        return
    assert fit.log_likelihood == pytest.approx(row_log_likelihood(people, x, beta), abs=1e-8)
    best = minimize_scalar(
        lambda b: -row_log_likelihood(people, x, b), bounds=(beta - 3, beta + 3), method="bounded"
    )
    assert fit.log_likelihood >= -best.fun - 1e-6
    rows = list(range(len(people)))
    random.shuffle(rows)
    again = cox_regression(people.iloc[rows], ["x"])
    pd.testing.assert_frame_equal(again.table, fit.table)
    assert again.log_likelihood == fit.log_likelihood


def test_rows_may_be_split_shuffled_or_empty():
    counts = counted(subscribers(2))
    half = counts.assign(n=counts["n"] // 2)
    rest = counts.assign(n=counts["n"] - half["n"])
    parts = pd.concat([half, rest, counts.assign(n=0)]).sample(frac=1, random_state=1)
    whole, split = (cox_regression(c, ["plan", "channel"]) for c in (counts, parts))
    pd.testing.assert_frame_equal(whole.table, split.table)
    assert whole.log_likelihood == split.log_likelihood


def test_schoenfeld_residuals_add_up_to_lifelines():
    from lifelines import CoxPHFitter

    frame = rossi()[["fin", "age", "prio", "exit", "event"]]
    options = {"precision": 1e-10, "r_precision": 1e-12}
    theirs = CoxPHFitter().fit(frame, "exit", "event", fit_options=options)
    residuals = theirs.compute_residuals(frame, kind="schoenfeld")
    sums = residuals.groupby(frame["exit"].loc[residuals.index]).sum()
    fit = cox_regression(frame, ["fin", "age", "prio"])
    (part,) = fit._sets
    scores = _efron(part, fit.table["coefficient"].to_numpy())[1]
    # lifelines' residuals take Breslow's mean among ties; they agree where one leaves alone.
    alone = part.events.sum(axis=1) == 1
    assert alone.sum() >= 5
    np.testing.assert_allclose(scores[alone], sums[["fin", "age", "prio"]].to_numpy()[alone], atol=1e-5)


def test_proportionality_agrees_with_lifelines_approximation():
    from lifelines import CoxPHFitter
    from lifelines.statistics import proportional_hazard_test

    frame = rossi()[["fin", "age", "prio", "exit", "event"]]
    theirs = proportional_hazard_test(CoxPHFitter().fit(frame, "exit", "event"), frame, time_transform="km")
    ours = proportionality(cox_regression(frame, ["fin", "age", "prio"])).table
    # lifelines has the older approximation: near, not equal.
    np.testing.assert_allclose(ours["chi2"], theirs.test_statistic, atol=0.3)
    assert (ours["p"] < 0.05).tolist() == [False, True, False]


# --- meaning ------------------------------------------------------------------------------------------


def test_two_groups_without_ties_are_the_log_rank_score():
    """The score test of a single 0/1 covariate at 0 is the log-rank test."""
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"x": rng.integers(0, 2, 60), "exit": rng.permutation(60) + 1, "event": 1})
    fit = cox_regression(people, ["x"])
    (part,) = fit._sets
    _, score, information = _efron(part, np.zeros(1))
    chi2 = score.sum() ** 2 / information.sum()
    from lifelines.statistics import multivariate_logrank_test

    test = multivariate_logrank_test(people["exit"], people["x"], people["event"])
    assert chi2 == pytest.approx(test.test_statistic, rel=1e-9)


def test_levels_and_references():
    counts = counted(subscribers(3))
    fit = cox_regression(counts, ["plan", "channel"])
    most = counts.groupby("plan")["n"].sum().idxmax()
    reference = fit.table[fit.table["reference"]].set_index("covariate")
    assert reference.loc["plan", "level"] == most
    assert reference.loc["plan", "hazard_ratio"] == 1
    assert math.isnan(reference.loc["plan", "low"])
    totals = counts.assign(left=counts["n"] * counts["event"]).groupby("plan")[["n", "left"]].sum()
    plans = fit.table[fit.table["covariate"] == "plan"].set_index("level")
    assert plans["n"].to_dict() == totals["n"].to_dict()
    assert plans["events"].to_dict() == totals["left"].to_dict()

    one, other = (cox_regression(counts, ["plan"], reference={"plan": p}) for p in ("pro", "basic"))
    assert by_name(one).loc["plan basic", "hazard_ratio"] == pytest.approx(
        1 / by_name(other).loc["plan pro", "hazard_ratio"]
    )
    assert one.tests.loc[0, "chi2"] == pytest.approx(other.tests.loc[0, "chi2"])
    assert one.tests.loc[0, "df"] == 2
    categories = counts.assign(plan=pd.Categorical(counts["plan"], ["pro", "plus", "basic"]))
    ordered = cox_regression(categories, ["plan"]).table
    assert ordered["level"].tolist() == ["pro", "plus", "basic"]
    assert ordered["reference"].tolist() == [True, False, False]
    flags = counts.assign(friend=counts["channel"] == "friends")
    assert cox_regression(flags, ["friend"]).table["reference"].tolist() == [True, False]


def test_a_level_in_which_nobody_left_gets_a_note_and_changes_nothing_else():
    counts = counted(subscribers(4))
    silent = pd.DataFrame(
        {
            "plan": "gift",
            "channel": ["ads", "friends"],
            "entry": 0,
            "exit": [9, 12],
            "event": 0,
            "n": [30, 40],
        }
    )
    fit = cox_regression(pd.concat([counts, silent]), ["plan", "channel"], reference={"plan": "plus"})
    without = cox_regression(counts, ["plan", "channel"], reference={"plan": "plus"})
    row = by_name(fit).loc["plan gift"]
    assert (row["n"], row["events"]) == (70, 0)
    assert row[["coefficient", "hazard_ratio", "low", "high", "p"]].isna().all()
    assert "nobody left in gift (70 subscribers)" in fit.notes[0]
    estimates = ["coefficient", "standard_error", "low", "high", "p", "events"]
    shared = by_name(without)[estimates]
    pd.testing.assert_frame_equal(by_name(fit).loc[shared.index, estimates], shared)
    with pytest.raises(InputError, match="nobody left"):
        cox_regression(pd.concat([counts, silent]), ["plan"], reference={"plan": "gift"})
    many = silent.assign(n=5000)
    assert "compared with" in cox_regression(pd.concat([counts, many]), ["plan"]).notes[0]


def test_what_says_nothing_gets_a_note():
    counts = counted(subscribers(5))
    same = counts.assign(copy=counts["plan"], country="IT", constant=3.0)
    fit = cox_regression(same, ["plan", "copy", "country", "constant"])
    alone = cox_regression(counts, ["plan"])
    assert fit.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-9)
    table = by_name(fit)
    assert table.loc[["constant", "copy basic"], "hazard_ratio"].isna().any()
    assert table.loc["copy pro", "hazard_ratio"] != table.loc["copy pro", "hazard_ratio"]
    assert any(note.startswith("country: there is only IT") for note in fit.notes)
    assert any(note.startswith("copy ") for note in fit.notes)
    assert any(note.startswith("constant") for note in fit.notes)
    for covariates in (["country"], ["constant"], ["country", "constant"]):
        with pytest.raises(NotApplicable):
            cox_regression(same, covariates)


def test_perfect_separation_gets_a_note_not_a_number():
    rows = [(x, t, 1) for t, x in enumerate([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], start=1)]
    people = pd.DataFrame(rows, columns=["x", "exit", "event"])
    people["noise"] = [0, 1, 1, 0, 1, 0, 1]
    fit = cox_regression(people, ["x"])
    assert fit.table["hazard_ratio"].isna().all()
    assert "x: it tells exactly who left first" in fit.notes[0]
    assert math.isnan(proportionality(fit).p)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="exit"), "no column exit"),
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.assign(plan=t["plan"].where(t.index > 2)), "Column plan .* empty in 3 of"),
        (lambda t: t.assign(event=2), "Column event .* 0 or 1"),
        (lambda t: t.assign(n=-1), "Column n .* from 0 up"),
        (lambda t: t.assign(exit=t["entry"]), "exit .* not after entry in"),
        (lambda t: t.assign(exit="soon"), "Column exit .* such as 'soon'"),
    ],
)
def test_a_bad_table_is_refused_in_one_sentence(change, sentence):
    with pytest.raises(InputError, match=sentence) as raised:
        cox_regression(change(counted(subscribers(6, 200))), ["plan"])
    assert "\n" not in str(raised.value)


def test_bad_options_are_refused():
    counts = counted(subscribers(6, 200))
    for options in (
        {"covariates": ["typo"]},
        {"covariates": []},
        {"covariates": ["plan", "plan"]},
        {"covariates": ["plan"], "strata": ["plan"]},
        {"covariates": ["plan"], "reference": {"plan": "typo"}},
        {"covariates": ["plan"], "reference": {"channel": "ads"}},
        {"covariates": ["plan"], "level": 2},
    ):
        with pytest.raises(InputError):
            cox_regression(counts, **options)
    with pytest.raises(NotApplicable, match="Nobody left"):
        cox_regression(counts.assign(event=0), ["plan"])
    with pytest.raises(InputError, match="transform"):
        proportionality(cox_regression(counts, ["plan"]), transform="typo")
    with pytest.raises(InputError, match="`at`"):
        split_hazard_ratios(counts, ["plan"], at=500)


# --- when hazard ratios change ------------------------------------------------------------------------


def crossing(seed: int, late_ratio: float, size: int = 4000) -> pd.DataFrame:
    """Plan B has twice the hazard in the first six months and `late_ratio` times it after."""
    rng = np.random.default_rng(seed)
    plan = rng.integers(0, 2, size)
    month = np.arange(1, 25)
    ratio = np.where(month <= 6, 2.0, late_ratio)
    rate = 0.05 * np.where(plan[:, None] == 1, ratio, 1.0)
    leaving = 1 + (np.cumsum(rate, axis=1) < rng.exponential(size=(size, 1))).sum(axis=1)
    watched = rng.integers(6, 25, size)
    return pd.DataFrame(
        {
            "plan": np.where(plan, "B", "A"),
            "exit": np.minimum(leaving, watched),
            "event": (leaving <= watched).astype(int),
        }
    )


@pytest.mark.parametrize("transform", ["km", "rank", "identity", "log"])
def test_crossing_hazards_are_noticed(transform):
    fit = cox_regression(counted(crossing(1, 0.5)), ["plan"])
    assert proportionality(fit, transform=transform).p < 1e-6


def test_proportional_hazards_are_not_accused():
    p = [proportionality(cox_regression(counted(crossing(s, 2.0, 800)), ["plan"])).p for s in range(100)]
    assert 0.01 <= np.mean(np.array(p) < 0.05) <= 0.11


def test_early_and_late_hazard_ratios_are_found():
    split = split_hazard_ratios(counted(crossing(2, 0.5, 8000)), ["plan"], at=6, reference={"plan": "A"})
    row = split.table.iloc[0]
    assert row["early_low"] < 2 < row["early_high"]
    assert row["late_low"] < 0.5 < row["late_high"]
    assert row["ratio"] == pytest.approx(row["late"] / row["early"])
    assert row["ratio_low"] < 0.25 < row["ratio_high"]
    assert row["p_adjusted"] < 1e-6
    assert split_hazard_ratios(counted(crossing(2, 0.5)), ["plan"]).at <= 8


def test_the_split_is_two_fits_on_the_parts():
    people = subscribers(7)
    split = split_hazard_ratios(counted(people), ["plan", "channel"], at=5)
    late = people[people["exit"] > 5].assign(entry=lambda t: t["entry"].clip(lower=5))
    references = split.late.table[split.late.table["reference"]].set_index("covariate")["level"].to_dict()
    expected = cox_regression(late, ["plan", "channel"], reference=references)
    pd.testing.assert_frame_equal(split.late.table, expected.table)
    assert split.early.events + split.late.events == people["event"].sum()
    assert split.table["covariate"].tolist() == ["plan", "plan", "channel"]
    together = split.early.log_likelihood + split.late.log_likelihood
    assert together > cox_regression(people, ["plan", "channel"]).log_likelihood


def test_strata_take_out_what_differs_between_them():
    rng = np.random.default_rng(9)
    shop = rng.integers(0, 2, 6000)
    plan = (rng.random(6000) < np.where(shop, 0.8, 0.2)).astype(int)
    leaving = rng.geometric(1 - np.exp(-0.03 * np.exp(1.0 * shop + 0.4 * plan)))
    watched = rng.integers(1, 30, 6000)
    event = (leaving <= watched).astype(int)
    exit_ = np.minimum(leaving, watched)
    people = pd.DataFrame({"plan": plan, "shop": shop, "exit": exit_, "event": event})
    row = cox_regression(people, ["plan"], strata="shop").table.iloc[0]
    assert row["low"] < math.exp(0.4) < row["high"]
    assert cox_regression(people, ["plan"]).table.loc[0, "low"] > math.exp(0.4)


def test_intervals_of_hazard_ratios_hold_the_truth():
    for name, share in simulation.hazard_ratios(22, 200, 500):
        assert 0.90 <= share <= 0.985, name
