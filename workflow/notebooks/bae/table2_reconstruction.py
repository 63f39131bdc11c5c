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
# # Reconstruction and sparsity
#
# **The paper** tabulates how well activations are rebuilt, how sparse codes are and how often features fire, and
# admits that a binary autoencoder rebuilds worse.
#
# **Here** the fraction of variance explained, L0, loss recovered in the language model, and the bits of the codes
# where they were measured.
#
# **What differs**: definitions are ours and stated in the package; SAEBench's own stand beside them in the score
# tables.
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

table, references = read(scores), read_references("bae")
panels = [
    [
        Panel("fve", "Explained", "share of variance", label="without the first position"),
        Panel("l0", "L0", "codes", label="without the first position", log_x=True),
        Panel("ce_recovered", "Loss", "share recovered", label="without the first position"),
    ],
    [
        Panel("entropy_sum", "Summed", "bits"),
        Panel("entropy_chow_liu", "Chow-Liu", "bits", control="shuffled over tokens"),
        Panel("fvu", "Error", "share unexplained"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table2_reconstruction") + "\n" + comparison.findings(data, panels))
