import numpy as np
import pandas as pd
import pytest
from tests.plots.legibility import drawn_texts

from unweave.errors import UnweaveError
from unweave.plots import grand
from unweave.plots.comparison import draw, findings, printed
from unweave.plots.panel import Panel, Selection
from unweave.results.references import read
from unweave.results.scores import Score, ScoreKey, table

TITLES = {"methods": {"ica-v2": "ICA", "sae-topk": "SAE", "snmf": "Semi-NMF"}, "models": {"m": "A small model"}}
POINTS = [[Panel("tpp", "TPP", "accuracy", label="", control="random", limit=0)]]
CURVES = [[Panel("fve", "FVE", "share", "k", log_x=True)]]


def rows(method, layer=10, site="resid", model="m", revision="r", value=0.5):
    place = {"model": model, "revision": revision, "site": site, "layer": layer, "method": method, "fit_seed": 0}
    key = ScoreKey(**place, evaluation="tpp", device="cpu", code="c", spec="s")
    score = {"n": 9, "unit": "1", "higher_is_better": True}
    made = []
    for dataset, offset in (("one", 0.0), ("two", 0.2)):
        for label, level in (("", value + offset), ("random", 0.0)):
            low, high = level - 0.1, level + 0.1
            made.append(
                Score(metric="tpp", value=level, ci_low=low, ci_high=high, dataset=dataset, label=label, **score)
            )
    made += [
        Score(metric="fve", value=x / 100, ci_low=0.0, ci_high=1.0, dataset="one", x_name="k", x=x, **score)
        for x in (1, 10, 100)
    ]
    return table(key, made)


@pytest.fixture
def scores():
    tables = [rows("ica-v2"), rows("sae-topk", value=0.3), rows("ica-v2", layer=2), rows("snmf", site="mlp_neurons")]
    tables.append(rows("sae-topk", model="m-untrained", revision="r, random weights 0", value=0.1))
    return pd.concat(tables, ignore_index=True)


def test_arms_at_other_sites_and_of_other_models_are_named(scores):
    selection = Selection.of(scores, TITLES)
    assert selection.layer == 10
    assert [selection.titles[arm] for arm in selection.arms] == [
        "ICA",
        "SAE",
        "Semi-NMF at the MLP neurons",
        "SAE, model without training",
    ]


def test_curves_are_of_the_layer_that_the_foot_names(scores):
    arms = [rows("ica-v2", layer=2, value=0.9), rows("ica-v2"), rows("snmf"), rows("sae-topk")]
    figure, data = draw(pd.concat(arms, ignore_index=True), TITLES, read("ica"), CURVES, ("ica-v2",))
    assert any("layer 10" in text.get_text() for text in drawn_texts(figure))
    assert set(data["layers"]) == {"10"}


def test_arms_without_a_number_are_named_in_the_order_of_the_arms():
    arms = ["bae", "ica-v2", "kmeans", "pca", "random", "sae-topk", "sasa", "snmf"]
    lacking = [rows(arm).query("metric == 'fve'") for arm in arms]
    scores = pd.concat([rows("diffmeans"), *lacking], ignore_index=True)
    panels = [[*POINTS[0], Panel("fve", "FVE", "share", "k", at=10)]]
    figure, _ = draw(scores, {}, read("ica"), panels)
    places = [text.get_position()[1] for text in drawn_texts(figure) if text.get_text() == "not measured"]
    assert len(places) == len(arms)
    assert places == sorted(places, reverse=True)


def test_points_are_means_over_corpora_beside_their_control(scores):
    _, data = draw(scores, TITLES, read("ica"), POINTS)
    own = data[data["label"] == ""].set_index("title")["value"]
    assert own["ICA"] == pytest.approx(0.6)
    assert own["SAE, model without training"] == pytest.approx(0.2)
    assert set(data["label"]) == {"", "random"}
    assert set(data["dataset"]) == {"one two"}


