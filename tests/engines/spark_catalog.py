"""A company in a database of Spark's catalog, opened and written to; prints what was found, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tenure
from engines.companies import AS_OF
from engines.servers import SMALL
from tenure.errors import InputError
from tenure.measures import subscriptions
from tenure.sources import results


def said(url: str) -> str:
    try:
        tenure.open_source(url)
    except InputError as error:
        return str(error) if error.__context__ is None else f"a driver's error hangs on: {error}"
    return ""


if __name__ == "__main__":
    folder, scratch = map(Path, sys.argv[1:])
    settings = f"spark.sql.warehouse.dir={scratch}/warehouse&{SMALL}"
    files = tenure.open_source(f"spark://local?folder={folder}&{settings}")
    session = files.connection._session
    session.sql("CREATE DATABASE shop")
    for place in folder.glob("*.parquet"):
        session.sql(f"CREATE TABLE shop.{place.stem} USING parquet LOCATION '{place}'")
    source = tenure.open_source("spark://local/shop")
    stays = results.kept(subscriptions.spells(source, as_of=AS_OF))
    written = [results.write(stays, "shop.stays"), results.write(stays, f"{scratch}/stays.parquet")]
    refused = []
    for place in written:
        try:
            results.write(stays, place)
        except InputError as error:
            refused.append(str(error))
    counts = [tenure.collect(stays.count()).iloc[0, 0], session.table("shop.stays").count(),
              session.read.parquet(written[1]).count()]  # fmt: skip
    print(
        json.dumps(
            {
                "tables": list(source),
                "attributes": source.attributes,
                "last_day": str(source.last_day()),
                "counts": [int(count) for count in counts],
                "refused": refused,
                "no database": said("spark://local/nowhere"),
                "no table": said("spark://local/default"),
                "no folder": said(f"spark://local?folder={scratch}/nowhere"),
                "empty folder": said(f"spark://local?folder={scratch}/warehouse/none"),
                "other master": said("spark://127.0.0.1:1"),
                "elsewhere": said(f"spark://local?folder={folder}&warehouse=x"),
                "both": said(f"spark://local/shop?folder={folder}"),
                "connect": said("sc://127.0.0.1:1/shop;token=${TOKEN}"),
            }
        )
    )
