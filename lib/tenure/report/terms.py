"""The words of the trade, each in one plain sentence."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from tenure.errors import InputError
from tenure.report.display import GLOSSARY, show
from tenure.report.words import say, translated

# A line a term, and what it means; lines that follow are indented.
_CATALOG = """
adjusted Rand index: How far two ways of grouping the same customers agree: 1 wholly, 0 as by chance.
at-renewal churn: Of the terms that were up for renewal in a period, the share that was not renewed.
at risk: Customers who are still subscribed and under observation when a period begins, so that their
    leaving in it would be seen.
ARPA: Average revenue per account: monthly recurring revenue divided by the number of paying customers.
backtest: Fitting a model to what was known on an earlier day, and comparing what it predicts with what
    happened after it.
break-even churn: The share of customers that may leave at a price increase before it loses money.
CAC: What it costs to acquire a customer: money spent on acquiring customers, divided by the customers
    acquired.
censoring: Not having seen the end: a customer who is still subscribed today has stayed at least this long,
    and counts for exactly that much.
churn: Customers, or their recurring revenue, that were there when a period began and have left in it.
churn curve: The share of customers who are still subscribed after each period of their subscription; also
    called a survival curve.
CLV: Customer lifetime value, what a customer is worth over the time they stay; the same as LTV.
cohort: Customers who started in the same period and are followed together.
committed revenue: Recurring revenue from customers who have not asked to leave.
confidence interval: The range of values that agree with the data; ranges made this way miss the true value
    once in twenty times when they are 95% intervals.
constant currency: Amounts of both times at the same exchange rates, so that a change is the customers' and
    not the rates'.
contraction: Recurring revenue that existing customers gave up without leaving, by a cheaper plan, fewer
    seats or ending one of several subscriptions.
control: The variant that others are compared with: in an experiment on prices, today's price.
conversion: The share of visitors who become subscribers.
cumulative incidence: The share of customers who have left for a given reason by a given period, when
    leaving for any other reason takes them away first.
customer equity: What all of today's customers together are worth: the margin that is expected of them from
    now on, discounted.
discounting: Counting money that comes later for less, because money in hand could earn something until
    then.
effect size: How far a group's average is from that of all others, in standard deviations; 0.2 is small and
    0.8 large.
exclusion ledger: The list of rows that do not count in the numbers, with the reason and the amount for
    each.
expansion: Recurring revenue that existing customers added, by more seats, more products or a more expensive
    plan.
expected loss: What a choice loses on average if it is the wrong one: how likely it is to be wrong, times by
    how much.
Gini coefficient: How unevenly revenue is spread over customers: 0 if all pay alike, near 1 if one pays all.
gross revenue retention: Of the recurring revenue of twelve months ago, the share that the same customers
    still pay, not counting what they added; never above 100%.
hazard: Of those still subscribed when a period begins, the share who leave in it.
hazard ratio: How many times as likely customers of one kind are to leave in a period as those they are
    compared with: 1 is alike, 0.5 is half as likely.
holdout: Customers left out of a campaign by chance, to show what would have happened without it.
immature cohort: A cohort that is too young to have been observed for the whole period; its cell is left
    empty.
involuntary churn: Leaving without having decided to, mostly because a payment failed.
Jaccard similarity: Of the customers who are in either of two groups, the share who are in both.
latent class: A group of people with the same chances to give each answer of a survey; nobody states it, it
    is inferred.
left truncation: Customers who left before the data begins are not in it, so those who were there already
    count only from that day on.
lift: The relative difference from the control: +5% is a twentieth more.
logo churn: Customers who left in a period, divided by the paying customers when it began.
log-rank test: A test of whether groups leave at the same rate, over all the time they were observed.
LTV: What a customer is worth over the time they stay: the margin of all future payments, later ones
    discounted.
median tenure: The time by which half of the customers have left; not reached while more than half remain.
medoid: The member of a group who is nearest to all its other members: its most typical one.
MRR: Monthly recurring revenue: what all running subscriptions bring in a month, before tax and without
    one-off charges.
net revenue retention: Recurring revenue today from the customers of twelve months ago, divided by what they
    paid then; above 100% they have grown.
new revenue: Recurring revenue from customers who had never paid before.
NPS: Net promoter score: the percentage who answer 9 or 10 to whether they would recommend, less the
    percentage who answer 0 to 6.
