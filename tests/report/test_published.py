"""Published tables and numbers: written whole, from the engine, and read again by a mapping."""

from __future__ import annotations

import datetime as dt
import json

import ibis
import pandas as pd
import pytest

import tenure
from tenure import report
from tenure.errors import InputError
from tenure.sources import published


def segments():
    frame = pd.DataFrame({"customer_id": ["a", "b"], "segment": ["fans", "silent"], "scheme": "behavior"})
    return ibis.memtable(frame).mutate(as_of=ibis.literal(dt.date(2026, 6, 30)))


@pytest.fixture
def output(tmp_path, monkeypatch):
    folder = tmp_path / "exports" / "segmentation"
    monkeypatch.setenv("TENURE_OUTPUT", str(folder))
    monkeypatch.setenv("TENURE_REPORT", "segmentation")
    return folder


def test_a_published_table_has_the_contracts_columns_in_order(output, capsys):
    report.publish_table("segments", segments())
    frame = pd.read_parquet(output / "segments.parquet")
    assert frame.columns.tolist() == ["customer_id", "scheme", "segment", "as_of"]
    assert frame["as_of"].tolist() == [dt.date(2026, 6, 30)] * 2
    assert "Published 2 rows" in capsys.readouterr().out
    assert [path.name for path in output.iterdir()] == ["segments.parquet"]
    report.publish_table("segments", segments().limit(1))
    assert len(pd.read_parquet(output / "segments.parquet")) == 1


def test_what_is_no_contract_table_is_refused(output):
    with pytest.raises(InputError, match="no contract table 'segmants'"):
        report.publish_table("segmants", segments())
    with pytest.raises(InputError, match="wants customer_id"):
        report.publish_table("segments", segments().drop("as_of"))
    assert not output.exists()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(output):
    report.publish_table("segments", segments())
    broken = segments().mutate(segment=ibis.literal("x").cast("int64").cast("string"))
    with pytest.raises(Exception, match="x"):
        report.publish_table("segments", broken)
    assert [path.name for path in output.iterdir()] == ["segments.parquet"]
    assert len(pd.read_parquet(output / "segments.parquet")) == 2


def test_numbers_are_frozen_and_read_again(output, monkeypatch):
    report.publish_numbers("segmentation", {"edges": {"value": [1.5, 2]}, "rule": None})
    place = output / "segmentation.json"
    assert published.read_numbers(str(place), "segmentation") == json.loads(place.read_text())
    assert published.read_numbers("last", "segmentation") == {}
    monkeypatch.setenv("TENURE_PREVIOUS", str(output))
    assert published.read_numbers("last", "segmentation")["edges"] == {"value": [1.5, 2]}
    with pytest.raises(InputError, match="lower-case"):
        report.publish_numbers("Segmentation!", {})
    with pytest.raises(ValueError, match="JSON"):
        report.publish_numbers("segmentation", {"edges": float("nan")})
    assert json.loads(place.read_text())["rule"] is None
    place.write_text("[1")
    with pytest.raises(InputError, match="no frozen numbers"):
        published.read_numbers(str(place), "segmentation")


@pytest.fixture
def company(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "customers.csv").write_text("customer_id,created_at\na,2026-01-01\nb,2026-01-01\n")
    (folder / "subscriptions.csv").write_text(
        "subscription_id,customer_id,plan,billing_interval,unit_amount_minor,currency,status,started_at,ended_at\n"
        "1,a,Basic,month,999,EUR,active,2026-01-05,\n2,b,Basic,month,999,EUR,active,2026-01-05,\n"
    )
    (folder / "segments.csv").write_text("customer_id,scheme,segment,as_of\na,crm,guess,2026-01-01\n")
    return folder


def test_a_mapping_puts_the_published_table_in_place_of_ones_own(company, output, tmp_path, monkeypatch):
    report.publish_table("segments", segments())
    # Another report of the same run looks beside itself.
    monkeypatch.setenv("TENURE_OUTPUT", str(output.parent / "churn_curves"))
    source = tenure.open_source(company, "data/mappings/segments.yml")
    assert sorted(tenure.collect(source["segments"])["segment"]) == ["fans", "silent"]
    assert tenure.collect(tenure.open_source(company)["segments"])["segment"].tolist() == ["guess"]


def test_the_mark_changes_with_what_is_published(company, output):
    mapping = "data/mappings/segments.yml"
    report.publish_table("segments", segments())
    before = tenure.open_source(company, mapping).mark
    assert tenure.open_source(company, mapping).mark == before
    report.publish_table("segments", segments())
    assert tenure.open_source(company, mapping).mark != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("published:\n  segmants: segmentation\n", "published.segmants"),
        ("published:\n  segments: nobody\n", "run `tenure run nobody`"),
        (
            "published:\n  segments: segmentation\ntables:\n  segments: {from: segments}\n",
            "under `published` too",
        ),
    ],
)
def test_a_mapping_that_asks_for_what_is_not_there_is_a_sentence(
    company, output, tmp_path, text, words, monkeypatch
):
    monkeypatch.setattr(published, "project_root", lambda: tmp_path)  # what a run left here is none of it
    place = tmp_path / "mapping.yml"
    place.write_text(text)
    with pytest.raises(InputError, match=words):
        tenure.open_source(company, place)
