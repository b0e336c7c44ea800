"""Published numbers of buying without a contract, with their sources."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).resolve().parent


def cdnow() -> pd.DataFrame:
    """Frequency, recency and T (weeks) of CDNOW's customers, with how many share them."""
    return pd.read_csv(FOLDER / "cdnow_counts.csv", comment="#")


def cdnow_spend() -> pd.DataFrame:
    """Repeat purchases and their mean amount (USD) of those who bought again."""
    return pd.read_csv(FOLDER / "cdnow_spend.csv", comment="#")


# Fader, Hardie and Lee (2005), Marketing Science 24(2), table 2: r, alpha, a, b and log-likelihood; and from
# its text and the authors' note 004: E[X(52)], and the purchases to expect in 39 weeks after x = 2,
# t_x = 30.43, T = 38.86.
BGNBD = (0.2426, 4.4135, 0.7929, 2.4258, -9582.43)
BGNBD_NEW_52 = 1.4440
BGNBD_CONDITIONAL = ((2, 30.43, 38.86), 39, 1.2259)
# The same table, Pareto/NBD: r, alpha, s, beta and log-likelihood.
PARETO = (0.5533, 10.578, 0.6062, 11.669, -9594.97)
# Batislam, Denizel and Filiztekin (2007), on the same data: r, alpha, a, b and log-likelihood.
MBGNBD = (0.5248, 6.1830, 0.8914, 1.6140, -9582.13)
# Fader and Hardie (2013), "The gamma-gamma model of monetary value" (note 025): p, q, gamma, log-likelihood,
# mean spend of the population.
GAMMA_GAMMA = (6.25, 3.74, 15.44, -4055.92, 35.17)

# Fader, Hardie and Shang (2010), Marketing Science 29(6): donations over six years after the first, 11,104
# donors; frequency, recency, chances and donors (from the wheel lifetimes 0.11.3, file donations.csv).
DONATIONS = pd.DataFrame(
    [
        (0, 0, 6, 3464), (1, 1, 6, 1091), (1, 2, 6, 277), (1, 3, 6, 129), (1, 4, 6, 78), (1, 5, 6, 119),
        (1, 6, 6, 129), (2, 2, 6, 613), (2, 3, 6, 255), (2, 4, 6, 155), (2, 5, 6, 173), (2, 6, 6, 234),
        (3, 3, 6, 322), (3, 4, 6, 181), (3, 5, 6, 225), (3, 6, 6, 357), (4, 4, 6, 240), (4, 5, 6, 284),
        (4, 6, 6, 512), (5, 5, 6, 335), (5, 6, 6, 728), (6, 6, 6, 1203),
    ],
    columns=["frequency", "recency", "T", "n"],
)  # fmt: skip
BGBB = (1.204, 0.750, 0.657, 2.783, -33225.58)
