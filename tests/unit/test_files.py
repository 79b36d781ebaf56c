"""Atomic writing: the old file or the new one, nothing else beside it, usual permissions."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from resnoise.files import atomic_path, write_json, write_text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "result.csv"


@pytest.fixture
def umask() -> Iterator[None]:
    """Restore the process's umask after the test."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def test_readers_see_the_old_file_until_the_block_ends(file: Path) -> None:
    file.write_text("old")
    with atomic_path(file) as temporary:
        temporary.write_text("half of the n")
        assert file.read_text() == "old"
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [*file.parent.iterdir()] == [file]


def test_a_reader_of_the_old_file_keeps_reading_the_old_file(file: Path) -> None:
    file.write_text("old")
    with file.open() as stream:
        write_text(file, "new and longer")
        assert stream.read() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", ["old", None])
def test_an_exception_leaves_the_old_file_and_no_temporary(
    file: Path, error: type[BaseException], old: str | None
) -> None:
    if old is not None:
        file.write_text(old)

    def fail() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("new")
            raise error

    with pytest.raises(error):
        fail()
    assert [path.read_text() for path in file.parent.iterdir()] == ([old] if old else [])


def test_a_failed_move_leaves_no_temporary(file: Path) -> None:
    file.mkdir()
    with pytest.raises(OSError, match=r"result\.csv"):
        write_text(file, "new")
    assert [*file.parent.iterdir()] == [file]


def test_a_block_that_removes_its_file_fails_and_leaves_the_old_one(file: Path) -> None:
    file.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(file) as temporary:
        temporary.unlink()
    assert file.read_text() == "old"


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize(
    ("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0, 0o666), (0o027, 0o640)]
)
def test_permissions_follow_the_umask(file: Path, mask: int, mode: int) -> None:
    file.write_text("private")
    file.chmod(0o600)
    os.umask(mask)
    write_text(file, "new")
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert os.umask(0) == mask


def test_the_temporary_file_is_beside_the_other_with_its_suffix(file: Path) -> None:
    with atomic_path(file) as temporary:
        assert temporary.parent == file.parent
        assert temporary.suffix == ".csv"
        assert temporary.name.startswith(".")
        assert temporary != file


def test_two_writers_do_not_disturb_each_other(file: Path) -> None:
    with atomic_path(file) as one, atomic_path(file) as two:
        one.write_text("one")
        two.write_text("two")
    assert file.read_text() == "one"


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "text")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "text"


def test_text_is_utf_8_with_unix_line_ends(file: Path) -> None:
    write_text(file, "naïve ± 1\n")
    assert file.read_bytes() == "naïve ± 1\n".encode()


def test_json_has_sorted_keys_and_comes_back(file: Path) -> None:
    value = {"b": [1, None], "a": {"d": True, "c": 0.1}}
    write_json(file, value)
    text = file.read_text()
    assert json.loads(text) == value
    assert list(json.loads(text)) == ["a", "b"]
    assert list(json.loads(text)["a"]) == ["c", "d"]
    assert text.endswith("}\n")
    write_json(file, dict(reversed(value.items())))
    assert file.read_text() == text


def test_json_that_cannot_be_written_leaves_the_old_file(file: Path) -> None:
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": file})
    assert json.loads(file.read_text()) == {"a": 1}
