"""Remembered digests of sources: always those of the present content, and not read twice."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from resnoise.data import remembered
from resnoise.data.remembered import source_digest
from resnoise.storage.checksum import check_sha256


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures; what was just written counts as settled."""
    monkeypatch.setattr(remembered, "_UNSETTLED_NS", 0)
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "pictures"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the list of all sources that are read."""
    found: list[Path] = []

    def read(path: Path, expected: str | None) -> str:
        found.append(path)
        return check_sha256(path, expected)

    monkeypatch.setattr(remembered, "check_sha256", read)
    return found


@pytest.mark.parametrize("name", [".", "a/1.png"])
def test_an_unchanged_source_is_read_once(folder: Path, reads: list[Path], name: str) -> None:
    source, memory = folder / name, folder.parent / "memory" / "digests.json"
    for _ in range(3):
        assert source_digest(source, memory) == check_sha256(source, None)
    assert reads == [source]


def test_sources_are_remembered_apart(folder: Path, reads: list[Path]) -> None:
    memory = folder.parent / "digests.json"
    sources = [folder / "a", folder / "b", folder / "a/1.png"]
    for source in sources * 2:
        assert source_digest(source, memory) == check_sha256(source, None)
    assert reads == sources


def same_size_and_time(file: Path) -> None:
    before = file.stat()
    file.write_text("x" * before.st_size)
    # The time of change is that of a clock which stands still for milliseconds.
    deadline = time.monotonic() + 3
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    while file.stat().st_ctime_ns == before.st_ctime_ns and time.monotonic() < deadline:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(file: Path) -> None:
    other, third = file.with_name("2.png"), file.with_name("3")
    file.rename(third)
    other.rename(file)
    third.rename(other)


@pytest.mark.parametrize(
    "change",
    [
        same_size_and_time,
        swap,
        lambda file: file.write_text("more"),
        lambda file: file.unlink(),
        lambda file: file.rename(file.with_name("0.png")),
        lambda file: (file.parent / "new.png").touch(),
    ],
)
def test_every_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    memory = folder.parent / "digests.json"
    before = source_digest(folder, memory)
    change(folder / "a/1.png")
    assert source_digest(folder, memory) == check_sha256(folder, None) != before


def test_a_touched_source_keeps_its_digest(folder: Path, reads: list[Path]) -> None:
    memory = folder.parent / "digests.json"
    before = source_digest(folder, memory)
    os.utime(folder / "a/1.png", (1, 1))
    assert source_digest(folder, memory) == source_digest(folder, memory) == before
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"PLACE": 1}', '{"PLACE": {"sha256": "0"}}'])
def test_a_damaged_memory_is_made_anew(folder: Path, reads: list[Path], text: str) -> None:
    memory = folder.parent / "digests.json"
    memory.write_text(text.replace("PLACE", str(folder)))
    for _ in range(2):
        assert source_digest(folder, memory) == check_sha256(folder, None)
    assert reads == [folder]


def test_a_memory_that_cannot_be_written_is_none(folder: Path) -> None:
    (folder.parent / "file").write_text("no folder")
    memory = folder.parent / "file" / "digests.json"
    assert source_digest(folder, memory) == check_sha256(folder, None)


def test_what_has_just_changed_is_not_remembered(
    folder: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remembered, "_UNSETTLED_NS", 10**15)
    for _ in range(2):
        source_digest(folder, folder.parent / "digests.json")
    assert len(reads) == 2


def test_what_changes_while_it_is_read_is_not_remembered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, expected: str | None) -> str:
        digest = check_sha256(path, expected)
        (path / "a/1.png").write_text("it has changed")
        return digest

    memory = folder.parent / "digests.json"
    with monkeypatch.context() as patch:
        patch.setattr(remembered, "check_sha256", read)
        source_digest(folder, memory)
    assert source_digest(folder, memory) == check_sha256(folder, None)
