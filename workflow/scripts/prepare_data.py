"""Convert a source of pictures to the data set file that training and all measurements read."""

import argparse
import logging
import time
from pathlib import Path

from resnoise import commandline, registry
from resnoise.data import dataset
from resnoise.data.prepare import prepare
from resnoise.specs import results
from resnoise.specs.run import DataSpec


def main() -> None:
    """Read the command line, prepare the data set, write it and log a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spec", required=True, help="DataSpec as JSON")
    parser.add_argument("--source", type=Path, help="file or folder to read, if the source has one")
    parser.add_argument("--output", type=Path, required=True, help="data set file to write")
    commandline.add_store(parser)
    arguments = parser.parse_args()
    start = time.monotonic()
    spec = DataSpec.from_json(arguments.spec)
    code = commandline.code(Path(__file__).name, "data.yaml", registry.source(spec.source).module)

    def compute() -> None:
        samples, source_digest = prepare(spec, arguments.source)
        dataset.save(arguments.output, samples, source_digest, spec.scaling, spec.to_json())

    outputs = {arguments.output.name: arguments.output}
    # Without the digest of the source, the specification does not determine the data.
    store = arguments.store if spec.sha256 is not None else None
    commandline.computed_once(store, results.of_data(spec, code), outputs, compute)
    # Reading the file back checks that it was written completely.
    data = dataset.load(arguments.output)
    logging.info(
        "%d train and %d test pictures of %d x %d pixels, %d classes, mean %s, divided by %s, "
        "SHA-256 %s, source's SHA-256 %s, %.1f s",
        len(data.train_images),
        len(data.test_images),
        *data.train_images.shape[1:3],
        len(data.class_names),
        " ".join(f"{value:.4f}" for value in data.channel_mean),
        " ".join(f"{value:.4f}" for value in data.channel_std),
        data.digest,
        data.source_digest,
        time.monotonic() - start,
    )


if __name__ == "__main__":
    commandline.execute(main)
