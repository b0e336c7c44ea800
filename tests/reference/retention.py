"""Published numbers of retention in a contract, with their sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tenure.models.renewals import life_table


def cohort_life_table(active: Sequence[Sequence[float]]) -> pd.DataFrame:
    """Turn cohorts' numbers of customers, at first and after each renewal seen, into a life table."""
    stays = []
    for numbers in active:
        counts = np.asarray(numbers, dtype=float)
        stays += [(k, 1, count) for k, count in enumerate(-np.diff(counts), start=1)]
        stays.append((len(counts) - 1, 0, counts[-1]))
    frame = pd.DataFrame(stays, columns=["exit", "event", "n"]).assign(group="all", entry=0, cause=None)
    return life_table(frame.round({"n": 0}), ["group"])


# Fader and Hardie (2007), "How to project customer retention", Journal of Interactive Marketing 21(1):
# percent of a cohort of 1000 still there after 0, 1, ..., 12 years.
REGULAR = (100, 63.1, 46.8, 38.2, 32.6, 28.9, 26.2, 24.1, 22.3, 20.7, 19.4, 18.3, 17.3)
HIGH_END = (100, 86.9, 74.3, 65.3, 59.3, 55.1, 51.7, 49.1, 46.8, 44.5, 42.7, 40.9, 39.4)

# The same paper: shifted beta-geometric by maximum likelihood; alpha, beta, log-likelihood.
SBG = {
    ("regular", 7): (0.7041, 1.1820, -1680.265),
    ("high end", 7): (0.6681, 3.8061, -1611.158),
    ("regular", 4): (0.7637, 1.2958, -1401.559),
    ("high end", 4): (1.2810, 7.7904, -1225.135),
}
# Survival after 8, ..., 12 years, predicted from 7.
SBG_SURVIVAL = {
    "high end": (0.4604, 0.4358, 0.4142, 0.3951, 0.3780),
    "regular": (0.2201, 0.2044, 0.1912, 0.1799, 0.1700),
}
# The geometric model on High End, 7 years: theta and log-likelihood; and the shifted beta-geometric one's
# log-likelihood at alpha = beta = 1.
GEOMETRIC = (0.10333, -1637.093)
AT_ONE = -2115.546
# Discounted expected lifetime at 10 %, at the parameters rounded to three digits.
DEL = {(0.668, 3.806): 5.9226, (0.704, 1.182): 3.6951}

# Fader, Hardie, Liu, Davin and Steenburgh (2018), "How to project customer retention" revisited, Journal of
# Interactive Marketing 43: beta-discrete-Weibull, 7 years; gamma, delta, c, log-likelihood.
BDW = {
    "high end": (0.21425, 1.42657, 1.72356, -1605.314),
    "regular": (0.45561, 0.77933, 1.28345, -1679.603),
}

# Fader and Hardie (2010), "Customer-base valuation in a contractual setting", Marketing Science 29(1):
# discounted expected residual lifetimes at 10 % before renewals 1, ..., 5.
DERL = {
    (3.80, 15.20): (3.31, 3.45, 3.59, 3.72, 3.84),
    (1 / 15, 4 / 15): (7.68, 9.46, 9.86, 10.06, 10.19),
}
# The same paper: customers acquired in five successive years, and the value of the base at the end of the fifth,
# with one retention rate for all (that of the last year) and by the model. The yearly intake is the one, in
# steps of 500, that gives all four printed totals.
INTAKE = (10_000, 15_000, 17_500, 19_000, 20_500)
BASE_VALUE = {(3.80, 15.20): (182_292, 207_438), (1 / 15, 4 / 15): (341_402, 617_536)}

# Fader and Hardie (2007), "Fitting the sBG model to multi-cohort data" (brucehardie.com, note 017): five
# cohorts of 10,000, one year apart.
COHORTS = tuple((10_000, 8_000, 6_480, 5_307, 4_391)[:years] for years in (5, 4, 3, 2, 1))
COHORTS_SBG = (3.80, 15.19, -40255.837)
