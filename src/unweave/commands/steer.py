"""`unweave steer`: what a model writes when a feature is added to its residual stream."""

from pathlib import Path
from typing import Annotated

import typer

from unweave.errors import UnweaveError
from unweave.files import MANIFEST


def steer(
    dictionary: Annotated[Path, typer.Argument(help="folder of a fitted dictionary")],
    feature: Annotated[int, typer.Argument(help="number of the code")],
    prompt: Annotated[str, typer.Argument(help="text to continue")],
    model: Annotated[Path, typer.Option(help="folder of the model")],
    strength: Annotated[float, typer.Option(help="length of what is added; negative for the other direction")] = 8.0,
    tokens: Annotated[int, typer.Option(min=1, help="tokens to write")] = 30,
    seed: Annotated[int, typer.Option(help="of the sampling")] = 0,
) -> None:
    """Continue a prompt with and without a feature added at its layer."""
    import torch
    from rich.console import Console

    from unweave.commands.dictionaries import place_of
    from unweave.evaluations.steering.directions import in_residual_stream
    from unweave.evaluations.steering.generation import continuations
    from unweave.methods.dictionary import load
    from unweave.models.language_model import load_language_model
    from unweave.provenance import require_unchanged

    require_unchanged([dictionary / MANIFEST])
    loaded = load(dictionary)
    site, layer = place_of(dictionary)
    if not 0 <= feature < loaded.n_features:
        raise UnweaveError(f"feature {feature}: {dictionary} has codes 0 to {loaded.n_features - 1}")
    if not prompt:
        raise UnweaveError("prompt: is empty: give some words to continue")
    language_model = load_language_model(model, torch.float32, torch.device("cpu"))
    site = loaded.traits.writes or site
    with torch.inference_mode():
        direction = in_residual_stream(language_model.model, site, layer, loaded.atoms[[feature]])
        ids = torch.tensor(language_model.tokenizer(prompt)["input_ids"])
        added = torch.cat([torch.zeros_like(direction), strength * direction])
        generator = torch.Generator().manual_seed(seed)
        plain, steered = continuations(language_model.model, layer, ids, added, tokens, generator)
    console = Console(highlight=False, markup=False)
    console.print("without:", style="bold")
    console.print(prompt + str(language_model.tokenizer.decode(plain)))
    console.print(f"with feature {feature}, strength {strength:g}:", style="bold")
    console.print(prompt + str(language_model.tokenizer.decode(steered)))