optimal price point: In the price meter, the price that as many people call too cheap as too expensive.
payback: The first month in which the margin of a group of customers covers what it cost to acquire them.
percentage point: The difference of two percentages: from 4% to 5% is one point, and a quarter more.
p-value: How often chance alone would give a difference at least this large if there were none; it says
    nothing about how large the difference is.
prediction strength: Of customers that belong together, the share that groups found in other customers keep
    together.
price elasticity: By how many percent demand changes when the price rises by one percent.
probability alive: The chance that a customer who buys without a contract is still a customer, judged by how
    often and how recently they bought.
quick ratio: Recurring revenue gained in a period, new, back or added, divided by the revenue lost in it.
reactivation: A customer who had left and pays again.
restatement: A past number that reads otherwise now than when it was published, because the data or the
    rules have changed.
restricted mean tenure: The average time subscribed within a given horizon, counting those who stay longer
    as having stayed until it.
retention: The share of customers, or of their revenue, that is still there after a given time.
RFM: Recency, frequency and monetary value: how lately customers came, how often they come and what they
    pay.
sample ratio: The shares of units that came into each variant; if they are not as planned, units were lost
    or added, and no comparison can be trusted.
segment: A group of customers who are told from the others by a rule.
stickiness: Of the users of a month, the share who are active on an average day of it.
tenure: The time from the start of a customer's subscription to its end, or to today while it runs.
transfer: Recurring revenue that customers took from one group to another, such as from plan to plan; it
    adds up to nothing.
variant: One of the versions that an experiment puts visitors into by chance.
visitor value: What a visitor brings up to a horizon: the share who subscribe, times the margin of a month,
    times the months they pay for.
voluntary churn: Leaving because the customer chose to.
willingness to pay: How much more people would pay for an offer with something than for the same offer
    without it.
"""
_PAIRS = (" ".join(each.split()).partition(": ")[::2] for each in re.split(r"\n(?! )", _CATALOG.strip()))
TERMS: dict[str, str] = dict(_PAIRS)


def glossary(*terms: str) -> None:
    """Put terms into the report's glossary; without any, those that its page uses.

    Args:
        *terms: Names in `TERMS`, in any case.

    Raises:
        InputError: A term is not in it.

    Example:
        >>> glossary("hazard")
        hazard: Of those still subscribed when a period begins, the share who leave in it.
    """
    by_name = {name.lower(): name for name in TERMS}
    unknown = [term for term in terms if term.lower() not in by_name]
    if unknown:
        raise InputError(f"The glossary has no term {unknown[0]!r}; it has {', '.join(TERMS)}.")
    chosen = [by_name[term.lower()] for term in terms]
    told = defined(chosen)
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(says)}</dd>" for name, says in told)
    if not chosen:
        words = say("The glossary of the report explains the terms that it uses.")
        return show({"text/plain": words, "text/html": f"<p>{words}</p>", GLOSSARY: {"terms": "used"}})
    return show(
        {
            "text/plain": "\n".join(f"{name}: {says}" for name, says in told),
            "text/html": f"<details><summary>{say('Glossary')}</summary><dl>{rows}</dl></details>",
            GLOSSARY: {"terms": chosen},
        }
    )


def defined(terms: Iterable[str]) -> list[tuple[str, str]]:
    """Return terms that are in `TERMS` and what they mean, in the reader's language."""
    return [(translated(term), translated(TERMS[term])) for term in terms if term in TERMS]


def terms_in(text: str) -> list[str]:
    """Return the terms that a text uses, in their plural too; the longest name at each place counts.

    Example:
        >>> terms_in("Voluntary churn has two hazards; MRR is no lifter.")
        ['hazard', 'MRR', 'voluntary churn']
    """
    found = {match.lower() for match in _USED.findall(text)}
    return [name for name in sorted(TERMS, key=str.lower) if name.lower() in found or _theirs(name, text)]


def _theirs(name: str, text: str) -> bool:
    """Whether a text has a term as the reader's language calls it, whatever its last letter."""
    own = translated(name)
    return own != name and re.search(rf"\b{re.escape(own[:-1])}\w?\b", text, re.IGNORECASE) is not None


# Abbreviations are written in capitals; other terms may begin a sentence.
_NAMES = [re.escape(name) for name in sorted(TERMS, key=len, reverse=True)]
_USED = re.compile(rf"\b({'|'.join(name if name.isupper() else f'(?i:{name})' for name in _NAMES)})s?\b")
