"""Every figure of a run, measured in the browser on its published page, wide and narrow, light and dark."""

from __future__ import annotations

import re

import pytest

from tenure.report import palette

# What is wrong with the figures of a page that are shown at its width.
MEASURE = """least => {
  const wrong = [];
  for (const folded of document.querySelectorAll('details')) folded.open = true;
  for (const svg of document.querySelectorAll('.plate > svg')) {
    if (getComputedStyle(svg).display === 'none') continue;
    const title = svg.closest('figure').querySelector('.takeaway strong').textContent;
    const say = words => wrong.push(`${title}: ${words}`);
    const frame = svg.getBoundingClientRect(), scale = frame.width / svg.viewBox.baseVal.width;
    const beyond = box => Math.max(frame.left - box.left, box.right - frame.right,
                                   frame.top - box.top, box.bottom - frame.bottom);
    const texts = [...svg.querySelectorAll('text')].filter(text => !text.closest('.tip')).map(text => (
      {words: text.textContent, box: text.getBoundingClientRect(), size: scale * parseFloat(getComputedStyle(text).fontSize)}));
    if (!texts.length) say('has no words');
    texts.forEach((one, place) => {
      if (beyond(one.box) > 0.5) say(`${one.words} is clipped`);
      if (one.size < least) say(`${one.words} is small: ${one.size}`);
      for (const other of texts.slice(place + 1)) {
        const across = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
        const down = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
        // A line's box is higher than its letters.
        if (across > 0.5 && down > 0.3 * Math.min(one.box.height, other.box.height))
          say(`${one.words} overlaps ${other.words}`);
      }
    });
    for (const mark of svg.querySelectorAll('.m')) {
      const {width, height} = mark.firstChild.getBoundingClientRect();
      if (Math.min(width, height) < 23.5) say(`a target of ${width} by ${height}`);
      mark.lastChild.style.display = 'block';
      const tip = mark.lastChild.getBoundingClientRect(), plate = mark.lastChild.firstChild.getBoundingClientRect();
      if (beyond(tip) > 0.5 || tip.width > plate.width + 1) say(`a tip does not fit: ${mark.textContent}`);
      mark.lastChild.style.display = '';
    }
  }
  return wrong;
}"""
# Each color that is used, with the one it stands on; what a reader cannot read is told by its contrast.
COLORS = """() => {
  const used = new Set();
  for (const text of document.querySelectorAll('.plate > svg text'))
    used.add(getComputedStyle(text).fill + ' on ' + getComputedStyle(text.closest('.plate')).backgroundColor
             + ' as ' + text.getAttribute('fill'));
  return [...used];
}"""


def pages(small_run):
    return [file for file in sorted(small_run.glob("*.html")) if 'class="plate"' in file.read_text("utf-8")]


@pytest.mark.parametrize(("width", "least"), [(1440, 12), (768, 11.5), (390, 12)])
def test_no_word_of_a_figure_is_clipped_or_small_or_over_another(small_run, browser, width, least):
    page = browser.new_page(viewport={"width": width, "height": 900})
    found = {}
    for file in pages(small_run):
        page.goto(file.as_uri())
        if wrong := page.evaluate(MEASURE, least):
            found[file.name] = wrong
    page.close()
    assert not found


def test_what_overlaps_would_be_found(browser, tmp_path):
    path = tmp_path / "page.html"
    text = '<text x="10" y="20" font-size="9">one</text><text x="15" y="22" font-size="20">two</text>'
    drawn = f'<div class="plate"><svg viewBox="0 0 30 90" width="30" height="90">{text}</svg></div>'
    path.write_text(f'<figure><p class="takeaway"><strong>T</strong></p>{drawn}</figure>')
    page = browser.new_page()
    page.goto(path.as_uri())
    assert page.evaluate(MEASURE, 12) == ["T: one is small: 9", "T: one overlaps two", "T: two is clipped"]
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_of_figures_can_be_read(small_run, browser, scheme):
    page = browser.new_context(color_scheme=scheme).new_page()
    found = set()
    for file in pages(small_run):
        page.goto(file.as_uri())
        for used in page.evaluate(COLORS):
            ink, card, name = re.split(" on | as ", used)
            one, other = (
                "#" + "".join(f"{int(part):02X}" for part in re.findall(r"\d+", color))
                for color in (ink, card)
            )
            # Words in cells stand on the cell's own shade, which the palette's test looks at.
            if not re.match(r"var\(--f-[hd]i\d\)", name) and palette.contrast(one, other) < 4.5:
                found.add(used)
    page.context.close()
    assert not found


def test_pages_hold_no_color_of_a_figure_that_dark_mode_cannot_change_and_no_id_twice(small_run):
    for file in pages(small_run):
        page = file.read_text(encoding="utf-8")
        drawn = re.findall(r'<div [^>]*class="plate".*?</div>', page, re.DOTALL)
        assert drawn
        for figure in drawn:
            assert set(re.findall(r' (?:fill|stroke)="([^"]+)"', figure)) <= {
                "none", *(f"var(--f-{name})" for name in palette.schemes()),
            }, file.name  # fmt: skip
            assert " id=" not in figure
            assert figure.count('class="w"') == figure.count('class="n"') == 1
        ids = re.findall(r' id="([^"]+)"', page)
        assert len(ids) == len(set(ids)), file.name
        assert file.stat().st_size < 500_000, file.name
