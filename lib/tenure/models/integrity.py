"""Whether an experiment can be believed at all: checked before any effect is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.experiments import (
    SRM_ALPHA,
    add_up,
    compare,
    sample_ratio,
    sample_ratio_by_segment,
    sequential_sample_ratio,
)
from tenure.models.lifetable import spelled

MOST_CROSSED = 0.01
MOST_MISCHARGED = 0.01


@dataclass(frozen=True, eq=False)
class Integrity:
    """The checks of an experiment.

    Attributes:
        table: A row a check: `check`, `result` ("passed", "look" or "failed"), `what` (what was found, in a
            sentence) and `p` (NaN where there is no test).
        failed: The sentences of failed checks: no effect should be believed.
    """

    table: pd.DataFrame
    failed: tuple[str, ...]


def choose_experiment(listed: Sequence[str], experiment: str = "") -> str:
    """Return the experiment asked for, or the latest where none is named.

    Args:
        listed: The experiments there are, the latest first.
        experiment: The one asked for; empty for the latest.

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
            f"there are: {spelled(listed)}."
        )
    return experiment or listed[0]


def read_split(split: Sequence[str]) -> dict[str, float]:
    """Read a planned split such as ["control: 2", "new: 1"].

    Raises:
        InputError: An entry is no name and number.

    Example:
        >>> read_split(["control: 2", "new: 1"])
        {'control': 2.0, 'new': 1.0}
    """
    found = {}
    for entry in split:
        name, _, share = str(entry).rpartition(":")
        try:
            found[name.strip()] = float(share)
        except ValueError:
            name = ""
        if not name.strip():
            raise InputError(
                f"The parameter `planned_split` has the entry {entry!r}: write variant: share, such as "
                "control: 0.5."
            )
    return found


def priced(facts: pd.DataFrame) -> bool:
    """Say whether each variant has one price."""
    return not why_unpriced(facts)


def why_unpriced(facts: pd.DataFrame) -> str:
    """Say why nothing can be said of prices; empty where each variant has one price."""
    try:
        variant_prices(facts)
    except NotApplicable as why:
        return str(why)
    return ""


def variant_prices(facts: pd.DataFrame) -> dict[str, int]:
    """Return the price of each variant, in minor units.

    Args:
        facts: What `measures.experiments.integrity` gives.

    Raises:
        NotApplicable: A variant has no price for some units, or several prices.

    Example:
        >>> variant_prices(pd.DataFrame(dict(variant=["a"], units=9, unpriced=0, prices=1, lowest_price=999)))
        {'a': 999}
    """
    for row in facts.to_dict("records"):
        if row["unpriced"] or not row["prices"]:
            raise NotApplicable(
                f"The variant {row['variant']} has no price for {row['unpriced']} of its {row['units']} "
                "units, so "
                "nothing can be said of prices: fill price_minor in the table assignments."
            )
        if row["prices"] > 1:
            raise NotApplicable(
                f"The variant {row['variant']} was shown {row['prices']} different prices, so it has no "
                "price "
                "of its own: give each price a variant in the table assignments."
            )
    return {str(row["variant"]): int(row["lowest_price"]) for row in facts.to_dict("records")}


def check_variants(facts: pd.DataFrame, control: str, planned: Mapping[str, float]) -> None:
    """Refuse an experiment that cannot be compared: no control, one arm, a misspelt variant.

    Args:
        facts: What `measures.experiments.integrity` gives.
        control: The control.
        planned: The planned split; empty for an even one.

    Raises:
        InputError: The control or the plan names a variant that has no units, or units are in a variant
            that the plan does not name.
        NotApplicable: Nobody has been assigned to a second variant, or everybody came too late.
    """
    names = facts["variant"].astype(str).tolist()
    if control not in names:
        raise InputError(
            f"The parameter `control` is {control!r}, but nobody was put into such a variant; there are: "
            f"{spelled(names)}."
        )
    if planned and set(planned) != set(names):
        missing, extra = sorted(set(planned) - set(names)), sorted(set(names) - set(planned))
        words = [
            f"{spelled(missing)} has no units" if missing else "",
            f"{spelled(extra)} was not planned" if extra else "",
        ]
        raise InputError(
            f"The planned split and the data differ: {' and '.join(filter(None, words))}. Correct the names "
            "in `planned_split`, or the variants in the table assignments."
        )
    if len(names) < 2:
        raise NotApplicable(
            f"Everybody is in the variant {names[0]}: with one arm there is nothing to compare it with."
        )
    if facts["ripe"].sum() == 0:
        raise NotApplicable(
            "Nobody was assigned long enough ago for the whole window of days in which outcomes count: "
            "choose a shorter window_days, or wait."
        )
    if facts["converted"].sum() == 0:
        raise NotApplicable(
            f"None of the {int(facts['units'].sum()):,} units has subscribed after it was assigned, so there "
            "is nothing to compare: wait, or check that assignments carry the customer_id of those who did."
        )
    young = facts.loc[facts["ripe"] == 0, "variant"].tolist()
    if young:
        raise NotApplicable(
            f"Nobody in {spelled(young)} was assigned long enough ago for the whole window of days in which "
            "outcomes count: choose a shorter window_days, or wait."
        )


