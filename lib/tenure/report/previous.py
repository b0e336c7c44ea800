"""What the last good run of the same report exported, to compare this one with."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tenure import legible
from tenure.errors import InputError
from tenure.paths import resolve

if TYPE_CHECKING:
    import pandas as pd


def _as_it_was(text: str) -> str:
    return re.sub(legible.KEPT, r"\1", text)


def previous_export(name: str, folder: str = "") -> pd.DataFrame | None:
    """Return a table that an earlier run of this report exported; None where there was none.

    Args:
        name: The export's name, as :func:`tenure.report.export` was given it.
        folder: The folder it was exported to; empty: that of the last good run, which the runner names in
            TENURE_PREVIOUS.

    Raises:
        InputError: A folder is named that does not hold the table, or the table cannot be read.

    Example:
        >>> previous_export("nothing_of_the_kind") is None
        True
    """
    import pandas as pd

    place = resolve(folder) if folder else Path(os.environ.get("TENURE_PREVIOUS") or os.devnull)
    path = place / f"{name}.csv"
    if not path.is_file():
        if folder:
            raise InputError(
                f"The folder {folder} holds no {name}.csv. Fix: name the folder that an earlier run of this "
                "report exported its tables to, or leave it empty."
            )
        return None
    try:
        # Empty texts are texts, not missing values.
        return legible.texts(pd.read_csv(path, keep_default_na=False), _as_it_was)
    except (ValueError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"What an earlier run exported to {path.name} cannot be read: {first}.") from None


def earlier_day(name: str, since: str, as_of: dt.date) -> dt.date:
    """Return the day to compare with: the one asked for, that of the last good run, or a month ago.

    Args:
        name: An export with a column as_of, as for `previous_export`.
        since: The day asked for; empty: none.
        as_of: The last day of the data; a day that is not before it is ignored.

    Example:
        >>> str(earlier_day("no_such_export", "", dt.date(2026, 3, 31)))
        '2026-02-28'
    """
    import pandas as pd

    run = None if since else previous_export(name)
    day = dt.date.fromisoformat(since or (str(run["as_of"].iloc[0]) if run is not None else "9999-12-31"))
    return day if day < as_of else (pd.Timestamp(as_of) - pd.DateOffset(months=1)).date()
