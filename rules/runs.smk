# Runs and metrics beyond the paper's (docs/extending.md).

from resnoise import registry


use rule table as run_table with:
    """Risk, cost and errors of the runs in the list `runs`, as means over seeds."""
    input:
        files=further_run_files("run.json"),
        evaluations=further_run_files("evaluation.csv"),
        paper=[],
    output:
        **table("runs"),
    pathvars:
        table="run_table",
    params:
        **made_by("tables.over_seeds", name="evaluation.csv", title="Further runs"),


use rule measurement as metric with:
    """Measure a run with a metric of the registry without a rule of its own."""
    output:
        csv=with_digest("<run>/metrics/{metric}.csv"),
    pathvars:
        metric="metrics/{metric}",
    params:
        **loaded("measure.py", metric_module),
        name="{metric}",
        spec=registered_metric_spec,


use rule table as metric_table with:
    """Table of a metric of the registry, for the runs of Table 1 and of the list `runs`."""
    input:
        files=metric_run_files("run.json"),
        measurements=metric_run_files("metrics/{metric}.csv"),
        paper=[],
    output:
        **table("{metric}", "<results>/metrics", caption="metric", category="Metrics"),
    pathvars:
        table="metrics/{metric}/table",
    params:
        **made_by("tables.over_seeds", name="metrics/{metric}.csv", title="{metric}"),


use rule figure as metric_figure with:
    """Figure of a metric of the registry, for the same runs as its table."""
    input:
        files=metric_run_files("metrics/{metric}.csv"),
        records=metric_run_files("run.json"),
    output:
        **figure("{metric}_figure", "<results>/metrics", category="Metrics", caption="metric"),
    pathvars:
        figure="metrics/{metric}/figure",
    wildcard_constraints:
        metric="|".join(registry.DRAWN_METRICS) or "(?!)",
    params:
        name=lambda wildcards: registry.METRICS[wildcards.metric].figure.rpartition(".")[2],
        code=metric_figure_parameters,
        running=metric_figure_promise,
        options="{}",
