"""Companies of eight business models: seeded, of any size, with their truth from their own parameters.

Each returns a `Company`. Its truth has, where it applies: `there_after_a_year` (the share of new customers),
`not_renewed` (the share of due renewals), `due` (renewals due in the last twelve months), `gross_retention` (in the
last twelve months), `base_value` (of those there now, from today on), `new_value` (of a new customer, from the first
payment on) and `customers` (there now); money is in minor units.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from businesses.making import (
    MONTHS,
    UNTIL,
    Company,
    bills,
    factor,
    kept,
    later,
    margin,
    next_bill,
    spans,
    starts,
    tables,
    until,
    waiting,
    worth,
)  # fmt: skip

_NEVER = pd.Timestamp("2100-01-01")


def _ids(letter, size):
    return np.array([f"{letter}{number:04d}" for number in range(size)])


def _on(rows):
    """The spans that are on at the end of the last day."""
    return rows[rows["ended_at"].fillna(_NEVER) > pd.Timestamp(UNTIL)]


def seats(size=60, seed=1, leave=0.12, price=30_000):
    """B2B: accounts that pay for seats by the year; older ones are larger; a third has two child accounts."""
    rng = np.random.default_rng(seed)
    who, begin = _ids("A", size), starts(rng, size, 4)
    older = np.datetime64("2025-07-01") > begin
    number = np.ceil(rng.lognormal(np.log(np.where(older, 40, 20)), 0.5)).astype(int) + 4
    rows = spans(
        who, "Team", price, begin, later(begin, rng.geometric(leave, size), "year"), "year", 1, number
    )
    parents = {}
    family = [rows]
    for child, part in enumerate((rows[::3], rows[::3])):
        ids = [f"{one}c{child}" for one in part["customer_id"]]
        parents |= dict(zip(ids, part["customer_id"], strict=True))
        family.append(part.assign(customer_id=ids, subscription_id=[f"{one}s" for one in ids], quantity=5))
    rows = pd.concat(family, ignore_index=True)
    there = _on(rows)
    billed, new = there["unit_amount_minor"] * there["quantity"], price * (20 * np.exp(0.125) + 4.5 + 10 / 3)
    truth = {
        "there_after_a_year": 1 - leave, "not_renewed": leave, "new_value": worth(new, leave, 12.0),
        "base_value": worth(billed.to_numpy()[:, None], leave, 12.0, waiting(there)).sum(),
        "gross_retention": kept(rows, rows["quantity"] * price),
        "customers": there["customer_id"].replace(parents).nunique(),
    }  # fmt: skip
    told = {"rules": {"unit": "account"}}
    return Company(tables(rows, parent_id=parents), truth, told, {"customers": ["parent_id"]})


def few_carry(size=36, seed=2, leave=0.1):
    """B2B: a third are old accounts at 50,000 a year, all newer ones pay 1,000."""
    rng = np.random.default_rng(seed)
    old = np.arange(size) < size // 3
    begin = starts(rng, size, 2) - np.where(old, 730, 0)
    rows = spans(
        _ids("B", size), "Business", np.where(old, 5_000_000, 100_000), begin,
        later(begin, np.where(old, 99, rng.geometric(leave, size)), "year"), "year",
    )  # fmt: skip
    return Company(tables(rows), {"new_value": worth(100_000, leave, 12.0), "most": worth(100_000, 0, 12.0)})


def club(size=400, seed=3, first=0.35, leave=0.08, gap=28, price=9_000):
    """A club of prepaid terms of three months, bought again after some days or weeks, under a new number.

    65 % buy a second term, and 92 % of them each further one.
    """
    rng = np.random.default_rng(seed)
    terms = np.where(rng.random(size) < first, 1, 1 + rng.geometric(leave, size))
    begin, parts, who = starts(rng, size, 2.5), [], _ids("C", size)
    bought, over = np.zeros(size, dtype=int), np.zeros(size, dtype="M8[D]")
    for number in range(int(terms.max())):
        if not (on := (terms > number) & (begin < UNTIL)).any():
            break
        rows = spans(who, "Box", price, begin, later(begin, 3), "month", 3, end_reason="unknown")
        parts.append(rows.assign(subscription_id=[f"{one}t{number}" for one in who])[on])
        bought, over = np.where(on, number + 1, bought), np.where(on, later(begin, 3), over)
        begin = later(begin, 3) + rng.integers(1, gap + 1, size)
        begin = np.where(begin - begin.astype("M8[M]") > np.timedelta64(27, "D"), begin + 3, begin)
    rows = pd.concat(parts, ignore_index=True)
    rows.loc[rows["ended_at"].isna(), "end_reason"] = None
    apart = 3 + (gap + 1) / 2 / 30.4375
    again = margin(price) * (1 - first) * (1 - leave) ** np.arange(120) * factor((np.arange(120) + 1) * apart)
    stay = (1 - first) * (1 - leave) ** 2  # the third term ends after ten months and a half
    # Who bought k terms buys another with `go`, unless more days than the gap have passed; of those in the gap
    # the longer they wait, the fewer will.
    go, passed = np.where(bought == 1, 1 - first, 1 - leave), (UNTIL - over).astype(int)
    still = np.clip(1 - np.maximum(passed, 0) / (gap + 3), 0, 1)
    go = go * still / (go * still + 1 - go)
    wait = np.maximum(until(over), 0) + (apart - 3) * still
    life = margin(price) * ((1 - leave) ** np.arange(120) * factor(np.arange(120) * apart)).sum()
    due = (over >= UNTIL - 365) & (over < UNTIL - gap - 3)  # last terms that ended, with nobody in the gap
    truth = {"not_renewed_first": first, "not_renewed": leave, "there_after_a_year": stay,
             "new_value": margin(price) + again[again > 0].sum(),
             "base_value": float((go * life * factor(wait))[passed <= gap + 3].sum()),
             "customers": int((passed <= gap + 3).sum()), "running": int((passed <= 0).sum()),
             "lost": int(due.sum())}  # fmt: skip
    return Company(tables(rows), truth, {"rules": {"gap_days": gap + 3}})


def new_numbers(size=300, seed=4, leave=0.08, price=9_000):
    """Terms of three months back to back, each under a new contract number."""
    rng = np.random.default_rng(seed)
    who, first, terms, parts = _ids("N", size), starts(rng, size, 2.5), rng.geometric(leave, size), []
    for number in range(min(int(terms.max()), 11)):
        begin = later(first, 3 * number)
        rows = spans(who, "Contract", price, begin, later(begin, 3), "month", 3, end_reason="unknown")
        named = rows.assign(subscription_id=[f"{one}t{number}" for one in who])
        parts.append(named[(terms > number) & (begin < UNTIL)])
    rows = pd.concat(parts, ignore_index=True)
    rows.loc[rows["ended_at"].isna(), "end_reason"] = None
    there, year_ago = _on(rows), pd.Timestamp(UNTIL) - pd.DateOffset(years=1)
    truth = {
        "not_renewed": leave, "there_after_a_year": (1 - leave) ** 4, "new_value": worth(price, leave, 3.0),
        "base_value": worth(price, leave, 3.0, waiting(there)).sum(), "customers": len(there),
        "due": int((rows["ended_at"] >= year_ago).sum()),
    }  # fmt: skip
    return Company(tables(rows), truth)


def publisher(size=900, seed=5, leave=(0.04, 0.02), price=(1_000, 2_000)):
    """Every customer begins with two monthly subscriptions, digital and print, and ends each by itself."""
    rng = np.random.default_rng(seed)
    who, begin = _ids("K", size), starts(rng, size, 3)
    parts = [
        spans(who, plan, one, begin, later(begin, rng.geometric(rate, size)))
        for plan, rate, one in zip(("Digital", "Print"), leave, price, strict=True)
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows["subscription_id"] += rows["plan"].str[0]
    there, (d, p) = _on(rows), ((1 - leave[0]) ** 12, (1 - leave[1]) ** 12)
    by = {plan: there[there["plan"] == plan] for plan in ("Digital", "Print")}
    truth = {
        "there_after_a_year": 1 - (1 - d) * (1 - p), "there_Digital": d, "there_Print": p,
        "new_value": worth(price[0], leave[0]) + worth(price[1], leave[1]),
        "base_value": worth(price[0], leave[0], 1, waiting(by["Digital"])).sum()
        + worth(price[1], leave[1], 1, waiting(by["Print"])).sum(),
        "customers": there["customer_id"].nunique(),
    }  # fmt: skip
    return Company(tables(rows), truth)


def gifts(size=400, seed=6, leave=0.04, price=1_000):
    """Monthly customers, and as many gifts as a third of them: a year, paid at once, that ends by design."""
    rng = np.random.default_rng(seed)
    who, begin, gift = _ids("G", size), starts(rng, size, 2.5), np.arange(size) % 4 == 0
    end = np.where(gift, later(begin, 12), later(begin, rng.geometric(leave, size)))
    rows = spans(who, np.where(gift, "Gift", "Monthly"), np.where(gift, 12_000, price), begin, end,
                 np.where(gift, "year", "month"), renews=~gift)  # fmt: skip
    rows.loc[gift & rows["ended_at"].notna(), "end_reason"] = "expired"
    there = _on(rows)
    monthly = there[there["plan"] == "Monthly"]
    truth = {"there_after_a_year": (1 - leave) ** 12, "new_value": worth(price, leave),
             "base_value": worth(price, leave, 1, waiting(monthly)).sum(),
             "gifts_there": len(there) - len(monthly), "customers": len(there)}  # fmt: skip
    return Company(tables(rows), truth, {}, {"subscriptions": ["renews"]})


def meal_kit(size=300, seed=7, leave=0.016, skip=0.3, price=6_000, free=False):
    """Boxes by the week, of which customers skip 30 %: as paused spans, or as spans of price 0 if `free`."""
    rng = np.random.default_rng(seed)
    who, weeks, begin = _ids("M", size), rng.geometric(leave, size), starts(rng, size, 1.5)
    last = np.minimum(weeks, np.ceil((UNTIL - begin).astype(int) / 7).astype(int))
    person = np.repeat(np.arange(size), last)
    week = np.arange(len(person)) - np.repeat(np.cumsum(last) - last, last)
    skipped = (rng.random(len(person)) < skip) & (week > 0)
    on = begin + 7 * weeks >= UNTIL
    open_ended, final = on[person], week == last[person] - 1
    start = begin[person] + 7 * week
    end = np.where(final & open_ended, np.datetime64("NaT"), start + 7)
    rows = spans(who[person], "Box", price, start, end, "week").assign(
        ended_at=end, end_reason=np.where(~final, "switched", np.where(open_ended, None, "voluntary"))
    )
    rows.loc[skipped, "unit_amount_minor" if free else "status"] = 0 if free else "paused"
    each, there = worth(price * (1 - skip), leave, MONTHS["week"]), int((final & open_ended).sum())
    lives = rows.groupby("customer_id").agg(started_at=("started_at", "min"), ended_at=("ended_at", "last"))
    lives["ended_at"] = lives["ended_at"].where(~pd.Series(on, index=who), pd.NaT)
    truth = {
        "there_after_a_year": (1 - leave) ** 52, "customers": there, "new_value": each + skip * margin(price),
        "base_value": there * each * (1 - leave) * float(factor(0.5 * MONTHS["week"])),
        "gross_retention": kept(lives.reset_index(), np.ones(size)), "mrr": there * price * (1 - skip) * 52 / 12,
    }  # fmt: skip
    return Company(tables(rows), truth)


def gym(size=1300, seed=8, leave=0.03, freeze=0.03, price=3_000):
    """By the month, with freezes of four to six months; who leaves says so a month before."""
    rng = np.random.default_rng(seed)
    who, begin, rows = _ids("Y", size), starts(rng, size, 3), []
    there = np.ones(size, dtype=bool)
    since, gone = begin.copy(), np.full(size, np.datetime64("NaT", "D"))
    for month in range(36):
        now = later(begin, month)
        free = there & (since <= now) & (now < UNTIL)
        leaving = free & (rng.random(size) < leave)
        frozen = free & ~leaving & (rng.random(size) < freeze)
        for n in np.flatnonzero(leaving):  # paid until a month later, asked for now
            gone[n], there[n] = later(begin[n : n + 1], month + 1)[0], False
            rows.append((who[n], since[n], gone[n], "active", "voluntary", now[n]))
        for n in np.flatnonzero(frozen):
            stop = later(begin[n : n + 1], month + 1)[0]
            back = later(begin[n : n + 1], month + 1 + rng.integers(4, 7))[0]
            rows.append((who[n], since[n], stop, "active", "switched", None))
            rows.append((who[n], stop, back, "paused", "switched", None))
            since[n] = back
    for n in np.flatnonzero(there):
        rows.append((who[n], since[n], np.datetime64("NaT"), "active", None, None))
    names = ["customer_id", "started_at", "ended_at", "status", "end_reason", "cancel_requested_at"]
    made = pd.DataFrame(rows, columns=names)
    for name in ("started_at", "ended_at", "cancel_requested_at"):
        made[name] = pd.to_datetime(made[name])
    made = made[made["started_at"] < pd.Timestamp(UNTIL)].sort_values(["customer_id", "started_at"])
    back = (made["status"] == "paused") & (made["ended_at"] >= pd.Timestamp(UNTIL))
    made.loc[back, ["ended_at", "end_reason"]] = [pd.NaT, None]
    extra = {
        name: made[name].to_numpy() for name in ("ended_at", "status", "end_reason", "cancel_requested_at")
    }
    rows = spans(made["customer_id"].to_numpy(), "Fit", price, made["started_at"].to_numpy("M8[D]"),
                 made["ended_at"].to_numpy("M8[D]"), **extra)  # fmt: skip
    on = _on(rows)
    notice = int((on["ended_at"].notna() & on["cancel_requested_at"].notna()).sum())
    stays, pays = _gym_life(leave, freeze)
    new = float((margin(price) * pays * factor(np.arange(360))).sum())
    # Who has not given notice pays, and decides, at the next month's start, or when back from the freeze.
    month = next_bill(begin)
    truth = {"there_after_a_year": stays[12], "new_value": new,
             "base_value": float((new * factor(until(np.maximum(month, since))))[there].sum()), "customers": on["customer_id"].nunique(), "gave_notice": notice,
             "frozen": int((on["status"] == "paused").sum())}  # fmt: skip
    return Company(tables(rows), truth, {"rules": {"pause_days": 190}})


def _gym_life(leave, freeze, months=360):
    """The chance to be there at the start of each month, and to pay it, by the states of a member."""
    stays, pays = np.zeros(months + 8), np.zeros(months + 8)
    free = np.zeros(months + 8)  # members who decide at the start of a month
    free[0] = 1.0
    for month in range(months):
        pays[month] += free[month]
        stays[month] += free[month]
        go, pause = free[month] * leave, free[month] * (1 - leave) * freeze
        free[month + 1] += free[month] - go - pause
        for length in (4, 5, 6):
            stays[month + 1 : month + 1 + length] += pause / 3
            if month + 1 + length < len(free):
                free[month + 1 + length] += pause / 3
    return stays[:months], pays[:months]


def three_years(size=400, seed=9, leave=0.3, price=120_000):
    """Deals of three years, billed by the year."""
    rng = np.random.default_rng(seed)
    who, begin, terms = _ids("D", size), starts(rng, size, 7), rng.geometric(leave, size)
    begin, end = begin, later(begin, 3 * terms, "year")
    rows = spans(who, "Deal", price, begin, end, "year")
    passed = np.floor((np.minimum(end, UNTIL) - begin).astype(int) / (3 * 365.2425)).astype(int)
    committed = later(begin, 3 * np.where(rows["ended_at"].notna(), terms, passed + 1), "year")
    rows["commitment_ends_at"] = committed
    # Each term is a span of its own, as a contract system writes it.
    parts = []
    for number in range(3):
        since = later(begin, 3 * number, "year")
        last = rows["commitment_ends_at"].to_numpy("M8[D]") == later(since, 3, "year")
        part = rows.assign(
            started_at=since, commitment_ends_at=later(since, 3, "year"),
            ended_at=np.where(last, rows["ended_at"].to_numpy("M8[D]"), later(since, 3, "year")),
            end_reason=np.where(last, rows["end_reason"], "switched"),
        )  # fmt: skip
        parts.append(part[(number < terms) & (since < UNTIL)])
    rows, ends = pd.concat(parts, ignore_index=True), rows["ended_at"]
    year_ago = pd.Timestamp(UNTIL) - pd.DateOffset(years=1)
    due = rows["commitment_ends_at"].between(year_ago, pd.Timestamp(UNTIL), inclusive="left")
    term = (margin(price) * factor(12 * np.arange(3))).sum()  # what a deal is worth, and with those after it
    deals = term * ((1 - leave) ** np.arange(10) * factor(36 * np.arange(10))).sum()
    there, over, bill = np.isnat(ends.to_numpy()), committed, next_bill(begin, 12)
    later_on = sum(
        margin(price) * factor(until(later(bill, year, "year"))) * (later(bill, year, "year") < over)
        for year in range(3)
    )
    base = later_on + (1 - leave) * deals * factor(until(over))
    truth = {"not_renewed": leave, "there_after_a_year": 1.0, "due": int(due.sum()),
             "new_value": deals, "base_value": float(base[there].sum()),
             "lost": int((ends >= year_ago).sum()), "customers": int(ends.isna().sum())}  # fmt: skip
    return Company(tables(rows), truth, {}, {"subscriptions": ["commitment_ends_at"]})


def usage(size=800, seed=10, leave=0.04, price=3_750):
    """An API whose base price is 0: all that customers pay is for what they use."""
    rng = np.random.default_rng(seed)
    who, begin = _ids("U", size), starts(rng, size, 3)
    rows = spans(who, "API", 0, begin, later(begin, rng.geometric(leave, size)))
    means = dict(zip(who, rng.lognormal(np.log(price) - 0.18, 0.6, size), strict=True))
    paid = bills(rows.assign(unit_amount_minor=1), "usage")
    after = later(paid["attempted_at"].to_numpy("M8[D]"), 1)  # billed when the month is over
    amount = np.ceil(paid["customer_id"].map(means) * rng.lognormal(-0.02, 0.2, len(paid))).astype(int)
    paid = paid.assign(attempted_at=after, amount_minor=amount)[after < UNTIL]
    there = _on(rows)
    # The running month is paid for certain when it is over; who has left owes for the last one, unvalued.
    wait, share = waiting(there), worth(1e6, leave, 1, 0.0, fee_fixed=0) / 1e6 / (1 - leave)
    each = there["customer_id"].map(means).to_numpy()
    fees = worth(0, leave, 1, 0.0) / (1 - leave)
    truth = {"there_after_a_year": (1 - leave) ** 12, "customers": len(there),
             "new_value": worth(price, leave), "base_value": float(((each * share + fees) * factor(wait)).sum()),
             "mrr": sum(means[one] for one in there["customer_id"])}  # fmt: skip
    return Company(tables(rows, paid), truth, {"rules": {"usage": "included"}})


def app(size=800, seed=11, leave=0.05, price=800, once=12_000):
    """An app sold by the month and for life, by two stores that keep 30 and 3 % of it."""
    rng = np.random.default_rng(seed)
    who, begin, life = _ids("P", size), starts(rng, size, 2), np.arange(size) % 3 == 2
    end = np.where(life, np.datetime64("NaT"), later(begin, rng.geometric(leave, size)))
    rows = spans(who, np.where(life, "Lifetime", "Monthly"), np.where(life, once, price), begin, end,
                 np.where(life, "once", "month"))  # fmt: skip
    store = np.where(rng.random(size) < 0.6, "app_store", "web")
    there, paid = _on(rows), bills(rows)
    monthly = there[there["plan"] == "Monthly"]
    taken = {"app_store": 0.3, "web": 0.03}
    # The stores' commissions stand for payment fees: margin is of what they hand over.
    told = {"fee_share": 0.0, "fee_fixed": 0.0, "commission": taken}
    each, by = monthly["customer_id"].map(dict(zip(who, store, strict=True))), {}
    for name, share in taken.items():
        facts, its = {"fee_share": share, "fee_fixed": 0.0}, monthly[each == name]
        by[f"new_{name}"] = worth(price, leave, **facts)
        by[f"base_{name}"] = float(worth(price, leave, 1, waiting(its), **facts).sum())
    truth = {"there_after_a_year": (1 - leave) ** 12, "customers": len(monthly), "lifetimes": int(life.sum()),
             "new_value": 0.6 * by["new_app_store"] + 0.4 * by["new_web"],
             "base_value": by["base_app_store"] + by["base_web"],
             "lifetime_cash": float(paid.loc[paid["customer_id"].isin(who[life]), "amount_minor"].sum()),
             "mrr": len(monthly) * price, **by}  # fmt: skip
    return Company(tables(rows, paid, store=dict(zip(who, store, strict=True))), truth, told)


ALL = {one.__name__: one for one in (
    seats, few_carry, club, new_numbers, publisher, gifts, meal_kit, gym, three_years, usage, app,
)}  # fmt: skip
