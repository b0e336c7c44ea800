"""What notebooks, parameters and findings used to be called: an old name is refused with its new one."""

from __future__ import annotations

# Old name: new name; for what is gone, a word on where it stands now. docs/changes.md lists them.
NOTEBOOKS: dict[str, str] = {}
_GROWTH = "in the notebook 11_growth (it was in 10_metrics)"
_BUDGETS = "in the notebook 41_clv_budgets (it was in 40_clv)"
PARAMETERS: dict[str, str] = {
    "currency": "reporting_currency",
    "discount_rate": f"in company.yml and {_GROWTH}",
    "gross_margin": f"`margin`, in company.yml and {_GROWTH}",
    "kept": _BUDGETS,
    "spend_lag": f"in company.yml and {_GROWTH}",
    "target_ratio": _BUDGETS,
    "value_events": _GROWTH,
    "yearly_rate": "discount_rate",
}
FINDINGS: dict[str, str] = {
    **dict.fromkeys(("acquisition.cac", "acquisition.ltv_cac", "acquisition.payback"), _GROWTH),
    **dict.fromkeys(("engagement.session", "engagement.silent_payers", "engagement.stickiness"), _GROWTH),
    **dict.fromkeys(("nps.response_rate", "nps.score", "trials.conversion"), _GROWTH),
    **dict.fromkeys(("clv.formula_error", "clv.purchases", "clv.retention_budget"), _BUDGETS),
    "clv.weakest_channel": _BUDGETS,
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
