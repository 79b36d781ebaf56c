"""What stands in the rules, read as text: the rules, and the templates that others are made of."""

import dataclasses
import re
from pathlib import Path

from resnoise import registry
from resnoise.plan import artefacts

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = {"measurement", "figure", "table", "judgement"}


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule of the workflow.

    Attributes:
        name: its name.
        text: what stands in it.
        base: the rule that it is made of (``use rule BASE as NAME with``), None for a whole one.
    """

    name: str
    text: str
    base: "Rule | None"

    @property
    def environment(self) -> str:
        """Return the name of its environment file."""
        found = re.search(r'conda:\s+"\.\./envs/([a-z0-9-]+\.yaml)"', self.text)
        return found[1] if found else self._base.environment

    @property
    def script(self) -> str:
        """Return the name of its script."""
        found = re.search(r'(?:script=script|judged_by)\("(\w+\.py)"', self.text)
        return found[1] if found else self._base.script

    @property
    def modules(self) -> set[str]:
        """Return the modules that its script loads by name, those of networks and data left out."""
        made = re.findall(r'made_by\(\s*"(\w+\.\w+)"', self.text)
        measured = re.findall(r'measured_(?:by|elsewhere)\("(\w+)"', self.text)
        return {f"resnoise.{name}" for name in made} | {
            registry.metric(name).module for name in measured
        }

    @property
    def outputs(self) -> set[str]:
        """Return the names of its files, without folders and digests."""
        found = set(re.findall(r"[\w-]+\.(?:csv|html|json|md|safetensors)", self.text))
        for kind, name, more in re.findall(r'\*\*(figure|table)\("([^"]+)"(.*)\)', self.text):
            endings = ("pdf", "png", "csv") if kind == "figure" else ("csv", "md", "html")
            found |= {f"{artefacts.stem(name)}.{ending}" for ending in endings}
            found |= {f"{data}.csv" for data in re.findall(r'data="(\w+)"', more)}
        if self.base and self.base.name == "measurement" and "output:" not in self.text:
            found |= {f"{metric}.csv" for metric in re.findall(r'metric="(\w+)"', self.text)}
        return found

    @property
    def _base(self) -> "Rule":
        assert self.base, f"{self.name}: a rule without environment or script"
        return self.base


def read(root: Path = ROOT) -> dict[str, Rule]:
    """Return the rules of the folder ``rules`` by name, templates included."""
    files = sorted((root / "rules").rglob("*.smk"))
    text = "".join(file.read_text("utf-8") for file in files)
    parts = re.split(r"(?m)^(?:use rule (\w+) as (\w+) with|rule (\w+)):", text)[1:]
    found: dict[str, Rule] = {}
    waiting = list(zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True))
    while waiting:
        base, made, whole, body = waiting.pop(0)
        if base and base not in found:
            waiting.append((base, made, whole, body))
        else:
            found[made or whole] = Rule(made or whole, body, found[base] if base else None)
    return found


def making() -> dict[str, Rule]:
    """Return the rules that make files: all but the templates."""
    return {name: rule for name, rule in read().items() if name not in TEMPLATES}
