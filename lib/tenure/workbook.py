"""What every workbook begins with: parameters, data, checks, the day, money and economics, in one call."""

from __future__ import annotations

import datetime as dt
import inspect
import math
import re
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tenure import money, parameters
from tenure.economics import Economics, read_economics
from tenure.errors import InputError, NotApplicable, in_a_sentence
from tenure.policy import POLICIES, MetricPolicy, named, one_rule_apart
from tenure.result import Estimate, Table

if TYPE_CHECKING:
    import pandas as pd

    from tenure.models.restatement import Elsewhere
    from tenure.models.worth import Losses
    from tenure.sources.connect import Source

Limit = float | tuple[float, float] | tuple[str, ...]

# Parameters that several workbooks have, and what they may be.
_AT_LEAST = {"horizon": 2, "min_group": 1, "window_days": 1, "days": 1, "holdout": 1, "pay_months": 1}
_AT_LEAST |= {"min_at_risk": 1, "months_back": 1, "terms": 1}
_SHARES = ("kept", "alpha", "level", "leave", "smallest_effect")
_CURRENCIES = ("currency", "reporting_currency")
_CHOICES = {"period": ("day", "week", "month"), "policy": tuple(POLICIES), "compare_with": tuple(POLICIES)}
_CHOICES |= {"unit": ("customer", "account", "subscription"), "cost_per": ("customer", "seat")}
_CHOICES |= {"usage_unit": ("hours", "events")}
# Rules of counting that a parameter may give, as company.yml does.
_RULES = ("unit", "gap_days", "pause_days", "hold_days")
_DATES = ("as_of", "start_from", "start_to", "since")