def test_one_corpus_can_be_chosen(scores):
    panels = [[Panel("tpp", "TPP", "accuracy", dataset="two")]]
    _, data = draw(scores, TITLES, read("ica"), panels)
    assert data.set_index("title")["value"]["ICA"] == pytest.approx(0.7)


def test_curves_show_the_leading_arms_and_layers_can_be_an_axis(scores):
    _, data = draw(scores, TITLES, read("ica"), CURVES, headline=("ica-v2",))
    assert set(data["title"]) == {"ICA"}
    assert data["x"].tolist() == [1, 10, 100]
    by_layer = [[Panel("tpp", "TPP", "accuracy", "layer", "layer")]]
    _, data = draw(scores, TITLES, read("ica"), by_layer, headline=("ica-v2",))
    assert data["x"].tolist() == [2, 10]


def test_a_point_of_a_curve_can_stand_alone(scores):
    panels = [[Panel("fve", "FVE", "share", "k", at=10)]]
    _, data = draw(scores, TITLES, read("ica"), panels)
    assert (data["value"] == 0.1).all()


def test_what_was_not_measured_is_named(scores):
    with pytest.raises(UnweaveError, match=r"no scores of scr \(the arms\): add its evaluation"):
        draw(scores, TITLES, read("ica"), [[Panel("scr", "SCR", "share")]])


def test_findings_and_printed_cells_hold_the_intervals(scores):
    _, data = draw(scores, TITLES, read("ica"), POINTS)
    text = findings(data, POINTS)
    assert text.index("| ICA | 0.6 (0.5 to 0.7) | 0 |") < text.index("| SAE | 0.4 (0.3 to 0.5) | 0 |")
    cells = printed(data, POINTS)
    assert cells.columns.tolist() == ["arm", "TPP (accuracy)"]
    assert cells.loc[cells["arm"] == "ICA", "TPP (accuracy)"].item() == "0.6 (0.5 to 0.7)"


def said(figure):
    return [text.get_text() for text in drawn_texts(figure)]


def test_two_panels_of_a_table_cannot_be_the_same_column(scores):
    twice = [[*POINTS[0], Panel("tpp", "TPP", "accuracy", dataset="two")]]
    _, data = draw(scores, TITLES, read("ica"), twice)
    with pytest.raises(UnweaveError, match=r"two panels of the table are called 'TPP \(accuracy\)'"):
        printed(data, twice)


def test_the_foot_names_the_model_or_that_data_were_planted_and_the_panels_without_intervals(scores):
    figure, _ = draw(scores, TITLES, read("ica"), [*POINTS, *CURVES])
    assert "A small model, not a model of the paper (arXiv 2606.11722); layer 10" in said(figure)
    bare = scores.assign(ci_low=scores["ci_low"].where(scores["metric"] != "tpp"))
    figure, _ = draw(bare, TITLES, read("ica"), [*POINTS, *CURVES], planted=True)
    assert "planted data, no language model takes part (arXiv 2606.11722)\nno interval: A" in said(figure)


def test_the_legend_names_controls_limits_and_intervals(scores):
    panels = [[Panel("tpp", "TPP", "accuracy", control="random", control_title="chance units", limit=0)], *CURVES]
    figure, _ = draw(scores, TITLES, read("ica"), panels, headline=("ica-v2",))
    assert {"ICA", "control: chance units", "chance", "value and 95 % interval"} <= set(said(figure))


def test_what_is_nothing_has_a_mark_on_a_logarithmic_axis_and_what_is_missing_is_said_to_be(scores):
    nothing = scores.assign(value=scores["value"].where(scores["method"] != "snmf", 0.0))
    only_ica = scores[scores["method"].eq("ica-v2") & scores["metric"].eq("tpp")].assign(metric="scr")
    panels = [[Panel("tpp", "TPP", "accuracy", log_x=True), Panel("scr", "SCR", "share")]]
    figure, _ = draw(pd.concat([nothing, only_ica]), TITLES, read("ica"), panels)
    left, right = ([text.get_text() for text in ax.texts] for ax in figure.axes)
    assert left == ["0"]
    assert right == ["not measured"] * 3


