"""The page that lists the latest of each report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from tenure.report import format as fmt
from tenure.report.around import own_style, pages
from tenure.report.exporter import card, made, moment, stylesheet
from tenure.report.summary import summarize
from tenure.report.words import say, translated

# The findings of a report beyond these are on its own page.
SHOWN = 4
STATES = ("fresh", "kept", "not applicable", "not yet run", "failed")


def index_page(entries: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> str:
    """Return the page that lists the reports.

    Args:
        entries: A mapping for each report, in order of reading, with "name" and as many as there are of:
            "title"; "group", the heading it stands under; "question"; "state" ("ok", "not_applicable",
            "never_run"; any other has failed) and "reason", a sentence; the links "page", "failed_page" and
            "notebook_file"; "made", the run whose page is shown, and "made_at"; "tried_at" (ISO times);
            "as_of", its data's last day; "findings", their records; "history", by a finding's id a list of
            [time, value]; "exports", paths beside the page; "breaches", sentences.
        run: "id", "finished", "seconds" and what else :func:`tenure.report.render` takes.
    """
    named = {entry["name"]: entry for entry in entries}
    past = {name: entry.get("history") or {} for name, entry in named.items()}
    broken = [
        {"report": name, "sentence": words} for name in named for words in named[name].get("breaches") or ()
    ]
    listed = [_entry(entry, run) for entry in entries]
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in listed:
        groups.setdefault(entry["group"], []).append(entry)
    counted = [(state, sum(entry["state"] == state for entry in listed)) for state in STATES]
    looks = {
        name: next((entry[name] for entry in entries if entry.get(name)), "")
        for name in ("company", "logo", "accent")
    }
    about = {
        name: fact for name, fact in run.items() if name in ("id", "started", "finished", "seconds", "commit")
    }
    return str(
        pages()
        .get_template("collection.html.j2")
        .render(
            summary=summarize({"reports": named, "breaches": broken, "history": past}),
            css=stylesheet(),
            own=own_style(looks, say("Reports")),
            **looks,
            groups=list(groups.items()),
            tally=[(state, number) for state, number in counted if number],
            finished=moment(run["finished"]) if run.get("finished") else "",
            made=made({**about, "versions": run.get("versions") or {}}),
        )
    )


def _entry(entry: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    state, page, reason = _state(entry, run), entry.get("page") or "", str(entry.get("reason") or "")
    if state == "failed" and page:
        reason = f"{reason} {say('The last good report stands below.')}".strip()
    when = say("Tried {time}", time=moment(entry["tried_at"])) if entry.get("tried_at") else ""
    if page and entry.get("made_at"):
        unchanged = "Made {time}; nothing it is made of has changed since"
        when = say(unchanged if state == "kept" else "Made {time}", time=moment(entry["made_at"]))
    if page and entry.get("as_of") and run.get("finished"):
        today, last = (dt.date.fromisoformat(str(day)[:10]) for day in (run["finished"], entry["as_of"]))
        when += "; " * bool(when) + say(
            "data until {day}, {n:day} old", day=last, n=max((today - last).days, 0)
        )
    history: Mapping[str, Any] = entry.get("history") or {}
    records = list(entry.get("findings") or [])
    folder = page.rpartition("/")[0]
    files = [
        {"name": str(path).rpartition("/")[2], "link": f"{folder}/{path}" if folder else str(path)}
        for path in entry.get("exports") or []
    ]
    if entry.get("notebook_file"):
        files.append({"name": say("Notebook"), "link": entry["notebook_file"]})
    return {
        "anchor": "report-" + "".join(c if c.isalnum() else "-" for c in str(entry["name"])),
        "title": translated(entry.get("title") or entry["name"]),
        "group": entry.get("group") or say("Reports"),
        "question": translated(entry.get("question") or ""),
        "only": (entry.get("parameters") or {}).get("only") or "",
        "state": state,
        "words": reason if state in ("failed", "not applicable") else "",
        "when": when,
        "page": page,
        "failed_page": entry.get("failed_page") or "",
        "found": [
            {**card(record), "spark": spark(record, history.get(record["id"], []))}
            for record in records[:SHOWN]
        ],
        "more": max(0, len(records) - SHOWN),
        "files": files if page else [],
        "breaches": [str(sentence) for sentence in entry.get("breaches") or []],
    }


def _state(entry: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    given = str(entry.get("state", "")).replace("_", " ")
    if given == "ok":
        return "fresh" if entry.get("made") == run.get("id") else "kept"
    return {"never run": "not yet run", "not applicable": "not applicable"}.get(given, "failed")


def spark(record: Mapping[str, Any], points: Sequence[Sequence[Any]]) -> dict[str, Any] | None:
    """Return the small line of a finding's past values, its points and words; None with fewer than two.

    Args:
        record: The finding.
        points: Pairs of time and value, oldest first; a missing value is a gap.

    Example:
        >>> spark({"unit": "percent"}, [["2026-09", 0.05], ["2026-10", None], ["2026-11", 0.04]])["label"]
        'Over the last 3 runs, from 5% to 4%; lowest 4%, highest 5%'
    """
    values = [None if fmt.missing(value) else float(value) for _, value in points]
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    low, high = min(value for _, value in known), max(value for _, value in known)
    parts: list[list[str]] = [[]]
    x = y = 16.0
    for place, value in known:
        if parts[-1] and values[place - 1] is None:
            parts.append([])
        x = round(4 + 112 * place / (len(values) - 1), 1)
        y = round(28 - 24 * (value - low) / (high - low), 1) if high > low else 16.0
        parts[-1].append(f"{x},{y}")
    unit = record.get("unit", "number")
    first, last, least, most = (fmt.value(value, unit) for value in (known[0][1], known[-1][1], low, high))
    return {
        "lines": [" ".join(part) for part in parts],
        "end": (x, y),
        "label": say(
            "Over the last {n:run}, from {first} to {last}; lowest {least}, highest {most}",
            n=len(values),
            first=first,
            last=last,
            least=least,
            most=most,
        ),
    }
