"""The choices that decide what a subscription metric means, as one small versioned record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class MetricPolicy:
    """How spans of subscriptions become customers who stay or leave.

    Two dashboards of one company disagree because of choices like these, so every report prints the
    policy it used.

    Attributes:
        version: Raised whenever a field's meaning changes.
        gap_days: A new span that begins within this many days continues the stay.
        pause_days: A pause that outlasts this many days is churn, dated when the days are over.
        grace_days: Days for which a subscription past due still counts. If it is not paid by then, or
            ends unpaid, the customer left involuntarily when paid service ended.

    Example:
        >>> MetricPolicy().gap_days
        1
        >>> MetricPolicy().digest() == MetricPolicy(gap_days=2).digest()
        False
    """

    version: int = 1
    gap_days: int = 1
    pause_days: int = 90
    grace_days: int = 30

    def digest(self) -> str:
        """Return a short hash of the policy, to compare the policies of two reports."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
