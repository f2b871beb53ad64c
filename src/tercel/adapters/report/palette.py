"""The colours of reports, once: as CSS variables for pages and as hex for pictures.

Charts inside a page are drawn in stand-in colours, which become CSS variables afterwards; so one
drawing follows the reader's light or dark theme. Gain and loss differ in brightness as well as hue.
"""

from __future__ import annotations

LIGHT: dict[str, str] = {
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ink": "#1b1f24",
    "muted": "#5d6672",
    "line": "#dfe3e8",
    "net": "#1f5fd6",
    "gross": "#a86a10",
    "held": "#8b94a1",
    "gain": "#0f7f5b",
    "loss": "#c23a2b",
    "other": "#7a4fc0",
}
DARK: dict[str, str] = {
    "paper": "#13161b",
    "panel": "#1b1f26",
    "ink": "#e7e9ec",
    "muted": "#9aa4b1",
    "line": "#2d333c",
    "net": "#6ea6ff",
    "gross": "#e2ad54",
    "held": "#7f8997",
    "gain": "#41c493",
    "loss": "#ff7d6b",
    "other": "#b794f6",
}

STAND_IN: dict[str, str] = {name: f"#0{number:x}fe0{number:x}" for number, name in enumerate(LIGHT)}
"""Colours nobody would choose, one per name."""

LINE_COLOURS = ("net", "gross", "other", "gain", "loss")
"""For the runs of a comparison, in order; buy-and-hold is always `held`."""

EXTRA_COLOURS = ("other", "gain", "loss")
EXTRA_STYLES = ("-", "--", ":", "-.")
"""For lines beside net, gross and buy-and-hold of all: every colour in one style, then the next."""


def extra_line(number: int) -> tuple[str, str]:
    """(colour name, line style) of extra line `number` from 0; twelve differ."""
    style = number // len(EXTRA_COLOURS) % len(EXTRA_STYLES)
    return EXTRA_COLOURS[number % len(EXTRA_COLOURS)], EXTRA_STYLES[style]


def variables(colours: dict[str, str]) -> str:
    """CSS custom properties of a theme."""
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


def themed(svg: str) -> str:
    """Stand-in colours replaced by CSS variables."""
    for name, colour in STAND_IN.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
