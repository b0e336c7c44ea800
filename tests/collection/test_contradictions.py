"""One idea has one value, in whichever report it is said."""

from __future__ import annotations

import re
from functools import cache

import pandas as pd
import pytest
import yaml

from reference import snapshot

IDEAS = yaml.safe_load((snapshot.HERE / "ideas.yml").read_text(encoding="utf-8"))
SEVERAL = {**IDEAS["ideas"], **IDEAS["still_disagree"]}
CELL = re.compile(r"(?P<table>\w+)(\[(?P<column>\w+)=(?P<value>[^\]]+)\])?/(?P<field>\w+)")


# The demo company takes minutes, where `make reports` has not made its reports already.
EACH_RUN = ["small", pytest.param("demo", marks=pytest.mark.long)]


@pytest.fixture(scope="session")
def read(request):
    """The findings and exports of a run."""

    @cache
    def one(run):
        folder = request.getfixturevalue(f"{run}_run")
        return snapshot.findings(folder).set_index("id", drop=False), snapshot.exports(folder)

    return one


@pytest.fixture(scope="session")
def said(read):
    """What a run says in a place of ideas.yml: a number; None where it does not speak of it."""

    def look(run, place):
        findings, exports = read(run)
        id, _, field = place.partition("/")
        if id in findings.index:
            return findings.loc[id, field or "value"]
        cell = CELL.fullmatch(place)
        table = exports.get(cell["table"]) if cell else None
        if table is None:
            return None
        if cell["column"]:
            table = table[table[cell["column"]].astype(str) == cell["value"]]
        return table[cell["field"]].sum() if len(table) else None

    return look


def disagreement(places, run, said):
    values = {place: said(run, place) for place in places}
    known = {place: float(value) for place, value in values.items() if not pd.isna(value)}
    low, high = (end(known.values(), default=0.0) for end in (min, max))
    return known if high - low > 1e-9 * max(abs(low), abs(high)) else {}


@pytest.mark.parametrize("run", EACH_RUN)
@pytest.mark.parametrize("idea", IDEAS["ideas"])
def test_one_idea_has_one_value(said, run, idea):
    assert not disagreement(IDEAS["ideas"][idea], run, said)


@pytest.mark.long
@pytest.mark.parametrize("idea", IDEAS["still_disagree"])
def test_what_is_listed_as_a_contradiction_still_is_one(said, idea):
    found = [disagreement(IDEAS["still_disagree"][idea], run, said) for run in ("small", "demo")]
    assert any(found), "resolved: move it up in ideas.yml"


@pytest.mark.parametrize("run", EACH_RUN)
def test_every_finding_is_entered_once(read, run):
    shared = {place for places in SEVERAL.values() for place in places if "/" not in place}
    entered = set(IDEAS["unique"]) | shared
    assert len(entered) == len(IDEAS["unique"]) + len(shared), "a finding is both unique and of an idea"
    found = read(run)[0]["id"]
    assert not found.duplicated().any(), found[found.duplicated()]
    new = set(found) - entered
    assert not new, "enter them in tests/reference/ideas.yml under an idea, or name them unique there"


@pytest.mark.long
def test_every_place_that_is_entered_is_somewhere_in_a_run(said):
    places = [*IDEAS["unique"], *(place for places in SEVERAL.values() for place in places)]
    assert not [place for place in places if all(said(run, place) is None for run in ("small", "demo"))]
