"""Models of purchases against published numbers and simulated customers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from reference import purchases as published
from tenure.errors import InputError, NotApplicable
from tenure.models import purchases
from tenure.models.purchases import fit_purchases
from tenure.models.spend import fit_spend, spend_independence

# --- published ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cdnow():
    return published.cdnow()


@pytest.mark.parametrize(
    ("model", "known", "close"),
    [
        ("bgnbd", published.BGNBD, 6e-5),
        ("mbgnbd", published.MBGNBD, 6e-5),
        ("pareto", published.PARETO, 2e-3),
    ],
)
def test_models_of_purchases_are_the_published_ones(cdnow, model, known, close):
    fit = fit_purchases(cdnow, model)
    assert fit.customers == 2357
    assert list(fit.values()) == pytest.approx(known[:4], abs=close)
    assert fit.log_likelihood == pytest.approx(known[4], abs=6e-3)
    assert (fit.parameters.frame["value_low"] < fit.parameters.frame["value"]).all()


def test_expectations_of_bg_nbd_are_the_published_ones(cdnow):
    fit = fit_purchases(cdnow)
    assert fit.purchases_of_new(52)[0] == pytest.approx(published.BGNBD_NEW_52, abs=1e-4)
    (x, tx, T), time, known = published.BGNBD_CONDITIONAL
    one = pd.DataFrame({"frequency": [x], "recency": [tx], "T": [T]})
    assert fit.expected_purchases(one, time)[0] == pytest.approx(known, abs=1e-4)


def test_gamma_gamma_is_the_published_one():
    spend = published.cdnow_spend()
    fit = fit_spend(spend)
    p, q, gamma, log_likelihood, mean = published.GAMMA_GAMMA
    assert fit.mean.n == 946
    assert [fit.p, fit.q, fit.gamma] == pytest.approx([p, q, gamma], abs=0.01)
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=6e-3)
    assert fit.mean.value == pytest.approx(mean, abs=6e-3)
    assert fit.mean.low < fit.mean.value < fit.mean.high
    assert fit.tie.n == 946


def test_bg_bb_is_the_published_one():
    fit = fit_purchases(published.DONATIONS, "bgbb")
    assert fit.customers == 11_104
    assert list(fit.values()) == pytest.approx(published.BGBB[:4], abs=6e-4)
    assert fit.log_likelihood == pytest.approx(published.BGBB[4], abs=6e-3)


# --- simulated customers ------------------------------------------------------------------------------

LAWS = {
    "bgnbd": (0.7, 6.0, 0.9, 3.0),
    "mbgnbd": (0.7, 6.0, 0.9, 6.0),
    "pareto": (0.8, 6.0, 0.9, 12.0),
    "bgbb": (1.2, 1.6, 0.7, 4.0),
}


def buyers(model: str, size: int, ahead: float, seed: int = 1) -> pd.DataFrame:
    """Customers drawn one by one: frequency, recency, T, whether still there, and later purchases."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = LAWS[model]
    T = rng.integers(10, 40, size).astype(float)
    if model == "bgbb":
        T = np.full(size, 6.0)
        buys, stops = rng.beta(r, alpha, size), rng.beta(a, b, size)
        x, tx, later, here = (np.zeros(size) for _ in range(4))
        there = np.ones(size, bool)
        for chance in range(1, int(6 + ahead) + 1):
            there &= rng.random(size) >= stops
            here = there.copy() if chance == 7 else here
            bought = there & (rng.random(size) < buys)
            before = chance <= 6
            x += bought & before
            tx = np.where(bought & before, chance, tx)
            later += bought & (not before)
        return pd.DataFrame(
            {"frequency": x, "recency": tx, "T": T, "n": 1, "later": later, "here": here.astype(float)}
        )
    rate = rng.gamma(r, 1 / alpha, size)
    chance = rng.beta(a, b, size) if model != "pareto" else np.zeros(size)
    gone_at = rng.exponential(1 / rng.gamma(a, 1 / b, size)) if model == "pareto" else np.full(size, np.inf)
    time, x, tx, later = (np.zeros(size) for _ in range(4))
    here = gone_at > T
    if model == "mbgnbd":
        gone_at = np.where(rng.random(size) < chance, 0.0, gone_at)
        here = gone_at > T
    going = gone_at > 0
    while going.any():
        time = np.where(going, time + rng.exponential(1, size) / rate, time)
        going &= (time < T + ahead) & (time < gone_at)
        x += going & (time <= T)
        tx = np.where(going & (time <= T), time, tx)
        later += going & (time > T)
        stops = going & (rng.random(size) < chance)
        here &= ~(stops & (time <= T))
        going &= ~stops
    return pd.DataFrame(
        {"frequency": x, "recency": tx, "T": T, "n": 1, "later": later, "here": here.astype(float)}
    )


