from matplotlib.text import Text

from unweave.plots.nongaussianity import draw, findings
from unweave.plots.selection import corpora


def test_the_held_out_corpus_is_the_one_that_judges(synthetic):
    assert corpora(synthetic("full", "nongaussianity")) == ("news-heldout", "news")


def test_without_a_held_out_corpus_the_only_one_is_named_as_what_it_is(synthetic, titles, references):
    scores = synthetic("lone", "nongaussianity")
    assert corpora(scores) == ("news", None)
    _, data = draw(scores, titles, references)
    assert "mean excess kurtosis on news" in findings(data, references)
    assert "held-out" not in findings(data, references)


def test_the_order_of_the_arms_is_counted_layer_by_layer(synthetic, titles, references):
    scores = synthetic("full", "nongaussianity")
    swapped = (scores["layer"] == 20) & (scores["x_name"] == "") & (scores["metric"] == "excess_kurtosis")
    ica, pca = scores["method"] == "ica-v2", scores["method"] == "pca"
    columns = ["value", "ci_low", "ci_high"]
    ica_values, pca_values = (
        scores.loc[swapped & ica, columns].to_numpy(),
        scores.loc[swapped & pca, columns].to_numpy(),
    )
    scores.loc[swapped & ica, columns], scores.loc[swapped & pca, columns] = pca_values, ica_values
    _, data = draw(scores, titles, references)
    expected = (
        "ICA (v2: raw, 50 iterations) against PCA (raw): mean excess kurtosis higher at 4, lower at 1 of 5 layers"
    )
    assert expected in findings(data, references)


def test_the_spread_is_drawn_for_unseen_text_only(synthetic, titles, references):
    _, data = draw(synthetic("full", "nongaussianity"), titles, references)
    assert set(data.loc[data["panel"] == "B", "dataset"]) == {"news-heldout"}
    assert set(data.loc[data["panel"] == "A", "dataset"]) == {"news", "news-heldout", "news-heldout-all"}


def test_the_effect_of_massive_tokens_is_shown_and_said(synthetic, titles, references):
    scores = synthetic("full", "nongaussianity")
    figure, data = draw(scores, titles, references)
    assert "with massive tokens" in {text.get_text() for text in figure.findobj(Text)}
    assert "Random basis (raw): with the massive tokens the mean on the same documents is" in findings(data, references)
    _, without = draw(scores[scores["dataset"] != "news-heldout-all"], titles, references)
    assert "massive" not in findings(without, references)
