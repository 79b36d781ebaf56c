# Runs beyond the paper's and metrics beyond its own: the list `runs` of the configuration and METRICS
# of resnoise/registry.py (docs/extending.md).


rule run_table:
    """Risk, cost and errors of the runs of the list `runs`, as means over seeds."""
    input:
        evaluations=further_run_files("evaluation.csv"),
        records=further_run_files("run.json"),
    output:
        csv=with_digest("<results>/runs.csv"),
        markdown=report(
            "<results>/runs.md",
            caption="../config/captions/runs.rst",
            category="Tables",
            labels={"result": "Further runs"},
        ),
    log:
        "<logs>/run_table.log",
    benchmark:
        "<benchmarks>/run_table.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("seed_table.py", "analysis.yaml"),
        script=script("seed_table.py"),
    shell:
        "python {params.script:q} --records {input.records:q} --name evaluation.csv"
        " --title 'Further runs' --csv {output.csv[0]:q} --markdown {output.markdown:q}"
        " > {log:q} 2>&1"


rule metric:
    """Measure a run with a metric of the registry."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        csv=with_digest(f"<results>/{RUN}/metrics/{{metric}}.csv"),
    log:
        "<logs>/metrics/{metric}/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/metrics/{metric}/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(3000),
        runtime=rising(120),
        gpu=GPUS,
        device=CONFIG["device"],
    params:
        *code("measure.py", "torch.yaml"),
        script=script("measure.py"),
        network=registered_metric_code,
    shell:
        "python {params.script:q} --metric {wildcards.metric:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.csv[0]:q} --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule metric_table:
    """A metric of the registry for the runs of Table 1 and of the list `runs`."""
    input:
        measurements=metric_run_files("metrics/{metric}.csv"),
        records=metric_run_files("run.json"),
    output:
        csv=with_digest("<results>/metrics/{metric}.csv"),
        markdown=report(
            "<results>/metrics/{metric}.md",
            caption="../config/captions/metric.rst",
            category="Metrics",
            labels={"result": "{metric}"},
        ),
    log:
        "<logs>/metrics/{metric}/table.log",
    benchmark:
        "<benchmarks>/metrics/{metric}/table.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("seed_table.py", "analysis.yaml"),
        script=script("seed_table.py"),
    shell:
        "python {params.script:q} --records {input.records:q} --name metrics/{wildcards.metric:q}.csv"
        " --title {wildcards.metric:q} --csv {output.csv[0]:q} --markdown {output.markdown:q}"
        " > {log:q} 2>&1"
