# Figures of networks and of their training (appendix A), each with its numbers as CSV.

from resnoise.plan import grid


use rule figure as training_curves with:
    """Training risk and test error against epoch, for the runs of Table 1."""
    input:
        **of_runs("table1", "history.csv"),
    output:
        **figure("training_curves"),
    pathvars:
        figure="training_curves",
    params:
        **made_by("figures.training_curves"),


rule network_layers:
    """List the layers of the networks in figures 4 and 5, read from the built networks."""
    input:
        data="<results>/data.safetensors",
    output:
        csv=with_digest("<results>/network_layers.csv"),
    log:
        "<logs>/network_layers.log",
    benchmark:
        "<benchmarks>/network_layers.tsv"
    localrule: True
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(10),
    params:
        *code("network_layers.py", "torch.yaml"),
        script=script("network_layers.py"),
        networks=drawn_networks(),
        modules=[network_code("network_layers.py", name) for name in grid.DRAWN],
        running=running(
            "network_layers.py",
            "torch.yaml",
            *{
                module: None
                for name in grid.DRAWN
                for module in network_plugins("network_layers.py", name)
            },
        ),
        pictures=pictures,
    shell:
        "python {params.script:q} --code {params.running:q} {params.networks:q}"
        " {params.pictures:q} --output {output.csv[0]:q} > {log:q} 2>&1"


use rule figure as figure4 with:
    """Figure 4 (appendix A): simplified plain and residual networks, layer by layer."""
    input:
        files="<results>/network_layers.csv",
    output:
        **figure("figure4"),
    pathvars:
        figure="figure4",
    params:
        **made_by("figures.figure4"),


use rule figure as figure5 with:
    """Figure 5 (appendix A): blocks of simplified and of fully-fledged networks."""
    input:
        files="<results>/network_layers.csv",
    output:
        **figure("figure5"),
    pathvars:
        figure="figure5",
    params:
        **made_by("figures.figure5"),
