"""What the simulated company's customers leave behind: visits, plays, points, referrals.

Every function takes a chunk's customers and their ledger and returns one or two contract tables as
arrays ready to be written, each from a random stream of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from tenure_demo import company, lives
from tenure_demo.charges import Ledger
from tenure_demo.company import DAY, HOUR, Array, Window
from tenure_demo.lives import NEVER, Chunk, People, Spells, choose

HABITS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("habits.yml").read_text(encoding="utf-8"))

CATEGORIES, PLATFORMS, EVENTS, FEATURES = (
    tuple(HABITS[names]) for names in ("categories", "platforms", "events", "features")
)
TASTE, SESSIONS, MINUTES, WEEKEND, ON_PLATFORM, ON_FEATURE, EVENING, AFTERNOON, SEASON, FADE = (
    np.array(HABITS[habit])
    for habit in (
        "taste", "sessions", "minutes", "weekend", "on_platform", "on_feature", "evening", "afternoon",
        "season", "fade",
    )
)  # fmt: skip
ADJECTIVES, NOUNS, CONTENTS = HABITS["adjectives"], HABITS["nouns"], HABITS["contents"]
CRM_SEGMENTS = tuple(HABITS["crm_segments"])


def strings(
    values: list[str] | tuple[str, ...] | Array, codes: Array, missing: Array | None = None
) -> pa.Array:
    """A column of words from their numbers; written to Parquet as plain strings.

    Args:
        values: The words, as text or bytes.
        codes: Which word each row has.
        missing: Rows that have none.
    """
    words = (
        pa.array(values).cast(pa.string())
        if isinstance(values, np.ndarray)
        else pa.array(values, pa.string())
    )
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32), mask=missing), words)


def times(values: Array, missing: Array | None = None) -> pa.Array:
    """A column of times from seconds; `NEVER` becomes null."""
    gone = values >= NEVER if missing is None else missing | (values >= NEVER)
    return pa.array(np.where(gone, 0, values) * 1_000_000, mask=gone).cast(pa.timestamp("us"))


def whole(values: Array, missing: Array | None = None) -> pa.Array:
    """A column of whole numbers."""
    return pa.array(values.astype(np.int64), mask=missing)


def make_contents(seed: int, window: Window) -> dict[str, Array]:
    """The catalog: categories, titles, days of publication, and how popular each piece is."""
    rng = lives.stream(seed, 0, "contents")
    category = np.sort(choose(rng, np.array([3, 3, 3, 2, 2, 2, 4, 2.0]), CONTENTS))
    title = rng.permutation(len(ADJECTIVES) * len(NOUNS) * 2)[:CONTENTS]
    recent = rng.random(CONTENTS) < 0.5
    days = np.where(
        recent,
        rng.uniform(0, (window.end - window.start) / DAY - 10, CONTENTS),
        rng.uniform(-1500, -1, CONTENTS),
    )
    # Every category has something from before the first day.
    first = np.append(True, category[1:] != category[:-1])
    days = np.where(first, -400.0, days)
    published = window.start + days.astype(np.int64) * DAY + 6 * HOUR
    order = np.lexsort((published, category))
    popularity = rng.pareto(1.6, CONTENTS) + 0.2
    return {"category": category, "title": title, "published": published[order], "popularity": popularity}


def contents_table(contents: dict[str, Array]) -> pa.Table:
    """The contract's `contents`."""
    titles = []
    for number in contents["title"].tolist():
        second, rest = divmod(number, len(ADJECTIVES) * len(NOUNS))
        adjective, noun = divmod(rest, len(NOUNS))
        titles.append(f"The {ADJECTIVES[adjective]} {NOUNS[noun]}" + (" II" if second else ""))
    return pa.table(
        {
            "content_id": pa.array(content_ids()).cast(pa.string()),
            "title": pa.array(titles, pa.string()),
            "category": strings(CATEGORIES, contents["category"]),
            "published_at": times(contents["published"]),
        }
    )


