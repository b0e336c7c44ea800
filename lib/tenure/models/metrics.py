"""Metrics of a month compared with the month before and a year ago, and the scorecard of them all.

Two months are compared as each was known at its own end: a measure is asked with `on=month_ends(...)`, and
its answer names the day in a column `on` (`Metrics.as_known`).

An estimate's `sample` is the pair of months (first, last) in which what it counts could happen. Rates over
disjoint months are independent given who was there at the start of each: whoever leaves in October was still
there at its beginning, whatever happened in September. So they are judged by both their intervals. What looks
back a year shares eleven months with the same a month earlier: there the number is shown without a verdict,
and the verdict is that against a year ago.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from tenure.models.months import month_date, month_label, month_of
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.intervals import NOTHING

# What a scorecard calls each metric, and which way is good.
LABELS: dict[str, tuple[str, Literal["up", "down"] | None]] = {
    "mrr.total": ("Recurring revenue", "up"),
    "mrr.committed": ("Committed revenue", "up"),
    "mrr.trials": ("Trial revenue", "up"),
    "customers.paying": ("Paying customers", "up"),
    "mrr.arpa": ("Revenue per customer (ARPA)", "up"),
    "mrr.growth": ("Revenue growth", "up"),
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

Estimates = Mapping[str, Estimate]


def compared(now: Estimate, then: Estimate, label: str, paired: Estimate | None = None) -> Estimate:
    """Compare a metric with the same of other months.

    Args:
        now: The metric, with its months as `sample`.
        then: The same of other months.
        label: What those are, such as "the month before".
        paired: The difference, where a model has estimated it from those who are in both.

    Returns:
        The metric; without a verdict where the months overlap and no paired difference is known, and without
        a comparison where one of the two is not known.

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
    mine, other = now.sample, then.sample
    apart = (
        isinstance(mine, tuple) and isinstance(other, tuple) and (other[1] < mine[0] or mine[1] < other[0])
    )
    if apart or (now.exact and then.exact):
        return now.against(then, label)
    return replace(now, compare=then, compare_label=label, difference=None)


@dataclass(frozen=True)
class Metrics:
    """Metrics of a month, by the keys of LABELS.

    Attributes:
        recent: Each compared with the time before.
        year: Each compared with a year ago.
    """

    recent: Estimates
    year: Estimates

    @classmethod
    def of(
        cls, found: Mapping[int, Estimates], month: int, *, back: int = 1, label: str = "the month before"
    ) -> Metrics:
        """Compare the metrics of a month with those before and with those of a year ago, as `compared` does.

        Args:
            found: The metrics of each month.
            month: The month; sentences may name it as {month}.
            back: How many months before is the time before.
            label: What that is.

        Example:
            >>> rate = {m: {"churn": Estimate(0.05, 0.04, 0.06, unit="percent", sample=(m, m))}
            ...         for m in (24320, 24321)}
            >>> Metrics.of(rate, 24321)["churn"].change
            'no clear change'
        """
        now = {
            name: one.saying(month=(month_date(month), "month")) for name, one in found.get(month, {}).items()
        }
        before, ago = found.get(month - back, {}), found.get(month - 12, {})
        return cls(
            {name: compared(one, before.get(name, NOTHING), label) for name, one in now.items()},
            {name: compared(one, ago.get(name, NOTHING), "a year ago") for name, one in now.items()},
        )

    @classmethod
    def as_known(cls, answers: pd.DataFrame, estimate: Callable[[pd.DataFrame, int], Estimates]) -> Metrics:
        """Compare what is estimated for the newest month with earlier ones, each as known at its own end.

        Args:
            answers: A measure's answers, asked `on` the months' last days.
            estimate: Estimates a month from the answer of its last day.
        """
        found = {month_of(day): estimate(part, month_of(day)) for day, part in answers.groupby("on")}
        return cls.of(found, max(found)) if found else cls({}, {})

    def __or__(self, other: Metrics) -> Metrics:
        """Return the metrics of both."""
        return Metrics({**self.recent, **other.recent}, {**self.year, **other.year})

    def __getitem__(self, name: str) -> Estimate:
        """Return a metric compared with the time before; nothing where there is none."""
        return self.recent.get(name, NOTHING)

    def yearly(self, name: str) -> Estimate:
        """Return a metric compared with a year ago; nothing where there is none."""
        return self.year.get(name, NOTHING)


