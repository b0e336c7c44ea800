"""Lists of customers for other systems: complete, right to the cent, and replaced as a whole or not at all."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.sources.lists import COLUMNS, customer_list, write_list

TODAY, EARLIER = dt.date(2026, 10, 31), dt.date(2026, 4, 30)


@pytest.fixture
def exports(tmp_path: Path) -> list[Path]:
    """What three reports have exported: segments with what to do, values, and a workbook of somebody's own."""
    places = [tmp_path / "exports" / name for name in ("segmentation", "clv", "own")]
    for place in places:
        place.mkdir(parents=True)
    rows = [
        ("007", "behavior", 'He said "hi", twice', TODAY),
        ("b", "behavior", "quiet", TODAY),
        ("gone", "behavior", "quiet", EARLIER),
        ("b", "behavior", "loud", EARLIER),
        ("007", "rfm", "casual", TODAY),
        ("only_rfm", "rfm", "casual", TODAY),
    ]
    frame = pd.DataFrame(rows, columns=["customer_id", "scheme", "segment", "as_of"])
    frame.to_parquet(places[0] / "segments.parquet")
    (places[0] / "segments_summary.csv").write_text(
        'segment,customers,next_action\n"He said ""hi"", twice",1,"Thank them, often."\n'
    )
    (places[1] / "clv_customers.csv").write_text(
        '"customer_id","value","stays_a_year","currency"\n"007",12345.0,0.5,"EUR"\n"jp",900,,"JPY"\n'
        '"kw",1234,0.25,"KWD"\n'
    )
    (places[1] / "clv_groups.csv").write_text("group,value\nBasic,1\n")
    (places[1] / "buyers.csv").write_text("customer_id,still_buying,currency\nz,0.5,EUR\n")
    (places[2] / "mine.csv").write_text(
        "customer_id,segment,score,next_action\nb,mine,0.9,Call.\nc,mine,0.1,\n"
    )
    return places


def listed(rows) -> dict[str, tuple]:
    return {row[0]: row[1:] for row in rows.execute("FROM list").fetchall()}


EXPECTED = {
    "007": ('He said "hi", twice', 0.5, 123.45, "EUR", "Thank them, often."),
    "b": ("quiet", 0.9, None, None, "Call."),  # the first report counts, and others fill what it leaves open
    "c": ("mine", 0.1, None, None, None),
    "jp": (None, None, 900.0, "JPY", None),
    "kw": (None, 0.25, 1.234, "KWD", None),
}


def test_a_row_a_customer_of_all_reports(exports: list[Path]) -> None:
    rows = customer_list(exports)
    assert listed(rows) == EXPECTED
    assert [column[0] for column in rows.execute("FROM list").description] == list(COLUMNS)
    assert listed(customer_list(exports[::-1]))["b"][0] == "mine"


def test_without_groups_by_use_the_segments_are_those_by_recency(exports: list[Path]) -> None:
    path = exports[0] / "segments.parquet"
    frame = pd.read_parquet(path)
    frame[frame["scheme"] == "rfm"].to_parquet(path)
    assert {id: row[0] for id, row in listed(customer_list(exports[:1])).items()} == {
        "007": "casual", "only_rfm": "casual"
    }  # fmt: skip


def test_a_run_without_customers_says_so(exports: list[Path]) -> None:
    (exports[1] / "clv_customers.csv").unlink()
    with pytest.raises(InputError, match=r"single customers\. Fix: run segmentation or clv"):
        customer_list([exports[1], exports[1].with_name("never_made")])


@pytest.mark.parametrize("name", ["new/it's a list.csv", "list.parquet"])
def test_a_file_is_replaced_whole(exports: list[Path], tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    path = tmp_path / name
    rows = customer_list(exports)
    assert write_list(rows, name, "t") == str(path)
    read = pd.read_csv if path.suffix == ".csv" else pd.read_parquet
    back = read(path, dtype={"customer_id": str}) if path.suffix == ".csv" else read(path)
    assert back["customer_id"].tolist() == sorted(EXPECTED)
    assert back.loc[0].tolist() == ["007", *EXPECTED["007"]]
    before = path.read_bytes()
    rows.execute("DROP TABLE list")
    rows.execute("CREATE VIEW list AS SELECT error('no') AS a FROM range(3)")
    with pytest.raises(InputError, match="no"):
        write_list(rows, name, "t")
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir() if each.is_file()] == [path.name]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("list.xml", "no place for a list"),
        ("crm.duckdb", "no place for a list"),
        ("mysql://host/crm", "no place for a list"),
        ("postgres://me:secret@host/crm", "contains a password"),
        ("postgres://me:${NOT_SET_ANYWHERE}@host/crm", "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_other_places_are_refused(exports: list[Path], target: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        write_list(customer_list(exports), target, "t")
    assert "secret" not in str(refused.value)
