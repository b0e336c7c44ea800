"""Which tests of the demo company are left to `make edge-test`."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is asked of 20,000 customers takes long; what one customer can tell does not."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and "company" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.long)
