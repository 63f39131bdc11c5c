import pandas as pd

from unweave.plots.sentences import claim, count_leads, fair_pairs, grid, setup, span


def arm(values, half_width):
    return pd.DataFrame(
        {
            "layers": [str(i) for i in range(len(values))],
            "ci_low": [value - half_width for value in values],
            "ci_high": [value + half_width for value in values],
        }
    )


def test_a_lead_counts_only_where_the_intervals_part():
    count = count_leads(arm([1.0, 2.0, 3.0], 0.3), arm([2.0, 1.0, 3.1], 0.3), on=["layers"])
    assert count == "higher at 1, lower at 1, not told apart (intervals overlap) at 1 of 3 layers"


def test_arms_without_a_common_layer_are_not_compared():
    assert count_leads(arm([1.0], 0.1), arm([2.0], 0.1).assign(layers="7"), on=["layers"]) is None


def test_ica_is_compared_only_with_controls_on_the_same_rows():
    pairs = fair_pairs(["random", "ica-v1", "pca", "ica-v2", "pca-rownorm"])
    assert pairs == [("ica-v2", "pca"), ("ica-v2", "random"), ("ica-v1", "pca-rownorm")]


def test_a_span_of_equal_numbers_is_one_number():
    assert span(pd.Series([1.0, 1.0001])) == "1"
    assert span(pd.Series([2.0, 0.5]), ".1f") == "0.5 to 2.0"


def test_a_grid_is_a_markdown_table():
    assert grid(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"


def test_the_papers_claim_comes_with_the_number_of_values_behind_it(references):
    assert "(0 published numbers on file, 12 unknown" in claim(references, "fig3_nongaussianity")
    assert "(252 published numbers on file, 0 unknown" in claim(references, "sparse_probing")


def test_the_setup_names_model_texts_and_the_layers_of_each_arm(synthetic, titles, references):
    text = setup(synthetic("full", "nongaussianity"), titles, references)
    assert "SmolLM2-135M-Instruct (4-bit-rounded weights), not a model of the paper" in text
    assert "ICA (v2: raw, 50 iterations) at layers 2, 5, 10, 15, 20" in text
    assert "PCA (unit rows) at layer 10" in text
    assert "(`news-heldout`)" in text
