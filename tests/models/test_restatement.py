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
    gap, table = restatement.rolled_forward(theirs, ours, rates)
    assert (gap.value, gap.case) == (0.0, "same")
    assert table.frame[["kind", "theirs"]].to_numpy().tolist() == [
        ["new", 800.0],
        ["fx", 0.0],
        ["balance", 900.0],
    ]
    assert "CHF" in table.notes[0]
    assert (
        restatement.rolled_forward(theirs.assign(month=dt.date(2026, 11, 1)), ours, rates)[0].case == "none"
    )
    # A month that still runs is not compared.
    assert restatement.rolled_forward(theirs, ours.assign(as_of="2026-10-30"), rates)[0].case == "none"
