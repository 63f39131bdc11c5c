import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.core import Settings, evaluate, token_statistics
from unweave.evaluations.core.directions import nearest_cosines, paired_cosines
from unweave.evaluations.core.firing import density_bins, density_shares, firing, firing_shares, firings_per_document
from unweave.evaluations.core.rows import legacy_explained, row_measures
from unweave.evaluations.core.tally import ALL_POSITIONS, WITHOUT_FIRST, document_batches, tallies
from unweave.evaluations.core.variance import fve_saebench
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary

D, N = 8, 300
CPU = torch.device("cpu")
NO_MODEL = Settings(k=3, patched_tokens=0)
LAW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def x():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, D, generator=generator) @ torch.randn(D, D, generator=generator) + 2


def oblique(seed=3, features=12):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(features, D, generator=generator), torch.randn(features, D, generator=generator)


class Sparse(Dictionary):
    """codes = gate(x @ readers.T) with any gate; x = codes @ atoms."""

    form = "test.Sparse"

    def __init__(self, readers, atoms, gate=torch.relu, **traits):
        super().__init__({}, Traits(**{"signed": False, "linear": False, **traits}))
        self.reading, self.writing, self.gate = readers, atoms, gate

    @property
    def atoms(self):
        return self.writing

    def encode(self, x):
        return self.gate(x @ self.reading.T)

    def decode(self, codes, like=None):  # noqa: ARG002
        return codes @ self.writing


def strongest(k):
    def gate(codes):
        return codes * (codes.abs() >= codes.abs().topk(k, dim=1).values[:, -1:])

    return gate


class SignSplit(Dictionary):
    """Each sign of the codes of another dictionary as a feature of its own."""

    form = "test.SignSplit"

    def __init__(self, signed):
        super().__init__({}, signed.traits.model_copy(update={"signed": False}))
        self.signed = signed

    @property
    def atoms(self):
        return torch.cat([self.signed.atoms, -self.signed.atoms])

    def encode(self, x):
        return split_signs(self.signed.encode(x))

    def decode(self, codes, like=None):
        positive, negative = codes.chunk(2, dim=1)
        return self.signed.decode(positive - negative, like=like)


class Constant(Dictionary):
    form = "test.Constant"

    @property
    def atoms(self):
        return torch.eye(D)

    def encode(self, x):
        return torch.zeros(len(x), D)

    def decode(self, codes, like=None):  # noqa: ARG002
        return self.tensors["point"].expand(len(codes), D)


def constant(point):
    return Constant({"point": point}, Traits(signed=True, linear=False))


def core(dictionary, corpus, make_data, chosen=NO_MODEL):
    """Value of every metric of whole tokens and of features, without curves."""
    scores = evaluate(dictionary, make_data({"c": corpus}), chosen, 0)
    return {score.metric: score.value for score in scores if not score.x_name and score.dataset}


def statistics(dictionary, corpus, batch_rows):
    tally = tallies("c", dictionary, corpus, corpus.activations, 3, CPU, batch_rows)[WITHOUT_FIRST]
    values = token_statistics(tally, np.ones((1, len(tally.lengths))))
    return {name: value[0] for name, value in values.items()}, tally


# Explained variance


@LAW
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
def test_the_mean_explains_nothing_and_the_activations_everything(make_corpus, make_data, seed, scale, offset):
    generator = torch.Generator().manual_seed(seed)
    rows = scale * torch.randn(90, D, generator=generator) + offset
    corpus = make_corpus(rows, documents=6)
    mean = core(constant(rows.double().mean(dim=0).float()), corpus, make_data)
    assert mean["fve"] == pytest.approx(0, abs=1e-6)
    perfect = core(Sparse(torch.eye(D), torch.eye(D), torch.clone, signed=True), corpus, make_data)
    assert perfect["fve"] == perfect["fve_saebench"] == perfect["fve_saebench_legacy"] == 1
    assert perfect["fve_dictionary_learning"] == perfect["fve_sparsify"] == perfect["fve_overcomplete"] == 1
    assert perfect["mse"] == 0
    assert perfect["cosine"] == pytest.approx(1)
    assert perfect["norm_ratio"] == pytest.approx(1)
    assert perfect["relative_bias"] == pytest.approx(1)


