"""What a company earns on its revenue, and how it counts days: one set of facts for the whole collection.

They come from a file company.yml beside the data, else from data/company.yml. A notebook's parameter of the
same name overrides a fact; what neither gives has a default. The report says where each one is from.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from tenure.errors import InputError
from tenure.money import minor_exponent
from tenure.paths import project_root, resolve
from tenure.settings import in_words, read_settings

FILE = "company.yml"
_PICTURES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".svg": "svg+xml"}


def known_zone(name: str) -> str:
    """Return the name of a time zone, which may be empty; ValueError where there is none."""
    try:
        ZoneInfo(name or "UTC")
    except (ValueError, OSError, KeyError):
        raise ValueError("a time zone is written like Europe/Rome") from None
    return name


def known_day(day: dt.date | None) -> dt.date | None:
    """Return a day until which data may reach; ValueError where it is none."""
    # A day further on for those whose clock is ahead of this one's.
    if day and not dt.date(1970, 1, 2) < day <= dt.date.today() + dt.timedelta(days=1):
        raise ValueError("it should be a day between 1970-01-03 and today")
    return day


class Economics(BaseModel):
    """The facts; money is in major units of `currency`.

    Attributes:
        name: The company's name.
        logo: A picture at the head of each report, as a data URL; in company.yml a file beside it.
        accent: The color of a line at the head of each report, such as #1f5fa8; empty: no line.
        currency: The currency to report in; empty: that of the exchange rates, else of most revenue.
        margin: Share of revenue left after the cost of the service, before payment fees.
        fee_share: Share of each charge that the payment provider keeps.
        fee_fixed: Fixed fee of the provider per charge.
        cost_to_serve: Further cost of serving a customer, per month.
        commission: Share of each charge that a store or channel keeps, by its name, such as
            ``{app_store: 0.30, web: 0.03}``.
        commission_by: The column of customers with these names; empty: store, else channel. A customer of
            another name pays none, one without a name the mean.
        mean_commission: The mean commission, which is part of `fee_share` once it is known.
        discount_rate: Discount per year on future money.
        horizon_months: Months over which the worth of keeping or acquiring a customer is counted.
        spend_lag: Days from spending on acquisition to a first payment.
        rules: Rules of counting that replace those of the policy "tenure", such as
            ``{gap_days: {month: 3, year: 21}, hold_days: 120}`` (see `tenure.policy.MetricPolicy`).
        observed_until: The last day that the data covers, whether anything happened on it or not; empty: the
            mapping's, else the last day on which something happened.
        smallest_group: How many people who share a characteristic a report speaks of at least (see
            `tenure.privacy`).
        fiscal_year_start: The month in which the fiscal year begins, such as 4.
        time_zone: The zone in which days and months are counted; empty: the mapping's, else UTC.
        origin: The file they come from; empty: there is none.
        given: Those given by the file or a parameter; the others are defaults.
        overridden: Those given by a notebook's parameter.

    Example:
        >>> facts = Economics(margin=0.8, fee_share=0.02, discount_rate=0.1)
        >>> round(facts.left_of(1000, "EUR", charges=0)), round(facts.discount(12), 4)
        (780, 0.9091)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = ""
    logo: str = ""
    accent: str = Field(default="", pattern=r"^(#[0-9a-fA-F]{6})?$")
    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    margin: float = Field(default=0.7, gt=0, le=1)
    fee_share: float = Field(default=0.0, ge=0, lt=1)
    fee_fixed: float = Field(default=0.0, ge=0)
    cost_to_serve: float = Field(default=0.0, ge=0)
    commission: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}
    commission_by: str = ""
    discount_rate: float = Field(default=0.1, ge=0, le=1)
    horizon_months: int = Field(default=24, ge=1, le=600)
    spend_lag: int = Field(default=7, ge=0, le=365)
    rules: dict[str, Any] = {}
    observed_until: Annotated[dt.date | None, AfterValidator(known_day)] = None
    smallest_group: int = Field(default=5, ge=1, le=1000)
    fiscal_year_start: int = Field(default=1, ge=1, le=12)
    time_zone: Annotated[str, AfterValidator(known_zone)] = ""
    mean_commission: float = Field(default=0.0, exclude=True)
    origin: str = Field(default="", exclude=True)
    given: tuple[str, ...] = Field(default=(), exclude=True)
    overridden: tuple[str, ...] = Field(default=(), exclude=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any) -> Any:
        # It would count as 1.
        if any(isinstance(it, bool) for it in (value.values() if isinstance(value, dict) else [value])):
            raise ValueError("it should be a number or a text, not yes or no")
        return value

    def discount(self, months: Any) -> Any:
        """Return today's worth of 1 after some months: (1 + rate)^(-months / 12)."""
        return (1.0 + self.discount_rate) ** (-months / 12.0)

    def left_of(self, revenue_minor: Any, currency: str, *, charges: Any = 1.0, months: Any = 0.0) -> Any:
        """Return what is left of revenue: margin, less payment fees, less the cost to serve.

        Args:
            revenue_minor: Revenue in minor units of `currency`.
            currency: The reporting currency.
            charges: The number of charges in which it was paid.
            months: The number of months for which a customer is served.
        """
        one = 10 ** minor_exponent(currency)
        kept = revenue_minor * (self.margin - self.fee_share) - charges * self.fee_fixed * one
        return kept - months * self.cost_to_serve * one

    def after_commission(self, cash: Mapping[str, float], column: str = "store") -> Economics:
        """Return the facts with the mean commission added to the share of each charge that others keep.

        Args:
            cash: What was paid, by the names in `column`; "unknown" is no name.
            column: What `commission_by` is then.

        Raises:
            InputError: No name is known.

        Example:
            >>> facts = Economics(commission={"app_store": 0.3, "web": 0.03}, fee_share=0.02)
            >>> facts = facts.after_commission({"app_store": 600, "web": 400, "unknown": 90})
            >>> round(facts.fee_share, 3), round(facts.of("app_store").fee_share, 3)
            (0.212, 0.32)
        """
        if not self.commission:
            return self
        cash = {name: paid for name, paid in cash.items() if name != "unknown"}
        if not set(self.commission) & set(cash):
            raise InputError(
                f"company.yml: commission: {', '.join(self.commission)} are none of the customers' "
                f"{', '.join(sorted(cash)) or 'stores'}. Fix: correct the names, or `commission_by`."
            )
        whole = sum(cash.values())
        taken = sum(self.commission.get(name, 0.0) * paid for name, paid in cash.items()) / whole
        known = {"fee_share": self.fee_share + taken, "mean_commission": taken, "commission_by": column}
        return self.model_copy(update=known)

    def of(self, name: str) -> Economics:
        """Return the facts of customers of one store or channel: its own commission in place of the mean."""
        own = self.mean_commission if name == "unknown" else self.commission.get(name, 0.0)
        fees = self.fee_share - self.mean_commission + own
        return self.model_copy(update={"fee_share": fees, "mean_commission": own})

    def overriding(self, parameters: Mapping[str, Any]) -> Economics:
        """Return the facts, overridden by a notebook's parameters of the same names that are not None.

        Raises:
            InputError: A value is not as it should be.

        Example:
            >>> Economics().overriding({"margin": 0.9, "discount_rate": None}).overridden
            ('margin',)
        """
        facts = set(Economics.model_fields) - {"origin", "given", "overridden"}
        own = {name: value for name, value in parameters.items() if name in facts and value not in (None, "")}
        if not own:
            return self
        values = {**self.model_dump(), **own}
        try:
            changed = Economics.model_validate(values)
        except ValidationError as error:
            found = error.errors()[0]
            raise InputError(
                f"The parameter `{found['loc'][0]}` is {found['input']!r}; {in_words(found['msg'])}. "
                "Fix: correct it, or leave it out for the company's own."
            ) from None
        given, overridden = tuple(sorted({*self.given, *own})), tuple(sorted(own))
        return changed.model_copy(update={"origin": self.origin, "given": given, "overridden": overridden})


