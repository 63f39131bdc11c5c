import pandas as pd
import pytest
from matplotlib.text import Text

from unweave.plots.figure import save
from unweave.plots.steered_texts import draw, findings, printed
from unweave.results.scores import Score, ScoreKey, table

KEY = ScoreKey(
    model="smollm2", revision="r", site="resid", layer=10, method="ica-v2", fit_seed=0, evaluation="steered-texts",
    device="cpu", code="c", spec="s",
)  # fmt: skip
HOSTILE = "a: <script>alert(1)</script> | $x$ `y`\rnext\x1b line"
SHOWN = "a: <script>alert(1)</script> | $x$ `y` next line"
NAMES = ["feature 3", "feature 7", "feature 9", "random direction 1", "random direction 2"]


def row(metric, label, x, value):
    return Score(
        metric=metric, label=label, x_name="kl", x=x, value=value, dataset="", n=5, unit="", higher_is_better=None
    )


@pytest.fixture(scope="module")
def scores():
    rows = [row("text_loss", "no feature: plain", 0.0, 1.0)]
    for name in NAMES:
        for x in (0.5, 2.0, -0.5, -2.0):
            rows.append(row("text_loss", f"{name}: {HOSTILE}", x, 2.0 + abs(x)))
            rows.append(row("strength", f"{name}: up, |, down", x, 3.0))
    return table(KEY, rows)


@pytest.fixture
def drawn(scores, titles, references):
    return draw(scores, titles, references)


def test_both_signs_of_the_largest_divergence_are_shown_beside_the_text_without(drawn):
    figure, _ = drawn
    words = [text.get_text() for text in figure.findobj(Text)]
    assert words.count("feature 3 +") == words.count("feature 7 -") == words.count("random direction 1 +") == 1
    assert "no feature" in words
    assert "4.00" in words
    assert "2.50" not in words


def test_the_table_has_every_direction_divergence_and_sign(drawn):
    _, data = drawn
    assert (data["metric"] == "text_loss").sum() == 1 + len(NAMES) * 4
    assert (data["metric"] == "strength").sum() == len(NAMES) * 4


def test_what_the_model_wrote_is_shown_and_never_read_as_markup(scores, titles, drawn, tmp_path):
    cells = printed(scores, titles)
    save(*drawn, tmp_path / "texts", cells)
    for markdown in ((tmp_path / "texts.md").read_text(encoding="utf-8"), findings(scores, titles)):
        assert "<script>" not in markdown
        assert "&lt;script&gt;" in markdown
        assert all(
            line.replace("\\|", "").count("|") == len(cells.columns) + 1
            for line in markdown.splitlines()
            if line.startswith("|")
        )
    latex = (tmp_path / "texts.tex").read_text(encoding="utf-8")
    assert r"<script>alert(1)</script> | \$x\$" in latex
    assert "&lt;" not in latex
    assert "\x1b" not in cells.to_string()
    assert len(pd.read_csv(tmp_path / "texts.csv")) == len(drawn[1])


def test_text_is_drawn_letter_by_letter_and_no_formula(drawn):
    figure, _ = drawn
    (text,) = {text.get_text() for text in figure.findobj(Text) if "alert" in text.get_text()}
    assert text == SHOWN


def test_other_layers_are_left_out(scores, titles, references):
    both = pd.concat([scores, scores.assign(layer=20)], ignore_index=True)
    assert set(draw(both, titles, references)[1]["layers"]) == {"10"}


def test_the_order_of_score_tables_changes_no_byte_of_the_data(scores, titles, references):
    other = scores.assign(method="sasa")
    (_, one), (_, two) = (draw(pd.concat(order), titles, references) for order in ([scores, other], [other, scores]))
    pd.testing.assert_frame_equal(one, two)
