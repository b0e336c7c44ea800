"""The simulated company's ledger: the months of each spell, the contract's spans, and the charges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure_demo import company
from tenure_demo.company import DAY, HOUR, Array, anniversary, months_started
from tenure_demo.lives import (
    ACTIVE,
    FAR,
    INVOLUNTARY,
    NEVER,
    PAST_DUE,
    PAUSED,
    SWITCHED,
    TRIALING,
    UNKNOWN,
    VOLUNTARY,
    Chunk,
    Spells,
    choose,
)


@dataclass
class Ledger:
    """Months of all spells, the contract's spans, and the charges.

    Attributes:
        spell: The spell that a month belongs to.
        customer: Position of its customer in the chunk.
        code: Which of the customer's subscriptions.
        month: Its number in the spell, from 0.
        begin: When it begins, in seconds.
        stop: When it ends: at the next anniversary, the spell's end or the window's.
        paused: Whether it is paused.
        charge: The amount charged for an interval that begins with it; 0 for none.
        episodes: Counts of failed charges by the number of failed attempts, from 1, and by their end:
            paid, or given up (or not over yet).
    """

    spell: Array
    customer: Array
    code: Array
    month: Array
    begin: Array
    stop: Array
    plan: Array
    paused: Array
    charge: Array
    spans: dict[str, Array]
    charges: dict[str, Array]
    episodes: Array


def make_ledger(chunk: Chunk, spells: Spells) -> Ledger:
    """Unfold spells into months, and fold months into spans and charges."""
    rng = chunk.stream("ledger")
    end = chunk.window.end
    fails = (spells.cause == INVOLUNTARY) & (spells.end < end)
    regular = months_started(np.minimum(spells.start, end), np.minimum(spells.end, end))
    rows = regular + fails
    spell = np.repeat(np.arange(len(spells)), rows)
    month = np.arange(len(spell)) - np.repeat(np.cumsum(rows) - rows, rows)
    begin = anniversary(spells.start[spell], month)
    tail = fails[spell] & (month == regular[spell])
    stop = np.where(tail, spells.tail_to[spell], np.minimum(anniversary(spells.start[spell], month + 1), end))
    stop = np.where(tail, stop, np.minimum(stop, spells.end[spell]))

    raised_at = months_started(spells.start, company.PRICE_INCREASE)
    raised_at = np.where(spells.start < company.PRICE_INCREASE, raised_at, FAR)
    plan = spells.plan[spell]
    plan = np.where(spells.falls[spell] & (month >= raised_at[spell]), company.DOWNGRADE[plan], plan)
    switched = month >= spells.switch_at[spell]
    plan = np.where(switched, spells.switch_to[spell], plan)
    interval = company.INTERVAL[plan]
    anchor = np.where(switched, spells.switch_at[spell], 0)
    billed = anchor + (month - anchor) // interval * interval
    raised = anniversary(spells.start[spell], billed) >= company.PRICE_INCREASE
    price = company.PRICE[raised.astype(int), plan]
    offered = spells.offered[spell]
    price = np.where((offered >= 0) & ~switched, offered, price)
    off = np.where(billed < spells.off_months[spell], spells.off[spell], 0.0)
    quantity = spells.quantity[spell]
    discount = np.floor(price * quantity * off + 0.5).astype(np.int64)
    since = month - spells.pause_at[spell]
    paused = (since >= 0) & (since < spells.pause_months[spell]) & ~tail
    again = month >= spells.again_at[spell]
    late = (month == spells.again_at[spell]) * rng.integers(2 * HOUR, 20 * HOUR, len(spell))
    due = (month == billed) & ~paused & (price > 0)

    recovers = due & ~tail & (month > 0) & (late == 0) & (rng.random(len(spell)) < 0.02)
    recovered_at = begin + rng.integers(1, 20, len(spell)) * DAY + rng.integers(0, DAY, len(spell))
    recovered_at = np.where(recovers, np.minimum(recovered_at, stop), begin)
    status = np.where(paused, PAUSED, np.where(tail | recovers, PAST_DUE, ACTIVE))

    code = spells.code[spell] + 2 * again
    split = np.flatnonzero(recovers & (recovered_at < stop))
    tried = np.flatnonzero(spells.trial_from < np.minimum(spells.start, end))
    trial_plan = spells.plan[tried]
    trial_price = company.PRICE[(spells.trial_from[tried] >= company.PRICE_INCREASE).astype(int), trial_plan]
    first_stop = np.where(recovers, recovered_at, stop)
    pieces = {
        "spell": np.concatenate([spell, spell[split], tried]),
        "code": np.concatenate([code, code[split], spells.code[tried]]),
        "plan": np.concatenate([plan, plan[split], trial_plan]),
        "price": np.concatenate([price, price[split], trial_price]),
        "discount": np.concatenate([discount, discount[split], np.zeros(len(tried), dtype=np.int64)]),
        "status": np.concatenate([status, np.full(len(split), ACTIVE), np.full(len(tried), TRIALING)]),
        "start": np.concatenate([begin + late, recovered_at[split], spells.trial_from[tried]]),
        "stop": np.concatenate([first_stop, stop[split], np.minimum(spells.start[tried], end)]),
    }
    charges = _charges(rng, chunk, spells, spell, code, begin + late, due, tail, recovers, recovered_at, stop)
    amount = price * quantity - discount
    row = charges.pop("row")
    reason = choose(chunk.stream("failures"), company.FAILURES_IF, tail.astype(np.int64))
    failed = charges["status"] == 1
    charges |= {"amount": amount[row], "failure": np.where(failed, reason[row], -1)}
    shown = charges["at"] < end
    tries = np.bincount(row[failed & shown], minlength=len(spell))
    paid = np.bincount(row[~failed & shown], minlength=len(spell)) > 0
    most = len(company.RETRY_DAYS)
    counts = [np.bincount(tries[own], minlength=most + 1)[1:] for own in (paid, ~paid)]
    _refunds(rng, spells, charges)
    kept = ~tail
    return Ledger(
        spell[kept],
        spells.customer[spell[kept]],
        code[kept],
        month[kept],
        (begin + late)[kept],
        stop[kept],
        plan[kept],
        paused[kept],
        np.where(due, amount, 0)[kept],
        _spans(spells, pieces, end),
        charges,
        np.stack(counts, axis=1),
    )


def _spans(spells: Spells, pieces: dict[str, Array], end: int) -> dict[str, Array]:
    """Join neighboring pieces that differ in nothing, and say why each span ended."""
    order = np.lexsort((pieces["start"], pieces["spell"]))
    pieces = {name: values[order] for name, values in pieces.items()}
    changes = np.ones(len(order), dtype=bool)
    if len(order):
        same = [values[1:] == values[:-1] for name, values in pieces.items() if name not in ("start", "stop")]
        changes[1:] = ~np.logical_and.reduce(same)
    first = np.flatnonzero(changes)
    last = np.append(first[1:], len(order)) - 1 if len(first) else first
    spans = {name: values[first] for name, values in pieces.items()}
    spans["stop"] = pieces["stop"][last]
    spell = spans["spell"]
    follows = np.zeros(len(first), dtype=bool)
    follows[:-1] = spell[1:] == spell[:-1]
    moved = np.zeros(len(first), dtype=bool)
    moved[:-1] = follows[:-1] & (spans["code"][1:] != spans["code"][:-1])
    final = ~follows
    ended = follows | (spells.tail_to[spell] < end) | (spells.end[spell] < end)
    # A trial that came to nothing, or is still running, is a spell that ends with its trial.
    ended &= ~(final & (spans["stop"] >= end))
    reason = np.where(follows, np.where(moved, VOLUNTARY, SWITCHED), spells.cause[spell])
    spans["reason"] = np.where(ended, reason, -1)
    spans["stop"] = np.where(ended, spans["stop"], NEVER)
    asked = np.where(final, np.maximum(spells.asked[spell], spans["start"] + 60), NEVER)
    asked = np.where(moved, np.maximum(spans["stop"] - 2 * DAY, spans["start"] + 60), asked)
    asked = np.where(asked <= np.minimum(spans["stop"], end - 1), asked, NEVER)
    spans["asked"] = np.where(np.isin(reason, (VOLUNTARY, UNKNOWN)) | ~ended, asked, NEVER)
    spans["customer"] = spells.customer[spell]
    spans["quantity"] = spells.quantity[spell]
    return spans


def _charges(
    rng: np.random.Generator,
    chunk: Chunk,
    spells: Spells,
    spell: Array,
    code: Array,
    begin: Array,
    due: Array,
    tail: Array,
    recovers: Array,
    recovered_at: Array,
    stop: Array,
) -> dict[str, Array]:
    """Attempts to charge: paid at once, paid after failures, or failed for good."""
    end = chunk.window.end
    good = np.flatnonzero(due & ~tail & ~recovers)
    saved = np.flatnonzero(recovers)
    lost = np.flatnonzero(tail & due)
    rows, times, statuses = [good], [begin[good]], [np.zeros(len(good), dtype=np.int64)]
    for after in company.RETRY_DAYS:
        for failed, until in ((saved, recovered_at), (lost, stop)):
            again = begin[failed] + after * DAY + (after > 0) * rng.integers(0, HOUR, len(failed))
            keep = again < until[failed]
            rows.append(failed[keep])
            times.append(again[keep])
            statuses.append(np.ones(int(keep.sum()), dtype=np.int64))
    paid = saved[(recovered_at[saved] < end) & (recovered_at[saved] < stop[saved])]
    rows.append(paid)
    times.append(recovered_at[paid])
    statuses.append(np.zeros(len(paid), dtype=np.int64))
    row = np.concatenate(rows)
    return {
        "row": row,
        "customer": spells.customer[spell[row]],
        "spell": spell[row],
        "code": code[row],
        "at": np.concatenate(times),
        "status": np.concatenate(statuses),
        "kind": np.zeros(len(row), dtype=np.int64),
    }


def _refunds(rng: np.random.Generator, spells: Spells, charges: dict[str, Array]) -> None:
    """Part of the last charge given back to those who stopped at once, and a few complaints heard."""
    paid = charges["status"] == 0
    end = spells.end[charges["spell"]]
    at_once = (spells.asked == spells.end)[charges["spell"]] & (end - charges["at"] < 31 * DAY)
    heard = (rng.random(len(paid)) < 0.003) & (end - charges["at"] > 3 * DAY)
    late = charges["at"] + 2 * DAY >= company.END
    back = np.flatnonzero(paid & (at_once | (heard & ~late)))
    share = np.where(at_once[back], 0.15, 1.0)
    extra = {name: values[back] for name, values in charges.items()}
    extra["amount"] = np.maximum((extra["amount"] * share).astype(np.int64), 1)
    extra["at"] = np.where(at_once[back], end[back], extra["at"] + 2 * DAY)
    extra["status"] = np.full(len(back), 2)
    for name in charges:
        charges[name] = np.concatenate([charges[name], extra[name]])
