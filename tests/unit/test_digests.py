"""Results that check themselves: every damage is noticed, and named with what to do."""

import dataclasses
import io
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from resnoise.errors import ResnoiseError
from resnoise.storage import csvfile, digests
from resnoise.storage.pages import read_page, read_png, write_page

TABLE = pd.DataFrame({"name": ["a", 'naïve, "b"'], "value": [0.1, math.nan]})
FACTS = {"b": [1, None, {"c": 0.1}], "a": "naïve"}
MARKDOWN = "# Title\n\n| a |\n|---|\n| 1 |\n\nNote.\n"


def picture() -> bytes:
    figure, axis = plt.subplots(figsize=(1, 1))
    axis.plot([0, 1])
    stream = io.BytesIO()
    figure.savefig(stream, dpi=30)
    plt.close(figure)
    return stream.getvalue()


# Name of a file, what writes it, what reads it.
KINDS: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "CSV": (
        "t.csv",
        lambda file: csvfile.write(file, TABLE),
        lambda file: csvfile.read(file, "a table"),
    ),
    "JSON": ("f.json", lambda file: digests.write_json(file, FACTS), digests.read_json),
    "Markdown": (
        "t.md",
        lambda file: write_page(file, MARKDOWN),
        read_page,
    ),
    "PNG": ("f.png", lambda file: file.write_bytes(picture()), read_png),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(tmp_path: Path, kind: str) -> None:
    name, write, read = KINDS[kind]
    write(tmp_path / name)
    write(tmp_path / name)
    found = read(tmp_path / name)
    if isinstance(found, pd.DataFrame):
        pd.testing.assert_frame_equal(found, TABLE)
    else:
        assert found in (FACTS, MARKDOWN, picture())


def flip(content: bytes) -> list[bytes]:
    """Return the content with one bit flipped, at many places."""
    step = max(1, len(content) // 200)
    return [
        content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :]
        for i in range(0, len(content), step)
    ]


DAMAGES: dict[str, Callable[[bytes], list[bytes]]] = {
    "flipped": flip,
    "torn": lambda content: [content[:end] for end in range(1, len(content) - 1, 7)],
    "empty": lambda content: [b""],
    "zeros": lambda content: [bytes(len(content))],
    "longer": lambda content: [content + b"1", content + content],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_named_with_its_file(tmp_path: Path, kind: str, damage: str) -> None:
    name, write, read = KINDS[kind]
    file = tmp_path / name
    write(file)
    whole = file.read_bytes()
    for damaged in DAMAGES[damage](whole):
        # JSON and Markdown may hold other white space around the same content.
        if damaged.split() == whole.split():
            continue
        file.write_bytes(damaged)
        with pytest.raises(ResnoiseError, match=rf"{name}: .*delete it and rerun"):
            read(file)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_named(tmp_path: Path, kind: str) -> None:
    name, _, read = KINDS[kind]
    with pytest.raises(ResnoiseError, match=rf"{name}: cannot be read \(No such file"):
        read(tmp_path / name)


def test_another_file_under_its_name_is_noticed(tmp_path: Path) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    csvfile.write(one, TABLE)
    csvfile.write(two, TABLE[::-1])
    one.write_bytes(two.read_bytes())
    with pytest.raises(ResnoiseError, match=r"one\.csv\.sha256 says"):
        csvfile.read(one, "a table")


@pytest.mark.parametrize("damage", ["", "0123", "x" * 64 + "  t.csv", None])
def test_a_damaged_or_missing_digest_is_noticed(tmp_path: Path, damage: str | None) -> None:
    file = tmp_path / "t.csv"
    csvfile.write(file, TABLE)
    digests.digest_file(file).unlink()
    if damage is not None:
        digests.digest_file(file).write_text(damage)
    with pytest.raises(ResnoiseError, match=r"t\.csv: .*t\.csv\.sha256.*rerun"):
        csvfile.read(file, "a table")


def test_sha256sum_checks_and_makes_digests(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    csvfile.write(file, TABLE)
    subprocess.run(["sha256sum", "--check", "t.csv.sha256"], cwd=tmp_path, check=True)
    file.write_text("name,value\nmine,1\n")
    made = subprocess.run(["sha256sum", "t.csv"], cwd=tmp_path, capture_output=True, check=True)
    digests.digest_file(file).write_bytes(made.stdout)
    assert csvfile.read(file, "a table")["value"].item() == 1


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    csvfile.write(file, TABLE)
    with pytest.raises(ResnoiseError, match=r"t\.csv: no column depth, seed, needed in a table"):
        csvfile.read(file, "a table", ("name", "seed", "depth"))


def test_a_file_that_is_no_csv_is_named(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    with digests.csv_path(file) as temporary:
        temporary.write_bytes(b"")
    with pytest.raises(ResnoiseError, match=r"t\.csv: not readable as a table"):
        csvfile.read(file, "a table")


def test_a_failed_write_leaves_the_old_file_and_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    csvfile.write(file, TABLE)

    def fail() -> None:
        with digests.csv_path(file) as temporary:
            temporary.write_text("half of the n")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    pd.testing.assert_frame_equal(csvfile.read(file, "a table"), TABLE)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row."""

    step: int
    risk: float


def test_rows_keep_all_digits(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    digests.write_rows(file, Row, [Row(1, 0.1 + 0.2), Row(2, 1e-300), Row(3, math.nan)])
    assert file.read_text() == "step,risk\n1,0.30000000000000004\n2,1e-300\n3,nan\n"
    digests.write_rows(file, Row, [])
    assert file.read_text() == "step,risk\n"
    digests.check_csv(file)


def test_json_has_sorted_keys_and_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    digests.write_json(file, FACTS)
    text = file.read_text()
    assert list(json.loads(text)) == ["a", "b", "content_sha256"] and text.endswith("}\n")
    digests.write_json(file, dict(reversed(FACTS.items())))
    assert file.read_text() == text


@pytest.mark.parametrize("text", ["[1]", "1", '{"a": 1}', "null"])
def test_json_without_a_digest_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "f.json"
    file.write_text(text)
    with pytest.raises(ResnoiseError, match=r"f\.json: holds no content_sha256"):
        digests.read_json(file)


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    digests.write_json(file, FACTS)
    with pytest.raises(TypeError):
        digests.write_json(file, {"a": file})
    assert digests.read_json(file) == FACTS
