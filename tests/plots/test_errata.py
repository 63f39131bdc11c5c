import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from unweave.plots import errata, style
from unweave.results.errata import COLUMNS, Erratum
from unweave.results.references import read

TITLES = {"models": {"m": "A small model"}}
SCORES = pd.DataFrame({"model": ["m"]})


def row(erratum, compared, faithful, fixed, unit="1"):
    """Numbers are (value, low, high), or values without an interval."""
    sides = {"faithful": faithful, "fixed": fixed}
    numbers = {name: side if isinstance(side, tuple) else (side, None, None) for name, side in sides.items()}
    made = {"erratum": erratum, "problem": "P", "done": "D", "compared": compared, "unit": unit}
    for name, (value, low, high) in numbers.items():
        made |= {name: value, f"{name}_low": low, f"{name}_high": high}
    if None not in (numbers["faithful"][0], numbers["fixed"][0]):
        made["difference"] = numbers["fixed"][0] - numbers["faithful"][0]
    if None not in (*numbers["faithful"], *numbers["fixed"]):
        made |= {"ci_low": made["difference"] - 0.1, "ci_high": made["difference"] + 0.1}
    return made


def table(*rows):
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def entry(title="T", compared=False, **changes):
    numbers = {"what": "W", "where": {"evaluation": "e", "metric": "m", "method": "a"}, "faithful": {}, "fixed": {}}
    texts = {"title": title, "problem": "P", "done": "D", **changes}
    return Erratum.model_validate({**texts, "compared": [numbers] if compared else []})


@pytest.fixture
def drawn():
    figure = errata.draw(
        table(
            row("First", "A number whose name is as long as names of numbers come to be", 2.0, 1.0, "dimensions"),
            row("First", "Zero", (0.0, 0.0, 0.0), (1.0, 0.5, 2.0), "0 to 2"),
            row("Last", "Not run", None, 3.0),
            row("Last", "Below zero", (-0.5, -1.0, 0.0), (1.0, 0.5, 1.5)),
        ),
        SCORES,
        TITLES,
        read("ica"),
    )
    FigureCanvasAgg(figure).draw()
    return figure


def texts_of(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def test_no_text_leaves_the_page(drawn):
    for text in texts_of(drawn):
        box = text.get_window_extent()
        assert box.x0 >= 0, text.get_text()
        assert box.x1 <= drawn.bbox.x1, text.get_text()


def test_units_stand_in_brackets_behind_both_numbers(drawn):
    said = {text.get_text() for text in texts_of(drawn)}
    assert {"2 → 1 (dimensions)", "0 → 1 (of 2)", "not measured → 3", "-0.5 → 1"} <= said


def test_the_last_rows_carry_the_axis_of_all_of_them(drawn):
    first, last = drawn.axes
    assert first.get_xlim() == last.get_xlim()
    assert not len(first.get_xticks())
    assert last.get_xticks().tolist() == [0, 0.5, 1]
    assert "share" in last.get_xlabel()


def test_every_row_is_scaled_to_its_largest_number_with_intervals(drawn):
    marks = [line for ax in drawn.axes for line in ax.lines if line.get_marker() in ("X", "o")]
    found = [float(line.get_xdata()[0]) for line in marks]
    assert found[:4] == [1.0, 0.5, 0.0, 0.5]
    assert found[5:] == pytest.approx([1.0, -1 / 3, 2 / 3])


def test_marks_at_the_edge_are_whole(drawn):
    assert not any(line.get_clip_on() for ax in drawn.axes for line in ax.lines if line.get_marker() in ("X", "o"))


def test_the_colours_of_both_sides_are_those_of_no_method():
    colours = {colour for colour, _, _ in errata.SIDES.values()}
    assert not colours & {look.colour for look in (*style.FAMILIES.values(), style.UNKNOWN)}


def test_numbers_without_an_interval_are_printed_as_such():
    cells = errata.printed(table(row("T", "W", 1695.2, (0.25, 0.125, 0.5)))).iloc[0]
    assert cells["faithful"] == "1695 (no interval)"
    assert cells["fixed"] == "0.25 (0.125 to 0.5)"


def test_a_number_that_was_not_measured_is_printed_as_such():
    assert errata.printed(table(row("T", "W", None, 1.0)))["faithful"].tolist() == ["not measured"]


def test_the_change_has_an_interval_only_if_both_numbers_have_one():
    entries = [entry("One", compared=True), entry("Two", compared=True), entry("Three", compared=True)]
    rows = table(
        row("One", "W", (1.0, 0.9, 1.1), (2.0, 1.9, 2.1)), row("Two", "W", 1.0, 2.0), row("Three", "W", None, 2.0)
    )
    ends = [line.split(" | ")[-1] for line in errata.findings(entries, rows).splitlines() if line.startswith("| W")]
    assert ends == ["+1 (+0.9 to +1.1) |", "+1 |", " |"]


def test_what_is_only_noted_is_listed_after_the_numbers():
    said = errata.findings(
        [entry("Noted", done="We do it too."), entry("Shown", compared=True)], table(row("Shown", "W", 1.0, 2.0))
    )
    numbers, heading, noted = said.partition("### Noted, without numbers")
    assert "**Shown.** P D" in numbers
    assert heading
    assert noted.strip() == "- **Noted.** P We do it too."


def test_without_noted_errata_there_is_no_heading_for_them():
    said = errata.findings([entry(compared=True)], table(row("T", "W", 1.0, 2.0)))
    assert "Noted" not in said


def test_nothing_in_a_text_is_read_as_markup():
    said = errata.findings(
        [entry("A_b", problem="g(1 - g) * |g|", done="$x$ < 1"), entry("C*", compared=True)],
        table(row("C*", "a|b", 1.0, 2.0)),
    )
    assert "**A\\_b.** g(1 - g) \\* \\|g\\| \\$x\\$ &lt; 1" in said
    assert "| a\\|b |" in said
