"""Whom it pays to contact, of those who may leave; and whether scores treat groups alike and stay true.

What a contact brings: save p (V - d) - (1 - p) taken d - f, with the chance p to leave, the share `save` of
those about to leave whom the contact keeps, the worth V of keeping the customer, the cost d of the incentive,
the share `taken` who take it though they would have stayed, and the cost f of the contact. Money is in
reporting minor units. Who is likely to leave need not be easy to persuade: only a hold-out tells `save`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import expit

from tenure.economics import Economics
from tenure.errors import InputError
from tenure.models.risk import NAMES, Judged, Predicted, auc
from tenure.models.worth import save_rate
from tenure.result import Estimate, Table, from_ends, interval
from tenure.stats.intervals import poisson_limits, wilson
from tenure.stats.lifetable import FEWEST, Array, holm, z_value

_DRAWS = 1000


@dataclass(frozen=True, eq=False)
class Offer:
    """What a contact costs, and whom it keeps.

    Attributes:
        cost: Of a contact, f.
        incentive: What is given to who takes it, d.
        taken: The share who take it though they would have stayed.
        save: The share of those about to leave who are kept; its case is "measured" or "assumed".
        draws: Draws of that share.
    """

    cost: float
    incentive: float
    taken: float
    save: Estimate
    draws: Array

    def brings(self, p: Any, worth: Any, save: Any) -> Any:
        """What contacting customers brings, with their chances to leave and the share that is saved."""
        kept = save * p * (worth - self.incentive)
        return kept - (1 - p) * self.taken * self.incentive - self.cost


def share_saved(prior: Sequence[float], effects: pd.DataFrame | None = None) -> tuple[Estimate, Array]:
    """Return the share of those about to leave whom a contact keeps, and draws of it.

    Args:
        prior: The two parameters of its beta distribution, where it was not measured.
        effects: As for `tenure.models.worth.save_rate`, which gives the measured share.

    Raises:
        InputError: `prior` is not two numbers above 0.

    Example:
        >>> seen = {"campaign": "a", "offer": None, "by": "", "as_of": "2026-10-31", "horizon_days": 90,
        ...         "treated": 2000, "control": 2000, "kept_treated": 1700, "kept_control": 1600}
        >>> [round(float(share_saved([6, 14], rows)[0].value), 2) for rows in (None, pd.DataFrame([seen]))]
        [0.3, 0.25]
    """
    if len(prior) != 2 or min(prior) <= 0:
        raise InputError(f"`saved` must be two numbers above 0, such as [4, 16]; it is {list(prior)!r}.")
    rng, found = np.random.default_rng(0), save_rate(effects)
    if found.case != "measured" or not found.known:
        beta = stats.beta(*prior)
        ends = beta.mean(), *beta.ppf([0.025, 0.975])
        return from_ends(ends, unit="percent", case="assumed"), beta.rvs(_DRAWS, random_state=rng)
    # What is kept is 1 less a ratio, whose logarithm is normal to either side of its middle.
    low, middle, high = np.log(np.maximum(1 - np.array([found.high, found.value, found.low]), 1e-9))
    u = stats.norm.ppf((rng.permutation(_DRAWS) + 0.5) / _DRAWS) / z_value(0.95)
    return found, 1 - np.exp(middle + u * np.where(u > 0, high - middle, middle - low))


def worth_of_keeping(
    rows: pd.DataFrame, life: pd.DataFrame, economics: Economics, currency: str, horizon: int
) -> Array:
    """Return what is left of the payments of a customer who is kept at the next renewal, within a horizon.

    The rule is that of `tenure.models.worth`: who is kept goes on paying their own price for as long as
    others of that age and term stay, m sum over j < horizon of v(j) S(a + j) / S(a), with m what is left of
    a month's price in minor units, a the age in months and v the discount. Beyond what was observed the mean
    hazard of the last year observed goes on.

    Args:
        rows: As from `tenure.models.risk.prepared`.
        life: The life table by billing term (groups "1 month"), by month.
        horizon: Months that count.
    """
    weights, lasts = economics.discount(np.arange(horizon)), np.zeros(len(rows))
    age, months = np.rint(np.expm1(rows["time as a customer"])).to_numpy(int), rows["months"].to_numpy()
    billed = life["group"].str.replace(r"^(\d+) year$", lambda n: f"{int(n[1]) * 12} month", regex=True)
    for term in rows["interval"].unique():
        mine, own = (rows["interval"] == term).to_numpy(), life[billed == term.rstrip("s")]
        counts = (own if len(own) else life).groupby("period")[["events", "at_risk"]].sum()
        counts = counts[counts["at_risk"] >= FEWEST]
        late = counts.tail(12).sum()
        tail = float(late["events"] / max(late["at_risk"], 1))
        seen = (counts["events"] / counts["at_risk"]).reindex(
            range(1, age.max() + horizon + 1), fill_value=tail
        )
        stays = np.append(1.0, np.cumprod(1 - seen))
        lasts[mine] = [stays[a : a + horizon] @ weights / max(stays[a], 1e-9) for a in age[mine]]
    left = economics.left_of((rows["bill"] / months).to_numpy(), currency, charges=1 / months, months=1.0)
    return np.asarray(np.maximum(left, 0.0) * lasts)


class Contacts(NamedTuple):
    """Whom to contact, and what it brings.

    Attributes:
        table: A row per customer whom it pays to contact, the best first: customer_id, chance, worth (what
            the contact brings) with limits, kept (what keeping the customer is worth), reason.
        total: What contacting them brings; its case is "pays", "unclear" or "nobody"; word: needed (the
            share saved from which on it pays).
        threshold: The chance from which on it pays to contact a customer whose worth is the median.
    """

    table: Table
    total: Estimate
    threshold: Estimate


def contacts(found: Predicted, kept: Array, offered: Offer, unit: str) -> Contacts:
    """Choose whom to contact: each customer for whom it can be expected to pay.

    It does where `Offer.brings` (see the head of the module) is above 0 minor units, that is, from the chance
    (taken d + f) / (save (V - d) + taken d) on. Limits of the total allow for the share saved, for the
    calibration of the chances, and for who happens to leave and to be kept; those of a customer for the first
    two.
    """
    rows, line, spread, save = found.now, found.score.line, found.score.spread, offered.save
    p, z = rows["chance"].to_numpy(), found.score.z(rows)
    x = np.column_stack([np.ones_like(z), z])
    wide = z_value(0.95) * np.sqrt(((x @ spread) * x).sum(axis=1))
    low, high = expit(x @ line - wide), expit(x @ line + wide)
    brings, gain = offered.brings(p, kept, save.value), kept - offered.incentive
    on, given = brings > 0, offered.taken * offered.incentive
    worth = brings, offered.brings(low, kept, save.low), offered.brings(high, kept, save.high)
    ends = {**interval("chance", p, low, high), **interval("worth", *worth)}
    table = rows[["customer_id"]].assign(**ends, kept=kept, reason=found.score.reasons(rows))[on]
    table = table.sort_values(["worth", "customer_id"], ascending=[False, True], ignore_index=True)

    rng, totals = np.random.default_rng(2), []
    for drawn, saved in zip(rng.multivariate_normal(line, spread, _DRAWS), offered.draws, strict=True):
        q = expit(x[on] @ drawn)
        mean = offered.brings(q, kept[on], saved) + offered.cost
        square = max(saved, 0.0) * q * gain[on] ** 2 + (1 - q) * given * offered.incentive
        error = np.sqrt(np.maximum(square - mean**2, 0.0).sum())
        totals.append((mean - offered.cost).sum() + error * rng.standard_normal())
    total = brings[on].sum(), *np.quantile(totals, [0.025, 0.975])
    spent = ((1 - p[on]) * given + offered.cost).sum()
    needed = Estimate(float(spent / max((p * gain)[on].sum(), 1e-9)), unit="percent")
    case = "nobody" if not on.any() else "pays" if total[1] > 0 else "unclear"
    told = from_ends(total, n=int(on.sum()), of="customer", unit=unit, case=case).saying(needed=needed)

    shares = np.maximum([save.value, *np.quantile(offered.draws, [0.975, 0.025])], 0.0)
    least = (given + offered.cost) / np.maximum(shares * np.median(gain) + given, 1e-9)
    units = {"chance": "percent", "worth": unit, "kept": unit}
    return Contacts(Table(table, units), told, from_ends(np.minimum(least, 1.0), unit="percent"))


def looking_back(judged: Judged, kept: Array, offered: Offer, unit: str) -> Table:
    """Return what contacting would have brought on the landmark that is judged, by whom it had chosen.

    What it brought is `Offer.brings` with 1 or 0, whether the customer left, in place of the chance, in minor
    units; nobody was contacted then.

    Returns:
        A row per choice ("this list", "everybody", "the rule"): contacts, left (the share, with Wilson's
        limits), expected and brought, with limits by resampled customers at the share saved.
    """
    p, left = (judged.rows[name].to_numpy() for name in ("chance", "left"))
    expected, brought = (offered.brings(q, kept, offered.save.value) for q in (p, left))
    chosen = {"this list": expected > 0, "everybody": p >= 0}
    if "rule" in judged.rows:
        chosen["the rule"] = judged.rows["rule"].to_numpy() > 0
    told = []
    for name, who in chosen.items():
        share, limits = left[who].sum() / max(who.sum(), 1), judged.weights @ (brought * who)
        told.append({
            "contacted": name, "contacts": who.sum(),
            **interval("left", share, *wilson(share, who.sum(), 0.95)), "expected": expected[who].sum(),
            **interval("brought", brought[who].sum(), *np.quantile(limits, [0.025, 0.975])),
        })  # fmt: skip
    units = {"contacts": "count", "left": "percent", "expected": unit, "brought": unit}
    return Table(pd.DataFrame(told), units | {"contacted": "words"})


def drift(found: Predicted) -> Table:
    """Return how far customers have moved since the score was fitted: the population stability index.

    sum (r - q) log(r / q) over tenths of the fitted customers, or plans, with q and r the shares then and
    now; each count has a half added. If nothing has moved it is about (1 / n + 1 / m) times a chi-squared
    with one degree of freedom less than groups (Yurdakul 2018), n and m being the customers,
    each counted on every landmark fitted on.

    Returns:
        A row per fact, most first: fact, index (0: nothing has moved), and by_chance, the chi-squared's 95%
        point, below which 19 in 20 are if nothing has moved.
    """
    rows = []
    for name in [*NAMES, "plan"]:
        if found.now[name].isna().all():
            continue
        old, new = found.fitted_on[name].dropna(), found.now[name].dropna()
        if name in NAMES:
            edges: Array = np.unique(np.quantile(old, np.linspace(0.1, 0.9, 9))) if len(old) else np.zeros(0)
            old, new = (pd.Series(np.searchsorted(edges, part)) for part in (old, new))
        counts = pd.concat([old.value_counts(), new.value_counts()], axis=1).fillna(0.0) + 0.5
        n, m = counts.sum()
        q, r = counts.T.to_numpy() / [[n], [m]]
        chance = stats.chi2.ppf(0.95, max(len(counts) - 1, 1)) * (1 / n + 1 / m)
        rows.append({"fact": name, "index": float(((r - q) * np.log(r / q)).sum()), "by_chance": chance})
    frame = pd.DataFrame(rows).sort_values("index", ascending=False, ignore_index=True)
    return Table(frame, {"fact": "words"})


def fairness(judged: Judged, chosen: Array, groups: pd.DataFrame) -> Table:
    """Return how the list treats groups, on the landmark that is judged.

    Shares contacted and found are tested by Fisher's exact test; customers expected to leave over those who
    did by a binomial one, whether the group has of all who left the share that was expected. Its limits are
    from Garwood's (1936) of the count; `guessed` is an AUC.

    Args:
        chosen: Whether each customer would have been contacted.
        groups: A row per customer of the landmark, in its order, and a column a characteristic; of more than
            12 numbers, such as years of birth, decades are compared.

    Returns:
        A row per group of 30 or more: characteristic, group, customers; contacted (the share), found (of
        those who left, the share contacted), both with Wilson's limits; expected_over_left with exact limits;
        guessed (how well the chance alone tells the group, 0.5: not at all); and p, the smallest of the
        tests of the three against the other groups, adjusted for all (Holm).
    """
    left, p = (judged.rows[name].to_numpy(float) for name in ("left", "chance"))
    rows, tests = [], []
    for name in groups:
        numbers = pd.to_numeric(groups[name], errors="coerce")
        decades = (numbers // 10 * 10).map("{:.0f}s".format, na_action="ignore")
        column = decades if numbers.nunique() > 12 else groups[name]
        labels = column.astype(object).where(column.notna(), "unknown").to_numpy()
        for group in sorted(set(labels)):
            mine, gone = labels == group, left > 0
            if mine.sum() < 30 or (~mine).sum() < 30 or not (mine & gone).any():
                continue
            sets = ((mine & who, ~mine & who) for who in (mine | True, gone))
            shares = [(chosen[one].sum(), one.sum(), chosen[two].sum(), two.sum()) for one, two in sets]
            events, expected = left[mine].sum(), p[mine].sum()
            low, high = poisson_limits(int(events), 0.95)
            tests += [stats.fisher_exact([[k, n - k], [j, m - j]])[1] for k, n, j, m in shares]
            tests.append(stats.binomtest(int(events), int(left.sum()), min(expected / p.sum(), 1.0)).pvalue)
            (a, n, *_), (b, m, *_) = shares
            rows.append({
                "characteristic": name, "group": group, "customers": int(n),
                **interval("contacted", a / n, *wilson(a / n, n, 0.95)),
                **interval("found", b / m, *wilson(b / m, m, 0.95)),
                **interval("expected_over_left", *expected / np.array([events, high, max(low, 1e-9)])),
                "guessed": auc(mine, p),
            })  # fmt: skip
    adjusted = holm(np.array(tests)).reshape(-1, 3).min(axis=1) if tests else []
    units = {"contacted": "percent", "found": "percent", "expected_over_left": "number", "p": "p"}
    return Table(pd.DataFrame(rows).assign(p=adjusted), units, people=["customers", "contacted", "found"])
