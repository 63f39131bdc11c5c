import numpy as np
import pytest
import torch

from unweave.errors import UnweaveError
from unweave.evaluations.documents import Documents
from unweave.evaluations.pooling import means_of_documents, split_masks


def test_a_document_is_the_mean_of_its_rows_in_every_part(in_memory):
    x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
    docs = np.sort(np.random.default_rng(0).integers(0, 40, size=1000))

    def parts(block):
        return block, block.square().sum(dim=1)

    means, squares = means_of_documents([in_memory(x)], Documents.of(docs), parts, torch.device("cpu"))
    expected = np.stack([x.double().numpy()[docs == doc].mean(axis=0) for doc in np.unique(docs)])
    np.testing.assert_allclose(means, expected, rtol=1e-6, atol=1e-7)
    lengths = np.stack([(x.numpy()[docs == doc] ** 2).sum(axis=1).mean() for doc in np.unique(docs)])
    np.testing.assert_allclose(squares, lengths, rtol=1e-5)


@pytest.mark.parametrize(
    ("train", "test", "fits"),
    [([0, 1], [0, 1], True), ([0, 1], [0, 1, 2], False), ([0, 1, 2], [0, 1], False), ([0, 0], [0, 0], False)],
)
def test_both_splits_hold_the_same_two_classes_or_more(make_corpus, train, test, fits):
    labels = np.array([*train, *test, -1])
    splits = np.array([*["train"] * len(train), *["test"] * len(test), "train"])
    m = len(labels)
    corpus = make_corpus(torch.randn(3 * m, 2), documents=m, texts=[""] * m, labels=labels, splits=splits)
    documents = Documents.of(corpus.tokens.docs)
    if fits:
        masks = split_masks("c", corpus, documents)
        assert {split: mask.tolist() for split, mask in masks.items()} == {
            "train": [True, True, False, False, False],
            "test": [False, False, True, True, False],
        }
    else:
        with pytest.raises(UnweaveError, match="c: needs labelled texts of the same two or more classes"):
            split_masks("c", corpus, documents)
