"""A company in a database of Spark's catalog, opened and written to; prints what was found, as JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from ibis import _

import tenure
from engines.companies import AS_OF
from engines.servers import SMALL
from tenure.errors import InputError
from tenure.measures import subscriptions
from tenure.sources import results


def said(url: str) -> str:
    return complaint(lambda: tenure.open_source(url))


def complaint(run: Callable[[], object]) -> str:
    """What an error says; what its library chatters about it besides does not matter."""
    logging.disable()
    try:
        with warnings.catch_warnings(action="ignore"):
            run()
    except InputError as error:
        return str(error) if error.__context__ is None else f"a driver's error is still attached: {error}"
    finally:
        logging.disable(logging.NOTSET)
    return ""


def by_zone(url: str, scratch: Path) -> list[dict[str, int]]:
    """Starts and events by the day of a zone, of times that were written in UTC and in another zone."""
    mapping = scratch / "kolkata.yml"
    mapping.write_text("time_zone: Asia/Kolkata\n")
    found = []
    for rules, zone in (("", "Europe/Rome"), (mapping, "UTC"), (mapping, "Europe/Rome")):
        source = tenure.open_source(url, rules, zone)
        for table, column in (("subscriptions", "started_at"), ("events", "occurred_at")):
            days = source[table].group_by(day=_[column].date().cast("string")).agg(n=_.count())
            found.append({row.day: int(row.n) for row in tenure.collect(days).itertuples()})
    return found


if __name__ == "__main__":
    folder, scratch = map(Path, sys.argv[1:])
    settings = f"spark.sql.warehouse.dir={scratch}/warehouse&spark.driver.maxResultSize=4m&{SMALL}"
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
    crowd = source["payments"].cross_join(source["customers"].select(other="customer_id"))
    counts = [tenure.collect(stays.count()).iloc[0, 0], session.table("shop.stays").count(),
              session.read.parquet(written[1]).count()]  # fmt: skip
    print(
        json.dumps(
            {
                "tables": list(source),
                "attributes": source.attributes,
                "last_day": str(source.last_day()),
                "by_zone": by_zone(f"spark://local?folder={folder}", scratch),
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
                "large result": complaint(lambda: tenure.collect(crowd)),
                "heap": complaint(lambda: tenure.collect(source["targets"].select(x=_.metric.repeat(10**8)))),
            }
        ),
        flush=True,
    )
    # There is no session left to end.
    os._exit(0)
