from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from unweave.plots import style

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
VISION = {
    "full colour vision": np.eye(3),
    # Severity 1.0 of Machado, Oliveira and Fernandes (2009), on linear RGB.
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def lab(colour: str, vision) -> np.ndarray:
    """CIE L*a*b* of a colour as seen with the given vision."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(np.asarray(vision) @ linear, 0, 1) / (0.9505, 1, 1.089)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(("one", "other"), [*combinations(("ica", "pca", "random", "sae"), 2)])
def test_families_that_meet_in_a_figure_differ_in_colour_for_everybody(one, other, vision):
    distance = lab(style.FAMILIES[one].colour, VISION[vision]) - lab(style.FAMILIES[other].colour, VISION[vision])
    assert np.linalg.norm(distance) > 15


def test_ica_pca_and_random_differ_in_lightness_so_that_they_read_in_grey():
    lightness = sorted(lab(style.FAMILIES[name].colour, np.eye(3))[0] for name in ("ica", "pca", "random"))
    assert min(np.diff(lightness)) > 10


def test_every_line_stands_out_from_its_ground():
    for look in style.FAMILIES.values():
        for ground in ("#FFFFFF", style.PAPER_SHADE):
            assert np.linalg.norm(lab(look.colour, np.eye(3)) - lab(ground, np.eye(3))) > 35


def test_every_family_has_a_marker_and_a_colour_of_its_own():
    looks = [*style.FAMILIES.values(), style.UNKNOWN]
    assert len({look.marker for look in looks}) == len({look.colour for look in looks}) == len(looks)


def test_arms_of_a_family_share_its_colour_and_differ_in_line_and_fill():
    faithful, raw = style.look("ica-v1"), style.look("ica-v2")
    assert (faithful.colour, faithful.marker) == (raw.colour, raw.marker)
    assert faithful.line != raw.line
    assert faithful.marks["fillstyle"] != raw.marks["fillstyle"]
    assert style.look("pca-rownorm").line == faithful.line


def test_the_ticks_of_many_layers_are_thinned_out_and_those_of_few_are_not():
    for layers, wanted in (([2, 5, 10], [2, 5, 10]), (range(32), [*range(0, 32, 4)])):
        ax = Figure().subplots()
        style.layers_axis(ax, layers)
        assert ax.get_xticks().tolist() == wanted


def test_an_unknown_family_is_drawn_and_comes_last():
    assert style.look("lens-x").colour == style.UNKNOWN.colour
    given = ["lens-x", "random", "pca-rownorm", "pca", "ica-v1", "ica-v2", "pca"]
    assert style.in_order(given) == ["ica-v2", "ica-v1", "pca", "pca-rownorm", "random", "lens-x"]


def test_arms_of_one_family_in_one_figure_have_looks_of_their_own():
    looks = [style.look(method).line for method in ("ica-v1", "ica-v2", "ica-fast", "ica-unfitted")]
    assert len(set(map(str, looks))) == len(looks)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.001, "0.001"), (0.25, "0.25"), (1000, "1000"), (1655, "1655"), (1e4, "10⁴"), (1e-4, "10⁻⁴"), (2e6, "2·10⁶")],
)
def test_ticks_are_plain_numbers_and_powers_of_ten_where_those_are_long(value, written):
    ax = Figure().subplots()
    ax.set_xscale("log")
    ax.set_xlim(value / 3, value * 3)
    style.plain_numbers(ax.xaxis)
    assert ax.xaxis.get_major_formatter()(value) == written


def test_few_values_stand_beside_those_of_other_arms_with_their_intervals_as_bars():
    ax = Figure().subplots()
    few = pd.DataFrame({"x": [1.0, 2.0], "value": [1.0, 2.0], "ci_low": [0.5, 1.5], "ci_high": [1.5, 2.5]})
    for shift in (-2, 2):
        style.curve(ax, few, style.look("ica-v2"), shift=shift)
    left, right = (line.get_transform().transform((1.0, 1.0)) for line in ax.lines)
    assert right[0] - left[0] == pytest.approx(4 / 72 * ax.figure.dpi)
    assert right[1] == left[1]
    assert len(ax.collections) == 2
    limits = ax.get_xlim()
    assert limits == pytest.approx((0.95, 2.05))
