# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
scores = []  # score tables to read
stem = ""  # where the figure goes, without a suffix
titles = {}  # registry keys to the names that the figure prints

# %% [markdown]
# # How much text a feature needs
#
# **The paper** cuts the text before a token to its last tokens and asks after how many a component is among the
# strongest again; it also measures by gradients how far back a score depends on the text.
#
# **Here** both, at one layer, for ICA, a sparse autoencoder and random directions. `kept first` keeps the first
# token of the document in front of the cut text, as an anchor for attention; `bare` does not. Rank is that within
# which a feature must be to count as recovered.
#
# **What differs**: one layer; fields end at the cap.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import Panel
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
panels = [
    [
        Panel(
            "suffix_field_capped",
            "Suffix",
            "tokens",
            "rank",
            "rank to be within",
            label="kept first",
            control="bare",
            control_title="without the first token",
        ),
        Panel(
            "local_share",
            "Local",
            "share within one token",
            "rank",
            "rank to be within",
            label="kept first",
            control="bare",
            control_title="without the first token",
        ),
    ],
    [Panel("gradient_field", "Gradient field", "tokens")],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "receptive_field") + "\n" + comparison.findings(data, panels))
