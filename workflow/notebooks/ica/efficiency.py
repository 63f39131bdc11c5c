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
# # What a dictionary costs
#
# **The paper** compares the memory of an ICA dictionary with that of public sparse autoencoders and times a pass.
#
# **Here** stored numbers, their ratio to a complete basis, and operations per token, which no machine alters. Times
# of fits are in the provenance beside each dictionary.
#
# **What differs**: our autoencoders are four times as wide as the activations, public ones up to 43 times.
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
        Panel("parameter_size", "Size", "MiB", log_x=True),
        Panel("encode_operations", "Encoding", "FLOP per token", log_x=True),
        Panel("active_decode_operations", "Decoding", "FLOP per token", log_x=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "efficiency") + "\n" + comparison.findings(data, panels))
