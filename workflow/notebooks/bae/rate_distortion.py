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
# # Error against bits
#
# **The paper** reports entropies and errors apart from each other.
#
# **Here** the error against the summed entropy of the codes, each point a fit with another weight of the penalty or
# another number of active codes. Values of active codes are not counted in bits; the score table has an estimate
# with them.
#
# **What differs**: short fits.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import Panel
from unweave.plots.rate_distortion import against_bits
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = against_bits(read(scores)), read_references("bae")
panels = [[Panel("fvu", "Error and bits of the firing pattern", "share unexplained", "bits")]]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "rate_distortion") + "\n" + comparison.findings(data, panels))
