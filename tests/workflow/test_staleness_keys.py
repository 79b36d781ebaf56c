"""After a change of the configuration, exactly what depends on the key is stale.

What depends on a key stands in ``KEYS``; what depends on a job's outputs says Snakemake's plan to
make everything. What depends on files: test_staleness.py.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import yaml
from plans import Planner
from projects import EVERYTHING_TARGETS, Project
from staleness import CONFIG, Finished, counts, edited, names

from resnoise.config.page import reference
from resnoise.config.schema import SCHEMA_PATH

pytestmark = pytest.mark.thorough


class Case(NamedTuple):
    """Another value of a key and the jobs that depend on it, beside the report, which shows it.

    Attributes:
        value: the value.
        roots: patterns of the names of jobs that depend on it; those after them do too.
        counts: instead of ``roots`` where jobs come or go: number of jobs of each rule.
        also: other keys that must change with this one.
        targets: what is planned.
    """

    value: Any
    roots: tuple[str, ...] = ()
    counts: dict[str, int] | None = None
    also: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    targets: tuple[str, ...] = EVERYTHING_TARGETS


DATA = ("prepare_data ",)
SIMPLIFIED = ("train .*/runs/(plain|residual|dominant)", "twins ")
FULL = ("train .*/runs/full",)
LAYER_CUSHIONS = ("layer_cushion ", "external_layer_cushion ")
INTERLAYER_CUSHIONS = ("interlayer_cushion ", "external_interlayer_cushion ")
NOISE_STABILITY = ("noise_stability ", "external_noise_stability ")
EXTERNAL = ("external_.*",)
EXTERNAL_RULES = (
    "external_network",
    "external_interlayer_cushion",
    "external_layer_cushion",
    "external_noise_stability",
    "external_gradient_flow",
    "external_margin",
    "external_table",
    "external_figure",
    "external_layer_figure",
    "external_networks_figure",
    "external_flows_figure",
    "external_networks_table",
)
# What two further runs make stale, and what they are measured for.
TWO_RUNS = {"train": 2, "report_page": 1}
TABLE1 = {
    **TWO_RUNS,
    "evaluate": 2,
    "table1": 1,
    "training_curves": 1,
    "metric": 4,
    "metric_table": 2,
    "metric_figure": 1,
}
TWINS = {"twins": 1, "evaluate_twin": 2, "table2": 1, "figure6": 1, "claims": 1, "report_page": 1}
FIGURE3 = {
    **TWO_RUNS,
    "layer_cushion": 2,
    "layer_cushion_table": 1,
    "figure3": 1,
    "figure3_snapshots": 1,
    "claims": 1,
}
NOISE = {**TWO_RUNS, "noise_stability": 2, "noise_stability_figure": 1}
INTERLAYER = {**TWO_RUNS, "interlayer_cushion": 2, "interlayer_table": 1, "interlayer_figure": 1}
WEIGHTS = {**TWO_RUNS, "weight_statistics": 2, "table3": 1, "figure7": 1}
TABLE4 = {**TWO_RUNS, "evaluate": 2, "weight_statistics": 2, "table4": 1, "claims": 1}
FIGURE9 = {**TWO_RUNS, "evaluate": 2, "figure9": 1, "figure9_growth": 1}
TABLE5 = {**TWO_RUNS, "evaluate": 2, "table5": 1}
FURTHER = {"metric_table": 2, "metric_figure": 1, "report_page": 1}
# All that follows from the pair of runs that most figures and tables take.
OTHER_PAIR = {
    **TABLE1,
    **FIGURE3,
    **NOISE,
    **INTERLAYER,
    **WEIGHTS,
    **TABLE4,
    **FIGURE9,
    **TABLE5,
    "figure8": 1,
    "run_table": 1,
    "transfer": 1,
}
FLOW = {
    "train": 4,
    "gradient_flow": 4,
    "figure10": 1,
    "figure12": 1,
    "figure12_ratios": 1,
    "claims": 1,
    "report_page": 1,
}
OVER_CAUSES = {
    "conjecture_runs": 1,
    "conjecture_bounds": 1,
    "conjecture_prediction": 1,
    "conjecture_prediction_figure": 1,
    "conjecture_verdict": 1,
    "report_page": 1,
}
CONJECTURE = {**OVER_CAUSES, "conjecture_dose": 1, "conjecture_cushion": 1, "conjecture_flow": 1}
# What further runs are measured for there: with another cause, with another dose.
MEASURED = {"train": 1, "evaluate": 1, "layer_cushion": 1, "interlayer_cushion": 1}
MEASURED |= {"noise_stability": 1, "metric": 2}
CAUSE = {**MEASURED, **OVER_CAUSES}
DOSE = {**MEASURED, "gradient_flow": 1, **CONJECTURE}
# Plain from KWI, residual, a dose and another cause.
FOUR_RUNS = {**CONJECTURE, **{rule: 4 * n for rule, n in MEASURED.items()}, "gradient_flow": 3}
GRADIENT_FLOW = ("gradient_flow ", "external_gradient_flow ")
FLOW_TABLES = ("figure12_ratios ", "figure12_readings ")
FLOW_SHOWN = (
    *("figure12 ", *FLOW_TABLES, "claims ", "conjecture_flow "),
    *("external_flows_figure", "external_networks_table"),
)
RECIPE = {
    "epochs": 3,
    "batch_size": 25,
    "learning_rate": 0.04,
    "milestones": [0.4],
    "decay_factor": 0.2,
    "momentum": 0.8,
    "penalty": 0.001,
    "crop_padding": 2,
    "horizontal_flip": False,
    "precision": "float64",
    "allow_tf32": True,
    "compile": True,
    "conv_backend": "torch",
    "epoch_risk": "training-set",
    "snapshot_epochs": [1],
}
# Verdicts name these parts of the recipe where they differ from the paper's.
ROUNDING = ("allow_tf32", "compile", "conv_backend", "snapshot_epochs")


def recipe_keys() -> dict[str, list[Case]]:
    """Return the cases of the two recipes."""
    found = {}
    for key, value in RECIPE.items():
        claims = () if key in ROUNDING else ("claims ",)
        found[f"training.fully_fledged.{key}"] = [Case(value, (*FULL, *claims))]
        # Twins have a precision of their own.
        roots = SIMPLIFIED[:1] if key == "precision" else SIMPLIFIED
        found[f"training.simplified.{key}"] = [Case(value, roots)]
    # Runs whose gradient flow is measured keep the weights after the first epoch anyway.
    others = ("train .*/runs/(plain-8/(t-hmwi|id|dirac)|dominant)", "twins ")
    found["training.simplified.snapshot_epochs"] = [Case([1], others), Case([2], SIMPLIFIED)]
    for key in ("penalty_divided_by_batch", "penalty_on_biases", "penalty_on_transferred"):
        simplified = key != "penalty_on_biases"
        found[f"training.simplified.{key}"] = [Case(not simplified, SIMPLIFIED)]
        found[f"training.fully_fledged.{key}"] = [Case(simplified, (*FULL, "claims "))]
    return found


KEYS: dict[str, list[Case]] = {
    "downloads": [Case("other")],
    "store": [Case("other"), Case(None)],
    "device": [Case("auto")],
    "cuda_graph": [Case(True)],
    "container": [Case("other.sif")],
    # More about these two below, with sources that have a path.
    "data.source": [Case("pictures", DATA, also={"data.path": "rules"})],
    "data.path": [Case("rules", DATA, also={"data.source": "pictures"})],
    "data.mirrors": [Case(["https://mirror.example.org/cifar-10-python.tar.gz"])],
    "data.retries": [Case(4)],
    "data.train_per_class": [Case(11, DATA)],
    "data.test_per_class": [Case(6, DATA)],
    "data.subset_seed": [Case(1, DATA)],
    "data.scaling": [Case("centred", DATA)],
    "networks.width": [Case(8, (*SIMPLIFIED, *FULL, "network_layers "))],
    "networks.shortcut": [
        Case("stacked", ("train .*/runs/full-residual", "network_layers ", "claims "))
    ],
    **recipe_keys(),
    "table1.depths": [Case([8, 14], counts=TABLE1)],
    "table1.seeds": [Case([1, 2], counts=TABLE1), Case([2], counts=TABLE1)],
    "twins.depths": [Case([8, 14], counts=TWINS)],
    "twins.seeds": [Case([1, 2], counts=TWINS)],
    "layer_cushion.depths": [Case([8, 14], counts=FIGURE3)],
    "layer_cushion.seeds": [Case([1, 2], counts=FIGURE3)],
    "noise_stability.depths": [Case([8, 14], counts=NOISE)],
    "noise_stability.seeds": [Case([1, 2], counts=NOISE)],
    "interlayer_cushion.depths": [Case([8, 14], counts=INTERLAYER)],
    "interlayer_cushion.seeds": [Case([1, 2], counts=INTERLAYER)],
    "weight_statistics.depth": [Case(14, counts=WEIGHTS)],
    "weight_statistics.seeds": [Case([1, 2], counts=WEIGHTS)],
    "table4.depths": [Case([8, 14], counts=TABLE4)],
    "table4.seeds": [Case([1, 2], counts=TABLE4)],
    "figure8.depths": [Case([8, 14], counts={**TWO_RUNS, "figure8": 1})],
    "figure8.seeds": [Case([1, 2], counts={**TWO_RUNS, "figure8": 1})],
    "figure9.depths": [Case([8, 14], counts=FIGURE9)],
    "figure9.seeds": [Case([1, 2], counts=FIGURE9)],
    "table5.depths": [Case([8, 14], counts={**TABLE5, "train": 3, "evaluate": 3})],
    "table5.seeds": [Case([1, 2], counts={**TABLE5, "train": 4, "evaluate": 4})],
    "table5.lower_full.depths": [Case([8, 14], counts=TABLE5)],
    "gradient_flow.seeds": [Case([1, 2], counts=FLOW)],
    # Two runs that are no longer measured keep fewer weights, so they and what follows are others.
    "gradient_flow.depth": [
        Case(
            14,
            counts={
                **{**OTHER_PAIR, **FLOW, **CONJECTURE},
                **{"train": 6, "gradient_flow": 6, "figure12_readings": 1},
            },
        )
    ],
    "layer_cushion.samples": [Case(11, LAYER_CUSHIONS)],
    "layer_cushion.sample_seed": [Case(1, LAYER_CUSHIONS)],
    "layer_cushion.every_snapshot": [Case(True, LAYER_CUSHIONS)],
    "layer_cushion.memory_mb": [Case(7)],
    "layer_cushion.bootstrap_replicates": [Case(10, ("layer_cushion_table ",))],
    "layer_cushion.bootstrap_seed": [Case(1, ("layer_cushion_table ",))],
    "layer_cushion.confidence": [Case(0.9, ("layer_cushion_table ",))],
    "noise_stability.samples": [Case(5, NOISE_STABILITY)],
    "noise_stability.sample_seed": [Case(1, NOISE_STABILITY)],
    "noise_stability.every_snapshot": [Case(True, NOISE_STABILITY)],
    "noise_stability.memory_mb": [Case(7)],
    "noise_stability.sizes": [Case([0.2], NOISE_STABILITY)],
    "noise_stability.repeats": [Case(3, NOISE_STABILITY)],
    "noise_stability.noise_seed": [Case(1, NOISE_STABILITY)],
    "interlayer_cushion.architectures": [
        Case(["residual"], counts={"interlayer_table": 1, "interlayer_figure": 1, "report_page": 1})
    ],
    "interlayer_cushion.samples": [Case(3, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.sample_seed": [Case(1, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.every_snapshot": [Case(True, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.relative_error": [Case(0.02, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.max_probes": [Case(900, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.probe_seed": [Case(1, INTERLAYER_CUSHIONS)],
    "interlayer_cushion.precision": [Case("float64", INTERLAYER_CUSHIONS)],
    "interlayer_cushion.memory_mb": [Case(7)],
    "weight_statistics.threshold": [
        Case(0.3, ("weight_statistics ", "table3 ")),
        # Swapped with the other one, which Snakemake by itself takes for the same.
        Case(
            0.7,
            ("weight_statistics ", "table3 ", "figure7 "),
            also={"weight_statistics.id_threshold": 0.25},
        ),
    ],
    "weight_statistics.id_threshold": [Case(0.8, ("weight_statistics ", "table3 ", "figure7 "))],
    "weight_statistics.bin_width": [Case(0.02, ("weight_statistics ",))],
    "weight_statistics.clip": [Case(9, ("figure7 ",))],
    "bounds.samples": [Case(5, ("metric .*/bounds.csv",))],
    "bounds.sample_seed": [Case(1, ("metric .*/bounds.csv",))],
    "twins.precision": [Case("float32", ("twins ",))],
    "twins.every_step_epochs": [Case(1, ("twins ",))],
    "twins.mask_pictures": [Case(8, ("twins ",))],
    "claims.bootstrap_replicates": [Case(100, ("claims ",))],
    "claims.bootstrap_seed": [Case(1, ("claims ",))],
    "claims.confidence": [Case(0.9, ("claims ",))],
    "external": [Case([], targets=("all",))],
    "external[].name": [
        Case("other", counts={**dict.fromkeys(EXTERNAL_RULES, 1), "report_page": 1})
    ],
    "external[].path": [Case("other.pt", EXTERNAL)],
    "external[].rename": [Case({"a.": "b."}, EXTERNAL)],
    "external[].shortcut": [Case("stacked", EXTERNAL)],
    "external[].module": [Case("net.py", EXTERNAL, also={"external[].factory": "make"})],
    "external[].factory": [Case("make", EXTERNAL, also={"external[].module": "net.py"})],
    "external[].between": [Case(["layer1.0", "layer1.1"], EXTERNAL)],
    "external[].residual": [Case(False, EXTERNAL)],
    "external[].mean": [Case([0, 0, 0], EXTERNAL, also={"external[].std": [1, 1, 1]})],
    "external[].std": [Case([1, 1, 1], EXTERNAL, also={"external[].mean": [0, 0, 0]})],
    "trivial_case.n": [Case(16, ("trivial_case ",))],
    "trivial_case.last_layer": [Case(21, ("trivial_case ",))],
    "trivial_case.layer": [Case(5, ("trivial_case ",))],
    "trivial_case.sigma_w": [Case(0.02, ("trivial_case ",))],
    "trivial_case.sigma_g": [Case(2.0, ("trivial_case ",))],
    "trivial_case.q": [Case(0.4, ("trivial_case ",))],
    "trivial_case.repetitions": [Case(4, ("trivial_case ",))],
    "trivial_case.seed": [Case(1, ("trivial_case ",))],
    "trivial_case.n_values": [Case([4], ("trivial_case ",))],
    "trivial_case.layer_values": [Case([1], ("trivial_case ",))],
    "trivial_case.sigma_w_values": [Case([0.1], ("trivial_case ",))],
    "trivial_case.sigma_g_values": [Case([1.0], ("trivial_case ",))],
    "trivial_case.q_values": [Case([0.5], ("trivial_case ",))],
    "runs": [Case([], targets=("all", "external"))],
    "runs[].architecture": [
        Case("full-plain", counts={"evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "runs[].initialisation": [Case("t-hmwi", counts={"run_table": 1, "metric": 2, **FURTHER})],
    "runs[].depths": [
        Case([8, 14], counts={"train": 1, "evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "runs[].seeds": [
        Case([1, 2], counts={"train": 1, "evaluate": 1, "run_table": 1, "metric": 2, **FURTHER})
    ],
    "conjecture.depths": [Case([8, 14], counts=FOUR_RUNS)],
    "conjecture.seeds": [Case([1, 2], counts=FOUR_RUNS)],
    "conjecture.doses": [Case([0.5, 1], counts=DOSE)],
    "conjecture.others": [Case([], counts=OVER_CAUSES)],
    "conjecture.others[].architecture": [Case("residual", counts=CAUSE)],
    "conjecture.others[].initialisation": [Case("orthogonal", counts=CAUSE)],
    "conjecture.equal_risk": [Case(9.0, ("conjecture_prediction ",))],
    "conjecture.bootstrap_replicates": [Case(10, ("conjecture_prediction ",))],
    "conjecture.bootstrap_seed": [Case(1, ("conjecture_prediction ",))],
    "conjecture.confidence": [Case(0.9, ("conjecture_prediction ", "conjecture_verdict "))],
    "gradient_flow.samples": [Case(5, GRADIENT_FLOW)],
    "gradient_flow.sample_seed": [Case(1, GRADIENT_FLOW)],
    "gradient_flow.precision": [Case("float32", GRADIENT_FLOW)],
    "gradient_flow.shallow_share": [Case(0.3, (*FLOW_TABLES, "claims "))],
    "gradient_flow.reading": [Case("set", FLOW_SHOWN)],
    "gradient_flow.layers": [Case("all", FLOW_SHOWN)],
    # A run keeps its weights where its gradient flow is measured, and the only epoch of the
    # fully-fledged networks is the last, which is measured anyway.
    "gradient_flow.epochs": [Case([], ("train .*/(plain-8/kwi|residual-8/hmwi)",))],
}

# Keys that no single plan of the finished project can show.
ELSEWHERE = {
    "finished_runs": "test_finished_runs_are_taken_and_measured_on_other_pictures",
    "only_finished": "test_with_only_finished_runs_nothing_is_trained",
    "results": "test_another_results_folder_is_computed_on_its_own",
    "data.sha256": "test_the_source_of_the_data_counts_by_its_content",
    "conjecture.initialisation": "no other initialisation has doses",
}


def all_keys() -> list[str]:
    """Return the keys of the schema, without those that are sections."""
    return [key for key, allowed, *_ in reference(SCHEMA_PATH) if allowed]


def configured(project: Project, values: Mapping[str, Any]) -> str:
    """Return the project's configuration with other values of some keys."""
    config = yaml.safe_load((project.root / CONFIG).read_text("utf-8"))
    for key, value in values.items():
        section = config
        *parents, last = key.replace("[]", ".0").split(".")
        for parent in parents:
            section = section[0] if parent == "0" else section.setdefault(parent, {})
        section[last] = value
    return yaml.safe_dump(config)


