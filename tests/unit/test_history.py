"""The history file: its columns, and numbers that survive it."""

import csv
import dataclasses
import math
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnoise.training.history import Row, write

COLUMNS = [
    "epoch",
    "lr",
    "risk",
    "cost",
    "train_error",
    "test_loss",
    "test_error",
    "seconds",
    "images_per_second",
    "status",
]


def bits(value: float) -> bytes:
    """Return what tells all floats apart; one pattern for every NaN."""
    return struct.pack("<d", math.nan if math.isnan(value) else value)


@given(rows=st.lists(st.tuples(*[st.floats()] * 8), max_size=4))
def test_floats_come_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, ...]]
) -> None:
    file = tmp_path_factory.mktemp("history") / "history.csv"
    write(file, [Row(epoch, *values) for epoch, values in enumerate(rows, start=1)])
    with file.open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["epoch"] for row in found] == [str(epoch + 1) for epoch in range(len(rows))]
    for row, values in zip(found, rows, strict=True):
        assert [bits(float(row[name])) for name in COLUMNS[1:-1]] == [*map(bits, values)]


def test_columns_are_in_order_and_a_row_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    row = Row(1, 0.5, 2.0, 2.25, 0.75, 3.0, 0.875, 1.5, 100.0)
    write(file, [row, dataclasses.replace(row, epoch=2, status="diverged")])
    assert file.read_bytes().decode() == (
        ",".join(COLUMNS) + "\n"
        "1,0.5,2.0,2.25,0.75,3.0,0.875,1.5,100.0,ok\n"
        "2,0.5,2.0,2.25,0.75,3.0,0.875,1.5,100.0,diverged\n"
    )


def test_a_run_without_epochs_has_only_the_header(tmp_path: Path) -> None:
    write(tmp_path / "history.csv", [])
    assert (tmp_path / "history.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_writing_replaces_the_old_rows(tmp_path: Path) -> None:
    file = tmp_path / "history.csv"
    row = Row(1, 0.5, 2.0, 2.25, 0.75, 3.0, 0.875, 1.5, 100.0)
    write(file, [row, row, row])
    write(file, [row])
    assert len(file.read_text().splitlines()) == 2
    assert {*tmp_path.iterdir()} == {file, file.with_name("history.csv.sha256")}
