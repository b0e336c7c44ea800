"""The choices that decide what a subscription metric means, as one small versioned record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from tenure.errors import InputError


class Gaps(NamedTuple):
    """The days that may lie between two contracts of one spell, by the length of the term that ended.

    Terms of up to a month have those of a `month`, terms of a year and longer those of a `year`; in between,
    a year's days in proportion, rounded down, and never less than a month's.

    Example:
        >>> Gaps().year
        14
    """

    month: int = 1
    year: int = 14


_GAPS = Gaps()


@dataclass(frozen=True)
class MetricPolicy:
    """How spans of subscriptions become recurring revenue, and customers who stay or leave.

    Two dashboards of one company disagree because of choices like these, so every report prints the
    policy it used. Some things are no choice: one-off sales, set-up fees, tax, proration and refunds are
    never recurring revenue, free and test accounts are never paying customers, and a term is what its
    count of months says, never what it is called.

    Attributes:
        version: Raised whenever a field's meaning changes.
        trials: What a running trial adds: "zero", or "full", the price that it leads to.
        cancel: A customer who has canceled counts until the "end" of the service, or only until the
            "request".
        gap_days: A new span that begins within this many days continues the lifetime, by the length of the
            term that ended (see `Gaps`); one number is for all terms.
        pauses: What a paused subscription adds: "zero", or "full" as if it ran on.
        pause_days: A pause longer than this is churn, dated when these days are over; None: never.
        hold_days: Days for which a customer may pay nothing in the middle of a paid life, at a price or a
            discount that makes it free or in a trial, without having left; None: any number.
        grace_days: Days for which a subscription past due still counts; None: as long as it is past due.
        unpaid: If it is not paid by then, or ends unpaid, the customer left involuntarily: when "paid"
            service ended, or when the grace or the subscription came to its "end".
        discounts: Which discounts lower the revenue while a span has them, by how long they were granted
            for: "running", all but those on a single bill; "forever", those without an end; "all"; or "none".
            One of unknown duration counts as granted for some time.
        usage: Usage charges, as a mean of three months: "apart" from recurring revenue, "included" in it, or
            "alone": included for customers who pay nothing else, and apart for the others.
        weeks_per_year: 52 makes a weekly price 52/12 a month.
        days_per_year: 365 makes a daily price 365/12 a month.
        unit: Who is new or lost: the "customer", the "account" with all that belong to it, or each
            "subscription" by itself.
        reactivation_days: A customer who returns later than this counts as new; None: never.
        churn_base: Logo churn is divided by the customers at the period's "start", or by those and the
            new ones, "start_and_new".

    Example:
        >>> MetricPolicy(gap_days=2).gap_days
        Gaps(month=2, year=2)
        >>> MetricPolicy().digest() == MetricPolicy(gap_days=2).digest()
        False
    """

    version: int = 2
    trials: Literal["zero", "full"] = "zero"
    cancel: Literal["end", "request"] = "end"
    gap_days: Gaps = _GAPS
    pauses: Literal["zero", "full"] = "zero"
    pause_days: int | None = 90
    hold_days: int | None = 90
    grace_days: int | None = 30
    unpaid: Literal["paid", "end"] = "paid"
    discounts: Literal["running", "forever", "all", "none"] = "running"
    usage: Literal["apart", "alone", "included"] = "alone"
    weeks_per_year: int = 52
    days_per_year: int = 365
    unit: Literal["customer", "account", "subscription"] = "customer"
    reactivation_days: int | None = None
    churn_base: Literal["start", "start_and_new"] = "start"

    def __post_init__(self) -> None:
        given: Any = self.gap_days
        if isinstance(given, int):
            object.__setattr__(self, "gap_days", Gaps(given, given))

    def digest(self) -> str:
        """Return a short hash of the policy, to compare the policies of two reports."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


# The discounts that each choice takes off; those of unknown duration are taken for repeating ones.
DISCOUNTS = {
    "running": ("repeating", "forever"),
    "forever": ("forever",),
    "all": ("once", "repeating", "forever"),
    "none": (),
}

