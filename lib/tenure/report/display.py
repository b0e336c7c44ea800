"""Show a bundle of representations: in Jupyter all of them, elsewhere the plain text."""

from __future__ import annotations

from typing import Any

FINDING = "application/vnd.tenure.finding+json"
HEADER = "application/vnd.tenure.header+json"
CHECKS = "application/vnd.tenure.checks+json"
EXCLUSIONS = "application/vnd.tenure.exclusions+json"
GLOSSARY = "application/vnd.tenure.glossary+json"
FIGURE = "application/vnd.tenure.figure+json"
# A table that is for analysts.
FOLDED = "application/vnd.tenure.folded+json"
# A table that is about the whole run: its part of the page of checks.
ABOUT = "application/vnd.tenure.about+json"


def show(bundle: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Display one output made of several representations, keyed by media type."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import display

    if InteractiveShell.initialized():
        display(bundle, raw=True, metadata=metadata or {})
    else:
        print(bundle["text/plain"])
