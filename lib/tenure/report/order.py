"""The order of a page: what to do before the sections; what only analysts need after them, folded.

A notebook keeps the order in which it works. On its page the section *What to do* comes first, with cells
tagged `todo`. Cells tagged `analyst`, a whole section whose heading has that tag, the section
*For the analyst* and folded tables come last, each under the title of its section. Cells tagged `about` say
what is special to the report's data.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

from tenure.report.display import FOLDED
from tenure.report.words import say, translated

TO_DO, ANALYST = "What to do", "For the analyst"
_HEADING = re.compile(r"\s*(##|###) +(.+?)\s*#*\s*(?:\n|$)")


def ordered(cells: list[Any], slug: Callable[[str], str]) -> tuple[list[Any], list[Any]]:
    """Return a notebook's cells in the order of its page, and those about the report apart.

    Args:
        cells: The cells; folded tables leave theirs.
        slug: Returns an id for a heading.
    """
    from nbformat.v4 import new_markdown_cell

    sections: list[tuple[str, list[Any]]] = [("", [])]
    folded: dict[str, list[Any]] = {}
    about: list[Any] = []
    todo: list[Any] = []
    title = place = ""
    for cell in cells:
        tags = cell.get("metadata", {}).get("tags", [])
        if cell.cell_type == "markdown" and (found := _HEADING.match(cell.source)):
            marks, words = found.groups()
            if marks == "##":
                title, place = words, words if words == ANALYST or "analyst" in tags else ""
                sections += [] if place else [(title, [])]
            elif place == ANALYST:
                title = words
            if place and title == words:
                cell.source = cell.source[found.end() :]
        if place or "analyst" in tags:
            folded.setdefault(title, []).append(cell)
        else:
            part = about if "about" in tags else todo if "todo" in tags else sections[-1][1]
            part.append(cell)
            folded.setdefault(title, []).extend(_folded(cell))
    if todo and all(name != TO_DO for name, _ in sections):
        sections.append((TO_DO, [new_markdown_cell(f"## {TO_DO}")]))
    for cell in [*todo, *(cell for name, part in sections if name == TO_DO for cell in part)]:
        cell.metadata["first"] = True
    first = [[*part, *(todo if name == TO_DO else ())] for name, part in sections if name in ("", TO_DO)]
    rest = [part for name, part in sections if name not in ("", TO_DO)]
    return [cell for part in (*first, *rest) for cell in part] + _analyst(folded, slug), about


def _folded(cell: Any) -> list[Any]:
    """A cell with the folded tables of another, which loses them."""
    from nbformat.v4 import new_code_cell

    shown = cell.get("outputs", [])
    own = [output for output in shown if FOLDED in output.get("data", {})]
    if own:
        cell["outputs"] = [output for output in shown if output not in own]
    return [new_code_cell(outputs=own)] if own else []


def _analyst(folded: dict[str, list[Any]], slug: Callable[[str], str]) -> list[Any]:
    """The section for analysts: a part for each section that has something for them."""
    parts = {title: cells for title, cells in folded.items() if any(map(_shows, cells))}
    if not parts:
        return []
    about = say("Method, tests and tables of detail. What is closed is not printed.")
    name = slug(ANALYST)
    words = f'<h2 id="{name}">{say(ANALYST)}</h2><p class="note">{about}</p>'
    cells = [chrome(f'<section class="analyst">{words}', {"id": name, "words": say(ANALYST), "level": 2})]
    for title, inside in parts.items():
        name = re.sub(r"[*_`]", "", title) or say("The data")
        words = f'<h3 id="{slug(f"{name} detail")}">{html.escape(translated(name))}</h3>'
        cells += [chrome(f'<details class="part"><summary>{words}</summary>'), *inside, chrome("</details>")]
    return [*cells, chrome("</section>")]


def _shows(cell: Any) -> bool:
    return bool(cell.source.strip() if cell.cell_type == "markdown" else cell.get("outputs"))


def chrome(words: str, heading: Any = None) -> Any:
    """A cell of the page's own, in HTML, with its heading for the contents."""
    from nbformat.v4 import new_markdown_cell

    return new_markdown_cell(metadata={"page": words, "heading": heading})
