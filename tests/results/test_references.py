from typing import get_args

import pytest
import yaml

from unweave.errors import UnweaveError
from unweave.results.references import COLUMNS, REFERENCES, SOURCES, Source, Table, read

PAPERS = [path.stem for path in sorted(REFERENCES.glob("*.yaml"))]


@pytest.fixture(scope="module")
def ica():
    return read("ica")


def values(table, **wanted):
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


@pytest.mark.parametrize("paper", PAPERS)
def test_every_published_number_has_a_source_a_version_and_its_printed_digits(paper):
    references = read(paper)
    for item in references.items:
        table = references.table(item)
        assert list(table.columns) == list(COLUMNS)
        assert table[["source", "version", "model_title"]].notna().all(axis=None)
        known = table[table["value"].notna()]
        assert known["digits"].notna().all()
        rounded = [round(value, int(digits)) for value, digits in zip(known["value"], known["digits"], strict=True)]
        assert rounded == pytest.approx(known["value"].tolist(), abs=1e-12)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_model_and_method_of_a_paper_has_a_title(paper):
    references = read(paper)
    tables = [references.table(item) for item in references.items]
    assert {model for table in tables for model in table["model"]} <= references.models.keys()
    assert {method for table in tables for method in table["method"]} <= references.methods.keys()


def test_numbers_of_a_rerun_are_not_those_of_the_paper():
    table = read("sasa").table("table1_fidelity")
    known = table[table["value"].notna()]
    assert set(known.loc[known["source"] == "review", "model"]) == {"mistral-7b"}
    assert set(known.loc[known["source"] == "fork", "model"]) == {"gpt2"}


def test_a_number_is_written_with_its_printed_digits():
    table = Table(metric="l0", version="v1", source="fork", digits=1, values={"gpt2": {"sasa": [60]}})
    assert [table.printed(60), table.printed(None)] == ["60.0", "unknown"]


def test_every_source_says_where_it_is():
    assert tuple(SOURCES) == get_args(Source)


def test_the_published_mean_over_layers_agrees_with_the_published_layers(ica):
    table = values(ica.table("fig7_reconstruction"), metric="cosine")
    by_layer = values(table, x_name="layer", at="k=10").groupby(["model", "method"])["value"].mean()
    mean = values(table, x_name="k", x=10).set_index(["model", "method"])["value"]
    assert len(by_layer) == 12
    assert (by_layer - mean).abs().max() < 0.0011


def test_the_published_probing_means_agree_with_their_two_layers(ica):
    table = ica.table("sparse_probing")
    means = table[table["layers"].str.contains(" ")]
    layers = table[~table["layers"].str.contains(" ")]
    keys = ["model", "method", "x"]
    assert len(means) == 3 * 4 * 7
    assert len(layers) == 2 * len(means)
    difference = layers.groupby(keys)["value"].mean() - means.set_index(keys)["value"]
    assert difference.abs().max() < 0.00011


def test_unknown_values_are_null_and_never_zero(ica):
    table = values(ica.table("fig3_nongaussianity"), layers="all")
    assert len(table) == 12
    assert table["value"].isna().all()
    native = values(ica.table("fig7_reconstruction"), model="gpt2", method="sae", metric="cosine", x_name="k", x=100.0)
    assert native["value"].isna().all()


def test_layers_start_at_zero(ica):
    gpt2 = values(ica.table("fig7_reconstruction"), model="gpt2", method="ica", x_name="layer")
    assert gpt2["x"].tolist() == list(range(12))
    assert gpt2["value"].iloc[0] == 0.880


def test_the_remark_tells_the_papers_models_from_others(ica):
    assert ica.remark("smollm2", "SmolLM2") == "SmolLM2, not a model of the paper (arXiv 2606.11722)"
    assert ica.remark("gpt2", "GPT-2 small") == "GPT-2 small, a model of the paper (arXiv 2606.11722)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": {"gpt2": {"ica": [1.0, 2.0]}}}, "cosine of ica on gpt2 has 2 values, x has 3"),
        ({"values": {"gpt2": {"ica": [1.0, 2.0, 3.0]}}}, "cosine has numbers but not how many `digits` were printed"),
        ({"x_titles": ["one", "three"]}, "cosine has 2 x_titles, x has 3"),
        ({"source": "hearsay"}, "items.one.tables.*source"),
        ({"colour": "red"}, "unknown key"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(change, message, tmp_path):
    table = {"metric": "cosine", "version": "v2", "source": "docs", "x_name": "k", "x": [1, 2, 3], "values": {}}
    content = {
        "title": "T",
        "arxiv": "0",
        "models": {},
        "methods": {},
        "items": {"one": {"printed_as": "Figure 1", "claim": "c", "tables": [table | change]}},
    }
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(UnweaveError, match=message) as error:
        read("bad", tmp_path)
    assert "\n" not in str(error.value)


def test_an_unknown_paper_or_item_is_named(ica, tmp_path):
    with pytest.raises(UnweaveError, match="no item 'fig99'; known: bank_case_study"):
        ica.table("fig99")
    with pytest.raises(UnweaveError, match="no such file"):
        read("nothing", tmp_path)
    assert REFERENCES.is_dir()
