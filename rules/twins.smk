# Twin training (section 4.1, Table 2, Figure 6): a residual network and the equal plain network,
# trained in step.

import os

from resnoise.plan import grid
from resnoise.specs.run import RUN_FILES


rule twins:
    """Train a residual network and its plain twin in step. A killed job continues."""
    input:
        data="<results>/data.safetensors",
    output:
        residual=multiext(f"<results>/{TWINS}/residual/", *RUN_FILES),
        plain=multiext(f"<results>/{TWINS}/plain/", *RUN_FILES),
        drift=with_digest(f"<results>/{TWINS}/drift.csv"),
    log:
        f"<logs>/{grid.TWIN_LOG}",
    benchmark:
        "<benchmarks>/twins/depth{depth}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        **computing(twin_minutes, memory_mb=1500),
    params:
        *code("twins.py", "torch.yaml"),
        script=script("twins.py"),
        spec=twin_spec,
        drift=f"--every-step-epochs {CONFIG['twins']['every_step_epochs']}"
        f" --mask-pictures {CONFIG['twins']['mask_pictures']}",
        networks=[
            digest
            for network in grid.TWINS
            for digest in network_code("twins.py", network[0], *run_plugins(*network))
        ],
        folder=lambda wildcards, output: os.path.dirname(output.drift[0]),
        running=running(
            "twins.py",
            "torch.yaml",
            *(name for network in grid.TWINS for name in run_plugins(*network)),
        ),
        store=store,
        graph=graph_option,
        pictures=pictures,
    shell:
        "python {params.script:q} --code {params.running:q} {params.store:q}"
        " --spec {params.spec:q} {params.pictures:q}"
        " --residual {params.folder:q}/residual --plain {params.folder:q}/plain"
        " --drift {output.drift[0]:q} {params.drift}"
        " --device {resources.device} --threads {threads} {params.graph:q} --evaluate > {log:q} 2>&1"


use rule measurement as evaluate_twin with:
    """Measure risk, cost and error of one of two twins."""
    output:
        csv=with_digest("<run>/evaluation.csv"),
    pathvars:
        run=f"{CONFIG['results']}/{TWINS}/{{architecture}}",
        name="twins-depth{depth}-seed{seed}-{architecture}",
        metric="evaluate",
    resources:
        **computing(evaluate_twin_minutes),
    params:
        **measured_by("evaluation"),


use rule table as table2 with:
    """Table 2 (section 4.1): residual networks, and plain networks that start equal to them."""
    input:
        files=twin_files("residual/evaluation.csv", "plain/evaluation.csv"),
        paper=PAPER,
    output:
        **table("table2"),
    pathvars:
        table="table2",
    params:
        **made_by("tables.table1", section="table2", title="Table 2"),


use rule figure as figure6 with:
    """Figure 6 (section 4.1): how rounding errors make twins drift apart."""
    input:
        files=twin_files("drift.csv"),
    output:
        **figure("figure6"),
    pathvars:
        figure="figure6",
    params:
        **made_by("figures.figure6"),
