"""The words of the page: whole sentences with slots, and nouns that are counted.

A sentence is written in English, and is the key by which its translation is found in the language's catalogue
(`locale/it.po`, in gettext's form); slots keep their names in every language, in whatever order. A noun in a
slot (``{n:customer}``) takes the form that its number asks for by the plural rules of the language. A text in
a slot is data and stays as it is, unless the catalogue has it in the context "slot", as words of a model.
"""

from __future__ import annotations

import gettext
import io
import re
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tenure.errors import InputError
from tenure.report import format as fmt

LOCALES = Path(__file__).parent / "locale"
# The context, in catalogues, of words that models give to slots.
SLOT = "slot"
# English nouns that are not here are regular.
_PLURALS = {"analysis": "analyses", "person": "people"}


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return a language's translations; those of a language without a catalogue leave all in English."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    file = LOCALES / f"{language}.po"
    if not file.is_file():
        return gettext.NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as text:
        write_mo(compiled, read_po(text, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def say(sentence: str, **slots: Any) -> str:
    """Fill the slots of a sentence, in the reader's language where it has been translated.

    Example:
        >>> say("{n:customer} of {group} left.", n=1, group="Basic")
        '1 customer of Basic left.'
    """
    return fill(sentence, slots, "The sentence")


def translated(words: str) -> str:
    """Return words that a model has given, such as "the month before", in the reader's language."""
    return catalogue(fmt.language()).gettext(words) if words else ""


def word(name: Any) -> str:
    """Return a model's word, such as "involuntary", in the reader's language; a name of the data stays."""
    return catalogue(fmt.language()).pgettext(SLOT, str(name))


def prose(markdown: str) -> str:
    """Return Markdown in the reader's language, as far as its headings and paragraphs have been translated.

    Example:
        >>> prose("## What to do")
        '## What to do'
    """
    said = []
    for block in re.split(r"\n\s*\n", markdown):
        words = " ".join(block.lstrip("# ").split())
        theirs = translated(words)
        said.append(block if theirs == words else block[: len(block) - len(block.lstrip("# "))] + theirs)
    return "\n\n".join(said)


def fill(template: str, words: Mapping[str, Any], who: str) -> str:
    """Fill the slots of a sentence; a noun after a colon is counted.

    Args:
        template: The sentence, in English.
        words: What its slots show: texts, numbers, pairs of a number and its unit, dates, estimates.
        who: What the sentence belongs to, for messages.

    Raises:
        InputError: A slot is not among the words, or the braces do not match.

    Example:
        >>> fill("{value} left, {n:person}.", {"value": (0.051, "percent"), "n": 12_000}, "The text")
        '5.1% left, 12,000 people.'
    """
    sentence = translated(template)
    language = fmt.language() if sentence != template else "en"
    filled = []
    for literal, name, noun, conversion in _parts(sentence, who):
        filled.append(literal)
        if name is None:
            continue
        if name not in words or conversion or (noun and not noun.replace(" ", "").replace("-", "").isalpha()):
            known = ", ".join(sorted(words)) or "none"
            raise InputError(f"{who} has the unknown slot {{{name}}}; it knows: {known}.")
        word = words[name]
        word = catalogue(language).pgettext(SLOT, word) if isinstance(word, str) else word
        filled.append(things(word, noun, language) if noun else fmt.shown(word))
    return "".join(filled)


def things(n: Any, noun: str, language: str = "") -> str:
    """Count things: the number, and the noun in the form that the reader's, or another, language asks for.

    Example:
        >>> things(1, "customer"), things(12_000, "country"), things(2, "person")
        ('1 customer', '12,000 countries', '2 people')
    """
    exact = getattr(n, "value", n)  # an estimate of a number of things
    if fmt.missing(exact):
        return fmt.NOT_AVAILABLE
    whole = int(exact) if float(exact).is_integer() else 2  # as two, a part of one takes the plural
    form = catalogue(language or fmt.language()).ngettext(noun, plural(noun), whole)
    return f"{fmt.value(exact, 'number')} {form}"


def plural(noun: str) -> str:
    """Return an English noun's plural.

    Example:
        >>> plural("country"), plural("class"), plural("person")
        ('countries', 'classes', 'people')
    """
    if noun.endswith("y") and noun[-2:-1] not in "aeou":
        return f"{noun[:-1]}ies"
    return _PLURALS.get(noun, f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s")


@cache
def _parts(template: str, who: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError:
        raise InputError(f"{who} has an unmatched brace in {template!r}; write {{{{ for a brace.") from None
