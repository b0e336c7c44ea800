"""The sentences of the pages, and their translations.

    python tests/reference/catalogue.py it     bring lib/tenure/report/locale/it.po up to date

New sentences are added without a translation, those that are gone are taken out. Sentences of pages (*chrome*) are
those that the library and the page templates say; those of notebooks are what they find.
"""

from __future__ import annotations

import ast
import io
import json
import re
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from tenure.measures.features import LEFT, NO_USE
from tenure.measures.value import RETURNED
from tenure.models.movements import _WORDS, GAIN_WORDS, KINDS
from tenure.models.payback import ALL, PAID
from tenure.models.personas import _ADVICE
from tenure.models.price_research import _POINTS
from tenure.models.reasons import SIGNS
from tenure.models.risk import NAMES
from tenure.models.segments import RFM_SEGMENTS
from tenure.models.worth import MONTHS, REACHED, UNLESS
from tenure.paths import project_root
from tenure.report.around import label
from tenure.report.cards import WORDS
from tenure.report.curves import _STEPS
from tenure.report.figures_metrics import _COLORS
from tenure.report.format import NOT_AVAILABLE
from tenure.report.index import STATES
from tenure.report.order import ANALYST, TO_DO
from tenure.report.style import FIXED
from tenure.report.summary import Summary, claims_table
from tenure.report.terms import TERMS
from tenure.report.words import LOCALES, SLOT, plural
from tenure.runs.runbook import read_runbook
from tenure.runs.ways import CHECKS

LIBRARY = project_root() / "lib" / "tenure"
# What a finding's `better` makes of a difference; every other word of a page is in its code as a text.
VERDICTS = ("better", "worse", "higher", "lower", "no clear change")
_WORDED = ("unless", "title", "subtitle", "caption", "note", "less", "more", "reference_label")
_SAYS = {"say": 0, "translated": 0, "finding": 1, "make_finding": 1, "text": 0, "fill": 0}
# Functions that are given words side by side.
_NAMES = {"right_and_wrong": slice(1, 3)}
# The names of a report's facts, and the heads of the tables that stand on the page of checks.
HEADS = """As of|Period|Data|Company|Time zone|Groups|Currency|Left out|Left out of money|Not compared|Data checked|Policy
Commission|Counted by|Gaps bridged|Pauses of up to|Reason|Spans|Customers|Monthly|Setting|Fact|From"""
# Those of other tables, whose columns models name.
COLUMNS = """A year ago|Active days|Adds|Adjusted Rand index|After|After cost|Amount|Answered|Asked|At least
At once|At risk|Attribute|Based on|Before|Below|Billing|Bought|Break even|Brought|By chance|Category|Cause|Chance
Change|Channel|Characteristic|Cheaper|Check|Chosen|Churn|Churned|Closing|Cohort|Compared with|Contacted|Contacts
Contraction|Control|Conversion|Converted|Correlation|Cost|Covariate|Date|Detectable|Difference
Due|Duration|Each|Each new customer|Each today|Early|Error|Events|Expansion|Expected|Expected over left|Family|Fees
First|Fitted|Found|Frequency|Gain|Gained|Group|Grown|Guessed|Happened|Hazard|Highest|Hours
Hours per user|Incidence|Index|Inside|Interval|Intervals|Item|Kind|Label|Landmark|Largest discount|Last|Last use
Late|Leave|Left|Level|Levels|Lever|Lifetime ratio|Line|List price|Log likelihood|Logo churn
Lowest|MRR churn|Margin|Mean|Mean gap|Measure|Median|Metric|Model|Month|Months|More expensive
Most|Movements|Needed|New|New users|Not renewed|Not subscribed|Now|No use|Opening|Other|Outside
Overlap|P adjusted|Paid months|Payback|People|Per month|Pieces|Plan|Point|Published|Quarter
Ratio|Reactivation|Reference|Refunded|Result|Retained|Revenue|Revenue a month|Right|Rule|Rules
Score|Seats|Section|Seen|Segment|Share|Share below|Since then|Smoothed|So far|Spend|Staged
Standard error|Still on|Strength|Subscriptions|Survival|Tail|Target|Tenth|Term|Times|To come|Top tenth
Trait|Transfer|Units|Users|Value share|Variant|Waiting|Watched|Weeks|What|Who|Why|Would buy
Wrong|Year ago|Year before"""
LEFT_OUT = "another currency|starts after the as-of date|test account|trial|paid once|free"
# What a model or a notebook says that it compares with.
LABEL = re.compile(r"(the|a|as)( (?!fit)[a-z0-9]+)* (before|ago|earlier|control|day|price)")


