"""Why another dashboard says otherwise, and whether the past has changed since it was published.

A `policy` says what counts, and when (`tenure.policy.MetricPolicy`). Changed one rule at a time, in a fixed
order, the rules of two policies account for the whole difference of their numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tenure.errors import InputError
from tenure.models.months import complete_month, month_label
from tenure.models.movements import (
    KINDS,
    Ledger,
    check_identity,
    ledger,
    month_rates,
)
from tenure.money import minor_exponent
from tenure.policy import POLICIES, MetricPolicy, named, steps
from tenure.result import NAN, Estimate, Table, counted

_CHURN = {"logo_churn": "churn.monthly", "MRR_churn": "mrr.churn"}


@dataclass(frozen=True, eq=False)
class Bridge:
    """How one policy's numbers become another's, rule by rule.

    Attributes:
        table: The numbers by the first policy, after each rule that changes anything, and by the other
            policy: rule, adds (to recurring revenue), MRR, customers, churned and logo_churn.
        path: The same for `tenure.report.figures.waterfall`: label, amount.
        gap: The other policy's recurring revenue less the first's. Case: "higher", "lower" or "none"; words:
            other, first (the policies) and without, the rules that change nothing a reader would see.
    """

    table: Table
    path: Table
    gap: Estimate


def policies_between(first: str, other: str) -> dict[str, MetricPolicy]:
    """Return the policies to ask about: those on the way from one to another, and all that have a name.

    Returns:
        By digest, so that none is asked about twice.

    Example:
        >>> len(policies_between("tenure", "tenure")) == len(POLICIES)
        True
    """
    way = [named(first), *(rules for _, rules in steps(named(first), named(other)))]
    return {rules.digest(): rules for rules in [*way, *(named(name) for name in POLICIES)]}


def told(
    movements: pd.DataFrame,
    balances: pd.DataFrame,
    rates: pd.DataFrame | None,
    policies: Mapping[str, MetricPolicy],
    *,
    currency: str,
    month: int,
) -> Table:
    """Say what each of several policies makes of a month; under each the movements must add up.

    Args:
        movements: As from `tenure.measures.revenue.mrr_movements`, asked of several `policies`.
        balances: As from `mrr_balances`, asked of the same.
        rates: Exchange rates.
        policies: As from `policies_between`.
        currency: The reporting currency.
        month: The month.

    Returns:
        A row a policy, indexed by its digest: MRR, customers, churned, logo_churn and MRR_churn.

    Raises:
        IdentityError: Under one of them something does not add up.
    """
    rows = {}
    for digest, rules in policies.items():
        own = movements[movements["policy"] == digest]
        check_identity(own, balances[balances["policy"] == digest])
        book = ledger(own, rates, currency=currency, until=month)
        row, found = book.at(month), month_rates(book, month, churn_base=rules.churn_base)
        rows[digest] = {
            "MRR": int(row["closing"]),
            "customers": int(row["customers"]),
            "churned": int(row["churned"]),
            **{column: found[name].value for column, name in _CHURN.items()},
        }
    units = {"MRR": f"money:{currency}", **dict.fromkeys(_CHURN, "percent")}
    return Table(pd.DataFrame.from_dict(rows, orient="index"), units)


def policy_table(numbers: Table) -> Table:
    """Lay out what all policies that have a name make of a month, as from `told`."""
    rows = numbers.frame.loc[[named(name).digest() for name in POLICIES]]
    return Table(rows.reset_index(drop=True).assign(rules=list(POLICIES))[["rules", *rows]], numbers.units)


def policy_bridge(first: str, other: str, numbers: Table) -> Bridge:
    """Explain, rule by rule, how one policy's numbers become another's.

    A rule is left out of the table where it changes less than half a unit of money, no customer, and less
    than half a hundredth of a point of churn.

    Args:
        first: The policy to begin with.
        other: The policy to end with.
        numbers: As from `told`, with all policies on the way.

    Returns:
        The bridge: what its rules add makes up the whole difference.
    """
    way = [(first, named(first)), *steps(named(first), named(other))]
    frame = numbers.frame.loc[[rules.digest() for _, rules in way]].reset_index(drop=True)
    frame.insert(0, "rule", [rule for rule, _ in way])
    change = frame.drop(columns="rule").diff()
    frame.insert(1, "adds", change["MRR"])
    half = 10 ** minor_exponent(numbers.units["MRR"].removeprefix("money:")) / 2
    same = frame.index > 0
    same &= (change[["customers", "churned"]] == 0).all(axis=1) & (change["MRR"].abs() < half)
    same &= change["logo_churn"].fillna(0.0).abs() < 5e-5
    end = frame.tail(1).assign(rule=other, adds=NAN)
    shown = pd.concat([frame[~same], end], ignore_index=True).drop(columns="MRR_churn")
    unit = numbers.units["MRR"]
    path = pd.concat(
        [
            frame.head(1).assign(amount=frame["MRR"]),
            frame[frame["adds"].fillna(0) != 0].assign(amount=frame["adds"]),
            end.assign(amount=end["MRR"]),
        ]
    )[["rule", "amount"]].rename(columns={"rule": "label"})
    gap = float(frame["MRR"].iloc[-1] - frame["MRR"].iloc[0])
    case = "higher" if gap > 0 else "lower" if gap < 0 else "none"
    words = {"first": first, "other": other, "without": frame.loc[same, "rule"].tolist()}
    note = "Each row is what that rule leads to after those before it; what they add makes up the difference."
    return Bridge(
        Table(shown, {"adds": unit, "MRR": unit, "logo_churn": "percent"}, (note,)),
        Table(path.reset_index(drop=True), {"amount": unit}),
        counted(gap, unit=unit).saying(case, **words),
    )


def restatement(
    published: pd.DataFrame | None,
    current: pd.DataFrame,
    *,
    grace_days: int | None,
    policy: str,
) -> Table:
    """List past months that an earlier run published otherwise, with why that may be.

    Args:
        published: What the earlier run exported, as from `history`; None: there was none.
        current: The same of this run.
        grace_days: Days that unpaid time may still be paid; None: without end.
        policy: Digest of the policy now.

    Returns:
        A row a month and kind that differs: month, kind, published, now, change, customers (change of their
        number) and why. Only months that were over when the earlier run was made count.

    Raises:
        InputError: The earlier export is not of this kind.

    Example:
        >>> old = pd.DataFrame({"month": ["2026-08", "2026-09"], "kind": "churn", "amount_minor": [-5, -7],
        ...     "customers": [-1, -1], "currency": "EUR", "as_of": "2026-09-30", "policy": "a"})
        >>> new = old.assign(amount_minor=[-5, -9], customers=[-1, -2])
        >>> found = restatement(old, new, grace_days=30, policy="a").frame
        >>> found[["month", "published", "now", "change"]].values.tolist()
        [['2026-09', -7, -9, -2]]
    """
    sums = ["amount_minor", "customers"]
    columns = ["month", "kind", "published", "now", "change", "customers", "why"]
    if published is not None:
        for name in ("month", "kind", *sums, "currency", "as_of", "policy"):
            if name not in published.columns:
                raise InputError(
                    f"What the earlier run exported has no column {name}; it has "
                    f"{', '.join(published.columns)}. Fix: name a folder that this report exported its "
                    "tables to."
                )
    if published is None or published.empty:
        return Table(pd.DataFrame(columns=columns))
    then = dt.date.fromisoformat(str(published["as_of"].iloc[0]))
    keys = ["month", "kind"]
    both = (
        published.groupby(keys)[sums]
        .sum()
        .join(current.groupby(keys)[sums].sum(), how="outer", lsuffix="_then", rsuffix="_now")
    )
    both = both.fillna(0).astype("int64").reset_index().astype({"month": str, "kind": str})
    both["change"] = both["amount_minor_now"] - both["amount_minor_then"]
    both["customers"] = both["customers_now"] - both["customers_then"]
    over = both["month"] <= month_label(complete_month(then))
    moved = both[over & ((both["change"] != 0) | (both["customers"] != 0))].reset_index(drop=True)
    rules = str(published["policy"].iloc[0]) != policy
    other = str(published["currency"].iloc[0]) != str(current["currency"].iloc[0])
    settled = (then - dt.timedelta(days=36_500 if grace_days is None else grace_days)).isoformat()[:7]
    why = [_why(row["kind"], row["month"] >= settled, rules, other) for row in moved.to_dict("records")]
    found = moved.rename(columns={"amount_minor_then": "published", "amount_minor_now": "now"}).assign(
        why=why
    )
    return Table(found[columns], dict.fromkeys(columns[2:5], f"money:{current['currency'].iloc[0]}"))


def changes(published: pd.DataFrame | None, restated: Table) -> Estimate:
    """Count what reads otherwise than it was published. Words: day; cases: "first", "same", "changed"."""
    if published is None or published.empty:
        return Estimate(NAN, case="first")
    day = dt.date.fromisoformat(str(published["as_of"].iloc[0]))
    n = len(restated)
    return counted(n, n, of="line").saying("changed" if n else "same", day=day)


def history(book: Ledger, *, as_of: dt.date, policy: str) -> pd.DataFrame:
    """Return a ledger as it is exported, for later runs to compare themselves with.

    Returns:
        A row a month and kind, closing balances among them: month, kind, amount_minor, customers, currency,
        as_of, policy.
    """
    lines = book.lines.groupby(["month", "kind"], as_index=False)[["amount_minor", "customers"]].sum()
    closing = book.balances.groupby("month", as_index=False)[["closing", "customers"]].sum()
    closing = closing.rename(columns={"closing": "amount_minor"}).assign(kind="balance")
    table = pd.concat([lines, closing[lines.columns]], ignore_index=True)
    place = table["kind"].map({kind: place for place, kind in enumerate((*KINDS, "balance"))})
    table = table.assign(place=place).sort_values(["month", "place"], ignore_index=True).drop(columns="place")
    table["month"] = [month_label(month) for month in table["month"]]
    return table.assign(currency=book.currency, as_of=as_of.isoformat(), policy=policy)


def _why(kind: str, recent: bool, rules: bool, other_currency: bool) -> str:
    if rules:
        return "the policy has changed since"
    if other_currency:
        return "it was published in another currency"
    if kind == "fx":
        return "exchange rates have been corrected, or other lines have changed"
    if kind in ("churn", "balance", "contraction", "resume") and recent:
        return "who was past due then has not paid since: churn is dated when paid service ended"
    return "rows of that time have been added, changed or removed since"
