"""The pages in a real browser: no network, no noise, no barrier; on paper, on a phone, in the dark."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from report_sample import executed, notebook

from tenure import report

pytestmark = pytest.mark.browser

NAMES = ["report", "bare", "failed", "not_applicable", "index", "empty_index"]


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """Open a page; whatever it says or asks for is in its `noise`."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page = context.new_page()
        noise: list[str] = []
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: (noise.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: noise.append(request.url) if _outside(request.url, path) else None)
        page.goto(path.as_uri())
        page.noise = noise
        yield page
    finally:
        context.close()


def _outside(url: str, path: Path) -> bool:
    return not url.startswith("data:") and url.partition("#")[0] != path.as_uri()


@pytest.mark.parametrize("name", NAMES)
def test_asks_the_network_for_nothing_and_says_nothing(browser, pages, name):
    with opened(browser, pages[name]) as page:
        for summary in page.query_selector_all("summary"):
            summary.click()
        page.wait_for_timeout(100)
        assert page.noise == []


def test_noise_would_be_heard(browser, tmp_path):
    path = tmp_path / "noisy.html"
    path.write_text("<script>console.log('heard')</script><img src='http://127.0.0.1:9/x.png' alt=''>")
    with opened(browser, path) as page:
        assert "heard" in page.noise
        assert "http://127.0.0.1:9/x.png" in page.noise


# Everything in the light; in the dark what changes there, which is contrast; on a phone all but contrast.
AUDITS = {
    "light": (1280, "light", {}),
    "dark": (1280, "dark", {"runOnly": {"type": "rule", "values": ["color-contrast"]}}),
    "phone": (360, "light", {"rules": {"color-contrast": {"enabled": False}}}),
}


@pytest.mark.parametrize("audit", AUDITS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ("report", "index") else pytest.mark.long) for name in NAMES],
)
def test_has_no_barrier(browser, pages, name, audit):
    from axe_playwright_python.sync_playwright import Axe

    width, scheme, options = AUDITS[audit]
    with opened(browser, pages[name], width, scheme) as page:
        for summary in page.query_selector_all("summary"):
            summary.click()
        found = Axe().run(page, options=options)
        assert found.response["passes"], "nothing was checked"
        assert found.violations_count == 0, found.generate_report()


@pytest.mark.parametrize("name", NAMES)
def test_never_scrolls_sideways(browser, pages, name):
    with opened(browser, pages[name]) as page:
        for summary in page.query_selector_all("summary"):
            summary.click()
        for width in (1280, 768, 360, 320):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, width


def test_wide_tables_scroll_by_keyboard(browser, pages):
    with opened(browser, pages["report"], 320) as page:
        wide = page.get_by_role("group", name="Table: What leaving costs, by plan", exact=True)
        assert wide.evaluate("box => box.scrollWidth > box.clientWidth")
        wide.focus()
        page.keyboard.press("ArrowRight")
        # The page's own policy forbids what waits for a condition in the page.
        for _ in range(30):
            if page.evaluate("document.activeElement.scrollLeft") > 0:
                break
            page.wait_for_timeout(100)
        assert page.evaluate("document.activeElement.scrollLeft") > 0


def test_paper_has_no_code_and_whole_figures(browser, pages):
    from pypdf import PdfReader

    with opened(browser, pages["report"]) as page:
        printed = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
        page.emulate_media(media="print")
        for gone in (".source", "nav.contents", ".ways", ".tools", "details.data"):
            assert page.locator(f"{gone}:visible").count() == 0, gone
        heights = page.locator("figure").evaluate_all("all => all.map(one => one.offsetHeight)")
    words = "\n".join(sheet.extract_text() for sheet in printed.pages)
    assert "report.figure(" not in words
    assert "What happened" in words
    # What is folded is left out, and where it is stands in its place.
    assert "What is closed is not printed." in words
    assert (
        "how many months to look at" not in words.partition("For the analyst")[2].partition("Parameters")[2]
    )
    assert "1 / " in words
    assert words.count("Who leaves, when, and is the difference real?") >= len(printed.pages)
    width, height = (float(side) for side in printed.pages[0].mediabox[2:])
    assert (width, height) == pytest.approx((595, 842), abs=1)
    # A figure that is lower than a sheet's 263 mm can be kept whole.
    assert heights
    assert max(heights) < 263 / 25.4 * 96


def test_dark_is_dark_and_so_are_figures(browser, pages):
    with opened(browser, pages["report"], scheme="dark") as page:
        shade = "element => getComputedStyle(element).backgroundColor"
        for place in (page.locator("body"), page.locator(".plate").first):
            red, green, blue = (int(c) for c in place.evaluate(shade)[4:-1].split(","))
            assert max(red, green, blue) < 60


