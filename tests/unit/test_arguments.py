"""What the Snakefile reads from the command line before Snakemake knows its targets."""

import pytest

from resnoise.console import arguments


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("quick", True),
        ("quick --cores 2", True),
        ("--cores 2 -n quick", True),
        ("table1 quick --configfile a.yaml --config device=cpu", True),
        ("-d quick --cores 1", False),
        ("table1 --directory quick", False),
        ("--configfile a.yaml quick", False),
        ("--profile quick all", False),
        ("--until quick", False),
        ("results/quick/table1.csv", False),
        # What started something else than Snakemake.
        ("--no-such-option --cores", False),
    ],
)
def test_a_target_is_told_from_the_value_of_an_option(line: str, found: bool) -> None:
    assert arguments.targets(line.split(), "quick") is found


def dropped(line: str) -> list[str]:
    return arguments.dropped(line.split())


def test_options_of_which_one_is_dropped_are_named() -> None:
    assert dropped("all --configfile a b --config x=1 y=2 --cores 1") == []
    twice = dropped("--configfile a --configfiles=b -C x=1 --config y=2")
    assert [text.partition(" ")[0] for text in twice] == ["--configfile", "--config"]
    assert all("2 times" in text for text in twice)
