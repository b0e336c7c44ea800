"""Who is about to leave by choice: the chance of each customer, and how far the chances can be trusted.

`rows` are what `tenure.measures.risk.landmarks` returned. A customer counts who has a renewal within the
months looked at and has not given notice. A score is fitted on landmarks whose months were over before the
landmark on which it is calibrated, and that before the one on which it is judged, so that nothing after a
landmark is known on it. Each customer is once in the landmark that is judged, so customers are resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.special import expit, logit
from scipy.stats import chi2
from sklearn import compose, ensemble, impute, linear_model, metrics, pipeline, preprocessing

from tenure.errors import InputError, NotApplicable
from tenure.periods import DAYS_A_MONTH
from tenure.result import Estimate, Table, from_ends, from_row, interval
from tenure.stats.intervals import wilson
from tenure.stats.lifetable import Array, z_value

FEWEST_EVENTS = 100  # by choice, to fit on
_DRAWS, _Z = 400, z_value(0.95)
ANSWER = 0.98  # a feature that alone tells so well who leaves is no feature
_NEAR = 1e-6

# What is known of a customer, with the words for much and for little of it.
REASONS = {
    "use": ("uses it often", "seldom uses it"),
    "change in use": ("uses it more than before", "uses it less than before"),
    "days without use": ("has not used it lately", "has used it lately"),
    "time as a customer": ("is a customer of long standing", "is a new customer"),
    "price": ("pays a high price", "pays a low price"),
    "days to the renewal": ("renews late in the months ahead", "renews soon"),
    "support requests": ("asked for support", "has not asked for support"),
    "failed charges": ("had a failed charge", "had no failed charge"),
    "satisfaction": ("is satisfied", "is not satisfied"),
    "answers": ("answers surveys", "does not answer surveys"),
}
NAMES = list(REASONS)


def prepared(rows: pd.DataFrame, dims: Sequence[str] = ()) -> pd.DataFrame:
    """Return the customers who count, by landmark and id, with what describes them as numbers and texts.

    Returns:
        The rows with left (1: by choice; NaN: not known yet), the names of `REASONS` and months (of a term).

    Example:
        >>> row = {"on": "2026-10-31", "customer_id": "a", "outcome": "voluntary", "interval": "12 months",
        ...        "tenure": 1, "wait_days": 10, "ahead_days": 92, "notice": 0, "bill": 9900.0, "used": 0,
        ...        "used_before": 3, "unused_days": 40, "tickets": 0, "failed": 0, "nps": None, "plan": "A"}
        >>> prepared(pd.DataFrame([row]))[["left", "months", "change in use"]].round(2).values.tolist()
        [[1.0, 12.0, 0.0]]
    """
    kept = (rows["notice"] == 0) & (rows["wait_days"] <= rows["ahead_days"])
    rows = rows[kept].sort_values(["on", "customer_id"], ignore_index=True)
    number, unit = rows["interval"].str.extract(r"(\d+) (month|day)").to_numpy().T
    whole = np.where(unit == "month", 1.0, DAYS_A_MONTH)
    months: pd.Series[Any] = pd.Series(number, rows.index, dtype=float) / whole
    held = np.maximum((rows["tenure"] + 1) * months * DAYS_A_MONTH - rows["wait_days"], 1.0)
    plain = ["used", "used_before", "unused_days", "tickets", "failed", "nps"]
    used, before, unused, tickets, failed, nps = (rows[name].astype(float) for name in plain)
    early = np.clip(held - 28, 0, 84)
    change = np.log1p(used) - np.log1p(before * 28 / np.maximum(early, 28))
    new = {
        "use": np.log1p((used + before) * 28 / np.clip(held, 28, 112)),
        "change in use": change.where((early >= 14) | used.isna(), 0.0),
        "days without use": np.log1p(np.minimum(unused, held)),
        "time as a customer": np.log1p((rows["tenure"] + 1) * months),
        "price": np.log1p(rows["bill"] / months),
        "days to the renewal": rows["wait_days"] / DAYS_A_MONTH,
        "support requests": np.log1p(tickets),
        "failed charges": np.log1p(failed),
        "satisfaction": nps,
        "answers": nps.notna(),
        "months": months,
        "left": (rows["outcome"] == "voluntary").where(rows["outcome"].notna()),
    }
    for name in NAMES[:3]:  # against all customers of the day, so that a season of less use is no sign
        new[name] = new[name] - new[name].groupby(rows["on"]).transform("mean")
    texts = {name: rows[name].astype("string").fillna("unknown").astype(object) for name in ("plan", *dims)}
    return rows.assign(**{name: np.asarray(column, dtype=float) for name, column in new.items()}, **texts)


@dataclass(frozen=True, eq=False)
class Score:
    """A fitted score: its chances are 1 / (1 + exp(-(a + b z))), with z the log odds of a model.

    Attributes:
        columns: What turns rows into columns, fitted: numbers in standard deviations, a column a level.
        linear: The logistic regression, which also gives the reasons.
        trees: Boosted trees, to be used instead; None: there are none.
        middle: The mean of each column.
        line: a and b, found on a later landmark than the model (Cox 1958).
        spread: Their covariance.
    """

    columns: Any
    linear: Any
    trees: Any
    middle: Array
    line: Array = field(default_factory=lambda: np.array([0.0, 1.0]))
    spread: Array = field(default_factory=lambda: np.zeros((2, 2)))

    def z(self, rows: pd.DataFrame) -> Array:
        """Log odds before calibration."""
        x = self.columns.transform(rows)
        if self.trees is None:
            return np.asarray(self.linear.decision_function(x))
        return np.asarray(logit(np.clip(self.trees.predict_proba(x)[:, 1], _NEAR, 1 - _NEAR)))

    def chances(self, rows: pd.DataFrame) -> Array:
        """The chance of each row's customer to leave by choice within the months."""
        return np.asarray(expit(self.line[0] + self.line[1] * self.z(rows)))

    def calibrated(self, rows: pd.DataFrame) -> Score:
        """The score with its line found on rows: moved, and tilted only where they clearly ask for it.

        The slope is tested as by Vergouwe and others (2017): one from few rows does more harm than none.
        """
        left, z, one = rows["left"].to_numpy(float), self.z(rows), np.ones((len(rows), 1))
        line, spread, free = logistic(left, np.column_stack([one, z]))
        shift, variance, moved = logistic(left, one, z)
        if 2 * (free - moved) < chi2.ppf(0.95, 1):
            line, spread = np.append(shift, 1.0), np.diag([variance.item(), 0.0])
        return replace(self, line=line, spread=spread)

    def total(self, rows: pd.DataFrame) -> tuple[float, float]:
        """How many can be expected to leave, and its standard error from the calibration."""
        p, z = self.chances(rows), self.z(rows)
        slope = (p * (1 - p)) @ np.column_stack([np.ones_like(z), z])
        return float(p.sum()), float(np.sqrt(slope @ self.spread @ slope))

    def terms(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What each factor adds to a row's log odds in the logistic regression, against the mean: exact."""
        texts, names = self.columns.transformers_[1][2], self.columns.get_feature_names_out()[len(NAMES) :]
        own = [max((text for text in texts if name.startswith(f"t__{text}_")), key=len) for name in names]
        added = (self.columns.transform(rows) - self.middle) * self.linear.coef_[0]
        return pd.DataFrame(added.T, index=[*NAMES, *own]).groupby(level=0, sort=False).sum().T

    def reasons(self, rows: pd.DataFrame, most: int = 2) -> list[str]:
        """What adds most to each customer's log odds, in words."""
        terms, much = self.terms(rows), (self.columns.transform(rows) <= 0).astype(int)
        order = np.argsort(-terms.to_numpy(), axis=1, kind="stable")[:, :most]

        def word(row: int, at: int) -> str:
            name = terms.columns[at]
            return REASONS[name][much[row, at]] if at < len(NAMES) else f"{name}: {texts[name].iloc[row]}"

        added, texts = terms.to_numpy(), rows[list(terms.columns[len(NAMES) :])]
        return ["; ".join(word(i, j) for j in best if added[i, j] > 0.05) for i, best in enumerate(order)]


def logistic(left: Array, x: Array, offset: Any = 0.0) -> tuple[Array, Array, float]:
    """Return the coefficients of a logistic regression without penalty, their covariance, log likelihood.

    Example:
        >>> z = np.repeat(logit([0.2, 0.6]), 10)
        >>> logistic(np.repeat([1, 0, 1, 0], [2, 8, 6, 4]), np.column_stack([z * 0 + 1, z]))[0].round(6)
        array([0., 1.])
    """
    fit = sm.GLM(left, x, family=sm.families.Binomial(), offset=np.broadcast_to(offset, len(left))).fit()
    return np.asarray(fit.params), np.asarray(fit.cov_params()), float(fit.llf)


def fitted(rows: pd.DataFrame, dims: Sequence[str] = (), *, trees: bool = False) -> Score:
    """Fit a score: logistic regression with a ridge penalty of 1, and boosted trees if they are wanted.

    The penalty, half the sum of the squared coefficients, is for numbers in standard deviations and a column
    a level; what is not known of a number is its mean. Levels in fewer than 30 rows are one, as are all but
    the 12 most frequent.
    """
    terms = rows.groupby("plan")["interval"].nunique().max() > 1  # else the plan says the term
    texts = list(dict.fromkeys(["plan", *(["interval"] if terms else []), *dims]))
    y = rows["left"].to_numpy(int)
    fill, scale = impute.SimpleImputer(keep_empty_features=True), preprocessing.StandardScaler()
    levels = preprocessing.OneHotEncoder(
        min_frequency=30, max_categories=13, handle_unknown="infrequent_if_exist", sparse_output=False
    )
    parts = [("n", pipeline.make_pipeline(fill, scale), NAMES), ("t", levels, texts)]
    columns = compose.ColumnTransformer(parts)
    x = columns.fit_transform(rows)
    linear = linear_model.LogisticRegression(tol=1e-9, max_iter=5000).fit(x, y)
    forest = ensemble.HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=150, max_leaf_nodes=8, early_stopping=False, random_state=0
    )
    return Score(columns, linear, forest.fit(x, y) if trees else None, x.mean(axis=0))


