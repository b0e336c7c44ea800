"""Sentences: their slots, plurals and translations."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report import words
from tenure.result import Estimate, counted


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.delenv("TENURE_LOCALE", raising=False)
    fmt.set_locale()
    yield
    fmt.set_locale()


def test_slots_take_whatever_can_be_said():
    sentence = "{share} of {names} left by {day}, after {time}: {n:new customer}."
    said = words.say(
        sentence,
        share=Estimate(0.051, unit="percent"),
        names=["Basic", "Pro"],
        day=dt.date(2026, 10, 31),
        time=(14, "months"),
        n=1,
    )
    assert said == "5.1% of Basic and Pro left by Oct 31, 2026, after 14 months: 1 new customer."
    assert words.say("{{n}} is {n}", n="{x}") == "{n} is {x}"


@pytest.mark.parametrize(
    ("n", "noun", "said"),
    [
        (1, "customer", "1 customer"),
        (1.0, "customer", "1 customer"),
        (np.int64(0), "customer", "0 customers"),
        (1.5, "month", "1.5 months"),
        (12_000, "country", "12,000 countries"),
        (2, "survey", "2 surveys"),
        (2, "class", "2 classes"),
        (2, "person", "2 people"),
        (3, "analysis", "3 analyses"),
        (counted(7), "payment", "7 payments"),
        (None, "payment", "not available"),
    ],
)
def test_nouns_are_counted(n, noun, said):
    assert words.say(f"{{n:{noun}}}", n=n) == said


@pytest.fixture
def translate(monkeypatch, tmp_path):
    """Have a language speak by a catalogue of these sentences, and of nouns by their two forms."""

    def make(language, plurals, sentences, nouns=()):
        lines = [
            'msgid ""',
            f'msgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: {plurals};\\n"',
        ]
        for english, theirs in sentences.items():
            lines += [f'msgid "{english}"', f'msgstr "{theirs}"']
        for noun, (one, many) in dict(nouns).items():
            lines += [
                f'msgid "{noun}"',
                f'msgid_plural "{noun}s"',
                f'msgstr[0] "{one}"',
                f'msgstr[1] "{many}"',
            ]
        (tmp_path / f"{language}.po").write_text("\n".join(lines), encoding="utf-8")
        monkeypatch.setattr(words, "LOCALES", tmp_path)
        words.catalogue.cache_clear()
        fmt.set_locale(language)

    yield make
    words.catalogue.cache_clear()


def test_a_sentence_is_translated_as_a_whole(translate):
    sentences = {"{share} of {n:customer} left": "{n:customer} : {share} partis"}
    translate("fr", "nplurals=2; plural=(n > 1)", sentences, {"customer": ("client", "clients")})
    assert words.say("{share} of {n:customer} left", share="5 %", n=0) == "0 client : 5 % partis"
    assert words.say("{share} of {n:customer} left", share="5 %", n=2) == "2 clients : 5 % partis"
    # What is not translated is English, plurals too; numbers are the reader's.
    assert words.say("{n:customer} left", n=0) == "0 customers left"
    assert words.say("{n:customer} left", n=1234) == "1\u202f234 customers left"
    assert words.say("") == ""


def test_an_interval_is_translated_too(translate):
    german = {"{low} to {high}": "{low} bis {high}", "{low} or more": "{low} oder mehr"}
    german |= {"{number} points": "{number} Punkte", "{number} point": "{number} Punkt"}
    translate("de", "nplurals=2; plural=(n != 1)", german)
    assert fmt.interval(0.01, 0.025, "points") == "1,0 bis 2,5 Punkte"
    assert fmt.interval(1, None, "months") == "1 Monat oder mehr"


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("{absent} left", "unknown slot {absent}; it knows: value"),
        ("{value!r}", "unknown slot"),
        ("{value:.2f}", "unknown slot"),
        ("{value", "unmatched brace"),
        ("{value.__class__}", "unknown slot"),
    ],
)
def test_mistakes_are_sentences(sentence, message):
    with pytest.raises(InputError, match=message.replace("{", r"\{")):
        words.say(sentence, value="5%")
