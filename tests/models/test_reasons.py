"""Reasons for leaving, against published numbers, other libraries, calculations by hand and simulations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

from tenure.errors import InputError, NotApplicable
from tenure.models import reasons as r
from tenure.result import Estimate

EUR = {"EUR": 1.0}


def answers(counts, silent=0, *, cause="voluntary", plan="A", band=0, each=1000.0):
    """Rows of `answer_counts`: how many gave each answer, and how many were asked and gave none."""
    rows = [(answer, n) for answer, n in counts.items()] + ([(None, silent)] if silent else [])
    frame = pd.DataFrame(rows, columns=["answer", "n"])
    frame = frame.assign(cause=cause, asked=1, plan=plan, band=band, currency="EUR")
    return frame.assign(amount_minor=frame["n"] * each, squares=frame["n"] * each**2)


# --- what they say -----------------------------------------------------------------------------------

# IBM Telco's churn categories of 1,869 customers who left.
TELCO = {
    "Competitor": (841, 0.449973, 0.427545, 0.472607),
    "Attitude": (314, 0.168004, 0.151739, 0.185631),
    "Dissatisfaction": (303, 0.162119, 0.146106, 0.179518),
    "Price": (211, 0.112895, 0.099334, 0.128043),
    "Other": (200, 0.107009, 0.093792, 0.121838),
}


def test_the_shares_of_ibm_telco_are_the_known_ones():
    found = r.stated(answers({name: row[0] for name, row in TELCO.items()}), EUR).table.frame
    assert found["reason"].tolist() == list(TELCO)
    shown = found.set_index("reason")[["share", "share_low", "share_high"]]
    for name, (_n, *numbers) in TELCO.items():
        assert shown.loc[name].tolist() == pytest.approx(numbers, abs=5e-7)


def test_with_equal_amounts_and_one_stratum_all_three_shares_are_the_same():
    row = r.stated(answers({"price": 60, "other": 40}, silent=50), EUR).table.frame.iloc[0]
    for name in ("of_revenue", "reweighted"):
        for end in ("", "_low", "_high"):
            assert row[name + end] == pytest.approx(row["share" + end], abs=1e-9)
    assert (row["least"], row["most"]) == (60 / 150, 110 / 150)


def test_large_customers_count_for_more_and_make_it_less_sure():
    counts = pd.concat([answers({"price": 50}, each=9000.0), answers({"other": 50}, silent=20, each=1000.0)])
    row = r.stated(counts, EUR).table.frame.set_index("reason").loc["price"]
    assert row["of_revenue"] == pytest.approx(0.9)
    variance = (50 * 9000**2 * 0.1**2 + 50 * 1000**2 * 0.9**2) / 500_000**2
    low, high = proportion_confint(0.9 * 0.09 / variance, 0.09 / variance, method="wilson")
    assert (row["of_revenue_low"], row["of_revenue_high"]) == pytest.approx((low, high))


def test_reweighting_restores_the_mix_of_those_asked():
    # Of plan A everybody answers, of B one in ten; in A they say price, in B other.
    counts = pd.concat(
        [answers({"price": 90, "other": 10}), answers({"price": 1, "other": 9}, silent=90, plan="B")]
    )
    row = r.stated(counts, EUR).table.frame.set_index("reason").loc["price"]
    assert row["share"] == pytest.approx(91 / 110)
    assert row["reweighted"] == pytest.approx(0.5 * 0.9 + 0.5 * 0.1)


def test_involuntary_ends_stay_out_and_answers_are_mapped():
    counts = pd.concat(
        [answers({"costs": 20, "dear": 20, "bugs": 10}), answers({"costs": 99}, cause="involuntary")]
    )
    found = r.stated(counts, EUR, reasons={"costs": "price", "dear": "price"})
    assert found.table.frame[["reason", "answers"]].to_numpy().tolist() == [
        ["price", 40],
        ["in other words", 10],
    ]
    assert found.first.words["unmapped"] == 10
    assert found.responded.n == 50


@pytest.mark.parametrize(
    ("counts", "case"),
    [
        (answers({}, silent=50), "silent"),
        (answers({"price": 29}), "few"),
        (answers({f"words {k}": 2 for k in range(40)}), "free text"),
        (answers({}), "silent"),
    ],
)
def test_what_cannot_be_counted_has_no_share(counts, case):
    found = r.stated(counts, EUR)
    assert found.first.case == case
    assert not found.first.known
    assert found.table.frame.empty
    assert r.price_evidence(found, Estimate(1.0, 0.9, 1.1, case="not clear")).case == "not asked"


def test_scores_are_no_reasons_and_questions_must_be_asked():
    asked = pd.DataFrame({"question": ["reason", "stars"], "answers": [40, 0], "scores": [0, 60]})
    assert r.question_of(asked) == "reason"
    with pytest.raises(NotApplicable, match="60 rows have a score: a score is no reason"):
        r.question_of(asked, "stars")
    with pytest.raises(InputError, match="does not ask `question` 'why'"):
        r.question_of(asked, "why")
    with pytest.raises(NotApplicable, match="no exit survey"):
        r.question_of(asked.head(0))


# --- what goes before it -----------------------------------------------------------------------------


def months(rng, lag, *, ticket=1.0, unresolved=1.5, use=1.0, n=60_000):
    """Months at risk in which what happened `lag` months before multiplies the hazard, as counts."""
    plan = np.where(rng.random(n) < 0.4, "A", "B")
    month = rng.integers(lag, lag + 6, n)
    dull = rng.random(n) < 0.25
    asks = rng.random(n) < np.where(dull, 0.15, 0.05)
    open_ = rng.random(n) < np.where(asks, 0.4, 0.04)
    hazard = np.where(plan == "A", 0.06, 0.03) * np.exp(-0.08 * month)
    hazard = hazard * np.where(asks, ticket, 1) * np.where(open_, unresolved, 1) * np.where(dull, use, 1)
    frame = pd.DataFrame(
        {
            "plan": plan,
            "use": np.where(dull, "none", "as before"),
            "ticket": np.where(asks, "opened", "none"),
            "unresolved": np.where(open_, "open", "none"),
            "entry": month,
            "exit": month + 1,
            "event": (rng.random(n) < -np.expm1(-hazard)).astype(int),
        }
    )
    return frame.groupby(list(frame.columns), as_index=False).size().rename(columns={"size": "n"})


def at_lags(by_lag):
    return pd.concat([counts.assign(lag=lag) for lag, counts in by_lag.items()])


def test_hazard_ratios_are_those_of_statsmodels():
    counts = months(np.random.default_rng(1), 1)
    found = r.signs(counts.assign(lag=1)).frame.set_index("sign")
    cells = pd.get_dummies(counts["plan"] + counts["entry"].astype(str)).astype(float)
    for name, level in (("use", "none"), ("ticket", "opened"), ("unresolved", "open")):
        cells[name] = (counts[name] == level).astype(float)
    ends = np.column_stack([counts["event"] * counts["n"], (1 - counts["event"]) * counts["n"]])
    link = sm.families.links.CLogLog()
    fit = sm.GLM(ends, cells, family=sm.families.Binomial(link)).fit()
    for name, sign in (("ticket", "a support request"), ("unresolved", "an unresolved support request")):
        assert np.log(found.loc[sign, "hazard_ratio"]) == pytest.approx(fit.params[name], abs=1e-4)
        without = sm.GLM(ends, cells.drop(columns=name), family=sm.families.Binomial(link)).fit()
        assert found.loc[sign, "deviance"] == pytest.approx(2 * (fit.llf - without.llf), abs=1e-3)


def test_crude_and_adjusted_ratios_differ_where_signs_go_together():
    counts = months(np.random.default_rng(2), 1, ticket=1.0, unresolved=2.0, n=400_000)
    row = r.signs(counts.assign(lag=1)).frame.set_index("sign").loc["a support request"]
    assert row["crude_low"] > 1.1
    assert row["hazard_ratio_low"] < 1 < row["hazard_ratio_high"]


def test_order_and_chunks_of_rows_do_not_matter():
    rng = np.random.default_rng(3)
    by_lag = {lag: months(rng, lag) for lag in (1, 6)}
    mixed = {lag: counts.sample(frac=1, random_state=4) for lag, counts in reversed(by_lag.items())}
    pd.testing.assert_frame_equal(r.signs(at_lags(by_lag)).frame, r.signs(at_lags(mixed)).frame)
    told = answers({"price": 40, "bugs": 40, "other": 20}, silent=30)
    pd.testing.assert_frame_equal(r.stated(told, EUR).table.frame, r.stated(told.iloc[::-1], EUR).table.frame)


def test_a_sign_near_the_end_only_fades_and_one_that_stays_lasts():
    rng = np.random.default_rng(5)
    by_lag = {lag: months(rng, lag, use={1: 3.0, 3: 1.4, 6: 1.0}[lag], n=200_000) for lag in (1, 3, 6)}
    found = r.signs(at_lags(by_lag))
    lasting, fading = (r.strongest(found, verdict) for verdict in ("lasting", "fading"))
    assert lasting.words["sign"] == "an unresolved support request"
    assert fading.words["sign"] == "a month without use"
    assert fading.words["later"].value < 1.15
    assert (
        r.strongest(r.signs(months(rng, 1, unresolved=1.0, n=5_000).assign(lag=1)), "lasting").case == "none"
    )


def test_nothing_to_compare_gives_no_signs():
    counts = months(np.random.default_rng(6), 1, n=3_000)
    assert r.signs(counts[["plan", "entry", "exit", "event", "n"]].assign(lag=1)).frame.empty
    assert r.signs(counts.assign(event=0, lag=1)).frame.empty
    assert r.signs(counts.head(0).assign(lag=1)).frame.empty


# --- what was tested ---------------------------------------------------------------------------------


def renewals(rng, ratio, n=4_000):
    """Renewals of customers who met a rise, those at the first new price with another hazard."""
    rows = []
    for renewal in range(-3, 3):
        month = rng.integers(3, 20, n) + renewal
        hazard = 0.08 * np.exp(-0.04 * month) * (ratio if renewal == 0 else 1.0)
        left = rng.random(n) < -np.expm1(-hazard)
        rows.append(pd.DataFrame({"renewal": renewal, "entry": month, "event": left.astype(int)}))
    frame = pd.concat(rows).assign(plan="A", exit=lambda f: f["entry"] + 1)
    return frame.groupby(list(frame.columns), as_index=False).size().rename(columns={"size": "n"})


def test_the_price_is_judged_by_what_customers_did():
    rng = np.random.default_rng(7)
    dear = r.stated(answers({"too expensive": 60, "bugs": 40}), EUR)
    fine = r.stated(answers({"bugs": 60, "too expensive": 40}), EUR)
    harmless, harmful = r.at_rise(renewals(rng, 1.0)), r.at_rise(renewals(rng, 2.0))
    assert harmless.low < 1 < harmless.high
    assert harmful.low < 2 < harmful.high
    cases = {
        (said, tried): r.price_evidence(*pair).case
        for said, tried, pair in (
            ("dear", "harmless", (dear, harmless)),
            ("dear", "harmful", (dear, harmful)),
            ("fine", "harmful", (fine, harmful)),
            ("fine", "harmless", (fine, harmless)),
        )
    }
    assert list(cases.values()) == ["said, not seen", "said and seen", "seen, not said", "neither"]
    assert r.price_evidence(fine, harmful, ["bugs"]).case == "said and seen"
    # A reason that was tried and not found is not to be advised first.
    doubted = [r.price_evidence(dear, tried).words["doubted"] for tried in (harmless, harmful)]
    assert doubted == [["too expensive"], []]
    assert r.price_evidence(dear, r.at_rise(renewals(rng, 1.0, n=90))).case == "not tried"


# --- failed charges ----------------------------------------------------------------------------------

TOY = [(3, "recovered", 3), (7, "recovered", 1), (14, "recovered", 1), (5, "voluntary", 1)]
TOY += [(21, "involuntary", 2), (2, "open", 1), (10, "open", 1)]


def charges(rows, amount=500):
    frame = pd.DataFrame(rows, columns=["day", "outcome", "n"]).assign(currency="EUR", failures=2)
    return frame.assign(amount_minor=frame["n"] * amount, squares=frame["n"] * float(amount) ** 2)


def test_recovery_by_day_is_the_cumulative_incidence_of_the_toy():
    table, back = r.recovery(charges(TOY), EUR, within=21)
    by_day = table.frame.set_index("day")
    assert by_day["episodes"][[3, 7, 14, 21]].tolist() == pytest.approx(
        [0.333333, 0.444444, 0.592593, 0.592593], abs=5e-7
    )
    assert by_day.loc[21, ["voluntary", "involuntary"]].tolist() == pytest.approx(
        [0.111111, 0.296296], abs=5e-7
    )
    assert by_day.loc[21, ["episodes", "voluntary", "involuntary", "unknown"]].sum() == pytest.approx(1)
    # Taking the others as censored would give more.
    assert by_day["episodes"].max() < 0.644444
    assert by_day["money"].tolist() == pytest.approx(by_day["episodes"].tolist())
    assert (back.words["episodes"], back.words["attempts"]) == (10, 20)


def test_in_money_a_large_charge_counts_for_more():
    rows = pd.concat([charges([(3, "recovered", 50)], 100), charges([(20, "involuntary", 50)], 900)])
    back = r.recovery(rows, EUR)[1]
    money = back.words["money"]
    assert (back.value, money.value) == pytest.approx((0.5, 0.1))
    assert money.low < 0.1 < money.high < 0.2


def test_no_failed_charge_is_a_sentence():
    with pytest.raises(
        NotApplicable, match="This extract has no failed attempts to charge: recovery cannot be judged"
    ):
        r.recovery(charges([]), EUR)
    with pytest.raises(NotApplicable, match="No failed charge is a day old"):
        r.recovery(charges([(0, "open", 4)]), EUR)


def test_the_best_day_is_found_where_there_is_one():
    days = pd.DataFrame(
        {"place": 1, "day": [1, 3, 5, 6], "n": [400, 400, 400, 90], "paid": [60, 70, 140, 90]}
    )
    best = r.best_day(r.by_attempt(days, "day"))
    assert (best.case, best.words["day"], best.value) == ("clear", 5, 0.35)
    level = r.best_day(r.by_attempt(days.assign(paid=[60, 62, 61, 90]), "day"))
    assert (level.case, level.words["day"]) == ("not clear", 3)
    assert r.best_day(r.by_attempt(days.head(1), "day")).case == "none"
    assert r.best_day(r.by_attempt(days.head(0), "day")).case == "none"
