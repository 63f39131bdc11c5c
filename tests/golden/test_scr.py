import numpy as np
import pytest
import torch
from sae_bench.evals.scr_and_tpp import main as reference
from sae_bench.evals.sparse_probing import probe_training
from sae_bench.sae_bench_utils import activation_collection

from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import resampling_weights
from unweave.evaluations.probe_ablation import strongest_saebench
from unweave.evaluations.scr import (
    ABLATED,
    BIASED,
    CORPORA,
    LABELS,
    PROBES,
    Accuracies,
    Settings,
    effects,
    read_quadrants,
    scr,
    train_probes,
)
from unweave.evaluations.scr import tasks as draw_tasks

N = [2, 5, 10, 20]
NAMES = {LABELS: "male / female", CORPORA: "professor / nurse", BIASED: "male_professor / female_nurse"}
"""What SAEBench calls the three probes, whatever the data."""
NEGATIVES = {LABELS: "female_data_only", CORPORA: "nurse_data_only", BIASED: "female_nurse_data_only"}


@pytest.fixture(scope="module")
def quadrants(labelled, restricted):
    """The texts of four classes as two corpora of two labels, and padded in the same order."""
    corpora = {
        name: restricted(classes, ["positive", "negative"]) for name, classes in (("first", (0, 1)), ("second", (2, 3)))
    }
    titles = labelled.corpus.label_names[:4]
    padded = {split: torch.cat([texts[t] for t in titles]) for split, texts in labelled.padded.items()}
    return corpora, padded


def test_every_number_is_that_of_saebench(dictionary, labelled, quadrants, reference_sae):
    corpora, padded = quadrants
    settings = Settings(saebench_compat=True, context=labelled.context)
    texts = read_quadrants(dictionary, EvaluationData("resid", 1, torch.device("cpu"), None, corpora), settings)
    rng = np.random.default_rng(0)
    of_train, of_test = draw_tasks(texts.train.labels, rng), draw_tasks(texts.test.labels, rng)
    torch.manual_seed(0)
    probes = train_probes(texts, of_train, of_test, saebench=True)

    def as_reference(tasks, rows):
        held = {}
        for name in PROBES:
            chosen, y = tasks[name]
            held[NAMES[name]], held[NEGATIVES[name]] = rows[chosen[y == 1]], rows[chosen[y == 0]]
        return held

    train, test = as_reference(of_train, padded["train"]), as_reference(of_test, padded["test"])
    theirs = {}
    for index, name in enumerate(PROBES):
        probe = probe_training.Probe(probes.weights.shape[1], torch.float32)
        probe.net.weight.data[0] = torch.from_numpy(probes.weights[index])
        probe.net.bias.data[0] = float(probes.biases[index])
        theirs[NAMES[name]] = probe
    sae, classes = reference_sae(dictionary), list(NAMES.values())
    pooled = activation_collection.create_meaned_model_activations(test)
    clean = reference.get_probe_test_accuracy(theirs, classes, pooled, 500, True)
    of_effects = reference.get_all_node_effects_for_one_sae(sae, theirs, classes, True, train, 125)
    with torch.no_grad():
        ablated = reference.perform_feature_ablations(theirs, sae, 125, test, of_effects, N, classes, 500, True)
    expected = reference.get_scr_plotting_dict(ablated, clean)

    gains = texts.atoms @ probes.weights.T
    effect = effects(texts, gains, of_train, by_group=False)
    for name in PROBES:
        np.testing.assert_allclose(effect[name], of_effects[NAMES[name]].numpy(), rtol=1e-3, atol=1e-6)
    chosen = {n: [strongest_saebench(effect[probe], n) for probe in ABLATED] for n in N}
    accuracies = Accuracies(of_test, resampling_weights(len(texts.test.labels), 0))
    for n, found in scr(texts, probes, accuracies, chosen):
        for metric, name in (("scr_dir1", "scr_dir1"), ("scr_dir2", "scr_dir2"), ("scr", "scr_metric")):
            key = f"{name}_threshold_{n}"
            assert (metric in found) == (key in expected)
            if metric in found:
                # Its accuracies are float32, and the score divides by a small difference of two.
                assert found[metric][0] == pytest.approx(expected[key], rel=1e-5, abs=1e-6)
