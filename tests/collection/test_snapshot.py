"""What the collection says of the demo company is what it said before, but for what docs/changes.md explains."""

from __future__ import annotations

import pytest

from reference import snapshot
from tenure import renamed


@pytest.mark.long
def test_every_finding_and_export_is_as_it_was_or_explained(demo_run):
    found = snapshot.differences(demo_run)
    assert not found, "enter and explain in tests/reference/changed:\n\n" + snapshot.as_entries(found)


def test_the_document_of_changes_says_what_the_entries_say():
    assert snapshot.in_docs() == snapshot.as_lists(), "run python tests/reference/snapshot.py --docs"


def test_what_is_explained_was_there():
    frozen = {file.stem for file in (snapshot.FROZEN / "exports").glob("*.csv")}
    frozen |= {record["id"] for record in snapshot.frozen_findings()}
    assert set(snapshot.changed()) <= frozen
    assert set(renamed.FINDINGS) <= frozen
