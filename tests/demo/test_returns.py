"""Who left the demo company comes back, asked or not, and stays as its laws say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from demo.first_lives import END, first_spells, largest_deviation
from tenure_demo import company as laws

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="session")
def churned(database, spells) -> pd.DataFrame:
    """Who left: when and why, and when they came back (NaT: not yet)."""
    back = database.execute(
        "select customer_id, min(started_at) as back from subscriptions "
        "where subscription_id like '%-4' group by 1"
    ).df()
    return spells[~spells["open"]].join(back.set_index("customer_id"))


def contacts(database, campaign: str) -> pd.DataFrame:
    rows = database.execute("select * from contacts where campaign = ?", [campaign]).df()
    return rows.set_index("customer_id")


def incidence(days: pd.Series, came: pd.Series, by: int) -> tuple[float, float]:
    """The share who came by a day, one minus Kaplan-Meier, with its standard error (Greenwood)."""
    order = np.argsort(days.to_numpy())
    at_risk = np.arange(len(days), 0, -1)
    events = came.to_numpy()[order] & (days.to_numpy()[order] <= by)
    stays = np.prod(1 - events / at_risk)
    return 1 - stays, stays * np.sqrt((events / (at_risk * np.maximum(at_risk - 1, 1))).sum())


def test_the_win_back_campaign_has_the_effect_written_down(company, database):
    _, truth = company
    campaign = truth["winback_campaign"]
    found = database.execute(
        """
        select arm, count(*) n, avg((exists (
            select 1 from subscriptions s where s.customer_id = c.customer_id and s.subscription_id like '%-4'
            and s.started_at >= contacted_at and s.started_at < contacted_at + interval 60 day))::int) as part
        from contacts c where campaign = ? group by arm
        """,
        [campaign["campaign"]],
    ).df()
    for _, row in found.iterrows():
        name = "probability_if_treated" if row["arm"] == "treatment" else "probability_if_held_out"
        expected = campaign["all"][name]
        assert abs(row["part"] - expected) < 4 * np.sqrt(expected * (1 - expected) / row["n"])


def test_asking_by_a_message_has_the_effect_written_down(company, database, churned):
    truth = company[1]["winback_2026"]
    asked = contacts(database, truth["campaign"])
    treated = asked["arm"] == "treatment"
    assert asked["offer"].isna().all()
    assert not asked["incentive_minor"].any()
    assert (asked["cost_minor"] == np.where(treated, 35, 0)).all()
    assert abs(treated.sum() - len(asked) / 2) < 4 * np.sqrt(len(asked)) / 2

    # Everybody is in it who left in the 180 days before and has not come back, but for payments still tried.
    at = pd.Timestamp(truth["date"]) + pd.Timedelta(hours=8)
    since = (at.normalize() - churned["stop"].dt.normalize()) / DAY
    meant = churned[(since <= 180) & (churned["stop"] < at - DAY) & ~(churned["back"] < at)]
    tried = meant[~meant.index.isin(asked.index)]
    assert set(asked.index) <= set(meant.index)
    assert (since[tried.index] <= 22).all()
    assert (tried["reason"] == "involuntary").all()
    assert not set(asked.index) & set(contacts(database, "winback_2025").index)

    rows = churned.loc[asked.index]
    rows["came"] = rows["back"] < at + truth["days"] * DAY
    rows["since"] = since[rows.index]
    uplift = []
    for name, expected in truth["segments"].items():
        first, last = map(int, name.split(" to "))
        mine = rows[rows["since"].between(first, last)]
        for arm, part in mine.groupby(treated):
            p = expected[f"probability_if_{'treated' if arm else 'held_out'}"]
            assert len(part) == expected["treated" if arm else "held_out"]
            assert abs(part["came"].mean() - p) < 4 * np.sqrt(p * (1 - p) / len(part)), (name, arm)
        u = expected["uplift"] / (expected["probability_if_treated"] + expected["probability_if_held_out"])
        assert u == pytest.approx(truth["u"][name], abs=1e-4)
        uplift.append(expected["uplift"])
    assert uplift[0] > uplift[1] > uplift[2] == 0


def test_who_left_comes_back_as_written_down(company, database, churned):
    truth = company[1]["natural_return"]
    # The first campaign changed what those did whom it concerned, in both arms: they count until then.
    concerned = contacts(database, "winback_2025")["contacted_at"].reindex(churned.index)
    until = concerned.fillna(END)
    came = churned["back"] < until
    days = (churned["back"].where(came, until) - churned["stop"]) / DAY
    failed = churned["reason"] == "involuntary"
    for cause, mine in (("voluntary", ~failed), ("involuntary", failed), ("all", days > 0)):
        for by, expected in truth["returned"][cause].items():
            found, error = incidence(days[mine], came[mine], int(by))
            assert abs(found - expected) <= 4 * error, (cause, by)
    for cause, share in truth["share"].items():
        assert truth["returned"][cause]["365"] == pytest.approx(share, rel=0.02)


def test_second_lives_last_as_written_down(company, database):
    truth = company[1]
    second = first_spells(database, "subscription_id like '%-4'")
    law = truth["second_life"]
    assert len(second) == law["returned"]
    assert largest_deviation(second, law["survival"]["all"]) < 4
    for plan, mine in second.groupby("plan"):
        share = law["plan_shares"][plan]
        assert abs(len(mine) - len(second) * share) < 4 * np.sqrt(len(second) * share * (1 - share))
        assert largest_deviation(mine, law["survival"][plan]) < 4, plan


def test_second_lives_have_a_higher_hazard_than_the_same_persons_first(company, database):
    truth = company[1]
    second = first_spells(database, "subscription_id like '%-4'")
    ratios = truth["hazard_ratios"]
    hazard = second["channel"].map(ratios["channel"]) * second["household"].map(ratios["household"])
    shown = database.execute(
        "select customer_id, variant from assignments where customer_id is not null"
    ).df()
    prices = {name: entry["price_minor"] for name, entry in truth["price_experiment"]["variants"].items()}
    price = shown.set_index("customer_id")["variant"].map(prices).reindex(second.index)
    hazard *= laws.price_hazard(price.fillna(laws.VARIANT_PRICE[0]))
    left = int((~second["open"]).sum())
    gone = {1.0: [0.0, 0.0], truth["second_life"]["hazard_ratio"]: [0.0, 0.0]}
    for plan, mine in second.groupby("plan"):
        number = [one.name for one in laws.BASE_PLANS].index(plan)
        stays = laws.voluntary_survival(number, 36) * laws.involuntary_survival(number, 36)
        for month in range(1, 37):
            there = hazard[mine.index][mine["months"] >= month]
            for ratio, sums in gone.items():
                risk = 1 - (stays[month] / stays[month - 1]) ** (there * ratio)
                sums[0] += risk.sum()
                sums[1] += (risk * (1 - risk)).sum()
    (as_first, first), (as_second, second_variance) = gone.values()
    assert abs(left - as_second) < 4 * np.sqrt(second_variance)
    assert left - as_first > 3 * np.sqrt(first)
