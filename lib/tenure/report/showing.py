"""What a notebook shows besides findings and tables: figures, the page's head, checks, exclusions, terms."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.errors import InputError
from tenure.report import format as fmt
from tenure.report.display import CHECKS, EXCLUSIONS, HEADER, show
from tenure.report.picture import Picture, png, show_data, show_picture
from tenure.report.tables import Format, table, to_html
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
    record = {"subtitle": subtitle, "facts": pairs}
    lines = "".join(f"<li>{html.escape(name)}: {html.escape(fact)}</li>" for name, fact in pairs)
    page = (f"<p>{html.escape(subtitle)}</p>" if subtitle else "") + (f"<ul>{lines}</ul>" if lines else "")
    plain = "\n".join(([subtitle] if subtitle else []) + [f"{name}: {fact}" for name, fact in pairs])
    show({"text/plain": plain, "text/html": page, HEADER: record})


def checks(report: Any) -> None:
    """List what the checks of the data warn of.

    Args:
        report: A check report: its `warnings` have a `sentence` and a `fix` each.
    """
    fixes = [getattr(problem, "fix", "") or "" for problem in report.warnings]
    warnings = [
        [problem.sentence, f"Fix: {fix}." if fix else ""]
        for problem, fix in zip(report.warnings, fixes, strict=True)
    ]
    if not warnings:
        return show(
            {
                "text/plain": "The checks of the data found nothing to warn of.",
                "text/html": "<p>The checks of the data found nothing to warn of.</p>",
                CHECKS: {"warnings": []},
            }
        )
    items = "".join(f"<li>{html.escape(' '.join(words).strip())}</li>" for words in warnings)
    plain = "\n".join(f"Warning: {' '.join(words).strip()}" for words in warnings)
    return show(
        {
            "text/plain": plain,
            "text/html": f"<p>The checks of the data warn of:</p><ul>{items}</ul>",
            CHECKS: {"warnings": warnings},
        }
    )


def exclusions(frame: pd.DataFrame, *, formats: Mapping[str, Format] | None = None) -> None:
    """Show the ledger of what was left out of the numbers, with reasons and amounts.

    Args:
        frame: A row for each reason, such as columns reason, customers, amount.
        formats: How columns are written, as for :func:`tenure.report.table`.
    """
    if len(frame) == 0:
        words = "Nothing was left out."
        return show({"text/plain": words, "text/html": f"<p>{words}</p>", EXCLUSIONS: {"html": ""}})
    page = to_html(frame, caption="Left out of the numbers, and why", formats=formats, max_rows=100)
    return show({"text/plain": str(frame), "text/html": page, EXCLUSIONS: {"html": page}})


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
