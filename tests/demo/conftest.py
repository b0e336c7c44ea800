"""The demo company that tests ask, and which of them are left to `make edge-test`."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from demo.first_lives import TABLES, first_spells, place_of
from tenure_demo import write_demo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is asked of 20,000 customers takes long; what one customer can tell does not."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and "company" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def company(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("company") / "demo"
    return folder, write_demo(folder, customers=20_000, seed=7)


@pytest.fixture(scope="session")
def database(company) -> duckdb.DuckDBPyConnection:
    folder, _ = company
    connection = duckdb.connect()
    for table in TABLES:
        connection.execute(
            f"create view {table.name} as select * from read_parquet('{place_of(folder, table.name)}')"
        )
    connection.execute(f"create view groups as select * from '{folder}/_truth/groups.parquet'")
    return connection


@pytest.fixture(scope="session")
def spells(database) -> pd.DataFrame:
    return first_spells(database)
