"""Networks that a Python file of the user's defines. Reading one runs the user's own code."""

import contextlib
import importlib
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from resnoise.errors import ResnoiseError
from resnoise.trained import user_code

_log = logging.getLogger(__name__)

# Of a network that ``is_random``.
RANDOM = (
    "whose logits for one picture change from call to call in evaluation mode, needed: the same "
    "logits (dropout as a function is off only with training=self.training)"
)


def build(path: Path, factory: str) -> nn.Module:
    """Run a Python file of the user's and return the network that its factory returns.

    Modules beside the file can be imported, and so can those of this project. No compiled files are
    left beside them. PyTorch's random numbers begin with the same seed each time, so that a network
    whose weights are drawn is the same one in each measurement.

    Args:
        path: the file.
        factory: name of a function in it that needs no arguments, or of a class or a network.

    Raises:
        ResnoiseError: the code fails, which the message says with file, line and error; or there
            is no such factory, or it does not return a ``torch.nn.Module``.
    """
    _log.info("running %s, which is code of yours, to get the network from %s()", path, factory)
    torch.manual_seed(0)
    with _errors(path):
        module = _imported(path)
        found = getattr(module, factory, None)
        if found is None:
            names = [name for name in vars(module) if not name.startswith("_")]
            raise ResnoiseError(
                f"factory: {factory!r} given, allowed: a name that {path} defines "
                f"({', '.join(names)})"
            )
        network = found if isinstance(found, nn.Module) else found()
    if not isinstance(network, nn.Module):
        raise ResnoiseError(
            f"{path}: {factory}() returned a {type(network).__name__}, needed: a torch.nn.Module"
        )
    return network


@torch.no_grad()
def check(network: nn.Module, path: Path, picture: Tensor) -> None:
    """Run a network on one picture, to see that it returns logits, and the same ones each time.

    Args:
        network: in evaluation mode.
        path: the file that defines it.
        picture: its input, [1, C, H, W].

    Raises:
        ResnoiseError: its code fails, it does not return one tensor of logits, or is random.
    """
    with _errors(path):
        output = network(picture)
    if not isinstance(output, Tensor) or output.dim() != 2 or len(output) != 1:
        what = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ResnoiseError(
            f"{path}: the network returned {what} for an input of shape {tuple(picture.shape)}, "
            "needed: a tensor of logits, [pictures, classes]"
        )
    if is_random(network, picture, output):
        raise ResnoiseError(f"{path}: a {type(network).__name__} {RANDOM}")


@torch.no_grad()
def is_random(network: nn.Module, picture: Tensor, logits: Tensor) -> bool:
    """Return whether a network computes other logits for the same picture the next time.

    Args:
        network: in evaluation mode.
        picture: its input, [1, C, H, W].
        logits: what it returned for this picture.
    """
    # Some operations of graphics cards add in any order.
    return not torch.allclose(network(picture), logits, rtol=1e-3, atol=1e-6, equal_nan=True)


def _imported(path: Path) -> object:
    """Import a file from its ``root`` and return the module."""
    name = user_code.module_name(path)
    sys.path.insert(0, str(user_code.root(path).resolve()))
    writing, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        package, _, _ = name.rpartition(".")
        if package:
            importlib.import_module(package)
        there = getattr(sys.modules.get(name), "__file__", None)
        if there is not None and Path(there).resolve() == path.resolve():
            return sys.modules[name]
        if name in sys.modules:
            raise ResnoiseError(
                f"module: {str(path)!r} given, allowed: a file whose name is not that of a module "
                f"that Python has loaded already, as {name} is; rename the file"
            )
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ResnoiseError(f"module: {str(path)!r} given, allowed: a Python file (.py)")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module
    finally:
        sys.dont_write_bytecode = writing


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn any error of the user's code into one message with file, line and error."""
    try:
        yield
    except (ResnoiseError, KeyboardInterrupt, MemoryError):
        raise
    # A file that ends the process, with sys.exit() for example, has failed as well.
    except BaseException as error:
        raise ResnoiseError(
            f"{_place(path, error)}: {type(error).__name__}: {_text(error)}"
        ) from error


def _place(path: Path, error: BaseException) -> str:
    """Return "FILE, line N" of the last line of the user's own files that was executed."""
    own = {file.resolve(): file for file in user_code.sources(path)}
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        file = Path(error.filename).resolve()
        return f"{own.get(file, file)}, line {error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if (file := Path(frame.filename).resolve()) in own:
            return f"{own[file]}, line {frame.lineno}"
    return str(path)


def _text(error: BaseException) -> str:
    """Return an error's message as one line."""
    return " ".join(str(error).split()) or "no message"
