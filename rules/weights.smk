# Distribution of weights (appendix C): statistics of each run, Tables 3 and 4, Figure 7.


rule weight_statistics:
    """Measure the weights of a run, as plain and as residual network, at every snapshot."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        statistics=with_digest(f"<results>/{RUN}/weight_statistics.csv"),
        histogram=with_digest(f"<results>/{RUN}/weight_histogram.csv"),
    log:
        "<logs>/weight_statistics/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/weight_statistics/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("weight_statistics.py", "torch.yaml"),
        script=script("weight_statistics.py"),
        spec=section_spec("weight_statistics", WeightStatisticsSpec),
        network=metric_code("weight_statistics.py"),
    shell:
        "python {params.script:q} --spec {params.spec:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.statistics[0]:q} --histogram {output.histogram[0]:q} > {log:q} 2>&1"


rule table3:
    """Table 3 (appendix C): statistics of plain and transferred weights before and after training."""
    input:
        statistics=run_files(grid.weight_statistics_runs(CONFIG), "weight_statistics.csv"),
        records=run_files(grid.weight_statistics_runs(CONFIG), "run.json"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/table3.csv"),
        markdown=report(
            "<results>/table3.md",
            caption="../config/captions/table3.rst",
            category="Tables",
            labels={"result": "Table 3"},
        ),
    log:
        "<logs>/table3.log",
    benchmark:
        "<benchmarks>/table3.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("table3.py", "analysis.yaml"),
        script=script("table3.py"),
        # One text, because Snakemake compares values without their names: swapped ones were equal.
        thresholds=f"--threshold {CONFIG['weight_statistics']['threshold']}"
        f" --id-threshold {CONFIG['weight_statistics']['id_threshold']}",
    shell:
        "python {params.script:q} --statistics {input.statistics:q} --paper {input.paper:q}"
        " {params.thresholds}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q}"
        " > {log:q} 2>&1"


rule figure7:
    """Figure 7 (appendix C): histograms of plain and transferred weights."""
    input:
        histograms=run_files(grid.weight_statistics_runs(CONFIG), "weight_histogram.csv"),
        statistics=run_files(grid.weight_statistics_runs(CONFIG), "weight_statistics.csv"),
        records=run_files(grid.weight_statistics_runs(CONFIG), "run.json"),
    output:
        pdf="<results>/figure7.pdf",
        png=report(
            "<results>/figure7.png",
            caption="../config/captions/figure7.rst",
            category="Figures",
            labels={"result": "Figure 7"},
        ),
        csv=with_digest("<results>/figure7.csv"),
    log:
        "<logs>/figure7.log",
    benchmark:
        "<benchmarks>/figure7.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure7.py", "analysis.yaml"),
        script=script("figure7.py"),
        limits=f"--clip {CONFIG['weight_statistics']['clip']}"
        f" --id-threshold {CONFIG['weight_statistics']['id_threshold']}",
    shell:
        "python {params.script:q} --histograms {input.histograms:q}"
        " {params.limits}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule table4:
    """Table 4 (appendix D): risk and weight term before and after training."""
    input:
        statistics=run_files(grid.table4_runs(CONFIG), "weight_statistics.csv"),
        evaluations=run_files(grid.table4_runs(CONFIG), "evaluation.csv"),
        records=run_files(grid.table4_runs(CONFIG), "run.json"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/table4.csv"),
        markdown=report(
            "<results>/table4.md",
            caption="../config/captions/table4.rst",
            category="Tables",
            labels={"result": "Table 4"},
        ),
    log:
        "<logs>/table4.log",
    benchmark:
        "<benchmarks>/table4.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("table4.py", "analysis.yaml"),
        script=script("table4.py"),
    shell:
        "python {params.script:q} --statistics {input.statistics:q} --paper {input.paper:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"
