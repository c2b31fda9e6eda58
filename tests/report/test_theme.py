"""Colours stay apart for colour-blind readers, in both themes, and text stays legible on every shade."""

from itertools import combinations

import numpy as np
import pytest

from w2s_lightning.report.theme import DEEPEST, ROLES, SERIES, SERIES_SYMBOLS, SYMBOLS, THEMES, css_variables, resolve

# Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.95047, 1.0, 1.08883])
APART = 14.0  # CIE76; about 2 is just noticeable side by side


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    scaled = TO_XYZ @ rgb / WHITE
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    low, high = sorted(float(TO_XYZ[1] @ rgb) for rgb in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("names", [ROLES, SERIES])
def test_marks_of_one_figure_are_told_apart(theme: str, sight: str, names: tuple[str, ...]) -> None:
    seen = {name: lab(np.clip(np.array(SIGHT[sight]) @ linear(THEMES[theme][name]), 0, 1)) for name in names}
    close = [(a, b) for a, b in combinations(names, 2) if np.linalg.norm(seen[a] - seen[b]) < APART]
    assert close == []


@pytest.mark.parametrize("theme", THEMES)
def test_marks_and_words_stand_out_from_the_page(theme: str) -> None:
    colours = {name: linear(value) for name, value in THEMES[theme].items()}
    for ground in ("paper", "surface"):
        for name in (*ROLES, *SERIES):
            assert contrast(colours[name], colours[ground]) >= 2.9, (name, ground)
        for name in ("ink", "muted", "accent", "good", "bad", "warn"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("tint", ["student", "floor"])
def test_ink_is_legible_on_every_shade_of_the_matrix(theme: str, tint: str) -> None:
    hexes = {name: np.array([int(THEMES[theme][name][i : i + 2], 16) for i in (1, 3, 5)]) for name in (tint, "surface")}
    for step in range(11):
        share = step / 10 * DEEPEST[theme] / 100
        mixed = np.rint(share * hexes[tint] + (1 - share) * hexes["surface"]).astype(int)
        shade = "#" + "".join(f"{value:02x}" for value in mixed)
        assert contrast(linear(shade), linear(THEMES[theme]["ink"])) >= 4.5, step


def test_colour_is_never_the_only_difference() -> None:
    assert len({SYMBOLS[role] for role in ROLES}) == len(ROLES)
    assert len(set(SERIES_SYMBOLS)) == len(SERIES_SYMBOLS)


def test_tokens_resolve_to_colours_and_both_themes_are_declared() -> None:
    plot = {"a": ["var(--student)", "var(--unknown)", "student", 3], "b": {"c": "text"}}
    expected = {"a": ["#1f5fa8", "var(--unknown)", "student", 3], "b": {"c": "text"}}
    assert resolve(plot) == expected
    assert css_variables().count("--student:") == 3
    assert THEMES["light"].keys() == THEMES["dark"].keys()
