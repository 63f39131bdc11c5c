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
# # Measured against true bits
#
# **The paper** plants activations of known entropy and shows that a binary autoencoder measures it.
#
# **Here** worlds of independent, sparse, correlated and overcomplete directions; shown is the summed entropy of the
# codes over the true bits, so that 1 is right. Dotted: signs of principal components, no fit at all. Below, the
# error without which bits say nothing. Bars are the range of the draws.
#
# **What differs**: two sizes of world, few draws; the fixed arm (sigmoid gradient) beside the released one.
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
        Panel(
            "entropy_sum_ratio",
            kind,
            "bits / true bits",
            "true bits",
            control="PCA signs",
            dataset=f"planted, {kind}",
            limit=1,
            limit_title="planted",
        )
        for kind in ("independent", "sparse", "correlated", "overcomplete")
    ],
    [
        Panel("fvu", kind, "share unexplained", "true bits", dataset=f"planted, {kind}")
        for kind in ("independent", "sparse", "correlated", "overcomplete")
    ],
]
figure, data = comparison.draw(table, titles, references, panels, headline=("bae", "bae-released"), planted=True)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig2_synthetic_entropy") + "\n" + comparison.findings(data, panels))
