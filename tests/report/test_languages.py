"""Other languages: the Italian catalogue, and pages in a language that marks all that is translated."""

from __future__ import annotations

import gettext
import io
import json
import re
import string

import pytest
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from nbformat.v4 import new_output
from report_sample import sample

from reference import catalogue
from tenure import report
from tenure.report import format as fmt
from tenure.report import words

MARK = "\N{CYRILLIC SMALL LETTER ZHE}"
# What the sample's data says.
OWN = "Annual Basic monthly Pro script alert other Tenure UTC"
DATA = ("tbody", ".warnings", "p.note", "figcaption strong")
# What the sample's notebook says of itself there, in words that no catalogue has: they may only become fewer.
NOT_YET, LEFT = ("figure", "dl"), 13


def slots(sentence):
    return sorted(f"{name}:{noun}" for _, name, noun, _ in string.Formatter().parse(sentence) if name)


@pytest.fixture(scope="module")
def italian():
    """The translations by their English."""
    read = read_po(io.BytesIO((words.LOCALES / "it.po").read_bytes()), locale="it")
    said = {message.id: message.string for message in read if message.id}
    return said | {english[0]: theirs[0] for english, theirs in said.items() if isinstance(english, tuple)}


def test_italian_says_the_page_the_summary_and_every_finding(italian):
    said = [*catalogue.chrome(), *catalogue.texts(), *catalogue.findings(), *catalogue.slots()]
    missing = [english for english in said if not italian.get(english)]
    assert not missing, "run `python tests/reference/catalogue.py it`, and translate"
    nouns = catalogue.nouns([*catalogue.chrome(), *catalogue.notebooks()])
    assert not [noun for noun in nouns if not all(italian.get((noun, words.plural(noun)), [""]))]


def test_translations_have_the_slots_of_their_sentences(italian):
    pairs = [(english, theirs) for english, theirs in italian.items() if isinstance(english, str) and theirs]
    assert not [english for english, theirs in pairs if slots(english) != slots(theirs)]


class Marked(gettext.NullTranslations):
    """Marks every letter of what is translated, but for its slots."""

    def gettext(self, message):
        parts = string.Formatter().parse(message)
        return "".join(
            re.sub("[A-Za-z]", MARK, literal)
            + ("" if name is None else f"{{{name}:{noun}}}" if noun else f"{{{name}}}")
            for literal, name, noun, _ in parts
        )

    def ngettext(self, one, many, n):
        return self.gettext(many)


@pytest.fixture
def marked(monkeypatch):
    """A language in which whatever is English was not translated, since Greek numbers and dates are not."""
    monkeypatch.setattr(words, "catalogue", lambda language: Marked())
    fmt.set_locale("el")
    yield
    fmt.set_locale()


def english(soup, own):
    """The English words that elements show, but for what their data says itself."""
    labels = [tag.get(name, "") for tag in soup(True) for name in ("aria-label", "alt", "title")]
    said = " ".join([*soup.stripped_strings, *labels])
    return sorted({*re.findall("[A-Za-z]{3,}", said)} - {*re.findall("[A-Za-z]{3,}", own)})


def parsed(page):
    soup = BeautifulSoup(page, "html.parser")
    for hidden in soup(["style", "script", "pre", "code"]) + soup.select(".source"):
        hidden.decompose()
    return soup


def in_this_process(node):
    """Run a notebook's cells in this process, where words are marked."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance()
    try:
        for cell in (cell for cell in node.cells if cell.cell_type == "code"):
            with capture_output() as got:
                shell.run_cell(cell.source)
            cell.outputs = [
                new_output("display_data", one.data, metadata=one.metadata) for one in got.outputs
            ]
    finally:
        InteractiveShell.clear_instance()
    return node


def test_a_page_in_another_language_shows_no_english_but_its_data(marked):
    soup = parsed(report.render(in_this_process(sample())))
    for part in soup.select(", ".join(DATA)):
        part.decompose()
    left = {word for part in soup.select(", ".join(NOT_YET)) for word in english(part.extract(), OWN)}
    assert english(soup, OWN) == []
    assert len(left) <= LEFT, sorted(left)


def test_the_index_in_another_language_shows_no_english_but_its_data(marked, entries):
    page = report.index_page(entries, {"id": "r7", "finished": "2026-11-01T05:03:12Z", "seconds": 192})
    own = [
        entry.get(name)
        for entry in entries
        for name in ("group", "only", "reason", "breaches", "exports", "parameters")
    ]
    own += [[found["sentence"], found["compare_label"]] for entry in entries for found in entry["findings"]]
    assert english(parsed(page), f"{OWN} UTC {json.dumps(own)}") == []
