"""Why another dashboard shows other numbers, and whether the past has changed since it was published.

A `policy` says what counts, and when (`tenure.policy.MetricPolicy`). Changed one rule at a time, in a fixed
order, the rules of two policies account for the whole difference of their numbers.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tenure.errors import InputError
from tenure.models.months import complete_month, month_date, month_label, month_of
from tenure.models.movements import KINDS, Ledger, check_identity, ledger, month_rates
from tenure.money import factors_by_month, known_factors, minor_exponent
from tenure.policy import POLICIES, MetricPolicy, named, steps
from tenure.result import NAN, Estimate, Table, counted


@dataclass(frozen=True, eq=False)
class Bridge:
    """How one policy's numbers become another's, rule by rule.

    Attributes:
        table: The numbers by the first policy, after each rule that changes anything, and by the other
            policy: rule, adds (to recurring revenue), MRR, customers, churned and logo_churn.
        path: The same for `tenure.report.figures.waterfall`: label, amount.
        named: What all policies that have a name make of the month: rules, MRR, customers, churned,
            logo_churn and MRR_churn.
        gap: The other policy's recurring revenue less the first's. Case: "higher", "lower" or "none"; words:
            other, first (the policies) and without, the rules that change nothing a reader would see.
    """

    table: Table
    path: Table
    named: Table
    gap: Estimate


def policies_between(
    first: str, other: str, given: Mapping[str, Any] | None = None
) -> dict[str, MetricPolicy]:
    """Return the policies to ask about: those on the way from one to another, and all that have a name.

    Args:
        first: The policy to begin with.
        other: The policy to end with.
        given: The company's own rules (see `tenure.policy.named`).

    Returns:
        By digest, so that none is asked about twice.

    Example:
        >>> len(policies_between("tenure", "tenure")) == len(POLICIES)
        True
    """
    ends = named(first, given), named(other, given)
    way = [ends[0], *(rules for _, rules in steps(*ends))]
    return {rules.digest(): rules for rules in [*way, *(named(name, given) for name in POLICIES)]}


def policy_bridge(
    first: str,
    other: str,
    movements: pd.DataFrame,
    balances: pd.DataFrame,
    rates: pd.DataFrame | None,
    *,
    currency: str,
    month: int,
    given: Mapping[str, Any] | None = None,
) -> Bridge:
    """Explain, rule by rule, how one policy's numbers of a month become another's.

    A rule is left out of the table where it changes less than half a unit of money, no customer, and less
    than half a hundredth of a point of churn.

    Args:
        first: The policy to begin with.
        other: The policy to end with.
        movements: As from `tenure.measures.revenue.mrr_movements`, asked of `policies_between`.
        balances: As from `mrr_balances`, asked of the same, of the month and the one before.
        rates: Exchange rates.
        currency: The reporting currency.
        month: The month.
        given: The company's own rules.

    Raises:
        IdentityError: Under one of the policies the movements do not add up.
    """
    unit = f"money:{currency}"
    units = {"adds": unit, "MRR": unit, "logo_churn": "percent", "MRR_churn": "percent"}
    rows = {}
    for digest, rules in policies_between(first, other, given).items():
        own = movements[(movements["policy"] == digest) & (movements["month"] <= month)]
        if own.empty:
            # By these rules nobody pays, as where usage is all there is and does not count.
            rows[digest] = {"MRR": 0, "customers": 0, "churned": 0, "logo_churn": NAN, "MRR_churn": NAN}
            continue
        # What moved until the month before adds up to its balance.
        ends = balances[(balances["policy"] == digest) & balances["month"].between(month - 1, month)]
        check_identity(own.assign(month=own["month"].clip(lower=month - 1)), ends)
        book = ledger(own, rates, currency=currency, until=month)
        row, found = book.at(month), month_rates(book, month, rules)
        rows[digest] = {
            "MRR": int(row["closing"]),
            "customers": int(row["customers"]),
            "churned": int(row["churned"]),
            "logo_churn": found["churn.monthly"].value,
            "MRR_churn": found["mrr.churn"].value,
        }
    by_name = pd.DataFrame([{"rules": name, **rows[named(name, given).digest()]} for name in POLICIES])

    way = [(first, named(first, given)), *steps(named(first, given), named(other, given))]
    frame = pd.DataFrame([{"rule": rule, "adds": NAN, **rows[rules.digest()]} for rule, rules in way])
    change = frame.drop(columns="rule").diff()
    frame["adds"] = change["MRR"]
    half = 10 ** minor_exponent(currency) / 2
    same = (change[["customers", "churned"]] == 0).all(axis=1) & (change["MRR"].abs() < half)
    same &= change["logo_churn"].fillna(0.0).abs() < 5e-5
    end = frame.tail(1).assign(rule=other, adds=NAN)
    shown = pd.concat([frame[~same], end], ignore_index=True).drop(columns="MRR_churn")
    moved = frame[frame["adds"].fillna(0) != 0]
    path = pd.DataFrame(
        {
            "label": [first, *moved["rule"], other],
            "amount": [frame["MRR"].iloc[0], *moved["adds"], frame["MRR"].iloc[-1]],
        }
    )
    gap = float(frame["MRR"].iloc[-1] - frame["MRR"].iloc[0])
    case = "higher" if gap > 0 else "lower" if gap < 0 else "none"
    words = {"first": first, "other": other, "without": frame.loc[same, "rule"].tolist()}
    note = "Each row is what that rule leads to after those before it; what they add makes up the difference."
    return Bridge(
        Table(shown, units, (note,)),
        Table(path, {"amount": unit}),
        Table(by_name, units),
        counted(gap, unit=unit).saying(case, **words),
    )


class Elsewhere(NamedTuple):
    """What another system reports of recurring revenue less what is counted here, and tables of its parts."""

    gap: Estimate
    parts: dict[str, Table]


def elsewhere(
    rules: pd.DataFrame,
    balances: pd.DataFrame,
    reported: pd.DataFrame,
    rates: Mapping[str, float],
    *,
    currency: str,
    months: Sequence[int],
    largest: pd.DataFrame | None = None,
) -> Elsewhere:
    """Compare recurring revenue with what another system reports, by month, and by rule for the last of them.

    Args:
        rules: As from `tenure.measures.elsewhere.by_rule`, of the last month.
        balances: As from `tenure.measures.revenue.mrr_balances`, asked on the months' ends.
        reported: As from `tenure.measures.elsewhere.reported_months`.
        rates: Those of the last month.
        largest: As from `tenure.measures.elsewhere.largest`, of the last month: the part "customer".

    Returns:
        Theirs less ours in the last month, and parts by "month" and "rule", whose differences add up to it.
        Case: "same" (of each customer), "explained" or "partly"; words: theirs, ours, left (not explained).

    Example:
        >>> rules = pd.DataFrame({"rule": ["equal", "discounts: none"], "customers": 1, "only_here": 0,
        ...     "only_elsewhere": 0, "ours": [900.0, 800.0], "theirs": [900.0, 1000.0]})
        >>> ours = pd.DataFrame({"on": ["2026-10-31"], "month": 24321, "currency": "EUR", "mrr_minor": 1700})
        >>> gap, parts = elsewhere(rules, ours, ours.assign(mrr_minor=1900), {"EUR": 1.0},
        ...     currency="EUR", months=[24321])
        >>> gap.value, gap.case, parts["month"].frame["difference"].tolist()
        (200.0, 'explained', [200.0])
    """
    sides = {"ours": balances[balances["month"] == balances["on"].map(month_of)], "theirs": reported}
    worth = {side: rows["mrr_minor"] * rows["currency"].map(rates) for side, rows in sides.items()}
    totals = {side: worth[side].groupby(rows["month"]).sum() for side, rows in sides.items()}
    by_month = pd.DataFrame(totals).reindex(list(months)).fillna(0.0)
    by_month.insert(0, "month", list(map(month_label, months)))
    by_month, rules = (rows.assign(difference=rows["theirs"] - rows["ours"]) for rows in (by_month, rules))
    place = rules["rule"].map({"equal": 0, "not explained": 2}).fillna(1)
    rules = rules.iloc[np.lexsort((-rules["difference"].abs(), place))]
    left, unit = rules[rules["rule"] == "not explained"], f"money:{currency}"
    case = "partly" if len(left) else "same" if set(rules["rule"]) <= {"equal"} else "explained"
    sums = {"theirs": rules["theirs"].sum(), "ours": rules["ours"].sum(), "left": left["difference"].sum()}
    amounts = {name: counted(amount, unit=unit) for name, amount in sums.items()}
    gap = counted(rules["difference"].sum(), int(rules["customers"].sum()), of="customer", unit=unit)
    notes = _left_out(reported, rates)
    units = dict.fromkeys(("ours", "theirs", "difference"), unit)
    tables = {"month": by_month, "rule": rules} | ({} if largest is None else {"customer": largest})
    return Elsewhere(
        gap.saying(case, **amounts, month=(month_date(months[-1]), "month")),
        {name: Table(rows.reset_index(drop=True), units, notes) for name, rows in tables.items()},
    )


def restatement(
    published: pd.DataFrame | None,
    current: pd.DataFrame,
    *,
    grace_days: int | None,
    policy: str,
) -> Table:
    """List past months that an earlier run published with other numbers, and why they may have changed.

    Args:
        published: What the earlier run exported, as from `history`; None: there was none.
        current: The same of this run.
        grace_days: Days that unpaid time may still be paid; None: without end.
        policy: Digest of the policy now.

    Returns:
        A row per month and kind that differs: month, kind, published, now, change, customers (change of their
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
    columns = ["month", "kind", "published", "now", "change", "customers", "why"]
    for name in current.columns:
        if published is not None and name not in published.columns:
            raise InputError(
                f"What the earlier run exported has no column {name}; it has {', '.join(published.columns)}. "
                "Fix: name a folder that this report exported its tables to."
            )
    if published is None or published.empty:
        return Table(pd.DataFrame(columns=columns))
    sums = pd.concat({"published": published, "now": current}, names=["run"]).pivot_table(
        index=["month", "kind"], columns="run", values=["amount_minor", "customers"],
        aggfunc="sum", fill_value=0,
    ).astype("int64")  # fmt: skip
    found, people = sums["amount_minor"], sums["customers"]
    found = found.assign(
        change=found["now"] - found["published"], customers=people["now"] - people["published"]
    ).reset_index()
    then = dt.date.fromisoformat(str(published["as_of"].iloc[0]))
    over = found["month"] <= month_label(complete_month(then))
    found = found[over & (found[["change", "customers"]] != 0).any(axis=1)].reset_index(drop=True)
    rules = str(published["policy"].iloc[0]) != policy
    other = str(published["currency"].iloc[0]) != str(current["currency"].iloc[0])
    settled = (then - dt.timedelta(days=36_500 if grace_days is None else grace_days)).isoformat()[:7]
    places = zip(found["kind"], found["month"] >= settled, strict=True)
    found["why"] = [_why(kind, recent, rules, other) for kind, recent in places]
    return Table(found[columns], dict.fromkeys(columns[2:5], f"money:{current['currency'].iloc[0]}"))


def changes(published: pd.DataFrame | None, restated: Table) -> Estimate:
    """Count what differs from what was published. Words: day; cases: "first", "same", "changed"."""
    if published is None or published.empty:
        return Estimate(NAN, case="first")
    day = dt.date.fromisoformat(str(published["as_of"].iloc[0]))
    n = len(restated)
    return counted(n, n, of="line").saying("changed" if n else "same", day=day)


def history(book: Ledger, *, as_of: dt.date, policy: str) -> pd.DataFrame:
    """Return a ledger as it is exported, for later runs to compare themselves with.

    Returns:
        A row per month and kind, closing balances among them: month, kind, amount_minor, customers, currency,
        as_of, policy.
    """
    closing = book.balances.drop(columns="customers_before").rename(columns={"closing": "amount_minor"})
    table = pd.concat([book.lines, closing.assign(kind="balance")])
    table["kind"] = pd.Categorical(table["kind"], [*KINDS, "balance"])
    table = table.groupby(["month", "kind"], observed=True)[["amount_minor", "customers"]].sum().reset_index()
    return table.assign(
        month=table["month"].map(month_label), kind=table["kind"].astype(str), currency=book.currency,
        as_of=as_of.isoformat(), policy=policy,
    )  # fmt: skip


def rolled_forward(
    reported: pd.DataFrame, current: pd.DataFrame, rates: pd.DataFrame | None
) -> Elsewhere | None:
    """Compare what moved recurring revenue with what another system reports of it.

    Args:
        reported: The table movements_elsewhere.
        current: As from `history`.
        rates: Columns currency, month and rate; None: no rates. A currency without one is left out.

    Returns:
        The balances' difference as from `elsewhere`, not available where only movements are reported, and the
        part "movement", a row per month and kind: month, kind, ours, theirs, difference. None: no whole month
        is in both.

    Example:
        >>> ours = pd.DataFrame({"month": "2026-10", "kind": ["new", "balance"], "amount_minor": [500, 900],
        ...     "currency": "EUR", "as_of": "2026-10-31"})
        >>> theirs = ours.assign(month=dt.date(2026, 10, 1), amount_minor=[500, 800])
        >>> gap, parts = rolled_forward(theirs, ours, None)
        >>> gap.value, gap.case, parts["movement"].frame["difference"].tolist()
        (-100.0, 'partly', [0.0, -100.0])
    """
    currency, last = str(current["currency"].iloc[0]), dt.date.fromisoformat(str(current["as_of"].iloc[0]))
    known = known_factors(rates, sorted({*reported["currency"]}), currency, complete_month(last))
    rows = reported.assign(month=pd.to_datetime(reported["month"]).dt.strftime("%Y-%m"))
    months = sorted(month for month in {*rows["month"]} & {*current["month"]}
                    if month <= month_label(complete_month(last)))[-12:]  # fmt: skip
    rows = rows[rows["currency"].isin(known) & rows["month"].isin(months)]
    if rows.empty:
        return None
    # Like ours, movements are converted by the rates of the month before; what these do to the balance is fx.
    at = rows["month"].map(lambda month: month_of(f"{month}-01")) - (rows["kind"] != "balance")
    factors = factors_by_month(rates, known, currency, sorted({*at})).rename_axis("at").reset_index()
    rows = rows.assign(at=at).merge(factors.melt("at", value_name="factor"))
    rows["amount_minor"] *= rows["factor"]
    both = pd.concat({"ours": current[current["month"].isin(months)], "theirs": rows}, names=["side"])
    both = both.pivot_table("amount_minor", ["month", "kind"], "side", "sum", fill_value=0.0).astype(float)
    both = both.assign(difference=both["theirs"] - both["ours"])
    names = {kind: place for place, kind in enumerate([*KINDS, "balance"])}
    both = both.sort_index(key=lambda at: at.map(names) if at.name == "kind" else at)
    end = both.loc[(months[-1], "balance")] if "balance" in {*rows["kind"]} else both.iloc[0] * NAN
    unit, month = f"money:{currency}", (month_date(month_of(f"{months[-1]}-01")), "month")
    sums = {name: counted(end[name], unit=unit) for name in ("ours", "theirs", "difference")}
    gap = sums["difference"].saying("partly" if end["difference"] else "explained", month=month, **sums)
    table = Table(both.reset_index(), dict.fromkeys(sums, unit), _left_out(reported, known))
    return Elsewhere(gap.saying(left=sums["difference"]), {"movement": table})


def _left_out(reported: pd.DataFrame, known: Iterable[str]) -> tuple[str, ...]:
    without = ", ".join(sorted({*reported["currency"]} - {*known}))
    return (f"Amounts in {without} are left out: there is no exchange rate.",) if without else ()


def _why(kind: str, recent: bool, rules: bool, other_currency: bool) -> str:
    if rules:
        return "the policy, or who is counted, has changed since"
    if other_currency:
        return "it was published in another currency"
    if kind == "fx":
        return "exchange rates have been corrected, or other lines have changed"
    if kind in ("churn", "balance", "contraction", "resume") and recent:
        return "customers past due then have not paid since: churn is dated when paid service ended"
    return "rows of that time have been added, changed or removed since"
