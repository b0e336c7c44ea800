"""What the last good run of the same report exported, to compare this one with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.errors import InputError
from tenure.paths import resolve

if TYPE_CHECKING:
    import pandas as pd


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
        return pd.read_csv(path, keep_default_na=False)
    except (ValueError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"What an earlier run exported to {path.name} cannot be read: {first}.") from None
