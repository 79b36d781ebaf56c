"""Make all checks of what runs on a graphics card, without pytest.

    python tests/gpu/run_checks.py                   # on a CUDA device
    python tests/gpu/run_checks.py --device cpu      # a rehearsal: the CPU against itself
    python tests/gpu/run_checks.py --only gradients bits --without triton

Prints for each check what was measured and how long it took; the exit status is 1 if one failed.
Needs the packages of envs/torch.yaml.
"""

import argparse
import sys
import tempfile
import time
import traceback
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))

import metric_checks  # noqa: F401 (adds its checks)
import training_checks  # noqa: F401
from registry import CHECKS, Place

from resnoise import devices


def main() -> None:
    """Read the command line and make the checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--only", nargs="*", default=[""], help="parts of names of checks")
    parser.add_argument("--without", nargs="*", default=[], help="parts of names of others")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch finds no CUDA device; --device cpu rehearses the checks")
    device = torch.device(arguments.device)
    print(f"PyTorch {torch.__version__}, {devices.name(device)}", flush=True)
    failed = [
        name
        for name in CHECKS
        if any(part in name for part in arguments.only)
        and not any(part in name for part in arguments.without)
        and not passes(name, device)
    ]
    print(f"{len(failed)} failed" + "".join(f"\n  {name}" for name in failed))
    sys.exit(1 if failed else 0)


def passes(name: str, device: torch.device) -> bool:
    """Make one check, print a line, and return whether it passed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = CHECKS[name](Place(device, Path(folder)))
        except Exception as error:
            traceback.print_exc()
            print(f"{time.monotonic() - start:6.1f} s  FAILED  {name}: {error}", flush=True)
            return False
    print(f"{time.monotonic() - start:6.1f} s  ok      {name}: {found}", flush=True)
    return True


if __name__ == "__main__":
    main()
