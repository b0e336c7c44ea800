"""Notebooks read like articles: few cells, short ones, and nothing in them that a result knows by itself."""

from __future__ import annotations

import ast
import json
import string

import pytest

from notebooks.running import NOTEBOOKS
from tenure.report.findings import make_finding
from tenure.result import Estimate

CELLS, SHORT, SHARE, WIDE, BEFORE_THE_FIRST = 30, 9, 0.9, 100, 15
# What shows something to the reader; opening a workbook shows its head.
SHOWS = ("report.", "open_workbook(")
# Not yet carried over to results that can speak; each goes from here when it is.
NOT_YET: set[str] = set()
NAMES = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))


def read(name):
    """The notebook's cells, and its code cells but for that of the parameters."""
    cells = json.loads((NOTEBOOKS / name).read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
    return cells, ["".join(cell["source"]) for cell in code if cell not in tagged]


def lines(source):
    return [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def broken_rules(name):
    cells, code = read(name)
    tree = [node for source in code for node in ast.walk(ast.parse(source))]
    if len(cells) > CELLS:
        yield f"{len(cells)} cells, of which {CELLS} are allowed"
    long = [len(lines(source)) for source in code if len(lines(source)) > SHORT]
    if len(long) > (1 - SHARE) * len(code):
        yield f"{len(long)} of {len(code)} code cells are longer than {SHORT} lines: {sorted(long)}"
    for cell in cells:
        wide = [line for line in "".join(cell["source"]).splitlines() if len(line) > WIDE]
        if wide and cell["cell_type"] == "code":
            yield f"wider than {WIDE} columns: {wide[0]}"
    before = 0
    for source in code:
        shown = [number for number, line in enumerate(lines(source)) if any(mark in line for mark in SHOWS)]
        before += shown[0] + 1 if shown else len(lines(source))
        if shown:
            break
    if before > BEFORE_THE_FIRST:
        yield f"{before} lines of code before the first thing is shown"
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree):
        yield "defines a function"
    calls = [node for node in tree if isinstance(node, ast.Call)]
    if known := {keyword.arg for call in calls for keyword in call.keywords} & {"alt", "data", "formats"}:
        yield f"passes {', '.join(sorted(known))}, which a result knows"
    importing = [source for source in code if any(map(is_import, ast.walk(ast.parse(source))))]
    if len(importing) > 1:
        yield f"{len(importing)} cells import"
    loops = [node for node in tree if isinstance(node, ast.For | ast.While | ast.ListComp | ast.DictComp)]
    if any(called(inner) in ("book.ask", "tenure.collect") for loop in loops for inner in ast.walk(loop)):
        yield "asks the engine in a loop"
    spoken = [call for call in calls if called(call) in ("report.finding", "report.text")]
    glued = [call for call in spoken if any(map(is_glued, call.args))]
    if glued:
        yield f"glues a sentence together: {ast.unparse(glued[0])[:90]}"


def is_import(node):
    return isinstance(node, ast.Import | ast.ImportFrom)


def called(node):
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def is_glued(sentence):
    """Whether a sentence is put together from parts, which nobody could translate."""
    return any(isinstance(part, ast.JoinedStr | ast.BinOp) for part in ast.walk(sentence))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_YET])
def test_a_notebook_reads_like_an_article(name):
    assert not list(broken_rules(name))


def test_what_is_not_yet_carried_over_breaks_rules():
    assert set(NAMES) >= NOT_YET
    assert not [name for name in NOT_YET if not list(broken_rules(name))], "take it out of NOT_YET"


def sentences(name):
    """The id and the sentences by case of each finding and text that is about an estimate."""
    for source in read(name)[1]:
        tree = ast.parse(source)
        said = {
            node.targets[0].id: node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for node in ast.walk(tree):
            call = getattr(getattr(node, "func", None), "attr", "")
            if isinstance(node, ast.Call) and call in ("finding", "text"):
                about, sentence = node.args[0], node.args[1 if call == "finding" else 0]
                for case in getattr(sentence, "values", [sentence]):
                    case = said.get(case.id, case) if isinstance(case, ast.Name) else case
                    if isinstance(case, ast.Constant):
                        yield getattr(about, "value", ""), case.value


@pytest.mark.parametrize("name", NAMES)
def test_a_worth_has_a_sentence_for_each_population(name):
    for source in read(name)[1]:
        for node in ast.walk(ast.parse(source)):
            cases = {getattr(key, "value", "") for key in getattr(node, "keys", [])}
            assert not {"dated", "late"} <= cases or {"undated", "none"} <= cases, ast.unparse(node)


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_is_broken_by_a_missing_value(name):
    found = list(sentences(name))
    assert found
    for id, sentence in found:
        nothing = Estimate(float("nan")).saying("case")
        slots = {part[1]: Estimate(float("nan")) for part in string.Formatter().parse(sentence) if part[1]}
        slots = {slot: value for slot, value in slots.items() if slot not in ("value", "target")}
        said = make_finding("a.b", {"case": sentence}, nothing, **slots).sentence
        assert "not available" not in said, (id, said)
        assert said == sentence or said == "The data does not hold what is needed to answer this.", said
