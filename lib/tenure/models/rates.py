"""The business's rates: revenue retention, satisfaction, the cost of acquiring a customer, and the scorecard.

An estimate's `sample` is the pair of months (first, last) in which what it counts could happen. Rates over
disjoint months are independent given who was there at the start of each: whoever leaves in October was still
there at its beginning, whatever September did. So `compared` judges them by both their intervals. What looks
back a year shares eleven months with the same a month earlier: there the number stands without a verdict, and
the verdict is that against a year ago.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.models.months import month_slot
from tenure.result import NAN, Estimate, Table
from tenure.stats.intervals import (
    NOTHING,
    effective_number,
    poisson_limits,
    pooled,
    proportion,
    weighted_share,
)
from tenure.stats.lifetable import check_level, z_value

Better = Literal["up", "down"] | None

# How metrics are called in a scorecard, and which way is good.
METRICS: dict[str, tuple[str, Better]] = {
    "mrr.total": ("Recurring revenue", "up"),
    "mrr.committed": ("Committed revenue", "up"),
    "mrr.trials": ("Trial revenue", "up"),
    "customers.paying": ("Paying customers", "up"),
    "mrr.arpa": ("Revenue a customer", "up"),
    "mrr.growth": ("Growth of revenue", "up"),
    "mrr.quick_ratio": ("Quick ratio", "up"),
    "churn.monthly": ("Logo churn", "down"),
    "churn.voluntary": ("Voluntary churn", "down"),
    "churn.involuntary": ("Involuntary churn", "down"),
    "mrr.churn": ("Revenue churn", "down"),
    "mrr.contraction": ("Contraction", "down"),
    "churn.at_renewal": ("At-renewal churn", "down"),
    "mrr.gross_retention": ("Gross retention", "up"),
    "mrr.net_retention": ("Net retention", "up"),
    "trials.conversion": ("Trial conversion", "up"),
    "acquisition.cac": ("CAC", "down"),
    "acquisition.ltv_cac": ("LTV:CAC", "up"),
    "acquisition.payback": ("Payback", "down"),
    "engagement.stickiness": ("Stickiness", "up"),
    "engagement.session": ("Session, minutes", None),
    "engagement.silent_payers": ("Silent payers", "down"),
    "nps.score": ("Net promoter score", "up"),
    "nps.response_rate": ("Response rate", "up"),
}


def compared(now: Estimate, then: Estimate, label: str, paired: Estimate | None = None) -> Estimate:
    """Compare a rate with the same of other months.

    Args:
        now: The rate, with its months as `sample`.
        then: The same of other months.
        label: What that is, such as "the month before".
        paired: The difference, where a model has estimated it from those who are in both.

    Returns:
        The rate; without a verdict where the months overlap and no paired difference is known, and without a
        comparison where one of the two is not known.

    Example:
        >>> october, september = (Estimate(x, x - 0.01, x + 0.01, unit="percent", sample=(m, m))
        ...                       for x, m in ((0.08, 10), (0.05, 9)))
        >>> compared(october, september, "the month before").change
        'rose'
        >>> year = replace(september, sample=(9, 20))
        >>> compared(october, year, "the year").change, compared(october, year, "the year").compare.value
        ('', 0.05)
    """
    if not (now.known and then.known):
        return now
    if paired is not None:
        return now.versus(then, paired, label)
    if now.exact and then.exact:
        return now.against(then, label)
    mine, other = now.sample, then.sample
    if isinstance(mine, tuple) and isinstance(other, tuple) and (other[1] < mine[0] or mine[1] < other[0]):
        return now.against(then, label)
    return replace(now, compare=then, compare_label=label, difference=None)


@dataclass(frozen=True)
class Course:
    """Rates of the last month beside what they were.

    Attributes:
        recent: By the names of METRICS, each compared with the time before.
        year: The same, each compared with a year ago.
    """

    recent: Mapping[str, Estimate]
    year: Mapping[str, Estimate]

    @classmethod
    def of(
        cls,
        now: Mapping[str, Estimate],
        before: Mapping[str, Estimate],
        ago: Mapping[str, Estimate],
        label: str = "the month before",
        month: int | None = None,
    ) -> Course:
        """Compare rates with those before and with those of a year ago, as `compared` does.

        Args:
            now: The rates.
            before: Those before.
            ago: Those of a year ago.
            label: What those before are.
            month: The month of the rates, for their sentences to name as {month}.

        Example:
            >>> month = {m: Estimate(0.05, 0.04, 0.06, unit="percent", sample=(m, m)) for m in (9, 10)}
            >>> Course.of({"churn": month[10]}, {"churn": month[9]}, {})["churn"].change
            'no clear change'
        """
        said: dict[str, Any] = {} if month is None else {"month": month_slot(month)}
        rates = {name: one.saying(**said) for name, one in now.items()}
        return cls(
            *(
                {name: compared(one, then.get(name, NOTHING), words) for name, one in rates.items()}
                for then, words in ((before, label), (ago, "a year ago"))
            )
        )

    def __or__(self, other: Course) -> Course:
        """Return the rates of both."""
        return Course({**self.recent, **other.recent}, {**self.year, **other.year})

    def __getitem__(self, name: str) -> Estimate:
        """Return a rate compared with the time before; nothing where there is none."""
        return self.recent.get(name, NOTHING)

    def yearly(self, name: str) -> Estimate:
        """Return a rate compared with a year ago; nothing where there is none."""
        return self.year.get(name, NOTHING)


def scorecard(course: Course, targets: Mapping[str, float]) -> Table:
    """Put metrics beside what they were, what they were a year ago, and what was aimed for.

    Args:
        course: The metrics, by the keys of METRICS.
        targets: What was aimed for, by the same keys.

    Returns:
        A row a metric that is known, in the order of METRICS: metric, unit, now, low, high, counted, n, of,
        before, against_before, year_ago, against_year_ago ("better", "worse", "higher", "lower", "no clear
        change" or, where it cannot be judged, ""), target and met ("yes", "no" or "").

    Example:
        >>> now = Estimate(0.05, 0.04, 0.06, n=900, of="customer", unit="percent", sample=(10, 10))
        >>> then = replace(now, value=0.08, low=0.07, high=0.09, sample=(9, 9))
        >>> course = Course.of({"churn.monthly": now}, {}, {"churn.monthly": then})
        >>> card = scorecard(course, {"churn.monthly": 0.045}).frame
        >>> card[["metric", "against_before", "against_year_ago", "met"]].values.tolist()
        [['Logo churn', '', 'better', 'no']]
    """
    rows = []
    for name, (metric, better) in METRICS.items():
        now, old = course[name], course.yearly(name)
        if not now.known:
            continue
        target = targets.get(name, NAN)
        met = now.value >= target if better == "up" else now.value <= target
        rows.append(
            {
                "metric": metric,
                "unit": now.unit,
                "now": now.value,
                "low": now.low,
                "high": now.high,
                "counted": now.exact,
                "n": now.n,
                "of": now.of,
                "before": now.compare.value if now.compare else NAN,
                "against_before": now.verdict(better),
                "year_ago": old.compare.value if old.compare else NAN,
                "against_year_ago": old.verdict(better),
                "target": target,
                "met": "" if math.isnan(target) or not better else "yes" if met else "no",
            }
        )
    return Table(pd.DataFrame(rows))


def shifts(card: Table) -> Estimate:
    """Count the rates that have changed within a year by more than chance, of those that can be judged.

    What is counted has no chance, and is not among them. Words: which (the metrics, each with its verdict);
    case: "some", "none" or, where nothing can be judged, "unknown".

    Example:
        >>> rows = {"metric": ["a", "b"], "counted": False, "against_year_ago": ["better", "no clear change"]}
        >>> found = shifts(Table(pd.DataFrame(rows)))
        >>> found.value, found.n, found.words["which"]
        (1.0, 2, ['a (better)'])
    """
    rows = card.frame
    rows = rows[~rows["counted"].astype(bool) & (rows["against_year_ago"] != "")]
    moved = rows[rows["against_year_ago"] != "no clear change"]
    which = [f"{row.metric} ({row.against_year_ago})" for row in moved.itertuples()]
    case = "some" if which else "none" if len(rows) else "unknown"
    return Estimate(
        float(len(moved)), n=len(rows), of="rate", unit="count", exact=True, case=case, words={"which": which}
    )


def targets_of(targets: pd.DataFrame | None, month: int) -> dict[str, float]:
    """Return what was aimed for in a month, by metric; the year's target where the month has none.

    Example:
        >>> goals = pd.DataFrame({"metric": ["a", "a", "b"], "period": ["2026", "2026-10", "2026"],
        ...                       "target": [1.0, 2.0, 3.0]})
        >>> targets_of(goals, 24321)
        {'a': 2.0, 'b': 3.0}
    """
    found: dict[str, float] = {}
    if targets is None:
        return found
    for period in (f"{month // 12}", f"{month // 12}-{month % 12 + 1:02d}"):
        own = targets[targets["period"].astype(str) == period]
        found |= dict(zip(own["metric"].astype(str), own["target"].astype(float), strict=True))
    return found


def gross_retention(moments: Mapping[str, Any], *, level: float = 0.95) -> Estimate:
    """Estimate gross revenue retention: of what customers paid then, the share they still pay.

    What a customer pays counts up to what the same customer paid then, so it never passes 100 %. The
    interval is that of `weighted_share`, each customer weighing what was paid then.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Returns:
        The share and its interval; NaN where nobody paid then.

    Example:
        >>> kept = gross_retention(dict(n=100, paid_then=1000.0, kept=800.0, var_then=0.0))
        >>> round(kept.value, 2), round(kept.low, 3), round(kept.high, 3)
        (0.8, 0.711, 0.867)
    """
    n, then = int(moments["n"]), float(moments["paid_then"])
    size = effective_number(n, then, float(moments["var_then"]))
    return weighted_share(float(moments["kept"]), then, size, n, level=level, of="customer")


def net_retention(moments: Mapping[str, Any], *, level: float = 0.95) -> Estimate:
    """Estimate net revenue retention: what the same customers pay now over what they paid then.

    It is gross retention and, on top, what was added; its interval is made from both of theirs (Zou and
    Donner 2008), that of what was added from the variance of a ratio of means (Cochran 1977, section 6.5),
    symmetric on the logarithm.

    Args:
        moments: A row of `tenure.measures.revenue.retention_moments`.
        level: Level of the interval.

    Example:
        >>> row = dict(n=100, paid_then=1000.0, kept=800.0, added=200.0, var_then=0.0, var_added=25.0,
        ...            cov_added=0.0)
        >>> grown = net_retention(row)
        >>> round(grown.value, 2), round(grown.low, 3), round(grown.high, 3)
        (1.0, 0.882, 1.143)
    """
    kept = gross_retention(moments, level=level)
    if not kept.known:
        return kept
    added, error = _added(moments)
    value = kept.value + added
    if added <= 0:
        return kept
    if math.isnan(error):
        return replace(kept, value=value, low=NAN, high=NAN)
    factor = math.exp(z_value(level) * error / added)
    low = value - math.hypot(kept.value - kept.low, added - added / factor)
    high = value + math.hypot(kept.high - kept.value, added * factor - added)
    return replace(kept, value=value, low=low, high=high)


def _added(moments: Mapping[str, Any]) -> tuple[float, float]:
    """What was added over what was paid then, and the ratio's standard error."""
    n, then = int(moments["n"]), float(moments["paid_then"])
    ratio = float(moments["added"]) / then
    if n < 2:
        return ratio, NAN
    variance = float(moments["var_added"]) - 2 * ratio * float(moments["cov_added"])
    variance += ratio**2 * float(moments["var_then"])
    return ratio, math.sqrt(max(variance, 0.0) * n) / then


def retention(
    moments: pd.DataFrame, month: int, *, back: int = 12, level: float = 0.95
) -> dict[str, Estimate]:
    """Return gross and net revenue retention of a month; NaN where nobody paid so long ago.

    Args:
        moments: As from `tenure.measures.revenue.retention_moments`, not split by group.
        month: The month.
        back: How many months were looked back.
        level: Level of the intervals.

    Example:
        >>> nothing = pd.DataFrame(columns=["month"])
        >>> [estimate.n for estimate in retention(nothing, 24321).values()]
        [0, 0]
    """
    rows: list[dict[str, Any]] = moments[moments["month"] == month].to_dict("records")  # type: ignore[assignment]
    estimators = {"mrr.gross_retention": gross_retention, "mrr.net_retention": net_retention}
    return {
        name: replace(estimate(rows[0], level=level), sample=(month - back + 1, month)) if rows else NOTHING
        for name, estimate in estimators.items()
    }


def net_promoter_score(promoters: int, passives: int, detractors: int, *, level: float = 0.95) -> Estimate:
    """Estimate the net promoter score, 100 (promoters - detractors) / n.

    The interval is the adjusted Wald's: three answers are added, three quarters of one each to promoters
    and detractors, and it is kept within -100 and 100 (Rocks 2016, "Interval estimation for the net
    promoter score").

    Example:
        >>> score = net_promoter_score(50, 30, 20)
        >>> round(score.value, 1), round(score.low, 1), round(score.high, 1)
        (30.0, 14.1, 44.2)
    """
    check_level(level)
    if min(promoters, passives, detractors) < 0:
        raise InputError("Promoters, passives and detractors are counts and must not be negative.")
    n = promoters + passives + detractors
    about: dict[str, Any] = {"n": int(n), "of": "answer", "unit": "score", "level": level}
    if n == 0:
        return Estimate(NAN, **about)
    up, down = (promoters + 0.75) / (n + 3), (detractors + 0.75) / (n + 3)
    half = z_value(level) * math.sqrt((up + down - (up - down) ** 2) / (n + 3))
    low, high = np.clip([100 * (up - down - half), 100 * (up - down + half)], -100.0, 100.0).tolist()
    return Estimate(100 * (promoters - detractors) / n, low, high, **about)


def satisfaction(answers: pd.DataFrame | None, *, level: float = 0.95) -> dict[int, dict[str, Estimate]]:
    """Return the net promoter score and the response rate of each month in which customers were asked.

    Args:
        answers: As from `tenure.measures.feedback.nps_counts`, not split by group; None: nobody was asked.
        level: Level of the intervals.

    Returns:
        By month nps.score and nps.response_rate.

    Example:
        >>> answers = pd.DataFrame({"month": [1], "promoters": [5], "passives": [3], "detractors": [2],
        ...                         "answered": 10, "sent": 40})
        >>> found = satisfaction(answers)[1]
        >>> found["nps.score"].value, found["nps.response_rate"].value
        (30.0, 0.25)
    """
    found = {}
    for row in [] if answers is None else answers.astype({"month": int}).to_dict("records"):
        month = row["month"]
        score = net_promoter_score(row["promoters"], row["passives"], row["detractors"], level=level)
        replied = proportion(int(row["answered"]), int(row["sent"]), level=level, of="survey")
        both = {"nps.score": score, "nps.response_rate": replied}
        found[month] = {name: replace(one, sample=(month, month)) for name, one in both.items()}
    return found


def trials(counts: pd.DataFrame, month: int, *, level: float = 0.95) -> Course:
    """Estimate the share of trials begun in the last three months that led to a payment.

    Args:
        counts: As from `tenure.measures.acquisition.trials`.
        month: The last month.
        level: Level of the intervals.

    Returns:
        trials.conversion, beside the three months before and those of a year ago.

    Example:
        >>> counts = pd.DataFrame({"month": [24320, 24321], "converted": [3, 5], "ripe": [10, 10]})
        >>> trials(counts, 24321)["trials.conversion"].value
        0.4
    """

    def at(last: int) -> dict[str, Estimate]:
        own = counts[counts["month"].between(last - 2, last)]
        about = {"of": "trial", "sample": (last - 2, last)}
        return {"trials.conversion": pooled(own, "converted", "ripe", level=level, **about)}  # type: ignore[arg-type]

    return Course.of(at(month), at(month - 3), at(month - 12), "the three months before", month)


def acquisition_cost(spend: float, customers: int, *, level: float = 0.95, unit: str = "number") -> Estimate:
    """Estimate what it costs to acquire a customer: money spent over customers acquired.

    The money is known; how many customers it brings is chance (exact Poisson limits of the count).

    Example:
        >>> cost = acquisition_cost(100_000, 40)
        >>> round(cost.value), round(cost.low), round(cost.high)
        (2500, 1836, 3499)
    """
    low, high = poisson_limits(customers, level)
    value, most = (spend / customers, spend / low) if customers else (NAN, NAN)
    return Estimate(value, spend / high, most, n=int(customers), of="new customer", unit=unit, level=level)
