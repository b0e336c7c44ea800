"""What a notebook shows besides findings and tables: figures, the page's head, checks, exclusions, terms."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from tenure.errors import InputError
from tenure.money import minor_exponent
from tenure.report import format as fmt
from tenure.report.display import CHECKS, EXCLUSIONS, FIGURE, HEADER, show
from tenure.report.picture import Picture, drawing
from tenure.report.style import figure_css
from tenure.report.tables import folded, table, table_of, to_html
from tenure.report.terms import glossary
from tenure.report.words import say, translated

# A figure's data are cut beyond so many rows.
DATA_ROWS = 400


def figure(picture: Picture, *, caption: str = "") -> None:
    """Show a picture with its title, alternative text and, folded, its data; `caption` is a line below it.

    A picture of nothing is shown as the sentence that explains why.

    Raises:
        InputError: It is no picture.
    """
    if not isinstance(picture, Picture):
        raise InputError(
            "report.figure shows a Picture, such as the functions of tenure.report.figures return; this is "
            f"of type {type(picture).__name__}."
        )
    if picture.draw is None:
        return _lines([translated(picture.empty)], {})
    title, subtitle = (html.escape(translated(words)) for words in (picture.title, picture.subtitle))
    alt = " ".join(picture.alt.split())
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in picture.notes)
    below = html.escape(translated(caption)) + (f"<ol>{notes}</ol>" if notes else "")
    beside = f"<figcaption>{below}</figcaption>" if below else ""
    head = f'<p class="takeaway"><strong>{title}</strong>{f"<span>{subtitle}</span>" if subtitle else ""}</p>'
    said = alt if picture.title in alt else f"{picture.title}. {alt}"
    page = f'<figure class="drawn">{head}{drawing(picture, said)}{beside}</figure>'
    # A page brings its style along; JupyterLab does not.
    look = f"<style>{figure_css()}</style>"
    plain = f"{picture.title}\n{picture.subtitle}".strip()
    show({"text/plain": f"{plain}\nFigure: {alt}", "text/html": look + page, FIGURE: {}})
    words = say("Data behind this figure")
    page = folded(words, to_html(picture.data, caption=words, max_rows=DATA_ROWS))
    return show({"text/plain": f"{words}: {len(picture.data)} rows", "text/html": page})


def header(
    *,
    as_of: Any = None,
    subtitle: str = "",
    period: str = "",
    source: str = "",
    logo: str = "",
    accent: str = "",
    **facts: Any,
) -> None:
    """Say what stands at the top of the page: the day, the period, the data and further facts.

    Args:
        as_of: The day up to which the data was looked at.
        subtitle: The question in one line.
        period: The period that is reported on, in words.
        source: Where the data came from, without a password.
        logo: A picture as a data URL.
        accent: The color of a line above it, such as #1f5fa8.
        **facts: Further facts; `reporting_currency="EUR"` reads "Reporting currency: EUR".
    """
    named = {"As of": "" if as_of is None else fmt.date(as_of), "Period": period, "Data": source}
    named |= {name.replace("_", " ").capitalize(): str(fact) for name, fact in facts.items()}
    pairs = [[name, fact] for name, fact in named.items() if fact]
    said = [*([subtitle] if subtitle else []), *(f"{name}: {fact}" for name, fact in pairs)]
    head = {"subtitle": subtitle, "facts": pairs, "logo": logo, "accent": accent, "as_of": str(as_of or "")}
    _lines(said, {HEADER: head})


def checks(report: Any) -> None:
    """List what the checks of the data warn of.

    Args:
        report: A check report: its `warnings` have a `sentence` and a `fix` each, and may have a `count` of
            the `rows` of a table that they concern. The first of their `sample`, an id, stands in the
            sentence, but not on a page.
    """
    fixes = []
    for problem in report.warnings:
        shown = f", for example {' '.join(getattr(problem, 'sample', ())[:1])}"
        fixes.append((problem.sentence.replace(shown, ""), getattr(problem, "fix", "")))
    warnings = [[sentence, say("Fix: {fix}.", fix=fix) if fix else ""] for sentence, fix in fixes]
    most = max((p.count / p.rows for p in report.warnings if getattr(p, "rows", 0)), default=None)
    said = [f"Warning: {' '.join(words).strip()}" for words in warnings]
    _lines(
        said or [say("The checks of the data found nothing to warn of.")],
        {CHECKS: {"warnings": warnings, "most": most}},
    )


def exclusions(ledger: Any) -> None:
    """Show the ledger of what was left out of the numbers, with reasons and amounts.

    Args:
        ledger: A row for each reason, such as columns reason, customers, amount: a table, or a frame.
    """
    if len(table_of(ledger)) == 0:
        return _lines([say("Nothing was left out.")], {EXCLUSIONS: {"html": ""}})
    page = to_html(ledger, caption=say("Left out of the numbers, and why"), max_rows=100)
    plain = str(table_of(ledger).frame)
    return show({"text/plain": plain, "text/html": page, EXCLUSIONS: {"html": page}})


def _lines(said: list[str], records: Mapping[str, Any]) -> None:
    """Show lines of text, with records for the page by their media type."""
    page = "".join(f"<p>{html.escape(line)}</p>" for line in said)
    show({"text/plain": "\n".join(said), "text/html": page, **records})


def method(book: Any) -> None:
    """Show what the numbers rest on: the policy, the economics, and the terms that the page uses.

    Args:
        book: What :func:`tenure.open_workbook` returned.
    """
    import pandas as pd

    policy, facts = book.scope["policy"], book.economics
    rules = pd.DataFrame(vars(policy).items(), columns=["setting", "value"])
    table(rules, caption=say("Rules for counting"), fold=True, about="rules")
    units = dict.fromkeys(("margin", "fee_share", "discount_rate"), "percent") | {"horizon_months": "months"}
    units |= dict.fromkeys(("fee_fixed", "cost_to_serve"), f"money:{book.currency}")
    rows = []
    for name, value in facts.model_dump(exclude={"name", "logo", "accent"}).items():
        minor = 10 ** minor_exponent(book.currency) if units.get(name, "").startswith("money") else 1
        written = fmt.value(value * minor, units[name]) if name in units else str(value)
        source = "company.yml" if name in facts.given else say("default")
        rows.append((name, written, say("this notebook") if name in facts.overridden else source))
    known = pd.DataFrame(rows, columns=["fact", "value", "from"])
    table(known[known["value"] != ""], caption=say("Economic assumptions"), fold=True, about="economics")
    glossary()
