"""What may be spent to acquire a customer of a channel, and to keep one at a renewal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.payback import UnitEconomics
from tenure.models.payments import Payments
from tenure.models.renewals import numbered
from tenure.models.retention import Cells, Retention, kept_survival
from tenure.models.value import Valuation, known_rows, limits
from tenure.result import Estimate, Table, from_ends
from tenure.stats.lifetable import Array
from tenure.stats.lifetime import discount_weights


@dataclass(frozen=True, eq=False)
class ChannelBudgets:
    """What a customer of each channel costs, brings over a lifetime, and may cost.

    Attributes:
        table: A row a channel, the best ratio first: `channel`, `customers` (acquired), `cost` (CAC) with
            its limits, `worth` (of a new customer, over a lifetime) with its limits, `lifetime_ratio` (worth
            over cost, which is taken as known; NaN without cost), `payback` with its limits (months, as
            observed; infinite where not within the months observed), `most` (the highest cost at which worth
            is still `target` times it) and `break_even`.
        target: The ratio of worth to cost that is aimed for.
        observed: For how many months of life margins were observed.
    """

    table: Table
    target: float
    observed: int

    def weakest(self) -> Estimate:
        """The least lifetime ratio of channels with a cost; its case says whether the cost was earned back.

        Cases: "paid back", "not paid back" within the months observed, and "no cost"; words: channel,
            payback,
        observed.
        """
        rows = self.table.frame.dropna(subset="lifetime_ratio")
        observed = Estimate(self.observed, unit="months")
        if rows.empty:
            return Estimate(np.nan, unit="ratio", case="no cost")
        row = rows.iloc[-1]
        words = {"channel": str(row["channel"]), "observed": observed}
        words["payback"] = Estimate(row["payback"], unit="months")
        ends = (float(row[f"lifetime_ratio{end}"]) for end in ("", "_low", "_high"))
        case = "paid back" if np.isfinite(row["payback"]) else "not paid back"
        return from_ends(
            ends, n=int(row["customers"]), of="acquired customer", unit="ratio", case=case, words=words
        )

    def advice(self) -> Estimate:
        """How many channels cost more than they may; words: channels (too expensive), best (most room)."""
        rows = self.table.frame.dropna(subset="lifetime_ratio")
        over = rows.loc[rows["cost"] > rows["most"], "channel"].tolist()
        case = "spend less" if over else "room" if len(rows) else "no cost"
        words = {"channels": over, "target": Estimate(self.target, unit="ratio")}
        return Estimate(
            len(over), unit="count", case=case, words={**words, "best": "".join(rows["channel"][:1])}
        )


def channel_budgets(economics: UnitEconomics, new: Valuation, *, target: float) -> ChannelBudgets:
    """Set what a new customer of each channel is worth over a lifetime against what acquiring one costs.

    Args:
        economics: Cost and payback by channel, as `tenure.models.payback.unit_economics` gives them.
        new: New customers by channel, as `tenure.models.value.value_new` gives them.
        target: The ratio of worth to cost that is aimed for, such as 3.

    Raises:
        NotApplicable: No channel has both customers and a worth.
    """
    columns = [
        "channel",
        "customers",
        *(f"{x}{end}" for x in ("cac", "payback") for end in ("", "_low", "_high")),
    ]
    costs = economics.table.frame[columns].rename(columns=lambda name: name.replace("cac", "cost"))
    worth = new.by("channel").frame[["channel", "each", "each_low", "each_high"]]
    table = costs.merge(worth.rename(columns=lambda name: name.replace("each", "worth")), on="channel")
    if table.empty:
        raise NotApplicable(
            "No channel has both customers and a worth, so none can be compared with its cost."
        )
    paid = table["cost"].where(table["cost"] > 0)
    for end in ("", "_low", "_high"):
        table[f"lifetime_ratio{end}"] = table[f"worth{end}"] / paid
    table["most"], table["break_even"] = table["worth"] / target, table["worth"]
    table = table.sort_values(
        "lifetime_ratio", ascending=False, na_position="first", kind="stable", ignore_index=True
    )
    units = {**dict.fromkeys(("cost", "worth", "most", "break_even"), new.unit), "lifetime_ratio": "ratio"}
    return ChannelBudgets(Table(table, {**units, "payback": "months"}), target, economics.horizon)


@dataclass(frozen=True, eq=False)
class RetentionBudget:
    """The largest incentive worth offering to everybody who is about to decide on a renewal.

    Attributes:
        table: A row for each group and renewal: `group`, `interval`, `renewal`, `customers`, `leave` (chance
            to leave by choice), `kept_value` (what one who is kept is worth from that renewal on),
            `average_value` (what one who renews is worth), `budget` with its limits (for each customer
            offered), `budget_naive` (with the average value), and `needed` (the share kept that makes an
            incentive of a tenth of the interval's revenue worth its cost; above 1: it cannot pay).
        kept: The share of those about to leave who are kept.
        unit: The unit of money.
        level: Level of the intervals.
    """

    table: Table
    kept: float
    unit: str
    level: float

    def largest(self, renewal: int = 1) -> Estimate:
        """The largest budget at a renewal; words: group, kept, needed, and naive (for average customers)."""
        rows = self.table.frame
        row = rows[rows["renewal"] == renewal].sort_values("budget").iloc[-1]
        words = {
            "group": str(row["group"]),
            "naive": Estimate(row["budget_naive"], unit=self.unit),
            "times": Estimate(row["budget_naive"] / row["budget"] if row["budget"] else np.nan, unit="ratio"),
            "needed": Estimate(row["needed"], unit="percent"),
            "kept": Estimate(self.kept, unit="percent"),
        }
        ends = (float(row[f"budget{end}"]) for end in ("", "_low", "_high"))
        return from_ends(
            ends, n=int(row["customers"]), of="customer", unit=self.unit, level=self.level, words=words,
            case="pays" if row["budget"] > 0 else "does not pay",
        )  # fmt: skip


def retention_budget(
    fit: Retention, intake: pd.DataFrame, payments: Payments, *, renewals: Sequence[int], kept: float
) -> RetentionBudget:
    """Estimate the largest incentive worth offering to everybody who is about to decide on a renewal.

    An incentive that keeps the share `kept` of those who would have chosen to leave is worth, for each
    customer it is offered to, kept x chance to leave x what a kept customer brings. Whoever is kept is more
    inclined to leave later than those who renew by themselves, so they are worth less (see
    `retention.kept_survival`); taking them for average customers pays too much.

    Args:
        fit: Retention curves.
        intake: As for `value.value_new`: whom a group is made of when it is new.
        payments: Payments by tenure.
        renewals: The renewals to look at, from 1 up.
        kept: The share of those leaving by choice who stay because of the incentive.

    Raises:
        InputError: `kept` is no share.
    """
    if not 0 < kept <= 1:
        raise InputError(
            f"`kept` must be a share of those about to leave, above 0 and at most 1; it is {kept!r}."
        )
    rows = known_rows(fit, intake)
    found = []
    for (group, interval), part in rows.groupby(["model_group", "interval"]):
        cells, place = numbered(
            part.drop(columns="group").rename(columns={"model_group": "group"}), fit.cells
        )
        weight = np.bincount(place, part["customers"].to_numpy(dtype=float))
        placed = fit.place(cells)
        worths, slopes = fit.delta(
            lambda theta, own=(placed, weight, str(group), str(interval)): _worths(  # type: ignore[call-arg, misc]
                fit, *own, payments, renewals, theta
            )
        )
        error, revenue = (
            payments.profile(str(group), str(interval), max(renewals), name)
            for name in ("relative_error", "revenue")
        )
        for place, renewal in enumerate(renewals):  # type: ignore[assignment]
            leave, worth, average = worths[3 * place : 3 * place + 3]
            by_leave, by_worth = slopes[3 * place : 3 * place + 2]
            gain = leave * worth
            spread = fit.standard_errors(kept * (by_leave * worth + leave * by_worth)[None])
            low, high = limits(
                np.array([kept * gain]), np.hypot(spread, kept * gain * error[renewal]), fit.level
            )
            found.append(
                {
                    "group": group,
                    "interval": interval,
                    "renewal": renewal,
                    "customers": int(weight.sum()),
                    "leave": leave,
                    "kept_value": worth,
                    "average_value": average,
                    "budget": kept * gain,
                    "budget_low": low[0],
                    "budget_high": high[0],
                    "budget_naive": kept * leave * average,
                    "needed": 0.1 * revenue[renewal] / gain if gain > 0 else np.nan,
                }
            )
    unit = payments.terms.unit
    units = dict.fromkeys(("kept_value", "average_value", "budget", "budget_naive"), unit)
    units |= {"leave": "percent", "needed": "percent", "customers": "count"}
    return RetentionBudget(Table(pd.DataFrame(found), units), kept, unit, fit.level)


def _worths(
    fit: Retention,
    cells: Cells,
    weight: Array,
    group: str,
    interval: str,
    payments: Payments,
    renewals: Sequence[int],
    theta: Array,
) -> Array:
    """For each renewal: chance to leave by choice, value of those kept, value of those who renew."""
    terms = payments.terms
    size = terms.periods(interval)
    money = payments.profile(group, interval, size + max(renewals))
    discount = discount_weights(size + 1, terms.rate(interval))
    rates = fit.part_rates(cells, max(renewals) + size, theta)
    log_s = -np.sum(list(rates.values()), axis=0)
    choice, failing = (rates.get(name, np.zeros_like(log_s)) for name in ("choice", "failure"))
    found = []
    for renewal in renewals:
        span = slice(renewal, renewal + size + 1)
        pays = money[span] * discount
        there = weight * np.exp(log_s[:, renewal - 1])
        leave = there * -np.expm1(choice[:, renewal - 1] - choice[:, renewal])
        stay = _kept_curves(fit, cells, theta, renewal, size)
        stay = stay * np.exp(failing[:, renewal - 1 : renewal] - failing[:, span])
        renews = np.exp(log_s[:, span] - log_s[:, renewal - 1 : renewal])
        staying = there @ renews[:, 0]
        found += [
            leave.sum() / there.sum(),
            leave @ (stay @ pays) / leave.sum() if leave.sum() > 0 else np.nan,
            there @ (renews @ pays) / staying if staying > 0 else np.nan,
        ]
    return np.array(found, dtype=float)


def _kept_curves(fit: Retention, cells: Cells, theta: Array, renewal: int, periods: int) -> Array:
    """For each cell how those who would have left by choice stay on once kept, failures aside."""
    part, group = fit.parts[0], int(cells.group[0])
    if part.name != "choice" or not part.models[group]:
        return np.ones((len(cells.group), periods + 1))
    own = theta[: len(part.estimate)]
    curve = kept_survival(part.models[group], part.natural(own, group), renewal, periods)
    return np.exp(np.log(curve)[None] * part.ratio(own, cells.power)[:, None])
