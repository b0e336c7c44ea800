"""The simulated company's customers: who they are, how long they stay, what they are charged.

Works on a chunk of customers at a time, with arrays of one element a customer, a spell or a month.
Each topic draws from a random stream of its own, so that a change to one leaves the others as they are.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from tenure_demo import company
from tenure_demo.company import DAY, HOUR, Array, Window, anniversary, months_started

NEVER = np.iinfo(np.int64).max // 4
STATUSES = ("trialing", "active", "past_due", "paused")
TRIALING, ACTIVE, PAST_DUE, PAUSED = range(4)
REASONS = ("voluntary", "involuntary", "switched", "unknown")
VOLUNTARY, INVOLUNTARY, SWITCHED, UNKNOWN = range(4)
CURRENCIES = ("EUR", "USD")


@dataclass(frozen=True)
class Chunk:
    """A part of the customers that is made on its own.

    Attributes:
        seed: The company's seed.
        number: The chunk's number, from 0.
        customers: How many customers it holds.
        window: The months covered.
    """

    seed: int
    number: int
    customers: int
    window: Window

    def stream(self, topic: str) -> np.random.Generator:
        """The random stream of a topic in this chunk."""
        return stream(self.seed, self.number + 1, topic)


def stream(seed: int, number: int, topic: str) -> np.random.Generator:
    """A random stream that depends on nothing but the seed, a number and a topic.

    Example:
        >>> bool(stream(7, 1, "events").random() == stream(7, 1, "events").random())
        True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number, zlib.crc32(topic.encode()))))


def choose(rng: np.random.Generator, weights: Array, rows: Array | int) -> Array:
    """Draw categories: one distribution for all, or a row of weights for each draw.

    Args:
        rng: The random stream.
        weights: A vector of weights, or a matrix with one distribution a row.
        rows: How many to draw; for a matrix, the row that each draw uses.

    Returns:
        Category numbers.

    Example:
        >>> choose(np.random.default_rng(1), np.array([0.0, 1.0]), 3).tolist()
        [1, 1, 1]
    """
    edges = np.cumsum(weights, axis=-1)
    edges = edges / edges[..., -1:]
    if edges.ndim == 1:
        return np.minimum(np.searchsorted(edges, rng.random(int(rows)), side="right"), len(edges) - 1)
    rows = np.asarray(rows)
    result = np.zeros(len(rows), dtype=np.int64)
    draws = rng.random(len(rows))
    for column in edges.T[:-1]:
        result += draws >= column[rows]
    return result


@dataclass
class People:
    """A chunk's customers, one element of each array a customer.

    Attributes:
        created: When they signed up, in seconds.
        paid_from: When their first paid spell began; `NEVER` for none within the window.
        trial_ends: When their trial ends; equals `created` without a trial.
        left_at: When their first paid spell ends; `NEVER` beyond the window.
        life: Months from its start to its end, whether or not the window shows it.
        cause: `VOLUNTARY` or `INVOLUNTARY`.
        quantile: Where the customer stands among its like: 0 stays longest, 1 leaves soonest.
    """

    created: Array
    country: Array
    channel: Array
    plan: Array
    household: Array
    device: Array
    city: Array
    birth_year: Array
    gender: Array
    test: Array
    free: Array
    variant: Array
    assigned: Array
    trial_days: Array
    trial_ends: Array
    converts: Array
    hazard: Array
    quantile: Array
    group: Array
    latent: Array
    satisfaction: Array
    paid_from: Array
    left_at: Array
    life: Array
    cause: Array

    @property
    def paying(self) -> Array:
        """Whether the customer counts in the truth: paid at least once, neither test nor free."""
        return (self.paid_from < company.END) & ~self.test & ~self.free


def clock(rng: np.random.Generator, size: int) -> Array:
    """Seconds into a day at which people sign up: few at night, most in the evening."""
    hours = np.array([2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 9, 10, 9, 9, 9, 10, 11, 13, 15, 15, 13, 9, 5], float)
    return choose(rng, hours, size) * HOUR + rng.integers(0, HOUR, size)


