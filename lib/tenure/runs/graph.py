"""What has to run again: reports in the order of their needs, and what each is made of."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import tenure
from tenure.economics import read_economics
from tenure.errors import InputError
from tenure.paths import resolve
from tenure.runs.runbook import Report
from tenure.sources.address import Address
from tenure.sources.mapping import load_mapping

# Libraries whose version can change what a report says.
LIBRARIES = (
    "babel", "duckdb", "ibis-framework", "ipykernel", "lifelines", "matplotlib", "nbconvert", "numpy",
    "pandas", "papermill", "pyarrow", "scipy", "seaborn", "statsmodels", "tenure",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that make a report.

    Example:
        >>> versions()["pandas"].startswith("2.")
        True
    """
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def digest(value: Any) -> str:
    """Return a short text that changes when the value, bytes or whatever JSON can hold, changes.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()[:24]


def code_digest(package: Path) -> str:
    """Return a digest of the library's own files: code and page template."""
    files = sorted(path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return digest({path.relative_to(package).as_posix(): digest(path.read_bytes()) for path in files})


def shared_by_all() -> dict[str, Any]:
    """Return what all reports are made of: the library's code, the versions of libraries, the language."""
    return {
        "code": code_digest(Path(tenure.__file__).parent),
        "versions": digest(versions()),
        "locale": os.environ.get("TENURE_LOCALE", ""),
    }


def ingredients(report: Report, shared: Mapping[str, Any], upstream: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a report is made of, each part as a short text to compare; None: that cannot be known.

    Args:
        report: The report.
        shared: What all reports are made of, as `shared_by_all` says.
        upstream: Findings of the reports that this one needs, by name.
    """
    values = report.values
    data = str(values.get("data") or "")
    mark: str | None = ""
    company: str | None = ""
    file = resolve(values["mapping"]) if values.get("mapping") else None
    mapping = digest(file.read_bytes()) if file and file.is_file() else ""
    try:
        if mapping:
            mapping += digest(repr(load_mapping(values["mapping"])))  # with the text of its queries
        mark = Address.read(data).mark() if data else ""
        company = digest(repr(read_economics(str(values.get("company") or ""), data)))
    except InputError:
        mark = None  # the notebook will say why
    return {
        **shared,
        "notebook": digest(report.notebook.path.read_bytes()),
        "parameters": digest(values),
        "data": mark,
        "company": company,
        "mapping": mapping,
        "upstream": digest(dict(upstream)),
    }


def walk(needs: Mapping[str, Sequence[str]], jobs: int, work: Callable[[str], None]) -> None:
    """Do some work for every name, several at once, each when the work for what it needs is done.

    Args:
        needs: For each name the names that come first.
        jobs: How many to work on at once.
        work: Called with a name, in a thread of its own.

    Raises:
        BaseException: What `work` raised; nothing new is begun then.

    Example:
        >>> done = []
        >>> walk({"summary": ["numbers"], "numbers": []}, 2, done.append)
        >>> done
        ['numbers', 'summary']
    """
    order = TopologicalSorter(needs)
    order.prepare()
    pool = ThreadPoolExecutor(jobs)
    going: dict[Future[None], str] = {}
    try:
        while order.is_active():
            going |= {pool.submit(work, name): name for name in order.get_ready()}
            for done in wait(going, return_when=FIRST_COMPLETED).done:
                done.result()
                order.done(going.pop(done))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
