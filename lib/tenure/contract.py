"""The data contract: the tables and columns that every workbook speaks of.

The one place for what a column is called, its type and unit, and the values it may take. Opening a source,
mapping, checking, the demo company and ``data/README.md`` all read it from here.

Conventions: money is an integer number of minor units (cents) beside an ISO 4217 currency; times are
UTC and become the clock's of the company's zone when a source is opened; the end of an interval is exclusive;
ids are strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["string", "int64", "float64", "boolean", "timestamp", "date"]


@dataclass(frozen=True)
class Column:
    """One column of a contract table.

    Attributes:
        name: The column's name.
        type: Its type, in Ibis' words.
        meaning: One line that says what it is, with its unit.
        required: Whether a table without this column is refused. An absent optional column is
            filled with `default`.
        nullable: Whether a row may leave it empty.
        default: The value an absent optional column gets (None: null).
        enum: The values allowed; empty for any.
        minimum: The smallest value allowed; None for any.
        maximum: The largest; of whole numbers at most 2^53, up to which sums in float64 are exact.
        positive: Whether only numbers above 0 are allowed.
    """

    name: str
    type: Type
    meaning: str
    required: bool = True
    nullable: bool = False
    default: str | int | float | bool | None = None
    enum: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int = 2**53
    positive: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    Attributes:
        name: The table's name.
        row: What one row is.
        columns: Its columns, in order.
        key: The columns that identify a row; empty where rows have no identity.
        required: Whether every source must have it.
        references: Columns that point at another table's key, as ``{column: table}``.
        attributes: Whether further columns are welcome, to compare groups by.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    required: bool = False
    references: tuple[tuple[str, str], ...] = ()
    attributes: bool = False

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(column.name for column in self.columns)


def _id(name: str, meaning: str) -> Column:
    return Column(name, "string", meaning)


def _text(name: str, meaning: str, *enum: str) -> Column:
    return Column(name, "string", meaning, enum=enum)


def _time(name: str, meaning: str) -> Column:
    return Column(name, "timestamp", meaning)


def _money(name: str, meaning: str) -> Column:
    return Column(name, "int64", f"{meaning}, in minor units", minimum=0)


def _optional(name: str, type_: Type, meaning: str, minimum: int | None = None) -> Column:
    return Column(name, type_, meaning, required=False, nullable=True, minimum=minimum)


def _filled(name: str, meaning: str, default: int, minimum: int = 0, maximum: int = 2**53) -> Column:
    return Column(name, "int64", meaning, False, default=default, minimum=minimum, maximum=maximum)


_CURRENCY = _id("currency", "ISO 4217 code of the amount, such as EUR")
_CUSTOMER = (("customer_id", "customers"),)
_MOVED = (
    "new", "reactivation", "expansion", "contraction", "churn", "ended", "pause", "resume", "fx", "balance",
)  # fmt: skip


TABLES: tuple[Table, ...] = (
    Table(
        "customers",
        "a customer",
        (
            _id("customer_id", "the customer"),
            _time("created_at", "when the customer signed up"),
            _optional("country", "string", "ISO 3166 code of the country"),
            _optional("channel", "string", "the channel that acquired the customer"),
            _optional("birth_year", "int64", "year of birth", minimum=1900),
            _optional("gender", "string", "gender, as the customer states it"),
            _optional("parent_id", "string", "the account that the customer belongs to, itself a customer"),
            Column(
                "is_test",
                "boolean",
                "an internal or test account: never a paying customer",
                required=False,
                default=False,
            ),
        ),
        key=("customer_id",),
        required=True,
        references=(("parent_id", "customers"),),
        attributes=True,
    ),
    Table(
        "subscriptions",
        "a span in which plan, price, quantity and status of a subscription did not change",
        (
            _id("subscription_id", "the subscription; its spans share it"),
            _id("customer_id", "who pays"),
            _text("plan", "the plan's name"),
            _text(
                "billing_interval",
                "the unit of the billing interval; once: access paid once, such as for life",
                "day",
                "week",
                "month",
                "year",
                "once",
            ),
            _filled(
                "billing_interval_count", "units in an interval: 3 with month is quarterly", 1, 1, 36_525
            ),
            _filled("quantity", "seats or units", 1),
            _money("unit_amount_minor", "list price of one unit for one interval, before tax"),
            _filled("discount_minor", "discount per interval, in minor units", 0),
            Column(
                "discount_duration",
                "string",
                "what the discount was granted for: one bill, some time, or ever; null: some time",
                required=False,
                nullable=True,
                enum=("once", "repeating", "forever"),
            ),
            _CURRENCY,
            _text(
                "status",
                "the subscription's state during the span",
                "trialing",
                "active",
                "past_due",
                "paused",
            ),
            _time("started_at", "when the span began"),
            Column("ended_at", "timestamp", "when it ended, exclusive; null: still on", nullable=True),
            Column(
                "end_reason",
                "string",
                "why it ended: switched when another span follows on, expired when it was never to renew",
                required=False,
                nullable=True,
                enum=("voluntary", "involuntary", "switched", "expired", "unknown"),
            ),
            _optional("cancel_requested_at", "timestamp", "when the customer canceled"),
            _optional(
                "commitment_ends_at",
                "timestamp",
                "when the term ends that the customer is committed to, where that is not each interval",
            ),
            Column(
                "renews",
                "boolean",
                "whether it goes on after its term; false: it ends by design, as a gift does",
                required=False,
                default=True,
            ),
        ),
        key=("subscription_id", "started_at"),
        required=True,
        references=_CUSTOMER,
    ),
    Table(
        "payments",
        "an attempt to charge",
        (
            _id("payment_id", "the attempt"),
            _id("customer_id", "who was charged"),
            _optional("subscription_id", "string", "what for; null for a one-off sale"),
            _time("attempted_at", "when it was attempted"),
            Column(
                "amount_minor",
                "int64",
                "amount in minor units; a refund's is the amount given back",
                minimum=0,
            ),
            _CURRENCY,
            _text("kind", "what was sold", "recurring", "usage", "one_off"),
            _text("status", "how it went", "paid", "failed", "refunded"),
            _optional("failure_reason", "string", "why it failed, such as card expired"),
        ),
        key=("payment_id",),
        references=_CUSTOMER,
    ),
    Table(
        "events",
        "something a customer did",
        (
            _id("customer_id", "who did it"),
            _time("occurred_at", "when"),
            _text("event", "what, such as play or login"),
            _optional("feature", "string", "the product's feature that was used"),
            _optional("content_id", "string", "the piece of content"),
            _optional("duration_s", "int64", "how long it lasted, in seconds", minimum=0),
            _optional("platform", "string", "the device or app"),
        ),
        references=_CUSTOMER,
    ),
    Table(
        "contents",
        "a piece of content",
        (
            _id("content_id", "the piece"),
            _text("title", "its title"),
            _optional("category", "string", "its category"),
            _optional("published_at", "timestamp", "when it came out"),
        ),
        key=("content_id",),
    ),
    Table(
        "surveys",
        "an invitation to answer a question, and perhaps its answer",
        (
            _id("customer_id", "who was asked"),
            _text("survey", "the survey", "nps", "exit", "psychographic", "price"),
            _text("question", "the question"),
            _time("sent_at", "when it was sent"),
            _optional("answered_at", "timestamp", "when it was answered; null: when it was sent, if at all"),
            _optional("score", "float64", "a number given as the answer; 0 to 10 for nps"),
            _optional("answer", "string", "a choice or words given as the answer"),
        ),
        key=("customer_id", "survey", "question", "sent_at"),
        references=_CUSTOMER,
    ),
    Table(
        "tickets",
        "a support request",
        (
            _id("ticket_id", "the request"),
            _id("customer_id", "who asked"),
            _time("opened_at", "when it was opened"),
            _optional("closed_at", "timestamp", "when it was closed; null: still open"),
            _optional("topic", "string", "what it was about"),
            _optional("satisfaction", "int64", "the customer's rating, 1 to 5", minimum=1),
        ),
        key=("ticket_id",),
        references=_CUSTOMER,
    ),
    Table(
        "visits",
        "a visitor's way in",
        (
            _id("visitor_id", "the visitor"),
            _time("first_seen_at", "the first visit"),
            _optional("channel", "string", "the channel that brought the visitor"),
            _optional("trial_started_at", "timestamp", "when a trial began"),
            _optional("subscribed_at", "timestamp", "when the first payment was made"),
            _optional("customer_id", "string", "the customer the visitor became"),
        ),
        key=("visitor_id",),
        attributes=True,
    ),
    Table(
        "spend",
        "money spent on a channel on a day",
        (
            Column("date", "date", "the day"),
            _text("channel", "the channel"),
            _money("amount_minor", "amount"),
            _CURRENCY,
        ),
        key=("date", "channel", "currency"),
    ),
    Table(
        "assignments",
        "a unit put into an experiment's variant",
        (
            _text("experiment", "the experiment"),
            _id("unit_id", "the visitor or customer that was assigned"),
            _optional("customer_id", "string", "the customer the unit is or became"),
            _text("variant", "the variant"),
            _time("assigned_at", "when"),
            _optional("price_minor", "int64", "the price shown, in minor units", minimum=0),
        ),
    ),
    Table(
        "contacts",
        "a customer in a campaign, contacted or held out",
        (
            _text("campaign", "the campaign"),
            _id("customer_id", "the customer"),
            _text("arm", "contacted or held out", "treatment", "control"),
            _time("contacted_at", "when contacted, or would have been"),
            _optional("channel", "string", "by which means"),
            _optional("offer", "string", "which of several offers was made; null: none, or the only one"),
            _filled("cost_minor", "cost of the contact, in minor units", 0),
            _filled("incentive_minor", "value of the incentive offered, in minor units", 0),
        ),
        key=("campaign", "customer_id"),
        references=_CUSTOMER,
    ),
    Table(
        "points",
        "an entry of the loyalty ledger",
        (
            _id("customer_id", "whose points"),
            _time("occurred_at", "when"),
            _text("kind", "what moved", "earn", "redeem", "expire", "adjust"),
            Column("points", "int64", "points moved: positive, or signed for adjust"),
        ),
        references=_CUSTOMER,
    ),
    Table(
        "referrals",
        "an invitation by a customer",
        (
            _id("referrer_id", "the customer who invited"),
            _time("invited_at", "when"),
            _optional("referred_id", "string", "the customer the invitation led to"),
            _optional("subscribed_at", "timestamp", "when that customer first paid"),
        ),
        references=(("referrer_id", "customers"),),
    ),
    Table(
        "segments",
        "a customer's segment in a scheme",
        (
            _id("customer_id", "the customer"),
            _text("scheme", "the way of segmenting"),
            _text("segment", "the segment"),
            Column("as_of", "date", "the day it was true"),
        ),
        key=("customer_id", "scheme", "as_of"),
        references=_CUSTOMER,
    ),
    Table(
        "churn_risk",
        "the chance that a customer chooses to leave soon; published by the report on who is about to leave",
        (
            _id("customer_id", "the customer"),
            Column("as_of", "date", "the last day that was known"),
            Column("horizon_months", "int64", "within how many months", minimum=1),
            Column("chance", "float64", "the chance, from 0 to 1", minimum=0, maximum=1),
        ),
        key=("customer_id", "as_of", "horizon_months"),
        references=_CUSTOMER,
    ),
    Table(
        "campaign_effects",
        "what a measured campaign changed for some customers; published by the report on campaigns",
        (
            _text("campaign", "the campaign"),
            Column("offer", "string", "the offer; null: any", required=False, nullable=True),
            _text("by", "the characteristic that segments are of; empty: everyone"),
            _text("segment", "the segment; empty: everyone"),
            Column("horizon_days", "int64", "days from the contact to the look", minimum=1),
            Column("treated", "int64", "customers to be contacted", minimum=0),
            Column("control", "int64", "customers held out", minimum=0),
            Column("kept_treated", "int64", "of the contacted: still paying at the horizon", minimum=0),
            Column("kept_control", "int64", "of those held out: still paying at the horizon", minimum=0),
            Column("as_of", "date", "the last day that was known"),
        ),
        key=("campaign", "offer", "by", "segment", "horizon_days", "as_of"),
    ),
    Table(
        "fx_rates",
        "a day's exchange rate",
        (
            Column("date", "date", "the day"),
            _CURRENCY,
            Column("rate", "float64", "units of the reporting currency, which has 1, for one", positive=True),
        ),
        key=("date", "currency"),
    ),
    Table(
        "mrr_elsewhere",
        "a customer's recurring revenue at a month's end, as another system reports it; rows add up",
        (
            _id("customer_id", "the customer, by our id"),
            Column("month", "date", "a day of the month"),
            _CURRENCY,
            _money("amount_minor", "what the customer pays a month, at its end"),
        ),
    ),
    Table(
        "movements_elsewhere",
        "what moved recurring revenue in a month, as another system reports it; rows add up",
        (
            Column("month", "date", "a day of the month"),
            _CURRENCY,
            Column("kind", "string", "what moved it; balance: what was left at its end", enum=_MOVED),
            Column("amount_minor", "int64", "what it added, in minor units; below 0: what it took"),
        ),
    ),
    Table(
        "annotations",
        "something that happened",
        (Column("date", "date", "the day"), _text("label", "what happened, in a few words")),
        key=("date", "label"),
    ),
    Table(
        "targets",
        "what was aimed for",
        (
            _text("metric", "the metric, by the id of its finding"),
            _text("period", "the period, such as 2026-10 or 2026"),
            Column("target", "float64", "the value aimed for, in the metric's unit"),
        ),
        key=("metric", "period"),
    ),
)

BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}

# What reports call columns of their own: of customers, one with such a name is read as customer_<name>.
_SHARED = {"plan", "currency", "segment", "billing", *TABLES[0].column_names}
TAKEN = {name for table in TABLES[1:] for name in table.column_names} - _SHARED
TAKEN |= {
    *("amount", "asked", "at", "away", "before", "after", "bill", "cause", "contacted_day", "cost"),
    *("customer", "customers", "day", "days", "eligible", "elsewhere", "end", "end_day", "entry", "events"),
    *("exit", "expected", "fold", "gain", "group", "how_long", "how_much", "incentive", "interval", "kept"),
    *("leaked", "leaving", "left", "lens", "level", "margin", "monthly", "n", "name", "on", "outcome", "own"),
    *("paid_days", "paused", "place", "price", "profit", "reason", "ripe", "spell", "spent", "start"),
    *("tenure", "tenure_days", "unused_days", "until", "used", "used_before", "value", "wait_days", "week"),
    "worth",
}


def is_taken(name: str) -> bool:
    """Tell whether reports have a column of their own of this name, which engines read in any case.

    Example:
        >>> [is_taken(name) for name in ("campaign", "Campaign", "Plan", "plan", "city")]
        [True, True, True, False, False]
    """
    plain = name.casefold()
    return plain in TAKEN or (plain in _SHARED and plain != name)
