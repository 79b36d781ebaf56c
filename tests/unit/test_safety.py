"""Nothing from outside is executed: no pickles, no unpacking, no shell from the configuration."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from resnoise import environment
from resnoise.config.schema import SCHEMA_PATH, read_schema
from resnoise.errors import ResnoiseError
from resnoise.trained import state_dict

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "workflow").rglob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").rglob("*.smk"))]

# Calls that run what they are given, or write where an archive says.
EXECUTING = {
    "eval",
    "exec",
    "__import__",
    "os.system",
    "os.popen",
    "pickle.load",
    "pickle.loads",
    "pandas.read_pickle",
    "pd.read_pickle",
    "joblib.load",
    "torch.hub.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "shutil.unpack_archive",
}
UNPACKING = {"extract", "extractall"}
# The only unpickler is one that knows no names; tests of the archive feed it hostile pickles.
UNPICKLER = "data/cifar_archive.py"


def calls(source: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield every call in a file with the dotted name of what is called."""
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def dangers(source: Path) -> list[str]:
    """Return the calls of a file that could execute, or write, what comes from outside."""
    found = []
    for name, call in calls(source):
        given = keywords(call)
        if name in EXECUTING or name.rpartition(".")[2] in UNPACKING:
            found.append(name)
        elif name == "torch.load" and given.get("weights_only") != "True":
            found.append("torch.load without weights_only")
        elif name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            found.append("np.load with pickles")
        elif given.get("shell", "False") != "False":
            found.append(f"{name} with a shell")
        elif name == "yaml.load" and given.get("Loader") not in ("_LOADER", "_Loader"):
            found.append("yaml.load with an unknown loader")
    return found


def test_there_are_sources_and_rules_to_look_at() -> None:
    assert len(SOURCES) > 80
    assert len(RULES) > 10


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_executes_or_unpacks_what_comes_from_outside(source: Path) -> None:
    assert dangers(source) == []
    text = source.read_text("utf-8")
    names = set(re.findall(r"\b(?:pickle|shelve|marshal|dill)\.(\w+)", text))
    assert names <= {"UnpicklingError"} or source.as_posix().endswith(UNPICKLER)
    loaders = set(re.findall(r"yaml\.(\w*Loader)\b", text))
    assert loaders <= {"SafeLoader", "CSafeLoader"}


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "tarfile.open(path).extractall(folder)",
        "archive.extract(member)",
        "eval(text)",
        "pickle.load(stream)",
        "yaml.load(text, Loader=yaml.Loader)",
    ],
)
def test_the_look_at_sources_finds_what_it_looks_for(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.py").write_text(line)
    assert len(dangers(tmp_path / "bad.py")) == 1


class Hostile:
    """A pickle of this writes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.file,)


def test_a_state_dict_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    file = tmp_path / "net.pt"
    torch.save({"conv1.weight": torch.zeros(1), "extra": Hostile(proof)}, file)
    # The file does what it says where code in it is let run.
    torch.load(file, weights_only=False)
    assert proof.exists()
    proof.unlink()
    with pytest.raises(ResnoiseError, match=str(file)):
        state_dict.read_state_dict(file)
    assert not proof.exists()


# What stands in shell commands without quotes: numbers, and what the schema takes from a list.
NUMBERS = {"{threads}", "{resources.memory_mb}"}
CHOICES = {"{resources.device}"}
OPTIONS = {"{params.drift}"}


def shell_fields(text: str) -> list[str]:
    """Return what the shell commands of a file of rules insert, as written."""
    commands = re.findall(r'^ {4}shell:\n((?: {8,}".*\n?)+)', text, re.MULTILINE)
    return [field for command in commands for field in re.findall(r"\{[^{}]+\}", command)]


def test_every_value_in_a_shell_command_is_quoted_or_a_number_or_one_of_a_list() -> None:
    fields: list[str] = []
    for file in RULES:
        text = file.read_text("utf-8")
        # Every command is of plain texts, which Snakemake fills in, and not of f-strings.
        commands = len(re.findall(r"^ +shell:", text, re.MULTILINE))
        assert len(re.findall(r'^ {4}shell:\n {8}"', text, re.MULTILINE)) == commands, file
        fields += shell_fields(text)
    assert len(fields) > 80
    unquoted = {field for field in fields if not field.endswith(":q}")}
    assert unquoted <= NUMBERS | CHOICES | OPTIONS


def test_what_is_unquoted_in_shell_commands_is_harmless_in_every_configuration() -> None:
    """Its keys take integers, numbers, or one of a few words, so that no text gets there."""
    properties = read_schema(SCHEMA_PATH)["properties"]
    assert properties["device"]["enum"] == ["auto", "cpu", "cuda"]
    keys = {
        "layer_cushion": ["memory_mb", "bootstrap_replicates", "bootstrap_seed", "confidence"],
        "noise_stability": ["memory_mb"],
        "interlayer_cushion": ["memory_mb"],
        "claims": ["bootstrap_replicates", "bootstrap_seed", "confidence"],
        "twins": ["every_step_epochs", "mask_pictures"],
        "weight_statistics": ["threshold", "id_threshold", "clip"],
    }
    for section, names in keys.items():
        for name in names:
            assert properties[section]["properties"][name]["type"] in ("integer", "number")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_reads_the_environment_as_a_whole(source: Path) -> None:
    """Single variables may be looked up, and a compiler inherits all; none is kept or printed."""
    tree = ast.parse(source.read_text("utf-8"))
    allowed = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("get", "setdefault"):
            allowed.add(node.value)
        if isinstance(node, ast.Subscript):
            allowed.add(node.value)
    wholes = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) == "os.environ"
        and node not in allowed
    ]
    # The compiler is started with it.
    assert wholes == (["os.environ"] if source.as_posix().endswith("native/build.py") else [])


def test_records_hold_no_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESNOISE_TOKEN", "a-secret-of-somebody")
    facts = environment.describe_environment(torch.device("cpu"), 1)
    assert "a-secret-of-somebody" not in json.dumps(facts)
    assert {*facts} == {
        "started",
        "host",
        "system",
        "python",
        "packages",
        "device",
        "processor",
        "threads",
    }