def test_every_key_has_an_expectation() -> None:
    assert {*KEYS} | {*ELSEWHERE} == {*all_keys()}


@pytest.mark.parametrize("key", KEYS)
def test_what_depends_on_a_key(done: Finished, config_planner: Planner, key: str) -> None:
    for case in KEYS[key]:
        text = configured(done.project, {**case.also, key: case.value})
        with edited(done.project, {CONFIG: text}):
            stale = config_planner.jobs(done.project, targets=case.targets)
        if case.counts is None:
            expected = done.depending(done.matching(*case.roots, "report_page "))
            assert names(stale) == expected, case
        else:
            assert counts(stale) == {rule: n for rule, n in case.counts.items() if n}, case


NO_CHANGES = {
    "order of keys": ("{epochs: 2, batch_size: 20, ", "{batch_size: 20, epochs: 2, "),
    "a default written out": ("device: cpu", "device: cpu\ndownloads: resources"),
    "numbers in another notation": ("learning_rate: 0.05", "learning_rate: '5.0e-2'"),
}


@pytest.mark.parametrize("change", NO_CHANGES)
def test_another_way_to_write_the_same(
    done: Finished, config_planner: Planner, change: str
) -> None:
    text = (done.project.root / CONFIG).read_text("utf-8")
    old, new = NO_CHANGES[change]
    assert old in text
    with edited(done.project, {CONFIG: text.replace(old, new)}):
        assert config_planner.jobs(done.project) == []


SECTIONS = ("all", "external", "runs", "metrics", "conjecture")


def test_another_results_folder_is_computed_on_its_own(
    done: Finished, config_planner: Planner
) -> None:
    with edited(done.project, {CONFIG: configured(done.project, {"results": "results/other"})}):
        planned = config_planner.jobs(done.project, targets=SECTIONS)
    here = {name.replace("results/tiny/", "results/other/") for name in done.jobs}
    asked_for = done.matching("transfer ", "figure3_snapshots ")
    assert len(here - names(planned)) == len(asked_for)
    assert names(planned) <= here
