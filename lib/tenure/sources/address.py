"""The address of data: what it names, what fills its placeholders, and what of it must not be shown."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

from tenure.errors import InputError
from tenure.paths import resolve

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_SECRET_NAMES = re.compile(r"pass|pwd|secret|token|key|credential", re.IGNORECASE)


@dataclass(frozen=True)
class Address:
    """Where data is: a folder, a file or a database, read once from its text.

    Attributes:
        text: What was given, in which ``${NAME}`` stands for an environment variable.
        filled: The text with the variables filled in.
        secrets: What of it must not be shown.
        path: The folder or file that it names; None for a database.
    """

    text: str
    filled: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    path: Path | None

    @classmethod
    def read(cls, data: str | Path) -> Address:
        """Read a path or a URL.

        Raises:
            InputError: Nothing is named, a variable is not set, or the text contains a password.

        Example:
            >>> Address.read("file://data/demo").shown, Address.read("postgres://host/shop").path
            ('data/demo', None)
        """
        text = str(data)
        if not text.strip():
            raise InputError("No data is named. Fix: give a folder, a .duckdb file or a database's URL.")
        filled, secrets = _fill(text)
        local = filled.removeprefix("file://").removeprefix("duckdb://")
        return cls(text, filled, secrets, None if "://" in local else resolve(local))

    @property
    def shown(self) -> str:
        """The address, safe to show."""
        if self.path is not None:
            return self.text.removeprefix("file://").removeprefix("duckdb://")
        return self.text if "${" in self.text else redact(self.text)

    def hide(self, words: str) -> str:
        """Return words without what must not be shown."""
        return redact(words, self.secrets)

    def mark(self) -> str | None:
        """Return a text that changes when the files do, from their names, sizes and times.

        It is None for a database, whose changes cannot be seen, and where there are no files.
        """
        if self.path is None or not self.path.exists():
            return None
        seen = hashlib.sha256()
        # A table may be a folder, or a link to one that lies elsewhere.
        entries = sorted(self.path.glob("*")) if self.path.is_dir() else [self.path]
        for entry in entries:
            for file in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
                if file.is_file():
                    state = file.stat()
                    name = file.relative_to(self.path)
                    seen.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        return seen.hexdigest()


def _fill(template: str) -> tuple[str, tuple[str, ...]]:
    """The address with its variables filled in, and what in it must not be shown."""
    if missing := [name for name in _PLACEHOLDER.findall(template) if name not in os.environ]:
        raise InputError(
            f"The environment variable {missing[0]} is not set, and {redact(template)} needs it. "
            f"Fix: set it before starting."
        )
    is_url = "://" in template
    if is_url and _password(template):
        raise InputError(
            f"The address {redact(template)} contains a password. "
            f"Fix: put the password into an environment variable and write ${{NAME}} in its place."
        )
    whole = _PLACEHOLDER.fullmatch(template.strip())
    values = [os.environ[name] for name in _PLACEHOLDER.findall(template)]
    if whole:
        secrets = tuple(filter(None, [_password(values[0])])) + ((values[0],) if "://" in values[0] else ())
        return values[0], secrets + ambient()
    filled = _PLACEHOLDER.sub(
        lambda match: quote(os.environ[match[1]], safe="") if is_url else os.environ[match[1]], template
    )
    return filled, (tuple(values) if is_url else ()) + ambient()


def ambient() -> tuple[str, ...]:
    """Secrets that drivers read from the environment by themselves."""
    return tuple(filter(None, [os.environ.get("PGPASSWORD")]))


def _password(url: str) -> str | None:
    """The literal password of a URL, in its user part or in its query."""
    if "://" not in url:
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("://", 1)[1] if "@" in url else None
    place, query = parts.netloc, parts.query
    if "@" not in place and "@" in url and not re.fullmatch(r"[^:]*(:(\d*|\$\{\w+\}))?", place):
        # A password with a slash in it ends the host too early.
        return url.split("://", 1)[1].rpartition("@")[0].partition(":")[2]
    password = place.rpartition("@")[0].partition(":")[2]
    if password and not _PLACEHOLDER.fullmatch(password):
        return password
    # Spark Connect has its settings in the path: sc://host/;token=…
    for name, value in parse_qsl("&".join([query, *parts.path.split(";")[1:]])):
        if _SECRET_NAMES.search(name) and not _PLACEHOLDER.fullmatch(value):
            return value
    return None


def redact(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text without user:password parts of URLs, password settings and the given secrets.

    Example:
        >>> redact("cannot reach postgres://me:tops3cret@host/db, password=tops3cret")
        'cannot reach postgres://***@host/db, password=***'
    """
    for secret in sorted({*secrets, *(quote(secret, safe="") for secret in secrets)}, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    text = re.sub(r"(\w://)[^/\s@]*:[^\s]*@", r"\1***@", text)
    return re.sub(r"((?:pass(?:word|wd)?|pwd|secret|token)\s*[=:]\s*)[^\s,;&]+", r"\1***", text, flags=re.I)
