"""The made-up companies hold what they say: their truth is found again in many of their customers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from businesses.making import UNTIL
from businesses.models import ALL

_YEAR = pd.DateOffset(years=1)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("few_carry", "app")])
def test_the_share_there_after_a_year_is_that_of_its_customers(name):
    # Larger, so that chance is small; those who began a year and a half ago, so that it is known of all.
    company = ALL[name](size=1500)
    rows = company.tables["subscriptions"]
    if name == "gifts":
        rows = rows[rows["renews"]]
    if name == "publisher":
        rows = rows[rows["plan"] == "Print"]
    lives = rows.assign(ended_at=rows["ended_at"].fillna(pd.Timestamp("2100-01-01")))
    lives = lives.groupby("customer_id").agg(begin=("started_at", "min"), end=("ended_at", "max"))
    lives = lives[lives["begin"] + pd.DateOffset(months=15) < pd.Timestamp(UNTIL)]
    stayed = (lives["end"] > lives["begin"] + _YEAR).mean()
    right = company.truth["there_Print" if name == "publisher" else "there_after_a_year"]
    assert abs(stayed - right) < 4 * np.sqrt(right * (1 - right) / len(lives)) + 0.001


def test_a_company_is_made_anew_as_it_was_and_tells_its_settings(tmp_path):
    company, again = ALL["gifts"](), ALL["gifts"]()
    pd.testing.assert_frame_equal(company.tables["payments"], again.tables["payments"])
    company.write(tmp_path / "told")
    company.write(tmp_path / "untold", told=False)
    assert "renews" in pd.read_csv(tmp_path / "told" / "subscriptions.csv")
    assert "renews" not in pd.read_csv(tmp_path / "untold" / "subscriptions.csv")
