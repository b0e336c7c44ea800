"""Reductions that run inside the query engine: contract tables in, one Ibis expression out.

What many measures take is said here once:

- `source`: Contract tables, a `tenure.Source` or any mapping of names to Ibis tables. A source keeps what
  several measures are made from, settled once, in its engine.
- `as_of`: The last day that is looked at: the data is complete through its end.
- `days`: How many days to look back from it.
- `currency`: Keep subscriptions in this currency only; empty keeps all. Otherwise amounts in different
  currencies are told apart, never added.
- `policy`: What counts, and when (`tenure.policy.MetricPolicy`).
- `on`: Several days instead of `as_of`, in one query: each is answered as it was known at its own end, in a
  column on (text, such as 2026-10-31).
- `policies`: Several policies by name instead of `policy`, in one query, in a column policy (its name).
- `by`: The column that groups are made of (see `tenure.measures.groups.group_column`); None:
  everybody is the group "all". Where there is no such column, InputError is raised.
- `period`: The unit in which durations are counted.
- `start_from`, `start_to`: Keep spells that began on this day or later, and before this one.
- `observed_from`: The first day on which churn was recorded; None: always. Customers who were there before
  are observed from that day on (left truncation), since those who had churned are not in the data.
- `min_group`, `max_groups`: Groups with fewer customers, and all but so many of the largest, are folded
  into *other*.
- `events`: Kinds of events that count as use; empty: all.
- `rates`: For each currency the value of one unit in the reporting currency; others are left out. None:
  amounts as they are.
- `seen`: The days and policies of a question (`tenure.measures.spans.lenses`).

Sums and counts are whole numbers (int64), money in minor units.
"""

import ibis

# A column that later columns build on is computed once, in a query of its own, rather than spelled out
# again in each of them: measures take a third of the time, and their SQL can be read.
ibis.options.sql.fuse_selects = False
