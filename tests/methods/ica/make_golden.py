"""Write golden.safetensors: what the ICA Lens authors' package and picard find in a small planted mixture.

Neither is installed beside Unweave's tests. In an environment with icalens 0.4.0, python-picard 0.8.2 and torch:

    python tests/methods/ica/make_golden.py
"""

from pathlib import Path

import numpy as np
import torch
from icalens._fastica import fit_fastica, geometric_median
from picard import picard
from safetensors.torch import save_file

N, D = 2000, 8


def mixture() -> torch.Tensor:
    """Skewed sparse sources of different sparsity, mixed and moved."""
    generator = np.random.default_rng(5)
    shapes = np.linspace(0.4, 1.2, D)
    sources = generator.laplace(size=(N, D))
    sources = np.sign(sources) * np.abs(sources) ** (1 / shapes) * np.where(sources > 0, 1.5, 1)
    mixing = generator.normal(size=(D, D)) + 2 * np.eye(D)
    return torch.tensor(sources / sources.std(0) @ mixing.T + generator.normal(size=D), dtype=torch.float32)


def main() -> None:
    """Fit with each and save."""
    x = mixture()
    golden = {"x": x}
    median = geometric_median(x, max_iter=500, tol=1e-9)
    runs = {
        "raw": {"row_normalize": False, "max_iter": 50},
        "row_norm": {"row_normalize": True, "max_iter": 50},
        "geometric_median": {"row_normalize": True, "preprocessing_center": median, "max_iter": 50},
        "deflation": {"row_normalize": False, "algorithm": "deflation", "max_iter": 200},
    }
    for name, settings in runs.items():
        fitted = fit_fastica(x, n_components=D, random_state=0, **settings)
        golden[f"icalens.{name}.readers"] = fitted.components.float()
        golden[f"icalens.{name}.strengths"] = torch.tensor(fitted.component_strengths)
    golden["icalens.median"] = median.float()

    whitening, rotation, _ = picard(x.double().numpy().T, ortho=True, max_iter=500, tol=1e-9, random_state=0)
    codes = rotation @ whitening @ (x.double().numpy().T - x.double().numpy().T.mean(axis=1, keepdims=True))
    golden["picard.readers"] = torch.tensor(rotation @ whitening, dtype=torch.float32)
    golden["picard.contrast"] = torch.tensor(np.abs(np.log(np.cosh(codes)).mean(axis=1) - 0.374567207491457).mean())
    save_file(golden, Path(__file__).with_name("golden.safetensors"))


if __name__ == "__main__":
    main()
