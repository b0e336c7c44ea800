"""How often the 95 % interval of a new customer's worth holds the truth, where models fit and where none does.

    python tests/simulations/coverage_tails.py

Each simulated company has 200 starters a month for 60 months. Under two laws a model of the collection is
right; under the two others none is: many who leave late, and yearly cliffs. "By the fit alone" is what the
interval was before curves that do not fit were taken as observed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.customers import flat, terms
from models.test_retention_seen import LAWS, company, of_a_new_one, truth
from tenure.models import retention_choice, value


def simulate(companies: int) -> pd.DataFrame:
    """A row per law: how often curves are taken as observed, and how often intervals hold the truth."""
    own, rows = terms(discount_rate=0.10), []
    for law in ("late", "cliffs", "geometric", "heterogeneous"):
        right, hazard = truth(law, own), LAWS[law][:60]
        at_risk = np.r_[1.0, np.cumprod(1 - hazard)][:60] * np.arange(60, 0, -1)
        off = abs(1000 * at_risk.sum() / (hazard @ at_risk) - right)
        for seed in range(companies):
            choice = retention_choice.choose_fit(company(law, seed))
            fit = choice.fit
            alone = of_a_new_one(replace(fit, seen=(), others=()), own).each
            new = of_a_new_one(fit, own)
            error, found = value.usual_formula(choice.life, flat(own), new).error, new.each
            hit, before = (one.low <= right <= one.high for one in (found, alone))
            rows.append(
                (
                    law,
                    bool(fit.seen),
                    before,
                    hit,
                    found.value / right - 1,
                    (found.high - found.low) / right,
                    error.low <= off <= error.high,
                )
            )
    names = ["law", "as observed", "by the fit alone", "held", "bias", "width", "error of the formula held"]
    return pd.DataFrame(rows, columns=names).groupby("law", sort=False).mean()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--companies", type=int, default=100)
    print(simulate(parser.parse_args().companies).round(3).to_string())
