"""Exports: written whole, in their folder, with every value."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tenure.errors import InputError
from tenure.report import export, previous_export
from tenure.report.exports import export_batches


def test_an_export_keeps_every_value(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path / "out"))
    frame = pd.DataFrame({"customer_id": ["007", "=1+1", 'a "b", c\nd'], "share": [0.1, np.nan, 1 / 3]})
    export("at-risk", frame)
    back = pd.read_csv(tmp_path / "out" / "at-risk.csv", dtype={"customer_id": str})
    assert back["customer_id"][1] == "'=1+1"
    back.loc[1, "customer_id"] = "=1+1"
    pd.testing.assert_frame_equal(back, frame)
    said = "Texts that a spreadsheet would calculate begin with an apostrophe there."
    assert capsys.readouterr().out == f"Exported 3 rows to at-risk.csv. {said}\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["at-risk.csv"]


def test_an_export_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    export("list", pd.DataFrame({"a": [1]}))

    def broken(self, file, **_):
        file.write("half")
        raise OSError("no space left")

    monkeypatch.setattr(pd.DataFrame, "to_csv", broken)
    with pytest.raises(OSError, match="no space"):
        export("list", pd.DataFrame({"a": [2]}))
    assert (tmp_path / "list.csv").read_text() == "a\n1\n"
    assert len(list(tmp_path.iterdir())) == 1


TEXTS = ["=1+1", "+1", "-1", "@sum", "\tx", "plain", "", "'quoted", "a=b"]


def write(by, frame):
    if by == "frame":
        export("list", frame)
        return
    table = pa.Table.from_pandas(frame, preserve_index=False)
    export_batches("list", pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))


@pytest.mark.parametrize("by", ["frame", "batches"])
def test_control_characters_are_written_as_such(tmp_path, monkeypatch, by):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    write(by, pd.DataFrame({"text": ["a\x1b[2J", None, "b\rc\u202e"]}))
    written = (tmp_path / "list.csv").read_text()
    assert "a␛[2J" in written
    assert "b␍c\ufffd" in written


@pytest.mark.parametrize("by", ["frame", "batches"])
def test_a_spreadsheet_calculates_no_exported_text_and_what_is_read_again_is_exact(tmp_path, monkeypatch, by):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    frame = pd.DataFrame({"text": TEXTS, "number": range(-4, 5)})
    write(by, frame)
    with (tmp_path / "list.csv").open(newline="") as file:
        written = [row["text"] for row in csv.DictReader(file)]
    assert written == [f"'{text}" if text[:1] in tuple("=+-@\t") else text for text in TEXTS]
    back = previous_export("list", str(tmp_path))
    pd.testing.assert_frame_equal(back, frame)


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "", ".x", "x.csv"])
def test_an_export_stays_in_its_folder(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    with pytest.raises(InputError, match="name"):
        export(name, pd.DataFrame({"a": [1]}))


def test_an_export_by_hand_goes_below_the_current_folder_and_not_among_the_published(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.delenv("TENURE_OUTPUT", raising=False)
    root, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (root / "scratch", elsewhere):
        folder.mkdir(parents=True)
    monkeypatch.setenv("TENURE_ROOT", str(root))
    for folder, said in ((root / "scratch", "scratch"), (elsewhere, str(elsewhere))):
        monkeypatch.chdir(folder)
        export("list", pd.DataFrame({"a": [1]}))
        assert (folder / "exports" / "list.csv").is_file()
        assert f"1 row to {said}/exports/list.csv" in capsys.readouterr().out
    assert not (root / "reports").exists()
