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
from tenure.result import NAN, Estimate, counted

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
    ends = [NAN if number is None else number for number in (value, low, high)]
    now = Estimate(*ends, unit=unit, sample="now")
    if compare is not None and math.isfinite(compare):
        now = now.against(Estimate(compare, compare, compare, unit=unit, sample="then"), "before")
    found = make_finding("a.b", "{value} ({interval}), was {compare}", now)
    record = findings.asdict(found)
    [back] = read_findings(json.loads(json.dumps(in_a_notebook(record), allow_nan=False)))
    assert back == json.loads(json.dumps(record))
    for name, given_ in {"value": value, "low": low, "high": high, "compare": compare}.items():
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
        (0.05, NAN, NAN, 0.05, "down", "no clear change"),
        (0.05, NAN, NAN, None, "down", ""),
        (NAN, NAN, NAN, 0.05, "down", ""),
    ],
)
def test_a_change_within_the_interval_is_no_change(value, low, high, compare, better, verdict):
    now = Estimate(value, low, high, unit="percent", exact=math.isnan(low), sample="now")
    if compare is not None:
        now = now.against(Estimate(compare, unit="percent", exact=True), "before")
    assert make_finding("a.b", "{value}", now, better=better).verdict == verdict


def test_the_comparison_may_be_uncertain_too():
    now = Estimate(10.0, 9.0, 11.0, unit="months", sample="now")
    then = Estimate(8.5, exact=True, unit="months", sample="then")
    assert make_finding("a.b", "", now.against(then, "before")).verdict == "higher"
    # The distance 1.5 is less than the root of 1.0² + 1.2².
    then = Estimate(8.5, 7.3, 9.7, unit="months", sample="then")
    assert make_finding("a.b", "", now.against(then, "before")).verdict == "no clear change"


def test_an_open_end_makes_no_change_clear():
    """A share that fell from 1 % to 0 %, its interval open below: card and scorecard say the same."""
    now = Estimate(0.0, NAN, 0.02, unit="percent", sample="now")
    then = Estimate(0.01, 0.002, 0.04, unit="percent", sample="then")
    assert make_finding("a.b", "", now.against(then, "before"), better="down").verdict == "no clear change"


def test_a_sentence_is_chosen_by_the_case():
    sentences = {"reached": "Half left by {value}.", "not reached": "Half are there after {observed}."}
    life = Estimate(14.0, unit="months", case="reached")
    assert make_finding("a.b", sentences, life).sentence == "Half left by 14 months."
    life = Estimate(NAN, unit="months").saying("not reached", observed=Estimate(36.0, unit="months"))
    assert make_finding("a.b", sentences, life).sentence == "Half are there after 36 months."
    ways = {"rose": "Up.", "known": "At {value}.", "not available": "Nobody knows."}
    assert make_finding("a.b", ways, counted(3)).sentence == "At 3."
    assert make_finding("a.b", ways, counted(3).against(counted(2), "before")).sentence == "Up."
    assert make_finding("a.b", ways, counted(2).against(counted(3), "before")).sentence == "At 2."
    assert make_finding("a.b", ways, Estimate(NAN)).sentence == "Nobody knows."


def test_a_missing_value_chooses_another_whole_sentence():
    found = make_finding("a.b", "It is {value}, at least {low}.", Estimate(NAN, 3, unit="months"))
    assert found.sentence == "The data does not hold what is needed to answer this."
    assert found.value is None
    ways = {"known": "{value} left, {lost} of them late.", "not available": "Nobody knows."}
    assert make_finding("a.b", ways, counted(3), lost=Estimate(NAN)).sentence == "Nobody knows."
    assert make_finding("a.b", {"odd": "{value} left."}, Estimate(NAN, case="odd")).sentence == found.sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sentence": "{valeu}"}, "unknown slot {valeu}; it knows: change, compare"),
        ({"sentence": "{value:.2f}"}, "unknown slot"),
        ({"sentence": "{value.real}"}, "unknown slot"),
        ({"sentence": "{0}"}, "unknown slot"),
        ({"sentence": "{value"}, "unmatched brace"),
        ({"id": "Churn"}, "must be lower-case words"),
        ({"id": "churn"}, "must be lower-case words"),
        ({"unit": "%"}, "no unit '%'"),
        ({"unit": "money:euro"}, "ISO 4217"),
        ({"low": 2, "high": 1}, "upside down"),
        ({"value": "many"}, "value='many', which is not a number"),
        ({"sentence": {"rose": "Up."}}, "no sentence for the case 'known'; it has: rose"),
        ({"better": "higher"}, "better='higher'"),
    ],
)
def test_a_mistake_is_said_in_one_sentence(change, words):
    change = {"id": "a.b", "sentence": "{value}", "better": None, **change}
    said = {name: change.pop(name) for name in ("id", "sentence", "better")}
    with pytest.raises(InputError) as caught:
        make_finding(estimate=Estimate(**{"value": 1, "unit": "count", **change}), **said)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_findings_of_one_name_are_refused():
    record = findings.asdict(make_finding("a.b", "{value}", counted(1)))
    with pytest.raises(InputError, match=r"a\.b is said twice"):
        read_findings(in_a_notebook(record, record))


def test_numpy_numbers_become_plain_ones():
    import numpy as np

    found = make_finding("a.b", "{value}", Estimate(np.float32(0.5), n=np.int64(7), unit="percent"))
    assert json.dumps(findings.asdict(found))
    assert found.n == 7


def test_words_are_taken_as_they_are(capsys):
    text("About {plan}.", plan=HOSTILE + " {value}")
    assert capsys.readouterr().out == f"About {HOSTILE} {{value}}.\n"


def test_the_line_says_what_the_number_rests_on():
    now = Estimate(0.05, 0.04, 0.06, n=1200, of="customer", unit="percent", sample="now")
    then = Estimate(0.08, exact=True, unit="percent")
    found = make_finding("a.b", "{value}", now.against(then, "the year before"), better="down", target=0.045)
    assert findings.describe(findings.asdict(found)) == (
        "95% interval 4% to 6% · based on 1,200 customers · better than 8% (the year before) · target 4.5% missed"
    )
