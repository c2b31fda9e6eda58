"""Colours by meaning, for light and dark pages. Their distances under colour blindness are held by a test.

Figures name colours as `var(--student)`; the page resolves them to the theme in use, `resolve` to the light one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COLOURS = {  # on a light and on a dark page
    "paper": ("#faf9f6", "#14161a"),
    "surface": ("#ffffff", "#1b1e24"),
    "raised": ("#f3f1ec", "#23272f"),
    "line": ("#e2dfd7", "#333945"),
    "ink": ("#1d1f23", "#ece9e3"),
    "muted": ("#61666f", "#a2a8b3"),
    "accent": ("#1f5fa8", "#7db8f5"),
    "good": ("#1c6b4a", "#6fcf9f"),
    "bad": ("#a8321f", "#ff9c87"),
    "warn": ("#8a5a00", "#f0c060"),
    "untuned": ("#8a8f98", "#8a909b"),
    "floor": ("#c2571a", "#f0945a"),
    "student": ("#1f5fa8", "#6fb1f2"),
    "ceiling": ("#1d1f23", "#ece9e3"),
    "s0": ("#1f5fa8", "#6fb1f2"),
    "s1": ("#d1651f", "#f0945a"),
    "s2": ("#4c9f94", "#b7efe2"),
    "s3": ("#6b1f4e", "#b5669a"),
    "s4": ("#4a4a12", "#f5e08a"),
    "s5": ("#9a7dd6", "#84824f"),
}
LIGHT, DARK = ({name: pair[place] for name, pair in _COLOURS.items()} for place in (0, 1))
THEMES = {"light": LIGHT, "dark": DARK}
ROLES = ("untuned", "floor", "student", "ceiling")
SYMBOLS = {"untuned": "x-thin-open", "floor": "triangle-down", "student": "diamond", "ceiling": "square"}
SERIES = ("s0", "s1", "s2", "s3", "s4", "s5")
SERIES_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot")
DEEPEST = {"light": 70, "dark": 48}  # percent of colour in a heat map's deepest shade: ink stays legible on it


def css_variables() -> str:
    """Both themes as custom properties: by the system's preference, or by the reader's choice."""
    light, dark = (
        ";".join(f"--{name}:{value}" for name, value in {**colours, "deepest": f"{DEEPEST[theme]}%"}.items())
        for theme, colours in THEMES.items()
    )
    return (
        f":root{{{light};color-scheme:light}}"
        f"@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark};color-scheme:dark}}}}"
        f":root[data-theme=dark]{{{dark};color-scheme:dark}}"
    )


@dataclass(frozen=True)
class Look:
    """How a series of a figure is told from the others: in three ways, since no one sees all colours."""

    colour: str
    symbol: str = "circle"
    dash: str = "solid"


def of_role(role: str) -> Look:
    """The look of a role; controls look like what is untuned, and references, teachers and middles like ceilings."""
    known = role if role in ROLES else "untuned" if role == "control" else "ceiling"
    return Look(f"var(--{known})", SYMBOLS[known])


def nth(number: int) -> Look:
    """The look of the n-th line of a figure."""
    colour = SERIES[number % len(SERIES)]
    return Look(f"var(--{colour})", SERIES_SYMBOLS[number % len(SERIES_SYMBOLS)], DASHES[number % len(DASHES)])


def resolve(value: Any, colours: Mapping[str, str] = LIGHT) -> Any:
    """Replace the names of colours anywhere in a plot."""
    if isinstance(value, Mapping):
        return {key: resolve(inner, colours) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(inner, colours) for inner in value]
    if isinstance(value, str) and value.startswith("var(--"):
        return colours.get(value[6:-1], value)
    return value
