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
# # Targeted probe perturbation
#
# **The paper** ablates the N features of largest effect on the probe of one class and asks how much accuracy that
# probe loses (intended) and how much the others lose (unintended); TPP is the difference.
#
# **Here** the same for every method, means over two corpora, with what as many random features do (dotted) and, at N
# = 10, all arms. Signed codes are split into their two signs, groups count as one feature; intervals resample texts.
#
# **What differs**: news topics and languages of parliament speeches take the place of professions and reviews.
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
        Panel("tpp", "TPP", "difference of accuracy", "n", "ablated features", control="random features", log_x=True),
        Panel("tpp_intended", "Own class", "accuracy lost", "n", "ablated features", log_x=True),
        Panel("tpp_unintended", "Other classes", "accuracy lost", "n", "ablated features", log_x=True),
    ],
    [Panel("tpp", "TPP with 10 features", "difference of accuracy", "n", at=10, control="random features", limit=0)],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "tpp") + "\n" + comparison.findings(data, panels))
