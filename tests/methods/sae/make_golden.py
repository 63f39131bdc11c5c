"""Write golden.safetensors: losses, gradients and updates of published trainers on small fixed inputs.

Run it in an environment that has sae-lens 6.54.12 and dictionary_learning 0.1.0, from this folder:

    python make_golden.py

Every tensor is named `case.quantity`. Weights are stored as (F, d), whatever the library's layout. Cases:

    dl_topk, dl_topk_dead   dictionary_learning.trainers.top_k.TopKTrainer, without and with dead latents
    dl_batchtopk            dictionary_learning.trainers.batch_top_k.BatchTopKTrainer, with dead latents
    dl_relu                 dictionary_learning.trainers.standard.StandardTrainerAprilUpdate
    dl_gated                dictionary_learning.trainers.gdm.GatedSAETrainer
    dl_jumprelu             dictionary_learning.trainers.jumprelu.JumpReluTrainer
    sl_relu                 sae_lens.saes.standard_sae.StandardTrainingSAE
    sl_topk, sl_topk_dead   sae_lens.saes.topk_sae.TopKTrainingSAE
    sl_signed_dead          sae_lens.saes.abstopk_sae.AbsTopKTrainingSAE
    sl_batchtopk            sae_lens.saes.batchtopk_sae.BatchTopKTrainingSAE
    sl_matryoshka           sae_lens.saes.matryoshka_batchtopk_sae.MatryoshkaBatchTopKTrainingSAE
    sl_jumprelu             sae_lens.saes.jumprelu_sae.JumpReLUTrainingSAE
    sl_gated                sae_lens.saes.gated_sae.GatedTrainingSAE
    schedules               sae_lens.training.optim.get_lr_scheduler
    median                  dictionary_learning.trainers.top_k.geometric_median

Gradients of dictionary_learning's decoders are taken after its removal of their parallel part, where its trainer does
that. What is known to differ: dictionary_learning takes the straight-through gradient of the L0 of JumpReLU from the
code instead of the pre-activation, and weights the losses of P prefixes by 1 / P^2 in all (the paper and sae-lens add
them); sae-lens does not freeze the decoder in the auxiliary loss of a gated autoencoder (the paper and
dictionary_learning do); sae-lens lowers the auxiliary loss where fewer latents are dead than rebuild the residual.
"""

from pathlib import Path

