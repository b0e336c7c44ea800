"""Findings: the record that machines keep and the sentence that people read."""

from __future__ import annotations

import json
import math

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import HOSTILE

from tenure.errors import InputError
from tenure.report import findings, make_finding, read_findings, text
from tenure.report.display import FINDING

numbers = st.one_of(st.none(), st.floats(), st.integers(-(10**9), 10**9))


def in_a_notebook(*records):
    outputs = [
        nbformat.v4.new_output("display_data", {FINDING: record, "text/plain": "…"}) for record in records
    ]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("…", outputs=outputs)])


@given(
    numbers, numbers, numbers, numbers, st.sampled_from(["percent", "months", "money:EUR", "ratio", "score"])
)
def test_a_record_survives_a_notebook_on_disk(value, low, high, compare, unit):
    if None not in (low, high) and math.isfinite(low) and math.isfinite(high) and low > high:
        low, high = high, low
    found = make_finding("a.b", "{value} ({interval}), was {compare}", value=value, low=low, high=high,
                         compare=compare, unit=unit)  # fmt: skip
    record = findings.asdict(found)
    [back] = read_findings(json.loads(json.dumps(in_a_notebook(record), allow_nan=False)))
    assert back == json.loads(json.dumps(record))
    for name, given_ in (("value", value), ("low", low), ("high", high), ("compare", compare)):
        expected = None if given_ is None or not math.isfinite(given_) else given_
        assert back[name] == expected
    assert "{" not in back["sentence"]


@pytest.mark.parametrize(
    ("value", "low", "high", "compare", "better", "verdict"),
    [
        (0.05, 0.048, 0.052, 0.04, "down", "worse"),
        (0.05, 0.048, 0.052, 0.04, "up", "better"),
        (0.03, 0.028, 0.032, 0.04, "down", "better"),
        (0.05, 0.048, 0.052, 0.04, None, "higher"),
        (0.03, 0.028, 0.032, 0.04, None, "lower"),
        (0.05, 0.039, 0.061, 0.04, "down", "no clear change"),
        (0.05, None, None, 0.05, "down", "no clear change"),
        (0.05, None, None, None, "down", ""),
        (None, None, None, 0.05, "down", ""),
    ],
)
def test_a_change_within_the_interval_is_no_change(value, low, high, compare, better, verdict):
    found = make_finding(
        "a.b", "{value}", value=value, low=low, high=high, compare=compare, better=better, unit="percent"
    )
    assert found.verdict == verdict


def test_the_comparison_may_be_uncertain_too():
    given_ = {"value": 10.0, "low": 9.0, "high": 11.0, "compare": 8.5, "unit": "months"}
    assert make_finding("a.b", "", **given_).verdict == "higher"
    # The distance 1.5 is less than the root of 1.0² + 1.2².
    assert make_finding("a.b", "", **given_, compare_low=7.3, compare_high=9.7).verdict == "no clear change"


def test_a_missing_value_reads_as_such():
    found = make_finding("a.b", "It is {value}, at least {low}.", value=math.nan, low=3, unit="months")
    assert found.sentence == "It is not available, at least 3 months."
    assert found.value is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sentence": "{valeu}"}, "unknown placeholder {valeu}; it knows: compare, difference"),
        ({"sentence": "{value:.2f}"}, "unknown placeholder"),
        ({"sentence": "{value.real}"}, "unknown placeholder"),
        ({"sentence": "{0}"}, "unknown placeholder"),
        ({"sentence": "{value"}, "unmatched brace"),
        ({"id": "Churn"}, "must be lower-case words"),
        ({"id": "churn"}, "must be lower-case words"),
        ({"unit": "%"}, "no unit '%'"),
        ({"unit": "money:euro"}, "ISO 4217"),
        ({"low": 2, "high": 1}, "upside down"),
        ({"value": "many"}, "value='many', which is not a number"),
        ({"better": "higher"}, "better='higher'"),
    ],
)
def test_a_mistake_is_said_in_one_sentence(change, words):
    good = {"id": "a.b", "sentence": "{value}", "value": 1, "unit": "count"}
    with pytest.raises(InputError) as caught:
        make_finding(**{**good, **change})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_findings_of_one_name_are_refused():
    record = findings.asdict(make_finding("a.b", "{value}", value=1, unit="count"))
    with pytest.raises(InputError, match=r"a\.b is said twice"):
        read_findings(in_a_notebook(record, record))


def test_numpy_numbers_become_plain_ones():
    import numpy as np

    found = make_finding("a.b", "{value}", value=np.float32(0.5), n=np.int64(7), unit="percent")
    assert json.dumps(findings.asdict(found))
    assert found.n == 7


def test_words_are_taken_as_they_are(capsys):
    text("About {plan}.", plan=HOSTILE + " {value}")
    assert capsys.readouterr().out == f"About {HOSTILE} {{value}}.\n"


def test_the_line_says_what_the_number_rests_on():
    found = make_finding(
        "a.b",
        "{value}",
        value=0.05,
        low=0.04,
        high=0.06,
        unit="percent",
        n=1200,
        compare=0.08,
        compare_label="the year before",
        better="down",
        target=0.045,
    )
    assert findings.describe(findings.asdict(found)) == (
        "95% interval 4% to 6% · based on 1,200 · better than 8% (the year before) · target 4.5% missed"
    )
