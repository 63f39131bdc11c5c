from snakemake.utils import min_version

min_version("9.25")

# A configuration that is given takes the place of the default one. Snakemake's --replace-workflow-config does the same, but
# the jobs of a cluster do not hear of it.
if not workflow.overwrite_configfiles:

    configfile: f"{workflow.basedir}/config/config.yaml"


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