import torch
from dictionary_learning.trainers.batch_top_k import BatchTopKTrainer
from dictionary_learning.trainers.gdm import GatedSAETrainer
from dictionary_learning.trainers.jumprelu import JumpReluTrainer
from dictionary_learning.trainers.standard import StandardTrainerAprilUpdate
from dictionary_learning.trainers.top_k import TopKTrainer, geometric_median
from dictionary_learning.trainers.trainer import remove_gradient_parallel_to_decoder_directions
from sae_lens.saes.abstopk_sae import AbsTopKTrainingSAE, AbsTopKTrainingSAEConfig
from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedTrainingSAE, GatedTrainingSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUTrainingSAE, JumpReLUTrainingSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import (
    MatryoshkaBatchTopKTrainingSAE,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from sae_lens.saes.sae import TrainStepInput
from sae_lens.saes.standard_sae import StandardTrainingSAE, StandardTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.optim import get_lr_scheduler
from safetensors.torch import save_file

D, F, B, K = 8, 48, 12, 4
SILENT = 10_000_000
PLAIN = {
    "steps": 100,
    "activation_dim": D,
    "dict_size": F,
    "layer": 0,
    "lm_name": "",
    "warmup_steps": 1,
    "device": "cpu",
}
golden = {}


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


X = drawn(B, D, seed=0) * 1.5 + 0.3
W_ENC, B_ENC = drawn(F, D, seed=1) * 0.5, drawn(F, seed=2) * 0.1
W_FREE, B_DEC = drawn(F, D, seed=3) * 0.4, drawn(D, seed=4) * 0.2
W_UNIT = torch.nn.functional.normalize(W_FREE)
R_MAG, B_MAG = drawn(F, seed=5) * 0.2, drawn(F, seed=6) * 0.1
THRESHOLD = drawn(F, seed=7).abs() * 0.3 + 0.1
golden |= {
    "x": X, "W_enc": W_ENC, "b_enc": B_ENC, "W_free": W_FREE, "W_unit": W_UNIT, "b_dec": B_DEC, "r_mag": R_MAG,
    "b_mag": B_MAG, "threshold": THRESHOLD,
}  # fmt: skip


def keep(case, **tensors):
    for name, tensor in tensors.items():
        golden[f"{case}.{name}"] = torch.as_tensor(tensor).detach().float().clone().contiguous()


def put(parameter, value):
    parameter.data = value.clone().contiguous()


def without_parallel(weight_dF, gradient_dF):
    return remove_gradient_parallel_to_decoder_directions(weight_dF, gradient_dF, D, F).T


def fired_of(codes):
    return (codes != 0).any(0)


def dictionary_learning_topk(case, trainer, *, dead):
    ae = trainer.ae
    put(ae.encoder.weight, W_ENC), put(ae.encoder.bias, B_ENC), put(ae.decoder.weight, W_UNIT.T), put(ae.b_dec, B_DEC)
    silent = torch.zeros(F, dtype=torch.long)
    silent[::2] = SILENT if dead else 0
    trainer.num_tokens_since_fired = silent.clone()
    threshold = float(ae.threshold)
    log = trainer.loss(X, step=2000, logging=True)
    loss = trainer_loss(trainer, silent)
    keep(
        case, loss=loss, l2=log.losses["l2_loss"], aux=log.losses["auxk_loss"], silent=silent,
        W_enc_grad=ae.encoder.weight.grad, b_enc_grad=ae.encoder.bias.grad, b_dec_grad=ae.b_dec.grad,
        W_dec_grad=without_parallel(ae.decoder.weight, ae.decoder.weight.grad), first_threshold=threshold,
        silent_after=trainer.num_tokens_since_fired,
    )  # fmt: skip


def trainer_loss(trainer, silent):
    trainer.num_tokens_since_fired = silent.clone()
    loss = trainer.loss(X, step=0)
    loss.backward()
    return loss


def make_dictionary_learning():
    dictionary_learning_topk("dl_topk", TopKTrainer(k=K, **PLAIN), dead=False)
    dictionary_learning_topk("dl_topk_dead", TopKTrainer(k=K, **PLAIN), dead=True)

    trainer = BatchTopKTrainer(k=K, **PLAIN)
    dictionary_learning_topk("dl_batchtopk", trainer, dead=True)
    keep("dl_batchtopk", threshold_1=trainer.ae.threshold)
    codes = trainer.ae.encode(2 * X, use_threshold=False)
    trainer.update_threshold(codes)
    keep("dl_batchtopk", threshold_2=trainer.ae.threshold)

    trainer = StandardTrainerAprilUpdate(l1_penalty=0.3, sparsity_warmup_steps=None, **PLAIN)
    ae = trainer.ae
    put(ae.encoder.weight, W_ENC), put(ae.encoder.bias, B_ENC), put(ae.decoder.weight, W_FREE.T), put(ae.bias, B_DEC)
    loss = trainer.loss(X, step=5)
    loss.backward()
    keep("dl_relu", loss=loss, W_enc_grad=ae.encoder.weight.grad, b_enc_grad=ae.encoder.bias.grad,
         W_dec_grad=ae.decoder.weight.grad.T, b_dec_grad=ae.bias.grad)  # fmt: skip

    trainer = GatedSAETrainer(l1_penalty=0.3, sparsity_warmup_steps=None, **PLAIN)
    ae = trainer.ae
    put(ae.encoder.weight, W_ENC), put(ae.gate_bias, B_ENC), put(ae.mag_bias, B_MAG), put(ae.r_mag, R_MAG)
    put(ae.decoder.weight, W_UNIT.T), put(ae.decoder_bias, B_DEC)
    loss = trainer.loss(X, step=5)
    loss.backward()
    keep("dl_gated", loss=loss, W_enc_grad=ae.encoder.weight.grad, b_enc_grad=ae.gate_bias.grad,
         r_mag_grad=ae.r_mag.grad, b_mag_grad=ae.mag_bias.grad, b_dec_grad=ae.decoder_bias.grad,
         W_dec_grad=without_parallel(ae.decoder.weight, ae.decoder.weight.grad))  # fmt: skip

    trainer = JumpReluTrainer(bandwidth=0.3, target_l0=5.0, sparsity_penalty=2.0, sparsity_warmup_steps=None, **PLAIN)
    ae = trainer.ae
    put(ae.W_enc, W_ENC.T), put(ae.b_enc, B_ENC), put(ae.W_dec, W_UNIT), put(ae.b_dec, B_DEC)
    put(ae.threshold, THRESHOLD)
    loss = trainer.loss(X, step=5)
    loss.backward()
    keep("dl_jumprelu", loss=loss, W_enc_grad=ae.W_enc.grad.T, b_enc_grad=ae.b_enc.grad, b_dec_grad=ae.b_dec.grad,
         W_dec_grad=without_parallel(ae.W_dec.T, ae.W_dec.grad.T))  # fmt: skip

    keep("median", point=geometric_median(X))


def sae_lens_case(case, sae, coefficients, *, dead=False, unit=False, gated=False):
    put(sae.W_enc, W_ENC.T), put(sae.W_dec, W_UNIT if unit else W_FREE), put(sae.b_dec, B_DEC)
    put(sae.b_gate if gated else sae.b_enc, B_ENC)
    if gated:
        put(sae.b_mag, B_MAG), put(sae.r_mag, R_MAG)
    if hasattr(sae, "bandwidth"):
        put(sae.threshold, THRESHOLD)
    codes, pre = sae.encode_with_hidden_pre(X)
    mask = torch.zeros(F, dtype=torch.bool)
    if dead:
        mask = ~fired_of(codes)
        assert mask.sum() >= D // 2
        strongest = torch.where(mask, pre.abs() if "signed" in case else pre, -torch.inf).topk(D // 2).values
        assert (strongest > 0).all(), "sae-lens lets dead latents act with negative codes"
    output = sae.training_forward_pass(TrainStepInput(X, coefficients, mask, n_training_steps=0, is_logging_step=False))
    output.loss.backward()
    keep(case, loss=output.loss, dead=mask, W_enc_grad=sae.W_enc.grad.T, W_dec_grad=sae.W_dec.grad,
         b_dec_grad=sae.b_dec.grad, b_enc_grad=(sae.b_gate if gated else sae.b_enc).grad)  # fmt: skip
    keep(case, **{name: value for name, value in output.losses.items() if torch.is_tensor(value)})
    return sae


def make_sae_lens():
    plain = {"d_in": D, "d_sae": F, "apply_b_dec_to_input": True}
    sae_lens_case("sl_relu", StandardTrainingSAE(StandardTrainingSAEConfig(**plain)), {"l1": 0.3})
    for case, dead in (("sl_topk", False), ("sl_topk_dead", True)):
        sae_lens_case(case, TopKTrainingSAE(TopKTrainingSAEConfig(k=K, **plain)), {}, dead=dead)
    sae_lens_case("sl_signed_dead", AbsTopKTrainingSAE(AbsTopKTrainingSAEConfig(k=K, **plain)), {}, dead=True)
    sae = sae_lens_case("sl_batchtopk", BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(k=K, **plain)), {})
    keep("sl_batchtopk", threshold_1=sae.topk_threshold)
    sae.update_topk_threshold(sae.encode_with_hidden_pre(2 * X)[0])
    keep("sl_batchtopk", threshold_2=sae.topk_threshold)
    config = MatryoshkaBatchTopKTrainingSAEConfig(k=K, matryoshka_widths=[8, 16, F], **plain)
    sae_lens_case("sl_matryoshka", MatryoshkaBatchTopKTrainingSAE(config), {})
    config = JumpReLUTrainingSAEConfig(jumprelu_bandwidth=0.3, **plain)
    sae = sae_lens_case("sl_jumprelu", JumpReLUTrainingSAE(config), {"l0": 0.7})
    keep("sl_jumprelu", threshold_grad=sae.threshold.grad)
    sae = sae_lens_case(
        "sl_gated", GatedTrainingSAE(GatedTrainingSAEConfig(**plain)), {"l1": 0.3}, unit=True, gated=True
    )
    keep("sl_gated", r_mag_grad=sae.r_mag.grad, b_mag_grad=sae.b_mag.grad)


def make_schedule():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=2e-3)
    scheduler = get_lr_scheduler(
        "constant", optimizer=optimiser, training_steps=50, lr=2e-3, warm_up_steps=6, decay_steps=10, lr_end=2e-4,
        num_cycles=1,
    )  # fmt: skip
    rates = []
    for _ in range(50):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    keep("schedules", sae_lens=rates)


if __name__ == "__main__":
    make_dictionary_learning()
    make_sae_lens()
    make_schedule()
    save_file(golden, Path(__file__).with_name("golden.safetensors"))
    print(f"{len(golden)} tensors")
