"""What every engine is asked of who is about to leave."""

import datetime as dt

from engines.cases import AS_OF, ATTRIBUTE, RATES, THEN, case
from tenure.measures import risk

ON = {"on": [AS_OF, dt.date(2026, 7, 31), THEN], "until": dt.date(2027, 1, 31), "known_until": AS_OF}

case("risk.landmarks")(lambda s: risk.landmarks(s, as_of=AS_OF, rates=RATES, events=["play"], **ON))
case("risk.landmarks: attributes, a sample, euros")(
    lambda s: risk.landmarks(
        s, ["channel", ATTRIBUTE], as_of=AS_OF, rates={"EUR": 1.0}, max_rows=50, currency="EUR", **ON
    )
)
case("risk.campaign_costs")(lambda s: risk.campaign_costs(s, as_of=AS_OF))
