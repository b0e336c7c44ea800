"""What a whole run found: what happened, whether it is real, and what to decide.

It is made from the findings of the run's reports alone, so that it says no number that they do not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.errors import InputError, NotApplicable
from tenure.paths import project_root, resolve
from tenure.report import format as fmt
from tenure.report.around import pages
from tenure.report.display import show
from tenure.report.findings import anchor, evidence
from tenure.report.words import say, things, translated
from tenure.result import Estimate, Table, counted

Line = Mapping[str, Any]
# Numbers of customers and their revenue tell one story.
_STORIES = {"customers": "mrr"}
# Lines about the first report, lines in all, and their words.
_AT_FIRST, _AT_MOST, _WORDS = 3, 7, 250


@dataclass(frozen=True)
class Summary:
    """A run in brief; each line is a finding's record with report, title and page added.

    Attributes:
        claims: All comparisons, of which some may be chance: the line's, and p, adjusted, real, effect (of
            the difference, in revenue a month; 0: unknown) and rank; the most telling first.
        happened: What to say first, at most seven: the first report's leading findings, then real changes.
        decisions: What to decide, the most valuable first.
        limits: Monitored numbers that are out of bounds: title, page and sentence.
        doubts: What cannot be said, or not yet, in sentences.
    """

    claims: Sequence[Line]
    happened: Sequence[Line]
    decisions: Sequence[Line]
    limits: Sequence[Line]
    doubts: Sequence[str]

    def real(self) -> Estimate:
        """Count the comparisons that are more than chance, of all."""
        return counted(sum(claim["real"] for claim in self.claims), len(self.claims), of="comparison")


def summarize(run: Mapping[str, Any], base: str = "", rate: float = 0.05) -> Summary:
    """Return what the reports of a run come to.

    A difference is real where it is counted, or where it stays significant once all that were estimated in
    the run are judged together by the procedure of Benjamini and Hochberg (1995,
    doi:10.1111/j.2517-6161.1995.tb02031.x): at most `rate` of those called real are expected to be chance.
    They are ranked by the revenue that the difference concerns, times one less its adjusted p value, and by
    half if the last run said the same. In which order reports are given makes no difference.

    Args:
        run: "reports", entries by name, "breaches" and "history", as in a run's record.
        base: What stands before the name of a report's page in a link.
        rate: The share of chance findings that is accepted among those called real.
    """
    entries = {
        name: {**entry, "title": translated(entry.get("title") or name).partition(": ")[0]}
        for name, entry in sorted(run["reports"].items())
        if not entry.get("summary")
    }
    good = {name: entry for name, entry in entries.items() if entry["state"] == "ok"}
    lines = [
        {**found, **evidence(found), "judged": "", "report": name, "title": entry["title"],
         "link": f"{base}{entry['page']}#{anchor(found['id'])}"}
        for name, entry in good.items() for found in entry["findings"]
    ]  # fmt: skip
    claims = _claims(lines, run.get("history", {}), rate)
    real = {(line["report"], line["id"]): line for line in claims}
    lines = [real.get((line["report"], line["id"]), line) for line in lines]
    doubts = list(_doubts(entries, lines, claims))
    leading = [line for line in lines if line["lead"] and not line["unless"]]
    first = next((line["report"] for line in [*claims, *leading] if line in leading), "")
    happened = [line for line in leading if line["report"] == first][:_AT_FIRST]
    told = {_story(line) for line in happened}
    for line in claims:
        if line["real"] and len(happened) < _AT_MOST and _story(line) not in told:
            told.add(_story(line))
            happened.append(line)
    while len(happened) > 1 and _words(happened, doubts) > _WORDS:
        happened.pop()
    # Two reports may come to the same number.
    decided = {(line["value"], line["unit"], line["n"]): line for line in lines if line["unless"]}
    worth = sorted(decided.values(), key=lambda line: abs(line["value"]) if _money(line) else 0, reverse=True)
    limits = [
        {**each, "title": good[each["report"]]["title"], "link": f"{base}{good[each['report']]['page']}"}
        for each in run.get("breaches", ()) if each["report"] in good
    ]  # fmt: skip
    return Summary(claims, happened, worth, limits, doubts)


def _words(happened: Sequence[Line], doubts: Sequence[str]) -> int:
    said = [f"{line['sentence']} {line['judged']}" for line in happened]
    return len(" ".join([*said, *doubts]).split())


def _claims(lines: Sequence[Line], history: Mapping[str, Any], rate: float) -> list[dict[str, Any]]:
    from scipy.stats import false_discovery_control, norm

    claims = []
    for line in lines:
        moved, low, high = (line[f"difference{end}"] for end in ("", "_low", "_high"))
        near = low if (moved or 0) > 0 else high  # the end that tells whether the interval holds 0
        counted = moved is not None and line["exact"] and low is None and high is None
        if moved is None or not (counted or near is not None):
            continue  # without an interval it is not shown as a change
        p = 0.0 if counted else 1.0
        if not counted and moved:
            spread = abs(moved - near) / norm.ppf(0.5 + line["level"] / 2)
            p = float(2 * norm.sf(abs(moved) / spread)) if spread else 0.0
        past = [value for _, value in history.get(line["report"], {}).get(line["id"], ())]
        claims.append({**line, "p": p, "counted": counted, "new": past[-2:-1] != [line["value"]]})
    judged = [claim for claim in claims if not claim["counted"]]
    adjusted = false_discovery_control([claim["p"] for claim in judged]) if judged else ()
    for claim in claims:
        claim |= {"adjusted": 0.0, "real": bool(claim["difference"])}
    for claim, q in zip(judged, adjusted, strict=True):
        claim |= {"adjusted": float(q), "real": bool(q <= rate)}
    each = _revenue_each(lines)
    for claim in claims:
        claim["judged"] = f"{translated(claim['verdict'])} {claim['against']}".strip()
        if not claim["real"] and claim["verdict"] != "no clear change":
            words = {"compare": claim["shown"]["compare"], "label": translated(claim["compare_label"])}
            claim["judged"] = say("from {compare} ({label}), which may be chance", **words)
        claim["effect"] = _effect(claim, each)
        claim["rank"] = claim["effect"] * (1 - claim["adjusted"]) * (1.0 if claim["new"] else 0.5)
    return sorted(claims, key=lambda claim: (-claim["rank"], claim["adjusted"], claim["report"], claim["id"]))


def _effect(line: Line, each: float) -> float:
    """The revenue a month that a difference concerns: its own, or that of so many customers."""
    if _money(line):
        return float(abs(line["difference"]))
    if line["unit"] == "percent" and line["n"]:
        return float(abs(line["difference"]) * line["n"] * each)
    return float(abs(line["difference"]) * each) if line["unit"] == "count" else 0.0


def _revenue_each(lines: Sequence[Line]) -> float:
    """Revenue a month of a customer, from the first report that knows it; 0: none does."""
    known = {line["id"]: line["value"] for line in reversed(lines)}
    revenue, customers = known.get("mrr.total"), known.get("customers.paying")
    return revenue / customers if revenue and customers else 0.0


def _story(line: Line) -> tuple[str, ...]:
    family = line["id"].partition(".")[0]
    return _STORIES.get(family, family), line["compare_label"], line["verdict"]


def _money(line: Line) -> bool:
    return str(line["unit"]).startswith("money:")


def _doubts(entries: Mapping[str, Any], lines: Sequence[Line], claims: Sequence[Line]) -> Iterator[str]:
    """Sentences about what is missing, out of date, at odds, or chance."""
    days = {name: entry.get("as_of") or "" for name, entry in entries.items() if entry["state"] == "ok"}
    for name, entry in entries.items():
        if name not in days:
            why = entry.get("reason") or say("it has not been made yet.")
            yield say("{title}: {why}", title=entry["title"], why=why)
        elif days[name] and days[name] < (last := max(days.values())):
            words = {"title": entry["title"], "day": fmt.date(days[name]), "last": fmt.date(last)}
            yield say("{title} is as of {day}, others are as of {last}.", **words)
    said: dict[tuple[Any, ...], Any] = {}
    for line in lines:
        entry = entries[line["report"]]
        whom = str((entry.get("parameters") or {}).get("only") or "")
        other = said.setdefault((line["id"], days[line["report"]], whom), line)
        here, there = (entries[one["report"]].get("notebook") for one in (line, other))
        if here != there and line["value"] != other["value"]:
            words = {"id": line["id"], "one": other["title"], "this": other["shown"]["value"]}
            yield say("{one} puts {id} at {this}, {other} at {that}: do not rely on either.",
                      other=line["title"], that=line["shown"]["value"], **words)  # fmt: skip
    asked: dict[str, Any] = {}
    for line in lines:
        other = asked.setdefault(line["id"].partition(".")[0], line) if line["unless"] else line
        if other["report"] != line["report"] and other["of"] != line["of"]:
            words = {"one": other["title"], "those": things(other["n"], other["of"]), "other": line["title"]}
            words["these"] = things(line["n"], line["of"])
            yield say(
                "{one} is about {those}, {other} about {these}: their numbers are not of the same people.",
                **words,
            )
    chance = [line for line in claims if not line["real"] and line["verdict"] not in ("", "no clear change")]
    if chance:
        yield say(
            "{n:change} among {m:comparison} may be chance, though clear alone.", n=len(chance), m=len(claims)
        )


def brief(summary: Summary, part: str) -> None:
    """Show a part of a summary: "happened", "decisions" or "doubts" (with what is out of bounds)."""
    module = pages().get_template("brief.html.j2").module
    doubts = [*(line["sentence"] for line in summary.limits), *summary.doubts]
    plain = doubts if part == "doubts" else [line["sentence"] for line in getattr(summary, part)]
    page = str(getattr(module, part)(summary))
    show({"text/plain": "\n".join(plain) or say("There is nothing to say."), "text/html": page})


def claims_table(summary: Summary) -> Table:
    """Return a run's comparisons: report, finding, verdict, against, p, adjusted, real, revenue_concerned."""
    import pandas as pd

    columns = ["report", "id", "verdict", "compare_label", "p", "adjusted", "real", "effect"]
    money = next((claim["unit"] for claim in summary.claims if claim["id"] == "mrr.total"), "number")
    new = {"id": "finding", "compare_label": "against", "effect": "revenue_concerned"}
    rows = pd.DataFrame([*map(dict, summary.claims)], columns=columns).rename(columns=new)
    return Table(rows, {"revenue_concerned": money, "verdict": "words", "against": "words"})


def this_run(folder: str = "") -> dict[str, Any]:
    """Return the record of a run.

    Args:
        folder: The run's folder; empty: the run that is being made, else the last that was published.

    Raises:
        InputError: The folder holds no run.
        NotApplicable: None is being made, and none was published.
    """
    upstream = os.environ.get("TENURE_UPSTREAM")
    place = resolve(folder) if folder else Path(upstream or project_root() / "reports" / "latest")
    try:
        return dict(json.loads((place / "run.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        if folder:
            raise InputError(
                f"run: {folder} holds no run.json. Fix: name a folder of reports/runs."
            ) from None
        raise NotApplicable("No run has been made yet: `tenure run` makes one.") from None
