import pytest
from matplotlib.lines import Line2D
from matplotlib.text import Text

from unweave.plots.sentence_traces import draw, findings


@pytest.fixture(scope="module")
def drawn(synthetic, titles, references):
    return draw(synthetic("full", "sentence-traces"), titles, references)


def test_the_arm_of_the_papers_first_version_is_shown(drawn):
    _, data = drawn
    assert set(data.loc[data["panel"] == "A", "method"]) == {"ica-v1"}


def test_the_two_components_that_separate_the_senses_most_are_traced(drawn):
    figure, data = drawn
    assert set(data.loc[data["metric"] == "code", "label"]) == {"17", "23"}
    assert {"component 17", "component 23"} <= {text.get_text() for text in figure.findobj(Text)}


def test_every_token_is_printed_as_it_is_read_dollars_included(drawn):
    figure, _ = drawn
    words = {text.get_text() for text in figure.findobj(Text)}
    assert {"$", "bank", "mortgage", "elled", "."} <= words


def test_the_table_holds_more_ranks_than_the_picture(drawn):
    _, data = drawn
    assert set(data.loc[data["metric"] == "top_component", "label"]) == {"1", "2", "3", "4", "5"}


def test_every_arm_is_tested_against_relabelled_sentences(drawn, titles):
    figure, data = drawn
    chance = figure.axes[-1]
    assert len(chance.findobj(Line2D)) >= 2 * 6
    assert set(data.loc[data["panel"] == "B", "method"]) == set(titles["methods"])


def test_the_text_says_that_one_in_three_is_no_evidence(drawn, references):
    _, data = drawn
    text = findings(data, references)
    assert "rank 1 of 3 with probability 0.33: rank 1 alone is no evidence" in text
    assert "Component 17 is on average 6.0 in the financial sentences, -1.0 in the river sentences" in text


def test_components_shared_within_and_between_senses_are_counted(synthetic, titles, references):
    scores = synthetic("small", "sentence-traces")
    targets = scores[(scores["metric"] == "target") & (scores["method"] == "ica-v2")]
    for _, row in targets.iterrows():
        here = (scores["method"] == "ica-v2") & (scores["metric"] == "top_component") & (scores["x"] == row["x"])
        start = 0 if row["label"] == "financial" else 3
        scores.loc[here, "value"] = [float(start + i) for i in range(5)]
    _, data = draw(scores, titles, references)
    said = "two sentences of the same sense share 5.0 on average, two of different senses 2.0"
    assert said in findings(data, references)
