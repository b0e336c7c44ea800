"""Groups of people who answer alike: latent class analysis of survey answers, by StepMix.

Each class has its own chances of every answer, and answers are independent within a class (Lazarsfeld
1950). Missing answers are taken as missing at random. The number of classes is the one with the least BIC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tenure.errors import NotApplicable
from tenure.stats.intervals import proportion
from tenure.stats.lifetable import holm, z_value

Array = NDArray[Any]

_LEAST = 100
_PER_NUMBER = 10


@dataclass(frozen=True, eq=False)
class Items:
    """Answers as numbers.

    Attributes:
        codes: A row a customer who answered, a column a question: 0, 1, ...; NaN where not answered.
        levels: For each question what its codes mean.
    """

    codes: pd.DataFrame
    levels: Mapping[str, tuple[str, ...]]


def encode(answers: pd.DataFrame, questions: pd.DataFrame, *, rare: float = 0.02) -> Items:
    """Turn answers into few levels: on a scale of four or more the top two agree, and rare words are other.

    Args:
        answers: customer_id and, for the i-th question from 1, score_i and answer_i.
        questions: A row a question, in that order: question, answered, scores, least, most.
        rare: Words given by a smaller share are *other*.

    Raises:
        NotApplicable: Fewer than two questions have two answers or more.

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
        if row["scores"] * 2 >= row["answered"]:
            score = pd.to_numeric(answers[f"score_{place}"])
            if row["most"] - row["least"] >= 3:
                column = (score >= row["most"] - 1).astype(float).where(score.notna())
                names: tuple[str, ...] = ("does not agree", "agrees")
            else:
                known = sorted(score.dropna().unique())
                column = score.map({value: float(code) for code, value in enumerate(known)})
                names = tuple(f"{value:g}" for value in known)
        else:
            text = answers[f"answer_{place}"]
            shares = text.value_counts(normalize=True)
            text = text.where(text.isna() | text.map(shares).ge(rare), "other")
            names = tuple(sorted(text.dropna().unique()))
            column = text.map({value: float(code) for code, value in enumerate(names)})
        if len(column.dropna().unique()) > 1:
            codes[row["question"]] = column.astype(float)
            levels[row["question"]] = names
    if len(codes) < 2:
        raise NotApplicable(
            "Fewer than two questions of the survey got different answers: no groups can be told."
        )
    frame = pd.DataFrame(codes)
    frame.index = pd.Index(answers["customer_id"], name="customer_id")
    return Items(frame[frame.notna().any(axis=1)], levels)


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """Classes of people who answer alike.

    Attributes:
        structure: Whether more than one class is needed.
        reason: Why, in a sentence.
        evidence: A row a number of classes: k, log_likelihood, parameters, bic, entropy.
        k: The chosen number.
        entropy: Relative entropy, from 0 (nobody can be told) to 1 (everybody can).
        classes: A row a class, the largest first: segment, share, low, high.
        profile: A row a question, answer and class: question, answer, segment, chance, base.
        members: customer_id, segment and chance (of being in it).
        errors: Chances to be taken for class b when being of class a; rows a, columns b.
        missing: The share of answers that are missing.
        n: Customers who answered.
    """

    structure: bool
    reason: str
    evidence: pd.DataFrame
    k: int
    entropy: float
    classes: pd.DataFrame
    profile: pd.DataFrame
    members: pd.DataFrame
    errors: Array
    missing: float
    n: int


