"""A figure as inline SVG: text is text, colors are variables of the page, values are shown on pointing.

It has no ids, so that drawings on one page cannot disturb each other: what is clipped is an inner drawing.
"""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox

from tenure.report import palette, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# With more marks a page would be slow, and a reader could not tell them apart: they become a picture.
MOST_MARKS = 2000
# Text is measured in DejaVu Sans, which comes with matplotlib, and shown in fonts that are so much narrower.
FIT = 0.9
# What can be pointed at is at least so large: 24 pixels where a unit is 1.25 of them.
TARGET = 19.2
_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
_CIRCLE = len(Path.unit_circle())
_ALONG = {"left": (0.0, "start"), "center": (0.5, "middle"), "right": (1.0, "end")}
_BOLD = FontProperties(family=["Tenure"], size=10, weight="bold")
# A heading, and values by name.
_Tip = tuple[str, Mapping[str, str]]


def to_svg(figure: Figure, kind: str) -> str:
    """Return a drawn figure as SVG of a CSS class; empty where it has too many marks."""
    renderer = _Renderer(figure)
    with style.theme():
        figure.draw(renderer)
    body = "".join([*renderer.parts, *renderer.over])
    size = f"{_short(renderer.width)} {_short(renderer.height)}"
    large = renderer.marks > MOST_MARKS
    return "" if large else f'<svg class="{kind}" viewBox="0 0 {size}" aria-hidden="true">{body}</svg>'


class Tips(Artist):
    """What is shown on pointing at a place along an axis: words by name, under a heading.

    Args:
        axes: The axes; they must not yet hold another.
        tips: By place along the axis: the heading, and the values by name.
        rows: Whether the places are rows; else they are columns.
    """

    def __init__(self, axes: Axes, tips: Mapping[float, _Tip], *, rows: bool = False) -> None:
        super().__init__()
        self.tips, self.rows = sorted(tips.items()), rows
        self.set_in_layout(False)
        self.set_zorder(99)
        axes.add_artist(self)

    def draw(self, renderer: Any) -> None:
        """Add what can be pointed at to a drawing that readers can point at."""
        axes = self.axes
        if not isinstance(renderer, _Renderer) or axes is None or not self.tips:
            return
        box = axes.get_window_extent()
        first, last = (box.y0, box.y1) if self.rows else (box.x0, box.x1)
        placed = (
            (float(axes.transData.transform((0, at) if self.rows else (at, 0))[int(self.rows)]), tip)
            for at, tip in self.tips
        )
        within = ((at, tip) for at, tip in placed if first - 1 <= at <= last + 1)
        places = sorted(within, key=lambda pair: pair[0])
        if not places:
            return
        beside = min(TARGET / 2, (last - first) / len(places) / 2)
        edges, groups = [places[0][0] - beside], [[places[0][1]]]
        for (at, _), (after, tip) in itertools.pairwise(places):
            if (at + after) / 2 - edges[-1] >= TARGET:
                edges.append((at + after) / 2)
                groups.append([])
            groups[-1].append(tip)
        edges.append(max(places[-1][0] + beside, edges[-1] + TARGET))
        for (low, high), group in zip(itertools.pairwise(edges), groups, strict=True):
            hit = Bbox([[box.x0, low], [box.x1, high]] if self.rows else [[low, box.y0], [high, box.y1]])
            renderer.tip(hit, group)


def _joined(tips: Sequence[_Tip]) -> list[str]:
    names = dict.fromkeys(name for _, values in tips for name in values)
    lines = [f"{name} {', '.join(v[name] for _, v in tips if name in v)}".strip() for name in names]
    return [", ".join(head for head, _ in tips), *lines]


