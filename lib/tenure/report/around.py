"""What lies around a report: what it rests on, once for a whole run; the ways to other reports; its looks."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tenure.report import format as fmt
from tenure.report.display import ABOUT, CHECKS, EXCLUSIONS, GLOSSARY, HEADER
from tenure.report.findings import outputs
from tenure.report.palette import readable
from tenure.report.terms import TERMS, defined, terms_in
from tenure.report.words import say, translated, word

TEMPLATES = Path(__file__).parent / "template"
# The parts of what a report rests on, by their ids.
IDS = ("warnings", "left-out", "rules", "economics", "data", "glossary", "parameters", "made")
_BAR = re.compile("<!--bar-->.*?<!--/bar-->", re.DOTALL)
# The papers that text of the accent's color stands on, by day and by night.
PAPERS = ("#faf9f7", "#14161b")


def environment(environment: Any) -> Any:
    """Give a template environment what all templates use."""
    environment.autoescape = True
    environment.globals.update(say=say, translated=translated, word=word, language=fmt.language)
    environment.globals["version"] = version("tenure")
    return environment


@cache
def pages() -> Any:
    """Return the templates of pages that are no notebook's."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    return environment(Environment(loader=loader, autoescape=True, undefined=StrictUndefined))


@cache
def script() -> dict[str, str]:
    """Return the script of the pages, and its hash, by which their policy allows it and no other."""
    text = (TEMPLATES / "report.js").read_text(encoding="utf-8").strip()
    return {
        "text": text,
        "hash": "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
    }


def basis(notebooks: Mapping[str, Any], clean: Callable[[str], str] = str) -> dict[str, Any]:
    """Return what reports rest on; what only some of them say is named after them.

    Args:
        notebooks: Executed notebooks by title.
        clean: Makes foreign HTML safe.
    """
    found: dict[str, dict[Any, list[str]]] = {name: {} for name in IDS}
    head: dict[str, Any] = dict.fromkeys(("subtitle", "logo", "accent", "company", "most"), "") | {
        "facts": []
    }
    terms: set[str] = set()
    speaking: set[str] = set()

    def note(part: str, what: Any, title: str) -> None:
        of = found[part].setdefault(what, [])
        of += [] if title in of else [title]

    for title, notebook in notebooks.items():
        for data in outputs(notebook):
            if record := data.get(HEADER):
                speaking.add(title)
                facts = [[str(word) for word in pair] for pair in record.get("facts", [])]
                note("data", _listed(facts), title)
                own = dict(facts)
                head |= {name: record[name] for name in ("subtitle", "logo", "accent") if record.get(name)}
                head["company"] = own.get("Company") or head["company"]
                head["facts"] = facts
            head["most"] = data.get(CHECKS, {}).get("most") or head["most"]
            for sentence, fix in data.get(CHECKS, {}).get("warnings", []):
                note("warnings", (sentence, fix), title)
            if page := data.get(EXCLUSIONS, {}).get("html"):
                note("left-out", page, title)
            if part := data.get(ABOUT, {}).get("part"):
                note(part, clean(unfolded(data["text/html"])), title)
            if asked := data.get(GLOSSARY, {}).get("terms"):
                terms |= set(terms_in(_readable(notebook)) if asked == "used" else asked)
    words = {
        "left-out": say("Left out of the numbers"),
        "rules": say("Rules for counting"),
        "economics": say("Economic assumptions"),
        "data": say("Data"),
    }

    def named(of: list[str]) -> str:
        return "" if speaking <= set(of) else fmt.join(of)

    return head | {
        "warnings": [
            {"sentence": sentence, "fix": fix, "of": named(of)}
            for (sentence, fix), of in found["warnings"].items()
        ],
        "tables": [
            (name, title, [(page, named(of)) for page, of in found[name].items()])
            for name, title in words.items()
            if found[name]
        ],
        "terms": sorted(defined(terms), key=lambda pair: pair[0].lower()),
    }


def _listed(facts: Iterable[Sequence[str]]) -> str:
    said = ((html.escape(translated(name)), html.escape(word(fact))) for name, fact in facts)
    rows = (f"<div><dt>{name}</dt><dd>{fact}</dd></div>" for name, fact in said)
    return f'<dl class="run">{"".join(rows)}</dl>'


def _readable(notebook: Any) -> str:
    """The text of a page: its Markdown and the plain text of what its cells show."""
    said = []
    for cell in notebook["cells"]:
        shown = [output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", [])]
        said += shown if cell["cell_type"] == "code" else [cell["source"]]
    return "\n".join("".join(words) for words in said)


def unfolded(page: str) -> str:
    """Return a folded table as it is when it is open."""
    return re.sub(r"^<details[^>]*><summary>.*?</summary>(.*)</details>$", r"\1", page, flags=re.DOTALL)


def with_bar(page: str, bar: str) -> str:
    """Return a page with this bar in its place; one that has no place for it stays as it is."""
    return _BAR.sub(lambda _: f"<!--bar-->{bar}<!--/bar-->", page, count=1)


def bar(reports: Sequence[Mapping[str, Any]], home: str, earlier: Any = None, later: Any = None) -> str:
    """Return the bar of a page: the reports of its run, and the same report in the runs before and after.

    Args:
        reports: Each with "label", "href" (empty: there is no page) and "here".
        home: The address of the page of all reports.
        earlier: "href" and "label" of the report in the run before; None: there is none.
        later: The same of the run after.
    """
    first = {"label": say("All reports"), "href": home, "here": False}
    return str(pages().get_template("parts.html.j2").module.bar(reports, first, earlier, later))


def label(name: str) -> str:
    """Return what a bar calls a report.

    Example:
        >>> label("churn_curves"), label("clv_budgets")
        ('Churn curves', 'CLV budgets')
    """
    words = " ".join(word.upper() if word.upper() in TERMS else word for word in name.split("_"))
    return translated(words[:1].upper() + words[1:])


def own_style(about: Mapping[str, Any], title: str) -> str:
    """Return a page's own style: the company's color, and the words at the head of each sheet of paper."""
    words, accent = " · ".join(part for part in (about["company"], title) if part), about["accent"]
    quoted = "".join(c if c.isalnum() or c in " .,?!:()·–" else f"\\{ord(c):x} " for c in words)
    style = f'@page{{@top-left{{content:"{quoted}"}}}}'
    if not accent:
        return style
    light, dark = (readable(accent, paper) for paper in PAPERS)
    return (
        f"{style}:root{{--accent:{light}}}.top{{border-top:.4rem solid {accent}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{--accent:{dark}}}}}"
    )
