"""What the checkpoint of a training job says of itself, read without its arrays.

Standard library only: the view runs where Snakemake does, and under ``--use-conda`` there need be
neither NumPy nor safetensors. The format is that of ``resnoise.storage.tensorfile``, the content
that of ``resnoise.training.checkpoint``.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Self, TextIO


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a stopped job can go on.

    Attributes:
        epoch: epochs done.
        identity: what it is a checkpoint of; training refuses one of anything else.
    """

    epoch: int
    identity: Mapping[str, str]

    @classmethod
    def read(cls, stream: TextIO) -> Self:
        """Return what the header of an open checkpoint says.

        Raises:
            LookupError, TypeError, ValueError: the header is damaged, or of another kind of file.
        """
        size = int.from_bytes(stream.buffer.read(8), "little")
        if size > os.fstat(stream.fileno()).st_size:
            raise ValueError("no safetensors file")
        header = json.loads(stream.buffer.read(size))
        metadata = json.loads(header["__metadata__"]["resnoise"])["metadata"]
        # Of twins, which are trained in step, the residual network comes first.
        run = metadata["runs"][0]
        return cls(run["epoch"], run["identity"])
