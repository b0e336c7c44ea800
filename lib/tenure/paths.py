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


def typed(text: str) -> str:
    """Return a path that was typed in a shell as files write it, so that both mean the same.

    It counts from the shell's folder; from the project's root where only that has such a file. What is below
    the root is then written as seen from there. Addresses of databases and empty texts stay as they are.

    Example:
        >>> typed("postgres://host/shop"), typed(str(project_root() / "data" / "mine"))
        ('postgres://host/shop', 'data/mine')
    """
    scheme, mark, place = text.rpartition("://")
    if not place.strip() or "${" in text or scheme not in ("", "file", "duckdb"):
        return text
    given = Path(place).expanduser()
    here, root = Path(os.path.abspath(given)), project_root()
    if not here.exists() and resolve(given).exists():
        here = Path(os.path.abspath(resolve(given)))
    return scheme + mark + (here.relative_to(root).as_posix() if here.is_relative_to(root) else str(here))
