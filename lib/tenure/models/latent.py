"""Groups of people who answer alike: latent class analysis of survey answers, by StepMix.

Each class has its own chances of every answer, and answers are independent within a class (Lazarsfeld
1950). Missing answers are taken as missing at random. The number of classes is the one with the least BIC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.models.composition import is_protected
from tenure.result import NAN, Estimate, Table, counted
from tenure.stats.clusters import one_thread
from tenure.stats.intervals import wilson
from tenure.stats.lifetable import chi2_p, holm, z_value
from tenure.stats.newton import minimize

Array = NDArray[Any]

_LEAST = 100  # answers to look for groups among
_PER_NUMBER = 10  # answers for each number that is estimated
_RARE = 0.02  # a word given by a smaller share is *other*


@dataclass(frozen=True, eq=False)
class Items:
    """Answers as numbers.

    Attributes:
        codes: A row per customer who answered, a column per question: 0, 1, ...; NaN where not answered.
        levels: For each question what its codes mean.
    """

    codes: pd.DataFrame
    levels: Mapping[str, tuple[str, ...]]


def encode(answers: pd.DataFrame, questions: pd.DataFrame) -> Items:
    """Turn answers into few levels: on a scale of four or more the top two agree, and rare words are other.

    Args:
        answers: customer_id and, for the i-th question from 1, score_i and answer_i.
        questions: A row per question, in that order: question, answered, scores, least, most.

    Example:
        >>> answers = pd.DataFrame({"customer_id": ["a", "b", "c"], "score_1": [5, 1, None],
        ...     "answer_1": None, "score_2": None, "answer_2": ["films", "series", "films"]})
        >>> questions = pd.DataFrame({"question": ["likes", "watches"], "answered": [2, 3],
        ...     "scores": [2, 0], "least": [1, None], "most": [5, None]})
        >>> encode(answers, questions).codes.values.tolist()
        [[1.0, 0.0], [0.0, 1.0], [nan, 0.0]]
    """
    codes, levels = {}, {}
    for place, row in enumerate(questions.to_dict("records"), 1):
        score, given = pd.to_numeric(answers[f"score_{place}"]), answers[f"answer_{place}"]
        if row["scores"] * 2 < row["answered"]:
            shares = given.map(given.value_counts(normalize=True))
            given = given.where(given.isna() | shares.ge(_RARE), "other")
            names = tuple(sorted(given.dropna().unique()))
            column = given.map({value: float(code) for code, value in enumerate(names)})
        elif row["most"] - row["least"] >= 3:
            names = ("does not agree", "agrees")
            column = (score >= row["most"] - 1).astype(float).where(score.notna())
        else:
            known = sorted(score.dropna().unique())
            names = tuple(f"{value:g}" for value in known)
            column = score.map({value: float(code) for code, value in enumerate(known)})
        if len(column.dropna().unique()) > 1:
            codes[row["question"]], levels[row["question"]] = column.astype(float), names
    frame = pd.DataFrame(codes, index=answers.index).set_axis(pd.Index(answers["customer_id"]), axis=0)
    return Items(frame[frame.notna().any(axis=1)], levels)


def _nothing() -> Table:
    return Table(pd.DataFrame())


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """Classes of people who answer alike.

    Attributes:
        reason: Why there are as many, or why none were looked for; a sentence.
        n: Customers who answered.
        k: The chosen number; 0: none were looked for.
        evidence: A row per number of classes: k, log_likelihood, parameters, bic and entropy, from 0 (nobody
            can be assigned) to 1 (everybody can, with certainty).
        classes: A row per class, the largest first: segment and share with its interval.
        profile: A row per question, answer and class: question, answer, segment, chance, base.
        members: customer_id, segment and chance (of being in it).
        errors: Chances that a member of class a is assigned to class b; rows a, columns b.
    """

    reason: str
    n: int = 0
    k: int = 0
    evidence: Table = field(default_factory=_nothing)
    classes: Table = field(default_factory=_nothing)
    profile: Table = field(default_factory=_nothing)
    members: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["customer_id", "segment"]))
    errors: Array = field(default_factory=lambda: np.ones((1, 1)))

    @property
    def structure(self) -> bool:
        """Whether more than one class is needed."""
        return self.k > 1

    @property
    def number(self) -> Estimate:
        """How many classes there are; its case: "classes", "one class" or "not available"."""
        if not self.structure:
            case = "one class" if self.k else "not available"
            return Estimate(NAN, n=self.n, of="respondent", unit="count", case=case)
        first = self.classes.frame.iloc[0]
        share = Estimate(first["share"], unit="percent")
        return counted(self.k, self.n, of="respondent").saying("classes", name=first["segment"], share=share)


def find_classes(items: Items, *, most: int = 6, starts: int = 4) -> LatentClasses:
    """Find classes of people who answer alike.

    With pi_c the share of class c, P(answers) = sum_c pi_c prod_j P(answer_j | c), over the questions that
    were answered. The number of classes has the least BIC = -2 log L + parameters log n (Schwarz 1978);
    from three on more are tried until it rises. Customers are assigned to their likeliest class. A class's
    share is the mean of everybody's chance to be in it, with Wilson's limits for as many of n customers.

    Args:
        items: The answers, as `encode` returns them.
        most: The most classes to try.
        starts: Random starts of each fit.
    """
    codes, n = items.codes, len(items.codes)
    if len(codes.columns) < 2:
        return LatentClasses(
            "Fewer than two questions of the survey got different answers: no groups can be found.", n
        )
    if n < _LEAST:
        return LatentClasses(
            f"Only {n} customers answered the psychographic survey; at least {_LEAST} are needed to look for "
            "groups among them.",
            n,
        )
    from stepmix import StepMix

    fits, rows = {}, []
    for k in range(1, most + 1):
        model = StepMix(
            k, measurement="categorical_nan", n_init=starts if k > 1 else 1, max_iter=1000, abs_tol=1e-6,
            random_state=0, progress_bar=0,
        )  # fmt: skip
        with one_thread():
            fits[k] = model.fit(codes)
        bic, entropy = float(model.bic(codes)), float(model.relative_entropy(codes))
        rows.append((k, float(model.score(codes) * n), int(model.n_parameters), bic, entropy))
        if k > 2 and bic > rows[-2][3]:
            break
    evidence = pd.DataFrame(rows, columns=["k", "log_likelihood", "parameters", "bic", "entropy"])
    k = int(evidence["k"].to_numpy()[evidence["bic"].to_numpy().argmin()])
    chances = fits[k].predict_proba(codes)
    order = np.argsort(-chances.sum(axis=0), kind="stable")
    chances = chances[:, order]
    modal = chances.argmax(axis=1)
    errors = chances.T @ np.eye(k)[modal]
    profile = _profile(fits[k], items, order)
    names = np.asarray(_names(profile, k), dtype=object)
    low, high = wilson(np.round(chances.sum(axis=0)) / n, n, 0.95)
    share = {"share": chances.mean(axis=0), "share_low": low, "share_high": high}
    members = {"customer_id": codes.index, "segment": names[modal], "chance": chances.max(axis=1)}
    several = "More classes, or fewer, explain the answers less well for their number (BIC)."
    one = "One class explains the answers as well as several: people do not fall into groups by them."
    return LatentClasses(
        several if k > 1 else one,
        n=n,
        k=k,
        evidence=Table(evidence),
        classes=Table(pd.DataFrame({"segment": names, **share}), {"share": "percent"}),
        profile=Table(
            profile.assign(segment=names[profile["segment"]]), {"chance": "percent", "base": "percent"}
        ),
        members=pd.DataFrame(members),
        errors=errors / errors.sum(axis=1, keepdims=True),
    )


def class_covariates(found: LatentClasses, characteristics: pd.DataFrame) -> Table:
    """Relate classes to characteristics, allowing for people being assigned to the wrong class.

    The third of three steps, adjusted by maximum likelihood (Vermunt 2010): a multinomial logit of the true
    class, of which the assigned one is an imperfect reading with known errors. Standard errors are robust
    (sandwich) and take the first step's estimates as given.

    Args:
        found: Classes, as `find_classes` returns them.
        characteristics: Text columns, indexed by customer_id; the commonest level is the reference. They
            are taken in order, as long as ten customers answered for each number that is estimated; protected
            ones are left out.

    Returns:
        A row per class (but the largest, the reference class) and level: segment, characteristic, level,
        ratio (of the odds against the reference class and level) with its interval, p, p_adjusted; by p.
        Notes name the characteristics for which too few answered, or say why there are no rows.
    """
    if not found.structure:
        return Table(pd.DataFrame(), notes=["There are no classes to relate to characteristics."])
    frame = characteristics.reindex(found.members["customer_id"]).reset_index(drop=True)
    chosen, left_out, numbers = [], [], 1
    for column in (name for name in frame if not is_protected(str(name))):
        more = max(frame[column].nunique() - 1, 0)
        if (numbers + more) * (found.k - 1) * _PER_NUMBER > len(frame):
            left_out.append(str(column).replace("_", " "))
        else:
            chosen.append(column)
            numbers += more
    known = frame[chosen].notna().all(axis=1).to_numpy()
    x, levels = _dummies(frame.loc[known, chosen])
    if not levels:
        why = "None of the characteristics of those who answered varies, or too few answered to relate them."
        return Table(pd.DataFrame(), notes=[why])
    names = found.classes.frame["segment"].tolist()
    seen = pd.Index(names).get_indexer(pd.Index(found.members["segment"]))[known]
    beta, covariance = _third_step(x, seen, found.errors)
    estimate, z = beta[:, 1:].ravel(), z_value(0.95)
    variance = np.diag(covariance).reshape(beta.shape)[:, 1:].ravel()
    error = np.sqrt(np.maximum(variance, 0.0))
    rows = [(segment, name, value) for segment in names[1:] for name, value in levels]
    table = pd.DataFrame(rows, columns=["segment", "characteristic", "level"]).assign(
        ratio=np.exp(estimate),
        ratio_low=np.exp(estimate - z * error),
        ratio_high=np.exp(estimate + z * error),
        p=[chi2_p((b / e) ** 2, 1) if e > 0 else NAN for b, e in zip(estimate, error, strict=True)],
    )
    table["p_adjusted"] = holm(table["p"].to_numpy(dtype=float))
    notes = [f"Too few answered to look at {', '.join(left_out)}."] if left_out else []
    table = table.sort_values("p", kind="stable", ignore_index=True)
    return Table(table, {"ratio": "ratio", "p": "p", "p_adjusted": "p"}, notes)


def _profile(model: Any, items: Items, order: Array) -> pd.DataFrame:
    parameters = model.get_parameters()["measurement"]
    chances, most = np.asarray(parameters["pis"])[order], int(parameters["max_n_outcomes"])
    rows = []
    for place, question in enumerate(items.codes.columns):
        base = items.codes[question].value_counts(normalize=True)
        for code, answer in enumerate(items.levels[question]):
            for segment, chance in enumerate(chances[:, place * most + code]):
                rows.append((question, answer, segment, float(chance), float(base.get(float(code), 0.0))))
    return pd.DataFrame(rows, columns=["question", "answer", "segment", "chance", "base"])


def _names(profile: pd.DataFrame, k: int) -> list[str]:
    """Name each class by the two answers that it gives most more often than others."""
    said = profile[profile["answer"] != "does not agree"]
    said = said.assign(
        more=said["chance"] - said["base"],
        words=said["question"].where(said["answer"] == "agrees", said["question"] + " " + said["answer"]),
    )
    said = said[said["more"] > 0.02].sort_values(
        ["more", "question", "answer"], ascending=[False, True, True]
    )
    chosen: list[str] = []
    for segment in range(k):
        words = said.loc[said["segment"] == segment, "words"].head(2).str.replace("_", " ")
        name = ", ".join(words) or "average"
        chosen.append(name if name not in chosen else f"{name} {segment + 1}")
    return chosen


def _dummies(frame: pd.DataFrame) -> tuple[Array, list[tuple[str, str]]]:
    """A column of ones and one of each level but the commonest."""
    columns, levels = [np.ones(len(frame))], []
    for name in frame.columns:
        text = frame[name].astype(str)
        for value in sorted(text.value_counts().index[1:]):
            columns.append((text == value).to_numpy(dtype=float))
            levels.append((str(name), str(value)))
    return np.column_stack(columns), levels


def _third_step(x: Array, seen: Array, errors: Array) -> tuple[Array, Array]:
    """Multinomial logit of the true class, read through known errors: estimates and robust covariance."""
    k, (n, width) = len(errors), x.shape
    reading = errors[:, seen].T  # the chance of what was seen, by true class

    def parts(theta: Array) -> tuple[Array, Array]:
        """Each customer's likelihood and derivative of its logarithm."""
        linear = np.column_stack([np.zeros(n), x @ theta.reshape(k - 1, width).T])
        prior = np.exp(linear - linear.max(axis=1, keepdims=True))
        prior /= prior.sum(axis=1, keepdims=True)
        joint = prior * reading
        total = joint.sum(axis=1, keepdims=True)
        moved = joint / total - prior
        return total, np.hstack([moved[:, [c]] * x for c in range(1, k)])

    def loss(theta: Array) -> tuple[float, Array]:
        total, slopes = parts(theta)
        return -float(np.log(total).mean()), -slopes.mean(axis=0)

    theta, square = minimize(loss, np.zeros((k - 1) * width))
    bread, slopes = np.linalg.pinv(square * n), parts(theta)[1]
    return theta.reshape(k - 1, width), bread @ (slopes.T @ slopes) @ bread
