"""The same question has the same answer on every engine, row for row: DuckDB, PostgreSQL, Spark.

Each engine is asked in a process of its own, by `make engines-test`: a real PostgreSQL everything, a real Spark
cluster of a master and two workers one of each kind, Spark in one process each measure once, and Sail a few, which
stands for Spark Connect: it speaks Spark's language without Java, but cannot plan all of it. `make test` asks
DuckDB one of each kind, and whether all engines would understand the question.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import servers
from engines.answer import differences
from engines.cases import CASES, uncovered
from notebooks.running import findings, run_notebook
from tenure.runs.kernels import Kernels

# Each measure once, in the first of its variants.
ONCE = list({name.partition(":")[0]: name for name in reversed(CASES)}.values())[::-1]
# One of each kind, whose rows a cluster shuffles between processes.
KINDS = [
    "calendar.civil",
    "calendar.completed_periods",
    "spans.monthly_amount",
    "subscriptions.life_table: by plan",
    "subscriptions.retention_triangle: month by month",
    "revenue.mrr_balances",
    "engagement.active_days",
    "engagement.sessions",
    "acquisition.spend",
    "feedback.nps_counts",
    "research.price_answers",
    "experiments.daily_counts",
    "purchases.score",
    "value.stay_counts",
    "features.usage_levels",
    "features.sampled",
    "results.write: Parquet",
    "results.save",
]
CONNECTED = [
    "calendar.civil",
    "subscriptions.retention_triangle: month by month",
    "engagement.active_days",
    "purchases.score",
    "features.sampled",
]
ENGINES = {"postgres": list(CASES), "cluster": KINDS, "spark": ONCE, "sail": CONNECTED}


@pytest.fixture(scope="module")
def address(start: Callable[..., Any], company: Path, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Where each engine finds the company."""

    def find(engine: str) -> str:
        folder = f"folder={company}&spark.sql.warehouse.dir={company.parent}/warehouse-{engine}"
        if engine == "postgres":
            return request.getfixturevalue("postgres")
        if engine == "sail":
            return f"{start(servers.sail)}?folder={company}"
        if engine == "spark":
            start(servers.java)
            return f"spark://local?{folder}&{servers.SMALL}"
        return f"{start(servers.spark_cluster)}?{folder}&{servers.SMALL}&{servers.LOOPBACK}"

    return find


@pytest.fixture(scope="module")
def answers(
    address: Callable[[str], str],
    ask: Callable[..., Any],
    company: Path,
    request: pytest.FixtureRequest,
) -> Callable[[str], dict[str, Any]]:
    """The answers of an engine; the first to ask has all engines asked what any test here wants of them."""
    wanted: dict[str, dict[str, None]] = {"duckdb": {}}
    for item in request.session.items:
        given = item.callspec.params if item.path == request.path and hasattr(item, "callspec") else {}
        if "name" in given:
            for engine in {"duckdb", given.get("engine", "duckdb")}:
                wanted.setdefault(engine, {})[given["name"]] = None
    asked: dict[str, Any] = {}
    for engine, names in wanted.items():
        try:
            asked[engine] = ask(str(company) if engine == "duckdb" else address(engine), list(names))
        except pytest.skip.Exception as missing:
            asked[engine] = missing
    known: dict[str, Any] = {}

    def of(engine: str) -> dict[str, Any]:
        if isinstance(asked[engine], pytest.skip.Exception):
            pytest.skip(str(asked[engine]))
        if engine not in known:
            known[engine] = asked[engine]()
        return known[engine]

    return of


def test_every_public_measure_is_asked_for():
    assert not uncovered()


@pytest.mark.engines
@pytest.mark.parametrize(
    ("engine", "name"), [(engine, name) for engine, names in ENGINES.items() for name in names]
)
def test_the_rows_are_the_same(answers: Callable[[str], dict[str, Any]], engine: str, name: str) -> None:
    assert not differences(answers("duckdb")[name], answers(engine)[name])


# What engines do differently, or do not do at all; docs/scale.md says what to use instead.
NOT_PORTABLE = {
    "Arbitrary", "ArgMax", "ArgMin", "ApproxCountDistinct", "ApproxMedian", "ApproxQuantile", "ArrayCollect",
    "First", "FirstValue", "Last", "LastValue", "GroupConcat", "Mode", "RandomScalar", "Sample", "Hash",
    "DateTruncate", "TimestampTruncate", "TimestampBucket", "TimestampDiff", "TimestampAdd", "TimestampSub",
    "DayOfWeekIndex", "WeekOfYear", "Strftime", "ScalarUDF", "AggUDF", "ExtractEpochSeconds",
}  # fmt: skip


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in KINDS else pytest.mark.engines) for name in CASES]
)
def test_a_measure_is_portable(answers: Callable[[str], dict[str, Any]], name: str) -> None:
    answer = answers("duckdb")[name]
    assert not answer["operations"] & NOT_PORTABLE
    assert not [kind for kind in answer["types"] if ("int" in kind and kind != "int64") or "decimal" in kind]


@pytest.mark.engines
def test_few_questions_have_an_empty_answer(answers: Callable[[str], dict[str, Any]]) -> None:
    ours = answers("duckdb")
    assert set(ours) == set(CASES)
    assert [name for name in ours if not ours[name].get("rows")] == ["revenue.mismatches"]


@pytest.mark.engines
@pytest.mark.parametrize("engine", ["postgres", "cluster"])
def test_a_workbook_finds_the_same(
    address: Callable[[str], str], company: Path, tmp_path: Path, engine: str
) -> None:
    place = address(engine)
    found = []
    with Kernels() as kernels:
        for data in (str(company), place):
            folder = tmp_path / str(len(found))
            folder.mkdir()
            outcome = run_notebook(
                "30_churn_curves.ipynb",
                {"data": data, "as_of": "2026-10-31", "min_group": 20},
                kernels,
                folder,
            )
            found.append(findings(outcome))
    ours, theirs = found
    assert list(ours) == list(theirs)
    assert len(ours) >= 8
    for name, record in ours.items():
        other = theirs[name]
        numbers = {key for key, value in record.items() if isinstance(value, float | int)}
        assert {key: other[key] for key in numbers} == pytest.approx(
            {key: record[key] for key in numbers}, rel=1e-9
        )
        assert {k: v for k, v in other.items() if k not in numbers} == {
            k: v for k, v in record.items() if k not in numbers
        }
