"""How often 95 % intervals of the report on who is about to leave hold the truth.

    python tests/simulations/coverage_risk.py --draws 2000

The log odds of a score are given, off by a line that the correction has to find; 800 customers correct it, 800 judge
it and 800 are looked at. Who leaves is drawn, as are the share saved and who is kept. `share saved` is that of a
campaign with 1,000 customers in each arm. The companies drawn whole are in tests/models/test_risk.py.
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.special import expit

from tenure.models import risk, risk_contacts


class Given(risk.Score):
    """A score whose log odds are a column of the rows."""

    def z(self, rows):
        """The column."""
        return rows["z"].to_numpy()

    def reasons(self, rows, most=2):
        """None."""
        return [""] * len(rows)


def draw(seed: int, intercept: float, slope: float) -> dict[str, bool]:
    """Whether each interval holds what it is about, in one company."""
    rng = np.random.default_rng([seed, 35])
    z = rng.normal(-1.8, 0.8, (3, 800))
    p = expit(intercept + slope * z)
    parts = [
        pd.DataFrame({"customer_id": np.arange(800).astype(str), "z": a, "left": (rng.random(800) < b).astype(float)})
        for a, b in zip(z, p, strict=True)
    ]  # fmt: skip
    score = Given(None, None, None, np.zeros(1)).calibrated(parts[0])
    rows = [part.assign(chance=score.chances(part)) for part in parts]
    over = risk.Judged(rows[1], score).expected_over_left()
    prior, kept, save = [6, 14], np.full(800, 12_000.0), rng.beta(6, 14)
    offered = risk_contacts.Offer(100.0, 800.0, 1.0, *risk_contacts.share_saved(prior))
    found = SimpleNamespace(now=rows[2], score=score)
    calls = risk_contacts.contacts(found, kept, offered, "money:EUR")
    on = rows[2]["customer_id"].isin(calls.table.frame["customer_id"]).to_numpy()
    left = rows[2]["left"].to_numpy()
    saved = left * (rng.random(800) < save)
    brought = (saved * 11_200 - (1 - left) * 800 - 100)[on].sum()
    expected = risk.Predicted(score, None, None, rows[2], None, None).expected()
    stays, keeps = 0.75, 0.75 + 0.25 * save
    arms = rng.binomial(1000, [keeps, stays])
    row = {"campaign": "a", "offer": None, "by": "", "as_of": "", "horizon_days": 91, "treated": 1000, "control": 1000,
           "kept_treated": arms[0], "kept_control": arms[1]}  # fmt: skip
    share = risk_contacts.share_saved(prior, pd.DataFrame([row]))[0]
    return {
        "expected over left, judged": over.low <= 1 <= over.high,
        "share expected to leave": expected.low <= p[2].mean() <= expected.high,
        "what contacting brings": calls.total.low <= brought <= calls.total.high,
        "share saved, measured": share.low <= save <= share.high,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=2000)
    number = parser.parse_args().draws
    for line in ((0.0, 1.0), (0.2, 1.0), (-0.3, 0.8)):
        held = pd.DataFrame([draw(seed, *line) for seed in range(number)]).mean()
        print(line, held.round(4).to_dict(), flush=True)
