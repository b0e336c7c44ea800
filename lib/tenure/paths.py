"""Where the project is, so that a relative path means the same from every folder."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def project_root() -> Path:
    """Return the project's folder: the one that holds pyproject.toml and notebooks/.

    It is ``$TENURE_ROOT`` where that is set; else the nearest such folder above the package (an
    editable install) or above the current folder; else the current folder.

    Example:
        >>> (project_root() / "lib" / "tenure").is_dir()
        True
    """
    return _root(os.environ.get("TENURE_ROOT"), Path.cwd())


@cache
def _root(given: str | None, here: Path) -> Path:
    if given:
        return Path(given).expanduser().resolve()
    for start in (Path(__file__).resolve().parent, here):
        for folder in (start, *start.parents):
            if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir():
                return folder
    return here


def resolve(path: str | Path) -> Path:
    """Return an absolute path; a relative one counts from the project's root.

    Example:
        >>> resolve("data/demo") == project_root() / "data" / "demo"
        True
    """
    path = Path(path).expanduser()
    return path if path.is_absolute() else project_root() / path
