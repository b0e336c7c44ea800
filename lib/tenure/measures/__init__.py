"""Reductions that run inside the query engine: contract tables in, one Ibis expression out."""

import ibis

# A column that later columns build on is computed once, in a query of its own, rather than spelled out
# again in each of them: measures take a third of the time, and their SQL can be read.
ibis.options.sql.fuse_selects = False
