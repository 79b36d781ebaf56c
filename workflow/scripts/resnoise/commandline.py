"""What all scripts share: common options, logging, and errors shown as one line."""

import argparse
import atexit
import errno
import importlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from resnoise import provenance
from resnoise.errors import ResnoiseError

# Errors for which the system is the reason (permissions, full disk, ...), not a bug of the program.
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO),
    *(errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG, errno.ESTALE),
    *(errno.EISDIR, errno.ENOTDIR, errno.ELOOP),
}
# What PyTorch says where Python would raise a MemoryError: on the CPU, and on a graphics card.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory")
# What it says of an operation on a card whose results would differ from run to run.
_NOT_DETERMINISTIC = "does not have a deterministic implementation"


# What the option --code of this process says; see ``provenance.promise``.
_promised: str | None = None


def execute(main: Callable[[], None], load: bool = True) -> NoReturn:
    """Run a script's ``main`` (see ``run``) and end the process.

    After a success it ends at once. Python would first take all modules apart, which for PyTorch's
    takes two thirds of a second, longer than many jobs compute.
    """
    run(main, load)
    atexit._run_exitfuncs()
    os._exit(0)


def run(main: Callable[[], None], load: bool = True) -> None:
    """Run a script's ``main`` and turn expected errors into a short end with exit status 1.

    If the command line has the option --code, the code is first compared with it.

    A ResnoiseError, or an error for which the system is the reason (such as a lack of memory), is
    shown as one line without a traceback. If the reader of the output goes away, as in
    ``watch.py | head``, nothing is shown.

    Args:
        main: reads the command line and does the work.
        load: import all modules of the script at once. False for a script that may not need them,
            and calls ``computed_once``, which loads them when it does.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        _check_code(sys.argv, load)
        main()
        # Not sys.stdout.flush(): sys.stdout is None if the script started with its output closed.
        print(end="", flush=True)
    except BrokenPipeError:
        # The reader, such as head, has stopped reading. Python flushes the output once more at
        # exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ResnoiseError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        sys.exit(f"error: {error}")
    except MemoryError:
        sys.exit("error: more memory is needed than there is")
    except RuntimeError as error:
        if _NOT_DETERMINISTIC in str(error):
            operation = str(error).partition(_NOT_DETERMINISTIC)[0].strip()
            sys.exit(
                f"error: {operation} does not have a deterministic implementation on a graphics "
                "card; set device: cpu"
            )
        if not any(text in str(error) for text in _NO_MEMORY):
            raise
        sys.exit("error: more memory is needed than there is")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _check_code(arguments: list[str], load: bool) -> None:
    """Take the option --code out of the arguments, and compare it with the code that is there."""
    global _promised
    if "--code" in arguments[:-1]:
        position = arguments.index("--code")
        _promised = arguments[position + 1]
        del arguments[position : position + 2]
        provenance.check(_promised, load)


def code(script: str, environment: str, *plugins: str) -> str:
    """Return the digest of a script's code: that of the option --code, or else a new one.

    Raises:
        ResnoiseError: the registry, of which the option names what matters here, was changed.
    """
    promised, of, _, *names = _promised.split(" ") if _promised else ("", "", "")
    if of == script:
        if provenance.facts(plugins) != provenance.facts(names):
            raise ResnoiseError(
                f"the line of the registry for a network of {script} was changed after the "
                "workflow had started; start the workflow again"
            )
        return promised
    return provenance.code_digest(script, environment, *plugins)


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the option --store."""
    parser.add_argument("--store", type=Path, help="folder of finished results to look in first")


def computed_once(
    store: Path | None,
    identity: Mapping[str, Any],
    outputs: Mapping[str, Path],
    compute: Callable[[], None],
    checkpoint: Path | None = None,
) -> bool:
    """Take a finished result from the store, or compute it and keep it there.

    Args:
        store: folder of the store; None for none.
        identity: what determines the result.
        outputs: name of each file of the result -> where to put it.
        compute: writes these files.
        checkpoint: what an interrupted computation left to go on from, not needed any more if the
            result is in the store.

    Returns:
        Whether it was computed.
    """
    # Imported here, because few scripts need it.
    from resnoise.storage.store import Store

    kept = Store(store) if store else None
    if kept and kept.fetch(identity, outputs):
        logging.info("computed before: taken from the store, %s", kept.place(identity))
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return False
    if _promised is not None:
        provenance.check(_promised, load=True)
    compute()
    if kept:
        kept.keep(identity, outputs)
    return True


