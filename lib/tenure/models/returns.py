"""Who comes back by themselves and when, what a second life brings, and whom to ask next.

`life` is what `tenure.measures.returns.life_table` returns: counts by day since customers left. What a
campaign to win customers back changed is estimated by `tenure.models.campaigns`; here it is broken down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tenure.economics import Economics
from tenure.errors import InputError, NotApplicable
from tenure.models.campaigns import FEWEST, Policies, difference, doubly_robust, rule_of
from tenure.result import NAN, Estimate, Table, counted, from_ends, from_row, interval
from tenure.stats.comparison import Comparison
from tenure.stats.incidence import CumulativeIncidence, cumulative_incidence
from tenure.stats.intervals import poisson_limits
from tenure.stats.lifetable import FEWEST as AT_RISK
from tenure.stats.lifetable import ratio, z_value
from tenure.stats.regression import hazard_ratios

HORIZONS = (30, 90, 180, 365)  # days after the end
_DRAWS, _Z = 2000, z_value(0.95)
_ENDED = {"voluntary": "by their own choice", "involuntary": "after failed payments"}


def curve(life: pd.DataFrame, by: str = "") -> CumulativeIncidence:
    """Return the share of those who left that has come back by itself, by day, of everybody or by groups.

    Raises:
        NotApplicable: Nobody has left.
    """
    rows = life[life["by"] == by]
    if rows.empty:
        raise NotApplicable("Nobody has left for a day or more, so nobody can have come back.")
    return cumulative_incidence(rows.drop(columns="by"), causes=["returned"], period="day")


def shares(life: pd.DataFrame) -> Table:
    """Return the shares that came back within 30, 90, 180 and 365 days, by characteristic.

    They are Aalen and Johansen's (1978), which allow for customers who were not observed for so long.

    Returns:
        A row per characteristic and group: `by`, `group`, `left` (customers), `came_back`, and within_30_days
        and so on with their limits, empty where nobody was observed for so long.
    """
    rows = []
    for (by, group), part in life[life["by"] != ""].groupby(["by", "group"], sort=False):
        known: dict[Any, Any] = curve(part, str(by)).table.frame.set_index("period").to_dict("index")
        left, back = int(part["at_risk"].max()), int(part["events"].sum())
        row = {"by": str(by).replace("_", " "), "group": group, "left": left, "came_back": back}
        for days in HORIZONS:
            one = from_row(known.get(days, {}), "incidence")
            row |= interval(f"within_{days}_days", one.value, one.low, one.high)
        rows.append(row)
    table = pd.DataFrame(rows)
    units = {f"within_{days}_days": "percent" for days in HORIZONS} | {"left": "count", "came_back": "count"}
    return Table(table, units, people=("left", "came_back"))


def came_back(found: CumulativeIncidence, days: int) -> Estimate:
    """Return the share that came back within so many days, or as many as were observed.

    Its case is "some" or "nobody"; words: time, and limit (the upper one).
    """
    rows = found.everybody.table.frame
    row: dict[Any, Any] = rows[rows["period"] <= days].iloc[-1].to_dict()
    about: dict[str, Any] = {"n": int(rows["at_risk"].max()), "of": "customer", "unit": "percent"}
    one = from_row(row, "incidence", **about)
    words = {"time": counted(row["period"], unit="days"), "limit": Estimate(one.high, unit="percent")}
    return one.saying("some" if one.value else "nobody", **words)


def half_back(found: CumulativeIncidence, within: int = 365) -> Estimate:
    """Return by which day half of those who come back within some days have done so.

    Its limits are the days of the ranks n/2 -+ z sqrt(n)/2 of the n who came back; words: within.
    """
    rows = found.everybody.table.frame
    rows = rows[rows["period"] <= within]
    n, last = int(rows["events"].sum()), int(rows["period"].max())
    words = {"within": counted(last, unit="days")}
    if n < 2:
        return Estimate(NAN, n=n, of="customer", unit="days", case="few", words=words)
    spread = _Z / 2 / n**0.5
    aims = rows["incidence"].iloc[-1] * np.clip([0.5, 0.5 - spread, 0.5 + spread], 0, 1)
    ends = rows["period"].to_numpy()[np.minimum(np.searchsorted(rows["incidence"], aims), len(rows) - 1)]
    return from_ends(ends.tolist(), n=n, of="customer", unit="days", case="some", words=words)


def weekly(life: pd.DataFrame, weeks: int = 52) -> Table:
    """Return how many of a thousand who have not come back do so in each week since the end.

    The rate is events over the days at risk; its limits are exact (Garwood 1936).

    Returns:
        A row per week that anybody was observed in: `week`, `at_risk` (on its first day), `came_back`, and
        `rate` with its limits.
    """
    rows = life[life["by"] == ""].set_index("period").sort_index()
    days = np.arange(1, min(weeks * 7, int(rows.index.max())) + 1)
    # The days that are missing are those on which nothing happened.
    at_risk = rows["at_risk"].reindex(days, method="bfill").fillna(0)
    table = pd.DataFrame({"at_risk": at_risk, "came_back": rows["events"].reindex(days, fill_value=0)})
    groups = table.groupby((days - 1) // 7 + 1)
    exposed = groups["at_risk"].sum().to_numpy(float) / 7000
    back = groups["came_back"].sum().to_numpy(int)
    ends = np.array([poisson_limits(int(k), 0.95) for k in back]) / exposed[:, None]
    frame = pd.DataFrame({"week": groups.size().index, "at_risk": groups["at_risk"].first().astype(int)})
    frame = frame.assign(came_back=back, **interval("rate", back / exposed, ends[:, 0], ends[:, 1]))
    return Table(frame, {"week": "weeks", "at_risk": "count", "came_back": "count", "rate": "number"})


def anyway(kept: Comparison, variant: str) -> Estimate:
    """Return the share of those who came back after being asked who would have come back unasked.

    That is the share that came back of those held out, over that of those asked: 1 / (1 + lift), with the
    lift's limits. Its case is "some", or "all" where those held out came back as often.
    """
    found = kept.table.estimate(variant, "lift", of="customer")
    n = kept.arm(variant, of="customer").n
    value, high, low = (1 / (1 + x) if x > -1 else NAN for x in (found.value, found.low, found.high))
    ends = value, low, min(high, 1.0) if value < 1 else high
    return from_ends(ends, n=n, of="customer", unit="percent", case="some" if value < 1 else "all")


def apart(sums: pd.DataFrame, variant: str, by: str, one: str, other: str) -> Estimate:
    """Return by how much an effect on returns is larger in one group than in another.

    Both are differences with Newcombe's intervals; the limits of theirs are recovered from these (Zou and
    Donner 2008). Its case is "larger", "smaller" or "unclear"; words: one and other (the effects).
    """
    rows, found = sums[sums["by"] == by], []
    for group in (one, other):
        mine = rows[rows["segment"] == group].set_index("variant")[["s_kept", "n"]].astype(int)
        if one == other or not {variant, "control"} <= set(mine.index):
            return Estimate(NAN, unit="points", case="unknown")
        a, b, c, d = mine.loc[[variant, "control"]].to_numpy().ravel().tolist()
        found.append(replace(difference(a, b, c, d), n=b + d, sample=group))
    gap = found[0].against(found[1], "").difference or Estimate(NAN, unit="points")
    case = "larger" if gap.low > 0 else "smaller" if gap.high < 0 else "unclear"
    words = {"one": found[0], "other": found[1]}
    return replace(gap, n=sum(x.n or 0 for x in found), of="customer", case=case, words=words)


def soon_or_late(sums: pd.DataFrame, variant: str) -> Estimate:
    """Return by how much an effect is larger soon after the end than late: `apart`; words: soon and late."""
    rows = sums[(sums["by"] == "days_since_end") & (sums["n"] >= FEWEST / 2)]
    names = sorted(rows["segment"].unique(), key=lambda name: int(name.rstrip("+").partition("-")[0])) or [""]
    return apart(sums, variant, "days_since_end", names[0], names[-1]).saying(soon=names[0], late=names[-1])


def price_again(sums: pd.DataFrame) -> Estimate:
    """Return what customers pay who came back, for each unit of what they paid before they left.

    r = sum now / sum then, of the same customers, with the delta method's limits,
    r -+ z sqrt(sum (now - r then)^2) / sum then: 1.1 is a tenth more. It is 1 where nobody came back.

    Args:
        sums: As from `tenure.measures.returns.prices`.

    Example:
        >>> row = {"customers": 2, "now": 22, "then": 20, "squares_now": 250, "squares_then": 200}
        >>> found = price_again(pd.DataFrame([row | {"product": 220}]))
        >>> [round(float(end), 3) for end in (found.value, found.low, found.high)]
        [1.1, 0.823, 1.377]
    """
    row: dict[Any, float] = sums.iloc[0].to_dict()
    n = int(row["customers"])
    if not n:
        return Estimate(1.0, unit="percent", exact=True, case="assumed")
    value = row["now"] / row["then"]
    squares = row["squares_now"] - 2 * value * row["product"] + value**2 * row["squares_then"]
    half = _Z * max(squares, 0.0) ** 0.5 / row["then"]
    return Estimate(value, value - half, value + half, n, "customer", "percent", case="measured")


def months_again(
    life: pd.DataFrame, economics: Economics, horizon: int, given: float | None = None
) -> Estimate:
    """Return for how many months, discounted, customers pay who have come back; words: horizon.

    The sum over months j = 0, 1, ... of v(j) S(j), with the survival curve S of second lives. From the month
    on in which fewer than 30 are at risk, the hazard of the 12 before goes on. Limits are those of binomial
    draws of each month's hazard, with a fixed seed.

    Args:
        life: The life table of second lives, by month, as from `tenure.measures.subscriptions.life_table`.
        horizon: Months that count.
        given: Months that are taken instead.

    Raises:
        NotApplicable: Fewer than 30 customers have come back.

    Example:
        >>> life = pd.DataFrame(dict(period=[1, 2], at_risk=[400, 200], events=[200, 0]))
        >>> facts = Economics(discount_rate=0.0)
        >>> float(months_again(life, facts, 2).value)
        1.5
    """
    words = {"horizon": counted(horizon, unit="months")}
    if given is not None:
        return Estimate(given, unit="months", exact=True, words=words)
    rows = life.groupby("period")[["events", "at_risk"]].sum()
    rows = rows.reindex(range(1, int(rows.index.max() if len(rows) else 0) + 1), fill_value=0)
    enough = int((rows["at_risk"] >= AT_RISK).cumprod().sum())
    if not enough:
        raise NotApplicable(
            f"Fewer than {AT_RISK} customers have come back for a month, so how long they stay is not known, "
            "nor what that is worth. Fix: wait, or set the parameter `months_again`."
        )
    rows = rows.head(enough)
    late = rows.tail(12).sum()
    d, n = (np.append(rows[name], late[name]).astype(int) for name in ("events", "at_risk"))
    draws = np.vstack([d, np.random.default_rng(0).binomial(n, ratio(d, n, 0.0), (_DRAWS, len(n)))])
    hazard = ratio(draws, n, 0.0)
    place = np.minimum(np.arange(max(horizon - 1, 0)), enough)
    stays = np.hstack([np.ones((_DRAWS + 1, 1)), np.cumprod(1 - hazard[:, place], axis=1)])
    months = stays @ economics.discount(np.arange(stays.shape[1]))
    ends = [float(end) for end in (months[0], *np.quantile(months[1:], [0.025, 0.975]))]
    return from_ends(ends, n=int(n[0]), of="customer", unit="months", words=words)


def second_against_first(first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    """Return how the rate of leaving differs in second lives from first lives of the same plan and month.

    A hazard ratio in grouped time (Prentice and Gloeckler 1978; see `tenure.stats.regression`), second over
    first lives, with plans as a covariate and a baseline for each month of life: 2 means twice the rate. Its
    case is "shorter", "longer", "unclear" or "unknown", where too few came back or left.

    Args:
        first: Counts of first lives by plan, as from `tenure.measures.subscriptions.duration_counts`.
        second: The same of second lives.

    Example:
        >>> first = pd.DataFrame({"plan": "A", "exit": [1, 2, 2], "event": [1, 1, 0], "n": [100, 90, 810]})
        >>> found = second_against_first(first, first.assign(n=[40, 36, 124]))
        >>> round(float(found.value), 2), found.case
        (2.25, 'shorter')
    """
    rows = pd.concat([first.assign(life="first"), second.assign(life="second")], ignore_index=True)
    n, about = int(second["n"].sum()), dict[str, Any](of="customer", unit="ratio")
    left = int(second.loc[second["event"] == 1, "n"].sum())
    if n < AT_RISK or not left:
        return Estimate(NAN, n=n, case="unknown", **about)
    found = hazard_ratios(rows, ["life", "plan"], reference={"life": "first"}).table.frame
    row = found[(found["covariate"] == "life") & (found["level"] == "second")].iloc[0]
    one = from_row(row, "hazard_ratio", n=n, **about)
    case = "shorter" if one.low > 1 else "longer" if one.high < 1 else "unclear"
    return one.saying(case if one.known else "unknown")


def check_known(sums: pd.DataFrame) -> None:
    """Refuse a characteristic that tells who came back, as what is written down on their return does.

    Args:
        sums: Sums by variant, by and segment.

    Raises:
        InputError: A characteristic alone tells who came back.
    """
    from tenure.models.risk import ANSWER, auc

    for name, rows in sums[sums["by"] != ""].groupby("by"):
        each = rows.groupby("segment")[["n", "s_kept"]].sum()
        back, stayed = each["s_kept"], each["n"] - each["s_kept"]
        if not back.sum() or not stayed.sum() or len(each) < 2:
            continue
        y, share = np.repeat([1, 0], len(each)), np.tile(back / each["n"], 2)
        told = auc(y, share, np.r_[back, stayed])
        if told > ANSWER:
            raise InputError(
                f"The column {name} tells alone in {told:.1%} of cases which of two customers came back, as "
                "does what is written down when they do: it was not known when they were asked. Fix: leave "
                "it out of `characteristics`, or out of the data."
            )


class Next(NamedTuple):
    """Whom to ask next.

    Attributes:
        table: A row per customer, those who bring most first: customer_id, away (days since the end),
            days_since_end (the band), expected (what asking brings, in minor units), reason.
        total: What asking them brings; its case is "pays", "unclear" or "nobody"; words: customers, others
            (who have left, and are not on the list) and bands (of those on it).
    """

    table: Table
    total: Estimate


def ask_next(
    cells: pd.DataFrame, gone: pd.DataFrame, by: Sequence[str], found: Policies, unit: str, days: int
) -> Next:
    """List those who have left and whom the rule that is advised asks, with what it can be expected to bring.

    What a customer can be expected to bring is the doubly robust mean that was measured in the same band of
    days since the end, in minor units, in proportion to their own price; where a score is advised, what it
    expects of those alike, moved to that mean. The total is the sum of n mean over bands, its variance
    the sum of n^2 se^2. Bands that were not in the campaign, or in which asking did not pay, are left out.

    Args:
        cells: As from `tenure.models.campaigns.scored`, of profit.
        gone: As from `tenure.measures.returns.gone`.
        by: Columns that a rule may leave a segment out by.
        found: The rules for `cells`.
        days: Days within which customers came back.
    """
    band, names = "days_since_end", [c for c in cells if c in gone and c not in ("n", "worth")]
    first, second = doubly_robust(cells, "profit")
    weight = rule_of(cells, by, found)
    asked = cells.assign(first=weight * first, second=weight * second, asked=weight * cells["n"])
    bands = asked.groupby(band)[["first", "second", "asked"]].sum()
    mean = bands["first"] / bands["asked"]
    error = np.maximum(bands["second"] / bands["asked"] - mean**2, 0) / bands["asked"]
    bands = bands[(bands["asked"] >= FEWEST) & (mean > 0)]
    sums = {c: asked[c] * asked["asked"] for c in ("gain", "chance_t", "chance_c")}
    alike = asked.assign(**sums)[asked["asked"] > 0].groupby(names, as_index=False)[[*sums, "asked"]].sum()
    alike[list(sums)] = alike[list(sums)].div(alike["asked"], axis=0)
    rows = gone[gone[band].isin(bands.index)].merge(alike, on=names)
    price = rows["monthly"] / rows.groupby(band)["monthly"].transform("mean")
    rows["expected"] = rows[band].map(mean) * price.fillna(1.0)
    if found.advice.case == "score":
        off = rows[band].map(mean) - rows.groupby(band)["gain"].transform("mean")
        rows["expected"] = rows["gain"] + off
    rows = rows.sort_values(["expected", "customer_id"], ascending=[False, True], ignore_index=True)
    n = rows.groupby(band).size().reindex(bands.index, fill_value=0)
    half = _Z * float((n**2 * error[bands.index]).sum()) ** 0.5
    value = float((n * mean[bands.index]).sum())
    case = "nobody" if rows.empty else "pays" if value > half else "unclear"
    words = {"customers": len(rows), "others": len(gone) - len(rows), "bands": list(bands.index)}
    total = Estimate(value, value - half, value + half, len(rows), "customer", unit, case=case, words=words)
    rows["reason"] = [
        f"left {away} days ago {_ENDED.get(cause, 'for a reason that is not known')}; of those alike, "
        f"{c:.1%} come back unasked within {days} days, and {t:.1%} if asked"
        for away, cause, c, t in rows[["away", "cause", "chance_c", "chance_t"]].itertuples(index=False)
    ]
    columns = ["customer_id", "away", band, "expected", "reason"]
    return Next(Table(rows[columns].round({"expected": 0}), {"expected": unit}), total)
