import pytest
import torch
from sae_bench.evals.scr_and_tpp import main as reference
from sae_bench.evals.sparse_probing import probe_training
from sae_bench.sae_bench_utils import activation_collection

from unweave.evaluations.tpp import Settings, evaluate

N = [2, 5, 10, 20]


def test_every_number_is_that_of_saebench_from_the_training_of_probes_on(
    dictionary, labelled, make_data, reference_sae
):
    sae, (train, test) = reference_sae(dictionary), labelled.padded.values()
    pooled_train, pooled_test = (activation_collection.create_meaned_model_activations(t) for t in (train, test))
    torch.manual_seed(42)
    probes, _ = probe_training.train_probe_on_activations(
        pooled_train,
        pooled_test,
        use_sklearn=False,
        batch_size=16,
        epochs=20,
        lr=1e-3,
        l1_penalty=1e-3,
        early_stopping_patience=20,
    )
    classes = labelled.corpus.label_names
    clean = reference.get_probe_test_accuracy(probes, classes, pooled_test, 500, False)
    effects = reference.get_all_node_effects_for_one_sae(sae, probes, classes, False, train, 125)
    with torch.no_grad():
        ablated = reference.perform_feature_ablations(probes, sae, 125, test, effects, N, classes, 500, False)
    means, of_classes = reference.create_tpp_plotting_dict(ablated, clean)

    scores = evaluate(
        dictionary, make_data(labelled.corpus), Settings(n=N, saebench_compat=True, context=labelled.context), 42
    )
    ours = {(s.metric, s.label, s.x): s.value for s in scores}
    assert {t: ours["class_probe_accuracy", t, None] for t in classes} == pytest.approx(clean, abs=1e-6)
    for n in N:
        for metric, name in (
            ("tpp", "total_metric"),
            ("tpp_intended", "intended_diff_only"),
            ("tpp_unintended", "unintended_diff_only"),
        ):
            assert ours[metric, "", n] == pytest.approx(means[f"tpp_threshold_{n}_{name}"], abs=1e-6)
        for title in classes:
            assert ours["class_tpp", title, n] == pytest.approx(
                of_classes[title][f"tpp_threshold_{n}_total_metric"], abs=1e-6
            )