def test_scores_agree_with_a_direct_computation(x, make_corpus, make_data):
    readers, atoms = oblique()
    found = core(Sparse(readers, atoms, strongest(4), signed=True), make_corpus(x), make_data)
    t, w, a = (tensor.double().numpy() for tensor in (x, readers, atoms))
    codes = t @ w.T
    codes[np.abs(codes) < np.sort(np.abs(codes), axis=1)[:, [-4]]] = 0
    y = codes @ a
    error, energy = ((t - y) ** 2).sum(axis=1), (t**2).sum(axis=1)
    norms = np.linalg.norm(y, axis=1) / np.linalg.norm(t, axis=1)
    mean_error, mean_energy = error.mean(), energy.mean()
    expected = {
        "fve": 1 - error.sum() / ((t - t.mean(axis=0)) ** 2).sum(),
        "fve_saebench": 1 - mean_error / (mean_energy - (mean_energy / D) ** 2),
        "fve_saebench_legacy": np.mean(1 - error / ((t - t.mean(axis=0)) ** 2).sum(axis=1)),
        "fve_sparsify": 1 - error.sum() / ((t - t.mean(axis=0)) ** 2).sum(),
        "fve_dictionary_learning": 1 - (t - y).var(axis=0, ddof=1).sum() / t.var(axis=0, ddof=1).sum(),
        "fve_overcomplete": 1 - error.sum() / ((t - t.mean()) ** 2).sum(),
        "mse": mean_error,
        "mse_per_coordinate": ((t - y) ** 2).mean(),
        "cosine": np.mean((t * y).sum(axis=1) / np.linalg.norm(t, axis=1) / np.linalg.norm(y, axis=1)),
        "norm_ratio": norms.mean(),
        "relative_bias": (y**2).sum() / (t * y).sum(),
        "l0": (codes != 0).sum(axis=1).mean(),
        "features_per_token": (codes != 0).sum(axis=1).mean(),
        "l1": np.abs(codes).sum(axis=1).mean(),
        "l1_saebench": codes.sum(axis=1).mean(),
        "dead": np.mean((codes != 0).mean(axis=0) == 0),
        "over_10pct": np.mean((codes != 0).mean(axis=0) > 0.1),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-5), name


def test_a_constant_bias_is_seen_by_the_correct_definition_and_not_by_a_variance_of_errors(x, make_corpus, make_data):
    class Shifted(Sparse):
        def decode(self, codes, like=None):  # noqa: ARG002
            return codes + 3

    found = core(Shifted(torch.eye(D), torch.eye(D), torch.clone, signed=True), make_corpus(x), make_data)
    assert found["fve_dictionary_learning"] == pytest.approx(1, abs=1e-6)
    assert found["fve"] < 0.9


def test_saebenchs_explained_variance_depends_on_the_unit_of_the_activations():
    error, energy = np.array([1.0]), np.array([3.0])
    assert fve_saebench(error, energy, 2) != fve_saebench(100 * error, 100 * energy, 2)


def test_a_reconstruction_of_zeros_has_no_direction_and_shrinks_everything(x, make_corpus, make_data):
    found = core(constant(torch.zeros(D)), make_corpus(x), make_data)
    assert found["cosine"] == found["norm_ratio"] == found["relative_bias"] == found["l0"] == 0
    assert found["fve"] < 0
    assert found["dead"] == 1


def test_shrinkage_is_the_bias_that_would_undo_it(x, make_corpus, make_data):
    found = core(Sparse(torch.eye(D), 0.8 * torch.eye(D), torch.clone, signed=True), make_corpus(x), make_data)
    assert found["relative_bias"] == pytest.approx(0.8)
    assert found["norm_ratio"] == pytest.approx(0.8)


# Invariances


@LAW
@given(st.integers(0, 10_000))
def test_scaling_codes_against_atoms_changes_only_the_size_of_codes(make_corpus, make_data, seed):
    generator = torch.Generator().manual_seed(seed)
    corpus = make_corpus(torch.randn(90, D, generator=generator) + 1, documents=6)
    readers, atoms = oblique(seed)
    scales = torch.rand(len(atoms), 1, generator=generator) + 0.5
    plain = core(Sparse(readers, atoms), corpus, make_data)
    scaled = core(Sparse(readers * scales, atoms / scales), corpus, make_data)
    for name in plain.keys() - {"l1", "l1_saebench"}:
        assert scaled[name] == pytest.approx(plain[name], rel=1e-4, abs=1e-4), name


