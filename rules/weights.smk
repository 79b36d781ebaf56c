# Distributions of weights (appendices C and D): statistics of each run, Tables 3 and 4, Figure 7.

from resnoise.plan import grid


use rule measurement as weight_statistics with:
    """Compute statistics of a run's weights, as plain and as residual network, at every snapshot."""
    output:
        statistics=with_digest("<run>/weight_statistics.csv"),
        histogram=with_digest("<run>/weight_histogram.csv"),
    pathvars:
        metric="weight_statistics",
    resources:
        **{**computing(runtime=20), "gpu": 0, "device": "cpu"},
    params:
        **measured_by("weight_statistics"),


use rule table as table3 with:
    """Table 3 (appendix C): statistics of plain and transferred weights, before and after training."""
    input:
        **of_runs("weight_statistics", "weight_statistics.csv", paper=PAPER),
    output:
        **table("table3"),
    pathvars:
        table="table3",
    params:
        **made_by("tables.table3", **keys("weight_statistics", "threshold", "id_threshold")),


use rule figure as figure7 with:
    """Figure 7 (appendix C): histograms of plain and transferred weights."""
    input:
        **of_runs("weight_statistics", "weight_histogram.csv"),
        statistics=run_files(grid.weight_statistics_runs(CONFIG), "weight_statistics.csv"),
    output:
        **figure("figure7"),
    pathvars:
        figure="figure7",
    params:
        **made_by("figures.figure7", **keys("weight_statistics", "clip", "id_threshold")),


use rule table as table4 with:
    """Table 4 (appendix D): risk and weight term before and after training."""
    input:
        **of_runs("table4", "weight_statistics.csv"),
        evaluations=run_files(grid.table4_runs(CONFIG), "evaluation.csv"),
        paper=PAPER,
    output:
        **table("table4"),
    pathvars:
        table="table4",
    params:
        **made_by("tables.table4"),
