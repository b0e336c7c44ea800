"""Tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_sample import HOSTILE

from tenure.errors import InputError
from tenure.report import table
from tenure.report.tables import to_html
from tenure.result import Table


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
    units = {"left_within_a_year": "percent", "median": "months", "price": "money:EUR"}
    page = to_html(Table(frame, units), caption="Plans")
    assert "<caption>Plans</caption>" in page
    assert page.count('<th scope="col"') == 6
    assert page.count('<th scope="row">') == 2
    for words in (">30.0<", ">41.2<", ">14<", ">10<", ">1,200<", ">yes<", ">no<", ">Oct 31, 2026<"):
        assert words in page, words
    for head in (">Left within a year (%)<", ">Median (months)<", ">Price (€)<"):
        assert head in page
    assert 'data-v="20261031"' in page
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
    with pytest.raises(InputError, match="no unit"):
        table(Table(pd.DataFrame({"a": [1]}), {"a": "percents"}), caption="x")


def test_an_estimate_and_its_interval_stand_in_one_cell(capsys):
    frame = pd.DataFrame(
        {
            "plan": ["Basic", "Pro", "New"],
            "churn": [0.05, 0.2, np.nan],
            "churn_low": [0.041, 0.2, np.nan],
            "churn_high": [0.06, 0.2, np.nan],
            "median": [14.0, 20.5, np.nan],
            "median_low": [13.0, 19.0, 5.0],
            "median_high": [15.0, np.nan, np.nan],
        }
    )
    units = {"churn": "percent", "median": "months", "absent": "percent"}
    page = to_html(Table(frame, units, ["A note."]), caption="Plans", note="First.")
    assert page.count('<th scope="col"') == 3
    for words in (
        ">5.0<small>4.1 to 6.0</small><",
        ">20.0<",
        ">14.0<small>13.0 to 15.0</small><",
        ">20.5<small>19.0 or more</small><",
        'aria-label="not available 5.0 or more">–<small>5.0 or more</small><',
    ):
        assert words in page, words
    assert ">Median (months)<" in page
    assert page.count('aria-label="not available">–<') == 1
    assert "First. A note.</small>" in page
    table(Table(frame, units), caption="Plans", fold=True)
    assert capsys.readouterr().out.startswith("Plans\n")


def test_a_result_is_shown_by_its_table():
    class Fit:
        table = Table(pd.DataFrame({"share": [0.5], "share_low": [0.25]}), {"share": "percent"})
        notes = ("Few were observed.",)

    page = to_html(Fit(), caption="Shares")
    assert page.count('<th scope="col"') == 2
    assert ">25<" in page
    assert "Few were observed." in page


def test_texts_with_intervals_of_their_own_units_share_a_cell_too():
    frame = pd.DataFrame({"metric": ["ARPA"], "now": ["€11.71"], "now_interval": ["€11 to €12"]})
    page = to_html(frame, caption="x")
    assert ">€11.71<small>€11 to €12</small><" in page
    assert page.count('<th scope="col"') == 2
