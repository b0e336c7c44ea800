"""The figures of `run.py` as tables and a plot in docs/scale.md: ``python page.py`` makes them anew."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[3] / "docs"
BY_HAND = ("pandas", "polars")
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#767676"


def write_page(figures: dict[str, Any], docs: Path) -> None:
    """Replace what stands between the page's marks, and draw the plot."""
    page = docs / "scale.md"
    text = page.read_text(encoding="utf-8")
    for mark, lines in {
        "sizes": sizes(figures),
        "measures": measures(figures),
        "libraries": libraries(figures),
    }.items():
        begin, end = f"<!-- {mark} -->", f"<!-- end of {mark} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        body = "\n".join([begin, "", *lines, "", end])
        text, found = re.subn(pattern, lambda _, body=body: body, text, flags=re.S)
        assert found == 1, mark
    page.write_text(text, encoding="utf-8")
    draw(figures, docs / "scale.svg")


def by_size(figures: dict[str, Any]) -> list[str]:
    return sorted((name for name in figures if name.isdigit()), key=int)


def asked(figures: dict[str, Any], size: str) -> dict[str, Any]:
    """The questions of a size, the costliest first."""
    found = {
        name.partition(" ")[2]: answer
        for name, answer in figures.items()
        if name.startswith(f"{size} ") and not name.endswith(BY_HAND)
    }
    return dict(sorted(found.items(), key=lambda item: -item[1].get("measure", {"cpu": 1e9})["cpu"]))


def sizes(figures: dict[str, Any]) -> list[str]:
    lines = ["| customers | subscriptions | payments | events |", "|---:|---:|---:|---:|"]
    for size in by_size(figures):
        rows = figures[size]["rows"]
        lines.append("| " + " | ".join(f"{rows[name]:,}" for name in rows) + " |")
    return lines


def measures(figures: dict[str, Any]) -> list[str]:
    all_sizes = by_size(figures)
    events = [f"{round(figures[size]['rows']['events'] / 1e6)} M" for size in all_sizes]
    lines = [
        "| measure | " + " | ".join(events) + " | memory, MiB | rows | to a scan | to its floor |",
        "|---|" + "---:|" * (len(events) + 4),
    ]
    for name, answer in asked(figures, all_sizes[-1]).items():
        if "failed" in answer:
            lines.append(f"| `{name}` |" + " |" * (len(events) + 4) + f" {answer['failed']}")
            continue
        seconds = [f"{figures[f'{size} {name}']['measure']['cpu']:.1f}" for size in all_sizes]
        cpu = answer["measure"]["cpu"]
        cells = [
            *seconds,
            f"{answer['measure']['mib']:,.0f}",
            f"{answer['measure']['rows']:,}",
            *(f"{cpu / answer[part]['cpu']:.1f}" for part in ("scan", "floor")),
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def libraries(figures: dict[str, Any]) -> list[str]:
    lines = ["| measure | tenure | pandas | polars |", "|---|---:|---:|---:|"]
    cell = lambda a: f"{a['cpu']:.1f} s, {a['mib']:,.0f} MiB" if "cpu" in a else "killed"  # noqa: E731
    for name in figures:
        measure = name.partition(" ")[2]
        if f"{name} pandas" in figures:
            answers = [figures[name]["measure"], *(figures[f"{name} {library}"] for library in BY_HAND)]
            assert len({a["rows"] for a in answers if "rows" in a}) == 1, f"{measure}: not the same rows"
            lines.append(f"| `{measure}` | " + " | ".join(map(cell, answers)) + " |")
    return lines


def draw(figures: dict[str, Any], place: Path) -> None:
    """Seconds of one core by size, with the scan and the floor of the largest."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "tenure"
    all_sizes = by_size(figures)
    largest = {name: a for name, a in asked(figures, all_sizes[-1]).items() if "measure" in a}
    names = list(largest)[::-1]
    figure, axis = plt.subplots(figsize=(8, 0.27 * len(names) + 1.1), layout="constrained")
    for number, name in enumerate(names):
        cpu = [figures[f"{size} {name}"]["measure"]["cpu"] for size in all_sizes]
        axis.plot(cpu, [number] * len(cpu), color="#cccccc", lw=1, zorder=1)
        axis.scatter(cpu, [number] * len(cpu), s=[14, 26, 44][-len(cpu) :], color=BLUE, zorder=3)
        axis.scatter(largest[name]["scan"]["cpu"], number, marker="|", s=60, color=GREY, zorder=2)
        axis.scatter(largest[name]["floor"]["cpu"], number, marker="|", s=60, color=ORANGE, zorder=2)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xscale("log")
    axis.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
    axis.set_xlabel(
        "seconds of one core at 1, 10 and 100 million events (dots)\n"
        "at 100 million: a bare scan (grey) and the distinct-count floor (orange)",
        fontsize=8,
    )
    axis.tick_params(axis="x", labelsize=8)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    figure.savefig(place, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    write_page(json.loads((DOCS / "scale.json").read_text()), DOCS)
