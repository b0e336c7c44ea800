"""What a run came to, in a few lines for a mail or a chat: out of bounds, failed, and clearly changed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from tenure.report.exporter import moment
from tenure.report.summary import summarize
from tenure.report.words import say

_HEAD = "<!doctype html><meta charset=utf-8><title>{0}</title><h1>{0}</h1>"
# By form: title, heading, line, paragraph, link, and what stands between them.
_FORMS = {
    "markdown": ("# {}", "## {}", "- {} {}", "{}", "[{1}](<{0}>)", "\n\n"),
    "html": (_HEAD, "<h2>{}</h2>", "<p>{} {}</p>", "<p>{}</p>", '<a href="{}">{}</a>', "\n"),
    "slack": ("*{}*", "\n*{}*", "• {} {}", "\n{}", "<{}|{}>", "\n"),
}
_ORDER = ("worse", "better", "higher", "lower")


def digest(record: Mapping[str, Any], form: str = "markdown", base: str = "reports") -> str:
    """Return a published run's summary.

    Of the numbers that are compared with others it lists those that are clearly different, worse ones first.

    Args:
        record: The run's record, as in its run.json.
        form: "markdown"; "html"; or "slack", the JSON that an incoming webhook takes.
        base: The address of the folder that the run is published in.
    """
    entries: Mapping[str, Any] = record["reports"]
    summary = summarize(record)
    real = [claim for claim in summary.claims if claim["real"]]
    parts = {
        "Out of bounds": [(each["report"], each["sentence"]) for each in record["breaches"]],
        "Failed": [
            (name, entry["reason"])
            for name, entry in entries.items()
            if entry["state"] in ("failed", "timed_out", "died")
        ],
        "Clearly changed or different": [
            (claim["report"], f"{claim['sentence']} {claim['judged'][:1].upper()}{claim['judged'][1:]}.")
            for claim in sorted(real, key=lambda claim: _ORDER.index(claim["verdict"]))
        ],
    }
    title, heading, line, paragraph, link, between = _FORMS[form]

    def plain(text: str) -> str:
        if form == "markdown":
            return re.sub(r"([\\`*_\[\]<>#])", r"\\\1", text)
        return html.escape(text, quote=form == "html")

    def page(name: str, kind: str) -> str:
        file = (kind == "Failed" and entries[name]["failed_page"]) or entries[name]["page"]
        return link.format(
            f"{base}/runs/{record['id']}/{file}" if file else f"{base}/index.html", plain(name)
        )

    blocks = [title.format(plain(f"Reports of {moment(record['finished'])}"))]
    for kind, said in parts.items():
        lines = [line.format(plain(words), page(name, kind)) for name, words in said if name in entries]
        blocks += [heading.format(kind), *lines] if lines else []
    if len(blocks) == 1:
        words = "Nothing is out of bounds, nothing has failed, and no number is clearly different."
        blocks.append(paragraph.format(words))
    if rest := len(summary.claims) - len(real):
        blocks.append(paragraph.format(say("No clear change in {n:other number}.", n=rest)))
    text = between.join([*blocks, paragraph.format(link.format(f"{base}/index.html", "All reports"))])
    return json.dumps({"text": text}) if form == "slack" else text