# The order in which a bridge changes the rules: who counts, then how much, then whom and by what.
RULES = {
    "trials": "trials",
    "cancel": "when a cancellation counts",
    "gap_days": "gaps that are bridged",
    "pauses": "paused subscriptions",
    "pause_days": "how long a pause may last",
    "hold_days": "how long a customer may pay nothing",
    "grace_days": "how long past due counts",
    "unpaid": "when unpaid service ended",
    "discounts": "discounts",
    "usage": "usage charges",
    "weeks_per_year": "months in a week",
    "days_per_year": "months in a day",
    "unit": "customers, accounts or subscriptions",
    "reactivation_days": "how long one may be away",
    "churn_base": "what churn is divided by",
}


def chartmogul_like() -> MetricPolicy:
    """Return a policy after ChartMogul's published defaults.

    A subscription past due, and one paused in Stripe, GoCardless or Chargebee, goes on adding MRR until
    it is canceled; churn is dated when the subscription ends in the billing system, and divided by the
    customers at the start of the period.

    Source: ChartMogul Help Center, "Handling past-due subscriptions", "Handling paused subscriptions in
    ChartMogul", "Churn recognition" and "Churn rate formulas" (standard formula), read in 2026.

    Example:
        >>> chartmogul_like().grace_days is None
        True
    """
    return MetricPolicy(
        gap_days=Gaps(0, 0),
        pauses="full",
        pause_days=None,
        hold_days=0,
        grace_days=None,
        unpaid="end",
        usage="apart",
    )


def stripe_like() -> MetricPolicy:
    """Return a policy after the published rules of Stripe's Billing analytics.

    Active and past-due subscriptions count until they are canceled or marked unpaid; pausing collection
    leaves a subscription active. Trials, taxes, free plans and metered prices do not count. A coupon that
    runs for ever lowers MRR, one of finite duration leaves it as it is. Churned subscribers are divided by
    those active 30 days ago plus the new ones.

    Source: Stripe Docs, "Billing metric definitions"; Stripe Support, "Billing Analytics" and
    "Calculating churn rate in Billing", read in 2026.

    Example:
        >>> stripe_like().churn_base
        'start_and_new'
    """
    return replace(chartmogul_like(), discounts="forever", churn_base="start_and_new")


def profitwell_like() -> MetricPolicy:
    """Return a policy after ProfitWell Metrics' published rules.

    Revenue counts until the end of the billing cycle. A customer past due is active within the dunning
    window (15 days at least are recommended), then churned. A subscription on hold adds nothing, discounts
    always lower MRR, metered billing belongs to it, and whoever comes back at any time is a reactivation.

    Source: Paddle Help, "ProfitWell vs Recurly", "ProfitWell vs Chargebee" and "ProfitWell FAQs for Paddle
    users", read in 2026.

    Example:
        >>> profitwell_like().usage
        'included'
    """
    return MetricPolicy(
        gap_days=Gaps(0, 0),
        pause_days=None,
        hold_days=0,
        grace_days=15,
        unpaid="end",
        usage="included",
        discounts="all",
    )


def maxio_like() -> MetricPolicy:
    """Return a policy after Maxio's (formerly Chargify's) published rules.

    MRR goes when the customer cancels, a subscription on hold goes on adding to it, usage is a category of
    its own, and whoever comes back after more than 90 days is new.

    Source: Paddle Help, "ProfitWell vs Maxio", read in 2026.

    Example:
        >>> maxio_like().reactivation_days
        90
    """
    return replace(chartmogul_like(), cancel="request", reactivation_days=90)


POLICIES = {
    "tenure": MetricPolicy,
    "chartmogul_like": chartmogul_like,
    "stripe_like": stripe_like,
    "profitwell_like": profitwell_like,
    "maxio_like": maxio_like,
}


