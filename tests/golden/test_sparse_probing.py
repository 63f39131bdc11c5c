import pytest
import torch
from sae_bench.evals.sparse_probing.eval_config import SparseProbingEvalConfig
from sae_bench.evals.sparse_probing.main import run_eval_single_sae

from unweave.evaluations.sparse_probing import Settings, evaluate


class NoModel:
    def to(self, *_):
        return self


def test_accuracies_are_those_of_saebench(dictionary, labelled, make_data, reference_sae, tmp_path):
    torch.save(
        {**labelled.padded, "llm_results": {"llm_test_accuracy": dict.fromkeys(labelled.corpus.label_names, 0.0)}},
        tmp_path / f"{labelled.dataset.replace('/', '_')}_activations.pt",
    )
    config = SparseProbingEvalConfig(dataset_names=[labelled.dataset], k_values=[1, 2, 5], lower_vram_usage=True)
    means, classes = run_eval_single_sae(config, reference_sae(dictionary), NoModel(), "cpu", str(tmp_path))
    scores = evaluate(dictionary, make_data(labelled.corpus), Settings(k=[1, 2, 5], saebench_compat=True), 42)
    for k in config.k_values:
        (mean,) = (s.value for s in scores if s.metric == "accuracy" and s.dataset == "c" and s.x == k)
        assert mean == pytest.approx(means[f"sae_top_{k}_test_accuracy"], abs=1e-6)
        ours = {s.label: s.value for s in scores if s.metric == "class_accuracy" and s.x == k}
        assert ours == pytest.approx(classes[f"{labelled.dataset}_results"][f"sae_top_{k}_test_accuracy"], abs=1e-6)
