from snakemake.utils import min_version

min_version("9.25")

# A configuration that is given takes the place of the default one. Snakemake's --replace-workflow-config does the same, but
# the jobs of a cluster do not hear of it. `configfile:` would load the file, and run code that it asks to run: common.smk
# reads what is named here.
if not workflow.configfiles:
    workflow.configfiles.append(f"{workflow.basedir}/config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/datasets.smk"
include: "workflow/rules/activations.smk"
include: "workflow/rules/methods.smk"
include: "workflow/rules/evaluations.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/explorer.smk"


onstart:
    if not PLAN.config.frozen:
        check_disk()
    if workflow.local_exec:
        schedule_here(workflow.scheduler, len(visible_gpus()))


rule all:
    default_target: True
    input:
        [] if PLAN.config.frozen else [ALL_DICTIONARIES, ALL_SCORES],
        ALL_FIGURES,
        ["figures/index.html", "figures/checklist.csv"] if ITEMS else [],
    localrule: True
