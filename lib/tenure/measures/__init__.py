"""Reductions that run inside the query engine: contract tables in, one Ibis expression out.

What many measures take is said here once:

- `source`: Contract tables, a `tenure.Source` or any mapping of names to Ibis tables. A source keeps what
  several measures are made from, settled once, in its engine.
- `as_of`: The last day that is looked at: the data is complete through its end.
- `currency`: Keep subscriptions in this currency only; empty keeps all. Otherwise amounts in different
  currencies are told apart, never added.
- `policy`: What counts, and when (`tenure.policy.MetricPolicy`).
- `on`: Several days instead of `as_of`, in one query: each is answered as it was known at its own end, in a
  column on (text, such as 2026-10-31).
- `policies`: Several policies by name instead of `policy`, in one query, in a column policy (its name).
- `by`: The column that groups are made of; None: everybody is the group "all".
"""

from collections.abc import Callable, Mapping
from typing import Any

import ibis
from ibis import ir

# A column that later columns build on is computed once, in a query of its own, rather than spelled out
# again in each of them: measures take a third of the time, and their SQL can be read.
ibis.options.sql.fuse_selects = False


def several(
    column: str, versions: Mapping[str, Mapping[str, Any]], measure: Callable[..., ir.Table]
) -> ir.Table:
    """Ask one question in several versions at once, such as of several days or under several policies.

    Args:
        column: The column that names the version.
        versions: The options of each version, by its name.
        measure: The question, which the options are given to.

    Returns:
        The answers of all versions, one below the other.
    """
    parts = [measure(**options).mutate(**{column: ibis.literal(name)}) for name, options in versions.items()]
    return ibis.union(*parts) if len(parts) > 1 else parts[0]
