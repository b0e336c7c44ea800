"""What other reports have published: contract tables, and frozen numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ibis.expr.types as ir
from ibis import _

from tenure.errors import InputError
from tenure.paths import project_root, resolve
from tenure.sources.engine import guarded, read_files

if TYPE_CHECKING:
    import pandas as pd

    from tenure.sources.connect import Source


def published_file(report: str, file: str) -> Path | None:
    """Return where a report's published file is: in the run that is being made, else in the latest one.

    A notebook that is run by hand also finds what one run in the same folder has written to its exports.

    Example:
        >>> published_file("no_such_report", "no_such_table.parquet") is None
        True
    """
    latest, output = project_root() / "reports" / "latest" / "exports", os.environ.get("TENURE_OUTPUT")
    places = [latest / report / file, Path.cwd() / "exports" / file]
    if output:
        places = [Path(output).parent / report / file, latest / report / file]
    return next((place for place in places if place.exists()), None)


def published_table(connection: Any, report: str, name: str) -> ir.Table:
    """Open a contract table that a report has published, in the engine of a source.

    Raises:
        InputError: No run has published it.
    """
    if (path := published_file(report, f"{name}.parquet")) is None:
        raise InputError(
            f"The mapping takes the table {name} from the report {report}, which has not published it yet. "
            f"Fix: run `tenure run {report}` first."
        )
    files = tuple(sorted(path.glob("*.parquet"))) if path.is_dir() else (path,)
    if connection.name == "duckdb":
        return read_files(connection, files, name)
    if connection.name == "pyspark":
        return guarded(lambda: connection.read_parquet(str(path)), name)
    import pyarrow.parquet as pq

    rows = pq.read_table(path)
    return guarded(lambda: connection.create_table(f"tenure_published_{name}", rows, temp=True), name)


def published_segments(source: Source, scheme: str = "") -> tuple[str, ir.Table] | None:
    """Return the segments that the report on segmentation has published of the customers of a source.

    They are of other data, and left alone, where one of their customers is not in the source, or fewer than a
    third of its customers are among them.

    Args:
        source: The source.
        scheme: The scheme; empty: groups by use or, where there are none, by recency, frequency and value.

    Returns:
        The scheme with its rows of the contract table `segments`; None: it has not been published.
    """
    from tenure.sources.connect import collect

    if published_file("segmentation", "segments.parquet") is None:
        return None
    table, customers = published_table(source.connection, "segmentation", "segments"), source["customers"]
    ids = customers.select("customer_id", here=1)
    joined = table.select("customer_id", "scheme").distinct().left_join(ids, "customer_id")
    counts = joined.group_by("scheme").agg(n=_.count(), here=_.here.count(), of=customers.count().as_scalar())
    of_these = collect(counts.filter((_.here == _.n) & (_.n * 3 >= _["of"]))["scheme"])["scheme"].tolist()
    wanted = (scheme,) if scheme else ("behavior", "rfm")
    return next(((name, table.filter(_.scheme == name)) for name in wanted if name in of_these), None)


def published_effects(source: Source) -> pd.DataFrame | None:
    """Return what the report on campaigns has measured; None: nothing, or of campaigns not in this data."""
    from tenure.sources.connect import collect

    if "contacts" not in source or published_file("retention_campaigns", "campaign_effects.parquet") is None:
        return None
    rows = collect(published_table(source.connection, "retention_campaigns", "campaign_effects"))
    known = collect(source["contacts"].select("campaign").distinct())["campaign"]
    return rows if len(rows) and rows["campaign"].isin(known).all() else None


def read_numbers(place: str, name: str) -> dict[str, Any]:
    """Read frozen numbers that an earlier run published.

    Args:
        place: The JSON file, whose relative path counts from the project's root; or "last", what the last
            good run of the same report published.
        name: What they were published as.

    Returns:
        The numbers; empty for "last" where there was none.

    Raises:
        InputError: There is no such file, or it is not JSON.

    Example:
        >>> read_numbers("last", "nothing_of_the_kind")
        {}
    """
    if place == "last":
        file = Path(os.environ.get("TENURE_PREVIOUS") or os.devnull) / f"{name}.json"
        if not file.is_file():
            return {}
    else:
        file = resolve(place)
    if not file.is_file():
        raise InputError(
            f"The frozen numbers {place} do not exist. Fix: correct the path, such as "
            f"reports/latest/exports/segmentation/{name}.json, or leave it empty."
        )
    try:
        numbers = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError):
        numbers = None
    if not isinstance(numbers, dict):
        raise InputError(f"{place} holds no frozen numbers. Fix: use a file that a run published.")
    return numbers
