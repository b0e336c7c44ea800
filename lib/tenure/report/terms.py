"""The words of the reports, each in one plain sentence."""

from __future__ import annotations

import html

from tenure.errors import InputError
from tenure.report.display import GLOSSARY, show

TERMS: dict[str, str] = {
    "at risk": (
        "Customers who are still subscribed and still under observation when a period begins, so that "
        "their leaving in it would be seen."
    ),
    "ARPA": (
        "Average revenue per account: monthly recurring revenue divided by the number of paying customers."
    ),
    "CAC": (
        "What it costs to win a customer: money spent on winning customers, divided by the customers it won."
    ),
    "censoring": (
        "Not having seen the end: a customer who is still subscribed today has stayed at least this long,"
        " and counts for exactly that much."
    ),
    "churn": (
        "Customers, or their recurring revenue, that were there when a period began and have left in it."
    ),
    "churn curve": (
        "The share of customers who are still subscribed after each period of their subscription; also "
        "called a survival curve."
    ),
    "cohort": "Customers who started in the same period and are followed together.",
    "confidence interval": (
        "The range of values that agree with the data; ranges made this way miss the true value once in "
        "twenty times when they are 95% intervals."
    ),
    "cumulative incidence": (
        "The share of customers who have left for a given reason by a given period, when leaving for any "
        "other reason takes them away first."
    ),
    "exclusion ledger": (
        "The list of rows that do not count in the numbers, with the reason and the amount for each."
    ),
    "expansion": (
        "Recurring revenue that existing customers added, by more seats, more products or a dearer plan."
    ),
    "gross revenue retention": (
        "Of the recurring revenue of twelve months ago, the share that the same customers still pay, not "
        "counting what they added; never above 100%."
    ),
    "hazard": "Of those still subscribed when a period begins, the share who leave in it.",
    "hazard ratio": (
        "How many times as likely customers of one kind are to leave in a period as those they are "
        "compared with: 1 is alike, 0.5 is half as likely."
    ),
    "holdout": "Customers left out of a campaign by chance, to show what would have happened without it.",
    "involuntary churn": "Leaving without having decided to, mostly because a payment failed.",
    "left truncation": (
        "Customers who left before the data begins are not in it, so those who were there already count "
        "only from that day on."
    ),
    "logo churn": "Customers who left in a period, divided by the paying customers when it began.",
    "log-rank test": "A test of whether groups leave at the same rate, over all the time they were observed.",
    "LTV": (
        "What a customer is worth over the time they stay: the margin of all future payments, later ones "
        "discounted."
    ),
    "median tenure": (
        "The time by which half of the customers have left; not reached while more than half remain."
    ),
    "MRR": (
        "Monthly recurring revenue: what all running subscriptions bring in a month, before tax and "
        "without one-off charges."
    ),
    "net revenue retention": (
        "Recurring revenue today from the customers of twelve months ago, divided by what they paid then;"
        " above 100% they have grown."
    ),
    "NPS": (
        "Net promoter score: the percentage who answer 9 or 10 to whether they would recommend, less the "
        "percentage who answer 0 to 6."
    ),
    "payback": "The first month in which the margin of a group of customers covers what it cost to win them.",
    "percentage point": "The difference of two percentages: from 4% to 5% is one point, and a quarter more.",
    "p-value": (
        "How often chance alone would give a difference at least this large if there were none; it says "
        "nothing about how large the difference is."
    ),
    "reactivation": "A customer who had left and pays again.",
    "restricted mean tenure": (
        "The average time subscribed within a given horizon, counting those who stay longer as having "
        "stayed until it."
    ),
    "retention": "The share of customers, or of their revenue, that is still there after a given time.",
    "tenure": "The time from the start of a customer's subscription to its end, or to today while it runs.",
    "unripe": (
        "A cohort that is too young to have been observed for the whole period; its cell is left empty."
    ),
    "voluntary churn": "Leaving because the customer chose to.",
}


def glossary(*terms: str) -> None:
    """Put terms into the report's glossary.

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
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(TERMS[name])}</dd>" for name in chosen)
    show(
        {
            "text/plain": "\n".join(f"{name}: {TERMS[name]}" for name in chosen),
            "text/html": f"<details><summary>Glossary</summary><dl>{rows}</dl></details>",
            GLOSSARY: {"terms": chosen},
        }
    )