@pytest.mark.parametrize("model", LAWS)
def test_the_law_is_found_again_and_what_it_predicts_happens(model):
    ahead = 4.0 if model == "bgbb" else 20.0
    rows = buyers(model, 8_000 if model == "pareto" else 30_000, ahead)
    fit = fit_purchases(rows, model)
    for row, truth in zip(fit.parameters.frame.itertuples(), LAWS[model], strict=True):
        half = np.log(row.value_high / row.value)
        assert abs(np.log(row.value / truth)) < 1.7 * half
    alive = fit.probability_alive(rows)
    expected = fit.expected_purchases(rows, ahead)
    for part in (rows["frequency"] == 0, rows["frequency"] == 2, rows["frequency"] > 3, rows["T"] > 0):
        n = part.sum()
        assert alive[part].mean() == pytest.approx(rows.loc[part, "here"].mean(), abs=3 / np.sqrt(n))
        spread = rows.loc[part, "later"].std() / np.sqrt(n)
        assert abs(expected[part].mean() - rows.loc[part, "later"].mean()) < 4 * spread
    wanted = rows.loc[rows["T"] == rows["T"].max(), "frequency"].mean()
    spread = rows["frequency"].std() / np.sqrt((rows["T"] == rows["T"].max()).sum())
    assert abs(fit.purchases_of_new(rows["T"].max())[0] - wanted) < 4 * spread


@pytest.mark.long
def test_calibration_and_totals_hold_what_happens():
    rows = buyers("bgnbd", 6_000, 20.0, seed=3)
    fit = fit_purchases(rows)
    backtest = fit.backtest(rows, 20.0)
    table = backtest.table.frame
    assert table["n"].sum() == 6_000
    inside = (table["expected_low"] <= table["happened"]) & (table["happened"] <= table["expected_high"])
    assert inside.mean() > 0.8
    assert backtest.total["happened"] == pytest.approx(rows["later"].mean())
    assert abs(backtest.error.value) < 0.1
    total = fit.total(rows, 20.0, each=2.0)
    assert total.value == pytest.approx(2 * fit.expected_purchases(rows, 20.0).sum())
    assert total.low < total.value < total.high
    assert total.words["alive"].value == pytest.approx(fit.probability_alive(rows).mean())
    rivals = purchases.compare_purchases(rows, 20.0, models=("bgnbd", "mbgnbd")).frame
    assert rivals.loc[0, "model"] == "BG/NBD"
    again, table = purchases.backtest(rows, 20.0, "bgnbd", models=("bgnbd", "mbgnbd"))
    assert again.error == backtest.error
    assert table.frame["model"].tolist() == ["BG/NBD", "MBG/NBD"]
    assert purchases.backtest(rows.assign(frequency=0, recency=0), 20.0, "bgnbd")[0] is None
    assert abs(rivals.loc[0, "error"]) < 0.1


@pytest.mark.parametrize("model", LAWS)
def test_grouping_and_order_change_nothing(model):
    rows = buyers(model, 800, 4.0, seed=5)[["frequency", "recency", "T", "n"]].round(0)
    grouped = rows.groupby(["frequency", "recency", "T"], as_index=False)["n"].sum()
    one = fit_purchases(rows.sample(frac=1, random_state=1), model)
    two = fit_purchases(grouped.sample(frac=1, random_state=2), model)
    assert two.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-5)
    assert two.estimate == pytest.approx(one.estimate, abs=2e-3)


@pytest.mark.parametrize("model", LAWS)
def test_the_slope_is_that_of_the_likelihood(model):
    rows = buyers(model, 300, 4.0, seed=7)
    x, tx, T = (rows[name].to_numpy() for name in ("frequency", "recency", "T"))
    likelihood = purchases._likelihood(model, x, tx, T, np.ones(len(x)))
    theta = np.log([0.9, 3.0, 0.8, 2.0])
    _, slope = likelihood(theta)
    for i in range(4):
        step = np.eye(4)[i] * 1e-5
        assert slope[i] == pytest.approx(
            (likelihood(theta + step)[0] - likelihood(theta - step)[0]) / 2e-5, rel=1e-3
        )


def spending(size: int, seed: int, tie: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 8, size)
    level = rng.gamma(4, 1 / 1500, size) * x**-tie
    return pd.DataFrame({"frequency": x, "mean_spend": rng.gamma(6 * x, 1 / (x * level)), "n": 1})


def test_spend_is_found_again_and_shrunk_towards_the_mean():
    fit = fit_spend(spending(30_000, 1))
    assert [fit.p, fit.q, fit.gamma] == pytest.approx([6, 4, 1500], rel=0.08)
    assert fit.mean.low < 6 * 1500 / 3 < fit.mean.high
    one = fit.conditional_mean(np.array([0, 1, 100]), np.array([np.nan, 9000.0, 9000.0]))
    assert one[0] == pytest.approx(fit.mean.value)
    assert fit.mean.value < one[1] < one[2] < 9000


def test_independence_of_spend_and_frequency_is_tested():
    free, tied = spend_independence(spending(5_000, 2)), spend_independence(spending(5_000, 2, tie=0.3))
    assert free.low < 0 < free.high
    assert free.case == "independent"
    assert free.words["p"] > 0.01
    assert tied.low > 0
    assert tied.case == "associated"
    assert tied.words["p"] < 1e-6
    # A row of n customers counts as n.
    doubled = spend_independence(spending(5_000, 2).assign(n=2))
    assert doubled.value == pytest.approx(free.value)
    assert doubled.n == 10_000


