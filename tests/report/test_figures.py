"""Figures: what is drawn, for which tables, and how they look."""

from __future__ import annotations

import base64
import io
import itertools
import re
import warnings

import matplotlib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_sample import HOSTILE

from tenure import report
from tenure.errors import InputError
from tenure.report import figures, palette, picture, style
from tenure.result import Table


def life(groups, periods=24, start=1):
    rows = [
        (group, k, 1000 - 30 * k, 0.97**k, 0.96**k, 0.98**k, 0.03)
        for group in groups
        for k in range(start, periods + 1)
    ]
    columns = ["group", "period", "at_risk", "survival", "low", "high", "hazard"]
    return pd.DataFrame(rows, columns=columns)


def causes(groups):
    parts = []
    for cause, share in (("voluntary", 0.01), ("involuntary", 0.004)):
        table = life(groups)
        parts.append(table.assign(cause=cause, incidence=share * table["period"], low=0.0, high=0.5))
    return pd.concat(parts)


TRIANGLE = pd.DataFrame(
    {age: [1.0 - 0.05 * age if age <= 5 - row else np.nan for row in range(6)] for age in range(6)},
    index=[f"2026-0{k}" for k in range(1, 7)],
)
FOREST = pd.DataFrame(
    {
        "section": ["plan", "plan", HOSTILE],
        "label": ["Annual", HOSTILE, "x"],
        "ratio": [1, 1.84, np.nan],
        "low": [np.nan, 1.62, np.nan],
        "high": [np.nan, 2.09, np.nan],
    }
)
BARS = Table(
    pd.DataFrame(
        {"label": ["a", HOSTILE], "value": [0.2, np.nan], "low": [0.1, np.nan], "high": [0.3, np.nan]}
    ),
    {"value": "percent"},
)
LINE = pd.DataFrame({"date": pd.date_range("2026-01-01", periods=6, freq="MS"), "value": [1e5] * 6})
BRIDGE = pd.DataFrame({"label": ["before", HOSTILE, "after"], "amount": [100.0, -30.0, 70.0]})

DRAWN = {
    "survival": lambda: figures.survival(life([HOSTILE, "other"]), title=HOSTILE),
    "survival of models": lambda: figures.survival(life(["a"], start=0)),
    "survival in panels": lambda: figures.survival(life([f"{HOSTILE} {k}" for k in range(9)])),
    "hazard": lambda: figures.hazard(
        life([HOSTILE, "b"]), pd.DataFrame({"group": [HOSTILE], "period": [12]}), smooth=life([HOSTILE, "b"])
    ),
    "hazard in panels": lambda: figures.hazard(life([str(k) for k in range(8)])),
    "incidence": lambda: figures.cumulative_incidence(causes([HOSTILE])),
    "incidence in panels": lambda: figures.cumulative_incidence(causes([HOSTILE, "b", "c", "d"])),
    "heatmap": lambda: figures.retention_heatmap(TRIANGLE),
    "forest": lambda: figures.forest(FOREST, title=HOSTILE),
    "bars": lambda: figures.bars_with_intervals(BARS, reference=0.15, reference_label=HOSTILE),
    "line": lambda: figures.line_with_interval(
        Table(LINE, {"value": "money:EUR"}), target=2e5, subtitle=HOSTILE
    ),
    "waterfall": lambda: figures.waterfall(Table(BRIDGE, {"amount": "money:EUR"})),
}


def written(picture):
    from matplotlib.text import Text

    figure = picture.drawn() if isinstance(picture, report.Picture) else picture
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_draws_cleanly_and_touches_nothing_else(name):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = DRAWN[name]()
        drawing, width, height = picture.png(shown.drawn())
    assert dict(matplotlib.rcParams) == before
    assert plt.get_fignums() == []
    assert width == picture.FIGURE_WIDTH
    assert 100 < height < 1200
    assert len(base64.b64decode(drawing)) < 120_000


@pytest.mark.parametrize("name", DRAWN)
def test_nothing_is_cut_off_at_the_edges(name):
    from PIL import Image

    drawing, _, _ = picture.png(DRAWN[name]().drawn())
    shades = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawing))).convert("L"))
    for edge in (shades[:2], shades[-2:], shades[:, :2], shades[:, -2:]):
        assert edge.min() > 240


