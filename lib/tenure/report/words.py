"""The words of the page: whole sentences with slots."""

from __future__ import annotations

from typing import Any

from tenure.report.findings import fill


def say(sentence: str, **slots: Any) -> str:
    """Fill the slots of a sentence.

    Example:
        >>> say("{share} of {group} are still there.", share="64%", group="Basic")
        '64% of Basic are still there.'
    """
    return fill(sentence, slots, "The sentence")
