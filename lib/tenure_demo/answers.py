"""What the simulated company hears from its customers: messages, surveys and tickets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from tenure_demo import company, lives
from tenure_demo.charges import Ledger
from tenure_demo.company import DAY, HOUR, Array
from tenure_demo.lives import NEVER, Chunk, People, Spells, choose
from tenure_demo.traces import HABITS, numbered_in, strings, times, whole

TOPICS, EXIT_REASONS, LIKERT, VIEWING, PRICE_QUESTIONS, BUY_AT = (
    tuple(HABITS[names])
    for names in ("topics", "exit_reasons", "likert", "viewing", "price_questions", "buy_at")
)
AGREES, WATCHES, PRICE_MEDIANS, EXIT_SAYS, EXIT_ANSWERS = (
    np.array(HABITS[answer]) for answer in ("agrees", "watches", "price_medians", "exit_says", "exit_answers")
)
PRICE_SPREAD = HABITS["price_spread"]
OFFERS = tuple(tuple(pair) for pair in HABITS["offers"])
BUYING, PER_UNIT, WORTH = HABITS["buying"], HABITS["per_unit"], HABITS["worth"]
OFFER_QUESTIONS = tuple(f"choice {k}: {' | '.join(pair)} | none" for k, pair in enumerate(OFFERS, start=1))


def contacts_table(
    ids: Array,
    retention: lives.Campaign,
    winback: lives.Campaign,
    offers: lives.Offers,
    message: lives.Campaign,
) -> pa.Table:
    """The contract's `contacts` of all campaigns."""
    names = company.OFFER_NAMES
    # What a customer got: each offer, nothing, or the first offer in spite of being held out.
    offered = np.array([*range(len(names)), -1, 0])[offers.got]
    all_of = (winback, retention, offers, message)
    customer = np.concatenate([one.customer for one in all_of])
    treated = np.concatenate([winback.treated, retention.treated, offers.got < len(names), message.treated])
    campaign = np.repeat(np.arange(len(all_of)), [len(one.customer) for one in all_of])
    offer = np.full(len(customer), -1)
    offer[campaign == 2] = offered
    order = np.lexsort((ids[customer], campaign))
    customer, treated, campaign, offer = (part[order] for part in (customer, treated, campaign, offer))
    days = (company.WINBACK_AT, company.RETENTION_AT, company.OFFERS_AT, company.MESSAGE_AT)
    reached = np.where(campaign == 2, offer >= 0, treated)
    costs, incentives = np.array([35, 20, 0, 35]), np.array([800, 300, 0, 0])
    cost, incentive = (
        np.where(campaign == 2, np.array(by_offer)[offer], by_campaign[campaign])
        for by_offer, by_campaign in ((company.OFFER_COSTS, costs), (company.OFFER_INCENTIVES, incentives))
    )
    return pa.table(
        {
            "campaign": strings(
                (company.WINBACK, company.RETENTION, company.OFFERS_CAMPAIGN, company.MESSAGE), campaign
            ),
            "customer_id": strings(ids, customer),
            "arm": strings(("control", "treatment"), treated.astype(int)),
            "contacted_at": times(np.array(days)[campaign]),
            "channel": strings(("email", "push", "push", "email"), campaign),
            "offer": strings(names, offer, offer < 0),
            "cost_minor": whole(np.where(reached, cost, 0)),
            "incentive_minor": whole(np.where(reached, incentive, 0)),
        }
    )


