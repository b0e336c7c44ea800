"""How long the published reports are: visible words, phone screens, A4 pages and KB of each, and the aims.

    python tests/reference/page_counts.py [reports/latest]

Visible is what stands on the page before anything is opened; the letters of figures are not counted. A phone
screen is 390 by 844 pixels. Pages are those that Chromium prints on A4.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

AIMS = {"words": 1500, "screens": 12.0, "pages": 8, "KB": 500}
WIDTH, HEIGHT = 390, 844
_WORDS = """() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let words = 0;
  while (walk.nextNode()) {
    const box = walk.currentNode.parentElement;
    if (!box.closest('svg, script, style') && box.checkVisibility({visibilityProperty: true})
        && !box.closest('.skip'))
      words += walk.currentNode.data.split(/\\s+/).filter(word => /[\\p{L}\\p{N}]/u.test(word)).length;
  }
  return words;
}"""


def counted(page: Any, file: Path) -> dict[str, float]:
    """The counts of a page that a browser's page is given to open."""
    from pypdf import PdfReader

    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    page.goto(file.resolve().as_uri())
    return {
        "words": page.evaluate(_WORDS),
        "screens": round(page.evaluate("document.documentElement.scrollHeight") / HEIGHT, 1),
        "pages": len(PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True))).pages),
        "KB": round(file.stat().st_size / 1000),
    }


def reports(folder: Path) -> list[Path]:
    """The pages of a run's reports: those that have findings."""
    return [file for file in sorted(folder.glob("*.html")) if file.with_suffix(".findings.json").exists()]


def rows(counts: Iterable[tuple[str, dict[str, float]]]) -> Iterable[str]:
    """The lines of the table; a count beyond its aim has a star."""
    yield f"{'report':<22}" + "".join(f"{name:>10}" for name in AIMS)
    for name, of in counts:
        yield f"{name:<22}" + "".join(
            f"{of[what]:>9,}{'*' if of[what] > aim else ' '}" for what, aim in AIMS.items()
        )


def main(folder: str = "reports/latest") -> None:
    """Print the table of a published run."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        counts = [(file.stem, counted(page, file)) for file in reports(Path(folder))]
        counts.append(("aim, each", AIMS))
        print("\n".join(rows(counts)))
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