def _texts(node: ast.AST, named: Mapping[str, list[ast.AST]]) -> Iterator[str]:
    """The texts of an expression that gives a sentence or several by case."""
    parts: list[ast.AST] = []
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name) and node.id in named:
        parts, named = named[node.id], {name: one for name, one in named.items() if name != node.id}
    elif isinstance(node, ast.Dict):
        parts = node.values
    elif isinstance(node, ast.Tuple):
        parts = node.elts
    elif isinstance(node, ast.IfExp):
        parts = [node.body, node.orelse]
    elif isinstance(node, ast.Subscript):
        parts = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):  # {...}.get, dict.fromkeys
        parts = [node.func.value, *node.args[1:]]
    for part in parts:
        yield from _texts(part, named)


def said(source: str, by: Mapping[str, int] = _SAYS, worded: Sequence[str] = _WORDED) -> Iterator[str]:
    """What Python code says by some functions and some of their words, and labels of what it compares with."""
    tree = ast.parse(source)
    named: dict[str, list[ast.AST]] = {}
    given: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, []).append(node.value)
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = by.get(called)
            given += [] if place is None else node.args[place : place + 1]
            given += node.args[_NAMES.get(called, slice(0))]
            given += [word.value for word in node.keywords if word.arg in worded]
        elif isinstance(node, ast.arguments):
            pairs = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            given += [default for one, default in pairs if one.arg in worded and default]
        elif isinstance(node, ast.Constant) and LABEL.fullmatch(str(node.value)):
            given.append(node)
    for one in given:
        yield from (text for text in _texts(one, named) if re.search("[a-z]", re.sub("{.*?}", "", text)))


def chrome() -> list[str]:
    """The sentences of the library and of the templates, in alphabetical order."""
    found = {
        *VERDICTS,
        *STATES,
        NOT_AVAILABLE,
        "days",
        "weeks",
        "months",
        "years",
        *re.split(r"[|\n]", f"{HEADS}|{COLUMNS}|{LEFT_OUT}"),
    }
    found |= {*TERMS, *TERMS.values()}
    for file in [*(LIBRARY / "report").rglob("*.py"), LIBRARY / "workbook.py"]:
        found |= {*said(file.read_text(encoding="utf-8"))}
    for file in (LIBRARY / "report" / "template").glob("*.j2"):
        with file.open("rb") as page:
            calls = [*babel_extract(page, ["say"], (), {})]
        found |= {one[0] if isinstance(one, tuple) else one for _, _, one, _ in calls}
    return sorted(found - {""})


def findings() -> list[str]:
    """What notebooks find, what models compare with, and what they say of decisions."""
    return notebooks({"finding": _SAYS["finding"]}, ("unless",))


