import pandas as pd
import pytest

from unweave.plots.sentences import claim, count_leads, fair_pairs, grid, setup, span
from unweave.results.references import References


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
    assert "2 numbers known, 12 unknown" in claim(references, "fig3_nongaussianity")
    assert "252 numbers known, 0 unknown" in claim(references, "sparse_probing")


@pytest.fixture
def published():
    """Claim about one item with these tables."""

    def said(*tables):
        references = References(
            title="T",
            arxiv="1234.5678",
            models={"gpt2": "GPT-2 Small"},
            methods={"ica": "ICA", "sae": "public SAE"},
            items={"one": {"printed_as": "Table 1", "claim": "It works.", "tables": tables}},
        )
        return claim(references, "one")

    return said


def a_table(**changes):
    return {"metric": "cosine", "version": "v2", "source": "docs", "digits": 2, "values": {"gpt2": {"ica": [0.5]}}} | (
        changes
    )


def test_published_numbers_are_listed_apart_from_ours_with_their_version_and_source(published):
    text = published(a_table(at={"k": 10}, layers={"gpt2": [2, 5]}, note="Six domains."))
    assert "| cosine, k = 10 | v2, docs (1) | GPT-2 Small, layers 2, 5 | ICA | 0.50 |" in text
    assert "1. Six domains." in text
    assert "docs (the authors' pages and notebooks)" in text
    order = ["**The paper** (Table 1): It works.", "**Published** (arXiv 1234.5678, not measured here", "| cosine"]
    places = [text.index(part) for part in [*order, "**Measured here**"]]
    assert places == sorted(places)
    assert text.endswith("**Measured here**:\n")


def test_published_numbers_run_across_and_tables_of_the_same_x_are_one_grid(published):
    text = published(
        a_table(x_name="k", x=[1, 3], values={"gpt2": {"ica": [0.5, 0.25], "sae": [0.75, None]}}),
        a_table(metric="nmse", x_name="k", x=[1, 3], values={"gpt2": {"ica": [0.1, 0.2]}}),
    )
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines == [
        "| published metric by k | version, source (note) | model | method | 1 | 3 |",
        "| --- | --- | --- | --- | --- | --- |",
        "| cosine | v2, docs | GPT-2 Small | ICA | 0.50 | 0.25 |",
        "| cosine | v2, docs | GPT-2 Small | public SAE | 0.75 | unknown |",
        "| nmse | v2, docs | GPT-2 Small | ICA | 0.10 | 0.20 |",
    ]


def test_a_long_list_of_published_numbers_goes_on_in_another_grid(published):
    text = published(a_table(x_name="layer", values={"gpt2": {"ica": [layer / 100 for layer in range(11)]}}))
    first, second = [line for line in text.splitlines() if line.startswith("| cosine")]
    assert first.endswith("| 0.05 | 0.06 | 0.07 |")
    assert second == "| cosine | v2, docs | GPT-2 Small | ICA | 0.08 | 0.09 | 0.10 |"
    assert "| method | 8 | 9 | 10 |" in text


def test_methods_of_which_nothing_is_known_share_a_row(published):
    text = published(a_table(digits=None, values={"gpt2": {"ica": None, "sae": None}}))
    assert "| GPT-2 Small | ICA, public SAE | unknown |" in text


def test_codes_of_x_are_named(published):
    text = published(a_table(x_name="day", x=[0, 6], x_titles=["Monday", "Sunday"], values={"gpt2": {"ica": [1, 2]}}))
    assert "| published metric by day | version, source (note) | model | method | Monday | Sunday |" in text


def test_published_text_is_shown_as_it_stands(published):
    text = published(a_table(metric="ce_recovered", note="a | b, *not* <i>"))
    assert "| ce\\_recovered |" in text
    assert "1. a \\| b, \\*not\\* &lt;i&gt;" in text


def test_the_setup_names_model_texts_and_the_layers_of_each_arm(synthetic, titles, references):
    text = setup(synthetic("full", "nongaussianity"), titles, references)
    assert "SmolLM2-135M-Instruct (4-bit-rounded weights), not a model of the paper" in text
    assert "ICA (v2: raw, 50 iterations) at layers 2, 5, 10, 15, 20" in text
    assert "PCA (unit rows) at layer 10" in text
    assert "(`news-heldout`)" in text
