"""Campaigns to keep customers: what every engine is asked."""

from engines.cases import AS_OF, RATES, back, case
from tenure.economics import Economics
from tenure.measures import campaigns, experiments

STAY = "stay_2026"
FACTS = Economics(margin=0.7, fee_share=0.015, fee_fixed=0.25)


def units(s, **options):
    return campaigns.units(s, as_of=AS_OF, **{"rates": RATES, **options})


def rows(s, campaign=STAY, by=("signup_device", "plan")):
    return campaigns.compared(s, units(s), campaign, by)


case("campaigns.units")(lambda s: units(s).order_by("campaign", "customer_id"))
case("campaigns.units: in one currency, 30 days, half a year ago")(
    lambda s: campaigns.units(s, as_of=back(180), horizon_days=30, currency="EUR").order_by(
        "campaign", "customer_id"
    )
)
case("campaigns.overview")(lambda s: campaigns.overview(units(s)))
case("campaigns.compared")(lambda s: rows(s).order_by("customer_id"))
case("campaigns.compared: with offers")(lambda s: rows(s, "offers_2025", ()).order_by("customer_id"))
case("campaigns.in_segments")(
    lambda s: experiments.moments(
        campaigns.in_segments(rows(s), ["signup_device", "plan"]), ["kept"], by=["variant", "by", "segment"]
    )
)
case("campaigns.with_profit")(
    lambda s: experiments.moments(
        campaigns.with_profit(rows(s, "offers_2025"), FACTS, "EUR", 11.4),
        ["profit", "worth"],
        by=["variant", "fold"],
    )
)
