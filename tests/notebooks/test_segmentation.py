"""The segmentation workbook: planted groups, no groups, and every way to have next to nothing."""

from __future__ import annotations

import datetime as dt
import json

import duckdb
import numpy as np
import pandas as pd
import pytest

from notebooks.running import findings, run_notebook
from tenure.models.segments import rand_index, rfm_cells

NAME = "20_segmentation.ipynb"


@pytest.fixture(scope="module")
def published(kernels, demo, tmp_path_factory):
    """One run of the demo company, its exports lying as those of a report named segmentation do."""
    folder = tmp_path_factory.mktemp("exports") / "segmentation"
    folder.mkdir()
    outcome = run_notebook(NAME, {}, kernels, folder)
    assert outcome.state == "ok", outcome.reason
    return outcome


@pytest.fixture(scope="module")
def of_demo(published):
    return findings(published)


def said(outcome):
    return " ".join(str(cell.get("outputs", "")) for cell in outcome.notebook.cells)


def agreement(segments, scheme, truth, column, as_of="2026-10-31"):
    mine = segments[(segments["scheme"] == scheme) & (segments["as_of"].astype(str) == as_of)]
    both = mine.merge(truth, on="customer_id")
    counts = both.groupby(["segment", column]).size().rename("n").reset_index()
    return rand_index(counts.rename(columns={column: "other"})), len(both)


def test_the_planted_groups_are_recovered(published, of_demo, demo):
    truth = pd.read_parquet(demo / "_truth" / "groups.parquet")
    segments = pd.read_parquet(published.exports / "segments.parquet")
    assert of_demo["segments.groups"]["value"] == truth["behavior"].nunique()
    behavior, customers = agreement(segments, "behavior", truth, "behavior")
    assert customers > 7000
    assert behavior > 0.7
    active = segments[segments["segment"] != "silent"]
    assert agreement(active, "behavior", truth, "behavior")[0] > 0.75
    assert of_demo["segments.attitudes"]["value"] == truth["psychographic"].nunique()
    attitudes, answered = agreement(segments, "psychographic", truth, "psychographic")
    assert answered > 1500
    # Knowing the true chances of every answer gives 0.52: the survey does not tell more.
    assert attitudes > 0.45


def test_the_published_table_keeps_the_contract(published):
    from tenure.contract import BY_NAME

    segments = pd.read_parquet(published.exports / "segments.parquet")
    assert list(segments.columns) == list(BY_NAME["segments"].column_names)
    assert not segments.isna().any().any()
    assert not segments.duplicated(["customer_id", "scheme", "as_of"]).any()
    assert set(segments["scheme"]) == {"behavior", "rfm", "psychographic"}
    assert set(segments.query("scheme == 'rfm'")["segment"]) <= set(rfm_cells().values())


def test_findings_are_sound(of_demo):
    for name in (
        "quiet_revenue",
        "largest",
        "top_tenth",
        "stayed",
        "move_value",
        "fastest_leaving",
        "where_to_start",
    ):
        record = of_demo[f"segments.{name}"]
        assert record["low"] <= record["value"] <= record["high"]
        assert record["n"] > 100


def test_the_segment_that_leaves_least_is_the_planted_one(published, demo):
    """The truth: families stay longest of the groups, casual users leave soonest."""
    truth = json.loads((demo / "truth.json").read_text())["behavior"]
    stays = {name: curve["survival"][11] for name, curve in truth.items() if name != "notes"}
    assert max(stays, key=stays.get) == "family"
    table = pd.read_csv(published.exports / "segments_summary.csv").query("segment != 'silent'")
    assert "Kids" in table.sort_values("churn")["segment"].iloc[0]
    assert "light use" in table.sort_values("churn")["segment"].iloc[-1]


def test_cards_say_who_how_and_what(published):
    page = said(published)
    for words in (
        "What sets them apart",
        "A typical member",
        "How to find them",
        "What to do",
        "household: family",
    ):
        assert words in page
    assert "gender" not in page.split("How to find them")[1].split("What to do")[0]


def test_the_churn_curves_run_by_the_published_segments(published, kernels, demo):
    folder = published.exports.parent / "churn_curves"
    folder.mkdir()
    outcome = run_notebook(
        "30_churn_curves.ipynb", {"by": "segment", "mapping": "data/mappings/segments.yml"}, kernels, folder
    )
    record = findings(outcome)["churn.group_difference"]
    assert record["value"] > 0
    assert "Kids" in record["sentence"]


def test_without_a_published_table_it_is_said(kernels, demo, tmp_path, monkeypatch):
    from tenure.errors import InputError
    from tenure.sources import connect, published

    monkeypatch.setattr(published, "project_root", lambda: tmp_path)
    monkeypatch.delenv("TENURE_OUTPUT", raising=False)
    with pytest.raises(InputError, match="tenure run segmentation"):
        connect.open_source(demo, "data/mappings/segments.yml")


# --- small companies ----------------------------------------------------------------------------------

LAST = dt.date(2026, 6, 30)


