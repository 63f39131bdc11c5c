import pandas as pd
import pytest

from unweave.errors import UnweaveError
from unweave.plots.selection import measured, over_layers, over_unseen, text_of


def test_the_mean_over_layers_leaves_out_arms_that_are_not_at_every_layer(synthetic):
    mean = over_layers(measured(synthetic("full", "reconstruction"), "cosine"))
    assert set(mean["method"]) == {"ica-v2", "pca", "random"}
    assert set(mean["layers"]) == {"2 5 10 15 20"}


def test_the_mean_over_layers_is_the_plain_mean_and_its_interval_is_as_wide_as_a_layers(synthetic):
    rows = measured(synthetic("full", "reconstruction"), "cosine")
    mean = over_layers(rows).set_index(["method", "x"])
    pca = rows[(rows["method"] == "pca") & (rows["x"] == 10)]
    assert mean.loc[("pca", 10), "value"] == pytest.approx(pca["value"].mean())
    widths = pca["ci_high"] - pca["ci_low"]
    assert mean.loc[("pca", 10), "ci_high"] - mean.loc[("pca", 10), "ci_low"] == pytest.approx(widths.mean())


def test_one_layer_is_its_own_mean(synthetic):
    rows = measured(synthetic("small", "reconstruction"), "cosine")
    mean = over_layers(rows)
    assert mean["value"].tolist() == pytest.approx(rows["value"].tolist())
    assert text_of(mean["layers"].iloc[0]) == "layer 2"


def test_corpora_are_averaged_without_those_that_others_were_held_out_of(synthetic):
    rows = measured(synthetic("small", "reconstruction"), "cosine", dataset="news-heldout")
    seen = rows.assign(dataset="news", value=0.0)
    other = rows.assign(dataset="code", value=rows["value"] + 0.1)
    mean = over_unseen(pd.concat([rows, seen, other]))
    assert set(mean["dataset"]) == {"code news-heldout"}
    assert mean["value"].tolist() == pytest.approx((rows["value"] + 0.05).tolist())


def test_absent_scores_are_an_error_that_names_them():
    none = pd.DataFrame({"metric": [], "x_name": [], "label": [], "dataset": []})
    with pytest.raises(UnweaveError, match="no scores of cosine with 'k': add its evaluation"):
        measured(none, "cosine", x_name="k")
