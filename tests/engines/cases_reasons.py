"""Why do they leave? What every engine is asked."""

from ibis import ir

from engines.cases import AS_OF, THEN, case
from tenure.measures import feedback, ledger, reasons, research, subscriptions
from tenure.sources import Source


def _said(s: Source) -> ir.Table:
    return reasons.with_answers(s, reasons.departures(s, as_of=AS_OF), "reason", as_of=AS_OF)


def _lives(s: Source) -> ir.Table:
    return reasons.months_of_life(s, events=["play", "Play"], as_of=AS_OF)


def _tried(s: Source) -> ir.Table:
    return reasons.attempts(s, as_of=AS_OF)


@case("feedback.answered_at")
def _(s: Source) -> ir.Table:
    rows = s["surveys"]
    return rows.select("customer_id", "survey", "question", "sent_at", at=feedback.answered_at(rows))


@case("ledger.second_index")
def _(s: Source) -> ir.Table:
    rows = s["payments"]
    return rows.select("payment_id", at=ledger.second_index(rows.attempted_at))


case("reasons.departures")(lambda s: reasons.departures(s, as_of=AS_OF))
case("subscriptions.ended_prices")(lambda s: reasons.departures(s, as_of=AS_OF, currency="EUR"))
case("subscriptions.first_spells")(
    lambda s: subscriptions.first_spells(
        s, "plan", AS_OF, "month", None, None, "", None, subscriptions.MetricPolicy()
    )
)
case("reasons.exit_questions")(lambda s: reasons.exit_questions(s, as_of=AS_OF))
case("reasons.with_answers")(_said)
case("reasons.answer_counts")(lambda s: reasons.answer_counts(_said(s), since=THEN))
case("reasons.with_reasons")(
    lambda s: reasons.with_reasons(s, _said(s), _lives(s), {"too expensive": "price", "très cher": "price"})
)
case("reasons.months_of_life")(_lives)
case("reasons.months_of_life: no use")(lambda s: reasons.months_of_life(s, as_of=AS_OF, observed_from=THEN))
case("reasons.before_leaving")(lambda s: reasons.before_leaving(_lives(s)))
case("reasons.before_leaving: later")(lambda s: reasons.before_leaving(_lives(s), [1, 3]))
case("reasons.around_rise")(lambda s: reasons.around_rise(_lives(s), since=THEN, plans=["Basic", "Annual"]))
case("reasons.attempts")(_tried)
case("reasons.episodes")(lambda s: reasons.episodes(s, _tried(s), as_of=AS_OF))
case("reasons.retries")(lambda s: reasons.retries(_tried(s)))
case("research.price_rises: by plan")(lambda s: research.price_rises(s, as_of=AS_OF, by=["plan"]))