class _Renderer(RendererBase):
    """Writes what matplotlib draws, in units of 1/72 inch from the top left."""

    def __init__(self, figure: Figure) -> None:
        super().__init__()
        self.width, self.height = (72 * side for side in figure.get_size_inches())
        self.flip = Affine2D().scale(1, -1).translate(0, self.height)
        canvas: Any = figure.canvas
        self.measure = canvas.get_renderer()
        self.parts: list[str] = []
        self.over: list[str] = []
        self.marks = 0

    def get_canvas_width_height(self) -> tuple[float, float]:
        return self.width, self.height

    def get_text_width_height_descent(self, s: str, prop: Any, ismath: Any) -> tuple[float, float, float]:
        measured: tuple[float, float, float] = self.measure.get_text_width_height_descent(s, prop, ismath)
        return measured

    def draw_path(self, gc: Any, path: Path, transform: Any, rgbFace: Any = None) -> None:
        width = gc.get_linewidth()
        fill = "" if rgbFace is None or (len(rgbFace) > 3 and not rgbFace[3]) else _paint("fill", rgbFace, gc)
        stroke = _paint("stroke", gc.get_rgb(), gc) if width and gc.get_rgb()[3] else ""
        if not fill and not stroke:
            return
        self.marks += 1
        look = fill or ' fill="none"'
        if stroke:
            look += f'{stroke} stroke-width="{_short(width)}"'
            if (dashes := gc.get_dashes()[1]) is not None:
                look += f' stroke-dasharray="{" ".join(map(_short, dashes))}"'
            if gc.get_capstyle() == "round":
                look += ' stroke-linecap="round"'
        path = path.transformed(transform + self.flip)
        box = path.get_extents()
        if len(path) == _CIRCLE and path.codes is not None:
            x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
            shape = f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(box.width / 2)}"{look}/>'
        else:
            far = (-99, -99, self.width + 99, self.height + 99)
            simple = not fill and path.should_simplify
            segments = path.iter_segments(simplify=simple, clip=None if fill else far, curves=True)
            data = "".join(
                _LETTERS[code] + ("" if code == Path.CLOSEPOLY else " ".join(map(_short, points)))
                for points, code in segments
            )
            shape = f'<path d="{data}"{look}/>' if data.count(" ") > 1 or "L" in data else ""
        self.parts.append(self._clipped(shape, box, gc, width if stroke else 0))

    def _clipped(self, shape: str, box: Bbox, gc: Any, width: float) -> str:
        frame = gc.get_clip_rectangle()
        if frame is None:
            return shape
        x, y, wide, high = frame.x0, self.height - frame.y1, frame.width, frame.height
        inside = box.x0 > x - width and box.x1 < x + wide + width
        if inside and box.y0 > y - width and box.y1 < y + high + width:
            return shape
        edge = " ".join(map(_short, (x, y, wide, high)))
        place = f'x="{_short(x)}" y="{_short(y)}" width="{_short(wide)}" height="{_short(high)}"'
        return f'<svg {place} viewBox="{edge}">{shape}</svg>'

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False,
        mtext: Any = None,
    ) -> None:  # fmt: skip
        part, anchor = _ALONG[mtext.get_horizontalalignment() if mtext else "center"]
        along = part * self.get_text_width_height_descent(s, prop, False)[0]
        turn = math.radians(angle)
        x, y = x + along * math.cos(turn), y - along * math.sin(turn)
        look = _paint("fill", gc.get_rgb(), gc, text=True)
        bold = ' font-weight="bold"' if prop.get_weight() in ("bold", 700) else ""
        turned = f' transform="rotate({_short(-angle)} {_short(x)} {_short(y)})"' if angle else ""
        self.parts.append(self._text(s, x, y, prop.get_size_in_points(), anchor, f"{look}{bold}{turned}"))

    def _text(self, words: str, x: float, y: float, size: float, anchor: str, look: str) -> str:
        place = f'x="{_short(x)}" y="{_short(y)}"'
        place += "" if size == 10 else f' font-size="{_short(size / FIT)}"'
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        return f"<text {place}{anchored}{look}>{html.escape(words)}</text>"

    def tip(self, hit: Bbox, tips: Sequence[_Tip]) -> None:
        """Show tips on pointing at a part of the figure; of too many, the one in the middle."""
        for told in (tips, [tips[len(tips) // 2]]):
            lines = _joined(told)
            wide = max(self.get_text_width_height_descent(line, _BOLD, False)[0] for line in lines) + 14
            if wide <= self.width and len(told) < 4:
                break
        step = _BOLD.get_size_in_points() * 1.4
        high = step * len(lines) + 8
        top, bottom = self.height - hit.y1, self.height - hit.y0
        if hit.height > hit.width:  # beside a column, else above or below a row
            x = hit.x1 + 4 if hit.x1 + 4 + wide <= self.width else max(hit.x0 - 4 - wide, 0)
            y = top + 4
        else:
            x = min(max((hit.x0 + hit.x1 - wide) / 2, 0), self.width - wide)
            y = top - high - 2 if top > high + 2 else min(bottom + 2, self.height - high)
        words = "".join(
            self._text(
                line, x + 7, y + step * (place + 0.95), 10, "start",
                "" if place else ' font-weight="bold"',
            )
            for place, line in enumerate(lines)
        )  # fmt: skip
        self.over.append(
            f'<g class="m" tabindex="-1">{_rect(hit.x0, top, hit.width, hit.height)}'
            f'<g class="tip">{_rect(x, y, wide, high)}{words}</g></g>'
        )


def _rect(x: float, y: float, wide: float, high: float) -> str:
    return f'<rect x="{_short(x)}" y="{_short(y)}" width="{_short(wide)}" height="{_short(high)}"/>'


def _paint(kind: str, color: Any, gc: Any, *, text: bool = False) -> str:
    """The color as an attribute: a variable of the page if it is one of the house."""
    from matplotlib.colors import to_hex

    seen = to_hex(color, keep_alpha=False)
    name = palette.variable(seen, text=text)
    forced = gc.get_alpha() if gc.get_forced_alpha() else None
    alpha = forced if forced is not None else color[3] if len(color) > 3 else 1.0
    faint = "" if alpha >= 1 else f' {kind}-opacity="{alpha:.2g}"'
    return f' {kind}="{name}"{faint}'


def _short(number: float) -> str:
    return f"{round(number, 1) + 0.0:.1f}".removesuffix(".0")
