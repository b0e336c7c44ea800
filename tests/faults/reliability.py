"""Measure how runs stand kills, a long use and each other, and write the table of docs/reliability.md.

    python tests/faults/reliability.py --kills 200 --runs 100 --page

Everything is done with the command as people start it, on the project's own workbooks and a small demo company, in a
folder of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from filelock import FileLock, Timeout

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
TABLE = "<!-- table -->\n"
COMMAND = [sys.executable, "-m", "tenure", "run"]
# Two workbooks and the summary: a run is short enough to be killed 200 times.
WORKBOOKS = ("metrics", "churn_curves")


class Place:
    """A folder to publish to, and what one finds in it."""

    def __init__(self, folder: Path, data: Path):
        self.folder, self.data = folder, data

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *WORKBOOKS, "--to", str(self.folder), "--set", f"data={self.data}", *more],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *more: str) -> tuple[int, float, str]:
        began, running = time.monotonic(), self.start(*more)
        _, said = running.communicate()
        return running.returncode, time.monotonic() - began, said

    def shown(self) -> str:
        index = self.folder / "index.html"
        found = re.findall(r"<!-- tenure-run (\S+) -->\s*\Z", index.read_text()) if index.exists() else []
        return found[0] if found else ""

    def faults(self) -> list[str]:
        """What a reader of the index would miss."""
        if not (self.folder / "index.html").exists():
            return []
        folder = self.folder / "runs" / self.shown()
        if not self.shown() or not (folder / "run.json").is_file():
            return ["the index shows no run"]
        record = json.loads((folder / "run.json").read_text())
        pages = [folder / each["page"] for each in record["reports"].values() if each["page"]]
        files = [folder / name for each in record["reports"].values() for name in each["exports"]]
        cut = [p.name for p in pages if not p.is_file() or not p.read_text().rstrip().endswith("</html>")]
        return cut + [file.name for file in files if not file.is_file()]

    def sizes(self) -> tuple[int, int]:
        """Files below .state, and bytes on the disk of all that is published."""
        seen = {(s.st_ino, s.st_blocks) for p in self.folder.rglob("*") if (s := p.lstat()) and p.is_file()}
        state = [path for path in (self.folder / ".state").rglob("*") if path.is_file()]
        return len(state), sum(blocks for _, blocks in seen) * 512


def abandoned() -> set[Path]:
    """Temporary folders of ours that no process holds."""
    found = set()
    for mark in Path("/tmp").glob("tenure-*/.tenure"):
        try:
            with FileLock(mark).acquire(timeout=0):
                found.add(mark.parent)
        except (Timeout, OSError):
            continue
    return found


def kills(place: Place, number: int) -> list[tuple[str, str, str]]:
    chance = random.Random(8)
    _, whole, _ = place.run("--force")
    seen: Counter[str] = Counter()
    faults: list[str] = []
    for _ in range(number):
        sign = chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        before, running = place.shown(), place.start("--force")
        time.sleep(0.1 + chance.random() * whole * 1.1)
        if chance.random() < 0.5 and running.poll() is None:
            os.killpg(running.pid, sign)
        else:
            running.send_signal(sign)
        _, said = running.communicate()
        moved = place.shown() != before
        seen["killed" if running.returncode else "ended before"] += 1
        seen["published before it was killed"] += bool(running.returncode and moved)
        faults += place.faults()
        if sign != signal.SIGKILL and running.returncode:
            true = "nothing was published" in said if not moved else "had been published" in said
            faults += [] if true and "Traceback" not in said else [f"it said: {said[-200:]}"]
    status, _, said = place.run()
    faults += [said] if status else []
    left = [path.name for path in (place.folder / ".state").glob("staging-*")] + [*map(str, abandoned())]
    print(*faults, *left, sep="\n", file=sys.stderr)
    return [
        (
            f"{number} runs of {len(WORKBOOKS)} workbooks, killed at random moments",
            "killed",
            str(seen["killed"]),
        ),
        ("", "killed after the index had moved", str(seen["published before it was killed"])),
        ("", "ended before the kill", str(seen["ended before"])),
        ("", "cut or missing pages, false sentences, tracebacks", str(len(faults))),
        ("", "folders left after the next run", str(len(left))),
    ]


def long_use(place: Place, number: int) -> list[tuple[str, str, str]]:
    lines = []
    place.run()
    for done in range(1, number + 1):
        if done % 10 == 0:  # new data, as on every tenth day
            os.utime(place.data / "customers.parquet")
        place.run()
        if done in (1, number // 2, number):
            spent = min(place.run()[1] for _ in range(3))
            files, size = place.sizes()
            what = f"{spent:.1f} s, {files} files of state, {size / 2**20:.1f} MB in all"
            lines.append(
                ("a run in which nothing has changed" if done == 1 else "", f"after {done} runs", what)
            )
    return lines


def at_once(place: Place, number: int = 5) -> list[tuple[str, str, str]]:
    started = [place.start("--force") for _ in range(number)]
    ended = [(process.communicate()[1], process.returncode) for process in started]
    busy = sum("Another run is in progress" in said for said, status in ended if status == 1)
    waiting = [place.start("--wait") for _ in range(number)]
    waited = [process.communicate() and process.returncode for process in waiting]
    return [
        (f"{number} runs at once", "published, declined", f"{sum(not s for _, s in ended)}, {busy}"),
        (f"{number} runs at once with --wait", "ended well", str(sum(not status for status in waited))),
        ("", "cut or missing pages", str(len(place.faults()))),
    ]


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("--kills", type=int, default=200)
    given.add_argument("--runs", type=int, default=100)
    given.add_argument("--customers", type=int, default=300)
    given.add_argument("--page", action="store_true", help="write the table into docs/reliability.md")
    asked = given.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        demo = [*COMMAND[:-1], "demo", str(folder / "data"), "--customers", str(asked.customers)]
        subprocess.run(demo, check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
        rows = []
        for what, amount in ((kills, asked.kills), (long_use, asked.runs), (at_once, 5)):
            rows += what(Place(folder / what.__name__, folder / "data"), amount) if amount else []
            shutil.rmtree(folder / what.__name__, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    table = "| what | measured | result |\n|---|---|---|\n" + "".join(
        f"| {' | '.join(row)} |\n" for row in rows
    )
    command = f"python tests/faults/reliability.py --kills {asked.kills} --runs {asked.runs} --customers {asked.customers}"
    print(table)
    if asked.page:
        text = PAGE.read_text(encoding="utf-8").partition(TABLE)[0]
        PAGE.write_text(f"{text}{TABLE}\nMade by `{command} --page`.\n\n{table}", encoding="utf-8")


if __name__ == "__main__":
    main()
