"""Networks that a Python file of the user's defines: running it, its errors, what belongs to it."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from any_networks import pictures

from resnoise.data.dataset import Dataset
from resnoise.devices import Computing
from resnoise.errors import ResnoiseError
from resnoise.metrics import layer_cushion
from resnoise.specs.metrics import ExternalSpec, LayerCushionSpec
from resnoise.trained import external, user_code, user_network

CPU = torch.device("cpu")
NET = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU())
        self.linear = nn.Linear(width, 3)

    def forward(self, x):
        return self.linear(self.body(x).mean((2, 3)))
"""


@pytest.fixture(autouse=True)
def _no_traces() -> Iterator[None]:
    """Forget what a test has imported."""
    path, modules = [*sys.path], {*sys.modules}
    yield
    sys.path[:] = path
    for name in {*sys.modules} - modules:
        if getattr(sys.modules[name], "__file__", None) and "pytest-of" in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


def written(folder: Path, name: str, text: str = NET) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def dataset() -> Dataset:
    numbers = np.random.default_rng(0)
    images = numbers.integers(256, size=(6, 16, 16, 3), dtype=np.uint8)
    labels, half = np.arange(6) % 3, np.full(3, 0.5)
    return Dataset(images, labels, images, labels, ("a", "b", "c"), half, half, "0", "1")


def spec(factory: str = "Own") -> ExternalSpec:
    return ExternalSpec("mine", factory, (), {}, False, "auto", None, None)


def test_a_network_with_its_weights_is_measured_and_described(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = written(tmp_path, "own_net.py")
    trained = user_network.build(file, "Own")
    torch.nn.init.normal_(trained.get_parameter("linear.weight"))
    assert "own_net.py, which is code of yours" in caplog.text
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "own.pt")
    network = external.read(spec(), tmp_path / "own.pt", dataset(), file)
    x = pictures(2)
    with torch.no_grad():
        assert torch.allclose(network.network("final", CPU)(x), trained(x), atol=1e-6)
    layers = LayerCushionSpec(None, 0, False)
    layer_cushion.measure_run(network, layers, [tmp_path / "layer.csv"], Computing("cpu"))
    rows = pd.read_csv(tmp_path / "layer.csv")
    assert list(rows["name"].unique()) == ["body.0", "linear"]
    inputs = network.normalisation(CPU)(torch.from_numpy(dataset().train_images))
    expected = layer_cushion.Meter(trained, inputs[:2])(inputs)
    assert np.allclose(rows["cushion"], expected.T.flatten(), rtol=1e-5)
    external.describe(network, tmp_path / "network.json", CPU)
    facts = json.loads((tmp_path / "network.json").read_text("utf-8"))
    assert (facts["depth"], facts["parameters"]) == (2, 4 * 27 + 4 + 15)
    assert facts["test_error"] == pytest.approx(
        float((trained(inputs).argmax(1) != torch.arange(6) % 3).double().mean())
    )
    assert not list(tmp_path.rglob("__pycache__"))


def test_weights_that_are_drawn_are_the_same_in_each_measurement(tmp_path: Path) -> None:
    nets = [user_network.build(written(tmp_path, f"drawn{n}.py"), "Own") for n in (1, 2)]
    one, other = (net.state_dict() for net in nets)
    assert all(torch.equal(one[name], other[name]) for name in one)


RANDOM = (
    NET
    + """
class Random(Own):
    def forward(self, x):
        return super().forward(nn.functional.dropout(x))

class Viewed(Own):
    def forward(self, x):
        x = self.body(x)
        return self.linear(x.view(len(x), 4, -1)[:, :, 0])
"""
)


def test_a_network_that_is_random_in_evaluation_mode_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "random_net.py", RANDOM)
    with pytest.raises(ResnoiseError, match=r"random_net\.py: a Random whose logits for one"):
        external.read(spec("Random"), None, dataset(), file)


def test_a_network_that_flattens_by_view_is_measured(tmp_path: Path) -> None:
    network = external.read(spec("Viewed"), None, dataset(), written(tmp_path, "viewed.py", RANDOM))
    csv = tmp_path / "layer_cushion.csv"
    layer_cushion.measure_run(network, LayerCushionSpec(None, 0, False), [csv], Computing("cpu"))
    assert len(pd.read_csv(csv)) == 2 * 6
    external.describe(network, tmp_path / "network.json", CPU)


def test_a_ready_network_needs_no_weights(tmp_path: Path) -> None:
    file = written(tmp_path, "ready_net.py", f"{NET}\ntorch.manual_seed(1)\nnetwork = Own(5)\n")
    found = external.read(spec("network"), None, dataset(), file)
    assert found.depth == 2
    assert found.weights["linear.weight"].shape == (3, 5)


