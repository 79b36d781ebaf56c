"""Compile the C code on first use and keep the library in the user's cache.

Plain ``cc`` and ctypes: the code needs the headers of neither Python nor PyTorch, so it compiles in
about a second with any C compiler, and one library serves all their versions. Of the other ways
(``tests/benchmarks/compile_methods.py``), cffi and torch.utils.cpp_extension run the same code
equally fast, but need those headers, and the latter C++ and half a minute; numba reaches an eighth
of the speed, because it cannot keep tiles of sums in vector registers. A call by ctypes takes 3 us
longer, which is negligible beside a layer.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from resnoise.errors import NativeUnavailable, ResnoiseError, quoted
from resnoise.storage.files import atomic_path

SOURCE = Path(__file__).with_name("conv.c")
_COMPILERS = ("cc", "gcc", "clang")
# -ffp-contract=fast: fused multiply-add, whatever the compiler's default is. No option lets the
# compiler reorder sums or ignore NaN.
_OPTIONS = ("-O3", "-std=gnu11", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC")
_LIBRARIES = ("-pthread", "-lm")
_TIMEOUT_SECONDS = 300


def load(single: bool, narrow: bool = False) -> ctypes.CDLL:
    """Return the library for float32 (``single``) or float64, compiled if the cache has none.

    ``narrow`` asks for the one whose layers may have multiples of 8 channels, instead of 16.

    The key in the cache covers source, compiler, options and CPU, so that machines of different
    kinds can share a home directory. Jobs that build at the same time do not disturb each other.

    Raises:
        NativeUnavailable: no compiler, it fails, or the cache cannot be used.
    """
    return _load(single, narrow, os.environ.get("CC"), _cache())


@functools.cache
def _load(single: bool, narrow: bool, chosen: str | None, cache: Path) -> ctypes.CDLL:
    compiler = _compiler(chosen)
    tune = "-march=native" if platform.machine().lower() in ("x86_64", "amd64") else "-mcpu=native"
    macros = [*(["-DSINGLE"] if single else []), *(["-DNARROW"] if narrow else [])]
    command = [*compiler, *_OPTIONS, tune, *macros]
    key = _key([*command, *_LIBRARIES, _version(compiler)])
    kind = f"{'float32' if single else 'float64'}{'-narrow' if narrow else ''}"
    library = cache / f"conv-{kind}-{key}.so"
    if not library.exists():
        _build(command, library)
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise NativeUnavailable(
            f"the library {library} cannot be loaded ({quoted(error)}); "
            "delete it to compile it again"
        ) from error


def compiler_version() -> str:
    """Return what the compiler that ``load`` uses says about itself, in one line.

    Raises:
        NativeUnavailable: no compiler, or it fails.
    """
    return _version(_compiler(os.environ.get("CC"))).partition("\n")[0]


def _version(compiler: list[str]) -> str:
    return _run([*compiler, "--version"])


def _compiler(chosen: str | None) -> list[str]:
    """Return the command of the C compiler: ``chosen`` (the variable CC), else the first found."""
    if chosen:
        command = shlex.split(chosen)
        if not command or not shutil.which(command[0]):
            raise NativeUnavailable(f"the C compiler CC={chosen!r} cannot be found")
        return command
    for name in _COMPILERS:
        if found := shutil.which(name):
            return [found]
    raise NativeUnavailable(
        f"no C compiler ({', '.join(_COMPILERS)}) on the PATH; install one or set CC"
    )


def _cache() -> Path:
    """Return the folder of compiled libraries."""
    # The specification of XDG wants relative paths to be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():
        try:
            base = Path.home() / ".cache"
        except RuntimeError as error:
            raise NativeUnavailable("there is no home folder; set XDG_CACHE_HOME") from error
    return base / "resnoise"


def _key(command: list[str]) -> str:
    """Return a digest of all that the compiled code depends on."""
    parts = [SOURCE.read_text(encoding="utf-8"), *command, platform.machine(), _cpu()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _cpu() -> str:
    """Return model and instruction sets of the CPU, on which -march=native depends."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    names = ("vendor_id", "cpu family", "model", "model name", "flags", "Features", "CPU part")
    lines = text.partition("\n\n")[0].splitlines()
    return "\n".join(line for line in lines if line.partition(":")[0].strip() in names)


def _build(command: list[str], library: Path) -> None:
    """Compile to ``library`` atomically: it appears complete or not at all."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder, library.name)
            _run([*command, "-o", str(built), str(SOURCE), *_LIBRARIES])
            with atomic_path(library) as output:
                shutil.copyfile(built, output)
    except NativeUnavailable:
        raise
    except (OSError, ResnoiseError) as error:
        raise NativeUnavailable(
            f"the cache {library.parent} cannot be written ({error}); set XDG_CACHE_HOME to a "
            "folder that can"
        ) from error


def _run(command: list[str]) -> str:
    """Return the output of a command.

    Raises:
        NativeUnavailable: it cannot be started, fails or takes too long.
    """
    # The key must not depend on the user's language.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        result = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NativeUnavailable(f"the C compiler cannot be run: {quoted(error)}") from error
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        raise NativeUnavailable(f"{shlex.join(command)} failed: {lines[0]}")
    return result.stdout
