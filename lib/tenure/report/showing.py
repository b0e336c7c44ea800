"""What a notebook shows besides findings and tables: figures, the page's head, checks, exclusions, terms."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import CHECKS, EXCLUSIONS, HEADER, show
from tenure.report.picture import Picture, png, show_data, show_picture
from tenure.report.tables import Format, table, table_of, to_html
from tenure.report.terms import glossary
from tenure.report.words import say

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def figure(
    figure: Picture | Figure,
    *,
    caption: str = "",
    alt: str = "",
    data: pd.DataFrame | None = None,
    formats: Mapping[str, Format] | None = None,
) -> None:
    """Show a picture with its title, words for those who do not see it, and its data as a folded table.

    A picture of nothing shows the sentence that says why.

    Args:
        figure: What a function of `figures` returned.
        caption: A line below it.
        alt: Only for a bare Matplotlib figure: its alternative text.
        data: Only for such a figure: the table it was drawn from.
        formats: Only for such a figure: how the data's columns are written.

    Raises:
        InputError: A bare figure has no alternative text.
    """
    if isinstance(figure, Picture):
        return show_picture(figure, caption, alt, data, formats)
    if not alt or not alt.strip():
        raise InputError("The figure has no alternative text; pass alt= with what a reader would see in it.")
    drawing, width, height = png(figure)
    metadata = {"alt": " ".join(alt.split()), "caption": caption, "width": width, "height": height}
    show({"text/plain": f"Figure: {alt}", "image/png": drawing}, {"image/png": metadata})
    if data is not None:
        show_data(data, formats)
    return None


def header(
    *, as_of: Any = None, subtitle: str = "", period: str = "", source: str = "", **facts: Any
) -> None:
    """Say what stands at the top of the page: the day, the period, the data and further facts.

    Args:
        as_of: The day up to which the data was looked at.
        subtitle: The question in one line.
        period: The period that is reported on, in words.
        source: Where the data came from, without a password.
        **facts: Further facts; `reporting_currency="EUR"` reads "Reporting currency: EUR".
    """
    named = {"As of": "" if as_of is None else fmt.date(as_of), "Period": period, "Data": source}
    named |= {name.replace("_", " ").capitalize(): str(fact) for name, fact in facts.items()}
    pairs = [[name, fact] for name, fact in named.items() if fact]
    said = [*([subtitle] if subtitle else []), *(f"{name}: {fact}" for name, fact in pairs)]
    _lines(said, HEADER, {"subtitle": subtitle, "facts": pairs})


def checks(report: Any) -> None:
    """List what the checks of the data warn of.

    Args:
        report: A check report: its `warnings` have a `sentence` and a `fix` each.
    """
    fixes = [(problem.sentence, getattr(problem, "fix", "")) for problem in report.warnings]
    warnings = [[sentence, f"Fix: {fix}." if fix else ""] for sentence, fix in fixes]
    said = [f"Warning: {' '.join(words).strip()}" for words in warnings]
    _lines(said or ["The checks of the data found nothing to warn of."], CHECKS, {"warnings": warnings})


def exclusions(ledger: Any) -> None:
    """Show the ledger of what was left out of the numbers, with reasons and amounts.

    Args:
        ledger: A row for each reason, such as columns reason, customers, amount: a table, or a frame.
    """
    if len(table_of(ledger)) == 0:
        return _lines([say("Nothing was left out.")], EXCLUSIONS, {"html": ""})
    page = to_html(ledger, caption=say("Left out of the numbers, and why"), max_rows=100)
    plain = str(table_of(ledger).frame)
    return show({"text/plain": plain, "text/html": page, EXCLUSIONS: {"html": page}})


def _lines(said: list[str], media: str, record: dict[str, Any]) -> None:
    """Show lines of text, with a record for the page."""
    page = "".join(f"<p>{html.escape(line)}</p>" for line in said)
    show({"text/plain": "\n".join(said), "text/html": page, media: record})


def method(book: Any) -> None:
    """Show what the numbers rest on: the policy, the economics, and the terms that the page uses.

    Args:
        book: What :func:`tenure.open_workbook` returned.
    """
    import pandas as pd

    policy, facts = book.scope["policy"], book.economics
    rules = pd.DataFrame(vars(policy).items(), columns=["setting", "value"])
    table(
        rules,
        caption=say("The policy that these numbers follow ({digest})", digest=policy.digest()),
        fold=True,
    )
    units = {
        "margin": "percent",
        "fee_share": "percent",
        "discount_rate": "percent",
        "horizon_months": "months",
    }
    one = 10 ** fmt.currency_exponent(book.currency)
    values = {
        name: value for name, value in facts.model_dump().items() if name not in ("name", "logo", "accent")
    }
    for name, value in values.items():
        if name in ("fee_fixed", "cost_to_serve"):
            values[name] = fmt.money(value * one, book.currency)
        elif name in units:
            values[name] = fmt.value(value, units[name])
    sources = [
        "this notebook" if name in facts.overridden else "company.yml" if name in facts.given else "default"
        for name in values
    ]
    known = pd.DataFrame({"fact": list(values), "value": map(str, values.values()), "from": sources})
    table(known[known["value"] != ""], caption=say("What the company earns on its revenue"), fold=True)
    glossary()
