"""Exports: written whole, in their folder, with every value."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tenure.errors import InputError
from tenure.report import export


def test_an_export_keeps_every_value(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path / "out"))
    frame = pd.DataFrame({"customer_id": ["007", "=1+1", 'a "b", c\nd'], "share": [0.1, np.nan, 1 / 3]})
    export("at-risk", frame)
    back = pd.read_csv(tmp_path / "out" / "at-risk.csv", dtype={"customer_id": str})
    pd.testing.assert_frame_equal(back, frame)
    assert capsys.readouterr().out == "Exported 3 rows to at-risk.csv\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["at-risk.csv"]


def test_an_export_that_fails_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_OUTPUT", str(tmp_path))
    export("list", pd.DataFrame({"a": [1]}))

    class Broken:
        def to_csv(self, file, **_):
            file.write("half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        export("list", Broken())
    assert (tmp_path / "list.csv").read_text() == "a\n1\n"
    assert len(list(tmp_path.iterdir())) == 1


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