def check_integrity(
    facts: pd.DataFrame,
    daily: pd.DataFrame,
    moments: pd.DataFrame,
    *,
    control: str,
    planned: Mapping[str, float] | None = None,
    segments: Sequence[str] = (),
) -> Integrity:
    """Check the split, the assignments, the prices charged and the time before, in this order.

    Args:
        facts: What `measures.experiments.integrity` gives.
        daily: What `measures.experiments.daily_counts` gives.
        moments: Sums by variant and `segments`, with the columns pre_revenue and observed_days.
        control: The control.
        planned: The planned split by variant; None or empty for an even one.
        segments: Columns of `moments` in which the split is checked, too.

    Returns:
        The checks.
    """
    planned = dict(planned or {})
    rows: list[tuple[str, str, str, float]] = []
    counts = facts.rename(columns={"units": "n"})[["variant", "n"]]
    names = counts["variant"].tolist()
    ratio = sample_ratio(counts, planned)
    furthest = int((ratio.table["share"] - ratio.table["planned"]).abs().to_numpy().argmax())
    at = ratio.table.iloc[furthest]
    rows.append(
        (
            "sample ratio",
            "failed" if ratio.mismatch() else "passed",
            f"{at['variant']} has {at['share']:.2%} of units where {at['planned']:.2%} were planned.",
            ratio.p,
        )
    )
    wide = daily.pivot_table(index="day", columns="variant", values="n", fill_value=0).reindex(
        columns=names, fill_value=0
    )
    running = sequential_sample_ratio(wide.to_numpy(), ratio.table["planned"].tolist())
    rows.append(
        (
            "sample ratio on any day",
            "passed" if running.stopped is None else "failed",
            "On no day of the experiment was the split out of line."
            if running.stopped is None
            else f"The split was out of line from day {running.stopped + 1} of the experiment on.",
            running.p,
        )
    )
    for segment in segments:
        split = sample_ratio_by_segment(
            moments, segment, {n: planned.get(n, 1) for n in names} if planned else {}
        )
        worst = (
            split.sort_values("p_adjusted", kind="stable").iloc[0]
            if split["p_adjusted"].notna().any()
            else None
        )
        if worst is not None:
            rows.append(
                (
                    f"sample ratio by {segment}",
                    "failed" if worst["p_adjusted"] < SRM_ALPHA else "passed",
                    f"Of {len(split)} values, {worst['value']} is furthest from the plan.",
                    float(worst["p_adjusted"]),
                )
            )
    rows += _assignment_checks(facts)
    rows += _before_checks(moments, control)
    rows += _money_checks(facts)
    table = pd.DataFrame(rows, columns=["check", "result", "what", "p"])
    return Integrity(table=table, failed=tuple(table.loc[table["result"] == "failed", "what"]))


def _assignment_checks(facts: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    total = facts.sum(numeric_only=True)
    nothing = float("nan")
    crossed, mischarged = total["crossed"] / total["units"], 0.0
    if total["converted"]:
        mischarged = total["charged_otherwise"] / total["converted"]
    unripe = total["units"] - total["ripe"]
    return [
        (
            "one variant each",
            "failed" if crossed > MOST_CROSSED else "look" if crossed else "passed",
            f"{total['crossed']:,.0f} units were put into several variants; they count in their first.",
            nothing,
        ),
        (
            "assigned once",
            "look" if total["repeated"] else "passed",
            f"{total['repeated']:,.0f} units were assigned more than once.",
            nothing,
        ),
        (
            "one unit for each customer",
            "look" if total["shared"] else "passed",
            f"{total['shared']:,.0f} units share their customer with another unit.",
            nothing,
        ),
        (
            "price charged as assigned",
            "failed" if mischarged > MOST_MISCHARGED else "look" if mischarged else "passed",
            f"{total['charged_otherwise']:,.0f} of {total['converted']:,.0f} subscribers began at another "
            "price than the one they were shown.",
            nothing,
        ),
        (
            "old enough to count",
            "look" if unripe else "passed",
            f"{unripe:,.0f} of {total['units']:,.0f} units were assigned too lately for the whole window; "
            "they do not count in the effects.",
            nothing,
        ),
    ]


def _before_checks(moments: pd.DataFrame, control: str) -> list[tuple[str, str, str, float]]:
    sums = add_up(moments)
    rows = []
    for measure, name, words in (
        ("pre_revenue", "alike before the experiment", "Revenue before the assignment"),
        ("observed_days", "observed for as long", "The time since the assignment"),
    ):
        if sums[f"q_{measure}"].sum() == 0:
            what = "No unit paid anything before it was assigned, so there is nothing to compare."
            rows.append((name, "passed", what, float("nan")))
            continue
        effects = compare(sums, measure, control=control).table
        p = float(np.nanmin(effects["p_adjusted"].to_numpy(dtype=float), initial=1.0))
        worst = effects.iloc[int(effects["difference"].abs().fillna(0).to_numpy().argmax())]
        rows.append(
            (
                name,
                "failed" if p < SRM_ALPHA else "look" if p < 0.05 else "passed",
                f"{words} differs most in {worst['variant']}, by {worst['lift']:+.1%}.",
                p,
            )
        )
    return rows


def _money_checks(facts: pd.DataFrame) -> list[tuple[str, str, str, float]]:
    revenue, refunds = facts["revenue"].sum(), facts["refunds"].sum()
    share = refunds / (revenue + refunds) if revenue + refunds > 0 else 0.0
    codes = pd.unique(facts[["lowest_currency", "highest_currency"]].to_numpy().ravel())
    currencies = sorted({str(c) for c in codes if c is not None and c == c and c})
    nothing = float("nan")
    return [
        (
            "refunds",
            "look" if share > 0.05 else "passed",
            f"{share:.1%} of what was charged in the window was given back; revenue is net of it.",
            nothing,
        ),
        (
            "one currency",
            "look" if len(currencies) > 1 else "passed",
            "Amounts of " + " and ".join(currencies) + " are added one to one, as the prices were set."
            if len(currencies) > 1
            else f"All amounts are in {currencies[0]}."
            if currencies
            else "Nothing was charged.",
            nothing,
        ),
    ]