@LAW
@given(st.integers(0, 10_000))
def test_permuting_features_changes_nothing(make_corpus, make_data, seed):
    generator = torch.Generator().manual_seed(seed)
    corpus = make_corpus(torch.randn(90, D, generator=generator) + 1, documents=6)
    readers, atoms = oblique(seed)
    order = torch.randperm(len(atoms), generator=generator)
    plain = core(Sparse(readers, atoms), corpus, make_data)
    permuted = core(Sparse(readers[order], atoms[order]), corpus, make_data)
    assert permuted == pytest.approx(plain, rel=1e-4, abs=1e-5)


@LAW
@given(st.integers(0, 10_000))
def test_splitting_signs_changes_nothing_of_a_token(make_corpus, make_data, seed):
    generator = torch.Generator().manual_seed(seed)
    corpus = make_corpus(torch.randn(90, D, generator=generator) + 1, documents=6)
    readers, atoms = oblique(seed)
    signed = Sparse(readers, atoms, strongest(3), signed=True)
    plain, split = (core(dictionary, corpus, make_data) for dictionary in (signed, SignSplit(signed)))
    for name in ("fve", "mse", "cosine", "norm_ratio", "l0", "l1", "features_per_token"):
        assert split[name] == pytest.approx(plain[name], rel=1e-5, abs=1e-5), name


@LAW
@given(st.integers(1, 200))
def test_the_size_of_batches_changes_no_definition_of_ours(make_corpus, batch_rows):
    generator = torch.Generator().manual_seed(0)
    corpus = make_corpus(torch.randn(N, D, generator=generator) + 1)
    dictionary = Sparse(*oblique())
    (plain, one), (batched, other) = (statistics(dictionary, corpus, rows) for rows in (N, batch_rows))
    for name in plain.keys() - {"fve_saebench_legacy"}:
        assert batched[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-6), name
    assert torch.equal(one.firings, other.firings)
    assert torch.equal(one.documents_fired, other.documents_fired)


def test_batches_are_whole_documents_and_cover_every_row():
    docs = np.repeat([3, 4, 7, 9, 10, 12], [5, 2, 9, 1, 1, 1])
    assert list(document_batches(docs, 6)) == [(0, [5, 2]), (7, [9]), (16, [1, 1, 1])]
    assert list(document_batches(docs, 8)) == [(0, [5, 2, 9, 1, 1, 1])]
    assert list(document_batches(docs, 100)) == [(0, [5, 2, 9, 1, 1, 1])]


# Firing


def test_a_group_fires_where_any_of_its_codes_is_not_zero():
    codes = torch.tensor([[0.0, 0, 1, 0], [0, -2, 0, 0], [0, 0, 0, 0]])
    groups = Sparse(torch.eye(4, D), torch.eye(4, D), signed=True, group_size=2)
    assert firing(groups, codes, 1).tolist() == [[False, True], [True, False], [False, False]]


def test_groups_are_counted_beside_their_codes(x, make_corpus, make_data):
    readers, atoms = oblique()
    found = core(Sparse(readers, atoms, signed=False, group_size=4), make_corpus(x), make_data)
    codes = (x @ readers.T).relu()
    assert found["l0"] == pytest.approx(codes.count_nonzero().item() / N)
    assert found["features_per_token"] == pytest.approx((codes.reshape(N, 3, 4) > 0).any(dim=2).sum().item() / N)


def test_the_strongest_features_of_a_dense_dictionary_fire(x, make_corpus, make_data):
    readers, atoms = oblique(features=D)
    dictionary = LinearDictionary.build(torch.zeros(D), readers, atoms, row_norm=False)
    found = core(dictionary, make_corpus(x), make_data)
    assert found["l0"] == D
    assert found["features_per_token"] == 3
    fires = firing(dictionary, dictionary.encode(x), 3)
    assert (fires.sum(dim=1) == 3).all()
    least = torch.where(fires, dictionary.encode(x).abs(), torch.inf).amin(dim=1)
    assert (torch.where(fires, 0, dictionary.encode(x).abs()).amax(dim=1) <= least).all()
    assert firing(dictionary, dictionary.encode(x), 100).all()


