"""Read the metadata of a training job's checkpoint, without its arrays.

Standard library only: the view runs in Snakemake's environment, which under ``--use-conda`` may
have neither NumPy nor safetensors. ``resnoise.storage.tensorfile`` defines the format of the file,
``resnoise.training.checkpoint`` its content.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Self, TextIO


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The point from which a stopped job can continue.

    Attributes:
        epoch: number of epochs done.
        identity: specification, data digest and code digest of the job. Training refuses a
            checkpoint with other values.
    """

    epoch: int
    identity: Mapping[str, str]

    @classmethod
    def read(cls, stream: TextIO) -> Self:
        """Read the header of an open checkpoint.

        Raises:
            LookupError, TypeError, ValueError: the header is damaged, or this is not a checkpoint.
        """
        size = int.from_bytes(stream.buffer.read(8), "little")
        if size > os.fstat(stream.fileno()).st_size:
            raise ValueError("not a safetensors file")
        header = json.loads(stream.buffer.read(size))
        metadata = json.loads(header["__metadata__"]["resnoise"])["metadata"]
        # Of twins, which are trained in step, the residual network comes first.
        run = metadata["runs"][0]
        return cls(int(run["epoch"]), dict(run["identity"]))