@pytest.mark.parametrize("name", NAMES)
def test_reads_by_keyboard_and_by_landmark(browser, pages, name):
    with opened(browser, pages[name]) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        assert page.locator("h1").count() == 1
        assert page.locator("main").count() == 1
        targets = page.eval_on_selector_all("a[href^='#']", "all => all.map(a => a.getAttribute('href'))")
        for target in set(targets):
            assert page.locator(f"[id='{target[1:]}']").count() == 1, target


def test_hostile_names_are_shown_not_run(browser, pages):
    with opened(browser, pages["report"]) as page:
        assert page.locator("script").count() == 1
        assert page.locator("[onclick]").count() == 0
        assert "<script>alert(1)</script>" in page.locator("main").inner_text()


def test_formulas_are_drawn(browser, pages):
    with opened(browser, pages["report"]) as page:
        box = page.locator(".formula math").first.bounding_box()
        assert box
        assert box["height"] > 20


def test_nothing_is_lost_without_a_script(browser, pages):
    words = (
        "main => { main.querySelectorAll('.tools').forEach(tool => tool.remove()); return main.innerText }"
    )
    said = []
    for enabled in (True, False):
        context = browser.new_context(java_script_enabled=enabled)
        page = context.new_page()
        page.goto(pages["report"].as_uri())
        said.append(page.locator("main").evaluate(words).split())
        context.close()
    assert said[0] == said[1]


def test_code_is_shown_by_one_switch_and_long_tables_whole_without_a_script(browser, tmp_path):
    frame = "import pandas as pd\nfrom tenure import report\n"
    frame += "report.table(pd.DataFrame({'name': list('abcdefghijklmn'), 'n': range(14)}), caption='Long')"
    path = tmp_path / "long.html"
    path.write_text(report.render(executed(notebook("# T", "## S", frame))), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    rows = page.locator(".long tbody tr:visible")
    assert rows.count() == 12
    page.get_by_label("Show all 14 rows").check()
    assert rows.count() == 14
    assert page.locator(".source:visible").count() == 0
    page.get_by_label("Show the code").check()
    assert page.locator(".source:visible").count() == 1
    context.close()
    with opened(browser, path) as page:
        page.get_by_role("button", name="N", exact=True).click()
        assert page.locator("tbody tr").first.inner_text().split() == ["n", "13"]
        assert page.locator("th[aria-sort=descending]").inner_text().startswith("N")
        page.get_by_role("button", name="Name").click()
        assert page.locator("tbody tr").first.inner_text().split() == ["a", "0"]
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download").click()
        lines = Path(saved.value.path()).read_text(encoding="utf-8-sig").splitlines()
        assert saved.value.suggested_filename == "Long.csv"
        assert lines[:2] == ['"Name","N"', '"a","0"']
        assert len(lines) == 15


def test_contents_follow_on_a_phone(browser, pages):
    with opened(browser, pages["report"], 390) as page:
        contents = page.locator("nav.contents")
        page.locator("#how-this-was-made, #made").first.scroll_into_view_if_needed()
        assert contents.is_hidden()
        page.get_by_role("button", name="Contents").click()
        contents.get_by_role("link", name="When do they leave?").click()
        assert contents.is_hidden()
        assert page.url.endswith("#when-do-they-leave")


# The amounts that stand on more than one line when a paragraph is made narrower pixel by pixel.
TORN = """amounts => {
  const p = document.body.appendChild(document.createElement('p')), torn = new Set();
  for (const amount of amounts) {
    p.style.overflowWrap = 'normal';
    p.textContent = `between ${amount} and`;
    const range = document.createRange(), start = 'between '.length;
    range.setStart(p.firstChild, start);
    range.setEnd(p.firstChild, start + amount.length);
    for (let width = 80; width < 200; width++) {
      p.style.width = `${width}px`;
      if (new Set([...range.getClientRects()].map(box => box.top)).size > 1) torn.add(amount);
    }
  }
  return [...torn];
}"""


def test_no_line_ends_within_an_amount(browser, pages):
    amounts = [report.format.value(-406, f"money:{code}") for code in ("EUR", "USD", "GBP", "JPY", "KWD")]
    amounts += [report.format.value(406, "money:EUR", signed=True), report.format.value(-0.051, "percent")]
    with opened(browser, pages["report"], width=390) as page:
        assert page.evaluate(TORN, amounts) == []
        assert page.evaluate(TORN, ["\N{MINUS SIGN}€4.06"]), "such a test finds nothing"
