"""Record what a Python process uses of a checkout: Python imports this when it starts.

With this folder on PYTHONPATH, each process that runs a script of the checkout RECORDED_CHECKOUT
writes a file there, in ``.processes``: its command line, the files that it opened, and the modules
that it had loaded in the end, as files too, all below the checkout, relative to it; and whether it
had imported PyTorch's compiler.

A job compares its code with what the rule promises (option --code): it loads and reads all that it
could need. That would hide what it does need, so the option is taken away here, and what is read
for digests is left out. So is the option --evaluate, by which a job of training makes another job's
result as well.
"""

import atexit
import json
import os
import sys
from pathlib import Path

_ROOT = Path(os.environ["RECORDED_CHECKOUT"])
_opened: set[str] = set()


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open" or not isinstance(arguments[0], str | os.PathLike):
        return
    # There may be no frame above, when Python opens the script itself.
    frame = sys._getframe().f_back
    while frame is not None:
        if frame.f_code.co_filename.endswith("resnoise/provenance.py"):
            return
        frame = frame.f_back
    _opened.add(os.path.realpath(arguments[0]))


def _write() -> None:
    modules = [getattr(module, "__file__", None) for module in sys.modules.values()]
    files = {Path(file) for file in [*_opened, *filter(None, modules)]}
    used = [str(file.relative_to(_ROOT)) for file in files if file.is_relative_to(_ROOT)]
    compiler = "torch._dynamo" in sys.modules
    record = {"command": sys.argv, "used": sorted(used), "compiler": compiler}
    folder = _ROOT / ".processes"
    folder.mkdir(exist_ok=True)
    (folder / f"{os.getpid()}.json").write_text(json.dumps(record), "utf-8")


if Path(sys.argv[0] if hasattr(sys, "argv") else "").parent.name == "scripts":
    sys.addaudithook(_note)
    atexit.register(_write)
    if "--code" in sys.argv:
        position = sys.argv.index("--code")
        del sys.argv[position : position + 2]
    if "--evaluate" in sys.argv:
        sys.argv.remove("--evaluate")