def check_features(rows: pd.DataFrame, dims: Sequence[str]) -> None:
    """Refuse a feature that looks like the answer.

    A characteristic is as it is today, so it is held against who has left since, in the months or later.

    Raises:
        InputError: A column tells alone who leaves.
    """
    people = rows.sort_values("left", kind="stable").groupby("customer_id", as_index=False).last()
    for name in dict.fromkeys([*NAMES, "plan", "interval", *dims]):
        seen = people if name in dims else rows
        y, column = seen["left"], seen[name]
        level = column.where(column.isin(column.value_counts().index[:12]), "other")
        told = column.fillna(-1.0) if name in REASONS else y.groupby(level).transform("mean")
        found = 0.5 + abs(auc(y, told) - 0.5)
        if found > ANSWER:
            raise InputError(
                f"The column {name} looks like the answer: of two customers it alone tells in {found:.1%} of "
                "cases which one chose to leave, as does what is written down when they leave. Fix: leave it "
                "out of `characteristics`, or out of the data."
            )


def auc(left: Any, p: Any, w: Any = None) -> float:
    """Return the chance that of two customers the one who leaves has the higher chance; ties count half."""
    return float(metrics.roc_auc_score(left, p, sample_weight=w))


def measures_of(left: Array, p: Array, w: Any = None) -> dict[str, float]:
    """Return how well chances tell customers apart, and how near they are; `w`: how often each counts.

    Returns:
        auc, pr_auc (average precision), lift (the share of those who left among the tenth with the highest
        chances, over a tenth), brier, skill (1 less Brier's score over that of the mean) and log_loss.

    Example:
        >>> measures_of(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))["auc"]
        0.875
    """
    base, brier = np.average(left, weights=w), metrics.brier_score_loss(left, p, sample_weight=w)
    return {
        "auc": auc(left, p, w),
        "pr_auc": float(metrics.average_precision_score(left, p, sample_weight=w)),
        "lift": 10 * captured(left, p, 0.1, w),
        "brier": float(brier),
        "skill": float(1 - brier / (base * (1 - base))),
        "log_loss": float(metrics.log_loss(left, p, sample_weight=w)),
    }


