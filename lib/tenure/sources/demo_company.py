"""The simulated company on paper: its prices, dates and the laws that its customers follow.

Everything here is a number somebody could have written down before the first customer came, and the
mathematics that turns those numbers into the truth that the workbooks are tested against. Nothing is
drawn here.

Money is in minor units, times are seconds since 1970 (UTC), and ends are exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
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


PLANS = (
    Plan("Basic", 1, 699, 799, 1.10, 9.0, 0.24),
    Plan("Standard", 1, 1099, 1299, 1.10, 12.5, 0.38),
    Plan("Premium", 1, 1499, 1699, 1.10, 16.5, 0.14),
    Plan("Quarterly", 3, 2999, 3499, 1.20, 4.8, 0.09),
    Plan("Annual", 12, 9999, 11999, 1.20, 1.75, 0.15),
    Plan("Sports", 1, 499, 499),
    Plan("Complimentary", 1, 0, 0),
)
BASIC, STANDARD, PREMIUM, QUARTERLY, ANNUAL, SPORTS, COMPLIMENTARY = range(len(PLANS))
BASE_PLANS = PLANS[:SPORTS]
INTERVAL = np.array([plan.interval for plan in PLANS])
PRICE = np.array([[plan.price for plan in PLANS], [plan.raised for plan in PLANS]])
UPGRADE = np.array([STANDARD, PREMIUM, PREMIUM, ANNUAL, ANNUAL, SPORTS, COMPLIMENTARY])
DOWNGRADE = np.array([BASIC, BASIC, STANDARD, STANDARD, PREMIUM, SPORTS, COMPLIMENTARY])

CHANNELS = ("organic", "search", "social", "affiliate", "referral", "tv")
CHANNEL_SHARE = np.array([0.27, 0.23, 0.18, 0.12, 0.10, 0.10])
CHANNEL_HAZARD = np.array([1.00, 1.10, 1.35, 1.70, 0.75, 1.20])
CHANNEL_COST = np.array([0, 2600, 3100, 2200, 1000, 5200])
CHANNEL_CONVERSION = np.array([0.26, 0.20, 0.11, 0.16, 0.38, 0.13])
REFERRAL = CHANNELS.index("referral")
# How a channel shifts the choice of plan: rows are channels, columns the base plans.
PLAN_TILT = np.array(
    [
        [1.0, 1.0, 1.1, 1.1, 1.2],
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [1.3, 1.0, 0.8, 0.9, 0.6],
        [1.6, 0.9, 0.6, 0.8, 0.5],
        [0.7, 1.0, 1.3, 1.1, 1.4],
        [0.9, 1.0, 1.2, 1.0, 1.1],
    ]
)

HOUSEHOLDS = ("single", "couple", "family")
HOUSEHOLD_SHARE = np.array([0.40, 0.33, 0.27])
HOUSEHOLD_HAZARD = np.array([1.00, 0.90, 0.75])

COUNTRIES = ("US", "DE", "FR", "IT", "ES", "NL")
COUNTRY_SHARE = np.array([0.30, 0.25, 0.16, 0.13, 0.10, 0.06])
DEVICES = ("web", "phone", "tv", "tablet")
DEVICE_SHARE = np.array([0.38, 0.34, 0.20, 0.08])
CITY_SIZES = ("large", "medium", "small", "rural")
CITY_SHARE = np.array([0.36, 0.29, 0.21, 0.14])

INVOLUNTARY = 0.010
UNKNOWN_REASON = 0.02
RETURN_HAZARD = 1.25

GROUPS = ("binge", "occasional", "family", "film", "sports")
# A group's share and its tie to churn, -1 (stays longest) to 1 (leaves soonest).
GROUP_SHARE = np.array(
    [
        [0.30, 0.24, 0.02, 0.26, 0.18],
        [0.26, 0.20, 0.06, 0.28, 0.20],
        [0.12, 0.16, 0.48, 0.10, 0.14],
    ]
)
GROUP_TIE = np.array([0.35, 0.85, -0.65, -0.55, -0.20])

CLASSES = ("explorer", "bargain_hunter", "comfort_seeker")
CLASS_SHARE = np.array([0.34, 0.28, 0.38])

TRIAL_SHARE = 0.35
TRIAL_DAYS = np.array([7, 14])
TRIAL_DAYS_SHARE = np.array([0.6, 0.4])
TRIAL_CONVERSION = np.array([0.68, 0.60])

LAST_DAY = date(2026, 10, 31)
END = seconds(date(2026, 11, 1))
WATCH_PARTY = seconds(date(2024, 10, 15))
LOYALTY = seconds(date(2024, 6, 1))
PRICE_INCREASE = seconds(date(2025, 3, 1))
PRICE_INCREASE_DOWNGRADE = 0.06
OUTAGE = seconds(date(2026, 1, 18))
PSYCHOGRAPHIC_SURVEY = seconds(date(2026, 5, 18)) + 9 * HOUR
PRICE_SURVEY = seconds(date(2026, 6, 15)) + 9 * HOUR

EXPERIMENT = "standard_price_2025"
EXPERIMENT_FROM = seconds(date(2025, 6, 1))
EXPERIMENT_TO = seconds(date(2026, 2, 1))
VARIANTS = ("control", "price_999", "price_1499", "price_1799")
VARIANT_PRICE = np.array([1299, 999, 1499, 1799])
CONVERSION_A, CONVERSION_B = 0.00, 0.095
PRICE_HAZARD = 0.05
UNIT_COST = 4.00
MONTHLY_DISCOUNT_RATE = 0.01
# Share of the Standard sign-ups that come through the experiment while it runs.
EXPERIMENT_SHARE = 0.9

RETENTION = "stay_2026"
RETENTION_AT = seconds(date(2026, 4, 1)) + 8 * HOUR
RETENTION_SHARE = 0.8
# Half the relative difference in the risk to leave between the arms, by device of sign-up.
RETENTION_EFFECT = np.array([0.12, 0.25, -0.25, 0.00])

WINBACK = "winback_2025"
WINBACK_AT = seconds(date(2025, 11, 15)) + 8 * HOUR
WINBACK_DAYS = 60
WINBACK_RETURN = {"control": (0.04, 0.06), "treatment": (0.08, 0.16)}

PURCHASE_SHARE = 0.20
PURCHASES = {"r": 0.55, "alpha": 12.0, "a": 0.8, "b": 2.5}
SPENDING = {"p": 6.0, "q": 4.0, "gamma": 1500.0}


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
