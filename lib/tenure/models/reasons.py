"""Why customers leave: what they say, what goes before it, what a rise in price did, and failed charges.

What is said, recorded, associated and tested are four kinds of evidence, and no estimate here mixes them.
Counts are those of `tenure.measures.reasons`; `factors` are minor units of the reporting currency for a minor
unit of each, `level` the intervals' level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tenure import privacy
from tenure.errors import InputError, NotApplicable
from tenure.result import NAN, Estimate, Table, counted, from_row, interval
from tenure.stats.incidence import CAUSES, cumulative_incidence
from tenure.stats.intervals import bounded_limits, proportion, share_limits, weighted_share
from tenure.stats.lifetable import Array, ratio, spelled
from tenure.stats.regression import hazard_ratios

FEWEST = 30  # answers, or attempts, for shares of them to be shown
# Reasons that are about the price, where none are named.
_PRICE = re.compile(r"expens|pric|cost|cheap|afford|money", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Stated:
    """What customers said who chose to leave.

    Attributes:
        table: A row per reason, the commonest first: `reason`, `answers`, `share` (of answers), `of_revenue`
            (weighted by what each paid a month) and `reweighted` (each plan and tenure counting as among
            those asked) with their intervals, and `least` and `most`, the shares of all who were asked if
            none or all of the silent would have said so.
        responded: The share of those asked who answered; words: left, asked (the share of those).
        first: The share of the commonest reason; words: reason, least, most, answers, kinds, unmapped
            (answers that no reason lists). Its case is "known", or, without a value, "few" (fewer than 30
            answers), "free text" (too different to be counted) or "silent" (none).
    """

    table: Table
    responded: Estimate
    first: Estimate


def stated(
    counts: pd.DataFrame,
    factors: Mapping[str, float],
    *,
    reasons: Mapping[str, str] | None = None,
    level: float = 0.95,
) -> Stated:
    """Estimate the shares of stated reasons, and between which bounds those of all may lie.

    Shares of answers have Wilson's interval. Those weighted by revenue and by plan and tenure have it, too,
    for the number of equal answers that tells as much: p (1 - p) over the variance of the ratio, which is
    sum w^2 (y - p)^2 / (sum w)^2, and of the weighted mean of strata, sum W^2 p (1 - p) / n. Nothing makes
    up for silence that depends on the reason itself: of all who were asked, between n_r / asked and
    (n_r + silent) / asked would have given reason r (Manski 1990). Involuntary ends are left out.

    Args:
        counts: As from `answer_counts`.
        reasons: The reason that each answer means; empty: answers are reasons.

    Example:
        >>> counts = pd.DataFrame(dict(cause="voluntary", asked=1, answer=["price", "other", None], plan="A",
        ...                            band=0, currency="EUR", n=[60, 40, 100], amount_minor=[60, 40, 100],
        ...                            squares=[60.0, 40.0, 100.0]))
        >>> found = stated(counts, {"EUR": 1.0})
        >>> found.first.words["reason"], found.table.frame[["share", "least", "most"]].values[0].tolist()
        ('price', [0.6, 0.3, 0.8])
    """
    rows = _in_money(counts[counts["cause"] != "involuntary"], factors)
    left, asked = int(rows["n"].sum()), int(rows.loc[rows["asked"] == 1, "n"].sum())
    given = rows[rows["answer"].notna()]
    n, kinds = int(given["n"].sum()), int(given["answer"].nunique())
    label = given["answer"].map(dict(reasons)).fillna("in other words") if reasons else given["answer"]
    free = not reasons and kinds > 12 and kinds * 4 > n
    case = "silent" if not n else "few" if n < FEWEST else "free text" if free else "known"
    people = given.assign(reason=privacy.folded(label, given["n"]))
    strata = rows[rows["asked"] == 1].groupby(["plan", "band"])["n"].sum()
    whole, spread = people["money"].sum(), people["squares"].sum()
    found: list[dict[str, Any]] = []
    for reason, part in people.groupby("reason") if case == "known" else ():
        own, paid, square = (part[name].sum() for name in ("n", "money", "squares"))
        p = float(paid / whole) if whole else 0.0
        variance = float(square * (1 - p) ** 2 + (spread - square) * p**2) / float(whole or 1) ** 2
        shares = {
            "share": proportion(int(own), n, level=level),
            "of_revenue": weighted_share(paid, whole, _effective(p, variance, n), n, level=level),
            "reweighted": _reweighted(people, part, strata, level),
        }
        ends = [interval(name, e.value, e.low, e.high) for name, e in shares.items()]
        bounds = {"least": own / asked, "most": (own + asked - n) / asked}
        found.append({"reason": str(reason), "answers": int(own), **ends[0], **ends[1], **ends[2], **bounds})
    found.sort(key=lambda row: (-row["answers"], row["reason"]))
    units = dict.fromkeys(("share", "of_revenue", "reweighted", "least", "most"), "percent")
    first = Estimate(NAN, unit="percent")
    if found:
        first = from_row(found[0], "share", n=n, of="answer", unit="percent", level=level)
        least, most = (counted(found[0][end], unit="percent") for end in ("least", "most"))
        first = first.saying(reason=found[0]["reason"], least=least, most=most)
    responded, whom = (proportion(*pair, level=level, of="customer") for pair in ((n, asked), (asked, left)))
    frame = pd.DataFrame(found, columns=None if found else ["reason", "answers", *units])
    first = first.saying(
        case, answers=n, kinds=kinds, unmapped=int(given["n"][label == "in other words"].sum())
    )
    responded = responded.saying("known" if asked else "none", asked=whom, left=left)
    return Stated(Table(frame, units, people=["answers"]), responded, first)


def question_of(questions: pd.DataFrame, wanted: str = "") -> str:
    """Return the question of the exit survey that asks why: the one named, or that most answered in words.

    Raises:
        NotApplicable: There is no exit survey, or it has scores only.
        InputError: There is no such question.
    """
    known = questions.set_index("question")
    if not len(known):
        raise NotApplicable("There is no exit survey: no row of surveys has `survey` exit.")
    if wanted and wanted not in known.index:
        asked = spelled(list(known.index))
        raise InputError(f"The exit survey does not ask `question` {wanted!r}. Fix: use one of {asked}.")
    answers, scores = known.loc[wanted or known.index[0]]
    if scores and not answers:
        raise NotApplicable(
            f"surveys.answer is empty in the exit survey, where {scores:,} rows have a score: a score is no "
            "reason. Fix: map the words that were chosen to `answer`."
        )
    return str(wanted or known.index[0])


def _in_money(rows: pd.DataFrame, factors: Mapping[str, float]) -> pd.DataFrame:
    """Amounts and their squares in the reporting currency; nothing where there is no rate."""
    rate = rows["currency"].map(dict(factors)).astype(float).fillna(0.0)
    return rows.assign(money=rows["amount_minor"] * rate, squares=rows["squares"] * rate**2)


def _effective(p: float, variance: float, n: float) -> float:
    """The number of equal answers whose share p has that variance; n where p is 0 or 1."""
    return p * (1 - p) / variance if 0 < p < 1 and variance > 0 else float(n)


def _reweighted(people: pd.DataFrame, part: pd.DataFrame, strata: pd.Series, level: float) -> Estimate:
    """The share of a reason if each stratum counted as among those asked; strata without answers do not."""
    n = people.groupby(["plan", "band"])["n"].sum()
    share = part.groupby(["plan", "band"])["n"].sum().reindex(n.index, fill_value=0) / n
    weight = strata.reindex(n.index) / strata.reindex(n.index).sum()
    p = float((weight * share).sum())
    effective = _effective(p, float((weight**2 * share * (1 - share) / n).sum()), n.sum())
    return weighted_share(p, 1.0, effective, int(n.sum()), level=level)


# What can be seen before a customer leaves, in words, and what it is compared with.
SIGNS = {
    ("use", "none"): "a month without use",
    ("use", "less than half"): "use that fell by more than half",
    ("ticket", "opened"): "a support request",
    ("unresolved", "open"): "an unresolved support request",
    ("payment", "failed"): "a failed payment",
}
_USUAL = {"use": "as before", "ticket": "none", "unresolved": "none", "payment": "paid"}
_RATIO = ["hazard_ratio", "hazard_ratio_low", "hazard_ratio_high"]
_CRUDE = ["crude", "crude_low", "crude_high"]


def signs(counts: pd.DataFrame, *, level: float = 0.95) -> Table:
    """Estimate how much likelier customers leave by choice some months after each sign.

    A discrete-time hazard model at each lag: complementary log-log, with a baseline for each plan and month
    of life, all signs together; `crude` has the sign alone. A sign is *lasting* if the intervals at the
    first and at the last lag exclude 1 on the same side and the last keeps at least half of the first
    logarithm: what is only near the end is *fading*, a symptom of a decision made already. None of this shows
    a cause. `counts` are as from `before_leaving`.

    Returns:
        A row per sign and lag: `sign`, `lag`, `n` (renewals after it), `events`, `crude` and `hazard_ratio`
        with their intervals, `deviance` (what the model loses without the characteristic), `p` and
        `verdict`: "lasting", "fading" or "not clear".

    Example:
        >>> rows = [dict(plan="A", lag=lag, unresolved=u, entry=2, exit=3, event=e, n=n) for lag in (1, 3)
        ...         for u, e, n in [("open", 1, 150), ("open", 0, 850), ("none", 1, 1000), ("none", 0, 9000)]]
        >>> found = strongest(signs(pd.DataFrame(rows)), "lasting")
        >>> found.words["sign"], round(found.value, 2)
        ('an unresolved support request', 1.54)
    """
    rows, notes = [], []
    for lag, part in counts.groupby("lag"):
        left = part[(part["event"] == 1) & (part["n"] > 0)]
        names = [name for name in _USUAL if name in part and _USUAL[name] in set(left[name])]
        if not names:
            continue

        def fit(names: list[str], counts: pd.DataFrame = part) -> Any:
            usual = {name: _USUAL[name] for name in names}
            return hazard_ratios(counts, names, reference=usual, strata=["plan"], level=level)

        whole = fit(names)
        notes += whole.notes
        for row in whole.table.frame.dropna(subset=_RATIO).to_dict("records"):
            name, kind = row["covariate"], row["level"]
            alone, less = fit([name]), fit([other for other in names if other != name])
            rest = whole.log_likelihood_null if less.empty else less.log_likelihood
            crude = alone.table.frame.set_index("level").loc[kind, _RATIO]
            found = {"sign": SIGNS.get((name, kind), kind), "lag": lag}
            found |= dict(zip(_CRUDE, crude, strict=True)) | {
                key: row[key] for key in ("n", "events", *_RATIO, "p")
            }
            rows.append({**found, "deviance": 2 * (whole.log_likelihood - rest)})
    columns = ["sign", "lag", "n", "events", *_CRUDE, *_RATIO, "deviance", "p"]
    frame = pd.DataFrame(rows, columns=columns).sort_values(["sign", "lag"], ignore_index=True)
    verdicts = {sign: _verdict(part) for sign, part in frame.groupby("sign")}
    frame["verdict"] = [verdicts[sign] for sign in frame["sign"]]
    units = {"lag": "months", "n": "count", "events": "count", "crude": "ratio", "hazard_ratio": "ratio"}
    units |= {"p": "p", "sign": "words", "verdict": "words"}
    return Table(frame, units, tuple(dict.fromkeys(notes)), people=["n", "events"])


def _verdict(part: pd.DataFrame) -> str:
    side = np.where(part["hazard_ratio_low"] > 1, 1, np.where(part["hazard_ratio_high"] < 1, -1, 0))
    size = np.log(part["hazard_ratio"].to_numpy(float))
    kept = len(part) > 1 and side[-1] == side[0] and abs(size[-1]) >= abs(size[0]) / 2
    return "not clear" if not side[0] else "lasting" if kept else "fading"


def strongest(found: Table, verdict: str) -> Estimate:
    """Return the largest hazard ratio at the first lag of the signs with a verdict; see `signs`.

    Words: sign, lag, furthest (the last lag), later (the ratio then) and crude; its case is "known", or
    "none" where no sign has it.
    """
    frame = found.frame
    rows = frame[(frame["verdict"] == verdict) & (frame["lag"] == frame["lag"].min())]
    if rows.empty:
        return Estimate(NAN, unit="ratio", case="none")
    top = rows.loc[np.log(rows["hazard_ratio"]).abs().idxmax()]
    last = frame[frame["sign"] == top["sign"]].iloc[-1]
    about: dict[str, Any] = {"unit": "ratio", "of": "renewal"}
    lag, furthest = (counted(row["lag"], unit="months") for row in (top, last))
    later, crude = from_row(last, "hazard_ratio", **about), from_row(top, "crude", **about)
    known = from_row(top, "hazard_ratio", n=int(top["n"]), case="known", **about)
    return known.saying(sign=top["sign"], lag=lag, furthest=furthest, later=later, crude=crude)


def at_rise(counts: pd.DataFrame, *, fewest: int = 100, level: float = 0.95) -> Estimate:
    """Return how much likelier customers left at their first renewal at a new price than at earlier ones.

    An event study around each customer's own renewal, with a baseline for each plan and month of life, so
    that older customers, who leave less, are compared with customers as old. It is a hazard ratio in grouped
    time (Prentice and Gloeckler 1978; see `tenure.stats.regression`). Its case is "more", "fewer", "not
    clear" or, with less than `fewest` renewals at the new price, "few".
    """
    moments = np.sign(counts["renewal"]).map({-1: "before", 0: "first", 1: "later"})
    rows = counts.assign(moment=moments)
    first, before = (rows[rows["moment"] == moment] for moment in ("first", "before"))
    n = int(first["n"].sum())
    about: dict[str, Any] = {"n": n, "of": "renewal", "unit": "ratio", "level": level}
    some = all((part["n"] * part["event"]).sum() for part in (first, before))
    if n >= fewest and some:
        rows = rows.drop(columns="renewal")
        usual = {"moment": "before"}
        fit = hazard_ratios(rows, ["moment"], reference=usual, strata=["plan"], level=level).table
        for row in fit.frame[fit.frame["level"] == "first"].dropna(subset=_RATIO).to_dict("records"):
            found = from_row(row, "hazard_ratio", **about)
            return found.saying("more" if found.low > 1 else "fewer" if found.high < 1 else "not clear")
    return Estimate(NAN, **about, case="few")


def price_evidence(said: Stated, tried: Estimate, price: Sequence[str] = ()) -> Estimate:
    """Set what is said about the price beside what a rise did; neither changes the other.

    Reasons about the price are `price` or, where that is empty, those that speak of price, cost or expense.

    Returns:
        The hazard ratio of `tried`; words: share (of answers about the price), and doubted (those
        reasons, if a rise was met and not seen to matter). Its case is "said, not seen", "said and seen",
        "seen, not said", "neither", "not tried" or "not asked".
    """
    frame, seen = said.table.frame, tried.case == "more"
    about = [name in price if price else bool(_PRICE.search(name)) for name in frame["reason"]]
    named = [name for name, dear in zip(frame["reason"], about, strict=True) if dear]
    share = counted(frame["share"][about].sum() if any(about) else 0.0, unit="percent")
    case = {(True, False): "said, not seen", (True, True): "said and seen", (False, True): "seen, not said"}
    found = case.get((about[0], seen), "neither") if about else "not asked"
    found = found if tried.known else "not tried"
    return tried.saying(found, share=share, doubted=named if tried.known and not seen else [])


OUTCOMES = ("recovered", *CAUSES)


def recovery(
    counts: pd.DataFrame, factors: Mapping[str, float], *, within: int = 28, level: float = 0.95
) -> tuple[Table, Estimate]:
    """Estimate which share of failed charges is recovered by each day, while others end in other ways.

    Cumulative incidence (Aalen and Johansen 1978): an episode that has ended because the customer left can
    no longer be recovered, so 1 - Kaplan-Meier of recovery alone would be too high. In money each episode
    weighs as much as its amount; that interval is by resampling.

    Args:
        counts: As from `episodes`.
        within: The last day that is shown.

    Returns:
        A row per day (`day`, `episodes` and `money`, the shares recovered by then with their intervals, and
        `voluntary`, `involuntary` and `unknown`, the shares that ended so); and the share of episodes on
        the last day (words: day, money, episodes, attempts).

    Raises:
        NotApplicable: No attempt has failed, or none can be followed for a day.

    Example:
        >>> toy = pd.DataFrame(dict(day=[3, 7, 14, 5, 21, 2, 10], n=[3, 1, 1, 1, 2, 1, 1],
        ...     outcome=["recovered"] * 3 + ["voluntary", "involuntary", "open", "open"], currency="EUR",
        ...     amount_minor=[3, 1, 1, 1, 2, 1, 1], squares=[3.0, 1, 1, 1, 2, 1, 1], failures=1))
        >>> round(recovery(toy, {"EUR": 1.0}, within=21)[1].value, 6)
        0.592593
    """
    if counts.empty:
        raise NotApplicable(
            "This extract has no failed attempts to charge: recovery cannot be judged. Fix: export payments "
            "with `status` failed, too."
        )
    rows = _in_money(counts[counts["day"].between(1, within)], factors)
    if rows.empty:
        raise NotApplicable("No failed charge is a day old: recovery cannot be judged yet.")
    grid: Any = {"index": range(1, within + 1), "columns": [*OUTCOMES, "open"], "fill_value": 0}
    sums: Any = rows.pivot_table(["n", "money", "squares"], "day", "outcome", "sum", fill_value=0)
    n, money, squares = (sums[name].reindex(**grid).astype(float) for name in ("n", "money", "squares"))
    life = n.rename(columns={"open": "censored"}).assign(events=n[[*OUTCOMES]].sum(axis=1))
    life["at_risk"] = n.sum(axis=1)[::-1].cumsum()[::-1]
    life = life[life["at_risk"] > 0].astype("int64").rename_axis("period").reset_index()
    found = cumulative_incidence(life, causes=OUTCOMES, period="day", level=level).table.frame
    by_day: Any = found.set_index(["cause", "period"]).filter(regex="^incidence")
    frame = pd.DataFrame({"day": range(1, within + 1)})
    back = by_day.loc["recovered"].reindex(frame["day"]).ffill().to_numpy()
    frame[["episodes", "episodes_low", "episodes_high"]] = back
    frame[["money", "money_low", "money_high"]] = _money_recovered(n, money, squares, level)
    for cause in CAUSES:
        frame[cause] = by_day.loc[cause, "incidence"].reindex(frame["day"]).ffill().to_numpy()
    total = int(rows["n"].sum())
    about: dict[str, Any] = {"n": total, "of": "failed charge", "unit": "percent", "level": level}
    back, paid = (from_row(frame.iloc[-1], name, **about) for name in ("episodes", "money"))
    tries = int((rows["n"] * rows["failures"]).sum())
    back = back.saying("known", day=within, money=paid, episodes=total, attempts=tries)
    return Table(frame, {**dict.fromkeys(frame.columns, "percent"), "day": "days"}), back


def _money_recovered(n: pd.DataFrame, money: pd.DataFrame, squares: pd.DataFrame, level: float) -> Array:
    """The share of money recovered by each day, and its limits: counts and mean amounts resampled."""
    size, total = n.to_numpy(), money.to_numpy()
    mean = ratio(total, size, 0.0)
    # Amounts vary within a day as among all that ended so: a day may have seen one charge only.
    kinds = size.sum(axis=0)
    spread = ratio(squares.to_numpy().sum(axis=0), kinds, 0.0) - ratio(total.sum(axis=0), kinds, 0.0) ** 2
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(int(size.sum()), (size / size.sum()).ravel(), 1000).reshape(-1, *size.shape)
    noise = rng.standard_normal(drawn.shape) * np.sqrt(np.maximum(spread, 0.0) / np.maximum(drawn, 1))
    weight = np.concatenate([total[None], drawn * np.maximum(mean + noise, 0.0)])
    at_risk = weight.sum(axis=2)[:, ::-1].cumsum(axis=1)[:, ::-1]
    stays = np.cumprod(1 - ratio(weight[:, :, :-1].sum(axis=2), at_risk, 0.0), axis=1)
    before = np.hstack([np.ones((len(weight), 1)), stays[:, :-1]])
    share = (before * ratio(weight[:, :, 0], at_risk, 0.0)).cumsum(axis=1)
    ends = bounded_limits(share[0], share[1:].std(axis=0), np.ones(len(n)), level)
    return np.column_stack([share[0], *ends])


def by_attempt(counts: pd.DataFrame, by: str = "place", *, level: float = 0.95) -> Table:
    """Estimate the share of retries that are paid, by their number (`place`) or by `day`.

    A day on which no retry failed is left out: an attempt there is a customer who paid, not a retry. So are
    days, and numbers, with fewer than 30 attempts.

    Example:
        >>> tries = pd.DataFrame(dict(place=[1, 1], day=[3, 4], n=[100, 40], paid=[20, 40]))
        >>> by_attempt(tries, "day").frame[["day", "n", "paid"]].values.tolist()
        [[3.0, 100.0, 0.2]]
    """
    sums = counts.groupby(by)[["n", "paid"]].sum().reset_index()
    sums = sums[(sums["n"] >= FEWEST) & (sums["n"] > sums["paid"])].reset_index(drop=True)
    low, high = share_limits(sums["paid"], sums["n"], level) if len(sums) else (NAN, NAN)
    frame = sums.assign(paid=sums["paid"] / sums["n"], paid_low=low, paid_high=high)
    return Table(frame, {"n": "count", "paid": "percent"})


def best_day(days: Table) -> Estimate:
    """Return the share of retries paid on the day with the largest, of `by_attempt`.

    Words: day, next (the next best). Its case is "clear" if it is better than the next, "not clear" or, with
    fewer than two days, "none".
    """
    rows = days.frame.sort_values(["paid", "day"], ascending=[False, True]).head(2).to_dict("records")
    if len(rows) < 2:
        return Estimate(NAN, unit="percent", case="none")
    about: dict[str, Any] = {"of": "retry", "unit": "percent"}
    best, second = (from_row(row, "paid", n=int(row["n"]), sample=row["day"], **about) for row in rows)
    case = "clear" if best.against(second, "").change == "rose" else "not clear"
    return best.saying(case, day=int(rows[0]["day"]), next=int(rows[1]["day"]))
