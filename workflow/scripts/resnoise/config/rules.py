"""Checks of the configuration that a schema cannot express: paths, sizes, orders, depths."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from resnoise import registry
from resnoise.config import paths
from resnoise.config.messages import depth_problem, show
from resnoise.config.schema import SCHEMA_PATH, defaults, is_integer, is_real, read_schema
from resnoise.errors import ResnoiseError
from resnoise.plan import artefacts, finished, grid
from resnoise.specs.compared import DOSE


def broken_rules(
    config: dict[str, Any], problems: Mapping[str, str], raw: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield (key, message) for every violation of a rule that a schema cannot express.

    Args:
        config: the completed configuration; values may still have wrong types.
        problems: key -> message of the problems that the schema has found.
        raw: the configuration as it was given.
    """
    yield from paths.output_rules(config, problems)
    if "container" not in problems and (allowed := paths.written_out(config["container"])):
        yield "container", f"{show(config['container'])} given, allowed: {allowed}"
    if "data.source" not in problems:
        yield from _data_rules(config["data"])
        yield from _size_rules(config, raw, problems)
        if "results" not in problems:
            yield from _place_rules(config)
    yield from _external_rules(config["external"], problems)
    for index, runs in enumerate(config["runs"] if isinstance(config["runs"], list) else []):
        yield from _depth_rules(f"runs[{index}]", runs)
        yield from _initialisation_rules(f"runs[{index}].initialisation", runs, problems)
    yield from _conjecture_rules(config["conjecture"], problems)
    for family, recipe in config["training"].items():
        yield from _recipe_rules(f"training.{family}", recipe)
    yield from _layer_rules("trivial_case", config["trivial_case"])
    sizes = config["noise_stability"]["sizes"]
    yield from _order_rules("noise_stability.sizes", sizes, "norms of the noise")
    for name, section in config.items():
        if isinstance(section, Mapping):
            yield from _depth_rules(name, section)
    if not problems and config["only_finished"]:
        yield from _only_finished_rules(config)


