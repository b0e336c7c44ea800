"""Tables and exports."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_sample import HOSTILE

from tenure.errors import InputError
from tenure.report import export, table
from tenure.report.tables import to_html


def test_everything_is_escaped():
    page = to_html(pd.DataFrame({HOSTILE: [HOSTILE], "n": [1]}), caption=HOSTILE, note=HOSTILE)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 5
    assert 'aria-label="Table: Pro &lt;script' in page


def test_cells_say_what_they_are():
    frame = pd.DataFrame(
        {
            "plan": ["Basic", "Pro"],
            "left_within_a_year": [0.3, 0.412],
            "median": [np.nan, 14.0],
            "price": [999, 120_000],
            "active": [True, False],
            "since": pd.to_datetime(["2026-10-31", None]),
        }
    )
    formats = {"left_within_a_year": "percent", "median": "months", "price": "money:EUR"}
    page = to_html(frame, caption="Plans", formats=formats)
    assert "<caption>Plans</caption>" in page
    assert page.count('<th scope="col"') == 6
    assert page.count('<th scope="row">') == 2
    for words in (">30.0%<", ">41.2%<", ">14<", ">€10<", ">€1,200<", ">yes<", ">no<", ">Oct 31, 2026<"):
        assert words in page, words
    assert ">Median (months)<" in page
    assert page.count('aria-label="not available">–<') == 2


def test_numbers_are_right_aligned_words_are_not():
    page = to_html(pd.DataFrame({"a": ["x"], "b": [1], "c": ["y"]}), caption="x")
    assert '<td class="numeric" style="text-align:right">1</td>' in page
    assert '<td class="word" style="text-align:left">y</td>' in page


def test_a_long_table_says_how_much_more_there_is():
    page = to_html(pd.DataFrame({"n": range(1_030)}), caption="Many", max_rows=25)
    assert page.count("<tr>") == 26
    assert "1,005 more rows not shown." in page
    assert "There are no rows." in to_html(pd.DataFrame({"n": []}), caption="None")


def test_a_named_index_becomes_the_first_column():
    page = to_html(pd.DataFrame({"n": [1]}, index=pd.Index(["Basic"], name="plan")), caption="x")
    assert '<th scope="row">Basic</th>' in page


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "string", "category", "boolean"])
def test_missing_values_of_every_kind(dtype):
    column = pd.Series([1, None] if dtype in ("Int64", "Float64") else ["x", None], dtype=dtype) \
        if dtype != "boolean" else pd.Series([True, None], dtype=dtype)  # fmt: skip
    page = to_html(pd.DataFrame({"key": ["a", "b"], "it": column}), caption="x")
    assert page.count('aria-label="not available"') == 1


def test_mistakes():
    with pytest.raises(InputError, match="no caption"):
        table(pd.DataFrame({"a": [1]}), caption=" ")
    with pytest.raises(InputError, match="no column 'b' to format; it has a"):
        table(pd.DataFrame({"a": [1]}), caption="x", formats={"b": "percent"})
    with pytest.raises(InputError, match="no unit"):
        table(pd.DataFrame({"a": [1]}), caption="x", formats={"a": "percents"})


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


def test_an_export_by_hand_goes_below_the_project(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TENURE_OUTPUT", raising=False)
    monkeypatch.setenv("TENURE_ROOT", str(tmp_path))
    export("list", pd.DataFrame({"a": [1]}))
    assert (tmp_path / "reports" / "exports" / "list.csv").is_file()
    assert "1 row to reports/exports/list.csv" in capsys.readouterr().out
