"""Chances to leave and whom to contact: published numbers, plain loops, and companies whose law is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.churning import DAYS, empc, landmarks
from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models import risk, risk_contacts
from tenure.models.worth import save_rate
from tenure.paths import project_root
from tenure.stats.intervals import proportion

TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
PLAIN = Economics(margin=1.0, fee_share=0.0, fee_fixed=0.0, discount_rate=0.0)


@pytest.fixture(scope="module")
def rows():
    return landmarks(np.random.default_rng(1))


@pytest.fixture(scope="module")
def found(rows):
    return risk.predict(rows, ["channel"], unused=30)


def offered(cost=100.0, incentive=800.0, taken=1.0, prior=(6, 14)):
    return risk_contacts.Offer(cost, incentive, taken, *risk_contacts.share_saved(prior))


# --- published numbers ---------------------------------------------------------------------------


def test_expected_maximum_profit_is_that_of_another_implementation():
    offer = {"prior": [6, 14], "worth": 200, "incentive": 10, "cost": 1}
    profit, share = empc([0, 1, 0, 1, 0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.8, 0.9], **offer)
    assert (profit, share) == (pytest.approx(23.875593418), pytest.approx(0.874370, abs=1e-6))
    assert empc([0] * 5 + [1] * 5, np.arange(10), **offer) == (pytest.approx(28.0), pytest.approx(0.5))


def test_telco_is_as_published():
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    data = pd.read_csv(TELCO)
    y = (data["Churn"] == "Yes").to_numpy(float)
    x = pd.DataFrame({
        "one": 1.0, "tenure": data["tenure"] / 12, "monthly": data["MonthlyCharges"] / 10,
        "senior": data["SeniorCitizen"], "one year": data["Contract"] == "One year",
        "two years": data["Contract"] == "Two year", "fiber": data["InternetService"] == "Fiber optic",
        "none": data["InternetService"] == "No", "check": data["PaymentMethod"] == "Electronic check",
        "paperless": data["PaperlessBilling"] == "Yes",
    }).to_numpy(float)  # fmt: skip
    beta, _spread, likelihood = risk.logistic(y[::2], x[::2])
    assert likelihood == pytest.approx(-1516.0390687)
    published = [-0.852757, -0.377350, 0.028230, 0.281799, -0.731221, -1.622906, 0.842800, -0.630627,
                 0.501422, 0.364697]  # fmt: skip
    assert beta == pytest.approx(published, abs=1e-6)
    left, p = y[1::2], expit(x[1::2] @ beta)
    told = risk.measures_of(left, p)
    assert told["auc"] == pytest.approx(0.8426076, abs=1e-7)
    assert told["brier"] == pytest.approx(0.1359148, abs=1e-7)
    assert told["log_loss"] == pytest.approx(0.4168838, abs=1e-7)
    assert (p.sum(), left.sum()) == (pytest.approx(957.29, abs=0.005), 915)
    line = risk.logistic(left, np.column_stack([np.ones_like(p), logit(p)]))[0]
    assert line == pytest.approx([-0.065673, 1.038560], abs=1e-6)
    assert empc(left, p, [6, 14], 200, 10, 1)[0] == pytest.approx(10.030073, abs=1e-6)


# --- chances -------------------------------------------------------------------------------------


def test_the_order_of_rows_changes_nothing(rows, found):
    again = risk.predict(rows.sample(frac=1, random_state=3), ["channel"], unused=30)
    assert again.now["customer_id"].tolist() == found.now["customer_id"].tolist()
    assert again.now["chance"].to_numpy() == pytest.approx(found.now["chance"].to_numpy(), abs=1e-12)
    assert again.judged.all.equals(found.judged.all)
    assert again.score.reasons(again.now) == found.score.reasons(found.now)


def test_chances_are_near_the_law_and_beat_the_rule(found):
    truth, chance = found.now["truth"], found.now["chance"]
    assert np.corrcoef(truth, chance)[0, 1] > 0.9
    assert found.judged.beside_rule().case == "better"
    expected = found.expected()
    assert expected.low < truth.mean() < expected.high


def test_nothing_after_a_landmark_is_known_on_it(rows, found):
    changed = rows.copy()
    changed.loc[changed["on"] == DAYS[-2], "outcome"] = "stayed"
    changed.loc[(changed["on"] == DAYS[-2]) & (changed["tenure"] > 5), "outcome"] = "voluntary"
    other = risk.predict(changed, ["channel"], unused=30)
    assert other.judged.rows["chance"].to_numpy() == pytest.approx(found.judged.rows["chance"].to_numpy())
    assert not other.now["chance"].equals(found.now["chance"])


def test_ties_are_never_put_in_an_order():
    left, p = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.5, 0.1])
    assert [risk.captured(left, p, share) for share in (0.25, 0.5, 0.75, 1.0)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1]
    )
    assert risk.captured(left[::-1], p[::-1], 0.25) == pytest.approx(1 / 3)


def test_reasons_are_the_largest_exact_terms(found):
    now, score = found.now, found.score
    terms = score.terms(now)
    middle = score.linear.intercept_[0] + score.middle @ score.linear.coef_[0]
    assert (terms.sum(axis=1) + middle).to_numpy() == pytest.approx(score.z(now))
    told = score.reasons(now)
    social = [reason for reason, channel in zip(told, now["channel"], strict=True) if channel == "social"]
    assert any("channel: social" in reason for reason in social)
    assert not any("channel: search" in reason for reason in told)


def test_what_is_not_recorded_and_rare_plans_are_no_obstacle():
    rows = landmarks(np.random.default_rng(4))
    rows = rows.assign(**dict.fromkeys(["used", "used_before", "unused_days", "tickets", "nps"], None))
    rare = rows["customer_id"].str[-3:].isin(["001", "002"])
    rows = rows.assign(
        plan=rows["plan"].where(~rare, "Very_Rare"), a_b=np.where(rows["wait_days"] < 9, "c_d", "e_f")
    )
    found = risk.predict(rows, ["channel", "a_b"])
    assert set(found.score.terms(found.now)) >= {"plan", "channel", "a_b"}
    assert set(risk_contacts.drift(found).frame["fact"]) == {
        "time as a customer", "price", "days to the renewal", "failed charges", "answers", "plan"
    }  # fmt: skip


def test_trees_are_used_where_they_are_clearly_better(rows, found):
    assert found.score.trees is None
    # Who neither uses it much nor little leaves: no straight line tells them.
    curved = rows.copy()
    p = np.where(np.abs(np.log1p(curved["used"]) - 1.7) < 0.5, 0.5, 0.05)
    leaves = curved["draw"] < p
    outcome = pd.Series(np.where(leaves, "voluntary", "stayed"), curved.index)
    curved["outcome"] = outcome.where(curved["on"] != DAYS[-1])
    assert risk.predict(curved, ["channel"]).score.trees is not None


@pytest.mark.parametrize(("change", "words"), [
    (lambda r: r[r["on"] >= DAYS[-3]], "It takes four days"),
    (lambda r: r[(r["on"] != DAYS[-1]) | (r["plan"] == "Annual")].assign(
        wait_days=lambda q: q["wait_days"].where(q["on"] != DAYS[-1], 200)), "has a renewal in the months after"),
    (lambda r: r.assign(outcome=r["outcome"].replace("voluntary", "unknown")), "Fix: map end_reason"),
    (lambda r: r.groupby("on").head(40), "customers left by choice at a renewal in the months to fit on, and it takes 100"),
    (lambda r: r.assign(outcome=r["outcome"].where(r["on"] != DAYS[-2], "stayed")), "it takes ten who leave"),
])  # fmt: skip
def test_what_is_too_little_is_said(rows, change, words):
    with pytest.raises(NotApplicable, match=words):
        risk.predict(change(rows), ["channel"])


def test_a_feature_that_looks_like_the_answer_is_refused():
    rows = landmarks(np.random.default_rng(2), answer=1.0)
    with pytest.raises(
        InputError, match=r"The column churn_score looks like the answer: .* 100\.0% of cases"
    ):
        risk.predict(rows, ["channel", "churn_score"])
    assert risk.predict(rows, ["channel"]).judged.of("auc").value < 0.9


# --- contacts ------------------------------------------------------------------------------------


def life(hazards, group="1 month"):
    at_risk = 10_000 * np.cumprod(np.append(1.0, 1 - np.array(hazards)))[:-1]
    return pd.DataFrame({"group": group, "period": np.arange(1, len(hazards) + 1), "at_risk": at_risk,
                         "events": at_risk * hazards})  # fmt: skip


def test_worth_of_keeping_is_that_of_a_plain_loop(found):
    rows, hazards = found.now.head(40), np.linspace(0.2, 0.02, 30)
    table = pd.concat([life(hazards), life(np.resize([0] * 11 + [0.3], 36), "1 year")])
    facts = Economics(margin=0.7, fee_share=0.02, fee_fixed=0.3, discount_rate=0.1)
    worth = risk_contacts.worth_of_keeping(rows, table, facts, "EUR", 24)
    for row, value in zip(rows.to_dict("records"), worth, strict=True):
        months = 12 if row["interval"] == "12 months" else 1
        own = np.resize([0] * 11 + [0.3], 36) if months == 12 else hazards
        tail = (own * life(own)["at_risk"])[-12:].sum() / life(own)["at_risk"][-12:].sum()
        age, stays, total = (row["tenure"] + 1) * months, 1.0, 0.0
        for month in range(24):
            total += stays * facts.discount(month)
            stays *= 1 - (own[age + month] if age + month < len(own) else tail)
        left = row["bill"] / months * 0.68 - 30 / months
        assert value == pytest.approx(left * total, rel=1e-6)


def test_whom_to_contact_is_whom_it_pays_to_contact(found):
    kept = np.full(len(found.now), 12_000.0)
    calls = risk_contacts.contacts(found, kept, offered(), "money:EUR")
    frame = calls.table.frame
    p = found.now["chance"].to_numpy()
    brings = 0.3 * p * (12_000 - 800) - (1 - p) * 800 - 100
    assert len(frame) == (brings > 0).sum()
    assert frame["worth"].sum() == pytest.approx(brings[brings > 0].sum()) == calls.total.value
    assert frame["worth"].is_monotonic_decreasing
    assert (frame["chance_low"] < frame["chance"]).all()
    threshold = calls.threshold.value
    assert frame["chance"].min() >= threshold > np.max(p[brings <= 0])
    # At the share saved from which on it pays, it brings nothing.
    needed, on = calls.total.words["needed"].value, brings > 0
    again = needed * p[on] * (12_000 - 800) - (1 - p[on]) * 800 - 100
    assert again.sum() == pytest.approx(0, abs=1e-6)


def test_conclusions_reverse_with_the_offer(found):
    kept = np.full(len(found.now), 12_000.0)
    cases = {
        "pays": offered(10, 100, 0.5, (60, 140)), "nobody": offered(2000, 9000),
        "unclear": offered(100, 800, 1.0, (0.6, 1.4)),
    }  # fmt: skip
    for case, offer in cases.items():
        assert risk_contacts.contacts(found, kept, offer, "money:EUR").total.case == case


def test_a_measured_share_replaces_the_assumed_one():
    row = {"campaign": "a", "offer": None, "by": "", "segment": "", "as_of": "2026-10-31", "horizon_days": 90, "treated": 900,
           "control": 900, "kept_treated": 800, "kept_control": 801}  # fmt: skip
    groups = {**row, "by": "plan", "segment": "Basic", "kept_treated": 850}
    older = {**row, "as_of": "2025-10-31", "kept_treated": 899}
    share, draws = risk_contacts.share_saved([6, 14], pd.DataFrame([groups, older, row]))
    assert (share.case, share.words["campaign"], share.n) == ("measured", "a", 1800)
    assert share.low < 0 < share.high
    assert share.value < 0.01
    assert share.value == pytest.approx(save_rate(pd.DataFrame([row])).value)
    assert np.quantile(draws, [0.025, 0.975]) == pytest.approx([share.low, share.high], abs=0.005)
    with pytest.raises(InputError, match="two numbers above 0"):
        risk_contacts.share_saved([6])


def test_looking_back_adds_up(found):
    rows = found.judged.rows
    kept = np.full(len(rows), 12_000.0)
    back = risk_contacts.looking_back(found.judged, kept, offered(), "money:EUR").frame.set_index("contacted")
    left = rows["left"].to_numpy()
    everybody = (0.3 * left * 11_200 - (1 - left) * 800 - 100).sum()
    assert back.loc["everybody", "brought"] == pytest.approx(everybody)
    assert back.loc["this list", "brought"] > back.loc["the rule", "brought"]
    assert back.loc["the rule", "contacts"] == rows["rule"].sum()


# --- drift and fairness --------------------------------------------------------------------------


def test_a_shift_is_found_and_its_absence_too(found):
    still = risk_contacts.drift(found).frame
    assert (still["index"] < np.maximum(0.15, still["by_chance"])).all()
    rows = landmarks(np.random.default_rng(1))
    rows.loc[rows["on"] == DAYS[-1], "tenure"] += 12
    moved = risk_contacts.drift(risk.predict(rows, ["channel"])).frame
    assert moved["fact"].iloc[0] == "time as a customer"
    assert moved["index"].iloc[0] > 0.25


def test_a_gap_between_groups_is_found(found):
    rows = found.judged.rows
    chosen = (rows["chance"] > rows["chance"].quantile(0.8)).to_numpy()
    fair = risk_contacts.fairness(found.judged, chosen, rows[["gender", "birth_year", "country"]])
    assert (fair.frame["p"] > 0.05).all()
    assert set(fair.frame["group"]) >= {"f", "m", "1950s", "1990s", "IT"}
    unlike = chosen & ((rows["gender"] == "m") | (np.arange(len(rows)) % 3 == 0)).to_numpy()
    gap = risk_contacts.fairness(found.judged, unlike, rows[["gender"]]).frame
    assert (gap["p"] < 0.05).all()


# --- by simulation (docs/validation.md) ----------------------------------------------------------


@pytest.mark.long
def test_on_100_companies_verdicts_are_right():
    """Drawn by one law: how often chances are called true, groups unlike, trees better, and profit its sign."""
    told = pd.DataFrame([verdicts(seed) for seed in range(100)])
    print(told.mean())
    assert proportion(int(told["true"].sum()), 100).high > 0.95
    assert proportion(int(told["unlike"].sum()), 100).low < 0.05
    assert told["trees"].mean() <= 0.06
    assert told["sign"].mean() >= 0.95


def verdicts(seed):
    rng = np.random.default_rng([35, seed])
    found = risk.predict(landmarks(rng, n=600), ["channel"])
    over, rows = found.judged.expected_over_left(), found.judged.rows
    chosen = (rows["chance"] > rows["chance"].quantile(0.8)).to_numpy()
    groups = rows[["gender", "birth_year", "country"]]
    fair = risk_contacts.fairness(found.judged, chosen, groups).frame
    kept, offer, p = np.full(len(found.now), 12_000.0), offered(), found.now["truth"].to_numpy()
    calls = risk_contacts.contacts(found, kept, offer, "money:EUR")
    on = found.now["customer_id"].isin(calls.table.frame["customer_id"])
    save = rng.beta(6, 14)
    saved = (rng.random(len(p)) < p) * (rng.random(len(p)) < save)
    stays = ~(rng.random(len(p)) < p)
    brought = (saved * 11_200 - stays * 800 - 100)[on].sum()
    truly = offer.brings(p, kept, 0.3)[on].sum()
    return {
        "true": over.low <= 1 <= over.high, "unlike": (fair["p"] < 0.05).any(),
        "trees": found.score.trees is not None, "covered": calls.total.low <= brought <= calls.total.high,
        "sign": (calls.total.case != "pays") or truly > 0, "listed": on.sum(),
        "share": found.expected().low <= p.mean() <= found.expected().high,
        "law": risk.auc(rows["left"], rows["chance"]) / risk.auc(rows["left"], rows["truth"]),
    }  # fmt: skip
