"""A broken configuration ends Snakemake itself before any job, with messages and no traceback."""

from pathlib import Path

from projects import fresh_project


def test_a_key_that_is_there_twice_is_a_mistake(tmp_path: Path) -> None:
    project = fresh_project(tmp_path / "project")
    project.replace("config/tiny.yaml", "depths: [8]", "depths: [8], depths: [14]")
    printed = project.snakemake(fails=True)
    assert "tiny.yaml: not readable as a configuration: line " in printed
    assert "the key 'depths' is there twice" in printed
    assert "Traceback" not in printed


def test_snakemake_prints_the_mistakes_and_runs_nothing(tmp_path: Path) -> None:
    project = fresh_project(tmp_path / "project")
    project.replace("config/tiny.yaml", "depths: [8]", "depths: [8, 9]")
    project.replace("config/tiny.yaml", "batch_size: 20", "batch_size: 101")
    printed = project.snakemake(fails=True)
    assert "the configuration has mistakes:" in printed
    assert "table1.depths[1]: 9 given, allowed: an integer 6n + 2" in printed
    assert "training.simplified.batch_size: 101 given, allowed: an integer <= 100" in printed
    assert "Traceback" not in printed
    assert not project.results.exists()