def company_file(company: str = "", data: str = "") -> Path | None:
    """Return the file of a company's facts: the one named, else that beside the data, else data/company.yml.

    Args:
        company: A file, whose relative path counts from the project's root; empty: look for it.
        data: Where the data is, as for `tenure.open_source`.

    Returns:
        The file; None where there is none.

    Raises:
        InputError: The file that is named does not exist.
    """
    if company:
        if not (file := resolve(company)).is_file():
            raise InputError(f"The company file {company} does not exist. Fix: correct the path.")
        return file
    places = [project_root() / "data" / FILE]
    if "://" not in data or data.startswith(("file://", "duckdb://")):
        beside = resolve(data.removeprefix("file://").removeprefix("duckdb://"))
        places.insert(0, (beside if beside.is_dir() else beside.parent) / FILE)
    found = next((place for place in places if place.exists() or place.is_symlink()), None)
    if found and not found.is_file():
        raise InputError(f"{found} is not a file. Fix: put the file there, or remove what is in its place.")
    return found


def read_economics(company: str = "", data: str = "") -> Economics:
    """Read a company's facts; where there is no file, all are defaults.

    Args:
        company: As for `company_file`.
        data: As for `company_file`.

    Raises:
        InputError: The file does not exist, is not YAML, or holds an impossible value.
    """
    file = company_file(company, data)
    if file is None:
        return Economics()
    facts = read_settings(file, Economics)
    root = project_root()
    shown = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    known = {
        "origin": shown,
        "given": tuple(sorted(facts.model_fields_set)),
        "logo": _picture(file, facts.logo),
    }
    return facts.model_copy(update=known)


def _picture(file: Path, logo: str) -> str:
    """The logo that a company's file names, as a page holds it."""
    if not logo:
        return ""
    place, kind = file.parent / logo, _PICTURES.get(Path(logo).suffix.lower())
    problem = ""
    if not place.is_file():
        problem = f"there is no file {logo} beside it. Fix: put it there, or correct its name."
    elif kind is None:
        problem = f"{logo} is not a PNG, JPEG or SVG picture. Fix: name one."
    elif place.stat().st_size > 200_000:
        problem = f"{logo} is larger than 200 kB, and every page holds it. Fix: make it smaller."
    if problem:
        raise InputError(f"{file.name}: logo: {problem}")
    return f"data:image/{kind};base64,{base64.b64encode(place.read_bytes()).decode()}"
