"""Privacy: of how few people a report may speak, and what else is hidden so that no total gives them away.

Of people who share a characteristic, such as a country, a plan or a segment, a report speaks only where they
are `smallest_group` or more (see `tenure.economics`). Smaller groups are *other*, or are left out; where the
hidden ones together are fewer than that, so that a total would tell how many they are, the next larger one is
hidden, too. Everybody together, time, age and the arms of an experiment are no such characteristics.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ibis
from ibis import _

if TYPE_CHECKING:
    import pandas as pd
    from ibis import ir

OTHER = "other"

# Of this process, as the language is: `tenure.open_workbook` takes it from company.yml. 1 hides nothing.
smallest_group = 1


def few(frame: pd.DataFrame, people: str, within: Sequence[str] = ()) -> pd.Series:
    """Tell which rows may not be shown: those of too few people, and those that would betray them.

    Args:
        people: The column that counts the people.
        within: Columns within whose values rows add up to a total; none: all do.
    """
    import pandas as pd

    n, whole = frame[people].astype(float), [frame[name] for name in within] or [pd.Series(0, frame.index)]
    before = n.sort_values(kind="stable").groupby(whole).cumsum() - n
    small, betrays = (size.between(0, smallest_group, inclusive="neither") for size in (n, before))
    # A single group is everybody.
    return (small | betrays) & (n.gt(0).groupby(whole).transform("sum") > 1)


def folded(labels: pd.Series, people: pd.Series) -> pd.Series:
    """Name groups *other* that may not be shown."""
    sizes = people.groupby(labels).sum().to_frame("n")
    return labels.mask(labels.isin(sizes.index[few(sizes, "n")]), OTHER)


def too_few(sizes: ir.Table, least: int = 1) -> ir.Table:
    """Return the groups of fewer than `least`, or too few to be named, of columns group and size."""
    up_to = ibis.window(order_by=[_.size, _.group], preceding=None, following=0)
    sizes = sizes.mutate(before=_["size"].sum().over(up_to) - _["size"])
    small = (_["size"] < max(least, smallest_group)) | _.before.between(1, smallest_group - 1)
    return sizes.filter(small).select("group")


def protect(file: Path, columns: Collection[str]) -> None:
    """Let nobody else read a file of single customers, unless its folder hands its group on (chmod g+s)."""
    if "customer_id" in columns:
        file.chmod(0o640 if file.parent.stat().st_mode & stat.S_ISGID else 0o600)
