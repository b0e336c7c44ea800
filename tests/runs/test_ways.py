"""The ways from page to page: the bar of a run's pages, and the runs around it."""

from __future__ import annotations

from bs4 import BeautifulSoup

from tenure.runs import ways

PAGE = "<main>the page</main><!--bar--><!--/bar-->"


def runs(folder, *made):
    """Runs in which the report metrics was made as said, and a report that failed at first."""
    found = []
    for number, edition in enumerate(made):
        place = folder / f"r{number}"
        place.mkdir()
        for name in ("metrics.html", "clv.failed.html", "checks.html"):
            (place / name).write_text(PAGE)
        (place / "old.html").write_text("<main>no place for a bar</main>")
        at = {"made": edition, "made_at": f"2026-11-0{1 + int(edition[1:])}T05:00:00+00:00"}
        entries = {
            "metrics": {"page": "metrics.html", "failed_page": None, **at},
            "clv": {"page": None, "failed_page": "clv.failed.html", "made": None},
            "old": {"page": "old.html", "failed_page": None, **at},
            "never": {"page": None, "failed_page": None, "made": None},
        }
        found.append((place, {"reports": entries}))
    return found


def links(file, selector="a"):
    soup = BeautifulSoup(file.read_text(), "html.parser")
    return {link.text: link["href"] for link in soup.select(f".reports-bar {selector}")}


def test_a_bar_leads_to_all_reports_and_says_where_one_is(tmp_path):
    every = runs(tmp_path, "r0")
    ways.connect(every, [0])
    wanted = {
        "All reports": "../../index.html", "Metrics": "metrics.html", "CLV": "clv.failed.html",
        "Old": "old.html", "Checks": "checks.html",
    }  # fmt: skip
    for name in ("metrics.html", "clv.failed.html", "checks.html"):
        assert links(every[0][0] / name) == wanted
        assert list(links(every[0][0] / name, "[aria-current]").values()) == [name]
    assert "<main>the page</main>" in (every[0][0] / "metrics.html").read_text()
    assert (every[0][0] / "old.html").read_text() == "<main>no place for a bar</main>"


def test_a_report_leads_to_its_editions_before_and_after_and_not_to_the_same_again(tmp_path):
    every = runs(tmp_path, "r0", "r1", "r1", "r3")
    ways.connect(every, range(4))
    assert links(every[0][0] / "metrics.html", "[rel]") == {"Next: Nov 2, 2026": "../r1/metrics.html"}
    assert links(every[2][0] / "metrics.html", "[rel]") == {
        "Previous: Nov 1, 2026": "../r0/metrics.html",
        "Next: Nov 4, 2026": "../r3/metrics.html",
    }
    before = [file.stat().st_mtime_ns for file in sorted(tmp_path.rglob("*.html"))]
    ways.connect(every, range(4))
    assert before == [file.stat().st_mtime_ns for file in sorted(tmp_path.rglob("*.html"))]
    # When the oldest run is gone, so is the way to it.
    ways.connect(every[1:], range(3))
    assert links(every[2][0] / "metrics.html", "[rel]") == {"Next: Nov 4, 2026": "../r3/metrics.html"}
