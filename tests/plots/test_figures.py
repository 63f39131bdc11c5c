"""What holds for every figure: legible, honest about its model, reproducible to the byte, and its data beside it."""

import re
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.plots.legibility import cut_off, drawn_texts, meeting

from unweave.errors import UnweaveError
from unweave.plots import nongaussianity, reconstruction, sentence_traces, sparse_probing
from unweave.plots.figure import save
from unweave.plots.selection import COLUMNS, THIS_RUN

KINDS = {
    nongaussianity: ("nongaussianity",),
    reconstruction: ("reconstruction", "patching"),
    sparse_probing: ("sparse-probing",),
    sentence_traces: ("sentence-traces",),
}


@pytest.fixture(scope="module", params=KINDS, ids=lambda module: module.__name__.rpartition(".")[2])
def kind(request) -> ModuleType:
    return request.param


@pytest.fixture(scope="module", params=("full", "small", "lone"))
def case(request, kind, synthetic, titles, references) -> tuple[pd.DataFrame, Figure, pd.DataFrame]:
    """Scores, figure and tidy data of one kind of figure for one run."""
    scores = synthetic(request.param, *KINDS[kind])
    return scores, *kind.draw(scores, titles, references)


def test_no_text_is_cut_off_and_none_is_smaller_than_8_points(case):
    _, figure, _ = case
    assert not cut_off(figure)
    assert all(text.get_fontsize() >= 8 for text in drawn_texts(figure))


def test_no_two_texts_overlap(case):
    _, figure, _ = case
    assert not meeting(figure)


def test_the_figure_says_which_arms_and_which_model_it_shows(case, titles):
    scores, figure, _ = case
    said = {text.get_text() for text in drawn_texts(figure)}
    assert {titles["methods"][method] for method in scores["method"]} <= said
    assert any("SmolLM2-135M-Instruct" in text and "not a model of the paper" in text for text in said)


def test_the_table_has_the_agreed_columns_and_values_within_their_intervals(case):
    _, _, data = case
    assert list(data.columns) == list(COLUMNS)
    assert np.isfinite(data["value"]).all()
    known = data.dropna(subset=["ci_low", "ci_high"])
    assert (known["ci_low"] <= known["value"]).all()
    assert (known["value"] <= known["ci_high"]).all()


def test_published_values_have_panels_of_their_own(case, references):
    _, _, data = case
    ours = data["source"] == THIS_RUN
    assert set(data.loc[ours, "model"]) == {"smollm2"}
    assert set(data.loc[~ours, "model"]) <= set(references.models)
    assert not set(data.loc[ours, "panel"]) & set(data.loc[~ours, "panel"])


def test_what_we_see_is_computed_for_every_run_and_lists_each_arm(case, kind, references, titles):
    scores, _, data = case
    text = kind.findings(data, references)
    assert text.startswith("**The paper**")
    assert not re.search(r"\bnan\b|inf|None", text)
    assert all(titles["methods"][method] in text for method in scores["method"])


def test_the_same_scores_give_the_same_bytes_whatever_the_readers_settings(
    kind, synthetic, titles, references, tmp_path
):
    scores = synthetic("small", *KINDS[kind])
    save(*kind.draw(scores, titles, references), tmp_path / "ours")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": None, "axes.grid": False, "text.parse_math": True}):
        save(*kind.draw(scores, titles, references), tmp_path / "theirs")
    for suffix in ("png", "svg", "csv"):
        assert (tmp_path / f"ours.{suffix}").read_bytes() == (tmp_path / f"theirs.{suffix}").read_bytes()


def test_without_titles_the_registry_keys_are_printed(kind, synthetic, references):
    figure, _ = kind.draw(synthetic("small", *KINDS[kind]), {}, references)
    assert {"ica-v2", "pca", "random"} <= {text.get_text() for text in drawn_texts(figure)}


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"model": "gpt2"}, "gpt2 resid seed 0, smollm2 resid seed 0"),
        ({"fit_seed": 3}, "smollm2 resid seed 0, smollm2 resid seed 3"),
    ],
)
def test_scores_of_two_models_or_seeds_are_refused_in_one_line(kind, other, found, synthetic, titles, references):
    scores = synthetic("small", *KINDS[kind])
    both = pd.concat([scores, scores.assign(**other)])
    with pytest.raises(UnweaveError, match=f"one model, site and seed but the scores hold {found}"):
        kind.draw(both, titles, references)


def test_missing_scores_are_named(kind, synthetic, titles, references):
    scores = synthetic("small", *KINDS[kind]).assign(metric="unheard_of")
    with pytest.raises(UnweaveError, match="no scores of"):
        kind.draw(scores, titles, references)
