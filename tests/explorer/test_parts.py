"""Texts, groups, logit lens, neighbours, trees, explanations and the form of data files."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM

from unweave.errors import UnweaveError
from unweave.evaluations.concept_trees import Node
from unweave.evaluations.run import StoredCorpus
from unweave.explorer.concept_tree import nested
from unweave.explorer.data_files import rounded, script
from unweave.explorer.explanations import Explanation, explanations
from unweave.explorer.groups import Written, main_direction, scatter
from unweave.explorer.logit_lens import lens
from unweave.explorer.neighbours import nearest
from unweave.explorer.texts import pieces_of, read_texts
from unweave.models.language_model import load_tokenizer


def test_pieces_are_the_text_whatever_the_tokenizer_passes_over():
    text = "a  bank, yes"
    assert pieces_of(text, [(0, 1), (3, 7), (7, 8), (9, 12)], ["?"] * 4) == ["a", "  bank", ",", " yes"]


def test_a_token_without_characters_of_its_own_goes_by_its_name():
    assert pieces_of("é!", [(0, 0), (0, 1), (0, 1), (1, 2)], ["<s>", "Ã", "©", "!"]) == ["<s>", "é", "©", "!"]


def test_texts_of_several_corpora_lie_end_to_end(inputs):
    corpus = StoredCorpus(inputs / "resid.h5", inputs / "text", 1)
    texts = read_texts({"one": corpus, "two": corpus}, 30, load_tokenizer(inputs / "model"))
    assert texts.first_texts == {"one": 0, "two": 2}
    assert len(texts.starts) == 5
    assert (texts.rows >= 0).sum() == 60
    assert texts.rows[texts.starts[:-1]].tolist() == [-1] * 4
    assert texts.rows[texts.places].tolist() == list(range(60))
    content = texts.content()
    assert "".join(content["pieces"][i] for i in content["texts"][0]) == corpus.texts[0]


def test_texts_that_are_tokenised_otherwise_are_refused(inputs, tmp_path):
    tokenizer = load_tokenizer(inputs / "model")
    tokenizer.add_tokens(["ban"])
    corpus = StoredCorpus(inputs / "resid.h5", inputs / "text", 1)
    with pytest.raises(
        UnweaveError, match=r"one: document \d+ is not tokenised as it was harvested: harvest one again"
    ):
        read_texts({"one": corpus}, 10_000, tokenizer)


def test_what_a_group_writes_is_shown_in_its_principal_axes():
    rng = torch.Generator().manual_seed(0)
    codes = torch.randn(200, 3, generator=rng) * torch.tensor([1.0, 9.0, 3.0])
    atoms = torch.randn(3, 10, generator=rng)
    written = codes @ atoms
    found = scatter(Written.of(codes, atoms))
    assert found.shares == sorted(found.shares, reverse=True)
    assert sum(found.shares) == pytest.approx(1)
    centred = written - written.mean(dim=0)
    assert found.points.norm(dim=1).tolist() == pytest.approx(centred.norm(dim=1).tolist(), rel=1e-4)


def test_a_scatter_of_few_points_has_empty_axes():
    found = scatter(Written.of(torch.ones(1, 4), torch.eye(4)))
    assert (found.points.tolist(), found.shares) == ([[0, 0, 0]], [0, 0, 0])


def test_the_main_direction_of_a_group_does_not_depend_on_the_basis_and_points_where_it_writes():
    codes = torch.tensor([[-3.0, 0.1], [-2.0, 0.0], [1.0, 0.1]])
    turned = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    for basis in (torch.eye(2), turned):
        found = main_direction(Written.of(codes @ torch.linalg.inv(basis), basis))
        assert found.tolist() == pytest.approx([-1, 0], abs=0.05)


def test_the_logit_lens_of_an_unembedding_row_names_its_token(inputs):
    model = LlamaForCausalLM.from_pretrained(inputs / "model")
    rows = model.get_output_embeddings().weight.detach()
    found = list(lens(model, "resid", 1, torch.cat([rows, -rows])))
    assert len(found) == 2 * len(rows)
    assert [top[0][0] for top, _ in found[: len(rows)]] == list(range(len(rows)))
    assert [bottom[0][0] for _, bottom in found[len(rows) :]] == list(range(len(rows)))


def test_the_logit_lens_leaves_out_what_the_bias_of_the_final_norm_says():
    config = GPT2Config(vocab_size=12, n_embd=8, n_layer=1, n_head=2, n_positions=8)
    model = GPT2LMHeadModel(config).eval().requires_grad_(False)
    with torch.no_grad():
        model.transformer.ln_f.bias.copy_(100 * torch.randn(8))
    direction = model.lm_head.weight.detach()[3:4] - model.lm_head.weight.detach()[3].mean()
    ((top, _),) = lens(model, "mlp_out", 0, direction)
    assert top[0][0] == 3
    ((_, lowered),) = lens(model, "mlp_out", 0, -direction)
    assert lowered[0][0] == 3


def test_neurons_speak_through_the_output_projection(inputs):
    model = LlamaForCausalLM.from_pretrained(inputs / "model")
    down = model.model.layers[1].mlp.down_proj.weight.detach()
    neuron = torch.eye(down.shape[1])[4:5]
    assert list(lens(model, "mlp_neurons", 1, neuron)) == list(lens(model, "resid", 1, down[:, 4][None]))


def test_a_site_that_writes_nothing_to_the_stream_has_no_lens(inputs):
    model = LlamaForCausalLM.from_pretrained(inputs / "model")
    assert list(lens(model, "mlp_in", 1, torch.eye(16))) == []


def test_neighbours_are_the_nearest_by_cosine_whatever_the_lengths():
    others = torch.tensor([[0.0, 9.0], [5.0, 0.1], [-1.0, 0.0]])
    (found,) = nearest(torch.tensor([[0.01, 0.0]]), others, 2, signed=False)
    assert [feature for feature, _ in found] == [1, 0]


def test_the_opposite_of_a_signed_feature_is_near_it():
    others = torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    (found,) = nearest(torch.tensor([[2.0, 0.0]]), others, 5, signed=True)
    assert found == [(1, pytest.approx(-1)), (0, pytest.approx(0.6))]


def test_nodes_of_a_tree_become_nested():
    nodes = [Node((7,), 1, 1.0), Node((7, 2), 0, 1.0), Node((7, 5), 0, 0.25)]
    words = [[[f"fine {i}"] for i in range(6)], [[f"broad {i}"] for i in range(8)]]
    made = nested(nodes, words)
    assert made["words"] == ["broad 7"]
    assert [(child["id"], child["weight"], child["words"]) for child in made["children"]] == [
        (2, 1.0, ["fine 2"]),
        (5, 0.25, ["fine 5"]),
    ]


def test_explanations_of_both_signs_belong_to_one_feature_best_first():
    rows = [("explanation", "feature", 3, "word: bank", 0.5), ("explanation", "feature", 13, "word: river", 0.75)]
    rows += [("comsem", "", np.nan, "", 0.1), ("explanation_kind", "", np.nan, "word", 1.0)]
    table = pd.DataFrame(rows, columns=["metric", "x_name", "x", "label", "value"])
    assert explanations(table, 10) == {
        3: [Explanation("negative: word: river", 0.75), Explanation("word: bank", 0.5)],
    }


def test_a_data_file_holds_no_character_that_ends_a_script_or_a_line():
    content = {"</script><!--": "\u2028\u2029<img onerror='x'>"}
    text = script("data/x.js", content)
    assert not set("<\u2028\u2029") & set(text)
    call = text.removeprefix("unweave.receive(...").removesuffix(");\n")
    assert json.loads(call) == ["data/x.js", content]


def test_a_data_file_refuses_what_is_no_json():
    with pytest.raises(ValueError, match="JSON compliant"):
        script("data/x.js", [float("nan")])


def test_numbers_keep_three_digits():
    assert [rounded(value) for value in (1234.5, -0.0012345, 0.0)] == [1230, -0.00123, 0]