def test_what_all_arms_share_is_drawn_once(scores):
    figure, data = draw(scores, TITLES, read("ica"), CURVES, headline=("ica-v2", "sae-topk"))
    assert len(figure.axes[0].lines) == 1
    assert "the same for all arms" in said(figure)
    assert set(data["title"]) == {"ICA", "SAE", "SAE, model without training"}


def test_values_without_an_order_are_named_and_not_joined(scores):
    panels = [[Panel("fve", "Start", "share", "k", categories=("random", "k-means", "SVD"))]]
    chosen = scores[scores["method"].eq("ica-v2")].assign(x=scores["x"].replace({10.0: 2.0, 100.0: 3.0}))
    figure, _ = draw(chosen, TITLES, read("ica"), panels, headline=("ica-v2",))
    assert {"random", "k-means", "SVD"} <= set(said(figure))
    assert figure.axes[0].lines[0].get_linestyle() == "None"


def test_the_same_scores_give_the_same_figure(scores, tmp_path):
    from unweave.plots.figure import save

    for name in ("a", "b"):
        figure, data = draw(scores.sample(frac=1, random_state=len(name)), TITLES, read("ica"), [*POINTS, *CURVES])
        save(figure, data, tmp_path / name, printed(data, POINTS))
    for suffix in (".png", ".svg", ".csv", ".md", ".tex"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_the_best_arm_of_a_criterion_ranks_first_and_overlapping_ones_are_tied(scores):
    tpp = scores[scores["metric"] == "tpp"].assign(x_name="n", x=10.0)
    _, found = grand.table_of(tpp, TITLES)
    assert set(found["heading"]) == {"TPP, 10 features"}
    ranks = found.set_index("title")["rank"]
    assert ranks["SAE"] == 3
    assert ranks["ICA"] == 1.5
    assert found.set_index("title")["tied"]["SAE"]
    assert not found["title"].str.contains("without training").any()
    _, data = grand.draw(tpp, TITLES)
    assert grand.printed(data).set_index("arm")["TPP, 10 features"]["ICA"] == "0.6*"
    assert "TPP, 10 features" in grand.findings(data)


def test_what_is_printed_alike_has_the_same_rank_and_nobody_is_tied_without_an_interval(scores):
    tpp = scores[scores["metric"] == "tpp"].assign(x_name="n", x=10.0)
    near = tpp.assign(value=0.5 + 1e-4 * tpp["method"].eq("ica-v2").astype(float), ci_low=np.nan, ci_high=np.nan)
    _, found = grand.table_of(near, TITLES)
    assert set(found["rank"]) == {2.0}
    assert not found["tied"].any()


def test_budgets_are_shown_and_not_ranked(scores):
    l0 = scores[scores["metric"] == "tpp"].assign(metric="l0", label="without the first position")
    _, found = grand.table_of(l0, TITLES)
    assert np.isnan(found["rank"]).all()
    assert not found["tied"].any()


def test_a_method_at_two_sites_has_two_lines_of_one_colour(scores):
    there = pd.concat([scores, rows("ica-v2", site="mlp_neurons")], ignore_index=True)
    selection = Selection.of(there, TITLES)
    here, other = (selection.look(f"m {site} ica-v2") for site in ("resid", "mlp_neurons"))
    assert here.colour == other.colour
    assert here.line != other.line


def test_curves_are_read_at_the_last_point_of_each(scores):
    short = scores[~(scores["method"].eq("sae-topk") & scores["x"].eq(100))]
    _, data = draw(short, TITLES, read("ica"), CURVES, headline=("ica-v2", "sae-topk"))
    text = findings(data, CURVES)
    assert "share at the last k" in text
    assert "| ICA | 1 (0 to 1) |" in text
    assert "| SAE | 0.1 (0 to 1) |" in text