def captured(left: Array, p: Array, share: float, w: Any = None) -> float:
    """Return the share of those who left that the highest chances hold; of a tie that is cut, a part."""
    place, w = np.unique(-p, return_inverse=True)[1], np.ones(len(p)) if w is None else w
    n, k = (np.append(0.0, np.cumsum(np.bincount(place, part))) for part in (w, w * left))
    return float(np.interp(share * n[-1], n, k) / k[-1])


@dataclass(frozen=True, eq=False)
class Judged:
    """How the chances of one landmark did.

    Attributes:
        rows: Its customers, as from `prepared`, with chance and, where there is a rule to compare with, rule
            (1 for whom it names).
        score: What gave the chances.
    """

    rows: pd.DataFrame
    score: Score

    @cached_property
    def weights(self) -> Array:
        """How often each customer is in a sample, a row a sample."""
        n = len(self.rows)
        return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), _DRAWS).astype(float)

    @cached_property
    def all(self) -> pd.DataFrame:
        """What `measures_of` gives, with limits, and what the chances find beside the rule; calibration.

        Limits are percentiles over resampled customers; those of the calibration (Cox 1958) are Wald's:
        in_the_large is a in logit(P) = a + z, 0 if as many leave as expected, and slope b in a + b z, 1 if
        chances are neither too far apart nor too near, with z the log odds of the chances.
        """
        left, p = (self.rows[name].to_numpy(float) for name in ("left", "chance"))
        rule = self.rows["rule"].to_numpy(float) if "rule" in self.rows else None

        def measure(w: Array) -> dict[str, float]:
            found = measures_of(left, p, w)
            if rule is not None:
                found["by_list"] = captured(left, p, w @ rule / w.sum(), w)
                found["by_rule"] = float((w * left) @ rule / (w @ left))
                found |= {"more": found["by_list"] - found["by_rule"], "rule_auc": auc(left, rule, w)}
            return found

        seen = pd.DataFrame([measure(np.ones(len(left))), *map(measure, self.weights)])
        ends = pd.concat([seen.iloc[0], seen.iloc[1:].quantile([0.025, 0.975]).T], axis=1)
        z, one = logit(np.clip(p, _NEAR, 1 - _NEAR)), np.ones((len(p), 1))
        shift, line = logistic(left, one, z), logistic(left, np.column_stack([one, z]))
        for name, (beta, spread, _fit) in (("in_the_large", shift), ("slope", line)):
            ends.loc[name] = beta[-1] + np.array([0, -_Z, _Z]) * np.sqrt(spread[-1, -1])
        return ends.set_axis(["value", "value_low", "value_high"], axis=1)

    def of(self, name: str, unit: str = "number") -> Estimate:
        """One of these numbers."""
        return from_row(dict(self.all.T[name]), "value", n=len(self.rows), of="customer", unit=unit)

    def beside_rule(self) -> Estimate:
        """The share of those who left that the highest chances find; its word: rule, what as many by it find.

        Its case is "better", "worse" or "unclear". Not a comparison: nothing has changed in the business.
        """
        found, rule, more = (self.of(name, "percent") for name in ("by_list", "by_rule", "more"))
        return found.saying("better" if more.low > 0 else "worse" if more.high < 0 else "unclear", rule=rule)

    def expected_over_left(self) -> Estimate:
        """Customers expected to leave over those who did; allows for chance and for the calibration (log)."""
        (expected, error), left = self.score.total(self.rows), float(self.rows["left"].sum())
        own = max(1 - left / len(self.rows), 0.0) / left
        over, wide = expected / left, np.exp(_Z * np.hypot(error / expected, np.sqrt(own)))
        return Estimate(over, over / wide, over * wide, n=int(left), of="churned customer")

    def tenths(self) -> Table:
        """Chances and what happened by tenth, with the range of shares that the chances allow (Wilson)."""
        p = self.rows["chance"]
        edges = np.unique(np.quantile(p, np.linspace(0.1, 0.9, 9)))
        by = self.rows.groupby(len(edges) + 1 - np.searchsorted(edges, p, side="left"))
        rows = by.agg(customers=("chance", "size"), expected=("chance", "mean"), happened=("left", "mean"))
        low, high = wilson(rows["expected"].to_numpy(), rows["customers"].to_numpy(), 0.95)
        rows = rows.assign(expected_low=low, expected_high=high).rename_axis("tenth").reset_index()
        units = {"expected": "percent", "happened": "percent", "customers": "count"}
        return Table(rows.assign(tenth=rows["tenth"].astype(str)), units)