def content_ids() -> Array:
    """Ids of all contents, as bytes."""
    return lives.numbered(b"t", 1, CONTENTS, digits=4)


def customers_table(chunk: Chunk, people: People, ids: Array) -> pa.Table:
    """The contract's `customers`, with city size, household and device of sign-up as attributes."""
    gaps = chunk.stream("gaps").random((2, len(ids)))
    return pa.table(
        {
            "customer_id": strings(ids, np.arange(len(ids))),
            "created_at": times(people.created),
            "country": strings(company.COUNTRIES, people.country),
            "channel": strings(company.CHANNELS, people.channel),
            "birth_year": whole(people.birth_year, gaps[0] < 0.06),
            "gender": strings(("female", "male", "diverse", ""), people.gender, people.gender == 3),
            "is_test": pa.array(people.test),
            "city_size": strings(company.CITY_SIZES, people.city, gaps[1] < 0.04),
            "household": strings(company.HOUSEHOLDS, people.household),
            "signup_device": strings(company.DEVICES, people.device),
        }
    ).take(np.argsort(ids))


def subscription_ids(ids: Array, customer: Array, code: Array) -> tuple[Array, Array]:
    """Distinct subscription ids, and which of them each row has."""
    number = customer * 10 + code
    distinct, rows = np.unique(number, return_inverse=True)
    names = np.char.add(ids[distinct // 10], np.char.add(b"-", (distinct % 10).astype("S1")))
    return names, rows


def subscriptions_table(people: People, ids: Array, ledger: Ledger) -> pa.Table:
    """The contract's `subscriptions`, by customer, subscription and start."""
    spans = ledger.spans
    order = np.lexsort((spans["start"], spans["code"], ids[spans["customer"]]))
    spans = {name: values[order] for name, values in spans.items()}
    names, rows = subscription_ids(ids, spans["customer"], spans["code"])
    interval = company.INTERVAL[spans["plan"]]
    return pa.table(
        {
            "subscription_id": strings(names, rows),
            "customer_id": strings(ids, spans["customer"]),
            "plan": strings([plan.name for plan in company.PLANS], spans["plan"]),
            "billing_interval": strings(("month", "year"), (interval == 12).astype(int)),
            "billing_interval_count": whole(np.where(interval == 12, 1, interval)),
            "quantity": whole(spans["quantity"]),
            "unit_amount_minor": whole(spans["price"]),
            "discount_minor": whole(spans["discount"]),
            "currency": currencies(people, spans["customer"]),
            "status": strings(lives.STATUSES, spans["status"]),
            "started_at": times(spans["start"]),
            "ended_at": times(spans["stop"]),
            "end_reason": strings(lives.REASONS, np.maximum(spans["reason"], 0), spans["reason"] < 0),
            "cancel_requested_at": times(spans["asked"]),
        }
    )


def currencies(people: People, customer: Array) -> pa.Array:
    """Currency of each row's customer: dollars in the United States, else euros."""
    return strings(lives.CURRENCIES, (people.country[customer] == 0).astype(int))


def payments_table(chunk: Chunk, people: People, ids: Array, ledger: Ledger) -> pa.Table:
    """The contract's `payments`: recurring charges, usage charges and one-off sales."""
    rng = chunk.stream("payments")
    charges = dict(ledger.charges)
    watched = np.flatnonzero((ledger.plan < company.SPORTS) & ~ledger.paused)
    watched = watched[rng.random(len(watched)) < 0.02]
    moment = ledger.begin[watched] + (
        (ledger.stop[watched] - ledger.begin[watched]) * rng.random(len(watched))
    ).astype(np.int64)
    usage = {
        "customer": ledger.customer[watched],
        "code": ledger.code[watched],
        "at": moment,
        "amount": 299 * rng.integers(1, 4, len(watched)),
        "status": np.zeros(len(watched), dtype=np.int64),
        "kind": np.ones(len(watched), dtype=np.int64),
        "failure": np.full(len(watched), -1),
    }
    bought = purchases(chunk, people)
    columns = {name: np.concatenate([charges[name], usage[name], bought[name]]) for name in usage}
    keep = columns["at"] < chunk.window.end
    columns = {name: values[keep] for name, values in columns.items()}
    order = np.lexsort(
        (columns["status"], columns["amount"], columns["code"], columns["at"], ids[columns["customer"]])
    )
    columns = {name: values[order] for name, values in columns.items()}
    names, rows = subscription_ids(ids, columns["customer"], np.maximum(columns["code"], 1))
    return pa.table(
        {
            "payment_id": pa.array(numbered_in(chunk, b"p", len(order))).cast(pa.string()),
            "customer_id": strings(ids, columns["customer"]),
            "subscription_id": strings(names, rows, columns["code"] == 0),
            "attempted_at": times(columns["at"]),
            "amount_minor": whole(columns["amount"]),
            "currency": currencies(people, columns["customer"]),
            "kind": strings(("recurring", "usage", "one_off"), columns["kind"]),
            "status": strings(("paid", "failed", "refunded"), columns["status"]),
            "failure_reason": strings(
                company.FAILURES, np.maximum(columns["failure"], 0), columns["failure"] < 0
            ),
        }
    )


def numbered_in(chunk: Chunk, prefix: bytes, size: int) -> Array:
    """Number the rows of a chunk, so that no other chunk uses the same ids."""
    return lives.numbered(prefix, chunk.number * 1_000_000 + 1, size)


def purchases(chunk: Chunk, people: People) -> dict[str, Array]:
    """One-off sales: films to keep, by the BG/NBD and Gamma-Gamma laws, apart from the subscription.

    A fifth of the customers buys at all. After the first, purchases come at a customer's own rate
    (gamma), and after each the customer may buy no more (beta); times are in weeks.
    """
    rng = chunk.stream("purchases")
    end = chunk.window.end
    who = np.flatnonzero((rng.random(len(people.created)) < company.PURCHASE_SHARE) & ~people.test)
    size = len(who)
    law, spending = company.PURCHASES, company.SPENDING
    rate = rng.gamma(law["r"], 1 / law["alpha"], size)
    drop = rng.beta(law["a"], law["b"], size)
    scale = rng.gamma(spending["q"], 1 / spending["gamma"], size)
    at = people.created[who] + (rng.exponential(60.0, size) * DAY).astype(np.int64)
    customers, moments, amounts = [], [], []
    alive = np.flatnonzero(at < end)
    while len(alive):
        customers.append(who[alive])
        moments.append(at[alive])
        amounts.append(np.maximum(rng.gamma(spending["p"], 1 / scale[alive]), 1).astype(np.int64))
        if len(customers) > 1:
            alive = alive[rng.random(len(alive)) >= drop[alive]]
        wait = rng.exponential(1.0, len(alive)) / np.maximum(rate[alive], 1e-9)
        at[alive] += (np.minimum(wait, 10_000) * 7 * DAY).astype(np.int64) + 1
        alive = alive[at[alive] < end]
    customer = np.concatenate(customers) if customers else np.zeros(0, dtype=np.int64)
    nothing = np.zeros(len(customer), dtype=np.int64)
    return {
        "customer": customer,
        "code": nothing,
        "at": np.concatenate(moments) if moments else nothing,
        "amount": np.concatenate(amounts) if amounts else nothing,
        "status": nothing,
        "kind": nothing + 2,
        "failure": nothing - 1,
    }


def events_table(
    chunk: Chunk, people: People, ids: Array, spells: Spells, ledger: Ledger, contents: dict[str, Array]
) -> pa.Table:
    """The contract's `events`, by customer and time: use by group, season, and how near the end is."""
    rng = chunk.stream("events")
    end = chunk.window.end
    base = (spells.code != 2)[ledger.spell] & ~ledger.paused
    tried = np.flatnonzero((spells.code == 1) & (spells.trial_from < np.minimum(spells.start, end)))
    begin = np.concatenate([ledger.begin[base], spells.trial_from[tried]])
    stop = np.concatenate([ledger.stop[base], np.minimum(spells.start[tried], end)])
    spell = np.concatenate([ledger.spell[base], tried])
    month = np.concatenate([ledger.month[base], np.zeros(len(tried), dtype=np.int64)])
    customer = spells.customer[spell]
    group = people.group[customer]

    keen = rng.gamma(2.2, 1 / 2.2, len(people.created)) * np.exp(0.15 * people.satisfaction)
    first = (spells.code == 1)[spell] & (people.paid_from < NEVER)[customer]
    left = np.where(first & (people.cause == lives.VOLUNTARY)[customer], people.life[customer] - month, 9)
    fade = FADE[np.where((left >= 1) & (left <= 3), left, 0)]
    season = SEASON[begin.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12]
    mean = SESSIONS[group] * keen[customer] * fade * season * (0.8 + 0.35 * np.exp(-month / 4))
    count = rng.poisson(mean * (stop - begin) / (30.44 * DAY))
    row = np.repeat(np.arange(len(count)), count)
    group, customer = group[row], customer[row]

    day = begin[row] // DAY + (rng.random(len(row)) * np.maximum((stop - begin)[row] / DAY, 1)).astype(
        np.int64
    )
    weekday = (day + 3) % 7
    moves = (weekday < 5) & (rng.random(len(row)) < WEEKEND[group])
    day += np.where(moves, 5 - weekday + (rng.random(len(row)) < 0.5), 0)
    family = group == company.GROUPS.index("family")
    hour = np.where(family, choose(rng, AFTERNOON, len(row)), choose(rng, EVENING, len(row)))
    at = day * DAY + hour * HOUR + rng.integers(0, HOUR, len(row))
    outage = (at >= company.OUTAGE + 15 * HOUR) & (at < company.OUTAGE + 23 * HOUR)
    keep = (at >= begin[row]) & (at < stop[row]) & ~(outage & (rng.random(len(row)) < 0.9))
    row, at, group, customer = row[keep], at[keep], group[keep], customer[keep]

    size = len(row)
    event = choose(rng, np.array([0.76, 0.12, 0.08, 0.04]), size)
    platform = choose(rng, ON_PLATFORM, group)
    feature = choose(rng, ON_FEATURE, group)
    party = (at >= company.WATCH_PARTY) & (rng.random(size) < np.array([0.10, 0.02, 0.04, 0.03, 0.06])[group])
    feature = np.where(party, FEATURES.index("watch_party"), feature)
    feature = np.where(event == 2, FEATURES.index("search"), feature)
    viewed = (event == 0) | (event == 3)
    piece = _pieces(rng, group, at, contents)
    minutes = MINUTES[group] * rng.lognormal(-0.18, 0.6, size)
    duration = np.clip(minutes * 60, 20, 6 * HOUR).astype(np.int64)

    order = np.lexsort((event, at, np.argsort(np.argsort(ids))[customer]))
    customer, at, event = customer[order], at[order], event[order]
    return pa.table(
        {
            "customer_id": strings(ids, customer),
            "occurred_at": times(at),
            "event": strings(EVENTS, event),
            "feature": strings(FEATURES, feature[order], event == 1),
            "content_id": strings(content_ids(), piece[order], ~viewed[order]),
            "duration_s": whole(duration[order], event != 0),
            "platform": strings(PLATFORMS, platform[order]),
        }
    )


def _pieces(rng: np.random.Generator, group: Array, at: Array, contents: dict[str, Array]) -> Array:
    """A piece of content for each event, by taste and popularity, among those already published."""
    category = choose(rng, TASTE, group)
    starts = np.searchsorted(contents["category"], np.arange(len(CATEGORIES)))
    stops = np.searchsorted(contents["category"], np.arange(len(CATEGORIES)), side="right")
    piece = np.empty(len(group), dtype=np.int64)
    draw = rng.random(len(group))
    for number, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        mine = category == number
        edges = np.cumsum(contents["popularity"][start:stop])
        known = np.searchsorted(contents["published"][start:stop], at[mine], side="right")
        piece[mine] = start + np.searchsorted(
            edges, draw[mine] * edges[np.maximum(known, 1) - 1], side="right"
        )
    return piece


def visits_table(chunk: Chunk, people: People, ids: Array, away: Array) -> tuple[pa.Table, pa.Table]:
    """The contract's `visits` and `assignments`: all who came, and what prices some of them saw."""
    rng = chunk.stream("visits")
    window = chunk.window
    size = len(ids)
    tested = people.variant >= 0
    seen = people.created - (rng.exponential(3.0, size) * DAY).astype(np.int64)
    seen = np.where(tested, people.assigned, np.maximum(seen, np.minimum(window.start, people.created)))
    weights, running = window.signup_weights(), window.experiment_days()

    regular = np.bincount(people.channel[~tested], minlength=len(company.CHANNELS))
    more = np.round(regular * (1 / company.CHANNEL_CONVERSION - 1)).astype(np.int64)
    channel = np.concatenate(
        [
            people.channel,
            choose(rng, company.channel_given_standard(), len(away)),
            np.repeat(np.arange(len(more)), more),
        ]
    )
    days = np.concatenate(
        [
            choose(rng, weights * running, len(away)) if len(away) else away,
            choose(rng, weights, int(more.sum())),
        ]
    )
    others = window.start + days * DAY + lives.clock(rng, len(days))
    seen = np.concatenate([seen, others])
    total = len(seen)
    none = np.full(total - size, NEVER)
    trial = np.concatenate([np.where(people.trial_days > 0, people.created, NEVER), none])
    paid = np.concatenate([people.paid_from, none])
    who = np.concatenate([np.arange(size), np.zeros(total - size, dtype=np.int64)])
    variant = np.concatenate([people.variant, away, np.full(int(more.sum()), -1)])
    order = np.lexsort((np.arange(total), seen))
    visitor = numbered_in(chunk, b"v", total)
    becomes = (np.arange(total) < size)[order]
    visits = pa.table(
        {
            "visitor_id": pa.array(visitor).cast(pa.string()),
            "first_seen_at": times(seen[order]),
            "channel": strings(company.CHANNELS, channel[order]),
            "trial_started_at": times(trial[order]),
            "subscribed_at": times(paid[order]),
            "customer_id": strings(ids, who[order], ~becomes),
        }
    )
    row = np.flatnonzero(variant[order] >= 0)
    assigned = order[row]
    assignments = pa.table(
        {
            "experiment": strings((company.EXPERIMENT,), np.zeros(len(row), dtype=np.int64)),
            "unit_id": pa.array(visitor[row]).cast(pa.string()),
            "customer_id": strings(ids, who[assigned], ~becomes[row]),
            "variant": strings(company.VARIANTS, variant[assigned]),
            "assigned_at": times(seen[assigned]),
            "price_minor": whole(company.VARIANT_PRICE[variant[assigned]]),
        }
    )
    return visits, assignments


def points_table(
    chunk: Chunk, people: People, ids: Array, spells: Spells, ledger: Ledger
) -> tuple[pa.Table, Any]:
    """The contract's `points`: a point for each unit of currency charged, never below zero.

    Points are used oldest first and expire after twelve months, or 90 days after the customer left.

    Returns:
        The table, and the sums of points earned, redeemed, expired and adjusted.
    """
    rng = chunk.stream("points")
    window = chunk.window
    size = len(ids)
    joins = (rng.random(size) < 0.55) & (people.paid_from < NEVER) & ~people.test
    member = (spells.code == 1)[ledger.spell] & joins[ledger.customer] & (ledger.begin >= company.LOYALTY)
    row = np.flatnonzero(member)
    months = window.months + 1
    earned = np.zeros((size, months), dtype=np.int64)
    began = np.full((size, months), NEVER)
    earned[ledger.customer[row], ledger.month[row]] = ledger.charge[row] // 100
    began[ledger.customer[row], ledger.month[row]] = ledger.begin[row]
    out: list[tuple[Array, Array, int, Array]] = []
    totals = np.cumsum(earned, axis=1)
    used = np.zeros(size, dtype=np.int64)
    given = np.zeros(size, dtype=np.int64)

    def book(at: Array, kind: int, amount: Array) -> None:
        some = np.flatnonzero((amount != 0) & (at < window.end))
        out.append((some, at[some], kind, amount[some]))

    for month in range(months):
        at = began[:, month]
        here = at < NEVER
        if month >= 12:
            old = np.where(here, np.maximum(totals[:, month - 12] - used, 0), 0)
            book(at + 60, 2, old)
            used += old
        book(at + 120, 0, np.where(here, earned[:, month], 0))
        room = np.maximum(totals[:, month] - used, 0)
        later = at + 3 * DAY + rng.integers(0, 20 * DAY, size)
        open_ = (
            here & (later < np.minimum(people.left_at, window.end)) & (rng.random(size) < 0.16) & (room >= 50)
        )
        spend = np.where(open_, (room * rng.uniform(0.5, 1.0, size) / 50).astype(np.int64) * 50, 0)
        book(later, 1, spend)
        used += spend
        fixed = here & (rng.random(size) < 0.004) & (at + 24 * DAY < np.minimum(people.left_at, window.end))
        change = np.where(fixed, np.where(rng.random(size) < 0.7, 50, -np.minimum(room - spend, 30)), 0)
        book(at + 24 * DAY, 3, change)
        used += np.where(change < 0, -change, 0)
        given += np.where(change > 0, change, 0)
    gone = joins & (people.left_at + 90 * DAY < window.end) & (people.left_at < NEVER)
    rest = np.where(gone, np.maximum(totals[:, -1] - used, 0) + given, 0)
    book(np.where(gone, people.left_at + 90 * DAY, NEVER), 2, rest)

    customer = np.concatenate([entry[0] for entry in out])
    at = np.concatenate([entry[1] for entry in out])
    kind = np.concatenate([np.full(len(entry[0]), entry[2]) for entry in out])
    amount = np.concatenate([entry[3] for entry in out])
    order = np.lexsort((kind, at, ids[customer]))
    table = pa.table(
        {
            "customer_id": strings(ids, customer[order]),
            "occurred_at": times(at[order]),
            "kind": strings(("earn", "redeem", "expire", "adjust"), kind[order]),
            "points": whole(amount[order]),
        }
    )
    return table, np.array([int(amount[kind == number].sum()) for number in range(4)])


def referrals_table(chunk: Chunk, people: People, ids: Array, spells: Spells, ledger: Ledger) -> pa.Table:
    """The contract's `referrals`: invitations that led to a customer, and the many that did not."""
    rng = chunk.stream("referrals")
    referred = np.flatnonzero((people.channel == company.REFERRAL) & ~people.test)
    order = np.argsort(people.paid_from, kind="stable")
    started = people.paid_from[order]
    found = np.full(len(referred), -1)
    invited = people.created[referred] - HOUR - (rng.exponential(4.0, len(referred)) * DAY).astype(np.int64)
    before = np.searchsorted(started, invited)
    for _ in range(8):
        candidate = order[(rng.random(len(referred)) * np.maximum(before, 1)).astype(np.int64)]
        there = (before > 0) & (people.left_at[candidate] > invited) & ~people.test[candidate]
        found = np.where((found < 0) & there, candidate, found)
    known = found >= 0
    base = np.flatnonzero((spells.code == 1)[ledger.spell] & (ledger.plan < company.SPORTS))
    keen = np.array([0.10, 0.03, 0.08, 0.07, 0.09])[people.group[ledger.customer[base]]]
    row = np.repeat(base, rng.poisson(keen * np.exp(0.3 * people.satisfaction[ledger.customer[base]])))
    vain = ledger.begin[row] + (rng.random(len(row)) * (ledger.stop[row] - ledger.begin[row])).astype(
        np.int64
    )
    referrer = np.concatenate([found[known], ledger.customer[row]])
    at = np.concatenate([invited[known], vain])
    friend = np.concatenate([referred[known], np.full(len(row), -1)])
    paid = np.where(friend >= 0, people.paid_from[friend], NEVER)
    order = np.lexsort((friend, at, ids[referrer]))
    return pa.table(
        {
            "referrer_id": strings(ids, referrer[order]),
            "invited_at": times(at[order]),
            "referred_id": strings(ids, np.maximum(friend, 0)[order], friend[order] < 0),
            "subscribed_at": times(paid[order]),
        }
    )


def segments_table(chunk: Chunk, people: People, ids: Array) -> pa.Table:
    """The contract's `segments`: marketing's guess on two days, right about two times in three."""
    rng = chunk.stream("segments")
    parts = []
    for day in (
        company.seconds(company.LAST_DAY.replace(month=4, day=30)),
        company.seconds(company.LAST_DAY),
    ):
        who = np.flatnonzero((people.paid_from < day) & ~people.test)
        guess = rng.integers(0, len(CRM_SEGMENTS), len(people.created))
        right = rng.random(len(people.created)) < 0.6
        segment = np.where(right, people.group, guess)
        parts.append((who, segment[who], np.full(len(who), day // DAY)))
    customer, segment, day_number = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((day_number, ids[customer]))
    return pa.table(
        {
            "customer_id": strings(ids, customer[order]),
            "scheme": strings(("crm",), np.zeros(len(order), dtype=np.int64)),
            "segment": strings(CRM_SEGMENTS, segment[order]),
            "as_of": pa.array(day_number[order].astype(np.int32)).cast(pa.date32()),
        }
    )


def groups_table(people: People, ids: Array) -> pa.Table:
    """What the workbooks have to find out: each customer's behavioral group and latent class."""
    return pa.table(
        {
            "customer_id": strings(ids, np.arange(len(ids))),
            "behavior": strings(company.GROUPS, people.group),
            "psychographic": strings(company.CLASSES, people.latent),
        }
    ).take(np.argsort(ids))


def risk_table(people: People, ids: Array, window: Window) -> pa.Table:
    """What the law says of who is in a first paid spell on two days: the chance to choose to leave soon.

    The days are far enough from the retention campaign for it to have no part in it.
    """
    parts = []
    for day in company.RISK_AT:
        until = int(company.anniversary(np.array([day]), company.RISK_MONTHS)[0])
        done, ahead = (company.months_started(people.paid_from, at) - 1 for at in (day, until))
        who = np.flatnonzero((done >= 0) & (people.left_at >= day) & people.paying)
        risk = np.zeros(len(who))
        for plan in range(len(company.BASE_PLANS)):
            mine = np.flatnonzero(people.plan[who] == plan)
            stays, chose, _failed = company.incidence(plan, people.hazard[who[mine]], window.months + 2)
            now, later = done[who[mine]], np.maximum(ahead[who[mine]], done[who[mine]])
            row = np.arange(len(mine))
            risk[mine] = (chose[row, later] - chose[row, now]) / stays[row, now]
        order = np.argsort(ids[who])
        as_of = pa.array(np.full(len(who), day // DAY - 1, np.int32)).cast(pa.date32())
        names = strings(ids, who[order])
        parts.append(pa.table({"customer_id": names, "as_of": as_of, "risk": pa.array(risk[order])}))
    return pa.concat_tables(parts)
