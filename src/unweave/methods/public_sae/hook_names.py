"""Where the SAEs of others were trained: TransformerLens' names of places in a model, in terms of our sites."""

import re
from collections.abc import Mapping
from typing import Any

from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint

_SITES = {
    "hook_resid_post": "resid",
    "hook_resid_pre": "resid",
    "hook_mlp_out": "mlp_out",
    "hook_attn_out": "attn_out",
    "mlp.hook_post": "mlp_neurons",
}
_NORMED_AGAIN = re.compile(r"gemma-[23]-")
"""Models whose blocks norm the outputs of attention and MLP once more: TransformerLens reads after that norm, we before
it."""


def point_of(hook_name: str, model_name: str = "") -> HookPoint | None:
    """Our site and block of a TransformerLens hook, or None where we have no such site.

    The residual stream before block L is that after block L - 1.
    """
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", hook_name)
    site = _SITES.get(match[2]) if match else None
    if match is None or site is None:
        return None
    if site in ("mlp_out", "attn_out") and _NORMED_AGAIN.search(model_name.lower()):
        return None
    layer = int(match[1]) - (match[2] == "hook_resid_pre")
    return HookPoint(site, layer) if layer >= 0 else None  # type: ignore[arg-type]


def check_place(metadata: Mapping[str, Any], d_in: int, activations: Activations) -> None:
    """Refuse an SAE of another width, site or block than the activations, as far as either side is known.

    Raises
    ------
    UnweaveError
        naming both.
    """
    if d_in != activations.d:
        raise UnweaveError(
            f"the SAE reads {d_in} dimensions and the activations have {activations.d}: choose an SAE of this model"
        )
    hook_name = metadata.get("hook_name")
    if not hook_name:
        return
    point = point_of(hook_name, str(metadata.get("model_name") or ""))
    if point is None:
        raise UnweaveError(
            f"the SAE reads {hook_name} of {metadata.get('model_name')}, which is no site that is harvested: choose "
            "one of the residual stream, of neurons, or of an MLP or attention output before its second norm"
        )
    if activations.site and activations.site != point.site:
        raise UnweaveError(
            f"the SAE reads site {point.site} ({hook_name}) and the activations are from {activations.site}: choose "
            f"another SAE or `site: {point.site}`"
        )
    if activations.layer is not None and activations.layer != point.layer:
        raise UnweaveError(
            f"the SAE reads the {point.site} of block {point.layer} ({hook_name}) and the activations are from block "
            f"{activations.layer}: correct sae_id or `layers`"
        )
