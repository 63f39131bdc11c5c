"""Predicates, lists of tokens, and the three measures, on what is planted by hand."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.comsem.coherence import coherences, strongest, unit_directions
from unweave.evaluations.comsem.contexts import Occurrence, TokenizedDocument, document_halves, without_leading_space
from unweave.evaluations.comsem.enrichment import enrichment
from unweave.evaluations.comsem.entries import Entries, collect, random_entries, shifted
from unweave.evaluations.comsem.hypotheses import BankInterpreter, earliest, from_different_documents, verdicts
from unweave.evaluations.comsem.predicates import PredicateBank, cluster_names, facts, tail
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

CPU = torch.device("cpu")
SENTENCE = 'She said: "Unbelievable! The NATO boats (2,500) were sinking quickly." She said'
TOKENS = [
    *("She", "said", ":", '"', "Un", "believ", "able", "!", "The", "NATO", "boats", "(", "2", ",", "500", ")"),
    *("were", "sinking", "quickly", '."', "She", "said"),
]


def document(text=SENTENCE, tokens=TOKENS, label=""):
    spans, end = [], 0
    for token in tokens:
        start = text.index(token, end)
        end = start + len(token)
        spans.append((start, end))
    return TokenizedDocument(text, spans, label)


def true_of(position, **changes):
    return set(facts(Occurrence(document(**changes), position)))


@pytest.mark.parametrize(
    ("position", "present", "absent"),
    [
        (0, {"token: she", "class: pronoun", "case: capital", "sentence: first word", "part: whole word"}, set()),
        (1, {"class: speech", "previous: she", "previous is: pronoun", "next is: punctuation"}, {"case: capital"}),
        (2, {"class: punctuation"}, {"part: whole word", "sentence: first word"}),
        (4, {"part: first of a word", "affix: un-", "affix: -able", "case: capital"}, {"sentence: last word"}),
        (5, {"part: inside a word", "inside: straight quotes", "affix: un-"}, {"sentence: first word"}),
        (6, {"part: last of a word", "sentence: last word"}, {"part: whole word"}),
        (8, {"sentence: first word", "class: determiner"}, set()),
        (9, {"case: upper", "previous is: capital", "position: 8 or later, below twice that"}, {"case: capital"}),
        (10, {"affix: -s", "script: latin"}, {"inside: brackets or quotes"}),
        (12, {"class: number", "inside: brackets or quotes"}, {"script: latin"}),
        (16, {"class: be", "previous: )"}, {"inside: brackets or quotes"}),
        (17, {"affix: -ing"}, {"seen: earlier in the document"}),
        (18, {"affix: -ly", "sentence: last word"}, set()),
        (20, {"seen: earlier in the document", "sentence: first word"}, {"inside: straight quotes"}),
        (21, {"next is: nothing", "next: "}, {"label: sports"}),
    ],
)
def test_predicates_hold_of_the_tokens_that_they_describe(position, present, absent):
    found = true_of(position)
    assert present <= found
    assert not absent & found


def test_the_label_of_a_document_holds_of_all_its_tokens():
    assert all("label: sports" in true_of(position, label="sports") for position in range(len(TOKENS)))


def test_contractions_are_one_word():
    parts = document("they weren't", ["they", "weren", "'t"])
    assert {"class: be", "affix: -n't", "part: last of a word"} <= set(facts(Occurrence(parts, 2)))
    assert {"class: be", "part: first of a word"} <= set(facts(Occurrence(parts, 1)))


@given(st.text(alphabet="aZé ,.'’()\"1\n東", max_size=12), st.data())
def test_any_text_has_facts(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    held = list(facts(Occurrence(TokenizedDocument(text, [(0, start), (start, end), (end, len(text))]), 1)))
    assert held
    assert all(": " in name for name in held)


@pytest.mark.parametrize(("span", "wanted"), [((1, 4), (2, 4)), ((2, 4), (2, 4)), ((0, 2), (0, 2)), ((4, 4), (4, 4))])
def test_white_space_before_a_token_is_not_part_of_it(span, wanted):
    assert without_leading_space("  ab", span) == wanted


def test_the_bank_leaves_out_what_is_too_rare_or_too_common():
    rows = [
        {"a: everywhere"} | ({"b: often"} if i % 5 == 0 else set()) | ({"c: once"} if i == 7 else set())
        for i in range(40)
    ]
    bank = PredicateBank.of(rows)
    assert bank.names == ["b: often"]
    assert bank.holds[:, 0].tolist() == [i % 5 == 0 for i in range(40)]


def test_tokens_with_near_embeddings_share_a_cluster():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(2, 8))
    embeddings = np.repeat(centres, 5, axis=0) + 0.05 * rng.normal(size=(10, 8))
    ids = rng.integers(10, size=200)
    names = cluster_names(ids, [f"t{i}" for i in ids], embeddings.astype(np.float32), 2, seed=0)
    assert len({(name, token >= 5) for name, token in zip(names, ids, strict=True)}) == 2


def test_the_tail_is_the_exact_binomial_one():
    assert tail(np.array([0, 1, 3]), 3, np.array([0.5, 0.5, 0.5])) == pytest.approx([1, 7 / 8, 1 / 8])


def test_halves_keep_documents_together():
    docs = np.repeat(np.arange(7), 5)
    half = document_halves(docs, seed=0)
    assert {len(set(half[docs == doc].tolist())) for doc in range(7)} == {1}
    assert half.sum() == 5 * 3
    with pytest.raises(UnweaveError, match="evaluate on more text"):
        document_halves(np.zeros(5, dtype=int), seed=0)


def axes(d, **traits):
    tensors = {"center": torch.zeros(d), "readers": torch.eye(d), "atoms": torch.eye(d)}
    return LinearDictionary(tensors, Traits(**{"signed": False, "linear": True, **traits}))


def pairs(entries):
    return set(zip(entries.features.tolist(), entries.rows.tolist(), strict=True))


def collected(in_memory, x, top=2, **traits):
    entries = collect(axes(len(x[0]), **traits), in_memory(torch.tensor(x)), top, CPU)
    return entries, pairs(entries.only(entries.active))


def test_a_token_belongs_to_its_strongest_features_that_are_on(in_memory):
    entries, active = collected(in_memory, [[3.0, 0, 1, 2], [0, 0, 5, 0]])
    assert active == {(0, 0), (3, 0), (2, 1)}
    assert len(entries.features) == 4


def test_each_sign_of_a_signed_code_is_a_feature(in_memory):
    entries, active = collected(in_memory, [[3.0, -4, 0], [-1, 0, 0]], signed=True)
    assert active == {(0, 0), (1 + 3, 0), (0 + 3, 1)}
    assert entries.n_features == 6


def test_a_group_is_one_feature_of_its_norm(in_memory):
    entries, active = collected(in_memory, [[3.0, -4, 4.5, 0], [0, 0, 0, -1]], top=1, signed=True, group_size=2)
    assert active == {(0, 0), (1, 1)}
    assert entries.n_features == 2
    assert entries.strengths[0] == 5


def test_a_bit_belongs_where_it_has_its_rarer_value(in_memory):
    bits = [[1.0, 0], [1, 0], [0, 0], [1, 1]]
    assert collected(in_memory, bits, binary=True)[1] == {(0, 2), (1, 3)}


def planted_entries(rows_of, n_rows):
    features = np.repeat(np.arange(len(rows_of)), [len(rows) for rows in rows_of])
    rows = np.concatenate([np.sort(rows) for rows in rows_of]).astype(np.int64)
    return Entries.sorted_by_feature(
        features, rows, np.ones(len(rows)), np.ones(len(rows), dtype=bool), n_rows, len(rows_of)
    )


@given(st.integers(0, 2**31), st.integers(2, 30))
def test_shifted_features_keep_their_rate_in_each_half_and_their_gaps(seed, n):
    rng = np.random.default_rng(seed)
    half = rng.random(n) < 0.5
    half[:2] = True, False
    members = np.flatnonzero(half)
    entries = planted_entries([np.flatnonzero(rng.random(n) < 0.5), members[:2]], n)
    moved = shifted(entries, np.zeros(n, dtype=int), half, rng)
    for part in (half, ~half):
        assert np.array_equal(
            np.bincount(entries.features[part[entries.rows]], minlength=2),
            np.bincount(moved.features[part[moved.rows]], minlength=2),
        )
    assert len(pairs(moved)) == len(moved.rows)
    of_second = np.flatnonzero(np.isin(members, moved.rows[moved.features == 1]))
    assert (of_second[-1] - of_second[0]) in ({0} if len(members) == 1 else {1, len(members) - 1})


def test_shifting_breaks_the_bond_with_labels_that_a_corpus_is_sorted_by():
    half = document_halves(DOCS, 0)
    first_label = DOCS < 15
    entries = planted_entries([np.flatnonzero(first_label)] * 200, N)
    moved = shifted(entries, DOCS, half, np.random.default_rng(0))
    shares = np.array([first_label[rows].mean() for rows in moved.by_feature()])
    assert shares.mean() == pytest.approx(1 / 4, abs=0.03)
    assert shares.max() < 0.7


def test_random_features_are_spread_evenly_over_the_same_tokens():
    entries = planted_entries([np.arange(50), np.arange(10), np.arange(0)], 50)
    control = random_entries(entries, np.random.default_rng(0))
    assert control.counts.tolist() == [20, 20, 20]
    assert sorted(control.rows) == sorted(entries.rows)


DOCS = np.repeat(np.arange(60), 20)
N = len(DOCS)


def noisy_bank(seed=0, q=30, rate=0.1):
    rng = np.random.default_rng(seed)
    return PredicateBank([f"p: {i}" for i in range(q)], rng.random((N, q)) < rate)


def judged(entries, bank, seed=0):
    half = document_halves(DOCS, seed)
    lists = from_different_documents(entries.by_feature(), DOCS, half, 5, 8, np.random.default_rng(seed))
    return verdicts(BankInterpreter(bank, np.flatnonzero(half), 4), lists, np.flatnonzero(~half))


def test_a_planted_predicate_is_found_and_confirmed():
    bank = noisy_bank()
    rows = [np.flatnonzero(bank.holds[:, q]) for q in (3, 17)]
    found = judged(planted_entries(rows, N), bank)
    assert [(verdict.explanation, verdict.score) for verdict in found] == [("p: 3", 1), ("p: 17", 1)]
    assert all(verdict.chance < 1e-6 and verdict.corrected == 1 for verdict in found)


def test_the_score_falls_with_the_share_of_tokens_that_are_described():
    bank, rng = noisy_bank(), np.random.default_rng(1)
    means = []
    for purity in (1.0, 0.9, 0.6, 0.0):
        rows = []
        for q in np.repeat(np.arange(30), 4):
            described = rng.permutation(np.flatnonzero(bank.holds[:, q]))[: int(100 * purity)]
            rows.append(np.union1d(described, rng.permutation(N)[: 100 - len(described)]))
        means.append(np.mean([verdict.corrected for verdict in judged(planted_entries(rows, N), bank)]))
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.98
    assert abs(means[-1]) < 0.02


def test_tokens_of_both_stages_come_from_different_documents():
    rng = np.random.default_rng(0)
    half = document_halves(DOCS, 0)
    lists = from_different_documents([np.arange(N), np.arange(60)], DOCS, half, 5, 8, rng)
    assert list(lists) == [0], "the second feature is in three documents only"
    rows = np.concatenate(lists[0])
    assert len(np.unique(DOCS[rows])) == len(rows) == 13
    assert half[lists[0][0]].all()
    assert not half[lists[0][1]].any()


def test_the_released_code_takes_the_earliest_tokens():
    lists = earliest([np.arange(10, 40), np.arange(5), np.arange(6)], 5, 8)
    assert {feature: [part.tolist() for part in parts] for feature, parts in lists.items()} == {
        0: [[10, 11, 12, 13, 14], [15, 16, 17, 18, 19, 20, 21, 22]],
        2: [[0, 1, 2, 3, 4], [5]],
    }


def test_any_interpreter_can_take_the_place_of_the_bank():
    class Parity:
        def explain(self, rows):
            return "even" if (rows % 2 == 0).all() else None

        def holds(self, explanation, rows):
            assert explanation == "even"
            return rows % 2 == 0

    lists = {4: (np.arange(0, 10, 2), np.array([10, 11, 12, 14])), 5: (np.arange(5), np.arange(5))}
    even, other = verdicts(Parity(), lists, np.arange(100))
    assert (even.score, even.base, even.corrected) == (0.75, 0.5, 0.5)
    assert (other.explanation, other.score, other.corrected, other.chance) == (None, 0, 0, 1)


def test_planted_enrichment_is_found_and_described():
    bank = noisy_bank()
    rows = np.flatnonzero(bank.holds[:, 3])[:50]
    found = enrichment(planted_entries([rows, np.arange(5)], N), bank)
    assert found.features.tolist() == [0]
    assert bank.names[found.best[0]] == "p: 3"
    assert found.adjusted[0] < 1e-10
    assert found.precision[0] == 1
    assert found.recall[0] == pytest.approx(50 / bank.holds[:, 3].sum())


def test_few_random_features_are_enriched():
    rng = np.random.default_rng(0)
    rows = [rng.permutation(N)[: rng.integers(20, 200)] for _ in range(400)]
    assert (enrichment(planted_entries(rows, N), noisy_bank()).adjusted <= 0.05).mean() < 0.02


def test_coherence_is_the_mean_cosine_of_pairs():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(20, 4)).astype(np.float32)
    ids = rng.integers(20, size=50)
    unit = unit_directions(embeddings, ids)
    centred = embeddings.astype(np.float64)[ids] - embeddings.astype(np.float64)[ids].mean(axis=0)
    rows = {0: np.array([3, 9, 11]), 4: np.array([0, 1, 49])}
    direct = [
        np.mean([a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(centred[r], 2)])
        for r in rows.values()
    ]
    assert coherences(rows, unit) == pytest.approx(direct)
    assert coherences({}, unit).size == 0


def test_one_token_repeated_is_coherent_but_not_distinct():
    ids = np.array([7, 7, 7, 7, 1, 2, 3, 4])
    entries = planted_entries([np.arange(4), np.arange(8)], 8)
    rng = np.random.default_rng(0)
    assert set(strongest(entries, 3, rng)) == {0, 1}
    distinct = strongest(entries, 3, rng, ids)
    assert set(distinct) == {1}
    assert len(set(ids[distinct[1]])) == 3


def test_the_strongest_come_first():
    entries = Entries.sorted_by_feature(
        np.zeros(4, dtype=int), np.arange(4), np.array([1.0, 4, 2, 3]), np.ones(4, dtype=bool), 4, 1
    )
    assert strongest(entries, 2, np.random.default_rng(0))[0].tolist() == [1, 3]
