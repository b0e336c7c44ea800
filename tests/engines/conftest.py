"""The company, and each engine's answers about it: asked once, in processes that run side by side."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engines import servers
from engines.companies import write_company

TESTS = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def company() -> Iterator[Path]:
    """The company as a folder that every process of this machine may read, PostgreSQL's too."""
    with tempfile.TemporaryDirectory(prefix="tenure-engines-") as place:
        Path(place).chmod(0o755)
        yield write_company(Path(place) / "company")


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[..., Any]]:
    """Start a server for the session; the test is skipped, with the reason, where it cannot run."""
    with contextlib.ExitStack() as stack:
        started: dict[str, Any] = {}

        def started_once(server: Callable[..., Any]) -> Any:
            name = server.__name__
            if name not in started:
                place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"tenure-{name}-")))
                place.chmod(0o755)
                try:
                    started[name] = stack.enter_context(server(place))
                except servers.Missing as missing:
                    started[name] = missing
            if isinstance(started[name], servers.Missing):
                pytest.skip(str(started[name]))
            return started[name]

        yield started_once


@pytest.fixture(scope="session")
def postgres(start: Callable[..., Any], company: Path) -> str:
    """The URL of the company in a PostgreSQL schema."""
    return servers.load_postgres(start(servers.postgres), "company", company)


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Callable[[], dict[str, Any]]]:
    """Have a process of its own ask cases of an address; what it returns waits for the answers."""

    def begin(url: str, names: list[str] | None = None) -> Callable[[], dict[str, Any]]:
        place = tmp_path_factory.mktemp("answers")
        out, log = place / "answers.pickle", place / "log.txt"
        command = [sys.executable, "-m", "engines.answer", url, str(out), *(names or [])]
        with log.open("w") as sink:
            process = subprocess.Popen(command, cwd=TESTS, stdout=sink, stderr=sink, start_new_session=True)
        watcher = servers.watch(process)

        def finish() -> dict[str, Any]:
            process.wait()
            watcher.kill()
            watcher.communicate()
            assert out.exists(), f"{url}: {log.read_text()[-3000:]}"
            return pickle.loads(out.read_bytes())

        return finish

    return begin