@dataclass(frozen=True, eq=False)
class Workbook:
    """Somebody's data, opened and checked, with what holds for the whole workbook.

    Attributes:
        source: The contract tables.
        as_of: The last day that is looked at.
        scope: What every measure is asked with, such as `as_of`, `currency` and `policy`.
        economics: What the company earns on its revenue.
        horizon: How many periods of life count: a parameter's number, else company.yml's horizon_months.
        wanted_currency: The reporting currency that a parameter or company.yml names; empty: none.
        only: The condition that all its customers meet (see `tenure.only`); empty: they are everybody.
        everybody: The source with all customers, where it has some only.
    """

    source: Source
    as_of: dt.date
    scope: Mapping[str, Any]
    economics: Economics
    horizon: int
    wanted_currency: str = ""
    only: str = ""
    everybody: Source | None = None

    def ask(
        self,
        measure: Callable[..., Any],
        *args: Any,
        of: Any = None,
        on: Sequence[dt.date] = (),
        policies: Mapping[str, MetricPolicy] = {},
        **options: Any,
    ) -> pd.DataFrame:
        """Put one question to the engine and return its small table.

        Args:
            measure: A function of `tenure.measures`.
            *args: Its arguments after the source.
            of: What it is made from, where that is not the source: a table that `keep` returned.
            on: Several days to ask it of, each as the data was known at its end; a column `on` names the day,
                such as "2026-10-31".
            policies: Several policies to ask it under, by name; a column `policy` names them.
            **options: Its options; those of `scope` that it takes need not be named.

        Raises:
            InputError: The engine cannot answer, or the answer is too large; in one sentence.
        """
        from tenure.sources.connect import collect
        from tenure.sources.counting import doing

        lists = {name: value for name, value in (("on", on), ("policies", policies)) if value}
        with doing("building"):
            question = self._measured(measure, of, args, {**options, **lists})
        return collect(question)

    def table(self, name: str) -> pd.DataFrame | None:
        """Return a small contract table as it is, such as targets; None: the data has none."""
        from tenure.sources.connect import collect

        return collect(self.source[name]) if name in self.source else None

    def keep(self, measure: Callable[..., Any], *args: Any, of: Any = None, **options: Any) -> Any:
        """Have the engine work a table out once and keep it there, for questions to be made from it.

        Args:
            measure: As for `ask`.
            *args: As for `ask`.
            of: As for `ask`.
            **options: As for `ask`.
        """
        from tenure.sources.results import kept

        return kept(self._measured(measure, of, args, options))

    def _measured(
        self, measure: Callable[..., Any], of: Any, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        takes = inspect.signature(measure).parameters
        known = {name: value for name, value in self.scope.items() if name in takes}
        return measure(self.source if of is None else of, *args, **{**known, **options})

    def with_tables(self, **tables: Any) -> Workbook:
        """Return the workbook with these tables added or replaced, as Ibis expressions.

        To look at some customers only, give the workbook the parameter `only`: filtering `customers` here
        leaves nobody out. This workbook stays as it is.
        """
        return replace(self, source=self.source.instead(tables))

    def _still(self, **changes: Any) -> Workbook:
        """The workbook with changes to which what it has asked about subscriptions is still the answer."""
        book = replace(self, **changes)
        vars(book).update({**vars(self), **vars(book)})
        return book

    def with_segments(self, by: str = "") -> tuple[Workbook, str]:
        """Return the workbook with the segments that segmentation published, else those on file, and a label.

        Args:
            by: A column to compare groups by: "segment:rfm" asks for the segments of the scheme rfm.

        Returns:
            The workbook, and the scheme, such as "behavior, as published"; "on file" is a customers' column.
        """
        from tenure.sources.connect import collect
        from tenure.sources.published import published_segments

        wanted = by.removeprefix("segment:") if by.startswith("segment:") else ""
        if found := published_segments(self.everybody or self.source, wanted):
            own = found[1].semi_join(self.source["customers"], "customer_id") if self.only else found[1]
            source = self.source.instead({"segments": own})
            return self._still(source=source), f"{found[0]}, as published"
        if "segments" not in self.source:
            return self, "on file"
        schemes = self.source["segments"].aggregate(first=lambda rows: rows.scheme.min())
        return self, f"{wanted or collect(schemes)['first'].iloc[0]}, on file"

    @cached_property
    def active(self) -> pd.DataFrame:
        """Paying customers on the last day and what they pay per month, by currency."""
        from tenure.measures import subscriptions

        return self.ask(subscriptions.active_value)

    @cached_property
    def left_out(self) -> pd.DataFrame:
        """Spans that no measure of paying customers uses, by reason and currency."""
        from tenure.measures import subscriptions

        return self.ask(subscriptions.exclusions)

    @cached_property
    def paid_once(self) -> Estimate:
        """What was paid for access that is paid once; its case is "none" where there is none."""
        from tenure.measures import revenue
        from tenure.models import rates

        if "paid once" not in set(self.left_out["reason"]):
            return Estimate(math.nan, unit=self.unit, case="none")
        return rates.paid_once(self.ask(revenue.paid_once), self.factors(), self.currency)

    @cached_property
    def in_currencies(self) -> pd.DataFrame:
        """Spans and customers by currency, the most common first."""
        from tenure.measures import subscriptions

        return self.ask(subscriptions.currencies)

    @property
    def currencies(self) -> list[str]:
        """All currencies of subscriptions, the most common first."""
        return [str(name) for name in self.in_currencies["currency"]]

    @cached_property
    def rates(self) -> pd.DataFrame | None:
        """Month-end exchange rates (currency, month, rate); None: the data has none."""
        return self.rates_at()

    def rates_at(self, **options: Any) -> pd.DataFrame | None:
        """Return `rates`; those at the ends of other periods, which `every` names."""
        from tenure.measures import revenue

        return self.ask(revenue.month_rates, **options) if "fx_rates" in self.source else None

    @cached_property
    def currency(self) -> str:
        """The currency to report in: the one named, that of the rates, or that of most customers."""
        paying = dict(zip(self.active["currency"], self.active["customers"].astype(float), strict=True))
        paying = paying or dict.fromkeys(self.currencies[:1], 1.0)
        return money.reporting_currency(paying, self.rates, self.wanted_currency) or "XXX"

    @cached_property
    def losses(self) -> Losses:
        """Who churns when, why and at which price, for `tenure.models.worth`: the same in every workbook."""
        from tenure.measures import subscriptions
        from tenure.models import worth
        from tenure.stats import hazards
        from tenure.stats.lifetable import FEWEST

        life = self.ask(subscriptions.life_table)
        year_ago = self.as_of - dt.timedelta(days=364)
        joined = self.ask(subscriptions.new_customers, since=year_ago) if self.source.dated else None
        return worth.losses(
            life,
            self.ask(subscriptions.churned_value),
            horizon=self.horizon,
            starters=None if joined is None else int(joined["customers"].iloc[0]) or None,
            factors=self.factors(),
            currency=self.currency,
            renewals=() if life.empty else tuple(hazards.hazard(life).spikes["period"]),
            period=self.scope.get("period", "month"),
            min_at_risk=self.scope.get("min_at_risk", FEWEST),
        )

    def save_rate(self, given: float | None = None) -> Estimate:
        """Return the share of those about to leave whom an offer keeps; see `models.worth.save_rate`."""
        from tenure.models import worth
        from tenure.sources.published import published_effects

        return worth.save_rate(published_effects(self.everybody or self.source), given)

    def elsewhere(self, largest: int = 0, history: pd.DataFrame | None = None) -> Elsewhere | None:
        """Explain what another system reports of recurring revenue; None: nothing of a whole month.

        Args:
            largest: How many of the customers who differ most to list, as the part "customer".
            history: As from `tenure.models.restatement.history`, to compare movements, too.
        """
        from tenure.measures import elsewhere, revenue
        from tenure.models import months, restatement

        moved = self.table("movements_elsewhere")
        rolled = (
            None
            if moved is None or history is None
            else restatement.rolled_forward(moved, history, self.rates)
        )
        if "mrr_elsewhere" not in self.source:
            return rolled
        theirs, last = self.ask(elsewhere.reported_months), months.complete_month(self.as_of)
        known = sorted({int(month) for month in theirs["month"] if month <= last})[-12:]
        if not known:
            return rolled
        ends = [months.month_date(month + 1) - dt.timedelta(days=1) for month in known]
        used = {*theirs["currency"], *self.currencies, self.currency}
        rates = money.known_factors(self.rates, used, self.currency, known[-1])
        policies = one_rule_apart(self.scope["policy"])
        rows = self.keep(elsewhere.differences, as_of=ends[-1], policies=policies, rates=rates)
        of = self.ask(elsewhere.by_rule, of=rows), self.ask(revenue.mrr_balances, on=ends), theirs, rates
        top = self.ask(elsewhere.largest, largest, of=rows) if largest else None
        found = restatement.elsewhere(*of, currency=self.currency, months=known, largest=top)
        return found._replace(parts={**found.parts, **(rolled.parts if rolled else {})})

    @property
    def unit(self) -> str:
        """The unit of money, such as "money:EUR"."""
        return f"money:{self.currency}"

    @property
    def by_month(self) -> bool:
        """Whether customers can be followed by the calendar month in which they started."""
        return self.source.dated and self.scope.get("period", "month") == "month"

    @property
    def month(self) -> int:
        """The index of the last day's month, counted from January of year 0."""
        return self.as_of.year * 12 + self.as_of.month - 1

    def months_ago(self, months: int) -> dt.date:
        """Return the day some months before the last one; the last day of a month stays one."""
        import pandas as pd

        after = pd.Timestamp(self.as_of + dt.timedelta(days=1))
        return (after - pd.DateOffset(months=months, days=1)).date()

    def value_events(self, chosen: Sequence[str] = (), parameter: str = "value_events") -> list[str]:
        """Return the kinds of events that count as use: those chosen, else those with content or a duration.

        Raises:
            InputError: There are no such events.
        """
        from tenure.measures import engagement

        kinds = self.ask(engagement.event_kinds)
        with_value = kinds.loc[kinds["with_value"] > 0, "event"].tolist()
        for name in chosen:
            parameters.one_of(parameter, name, kinds["event"])
        return list(chosen) or with_value or kinds["event"].tolist()

    def factors(self, month: int | None = None) -> dict[str, float]:
        """Return reporting minor units for a minor unit of each currency with a rate.

        Args:
            month: The month at whose end; None: the last one.
        """
        used = [*self.currencies, self.currency]
        return money.known_factors(self.rates, used, self.currency, self.month if month is None else month)


def with_rules(economics: Economics, names: Mapping[str, Any]) -> Economics:
    """Return a company's facts with the rules of counting that parameters replace."""
    own = {name: names[name] for name in _RULES if names.get(name) not in (None, "")}
    return economics.model_copy(update={"rules": {**economics.rules, **own}})


@in_a_sentence()
def open_workbook(
    names: MutableMapping[str, Any],
    *,
    needs: Sequence[str] = ("customers", "subscriptions"),
    dated: bool = False,
    **limits: Limit,
) -> Workbook:
    """Check the parameters, open and check the data, and show what the report is about.

    What is not as it should be is refused before any work, in one sentence.

    Args:
        names: The notebook's ``globals()``.
        needs: Contract tables without which there is nothing to say.
        dated: Whether real dates are needed, which a snapshot does not have.
        **limits: For further parameters the least value, the least and the greatest, or the words allowed.

    Returns:
        The workbook.

    Raises:
        InputError: A parameter or the data is not as it should be.
        NotApplicable: A table or dates are absent.
    """
    import pandas as pd

    from tenure import only, privacy, report
    from tenure.measures import groups, subscriptions, units
    from tenure.models.worth import MONTHS
    from tenure.report import format as fmt
    from tenure.report.words import say
    from tenure.sources.checks import check_as_of, check_once
    from tenure.sources.connect import open_source

    declared = parameters.check_parameters(names)
    condition = only.read(names.get("only", ""))
    days = _check_values({name: names[name] for name in declared}, limits)
    data, mapping = names["data"], names.get("mapping", "")
    facts = {name: names[name] for name in Economics.model_fields if name in declared}
    economics = with_rules(read_economics(names.get("company", ""), data).overriding(facts), names)
    policy = named(names.get("policy") or "tenure", economics.rules)
    source = open_source(data, mapping, economics.time_zone, economics.observed_until)
    source.require(*needs)
    if dated and not source.dated:
        raise NotApplicable("This question needs real dates, and this data knows only durations.")
    if condition:
        only.check(condition, source, needs)
    as_of = check_as_of(source, days["as_of"])
    found = check_once(source, as_of, economics)
    found.raise_errors()

    currency, by = names.get("currency", ""), names.get("by", "")
    if by:
        parameters.one_of("by", by.partition(":")[0], groups.groupings(source))
    for name in names.get("characteristics", ()):
        parameters.one_of("characteristics", name, groups.groupings(source))
    privacy.smallest_group = economics.smallest_group
    opened = source
    if (unit := policy.unit) != "customer":
        source = source.instead(units.by_unit(source, unit, policy.gap_days))
    scope = {
        "as_of": as_of,
        "currency": currency,
        "start_from": days["start_from"],
        "start_to": days["start_to"],
        "observed_from": source.observed_from,
        "policy": policy,
        "lag_days": economics.spend_lag,
        # A workbook with other periods of its own follows customers by the month.
        **{name: names[name] for name in ("min_group", "min_at_risk") if name in names},
        **({"period": names["period"]} if "period" in names and "period" not in limits else {}),
    }
    everybody, whom, apart = None, "", ""
    if condition:
        everybody, among = source, {name: scope[name] for name in ("as_of", "currency", "policy")}
        source, whom, apart = only.some(source, condition, needs, opened, **among)
    wanted = names.get("reporting_currency", "") or economics.currency or currency
    horizon = names.get("horizon") or round(economics.horizon_months / MONTHS[scope.get("period", "month")])
    book = Workbook(
        source, as_of, scope, economics, horizon, wanted, condition.text if condition else "", everybody
    )
    if currency:
        parameters.one_of("currency", currency, book.currencies)
    left_behind = unpriced = ""
    if "subscriptions" in needs and not currency:
        if "reporting_currency" in names:
            book, left_behind = _convertible(book)
        else:
            unpriced = _unpriced(book)[1]
    commission = ""
    if economics.commission:
        column = economics.commission_by or ("store" if "store" in source.attributes else "channel")
        paid = book.ask(subscriptions.active_value, by=column)
        worth = paid["monthly_minor"] * paid["currency"].map(book.factors()).fillna(0.0)
        cash = {str(k): v for k, v in worth.groupby(paid["group"]).sum().items() if v > 0}
        known = economics.after_commission(cash, column)
        book, lacking = book._still(economics=known), cash.get("unknown", 0.0) / (sum(cash.values()) or 1.0)
        words = {"mean": (known.mean_commission, "percent"), "column": column, "part": (lacking, "percent")}
        commission = say("{mean} on average; each customer's own by {column}", **words)
        if lacking:
            commission += say(", the average for {part} of revenue, of no known {column}", **words)
    gaps = min(policy.gap_days), max(policy.gap_days)
    report.header(
        as_of=as_of,
        subtitle=whom,
        source=source.url,
        company=economics.name,
        time_zone=source.time_zone if source.time_zone != "UTC" else "",
        groups=by,
        currency=currency,
        left_out=left_behind,
        left_out_of_money=unpriced,
        not_compared=apart and say("{tables}, which are those of all", tables=apart),
        data_checked=say("that of all") if whom else "",
        policy=names.get("policy", ""),
        commission=commission,
        counted_by=unit,
        gaps_bridged=fmt.interval(*gaps, "days") if gaps[0] < gaps[1] else fmt.value(gaps[0], "days"),
        pauses_of_up_to="" if policy.pause_days is None else fmt.value(policy.pause_days, "days"),
        logo=economics.logo,
        accent=economics.accent,
    )
    report.checks(found)
    ledger = book.left_out
    amounts = zip(ledger["monthly_minor"], ledger["currency"], strict=True)
    ledger = ledger.assign(monthly=[fmt.money(*amount) for amount in amounts])
    ledger = ledger.drop(columns=["monthly_minor", "currency"]).convert_dtypes()
    mapped = pd.DataFrame(
        {"reason": say("rows of {table} that the mapping leaves out", table=table), "spans": rows}
        for table, rows in source.left_out.items()
    )
    ledger = pd.concat([ledger, mapped.convert_dtypes()]) if len(mapped) else ledger
    report.exclusions(Table(ledger, {"reason": "words"}))
    return book


def _convertible(book: Workbook) -> tuple[Workbook, str]:
    """The workbook without the currencies that cannot be converted, and what is left out, in words.

    Raises:
        InputError: Those that can be are those of less than 80 % of the customers.
    """
    from tenure.report import format as fmt

    share, words = _unpriced(book)
    if not share:
        return book, ""
    found, known = book.in_currencies, book.factors()
    shares = found["customers"] / found["customers"].sum()
    if share > money.MOST_LEFT_OUT:
        said = ", ".join(
            f"{name} ({fmt.percent(part)})" for name, part in zip(found["currency"], shares, strict=True)
        )
        names = ", ".join(name for name in found["currency"] if name not in known)
        raise InputError(
            f"subscriptions.currency: customers pay in {said}, and there is no exchange rate of {names} to "
            f"{book.currency}, so that what they pay cannot be added up. Fix: put rates into the table "
            f"fx_rates, with 1 for {book.currency} itself, or keep one currency by `where` in the mapping."
        )
    convertible = {
        name: book.source[name].filter(book.source[name].currency.isin(list(known)))
        for name in ("subscriptions", "payments")
        if name in book.source
    }
    return book.with_tables(**convertible), words


def _unpriced(book: Workbook) -> tuple[float, str]:
    """The share of customers who pay in currencies without a rate, and in words who they are."""
    from tenure import privacy
    from tenure.report.words import say

    found, known = book.in_currencies, book.factors()
    names = privacy.folded(found["currency"], found["customers"])
    lacking = found[~found["currency"].isin(list(known))]
    share = float(lacking["customers"].sum() / (found["customers"].sum() or 1))
    words = {"share": (share, "percent"), "names": ", ".join(names[lacking.index].unique())}
    return share, say("{share} of customers, who pay in {names} (no exchange rate)", **words) if share else ""


def _check_values(values: Mapping[str, Any], limits: Mapping[str, Limit]) -> dict[str, dt.date | None]:
    """Refuse values that no workbook can work with; return the parameters that are days."""
    known: Mapping[str, Limit] = {**_AT_LEAST, **dict.fromkeys(_SHARES, (0, 1)), **_CHOICES, **limits}
    for name, value in values.items():
        limit = known.get(name)
        parameters.sensible(name, value)
        if value is None or limit is None or (value == "" and name not in limits):
            continue
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(limit, tuple):
                parameters.between(name, one, limit)
            elif isinstance(limit[0], str):
                parameters.one_of(name, one, limit)
            else:
                parameters.between(name, one, *limit)
    for name in _CURRENCIES:
        if not re.fullmatch("([A-Z]{3})?", values.get(name) or ""):
            raise InputError(f"The parameter `{name}` is {values[name]!r}. Fix: write a code, such as EUR.")
    return {name: parameters.optional_date(name, values.get(name, "")) for name in _DATES}
