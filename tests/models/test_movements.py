"""The ledger of revenue: that it adds up, in one currency, under two policies, and over time."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError, NotApplicable
from tenure.models import months, movements, rates, restatement
from tenure.models.metrics import Metrics
from tenure.periods import Every
from tenure.policy import MetricPolicy, named
from tenure.result import counted

COLUMNS = [
    "month",
    "currency",
    "group",
    "kind",
    "reason",
    "amount_minor",
    "customers",
    "logos",
    "n",
    "squares",
]


def moved(*rows):
    full = [
        (
            month,
            currency,
            group,
            kind,
            reason,
            amount,
            people,
            people,
            max(abs(people), 1),
            float(amount) ** 2,
        )
        for month, currency, group, kind, reason, amount, people in rows
    ]
    return pd.DataFrame(full, columns=COLUMNS)


def simple():
    return moved(
        (24320, "EUR", "all", "new", "", 3000, 3),
        (24320, "USD", "all", "new", "", 1000, 1),
        (24321, "EUR", "all", "expansion", "plan_change", 500, 0),
        (24321, "EUR", "all", "churn", "involuntary", -1000, -1),
        (24321, "USD", "all", "churn", "voluntary", -1000, -1),
        (24321, "USD", "all", "new", "", 2001, 2),
    )


def balances_of(frame):
    """Balances of every month, currency and group, by adding up row by row."""
    rows = []
    for month in (24320, 24321):
        for (currency, group), part in frame[frame["month"] <= month].groupby(["currency", "group"]):
            rows.append((month, currency, group, part["amount_minor"].sum(), part["customers"].sum()))
    return pd.DataFrame(rows, columns=["month", "currency", "group", "mrr_minor", "customers"])


def test_movements_that_miss_a_balance_by_a_minor_unit_are_refused():
    frame = simple()
    people = pd.DataFrame({"month": [24320, 24321], "customers": [4, 4]})
    assert movements.check_identity(frame, balances_of(frame), people) == 2
    for column, off in (("mrr_minor", 1), ("customers", -1)):
        wrong = balances_of(frame)
        wrong.loc[wrong.index[-1], column] += off
        with pytest.raises(movements.IdentityError, match=r"2026-10.*'all' in USD") as caught:
            movements.check_identity(frame, wrong)
        assert "\n" not in str(caught.value)
    with pytest.raises(movements.IdentityError, match="5 customers"):
        movements.check_identity(frame, balances_of(frame), people.assign(customers=[4, 5]))
    more = pd.concat([balances_of(frame), balances_of(frame).assign(group="ghost")])
    with pytest.raises(movements.IdentityError, match=r"'ghost' in USD has 1 customers.*lead to 0"):
        movements.check_identity(frame, more)


def test_the_smallest_example_is_asked_for_only_after_a_mismatch():
    frame = simple()
    calls = []

    def example():
        calls.append(1)
        return pd.DataFrame(
            {"customer_id": ["c7"], "month": [24321], "balance_minor": [5], "moved_minor": [4]}
        )

    movements.check_identity(frame, balances_of(frame), example=example)
    assert not calls
    wrong = balances_of(frame).assign(mrr_minor=lambda t: t["mrr_minor"] + 1)
    with pytest.raises(movements.IdentityError, match="customer c7 in 2026-10: the balance changes by 5"):
        movements.check_identity(frame, wrong, example=example)


def test_exchange_rate_effects_are_separate_from_what_customers_did():
    exchange = pd.DataFrame(
        {"currency": ["EUR", "EUR", "USD", "USD"], "month": [24320, 24321] * 2, "rate": [1, 1, 0.9, 0.8]}
    )
    flow = movements.ledger(simple(), exchange, currency="EUR", until=24321).flow
    october = flow.loc[24321]
    assert flow.loc[24320, "closing"] == 3000 + 900
    assert october["closing"] == round(2500 + 2001 * 0.8)
    # Customers' movements are valued at September's rate.
    assert october["new"] == round(2001 * 0.9)
    assert october["churn"] == -1000 - 900
    kinds = list(movements.KINDS)
    assert (flow["opening"] + flow[kinds].sum(axis=1) == flow["closing"]).all()
    assert october["fx"] == october["closing"] - october["opening"] - october[kinds[:-1]].sum()
    assert abs(october["fx"] - 2001 * (0.8 - 0.9)) < 2
    # In US dollars the same business: all rates are turned round.
    dollars = movements.ledger(simple(), exchange, currency="USD", until=24321)
    assert dollars.at(24321)["closing"] == round(2500 / 0.8 + 2001)


def test_an_unknown_currency_is_refused():
    with pytest.raises(InputError, match=r"USD and no exchange rate.*currency='USD'"):
        movements.ledger(simple(), None, currency="EUR", until=24321)
    known_rates = pd.DataFrame({"currency": ["EUR", "USD"], "month": 24320, "rate": [1.0, 0.9]})
    with pytest.raises(InputError, match="no exchange rate of GBP to EUR"):
        movements.ledger(simple(), known_rates, currency="GBP", until=24321)
    with pytest.raises(NotApplicable, match="nobody ever paid"):
        movements.ledger(simple()[:0], None, currency="EUR", until=24321)


def test_yen_and_dinars_count_by_their_own_minor_units():
    """EUR 10.00, JPY 1,000 at 0.006 and KWD 1.000 at 3 are EUR 10, 6 and 3: ARPA is 6.33, not 13.35."""
    exchange = pd.DataFrame({"currency": ["EUR", "JPY", "KWD"], "month": 24320, "rate": [1.0, 0.006, 3.0]})
    frame = moved(*((24320, currency, "all", "new", "", 1000, 1) for currency in ("EUR", "JPY", "KWD")))
    yen = frame[frame["currency"] != "KWD"]
    assert movements.ledger(yen, exchange, currency="EUR", until=24320).at(24320)["closing"] == 1600
    lines = frame.assign(on="2026-09-30", line="mrr", customers=1)
    people = pd.DataFrame({"on": ["2026-09-30"], "month": 24320, "customers": 3, "paying": 3})
    found = rates.customers_and_revenue(people, lines, exchange, currency="EUR")
    assert found["mrr.total"].value == 1900
    assert found["mrr.arpa"].value == pytest.approx(1900 / 3)
    with pytest.raises(NotApplicable, match="none has ended since the first customer began to pay"):
        rates.customers_and_revenue(people[:0], lines[:0], exchange, currency="EUR")


def test_the_running_month_is_not_complete():
    assert months.complete_month(dt.date(2026, 10, 31)) == 24321
    assert months.complete_month(dt.date(2026, 10, 30)) == 24320
    assert months.complete_month(dt.date(2024, 2, 28)) == 2024 * 12
    assert months.complete_month(dt.date(2024, 2, 29)) == 2024 * 12 + 1
    assert months.month_ends(dt.date(2024, 3, 30))[0] == dt.date(2024, 2, 29)


def test_the_rates_of_a_month():
    book = movements.ledger(simple().query("currency == 'EUR'"), currency="EUR", until=24322)
    october = movements.month_rates(book, 24321)
    assert october["churn.monthly"].value == pytest.approx(1 / 3)
    assert (october["churn.monthly"].n, october["churn.monthly"].of) == (3, "customer")
    assert october["mrr.churn"].value == pytest.approx(1000 / 3000)
    assert october["mrr.quick_ratio"].value == pytest.approx(0.5)
    assert (october["mrr.net_new"].value, october["mrr.net_new"].case) == (-500, "loss")
    # None at the start of the first month: not available, never 0.
    assert np.isnan(movements.month_rates(book, 24320)["churn.monthly"].value)
    assert np.isnan(movements.month_rates(book, 24322)["mrr.quick_ratio"].value)
    assert movements.month_rates(book, 20000) == {}
    gone = moved(
        (24320, "EUR", "all", "new", "", 900, 3), (24321, "EUR", "all", "churn", "voluntary", -900, -3)
    )
    everybody_left = movements.month_rates(movements.ledger(gone, currency="EUR", until=24321), 24321)
    assert (everybody_left["mrr.net_new"].n, everybody_left["mrr.quick_ratio"].n) == (3, 3)
    lines = pd.DataFrame({"on": ["2026-10-31", "2026-09-30"], "line": "waiting", "customers": [2, 9]})
    unsure = movements.month_rates(book, 24321, lines=lines)["churn.monthly"]
    assert (unsure.case, unsure.words["waiting"], unsure.value) == (
        "waiting",
        2,
        october["churn.monthly"].value,
    )
    few = movements.month_rates(book, 24321, lines=lines.assign(customers=1))["churn.monthly"]
    assert few == october["churn.monthly"]
    both = movements.month_rates(book, 24320, MetricPolicy(churn_base="start_and_new"))
    assert both["churn.monthly"].value == 0
    assert movements.bridge(book, 24321).frame["amount"].tolist() == [3000, 500, -1000, 2500]


def test_causes_add_up_to_logo_churn_and_what_is_unknown_stays_unknown():
    frame = moved(
        (24320, "EUR", "all", "new", "", 9000, 9),
        (24321, "EUR", "all", "churn", "involuntary", -1000, -1),
        (24321, "EUR", "all", "churn", "voluntary", -2000, -2),
        (24321, "EUR", "all", "churn", "unknown", -1000, -1),
    )
    book = movements.ledger(frame, currency="EUR", until=24321)
    found = movements.month_rates(book, 24321)
    parts = {cause: found[f"churn.{cause}"].value for cause in movements.CAUSES}
    assert {cause: value * 9 for cause, value in parts.items()} == pytest.approx(
        {"voluntary": 2, "involuntary": 1, "unknown": 1}
    )
    assert sum(parts.values()) == pytest.approx(found["churn.monthly"].value)
    before = movements.month_rates(book, 24320)
    assert all(np.isnan(before[f"churn.{cause}"].value) for cause in movements.CAUSES)


def test_lines_of_revenue_are_counted_and_missing_is_not_zero():
    rows = [("mrr", 900, 3), ("leaving", 200, 1), ("past_due", 100, 1), ("trial", 50, 2)]
    lines = pd.DataFrame(rows, columns=["line", "amount_minor", "customers"])
    lines = lines.assign(currency="USD", on="2026-10-31")
    exchange = pd.DataFrame({"currency": ["USD", "EUR"], "month": 24321, "rate": [2.0, 1.0]})
    people = pd.DataFrame({"on": ["2026-10-31"], "month": 24321, "customers": 4, "paying": 3})
    found = rates.customers_and_revenue(people, lines, exchange, currency="EUR")
    assert found["mrr.committed"].value == 1400
    assert (found["mrr.trials"].value, found["mrr.trials"].n) == (100, 2)
    assert (found["customers.paused"].value, found["customers.paused"].case) == (1, "some")
    table = rates.line_table(lines, exchange, currency="EUR").frame.set_index("line")
    assert table.loc["committed revenue", "per_month"] == 1400
    assert table.loc["paused", ["per_month", "in_recurring_revenue"]].tolist() == [0, "no"]
    gone = rates.customers_and_revenue(
        people.assign(paying=0, customers=0), lines[:0].assign(on=[]), exchange, currency="EUR"
    )
    for name in ("mrr.total", "mrr.committed", "customers.paying", "customers.paused"):
        assert gone[name].value == 0, name
    assert np.isnan(gone["mrr.arpa"].value)  # revenue per customer, of no customers


def past_due(*, on):
    """Ten customers of September; of those one was past due then, and is known to be lost in October."""
    september = 24320
    rows = [(september, "EUR", "all", "new", "", 10_000, 10)]
    if on != "2026-09-30":
        rows += [
            (september, "EUR", "all", "churn", "involuntary", -1000, -1),
            (september + 1, "EUR", "all", "churn", "voluntary", -1000, -1),
        ]
    return moved(*rows).assign(on=on)


def test_months_are_compared_as_each_was_known_at_its_own_end():
    both = pd.concat([past_due(on="2026-10-31"), past_due(on="2026-09-30")])
    books = movements.as_known(both, None, "EUR")
    found = Metrics.of({month: movements.month_rates(books[month], month) for month in books}, 24321)
    # As known in October, September ended with nine customers; as known then, with ten.
    assert found["churn.monthly"].value == pytest.approx(1 / 9)
    assert books[24320].at(24320)["closing"] == 10_000
    then, now = (counted(amount, unit="money:EUR") for amount in (10_000, 8000))
    found = Metrics({**found.recent, "mrr.total": now.against(then, "the month before")}, {})
    told = movements.explained(found, books, 24321)
    assert (told.case, told.words["corrected"].value) == ("fell corrected", -1000)
    gained, lost, fx = (told.words[name].value for name in ("gained", "lost", "fx"))
    assert gained - lost + fx + told.words["corrected"].value == told.difference.value
    assert movements.explained(found, {24321: books[24321]}, 24321).case == ""


def test_what_looks_back_a_year_is_not_judged_against_the_month_before():
    row = {"month": [24321, 24320, 24309], "on": ["2026-10-31", "2026-09-30", "2025-10-31"]}
    moments = pd.DataFrame({**row, "n": 1000, "paid_then": 1e6, "kept": [5e5, 6e5, 6e5], "added": 1e4,
                            "var_then": 0.0, "var_added": 10.0, "cov_added": 0.0})  # fmt: skip
    kept = Metrics.as_known(moments, rates.retention)
    recent, year = (side["mrr.gross_retention"] for side in (kept.recent, kept.year))
    assert (recent.compare.value, recent.change) == (0.6, "")
    assert (year.compare.value, year.change) == (0.6, "fell")


def test_a_sentence_explains_why_gross_and_net_retention_diverge():
    book = movements.ledger(
        moved(
            (24297, "EUR", "all", "new", "", 100_000, 100),
            (24300, "EUR", "all", "expansion", "price_change", 20_000, 0),
            (24310, "EUR", "all", "expansion", "plan_change", 1_000, 0),
        ),
        currency="EUR",
        until=24321,
    )
    row = {"month": [24321, 24309], "on": ["2026-10-31", "2025-10-31"], "n": 10_000, "paid_then": 1e7}
    moments = pd.DataFrame({**row, "kept": [6e6, 5e6], "added": [1e5, 2e6], "var_then": 0.0,
                            "var_added": 10.0, "cov_added": 0.0})  # fmt: skip
    kept = Metrics.as_known(moments, rates.retention)
    assert [kept.year[f"mrr.{name}_retention"].change for name in ("gross", "net")] == ["rose", "fell"]
    why = movements.added(book, 24321, kept)
    assert (why.case, why.words["reason"]) == ("apart", "higher prices")
    assert (why.value, why.compare.value) == (pytest.approx(0.01), pytest.approx(0.2))
    same = Metrics.as_known(moments.assign(kept=[4e6, 5e6]), rates.retention)
    assert movements.added(book, 24321, same).case == "together"
    alone = Metrics.as_known(moments[:1], rates.retention)
    assert movements.added(book, 24321, alone).case == "not available"


def test_small_groups_are_folded_and_transfers_add_up_to_zero():
    frame = moved(
        (1, "EUR", "a", "new", "", 90, 9),
        (1, "EUR", "b", "new", "", 10, 1),
        (2, "EUR", "a", "transfer", "", -10, -1),
        (2, "EUR", "b", "transfer", "", 10, 1),
    )
    groups = movements.group_table(movements.ledger(frame, currency="EUR", until=2), 2)
    table = groups.frame.set_index("group")
    assert table["transfer"].tolist() == [-10, 10]
    assert table["closing"].tolist() == [80, 20]
    folded = movements.fold_groups(frame, min_group=5)
    assert set(folded["group"]) == {"a", "other"}
    assert folded["amount_minor"].sum() == frame["amount_minor"].sum()
    assert set(movements.fold_groups(frame, min_group=1, most=1)["group"]) == {"a", "other"}
    assert movements.furthest_apart(groups).case == "together"
    assert movements.furthest_apart(groups.pipe(lambda rows: rows.head(1))).case == "unknown"


def test_a_restatement_lists_changes_with_possible_reasons():
    book = movements.ledger(simple().query("currency == 'EUR'"), currency="EUR", until=24321)
    past = restatement.history(book, as_of=dt.date(2026, 10, 31), policy="abc")
    assert restatement.restatement(past, past, grace_days=30, policy="abc").frame.empty
    assert restatement.restatement(None, past, grace_days=30, policy="abc").frame.empty
    later = past.copy()
    later.loc[later["kind"] == "churn", "amount_minor"] = -1500
    later.loc[(later["kind"] == "new"), "amount_minor"] += 5
    found = restatement.restatement(past, later, grace_days=30, policy="abc").frame.set_index("kind")
    assert found.loc["churn", ["published", "now", "change"]].tolist() == [-1000, -1500, -500]
    assert "past due" in found.loc["churn", "why"]
    assert "added, changed or removed" in found.loc["new", "why"]
    assert set(restatement.restatement(past, later, grace_days=30, policy="x").frame["why"]) == {
        "the policy, or who is counted, has changed since"
    }
    assert restatement.changes(past, restatement.restatement(past, later, grace_days=30, policy="x")).n == 2
    assert (
        restatement.changes(None, restatement.restatement(None, past, grace_days=1, policy="x")).case
        == "first"
    )
    # A month that still ran when it was published may grow.
    running = past.assign(as_of="2026-10-15")
    months = restatement.restatement(running, later, grace_days=30, policy="abc").frame["month"]
    assert "2026-10" not in set(months)
    with pytest.raises(InputError, match="has no column policy"):
        restatement.restatement(past.drop(columns="policy"), past, grace_days=30, policy="abc")


def test_renewals_by_term():
    due = pd.DataFrame(
        {"month": [24309, 24321, 24321, 24322], "billing": ["1 year", "1 year", "3 month", "1 year"],
         "due": [10, 20, 50, 0], "lost": [4, 10, 9, 0]}
    )  # fmt: skip
    found = Metrics.as_known(
        pd.concat([due.assign(on=day) for day in ("2026-10-31", "2025-10-31")]), rates.renewals
    )
    assert list(found.year) == ["1 year", "3 months"]
    assert (found.year["1 year"].value, found.year["1 year"].compare.value) == (0.5, 0.4)
    one = rates.at_renewal(found).year["churn.at_renewal"]
    assert (one.value, one.words["term"].unit, one.of) == (0.5, "years", "renewal")
    assert rates.renewal_table(found).frame["year_before"].tolist()[0] == 0.4
    assert not rates.at_renewal(Metrics.as_known(due[:0].assign(on=""), rates.renewals)).recent


def bridge_between(first=10_000, other=13_000):
    """The way to a policy by which a month has more revenue than by the first."""
    asked = restatement.policies_between("tenure", "stripe_like")
    frames, balances = [], []
    for place, digest in enumerate(asked):
        amount = first if not place else other
        frames.append(moved((24321, "EUR", "all", "new", "", amount, 10)).assign(policy=digest))
        balances.append(pd.DataFrame({"month": [24321], "currency": "EUR", "group": "all", "mrr_minor": amount,
                                   "customers": 10, "policy": digest}))  # fmt: skip
    both = pd.concat(frames), pd.concat(balances)
    return restatement.policy_bridge("tenure", "stripe_like", *both, None, currency="EUR", month=24321)


def test_by_rules_that_count_nothing_there_is_no_revenue():
    one = named("profitwell_like").digest()
    frame = moved((24321, "EUR", "all", "new", "", 1000, 1)).assign(policy=one)
    balance = pd.DataFrame({"month": [24321], "currency": "EUR", "group": "all", "mrr_minor": 1000,
                            "customers": 1, "policy": one})  # fmt: skip
    bridge = restatement.policy_bridge(
        "profitwell_like", "stripe_like", frame, balance, None, currency="EUR", month=24321
    )
    assert bridge.gap.value == -1000
    assert bridge.named.frame.set_index("rules")["MRR"]["stripe_like"] == 0


def test_a_bridge_between_policies_adds_up_and_omits_rules_without_effect():
    bridge = bridge_between()
    rows = bridge.table.frame
    assert rows["adds"].sum() == bridge.gap.value == 3000
    assert bridge.path.frame["amount"].iloc[:-1].sum() == bridge.path.frame["amount"].iloc[-1]
    assert rows["rule"].iloc[[0, -1]].tolist() == ["tenure", "stripe_like"]
    assert len(rows) == 3
    assert "discounts" in bridge.gap.words["without"]
    # Less than half a unit of money is nothing a reader would see.
    assert len(bridge_between(other=10_049).table) == 2
    assert bridge.named.frame["rules"].tolist()[0] == "tenure"


@pytest.mark.parametrize(
    ("unit", "as_of", "begins", "state"),
    [
        ("week", "2026-11-01", "2026-10-26", ""),
        ("week", "2026-11-02", "2026-11-02", "so far"),
        ("month", "2026-10-31", "2026-10-01", ""),
        ("quarter", "2026-09-29", "2026-07-01", "so far"),
        ("quarter", "2026-09-30", "2026-07-01", ""),
        ("fiscal_year", "2026-03-31", "2025-04-01", ""),
        ("fiscal_year", "2026-04-01", "2026-04-01", "so far"),
    ],
)
def test_periods_lead_from_one_balance_to_the_next_and_the_running_one_is_marked(unit, as_of, begins, state):
    every, day = Every(unit, 4), dt.date.fromisoformat(as_of)
    last = every.of(day)
    frame = moved(
        (last - 1, "EUR", "all", "new", "", 3000, 3),
        (last, "EUR", "all", "churn", "voluntary", -1000, -1),
        (last, "EUR", "all", "pause", "", -200, 0),
        (last, "EUR", "all", "expansion", "plan_change", 500, 0),
    )
    table = movements.by_period(movements.ledger(frame, currency="EUR", until=last), every, day)
    now, before = table.frame.to_dict("records")
    assert (now["begins"], now["state"], before["state"]) == (dt.date.fromisoformat(begins), state, "")
    kinds = [*movements.GAINS, *movements.LOSSES, "other"]
    for row in (now, before):
        assert row["opening"] + sum(row[kind] for kind in kinds) == row["closing"]
    assert (before["closing"], now["opening"], now["closing"]) == (3000, 3000, 2300)
    assert (now["customers"], now["left"]) == (3, pytest.approx(1 / 3))
    assert np.isnan(before["left"])
    assert before["begins"] == every.first(last - 1)
