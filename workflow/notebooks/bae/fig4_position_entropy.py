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
# # Bits by position of a token
#
# **The paper** trains one binary autoencoder for each position and layer, finds that entropy rises with position and
# ends at a level of the layer, and reads the level as a bandwidth.
#
# **Here** the same on the beginnings of about two thousand texts, at one layer; dotted: signs of principal
# components, without any fit. What else could make it rise: the error, the norm of the rows, and the dimensions that
# they spread over.
#
# **What differs**: short texts (33 tokens), one width of code, few passes.
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
        Panel("entropy_sum", "Summed", "bits", "position", control="PCA signs", log_x=True),
        Panel("entropy_chow_liu", "Chow-Liu", "bits", "position", control="PCA signs", log_x=True),
        Panel("fvu", "Error", "share unexplained", "position", log_x=True),
    ],
    [
        Panel("norm", "Norm", "length of the activation", "position", log_x=True),
        Panel("dimensions", "Spread", "effective dimensions", "position", log_x=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels, headline=("bae", "bae-released"))
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig4_position_entropy") + "\n" + comparison.findings(data, panels))