@dataclass(frozen=True, eq=False)
class Predicted:
    """Chances of the customers of the last landmark, and how scores made in the same way did before.

    Attributes:
        score: The score that is used; `fitted_on` are the rows it was fitted on.
        judged: How one made a landmark earlier did.
        past: How scores did on this landmark and earlier ones.
        now: Customers of the last landmark, as from `prepared`, with chance.
        gain: Log likelihood a customer that trees gain; they are used if it is clearly above 0.
    """

    score: Score
    judged: Judged
    past: Table
    now: pd.DataFrame
    fitted_on: pd.DataFrame
    gain: Estimate

    def expected(self) -> Estimate:
        """The share of the customers of the last landmark who can be expected to leave by choice."""
        expected, error = self.score.total(self.now)
        ends = np.array([expected, expected - _Z * error, expected + _Z * error]) / len(self.now)
        return from_ends(np.clip(ends, 0, 1), n=len(self.now), of="customer", unit="percent")


def predict(rows: pd.DataFrame, dims: Sequence[str] = (), *, unused: int = 0) -> Predicted:
    """Fit, choose, calibrate and judge a score, and apply it to the last landmark.

    Of landmarks 1, ..., L the score that is judged was fitted on 1 to L - 3, calibrated on L - 2 (log odds
    a + b z; Cox 1958) and is judged on L - 1; the one that is applied to L is made one landmark later. Trees
    take the place of the logistic regression where on L - 2 the 95% interval of the log likelihood they gain
    a customer lies above 0. Chances are those of leaving by choice within the months looked ahead.

    Args:
        dims: Characteristics that describe customers, beside the plan.
        unused: The rule to compare with names who has not used it for so many days; 0: there is no rule.

    Raises:
        NotApplicable: There are too few landmarks, customers or ends to tell.
        InputError: A feature looks like the answer.
    """
    frame, days = prepared(rows, dims), sorted(set(rows["on"]))
    _check_enough(frame, days)
    check_features(frame[frame["on"] != days[-1]], dims)

    def made(place: int, trees: bool) -> Score:
        fit_on = frame[frame["on"].isin(days[: place - 1])]
        return fitted(fit_on, dims, trees=trees).calibrated(frame[frame["on"] == days[place - 1]])

    def applied(score: Score, place: int) -> pd.DataFrame:
        part = frame[frame["on"] == days[place]]
        rule = {"rule": (part["unused_days"] >= unused).astype(float)} if unused else {}
        return part.assign(chance=score.chances(part), **rule)

    last, left = len(days) - 1, frame.groupby("on")["left"].sum()
    simple, trees = (made(last - 1, kind) for kind in (False, True))
    where = frame[frame["on"] == days[last - 2]]
    gain = _gain(where["left"].to_numpy(), simple.chances(where), trees.chances(where))
    chosen = gain.low > 0
    before = trees if chosen else simple
    judged = Judged(applied(before, last - 1), before)
    past = [_told(judged)]
    for place in range(last - 2, 1, -1):
        if left[days[: place - 1]].sum() >= FEWEST_EVENTS and left[days[place - 1 : place + 1]].min() > 9:
            score = made(place, chosen)
            past.append(_told(Judged(applied(score, place), score)))
    units = {"customers": "count", "left": "count", "landmark": "date", "expected_over_left": "number"}
    fitted_on = frame[frame["on"].isin(days[:-2])]
    score, table = made(last, chosen), Table(pd.DataFrame(past[::-1]), units)
    return Predicted(score, judged, table, applied(score, last), fitted_on, gain)