@pytest.mark.parametrize("name", DRAWN)
def test_a_drawing_has_no_color_of_its_own_and_no_name_that_is_run(name):
    page = picture.drawing(DRAWN[name](), HOSTILE)
    assert set(re.findall(r' (?:fill|stroke)="([^"]+)"', page)) <= {
        "none", *(f"var(--f-{color})" for color in palette.schemes()),
    }  # fmt: skip
    assert not re.findall(r"<script| id=|url\(|href", page)
    assert page == picture.drawing(DRAWN[name](), HOSTILE)


def test_values_are_shown_by_period_and_those_of_narrow_columns_together():
    page = picture.drawing(figures.survival(life(["a", "b"])), "Alt")
    wide, narrow = re.findall(r'<svg class="[wn]".*?</svg>(?=<svg class|</div>)', page)
    tips = [re.findall(r'<g class="tip">.*?</g>', one) for one in (wide, narrow)]
    assert len(tips[0]) >= len(tips[1]) > 6
    words = re.findall(r"<text[^>]*>([^<]*)", tips[0][3])
    assert re.fullmatch(r"Month \d+(, Month \d+)*", words[0])
    assert [word[:2] for word in words[1:]] == ["a ", "b "]
    assert words[1].count("%") == words[0].count("Month")


def test_a_figure_of_too_many_marks_is_a_picture():
    def draw(width):
        figure, axes = style.new_figure(2.0, width=width)
        axes.plot(range(2100), "o")
        return figure

    data = Table(pd.DataFrame({"x": [1]}))
    page = picture.drawing(report.Picture(draw, "Many", "Many dots.", data), "Many dots.")
    assert page.startswith('<div class="plate dots"><img src="data:image/png;base64,')
    assert 'alt="Many dots."' in page


def test_names_are_drawn_as_they_are_not_as_formulas():
    figure = figures.survival(life(["$x^2$ and $y", "_private"]), title="$a$ costs $5").drawn()
    assert "$x^2$ and $y" in written(figure)
    assert "_private" in written(figure)
    assert not any(text.get_parse_math() for text in figure.findobj(matplotlib.text.Text) if text.get_text())


def test_numbers_at_risk_are_those_who_completed_the_period():
    table = pd.DataFrame(
        {"group": "a", "period": [1, 2, 3], "at_risk": [90, 70, 50], "survival": [0.9, 0.8, 0.7]}
    )
    words = written(figures.survival(table))
    assert [word for word in words if word in ("90", "70", "50")] == ["90", "70", "50"]
    cut = written(figures.survival(table, until=2))
    assert "50" in cut


def test_a_curve_begins_at_one_once():
    for start in (0, 1):
        axes = figures.survival(life(["a"], start=start)).drawn().axes[0]
        assert axes.lines[0].get_xydata()[0].tolist() == [0, 1]
        assert axes.lines[0].get_xydata()[1][0] == 1


def test_cells_of_immature_cohorts_stay_blank():
    figure = figures.retention_heatmap(TRIANGLE).drawn()
    cells = figure.axes[0].collections[0].get_array()
    assert np.ma.count_masked(cells) == 15
    assert sum(word.endswith("%") for word in written(figure)) == 21


def test_a_bridge_must_add_up():
    with pytest.raises(InputError, match="does not add up"):
        figures.waterfall(BRIDGE.assign(amount=[100.0, -30.0, 71.0]))


def test_a_table_without_its_columns_or_rows_is_refused():
    with pytest.raises(InputError, match="needs the column survival; the table has group, period"):
        figures.survival(pd.DataFrame({"group": ["a"], "period": [1]}))
    with pytest.raises(InputError, match="no rows"):
        figures.survival(life(["a"]).iloc[:0])


def test_the_same_table_gives_the_same_picture():
    assert picture.png(DRAWN["survival"]().drawn()) == picture.png(DRAWN["survival"]().drawn())
    shuffled = life(["a", "b"]).sample(frac=1, random_state=1)
    ordered = figures.survival(life(["a", "b"]))
    assert picture.png(figures.survival(shuffled).drawn()) == picture.png(ordered.drawn())