@pytest.mark.long
def test_intervals_of_parameters_hold_the_truth():
    inside = np.zeros(4)
    for seed in range(40):
        fit = fit_purchases(buyers("bgnbd", 3_000, 0.1, seed=100 + seed))
        table = fit.parameters.frame
        inside += (table["value_low"] < LAWS["bgnbd"]) & (LAWS["bgnbd"] < table["value_high"])
    assert (inside >= 34).all()


# --- what cannot be said ------------------------------------------------------------------------------


def test_data_that_cannot_tell_get_one_clear_sentence():
    once = pd.DataFrame({"frequency": [0], "recency": [0], "T": [10], "n": [50]})
    with pytest.raises(NotApplicable, match="None of the 50 customers who bought has bought again"):
        fit_purchases(once)
    with pytest.raises(NotApplicable, match="Nobody has bought anything"):
        fit_purchases(once.assign(n=0))
    with pytest.raises(InputError, match=r"1 of 1 rows of purchases contradict themselves.*recency"):
        fit_purchases(once.assign(recency=3))
    with pytest.raises(InputError, match="no column T"):
        fit_purchases(once.drop(columns="T"))
    with pytest.raises(InputError, match="`model` is 'nbd'"):
        fit_purchases(once, "nbd")
    with pytest.raises(InputError, match="contradict"):
        fit_purchases(pd.DataFrame({"frequency": [3], "recency": [2], "T": [6], "n": [5]}), "bgbb")
    with pytest.raises(NotApplicable, match="Only 3 customers bought again"):
        fit_spend(pd.DataFrame({"frequency": [1], "mean_spend": [10.0], "n": [3]}))
    with pytest.raises(InputError, match="mean_spend must be above 0"):
        fit_spend(pd.DataFrame({"frequency": [1, 2], "mean_spend": [10.0, 0.0], "n": [30, 30]}))
    with pytest.raises(NotApplicable, match="all of them alike"):
        spend_independence(pd.DataFrame({"frequency": [1], "mean_spend": [10.0], "n": [30]}))


def test_a_model_whose_parameters_run_away_is_left_out(monkeypatch):
    rows, two = buyers("bgnbd", 2_000, 20.0, seed=3), ("bgnbd", "mbgnbd")
    assert len(purchases.compare_purchases(rows, 20.0, models=two)) == 2
    real = purchases.minimize

    def away(loss, start, **options):
        if start[0] == np.log(0.51):
            raise np.linalg.LinAlgError("Eigenvalues did not converge")
        return real(loss, start, **options)

    elsewhere = purchases.MODELS["mbgnbd"]._replace(starts=((0.51, 1.0, 0.8, 2.5),))
    monkeypatch.setitem(purchases.MODELS, "mbgnbd", elsewhere)
    monkeypatch.setattr(purchases, "minimize", away)
    assert purchases.compare_purchases(rows, 20.0, models=two).frame["model"].tolist() == ["BG/NBD"]
    likeliest = purchases.likeliest_purchases(rows, models=two)
    assert (likeliest.model, likeliest.left_out) == ("bgnbd", ("MBG/NBD",))
    with pytest.raises(NotApplicable, match="do not determine the parameters of the MBG/NBD model"):
        purchases.likeliest_purchases(rows, models=("mbgnbd",))


def test_customers_who_all_buy_alike_end_well():
    alike = pd.DataFrame({"frequency": [5], "recency": [25.0], "T": [30.0], "n": [500]})
    fit = fit_purchases(alike)
    assert np.isfinite(fit.log_likelihood)
    assert 0 < fit.probability_alive(alike)[0] <= 1
    assert 0.5 < fit.expected_purchases(alike, 6.0)[0] < 1.5


FEW = {
    "four rows": ([0, 1, 2, 4], [0, 10, 25, 30], 38, 1),
    "one customer": ([3], [10], 30, 1),
    "all with the same recency": ([1, 2, 3, 4], 5, 30, [10, 20, 5, 3]),
    "all alike": ([2], 10, 30, 1_000),
    "bought last on the last day": ([1, 2, 3], [10, 20, 30], [10, 20, 30], 10),
    "a million of each": ([0, 1, 2, 4], [0, 10, 25, 30], 38, 10**6),
    "often": ([0, 1_000, 100_000], [0, 10, 30], 38, [10, 10, 1]),
    "a day ago": ([0, 1], 0, 1, [10, 1]),
}


@pytest.mark.parametrize("kind", FEW)
def test_any_table_of_sales_is_fitted_by_the_models_that_can(kind):
    x, tx, T, n = FEW[kind]
    rows = pd.DataFrame({"frequency": x, "recency": tx, "T": T, "n": n}).astype({"recency": float})
    fit = purchases.likeliest_purchases(rows)
    assert len(fit.left_out) < 3
    ahead = fit.total(rows, 52.0)
    assert np.isfinite([ahead.value, ahead.low, ahead.high]).all()
    assert np.isfinite(fit.scores(rows, 52.0).to_numpy()).all()
    purchases.backtest(rows.assign(later=rows["n"]), 10.0, fit.model)