def surveys_table(
    chunk: Chunk, people: People, ids: Array, spells: Spells, ledger: Ledger
) -> tuple[pa.Table, Any]:
    """The contract's `surveys`, and the recommendation scores of everybody who was asked.

    Returns:
        The table, and counts for the truth: rows are promoters, passives, detractors, columns all who
        were asked and all who answered.
    """
    rng = chunk.stream("surveys")
    end = chunk.window.end
    rows: list[dict[str, Array]] = []

    asks = (ledger.month % 6 == 2) & (spells.code == 1)[ledger.spell] & ~ledger.paused
    asks &= (ledger.plan < company.SPORTS) & ~people.test[ledger.customer]
    who, sent = ledger.customer[asks], ledger.begin[asks] + 5 * DAY
    shown = sent < ledger.stop[asks]
    who, sent = who[shown], sent[shown]
    opinion = people.satisfaction[who]
    liking = 7.7 + 1.5 * opinion + 0.7 * rng.standard_normal(len(who))
    score = np.clip(np.round(liking), 0, 10)
    answers = rng.random(len(who)) < 1 / (1 + np.exp(1.0 - 0.35 * opinion))
    late = sent + (rng.exponential(1.5, len(who)) * DAY).astype(np.int64) + 120
    answers &= late < end
    rows.append(_answers(who, 0, 0, sent, np.where(answers, late, NEVER), score))
    kind = np.where(score >= 9, 0, np.where(score >= 7, 1, 2))
    scores = np.stack([np.bincount(kind, minlength=3), np.bincount(kind[answers], minlength=3)], axis=1)

    final = np.flatnonzero((spells.code != 2) & (spells.end < end) & (spells.start < spells.end))
    final = final[(spells.cause[final] != lives.INVOLUNTARY) & (spells.plan[final] < company.SPORTS)]
    who, sent = spells.customer[final], spells.end[final] + 2 * HOUR
    final, who, sent = final[sent < end], who[sent < end], sent[sent < end]
    reason = choose(rng, EXIT_SAYS, people.latent[who])
    late = sent + (rng.exponential(1.0, len(who)) * DAY).astype(np.int64) + 120
    answers = (rng.random(len(who)) < EXIT_ANSWERS[reason]) & (late < end)
    rows.append(_answers(who, 1, 1, sent, np.where(answers, late, NEVER), None, reason))

    for survey, when, share in ((2, company.PSYCHOGRAPHIC_SURVEY, 0.6), (3, company.PRICE_SURVEY, 0.35)):
        there = (
            (spells.code == 1)
            & (spells.start <= when)
            & (spells.end > when + DAY)
            & (spells.plan < company.SPORTS)
        )
        asked = np.flatnonzero(there & (rng.random(len(spells)) < share))
        who = spells.customer[asked]
        responds = rng.random(len(who)) < 0.46
        late = when + (rng.exponential(2.0, len(who)) * DAY).astype(np.int64) + 120
        sent = np.full(len(who), when)
        latent = people.latent[who]
        if survey == 2:
            for item in range(len(LIKERT)):
                agrees = rng.random(len(who)) < AGREES[latent, item]
                score = np.where(
                    agrees,
                    4 + (rng.random(len(who)) < 0.45),
                    1 + choose(rng, np.array([2, 3, 4.0]), len(who)),
                )
                answers = responds & (rng.random(len(who)) >= 0.07)
                rows.append(
                    _answers(who, 2, 2 + item, sent, np.where(answers, late, NEVER), score.astype(float))
                )
            answers = responds & (rng.random(len(who)) >= 0.07)
            viewing = choose(rng, WATCHES, latent)
            question = 2 + len(LIKERT)
            rows.append(_answers(who, 2, question, sent, np.where(answers, late, NEVER), None, 10 + viewing))
        else:
            level = rng.standard_normal(len(who)) * PRICE_SPREAD
            muddled = rng.random(len(who)) < 0.05
            named = np.array([PRICE_MEDIANS[latent, q] for q in range(4)])
            named = named * np.exp(level + rng.standard_normal(named.shape) * 0.06)
            named = np.where(muddled, named[::-1], np.sort(named, axis=0))
            for item in range(4):
                cents = np.round(named[item] * 2) / 2
                question = 3 + len(LIKERT) + item
                rows.append(_answers(who, 3, question, sent, np.where(responds, late, NEVER), cents))
            asked_at = sent, np.where(responds, late, NEVER)
            question = 3 + len(LIKERT) + len(PRICE_QUESTIONS)
            reserved = PRICE_MEDIANS[latent, 2] * np.exp(level)
            for item, price in enumerate(BUY_AT):
                rows.append(_answers(who, 3, question + item, *asked_at, (price <= reserved).astype(float)))
            question, choices = question + len(BUY_AT), chunk.stream("choices")
            for item, pair in enumerate(OFFERS):
                utility = np.array([0.0, *map(_utility, pair)]) + choices.gumbel(
                    size=(len(who), 1 + len(pair))
                )
                first_word = 10 + len(VIEWING)
                chosen = first_word + utility.argmax(axis=1)
                rows.append(_answers(who, 3, question + item, *asked_at, None, chosen))

    columns = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    order = np.lexsort((columns["question"], columns["sent"], ids[columns["customer"]]))
    columns = {name: values[order] for name, values in columns.items()}
    silent = columns["at"] >= NEVER
    buys = [f"buy at {price}" for price in BUY_AT]
    questions = ("recommend", "reason", *LIKERT, "viewing", *PRICE_QUESTIONS, *buys, *OFFER_QUESTIONS)
    words = [*EXIT_REASONS, *([""] * (10 - len(EXIT_REASONS))), *VIEWING, "0", "1", "2"]
    table = pa.table(
        {
            "customer_id": strings(ids, columns["customer"]),
            "survey": strings(("nps", "exit", "psychographic", "price"), columns["survey"]),
            "question": strings(questions, columns["question"]),
            "sent_at": times(columns["sent"]),
            "answered_at": times(columns["at"]),
            "score": pa.array(columns["score"], mask=silent | np.isnan(columns["score"])),
            "answer": strings(words, np.maximum(columns["answer"], 0), silent | (columns["answer"] < 0)),
        }
    )
    return table, scores