def evaluate_too(arguments: argparse.Namespace, *runs: Path) -> None:
    """Evaluate runs that this process has trained, and keep that in the store.

    The jobs that evaluate them find the result there and need no PyTorch, whose import takes longer
    than the evaluation of a small network. The script that evaluates is imported by name: training
    does not depend on it. Nothing is done without a store, without the option --evaluate, or if the
    code was edited meanwhile. If it fails, a warning says so, because Snakemake deletes the outputs
    of a job that fails, and so the finished runs.

    Args:
        arguments: those of a script that trains.
        runs: folders of the runs.
    """
    if not (arguments.evaluate and arguments.store):
        return
    if _promised is not None:
        try:
            provenance.check(_promised, load=False)
        except ResnoiseError as error:
            # The training itself is right: its modules were loaded before.
            logging.warning("not evaluated here: %s", error)
            return
    options = ["--data", arguments.data, "--store", arguments.store]
    options += ["--device", arguments.device, "--threads", arguments.threads]
    if arguments.data_spec is not None:
        options += ["--data-spec", arguments.data_spec]
    for run in runs:
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, "evaluation.csv")
                words = ["evaluation", "--run", run, *options, "--output", file, f"{file}.sha256"]
                importlib.import_module("measure").main([*map(str, words)])
        except (ResnoiseError, OSError, MemoryError, RuntimeError) as error:
            logging.warning("not evaluated here: %s", error)


def add_data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options --data and --data-spec."""
    parser.add_argument("--data", type=Path, required=required, help="prepared data set")
    parser.add_argument(
        "--data-spec", help="what it should have been prepared from: a DataSpec as JSON"
    )


def add_computing(parser: argparse.ArgumentParser) -> None:
    """Add the options --device and --threads."""
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")


def add_training(parser: argparse.ArgumentParser) -> None:
    """Add the options --device, --threads, --cuda-graph and --evaluate."""
    add_computing(parser)
    parser.add_argument(
        "--cuda-graph",
        action="store_true",
        help="on a GPU, record the steps as CUDA graphs and replay them: the same results, faster",
    )
    parser.add_argument(
        "--evaluate", action="store_true", help="evaluate, too, and keep that in the store"
    )


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """Add the options of a measurement: the metric, the pictures, the files, where to compute."""
    parser.add_argument("name", help="name of the metric (METRICS in resnoise/registry.py)")
    parser.add_argument("--spec", default="{}", help="the metric's specification or keys (JSON)")
    add_data(parser)
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")
    add_computing(parser)
    parser.add_argument(
        "--memory-mb", type=int, default=500, help="memory for activations in MB (500)"
    )


def add_made_from_files(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of scripts that make a table or figure; ``name`` is the help for its name."""
    parser.add_argument("name", help=name)
    parser.add_argument("--files", type=Path, nargs="*", default=[], help="files to make it from")
    parser.add_argument(
        "--expected", nargs="*", help="for each file, the digest of the run that it should be of"
    )
    parser.add_argument("--options", type=json.loads, default={}, help="module's options (JSON)")
    parser.add_argument("--output", type=Path, nargs="+", required=True, help="files to write")


def check_expected(files: Sequence[Path], expected: Sequence[str] | None) -> None:
    """Check that files are of the runs that the option --expected asks for, if it is given."""
    # Imported here, because few scripts need it.
    from resnoise.storage import identity

    identity.check(files, expected)


def add_claims(parser: argparse.ArgumentParser) -> None:
    """Add the options of scripts that judge claims: claims, files of measurements, outputs."""
    parser.add_argument(
        "--paper", type=Path, required=True, help="the paper's numbers and claims (YAML)"
    )
    parser.add_argument("--results", type=Path, required=True, help="the results folder")
    parser.add_argument(
        "--files", required=True, help="the files of each source of measurements (JSON)"
    )
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="values that claims refer to (JSON)"
    )
    parser.add_argument(
        "--expected",
        nargs="*",
        help="for each of these files, in the order of their paths, the digest of its run",
    )
    parser.add_argument("--csv", type=Path, required=True, help="output: a row for each claim")
    parser.add_argument("--markdown", type=Path, required=True, help="output: the page to read")


def by_suffix(files: Sequence[Path], *suffixes: str) -> list[Path]:
    """Return the files with the first suffix, then those with the second, and so on.

    Files with other suffixes are left out, such as the digests that are written with CSV files.
    """
    return [file for suffix in suffixes for file in files if file.suffix == suffix]
