"""`unweave features`: the strongest contexts of a feature, in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unweave.errors import UnweaveError
from unweave.files import MANIFEST

if TYPE_CHECKING:
    from rich.text import Text

    from unweave.explorer.features import Context
    from unweave.explorer.texts import Texts

HOT, COLD = "on red", "on blue"


def shaded(context: "Context", texts: "Texts") -> "Text":
    """One context: tokens of the sign of the strong one on a background, the strong token in bold."""
    from rich.text import Text

    line = Text(f"{context.value:9.3g}  ")
    start = int(texts.starts[context.text]) + context.first
    for offset, code in enumerate(context.codes):
        style = "" if code is None or abs(code) < 25 else (HOT if code > 0 else COLD)
        if offset == context.peak:
            style = f"bold {style}".strip()
        line.append(texts.pieces[start + offset].replace("\n", "\\n"), style)
    return line


def features(
    dictionary: Annotated[Path, typer.Argument(help="folder of a fitted dictionary")],
    feature: Annotated[list[int], typer.Argument(help="numbers of features (groups, where there are groups)")],
    activations: Annotated[Path, typer.Option(help="activation file of the same model and site")],
    text: Annotated[Path, typer.Option(help="folder of the text that was harvested")],
    model: Annotated[Path, typer.Option(help="folder of the model, for its tokenizer")],
    top: Annotated[int, typer.Option(min=1, help="contexts of each sign")] = 5,
    tokens: Annotated[int, typer.Option(min=1, help="tokens that are searched")] = 20_000,
) -> None:
    """Print the contexts on which features are strongest."""
    import torch
    from rich.console import Console

    from unweave.commands.dictionaries import place_of
    from unweave.evaluations.run import StoredCorpus
    from unweave.explorer.features import contexts, feature_activations
    from unweave.explorer.texts import read_texts
    from unweave.methods.dictionary import load
    from unweave.models.language_model import load_tokenizer
    from unweave.provenance import require_unchanged

    require_unchanged([activations, *(folder / MANIFEST for folder in (dictionary, text, model))])
    loaded = load(dictionary)
    _, layer = place_of(dictionary)
    corpus = StoredCorpus(activations, text, layer)
    count = loaded.n_features // loaded.traits.group_size
    for wanted in feature:
        if not 0 <= wanted < count:
            raise UnweaveError(f"feature {wanted}: {dictionary} has features 0 to {count - 1}")
    texts = read_texts({"text": corpus}, tokens, load_tokenizer(model))
    rows = next(corpus.activations.slices([(0, min(tokens, corpus.activations.n))]))
    with torch.inference_mode():
        found = contexts(feature_activations(loaded, loaded.encode(rows))[:, feature], texts, top)
    console = Console(highlight=False)
    for wanted, sides in zip(feature, found, strict=True):
        console.print(f"feature {wanted}", style="bold")
        for context in [*sides[0], *sides[1]]:
            console.print(shaded(context, texts), soft_wrap=True)
        if not any(sides):
            console.print("never acts on these tokens")
