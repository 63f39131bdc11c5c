import pytest
from matplotlib.text import Text
from tests.plots.legibility import cut_off, meeting

from unweave.errors import UnweaveError
from unweave.plots.ridgeline import draw, findings

ARMS = ["ica-v1", "pca"]


@pytest.fixture(scope="module")
def drawn(synthetic, titles, references):
    return draw(synthetic("full", "sentence-traces"), titles, references, ARMS)


def test_both_arms_have_a_panel_and_all_arms_a_run_length(drawn, titles):
    figure, data = drawn
    assert [set(data.loc[data["panel"] == letter, "method"]) for letter in "AB"] == [{"ica-v1"}, {"pca"}]
    assert set(data.loc[data["panel"] == "C", "method"]) == set(titles["methods"])
    assert not cut_off(figure)
    assert not meeting(figure)


def test_rows_are_the_strongest_features_of_the_sentence_in_the_order_of_its_tokens(synthetic, drawn):
    scores = synthetic("full", "sentence-traces")
    figure, data = drawn
    shown = data[data["panel"] == "A"]
    words = set(shown["x"])
    arm = scores[(scores["method"] == "ica-v1") & scores["x"].isin(words)]
    tops = arm[(arm["metric"] == "top_component") & (arm["label"] == "1")].sort_values("x")
    assert list(dict.fromkeys(shown["label"])) == [str(int(value)) for value in dict.fromkeys(tops["value"])]
    assert {*shown["label"]} <= {text.get_text() for text in figure.findobj(Text)}
    sentence = arm[arm["metric"] == "document"]
    assert sentence["value"].nunique() == 1
    assert len(words) == len(sentence)


def test_the_text_gives_each_run_length_beside_that_of_shuffled_tokens(drawn, references):
    _, data = drawn
    text = findings(data, references)
    assert text.startswith("**The paper**")
    assert "2.00 (1.50 to 2.50) | 1.20 (1.10 to 1.40) | 40" in text


def test_an_arm_without_traces_is_named(synthetic, titles, references):
    with pytest.raises(UnweaveError, match="no traces of sae-topk: add it to the methods of sentence-traces"):
        draw(synthetic("small", "sentence-traces"), titles, references, ["ica-v2", "sae-topk"])
