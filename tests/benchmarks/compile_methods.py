"""Ways to compile the native code: how long they take to build and start, and how fast they run.

    pip install cffi numba ninja setuptools
    PYTHONPATH=workflow/scripts python tests/benchmarks/compile_methods.py

Every way compiles the same convolution: float64, 3x3, 16 to 16 channels, padded pictures with the
channels last, sums of 8 pixels and 16 channels kept in registers. A measurement is a process of its
own: the first with an empty cache, the second with the cache that the first one filled. The ways
take turns, and medians are printed. A way whose package is missing is left out, and the output
says so.
"""

import argparse
import ctypes
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from resnoise.native import build

CHANNELS = 16
PIXELS = 8
COUNT, SIZE = 64, 32

# Arrays of GCC's and Clang's vector type stay in registers, as in conv.c.
C_CODE = """
typedef double vector __attribute__((vector_size(64), aligned(8), may_alias));

EXPORT void convolve(const double *input, const double *kernel, double *output, long count,
                     long size)
{
    const long row = (size + 2) * 16;
    for (long n = 0; n < count; n++)
        for (long y = 0; y < size; y++)
            for (long x = 0; x < size; x += 8) {
                vector sums[8][2] = {{{0}}};
                for (long p = 0; p < 3; p++)
                    for (long q = 0; q < 3; q++) {
                        const double *from = input + (n * (size + 2) + y + p) * row + (x + q) * 16;
                        const double *weights = kernel + (p * 3 + q) * 256;
                        for (long i = 0; i < 16; i++) {
                            const vector low = *(const vector *)(weights + i * 16);
                            const vector high = *(const vector *)(weights + i * 16 + 8);
                            for (long k = 0; k < 8; k++) {
                                sums[k][0] += from[k * 16 + i] * low;
                                sums[k][1] += from[k * 16 + i] * high;
                            }
                        }
                    }
                double *to = output + ((n * size + y) * size + x) * 16;
                for (long k = 0; k < 8; k++) {
                    *(vector *)(to + k * 16) = sums[k][0];
                    *(vector *)(to + k * 16 + 8) = sums[k][1];
                }
            }
}
"""
SIGNATURE = "void convolve(const double *, const double *, double *, long, long);"
TORCH_CODE = """
#include <torch/extension.h>
void convolve_tensors(torch::Tensor input, torch::Tensor kernel, torch::Tensor output, long count,
                      long size)
{
    convolve(input.data_ptr<double>(), kernel.data_ptr<double>(), output.data_ptr<double>(), count,
             size);
}
"""
OPTIONS = ["-O3", "-march=native", "-ffp-contract=fast"]

Convolve = Callable[[np.ndarray, np.ndarray, np.ndarray, int, int], None]


def with_ctypes(cache: Path) -> Convolve:
    """Compile with the C compiler and load with ctypes, as resnoise.native.build does."""
    library = cache / "convolve.so"
    if not library.exists():
        source = library.with_suffix(".c")
        source.write_text("#define EXPORT\n" + C_CODE, encoding="utf-8")
        command = ["cc", *OPTIONS, "-std=gnu11", "-shared", "-fPIC", "-o", str(library)]
        subprocess.run([*command, str(source)], check=True)
    function = ctypes.CDLL(str(library)).convolve
    function.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_long] * 2
    function.restype = None

    def convolve(
        images: np.ndarray, kernel: np.ndarray, output: np.ndarray, count: int, size: int
    ) -> None:
        function(images.ctypes.data, kernel.ctypes.data, output.ctypes.data, count, size)

    return convolve


def with_cffi(cache: Path) -> Convolve:
    """Compile with cffi's API mode, which makes an extension module of Python."""
    import cffi

    library = next(cache.glob("_convolve*.so"), None)
    if library is None:
        builder = cffi.FFI()
        builder.cdef(SIGNATURE)
        source = "#define EXPORT static\n" + C_CODE
        builder.set_source("_convolve", source, extra_compile_args=OPTIONS)
        library = Path(builder.compile(tmpdir=str(cache)))
    spec = importlib.util.spec_from_file_location("_convolve", library)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    address = module.ffi.from_buffer
    function = module.lib.convolve

    def convolve(
        images: np.ndarray, kernel: np.ndarray, output: np.ndarray, count: int, size: int
    ) -> None:
        function(
            address("double *", images),
            address("double *", kernel),
            address("double *", output),
            count,
            size,
        )

    return convolve


def with_cpp_extension(cache: Path) -> Convolve:
    """Compile with torch.utils.cpp_extension, which needs C++, ninja and Python's headers."""
    from torch.utils import cpp_extension

    os.environ["TORCH_EXTENSIONS_DIR"] = str(cache)
    module = cpp_extension.load_inline(
        "convolve_extension",
        "#define EXPORT static\n" + C_CODE + TORCH_CODE,
        functions=["convolve_tensors"],
        extra_cflags=OPTIONS,
    )
    function = module.convolve_tensors

    def convolve(
        images: np.ndarray, kernel: np.ndarray, output: np.ndarray, count: int, size: int
    ) -> None:
        # The arrays are tensors here, as they are in training.
        function(images, kernel, output, count, size)

    return convolve


