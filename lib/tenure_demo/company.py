"""The simulated company on paper: its prices, dates and the laws that its customers follow.

Everything here is a number somebody could have written down before the first customer came, and the
mathematics that turns those numbers into the truth that the workbooks are tested against. Nothing is
drawn here.

Money is in minor units, times are seconds since 1970 (UTC), and ends are exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Array = NDArray[Any]

DAY = 86_400
HOUR = 3_600


def seconds(day: date) -> int:
    """Midnight (UTC) of a day, in seconds since 1970.

    Example:
        >>> seconds(date(1970, 1, 2))
        86400
    """
    return (day - date(1970, 1, 1)).days * DAY


@dataclass(frozen=True)
class Plan:
    """A plan: its billing interval, its list price before and after the increase, and its churn.

    Attributes:
        name: The plan's name.
        interval: Months in a billing interval.
        price: List price of an interval for sign-ups and renewals before `PRICE_INCREASE`.
        raised: List price from that day on.
        alpha: First parameter of the beta distribution of the probability not to renew.
        beta: Second parameter.
        share: Share of sign-ups, before channels shift it.
    """

    name: str
    interval: int
    price: int
    raised: int
    alpha: float = 1.0
    beta: float = 1.0
    share: float = 0.0


LAWS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("laws.yml").read_text(encoding="utf-8"))


def _at(event: str, hour: int = 0) -> int:
    return seconds(LAWS[event]) + hour * HOUR


PLANS = tuple(Plan(**plan) for plan in LAWS["plans"])
BASIC, STANDARD, PREMIUM, QUARTERLY, ANNUAL, SPORTS, COMPLIMENTARY = range(len(PLANS))
BASE_PLANS = PLANS[:SPORTS]
INTERVAL = np.array([plan.interval for plan in PLANS])
PRICE = np.array([[plan.price for plan in PLANS], [plan.raised for plan in PLANS]])
_NAMES = [plan.name for plan in PLANS]
UPGRADE, DOWNGRADE = (
    np.array([_NAMES.index(name) for name in LAWS[way]]) for way in ("upgrade", "downgrade")
)

CHANNELS, HOUSEHOLDS, COUNTRIES, DEVICES, CITY_SIZES, GROUPS, CLASSES, VARIANTS = (
    tuple(LAWS[names])
    for names in (
        "channels", "households", "countries", "devices", "city_sizes", "groups", "classes", "variants"
    )
)  # fmt: skip
REFERRAL = CHANNELS.index("referral")
CHANNEL_SHARE, CHANNEL_HAZARD, CHANNEL_COST, CHANNEL_CONVERSION, PLAN_TILT = (
    np.array(LAWS[law])
    for law in ("channel_share", "channel_hazard", "channel_cost", "channel_conversion", "plan_tilt")
)
HOUSEHOLD_SHARE, HOUSEHOLD_HAZARD, COUNTRY_SHARE, DEVICE_SHARE, CITY_SHARE = (
    np.array(LAWS[law])
    for law in ("household_share", "household_hazard", "country_share", "device_share", "city_share")
)
GROUP_SHARE, GROUP_TIE, CLASS_SHARE = (
    np.array(LAWS[law]) for law in ("group_share", "group_tie", "class_share")
)
INVOLUNTARY, UNKNOWN_REASON = LAWS["involuntary"], LAWS["unknown_reason"]
TRIAL_SHARE = LAWS["trial_share"]
TRIAL_DAYS, TRIAL_DAYS_SHARE, TRIAL_CONVERSION = (
    np.array(LAWS[law]) for law in ("trial_days", "trial_days_share", "trial_conversion")
)

LAST_DAY: date = LAWS["last_day"]
END = _at("last_day") + DAY
WATCH_PARTY, LOYALTY, PRICE_INCREASE, OUTAGE = map(
    _at, ("watch_party", "loyalty", "price_increase", "outage")
)
PRICE_INCREASE_DOWNGRADE = LAWS["price_increase_downgrade"]
PSYCHOGRAPHIC_SURVEY, PRICE_SURVEY = _at("psychographic_survey", 9), _at("price_survey", 9)

EXPERIMENT = LAWS["experiment"]
EXPERIMENT_FROM, EXPERIMENT_TO = _at("experiment_from"), _at("experiment_to")
VARIANT_PRICE = np.array(LAWS["variant_price"])
CONVERSION_A, CONVERSION_B = LAWS["conversion_a"], LAWS["conversion_b"]
PRICE_HAZARD, UNIT_COST = LAWS["price_hazard"], LAWS["unit_cost"]
MONTHLY_DISCOUNT_RATE, EXPERIMENT_SHARE = LAWS["monthly_discount_rate"], LAWS["experiment_share"]

RETENTION, RETENTION_AT, RETENTION_SHARE = LAWS["retention"], _at("retention_at", 8), LAWS["retention_share"]
RETENTION_EFFECT = np.array(LAWS["retention_effect"])
OFFERS_CAMPAIGN, OFFERS_AT, OFFERS_SHARE = LAWS["offers_campaign"], _at("offers_at", 8), LAWS["offers_share"]
OFFER_NAMES, OFFER_COSTS, OFFER_INCENTIVES = (
    tuple(LAWS[law]) for law in ("offer_names", "offer_costs", "offer_incentives")
)
# What a customer can get: an offer, nothing, or the first offer in spite of being held out.
OFFER_CHANCE = np.array([*LAWS["offers_split"], LAWS["offers_split"][-1] * LAWS["offers_leaked"]])
OFFER_CHANCE[-2] -= OFFER_CHANCE[-1]
OFFER_RISK = np.array([*LAWS["offer_risk"], 0, LAWS["offer_risk"][0]])
OFFER_RISK[-2] = (1 - OFFER_CHANCE @ OFFER_RISK) / OFFER_CHANCE[-2]
WINBACK, WINBACK_AT, WINBACK_DAYS = LAWS["winback"], _at("winback_at", 8), LAWS["winback_days"]
WINBACK_RETURN = {arm: tuple(chances) for arm, chances in LAWS["winback_return"].items()}
RETURN_SHARE, RETURN_PLANS = np.array(LAWS["return_share"]), np.array(LAWS["return_plans"])
RETURN_WAIT, RETURN_MEAN, RETURN_HAZARD = (
    LAWS[law] for law in ("return_wait", "return_mean", "return_hazard")
)
MESSAGE, MESSAGE_AT, MESSAGE_DAYS = LAWS["message"], _at("message_at", 8), LAWS["message_days"]
MESSAGE_SINCE, MESSAGE_EFFECT = LAWS["message_since"], np.array(LAWS["message_effect"])
# Attempts to charge are given up so many days after paid service ended, all with the same chance.
GIVEN_UP = range(8, 22)

FAILURES, FAILURES_IF, RETRY_DAYS = (
    tuple(LAWS["failures"]),
    np.array([LAWS["failures_if"][end] for end in ("recovered", "given_up")]),
    tuple(LAWS["retry_days"]),
)
UNRESOLVED = LAWS["unresolved"]
RISK_AT, RISK_MONTHS = [seconds(day) + DAY for day in LAWS["risk_at"]], LAWS["risk_months"]

PURCHASE_SHARE, PURCHASES, SPENDING = (LAWS[law] for law in ("purchase_share", "purchases", "spending"))


@dataclass(frozen=True)
class Window:
    """The months that the company's data cover, ending with `LAST_DAY`.

    Attributes:
        start: First second.
        end: The second after the last.
        months: Calendar months between.
    """

    start: int
    end: int
    months: int

    @classmethod
    def of(cls, months: int) -> Window:
        """The window of that many months.

        Example:
            >>> Window.of(36).start == seconds(date(2023, 11, 1))
            True
        """
        last = LAST_DAY.year * 12 + LAST_DAY.month
        year, month = divmod(last - months, 12)
        return cls(seconds(date(year, month + 1, 1)), END, months)

    @property
    def days(self) -> Array:
        """Midnights of all days, in seconds."""
        return np.arange(self.start, self.end, DAY)

    def signup_weights(self) -> Array:
        """How sign-ups spread over the days: growth, season, weekday, Black Friday; sums to 1."""
        days = self.days.astype("datetime64[s]").astype("datetime64[D]")
        position = np.arange(len(days)) / 365.25
        growth = 0.70 + 0.30 * np.sqrt(position / 3 + 0.02)
        month = days.astype("datetime64[M]").astype(int) % 12
        season = np.array([1.12, 1.02, 0.98, 0.92, 0.88, 0.84, 0.82, 0.88, 1.00, 1.06, 1.22, 1.26])[month]
        weekday = np.array([0.94, 0.92, 0.94, 0.98, 1.06, 1.10, 1.06])[(days.astype(int) + 3) % 7]
        day = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(int) + 1
        black_friday = np.where((month == 10) & (day >= 23) & (day <= 30), 1.5, 1.0)
        weights = growth * season * weekday * black_friday
        return weights / weights.sum()

    def experiment_days(self) -> Array:
        """Whether the price experiment ran, by day."""
        return (self.days >= EXPERIMENT_FROM) & (self.days < EXPERIMENT_TO)


def anniversary(start: Array, months: Array | int) -> Array:
    """The same day and time so many calendar months later, clipped to the month's last day.

    Always counted from the original start, so that a subscription of the 31st is renewed on
    28 February and on 31 March.

    Args:
        start: Seconds since 1970.
        months: Calendar months to add.

    Returns:
        Seconds since 1970.

    Example:
        >>> later = anniversary(np.array([seconds(date(2024, 1, 31))]), np.array([1, 2]))
        >>> later.astype("datetime64[s]").astype("datetime64[D]").astype(str).tolist()
        ['2024-02-29', '2024-03-31']
    """
    day, clock = np.divmod(start, DAY)
    first = day.astype("datetime64[D]").astype("datetime64[M]")
    offset = day - first.astype("datetime64[D]").astype(np.int64)
    target = first + np.asarray(months)
    begins = target.astype("datetime64[D]").astype(np.int64)
    length = (target + 1).astype("datetime64[D]").astype(np.int64) - begins
    return (begins + np.minimum(offset, length - 1)) * DAY + clock


def months_started(start: Array, before: Array | int) -> Array:
    """How many months of a life have begun before an instant: the m >= 0 whose anniversary is earlier.

    Example:
        >>> at = np.array([seconds(date(2024, 1, 31))])
        >>> months_started(at, seconds(date(2024, 2, 29))).tolist()
        [1]
        >>> months_started(at, seconds(date(2024, 3, 1))).tolist()
        [2]
    """
    before = np.broadcast_to(np.asarray(before, dtype=np.int64), start.shape)
    first = (start // DAY).astype("datetime64[D]").astype("datetime64[M]")
    last = (before // DAY).astype("datetime64[D]").astype("datetime64[M]")
    months = np.maximum((last - first).astype(np.int64), 0)
    begun = months + (anniversary(start, months) < before)
    return np.where(start < before, begun, 0)


def voluntary_survival(plan: int, months: int) -> Array:
    """Probability that a baseline customer has not chosen to leave after 0, 1, … months.

    Shifted beta-geometric in renewals (Fader & Hardie 2007): the probability to renew for the j-th
    time, given all before, is (beta + j - 1) / (alpha + beta + j - 1).

    Example:
        >>> voluntary_survival(QUARTERLY, 3).round(4).tolist()
        [1.0, 1.0, 1.0, 0.8]
    """
    law = PLANS[plan]
    renewal = np.arange(months // law.interval + 1)
    kept = (law.beta + renewal[:-1]) / (law.alpha + law.beta + renewal[:-1])
    return np.concatenate([[1.0], np.cumprod(kept)])[np.arange(months + 1) // law.interval]


def involuntary_survival(plan: int, months: int) -> Array:
    """Probability that a baseline customer's payments have not failed for good after 0, 1, … months."""
    interval = PLANS[plan].interval
    return (1 - INVOLUNTARY) ** (np.arange(months + 1) // interval * interval)


def incidence(plan: int, hazard_ratio: Array | float, months: int) -> tuple[Array, Array, Array]:
    """Survival and cumulative incidence of customers of one plan with given hazard ratios.

    Args:
        plan: The plan at the start, as an index into `PLANS`.
        hazard_ratio: One hazard ratio a customer, or a number.
        months: How many months to look ahead.

    Returns:
        Three arrays of one row a customer and one column a month, 0 to `months`: still there, left by
        choice, left because payments failed. They sum to 1.

    Example:
        >>> stays, chose, failed = incidence(STANDARD, 1.0, 12)
        >>> float((stays + chose + failed).round(12)[0, 12])
        1.0
    """
    power = np.atleast_1d(hazard_ratio)[:, None]
    chose_not = voluntary_survival(plan, months) ** power
    paid = involuntary_survival(plan, months) ** power
    stays = chose_not * paid
    # Who decides to leave is never charged again, so choice comes first at a renewal.
    chose = stays[:, :-1] * (1 - chose_not[:, 1:] / chose_not[:, :-1])
    failed = stays[:, :-1] - chose - stays[:, 1:]
    zero = np.zeros((len(power), 1))
    return (
        stays,
        np.concatenate([zero, np.cumsum(chose, axis=1)], axis=1),
        np.concatenate([zero, np.cumsum(failed, axis=1)], axis=1),
    )


def returned(days: Array | float, failed: Array | int) -> Array:
    """Probability to have come back so many days after service and all attempts to charge have ended.

    Args:
        days: Days since then.
        failed: 1 for those whose payments failed, 0 for those who chose to leave.

    Example:
        >>> returned(np.array([26, 106, 10_000]), 0).round(4).tolist()
        [0.0, 0.0948, 0.15]
    """
    waited = np.maximum(np.asarray(days) - RETURN_WAIT, 0)
    return RETURN_SHARE[failed] * (1 - np.exp(-waited / RETURN_MEAN))


def plan_shares() -> Array:
    """Share of each base plan among a channel's sign-ups: rows are channels and sum to 1."""
    shares = PLAN_TILT * np.array([plan.share for plan in BASE_PLANS])
    return shares / shares.sum(axis=1, keepdims=True)


def channel_given_standard() -> Array:
    """Share of each channel among the sign-ups of the Standard plan."""
    shares = CHANNEL_SHARE * plan_shares()[:, STANDARD]
    return shares / shares.sum()


def conversion(price_minor: Array | float) -> Array:
    """Probability that a visitor of the experiment subscribes at a price, in minor units."""
    price = np.asarray(price_minor) / 100
    return 1 / (1 + np.exp(-(CONVERSION_A - CONVERSION_B * price)))


def price_hazard(price_minor: Array | float) -> Array:
    """Hazard ratio of a Standard subscriber at a price, in minor units, against the list price."""
    return np.exp(PRICE_HAZARD * (np.asarray(price_minor) - VARIANT_PRICE[0]) / 100)


def experiment_size(window: Window) -> tuple[float, float]:
    """Visitors in the experiment for each customer of the company, and the share of days thinned.

    The experiment replaces ordinary Standard sign-ups of its months, paying customer for paying
    customer, so that the mix of plans stays the same over time.

    Returns:
        Visitors per customer, and the share of ordinary Standard sign-ups that fall away.
    """
    away = EXPERIMENT_SHARE * float(window.signup_weights()[window.experiment_days()].sum())
    standard = float(CHANNEL_SHARE @ plan_shares()[:, STANDARD])
    pays = 1 - TRIAL_SHARE * float(TRIAL_DAYS_SHARE @ (1 - TRIAL_CONVERSION))
    ordinary = 1 / (1 - away * standard * (1 - pays))
    return ordinary * away * standard * pays / float(conversion(VARIANT_PRICE).mean()), away


def group_shares() -> Array:
    """Share of each behavioral group by household, adjusted so that the tie to churn averages out.

    Rows are households. The tie must average to zero, else the groups' survival curves would not
    add up to the household's.

    Example:
        >>> bool(abs(group_shares() @ GROUP_TIE).max() < 1e-12)
        True
    """
    shares = np.empty_like(GROUP_SHARE)
    for row, start in enumerate(GROUP_SHARE):
        low, high = -10.0, 10.0
        for _ in range(200):
            middle = (low + high) / 2
            tilted = start * np.exp(-middle * GROUP_TIE)
            tilted /= tilted.sum()
            low, high = (middle, high) if tilted @ GROUP_TIE > 0 else (low, middle)
        shares[row] = tilted
    return shares
