# Twin training (section 4.1, Table 2, Figure 6): equal networks, with and without identities.


rule twins:
    """Train a residual network and its plain twin in step; a killed job continues."""
    input:
        data="<results>/data.safetensors",
    output:
        residual=multiext(
            f"<results>/{TWINS}/residual/",
            "weights.safetensors",
            "snapshots.safetensors",
            "history.csv",
            "history.csv.sha256",
            "run.json",
        ),
        plain=multiext(
            f"<results>/{TWINS}/plain/",
            "weights.safetensors",
            "snapshots.safetensors",
            "history.csv",
            "history.csv.sha256",
            "run.json",
        ),
        drift=with_digest(f"<results>/{TWINS}/drift.csv"),
    log:
        f"<logs>/{grid.TWIN_LOG}",
    benchmark:
        "<benchmarks>/twins/depth{depth}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(4000),
        runtime=twin_minutes,
        gpu=GPUS,
        device=CONFIG["device"],
    params:
        *code("twins.py", "torch.yaml"),
        script=script("twins.py"),
        spec=twin_spec,
        drift=f"--every-step-epochs {CONFIG['twins']['every_step_epochs']}"
        f" --mask-pictures {CONFIG['twins']['mask_pictures']}",
        networks=[
            digest
            for network in grid.TWINS
            for digest in network_code("twins.py", network[0], *registry.plugin_modules(*network))
        ],
        folder=lambda wildcards, output: os.path.dirname(output.drift[0]),
    shell:
        "python {params.script:q} --spec {params.spec:q} --data {input.data:q}"
        " --residual {params.folder:q}/residual --plain {params.folder:q}/plain"
        " --drift {output.drift[0]:q} {params.drift}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule evaluate_twin:
    """Measure risk, cost and error of one of two twins."""
    input:
        data="<results>/data.safetensors",
        weights=f"<results>/{TWINS}/{{architecture}}/weights.safetensors",
        snapshots=f"<results>/{TWINS}/{{architecture}}/snapshots.safetensors",
        record=f"<results>/{TWINS}/{{architecture}}/run.json",
    output:
        csv=with_digest(f"<results>/{TWINS}/{{architecture}}/evaluation.csv"),
    log:
        "<logs>/evaluate/twins-depth{depth}-seed{seed}-{architecture}.log",
    benchmark:
        "<benchmarks>/evaluate/twins-depth{depth}-seed{seed}-{architecture}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=rising(3000),
        runtime=evaluate_twin_minutes,
        gpu=GPUS,
        device=CONFIG["device"],
    params:
        *code("evaluate.py", "torch.yaml"),
        script=script("evaluate.py"),
        network=metric_code("evaluate.py"),
    shell:
        "python {params.script:q} --record {input.record:q} --weights {input.weights:q}"
        " --snapshots {input.snapshots:q} --data {input.data:q} --output {output.csv[0]:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


rule table2:
    """Table 2 (section 4.1): residual networks and plain networks that start as their equals."""
    input:
        evaluations=twin_files("residual/evaluation.csv", "plain/evaluation.csv"),
        paper=PAPER,
    output:
        csv=with_digest("<results>/table2.csv"),
        markdown=report(
            "<results>/table2.md",
            caption="../config/captions/table2.rst",
            category="Tables",
            labels={"result": "Table 2"},
        ),
    log:
        "<logs>/table2.log",
    benchmark:
        "<benchmarks>/table2.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("table1.py", "analysis.yaml"),
        script=script("table1.py"),
    shell:
        "python {params.script:q} --evaluations {input.evaluations:q} --paper {input.paper:q}"
        " --section table2 --title 'Table 2' --csv {output.csv[0]:q}"
        " --markdown {output.markdown:q} > {log:q} 2>&1"


rule figure6:
    """Figure 6 (section 4.1): how rounding errors make twins drift apart."""
    input:
        twin_files("drift.csv"),
    output:
        pdf="<results>/figure6.pdf",
        png=report(
            "<results>/figure6.png",
            caption="../config/captions/figure6.rst",
            category="Figures",
            labels={"result": "Figure 6"},
        ),
        csv=with_digest("<results>/figure6.csv"),
    log:
        "<logs>/figure6.log",
    benchmark:
        "<benchmarks>/figure6.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(1000),
        runtime=rising(10),
    params:
        *code("figure6.py", "analysis.yaml"),
        script=script("figure6.py"),
    shell:
        "python {params.script:q} --drifts {input:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
