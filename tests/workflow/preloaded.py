"""Python processes of the workflow, forked from servers that have imported the large libraries.

A job of the tiny configuration computes for a tenth of a second, after two seconds of importing
PyTorch. Here its command is run by a fork of a process that has imported it, and Snakemake itself
by a fork of another one. No module of this project is imported before the fork, so that what is
run is the code of the checkout at that moment, with its own command line, environment, folder and
files. Kills, containers, environments of conda and clusters are tested with ordinary processes.

The folder ``programs`` is to be put into PATH: its ``python`` hands a command to the server, waits
for its end, and ends with its status. If the client is killed, so is the command.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

# What a server imports, and functions of it that it calls, which leave what is found in memory.
JOBS = ("torch", "safetensors.torch", "pandas", "matplotlib.pyplot", "scipy.stats", "yaml", "tqdm")
# Plugins are found where arguments are read; the others are imported where they are used.
SNAKEMAKE = ("snakemake.cli:get_argument_parser", "jsonschema", "smart_open", "requests")

# Without site-packages it starts in a hundredth of a second. What a server cannot do alike (threads
# other than its own, something else than a script or a module) is left to an ordinary Python.
_CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys
if not ({served}):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect({address!r})
    umask = os.umask(0)
    os.umask(umask)
    request = [sys.argv[1:], os.getcwd(), dict(os.environ), umask]
    message = json.dumps(request).encode()
    files = array.array("i", [0, 1, 2])
    connection.sendmsg([len(message).to_bytes(8, "big")],
                       [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    connection.sendall(message)
    answer = connection.recv(4)
sys.exit(int.from_bytes(answer, "big") if len(answer) == 4 else 137)
"""


@functools.cache
def folder() -> Path:
    """Return a folder of this test process, which is removed at its end."""
    found = Path(tempfile.mkdtemp(prefix="preloaded-"))
    atexit.register(shutil.rmtree, found, ignore_errors=True)
    return found


@functools.cache
def programs() -> Path:
    """Return a folder whose ``python`` runs scripts with the libraries of jobs; starts a server."""
    one_thread = "os.environ.get('OMP_NUM_THREADS', '1') == '1'"
    script = "sys.argv[1:] and sys.argv[1].endswith('.py')"
    return _client("jobs", f"{one_thread} and {script}", JOBS).parent


@functools.cache
def snakemake() -> Path:
    """Return a program that takes the place of Python for ``-m snakemake``; starts a server."""
    return _client("snakemake", "sys.argv[1:3] == ['-m', 'snakemake']", SNAKEMAKE)


def _client(name: str, served: str, modules: tuple[str, ...]) -> Path:
    """Start a server; return the program that hands commands to it."""
    place = folder() / name
    place.mkdir()
    address = str(place / "socket")
    server = subprocess.Popen(
        [sys.executable, __file__, address, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # The numbers of threads that Snakemake gives its jobs, read when libraries are imported.
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    atexit.register(server.communicate)
    assert server.stdout
    if not select.select([server.stdout], [], [], 600)[0]:
        server.kill()
    assert server.stdout.readline() == b"ready\n"
    client = place / "python"
    text = _CLIENT.format(python=sys.executable, served=served, address=address)
    client.write_text(text, "utf-8")
    client.chmod(0o755)
    return client


def serve(address: str, *modules: str) -> None:
    """Run a command for each connection, until the standard input is closed."""
    for name in modules:
        load(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                # What Snakemake calls to start another Snakemake, as those of a cluster's jobs.
                sys.executable = str(Path(address).with_name("python"))
                _handle(connection)
            connection.close()


def load(name: str) -> None:
    """Import a module, or import it and call a function of it ("module:function")."""
    module, _, function = name.partition(":")
    found = importlib.import_module(module)
    if function:
        getattr(found, function)()


def _handle(connection: socket.socket) -> NoReturn:
    """Fork the command that a connection asks for, and send its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, files, _, _ = socket.recv_fds(connection, 8, 3)
    size, message = int.from_bytes(head, "big"), b""
    while len(message) < size:
        message += connection.recv(size - len(message))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(*json.loads(message), files)
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        # The client was killed.
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended in ready:
        connection.sendall((status if status >= 0 else 128 - status).to_bytes(4, "big"))
    os._exit(0)


def _become(
    arguments: list[str], place: str, environment: dict[str, str], umask: int, files: list[int]
) -> NoReturn:
    """Run a command line of Python in this process, as if it had just been started."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(place)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(environment)
    for entry in reversed(environment.get("PYTHONPATH", "").split(os.pathsep)):
        if entry:
            sys.path.insert(1, entry)
    sys.argv = arguments
    # Imported by each Python when it starts.
    sys.modules.pop("sitecustomize", None)
    with contextlib.suppress(ModuleNotFoundError):
        __import__("sitecustomize")
    run: Any = runpy.run_path
    name = arguments[0]
    if arguments[0] == "-m":
        sys.argv, name, run = arguments[1:], arguments[1], runpy.run_module
        sys.path[0] = place
    else:
        sys.path[0] = str(Path(name).resolve().parent)
    try:
        run(name, run_name="__main__")
        status: Any = 0
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by Python's own end, which takes longer than a job, because it takes all modules apart.
    os._exit(1 if isinstance(status, str) else status or 0)


if __name__ == "__main__":
    serve(*sys.argv[1:])
