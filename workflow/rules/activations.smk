# One rule per model and group of its layers: its sites, and so its outputs, are its own. Groups follow one another: the next
# one is read when nothing needs the activations of the one before, which are then deleted.
for name, harvested in PLAN.config.harvest.items():
    groups = harvested.groups()
    for before, settings in zip([None, *groups], groups):
        folder = group_folder(name, settings)
        kept = (lambda path: path) if harvested.layers_at_once is None else temp

        rule:
            name:
                harvest_rule(name, settings)
            input:
                model=MODEL.format(model=name),
                text=lambda wildcards: TEXT.format(dataset=dataset_of(wildcards.corpus)),
                before=ancient(results_of(name, before)) if before else [],
            output:
                **{site: kept(f"{folder}/{{corpus}}/{site}.h5") for site in settings.sites},
            log:
                f"logs/harvest/{folder.partition('activations/')[2]}/{{corpus}}.log",
            benchmark:
                f"logs/benchmarks/harvest/{folder.partition('activations/')[2]}/{{corpus}}.jsonl"
            # Before jobs of one core, which would otherwise hold this one off and leave a core idle.
            priority: 2
            conda:
                "../../envs/environment.yaml"
            threads: 2
            resources:
                gpu=1,
                mem_mb=memory(
                    lambda wildcards, name=name, settings=settings: harvest_work(
                        PLAN, name, wildcards.corpus, settings
                    ),
                    least=4000,
                ),
                runtime=240,
            params:
                spec=lambda wildcards, name=name, settings=settings: spec(
                    corpus=PLAN.config.corpora[wildcards.corpus].model_dump(mode="json"),
                    settings=settings.model_dump(mode="json"),
                    description={"model": name, "corpus": wildcards.corpus},
                ),
                code=lambda wildcards: fingerprint(
                    "unweave.activations.harvest"
                    if PLAN.config.corpora[wildcards.corpus].stored
                    else "unweave.activations.token_index"
                ),
                output=lambda wildcards, output: named("--output", output.keys(), output),
            shell:
                "python -m unweave harvest --spec {params.spec:q} --model {input.model:q} --text {input.text:q}"
                " {params.output:q} --gpu {resources.gpu:q} > {log:q} 2>&1"
