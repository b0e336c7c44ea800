"""The segmentation workbook: planted groups, no groups, and every way to have next to nothing."""

from __future__ import annotations

import datetime as dt
import json
import re

import duckdb
import numpy as np
import pandas as pd
import pytest

from notebooks.running import findings, run_notebook
from tenure.models.segments import rfm_cells
from tenure.stats.clusters import rand_index

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
    active = segments[segments["segment"] != "no use"]
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
        "silent_revenue",
        "largest",
        "top_tenth",
        "stayed",
        "move_value",
        "move_worth",
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
    table = pd.read_csv(published.exports / "segments_summary.csv").query("segment != 'no use'")
    assert "Kids" in table.sort_values("churn")["segment"].iloc[0]
    assert "light use" in table.sort_values("churn")["segment"].iloc[-1]


def cards_of(outcome):
    """The text of each card, by the name of its segment."""
    html = [
        output["data"]["text/html"]
        for cell in outcome.notebook.cells
        for output in cell.get("outputs", [])
        if 'class="cards personas"' in str(output.get("data", {}).get("text/html", ""))
    ]
    assert len(html) == 1
    parts = html[0].split('<li class="card">')[1:]
    return {re.search("<h3>(.*?)</h3>", part)[1].lower(): re.sub("<[^>]+>", " ", part) for part in parts}


def test_each_segment_has_a_complete_card(published):
    page = cards_of(published)
    summary = pd.read_csv(published.exports / "segments_summary.csv")
    assert set(page) == {name.lower() for name in summary["segment"]}
    for text in page.values():
        for words in (
            "customers, ", "% of the revenue", "Still there after 6 months", "Pay per month", "Leave per month",
            "Revenue kept", "Worth over 24 months", "What sets them apart", "(effect ", "A typical member",
            "How to find them", "Of those, ", "are in the segment; the rule finds",
        ):  # fmt: skip
            assert words in text, (words, text)
        assert "not available" not in text
        assert "gender" not in text
        assert "age:" not in text
    assert "household: family" in page["kids, tablet"]
    assert "Events per month at most" in page["no use"]


def test_the_churn_curves_run_by_the_published_segments(published, kernels, demo):
    folder = published.exports.parent / "churn_curves"
    folder.mkdir()
    outcome = run_notebook(
        "30_churn_curves.ipynb", {"by": "segment", "mapping": "data/mappings/segments.yml"}, kernels, folder
    )
    record = findings(outcome)["churn.group_difference"]
    assert record["value"] > 0
    assert "Kids" in record["sentence"]


def test_a_missing_published_table_is_explained(kernels, demo, tmp_path, monkeypatch):
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


def test_three_customers_are_too_few_and_the_page_says_so(run, tmp_path):
    customers = [(f"c{i}", days_before(200)) for i in range(3)]
    events = [(f"c{i}", days_before(d), "x", "tv") for i in range(3) for d in (0, 3)]
    outcome = run(NAME, data=write(tmp_path / "three", customers, events))
    found = findings(outcome)
    assert found["segments.groups"]["value"] is None
    assert "Only 3 customers" in said(outcome)
    assert "There is no table `surveys`" in said(outcome)
    assert found["segments.attitudes"]["value"] is None


def test_ties_constant_features_and_no_surveys_are_explained(run, tmp_path):
    customers = [(f"c{i:03d}", days_before(100)) for i in range(150)]
    events = [(c, days_before(d), "x", "tv") for c, _start in customers for d in range(0, 60, 5)]
    outcome = run(NAME, data=write(tmp_path / "ties", customers, events), months_back=6)
    found = findings(outcome)
    assert found["segments.groups"]["value"] is None
    assert "alike" in said(outcome)
    assert "not recorded early enough to compare" in said(outcome)
    assert "There is one segment only" in said(outcome)
    for name in ("where_to_start", "fastest_leaving", "stayed", "move_value"):
        assert found[f"segments.{name}"]["value"] is None, name
        assert "not known" in found[f"segments.{name}"]["sentence"]
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
    assert "do not fall into groups" in found["segments.groups"]["sentence"]
    assert found["segments.attitudes"]["value"] is None
    assert "segments are those by recency, frequency and value" in said(without_groups)
    # Events begin long after the customers: the earlier day must not look like one without use.
    assert "not recorded early enough to compare" in said(without_groups)
    assert found["segments.silent_revenue"]["compare"] is None


# --- two runs, three months apart ---------------------------------------------------------------------

EARLIER = dt.date(2026, 3, 31)


