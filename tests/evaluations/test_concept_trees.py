import numpy as np
import pytest
import torch

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.concept_trees import ANY, Node, Settings, children, evaluate, tree, word_means, words_of
from unweave.methods.snmf.dictionary import TRAITS
from unweave.methods.snmf_hierarchy import FeatureTree

LINKS = [
    torch.tensor([[1.0, 0.9, 0, 0, 0, 0], [0, 0, 1.0, 0.8, 0.1, 0], [0, 0, 0, 0, 0, 1.0]]),
    torch.tensor([[0.5, 1.0, 0.0], [0, 0, 1.0]]),
]
WORDS = ["the", "bank", "loan", "river", "boat", "water"]


def test_children_are_those_of_enough_weight_strongest_first():
    assert children(torch.tensor([0.2, 1.0, 0.0, 0.5]), 0.15, 4) == [1, 3, 0]
    assert children(torch.tensor([0.2, 1.0, 0.0, 0.5]), 0.15, 2) == [1, 3]


def test_an_only_child_is_none():
    assert children(torch.tensor([0.1, 1.0]), 0.15, 4) == []
    assert children(torch.zeros(3), 0.15, 4) == []


def test_a_tree_follows_the_weights_down_to_the_finest_level():
    nodes = list(tree(LINKS, 0, 0.15, 4))
    assert nodes[0] == Node((0,), 2, 1.0)
    assert [node.path for node in nodes] == [(0,), (0, 1), (0, 1, 2), (0, 1, 3), (0, 0), (0, 0, 0), (0, 0, 1)]
    assert nodes[4].weight == 0.5
    assert list(tree(LINKS, 1, 0.15, 4)) == [Node((1,), 2, 1.0)]


def test_a_word_stands_for_a_feature_by_its_mean_over_enough_tokens():
    strings = np.array(["a"] * 6 + ["b"] * 6 + ["rare"] + [""] * 9)
    activations = torch.tensor([[4.0]] * 6 + [[1.0]] * 6 + [[9.0]] + [[7.0]] * 9)
    words, means = word_means(activations, strings)
    assert words.tolist() == ["a", "b"]
    assert means[:, 0].tolist() == [4, 1]
    assert words_of(means[:, 0], words, 0.5, 10) == ["a"]
    assert words_of(means[:, 0], words, 0.2, 10) == ["a", "b"]


@pytest.fixture
def planted(make_corpus):
    """Each finest feature fires on one word; its neurons are those of its parent's."""
    rng = np.random.default_rng(0)
    z0 = torch.eye(6)
    z1 = LINKS[0] @ z0
    tensors = {"atoms": z0, "level_1.atoms": z1, "level_1.links": LINKS[0]}
    tensors |= {"level_2.atoms": LINKS[1] @ z1, "level_2.links": LINKS[1]}
    ids = rng.integers(6, size=400)
    corpus = make_corpus(torch.from_numpy(np.eye(6, dtype=np.float32)[ids]))
    corpus.tokens = StoredTokens(ids, corpus.tokens.docs, corpus.tokens.positions)
    return FeatureTree(tensors, TRAITS, {"active": 6}), corpus


@pytest.fixture(autouse=True)
def tokenizer(monkeypatch):
    class Words:
        def decode(self, ids):
            return WORDS[ids[0]]

    monkeypatch.setattr("unweave.evaluations.concept_trees.load_tokenizer", lambda _: Words())


def test_children_share_neurons_and_words_with_their_parents_beyond_any_other(planted, make_data, find):
    dictionary, corpus = planted
    scores = evaluate(dictionary, make_data({"planted": corpus}), Settings(), 0)
    for metric in ("child_cosine", "shared_words"):
        assert find(scores, metric=metric, label="") > 1.5 * find(scores, metric=metric, label=ANY)
    assert find(scores, metric="roots_with_children") == 0.5
    nodes = {s.label: s for s in scores if s.metric == "node"}
    assert nodes["0/1/2 loan"].x == 0
    assert nodes["0/1 loan, river"].value == 1
    assert nodes["0/0 the, bank"].value == 0.5


def test_other_dictionaries_and_missing_levels_are_refused(planted, make_data, make_dictionary):
    dictionary, corpus = planted
    with pytest.raises(UnweaveError, match="only recursive semi-NMF has levels"):
        evaluate(make_dictionary(6), make_data({"planted": corpus}), Settings(), 0)
    with pytest.raises(UnweaveError, match="root_level: 3 is above the coarsest level 2"):
        evaluate(dictionary, make_data({"planted": corpus}), Settings(root_level=3), 0)
