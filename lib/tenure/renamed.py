"""What notebooks, parameters and findings used to be called: an old name is refused with its new one."""

from __future__ import annotations

# Old name: new name; for what is gone, a word on where it stands now. docs/changes.md lists them.
NOTEBOOKS: dict[str, str] = {}
PARAMETERS: dict[str, str] = {
    "currency": "reporting_currency",
    "gross_margin": "margin",
    "target_ratio": "in the notebook 41_clv_budgets",
    "yearly_rate": "discount_rate",
}
FINDINGS: dict[str, str] = {
    "segments.quiet_revenue": "segments.silent_revenue",
    "segments.worth_of_keeping": "churn.best_lever and segments.where_to_start, on one base",
}

_BY_KIND = {"notebook": NOTEBOOKS, "parameter": PARAMETERS, "finding": FINDINGS}


def now_called(kind: str, name: str) -> str:
    """Return what an old name is called now, in words; empty: it is no old name.

    Example:
        >>> now_called("parameter", "never_heard_of")
        ''
    """
    new = _BY_KIND.get(kind, {}).get(name, "")
    return f"`{new}`" if new and " " not in new else new