def test_firings_are_counted_by_token_and_by_document(make_corpus):
    codes = torch.tensor([[1.0, 0, 0], [1, 0, 2], [1, 0, 0], [0, 0, 0]])
    rows = torch.cat([codes, torch.ones(4, 1)], dim=1)
    dictionary = Sparse(torch.eye(3, 4), torch.eye(3, 4))
    corpus = make_corpus(rows, documents=2)
    tally = tallies("c", dictionary, corpus, corpus.activations, 3, CPU)[WITHOUT_FIRST]
    assert tally.firings.tolist() == [3, 0, 1]
    assert tally.documents_fired.tolist() == [2, 0, 1]
    assert firings_per_document(tally.firings, tally.documents_fired) == (3 / 2 + 1) / 2
    assert firings_per_document(torch.zeros(3), torch.zeros(3)) is None


def test_shares_of_features_and_of_firings():
    counts = torch.tensor([0, 1, 10, 50, 100])
    assert firing_shares(counts, 1000) == pytest.approx(
        {
            "dead": 0.2,
            "over_1pct": 0.4,
            "firings_over_1pct": 150 / 161,
            "over_10pct": 0.0,
            "firings_over_10pct": 0.0,
        }
    )
    assert firing_shares(torch.zeros(4, dtype=torch.int64), 10)["firings_over_1pct"] == 0


@given(st.lists(st.integers(0, 1000), min_size=1), st.sampled_from([1000, 1001, 5000, 10**6]))
def test_every_feature_is_in_one_bin_of_density_or_dead(counts, n):
    shares = density_shares(torch.tensor(counts), n)
    assert sum(shares) + firing_shares(torch.tensor(counts), n)["dead"] == pytest.approx(1)
    assert len(shares) == len(density_bins(n))


def test_densities_at_the_edge_of_a_bin_are_in_it():
    bins, shares = density_bins(1000), density_shares(torch.tensor([1, 10, 100, 1000]), 1000)
    assert (bins[0], bins[-1]) == (-3, -0.25)
    assert [edge for edge, share in zip(bins, shares, strict=True) if share] == [-3, -2, -1, -0.25]


# Positions


def test_the_first_position_is_left_out_where_the_corpus_has_it(x, make_corpus, make_data):
    corpus = make_corpus(x)
    first = np.flatnonzero(np.diff(corpus.tokens.docs, prepend=-1))
    massive = x.clone()
    massive[first] *= 1000
    with_first = make_corpus(massive)
    with_first.tokens = StoredTokens(with_first.tokens.ids, with_first.tokens.docs, with_first.tokens.positions - 1)
    kept = np.delete(np.arange(N), first)
    without = make_corpus(x[torch.from_numpy(kept)])
    without.tokens = StoredTokens(*(part[kept] for part in dataclasses.astuple(with_first.tokens)))
    dictionary = Sparse(*oblique())
    scores = evaluate(dictionary, make_data({"c": with_first}), NO_MODEL, 0)
    alone = evaluate(dictionary, make_data({"c": without}), NO_MODEL, 0)
    assert {score.label for score in scores if score.dataset} == {ALL_POSITIONS, WITHOUT_FIRST}
    assert {score.label for score in alone if score.dataset} == {WITHOUT_FIRST}
    part = [score for score in scores if score.label == WITHOUT_FIRST]
    assert [score.n for score in part] == [score.n for score in alone if score.dataset]
    for one, other in zip(part, alone, strict=False):
        assert one.metric == other.metric
        assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-7)
        assert (one.ci_low is None) or one.ci_low == pytest.approx(other.ci_low, rel=1e-5, abs=1e-7)
    norms = {score.label: score.value for score in scores if score.metric == "norm_in"}
    assert norms[ALL_POSITIONS] > 10 * norms[WITHOUT_FIRST]


def test_a_document_of_which_only_the_first_position_is_known_counts_for_nothing_without_it(x, make_corpus, make_data):
    corpus = make_corpus(x[:30], documents=3)
    docs = np.concatenate([corpus.tokens.docs, [3]])
    positions = np.concatenate([corpus.tokens.positions, [0]])
    longer = make_corpus(x[:31], documents=4)
    longer.tokens = StoredTokens(np.zeros(31, dtype=np.int64), docs, positions)
    dictionary = Sparse(*oblique())
    scores = evaluate(dictionary, make_data({"c": longer}), NO_MODEL, 0)
    found = {s.metric: s.value for s in scores if s.label == WITHOUT_FIRST and not s.x_name}
    assert found == pytest.approx(core(dictionary, corpus, make_data), rel=1e-6)