def _utility(offer: str) -> float:
    """What an offer of the price survey is worth, against none of them."""
    pairs = offer.split("; ")
    price = float(pairs[0].removeprefix("price="))
    return BUYING + PER_UNIT * (price - sum(WORTH.get(pair, 0.0) for pair in pairs[1:]))


def _answers(
    who: Array,
    survey: int,
    question: int,
    sent: Array,
    at: Array,
    score: Array | None,
    answer: Array | None = None,
) -> dict[str, Array]:
    size = len(who)
    return {
        "customer": who,
        "survey": np.full(size, survey),
        "question": np.full(size, question),
        "sent": sent,
        "at": at,
        "score": np.full(size, np.nan) if score is None else score,
        "answer": np.full(size, -1) if answer is None else answer,
    }


def tickets_table(chunk: Chunk, people: People, ids: Array, spells: Spells, ledger: Ledger) -> pa.Table:
    """The contract's `tickets`: more by the dissatisfied, and a wave on the day of the outage."""
    rng = chunk.stream("tickets")
    end = chunk.window.end
    base = np.flatnonzero((spells.code != 2)[ledger.spell] & (ledger.plan < company.SPORTS))
    rate = 0.055 * np.exp(-0.35 * people.satisfaction[ledger.customer[base]])
    row = np.repeat(base, rng.poisson(rate))
    span = ledger.stop[row] - ledger.begin[row]
    at = ledger.begin[row] + (rng.random(len(row)) * span).astype(np.int64)
    topic = choose(rng, np.array([0.30, 0.28, 0.22, 0.12, 0.08]), len(row))
    hit = np.flatnonzero((ledger.begin <= company.OUTAGE) & (ledger.stop > company.OUTAGE + DAY))
    hit = hit[(spells.code != 2)[ledger.spell[hit]] & (rng.random(len(hit)) < 0.03)]
    customer = np.concatenate([ledger.customer[row], ledger.customer[hit]])
    at = np.concatenate([at, company.OUTAGE + 15 * HOUR + rng.integers(0, 9 * HOUR, len(hit))])
    topic = np.concatenate([topic, np.ones(len(hit), dtype=np.int64)])
    closed = at + (rng.lognormal(2.6, 1.1, len(at)) * HOUR).astype(np.int64) + 300
    first = np.concatenate([(spells.code == 1)[ledger.spell[row]], np.zeros(len(hit), dtype=bool)])
    month = np.concatenate([ledger.month[row], np.zeros(len(hit), dtype=np.int64)])
    closed[_unresolved(chunk, people, customer, month, at, first)] = NEVER
    closed = np.where(closed < end, closed, NEVER)
    mood = 3.6 + 0.8 * people.satisfaction[customer] + rng.standard_normal(len(at))
    rated = (rng.random(len(at)) < 0.4) & (closed < NEVER)
    order = np.lexsort((topic, at, ids[customer]))
    return pa.table(
        {
            "ticket_id": pa.array(numbered_in(chunk, b"k", len(at))).cast(pa.string()),
            "customer_id": strings(ids, customer[order]),
            "opened_at": times(at[order]),
            "closed_at": times(closed[order]),
            "topic": strings(TOPICS, topic[order]),
            "satisfaction": whole(np.clip(np.round(mood), 1, 5)[order], ~rated[order]),
        }
    )


def _unresolved(
    chunk: Chunk, people: People, customer: Array, month: Array, at: Array, first: Array
) -> Array:
    """Which requests are never resolved: some of those that were a first one of a first paid spell.

    Lives are drawn already, so whether a request is resolved is drawn given the life: by Bayes' rule,
    renewal by renewal, from the share and the hazard ratio of the law. The risk `h` by the plan's law is
    the mean of those with and without, so no life's law changes.
    """
    law, rows = company.UNRESOLVED, np.flatnonzero(first & people.paying[customer])
    rows = rows[np.lexsort((at[rows], customer[rows]))]
    rows = rows[np.append(True, np.diff(customer[rows]) != 0)[: len(rows)]]
    who, opened = customer[rows], month[rows]
    share, months = np.full(len(rows), law["share"]), chunk.window.months + 2
    survival = np.ones((len(rows), months + 1))
    for plan in range(len(company.BASE_PLANS)):
        mine = people.plan[who] == plan
        survival[mine] = company.voluntary_survival(plan, months) ** people.hazard[who[mine]][:, None]
    for renewal in range(2, months + 1):
        there = (renewal > opened + 1) & (renewal <= people.life[who])
        risk = 1 - survival[:, renewal] / survival[:, renewal - 1]
        raised = np.minimum(law["hazard"] * risk / (1 + (law["hazard"] - 1) * share), 1)
        leaves = (people.life[who] == renewal) & (people.cause[who] == lives.VOLUNTARY)
        given = np.where(leaves, raised / np.maximum(risk, 1e-12), (1 - raised) / (1 - risk))
        share = np.where(there & (risk > 0), share * given, share)
    return rows[chunk.stream("unresolved").random(len(rows)) < share]
