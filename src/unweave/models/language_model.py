"""Loading a prepared model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from unweave.errors import UnweaveError
from unweave.files import MANIFEST
from unweave.hardware import has_fast_bfloat16
from unweave.provenance import require_all_unchanged


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model for inference: evaluation mode, no gradients."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    manifest: dict[str, Any]

    @property
    def revision(self) -> str:
        """What was loaded: a hub commit, a pinned wheel, or the hash of a local model's weights."""
        return str(self.manifest["revision"])


def preferred_dtype(setting: str, device: torch.device) -> torch.dtype:
    """Turn `HarvestSettings.compute_dtype` ("bfloat16", "float32" or "auto") into a dtype.

    "auto" is bfloat16 where the hardware has instructions for it. On x86 CPUs that have them (AVX-512 BF16 or AMX) it
    was measured 2 to 3 times faster than float32; on those without, it is emulated and no faster. Other CPUs were not
    measured and stay with float32. The choice depends on the hardware alone, never on a timing, so reruns agree.
    """
    if setting != "auto":
        return {"bfloat16": torch.bfloat16, "float32": torch.float32}[setting]
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


def load_transformers(
    folder: Path, dtype: torch.dtype, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load model and tokenizer from a folder in transformers' format, offline and without running code from it.

    Raises
    ------
    UnweaveError
        if a file is missing or damaged, a weight is missing, or the model would need code of its own.
    """
    offline = {"local_files_only": True, "trust_remote_code": False}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **offline
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **offline)
    except (OSError, ValueError, TypeError, LookupError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnweaveError(f"{folder}: not a model that transformers can load ({reason})") from error
    model, report = loaded
    if report["missing_keys"]:
        raise UnweaveError(f"{folder}: the weights lack {min(report['missing_keys'])}: the model is incomplete")
    return model.eval().requires_grad_(False).to(device), tokenizer


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a prepared model alone.

    Raises
    ------
    UnweaveError
        if the folder holds none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UnweaveError(f"{folder}: holds no tokenizer that transformers can load ({reason})") from error
    return tokenizer


def load_language_model(folder: Path, dtype: torch.dtype, device: torch.device) -> LanguageModel:
    """Load a model that `prepare_model` made.

    Raises
    ------
    UnweaveError
        if the folder holds no prepared model, or one of its files is not as it was prepared.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnweaveError(
            f"{folder}: has no {MANIFEST}, so it is not a prepared model: make it with `snakemake {folder}`"
        ) from None
    except ValueError:
        raise UnweaveError(f"{folder}/{MANIFEST}: is damaged: delete {folder} and run again") from None
    require_all_unchanged(folder / MANIFEST)
    model, tokenizer = load_transformers(folder, dtype, device)
    return LanguageModel(manifest["name"], model, tokenizer, manifest)
