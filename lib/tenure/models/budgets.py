"""What may be spent to acquire a customer of a channel, and to keep one at a renewal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from tenure.errors import InputError, NotApplicable
from tenure.models.payback import UnitEconomics
from tenure.models.payments import Payments
from tenure.models.renewals import Terms, numbered
from tenure.models.retention import Cells, Retention, kept_survival
from tenure.models.retention_seen import widened
from tenure.models.value import Valuation, known_rows
from tenure.result import NAN, Estimate, Table, from_row, interval
from tenure.stats.intervals import log_limits
from tenure.stats.lifetable import Array
from tenure.stats.lifetime import discount_weights


@dataclass(frozen=True, eq=False)
class ChannelBudgets:
    """What a customer of each channel costs, brings over a lifetime, and may cost.

    Attributes:
        table: A row per channel, the best ratio first: `channel`, `customers` (acquired), `cost` (CAC) with
            its limits, `worth` (of a new customer, over a lifetime) with its limits, `lifetime_ratio` (worth
            over cost, which is taken as known; NaN without cost), `payback` with its limits (months, as
            observed; infinite where not within the months observed), `most` (the highest cost at which worth
            is still `target` times it) and `break_even`.
        target: The ratio of worth to cost that is aimed for.
    """

    table: Table
    target: float

    def weakest(self) -> Estimate:
        """The least lifetime ratio of channels with a cost; words: channel, cost, worth, most.

        Its case is "no cost" where no channel has one.
        """
        rows = self.table.frame.dropna(subset="lifetime_ratio")
        if rows.empty:
            return Estimate(NAN, unit="ratio", case="no cost")
        row = rows.iloc[-1]
        words = {name: Estimate(row[name], unit=self.table.units[name]) for name in ("cost", "worth", "most")}
        about = {"n": int(row["customers"]), "of": "acquired customer", "unit": "ratio"}
        return from_row(row, "lifetime_ratio", words={"channel": str(row["channel"]), **words}, **about)

    def advice(self) -> Estimate:
        """How many channels cost more than they may; words: channels (too expensive), best (most room)."""
        rows = self.table.frame.dropna(subset="lifetime_ratio")
        over = rows.loc[rows["cost"] > rows["most"], "channel"].tolist()
        case = "spend less" if over else "room" if len(rows) else "no cost"
        words = {"channels": over, "best": "".join(rows["channel"][:1])}
        return Estimate(
            len(over), unit="count", case=case, words={**words, "target": Estimate(self.target, unit="ratio")}
        )


def channel_budgets(economics: UnitEconomics, new: Valuation, *, target: float) -> ChannelBudgets:
    """Compare what a new customer of each channel is worth over a lifetime with what acquiring one costs.

    The ratio is worth / cost, its limits those of the worth over the same cost; a customer may cost
    worth / `target` at the most, in minor units.

    `economics` is as from `tenure.models.payback.unit_economics`, `new` as from `value.value_new`. Where no
    channel has both customers and a worth, NotApplicable is raised.
    """
    costs = economics.table.renamed(cac="cost").frame.set_index(["channel", "customers"])
    costs = costs.filter(regex="^(cost|payback)(_low|_high)?$").reset_index()
    worth = new.by("channel").renamed(each="worth").frame.set_index("channel").filter(like="worth")
    table = costs.merge(worth.reset_index(), on="channel")
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
    return ChannelBudgets(Table(table, {**units, "payback": "months"}), target)


@dataclass(frozen=True, eq=False)
class RetentionBudget:
    """The largest incentive worth offering to everybody who is about to decide on a renewal.

    Attributes:
        table: A row for each group and renewal: `group`, `interval`, `renewal`, `customers`, `leave` (chance
            to leave by choice), `kept_value` (what one who is kept is worth from that renewal on),
            `average_value` (what one who renews is worth), `budget` with its limits (for each customer
            offered; no more than the interval's revenue), `budget_naive` (with the average value), and
            `needed` (the share kept that makes an incentive of a tenth of the interval's revenue worth its
            cost; above 1: it cannot pay). Where nobody was seen to leave at a renewal, as before a commitment
            ends, or hardly anybody is expected to, there is no budget.
        kept: The share of those about to leave who are kept.
        level: Level of the intervals.
    """

    table: Table
    kept: float
    level: float

    def largest(self) -> Estimate:
        """The largest budget at the first renewal at which any group can leave.

        Its words: group, renewal, kept, needed, and naive (for average customers).
        """
        rows, unit = self.table.frame, self.table.units["budget"]
        some = rows[rows["budget"] > 0]
        at = (some if len(some) else rows)["renewal"].min()
        row = rows[rows["renewal"] == at].sort_values("budget", na_position="first").iloc[-1]
        words = {
            "group": str(row["group"]),
            "renewal": Estimate(int(row["renewal"]), unit="count"),
            "naive": Estimate(row["budget_naive"], unit=unit),
            "times": Estimate(row["budget_naive"] / row["budget"] if row["budget"] else NAN, unit="ratio"),
            "needed": Estimate(row["needed"], unit="percent"),
            "kept": Estimate(self.kept, unit="percent"),
        }
        return from_row(
            row, "budget", n=int(row["customers"]), of="customer", unit=unit, level=self.level, words=words,
            case="pays" if row["budget"] > 0 else "does not pay",
        )  # fmt: skip


def retention_budget(
    fit: Retention, intake: pd.DataFrame, payments: Payments, *, renewals: Sequence[int], kept: float
) -> RetentionBudget:
    """Estimate the largest incentive worth offering to everybody who is about to decide on a renewal.

    An incentive that keeps the share `kept` of those who would have chosen to leave is worth, for each
    customer it is offered to, kept x chance to leave x what a kept customer brings. Kept customers are more
    inclined to leave later than those who renew by themselves, so they are worth less (see
    `retention.kept_survival`); taking them for average customers pays too much.

    Where stores keep different commissions, each has rows of its own.

    Args:
        intake: As for `value.value_new`: the customers of a group when it is new.
        renewals: The renewals to look at, from 1 up.
        kept: The share of those leaving by choice who stay because of the incentive.

    Raises:
        InputError: `kept` is no share.
    """
    if not 0 < kept <= 1:
        raise InputError(
            f"`kept` must be a share of those about to leave, above 0 and at most 1; it is {kept!r}."
        )
    rows, terms, last = known_rows(fit, intake), payments.terms, max(renewals)
    found = []
    apart = [name for name in payments.apart(rows) if len(set(rows[name])) > 1]
    for key, part in rows.groupby(["group", "interval", *apart]):
        group, length = ", ".join(map(str, (key[0], *key[2:]))), str(key[1])
        named = part.drop(columns="group").rename(columns={"model_group": "group"})
        cells, place = numbered(named, fit.cells)
        weight, placed = np.bincount(place, part["customers"].to_numpy(dtype=float)), fit.place(cells)
        alike = part.iloc[:1]
        pays = payments.at(alike, terms.periods(length) + last)[0]
        error = payments.at(alike, last, "relative_error")[0]
        revenue = payments.at(alike, last, "revenue")[0]
        stuck = _nobody_leaves(fit, int(placed.group[0]), last)
        worths, ends = np.zeros((0, 3)), []
        for one in (*fit.others, fit):
            flat, slopes = one.delta(partial(_worths, one, placed, weight, pays, terms, length, renewals))
            worths, slopes = flat.reshape(-1, 3), slopes.reshape(len(renewals), 3, -1)
            leave, value = worths[:, :1], worths[:, 1:2]
            spread = one.standard_errors(kept * (slopes[:, 0] * value + leave * slopes[:, 1]))
            gains = kept * (leave * value)[:, 0]
            ends.append(log_limits(gains, np.hypot(spread, gains * error[list(renewals)]), one.level))
        low, high = widened(ends)
        for row, renewal in enumerate(renewals):
            share, worth, average = worths[row].tolist()
            gain, naive = share * worth, kept * share * average
            if stuck[renewal - 1] or 0 < kept * gain < 0.5:  # of a minor unit
                share, worth, gain, naive, low[row], high[row] = 0.0, NAN, NAN, NAN, NAN, NAN
            most, middle, bottom, top = revenue[renewal], kept * gain, low[row], high[row]
            budget = [min(end, most) if end == end else NAN for end in (middle, bottom, top)]
            found.append(
                {"group": group, "interval": length, "renewal": renewal, "customers": int(weight.sum()),
                 "leave": share, "kept_value": worth, "average_value": average,
                 **interval("budget", *budget), "budget_naive": naive,
                 "needed": 0.1 * revenue[renewal] / gain if gain > 0 else NAN}
            )  # fmt: skip
    units = dict.fromkeys(("kept_value", "average_value", "budget", "budget_naive"), terms.unit)
    units |= {"leave": "percent", "needed": "percent", "customers": "count"}
    return RetentionBudget(Table(pd.DataFrame(found), units, people=["customers"]), kept, fit.level)


def _nobody_leaves(fit: Retention, group: int, last: int) -> Array:
    """Renewals at which nobody of a group left by choice, though the curve expects three or more to."""
    part = fit.parts[0]
    own = np.flatnonzero(part.cells.group == group)
    size = min(last, part.events.shape[1])
    cells = Cells(part.cells.group[own], part.cells.power[own])
    rates = part.rates(part.estimate, cells, size)
    expected = (part.at_risk[own][:, :size] * -np.expm1(-rates)).sum(axis=0)
    none = (part.events[own][:, :size].sum(axis=0) == 0) & (expected >= 3)
    return np.r_[none, np.zeros(last - size, dtype=bool)]


def _worths(
    fit: Retention, cells: Cells, weight: Array, pays: Array, terms: Terms, length: str,
    renewals: Sequence[int], theta: Array,
) -> Array:  # fmt: skip
    """For each renewal: the chance to leave by choice, the value of those kept, that of those who renew."""
    size, found = terms.periods(length), []
    discount = discount_weights(size + 1, terms.rate(length))
    rates = fit.part_rates(cells, max(renewals) + size, theta)
    log_s = -np.sum(list(rates.values()), axis=0)
    choice, failing = (rates.get(name, np.zeros_like(log_s)) for name in ("choice", "failure"))
    for renewal in renewals:
        span = slice(renewal, renewal + size + 1)
        due = pays[span] * discount
        there = weight * np.exp(log_s[:, renewal - 1])
        leave = there * -np.expm1(choice[:, renewal - 1] - choice[:, renewal])
        stay = np.exp(choice[:, renewal : renewal + 1] - choice[:, span])
        # A model that does not fit may have kept customers stay longer than those who renew: they do not.
        stay = np.minimum(stay, _kept_curves(fit, cells, theta, renewal, size))
        stay = stay * np.exp(failing[:, renewal - 1 : renewal] - failing[:, span])
        renews = np.exp(log_s[:, span] - log_s[:, renewal - 1 : renewal])
        staying = there @ renews[:, 0]
        found += [
            leave.sum() / there.sum(),
            leave @ (stay @ due) / leave.sum() if leave.sum() > 0 else NAN,
            there @ (renews @ due) / staying if staying > 0 else NAN,
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
