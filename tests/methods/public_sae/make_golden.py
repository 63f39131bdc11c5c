"""Write `golden/`: tiny SAEs as sae-lens saves them, and what sae-lens makes of a few rows with them.

Run with an interpreter that has sae-lens (6.54.12 was used):

    python tests/methods/public_sae/make_golden.py

Every architecture is one folder. `expected.safetensors` holds the rows `x` and, for each folder, normalisation and
treatment of the decoder's bias, the codes and what they decode to. `legacy` has a configuration from before version 6.
"""

import json
from pathlib import Path

import torch
from sae_lens import (
    SAE,
    AbsTopKSAE,
    AbsTopKSAEConfig,
    BatchTopKTrainingSAE,
    BatchTopKTrainingSAEConfig,
    GatedSAE,
    GatedSAEConfig,
    JumpReLUSAE,
    JumpReLUSAEConfig,
    StandardSAE,
    StandardSAEConfig,
    TopKSAE,
    TopKSAEConfig,
)
from sae_lens.saes.sae import SAEMetadata
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"
D, F, N, K = 6, 10, 12, 3
SCALE = 0.37
NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale", "expected_average_only_in")
GENERATOR = torch.Generator().manual_seed(0)


def metadata(**more):
    return SAEMetadata(model_name="tiny", hook_name="blocks.1.hook_resid_post", prepend_bos=True, **more)


def randomised(sae):
    """Random weights, so that no norm is 1 and no bias is 0; thresholds that let about half of the codes through."""
    with torch.no_grad():
        for name, tensor in sae.named_parameters():
            tensor.copy_(0.5 * torch.randn(tensor.shape, generator=GENERATOR))
            if name == "threshold":
                tensor.abs_()
                tensor[0] = -0.2
    return sae


def configuration(kind, **more):
    return kind(d_in=D, d_sae=F, dtype="float32", device="cpu", metadata=metadata(), **more)


def saved():
    """Save each architecture once, each with another normalisation, and return the folders."""
    saes = {
        "standard": StandardSAE(configuration(StandardSAEConfig, normalize_activations="expected_average_only_in")),
        "topk": TopKSAE(configuration(TopKSAEConfig, k=K, normalize_activations="layer_norm")),
        "topk-rescaled": TopKSAE(configuration(TopKSAEConfig, k=K, rescale_acts_by_decoder_norm=True)),
        "abstopk": AbsTopKSAE(configuration(AbsTopKSAEConfig, k=K, normalize_activations="constant_norm_rescale")),
        "jumprelu": JumpReLUSAE(configuration(JumpReLUSAEConfig, apply_b_dec_to_input=False)),
        "gated": GatedSAE(configuration(GatedSAEConfig)),
    }
    for name, sae in saes.items():
        randomised(sae).save_model(GOLDEN / name)
    batch_topk = randomised(BatchTopKTrainingSAE(configuration(BatchTopKTrainingSAEConfig, k=K)))
    batch_topk.topk_threshold.fill_(0.9)
    batch_topk.save_inference_model(GOLDEN / "batchtopk")
    return [*saes, "batchtopk"]


def save_legacy():
    """Save a TopK SAE as versions before 6 did."""
    sae = randomised(TopKSAE(configuration(TopKSAEConfig, k=K)))
    folder = GOLDEN / "legacy"
    folder.mkdir(exist_ok=True)
    weights = {name: tensor.detach() for name, tensor in sae.state_dict().items()}
    save_file({**weights, "scaling_factor": torch.ones(F)}, folder / "sae_weights.safetensors")
    old = {
        "d_in": D,
        "d_sae": F,
        "dtype": "float32",
        "model_name": "tiny",
        "hook_point": "blocks.2.hook_resid_pre",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": K},
        "normalize_activations": "layer_norm",
        "finetuning_scaling_factor": False,
    }
    (folder / "cfg.json").write_text(json.dumps(old))


@torch.no_grad()
def results(folder, normalisation, subtract, x):
    """Codes and reconstruction by sae-lens, with another normalisation than the folder states."""
    path = GOLDEN / folder / "cfg.json"
    stated = path.read_text()
    change = {"normalize_activations": normalisation, "apply_b_dec_to_input": subtract}
    path.write_text(json.dumps({**json.loads(stated), **change}))
    try:
        sae = SAE.load_from_disk(GOLDEN / folder)
    finally:
        path.write_text(stated)
    if normalisation == "expected_average_only_in":
        sae.fold_activation_norm_scaling_factor(SCALE)
    codes = sae.encode(x)
    return codes, sae.decode(codes)


@torch.no_grad()
def main():
    x = 2 * torch.randn(N, D, generator=GENERATOR) * torch.linspace(0.5, 2, N)[:, None] + 1
    expected = {"x": x, "scale": torch.tensor(SCALE)}
    folders = saved()
    save_legacy()
    for folder in folders:
        for normalisation in NORMALISATIONS:
            for subtract in (False, True):
                codes, decoded = results(folder, normalisation, subtract, x)
                expected[f"{folder}/{normalisation}/{int(subtract)}/codes"] = codes
                expected[f"{folder}/{normalisation}/{int(subtract)}/decoded"] = decoded
    legacy = SAE.load_from_disk(GOLDEN / "legacy")
    expected["legacy/codes"] = legacy.encode(x)
    expected["legacy/decoded"] = legacy.decode(expected["legacy/codes"])
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, GOLDEN / "expected.safetensors")
    for name, tensor in expected.items():
        assert tensor.isfinite().all(), name
        if name.endswith("codes"):
            print(name, f"{(tensor != 0).float().mean():.2f} of the codes are not 0")


if __name__ == "__main__":
    main()