def test_a_group_has_one_color():
    assert figures.colors(["b", "a"])["a"] == figures.colors(["a", "b", "c"])["a"]
    assert figures.colors(["a"], {"a": "#123456", "z": "#000000"}) == {"a": "#123456"}


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHT = {
    "normal": [1, 0, 0, 0, 1, 0, 0, 0, 1],
    "protanopia": [
        *(0.152286, 1.052583, -0.204868),
        *(0.114503, 0.786281, 0.099216),
        *(-0.003882, -0.048116, 1.051998),
    ],
    "deuteranopia": [
        *(0.367322, 0.860646, -0.227968),
        *(0.280085, 0.672501, 0.047413),
        *(-0.011820, 0.042940, 0.968881),
    ],
    "tritanopia": [
        *(1.255528, -0.076749, -0.178779),
        *(-0.078411, 0.930809, 0.147602),
        *(0.004733, 0.691367, 0.303900),
    ],
}


def _lab(linear):
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ np.clip(linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("colors", [palette.PALETTE, palette.DARK_PALETTE])
def test_the_color_blind_can_tell_the_palette_apart(sight, colors):
    rgb = [np.array(matplotlib.colors.to_rgb(color)) for color in colors]
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in rgb]
    seen = [_lab(np.reshape(SIGHT[sight], (3, 3)) @ c) for c in linear]
    least = 30 if sight == "tritanopia" else 36 if colors is palette.PALETTE else 33
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > least


@pytest.mark.parametrize("dark", [False, True])
def test_lines_and_words_stand_out_from_the_card(dark):
    colors = {name: pair[dark] for name, pair in palette.schemes().items()}
    card = colors["card"]
    lines = ["c0", "c1", "c2", "c3", "c4", "c5", "cgrey"]
    words = ["ink", "muted", "t0", "t1", "t2", "t3", "t4", "t5", "tgrey"]
    assert min(palette.contrast(colors[name], card) for name in lines) >= 3
    assert min(palette.contrast(colors[name], card) for name in words) >= 4.5
    cells = [(colors[f"{kind}{k}"], colors[f"{kind}i{k}"]) for kind in "hd" for k in range(palette.STEPS)]
    assert min(palette.contrast(*cell) for cell in cells) >= 4.5
    inks = [palette.cell_ink(kind, k) for kind in "hd" for k in range(palette.STEPS)]
    assert [palette.variable(ink, text=True) for ink in inks] == [
        f"var(--f-{kind}i{k})" for kind in "hd" for k in range(palette.STEPS)
    ]


@given(st.lists(st.floats(0, 100), max_size=8))
def test_labels_keep_their_distance_and_order(places):
    moved = style.spread(sorted(places), 10, 0, 100)
    assert len(moved) == len(places)
    assert all(b - a >= 10 - 1e-6 for a, b in itertools.pairwise(moved))
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in moved)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=8))
def test_labels_that_have_room_stay(places):
    apart = [20.0 * k for k in range(len(places))]
    assert style.spread(apart, 10, 0, 200) == apart


@pytest.mark.parametrize("groups", [["a", "b", "c", "d", "e", "f"], [HOSTILE, "other"]])
@pytest.mark.parametrize("draw", [figures.survival, figures.hazard])
def test_names_at_the_lines_ends_do_not_overlap(draw, groups):
    figure = draw(life(groups)).drawn()
    figure.draw_without_rendering()
    ends = {style.shorten(group) for group in groups}
    boxes = [
        # An annotation's own extent takes in its line.
        matplotlib.text.Text.get_window_extent(text)
        for text in figure.findobj(matplotlib.text.Annotation)
        if text.get_text() in ends and text.get_weight() == "bold"
    ]
    assert len(boxes) == len(groups)
    for one, other in itertools.combinations(boxes, 2):
        assert min(one.y1, other.y1) - max(one.y0, other.y0) < 0.25 * one.height