def find_classes(items: Items, *, most: int = 6, starts: int = 4, seed: int = 0) -> LatentClasses:
    """Find classes of people who answer alike.

    Args:
        items: The answers, as `encode` returns them.
        most: The most classes to try.
        starts: Random starts of each fit.
        seed: The random seed.

    Raises:
        NotApplicable: Too few people answered.
    """
    codes = items.codes
    if len(codes) < _LEAST:
        raise NotApplicable(
            f"Only {len(codes)} customers answered the psychographic survey; at least {_LEAST} are needed to "
            "look for groups among them."
        )
    from threadpoolctl import threadpool_limits

    fits, rows = {}, []
    for k in range(1, most + 1):
        with threadpool_limits(1):
            fits[k] = _stepmix(k, codes, seed, starts)
        model = fits[k]
        log_likelihood = float(model.score(codes) * len(codes))
        bic = float(model.n_parameters * np.log(len(codes)) - 2 * log_likelihood)
        rows.append((k, log_likelihood, int(model.n_parameters), bic, _entropy(_chances(model, codes))))
        if k > 2 and bic > rows[-2][3]:
            break
    evidence = pd.DataFrame(rows, columns=["k", "log_likelihood", "parameters", "bic", "entropy"])
    k = int(evidence["k"].to_numpy()[evidence["bic"].to_numpy().argmin()])
    chances = _chances(fits[k], codes)
    order = np.argsort(-chances.sum(axis=0), kind="stable")
    chances = chances[:, order]
    profile = _profile(fits[k], items, order)
    names = _names(profile, k)
    modal = chances.argmax(axis=1)
    errors = np.array([[chances[modal == b, a].sum() for b in range(k)] for a in range(k)])
    errors = errors / errors.sum(axis=1, keepdims=True)
    sizes = [proportion(round(total), len(codes)) for total in chances.sum(axis=0)]
    classes = pd.DataFrame(
        {
            "segment": names,
            "share": chances.mean(axis=0),
            "low": [size.low for size in sizes],
            "high": [size.high for size in sizes],
        }
    )
    members = pd.DataFrame(
        {
            "customer_id": codes.index,
            "segment": np.asarray(names, dtype=object)[modal],
            "chance": chances.max(axis=1),
        }
    )
    reason = (
        "More classes, or fewer, explain the answers less well for what they cost (BIC)."
        if k > 1
        else "One class explains the answers as well as several: people do not fall into groups by them."
    )
    return LatentClasses(
        structure=k > 1,
        reason=reason,
        evidence=evidence,
        k=k,
        entropy=_entropy(chances),
        classes=classes,
        profile=profile.assign(segment=[names[place] for place in profile["segment"]]),
        members=members,
        errors=errors,
        missing=float(codes.isna().to_numpy().mean()),
        n=len(codes),
    )


@dataclass(frozen=True, eq=False)
class ClassCovariates:
    """What goes with being of a class.

    Attributes:
        table: A row a class (but the reference class) and level: segment, characteristic, level, ratio (of
            the odds against the reference class and level), low, high, p, p_adjusted.
        reference: The reference class.
        n: Customers with all characteristics known.
        left_out: Characteristics for which too few answered.
    """

    table: pd.DataFrame
    reference: str
    n: int
    left_out: tuple[str, ...] = ()


def class_covariates(
    found: LatentClasses, characteristics: pd.DataFrame, *, level: float = 0.95
) -> ClassCovariates:
    """Relate classes to characteristics, allowing for people being put into the wrong class.

    The third of three steps, adjusted by maximum likelihood (Vermunt 2010): a multinomial logit of the true
    class, of which the assigned one is an imperfect reading with known errors. Standard errors are robust
    (sandwich) and take the first step's estimates as given.

    Args:
        found: Classes, as `find_classes` returns them.
        characteristics: Text columns, indexed by customer_id; the commonest level is the reference. They
            are taken in order, as long as ten customers answered for each number that is estimated.
        level: Level of the intervals.

    Raises:
        NotApplicable: There is one class only, or no characteristic varies.
    """
    if found.k < 2:
        raise NotApplicable("There is one class only, so nothing can go with being of another.")
    frame = characteristics.reindex(found.members["customer_id"]).reset_index(drop=True)
    chosen, numbers = [], 1
    for column in frame:
        more = max(frame[column].nunique() - 1, 0)
        if (numbers + more) * (found.k - 1) * _PER_NUMBER <= len(frame):
            chosen.append(column)
            numbers += more
    left_out = tuple(str(column) for column in frame if column not in chosen)
    frame = frame[chosen]
    known = frame.notna().all(axis=1).to_numpy()
    design, levels = _dummies(frame[known])
    if not levels:
        raise NotApplicable(
            "None of the characteristics of those who answered varies, or too few answered to relate them."
        )
    names = found.classes["segment"].tolist()
    seen = found.members["segment"].map({name: place for place, name in enumerate(names)}).to_numpy()[known]
    beta, covariance = _third_step(design, seen, found.errors)
    z, rows = z_value(level), []
    width = design.shape[1]
    for place in range(1, found.k):
        for column, (name, value) in enumerate(levels, 1):
            at = (place - 1) * width + column
            estimate, error = beta.ravel()[at], np.sqrt(max(covariance[at, at], 0.0))
            rows.append(
                (
                    names[place],
                    name,
                    value,
                    *np.exp([estimate, estimate - z * error, estimate + z * error]),
                    _p(estimate, error),
                )
            )
    table = pd.DataFrame(rows, columns=["segment", "characteristic", "level", "ratio", "low", "high", "p"])
    table["p_adjusted"] = holm(table["p"].to_numpy(dtype=float))
    return ClassCovariates(table, names[0], int(known.sum()), left_out)


