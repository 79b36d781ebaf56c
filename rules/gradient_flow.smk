# Dominant gradient flow (appendices D.2 and D.4): measured on each run, and its figures.


rule gradient_flow:
    """Measure the dominant gradient flow of every layer of a run, before, during, after training."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        record=f"<results>/{RUN}/run.json",
    output:
        flow=with_digest(f"<results>/{RUN}/gradient_flow.csv"),
        features=with_digest(f"<results>/{RUN}/feature_gradients.csv"),
    log:
        "<logs>/gradient_flow/{architecture}-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/gradient_flow/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(3000),
        runtime=rising(120),
        gpu=GPUS,
        device=CONFIG["device"],
    params:
        *code("gradient_flow.py", "torch.yaml"),
        script=script("gradient_flow.py"),
        spec=gradient_flow_spec,
        network=metric_code("gradient_flow.py"),
    shell:
        "python {params.script:q} --spec {params.spec:q} --record {input.record:q}"
        " --weights {input.weights:q} --snapshots {input.snapshots:q} --data {input.data:q}"
        " --output {output.flow[0]:q} --features {output.features[0]:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule figure12:
    """Figure 12 (appendix D.4.2): f of every layer, and against epoch."""
    input:
        flows=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
    output:
        pdf="<results>/figure12.pdf",
        png=report(
            "<results>/figure12.png",
            caption="../config/captions/figure12.rst",
            category="Figures",
            labels={"result": "Figure 12"},
        ),
        csv=with_digest("<results>/figure12.csv"),
    log:
        "<logs>/figure12.log",
    benchmark:
        "<benchmarks>/figure12.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure12.py", "analysis.yaml"),
        script=script("figure12.py"),
    shell:
        "python {params.script:q} --flows {input.flows:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule figure12_ratios:
    """f of residual relative to plain networks beside the paper's ratios."""
    input:
        flows=run_files(grid.gradient_flow_runs(CONFIG), "gradient_flow.csv"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/figure12_ratios.csv"),
        markdown=report(
            "<results>/figure12_ratios.md",
            caption="../config/captions/figure12_ratios.rst",
            category="Tables",
            labels={"result": "Gradient flow, residual by plain"},
        ),
    log:
        "<logs>/figure12_ratios.log",
    benchmark:
        "<benchmarks>/figure12_ratios.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure12_ratios.py", "analysis.yaml"),
        script=script("figure12_ratios.py"),
        shallow_groups=CONFIG["gradient_flow"]["shallow_groups"],
    shell:
        "python {params.script:q} --flows {input.flows:q} --paper {input.paper:q}"
        " --shallow-groups {params.shallow_groups}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


rule figure10:
    """Figure 10 (appendix D.4.1): entries of dR/da of residual networks, and a normal."""
    input:
        features=run_files(
            [run for run in grid.gradient_flow_runs(CONFIG) if run.architecture == "residual"],
            "feature_gradients.csv",
        ),
    output:
        pdf="<results>/figure10.pdf",
        png=report(
            "<results>/figure10.png",
            caption="../config/captions/figure10.rst",
            category="Figures",
            labels={"result": "Figure 10"},
        ),
        csv=with_digest("<results>/figure10.csv"),
    log:
        "<logs>/figure10.log",
    benchmark:
        "<benchmarks>/figure10.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure10.py", "analysis.yaml"),
        script=script("figure10.py"),
    shell:
        "python {params.script:q} --features {input.features:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