def _check_enough(frame: pd.DataFrame, days: list[str]) -> None:
    """Refuse what is too little to tell anything from."""
    if len(days) < 4:
        raise NotApplicable(
            "It takes four days, as many months apart as are looked ahead: to fit, to calibrate, to judge "
            f"and to look ahead from; the data reach back over {len(days)}. Fix: use fewer `months_ahead`, "
            "or data that begin earlier."
        )
    known, last = frame[frame["on"] < days[-1]], days[-1]
    gone, n = (known.groupby("on")["left"].agg(how).reindex(days, fill_value=0) for how in ("sum", "size"))
    fit, why = int(gone[days[:-3]].sum()), ""
    if not (frame["on"] == last).any():
        why = f"No customer without notice has a renewal in the months after {last}."
        why += " Fix: use more `months_ahead`."
    elif not gone.any() and (known["outcome"] == "unknown").any():
        why = "subscriptions.end_reason: it says of nobody that they left by choice, so choice cannot be told"
        why += " from failed payments. Fix: map end_reason, with voluntary for customers who canceled."
    elif fit < FEWEST_EVENTS:
        why = f"{fit} customers left by choice at a renewal in the months to fit on, and it takes"
        why += f" {FEWEST_EVENTS}. Fix: use more `landmarks`, or wait for more customers."
    for day in () if why else days[-3:-1]:
        if min(gone[day], n[day] - gone[day]) < 10:
            why = f"{gone[day]:.0f} of {n[day]} customers up for renewal left by choice in the months after"
            why += f" {day}; it takes ten who leave and ten who stay. Fix: use more `months_ahead`."
    if why:
        raise NotApplicable(why)


def _gain(left: Array, p: Array, q: Array) -> Estimate:
    """The log likelihood a customer that chances q gain over p, paired."""
    each = np.log(np.where(left == 1, q / p, (1 - q) / (1 - p)))
    wide = _Z * each.std(ddof=1) / np.sqrt(len(each))
    return Estimate(float(each.mean()), float(each.mean() - wide), float(each.mean() + wide), n=len(each))


def _told(one: Judged) -> dict[str, Any]:
    over = one.expected_over_left()
    ends = interval("expected_over_left", over.value, over.low, over.high)
    return {"landmark": one.rows["on"].iloc[0], "customers": len(one.rows), "left": over.n, **ends}
