"""Whether other releases of torch and transformers give the same numbers as the locked ones.

`python -m benchmarks.versions` installs each release beside the environment, and compares in processes of their own:
every fit of `benchmarks.reproducibility`, and the activations of small models of four families whose weights are drawn
from a fixed seed. Writes benchmarks/versions.json. Another torch from PyPI brings several GB of CUDA libraries.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.reproducibility import FITS, atoms, compared, output_of
from unweave.config import PROJECT
from unweave.files import write_json

RELEASES = {"torch": ["2.12.1"], "transformers": ["5.22.2", "5.24.0"]}
FAMILIES = ("llama", "gpt2", "gemma2", "qwen3")
FORWARD = """
import sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from unweave.models.hook_points import HookPoint, capture
sizes = dict(vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=64)
if sys.argv[1] == "gpt2":
    sizes = dict(vocab_size=256, n_embd=64, n_layer=3, n_head=4, n_positions=64)
model = AutoModelForCausalLM.from_config(AutoConfig.for_model(sys.argv[1], **sizes)).eval()
generator = torch.Generator().manual_seed(0)
with torch.inference_mode():
    for _, weight in sorted(model.named_parameters()):
        weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
    ids = torch.randint(256, (8, 48), generator=generator)
    points = [HookPoint(site, layer) for site in ("resid", "mlp_out") for layer in (0, 2)]
    with capture(model, points) as found:
        model(input_ids=ids, use_cache=False)
rows = torch.cat([found[point].flatten(0, 1) for point in points]).double()
sys.stdout.buffer.write(rows.numpy().tobytes())
"""
WIDTH = 64


def installed(package: str, release: str) -> Path:
    """Folder with one release of a package, installed if it is not there yet."""
    folder = PROJECT / f"results/releases/{package}-{release}"
    if not folder.exists():
        # transformers runs on the other packages of the environment; torch needs the libraries of its own build.
        alone = ["--no-deps"] if package == "transformers" else []
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), *alone]
        subprocess.run([*pip, f"{package}=={release}"], check=True)
    code = f"import sys, {package}; sys.stdout.write({package}.__version__)"
    loaded = output_of(code, "", threads=1, packages=os.fspath(folder)).decode()
    if loaded.partition("+")[0] != release:
        raise SystemExit(f"error: {folder}: {package} {loaded} was imported, not {release}: delete the folder")
    return folder


def activations(family: str, packages: str = "") -> bytes:
    """Activations of a small model of a family, as bytes of float64."""
    return output_of(FORWARD, family, threads=1, packages=packages)


def main() -> None:
    """Install, compute, compare and keep."""
    fits = {method: atoms(method, 1) for method in FITS}
    forward = {family: activations(family) for family in FAMILIES}
    results: dict[str, object] = {"locked": {package: version(package) for package in RELEASES}}
    for package, releases in RELEASES.items():
        for release in releases:
            folder = os.fspath(installed(package, release))
            found = {
                f"activations of {name}": compared(one, activations(name, folder), WIDTH)
                for name, one in forward.items()
            }
            if package == "torch":
                found |= {f"fit of {method}": compared(one, atoms(method, 1, folder)) for method, one in fits.items()}
            results[f"{package} {release}"] = found
            print(package, release, found, flush=True)
    write_json(PROJECT / "benchmarks/versions.json", results)


if __name__ == "__main__":
    main()
