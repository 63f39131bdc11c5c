import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unweave.evaluations.documents import Documents


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e3, 1e3)), min_size=1, max_size=50))
def test_sums_and_lengths_are_those_of_each_document_in_any_row_order(rows):
    docs = np.array([doc for doc, _ in rows])
    values = np.array([value for _, value in rows])
    documents = Documents.of(docs)
    assert documents.indices.tolist() == sorted(set(docs.tolist()))
    for index, total, length in zip(documents.indices, documents.sums(values), documents.lengths, strict=True):
        np.testing.assert_allclose(total, values[docs == index].sum(), atol=1e-9)
        assert length == (docs == index).sum()
