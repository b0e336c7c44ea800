"""What people say they would pay: the price meter, stated demand, and choices between offers.

Survey prices are in units of `currency` and become minor units where they are read (empty: they stay as they
are); `level` is that of the intervals, `draws` how many draws or bootstrap samples they are made of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special

from tenure.errors import InputError, NotApplicable
from tenure.models.pricing import arc_elasticity, normal_draws
from tenure.money import minor_units, unit_of
from tenure.result import Estimate, Table
from tenure.stats.intervals import wilson
from tenure.stats.lifetable import Array, check_level, spelled, z_value

DRAWS = 4000
SEED = 20260


# --- what people say ---------------------------------------------------------------------------------

QUESTIONS = ("too_cheap", "cheap", "expensive", "too_expensive")


@dataclass(frozen=True, eq=False)
class PriceMeter:
    """Van Westendorp's price sensitivity meter.

    Attributes:
        points: A row per point: `point` (lowest acceptable, indifference, optimal, highest acceptable price),
            `price` with its interval, and `first` and `last`, between which the two lines lie together.
        curves: A row per price: `price` and the shares who find it `too_cheap`, `not_cheap`,
            `not_expensive`, `too_expensive`.
        incoherent: The share who answered out of order and are left out; its word `coherent` counts the rest.
        incomplete: How many left a question out.
        level: The intervals' level.
    """

    points: Table
    curves: Table
    incoherent: Estimate
    incomplete: int
    level: float

    def point(self, name: str) -> Estimate:
        """Return a point, such as "optimal price".

        Where the two lines lie together, its case is "together", its words `first` and `last` say from where
        to where, and its value is the middle.
        """
        n = self.incoherent.words["coherent"]
        first, last = (self.points.estimate(name, end) for end in ("first", "last"))
        about = {"of": "person", "level": self.level, "sample": "price meter"}
        found = self.points.estimate(name, "price", n=n, **about).saying(first=first, last=last)
        return replace(found, case="together") if first.value < last.value else found


_POINTS = {
    "lowest acceptable price": ("too_cheap", "not_cheap"),
    "indifference price": ("not_expensive", "not_cheap"),
    "optimal price": ("too_cheap", "too_expensive"),
    "highest acceptable price": ("not_expensive", "too_expensive"),
}


def van_westendorp(
    answers: pd.DataFrame, currency: str = "", *, level: float = 0.95, draws: int = 1000
) -> PriceMeter:
    """Read the four prices that people call too cheap, cheap, expensive and too expensive.

    At each price, the shares for whom it is too cheap (their answer is that price or more) and not expensive
    (their answer to expensive is more) fall, and those for whom it is not cheap and too expensive rise. The
    lowest acceptable price is where too cheap meets not cheap, the highest where not expensive meets too
    expensive, the indifference price where cheap meets expensive, the optimal one where too cheap meets too
    expensive (van Westendorp 1976). Who answered out of order or left a question out is counted and left out.
    Intervals are percentiles of a bootstrap of respondents, of both ends where lines lie together.

    Args:
        answers: A column for each of `QUESTIONS` (missing: left out), and `n` (who gave these four).

    Raises:
        InputError: A price is negative or infinite.
        NotApplicable: A question was never answered, there are fewer than 30 coherent answers, or most people
            gave one price as all four.
    """
    check_level(level)
    values, n = answers[list(QUESTIONS)].to_numpy(dtype=float), answers["n"].to_numpy(dtype=float)
    bad = ((values < 0) | np.isinf(values)).any(axis=1)
    if bad.any():
        raise InputError(
            f"surveys.score: {int(n[bad].sum())} people answered the price meter with what is no price, such "
            f"as {values[bad][0].tolist()}. Fix: give prices from 0 up."
        )
    unasked = [
        question for question, known in zip(QUESTIONS, ~np.isnan(values).T, strict=True) if not known.any()
    ]
    if unasked:
        raise NotApplicable(
            f"The price meter needs the answers of one person to four questions, and nobody answered "
            f"{spelled(unasked)}."
        )
    complete = ~np.isnan(values).any(axis=1)
    incomplete, values, n = int(n[~complete].sum()), values[complete], n[complete]
    coherent = (np.diff(values, axis=1) >= 0).all(axis=1)
    kept, weight = values[coherent] * minor_units(currency), n[coherent]
    if weight.sum() < 30:
        raise NotApplicable(
            f"The price meter needs 30 people who answered all four questions in order; there are "
            f"{weight.sum():.0f}, beside {n.sum() - weight.sum():.0f} who answered out of order and "
            f"{incomplete} who left a question out."
        )
    order = np.lexsort(kept.T)
    kept, weight = kept[order], weight[order]
    grid = np.unique(kept)
    below = [np.searchsorted(grid, kept[:, k]) for k in range(4)]

    def counts(w: Array) -> dict[str, Array]:
        """How many find a price so, at each price of the grid and, in between, between it and the next."""
        at = [np.bincount(places, weights=w, minlength=len(grid)) for places in below]
        up_to = [np.cumsum(one) for one in at]
        return {
            "too_cheap": np.repeat(w.sum() - up_to[0] + at[0], 2)[1:],
            "not_cheap": np.repeat(up_to[1] - at[1], 2)[1:],
            "not_expensive": np.repeat(w.sum() - up_to[2], 2)[:-1],
            "too_expensive": np.repeat(up_to[3], 2)[:-1],
        }

    def crossings(w: Array) -> Array:
        lines = counts(w)
        return np.array([_crossing(grid, lines[falls], lines[rises]) for falls, rises in _POINTS.values()])

    found = crossings(weight)
    if np.isnan(found).any():
        raise NotApplicable(
            "Most people gave one price as all four answers, so the price meter's lines do not cross."
        )
    rng = np.random.default_rng(SEED)
    samples = rng.multinomial(int(weight.sum()), weight / weight.sum(), size=draws)
    sampled = np.array([crossings(w.astype(float)) for w in samples])
    points = {
        "point": list(_POINTS),
        "price": found.mean(axis=1),
        "price_low": np.nanquantile(sampled[..., 0], (1 - level) / 2, axis=0),
        "price_high": np.nanquantile(sampled[..., 1], (1 + level) / 2, axis=0),
        "first": found[:, 0],
        "last": found[:, 1],
    }
    curves = pd.DataFrame({name: line[::2] / weight.sum() for name, line in counts(weight).items()})
    curves.insert(0, "price", grid)
    unit = unit_of(currency)
    left_out = Estimate(1 - float(weight.sum() / n.sum()), n=int(n.sum()), of="person", unit="percent")
    return PriceMeter(
        points=Table(pd.DataFrame(points), dict.fromkeys(("price", "first", "last"), unit)),
        curves=Table(curves, {"price": unit, **dict.fromkeys(curves.columns[1:], "percent")}),
        incoherent=left_out.saying(coherent=int(weight.sum())),
        incomplete=incomplete,
        level=level,
    )


def _crossing(grid: Array, falling: Array, rising: Array) -> tuple[float, float]:
    """From which price to which a rising line meets a falling one (see `counts`).

    Where they pass each other at once, both are taken as straight between the prices of the grid.
    """
    gap = rising - falling
    together = np.flatnonzero(gap == 0)
    if len(together):
        return grid[together[0] // 2], grid[(together[-1] + 1) // 2]
    price = float(np.interp(0.0, gap[::2], grid, right=np.nan))
    return price, price


def price_meter_by(
    answers: pd.DataFrame, currency: str = "", *, smallest: int = 60, level: float = 0.95
) -> Table:
    """Read the price meter by `group`, a column of the answers: `group`, `point`, `price` with its interval.

    Points and their limits are those of `van_westendorp` (van Westendorp 1976). Groups with fewer than
    `smallest` people are left out, and those that have no price meter of their own.

    Raises:
        NotApplicable: No group is large enough.
    """
    answers = answers.dropna(subset=list(QUESTIONS))
    large = answers.groupby("group")["n"].transform("sum") >= smallest
    parts = []
    for group, part in answers[large].groupby("group", sort=True):
        with suppress(NotApplicable):
            meter = van_westendorp(part, currency, level=level)
            parts.append(meter.points.frame.assign(group=str(group)))
    if not parts:
        raise NotApplicable(f"No group has {smallest} people or more who answered the price meter.")
    names = ["group", "point", "price", "price_low", "price_high"]
    return Table(pd.concat(parts, ignore_index=True)[names], {"price": unit_of(currency)})


@dataclass(frozen=True, eq=False)
class StatedDemand:
    """Stated demand at a few prices (Gabor and Granger).

    Attributes:
        table: A row per price: `price`, `n`, `would_buy`, `share` with its interval, `smoothed` (never
            rising), `revenue` (per person asked) with its interval, `elasticity` (from the price before).
        best: The share at the price with the largest revenue; its word `price` is which.
    """

    table: Table
    best: Estimate


def gabor_granger(answers: pd.DataFrame, currency: str = "", *, level: float = 0.95) -> StatedDemand:
    """Read at which prices people say that they would buy.

    Shares have score intervals. Where more say yes to a higher price, neighbours are pooled until demand
    falls (isotonic regression), and revenue is the price times that.

    Args:
        answers: Columns `price`, `n` (asked) and `would_buy`.

    Raises:
        NotApplicable: Fewer than two prices were asked.

    Example:
        >>> answers = pd.DataFrame(dict(price=[5, 7.5, 10, 12.5, 15], n=100, would_buy=[80, 66, 50, 34, 20]))
        >>> found = gabor_granger(answers)
        >>> found.best.words["price"].value, found.table.frame["revenue"].round(2).tolist()
        (10.0, [4.0, 4.95, 5.0, 4.25, 3.0])
    """
    check_level(level)
    table = answers.groupby("price")[["n", "would_buy"]].sum().reset_index()
    table = table[table["n"] > 0].reset_index(drop=True)
    if len(table) < 2:
        raise NotApplicable(f"Stated demand needs two prices or more; {len(table)} was asked about.")
    price, n = table["price"].to_numpy(dtype=float) * minor_units(currency), table["n"].to_numpy(dtype=float)
    share = table["would_buy"].to_numpy() / n
    low, high = wilson(share, n, level)
    smoothed = optimize.isotonic_regression(share, weights=n, increasing=False).x
    columns = {"price": price, "share": share, "share_low": low, "share_high": high, "smoothed": smoothed}
    columns |= {"revenue": price * smoothed, "revenue_low": price * low, "revenue_high": price * high}
    table = table.assign(**columns, elasticity=np.r_[np.nan, arc_elasticity(price, smoothed)])
    unit, top = unit_of(currency), int(table["revenue"].argmax())
    found = Table(table, {"price": unit, "share": "percent", "smoothed": "percent", "revenue": unit})
    words = {"price": Estimate(float(price[top]), unit=unit)}
    about = {"n": int(n[top]), "of": "person", "level": level, "words": words}
    return StatedDemand(found, found.estimate(price[top], "share", **about))


# --- choices between offers --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Conjoint:
    """A multinomial logit of choices between offers.

    Attributes:
        table: A row per term: `attribute`, `level`, `coefficient` with its interval, `standard_error`, `p`.
        covariance: Of the coefficients, over tasks of one respondent together.
        log_likelihood: At the estimate.
        respondents: How many people chose.
        level: The intervals' level.
        levels: The levels of each attribute, the reference first.
        outside: Whether there was the choice of none.
        currency: Of the prices.
    """

    table: pd.DataFrame
    covariance: Array
    log_likelihood: float
    respondents: int
    level: float
    levels: Mapping[str, tuple[str, ...]]
    outside: bool
    currency: str

    @property
    def coefficients(self) -> Array:
        """The coefficients, in the order of the table."""
        return self.table["coefficient"].to_numpy()

    def willingness_to_pay(self) -> Table:
        """Return what each level is worth, in money, against the reference of its attribute.

        -coefficient / coefficient of price, with percentiles over draws of the coefficients (Krinsky and
        Robb 1986).

        Returns:
            A row per level: `attribute`, `level`, `reference`, `worth` with its interval.

        Raises:
            NotApplicable: Price does not clearly lower the appeal, so no level has a worth in money.
        """
        if self.table["coefficient_high"].iloc[0] >= 0:
            raise NotApplicable(
                "Price does not clearly lower the appeal of an offer in these choices, so nothing can be "
                "said in money: ask more people, or show prices that differ more."
            )
        terms = self.table.index[~self.table["attribute"].isin(["price", "none"])]
        sampled = self._draws()
        low, high = self._limits(-sampled[:, terms] / sampled[:, :1])
        rows = self.table.loc[terms, ["attribute", "level"]].reset_index(drop=True)
        rows["reference"] = [self.levels[attribute][0] for attribute in rows["attribute"]]
        worth = -self.coefficients[terms] / self.coefficients[0]
        rows = rows.assign(worth=worth, worth_low=low, worth_high=high)
        return Table(rows, {"worth": unit_of(self.currency)})

    def most_telling(self) -> Estimate:
        """Return the worth of the level that moves people most; its words say which."""
        table = self.willingness_to_pay()
        top = table.frame.iloc[[int(table.frame["worth"].abs().argmax())]]
        words = dict(zip(("attribute", "kind", "reference"), top.iloc[0, :3], strict=True))
        about = {"n": self.respondents, "of": "person", "level": self.level, "words": words}
        return Table(top, table.units).estimate(words["attribute"], "worth", **about)

    def shares(self, offers: pd.DataFrame) -> Table:
        """Simulate which share of people would choose each offer.

        Args:
            offers: A row per offer: `offer` (its name), `price` (in minor units) and the attributes.

        Returns:
            A row per offer, and "none" where that could be chosen: `offer`, `share` with its interval.

        Raises:
            InputError: An attribute or a level is unknown.
        """
        design = _design(offers, self.levels)
        if self.outside:
            design = np.column_stack([design, np.zeros(len(design))])
            design = np.vstack([design, np.r_[np.zeros(design.shape[1] - 1), 1]])
        low, high = self._limits(special.softmax(self._draws() @ design.T, axis=1))
        table = {"offer": [*map(str, offers["offer"]), *(["none"] if self.outside else [])]}
        table |= {"share": special.softmax(design @ self.coefficients), "share_low": low, "share_high": high}
        return Table(pd.DataFrame(table), {"share": "percent"})

    def _draws(self) -> Array:
        return normal_draws(np.random.default_rng(SEED), self.coefficients, self.covariance, DRAWS)

    def _limits(self, sampled: Array) -> Array:
        return np.quantile(sampled, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)


def _design(offers: pd.DataFrame, levels: Mapping[str, tuple[str, ...]]) -> Array:
    """Price and a dummy for each level but the first of each attribute."""
    columns = [offers["price"].to_numpy(dtype=float)]
    for attribute, names in levels.items():
        if attribute not in offers.columns:
            raise InputError(f"The offers have no column {attribute!r}; they have {spelled(offers.columns)}.")
        values = offers[attribute].astype(str)
        strange = sorted(set(values) - set(names))
        if strange:
            raise InputError(
                f"The offers have the {attribute} {strange[0]!r}, which nobody was shown; there are "
                f"{spelled(names)}."
            )
        columns += [(values == name).to_numpy(dtype=float) for name in names[1:]]
    return np.column_stack(columns)


def conjoint(choices: pd.DataFrame, currency: str = "", *, level: float = 0.95) -> Conjoint:
    """Fit which offers people choose, by a multinomial logit (McFadden 1974).

    P(offer i of a task) = exp(V_i) / sum over its offers of exp(V_j), V = price coefficient x price + the sum
    of the levels' coefficients; to choose none has a constant of its own. Newton's method on the concave
    likelihood; the covariance is the sandwich over respondents, since a respondent's tasks are alike.

    Args:
        choices: A row per offer shown: `respondent`, `task`, `alternative` (0 for none), `chosen` (1 or 0),
            `price` (in minor units), and a column for each further attribute.

    Raises:
        InputError: A task has not exactly one choice.
        NotApplicable: Nothing but one offer was shown, or prices never differ.
    """
    check_level(level)
    known = ("respondent", "task", "alternative", "chosen", "price")
    absent = [c for c in known if c not in choices.columns]
    if absent:
        raise InputError(f"The choices have no column {absent[0]}; they have {spelled(choices.columns)}.")
    choices = choices.sort_values(["respondent", "task", "alternative"], kind="stable").reset_index(drop=True)
    key = choices["respondent"].astype(str) + "\x1f" + choices["task"].astype(str)
    task, _ = pd.factorize(key)
    picked = np.bincount(task, weights=choices["chosen"].to_numpy(dtype=float))
    if len(picked) == 0 or (picked != 1).any():
        wrong = int((picked != 1).sum())
        raise InputError(
            f"In the choices, {wrong} of {len(picked)} tasks do not have exactly one offer chosen: leave "
            "unanswered tasks out, and give the choice of none as alternative 0."
        )
    outside = choices["alternative"].to_numpy() == 0
    attributes = [c for c in choices.columns if c not in known]
    offers = choices[~outside]
    levels = {a: tuple(sorted(offers[a].astype(str).unique())) for a in attributes}
    levels = {a: names for a, names in levels.items() if len(names) > 1}
    if len(offers) == 0 or offers["price"].nunique() < 2:
        raise NotApplicable("Choices tell nothing of price where all offers have the same price.")
    none, design = bool(outside.any()), _design(offers, levels)
    x = np.zeros((len(choices), design.shape[1] + none))
    x[~outside, : design.shape[1]] = design
    x[outside, -1] = 1
    y = choices["chosen"].to_numpy(dtype=float)
    beta, probability, information = _newton(x, y, task)
    respondent, names = pd.factorize(choices["respondent"].astype(str))
    scores = np.zeros((len(names), x.shape[1]))
    np.add.at(scores, respondent, x * (y - probability)[:, None])
    inverse = np.linalg.inv(information)
    covariance = inverse @ (scores.T @ scores) @ inverse * len(names) / max(len(names) - 1, 1)
    terms = [("price", ""), *((a, v) for a, found in levels.items() for v in found[1:])]
    terms += [("none", "")] if none else []
    error = np.sqrt(np.diag(covariance))
    half = z_value(level) * error
    table = pd.DataFrame(terms, columns=["attribute", "level"]).assign(
        coefficient=beta,
        coefficient_low=beta - half,
        coefficient_high=beta + half,
        standard_error=error,
        p=2 * special.ndtr(-np.abs(beta) / error),
    )
    return Conjoint(
        table=table,
        covariance=covariance,
        log_likelihood=float(np.log(probability[y == 1]).sum()),
        respondents=len(names),
        level=level,
        levels=levels,
        outside=none,
        currency=currency,
    )


def _newton(x: Array, y: Array, task: Array) -> tuple[Array, Array, Array]:
    """Coefficients, probabilities and information of a conditional logit."""
    beta = np.zeros(x.shape[1])
    for _ in range(50):
        v = x @ beta
        top = np.full(task.max() + 1, -np.inf)
        np.maximum.at(top, task, v)
        e = np.exp(v - top[task])
        p = e / np.bincount(task, weights=e)[task]
        mean = np.zeros((task.max() + 1, x.shape[1]))
        np.add.at(mean, task, x * p[:, None])
        centered = x - mean[task]
        information = (centered * p[:, None]).T @ centered
        if np.linalg.matrix_rank(information) < len(beta):
            raise NotApplicable(
                "The offers that were shown do not tell all attributes apart, or one of them decided every "
                "choice: show combinations in which they vary on their own."
            )
        step = np.linalg.solve(information, x.T @ (y - p))
        beta = beta + step * min(1.0, 5 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return beta, p, information


# --- reading answers ----------------------------------------------------------------------------------


def stated_prices(answers: pd.DataFrame) -> pd.DataFrame:
    """Read the prices in questions such as "buy at 9.99": `price` instead of `question`.

    Args:
        answers: Columns `question`, `n`, `would_buy`.

    Raises:
        InputError: A question does not end in a price.

    Example:
        >>> stated_prices(pd.DataFrame({"question": ["buy at 9.99"], "n": [10], "would_buy": [4]}))
           price   n  would_buy
        0   9.99  10          4
    """
    price = pd.to_numeric(answers["question"].str.removeprefix("buy at "), errors="coerce")
    wrong = answers["question"][price.isna() | (price < 0)]
    if len(wrong):
        raise InputError(
            f"The table surveys has {len(wrong)} questions that should end in a price but do not, such as "
            f"{wrong.iloc[0]!r}. Fix: write them like 'buy at 9.99'."
        )
    return answers.assign(price=price)[["price", "n", "would_buy"]]


def read_choices(tasks: pd.DataFrame, currency: str = "") -> pd.DataFrame:
    """Read choices between offers from survey questions: a row per offer shown, as `conjoint` takes it.

    Args:
        tasks: Columns `customer_id`, `question` such as "choice 1: price=9.99; term=month | price=7.99;
            term=year | none", and `answer`, the number of the offer chosen, 0 for none.

    Raises:
        InputError: A question or an answer cannot be read.

    Example:
        >>> tasks = pd.DataFrame({"customer_id": ["c1"], "answer": ["2"],
        ...                       "question": ["choice 1: price=9; ads=no | price=5; ads=yes | none"]})
        >>> read_choices(tasks)[["alternative", "chosen", "price", "ads"]].values.tolist()
        [[0, 0, 0.0, ''], [1, 0, 9.0, 'no'], [2, 1, 5.0, 'yes']]
    """
    offers = {question: _offers(question) for question in tasks["question"].unique()}
    rows = []
    for person, question, answer in tasks[["customer_id", "question", "answer"]].itertuples(index=False):
        chosen = str(answer).strip().lower().replace("none", "0")
        if chosen not in {str(offer["alternative"]) for offer in offers[question]}:
            raise InputError(
                f"In the table surveys, the answer {answer!r} of customer {person} is no offer of "
                f"{question!r}. Fix: give the number of the offer, from 1 on, or 0 for none if there was "
                "none."
            )
        about = {"respondent": person, "task": question}
        rows += [
            about | offer | {"chosen": str(offer["alternative"]) == chosen} for offer in offers[question]
        ]
    table = pd.DataFrame(rows)
    return table.assign(price=table["price"] * minor_units(currency), chosen=table["chosen"].astype(int))


def _offers(question: str) -> list[dict[str, Any]]:
    """The offers of a question: alternative, price and attributes; none of them comes first."""
    _, colon, text = question.partition(":")
    parts = [part.strip() for part in text.split("|") if part.strip()]
    offers = []
    for place, part in enumerate(parts, start=1):
        if part.lower() != "none":
            pairs = dict(pair.split("=", 1) for pair in part.split(";") if "=" in pair)
            offer: dict[str, Any] = {name.strip(): value.strip() for name, value in pairs.items()}
            price = pd.to_numeric(offer.pop("price", None), errors="coerce")
            offers.append({"alternative": place, "price": float(price), **offer})
    if not (colon and offers) or any(
        not offer["price"] >= 0 or set(offer) != set(offers[0]) for offer in offers
    ):
        raise InputError(
            f"The table surveys has a choice that cannot be read: {question!r}. Fix: write offers like "
            "'choice 1: price=9.99; term=month | price=7.99; term=year | none', all with the same names."
        )
    none = (
        [{**dict.fromkeys(offers[0], ""), "alternative": 0, "price": 0.0}] if len(parts) > len(offers) else []
    )
    return none + offers


def read_offers(offers: Sequence[str], currency: str = "") -> pd.DataFrame:
    """Read offers such as "ours: price=9.99; term=month" for a simulation of shares.

    Raises:
        InputError: An offer cannot be read.

    Example:
        >>> read_offers(["ours: price=9.99; ads=no"]).to_dict("records")
        [{'offer': 'ours', 'price': 9.99, 'ads': 'no'}]
    """
    rows = []
    for offer in map(str, offers):
        name, found = offer.partition(":")[0].strip(), _offers(offer)
        if len(found) != 1 or not name:
            raise InputError(
                f"The parameter `offers` has the entry {offer!r}. Fix: write name: price=9.99; "
                "term=month, one "
                "offer each."
            )
        rows.append({"offer": name, **found[0]})
    table = pd.DataFrame(rows, columns=None if rows else ["price"]).drop(
        columns="alternative", errors="ignore"
    )
    return table.assign(price=table["price"] * minor_units(currency))
