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
from collections.abc import Iterator

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from tenure.models.worth import UNLESS
from tenure.paths import project_root
from tenure.report.words import LOCALES, plural

LIBRARY = project_root() / "lib" / "tenure"
# What a finding's `better` makes of a difference; every other word of a page is in its code as a text.
VERDICTS = ("better", "worse", "higher", "lower", "no clear change")
_SAYS = {"say": 0, "finding": 1, "make_finding": 1, "text": 0, "against": 1, "versus": 2}


def _texts(node: ast.AST) -> Iterator[str]:
    """The texts of an expression that gives a sentence or several by case."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from _texts(value)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def said(source: str) -> Iterator[str]:
    """The sentences that Python code says."""
    tree = ast.parse(source)
    named = {node.targets[0].id: node.value for node in ast.walk(tree)
             if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)}  # fmt: skip
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        place = _SAYS.get(name)
        given = [] if place is None or len(call.args) <= place else [call.args[place]]
        given += [word.value for word in call.keywords if word.arg in ("unless", "saying")]
        for node in given:
            node = named.get(node.id, node) if isinstance(node, ast.Name) else node
            yield from _texts(node)


def chrome() -> list[str]:
    """The sentences of the library and of the templates, in alphabetical order."""
    found = {*VERDICTS}
    for file in (LIBRARY / "report").rglob("*.py"):
        found |= {*said(file.read_text(encoding="utf-8"))}
    for file in (LIBRARY / "report" / "template").glob("*.j2"):
        with file.open("rb") as page:
            calls = [*babel_extract(page, ["say"], (), {})]
        found |= {one[0] if isinstance(one, tuple) else one for _, _, one, _ in calls}
    return sorted(found - {""})


def notebooks() -> list[str]:
    """The sentences of the notebooks, and what models compare with and say of decisions."""
    found = {UNLESS}
    for file in (LIBRARY / "models").glob("*.py"):
        found |= {*said(file.read_text(encoding="utf-8"))}
    for path in sorted((project_root() / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                found |= {*said("".join(cell["source"]))}
    return sorted(found - {""} - {*chrome()})


def nouns(sentences: list[str]) -> list[str]:
    """The nouns that sentences count."""
    slots = (slot for sentence in sentences for slot in string.Formatter().parse(sentence))
    counted = {noun for _, _, noun, _ in slots if noun}
    for file in [*LIBRARY.rglob("*.py"), *(project_root() / "notebooks").glob("*.ipynb")]:
        counted |= {*re.findall(r"of=\\?\"([a-z -]+)\\?\"", file.read_text(encoding="utf-8"))}
    return sorted(counted)


def update(language: str) -> None:
    """Bring a language's catalogue up to date."""
    file = LOCALES / f"{language}.po"
    old = read_po(io.BytesIO(file.read_bytes()), locale=language) if file.is_file() else Catalog(language)
    new = Catalog(language, charset="utf-8")
    sentences = [*chrome(), *notebooks()]
    for english in sentences:
        known = old.get(english)
        new.add(english, known.string if known and isinstance(known.string, str) else "")
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
