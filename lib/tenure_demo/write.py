"""The simulated company: a streaming service whose every law is known.

`write_demo` writes all tables of the contract as Parquet, and beside them `truth.json`: what a perfect
analyst would find. The company is awkward where real data are: trials, coupons, pauses, plan switches,
failed payments, several subscriptions a customer, people who come back, two currencies, a price
increase, a price experiment, campaigns with holdouts, surveys that few answer, test accounts.

**The law of leaving.** A customer's first paid spell begins with the first span that is not a trial. It
can end only at a renewal: a whole number of billing intervals after its start, by the calendar, clipped
to the month's end and always counted from the start. At each renewal the customer may choose to leave;
across customers that probability is beta distributed (alpha, beta by plan), which makes the survival
over renewals shifted beta-geometric. Else the charge may fail for good, with a constant monthly hazard.
Channel, household and, in the price experiment, the price multiply both hazards: if S is the baseline
survival, that of a customer with hazard ratio h is S to the power h, exactly. The survival of a group
is the mean over its customers, computed, not simulated.

**What does not disturb it.** A life is drawn once, from the plan at the start; everything else is laid
over it. The clock runs on through pauses, which in first spells last one or two months and so never 90
days (longer ones happen only to customers who came back). A switch to a longer term happens only where
the life ends on one of its renewals. A failed charge either recovers within 20 days and the service
goes on, or is given up, and then the last span is `past_due`, starts at the renewal that failed and
carries the reason `involuntary`: paid service ended at its start; failures that are undecided on the
last day will all recover. A few resubscribe within a day under a new id at a renewal, which ends
nothing. Some who leave are served less than the month they asked to end, but still leave within the
same month of life. The price increase moves people to cheaper plans, not away. The retention campaign
raises the risk of those held out by as much as it lowers that of those contacted (see
`lives.live_first`), so that the halves together follow the law; who got an offer, or a message to come
back, is drawn given what they did (see `lives.make_offers` and `lives.ask_back`); the win-back campaigns
concern people who have left. An add-on never outlives the subscription beside it.

**What is left out of the truth.** Test accounts, complimentary subscriptions, and trials that came to
nothing. Survival is that of first spells; second ones have a law of their own. One in fifty voluntary
ends is recorded as `unknown`, and counted so.

Data are complete through the last day: a renewal on that day has been seen.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from datetime import date, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tenure.errors import InputError
from tenure.machine import cores
from tenure_demo import answers, charges, company, lives, traces
from tenure_demo.company import DAY, Array, Window
from tenure_demo.truth import make_truth

CHUNK = 5_000
PARTED = ("events",)
ROWS_AT_ONCE = 250_000
FACTS = "company.yml"


def write_demo(
    folder: Path,
    customers: int = 20_000,
    months: int = 36,
    seed: int = 8,
    jobs: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the simulated company's tables and its truth into a folder.

    The same seed gives the same files, however many processes make them. The folder appears only when
    all is written; a demo company that was there before is replaced, but for its company.yml, which people
    may have changed.

    Args:
        folder: Where to write. It must not exist, be empty, or hold an earlier demo company.
        customers: How many customers sign up.
        months: Calendar months covered, ending with October 2026; 12 to 120.
        seed: Seed of all random streams.
        jobs: Processes to use; by default one a core, or fewer where that is quicker.
        progress: Called with the number of customers made so far.

    Returns:
        The truth, as in `truth.json`.

    Raises:
        InputError: If a parameter is out of range or the folder holds something else.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     truth = write_demo(Path(place) / "demo", customers=200, jobs=1)
        ...     sorted(path.name for path in (Path(place) / "demo").glob("s*"))
        ['segments.parquet', 'spend.parquet', 'subscriptions.parquet', 'surveys.parquet']
        >>> len(truth["survival"]["Basic"])
        36
    """
    folder = Path(folder)
    _refuse(folder, customers, months, seed, jobs)
    window = Window.of(months)
    sizes = [min(CHUNK, customers - first) for first in range(0, customers, CHUNK)]
    # A process takes a second to start, in which it could have made several chunks.
    workers = min(jobs or min(cores(), max(len(sizes) // 8, 1)), len(sizes))

    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    staging = folder.parent / f".{folder.name}.{os.getpid()}.partial"
    staging.mkdir()
    try:
        tasks = [(lives.Chunk(seed, number, size, window), staging) for number, size in enumerate(sizes)]
        if workers == 1:
            summaries = []
            for task in tasks:
                summaries.append(make_chunk(*task))
                _tell(progress, summaries)
            for table in _merged(staging):
                merge(staging, table)
        else:
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                summaries = _run(pool, tasks, progress)
                list(pool.map(merge, *zip(*((staging, table) for table in _merged(staging)), strict=True)))
        shutil.rmtree(staging / "parts")
        total = _sum(summaries)
        for name, table in _small_tables(seed, customers, window, total).items():
            write_table(table, staging / f"{name}.parquet")
        spend = pq.read_table(staging / "spend.parquet")
        truth = make_truth(seed, customers, window, total, spend)
        (staging / "truth.json").write_text(_readable(truth), encoding="utf-8")
        shutil.copy(
            next(filter(Path.is_file, (folder / FACTS, Path(__file__).with_name(FACTS)))), staging / FACTS
        )
        _publish(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return truth


def _readable(truth: dict[str, Any]) -> str:
    """JSON for people: indented, with every list of numbers on one line."""
    text = json.dumps(truth, indent=2, ensure_ascii=False)
    return re.sub(r"\[\n[^][{}]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


def _refuse(folder: Path, customers: int, months: int, seed: int, jobs: int | None) -> None:
    for name, value, low, high in (
        ("customers", customers, 1, 10**8),
        ("months", months, 12, 120),
        ("seed", seed, 0, 2**63),
        ("jobs", 1 if jobs is None else jobs, 1, 1024),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            raise InputError(f"`{name}` must be a whole number from {low} to {high}, not {value!r}.")
    if folder.is_file() or (
        folder.is_dir()
        and {path.name for path in folder.iterdir()} - {FACTS}
        and not (folder / "truth.json").is_file()
    ):
        raise InputError(
            f"{folder} holds something that is not a demo company; "
            "name a folder that is empty or does not exist."
        )


def _sweep(folder: Path) -> None:
    """Remove what killed runs have left beside the folder."""
    for path in folder.parent.glob(f".{folder.name}.*.partial"):
        number = path.name.removesuffix(".partial").rpartition(".")[2]
        if number.isdigit() and not _running(int(number)):
            shutil.rmtree(path, ignore_errors=True)


def _running(number: int) -> bool:
    if number == os.getpid():
        return False
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _publish(staging: Path, folder: Path) -> None:
    """Put the new folder in the old one's place; of two runs at the same time the last one stays."""
    old = folder.parent / f"{staging.name.removesuffix('.partial')}-old.{os.getpid()}.partial"
    for attempt in range(10):
        try:
            if folder.exists():
                os.replace(folder, old)
            os.replace(staging, folder)
            break
        except OSError:
            if attempt == 9:
                if old.exists() and not folder.exists():
                    os.replace(old, folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _run(pool: Executor, tasks: list[Any], progress: Callable[[int], None] | None) -> list[dict[str, Any]]:
    """Make all chunks, and return their summaries in the chunks' order."""
    futures = {pool.submit(make_chunk, *task): number for number, task in enumerate(tasks)}
    done: dict[int, dict[str, Any]] = {}
    try:
        for future in as_completed(futures):
            done[futures[future]] = future.result()
            _tell(progress, done.values())
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    return [done[number] for number in range(len(tasks))]


def _tell(progress: Callable[[int], None] | None, summaries: Iterable[dict[str, Any]]) -> None:
    if progress is not None:
        progress(sum(int(summary["customers"]) for summary in summaries))


def make_chunk(chunk: lives.Chunk, staging: Path) -> dict[str, Any]:
    """Make a chunk's tables, write them as parts, and return the counts that the truth is made of."""
    contents = traces.make_contents(chunk.seed, chunk.window)
    people, away = lives.make_people(chunk)
    ids = lives.identifiers(chunk.seed, chunk.number * CHUNK + np.arange(chunk.customers))
    retention = lives.live_first(chunk, people)
    offers = lives.make_offers(chunk, people)
    spells, winback = lives.make_spells(chunk, people)
    message = lives.ask_back(chunk, people, spells)
    ledger = charges.make_ledger(chunk, spells)
    visits, assignments = traces.visits_table(chunk, people, ids, away)
    surveys, scores = answers.surveys_table(chunk, people, ids, spells, ledger)
    points, moved = traces.points_table(chunk, people, ids, spells, ledger)
    referrals = traces.referrals_table(chunk, people, ids, spells, ledger)
    tables = {
        "customers": traces.customers_table(chunk, people, ids),
        "subscriptions": traces.subscriptions_table(people, ids, ledger),
        "payments": traces.payments_table(chunk, people, ids, ledger),
        "events": traces.events_table(chunk, people, ids, spells, ledger, contents),
        "surveys": surveys,
        "tickets": answers.tickets_table(chunk, people, ids, spells, ledger),
        "visits": visits,
        "assignments": assignments,
        "contacts": answers.contacts_table(ids, retention, winback, offers, message),
        "points": points,
        "referrals": referrals,
        "segments": traces.segments_table(chunk, people, ids),
        "_truth/groups": traces.groups_table(people, ids),
        "_truth/risk": traces.risk_table(people, ids, chunk.window),
    }
    for name, table in tables.items():
        place = staging / name if name in PARTED else staging / "parts" / name
        place.mkdir(parents=True, exist_ok=True)
        write_table(table, place / f"part-{chunk.number:04d}.parquet")
    summary = _summary(chunk, people, retention, winback, scores, moved, visits, assignments, ledger.episodes)
    kinds = len(company.OFFER_CHANCE)
    back = spells.code == 4
    return summary | {
        "message": _arms(message, 2 * len(company.MESSAGE_SINCE)),
        "returned": _cells(people, spells.customer[back], spells.plan[back]),
        "offers": np.stack([np.bincount(offers.got, minlength=kinds), offers.stays.sum(axis=0)]),
    }


def _summary(
    chunk: lives.Chunk,
    people: lives.People,
    retention: lives.Campaign,
    winback: lives.Campaign,
    scores: Array,
    moved: Array,
    visits: pa.Table,
    assignments: pa.Table,
    episodes: Array,
) -> dict[str, Any]:
    paying = people.paying
    left = paying & (people.left_at < lives.NEVER)
    decided = (people.trial_days > 0) & (people.trial_ends < chunk.window.end)
    return {
        "customers": chunk.customers,
        "cells": _cells(people, np.flatnonzero(paying), people.plan[paying]),
        "left": int(left.sum()),
        "failed": int((left & (people.cause == lives.INVOLUNTARY)).sum()),
        "retention": _arms(retention, len(company.DEVICES)),
        "winback": _arms(winback, 2),
        "scores": scores,
        "points": moved,
        "episodes": episodes,
        "trials": np.stack(
            [
                np.bincount(people.trial_days[decided], minlength=15),
                np.bincount(people.trial_days[decided & people.converts], minlength=15),
            ]
        ),
        "visits": visits.num_rows,
        "assigned": np.array([_count(assignments["variant"], name) for name in company.VARIANTS]),
        "subscribed": np.bincount(people.variant[people.variant >= 0], minlength=len(company.VARIANTS)),
        "signups": np.bincount(people.channel[~people.free & ~people.test], minlength=len(company.CHANNELS)),
        "test": int(people.test.sum()),
        "free": int(people.free.sum()),
    }


def _cells(people: lives.People, who: Array, plan: Array) -> Array:
    """Count customers by plan, channel, household and price variant (0: none), without test accounts."""
    who, plan = who[~people.test[who]], plan[~people.test[who]]
    cell = plan, people.channel[who], people.household[who], people.variant[who] + 1
    variants = len(company.VARIANTS) + 1
    shape = len(company.BASE_PLANS), len(company.CHANNELS), len(company.HOUSEHOLDS), variants
    return np.bincount(np.ravel_multi_index(cell, shape), minlength=int(np.prod(shape))).reshape(shape)


def _count(column: pa.ChunkedArray, value: str) -> int:
    return int(pc.sum(pc.equal(column.cast(pa.string()), value)).as_py() or 0)


def _arms(campaign: lives.Campaign, segments: int) -> Array:
    """For each segment: treated, held out, and the sums of both probabilities over all in it."""
    treated = campaign.treated.astype(float)
    return np.stack(
        [
            np.bincount(campaign.segment, weights=weights, minlength=segments)
            for weights in (treated, 1 - treated, campaign.if_treated, campaign.if_held_out)
        ]
    )


def _sum(summaries: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(summary[name] for summary in summaries) for name in summaries[0]}


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table so that every reader sees plain strings, whatever Arrow held in memory."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def _merged(staging: Path) -> list[str]:
    parts = staging / "parts"
    return sorted({str(path.parent.relative_to(parts)) for path in parts.rglob("*.parquet")})


def merge(staging: Path, table: str) -> None:
    """Join a table's parts to one file, a few at a time."""
    target = staging / f"{table}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    waiting: list[pa.Table] = []
    for path in sorted((staging / "parts" / table).glob("*.parquet")):
        part = pq.read_table(path)
        if writer is None:
            writer = pq.ParquetWriter(target, part.schema, compression="zstd", store_schema=False)
        waiting.append(part)
        if sum(piece.num_rows for piece in waiting) >= ROWS_AT_ONCE:
            writer.write_table(pa.concat_tables(waiting))
            waiting = []
    if writer is not None:
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
        writer.close()


def _small_tables(seed: int, customers: int, window: Window, total: dict[str, Any]) -> dict[str, pa.Table]:
    """Tables that concern the company as a whole."""
    return {
        "contents": traces.contents_table(traces.make_contents(seed, window)),
        "spend": _spend(seed, customers, window),
        "fx_rates": _fx_rates(seed, window),
        "annotations": _annotations(window),
        "targets": _targets(window, int(total["cells"].sum() - total["left"])),
    }


def _days(values: Array) -> pa.Array:
    return pa.array((values // DAY).astype(np.int32)).cast(pa.date32())


def _spend(seed: int, customers: int, window: Window) -> pa.Table:
    """Spend follows the sign-ups that a channel is expected to bring; television comes in flights."""
    rng = lives.stream(seed, 0, "spend")
    days = window.days
    channels = np.flatnonzero(company.CHANNEL_COST > 0)
    rows = []
    for channel in channels:
        signups = customers * company.CHANNEL_SHARE[channel] * window.signup_weights()
        noise = rng.lognormal(-0.02, 0.2, len(days))
        if company.CHANNELS[channel] == "tv":
            noise *= np.where((np.arange(len(days)) // 14) % 3 == 0, 2.2, 0.4)
        rows.append(np.round(signups * company.CHANNEL_COST[channel] * noise).astype(np.int64))
    amount = np.stack(rows, axis=1)
    return pa.table(
        {
            "date": _days(np.repeat(days, len(channels))),
            "channel": traces.strings(company.CHANNELS, np.tile(channels, len(days))),
            "amount_minor": traces.whole(amount.ravel()),
            "currency": traces.strings(("EUR",), np.zeros(amount.size, dtype=np.int64)),
        }
    )


def _fx_rates(seed: int, window: Window) -> pa.Table:
    rng = lives.stream(seed, 0, "fx_rates")
    days = window.days
    steps = rng.normal(0, 0.0035, len(days))
    level = np.zeros(len(days))
    for number in range(1, len(days)):
        level[number] = 0.995 * level[number - 1] + steps[number]
    rate = np.stack([np.ones(len(days)), np.round(0.92 * np.exp(level), 5)], axis=1)
    return pa.table(
        {
            "date": _days(np.repeat(days, 2)),
            "currency": traces.strings(lives.CURRENCIES, np.tile([0, 1], len(days))),
            "rate": pa.array(rate.ravel()),
        }
    )


def _annotations(window: Window) -> pa.Table:
    entries = [
        (company.WATCH_PARTY, "Watch party launched"),
        (company.LOYALTY, "Loyalty points introduced"),
        (company.PRICE_INCREASE, "Prices raised for new and existing customers"),
        (company.EXPERIMENT_FROM, "Price experiment on Standard begins"),
        (company.EXPERIMENT_TO, "Price experiment on Standard ends"),
        (company.WINBACK_AT, "Win-back campaign"),
        (company.OUTAGE, "Outage in the evening"),
        (company.RETENTION_AT, "Retention campaign"),
    ]
    for year in range(company.LAST_DAY.year - window.months // 12, company.LAST_DAY.year):
        entries.append((company.seconds(date(year, 11, 24)), "Black Friday week"))
    known = sorted((at // DAY, label) for at, label in entries if window.start <= at < window.end)
    return pa.table(
        {
            "date": pa.array([date(1970, 1, 1) + timedelta(days=int(day)) for day, _ in known], pa.date32()),
            "label": pa.array([label for _, label in known], pa.string()),
        }
    )


def _targets(window: Window, paying: int) -> pa.Table:
    """Monthly targets of the last year, set a little above what was reached."""
    rows = []
    for back in range(11, -1, -1):
        year, month = divmod(company.LAST_DAY.year * 12 + company.LAST_DAY.month - 1 - back, 12)
        period = f"{year}-{month + 1:02d}"
        customers = round(paying * (1.03 - 0.012 * back), -1)
        rows.append(("customers.paying", period, float(customers)))
        rows.append(("churn.monthly", period, 0.045))
        rows.append(("mrr.total", period, float(customers * 1100)))
        rows.append(("nps.score", period, 30.0))
    metrics, periods, targets = zip(*rows, strict=True)
    return pa.table(
        {
            "metric": pa.array(metrics, pa.string()),
            "period": pa.array(periods, pa.string()),
            "target": pa.array(targets, pa.float64()),
        }
    )
