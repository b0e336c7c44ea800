"""Whether a campaign to keep customers, or to win them back, paid, and what the next one should be.

All rests on a hold-out: customers who were to be contacted are compared with those who were held out by
chance, whatever happened to them (intention to treat). `overview` and `sums` are what
`tenure.measures.campaigns.overview` and `tenure.measures.experiments.moments` return. To be kept is the
outcome: of customers who had left (`left`), to come back within the days.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.experiments import SRM_ALPHA, SRM_LOOK, sample_ratio, sample_ratio_by_segment
from tenure.models.integrity import Integrity
from tenure.periods import DAYS_A_MONTH
from tenure.privacy import few
from tenure.result import NAN, Estimate, Table, counted, from_ends, interval
from tenure.stats.comparison import Comparison, add_up, compare, compare_shares, segment_effects
from tenure.stats.intervals import proportion
from tenure.stats.lifetable import Array, holm, spelled, z_value
from tenure.stats.power import z_sum

FEWEST = 100  # customers in an arm, for anything to be said
BEFORE = {"tenure_days": "days as a customer", "monthly": "price", "events": "use"}
BEFORE_RETURN = {**BEFORE, "away": "days since the end"}
NOBODY, EVERYBODY, CHOSEN = "nobody", "everybody", "the best simple rule, chosen from others"
_EPOCH = dt.date(1970, 1, 1)
_WHY = {
    "had left": "most of those in {campaign} had left before it, so it is a win-back campaign",
    "had not left": "most of those in {campaign} had not left before it, so it is not a win-back campaign",
    "nobody held out": "nobody was held out of {campaign}, so what it changed is not known",
    "days not over": "the {days} days after the contacts of {campaign} are not over",
    "too few": f"an arm of {{campaign}} has fewer than {FEWEST} {{who}}",
}
_WHO = {False: "paying customers", True: "customers who had left"}


def listed(overview: pd.DataFrame, *, left: bool = False) -> Table:
    """Return the campaigns, the latest first, and whether each can be measured.

    Returns:
        A row per campaign: `campaign`, `first_day` (a date), `contacted` and `held_out` (paying customers, or
        those who had left), `kept` (by the contact: points) with its limits, and `why_not` (in words;
        empty: it can be measured).
    """
    rows = []
    for name, part in overview.groupby("campaign"):
        arms = part.groupby("arm")[["customers", "eligible", "ripe", "kept"]].sum()
        arms = arms.reindex(["treatment", "control"], fill_value=0)
        n, ripe = arms["eligible"], arms["ripe"]
        theirs = n.sum() * 2 >= arms["customers"].sum()
        why = ("had not left" if left else "had left") if not theirs else ""
        why = why or ("" if n["control"] else "nobody held out")
        why = why or ("days not over" if ripe.sum() < n.sum() else "too few" if ripe.min() < FEWEST else "")
        found = Estimate(NAN) if why else difference(*arms[["kept", "ripe"]].to_numpy().ravel().tolist())
        first = _EPOCH + dt.timedelta(days=int(part["first_day"].min()))
        kept = found.value, found.low, found.high
        rows.append((str(name), first, n["treatment"], n["control"], *kept, why))
    columns = ["campaign", "first_day", "contacted", "held_out", "kept", "kept_low", "kept_high", "why_not"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.sort_values(["first_day", "campaign"], ascending=[False, True], ignore_index=True)
    units = {"first_day": "date", "contacted": "count", "held_out": "count", "kept": "points"}
    return Table(table, {**units, "why_not": "words"})


def choose(campaigns: Table, campaign: str, days: int, *, left: bool = False) -> str:
    """Return the campaign asked for or, where none is named, the latest that can be measured.

    Raises:
        InputError: There is no such campaign.
        NotApplicable: It cannot be measured, or none can.
    """
    rows = campaigns.frame
    if rows.empty:
        raise NotApplicable("The table contacts has no rows, so there is no campaign to measure.")
    if campaign and campaign not in set(rows["campaign"]):
        raise InputError(
            f"The parameter `campaign` is {campaign!r}, which is not in the table contacts. "
            f"Fix: use one of {spelled(rows['campaign'])}."
        )
    asked = rows[rows["campaign"] == campaign] if campaign else rows
    if len(able := asked[asked["why_not"] == ""]):
        return str(able["campaign"].iloc[0])
    pairs = zip(asked["campaign"], asked["why_not"], strict=True)
    why = "; ".join([_WHY[w].format(campaign=c, days=days, who=_WHO[left]) for c, w in pairs][:5])
    raise NotApplicable(
        f"No campaign can be measured: {why}. Fix: hold {FEWEST} or more {_WHO[left]} out of "
        "the next one, by chance."
    )


def difference(kept_a: int, a: int, kept_b: int, b: int) -> Estimate:
    """Return the share kept of a less that of b, with Newcombe's interval (1998).

    Example:
        >>> found = difference(56, 70, 48, 80)
        >>> round(found.value, 3), round(found.low, 4), round(found.high, 4)
        (0.2, 0.0524, 0.3339)
    """
    other = proportion(kept_b, b, sample="b")
    return proportion(kept_a, a, sample="a").against(other, "").difference or Estimate(NAN, unit="points")


def months_ahead(overview: pd.DataFrame, economics: Economics, days: int) -> float:
    """Return for how many discounted months more a customer pays who is there at the horizon.

    They leave at the rate at which those held out left within the days, up to the company's horizon:
    the sum over j = 0, 1, ... of v(j) (1 - h)^j, with h a month and v the discount from the contact on.

    Example:
        >>> arms = pd.DataFrame({"arm": ["control"], "ripe": [100], "kept": [75]})
        >>> round(months_ahead(arms, Economics(discount_rate=0.0, horizon_months=24), 91), 2)
        9.46
    """
    held = overview[overview["arm"] == "control"][["kept", "ripe"]].sum()
    stays = float((held["kept"] / held["ripe"]) ** (DAYS_A_MONTH / days))
    first = days / DAYS_A_MONTH
    ahead = np.arange(max(round(economics.horizon_months - first), 0))
    return float((economics.discount(first + ahead) * stays**ahead).sum())


def check(
    overview: pd.DataFrame, sums: pd.DataFrame, planned: dict[str, float], before: Mapping[str, str] = BEFORE
) -> Integrity:
    """Check whether a campaign can be trusted: split, time before, leaks, other campaigns, and costs.

    Args:
        overview: The rows of one campaign.
        sums: Sums by variant, by and segment, with the columns of `before`.
        planned: Planned shares of the variants; empty: the nearest whole ratio, such as 9 to 1.
    """
    rows: list[tuple[str, str, str, float]] = []

    def add(name: str, what: str, failed: bool, look: bool = False, p: float = NAN) -> None:
        rows.append((name, "failed" if failed else "look" if look else "passed", what, p))

    whole = sums[sums["by"] == ""]
    parts = (whole["n"] / whole["n"].min()).round()
    planned = planned or dict(zip(whole["variant"], parts, strict=True))
    test = sample_ratio(whole[["variant", "n"]], planned)
    at = test.furthest
    said = f"{at['variant']} has {at['share']:.2%} of customers where {at['planned']:.2%} were planned."
    add("sample ratio", said, test.p < SRM_ALPHA, test.p < SRM_LOOK, test.p)
    for name, part in sums[sums["by"] != ""].groupby("by"):
        if len(set(part["segment"])) > 1:
            worst = sample_ratio_by_segment(part, "segment", planned).iloc[0]
            p = float(worst["p_adjusted"])
            said = f"Of {name} {worst['value']}, {worst['variant']} has {worst['share']:.1%}."
            add(f"sample ratio by {name}", said, p < SRM_ALPHA, p < SRM_LOOK, p)
    for name, label in before.items():
        found = compare(whole, name, control="control").table.frame
        # Where all in an arm are alike, any difference is one that was made.
        sure = found["p"].isna() & (found["difference"] != 0)
        p = 0.0 if sure.any() else float(found["p_adjusted"].min())
        if not np.isnan(p):
            row = found.iloc[int(found["p"].mask(sure, 0.0).argmin())]
            said = f"Before the contact, {label} was {row['lift']:+.1%} in {row['variant']}."
            add(f"before: {label}", said, p < SRM_ALPHA, p < SRM_LOOK, p)
    for arm, column, what in (
        ("control", "leaked", "held out were contacted all the same: the effect is larger than it seems."),
        ("control", "elsewhere", "held out were reached by another campaign within the days."),
        ("treatment", "free", "contacted have neither cost nor incentive: what they cost counts as nothing."),
    ):
        k, n = overview.loc[overview["arm"] == arm, [column, "eligible"]].sum().astype(int)
        name = "costs" if column == "free" else column
        add(name, f"{k:,} of {n:,} {what}", arm == "control" and k > n / 5, k > 0)
    table = pd.DataFrame(rows, columns=["check", "result", "what", "p"])
    return Integrity(Table(table, {"p": "p"}), tuple(table.loc[table["result"] == "failed", "what"]))


def effects(sums: pd.DataFrame, unit: str) -> dict[str, Comparison]:
    """Compare each variant with those held out: Newcombe's interval for shares, Welch's for means.

    Returns:
        By measure (kept, paid_days, and margin and profit in minor units a customer, of which profit is
        adjusted for the price that customers paid before: CUPED, Deng and others 2013) a `Comparison`.
    """
    shares = sums.rename(columns={"s_kept": "s_converted"})
    found = {"kept": compare_shares(shares, control="control")}
    for name, of in {"paid_days": "days", "margin": unit, "profit": unit}.items():
        before = "monthly" if name == "profit" else None
        found[name] = compare(sums, name, control="control", unit=of, covariate=before)
    return found


def changed(compared: Comparison, variant: str) -> Estimate:
    """Return a difference from those held out: more, less or unclear; words: with_it and without."""
    one, other = (compared.arm(name, of="customer") for name in (variant, compared.control))
    found = compared.table.estimate(variant, "difference", level=compared.level, of="customer")
    case = "more" if found.low > 0 else "less" if found.high < 0 else "unclear"
    words = {"with_it": one, "without": other}
    return replace(found, n=(one.n or 0) + (other.n or 0), case=case, words=words)


def best(effects: dict[str, Comparison]) -> str:
    """Return the variant that brought most profit."""
    rows = effects["profit"].table.frame
    return str(rows["variant"].iloc[int(rows["difference"].argmax())])


def subsidy(sums: pd.DataFrame, variant: str, unit: str) -> Estimate:
    """Return what went to customers who would have stayed anyway: spent times the share of those held out.

    Its words are `spent`, `share` (of those contacted who would have stayed) and `each` (what a customer cost
    who stayed because of it, spent / (n effect), with the limits of the effect; its case is "none" where the
    contact kept nobody). Amounts are in minor units.

    Example:
        >>> arms = {"variant": ["control", "mail"], "n": 100, "s_kept": [60, 80], "s_spent": [0, 5000]}
        >>> found = subsidy(pd.DataFrame(arms), "mail", "money:EUR")
        >>> float(found.value), round(float(found.words["each"].value), 6)
        (3000.0, 250.0)
    """
    arms: dict[Any, Any] = sums.set_index("variant").to_dict("index")
    treated, held = arms[variant], arms["control"]
    share = proportion(int(held["s_kept"]), int(held["n"]), of="customer")
    spent = float(treated["s_spent"])
    effect = difference(*(int(arm[x]) for arm in (treated, held) for x in ("s_kept", "n")))
    ends = (spent / treated["n"] / x if x > 0 else NAN for x in (effect.value, effect.high, effect.low))
    each = from_ends(ends, unit=unit, case="known" if effect.value > 0 else "none")
    words = {"spent": Estimate(spent, unit=unit), "share": share, "each": each}
    return share.scaled(spent, unit).saying("known" if spent else "none", **words)


def by_segment(sums: pd.DataFrame, variant: str) -> Table:
    """Return the effect on customers kept by segment, of all characteristics together.

    Within a characteristic effects are shrunk towards their mean (empirical Bayes, Morris 1983; see
    `segment_effects`); p-values are adjusted for all segments of all characteristics (Holm 1979).

    Args:
        sums: Sums by variant, by and segment.

    Returns:
        A row per segment: `by`, `segment`, `n`, `difference` and `shrunk` (of shares: 0.1 is ten points) with
        their limits, `p_adjusted`, and `interaction`, the p-value of Cochran's test times the number of
        characteristics (Bonferroni); the least first.

    Raises:
        NotApplicable: No characteristic has two segments with both arms.

    Example:
        >>> kept = [300, 280, 300, 340]
        >>> rows = pd.DataFrame({"variant": ["control", "mail"] * 2, "by": "device", "n": 400,
        ...     "segment": ["tv", "tv", "web", "web"], "s_kept": kept, "q_kept": kept})
        >>> by_segment(rows, "mail").frame[["segment", "difference", "shrunk"]].round(3).values.tolist()
        [['tv', -0.05, -0.043], ['web', 0.1, 0.095]]
    """
    parts = []
    pair: dict[str, Any] = {"segment": "segment", "control": "control", "variant": variant, "unit": "percent"}
    for name, rows in sums[sums["by"] != ""].groupby("by"):
        try:
            found = segment_effects(rows, "kept", **pair)
        except NotApplicable:
            continue
        parts.append(found.table.frame.assign(by=name, interaction=found.p))
    if not parts:
        raise NotApplicable("Effects by segment need a characteristic with two segments in both arms.")
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = holm(table["p"].to_numpy())
    table["interaction"] = np.minimum(table["interaction"] * len(parts), 1)
    order = [c for c in table if c not in ("by", "p", "standard_error")]
    table = table.sort_values(["interaction", "by", "segment"], ignore_index=True)[["by", *order]]
    units = {"n": "count", "difference": "points", "shrunk": "points", "p_adjusted": "p", "interaction": "p"}
    return Table(table, units, people=("n",))


def harmed(parts: Table) -> Estimate:
    """Return how many segments of `by_segment` a contact clearly harms; its words: names."""
    rows = parts.frame[(parts.frame["p_adjusted"] < 0.05) & (parts.frame["difference"] < 0)]
    names = (rows["by"].str.replace("_", " ") + " “" + rows["segment"] + "”").tolist()
    return counted(len(names), of="segment").saying("some" if names else "none", names=names)


def scored(cells: pd.DataFrame, by: Sequence[str], variant: str) -> pd.DataFrame:
    """Estimate for customers alike in all of `by` what a contact changes, each fold from the others.

    A logistic regression of `by` for each arm, with a ridge penalty of 1, gives the chance to be kept
    (T-learner; Künzel and others 2019). What a customer brings is a + b chance worth, with what one who is
    kept is worth, by least squares in each arm. Money is in minor units; `lift` is a difference of chances.

    Args:
        cells: Sums by variant, fold and `by`, of kept, profit, worth and spent.

    Returns:
        A row per fold and cell, in order: fold, `by`, n, worth, spent (mean of the contacted of the other
        folds), and for each arm (t, c): n, kept, profit and squares (sums), chance and brings (expected);
        and lift and gain, their differences. They do not depend on the order of rows.
    """
    keys = ["fold", *by]
    arms = {arm: cells[cells["variant"] == name] for arm, name in (("t", variant), ("c", "control"))}
    parts = {arm: add_up(rows, keys).set_index(keys) for arm, rows in arms.items()}
    index = parts["t"].index.union(parts["c"].index).sort_values()
    wide = pd.DataFrame({"worth": 0.0}, index=index)
    names = {"n": "n", "s_kept": "kept", "s_profit": "profit", "q_profit": "squares", "s_spent": "spent"}
    for arm, part in parts.items():
        part = part.reindex(index, fill_value=0.0)
        wide["worth"] += part["s_worth"]
        wide[[f"{name}_{arm}" for name in names.values()]] = part[list(names)].astype(float)
    wide = wide.drop(columns="spent_c").reset_index()
    wide["n"] = wide["n_t"] + wide["n_c"]
    wide["worth"] = wide["worth"] / wide["n"]
    x = pd.get_dummies(wide[list(by)].astype(str)).to_numpy(float) if by else np.zeros((len(wide), 1))
    for fold in sorted(wide["fold"].unique()):
        out = (wide["fold"] == fold).to_numpy()
        learn = wide[~out]
        wide.loc[out, "spent"] = learn["spent_t"].sum() / max(learn["n_t"].sum(), 1)
        for arm in "tc":
            chance = _chances(x[~out], learn[f"kept_{arm}"], learn[f"n_{arm}"], x)
            wide.loc[out, f"chance_{arm}"] = chance[out]
            # What they bring, as a line of what is expected of them.
            line = np.column_stack([np.ones(len(wide)), chance * wide["worth"]])
            n = learn[f"n_{arm}"].to_numpy()
            some, root = n > 0, np.sqrt(np.maximum(n, 1))
            y = learn[f"profit_{arm}"].to_numpy() / np.maximum(n, 1) * root
            slope = np.linalg.lstsq((line[~out] * root[:, None])[some], y[some], rcond=None)[0]
            wide.loc[out, f"brings_{arm}"] = (line @ slope)[out]
    return wide.assign(lift=wide["chance_t"] - wide["chance_c"], gain=wide["brings_t"] - wide["brings_c"])


def _chances(x: Array, kept: pd.Series, n: pd.Series, where: Array) -> Array:
    """The chance to be kept, by a logistic regression with a ridge; the mean where all are alike."""
    from sklearn.linear_model import LogisticRegression

    left = n - kept
    if not kept.sum() or not left.sum():
        return np.full(len(where), float(kept.sum() > 0))
    fit = LogisticRegression(C=1.0, tol=1e-8, max_iter=1000)
    y = np.repeat([1, 0], len(x))
    fit.fit(np.vstack([x, x]), y, sample_weight=np.concatenate([kept, left]))
    return np.asarray(fit.predict_proba(where)[:, 1])


def qini(score: pd.Series, n_t: pd.Series, y_t: pd.Series, n_c: pd.Series, y_c: pd.Series) -> pd.DataFrame:
    """Return what contacting those with the highest scores gains, score by score (Radcliffe 2007).

    Rows of one score come at once, so that their order does not matter: after them
    Q = Y_t - Y_c N_t / N_c, with the contacted (t) and the held out (c) so far.

    Returns:
        From (0, 0) on: `contacted` (customers of both arms so far) and `gained`.

    Example:
        >>> y, t = pd.Series([1, 0, 1, 1, 0, 0, 0, 1]), pd.Series([1, 0, 1, 0, 1, 0, 1, 0])
        >>> points = qini(pd.Series([3, 3, 2, 2, 2, 2, 1, 1]), t, y * t, 1 - t, y * (1 - t))
        >>> points.to_numpy().tolist(), area(points)
        ([[0.0, 0.0], [2.0, 1.0], [6.0, 1.0], [8.0, 0.0]], 6.0)
    """
    rows = pd.DataFrame({"score": score.round(12), "nt": n_t, "yt": y_t, "nc": n_c, "yc": y_c})
    so_far = rows.groupby("score").sum().sort_index(ascending=False).cumsum()
    held = so_far["nc"].where(so_far["nc"] > 0)
    gained = so_far["yt"] - (so_far["yc"] * so_far["nt"] / held).fillna(0.0)
    points = pd.DataFrame({"contacted": so_far["nt"] + so_far["nc"], "gained": gained})
    return pd.concat([pd.DataFrame([[0.0, 0.0]], columns=points.columns), points], ignore_index=True)


def area(points: pd.DataFrame) -> float:
    """Return the area under the curve of `qini`, less that of contacting as many by chance."""
    x, y = points["contacted"].to_numpy(), points["gained"].to_numpy()
    return float(np.trapezoid(y, x) - y[-1] * x[-1] / 2)


class Ranking(NamedTuple):
    """How well a score ranks customers by what a contact changes.

    Attributes:
        curve: `share` (contacted, the highest scores first), `gained` (by a hundred contacted customers, were
            all contacted), and what contacting as many by chance gains: `by_chance` with its 95 % band.
        better: What it gains more than chance, on average over how many are contacted: "ranks" or "does not
            rank".
    """

    curve: Table
    better: Estimate


def ranking(cells: pd.DataFrame, outcome: str, unit: str, *, draws: int = 400) -> Ranking:
    """Judge a score by customers that it was not learned from.

    `better` is the area between the curve of `qini` (Radcliffe 2007) and the line of chance, over the share
    contacted; it and the curve are in customers, or minor units, by a hundred contacted. Intervals are those
    of resampled customers, within arms, with a fixed seed; the band of chance is that of a random order,
    which is a Brownian bridge: the error of the whole effect times sqrt(f (1 - f)).
    """
    score = cells["lift" if outcome == "kept" else "gain"]
    points = qini(score, cells["n_t"], cells[f"{outcome}_t"], cells["n_c"], cells[f"{outcome}_c"])
    rng, arms, found = np.random.default_rng(0), [], []
    for arm in "tc":
        n, kept = cells[f"n_{arm}"].to_numpy(), cells[f"kept_{arm}"].to_numpy()
        drawn = rng.multinomial(int(n.sum()), np.concatenate([kept, n - kept]) / n.sum(), draws)
        y = drawn[:, : len(n)]
        size = y + drawn[:, len(n) :]
        if outcome == "profit":
            mean = cells[f"profit_{arm}"].to_numpy() / np.maximum(n, 1)
            spread = np.sqrt(np.maximum(cells[f"squares_{arm}"].to_numpy() / np.maximum(n, 1) - mean**2, 0))
            y = size * mean + np.sqrt(size) * spread * rng.standard_normal(size.shape)
        arms += [size, y]
    for draw in range(draws):
        curve = qini(score, *(pd.Series(values[draw], cells.index) for values in arms))
        found.append((area(curve), curve["gained"].iloc[-1]))
    per, everybody = 100 / cells["n_t"].sum(), float(cells["n"].sum())
    areas, last = np.array(found).T
    ends = np.array([area(points), *np.quantile(areas, [0.025, 0.975])]) * per / everybody
    better = from_ends(ends.tolist(), n=int(everybody), of="customer", unit=unit)
    curve = points.assign(share=points["contacted"] / everybody, gained=points["gained"] * per)
    # As many points as a figure can show: the last of each hundredth.
    curve = curve.groupby(np.ceil(curve["share"].round(9) * 100), as_index=False).last()
    half = z_value(0.95) * last.std() * per * np.sqrt(curve["share"] * (1 - curve["share"]))
    chance = curve["share"] * curve["gained"].iloc[-1]
    curve = curve[["share", "gained"]].assign(**interval("by_chance", chance, chance - half, chance + half))
    units = {"share": "percent"} | dict.fromkeys(("gained", "by_chance"), unit)
    return Ranking(Table(curve, units), better.saying("ranks" if better.low > 0 else "does not rank"))


class Policies(NamedTuple):
    """What rules for contacting are worth, for each customer, against contacting nobody.

    Attributes:
        table: A row per rule: `rule`, `contacted` (share), `value` with its limits; the rules that leave one
            segment out are the three best.
        rule: The simple rule with the highest value: nobody, everybody, or all but one segment.
        agreed: How many of the folds chose it from the others.
        everybody: What contacting everybody is worth: "more", "less" or "unclear".
        advice: What to do, with what it is worth: "all", "without" (all but one segment), "score", "stop",
            "not all" (all lose, and some may pay) or "unclear"; words: left_out, contacted, rule (what it is
            worth) and more (than everybody).
        more: What the best simple rule, chosen from others, gains on contacting everybody: "better",
            "everybody" or "nobody" (which is the best) or "unclear"; word: left_out.
    """

    table: Table
    rule: str
    agreed: int
    everybody: Estimate
    advice: Estimate
    more: Estimate


def policies(
    cells: pd.DataFrame, by: Sequence[str], unit: str, *, outcome: str = "profit", budget: float = np.inf
) -> Policies:
    """Value rules for contacting by doubly robust scores, on customers that they were not learned from.

    With p the share contacted, the score of a customer is what was expected to change, and the error of that
    (AIPW; Robins, Rotnitzky and Zhao 1994): m_t - m_c + T (y - m_t) / p - (1 - T) (y - m_c) / (1 - p). The
    value of a rule is the mean of the scores of those that it contacts, over all. What was chosen (the best
    simple rule, or whom a score picks) was learned from the other folds.

    Args:
        cells: As from `scored`.
        outcome: "profit", or "kept" for customers.
        budget: The most that may be spent for each customer there is; those with the highest scores go first.
    """
    n, total = cells["n"].to_numpy(), float(cells["n"].sum())
    first, second = doubly_robust(cells, outcome)
    expected = cells["lift" if outcome == "kept" else "gain"].to_numpy()
    rules = {("", NOBODY): np.zeros(len(cells)), ("", EVERYBODY): np.ones(len(cells))}
    for name in by:
        sizes = cells.groupby(name)["n"].sum().reset_index()
        for level_ in sizes.loc[(sizes["n"] >= FEWEST) & ~few(sizes, "n"), name]:
            if len(sizes) > 1:
                rules[name, str(level_)] = (cells[name] != level_).to_numpy(float)
    names, weights = list(rules), np.array(list(rules.values()))
    whole = weights @ first / total
    best, agreed, chosen, picked = int(whole.argmax()), 0, np.zeros(len(cells)), np.zeros(len(cells))
    for fold in sorted(cells["fold"].unique()):
        out = (cells["fold"] == fold).to_numpy()
        choice = int((weights[:, ~out] @ first[~out]).argmax())
        agreed += choice == best
        chosen[out] = weights[choice][out]
        picked[out] = _picked(expected, n, cells["spent"].to_numpy(), out, budget)

    def value(w: Array) -> Estimate:
        mean = float(w @ first / total)
        half = z_value(0.95) * max(float(w**2 @ second / total) - mean**2, 0.0) ** 0.5 / total**0.5
        return Estimate(mean, mean - half, mean + half, n=int(total), of="customer", unit=unit)

    labels = [_all_but(*rule) if rule[0] else rule[1] for rule in names]
    top = [i for i in np.argsort(-whole, kind="stable") if names[i][0]][:3]
    shown = [(labels[i], weights[i]) for i in (0, 1, *top)]
    shown += [(CHOSEN, chosen), ("those with a score above 0", picked)]
    found = [(rule, float(w @ n / total), value(w)) for rule, w in shown]
    frame = pd.DataFrame(
        {"rule": rule, "contacted": part, **interval("value", one.value, one.low, one.high)}
        for rule, part, one in found
    )
    table = Table(frame, {"rule": "words", "contacted": "percent", "value": unit})
    everybody, nearest = value(weights[1]), 1 + int(whole[1:].argmax())
    base = weights[1] if everybody.value > 0 else weights[0]
    case, advice, w = "unclear", everybody, weights[1]
    simple = value(chosen - base).low > 0 and best > 1
    if value(picked - (chosen if simple else base)).low > 0:
        case, advice, w = "score", value(picked), picked
    elif simple:
        case, advice, w = "without", value(chosen), chosen
    elif everybody.low > 0:
        case = "all"
    elif everybody.high < 0:
        w = weights[nearest]
        case = "stop" if value(w).high < 0 else "not all"
    words = {"left_out": labels[nearest], "rule": value(w), "more": value(w - weights[1])}
    words |= {"contacted": Estimate(float(w @ n / total), unit="percent")}
    gain = value(chosen - weights[1])
    gain = gain.saying(labels[best] if best < 2 else "better" if gain.low > 0 else "unclear")
    sure = "more" if everybody.low > 0 else "less" if everybody.high < 0 else "unclear"
    everybody = everybody.saying(sure)
    gain = gain.saying(left_out=labels[best])
    return Policies(table, labels[best], agreed, everybody, advice.saying(case, **words), gain)


def rule_of(cells: pd.DataFrame, by: Sequence[str], found: Policies) -> Array:
    """Return for each cell whether the rule that `policies` advises contacts it: 1, or 0."""
    if found.advice.case == "score":
        return (cells["gain"] > 0).to_numpy(float)
    on = np.full(len(cells), float(found.advice.case in ("all", "without")))
    if found.advice.case == "without":
        for name in by:
            on[[_all_but(name, level) == found.rule for level in cells[name].astype(str)]] = 0.0
    return on


def _all_but(name: str, level: str) -> str:
    return f"all but those with {name.replace('_', ' ')} “{level}”"


def doubly_robust(cells: pd.DataFrame, outcome: str) -> tuple[Array, Array]:
    """Return sums of the doubly robust scores of each cell's customers, and of their squares.

    The score is that of `policies`, m_t - m_c + T (y - m_t) / p - (1 - T) (y - m_c) / (1 - p) (Robins,
    Rotnitzky and Zhao 1994), in customers kept or in minor units. Where p, the share contacted, is right, its
    mean is the effect even if what was expected, m, is not.

    Example:
        >>> cell = {"n": 100, "n_t": 50, "n_c": 50, "kept_t": 40, "kept_c": 30}
        >>> cell |= {"chance_t": 0.7, "chance_c": 0.6}
        >>> [round(float(sums[0]), 6) for sums in doubly_robust(pd.DataFrame([cell]), "kept")]
        [20.0, 85.0]
    """
    expected = "chance" if outcome == "kept" else "brings"
    p = float(cells["n_t"].sum() / cells["n"].sum())
    lift = (cells[f"{expected}_t"] - cells[f"{expected}_c"]).to_numpy()
    first, second = np.zeros(len(cells)), np.zeros(len(cells))
    for arm, weight in (("t", 1 / p), ("c", -1 / (1 - p))):
        n, total, m = (cells[f"{name}_{arm}"].to_numpy() for name in ("n", outcome, expected))
        squares = total if outcome == "kept" else cells[f"squares_{arm}"].to_numpy()
        off = total - n * m
        first += n * lift + weight * off
        second += n * lift**2 + 2 * weight * lift * off + weight**2 * (squares - 2 * m * total + n * m**2)
    return first, second


def _picked(expected: Array, n: Array, spent: Array, out: Array, budget: float) -> Array:
    """Whom a score picks of a fold: above 0, and above where the other folds would have spent the budget."""
    order = np.argsort(-expected[~out], kind="stable")
    so_far = np.cumsum((n * spent)[~out][order]) / n[~out].sum()
    over = expected[~out][order][so_far > budget]
    return (expected[out] > max(0.0, over[0] if len(over) else 0.0)).astype(float)


def worth_of_one(sums: pd.DataFrame, ahead: float, days: int) -> float:
    """Return what a customer brings who is kept: beyond the days, and on average half of them."""
    worth = float(sums["s_worth"].sum() / sums["n"].sum())
    return worth * (1 + days / DAYS_A_MONTH / 2 / ahead) if ahead else NAN


def next_holdout(sums: pd.DataFrame, variant: str, worth: float) -> Estimate:
    """Return how many customers to hold out of a campaign, and to contact, at the least.

    With so many in each arm an effect of twice what pays for itself is told from one that just does, four
    times out of five. Its word is `pays`, the effect (in points) that pays for what was spent on a customer;
    its case "known", "many" (more than were in this campaign) or "none".

    Args:
        worth: What a customer who is kept brings, in minor units.
    """
    arms: dict[Any, Any] = sums.set_index("variant").to_dict("index")
    stays = arms["control"]["s_kept"] / arms["control"]["n"]
    pays = arms[variant]["s_spent"] / arms[variant]["n"] / worth if worth > 0 else NAN
    if not 0 < pays < 1:
        return Estimate(NAN, unit="count", case="none").saying(pays=Estimate(pays, unit="points"))
    after = min(stays + 2 * pays, 1)
    variance = stays * (1 - stays) + after * (1 - after)
    found = counted(float(np.ceil(z_sum(0.05, 0.8) ** 2 * variance / pays**2)), of="customer")
    case = "many" if found.value > sums["n"].sum() else "known"
    return found.saying(case, pays=Estimate(pays, unit="points"))


def published(campaign: str, overview: pd.DataFrame, sums: pd.DataFrame, days: int) -> pd.DataFrame:
    """Return the rows of the contract table `campaign_effects`, of any offer and, of everyone, of each."""
    last = _EPOCH + dt.timedelta(days=int(overview["last_day"].max()) + days)
    rows: list[tuple[str | None, str, str, pd.DataFrame, pd.DataFrame]] = []
    for (by, segment), part in sums.groupby(["by", "segment"]):
        held, treated = (part[(part["variant"] == "control") == is_held] for is_held in (True, False))
        offers = treated.groupby("variant") if len(treated) > 1 and not by else ()
        rows += [(None, str(by), str(segment), treated, held)]
        rows += [(str(name), "", "", one, held) for name, one in offers]
    table = pd.DataFrame(
        {
            "campaign": campaign, "offer": offer, "by": by, "segment": segment, "horizon_days": days,
            "treated": int(t["n"].sum()), "control": int(c["n"].sum()),
            "kept_treated": int(t["s_kept"].sum()), "kept_control": int(c["s_kept"].sum()), "as_of": last,
        }
        for offer, by, segment, t, c in rows
    )  # fmt: skip
    table["offer"] = table["offer"].astype("string")
    sizes = table.assign(n=table["treated"] + table["control"], of=table["offer"].isna())
    return table[~few(sizes, "n", ("by", "of"))]