# Directions


def test_nearest_cosines_are_those_of_the_full_matrix_whatever_the_blocks():
    atoms = torch.randn(23, 5, generator=torch.Generator().manual_seed(1))
    unit = torch.nn.functional.normalize(atoms)
    cosines = unit @ unit.T
    others = ~torch.eye(23, dtype=torch.bool)
    for entries in (1, 16, 10_000):
        nearest = nearest_cosines(atoms, entries)
        expected = torch.where(others, cosines, -torch.inf).amax(dim=1)
        torch.testing.assert_close(nearest.signed, expected)
        torch.testing.assert_close(nearest.absolute, torch.where(others, cosines.abs(), -torch.inf).amax(dim=1))


def test_opposite_orthogonal_and_silent_directions():
    assert nearest_cosines(torch.tensor([[1.0, 0], [-2, 0]])).signed.tolist() == [-1, -1]
    assert nearest_cosines(torch.tensor([[1.0, 0], [-2, 0]])).absolute.tolist() == [1, 1]
    assert nearest_cosines(torch.eye(6)).absolute.tolist() == [0] * 6
    assert nearest_cosines(torch.tensor([[1.0, 0], [0, 0]])).signed.tolist() == [0, 0]
    assert paired_cosines(torch.eye(2), torch.tensor([[3.0, 0], [0, -1]])).tolist() == [1, -1]


def test_directions_are_scored_once_and_readers_only_where_there_are_some(x, make_corpus, make_data, make_dictionary):
    corpora = {"one": make_corpus(x), "other": make_corpus(x + 1)}
    linear = evaluate(make_dictionary(D), make_data(corpora), NO_MODEL, 0)
    found = {s.metric: s.value for s in linear if s.dataset == "" and not s.x_name}
    assert found["encoder_decoder_cosine"] == pytest.approx(1)
    assert found["decoder_max_abs_cosine"] == found["encoder_max_abs_cosine"] == pytest.approx(0, abs=1e-6)
    sparse = evaluate(Sparse(*oblique()), make_data(corpora), NO_MODEL, 0)
    assert {s.metric for s in sparse if s.dataset == ""} == {"decoder_max_cosine", "decoder_max_abs_cosine"}


# Nulls


def test_random_directions_explain_the_share_of_dimensions_that_they_span(make_corpus, make_data):
    rows = torch.randn(4000, 32, generator=torch.Generator().manual_seed(5)) + 1
    basis = torch.linalg.qr(torch.randn(32, 8, generator=torch.Generator().manual_seed(6)))[0].T
    dictionary = LinearDictionary.build(rows.mean(dim=0), basis, basis, row_norm=False)
    scores = evaluate(dictionary, make_data({"c": make_corpus(rows)}), NO_MODEL, 0)
    fve = next(s for s in scores if s.metric == "fve")
    assert fve.value == pytest.approx(8 / 32, abs=0.01)
    assert fve.ci_low < fve.value < fve.ci_high


def test_an_untrained_autoencoder_explains_nothing(make_corpus, make_data):
    rows = torch.randn(1000, 32, generator=torch.Generator().manual_seed(5))
    atoms = torch.nn.functional.normalize(torch.randn(128, 32, generator=torch.Generator().manual_seed(6)))
    found = core(Sparse(atoms, atoms, strongest(8)), make_corpus(rows), make_data)
    assert -1 < found["fve"] < 0.5
    chance = np.sqrt(2 * np.log(128) / 32)
    score = evaluate(Sparse(atoms, atoms), make_data({"c": make_corpus(rows)}), NO_MODEL, 0)
    nearest = next(s.value for s in score if s.metric == "decoder_max_cosine")
    assert nearest == pytest.approx(chance, rel=0.2)


# Transcoders and mistakes