def test_an_architecture_of_this_project_takes_weights_from_outside(tmp_path: Path) -> None:
    text = """
        from resnoise.networks.simplified import build
        def small():
            return build(8, 4, 3, 3, True)
    """.replace("\n        ", "\n")
    file = written(tmp_path, "small_net.py", text)
    weights = user_network.build(file, "small").state_dict()
    torch.save(weights, tmp_path / "a.pt")
    found = external.read(spec("small"), tmp_path / "a.pt", dataset(), file)
    # With identity connections, as in the project's own runs.
    meter = layer_cushion.Meter(found.network("final", CPU), pictures(2))
    own = layer_cushion.layer_cushions(user_network.build(file, "small"), pictures(2))
    assert meter(pictures(2)).shape == own.shape == (2, 8)
    names = [source.name for source in user_code.sources(file)]
    assert {"small_net.py", "simplified.py"} <= {*names}


def test_weights_must_fit(tmp_path: Path) -> None:
    file = written(tmp_path, "fit_net.py", f"{NET}\ndef wide():\n    return Own(6)\n")
    torch.save(user_network.build(file, "Own").state_dict(), tmp_path / "a.pt")
    with pytest.raises(ResnoiseError, match=r"body.0.weight has shape \(4, 3, 3, 3\), needed"):
        external.read(spec("wide"), tmp_path / "a.pt", dataset(), file)


def test_neighbours_and_packages_are_imported_and_belong_to_the_network(tmp_path: Path) -> None:
    written(tmp_path, "nets/__init__.py", "")
    written(tmp_path, "nets/parts/__init__.py", "")
    written(tmp_path, "nets/parts/body.py")
    written(tmp_path, "helper_of_mine.py", "WIDTH = 7\n")
    written(tmp_path, "unrelated.py", "import nothing\n")
    text = """
from helper_of_mine import WIDTH
from .parts.body import Own

def make():
    from . import late
    return Own(late.WIDTH)
"""
    written(tmp_path, "nets/late.py", "from helper_of_mine import WIDTH\n")
    file = written(tmp_path, "nets/mine.py", text)
    assert user_network.build(file, "make").linear.in_features == 7
    names = {str(path.resolve().relative_to(tmp_path)) for path in user_code.sources(file)}
    assert names == {
        *("helper_of_mine.py", "nets/__init__.py", "nets/late.py", "nets/mine.py"),
        *("nets/parts/__init__.py", "nets/parts/body.py"),
    }
    before = user_code.digest(file)
    written(tmp_path, "unrelated.py", "")
    assert user_code.digest(file) == before
    written(tmp_path, "helper_of_mine.py", "WIDTH = 8\n")
    assert user_code.digest(file) != before


def test_the_same_code_elsewhere_has_the_same_digest(tmp_path: Path) -> None:
    digests = [user_code.digest(written(tmp_path / name, f"{name}.py")) for name in ("a", "b")]
    assert digests[0] == digests[1]


ERRORS = {
    "syntax": ("def make(:\n    pass\n", "line 1: SyntaxError: invalid syntax"),
    "import": ("import torch\nimport no_such_thing\n", "line 2: ModuleNotFoundError: No module"),
    "factory": ("def make():\n    return 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
    "exit": ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    "within torch": (
        "from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3, groups=2)\n",
        "line 3: ValueError: in_channels must be divisible by groups",
    ),
    "no module": (
        "def make():\n    return 3\n",
        "make() returned a int, needed: a torch.nn.Module",
    ),
    "no factory": ("def build():\n    pass\n", "factory: 'make' given, allowed: a name that"),
    "forward": (
        "from torch import nn\ndef make():\n    return nn.Linear(7, 3)\n",
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ),
    "output": (
        "from torch import nn\ndef make():\n    return nn.Conv2d(3, 4, 3)\n",
        "the network returned (1, 4, 14, 14) for an input of shape (1, 3, 16, 16), needed: a",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_the_users_code_is_one_line_with_file_and_line(
    case: str, tmp_path: Path
) -> None:
    text, message = ERRORS[case]
    file = written(tmp_path, f"wrong_{case.replace(' ', '_')}.py", text)
    with pytest.raises(ResnoiseError) as caught:
        external.read(spec("make"), None, dataset(), file)
    assert message in str(caught.value)
    assert file.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_named_like_a_loaded_module_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "json.py")
    with pytest.raises(ResnoiseError, match="as json is; rename the file"):
        user_network.build(file, "Own")


def test_mean_must_fit_the_pictures(tmp_path: Path) -> None:
    file = written(tmp_path, "mean_net.py")
    wrong = dataclasses.replace(spec(), mean=(0.5,), std=(0.5,))
    with pytest.raises(ResnoiseError, match=r"mean: \[0.5\] given, allowed: 3 numbers"):
        external.read(wrong, None, dataset(), file)
