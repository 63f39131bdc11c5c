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
    # After each look at its ready jobs, Snakemake sets an alarm to look again in a second, in case it held jobs back: it starts
    # at most 100 a second. Each alarm sets another, so after 500 jobs it looks 500 times a second. A cluster needs the limit.
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


rule all:
    default_target: True
    input:
        [] if PLAN.config.frozen else [ALL_DICTIONARIES, ALL_SCORES],
        ALL_FIGURES,
        ["figures/index.html", "figures/checklist.csv"] if ITEMS else [],
    localrule: True
