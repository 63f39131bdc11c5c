"""Where activations are read in a plain transformers model, and the hooks that read and replace them.

Sites of block L, in the order in which a forward pass computes them:

- `attn_out`: output of the attention module, after its output projection
- `mlp_in`: input of the MLP module, after the norm before it
- `mlp_neurons`: input of the MLP's down projection
- `mlp_out`: output of the MLP module
- `resid`: the residual stream after the block, before any final norm

Gemma 2 norms the outputs of attention and MLP once more before it adds them to the residual stream; `attn_out` and
`mlp_out` are taken before that norm: they are what the modules themselves return, as in all other families.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from unweave.config import Site
from unweave.errors import UnweaveError

FORWARD_ORDER: tuple[Site, ...] = ("attn_out", "mlp_in", "mlp_neurons", "mlp_out", "resid")


class HookPoint(NamedTuple):
    """One site of one block."""

    site: Site
    layer: int


class _Paths(NamedTuple):
    """Attribute paths: `blocks` of the base model, `attention`, `mlp` and `down` projection of a block."""

    blocks: str
    attention: str
    mlp: str
    down: str


_LLAMA_LIKE = _Paths("layers", "self_attn", "mlp", "mlp.down_proj")
_FAMILIES = {
    "gpt2": _Paths("h", "attn", "mlp", "mlp.c_proj"),
    "llama": _LLAMA_LIKE,
    "gemma2": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "gpt_neox": _Paths("layers", "attention", "mlp", "mlp.dense_4h_to_h"),
}


def _paths(model: PreTrainedModel) -> _Paths:
    family = model.config.model_type
    if family not in _FAMILIES:
        raise UnweaveError(
            f"{family}: unknown model family, known are {', '.join(sorted(_FAMILIES))}: "
            "name its modules in unweave/models/hook_points.py"
        )
    return _FAMILIES[family]


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """All transformer blocks of `model`, in order.

    Raises
    ------
    UnweaveError
        if the model's family is unknown.
    """
    blocks = attrgetter(_paths(model).blocks)(model.base_model)
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def block_at(model: PreTrainedModel, layer: int) -> nn.Module:
    """Block `layer` of `model`, counted from 0.

    Raises
    ------
    UnweaveError
        if the model's family is unknown or it has no such block.
    """
    blocks = blocks_of(model)
    if not 0 <= layer < len(blocks):
        raise UnweaveError(f"layer {layer}: is missing, the model has blocks 0 to {len(blocks) - 1}: correct `layers`")
    return blocks[layer]


def width(model: PreTrainedModel, site: Site) -> int:
    """Width of an activation at `site`: d_mlp for `mlp_neurons`, d_model elsewhere."""
    d_model: int = model.config.hidden_size
    if site != "mlp_neurons":
        return d_model
    down: Tensor = attrgetter(_paths(model).down)(block_at(model, 0)).weight
    return down.numel() // d_model


class _DeepestPointReached(Exception):  # noqa: N818
    """Ends a forward pass whose remaining blocks nobody asked for."""


def _module_at(site: Site, block: nn.Module, paths: _Paths) -> tuple[nn.Module, bool]:
    """Find the module to hook; true if its input is wanted instead of its output."""
    match site:
        case "attn_out":
            return attrgetter(paths.attention)(block), False
        case "mlp_in":
            return attrgetter(paths.mlp)(block), True
        case "mlp_neurons":
            return attrgetter(paths.down)(block), True
        case "mlp_out":
            return attrgetter(paths.mlp)(block), False
        case "resid":
            return block, False


@contextmanager
def capture(model: PreTrainedModel, points: Iterable[HookPoint]) -> Iterator[dict[HookPoint, Tensor]]:
    """Fill the yielded dict with the activations (B, T, width) at `points` while a forward pass runs inside the block.

    The pass ends after the deepest point, and with it the `with` block: put nothing but the call of the model inside.

        with capture(model, [HookPoint("resid", 10)]) as activations:
            model(input_ids=tokens_BT, use_cache=False)
        activations["resid", 10]

    The hooks are gone when the block ends, also after an error.

    Raises
    ------
    UnweaveError
        if the model's family is unknown or it lacks a layer.
    """
    paths = _paths(model)
    blocks = {point: block_at(model, point.layer) for point in points}
    deepest = max(blocks, key=lambda point: (point.layer, FORWARD_ORDER.index(point.site)))
    activations: dict[HookPoint, Tensor] = {}

    def record(point: HookPoint, value: Any) -> None:
        # Attention modules return (output, weights), and a hook sees inputs as a tuple.
        activations[point] = value[0] if isinstance(value, tuple) else value
        if point == deepest:
            raise _DeepestPointReached

    handles: list[RemovableHandle] = []
    try:
        for point, block in blocks.items():
            module, wants_input = _module_at(point.site, block, paths)
            if wants_input:
                handles.append(module.register_forward_pre_hook(lambda _, args, point=point: record(point, args)))
            else:
                handles.append(module.register_forward_hook(lambda _, __, output, point=point: record(point, output)))
        yield activations
    except _DeepestPointReached:
        pass
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replaced(model: PreTrainedModel, point: HookPoint, value_BTW: Tensor) -> Iterator[None]:
    """Put `value_BTW` in the place of the activation at `point` in every forward pass inside the block.

    The hook is gone when the block ends, also after an error.

    Raises
    ------
    UnweaveError
        if the model's family is unknown or it lacks the layer.
    """
    module, wants_input = _module_at(point.site, block_at(model, point.layer), _paths(model))

    def substitute(original: Any) -> Any:
        return (value_BTW, *original[1:]) if isinstance(original, tuple) else value_BTW

    if wants_input:
        handle = module.register_forward_pre_hook(lambda _, args: substitute(args))
    else:
        handle = module.register_forward_hook(lambda _, __, output: substitute(output))
    try:
        yield
    finally:
        handle.remove()