_CARD = ["metric", "unit", "now", "low", "high", "counted", "n", "of", "before", "against_before", "year_ago"]
_CARD += ["against_year_ago", "target", "met"]


def scorecard(metrics: Metrics, targets: Mapping[str, float]) -> Table:
    """List metrics with what they were before, what they were a year ago, and their targets.

    Returns:
        A row per metric that is known, in the order of LABELS: metric, unit, now, low, high, counted, n, of,
        before, against_before, year_ago, against_year_ago ("better", "worse", "higher", "lower", "no clear
        change" or, where it cannot be judged, ""), target and met ("yes", "no" or "").

    Example:
        >>> now = Estimate(0.05, 0.04, 0.06, n=900, of="customer", unit="percent", sample=(24321, 24321))
        >>> then = replace(now, value=0.08, low=0.07, high=0.09, sample=(24309, 24309))
        >>> months = {24321: {"churn.monthly": now}, 24309: {"churn.monthly": then}}
        >>> card = scorecard(Metrics.of(months, 24321), {"churn.monthly": 0.045}).frame
        >>> card[["metric", "against_before", "against_year_ago", "met"]].values.tolist()
        [['Logo churn', '', 'better', 'no']]
    """
    rows = []
    for name, (metric, better) in LABELS.items():
        now, old = metrics[name], metrics.yearly(name)
        if not now.known:
            continue
        row = {"metric": metric, "unit": now.unit, "now": now.value, "low": now.low, "high": now.high}
        row |= {"counted": now.exact, "n": now.n, "of": now.of}
        for one, then in ((now, "before"), (old, "year_ago")):
            row |= {then: one.compare.value if one.compare else NAN, f"against_{then}": one.verdict(better)}
        target = targets.get(name, NAN)
        met = now.value >= target if better == "up" else now.value <= target
        row |= {"target": target, "met": "" if math.isnan(target) or not better else "yes" if met else "no"}
        rows.append(row)
    return Table(pd.DataFrame(rows, columns=_CARD))


def shifts(card: Table) -> Estimate:
    """Count the rates that have changed within a year by more than chance, of those that can be judged.

    What is counted has no chance in it and is left out. Words: which (the metrics, each with its verdict);
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
    return counted(len(moved), len(rows), of="rate").saying(case, which=which)


def targets_of(targets: pd.DataFrame | None, month: int) -> dict[str, float]:
    """Return the targets of a month, by metric; the year's target where the month has none.

    Example:
        >>> goals = pd.DataFrame({"metric": ["a", "a", "b"], "period": ["2026", "2026-10", "2026"],
        ...                       "target": [1.0, 2.0, 3.0]})
        >>> targets_of(goals, 24321)
        {'a': 2.0, 'b': 3.0}
    """
    found: dict[str, float] = {}
    if targets is None:
        return found
    for period in (f"{month // 12}", month_label(month)):
        own = targets[targets["period"].astype(str) == period]
        found |= dict(zip(own["metric"].astype(str), own["target"].astype(float), strict=True))
    return found


def trend(found: Mapping[int, Estimates], **groups: str) -> Table:
    """Lay metrics out by month, as `tenure.report.figures.line_with_interval` draws them.

    Args:
        found: The metrics of each month.
        **groups: For each line its metric.

    Returns:
        A row per line and month in which its metric is known: date, group, value with its limits.

    Example:
        >>> found = {24321: {"nps.score": Estimate(30.0, unit="score")}}
        >>> trend(found, all="nps.score").frame["date"].tolist()
        [datetime.date(2026, 10, 1)]
    """
    rows = [
        (month_date(month), group, one.value, one.low, one.high, one.unit)
        for group, name in groups.items()
        for month, one in ((month, found[month][name]) for month in sorted(found))
        if one.known
    ]
    frame = pd.DataFrame(rows, columns=["date", "group", "value", "value_low", "value_high", "unit"])
    unit = frame["unit"].iloc[0] if len(frame) else "number"
    return Table(frame.drop(columns="unit"), {"date": "month", "value": unit})