def _stepmix(k: int, codes: pd.DataFrame, seed: int, starts: int) -> Any:
    import warnings

    from stepmix import StepMix

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return StepMix(
            k,
            measurement="categorical_nan",
            n_init=starts if k > 1 else 1,
            max_iter=1000,
            abs_tol=1e-6,
            random_state=seed,
            progress_bar=0,
        ).fit(codes)


def _chances(model: Any, codes: pd.DataFrame) -> Array:
    return np.asarray(model.predict_proba(codes), dtype=float)


def _entropy(chances: Array) -> float:
    """Relative entropy (Ramaswamy and others 1993)."""
    n, k = chances.shape
    if k < 2:
        return float("nan")
    safe = np.clip(chances, 1e-300, 1.0)
    return float(1 + (chances * np.log(safe)).sum() / (n * np.log(k)))


def _profile(model: Any, items: Items, order: Array) -> pd.DataFrame:
    parameters = model.get_parameters()["measurement"]
    chances = np.asarray(parameters["pis"])[order]
    most = int(parameters["max_n_outcomes"])
    rows = []
    for place, question in enumerate(items.codes.columns):
        base = items.codes[question].value_counts(normalize=True)
        for code, answer in enumerate(items.levels[question]):
            for segment in range(len(chances)):
                chance = float(chances[segment, place * most + code])
                rows.append((question, answer, segment, chance, float(base.get(float(code), 0.0))))
    return pd.DataFrame(rows, columns=["question", "answer", "segment", "chance", "base"])


def _names(profile: pd.DataFrame, k: int) -> list[str]:
    """Name each class by the two answers that it gives most more often than others."""
    chosen: list[str] = []
    for segment in range(k):
        mine = profile[(profile["segment"] == segment) & (profile["answer"] != "does not agree")]
        mine = mine.assign(more=mine["chance"] - mine["base"])
        mine = mine.sort_values(["more", "question", "answer"], ascending=[False, True, True])
        mine = mine[mine["more"] > 0.02]
        words = [
            (r["question"] if r["answer"] == "agrees" else f"{r['question']} {r['answer']}").replace("_", " ")
            for r in mine.to_dict("records")
        ]
        words = words or ["average"]
        name = ", ".join(words[:2])
        chosen.append(name if name not in chosen else f"{name} {segment + 1}")
    return chosen


def _dummies(frame: pd.DataFrame) -> tuple[Array, list[tuple[str, str]]]:
    columns, levels = [np.ones(len(frame))], []
    for name in frame.columns:
        text = frame[name].astype(str)
        counts = text.value_counts()
        for value in sorted(counts.index[1:]):
            columns.append((text == value).to_numpy(dtype=float))
            levels.append((str(name), str(value)))
    return np.column_stack(columns), levels


def _third_step(x: Array, seen: Array, errors: Array) -> tuple[Array, Array]:
    """Multinomial logit of the true class, read through known errors: estimates and robust covariance."""
    from scipy import optimize

    k, width = len(errors), x.shape[1]
    reading = errors[:, seen].T  # the chance of what was seen, by true class

    def parts(theta: Array) -> tuple[Array, Array]:
        linear = np.column_stack([np.zeros(len(x)), x @ theta.reshape(k - 1, width).T])
        linear -= linear.max(axis=1, keepdims=True)
        prior = np.exp(linear)
        prior /= prior.sum(axis=1, keepdims=True)
        joint = prior * reading
        return prior, joint

    def loss(theta: Array) -> tuple[float, Array]:
        prior, joint = parts(theta)
        total = joint.sum(axis=1)
        return -float(np.log(total).sum()), -_gradients(prior, joint, x).sum(axis=0)

    found = optimize.minimize(
        loss, np.zeros((k - 1) * width), jac=True, method="BFGS", options={"gtol": 1e-6}
    )
    theta = found.x
    step, size = 1e-5, len(theta)
    hessian = np.empty((size, size))
    for i in range(size):
        shift = np.zeros(size)
        shift[i] = step
        hessian[i] = (loss(theta + shift)[1] - loss(theta - shift)[1]) / (2 * step)
    bread = np.linalg.pinv((hessian + hessian.T) / 2)
    gradients = _gradients(*parts(theta), x)
    return theta.reshape(k - 1, width), bread @ (gradients.T @ gradients) @ bread


def _gradients(prior: Array, joint: Array, x: Array) -> Array:
    """Each customer's derivative of the log-likelihood."""
    posterior = joint / joint.sum(axis=1, keepdims=True)
    return np.hstack([(posterior - prior)[:, [c]] * x for c in range(1, prior.shape[1])])


def _p(estimate: float, error: float) -> float:
    from tenure.stats.lifetable import chi2_p

    return chi2_p((estimate / error) ** 2, 1) if error > 0 else float("nan")