def two_kinds(folder, n=320, seed=0):
    """Customers of two kinds of use, of whom some change, pay more or leave within the last three months."""
    rng = np.random.default_rng(seed)
    ids = [f"c{i:03d}" for i in range(n)]
    customers = [(c, days_before(rng.integers(350, 700))) for c in ids]
    kind = rng.integers(0, 2, n)
    changed = rng.random(n) < 0.15
    events = []
    for i, c in enumerate(ids):
        for ago in rng.uniform(0, 270, rng.poisson(60)):
            second = kind[i] ^ (changed[i] and ago < 85)
            likes = (0.9, 0.1) if second else (0.1, 0.9)
            day = LAST - dt.timedelta(days=int(ago))
            content, platform = rng.choice(["x", "y"], p=likes), rng.choice(["tv", "phone"], p=likes)
            moment = dt.datetime.combine(day, dt.time(20 if second else 9))
            events.append((c, moment, str(content), str(platform)))
    place = write(folder, customers, events)
    spans = duckdb.read_parquet(f"{place}/subscriptions.parquet").df()
    spans["unit_amount_minor"] = rng.choice([999, 1499, 1999], n)
    spans.loc[rng.random(n) < 0.1, "ended_at"] = pd.Timestamp(LAST) - pd.Timedelta(days=40)
    duckdb.from_df(spans).write_parquet(f"{place}/subscriptions.parquet")
    people = duckdb.read_parquet(f"{place}/customers.parquet").df().assign(gender=np.where(kind, "m", "f"))
    duckdb.from_df(people).write_parquet(f"{place}/customers.parquet")
    return place


@pytest.fixture(scope="module")
def two_runs(run, tmp_path_factory):
    place = two_kinds(tmp_path_factory.mktemp("two") / "data")
    given = {"data": place, "days": 90, "months_back": 3, "min_group": 10, "most_segments": 4}
    first = run(NAME, **given, as_of=EARLIER.isoformat())
    assert first.state == "ok", first.reason
    given["frozen"] = str(first.exports / "segmentation.json")
    return first, run(NAME, **given), given


def at(outcome, scheme, day):
    table = pd.read_parquet(outcome.exports / "segments.parquet").query("scheme == @scheme")
    return table[table["as_of"] == day].set_index("customer_id")["segment"].sort_index()


def test_a_later_run_with_frozen_cut_points_agrees_with_the_earlier_run(two_runs):
    first, second, _given = two_runs
    assert second.state == "ok", second.reason
    for scheme in ("rfm", "behavior"):
        pd.testing.assert_series_equal(at(second, scheme, EARLIER), at(first, scheme, EARLIER))
    names = set(at(first, "behavior", EARLIER))
    assert len(names) == 2
    assert set(at(second, "behavior", LAST)) == names
    frozen, again = (json.loads((o.exports / "segmentation.json").read_text()) for o in (first, second))
    assert {**again, "as_of": ""} == {**frozen, "as_of": ""}
    assert f"frozen on {EARLIER}" in said(second)


def test_moves_between_the_runs_are_those_of_the_two_published_tables(two_runs):
    first, second, _given = two_runs
    was, now = at(first, "behavior", EARLIER), at(second, "behavior", LAST)
    left = "not subscribed"
    both = pd.DataFrame({"before": was, "after": now}).fillna(left).query("before != after")
    expected = both.groupby(["before", "after"]).size().to_dict()
    moves = pd.read_csv(second.exports / "segments_moves.csv").set_index(["before", "after"])["customers"]
    assert moves.to_dict() == expected
    inside = {pair: n for pair, n in expected.items() if left not in pair}
    assert len(inside) == 2
    assert sum(inside.values()) > 20
    stayed = findings(second)["segments.stayed"]
    assert stayed["value"] == pytest.approx(1 - sum(inside.values()) / stayed["n"])


def test_a_protected_characteristic_is_described_and_not_used_to_target(two_runs):
    """Gender is fully associated with the kind of use: the page says so, and no card names it."""
    first, _second, _given = two_runs
    assert "gender: " in said(first)
    assert "no reason to treat anybody differently" in said(first)
    page = cards_of(first)
    assert len(page) == 2
    assert not any("gender" in text for text in page.values())
    assert all("How to find them" in text for text in page.values())


def test_frozen_cut_points_of_other_days_are_refused(two_runs, run):
    outcome = run(NAME, **{**two_runs[2], "days": 60})
    assert outcome.state == "failed"
    assert "`days` 90, and this run has 60" in outcome.reason


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
