import json

import numpy as np
import pytest
import torch
from sae_probes import run_sae_evals
from sae_probes.utils_data import get_classimabalance_num_train, get_yvals

from unweave.evaluations.last_token_probing import best_probe, measured, ranking, train_test

TASK, K = "161_agnews_0", [1, 5]


@pytest.fixture(scope="module")
def texts():
    y = get_yvals(TASK)
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(16, generator=generator)
    return torch.randn(len(y), 16, generator=generator) + 0.5 * torch.from_numpy(y)[:, None] * direction, y


@pytest.mark.parametrize(
    ("reg_type", "setting", "share"), [("l1", "normal", 0.5), ("l2", "normal", 0.5), ("l2", "imbalance", 0.05)]
)
def test_metrics_are_those_of_sae_probes(dictionary, texts, reference_sae, tmp_path, reg_type, setting, share):
    x, y = texts
    cache = tmp_path / "cache"
    (cache / "model_activations_m").mkdir(parents=True)
    torch.save(x, cache / "model_activations_m" / f"{TASK}_h.pt")
    sae = reference_sae(dictionary)
    run_sae_evals(
        sae,
        "m",
        "h",
        reg_type,
        setting,
        ks=K,
        datasets=[TASK],
        device="cpu",
        model_cache_path=cache,
        results_path=tmp_path,
    )
    pattern = "*frac0.05*.json" if setting == "imbalance" else "*.json"
    (file,) = (tmp_path / "sae_probes_m" / f"{setting}_setting").glob(pattern)
    theirs = {result["k"]: result for result in json.loads(file.read_text())}

    if setting == "normal":
        n_train = min(len(y) - 100, 1024)
        n_test = len(y) - n_train - 1
    else:
        n_train, n_test = get_classimabalance_num_train(TASK)
    train, test = train_test(y, n_train, n_test, share, 42)
    # The last bits of a code depend on how many rows are encoded together, and a text may lie on the border.
    codes_train, codes_test = (
        torch.cat([sae.encode(rows) for rows in x[chosen].split(128)]).numpy() for chosen in (train, test)
    )
    order = ranking(codes_train, y[train])
    # It ranks float32 codes; scikit-learn takes its tensors to float64.
    wide_train, wide_test = codes_train.astype(np.float64), codes_test.astype(np.float64)
    for k in K:
        assert order[:k].tolist() == theirs[k]["indices"]
        probe = best_probe(wide_train[:, order[:k]], y[train], wide_test[:, order[:k]], reg_type, 42)
        ours = {metric: value for metric, (value, _) in measured(probe, y[test], np.ones((1, len(test)))).items()}
        names = {"accuracy": "test_acc", "f1": "test_f1", "auc": "test_auc", "validation_auc": "val_auc"}
        for metric, name in names.items():
            assert ours[metric] == pytest.approx(theirs[k][name], abs=1e-6), (k, metric)
