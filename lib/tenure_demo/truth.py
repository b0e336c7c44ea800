"""What a perfect analyst would find in the simulated company, computed from its laws."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure_demo import answers, company, traces
from tenure_demo.company import Array, Window

FOREVER = 1_200
CAUSES = ("voluntary", "involuntary")


def make_truth(
    seed: int, customers: int, window: Window, total: dict[str, Any], spend: pa.Table
) -> dict[str, Any]:
    """The truth about a company, from its laws and from the mix of customers that was drawn.

    Args:
        seed: The company's seed.
        customers: How many signed up.
        window: The months covered.
        total: Counts over all chunks.
        spend: The company's spend, to divide by the customers it acquired.

    Returns:
        Sections of plain numbers and lists, each with its notes; see `truth.json`.
    """
    cells = total["cells"]
    months = window.months
    paying = int(cells.sum())
    return {
        "company": {
            "notes": "What was drawn. paying: customers with a first paid spell, without test accounts and "
            "complimentary subscriptions; left: those whose first paid spell ended within the data.",
            "seed": seed,
            "customers": customers,
            "months": months,
            "last_day": company.LAST_DAY.isoformat(),
            "reporting_currency": "EUR",
            "paying": paying,
            "left": total["left"],
            "test_accounts": total["test"],
            "complimentary": total["free"],
            "visits": total["visits"],
            "paying_by_plan": dict(zip(_plans(), cells.sum(axis=(1, 2, 3)).tolist(), strict=True)),
        },
        **_survival(cells, months),
        **_laws(cells),
        "trials": _trials(total),
        "behavior": _behavior(cells, months),
        "psychographic": _psychographic(),
        "price_research": _price_research(),
        "price_experiment": _price_experiment(total),
        "price_increase": {
            "notes": "On the date, list prices rise for sign-ups, and for existing customers from their "
            "next renewal on. It makes nobody leave; that share of the monthly customers it meets (who do "
            "not switch otherwise and whose price was not set by the experiment) takes the next cheaper "
            "plan at that renewal.",
            "date": _day(company.PRICE_INCREASE),
            "hazard_ratio": 1.0,
            "downgrade_probability": company.PRICE_INCREASE_DOWNGRADE,
            "before_minor": {plan.name: plan.price for plan in company.BASE_PLANS},
            "after_minor": {plan.name: plan.raised for plan in company.BASE_PLANS},
        },
        "retention_campaign": _campaign(
            total["retention"],
            company.DEVICES,
            "signup_device",
            "Customers in their first paid spell, half of them contacted. Retained: the spell is still on "
            "at the same time of day three months after the contact. Probabilities are means over all in "
            "the segment; uplift is their difference. Contact hurts those who signed up on a television.",
            {"campaign": company.RETENTION, "date": _day(company.RETENTION_AT), "days": 91},
        ),
        "offers_campaign": _offers(total["offers"]),
        "risk": {
            "notes": "In _truth/risk.parquet, for who is in a first paid spell at the end of these days, "
            "the law's probability to choose to leave within the months. It knows plan, channel, household, "
            "price and tenure, and not what a customer does; one in fifty who choose has no reason on "
            "record.",
            "days": [_day(at - company.DAY) for at in company.RISK_AT],
            "months": company.RISK_MONTHS,
        },
        "winback_campaign": _campaign(
            total["winback"],
            CAUSES,
            "cause of the first spell's end",
            "Customers whose first paid spell ended in the 180 days before and who had not come back, half "
            "of them contacted. The outcome is a new subscription within the days given.",
            {"campaign": company.WINBACK, "date": _day(company.WINBACK_AT), "days": company.WINBACK_DAYS},
        ),
        company.MESSAGE: _message(total["message"]),
        "natural_return": _natural_return(total["left"], total["failed"]),
        "second_life": _second_life(total["returned"], months),
        "acquisition": _acquisition(cells, total, spend),
        "nps": _nps(total["scores"]),
        "exit_survey": {
            "notes": "What everybody who leaves by choice and is asked would say, by latent class (of the "
            "psychographic survey), and the chance that who would say it answers: the reasons of those who "
            "answer are not those of all.",
            "says": {
                name: dict(zip(answers.EXIT_REASONS, answers.EXIT_SAYS[number].tolist(), strict=True))
                for number, name in enumerate(company.CLASSES)
            },
            "everybody": dict(
                zip(answers.EXIT_REASONS, _round(company.CLASS_SHARE @ answers.EXIT_SAYS), strict=True)
            ),
            "answers": dict(zip(answers.EXIT_REASONS, answers.EXIT_ANSWERS.tolist(), strict=True)),
        },
        "failed_payments": {
            "notes": "A charge that fails is tried again on the days given. One that is paid in the end is "
            "paid on a day that is uniform from 1 to 19 days later, or at the end of the month; one that is "
            "given up, after 8 to 21 days. Counts drawn, by the number of failed attempts; given_up also "
            "holds those that are not over yet. Reasons by end.",
            "retry_days": list(company.RETRY_DAYS),
            **{
                end: {
                    "episodes": total["episodes"][:, number].tolist(),
                    "reasons": dict(zip(company.FAILURES, company.FAILURES_IF[number].tolist(), strict=True)),
                }
                for number, end in enumerate(("recovered", "given_up"))
            },
        },
        "unresolved_tickets": {
            "notes": "The share of the first support requests of first paid spells that is never resolved "
            "(apart from that, requests are associated with satisfaction and are no cause), and by what it "
            "multiplies the risk to leave by choice at each renewal after the end of the month of life in "
            "which it was opened. Use that fades, satisfaction, NPS and the number of requests follow from "
            "the life; they are no causes.",
            **company.UNRESOLVED,
        },
        "purchases": {
            "notes": "One-off sales apart from the subscription, by customers who buy at all (counted from "
            "their first purchase). Time in weeks. BG/NBD: purchase rate gamma(r, rate alpha), chance to "
            "stop after each purchase beta(a, b). Gamma-Gamma: amounts in minor units are gamma(p) with a "
            "rate that is gamma(q, rate gamma) across customers, rounded down to whole minor units; "
            "independent of the rate.",
            "share_who_buy": company.PURCHASE_SHARE,
            "bg_nbd": company.PURCHASES,
            "gamma_gamma": company.SPENDING,
        },
        "loyalty": {
            "notes": "Points moved in all, as positive numbers except adjustments, which are net.",
            **dict(zip(("earned", "redeemed", "expired", "adjusted"), total["points"].tolist(), strict=True)),
        },
    }


def _plans() -> list[str]:
    return [plan.name for plan in company.BASE_PLANS]


def _day(second: int) -> str:
    return str(np.datetime64(second, "s").astype("datetime64[D]"))


def _round(values: Array) -> list[float]:
    return [round(float(value), 6) for value in values]


def _hazards() -> Array:
    """Hazard ratio of every cell but its plan: channel, household, price variant (0: none)."""
    price = np.concatenate([[1.0], company.price_hazard(company.VARIANT_PRICE)])
    return (
        company.CHANNEL_HAZARD[:, None, None] * company.HOUSEHOLD_HAZARD[None, :, None] * price[None, None, :]
    )


def _curves(cells: Array, months: int, ratio: float = 1.0) -> tuple[Array, Array, Array]:
    """Survival and incidences by choice and by failure, of every cell: its indices, then months."""
    shape = cells.shape
    curves = [company.incidence(plan, ratio * _hazards().ravel(), months) for plan in range(shape[0])]
    stays, chose, failed = (np.stack([curve[kind] for curve in curves]) for kind in range(3))
    full = (*shape, months + 1)
    return stays.reshape(full), chose.reshape(full), failed.reshape(full)


def _groups(cells: Array) -> dict[str, dict[str, Array]]:
    """Which cells make up each group, as weights."""
    by: dict[str, dict[str, Array]] = {"all": {"all": cells}, "plan": {}, "channel": {}, "household": {}}
    for axis, (name, values) in enumerate(
        (("plan", _plans()), ("channel", company.CHANNELS), ("household", company.HOUSEHOLDS))
    ):
        for number, value in enumerate(values):
            weights = np.zeros_like(cells)
            index = tuple(number if place == axis else slice(None) for place in range(cells.ndim))
            weights[index] = cells[index]
            by[name][value] = weights
    return by


def _mean(weights: Array, curve: Array) -> Array:
    total = weights.sum()
    return np.einsum("pchv,pchvt->t", weights, curve) / total if total else np.full(curve.shape[-1], np.nan)


def _survival(cells: Array, months: int) -> dict[str, Any]:
    ahead = max(months, 24)
    stays, chose, failed = _curves(cells, ahead)
    survival: dict[str, Any] = {}
    incidence: dict[str, Any] = {}
    median: dict[str, Any] = {}
    restricted: dict[str, Any] = {"12": {}, "24": {}}
    for by, members in _groups(cells).items():
        for name, weights in members.items():
            if not weights.sum():
                continue
            left = _mean(weights, chose)
            curve = _mean(weights, stays)
            where = survival if by in ("all", "plan") else survival.setdefault(f"by_{by}", {})
            where[name] = _round(curve[1 : months + 1])
            target = incidence if by in ("all", "plan") else incidence.setdefault(f"by_{by}", {})
            target[name] = {
                "voluntary": _round((left * (1 - company.UNKNOWN_REASON))[1 : months + 1]),
                "involuntary": _round(_mean(weights, failed)[1 : months + 1]),
                "unknown": _round((left * company.UNKNOWN_REASON)[1 : months + 1]),
            }
            below = np.flatnonzero(curve <= 0.5)
            median[name] = int(below[0]) if len(below) else None
            for horizon in (12, 24):
                restricted[str(horizon)][name] = round(float(curve[:horizon].sum()), 6)
    return {
        "survival": {
            "notes": "S(t) for t = 1, 2, … months: the probability that a first paid spell lasts more than "
            "t months. An end exactly at the t-th monthly anniversary counts as month t. Under each plan "
            "(the plan at the start), under 'all', and under by_channel and by_household; exact means over "
            "the customers drawn. Without test accounts and complimentary subscriptions.",
            **survival,
        },
        "cumulative_incidence": {
            "notes": "Probability to have left by month t for each cause; with S(t) they sum to 1. Of those "
            "who chose to leave, one in fifty is recorded with the reason unknown.",
            **incidence,
        },
        "median_months": {
            "notes": "The first month t with S(t) <= 0.5; null where it is not reached within the months "
            "looked at.",
            **median,
        },
        "restricted_mean_months": {
            "notes": "Area under the step function S from 0 to 12 and to 24 months: S(0) + S(1) + … + S(11), "
            "and so on.",
            **restricted,
        },
        "hazard_ratios": {
            "notes": "Multiply the hazards of both causes, given all the others and the plan (S to that "
            "power). No other attribute (country, city_size, gender, birth_year, signup_device) has any "
            "effect. Unadjusted ratios differ: channels bring other plans.",
            "channel": dict(zip(company.CHANNELS, company.CHANNEL_HAZARD.tolist(), strict=True)),
            "household": dict(zip(company.HOUSEHOLDS, company.HOUSEHOLD_HAZARD.tolist(), strict=True)),
        },
    }


def _laws(cells: Array) -> dict[str, Any]:
    """The beta-geometric parameters, and expected residual lifetimes after renewals."""
    rate = 0.10
    laws = {}
    lifetimes = {}
    for number, plan in enumerate(company.BASE_PLANS):
        laws[plan.name] = {"alpha": plan.alpha, "beta": plan.beta, "interval_months": plan.interval}
        discount = (1 + rate) ** (-np.arange(FOREVER // plan.interval + 1) * plan.interval / 12)
        hazards = np.broadcast_to(_hazards(), cells.shape[1:]).ravel()
        weights = cells[number].ravel()
        baseline = company.voluntary_survival(number, FOREVER)[:: plan.interval]
        stays = company.incidence(number, hazards, FOREVER)[0][:, :: plan.interval]
        curves = {"baseline_voluntary": baseline}
        if weights.sum():
            curves["drawn_all_causes"] = weights @ stays / weights.sum()
        lifetimes[plan.name] = {
            name: _round(
                np.array(
                    [(curve[n:] / curve[n - 1] * discount[: len(curve) - n]).sum() for n in range(1, 13)]
                )
            )
            for name, curve in curves.items()
        }
    return {
        "shifted_beta_geometric": {
            "notes": "The probability not to renew is beta(alpha, beta) across baseline customers (organic, "
            "single, list price), apart from failed payments; a period is a billing interval. With a hazard "
            "ratio h the survival is that of the baseline to the power h, so a plan's mixture of customers "
            "is close to a shifted beta-geometric curve but not one.",
            **laws,
            "involuntary_monthly_hazard": company.INVOLUNTARY,
        },
        "expected_residual_lifetime": {
            "notes": "Discounted expected residual lifetime in billing intervals, at 10 % a year, of a "
            "customer who is about to make the 1st, 2nd, … 12th renewal decision: sum over t >= n of "
            "S(t)/S(n-1) / (1+d)^(t-n), the payment at the decision undiscounted. baseline_voluntary: the "
            "beta-geometric law alone; drawn_all_causes: the customers drawn, payment failures included, to "
            "100 years.",
            **lifetimes,
        },
    }


def _trials(total: dict[str, Any]) -> dict[str, Any]:
    ended, paid = total["trials"]
    return {
        "notes": "Trials that have ended: the probability to go on to pay, and what was drawn.",
        **{
            f"{days}_days": {
                "conversion": float(chance),
                "ended": int(ended[days]),
                "converted": int(paid[days]),
            }
            for days, chance in zip(company.TRIAL_DAYS, company.TRIAL_CONVERSION, strict=True)
        },
    }


def _behavior(cells: Array, months: int) -> dict[str, Any]:
    """Survival by planted group: leaving by choice and the group share a Farlie-Gumbel-Morgenstern tie."""
    shares = company.group_shares()
    chose_not = np.stack(
        [
            company.voluntary_survival(plan, months) ** _hazards().ravel()[:, None]
            for plan in range(cells.shape[0])
        ]
    ).reshape(*cells.shape, months + 1)
    stays = _curves(cells, months)[0]
    profiles = {}
    for number, name in enumerate(company.GROUPS):
        weights = cells * shares[:, number][None, None, :, None]
        curve = stays * (1 - company.GROUP_TIE[number] * (1 - chose_not))
        profiles[name] = {
            "share": round(float(weights.sum() / max(cells.sum(), 1)), 6),
            "sessions_a_month": float(traces.SESSIONS[number]),
            "categories": dict(zip(traces.CATEGORIES, traces.TASTE[number].tolist(), strict=True)),
            "platforms": dict(zip(traces.PLATFORMS, traces.ON_PLATFORM[number].tolist(), strict=True)),
            "survival": _round(_mean(weights, curve)[1:]),
        }
    return {
        "notes": "The behavioral groups planted, by customer in _truth/groups.parquet: share of paying "
        "customers, usual sessions a month before season, tenure and the fade before leaving, shares of "
        "plays by category and of events by platform, and S(t) by month. Exact but for the retention "
        "campaign, which moves a group's S(t) by less than 0.005.",
        **profiles,
    }


def _psychographic() -> dict[str, Any]:
    return {
        "notes": "Latent classes of the psychographic survey, by customer in _truth/groups.parquet, "
        "independent of leaving: share, chance to agree (4 or 5) with each item, and chances of the answers "
        "to 'viewing'. Of those asked 46 % answer, and of their answers 7 % are missing, both at random.",
        **{
            name: {
                "share": float(company.CLASS_SHARE[number]),
                "agrees": dict(zip(answers.LIKERT, answers.AGREES[number].tolist(), strict=True)),
                "viewing": dict(zip(answers.VIEWING, answers.WATCHES[number].tolist(), strict=True)),
            }
            for number, name in enumerate(company.CLASSES)
        },
    }


def _price_research() -> dict[str, Any]:
    return {
        "notes": "Van Westendorp answers in units of the customer's currency: medians by latent class, "
        "log-normal with the spread given, rounded to halves; one in twenty answers in reverse order.",
        "medians": {
            name: dict(zip(answers.PRICE_QUESTIONS, answers.PRICE_MEDIANS[number].tolist(), strict=True))
            for number, name in enumerate(company.CLASSES)
        },
        "log_spread": round(float(np.hypot(answers.PRICE_SPREAD, 0.06)), 6),
        "incoherent_share": 0.05,
        "would_buy": {
            "notes": "Shares who would buy at a price: those whose own 'expensive' is not below it.",
            **{str(price): round(_would_buy(price), 6) for price in answers.BUY_AT},
        },
        "willingness_to_pay": {
            "notes": "Worth in units of currency, of offers in the choices; a multinomial logit with the "
            "coefficient of price given.",
            "price_coefficient": answers.PER_UNIT,
            **answers.WORTH,
        },
    }


def _would_buy(price: float) -> float:
    """The share of those asked whose price for "expensive" is at least so high."""
    from scipy.special import ndtr

    distance = np.log(answers.PRICE_MEDIANS[:, 2] / price) / answers.PRICE_SPREAD
    return float(company.CLASS_SHARE @ ndtr(distance))


def _price_experiment(total: dict[str, Any]) -> dict[str, Any]:
    channel = company.channel_given_standard()
    hazards = (company.CHANNEL_HAZARD[:, None] * company.HOUSEHOLD_HAZARD[None, :]).ravel()
    mix = (channel[:, None] * company.HOUSEHOLD_SHARE[None, :]).ravel()

    def value(price_minor: Array, horizon: int, churn: bool = True) -> Array:
        ratio = company.price_hazard(price_minor) if churn else np.ones(len(price_minor))
        kept = np.zeros((len(price_minor), horizon))
        for hazard, weight in zip(hazards, mix, strict=True):
            kept += weight * company.incidence(company.STANDARD, ratio * hazard, horizon)[0][:, :horizon]
        discounted = (kept / (1 + company.MONTHLY_DISCOUNT_RATE) ** np.arange(horizon)).sum(axis=1)
        return company.conversion(price_minor) * (price_minor / 100 - company.UNIT_COST) * discounted

    prices = np.arange(400, 4001)
    tested = company.VARIANT_PRICE
    best = {}
    for horizon in (12, 24, 36):
        right = prices[value(prices, horizon).argmax()]
        naive = prices[value(prices, horizon, churn=False).argmax()]
        values = value(tested, horizon)
        best[f"{horizon}_months"] = {
            "best_price_minor": int(right),
            "best_price_minor_if_churn_is_ignored": int(naive),
            "best_variant": company.VARIANTS[int(values.argmax())],
            "value_per_visitor": dict(zip(company.VARIANTS, _round(values), strict=True)),
            "value_per_visitor_at_best_price": round(float(value(np.array([right]), horizon)[0]), 6),
            "value_per_visitor_if_churn_is_ignored": round(float(value(np.array([naive]), horizon)[0]), 6),
        }
    return {
        "notes": "Visitors shown one of four prices of Standard, each with the same chance. Conversion: 1 / "
        "(1 + exp(-(a - b p))), p in currency units. Price multiplies the hazard of leaving by exp(g (p - "
        "control's p)) for the whole spell. Value per visitor in currency units: conversion x (price - unit "
        "cost a month) x sum of S(t) / (1 + d)^t over t = 0 … horizon - 1, for the expected mix of channels "
        "and households. Best prices are to the minor unit.",
        "experiment": company.EXPERIMENT,
        "from": _day(company.EXPERIMENT_FROM),
        "to": _day(company.EXPERIMENT_TO),
        "conversion": {"a": company.CONVERSION_A, "b": company.CONVERSION_B},
        "hazard": {"g": company.PRICE_HAZARD},
        "unit_cost_a_month": company.UNIT_COST,
        "discount_rate_a_month": company.MONTHLY_DISCOUNT_RATE,
        "variants": {
            name: {
                "price_minor": int(price),
                "conversion": round(float(company.conversion(price)), 6),
                "hazard_ratio": round(float(company.price_hazard(price)), 6),
                "visitors": int(total["assigned"][number]),
                "subscribed": int(total["subscribed"][number]),
            }
            for number, (name, price) in enumerate(zip(company.VARIANTS, company.VARIANT_PRICE, strict=True))
        },
        **best,
    }


def _campaign(
    arms: Array, segments: tuple[str, ...], by: str, notes: str, facts: dict[str, Any]
) -> dict[str, Any]:
    return {"notes": notes, **facts, "by": by, **_by_segment(arms, segments)}


def _by_segment(arms: Array, segments: tuple[str, ...]) -> dict[str, Any]:
    def entry(column: Array) -> dict[str, Any]:
        treated, held_out, with_, without = column.tolist()
        everyone = treated + held_out
        if not everyone:
            return {"treated": 0, "held_out": 0}
        return {
            "treated": int(treated),
            "held_out": int(held_out),
            "probability_if_treated": round(with_ / everyone, 6),
            "probability_if_held_out": round(without / everyone, 6),
            "uplift": round((with_ - without) / everyone, 6),
        }

    return {
        "all": entry(arms.sum(axis=1)),
        "segments": {name: entry(arms[:, number]) for number, name in enumerate(segments)},
    }


def _message(arms: Array) -> dict[str, Any]:
    """The message that asked customers to come back, by days since paid service ended, and by cause too."""
    arms = arms.reshape(len(arms), len(CAUSES), -1)
    since = tuple(f"{low + 1} to {high}" for low, high in pairwise([0, *company.MESSAGE_SINCE]))
    found = _campaign(
        arms.sum(axis=1),
        since,
        "days since paid service ended",
        "Customers whose first paid spell ended in the 180 days before (by the calendar), who had not come "
        "back, and whom the company no longer tried to charge; half of them contacted, by a message without "
        "an offer. The outcome is a new subscription within the days given. For the contacted its chance is "
        "that of natural_return, for who has not come back by then, times 1 + u, and for those held out "
        "times 1 - u: the arms together return by that law, neither does alone. On which of the days, and "
        "how long the second life is, do not depend on it. Probabilities are means over all in the segment.",
        {"campaign": company.MESSAGE, "date": _day(company.MESSAGE_AT), "days": company.MESSAGE_DAYS},
    )
    return {
        **found,
        "u": dict(zip(since, company.MESSAGE_EFFECT.tolist(), strict=True)),
        "by_cause": {cause: _by_segment(arms[:, number], since) for number, cause in enumerate(CAUSES)},
    }


def _natural_return(left: int, failed: int) -> dict[str, Any]:
    """How many come back by themselves, by days since paid service ended."""
    after = [30, 90, 180, 365]
    chose = company.returned(np.array(after), 0)
    tried = np.mean([company.returned(np.array(after) - days, 1) for days in company.GIVEN_UP], axis=0)
    share = failed / left if left else 0.0
    curves = {"voluntary": chose, "involuntary": tried, "all": (1 - share) * chose + share * tried}
    return {
        "notes": "The share who ever come back by themselves, by cause of the first end ('unknown' is "
        "voluntary), and when: wait_days after paid service and all attempts to charge have ended, and "
        "an exponential time of mean_days later. Attempts end on one of the given_up_days after paid "
        "service, each with the same chance. returned: the share by so many days after paid service ended; "
        "all: with the causes as they were drawn. It is the law until a campaign concerns a customer. Both "
        "arms of winback_2025 follow winback_campaign within its days and never return after them, so count "
        "them up to its day only; both arms of winback_2026 together follow the law, neither does alone.",
        "share": dict(zip(CAUSES, company.RETURN_SHARE.tolist(), strict=True)),
        "wait_days": company.RETURN_WAIT,
        "mean_days": company.RETURN_MEAN,
        "given_up_days": [company.GIVEN_UP.start, company.GIVEN_UP.stop - 1],
        "returned": {
            cause: dict(zip(map(str, after), _round(curve), strict=True)) for cause, curve in curves.items()
        },
    }


def _second_life(returned: Array, months: int) -> dict[str, Any]:
    """How long those stay who came back."""
    stays = _curves(returned, months, company.RETURN_HAZARD)[0]
    groups = _groups(returned)
    members = {**groups["all"], **groups["plan"]}
    return {
        "notes": "Who comes back chooses a plan anew. The hazards of both causes, at each age of the second "
        "life, are those of the same person in a first life on that plan, times the ratio. survival: S(t) "
        "for t = 1, 2, … months as for first spells, by the plan chosen; exact means over those who came "
        "back. A pause does not stop the clock; in second lives it lasts up to five months, and who counts "
        "a long one as an end finds shorter lives. The half price of two months that some got in "
        "winback_2025 changes no life.",
        "hazard_ratio": company.RETURN_HAZARD,
        "plan_shares": dict(zip(_plans(), company.RETURN_PLANS.tolist(), strict=True)),
        "returned": int(returned.sum()),
        "survival": {
            name: _round(_mean(weights, stays)[1:]) for name, weights in members.items() if weights.sum()
        },
    }


def _offers(offers: Array) -> dict[str, Any]:
    """How likely customers were to stay with each offer, held out, and held out in name only."""
    names = [*company.OFFER_NAMES, "held out", "held out, contacted all the same"]
    size = offers[0].sum()
    entries = {
        name: {
            "customers": int(count),
            "probability": round(stays / size, 6) if size else None,
            "risk_to_leave": round(float(risk), 6),
        }
        for name, count, stays, risk in zip(names, *offers.tolist(), company.OFFER_RISK, strict=True)
    }
    return {
        "notes": "Customers in their first paid spell, a third of them held out, of whom one in twenty "
        "got the first offer all the same. Probability: of being there 91 days after the contact, "
        "over all in the campaign, whatever they got. Risk to leave: of leaving by "
        "choice, times that by the plan's law.",
        "campaign": company.OFFERS_CAMPAIGN,
        "date": _day(company.OFFERS_AT),
        "days": 91,
        "cost_minor": dict(zip(company.OFFER_NAMES, company.OFFER_COSTS, strict=True)),
        "incentive_minor": dict(zip(company.OFFER_NAMES, company.OFFER_INCENTIVES, strict=True)),
        "arms": entries,
    }


def _acquisition(cells: Array, total: dict[str, Any], spend: pa.Table) -> dict[str, Any]:
    spent = spend.group_by("channel").aggregate([("amount_minor", "sum")])
    amounts = dict(zip(spent["channel"].to_pylist(), spent["amount_minor_sum"].to_pylist(), strict=True))
    won = cells.sum(axis=(0, 2, 3))
    return {
        "notes": "By channel: money spent over all days in EUR minor units, customers who signed up, "
        "customers who paid at least once (no test accounts, no complimentary ones), and spend for each of "
        "the latter.",
        **{
            name: {
                "spend_minor": int(amounts.get(name, 0)),
                "signed_up": int(total["signups"][number]),
                "paying": int(won[number]),
                "cac_minor": round(amounts[name] / int(won[number]), 2)
                if name in amounts and won[number]
                else None,
            }
            for number, name in enumerate(company.CHANNELS)
        },
        "total_spend_minor": int(pc.sum(spend["amount_minor"]).as_py() or 0),
    }


def _nps(scores: Array) -> dict[str, Any]:
    def score(counts: Array) -> float | None:
        return round(100 * float(counts[0] - counts[2]) / float(counts.sum()), 4) if counts.sum() else None

    asked, answered = scores[:, 0], scores[:, 1]
    return {
        "notes": "Net promoter score over all invitations: what everybody asked would have said, and what "
        "those who answered said. The satisfied answer more often, so the second is too high.",
        "everyone_asked": score(asked),
        "who_answered": score(answered),
        "invitations": int(asked.sum()),
        "answers": int(answered.sum()),
    }
