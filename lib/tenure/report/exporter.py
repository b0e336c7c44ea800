"""From an executed notebook to one HTML page that opens anywhere and asks the network for nothing."""

from __future__ import annotations

import ast
import copy
import datetime as dt
import html
import itertools
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from tenure import legible
from tenure.errors import InputError
from tenure.parameters import declared
from tenure.report import around
from tenure.report import format as fmt
from tenure.report.display import ABOUT, CHECKS, EXCLUSIONS, FIGURE, FINDING, FOLDED, GLOSSARY, HEADER
from tenure.report.findings import anchor, evidence, read_findings
from tenure.report.order import chrome, ordered
from tenure.report.style import figure_css
from tenure.report.tables import BRIEF
from tenure.report.words import prose, say, translated
from tenure.sources.address import redact

_TEMPLATES = Path(__file__).parent
_TITLE = re.compile(r"\s*# +(.+?)\s*#*\s*(?:\n|$)")
# The facts that a reader needs before the first number.
_ON_TOP = ("As of", "Period", "Currency", "Left out", "Left out of money")
_SCROLL = '<div class="table" role="group" aria-label="Table" tabindex="0">'
_LONG = re.compile(r'<div class="[^"]*\blong\b[^>]*>.*?</table></div>', re.DOTALL)
_PICTURES = {"image/png", "image/svg+xml", "image/jpeg", "image/gif"}
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)[^\n]*\n?")
# At most so many findings are cards: those that lead, if there are several; the others are listed below.
CARDS = 4


def render(notebook: Any, *, run: Mapping[str, Any] | None = None) -> str:
    """Render an executed notebook as a report.

    Args:
        notebook: The notebook node after its run.
        run: How it was made, shown at the end: any of "started", "finished" (ISO times), "seconds", "data",
            "fingerprint", "commit", "parameters" (dict), "versions" (dict) and further words; "checks" is the
            address of the run's page of checks, which then says what holds for all reports.

    Raises:
        InputError: A figure has no alternative text, or a finding is said twice.
    """
    return _export(notebook, run or {}, None)


def render_failure(
    notebook: Any | None,
    name: str,
    sentence: str,
    *,
    run: Mapping[str, Any] | None = None,
    state: Literal["failed", "not applicable"] = "failed",
) -> str:
    """Render the page of a report that could not be made, with all that was made before it stopped.

    Args:
        notebook: The notebook as far as it ran; None where there is none.
        name: The report's name, for where the notebook has no title.
        sentence: Why it stopped, for people.
        run: As for :func:`render`.
        state: Whether it failed, or does not apply to the data.
    """
    import nbformat

    node = nbformat.v4.new_notebook() if notebook is None else notebook
    return _export(node, run or {}, {"name": name, "sentence": redact(sentence), "state": state})


