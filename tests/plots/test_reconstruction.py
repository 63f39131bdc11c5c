import pytest

from unweave.plots.reconstruction import draw, findings


def test_the_mean_over_layers_shows_only_arms_of_every_layer_and_the_layer_panel_shows_all(
    synthetic, titles, references
):
    _, data = draw(synthetic("full", "reconstruction", "patching"), titles, references)
    assert set(data.loc[data["panel"] == "A", "method"]) == {"ica-v2", "pca", "random"}
    assert "ica-v1" in set(data.loc[data["panel"] == "B", "method"])
    assert "ica-v1" in set(data.loc[data["panel"] == "C", "method"])


def test_layers_are_compared_at_ten_coefficients(synthetic, titles, references):
    _, data = draw(synthetic("full", "reconstruction"), titles, references)
    assert set(data.loc[data["panel"] == "B", "x"]) == {0, 10}


def test_without_ten_coefficients_the_nearest_count_is_taken(synthetic, titles, references):
    scores = synthetic("full", "reconstruction")
    _, data = draw(scores[scores["x"] != 10], titles, references)
    assert set(data.loc[data["panel"] == "B", "x"]) == {0, 3}


def test_without_patching_scores_the_figure_has_no_patching_panels(synthetic, titles, references):
    figure, data = draw(synthetic("full", "reconstruction"), titles, references)
    assert set(data["panel"]) == {"A", "B", "E"}
    assert "loss recovered" not in findings(data, references)
    assert len(figure.axes) == 2 + 3


def test_ours_and_published_values_at_ten_coefficients_stand_in_one_table(synthetic, titles, references):
    _, data = draw(synthetic("full", "reconstruction", "patching"), titles, references)
    text = findings(data, references)
    ours = data[(data["panel"] == "A") & (data["method"] == "ica-v2") & (data["x"] == 10)]["value"].iloc[0]
    assert f"| this run | {ours:.3f} |" in text
    assert "| GPT-2 Small (published) | 0.855 | 0.841 | 0.937 | 0.803 | 0.681 |" in text


@pytest.mark.parametrize(("boost", "said"), [(0.0, "level from k = 576"), (0.2, "level from k = 1")])
def test_where_a_control_catches_up_is_said(boost, said, synthetic, titles, references):
    scores = synthetic("full", "reconstruction")
    better = (scores["method"] == "pca") & (scores["metric"] == "cosine") & scores["x"].between(1, 300)
    scores.loc[better, ["value", "ci_low", "ci_high"]] += boost
    _, data = draw(scores, titles, references)
    assert said in findings(data, references)