def write(folder, customers, events, surveys=None):
    """A company of customers, each (id, start), with events of (customer, time, content, platform)."""
    folder.mkdir(parents=True)
    ids = [c for c, _start in customers]
    starts = pd.to_datetime([start for _c, start in customers])
    tables = {
        "customers": pd.DataFrame({"customer_id": ids, "created_at": starts}),
        "subscriptions": pd.DataFrame(
            {
                "subscription_id": ids, "customer_id": ids, "plan": "Basic", "billing_interval": "month",
                "unit_amount_minor": 999, "currency": "EUR", "status": "active", "started_at": starts,
                "ended_at": pd.Series(pd.NaT, index=range(len(ids)), dtype="datetime64[ns]"),
            }
        ),
        "events": pd.DataFrame(events, columns=["customer_id", "occurred_at", "content_id", "platform"]).assign(event="play"),
    }  # fmt: skip
    if surveys is not None:
        tables["surveys"] = surveys
    for name, frame in tables.items():
        duckdb.from_df(frame).write_parquet(str(folder / f"{name}.parquet"))
    return str(folder)


def days_before(n):
    return dt.datetime.combine(LAST, dt.time(20)) - dt.timedelta(days=int(n))


def test_three_customers_end_in_sentences(run, tmp_path):
    customers = [(f"c{i}", days_before(200)) for i in range(3)]
    events = [(f"c{i}", days_before(d), "x", "tv") for i in range(3) for d in (0, 3)]
    outcome = run(NAME, data=write(tmp_path / "three", customers, events))
    found = findings(outcome)
    assert found["segments.groups"]["value"] is None
    assert "Only 3 customers" in said(outcome)
    assert "does not have" in said(outcome)  # the surveys


def test_all_ties_constant_features_and_no_surveys_end_in_sentences(run, tmp_path):
    customers = [(f"c{i:03d}", days_before(100)) for i in range(150)]
    events = [(c, days_before(d), "x", "tv") for c, _start in customers for d in range(0, 60, 5)]
    outcome = run(NAME, data=write(tmp_path / "ties", customers, events), months_back=6)
    found = findings(outcome)
    assert found["segments.groups"]["value"] is None
    assert "alike" in said(outcome)
    assert "too late to compare" in said(outcome)
    assert "There is one segment only" in said(outcome)
    assert "segments.where_to_start" not in found
    assert found["segments.top_tenth"]["value"] == pytest.approx(0.1)
    segments = pd.read_parquet(outcome.exports / "segments.parquet")
    assert segments["scheme"].unique().tolist() == ["rfm"]
    assert len(set(segments["segment"])) == 1


def by_chance(folder, n=420, seed=0):
    """Customers who differ in nothing: events, answers and leaving are chance."""
    rng = np.random.default_rng(seed)
    customers = [(f"c{i:04d}", days_before(rng.integers(250, 700))) for i in range(n)]
    events = [
        (c, days_before(rng.uniform(0, 179)), f"x{rng.integers(0, 3)}", str(rng.choice(["tv", "phone", "web"])))
        for c, _start in customers for _ in range(rng.poisson(14))
    ]  # fmt: skip
    asked = [(c, f"q{q}") for c, _start in customers for q in range(4)]
    surveys = pd.DataFrame(asked, columns=["customer_id", "question"]).assign(
        survey="psychographic", sent_at=days_before(40), answered_at=days_before(39),
        score=rng.integers(1, 6, len(asked)).astype(float), answer=pd.Series(None, index=range(len(asked)), dtype="object"),
    )  # fmt: skip
    return write(folder, customers, events, surveys)


@pytest.fixture(scope="module")
def without_groups(run, tmp_path_factory):
    return run(NAME, data=by_chance(tmp_path_factory.mktemp("chance") / "data"))


def test_where_there_is_nothing_to_find_the_verdict_is_no_structure(without_groups):
    found = findings(without_groups)
    assert found["segments.groups"]["value"] is None
    assert "no structure" in found["segments.groups"]["sentence"]
    assert found["segments.attitudes"]["value"] is None
    assert "segments by recency, frequency and value are taken" in said(without_groups)
    # Events begin long after the customers: the earlier day must not look like one without use.
    assert "too late to compare" in said(without_groups)
    assert found["segments.quiet_revenue"]["compare"] is None


def test_frozen_cut_points_are_used_again(without_groups, run, tmp_path):
    """The same cut points give the same segments, though the other customers changed."""
    frozen = without_groups.exports / "segmentation.json"
    edges = json.loads(frozen.read_text())["edges"]
    outcome = run(NAME, data=by_chance(tmp_path / "other", n=300, seed=5), frozen=str(frozen), scheme="rfm")
    assert outcome.state == "ok", outcome.reason
    assert json.loads((outcome.exports / "segmentation.json").read_text())["edges"] == edges


def test_the_table_of_events_may_be_absent(run, tmp_path):
    folder = tmp_path / "bare"
    write(folder, [("c1", days_before(100))], [("c1", days_before(1), "x", "tv")])
    (folder / "events.parquet").unlink()
    outcome = run(NAME, data=str(folder))
    assert outcome.state == "not_applicable"
    assert "events" in outcome.reason


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"schema": "rfm"}, ["`schema`", "did you mean `scheme`"]),
        ({"scheme": "clusters"}, ["`scheme`", "behavior, rfm"]),
        ({"days": 1}, ["`days`", "at least 14"]),
        ({"as_of": "2019-01-01"}, ["as_of", "2019-01-01"]),
        ({"value_events": ["plya"]}, ["`value_events`", "did you mean 'play'"]),
        ({"frozen": "nowhere.json"}, ["nowhere.json", "do not exist"]),
        ({"characteristics": ["hosehold"]}, ["'hosehold'", "did you mean 'household'"]),
    ],
)
def test_a_bad_parameter_gets_one_sentence(run, demo, parameters, words):
    outcome = run(NAME, **parameters)
    assert outcome.state == "failed"
    assert all(word in outcome.reason for word in words), outcome.reason
    assert "\n" not in outcome.reason