def test_a_transcoder_is_compared_with_the_site_that_it_rebuilds(x, make_corpus, make_data, in_memory):
    corpus = make_corpus(x)
    target = x @ torch.randn(D, 5, generator=torch.Generator().manual_seed(2))
    corpus.activations.targets = in_memory(target)
    corpus.activations.targets.site = "mlp_out"
    weights = torch.linalg.lstsq(x, target).solution.T.contiguous()
    perfect = Sparse(weights, torch.eye(5), torch.clone, signed=True, writes="mlp_out")
    found = core(perfect, corpus, make_data)
    assert found["fve"] == pytest.approx(1, abs=1e-6)
    assert found["norm_in"] == pytest.approx(target.norm(dim=1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("present", [None, "attn_out"])
def test_a_transcoder_without_its_targets_is_refused(x, present, make_corpus, make_data, in_memory):
    corpus = make_corpus(x)
    if present:
        corpus.activations.targets = in_memory(x)
        corpus.activations.targets.site = present
    dictionary = Sparse(torch.eye(D), torch.eye(D), writes="mlp_out")
    with pytest.raises(UnweaveError, match=r"^c: the dictionary rebuilds mlp_out.*harvest site mlp_out of c$"):
        evaluate(dictionary, make_data({"c": corpus}), NO_MODEL, 0)


def test_a_constant_corpus_is_refused(make_corpus, make_data, make_dictionary):
    with pytest.raises(UnweaveError, match=r"^c: all activations are equal"):
        evaluate(make_dictionary(D), make_data({"c": make_corpus(torch.ones(50, D) * 3.1)}), NO_MODEL, 0)


def test_every_score_is_complete_finite_and_in_its_interval(x, make_corpus, make_data):
    scores = evaluate(Sparse(*oblique()), make_data({"c": make_corpus(x)}), NO_MODEL, 0)
    for score in scores:
        assert np.isfinite(score.value), score.metric
        assert score.n > 0
        assert score.unit
        if score.ci_low is not None:
            assert score.ci_low <= score.value + 1e-9
            assert score.value - 1e-9 <= score.ci_high
    assert len({(s.metric, s.label, s.dataset, s.x_name, s.x) for s in scores}) == len(scores)
    again = evaluate(Sparse(*oblique()), make_data({"c": make_corpus(x)}), NO_MODEL, 0)
    assert again == scores


# Language model


@pytest.fixture
def spoken(tiny_model_folder, sentences, make_corpus, make_data):
    """Residual stream of every position but the first of the sentences that the tiny model has learned."""
    from unweave.models.hook_points import HookPoint, capture
    from unweave.models.language_model import load_language_model

    model = load_language_model(tiny_model_folder, torch.float32, CPU)
    rows, ids, docs, positions = [], [], [], []
    for document, sentence in enumerate(sentences):
        tokens = model.tokenizer(sentence)["input_ids"]
        with capture(model.model, [HookPoint("resid", 1)]) as activations:
            model.model(torch.tensor([tokens]))
        rows.append(activations["resid", 1][0, 1:].detach())
        ids += tokens[1:]
        docs += [document] * (len(tokens) - 1)
        positions += range(1, len(tokens))
    corpus = make_corpus(torch.cat(rows), documents=len(sentences), texts=list(sentences))
    corpus.tokens = StoredTokens(*map(np.array, (ids, docs, positions)))
    return make_data({"c": corpus}, tiny_model_folder)


def test_a_perfect_reconstruction_leaves_the_model_as_it_is_and_zeros_recover_nothing(spoken, make_dictionary, find):
    scores = evaluate(make_dictionary(16), spoken, Settings(), 0)
    assert find(scores, metric="kl", label=WITHOUT_FIRST) == pytest.approx(0, abs=1e-5)
    assert find(scores, metric="ce_recovered", label=WITHOUT_FIRST) == pytest.approx(1, abs=1e-3)
    assert find(scores, metric="kl_recovered", label=WITHOUT_FIRST) == pytest.approx(1, abs=1e-3)
    silent = Sparse(torch.zeros(4, 16), torch.eye(4, 16))
    scores = evaluate(silent, spoken, Settings(), 0)
    assert find(scores, metric="ce_recovered", label=WITHOUT_FIRST) == pytest.approx(0, abs=1e-6)
    assert find(scores, metric="kl_recovered", label=WITHOUT_FIRST) == pytest.approx(0, abs=1e-6)


# Numerics


def test_sums_of_long_rows_keep_their_small_errors():
    target = torch.full((4, 100), 1e4)
    measured = row_measures(target, target + 1e-2, torch.ones(4, 2))
    assert measured["error"].dtype == torch.float64
    assert measured["error"][0] == pytest.approx(100 * 0.009765625**2)


def test_a_token_at_the_mean_of_its_batch_counts_as_explained_if_it_is():
    target = torch.tensor([[1.0, 2], [3, 4], [2, 3]])
    assert legacy_explained(target, target).tolist() == [1, 1, 1]
