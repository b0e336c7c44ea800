"""Customers who come back, and campaigns to win them back: what every engine is asked."""

import ibis
from ibis import _

from engines.cases import AS_OF, RATES, back, case
from engines.cases_campaigns import FACTS
from tenure.measures import campaigns, experiments, returns, subscriptions
from tenure.measures.calendar import day_index, day_of
from tenure.measures.spans import Lens

WON, BY = "winback_2025", ("cause", "days_since_end")
DAY = day_of(AS_OF).index


def units(s):
    return campaigns.units(s, as_of=AS_OF, horizon_days=60, left=True, rates=RATES)


def rows(s, by=BY):
    return campaigns.compared(s, units(s), WON, by)


case("campaigns.units: who had left")(lambda s: units(s).order_by("campaign", "customer_id"))
case("campaigns.overview: who had left")(lambda s: campaigns.overview(units(s)))
case("campaigns.compared: who had left")(lambda s: rows(s, (*BY, "plan")).order_by("customer_id"))
case("campaigns.with_profit: who had left")(
    lambda s: experiments.moments(
        campaigns.with_profit(rows(s), FACTS, "EUR", 9.05, again=0.977),
        ["profit", "worth", "spent", "margin"],
        by=["variant", *BY],
    )
)
case("returns.durations")(lambda s: returns.durations(s, ["cause", "how_long", "channel"], as_of=AS_OF))
case("returns.life_table")(lambda s: returns.life_table(s, ["cause", "plan"], as_of=AS_OF))
case("returns.life_table: in one currency, half a year ago")(
    lambda s: returns.life_table(s, as_of=back(180), currency="EUR")
)
case("returns.gone")(lambda s: returns.gone(s, BY, as_of=AS_OF, rates=RATES))
case("returns.prices")(lambda s: returns.prices(s, as_of=AS_OF, rates=RATES))
case("subscriptions.life_table: second spells")(
    lambda s: subscriptions.life_table(s, by="plan", as_of=AS_OF, spell=2)
)
case("subscriptions.duration_counts: second spells")(
    lambda s: subscriptions.duration_counts(s, ["plan"], as_of=AS_OF, spell=2).order_by(
        "plan", "entry", "exit", "event", "cause"
    )
)
case("campaigns.followed")(
    lambda s: campaigns.followed(
        s,
        s["contacts"].select(
            "campaign", "customer_id", day=day_index(s["contacts"].contacted_at), horizon=DAY + 60
        ),
        Lens(AS_OF),
        left=True,
        rates=None,
    ).order_by("campaign", "customer_id")
)
case("campaigns.described")(
    lambda s: campaigns.described(s, units(s), ["channel", *BY]).order_by("campaign", "customer_id")
)
case("subscriptions.tabulated")(
    lambda s: subscriptions.tabulated(
        returns.durations(s, ["cause"], as_of=AS_OF).select(
            "entry",
            "exit",
            "event",
            "n",
            cause=(_.event == 1).ifelse("back", ibis.null("string")),
            group="cause",
        ),
        ["back"],
    )
)