def named(name: str, own: Mapping[str, Any] | None = None) -> MetricPolicy:
    """Return the policy of that name.

    Args:
        name: One of `POLICIES`.
        own: A company's own rules, which replace those of "tenure": fields of `MetricPolicy`, of which
            gap_days may be a number or a mapping such as ``{"month": 1, "year": 14}``.

    Raises:
        InputError: There is none, or a rule is not as it should be.

    Example:
        >>> named("tenure") == MetricPolicy()
        True
    """
    if name not in POLICIES:
        raise InputError(f"There is no policy {name!r}; Fix: use one of {', '.join(POLICIES)}.")
    policy = POLICIES[name]()
    if name != "tenure" or not own:
        return policy
    from pydantic import TypeAdapter, ValidationError

    from tenure.settings import in_words, shown

    rules: dict[str, Any] = {**asdict(policy), **own}
    gaps = rules["gap_days"]
    gaps = dict.fromkeys(Gaps._fields, gaps) if isinstance(gaps, int | str) else gaps
    rules["gap_days"] = {**Gaps()._asdict(), **gaps} if isinstance(gaps, dict) else gaps
    known = f"Fix: the rules are {', '.join(RULES)}."
    if unknown := sorted(set(own) - set(RULES)):
        raise InputError(f"company.yml: rules.{unknown[0]}: there is no such rule. {known}")
    try:
        checked = TypeAdapter(MetricPolicy).validate_python(rules)
    except ValidationError as error:
        found = error.errors()[0]
        place, said = ".".join(map(str, found["loc"])), in_words(found["msg"])
        raise InputError(f"company.yml: rules.{place} is {shown(found['input'])}; {said}. {known}") from None
    numbers = asdict(checked) | {
        f"gap_days.{term}": days for term, days in checked.gap_days._asdict().items()
    }
    for rule, number in numbers.items():
        least = int(rule.endswith("per_year"))
        if isinstance(number, int) and not least <= number <= 36_500:
            says = f"it should be between {least} and 36,500"
            raise InputError(f"company.yml: rules.{rule} is {number}; {says}. Fix: correct it.")
    return checked


def steps(start: MetricPolicy, end: MetricPolicy) -> Iterator[tuple[str, MetricPolicy]]:
    """Yield the policies on the way from one to another, one rule at a time, each with its rule's name.

    The order is that of `RULES`, always the same, so that a bridge's parts are too. With another order the
    parts differ a little where two rules touch the same customers; their sum never does.

    Example:
        >>> [rule for rule, _ in steps(MetricPolicy(), profitwell_like())]
        ['gaps that are bridged', 'how long a pause may last', 'how long a customer may pay nothing', \
'how long past due counts', 'when unpaid service ended', 'discounts', 'usage charges']
    """
    now = start
    for field, rule in RULES.items():
        if getattr(now, field) != getattr(end, field):
            now = replace(now, **{field: getattr(end, field)})
            yield rule, now


def one_rule_apart(policy: MetricPolicy) -> dict[str, MetricPolicy]:
    """Return policies with one other rule for what a customer pays, in the order of `RULES`, then the named.

    A rule's other values are those that it may take; of a number of days, those of the named policies.

    Example:
        >>> list(one_rule_apart(MetricPolicy()))[:3]
        ['trials: full', 'when a cancellation counts: request', 'gaps that are bridged: 0 days']
    """
    kinds, known = get_type_hints(MetricPolicy), [make() for make in POLICIES.values()]
    same = {field: getattr(policy, field) for field in ("unit", "reactivation_days", "churn_base")}
    found: dict[str, MetricPolicy] = {}
    for field, rule in RULES.items():
        values = get_args(kinds[field]) if get_origin(kinds[field]) is Literal else ()
        for value in dict.fromkeys(values or (getattr(other, field) for other in known)):
            if field not in same and value != getattr(policy, field):
                days = " to ".join(map(str, sorted(set(value)))) if isinstance(value, Gaps) else value
                said = "no limit" if value is None else f"{days} days" if field.endswith("days") else value
                found[f"{rule}: {said}"] = replace(policy, **{field: value})
    whole = {f"all rules of {n}": replace(p, **same) for n, p in zip(POLICIES, known, strict=True)}
    return found | {name: other for name, other in whole.items() if other != policy}
