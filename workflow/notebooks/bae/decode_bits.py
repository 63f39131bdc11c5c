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
# # Reconstruction by the bits that the decoder sees
#
# **The paper**'s second version, which we know from a summary alone, lets the decoder see more than one bit of an
# active code, against the loss of information.
#
# **Here** our reading of it: the decoder sees the sigmoid of the pre-activation of each active code, rounded to 2^m - 1
# steps; which codes are active stays one bit. Either the whole autoencoder is trained so, or the decoder of one with
# one bit is replaced by a ridge regression. A code costs the bits of panel C and m - 1 more for each code of panel D.
#
# **What differs**: the paper's definition is not known; short fits.
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
axis = {"x_name": "bits", "x_title": "bits of an active code"}
panels = [
    [
        Panel("fve", "Trained with these bits", "variance explained", **axis, label="trained"),
        Panel("fve", "Decoder fitted afterwards", "variance explained", **axis, label="refitted"),
    ],
    [
        Panel("entropy_sum", "Which codes are active", "bits", **axis, label="trained"),
        Panel("l0", "Active codes", "codes", **axis, label="trained"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "decode_bits") + "\n" + comparison.findings(data, panels))