def test_names_of_spikes_do_not_overlap():
    spikes = pd.DataFrame({"group": "a", "period": [3, 4, 5, 6, 12, 24]})
    figure = figures.hazard(life(["a", "b"]), spikes).drawn()
    figure.draw_without_rendering()
    boxes = [
        text.get_window_extent()
        for text in figure.findobj(matplotlib.text.Annotation)
        if text.get_text().startswith("Month ")
    ]
    assert 3 <= len(boxes) < 6
    assert all(not one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_a_picture_shows_its_words_and_its_data(capsys):
    data = Table(pd.DataFrame({"plan": [HOSTILE], "churn": [0.5]}), {"churn": "percent"})

    def draw(width):
        figure, axes = style.new_figure(2.0, width=width)
        axes.plot([1, 2])
        style.key(figure, [("a", style.PALETTE[0])])
        return figure

    shown = report.Picture(draw, "One half leaves", "A line of churn.", data, subtitle="Share who leave")
    assert shown.drawn(3.3).get_size_inches()[0] == 3.3
    report.figure(shown)
    printed = capsys.readouterr().out
    assert printed.startswith("One half leaves\nShare who leave\nFigure: A line of churn.\n")
    report.figure(report.Picture.nothing("No plan is left."))
    assert capsys.readouterr().out == "No plan is left.\n"
    for alt in ("", "  ", "\n"):
        with pytest.raises(InputError, match="no alternative text"):
            report.Picture(draw, "One half leaves", alt, data)
    with pytest.raises(InputError, match="no title"):
        report.Picture(draw, "", "A line of churn.", data)


def test_a_figure_says_what_stands_out():
    falling = life(["Basic"])
    fast = life(["Pro"]).assign(survival=lambda rows: 0.5 ** rows["period"])
    both = figures.survival(pd.concat([falling, fast]), until=10)
    assert (
        both.title
        == "After 10 months, 73.7% of Basic customers are still subscribed and 0.10% of Pro customers"
    )
    assert both.alt == (
        "Survival curves by group. After 10 months: Basic 73.7% and Pro 0.1% are still subscribed."
    )
    assert both.subtitle == "Share still subscribed by months since the start; shaded: 95% interval"
    assert figures.survival(falling).title == "48.1% are still subscribed after 24 months"
    weeks = Table(falling, {"period": "weeks"})
    assert figures.survival(weeks).alt == (
        "Survival curve: share still subscribed after 1 week 97.0%, 12 weeks 69.4%, and 24 weeks 48.1%."
    )
    peak = falling.assign(hazard=np.where(falling["period"] == 12, 0.2, 0.03))
    none = falling.head(0)
    assert figures.hazard(peak, peak[peak["period"] == 12]).title == "20% leave in month 12"
    assert figures.hazard(Table(peak, {"period": "days"}), none).title == "No day stands out"
    few = peak.assign(events=np.where(peak["period"] == 3, 99, 1))
    assert figures.hazard(few, few[few["period"].isin([3, 12])]).title == "3% leave in month 3"
    assert figures.cumulative_incidence(causes(["all"])).title == (
        "9.6% are lost to failed payments within 24 months"
    )
    unknown = dict.fromkeys([name for name in FOREST if "ratio" in name], float("nan"))
    assert figures.forest(FOREST.assign(**unknown)).title == "No ratio can be formed"
    assert figures.forest(FOREST.assign(label=["Annual", "Weekly", "x"])).title == (
        "Weekly (plan) stands out most: 1.84×, more likely to leave"
    )
    assert figures.retention_heatmap(TRIANGLE).title == (
        "After 4 months, 80% of the customers of Feb 2026 are still subscribed, and 80% of those of Jan 2026"
    )
    bridge = Table(BRIDGE.assign(label=["before", "churn", "after"]), {"amount": "money:EUR"})
    assert figures.waterfall(bridge).title == "From €1.00 to €0.70: churn moved it most, −\u2060€0.30"
    assert figures.line_with_interval(LINE).title == ("100,000 in Jun 2026, from 100,000 in Jan 2026")


def test_a_figure_draws_the_column_that_is_named_in_its_own_unit():
    rates = pd.DataFrame(
        {"plan": ["a", "b"], "churn": [0.2, 0.1], "churn_low": [0.1, 0.05], "churn_high": [0.3, 0.2]}
    )
    bars = figures.bars_with_intervals(Table(rates, {"churn": "percent"}), "churn", label="plan")
    assert bars.title == "a has most, 20%; b has least, 10%"
    assert bars.data.units["churn"] == "percent"
    assert "20%" in written(bars)
    ends = [tuple(line.get_xdata()) for line in bars.drawn().axes[0].lines]
    assert ends == [(0.1, 0.3), (0.05, 0.2)]
