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
# # Objective during the fit
#
# **The paper** shows percentiles over components of the objective at every iteration (version 2, Figures 16 to 19).
#
# **Here** the mean and the 10th, 50th and 90th percentile over components, and how far the slowest twentieth of the
# components still moves in an iteration.
#
# **What differs**: one layer; the L-BFGS solver is an arm of ours, whose first iterations on a subsample do not count.
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
        Panel("contrast", "Mean", "contrast", "step", "iteration"),
        Panel("contrast_p50", "Median component", "contrast", "step", "iteration"),
    ],
    [
        Panel("contrast_p10", "10th percentile", "contrast", "step", "iteration"),
        Panel("contrast_p90", "90th percentile", "contrast", "step", "iteration"),
    ],
    [Panel("lim_p95", "Movement of the components (95th percentile)", "change (LIM)", "step", "iteration", log_y=True)],
]
figure, data = comparison.draw(table, titles, references, panels, ("ica-v1", "ica-v2", "ica-fast"))
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "objective") + "\n" + comparison.findings(data, panels))
