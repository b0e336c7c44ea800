"""What a run came to, in a few lines for a mail or a chat: out of bounds, failed, and clearly changed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tenure.report.exporter import moment
from tenure.report.findings import evidence
from tenure.report.words import say

_CLEAR = ("worse", "better", "higher", "lower")
_NOTHING = "Nothing is out of bounds, nothing has failed, and no number is clearly different."


@dataclass(frozen=True)
class _Line:
    """Something to say: the report that says it, the words, and the page where it stands."""

    report: str
    words: str
    link: str


def digest(record: Mapping[str, Any], form: str = "markdown", base: str = "reports") -> str:
    """Return a published run's summary.

    Of the numbers that are compared with others it lists those that are clearly different, worse ones first.

    Args:
        record: The run's record, as in its run.json.
        form: "markdown"; "html"; or "slack", the JSON that an incoming webhook takes.
        base: The address of the folder that the run is published in.
    """
    entries: Mapping[str, Any] = record["reports"]
    index = f"{base}/index.html"

    def line(entry: Mapping[str, Any], words: str, page: str = "page") -> _Line:
        name = entry[page] or entry["page"]
        return _Line(entry["name"], words, f"{base}/runs/{record['id']}/{name}" if name else index)

    fine = [entry for entry in entries.values() if entry["state"] == "ok"]
    failed = [entry for entry in entries.values() if entry["state"] in ("failed", "timed_out", "died")]
    compared = [(entry, found) for entry in fine for found in entry["findings"] if found["verdict"]]
    clear = [pair for pair in compared if pair[1]["verdict"] in _CLEAR]
    clear.sort(key=lambda pair: _CLEAR.index(pair[1]["verdict"]))
    parts = {
        "Out of bounds": [
            line(entries[breach["report"]], breach["sentence"])
            for breach in record["breaches"]
            if breach["report"] in entries
        ],
        "Failed": [line(entry, entry["reason"], "failed_page") for entry in failed],
        "Clearly changed or different": [
            line(entry, f"{found['sentence']} {found['verdict'].capitalize()} {evidence(found)['against']}.")
            for entry, found in clear
        ],
    }
    parts = {heading: lines for heading, lines in parts.items() if lines}
    rest = len(compared) - len(clear)
    said = say("No clear change in {n:other number}.", n=rest) if rest else ""
    end = " ".join(filter(None, ["" if parts else _NOTHING, said]))
    title = f"Reports of {moment(record['finished'])}"
    return {"markdown": _markdown, "html": _html, "slack": _slack}[form](title, parts, end, index)


_Parts = Mapping[str, list[_Line]]


def _markdown(title: str, parts: _Parts, end: str, index: str) -> str:
    def plain(text: str) -> str:
        return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", text)

    blocks = [f"# {plain(title)}"]
    for heading, lines in parts.items():
        listed = (f"- {plain(line.words)} [{plain(line.report)}](<{line.link}>)" for line in lines)
        blocks += [f"## {heading}", "\n".join(listed)]
    return "\n\n".join(filter(None, [*blocks, plain(end), f"[All reports](<{index}>)"]))


def _html(title: str, parts: _Parts, end: str, index: str) -> str:
    def link(address: str, words: str) -> str:
        return f'<a href="{html.escape(address)}">{html.escape(words)}</a>'

    blocks = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"]
    blocks.append(f"<h1>{html.escape(title)}</h1>")
    for heading, lines in parts.items():
        listed = (f"<li>{html.escape(line.words)} {link(line.link, line.report)}</li>" for line in lines)
        blocks += [f"<h2>{heading}</h2>", "<ul>", *listed, "</ul>"]
    blocks += [f"<p>{html.escape(end)}</p>"] if end else []
    return "\n".join([*blocks, f"<p>{link(index, 'All reports')}</p>"])


def _slack(title: str, parts: _Parts, end: str, index: str) -> str:
    def plain(text: str) -> str:
        return html.escape(text, quote=False)

    blocks = [f"*{plain(title)}*"]
    for heading, lines in parts.items():
        listed = (f"• {plain(line.words)} <{plain(line.link)}|{plain(line.report)}>" for line in lines)
        blocks.append("\n".join([f"*{heading}*", *listed]))
    text = "\n\n".join(filter(None, [*blocks, plain(end), f"<{plain(index)}|All reports>"]))
    return json.dumps({"text": text})
