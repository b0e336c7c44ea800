"""The colors of figures, each in a light and a dark scheme, as variables of the page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

# Found by maximizing the smallest color difference (CIE 1976) under normal vision and simulated protanopia,
# deuteranopia (36 at least) and tritanopia (30; Machado et al. 2009), with a contrast of 3 to 1 on white; the
# dark ones (33 at least) on the dark card.
PALETTE = ("#54017E", "#D27D00", "#339C73", "#8583C5", "#8E2000", "#2A3F4B")
DARK_PALETTE = ("#D4C0F2", "#ECBB03", "#85F4AF", "#5280F5", "#C14318", "#6B6F73")
INK, MUTED, LINE, GREY, EDGE, GRID = "#1C2128", "#5A6470", "#D9DDE2", "#858D96", "#9AA2AB", "#E6E8EB"
CARD, DARK_CARD = "#FFFFFF", "#1C1F26"
# Shades of cells: from little to much, and from less through none to more; none is a color of the palette.
RAMPS = {
    "h": (("#FBF8FD", "#C9A6DD", "#54017F"), ("#262030", "#6A4C86", "#DCC2F7")),
    "d": (
        ("#B35900", "#F3DEC4", "#FFFFFF", "#DCC9E8", "#540180"),
        ("#F0A04B", "#5A3D1C", "#1C1F26", "#44325A", "#D4B3F5"),
    ),
}
STEPS = 9


def luminance(color: str) -> float:
    """Return the relative luminance of a color (WCAG 2.2)."""
    parts = (part / 255 for part in _parts(color))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colors (WCAG 2.2).

    Example:
        >>> contrast("#000000", "#FFFFFF")
        21.0
    """
    low, high = sorted((luminance(one), luminance(other)))
    return round((high + 0.05) / (low + 0.05), 3)


def readable(color: str, card: str = CARD) -> str:
    """Return the color, moved away from the card until text in it has a contrast of 4.5 on it."""
    far = (0, 0, 0) if luminance(card) > 0.5 else (255, 255, 255)
    return next(
        shade
        for part in range(0, 100, 2)
        if contrast(shade := _mixed(_parts(color), far, part / 100), card) >= 4.5
    )


def ink_on(color: str) -> str:
    """Return black or white, whichever is easier to read on the color: 4.5 to 1 at least."""
    return max("#000000", CARD, key=lambda ink: contrast(ink, color))


def ramp(kind: str, dark: bool = False) -> list[str]:
    """Return the shades of a ramp."""
    tints = [_parts(tint) for tint in RAMPS[kind][dark]]
    places = (divmod(step * (len(tints) - 1) / (STEPS - 1), 1) for step in range(STEPS))
    return [_mixed(tints[int(k)], tints[min(int(k) + 1, len(tints) - 1)], part) for k, part in places]


def _parts(color: str) -> list[int]:
    return [int(color[place : place + 2], 16) for place in (1, 3, 5)]


def _mixed(one: Sequence[int], other: Sequence[int], part: float) -> str:
    return "#" + "".join(f"{round(a + (b - a) * part):02X}" for a, b in zip(one, other, strict=True))


def cell_ink(kind: str, step: int) -> str:
    """Return the color of text on a shade: black or white, but for a trace that tells the shade."""
    trace = step + 1 + STEPS * list(RAMPS).index(kind)
    return f"#0000{trace:02X}" if ink_on(ramp(kind)[step]) != CARD else f"#FFFF{255 - trace:02X}"


@cache
def schemes() -> dict[str, tuple[str, str]]:
    """Return each variable's color in the light and in the dark."""
    named = {"card": (CARD, DARK_CARD), "ink": (INK, "#E8EAEE"), "muted": (MUTED, "#A7AEB8")}
    named |= {"line": (LINE, "#3D434E"), "grid": (GRID, "#2D323B"), "edge": (EDGE, "#6B7380")}
    pairs = {
        "grey": (GREY, "#8D96A1"),
        **{str(k): pair for k, pair in enumerate(zip(PALETTE, DARK_PALETTE, strict=True))},
    }
    for name, (light, dark) in pairs.items():
        named |= {f"c{name}": (light, dark), f"t{name}": (readable(light), readable(dark, DARK_CARD))}
    for kind in RAMPS:
        for step, (light, dark) in enumerate(zip(ramp(kind), ramp(kind, True), strict=True)):
            named |= {f"{kind}{step}": (light, dark), f"{kind}i{step}": (cell_ink(kind, step), ink_on(dark))}
    return named


def variable(color: str, *, text: bool = False) -> str:
    """Return the variable that a color is in the page; one that is not of the house stays as it is.

    Example:
        >>> variable("#54017e"), variable("#54017E", text=True), variable("#123456")
        ('var(--f-c0)', 'var(--f-t0)', '#123456')
    """
    found = _by_color(text).get(color.upper())
    return f"var(--f-{found})" if found else color


@cache
def _by_color(text: bool) -> dict[str, str]:
    """Variables by their light color; where text and lines share one, each has its own."""
    of_text = {name: name[0] == "t" or name[:2] in ("hi", "di") for name in reversed(schemes())}
    return {
        schemes()[name][0].upper(): name for name in sorted(of_text, key=lambda name: of_text[name] == text)
    }


def variables() -> str:
    """Return the style sheet that gives the variables their colors; paper is light."""
    light, dark = (
        "".join(f"--f-{name}:{pair[side].lower()};" for name, pair in schemes().items()) for side in (0, 1)
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
