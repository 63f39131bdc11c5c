import pandas as pd
import pytest
from matplotlib.text import Text

from unweave.config import PROJECT
from unweave.errors import UnweaveError
from unweave.plots.calendar_units import draw, findings
from unweave.results.references import read as read_references
from unweave.results.scores import read

ARMS = ["sasa", "sae-topk"]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return read([PROJECT / "resources/frozen/temporal-geometry.parquet"])


@pytest.fixture(scope="module")
def drawn(scores, titles):
    return draw(scores, titles, read_references("sasa"), ARMS)


def test_the_first_arm_is_followed_along_prompts_and_each_has_its_components(drawn):
    figure, data = drawn
    assert [set(data.loc[data["panel"] == letter, "method"]) for letter in "ABC"] == [{"sasa"}, {"sasa"}, {"sae-topk"}]
    assert set(data.loc[data["panel"] == "A", "metric"]) == {"norm"}
    assert {"Monday", "… March", "engine"} <= {text.get_text() for text in figure.findobj(Text)}


def test_the_legend_names_the_terms_in_the_order_of_the_calendar(drawn):
    figure, _ = drawn
    said = [text.get_text() for text in figure.artists[0].get_texts()]
    assert said[2:5] == ["Monday", "Tuesday", "Wednesday"]
    assert said[-2:] == ["November", "December"]


def test_the_text_compares_the_norm_at_terms_with_that_at_other_tokens(drawn):
    _, data = drawn
    text = findings(data, read_references("sasa"))
    assert "on average at the 2 weekdays of the prompts" in text
    assert "at their other 31 tokens" in text


def test_an_arm_without_units_is_named(scores, titles):
    with pytest.raises(UnweaveError, match="no units of kmeans: add it to the methods of temporal-geometry"):
        draw(scores, titles, read_references("sasa"), ["sasa", "kmeans"])
