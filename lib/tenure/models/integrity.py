"""Whether an experiment can be trusted at all: checked before any effect is looked at.

`facts` is what `tenure.measures.experiments.integrity` gives: a row per variant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.experiments import (
    SRM_ALPHA,
    SRM_LOOK,
    sample_ratio,
    sample_ratio_by_segment,
    sequential_sample_ratio,
)
from tenure.result import NAN, Table
from tenure.stats.comparison import add_up, compare
from tenure.stats.lifetable import spelled

MOST_CROSSED = 0.01
MOST_MISCHARGED = 0.01

Check = tuple[str, str, str, float]


@dataclass(frozen=True, eq=False)
class Integrity:
    """The checks of an experiment.

    Attributes:
        table: A row per check: `check`, `result` ("passed", "look" or "failed"), `what` (what was found, in a
            sentence) and `p` (NaN where there is no test).
        failed: The sentences of failed checks: no effect should be believed.
    """

    table: Table
    failed: tuple[str, ...]


def choose_experiment(listed: Sequence[str], experiment: str = "") -> str:
    """Return the experiment asked for or, where none is named, the first of those there are: the latest.

    Raises:
        NotApplicable: There is none.
        InputError: It is not among them.

    Example:
        >>> choose_experiment(["price_2", "price_1"])
        'price_2'
    """
    if not len(listed):
        raise NotApplicable("The table assignments has no rows, so there is no experiment to read.")
    if experiment and experiment not in listed:
        raise InputError(
            f"The parameter `experiment` is {experiment!r}, which is not in the table assignments; "
            f"Fix: use one of {spelled(listed)}."
        )
    return experiment or listed[0]


def read_split(split: Mapping[str, float]) -> dict[str, float]:
    """Return the planned share of each variant, as numbers.

    Raises:
        InputError: A share is no number above 0.

    Example:
        >>> read_split({"control": 2, "new": 1})
        {'control': 2.0, 'new': 1.0}
    """
    for name, share in split.items():
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < math.inf:
            raise InputError(
                f"The parameter `planned_split` gives {name} the share {share!r}. Fix: write a number "
                "above 0 for "
                "each variant, such as {control: 0.5, new: 0.5}."
            )
    return {name: float(share) for name, share in split.items()}


def why_unpriced(facts: pd.DataFrame) -> str:
    """Return why prices cannot be compared; empty where each variant has one price."""
    for row in facts.to_dict("records"):
        if row["unpriced"] or not row["prices"]:
            return (
                f"The variant {row['variant']} has no price for {row['unpriced']:,} of its "
                f"{row['units']:,} units, so prices cannot be compared: fill price_minor in the table "
                "assignments."
            )
        if row["prices"] > 1:
            return (
                f"The variant {row['variant']} was shown {row['prices']} different prices, so it has no "
                "price of its own: give each price a variant in the table assignments."
            )
    return ""


def variant_prices(facts: pd.DataFrame) -> dict[str, int]:
    """Return the price of each variant, in minor units; none where not each has one (see `why_unpriced`).

    Example:
        >>> variant_prices(pd.DataFrame(dict(variant=["a"], units=9, unpriced=0, prices=1, lowest_price=999)))
        {'a': 999}
    """
    if why_unpriced(facts):
        return {}
    return dict(zip(facts["variant"].astype(str), facts["lowest_price"].astype(int).tolist(), strict=True))


def check_variants(facts: pd.DataFrame, control: str, planned: Mapping[str, float]) -> None:
    """Refuse an experiment that cannot be compared: no control, one arm, a misspelt variant.

    Raises:
        InputError: The control or the plan names a variant that has no units, or units are in a variant
            that the plan does not name.
        NotApplicable: Nobody has been assigned to a second variant.
    """
    names = facts["variant"].astype(str).tolist()
    if len(names) < 2:
        raise NotApplicable(
            f"Everybody is in the variant {names[0]}: with one arm there is nothing to compare it with."
        )
    if control not in names:
        raise InputError(
            f"The parameter `control` is {control!r}, but nobody was put into such a variant. "
            f"Fix: use one of {spelled(names)}."
        )
    if planned and set(planned) != set(names):
        missing, extra = sorted(set(planned) - set(names)), sorted(set(names) - set(planned))
        words = [f"{spelled(missing)} has no units"] if missing else []
        words += [f"{spelled(extra)} was not planned"] if extra else []
        raise InputError(
            f"The planned split and the data differ: {' and '.join(words)}. Fix: correct the names "
            "in `planned_split`, or the variants in the table assignments."
        )


def ripe_sums(facts: pd.DataFrame, moments: pd.DataFrame) -> pd.DataFrame:
    """Return the sums by variant of the units whose whole window has been observed.

    Raises:
        NotApplicable: A variant has no such unit.
    """
    young = facts.loc[facts["ripe"] == 0, "variant"].tolist()
    if young:
        who = f"Nobody in {spelled(young)}" if len(young) < len(facts) else "Nobody"
        raise NotApplicable(
            f"{who} was assigned long enough ago for the whole window of days in which outcomes count: "
            "choose a shorter window_days, or wait."
        )
    return add_up(moments[moments["ripe"] == 1])


def check_integrity(
    facts: pd.DataFrame,
    daily: pd.DataFrame,
    moments: pd.DataFrame,
    *,
    control: str,
    planned: Mapping[str, float] | None = None,
    segments: Sequence[str] = (),
) -> Integrity:
    """Check the split, the assignments, the time before and the prices charged, in this order.

    Args:
        daily: What `measures.experiments.daily_counts` gives.
        moments: Sums by variant and `segments`, with the columns pre_revenue and observed_days.
        control: The control.
        planned: The planned split by variant; None or empty for an even one.
        segments: Columns of `moments` in which the split is checked, too.
    """
    rows = [
        *_split_checks(facts, daily, moments, dict(planned or {}), segments),
        *_assignment_checks(facts),
        *_before_checks(moments, control),
        *_money_checks(facts),
    ]
    table = pd.DataFrame(rows, columns=["check", "result", "what", "p"])
    return Integrity(Table(table, {"p": "p"}), tuple(table.loc[table["result"] == "failed", "what"]))


def _check(name: str, what: str, failed: object = False, look: object = False, p: float = NAN) -> Check:
    return name, "failed" if failed else "look" if look else "passed", what, p


def _split_checks(
    facts: pd.DataFrame,
    daily: pd.DataFrame,
    moments: pd.DataFrame,
    planned: dict[str, float],
    segments: Sequence[str],
) -> Iterator[Check]:
    counts = facts.rename(columns={"units": "n"})[["variant", "n"]]
    names = counts["variant"].tolist()
    ratio = sample_ratio(counts, planned)
    at = ratio.furthest
    off = f"{at['variant']} has {at['share']:.2%} of units where {at['planned']:.2%} were planned."
    yield _check("sample ratio", off, ratio.p < SRM_ALPHA, ratio.p < SRM_LOOK, ratio.p)
    wide = daily.pivot_table(index="day", columns="variant", values="n", fill_value=0)
    wide = wide.reindex(columns=names, fill_value=0)
    running = sequential_sample_ratio(wide.to_numpy(), ratio.table["planned"].tolist())["p"]
    out = running.index[running <= SRM_ALPHA]
    late = "On no day of the experiment was the split out of line."
    if len(out):
        late = f"The split was out of line from day {wide.index[out[0]] - wide.index[0] + 1} on."
    least = float(running.min())
    yield _check("sample ratio on any day", late, len(out), least < SRM_LOOK, least)
    plan = {name: planned.get(name, 1) for name in names} if planned else {}
    for segment in segments:
        split = sample_ratio_by_segment(moments, segment, plan)
        for worst in split.dropna(subset="p_adjusted").head(1).to_dict("records"):
            p, more = float(worst["p_adjusted"]), int((split["p_adjusted"] < SRM_LOOK).sum())
            what = (
                f"Of {len(split)} values, {worst['value']} is furthest from the plan: {worst['variant']} has "
            )
            what += f"{worst['share']:.2%} of its units where {worst['planned']:.2%} were planned."
            if more > 1:
                what += f" {more} of the values are out of line."
            yield _check(f"sample ratio by {segment}", what, p < SRM_ALPHA, p < SRM_LOOK, p)


def _assignment_checks(facts: pd.DataFrame) -> Iterator[Check]:
    total = facts.sum(numeric_only=True)
    total["immature"] = total["units"] - total["ripe"]
    n = total.map("{:,.0f}".format)
    crossed = total["crossed"] / total["units"]
    several = f"{n['crossed']} units were put into several variants; they count in their first."
    yield _check("one variant each", several, crossed > MOST_CROSSED, crossed)
    again = f"{n['repeated']} units were assigned more than once."
    yield _check("assigned once", again, look=total["repeated"])
    shared = f"{n['shared']} units share their customer with another unit."
    yield _check("one unit per customer", shared, look=total["shared"])
    mixed = facts[facts["prices"] > 1].to_dict("records")
    shown = [f"{row['otherwise_priced']:,} of the {row['units']:,} in {row['variant']}" for row in mixed]
    said = f"Visitors were shown another price than most of their variant: {spelled(shown)}."
    yield _check("one price per variant", said if shown else "No variant was shown two prices.", shown)
    seen = f"{n['repriced']} units were shown several prices."
    yield _check("one price each", seen, total["repriced"] / total["units"] > MOST_CROSSED, total["repriced"])
    nobody = "None of the units has converted: wait, or check that assignments carry the customer_id."
    some = f"{n['converted']} of {n['units']} units have converted."
    yield _check("somebody converted", some if total["converted"] else nobody, look=not total["converted"])
    mischarged = total["charged_otherwise"] / total["subscribed"] if total["subscribed"] else 0.0
    otherwise = f"{n['charged_otherwise']} of {n['subscribed']} subscribers began at another price"
    otherwise += " than the one they were shown."
    yield _check("price charged as assigned", otherwise, mischarged > MOST_MISCHARGED, mischarged)
    lately = f"{n['immature']} of {n['units']} units were assigned too recently for the whole window; they"
    yield _check("old enough to count", f"{lately} do not count in the effects.", look=total["immature"])


def _before_checks(moments: pd.DataFrame, control: str) -> Iterator[Check]:
    sums = add_up(moments)
    for measure, name, words in (
        ("pre_revenue", "alike before the experiment", "Revenue before the assignment"),
        ("observed_days", "observed for as long", "The time since the assignment"),
    ):
        if sums[f"q_{measure}"].sum() == 0:
            yield _check(
                name, "No unit paid anything before it was assigned, so there is nothing to compare."
            )
            continue
        effects = compare(sums, measure, control=control).table.frame
        p = float(np.nanmin(effects["p_adjusted"].to_numpy(dtype=float), initial=1.0))
        worst = effects.iloc[int(effects["difference"].abs().fillna(0).argmax())]
        what = f"{words} differs most in {worst['variant']}, by {worst['lift']:+.1%}."
        yield _check(name, what, p < SRM_ALPHA, p < 0.05, p)


def _money_checks(facts: pd.DataFrame) -> Iterator[Check]:
    revenue, refunds = facts["revenue"].sum(), facts["refunds"].sum()
    share = refunds / (revenue + refunds) if revenue + refunds > 0 else 0.0
    back = f"{share:.1%} of what was charged in the window was refunded; revenue is net of it."
    yield _check("refunds", back, look=share > 0.05)
    currencies = sorted({*facts["lowest_currency"].dropna(), *facts["highest_currency"].dropna()} - {""})
    words = f"All amounts are in {currencies[0]}." if currencies else "Nothing was charged."
    if len(currencies) > 1:
        words = f"Amounts of {' and '.join(currencies)} are converted, each at its rate of the last month."
    yield _check("one currency", words, look=len(currencies) > 1)
