"""Atomic writing: the old file or the new one, nothing else beside it, usual permissions."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resnoise.errors import ResnoiseError
from resnoise.storage.files import atomic_path, check_regular, exclusive, remove, write_text


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
    with pytest.raises(ResnoiseError, match=r"result\.csv: cannot be written"):
        write_text(file, "new")
    assert [*file.parent.iterdir()] == [file]


def test_a_block_that_removes_its_file_fails_and_leaves_the_old_one(file: Path) -> None:
    file.write_text("old")
    with pytest.raises(ResnoiseError, match="cannot be written"), atomic_path(file) as temporary:
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


KILLED = """
import os, signal, sys
from pathlib import Path
from resnoise.storage.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""
WAITING = "another process is writing here, waiting"
# Says when it holds, and holds until its input ends.
HOLDS = """
import sys
from pathlib import Path
from resnoise.storage.files import atomic_path, exclusive
with {call}(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def python(code: str, path: Path) -> "subprocess.Popen[str]":
    """Start Python code on a path."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("clean", [lambda file: write_text(file, "new"), remove])
def test_what_a_killed_writer_left_is_removed(file: Path, clean: Callable[[Path], None]) -> None:
    file.write_text("old")
    other = file.with_name(".result-kept.csv")
    other.write_text("of somebody else")
    assert python(KILLED, file).wait() == -signal.SIGKILL
    assert len([*file.parent.iterdir()]) == 3
    clean(file)
    assert {*file.parent.iterdir()} - {file} == {other}


def test_what_another_writer_is_writing_is_not_removed(file: Path) -> None:
    with python(HOLDS.format(call="atomic_path"), file) as writer:
        assert writer.stdout and writer.stdin
        assert writer.stdout.readline() == "holds\n"
        write_text(file, "new")
        assert len([*file.parent.iterdir()]) == 2
        writer.stdin.close()
        assert writer.wait() == 0
    assert file.read_text() == "" and [*file.parent.iterdir()] == [file]


def test_a_held_folder_is_waited_for_however_its_holder_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def kill_when_waited_for() -> None:
        # Not for ever: without the message, the test fails at its end.
        deadline = time.monotonic() + 60
        while WAITING not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        holder.kill()

    with exclusive(tmp_path) as waited:
        assert not waited
    with python(HOLDS.format(call="exclusive"), tmp_path) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "holds\n"
        killer = threading.Thread(target=kill_when_waited_for)
        killer.start()
        with exclusive(tmp_path) as waited:
            assert waited and holder.wait() == -signal.SIGKILL
        killer.join()
    assert WAITING in caplog.text


COUNTS = """
import sys
from pathlib import Path
from resnoise.storage.files import exclusive
folder = Path(sys.argv[1])
for _ in range(100):
    with exclusive(folder):
        number = int((folder / "counter").read_text())
        (folder / "counter").write_text(str(number + 1))
"""


def test_one_process_at_a_time_holds_a_folder(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [python(COUNTS, tmp_path) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "counter").read_text() == "400"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_what_is_locked_is_a_file(tmp_path: Path) -> None:
    # Locks of folders hold within one computer only on NFS.
    lock = tmp_path / ".lock"
    with exclusive(tmp_path), lock.open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_in_the_place_of_the_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    refused = r"\.lock: cannot be written \(Is a directory\)"
    with pytest.raises(ResnoiseError, match=refused), exclusive(tmp_path):
        pass


def test_only_files_are_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").touch()
    for name in ("file", "none"):
        check_regular(tmp_path / name)
    for name in ("pipe", "link"):
        with pytest.raises(ResnoiseError, match=f"{name}: a pipe, device or socket, needed: a"):
            check_regular(tmp_path / name)
    with pytest.raises(ResnoiseError, match="a folder, needed: a file"):
        check_regular(tmp_path)


def test_without_locks_files_are_written_and_none_is_removed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_handle: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    abandoned = file.with_name(".result-abcdefgh.csv")
    abandoned.write_text("perhaps of a living writer")
    with exclusive(file.parent) as waited:
        assert not waited
        write_text(file, "new")
    assert file.read_text() == "new" and abandoned.exists()


def test_a_full_disk_is_named_with_the_file(file: Path) -> None:
    def fill() -> None:
        with atomic_path(file):
            Path("/dev/full").write_text("more than fits")

    file.write_text("old")
    with pytest.raises(ResnoiseError, match=r"result\.csv: cannot be written .*No space left"):
        fill()
    assert file.read_text() == "old" and [*file.parent.iterdir()] == [file]
