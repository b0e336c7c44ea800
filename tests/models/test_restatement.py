"""What another system reports of the movements of revenue."""

from __future__ import annotations

import datetime as dt

import pandas as pd

from tenure.models import restatement


def test_a_roll_forward_in_another_currency_moves_at_the_rates_of_the_month_before():
    ours = pd.DataFrame(
        {"month": "2026-10", "kind": ["new", "fx", "balance"], "amount_minor": [800, 100, 900], "currency": "EUR",
         "as_of": "2026-10-31"}
    )  # fmt: skip
    theirs = pd.DataFrame(
        {"month": dt.date(2026, 10, 5), "kind": ["new", "balance", "new"], "amount_minor": [1000, 1000, 77],
         "currency": ["USD", "USD", "CHF"]}
    )  # fmt: skip
    rates = pd.DataFrame(
        {"currency": ["USD", "USD", "EUR"], "month": [24320, 24321, 24320], "rate": [0.8, 0.9, 1.0]}
    )
    gap, parts = restatement.rolled_forward(theirs, ours, rates)
    assert (gap.value, gap.case) == (0.0, "explained")
    table = parts["movement"]
    assert table.frame[["kind", "theirs"]].to_numpy().tolist() == [
        ["new", 800.0],
        ["fx", 0.0],
        ["balance", 900.0],
    ]
    assert "CHF" in table.notes[0]
    assert restatement.rolled_forward(theirs.assign(month=dt.date(2026, 11, 1)), ours, rates) is None
    # A month that still runs is not compared, and one that is not here neither.
    assert restatement.rolled_forward(theirs, ours.assign(as_of="2026-10-30"), rates) is None
    older = pd.concat([theirs, theirs.assign(month=dt.date(2026, 9, 1))])
    assert set(restatement.rolled_forward(older, ours, rates).parts["movement"].frame["month"]) == {"2026-10"}
    # Without balances there is nothing to say of them, but the movements are there.
    alone = restatement.rolled_forward(theirs[theirs["kind"] == "new"], ours, rates)
    assert not alone.gap.known
    assert alone.parts["movement"].frame["difference"].tolist() == [0.0, -100.0, -900.0]
