"""Fonts: what is drawn is the same on every machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib.font_manager import FontProperties, findfont, fontManager

from tenure.report import figures, picture, style
from tenure.result import Table

BARS = Table(
    pd.DataFrame({"label": ["Basic", "Größe", "日本語"], "value": [0.2, 0.4, 0.3]}), {"value": "percent"}
)


def drawn():
    return picture.png(figures.bars_with_intervals(BARS, title="What is drawn").drawn())


@pytest.fixture
def other_fonts():
    """A machine that has fonts of the names that browsers and other installations bring."""
    style.font_families()
    mine = [*fontManager.ttflist]
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "cmtt10.ttf"
    for family in ("Inter", "Arial", "Liberation Sans", "Helvetica Neue", "DejaVu Sans", "sans-serif"):
        fontManager.addfont(file)
        fontManager.ttflist.insert(0, replace(fontManager.ttflist.pop(), name=family))
    yield
    fontManager.ttflist[:] = mine
    fontManager._findfont_cached.cache_clear()


def test_a_picture_is_the_same_whatever_fonts_a_machine_has(other_fonts):
    with_them = drawn()
    assert findfont(FontProperties(family="Arial")).endswith("cmtt10.ttf")
    fontManager.ttflist[:] = [font for font in fontManager.ttflist if font.name in style.FONTS]
    fontManager._findfont_cached.cache_clear()
    assert drawn() == with_them


def test_a_font_that_is_gone_from_the_machine_changes_no_picture(tmp_path, caplog):
    before = drawn()
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "cmtt10.ttf"
    gone = tmp_path / "Gone.ttf"
    gone.write_bytes(file.read_bytes())
    fontManager.addfont(gone)
    fontManager.ttflist[-1] = replace(fontManager.ttflist[-1], name="Gone")
    gone.unlink()
    assert findfont(FontProperties(family="Gone")).endswith("DejaVuSans.ttf")
    assert not [font for font in fontManager.ttflist if font.name in style.FONTS]
    assert drawn() == before


@pytest.mark.filterwarnings("error")
def test_a_letter_that_no_font_has_is_a_box_without_a_warning(caplog):
    assert drawn()
    assert not caplog.records
