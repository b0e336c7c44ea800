"""Reductions that run inside the query engine: contract tables in, one Ibis expression out."""