def with_numba(cache: Path) -> Convolve:
    """Compile the same loops with numba, which has no vector type: LLVM must find the vectors."""
    os.environ["NUMBA_CACHE_DIR"] = str(cache)
    import numba

    # nsz and contract allow fused multiply-add but no other order of a sum, as for the C code.
    @numba.njit(cache=True, fastmath={"contract", "nsz"}, boundscheck=False)
    def convolve(
        images: np.ndarray, kernel: np.ndarray, output: np.ndarray, count: int, size: int
    ) -> None:
        sums = np.empty((PIXELS, CHANNELS))
        for n in range(count):
            for y in range(size):
                for x in range(0, size, PIXELS):
                    sums[:] = 0.0
                    for p in range(3):
                        for q in range(3):
                            for i in range(CHANNELS):
                                for k in range(PIXELS):
                                    value = images[n, y + p, x + q + k, i]
                                    for o in range(CHANNELS):
                                        sums[k, o] += value * kernel[p, q, i, o]
                    for k in range(PIXELS):
                        for o in range(CHANNELS):
                            output[n, y, x + k, o] = sums[k, o]

    return convolve


WAYS = {
    "ctypes": (with_ctypes, ()),
    "cffi": (with_cffi, ("cffi", "setuptools")),
    "cpp_extension": (with_cpp_extension, ("ninja", "setuptools")),
    "numba": (with_numba, ("numba",)),
}


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--measure", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(WAYS[arguments.measure][0], arguments.cache)))
        return
    print(f"compiler: {build.compiler_version()}; PyTorch {torch.__version__}")
    ways: dict[str, list[dict[str, float]]] = {}
    for name, (_, packages) in WAYS.items():
        missing = [package for package in packages if not importlib.util.find_spec(package)]
        if missing:
            print(f"{name}: left out, because {', '.join(missing)} is not installed")
        else:
            ways[name] = []
    for _ in range(arguments.repetitions):
        for name, measured in ways.items():
            measured.append(repetition(name))
    print(f"\n{'':14}{'first start':>13}{'later start':>13}{'a call':>10}{'kernel':>16}")
    for name, measured in ways.items():
        median = {key: statistics.median(each[key] for each in measured) for key in measured[0]}
        print(
            f"{name:14}{median['first']:11.2f} s{median['later']:11.2f} s"
            f"{median['call'] * 1e6:7.2f} us{median['speed'] / 1e9:8.1f} GFLOP/s"
        )


def repetition(name: str) -> dict[str, float]:
    """Measure one way in two processes, with an empty and with a filled cache."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--measure", name, "--cache", cache]
        first, later = (
            json.loads(
                subprocess.run(
                    command, check=True, stdout=subprocess.PIPE, text=True
                ).stdout.splitlines()[-1]
            )
            for _ in range(2)
        )
    return {
        "first": first["ready"],
        "later": later["ready"],
        "call": later["call"],
        "speed": later["speed"],
    }


def measure(way: Callable[[Path], Convolve], cache: Path) -> dict[str, float]:
    """Return seconds until the first result and of an empty call, and the speed in FLOP/s."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(COUNT, SIZE + 2, SIZE + 2, CHANNELS, dtype=torch.float64)
    images[:, 1:-1, 1:-1] = torch.randn(
        COUNT, SIZE, SIZE, CHANNELS, generator=generator, dtype=torch.float64
    )
    kernel = torch.randn(3, 3, CHANNELS, CHANNELS, generator=generator, dtype=torch.float64)
    output = torch.empty(COUNT, SIZE, SIZE, CHANNELS, dtype=torch.float64)
    arrays = [images, kernel, output]
    if way is not with_cpp_extension:
        arrays = [array.numpy() for array in arrays]

    start = time.perf_counter()
    convolve = way(cache)
    convolve(*arrays, 0, SIZE)
    ready = time.perf_counter() - start

    convolve(*arrays, COUNT, SIZE)
    expected = torch.nn.functional.conv2d(
        images.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
    ).permute(0, 2, 3, 1)
    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)

    calls = seconds(lambda: convolve(*arrays, 0, SIZE), 2000)
    run = seconds(lambda: convolve(*arrays, COUNT, SIZE), 5)
    operations = 2 * 9 * CHANNELS * CHANNELS * COUNT * SIZE * SIZE
    return {"ready": ready, "call": calls, "speed": operations / run}


def seconds(call: Callable[[], None], count: int) -> float:
    """Return the median time of a call over nine measurements of ``count`` calls."""
    times = []
    for _ in range(9):
        start = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times)


if __name__ == "__main__":
    main()
