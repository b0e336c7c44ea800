"""Of how few people a report may speak."""

from __future__ import annotations

import ibis
import pandas as pd
import pytest

from tenure import privacy
from tenure.measures import groups
from tenure.models.budgets import RetentionBudget
from tenure.report.tables import table_of, to_html
from tenure.result import Table


@pytest.fixture(autouse=True)
def five(monkeypatch):
    monkeypatch.setattr(privacy, "smallest_group", 5)


@pytest.mark.parametrize(
    ("people", "hidden"),
    [
        ([9, 90], []),
        ([3, 8, 90], [3, 8]),  # a total would tell the 3
        ([2, 4, 90], [2, 4]),  # together six
        ([2, 2, 8, 90], [2, 2, 8]),  # together four
        ([0, 9, 90], []),  # nobody
        ([0, 3], []),  # everybody
        ([4, 90], [4, 90]),
    ],
)
def test_what_is_hidden(people, hidden):
    frame = pd.DataFrame({"group": [f"g{k}" for k in range(len(people))], "n": people})
    assert frame.loc[privacy.few(frame, "n"), "n"].tolist() == hidden
    # The engine says the same of groups that somebody is in; a single one is everybody there, too.
    sizes = ibis.memtable(frame[frame["n"] > 0].rename(columns={"n": "size"}))
    small = set(privacy.too_few(sizes).to_pandas()["group"])
    assert small == set(frame.loc[frame["n"].isin(hidden or [n for n in people if 0 < n < 5]), "group"])


def test_rows_are_hidden_within_their_total():
    frame = pd.DataFrame({"plan": list("aabb"), "n": [3, 50, 7, 60]})
    assert privacy.few(frame, "n", ["plan"]).tolist() == [True, True, False, False]


def test_a_report_leaves_out_counts_that_a_table_says_are_of_people():
    rows = pd.DataFrame({"plan": list("abc"), "price": [1, 2, 3], "n": [3, 8, 90], "money": [3, 16, 270]})
    shown = table_of(Table(rows, people=["n", "money"]))
    assert shown.frame["n"].dropna().tolist() == [90]
    assert shown.frame["money"].dropna().tolist() == [270]
    assert shown.frame["price"].tolist() == [1, 2, 3]
    assert "fewer than 5" in shown.notes[0]
    assert table_of(RetentionBudget(Table(rows, people=["n"]), 0.2, 0.95)).frame["n"].isna().sum() == 2
    assert table_of(Table(rows)).frame is rows  # arms of an experiment, time, age


def test_no_page_shows_the_ids_of_customers():
    page = to_html(pd.DataFrame({"customer_id": ["c1"], "amount": [5]}), caption="Movements")
    assert "c1" not in page
    assert "customer" not in page.lower()


def test_groups_are_named_where_they_are_large_enough():
    people = [f"c{k}" for k in range(60)]
    plans = ["tiny"] * 3 + ["next"] * 7 + ["large"] * 50
    source = {
        "customers": ibis.memtable({"customer_id": people, "country": plans}),
        "subscriptions": ibis.memtable({"customer_id": people}),
    }
    of = ibis.memtable({"customer_id": people, "plan": plans, "start": ["2026-01-01"] * 60})
    of = of.mutate(start=of.start.cast("date"))
    for name in ("country", "plan"):
        found = groups.group_column(source, of, name).to_pandas()[name]
        assert found.value_counts().to_dict() == {"large": 50, "other": 10}
    assert set(groups.group_column(source, of.head(3), "start_month").to_pandas()["start_month"]) == {
        "2026-01"
    }
