"""Removing a person from what runs have published."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import duckdb

from tenure.errors import InputError, writing
from tenure.runs.publish import Reports
from tenure.sources.lists import READ

# An id such as 42 or Paris may be something else on a page; one of letters and digits is nothing else.
_TELLING = re.compile(r"(?=.*[A-Za-z])(?=.*\d).{6,}")


def forget(reports: Reports, ids: Sequence[str]) -> list[str]:
    """Remove customers from all runs that are kept, and return the files that named them.

    Rows of exports go by their column customer_id. On pages and in logs an id of letters and digits is
    written over. Counts and sums stay as they were.

    Raises:
        InputError: No export has one of the ids; then nothing is removed.
    """
    engine, changed = duckdb.connect(), []
    found: dict[Path, set[str]] = {}
    told = "|".join(re.escape(name) for name in ids if _TELLING.fullmatch(name))
    pattern = re.compile(rf"(?<![\w-])({told})(?![\w-])")
    with reports.lock(), writing(reports.folder, "run it as the user who owns the reports"):
        files = [path for path in sorted(reports.folder.rglob("*")) if path.is_file()]
        for path in files:
            rows = f"FROM {READ.get(path.suffix)}"
            if path.suffix in READ and "customer_id" in engine.execute(f"{rows} LIMIT 0", [str(path)]).df():
                theirs = f"SELECT customer_id {rows} WHERE list_contains(?, customer_id)"
                found[path] = {name for (name,) in engine.execute(theirs, [str(path), list(ids)]).fetchall()}
        if absent := set(ids).difference(*found.values()):
            raise InputError(
                f"No export in {reports.runs} has the customer_id {min(absent)!r}, so nothing was removed. "
                "Fix: write it as the exports do, or look for it in the data alone."
            )
        for path in files:
            draft = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
            if found.get(path):
                rest = f"FROM {READ[path.suffix]} WHERE list_contains(?, customer_id) IS NOT TRUE"
                place = str(draft).replace("'", "''")
                engine.execute(f"COPY ({rest}) TO '{place}'", [str(path), list(ids)])
            elif told and path.suffix in (".html", ".ipynb", ".json", ".log"):
                text, times = pattern.subn("(removed)", path.read_text("utf-8", "surrogateescape"))
                if times:
                    draft.write_text(text, "utf-8", "surrogateescape")
            if draft.exists():
                shutil.copymode(path, draft)
                os.replace(draft, path)
                changed.append(str(path.relative_to(reports.folder)))
    return changed
