"""SHA-256 of files and folders."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnoise.errors import ResnoiseError
from resnoise.storage.checksum import check_sha256, file_digest, tree_digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "b" / "1").write_bytes(b"one")
    (root / "a").write_bytes(b"")
    (root / "b.x").write_bytes(b"two")
    return root


def test_file_digest_is_sha256_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 100_000)
    assert file_digest(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_tree_digest_is_what_its_documentation_says(folder: Path) -> None:
    text = b"a\x000\x00" + b"b.x\x003\x00two" + b"b/1\x003\x00one"
    assert tree_digest(folder) == hashlib.sha256(text).hexdigest()


def test_tree_digest_ignores_place_times_and_hidden_files(folder: Path, tmp_path: Path) -> None:
    before = tree_digest(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / ".DS_Store").write_bytes(b"x")
    (copy / ".git").mkdir()
    (copy / ".git" / "config").write_bytes(b"x")
    os.utime(copy / "a", (0, 0))
    assert tree_digest(copy) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "a").write_bytes(b"x"),
        lambda root: (root / "a").rename(root / "c"),
        lambda root: (root / "a").unlink(),
        lambda root: (root / "new").write_bytes(b""),
        lambda root: (root / "b" / "1").rename(root / "1"),
    ],
)
def test_tree_digest_sees_every_change(folder: Path, change) -> None:
    before = tree_digest(folder)
    change(folder)
    assert tree_digest(folder) != before


def test_tree_digest_separates_names_and_contents(tmp_path: Path) -> None:
    for name, file, content in (("one", "a", b"b"), ("two", "ab", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(content)
    assert tree_digest(tmp_path / "one") != tree_digest(tmp_path / "two")


def test_tree_digest_follows_links(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.mkdir()
    for name in ("a", "b", "b.x"):
        (linked / name).symlink_to(folder / name)
    assert tree_digest(linked) == tree_digest(folder)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: (root / "b" / "up").symlink_to(root), "b/up: a link to a folder that"),
        (lambda root: (root / "dangling").symlink_to("nowhere"), "dangling: neither a file nor"),
        (lambda root: os.mkfifo(root / "pipe"), "pipe: neither a file nor a folder"),
    ],
)
def test_tree_digest_refuses(folder: Path, make, message: str) -> None:
    make(folder)
    with pytest.raises(ResnoiseError, match=message):
        tree_digest(folder)


def test_check_returns_the_digest_of_either(folder: Path) -> None:
    assert check_sha256(folder, None) == tree_digest(folder)
    digest = file_digest(folder / "b" / "1")
    assert check_sha256(folder / "b" / "1", digest.upper()) == digest


@pytest.mark.parametrize("name", ["", "b/1"])
def test_mismatch_shows_both_values(folder: Path, name: str) -> None:
    found = check_sha256(folder / name, None)
    with pytest.raises(ResnoiseError) as error:
        check_sha256(folder / name, "0" * 64)
    expected = f"{folder / name}: SHA-256 is {found}, expected {'0' * 64}"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    "function", [file_digest, tree_digest, lambda path: check_sha256(path, None)]
)
def test_missing_path_is_named(tmp_path: Path, function) -> None:
    with pytest.raises(ResnoiseError, match=r"nothing: cannot be read \(No such file"):
        function(tmp_path / "nothing")


def test_module_imports_the_standard_library_only() -> None:
    program = (
        "import sys; before = set(sys.modules); import resnoise.storage.checksum; "
        "new = {name.split('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    scripts = Path(__file__).parents[2] / "workflow" / "scripts"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=scripts, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "['resnoise']"