def checks_page(notebooks: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Return the page of a run's data, checks, rules, parameters, versions and words.

    Args:
        notebooks: The executed notebooks of its reports, by what a bar calls them.
        run: As for :func:`render`.
    """
    about, title = around.basis(notebooks, _safe), say("Checks, rules and words")
    return str(
        around.pages()
        .get_template("checks.html.j2")
        .render(
            title=title,
            about=about,
            css=stylesheet(),
            own=around.own_style(about, title),
            script=around.script(),
            parameters=[(name, parameters(notebook)) for name, notebook in notebooks.items()],
            made=made(run),
        )
    )


def parameters(notebook: Any) -> list[dict[str, Any]]:
    """Return a notebook's parameters: name, value of this run, help, and whether it is not the default.

    They are read from the cell tagged `parameters`, one `name: type = value  # help` a line, and from the
    cell that Papermill injected. Passwords in addresses are hidden.
    """
    given: Mapping[str, Any] = notebook.get("metadata", {}).get("papermill", {}).get("parameters", {}) or {}
    return [
        {
            "name": name,
            "value": redact(_words(given.get(name, default))),
            "help": about,
            "changed": name in given and given[name] != default,
        }
        for cell in notebook["cells"]
        if "parameters" in cell.get("metadata", {}).get("tags", [])
        for name, default, about in _declared(cell["source"])
    ]


def _declared(source: str) -> list[tuple[str, Any, str]]:
    with suppress(SyntaxError):
        return [
            (
                one.name,
                ast.unparse(one.default) if isinstance(one.default, ast.expr) else one.default,
                one.help,
            )
            for one in declared(source)
        ]
    return []


def card(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a finding: its number, words and the geometry of its interval."""
    shown, verdict = translated(record["shown"]["value"]), record.get("verdict", "")
    # A number stands apart from the word behind it: "14.2 months".
    number, _, word = shown.rpartition(" ")
    value, unit = (number, word) if re.search(r"\d$", number) and word.isalpha() else (shown, "")
    marks = {"higher": "▲", "lower": "▼", "no clear change": "≈"}
    return {
        "id": record["id"],
        "anchor": anchor(record["id"]),
        "sentence": record["sentence"],
        "lead": bool(record.get("lead")),
        "value": value,
        "unit": unit,
        "available": record.get("value") is not None,
        **evidence(record),
        "range": "" if record.get("low") == record.get("high") else record["shown"]["interval"],
        "verdict": verdict,
        "mark": marks.get(verdict, ""),
        "bar": _bar(record),
    }


def stylesheet() -> str:
    """Return the style sheet of all pages."""
    return (_TEMPLATES / "template" / "report.css").read_text(encoding="utf-8") + figure_css()


def made(run: Mapping[str, Any], notebook: Any | None = None) -> list[dict[str, Any]]:
    """Return the lines of *How this was made*: a label and its words."""
    papermill = (notebook or {}).get("metadata", {}).get("papermill", {})
    labels = {
        "id": say("Run"), "run": say("Run"), "started": say("Started"), "finished": say("Finished"),
        "seconds": say("Took"), "data": say("Data"), "fingerprint": say("Data fingerprint"),
        "notebook": say("Notebook"), "commit": say("Commit"), "versions": say("Versions"),
    }  # fmt: skip
    order = ("id", "started", "finished", "seconds", "data", "fingerprint", "notebook", "commit", "versions")
    own = {"started": papermill.get("start_time"), "seconds": papermill.get("duration")}
    facts = {**dict.fromkeys(order), **own, **{"id" if name == "run" else name: run[name] for name in run}}
    lines = []
    for name, fact in facts.items():
        if fact is None or fact == "" or fact == {} or name in ("parameters", "checks"):
            continue
        if isinstance(fact, Mapping):
            words = [f"{key} {redact(_words(item))}" for key, item in fact.items()]
        elif name in ("started", "finished"):
            words = [moment(fact)]
        elif name == "seconds":
            words = [say("{n} seconds", n=float(fact))]
        else:
            words = [redact(_words(fact))]
        lines.append({"label": labels.get(name, name.replace("_", " ").capitalize()), "words": words})
    return lines


def _export(notebook: Any, run: Mapping[str, Any], failure: Mapping[str, Any] | None) -> str:
    import nbformat
    from nbconvert.exporters import HTMLExporter
    from traitlets.config import Config

    node = copy.deepcopy(nbformat.from_dict(notebook))
    node.metadata["report"] = _page(node, run, failure)
    priority = ["image/png", "text/html", "text/markdown", "text/latex", "text/plain"]
    exporter = HTMLExporter(
        template_name="template",
        extra_template_basedirs=[str(_TEMPLATES)],
        config=Config({"NbConvertBase": {"display_data_priority": priority}}),
    )
    around.environment(exporter.environment)
    page, _ = exporter.from_notebook_node(node)
    return legible.visible(page)


def _page(node: Any, run: Mapping[str, Any], failure: Mapping[str, Any] | None) -> dict[str, Any]:
    """Prepare the cells for the template and return what the page shows around them."""
    # Ids of the template's own.
    taken = {"main", "contents", "what-happened", "why-it-stopped", "all-reports", "show-code"}
    taken |= {"about-this-report", *around.IDS}
    headings: list[dict[str, Any]] = []
    checks = str(run.get("checks") or "")
    try:
        records = [card(record) for record in read_findings(node)]
    except InputError:
        if failure is None:
            raise
        records = []
    basis = around.basis({"": node}, _safe)
    title, lead = "", ""
    for cell in node.cells:
        if not title and cell.cell_type == "markdown" and (found := _TITLE.match(cell.source)):
            title = translated(_plain_text(found.group(1)))
            lead, cell.source = _first_paragraph(cell.source[found.end() :].strip())
    cells, notes = (node.cells, []) if failure else ordered(node.cells, lambda words: _slug(words, taken))
    # What to do stands right below the cards.
    said = {found["id"] for found in read_findings({"cells": [c for c in cells if c.metadata.get("first")]})}
    records = [record for record in records if record["id"] not in said]
    leading = sum(record["lead"] for record in records)
    top = min(leading, CARDS) if leading > 1 else CARDS
    opened = chrome(f'<section class="about"><h2 id="about-this-report">{say("About this report")}</h2>')
    node.cells = [*cells, opened, *notes]
    for cell in node.cells:
        if cell.cell_type == "markdown":
            if "page" not in cell.metadata:
                cell.metadata["page"] = _markdown(
                    prose(cell.source), taken, headings, cell.get("attachments", {})
                )
            elif heading := cell.metadata.get("heading"):
                headings.append(heading)
        elif cell.cell_type == "code":
            tags = {"parameters", "injected-parameters"} & set(cell.metadata.get("tags", []))
            cell.metadata["hide"] = bool(tags) or not cell.source.strip()
            cell.metadata["source"] = redact(cell.source)
            # Records are taken out of the outputs; what readers see stays in place.
            cell["outputs"] = [
                output for output in cell.get("outputs", []) if _keeps(output, cell, failure is not None)
            ]
    name = str(failure["name"]) if failure else str(node.metadata.get("title", "Report"))
    return {
        "title": title or name,
        **{name: basis[name] for name in ("subtitle", "logo", "company")},
        "lead": _markdown(prose(lead), taken, [], {}) if lead else "",
        "facts": [fact for fact in basis["facts"] if fact[0] in _ON_TOP],
        "special": _special(basis),
        "cards": records[:top],
        "more": records[top:],
        "headings": headings,
        "about": basis,
        "checks": checks,
        "parameters": parameters(node),
        "made": made(run, node),
        "failure": _failing(node, failure),
        "css": stylesheet(),
        "script": around.script(),
        "own": around.own_style(basis, title or name),
    }


def _special(basis: Mapping[str, Any]) -> list[list[str]]:
    """The facts about a report's data that are not at its head; data are named by their title."""
    name = basis["company"] or dict(basis["facts"]).get("Data", "").rstrip("/").rpartition("/")[2]
    return [
        [label, name if label == "Data" else fact]
        for label, fact in basis["facts"]
        if label not in (*_ON_TOP, "Company")
    ]


def _keeps(output: Any, cell: Any, failed: bool) -> bool:
    """Prepare an output for the template; return whether it is shown where it is."""
    from nbconvert.filters import strip_ansi

    if output.output_type == "stream":
        # A line that is written over is progress, which belongs to the terminal.
        output["text"] = redact(_OVERWRITTEN.sub("", strip_ansi(output.text)))
        return bool(output.name != "stderr" and output["text"])
    if output.output_type == "error":
        output["traceback"] = [redact(strip_ansi(line)) for line in output.traceback]
        first = not cell.metadata.get("error")
        cell.metadata["error"] = True
        return first
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:  # a bar that moves, or what needs a kernel
        return False
    for media in _PICTURES & data.keys():
        about = output.metadata.get(media) or {}
        if not str(about.get("alt", "")).strip():
            if not failed:
                start = next((line for line in cell.source.splitlines() if line.strip()), "")
                raise InputError(
                    f"A figure has no alternative text in the cell that begins with {start[:60]!r}; "
                    "show it with report.figure."
                )
            output.metadata[media] = {**about, "alt": say("A figure without description")}
    if FIGURE in data:
        output.metadata["page"] = {"figure": data["text/html"].partition("</style>")[2]}
        return True
    # What the page says about the report, at its head and end.
    if data.keys() & {HEADER, GLOSSARY, CHECKS, EXCLUSIONS, ABOUT}:
        return False
    if FINDING in data:
        output.metadata["page"] = {"finding": card(data[FINDING])}
    elif "text/html" in data and "image/png" not in data:
        page = data["text/html"]
        data["text/html"] = _safe(around.unfolded(page) if FOLDED in data else page)
    elif "text/markdown" in data:
        output.metadata["page"] = {"markdown": _markdown(data["text/markdown"], set(), [], {})}
    return True


def _failing(node: Any, failure: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Where the report stopped, and why."""
    if failure is None:
        return None
    heading = ""
    for number, cell in enumerate(node.cells, start=1):
        if cell.cell_type == "markdown":
            for line in re.findall(r"^#{2,3} (.*)$", cell.source, re.MULTILINE):
                heading = translated(_plain_text(line))
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                words = "cell {number}, in “{heading}”" if heading else "cell {number}"
                where = {"where": say(words, number=number, heading=heading), "source": cell.metadata.source}
                return {**failure, **where, "traceback": "\n".join(output.traceback)}
    return {**failure, "where": ""}


def _slug(words: str, taken: set[str]) -> str:
    """An id for a heading, unlike those taken; the same headings give the same ids.

    Example:
        >>> taken = set()
        >>> _slug("Who leaves, and when?", taken), _slug("Who leaves, and when?", taken)
        ('who-leaves-and-when', 'who-leaves-and-when-2')
    """
    plain = unicodedata.normalize("NFKD", words).encode("ascii", "ignore").decode()
    base = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-") or "section"
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return name


def _markdown(source: str, taken: set[str], headings: list[dict[str, Any]], attachments: Any) -> str:
    """Return Markdown as HTML: tags are shown, formulas are MathML, headings have ids and begin at h2."""
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def heading(self, text: str, level: int, **_: Any) -> str:
            words = _plain_text(re.sub(r"<[^>]+>", "", text))
            name = _slug(words, taken)
            level = max(2, level)
            headings.append({"id": name, "words": words, "level": level})
            return f'<h{level} id="{name}"><a href="#{name}">{text}</a></h{level}>\n'

        def block_math(self, body: str) -> str:
            formula = convert(body, display="block")
            label = say("Formula")
            return f'<span class="formula" tabindex="0" role="group" aria-label="{label}">{formula}</span>'

        def inline_math(self, body: str) -> str:
            return str(convert(body))

        def image(self, text: str, url: str, title: str | None = None) -> str:
            if not text.strip():
                raise InputError(
                    f"The picture {url[:60]!r} has no alternative text; write ![what it shows](...)."
                )
            return str(super().image(text, url, title))

        def table(self, text: str) -> str:
            return f"{_SCROLL}<table>{text}</table></div>\n"

    renderer = Renderer(
        escape=True, allow_harmful_protocols=False, attachments=attachments or {}, exclude_anchor_links=True
    )
    return str(MarkdownWithMath(renderer=renderer).render(source))


def _first_paragraph(source: str) -> tuple[str, str]:
    first, _, rest = source.partition("\n\n")
    if re.match(r"\s*([#>|`*\-]|\d+\.)", first) and not re.match(r"\s*\*{1,2}\w", first):
        return "", source
    return first, rest.strip()


def _safe(page: str) -> str:
    """Keep of foreign HTML what shows text and tables."""
    import nh3

    allowed = (
        "a abbr b br caption code dd details div dl dt em h3 h4 i li ol p pre small span strong sub summary "
        "sup table tbody td tfoot th thead tr ul svg line polyline"
    )
    attributes = {
        "*": {"class", "scope", "role", "tabindex", "aria-label", "colspan", "rowspan", "href"},
        # Lines of a small curve: numbers only, nothing that could fetch or run.
        "td": {"data-v"},
        "th": {"data-v"},
        "svg": {"viewBox", "preserveAspectRatio"},
        "line": {"x1", "x2", "y1", "y2"},
        "polyline": {"points"},
    }
    clean = nh3.clean(
        page,
        tags=set(allowed.split()),
        clean_content_tags={"style", "script"},
        attributes=attributes,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    # A frame's corner is a heading of nothing.
    clean = re.sub(r"<th>\s*</th>", "<td></td>", clean)
    if "<table" in clean and 'class="table' not in clean:
        clean = f"{_SCROLL}{clean}</div>"
    return _LONG.sub(_show_all, clean)


def _show_all(table: re.Match[str]) -> str:
    """A long table with what shows its other rows, without a script."""
    n = table[0].count("<tr>") - 1
    printed = say("The page has {n:row}; {first} are printed.", n=n, first=BRIEF)
    beside = f'<span>{say("Show all {n:row}", n=n)}</span><span class="printed">{printed}</span>'
    return f'{table[0]}<label class="more"><input type="checkbox"> {beside}</label>'


def _bar(record: Mapping[str, Any]) -> dict[str, float] | None:
    """Return where the interval, the value and the comparison lie, in percent of the bar."""
    low, high, value, compare = (record.get(name) for name in ("low", "high", "value", "compare"))
    if low is None or high is None or value is None or not low <= value <= high or low == high:
        return None
    marks = [low, high, *([compare] if compare is not None else [])]
    start, span = min(marks), max(marks) - min(marks)
    start, span = start - 0.15 * span, 1.3 * span
    place = {"low": low, "value": value, "high": high, "compare": compare}
    return {name: round(100 * (mark - start) / span, 2) for name, mark in place.items() if mark is not None}


def _plain_text(words: str) -> str:
    return html.unescape(re.sub(r"[*_`]", "", words)).strip()


def _words(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(item) for item in value)
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    return str(value)


def moment(value: Any) -> str:
    """Return a time, or its ISO words, as readers see it."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return value
    return fmt.date(value, "minute") + " UTC"
