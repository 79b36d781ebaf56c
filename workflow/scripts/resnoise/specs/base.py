"""The base class of all specifications. Standard library only, because the rules import it too."""

import dataclasses
import json
from typing import Any, Self

from resnoise.errors import ResnoiseError


@dataclasses.dataclass(frozen=True)
class Spec:
    """Base class of all specifications: a dataclass that converts to JSON and back without loss."""

    def to_json(self) -> str:
        """Return one line of JSON with sorted keys, so equal specifications give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the specification with the given JSON text.

        Raises:
            ResnoiseError: the text is not JSON, or a key is missing or unknown.
        """
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ResnoiseError(f"--spec is not JSON: {error}") from error
        return cls.from_dict(value)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Return the specification with the given fields; nested ones are dictionaries.

        Raises:
            ResnoiseError: a field is missing or unknown.
        """
        fields = {field.name: field.type for field in dataclasses.fields(cls)}
        if not isinstance(value, dict) or value.keys() != fields.keys():
            found = sorted(value) if isinstance(value, dict) else repr(value)
            raise ResnoiseError(
                f"a {cls.__name__} needs exactly the keys {sorted(fields)}, not {found}"
            )
        arguments = {}
        for name, item in value.items():
            kind = fields[name]
            if isinstance(kind, type) and issubclass(kind, Spec):
                item = kind.from_dict(item)
            elif isinstance(item, list):
                item = tuple(item)
            arguments[name] = item
        return cls(**arguments)
