"""The workbook on coming back: the demo company's campaigns, their opposites, and what cannot be told."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from notebooks.companies import company as plain
from notebooks.companies import words
from notebooks.running import findings
from tenure.paths import project_root

NAME = "71_win_back.ipynb"
TELCO = project_root().parent / "shared" / "data" / "telco" / "Telco-Customer-Churn.csv"
ID = "win_back."
CONTACT = dt.date(2024, 3, 1)
DAY = dt.timedelta(days=1)
# The chance to be back within sixty days: held out, and asked; by cause, and by days since the end (0-30, 31-90, 91-180).
HELPS = ([[0.04] * 3, [0.06] * 3], [[0.12] * 3, [0.28] * 3])
NOTHING = (HELPS[0], HELPS[0])
CHOICE = (HELPS[0], [[0.16] * 3, [0.06] * 3])
LATE = ([[0.06] * 3, [0.06] * 3], [[0.06, 0.1, 0.2]] * 2)
SOON = ([[0.06] * 3, [0.06] * 3], [[0.2, 0.1, 0.06]] * 2)


@pytest.fixture(scope="module")
def ran(run, demo):
    return run(NAME, campaign="winback_2025")


@pytest.fixture(scope="module")
def latest(run, demo):
    return run(NAME)


def company(folder, n=5000, chances=HELPS, first=200, second=200, until=dt.date(2024, 10, 31), **change):
    """Customers who left in the half year before 1 March 2024, half of whom were asked to come back.

    Lives last `first` and `second` days on average; one in five of a thousand who left before came by themselves.
    """
    rng = np.random.default_rng(9)
    asked, unpaid = rng.random(n) < 0.5, rng.random(n) < 0.3
    away = rng.integers(35, 181, n) if change.get("all_late") else rng.integers(3, 181, n)
    away = np.where(unpaid, np.maximum(away, 31), away)
    price = rng.choice([800, 1200], n)
    if change.get("by_value"):
        asked = price == 1200
    band = np.searchsorted([30, 90], away)
    back = rng.random(n) < np.array(chances)[asked.astype(int), unpaid.astype(int), band]
    end = [CONTACT - int(days) * DAY for days in away]
    again = [CONTACT + int(days) * DAY for days in rng.integers(0, 60, n)]
    ids = [f"c{i}" for i in range(n)]
    spans = [
        lived(ids, end, rng.geometric(1 / first, n), price, np.where(unpaid, "involuntary", "voluntary"))
    ]
    spans.append(begun(ids, again, rng.geometric(1 / second, n), price, until)[back])
    m = change.get("before", 1000)
    old = [f"d{i}" for i in range(m)]
    left = [CONTACT - int(days) * DAY for days in rng.integers(400, 600, m)]
    spans.append(lived(old, left, rng.geometric(1 / first, m), np.full(m, 800), "voluntary"))
    later = [day + int(days) * DAY for day, days in zip(left, 26 + rng.exponential(60, m), strict=True)]
    spans.append(begun(old, later, rng.geometric(1 / second, m), np.full(m, 800), until)[rng.random(m) < 0.2])
    new = {"customer_id": "new", "started_at": until, "ended_at": None, "end_reason": None}
    spans.append(spans[0].head(1).assign(**new))
    spans = pd.concat(change.get("spans", lambda parts: parts)(spans), ignore_index=True)
    spans.insert(0, "subscription_id", [f"s{i}" for i in range(len(spans))])
    people = spans.groupby("customer_id", as_index=False).agg(created_at=("started_at", "min"))
    if "people" in change:
        people = change["people"](people, set(np.array(ids)[back]))
    contacts = pd.DataFrame(
        {
            "campaign": "back", "customer_id": ids, "arm": np.where(asked, "treatment", "control"),
            "contacted_at": CONTACT, "cost_minor": np.where(asked, change.get("cost", 30), 0),
            "incentive_minor": np.where(asked, 400, 0),
        }
    )  # fmt: skip
    contacts = change.get("contacts", lambda rows: rows)(contacts)
    for name, table in {"customers": people, "subscriptions": spans, "contacts": contacts}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return str(folder)


def lived(ids, end, days, price, reason):
    started = [day - int(length + 1) * DAY for day, length in zip(end, days, strict=True)]
    return pd.DataFrame(
        {
            "customer_id": ids, "plan": "Plus", "billing_interval": "month", "unit_amount_minor": price,
            "currency": "EUR", "status": "active", "started_at": started, "ended_at": end, "end_reason": reason,
        }
    )  # fmt: skip


def begun(ids, start, days, price, until):
    rows = lived(ids, start, days, price, "voluntary").assign(started_at=start)
    end = [day + int(length + 1) * DAY for day, length in zip(start, days, strict=True)]
    on = np.array(end) > until
    return rows.assign(ended_at=np.where(on, None, end), end_reason=np.where(on, None, "voluntary"))


def test_asking_in_2025_paid_and_helped_most_after_failed_payments(ran, truth):
    found, law = findings(ran), truth["winback_campaign"]
    effect, profit, cause = (found[ID + name] for name in ("effect", "profit", "by_cause"))
    assert effect["low"] < law["all"]["uplift"] < effect["high"]
    assert effect["sentence"].startswith("8.1% of those asked were back within 60 days, 4.2 points more")
    assert 0 < profit["low"] < profit["value"]
    gap = law["segments"]["involuntary"]["uplift"] - law["segments"]["voluntary"]["uplift"]
    assert cause["low"] < gap < cause["high"]
    # More were won back after failed payments, though so few are no proof.
    assert cause["value"] > 0
    assert "may be chance" in cause["sentence"]
    anyway = law["all"]["probability_if_held_out"] / law["all"]["probability_if_treated"]
    assert found[f"{ID}anyway"]["low"] < anyway < found[f"{ID}anyway"]["high"]
    assert found[f"{ID}advice"]["sentence"].startswith("Go on asking those who left")


def test_the_list_is_of_those_who_left_as_recently_as_those_asked(ran):
    rows, total = pd.read_csv(ran.exports / "win_back_list.csv"), findings(ran)[f"{ID}list"]
    assert len(rows) == total["n"]
    assert rows["customer_id"].is_unique
    assert rows["expected"].sum() == pytest.approx(total["value"], abs=len(rows))
    assert set(rows["days_since_end"]) == {"0-30", "31-90", "91-180"}
    assert rows["reason"].str.match(r"left \d+ days ago .* of those alike, .* come back unasked").all()


def test_the_curve_and_second_lives_are_those_that_were_planted(latest, truth):
    found = findings(latest)
    law = truth["natural_return"]["returned"]["all"]["365"]
    assert found[f"{ID}returned"]["low"] < law < found[f"{ID}returned"]["high"]
    # Against the same person's first life the law's ratio is 1.25; those who are back are not all who left, and
    # a pause of more than 90 days is an end.
    assert found[f"{ID}second_lives"]["low"] > truth["second_life"]["hazard_ratio"]
    assert found[f"{ID}second_lives"]["low"] < 1.36 < found[f"{ID}second_lives"]["high"]


def test_in_2026_the_sooner_customers_were_asked_the_better(latest, truth):
    found, law = findings(latest), truth["winback_2026"]
    effect, days, total = (found[ID + name] for name in ("effect", "by_days", "list"))
    assert "winback_2026" in found[f"{ID}profit"]["sentence"]
    assert effect["low"] < law["all"]["uplift"] < effect["high"]
    gap = law["segments"]["1 to 30"]["uplift"] - law["segments"]["91 to 180"]["uplift"]
    assert 0 < days["low"] < gap < days["high"]
    assert days["sentence"].startswith("Ask soon: asking helps more 0-30 days after the end")
    rows = pd.read_csv(latest.exports / "win_back_effects_by_group.csv").set_index("segment")
    for name, planted in {"0-30": "1 to 30", "31-90": "31 to 90", "91-180": "91 to 180"}.items():
        low, high = rows.loc[name, ["difference_low", "difference_high"]]
        assert low < law["segments"][planted]["uplift"] < high
    # Late, asking changed nothing, so that nobody who left so long ago is on the list.
    assert total["low"] > 0
    assert "91" not in total["sentence"]


def test_where_asking_changes_nothing_the_page_says_stop(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, 9000, NOTHING, cost=300))
    found = findings(outcome)
    assert found[f"{ID}advice"]["sentence"].startswith("Stop: asking loses")
    assert found[f"{ID}profit"]["high"] < 0
    assert "not clearly other than" in found[f"{ID}effect"]["sentence"]
    assert found[f"{ID}list"]["sentence"].startswith("Nobody is on the list")
    assert pd.read_csv(outcome.exports / "win_back_list.csv").empty


def test_where_asking_helps_after_failed_payments_and_second_lives_are_long(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, first=120, second=400))
    found = findings(outcome)
    assert "Asking helps more after failed payments" in found[f"{ID}by_cause"]["sentence"]
    assert "stay longer" in found[f"{ID}second_lives"]["sentence"]
    assert found[f"{ID}second_lives"]["high"] < 1
    assert found[f"{ID}profit"]["low"] > 0


def test_where_it_helps_only_those_who_chose_to_leave_the_others_are_left_out(run, tmp_path):
    outcome = run(NAME, data=company(tmp_path, 9000, CHOICE, first=300, second=100, cost=250))
    found = findings(outcome)
    assert "Asking helps less after failed payments" in found[f"{ID}by_cause"]["sentence"]
    assert "leave sooner" in found[f"{ID}second_lives"]["sentence"]
    assert "all but those with cause “involuntary”" in found[f"{ID}advice"]["sentence"]
    reasons = pd.read_csv(outcome.exports / "win_back_list.csv")["reason"]
    assert not reasons.str.contains("after failed payments").any()


@pytest.mark.parametrize(("chances", "sentence"), [(SOON, "Ask soon:"), (LATE, "Do not ask at once:")])
def test_when_to_ask_follows_the_data(run, tmp_path, chances, sentence):
    found = findings(run(NAME, data=company(tmp_path, 12_000, chances)))
    assert found[f"{ID}by_days"]["sentence"].startswith(sentence)


def only(arm):
    return lambda rows: rows[rows["arm"] == arm]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"contacts": only("treatment")}, "nobody was held out of back"),
        ({"contacts": lambda rows: rows.head(0)}, "needs the table contacts"),
        ({"until": dt.date(2024, 4, 20)}, "the 60 days after the contacts of back are not over"),
        ({"n": 190}, "an arm of back has fewer than 100 customers who had left"),
        ({"contacts": lambda rows: rows.assign(contacted_at="2023-07-01")}, "so it is not a win-back campaign"),
        ({"by_value": True}, "Do not decide on the campaign back"),
        ({"spans": lambda parts: [parts[0], parts[2], parts[4]]}, "Nobody who left has come back"),  # or under another id
        ({"n": 230, "before": 0}, "Fewer than 30 customers have come back for a month"),
    ],
    ids=["no control", "no campaign", "immature", "few", "still paying", "by value", "nobody back", "hardly any"],
)  # fmt: skip
def test_what_cannot_be_told_gets_a_sentence_and_the_rest_is_there(run, tmp_path, change, sentence):
    outcome = run(NAME, data=company(tmp_path, **{"n": 1500, **change}))
    said, found = words(outcome), findings(outcome)
    assert sentence in said, said[-3000:]
    assert "Traceback" not in said
    assert f"{ID}returned" in found
    if f"{ID}advice" in found:
        assert "fix what failed" in found[f"{ID}advice"]["sentence"]
    assert not (outcome.exports / "win_back_list.csv").exists()


def test_where_nobody_left_the_workbook_says_so(run, tmp_path):
    outcome = run(NAME, data=plain(tmp_path, 300, lambda number: None))
    assert outcome.state == "not_applicable"
    assert "Nobody has left" in outcome.reason


def test_a_snapshot_says_that_dates_are_needed(run):
    if not TELCO.is_file():
        pytest.skip("The telco data is not there.")
    outcome = run(NAME, data=str(TELCO), mapping="data/mappings/telco.yml")
    assert outcome.state == "not_applicable"
    assert "needs real dates" in outcome.reason


def test_a_characteristic_that_was_written_down_on_the_return_is_refused(run, tmp_path):
    def people(rows, back):
        return rows.assign(months_again=np.where(rows["customer_id"].isin(back), "some", "none"))

    outcome = run(NAME, data=company(tmp_path, 1500, people=people), characteristics=["months_again"])
    assert outcome.state == "failed"
    assert "The column months_again tells alone" in outcome.reason


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({"campaign": "back_2027"}, ["`campaign`", "winback_2025"]),
        ({"offer": "roses"}, ["`offer`", "contacted"]),
        ({"horizon_days": 1}, ["`horizon_days`", "7"]),
        ({"months_again": -1.0}, ["`months_again`", "at least 0"]),
        ({"characteristics": ["shoe size"]}, ["shoe size"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, wanted):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in wanted), outcome.reason
    assert "\n" not in outcome.reason


def test_months_can_be_given_and_a_characteristic_looked_at(run, demo):
    outcome = run(NAME, campaign="winback_2025", months_again=0.5, characteristics=["signup_device"])
    found = findings(outcome)
    # Customers who pay for half a month are not worth the incentive.
    assert found[f"{ID}profit"]["value"] < 0
    assert "signup device" in words(outcome)