def _only_finished_rules(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem if the finished runs are enough for no table or figure."""
    folder = config["finished_runs"]
    if folder is None:
        yield "only_finished", "true given, allowed: false, or true together with finished_runs"
    elif paths.mode(folder) and not grid.SECTIONS.keys() - (missing := finished.missing(config)):
        yield (
            "only_finished",
            "true given, allowed: false, or true where all runs of a section are in "
            f"{show(folder)}; table1 lacks {', '.join(missing['table1'])}",
        )


def _size_rules(
    config: Mapping[str, Any], raw: Mapping[str, Any], problems: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield a problem for every number of pictures that is larger than the data set.

    Default values are not reported, whether written out or not, because sections that are not used
    have them too. The exception is the batch size of the simplified networks, which all runs of the
    paper's tables need.
    """
    data = config["data"]
    source = registry.source(data["source"])
    if source.classes is None or source.per_class is None or source.pictures is None:
        return
    train, test = source.per_class
    pictures = source.pictures
    for part, largest in (("train", train), ("test", test)):
        wanted = data[f"{part}_per_class"]
        if is_integer(wanted) and wanted > largest:
            yield (
                f"data.{part}_per_class",
                f"{show(wanted)} given, allowed: an integer >= 1 and <= {largest} (the {part} "
                f"pictures per class of the source {data['source']}), or null for all",
            )
    if is_integer(data["train_per_class"]):
        if not 1 <= data["train_per_class"] <= train:
            return
        pictures = source.classes * data["train_per_class"]
    wanted_by = {
        f"training.{family}.batch_size": recipe["batch_size"]
        for family, recipe in config["training"].items()
        if _is_chosen(raw, recipe["batch_size"], "training", family, "batch_size")
        or (family == "simplified" and not {"training", f"training.{family}"} & {*problems})
    }
    for name, section in config.items():
        samples = section.get("samples") if isinstance(section, Mapping) else None
        if _is_chosen(raw, samples, name, "samples"):
            wanted_by[f"{name}.samples"] = samples
    for key, wanted in wanted_by.items():
        if is_integer(wanted) and wanted > pictures:
            yield (
                key,
                f"{show(wanted)} given, allowed: an integer <= {pictures}, the number of training "
                f"pictures selected in the section data",
            )


def _is_chosen(raw: object, value: object, *path: str) -> bool:
    """Whether ``raw`` itself sets the key ``path``, and its ``value`` is not the default."""
    for part in path:
        if not isinstance(raw, Mapping) or part not in raw:
            return False
        raw = raw[part]
    return value != defaults(read_schema(SCHEMA_PATH)).get(".".join(path))


def _place_rules(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem if results would be inside the folder of pictures, or the other way round."""
    path = config["data"]["path"]
    if not registry.source(config["data"]["source"]).is_local or not isinstance(path, str):
        return
    results, pictures = (
        Path(os.path.normpath(Path.cwd() / place)) for place in (config["results"], path)
    )
    if stat.S_ISDIR(paths.mode(path)) and results.is_relative_to(pictures):
        yield (
            "results",
            f"{show(config['results'])} given, allowed: a folder outside of data.path "
            f"({show(path)})",
        )
    elif paths.mode(path) and pictures.is_relative_to(results):
        yield (
            "data.path",
            f"{show(path)} given, allowed: a path outside of the results folder "
            f"{show(config['results'])}, because results may be deleted",
        )


def _depth_rules(section: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem for every depth of a section that no network can have."""
    depths = values.get("depths", [])
    places = {f"{section}.depth": values["depth"]} if "depth" in values else {}
    if isinstance(depths, list):
        places |= {f"{section}.depths[{index}]": depth for index, depth in enumerate(depths)}
    for key, depth in places.items():
        if is_integer(depth) and (problem := depth_problem(depth)):
            yield key, problem
    for name, below in values.items():
        if isinstance(below, Mapping):
            yield from _depth_rules(f"{section}.{name}", below)


def _initialisation_rules(
    key: str, values: Mapping[str, Any], problems: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield a problem if the initialisation of a section is unknown or has other parameters."""
    if key in problems:
        return
    try:
        registry.initialisation_text(values["initialisation"])
    except ResnoiseError as error:
        yield key, f"{show(values['initialisation'])} given, allowed: {error}"


def _conjecture_rules(
    section: Mapping[str, Any], problems: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield problems of the doses and the further runs of the section ``conjecture``."""
    family, doses, others = (section[key] for key in ("initialisation", "doses", "others"))
    for index, runs in enumerate(others if isinstance(others, list) else []):
        key = f"conjecture.others[{index}].initialisation"
        yield from _initialisation_rules(key, runs, problems)
    if "conjecture.initialisation" in problems:
        return
    needed = [each for each in registry.INITIALISATIONS[family].parameters if each.default is None]
    if [each.name for each in needed] != [DOSE]:
        yield (
            "conjecture.initialisation",
            f"{show(family)} given, allowed: an initialisation whose one parameter without "
            f"default is {DOSE}",
        )
        return
    for index, dose in enumerate(doses if isinstance(doses, list) else []):
        if is_real(dose) and not needed[0].allows(dose):
            key = f"conjecture.doses[{index}]"
            yield key, f"{show(dose)} given, allowed: {needed[0].allowed}"


def _external_rules(networks: Any, problems: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield problems of names, files and normalisations of external networks."""
    seen: set[str] = set()
    for index, network in enumerate(networks if isinstance(networks, list) else []):
        key = f"external[{index}]"
        fields = ("name", "path", "module", "factory", "mean", "std")
        name, path, module, factory, mean, std = (network[field] for field in fields)
        if isinstance(name, str):
            # On some file systems, names that differ only in case are the same file.
            if name.casefold() in seen:
                yield (
                    f"{key}.name",
                    f"{show(name)} given, allowed: a name that no other network of external has",
                )
            seen.add(name.casefold())
            stems = {artefacts.stem(shown.name) for shown in artefacts.ELSEWHERE}
            if name.casefold().partition(".")[0] in stems and "." in name:
                yield (
                    f"{key}.name",
                    f"{show(name)} given, allowed: a name that is not that of a file with results "
                    f"of all networks ({', '.join(f'{stem}.*' for stem in sorted(stems))})",
                )
        for field in ("module", "path"):
            file = network[field]
            allowed = None if file is None else paths.plain(file)
            if allowed is None and isinstance(file, str) and not stat.S_ISREG(paths.mode(file)):
                allowed = f"a file that exists (seen from {Path.cwd()})"
            if allowed:
                yield f"{key}.{field}", f"{show(file)} given, allowed: {allowed}"
        if path is None and module is None:
            yield f"{key}.path", "null given, allowed: a path, or null if module is given"
        typed = not {f"{key}.module", f"{key}.factory"} & problems.keys()
        if typed and (factory is None) != (module is None):
            yield (
                f"{key}.factory",
                f"{show(factory)} given, allowed: a name that the file module defines, and null "
                "if module is null",
            )
        rename = network["rename"]
        if isinstance(rename, Mapping) and not all(
            isinstance(old, str) and old and isinstance(new, str | None)
            for old, new in rename.items()
        ):
            yield (
                f"{key}.rename",
                f"{show(rename)} given, allowed: texts, or null, under beginnings of names",
            )
        if network["residual"] is False and network["shortcut"] != "auto":
            yield (
                f"{key}.shortcut",
                f"{show(network['shortcut'])} given, allowed: auto, because residual is false",
            )
        for field, values in (("mean", mean), ("std", std)):
            if isinstance(values, list) and len(values) == 2:
                yield (
                    f"{key}.{field}",
                    f"{show(values)} given, allowed: one number for each channel, which is one or "
                    "three, or null",
                )
        known = any(problem.startswith((f"{key}.mean", f"{key}.std")) for problem in problems)
        if (mean is None) != (std is None) and not known:
            yield (
                f"{key}.std",
                f"{show(std)} given, allowed: a list if mean is one, and null if mean is null",
            )


def _data_rules(data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield problems of ``data.path`` and ``data.sha256``, which depend on the source."""
    source, path = data["source"], data["path"]
    entry = registry.source(source)
    mode = paths.mode(path) if isinstance(path, str) else 0
    allowed = paths.plain(path)
    if allowed:
        pass
    elif not entry.is_local:
        if isinstance(path, str):
            allowed = f"null, because the source {source} reads no local file"
    elif path is None:
        allowed = f"a {entry.path}, which the source {source} needs"
    elif isinstance(path, str) and not mode:
        allowed = f"a {entry.path} that exists (seen from {Path.cwd()})"
    elif entry.path == "file" and stat.S_ISDIR(mode):
        allowed = "a file, but this is a folder (for a folder of pictures, set source to pictures)"
    if allowed:
        yield "data.path", f"{show(path)} given, allowed: {allowed}"
    if not entry.path and isinstance(data["sha256"], str):
        yield (
            "data.sha256",
            f"{show(data['sha256'])} given, allowed: null, because the source {source} has no file",
        )


def _order_rules(key: str, values: Any, what: str) -> Iterator[tuple[str, str]]:
    """Yield a problem if a list of numbers is not in increasing order; ``what`` names them."""
    if isinstance(values, list) and all(map(is_real, values)) and sorted(set(values)) != values:
        yield key, f"{show(values)} given, allowed: {what} in increasing order"


def _layer_rules(section: str, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem for every layer of the trivial case that is not before the last one."""
    last, layers = values["last_layer"], values["layer_values"]
    places = {f"{section}.layer": values["layer"]}
    if isinstance(layers, list):
        places |= {f"{section}.layer_values[{index}]": layer for index, layer in enumerate(layers)}
    for key, layer in places.items():
        if is_integer(last) and last > 1 and is_integer(layer) and layer >= last:
            yield (
                key,
                f"{show(layer)} given, allowed: an integer >= 1 and < {last}, the value of "
                f"{section}.last_layer",
            )


def _recipe_rules(section: str, recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield problems of a training recipe's milestones and snapshot epochs."""
    yield from _order_rules(
        f"{section}.milestones", recipe["milestones"], "fractions of the epochs"
    )
    epochs, snapshots = recipe["epochs"], recipe["snapshot_epochs"]
    if not (is_integer(epochs) and epochs >= 1 and isinstance(snapshots, list)):
        return
    for index, epoch in enumerate(snapshots):
        if is_integer(epoch) and epoch > epochs:
            yield (
                f"{section}.snapshot_epochs[{index}]",
                f"{show(epoch)} given, allowed: an integer >= 1 and <= {epochs}, the value of "
                f"{section}.epochs",
            )
