from unweave.plots.sparse_probing import draw, findings


def test_the_controls_are_drawn_beside_the_arms(synthetic, titles, references):
    _, data = draw(synthetic("full", "sparse-probing"), titles, references)
    labels = set(data.loc[data["panel"] == "A", "label"])
    assert labels == {"", "random coordinates", "shuffled labels", "raw activations"}


def test_the_data_sets_are_shown_at_the_layer_with_most_arms(synthetic, titles, references):
    _, data = draw(synthetic("full", "sparse-probing"), titles, references)
    by_dataset = data[data["panel"] == "B"]
    assert set(by_dataset["layers"]) == {"10"}
    assert set(by_dataset["dataset"]) == {"ag-news", "rotten-tomatoes", "languages"}
    assert "ica-v1" in set(by_dataset["method"])


def test_a_single_data_set_is_not_drawn_twice(synthetic, titles, references):
    figure, data = draw(synthetic("small", "sparse-probing"), titles, references)
    assert {text.get_text() for text in figure.texts} >= {"A  By layer, Rotten Tomatoes sentiment"}
    assert set(data.loc[data["panel"] == "B", "source"]) == {"published v2 (code-pkg)"}


def test_the_gain_over_random_coordinates_is_reported(synthetic, titles, references):
    scores = synthetic("small", "sparse-probing")
    _, data = draw(scores, titles, references)
    gain = scores[(scores["metric"] == "accuracy_gain") & (scores["dataset"] == "all") & (scores["x"] == 10)]
    assert f"ICA (v2: raw, 50 iterations) {gain['value'].iloc[0]:+.3f}" in findings(data, references)
