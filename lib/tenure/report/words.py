"""The words of the page: whole sentences with slots, and nouns that are counted.

A sentence is written in English, and is the key by which its translation is found; slots keep their names in
every language, in whatever order. A noun in a slot (``{n:customer}``) takes the form that its number asks for
by the plural rules of the sentence's language.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from functools import cache
from typing import Any

from tenure.errors import InputError
from tenure.report import format as fmt

# By language: each English sentence in that language.
SENTENCES: dict[str, dict[str, str]] = {}
# By language: the forms of each noun by its plural category. English nouns that are not here are regular.
NOUNS: dict[str, dict[str, dict[str, str]]] = {
    "en": {
        "analysis": {"one": "analysis", "other": "analyses"},
        "person": {"one": "person", "other": "people"},
    }
}


def say(sentence: str, **slots: Any) -> str:
    """Fill the slots of a sentence, in the reader's language where it has been translated.

    Example:
        >>> say("{n:customer} of {group} left.", n=1, group="Basic")
        '1 customer of Basic left.'
    """
    return fill(sentence, slots, "The sentence")


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
    language = fmt.language()
    translated = SENTENCES.get(language, {}).get(template)
    filled = []
    for literal, name, noun, conversion in _parts(translated or template, who):
        filled.append(literal)
        if name is None:
            continue
        if name not in words or conversion or (noun and not noun.replace(" ", "").replace("-", "").isalpha()):
            known = ", ".join(sorted(words)) or "none"
            raise InputError(f"{who} has the unknown slot {{{name}}}; it knows: {known}.")
        word = words[name]
        filled.append(things(word, noun, language if translated else "en") if noun else fmt.shown(word))
    return "".join(filled)


def things(n: Any, noun: str, language: str = "en") -> str:
    """Count things: the number, and the noun in the form that the language's plural rules ask for.

    Example:
        >>> things(1, "customer"), things(12_000, "country"), things(2, "person")
        ('1 customer', '12,000 countries', '2 people')
    """
    exact = getattr(n, "value", n)  # an estimate of a number of things
    if fmt.missing(exact):
        return fmt.NOT_AVAILABLE
    whole = int(exact) if float(exact).is_integer() else exact
    forms = NOUNS.get(language, {}).get(noun) or _regular(noun)
    form = forms.get(fmt.plural_category(whole, language), forms["other"])
    return f"{fmt.value(exact, 'number')} {form}"


def _regular(noun: str) -> dict[str, str]:
    """The forms of a regular English noun."""
    if noun.endswith("y") and noun[-2:-1] not in "aeou":
        return {"one": noun, "other": f"{noun[:-1]}ies"}
    return {"one": noun, "other": f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"}


@cache
def _parts(template: str, who: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError:
        raise InputError(f"{who} has an unmatched brace in {template!r}; write {{{{ for a brace.") from None
