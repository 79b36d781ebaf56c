"""Compiling on first use: cached, safe among concurrent jobs, and clear when it is impossible."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from resnoise.errors import ResnoiseError
from resnoise.native import build

SCRIPTS = Path(build.__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Use an empty cache, and forget what is loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    build._load.cache_clear()
    yield tmp_path / "cache" / "resnoise"
    build._load.cache_clear()


@pytest.fixture
def compiler():
    """Return the command of the compiler; skip where there is none."""
    try:
        return shlex.join(build._compiler(None))
    except build.NativeUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def small_source(tmp_path, monkeypatch):
    """Compile something small, because these tests are not about the contents."""
    source = tmp_path / "conv.c"
    source.write_text("int answer(void) { return 42; }\n")
    monkeypatch.setattr(build, "SOURCE", source)
    return source


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_without_a_compiler_the_message_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.NativeUnavailable, match=r"no C compiler .*install one or set CC"):
        build.load(single=False)
    assert issubclass(build.NativeUnavailable, ResnoiseError)


@pytest.mark.parametrize("command", ["/nonexistent/cc", "/nonexistent/cc -m64", " "])
def test_a_compiler_that_is_not_there(monkeypatch, command):
    monkeypatch.setenv("CC", command)
    with pytest.raises(build.NativeUnavailable, match="CC="):
        build.load(single=False)
    with pytest.raises(build.NativeUnavailable, match="CC="):
        build.compiler_version()


def test_a_compiler_that_fails(monkeypatch, tmp_path, cache):
    fails = 'case "$*" in *--version*) echo 1.0;; *) echo "no such header" >&2; exit 1;; esac'
    monkeypatch.setenv("CC", script(tmp_path / "cc", fails))
    with pytest.raises(build.NativeUnavailable, match="failed: no such header"):
        build.load(single=True)
    assert not cache.exists()
    monkeypatch.setenv("CC", script(tmp_path / "silent", "exit 3"))
    with pytest.raises(build.NativeUnavailable, match="exit status 3"):
        build.load(single=True)


def test_a_cache_that_cannot_be_written(monkeypatch, tmp_path, compiler, small_source):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(build.NativeUnavailable, match="set XDG_CACHE_HOME"):
        build.load(single=False)


def test_without_xdg_cache_home_the_cache_is_in_the_home(
    monkeypatch, tmp_path, compiler, small_source
):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert build.load(single=False).answer() == 42
    assert len(list((tmp_path / "home/.cache/resnoise").iterdir())) == 1


def test_a_damaged_library(monkeypatch, tmp_path, compiler, small_source, cache):
    build.load(single=False)
    (library,) = cache.iterdir()
    # Elsewhere, because this process keeps what it has loaded from a path.
    damaged = tmp_path / "other" / "resnoise" / library.name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"damaged")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    with pytest.raises(build.NativeUnavailable, match="cannot be loaded"):
        build.load(single=False)


def test_the_library_is_compiled_once(monkeypatch, tmp_path, compiler, small_source, cache):
    log = tmp_path / "log"
    counting = f'case "$*" in *--version*) ;; *) echo . >> {log};; esac; exec {compiler} "$@"'
    monkeypatch.setenv("CC", script(tmp_path / "cc", counting))
    for _ in range(3):
        build._load.cache_clear()
        assert build.load(single=False).answer() == 42
    assert len(log.read_text().split()) == 1
    build.load(single=True)
    assert len(log.read_text().split()) == 2
    assert len(list(cache.iterdir())) == 2


def test_source_compiler_and_cpu_have_libraries_of_their_own(
    monkeypatch, compiler, small_source, cache
):
    def libraries() -> int:
        build._load.cache_clear()
        build.load(single=False)
        return len(list(cache.iterdir()))

    assert libraries() == 1
    assert libraries() == 1
    small_source.write_text("int answer(void) { return 43; }\n")
    assert libraries() == 2
    assert build.load(single=False).answer() == 43
    monkeypatch.setenv("CC", f"{compiler} -g")
    assert libraries() == 3
    monkeypatch.setattr(build, "_cpu", lambda: "another CPU")
    assert libraries() == 4
    version = build._version
    monkeypatch.setattr(build, "_version", lambda command: version(command) + "update")
    assert libraries() == 5


def test_the_cpu_is_known():
    assert build._cpu() or not Path("/proc/cpuinfo").exists()


def test_processes_that_build_at_the_same_time(compiler, cache):
    code = "from resnoise.native import build; print(build.load(single=False).size_of_shape())"
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    jobs = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    assert [job.communicate()[0].split() for job in jobs] == [[b"48"]] * 4
    assert all(job.returncode == 0 for job in jobs)
    assert len(list(cache.iterdir())) == 1