def identifiers(seed: int, numbers: Array) -> Array:
    """Opaque and unique customer ids, as bytes: a scrambled number in hexadecimal.

    Example:
        >>> ids = identifiers(7, np.arange(3))
        >>> len(set(ids.tolist())), len(ids[0])
        (3, 9)
    """
    salt = zlib.crc32(str(seed).encode())
    mixed = (numbers.astype(np.uint64) * np.uint64(2654435761)) & np.uint64(0xFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(15))) ^ np.uint64(salt)
    shifts = np.arange(28, -1, -4, dtype=np.uint64)
    nibbles = (mixed[:, None] >> shifts) & np.uint64(15)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles]
    return _join(b"c", digits)


def numbered(prefix: bytes, first: int, size: int, digits: int = 10) -> Array:
    """Ids of a prefix and a running number, as bytes.

    Example:
        >>> numbered(b"p", 41, 2, digits=4).tolist()
        [b'p0041', b'p0042']
    """
    powers = 10 ** np.arange(digits - 1, -1, -1, dtype=np.int64)
    numerals = (np.arange(first, first + size)[:, None] // powers) % 10
    return _join(prefix, (numerals + ord("0")).astype(np.uint8))


def _join(prefix: bytes, characters: Array) -> Array:
    head = np.broadcast_to(np.frombuffer(prefix, dtype=np.uint8), (len(characters), len(prefix)))
    joined = np.ascontiguousarray(np.concatenate([head, characters], axis=1))
    return joined.view(f"S{joined.shape[1]}").ravel()


def make_people(chunk: Chunk) -> tuple[People, Array]:
    """Draw a chunk's customers: those of the price experiment first, then the others.

    Returns:
        The customers, and the variants shown to the experiment's visitors who did not subscribe.
    """
    rng = chunk.stream("people")
    size = chunk.customers
    window = chunk.window
    visitors_per_customer, away = company.experiment_size(window)
    visitors = round(size * visitors_per_customer)
    shown = choose(rng, np.ones(len(company.VARIANTS)), visitors)
    converted = rng.random(visitors) < company.conversion(company.VARIANT_PRICE)[shown]
    subscribed = np.flatnonzero(converted)[:size]
    tested = len(subscribed)

    variant = np.full(size, -1)
    variant[:tested] = shown[subscribed]
    channel = np.empty(size, dtype=np.int64)
    channel[:tested] = choose(rng, company.channel_given_standard(), tested)
    thinned = company.plan_shares()
    ordinary_share = thinned * np.where(np.arange(thinned.shape[1]) == company.STANDARD, 1 - away, 1.0)
    others = size - tested
    channel[tested:] = choose(rng, company.CHANNEL_SHARE * ordinary_share.sum(axis=1), others)
    plan = np.full(size, company.STANDARD)
    plan[tested:] = choose(rng, ordinary_share, channel[tested:])

    weights, running = window.signup_weights(), window.experiment_days()
    day = np.empty(size, dtype=np.int64)
    standard = plan == company.STANDARD
    ordinary = np.arange(size) >= tested
    day[~standard] = choose(rng, weights, int((~standard).sum()))
    spared = weights * np.where(running, 1 - company.EXPERIMENT_SHARE, 1.0)
    day[standard & ordinary] = choose(rng, spared, int((standard & ordinary).sum()))
    if tested:
        day[:tested] = choose(rng, weights * running, tested)
    created = window.start + day * DAY + clock(rng, size)
    decided = np.minimum(rng.exponential(5 * HOUR, size).astype(np.int64), 3 * DAY)
    assigned = np.maximum(created - decided, np.maximum(window.start, company.EXPERIMENT_FROM))

    trial = (rng.random(size) < company.TRIAL_SHARE) & ordinary
    kind = choose(rng, company.TRIAL_DAYS_SHARE, size)
    trial_days = np.where(trial, company.TRIAL_DAYS[kind], 0)
    converts = ~trial | (rng.random(size) < company.TRIAL_CONVERSION[kind])

    household = choose(rng, company.HOUSEHOLD_SHARE, size)
    test = ordinary & (rng.random(size) < 0.003)
    free = ordinary & ~test & (rng.random(size) < 0.006)
    trial_days[free], converts[free] = 0, True
    plan[free] = company.COMPLIMENTARY
    trial_ends = created + trial_days * DAY
    paid_from = np.where(converts & ~free & (trial_ends < window.end), trial_ends, NEVER)

    price = np.where(variant >= 0, company.VARIANT_PRICE[variant], company.VARIANT_PRICE[0])
    hazard = (
        company.CHANNEL_HAZARD[channel] * company.HOUSEHOLD_HAZARD[household] * company.price_hazard(price)
    )
    quantile = rng.random(size)
    shares = company.group_shares()[household]
    group = choose(rng, shares * (1 + company.GROUP_TIE * (2 * quantile[:, None] - 1)), np.arange(size))
    loyalty = np.log((1 - quantile) / np.maximum(quantile, 1e-12)) / 1.81
    age = np.clip(rng.gamma(9.0, 4.4, size) + np.where(household == 2, 4, 0), 18, 88)
    people = People(
        created=created,
        country=choose(rng, company.COUNTRY_SHARE, size),
        channel=channel,
        plan=plan,
        household=household,
        device=choose(rng, company.DEVICE_SHARE, size),
        city=choose(rng, company.CITY_SHARE, size),
        birth_year=2025 - age.astype(np.int64),
        gender=choose(rng, np.array([0.46, 0.44, 0.03, 0.07]), size),
        test=test,
        free=free,
        variant=variant,
        assigned=assigned,
        trial_days=trial_days,
        trial_ends=trial_ends,
        converts=converts,
        hazard=hazard,
        quantile=quantile,
        group=group,
        latent=choose(rng, company.CLASS_SHARE, size),
        satisfaction=0.6 * loyalty + 0.8 * rng.standard_normal(size),
        paid_from=paid_from,
        left_at=np.full(size, NEVER),
        life=np.zeros(size, dtype=np.int64),
        cause=np.zeros(size, dtype=np.int64),
    )
    return people, shown[~converted]


@dataclass(frozen=True)
class Campaign:
    """Who was in a campaign, and how likely each was to do what it was for.

    Attributes:
        customer: Positions of the customers in the chunk.
        treated: Whether contacted.
        segment: The segment whose effect differs.
        if_treated: Probability of the good outcome if contacted.
        if_held_out: Probability of it if held out.
    """

    customer: Array
    treated: Array
    segment: Array
    if_treated: Array
    if_held_out: Array


def live_first(chunk: Chunk, people: People) -> Campaign:
    """Draw how long first paid spells last, and the retention campaign that changes some of them.

    The life is read off the customer's survival curve at its quantile. In the campaign the risk to
    leave by choice at one of the next three monthly anniversaries is `r (1 - e)` for the contacted and
    `r (1 + e)` for those held out, where `r` is the risk by the plan's law: the halves average to the
    law, so the truth about survival stays exact.
    """
    rng = chunk.stream("first lives")
    months = chunk.window.months + 2
    size = len(people.created)
    chose_not = np.ones((size, months + 1))
    paid = np.ones((size, months + 1))
    for plan in range(len(company.BASE_PLANS)):
        mine = people.plan == plan
        power = people.hazard[mine][:, None]
        chose_not[mine] = company.voluntary_survival(plan, months) ** power
        paid[mine] = company.involuntary_survival(plan, months) ** power
    # A quantile of the life counted from its long end: alive at t while it is below S(t).
    standing = people.quantile[:, None]
    fails = _first(paid, rng.random((size, 1)))
    leaves = _first(chose_not, standing)

    begun = months_started(np.minimum(people.paid_from, chunk.window.end), company.RETENTION_AT)
    done = np.clip(begun - 1, 0, months)
    there = (begun > 0) & (np.minimum(leaves, fails) > done) & ~people.test & ~people.free
    joins = there & (rng.random(size) < company.RETENTION_SHARE)
    treated = rng.random(size) < 0.5
    now = np.take_along_axis(chose_not, done[:, None], axis=1)
    later = np.minimum(done + 3, months)[:, None]
    risk = 1 - np.take_along_axis(chose_not, later, axis=1) / now
    effect = company.RETENTION_EFFECT[people.device][:, None]
    change = np.where(treated[:, None], 1 - effect, 1 + effect)
    changed = np.minimum(risk * change, 1)
    t = np.arange(months + 1)[None, :]
    within = now * (1 - change * (1 - chose_not / now))
    after = chose_not * (1 - changed) / (1 - risk)
    steered = np.where(t <= done[:, None], chose_not, np.where(t <= later, within, after))
    leaves = np.where(joins, _first(steered, standing), leaves)

    people.life[:] = np.minimum(leaves, fails)
    people.cause[:] = np.where(leaves <= fails, VOLUNTARY, INVOLUNTARY)
    starts = np.minimum(people.paid_from, chunk.window.end)
    ends = anniversary(starts, people.life)
    people.left_at[:] = np.where((people.paid_from < NEVER) & (ends < chunk.window.end), ends, NEVER)

    holds = (np.take_along_axis(paid, later, axis=1) / np.take_along_axis(paid, done[:, None], axis=1))[:, 0]
    where = np.flatnonzero(joins)
    return Campaign(
        where,
        treated[where],
        people.device[where],
        ((1 - risk[:, 0] * (1 - effect[:, 0])) * holds)[where],
        ((1 - risk[:, 0] * (1 + effect[:, 0])) * holds)[where],
    )


@dataclass(frozen=True)
class Offers:
    """Who was in the campaign with several offers, and how likely they were to stay with each.

    Attributes:
        customer: Positions of the customers in the chunk.
        got: What they got, in the order of `company.OFFER_CHANCE`.
        stays: Probability to be there 91 days later, a column for each of these.
    """

    customer: Array
    got: Array
    stays: Array


def make_offers(chunk: Chunk, people: People) -> Offers:
    """Draw who got which offer, given how long they stayed.

    It is as if the offers had come first and had changed it. Of a risk `r` to leave by choice, k makes
    `r h_k`, where the mean of h is 1. So the chance of k is that before, times `h_k` for those who left by
    choice and `(1 - r h_k) / (1 - r)` for the others (Bayes), and all other tables are those of the law.
    """
    rng = chunk.stream("offers")
    size, months = len(people.created), chunk.window.months + 2
    starts = np.minimum(people.paid_from, chunk.window.end)
    begun = months_started(starts, company.OFFERS_AT)
    done = np.clip(begun - 1, 0, months)
    later = np.clip(months_started(starts, company.OFFERS_AT + 91 * DAY) - 1, done, months)
    there = (begun > 0) & (people.life > done) & ~people.test & ~people.free
    joins = there & (rng.random(size) < company.OFFERS_SHARE)
    by_choice, paid = np.ones((size, months + 1)), np.ones((size, months + 1))
    for plan in range(len(company.BASE_PLANS)):
        mine = people.plan == plan
        by_choice[mine] = company.voluntary_survival(plan, months) ** people.hazard[mine][:, None]
        paid[mine] = company.involuntary_survival(plan, months) ** people.hazard[mine][:, None]
    row = np.arange(size)
    now, seen = by_choice[row, done], np.minimum(people.life, later)
    left = (people.life <= later) & (people.cause == VOLUNTARY)
    # Who left because payments failed had not chosen to leave before; of the others it is known to the end.
    risk = 1 - by_choice[row, seen] / now
    chance = np.where(left[:, None], company.OFFER_RISK, 1 - risk[:, None] * company.OFFER_RISK)
    got = choose(rng, chance * company.OFFER_CHANCE, row)
    risk = 1 - by_choice[row, later] / now
    stays = (1 - risk[:, None] * company.OFFER_RISK) * (paid[row, later] / paid[row, done])[:, None]
    where = np.flatnonzero(joins)
    return Offers(where, got[where], stays[where])


def _first(survival: Array, standing: Array) -> Array:
    """The first month at whose end a life of that quantile is over; beyond the last column if none."""
    return (survival[:, 1:] > standing).sum(axis=1) + 1


@dataclass
class Spells:
    """Uninterrupted runs of one subscription (or of one that is followed on), one element a spell.

    Attributes:
        customer: Position of the customer in the chunk.
        code: Which of the customer's subscriptions, as the last digit of its id.
        start: When paid time begins.
        end: When it ends; `NEVER` beyond the window.
        trial_from: When its trial began; equals `start` without one.
        tail_to: When dunning gives up, for an involuntary end; else equals `end`.
        cause: Why it ends.
        plan: The plan at the start.
        offered: A price of its own, -1 for the list price.
        off: Discount as a share of the price, during the first `off_months`.
    """

    customer: Array
    code: Array
    start: Array
    end: Array
    trial_from: Array
    tail_to: Array
    cause: Array
    plan: Array
    offered: Array
    off: Array
    off_months: Array
    quantity: Array
    switch_at: Array
    switch_to: Array
    falls: Array
    pause_at: Array
    pause_months: Array
    again_at: Array
    asked: Array

    def __len__(self) -> int:
        return len(self.start)


FAR = 10_000


def make_spells(chunk: Chunk, people: People) -> tuple[Spells, Campaign]:
    """Draw everything that happens within and after first paid spells.

    Returns:
        All spells: first ones (also trials that came to nothing and free subscriptions), then
        returns, then add-ons; and the win-back campaign.
    """
    rng = chunk.stream("spells")
    window = chunk.window
    size = len(people.created)
    start = np.where(people.free, people.created, people.trial_ends)
    wanted = np.where(people.converts, people.left_at, people.trial_ends)
    gone = people.free & (rng.random(size) < 0.3)
    gone_at = people.created + (rng.exponential(240 * DAY, size)).astype(np.int64) + 20 * DAY
    wanted = np.where(gone, gone_at, wanted)
    first = _spells(people, np.arange(size), 1, start, wanted, people.plan)
    first.trial_from = people.created.copy()
    first.offered = np.where(people.variant >= 0, company.VARIANT_PRICE[people.variant], -1)
    first.cause = np.where(people.converts & ~people.free, people.cause, VOLUNTARY)
    ordinary = (people.variant < 0) & ~people.free
    _within(rng, chunk, first, np.where(people.free, FAR, people.life), ordinary)
    planned = anniversary(np.minimum(people.paid_from, window.end), people.life)
    _ends(rng, chunk, first, np.where(people.paid_from < NEVER, planned, NEVER))

    back, winback = _returns(rng, chunk, people, first)
    addons = _addons(rng, chunk, people, first)
    return _concatenate(first, back, addons), winback


def _spells(people: People, customer: Array, code: int, start: Array, end: Array, plan: Array) -> Spells:
    size = len(customer)
    none, far = np.zeros(size, dtype=np.int64), np.full(size, FAR)
    return Spells(
        customer=customer,
        code=np.full(size, code),
        start=start,
        end=end,
        trial_from=start.copy(),
        tail_to=end.copy(),
        cause=none.copy(),
        plan=plan,
        offered=none - 1,
        off=np.zeros(size),
        off_months=none.copy(),
        quantity=none + 1,
        switch_at=far.copy(),
        switch_to=none.copy(),
        falls=np.zeros(size, dtype=bool),
        pause_at=far.copy(),
        pause_months=none.copy(),
        again_at=far.copy(),
        asked=np.full(size, NEVER),
    )


def _concatenate(*parts: Spells) -> Spells:
    return Spells(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def _within(rng: np.random.Generator, chunk: Chunk, spells: Spells, life: Array, ordinary: Array) -> None:
    """Coupons, seats, plan switches, pauses and resubscriptions, none of which changes the life.

    A switch to the annual plan is possible only where the life ends on a renewal of it, and a pause is
    of one or two months, which is less than 90 days, so that the life's law stays the plan's own.
    """
    size = len(spells)
    interval = company.INTERVAL[spells.plan]
    shown = months_started(
        np.minimum(spells.start, chunk.window.end), np.minimum(spells.end, chunk.window.end)
    )
    monthly = (interval == 1) & (spells.plan < company.SPORTS)

    coupon = ordinary & (rng.random(size) < 0.18)
    kind = choose(rng, np.array([0.6, 0.4]), size)
    spells.off = np.where(coupon, np.where(interval > 1, 0.15, np.array([0.5, 0.2])[kind]), 0.0)
    spells.off_months = np.where(coupon, np.where(interval > 1, interval, np.array([3, 6])[kind]), 0)
    extra = (spells.plan == company.PREMIUM) & ordinary & (rng.random(size) < 0.03)
    spells.quantity = np.where(extra, 2, 1)
    spells.falls = monthly & (rng.random(size) < company.PRICE_INCREASE_DOWNGRADE) & (spells.offered < 0)

    draw = rng.random(size)
    place = rng.random(size)
    up = monthly & (draw < 0.09)
    down = monthly & (draw >= 0.09) & (draw < 0.13)
    yearly = (interval < 12) & (spells.plan < company.SPORTS) & (draw >= 0.13) & (draw < 0.20)
    # Between the first renewal and the last month shown, on a renewal of the starting plan.
    room = np.maximum((shown - 1) // interval, 0)
    at = (1 + np.floor(place * np.maximum(room, 1)).astype(np.int64)) * interval
    free_choice = room >= 1
    back = life - 12 * np.maximum(1, np.floor(place * ((life - 1) // 12)).astype(np.int64))
    ends_shown = spells.end < chunk.window.end
    at = np.where(yearly & ends_shown, back, at)
    fits = np.where(yearly & ends_shown, (back >= 1) & (back % interval == 0), free_choice)
    switches = (up | down | yearly) & fits & (life < FAR)
    spells.switch_at = np.where(switches, at, FAR)
    target = np.where(yearly, company.ANNUAL, np.where(up, company.UPGRADE[spells.plan], 0))
    spells.switch_to = np.where(down, company.DOWNGRADE[spells.plan], target)
    spells.falls &= ~switches

    pauses = monthly & ~(switches & yearly) & (rng.random(size) < 0.05) & (shown > 2)
    spells.pause_at = np.where(pauses, 1 + np.floor(rng.random(size) * (shown - 2)).astype(np.int64), FAR)
    spells.pause_months = np.where(pauses, 1 + (rng.random(size) < 0.4), 0)
    again = monthly & ~switches & ~pauses & (rng.random(size) < 0.012) & (shown > 2)
    spells.again_at = np.where(again, 1 + np.floor(rng.random(size) * (shown - 2)).astype(np.int64), FAR)


def _ends(rng: np.random.Generator, chunk: Chunk, spells: Spells, planned: Array) -> None:
    """How spells end: notice given ahead, service stopped at once for some, dunning for others.

    `planned` is the end that the law has drawn, also where it lies beyond the window: notice of it may
    already have been given.
    """
    size = len(spells)
    window = chunk.window
    ended = spells.end < window.end
    chosen = spells.cause == VOLUNTARY
    paid = spells.start < spells.end
    month = np.maximum(months_started(np.minimum(spells.start, window.end), spells.end) - 1, 0)
    last = anniversary(np.minimum(spells.start, window.end), month)

    at_once = ended & chosen & paid & (spells.plan < company.SPORTS) & (rng.random(size) < 0.03)
    when = last + ((spells.end - last) * rng.uniform(0.76, 0.98, size)).astype(np.int64)
    spells.end = np.where(at_once, when, spells.end)
    ahead = np.minimum((rng.exponential(9.0, size) * DAY).astype(np.int64) + 600, 26 * DAY)
    asked = np.where(at_once, spells.end, spells.end - ahead)
    pending = np.where(planned - ahead < window.end, planned - ahead, NEVER)
    spells.asked = np.where(chosen, np.where(ended, asked, pending), NEVER)

    # Attempts go on for one to three weeks; nobody is left in the middle of losing at the window's end.
    dunning = rng.integers(company.GIVEN_UP.start, company.GIVEN_UP.stop, size) * DAY
    left = np.maximum(window.end - spells.end, 0)
    dunning = np.where(dunning >= left, (left * rng.uniform(0.3, 0.9, size)).astype(np.int64), dunning)
    spells.tail_to = np.where(ended & (spells.cause == INVOLUNTARY), spells.end + dunning, spells.end)
    unknown = ended & chosen & paid & (rng.random(size) < company.UNKNOWN_REASON)
    spells.cause = np.where(unknown, UNKNOWN, spells.cause)


def _returns(
    rng: np.random.Generator, chunk: Chunk, people: People, first: Spells
) -> tuple[Spells, Campaign]:
    """Customers who come back under a new subscription, by themselves or won back by the campaign."""
    window = chunk.window
    size = len(first)
    left = (first.end < window.end) & (people.paid_from < NEVER)
    failed = people.cause == INVOLUNTARY
    gap = company.RETURN_WAIT * DAY + (rng.exponential(company.RETURN_MEAN, size) * DAY).astype(np.int64)
    comes = left & (rng.random(size) < company.RETURN_SHARE[failed.astype(int)])
    at = np.where(comes, first.tail_to + gap, NEVER)

    recent = left & (first.tail_to < company.WINBACK_AT - DAY)
    recent &= first.end >= company.WINBACK_AT - 180 * DAY
    invited = recent & (at >= company.WINBACK_AT) & ~people.test
    treated = rng.random(size) < 0.5
    chances = {arm: np.where(failed, *pair[::-1]) for arm, pair in company.WINBACK_RETURN.items()}
    won = rng.random(size) < np.where(treated, chances["treatment"], chances["control"])
    span = (company.WINBACK_DAYS - 1) * DAY
    soon = np.minimum(rng.exponential(14 * DAY, size).astype(np.int64) + HOUR, span)
    at = np.where(invited, np.where(won, company.WINBACK_AT + soon, NEVER), at)
    where = np.flatnonzero(invited)
    campaign = Campaign(
        where,
        treated[where],
        failed[where].astype(np.int64),
        chances["treatment"][where],
        chances["control"][where],
    )

    who = np.flatnonzero(at < window.end)
    start = at[who]
    plan = choose(rng, company.RETURN_PLANS, len(who))
    months = window.months + 2
    life, cause = np.empty(len(who), dtype=np.int64), np.empty(len(who), dtype=np.int64)
    hazard = people.hazard[who] * company.RETURN_HAZARD
    chance, other = rng.random((2, len(who)))
    for number in range(len(company.BASE_PLANS)):
        mine = plan == number
        leaves, fails = (
            _first(curve(number, months) ** hazard[mine][:, None], draws[mine][:, None])
            for curve, draws in (
                (company.voluntary_survival, chance),
                (company.involuntary_survival, other),
            )
        )
        life[mine] = np.minimum(leaves, fails)
        cause[mine] = np.where(leaves <= fails, VOLUNTARY, INVOLUNTARY)
    end = anniversary(start, life)
    back = _spells(people, who, 4, start, np.where(end < window.end, end, NEVER), plan)
    back.cause = cause
    deal = (invited & treated)[who] & (company.INTERVAL[plan] == 1)
    back.off, back.off_months = np.where(deal, 0.5, 0.0), np.where(deal, 2, 0)
    # Long pauses happen only here: the length of a first paid spell never depends on how they are counted.
    shown = months_started(start, np.minimum(back.end, window.end))
    pauses = (company.INTERVAL[plan] == 1) & (shown > 5) & (rng.random(len(who)) < 0.15)
    back.pause_at = np.where(pauses, 1, FAR)
    back.pause_months = np.where(pauses, rng.integers(1, 6, len(who)), 0)
    _ends(rng, chunk, back, end)
    return back, campaign


def ask_back(chunk: Chunk, people: People, spells: Spells) -> Campaign:
    """Draw whom a message asked to come back, given whether they did.

    With a chance `p` to come back within the days by the law of returning, for who has not by then, it is
    `p (1 + u)` for the contacted and `p (1 - u)` for those held out. So the chance to have been contacted is
    `(1 + u) / 2` for who came back and `(1 - p (1 + u)) / (2 (1 - p))` for the others (Bayes), and all other
    tables are those of the law.
    """
    at, size = company.MESSAGE_AT, len(people.created)
    back, returns = spells.code == 4, np.full(size, NEVER)
    returns[spells.customer[back]] = spells.start[back]
    over, since = spells.tail_to[:size], at // DAY - spells.end[:size] // DAY
    asked = (people.paid_from < NEVER) & ~people.test & (over < at - DAY) & (returns >= at)
    who = np.flatnonzero(asked & (since <= company.MESSAGE_SINCE[-1]))
    failed = (people.cause[who] == INVOLUNTARY).astype(np.int64)
    days = (at - over[who]) / DAY
    before, later = (company.returned(days + ahead, failed) for ahead in (0, company.MESSAGE_DAYS))
    chance = (later - before) / (1 - before)
    since = np.searchsorted(company.MESSAGE_SINCE, since[who])
    effect = company.MESSAGE_EFFECT[since]
    contacted, held_out = chance * (1 + effect), chance * (1 - effect)
    came = returns[who] < at + company.MESSAGE_DAYS * DAY
    given = np.where(came, (1 + effect) / 2, (1 - contacted) / (2 * (1 - chance)))
    treated = chunk.stream("message").random(len(who)) < given
    return Campaign(who, treated, failed * len(company.MESSAGE_SINCE) + since, contacted, held_out)


def _addons(rng: np.random.Generator, chunk: Chunk, people: People, first: Spells) -> Spells:
    """A second subscription beside the first, which it never outlives."""
    wish = np.where(people.group == company.GROUPS.index("sports"), 0.32, 0.05)
    begins = first.start + 8 * DAY + (rng.exponential(120.0, len(first)) * DAY).astype(np.int64)
    has = (rng.random(len(first)) < wish) & (people.paid_from < NEVER) & ~people.test
    has &= (begins < first.end - DAY) & (begins < chunk.window.end)
    who = np.flatnonzero(has)
    months = rng.geometric(0.07, len(who))
    start = begins[who]
    end = np.minimum(anniversary(start, np.minimum(months, 200)), first.end[who])
    end = np.where(end < chunk.window.end, end, NEVER)
    addons = _spells(people, who, 2, start, end, np.full(len(who), company.SPORTS))
    trial = rng.random(len(who)) < 0.3
    addons.trial_from = np.where(trial, start - 7 * DAY, start)
    addons.asked = np.where(end < NEVER, end - rng.integers(600, 6 * DAY, len(who)), NEVER)
    return addons