def notebooks(by: Mapping[str, int] = _SAYS, worded: Sequence[str] = _WORDED) -> list[str]:
    """The sentences of the notebooks, and what models compare with and say of decisions."""
    found = {UNLESS}
    for file in [*(LIBRARY / "models").glob("*.py"), *(LIBRARY / "stats").glob("*.py")]:
        found |= {*said(file.read_text(encoding="utf-8"), worded=worded)}
    for path in sorted((project_root() / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                found |= {*said("".join(cell["source"]), by, worded)}
            elif worded is _WORDED:
                found |= {*re.findall("^##+ (.*)", "".join(cell["source"]), re.MULTILINE)}
    return sorted(found - {""} - {*chrome()})


def texts() -> list[str]:
    """Titles and questions of the reports, what a bar calls them, headings, and the summary's prose."""
    reports = read_runbook(project_root() / "notebooks" / "runbook.yml").reports
    found = {TO_DO, ANALYST}
    for report in reports:
        found |= {report.title, report.notebook.question, label(report.name), label(Path(CHECKS).stem)}
    heads = claims_table(Summary((), (), (), (), ())).frame.columns
    found |= {head.replace("_", " ").capitalize() for head in heads}
    cells = json.loads(reports[0].notebook.path.read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found |= {*re.findall(r'caption="(.*?)"', code)}
    markdown = "\n\n".join("".join(cell["source"]) for cell in cells[1:] if cell["cell_type"] == "markdown")
    return sorted(found | {" ".join(block.lstrip("# ").split()) for block in markdown.split("\n\n")})


def slots() -> list[str]:
    """Words that models give to the slots of sentences."""
    signs = {*SIGNS.values(), "lasting", "fading", "not clear", "stated", "recorded", "associated"}
    reached = {whom.format(period=period) for whom in REACHED for period in MONTHS}
    periods = {*_STEPS, *MONTHS, "quarter", "fiscal year"}
    features = {name for name, _ in WORDS.values()} | {*_ADVICE.values(), *RFM_SEGMENTS}
    figures = {*_COLORS, *FIXED, "net", "gross", "too cheap", "not cheap", "not expensive", "too expensive"}
    figures |= {
        NO_USE,
        LEFT,
        RETURNED,
        ALL,
        PAID,
        *(name.removesuffix(" price") for name in _POINTS),
        *_POINTS,
    }
    figures |= {_WORDS.get(kind, kind).capitalize() for kind in KINDS} | {
        "before",
        "after",
        "lost",
        "revalued",
    }
    models = {*GAIN_WORDS.values(), *reached, *signs, "by the month", "every 1 year", "customer"}
    models |= {*NAMES, "this list", "everybody", "the rule"}
    return sorted(models | periods | features | figures)


def nouns(sentences: list[str]) -> list[str]:
    """The nouns that sentences count."""
    slots = (slot for sentence in sentences for slot in string.Formatter().parse(sentence))
    counted = {noun for _, _, noun, _ in slots if noun}
    for file in [*LIBRARY.rglob("*.py"), *(project_root() / "notebooks").glob("*.ipynb")]:
        words = re.findall(r"\bof(?:\\?\")?\s*[=:]\s*\\?\"([a-z -]+)\\?\"", file.read_text(encoding="utf-8"))
        counted |= {*words}
    return sorted(counted - {"of", "title"} | {"quarter", "fiscal year"})


def update(language: str) -> None:
    """Bring a language's catalogue up to date."""
    file = LOCALES / f"{language}.po"
    old = read_po(io.BytesIO(file.read_bytes()), locale=language) if file.is_file() else Catalog(language)
    new = Catalog(language, charset="utf-8")
    sentences = [*chrome(), *notebooks(), *texts()]
    for english in sentences:
        known = old.get(english)
        new.add(english, known.string if known and isinstance(known.string, str) else "")
    for word in slots():
        known = old.get(word, SLOT)
        new.add(word, known.string if known else "", context=SLOT)
    for noun in nouns(sentences):
        known = old.get(noun)
        new.add((noun, plural(noun)), known.string if known and isinstance(known.string, tuple) else ())
    text = io.BytesIO()
    write_po(text, new, width=120, omit_header=False)
    kept = [
        line
        for line in text.getvalue().decode().splitlines()
        if not line.startswith(('"POT-', '"PO-Rev', "#"))
    ]
    LOCALES.mkdir(exist_ok=True)
    file.write_text("\n".join(kept).strip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    update(*sys.argv[1:2] or ["it"])
