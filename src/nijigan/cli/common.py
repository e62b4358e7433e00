"""What several commands share: opening data, choosing a device, progress and help."""

import os
import sys
from dataclasses import is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import tyro
from tyro.conf import Positional
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from nijigan.cli.progress import progress_bar as progress_bar
from nijigan.errors import UserError
from nijigan.terminal import printable, shell

if TYPE_CHECKING:
    from nijigan.dataset.faces import FaceDataset

Device = Literal["auto", "cpu", "cuda", "mps"]
_METAVARS = {Path: "PATH", str: "STR", int: "INT", float: "FLOAT"}
"""What help shows for the value of an option that may be absent."""

Model = Annotated[Positional[str | None], tyro.conf.arg(metavar="[MODEL]", help_behavior_hint="")]
"""A run folder, a .safetensors file or hf:user/model. Default: the packaged generator."""


def open_or_import(data: Path) -> "FaceDataset":
    """Open the dataset in `data`. Pictures that are not a dataset yet are first imported into NAME-faces next to them.

    If nothing can be written next to them, NAME-faces is in the current folder.

    Raises:
        UserError: there is nothing at `data`, or it cannot be imported.
    """
    from nijigan.dataset.faces import FaceDataset
    from nijigan.dataset.manifest import is_dataset
    from nijigan.importing.importer import import_faces

    data = data.resolve()
    if is_dataset(data):
        return FaceDataset(data)
    if not data.exists():
        raise UserError(f"There is nothing at {data}; give a dataset, a folder of pictures or a .zip.")
    imported = data.with_name(f"{data.name}-faces")
    if not is_dataset(imported) and not os.access(data.parent, os.W_OK):
        imported = Path.cwd() / imported.name
    if is_dataset(imported):
        narrate(
            f"Using the earlier import {imported}. To add pictures, run: nijigan import {shell(data)} --out "
            f"{shell(imported)}"
        )
        return FaceDataset(imported)
    narrate(f"Importing {data} into {imported} first.")
    with progress_bar("Importing") as progress:
        import_faces([data], imported, progress=progress)
    return FaceDataset(imported)


def torch_device(name: Device) -> str:
    """The name of a torch device; auto = cuda, mps or cpu, the first that is available.

    Raises:
        UserError: the device is not available.
    """
    if name == "cpu":
        return name
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise UserError(f"The device {name} is not available; use --device auto or cpu.")
    return name


def leave(processes: int) -> None:
    """Exit at once if there are several processes: gloo's threads may abort a process that shuts down normally."""
    if processes > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def narrate(sentence: str) -> None:
    """Print a message to stderr, separate from the results on stdout."""
    print(printable(sentence), file=sys.stderr)  # a progress bar may have replaced stderr, and the filter with it


def help_rules() -> ConstructorRegistry:
    """Rules for tyro's help: values without `{None}`, no empty defaults, and text that wraps at the terminal's width.

    The help text of an option whose default is None or empty states the default itself, after "Default:" at its end;
    where a recipe gives the option a value, tyro shows that instead. The text of a field keeps no line breaks of its
    docstring.
    """
    registry = ConstructorRegistry()
    delegating = False

    @registry.struct_rule
    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        nonlocal delegating
        if delegating or not is_dataclass(info.type):
            return None
        delegating = True  # the call below then applies tyro's own rules
        try:
            spec = ConstructorRegistry.get_struct_spec(info)
        finally:
            delegating = False
        if not isinstance(spec, StructConstructorSpec):
            return None
        return replace(spec, fields=tuple(map(_plain_help, spec.fields)))

    return registry


def _plain_help(field: StructFieldSpec) -> StructFieldSpec:
    """The field with its help as `help_rules` describes it; what its annotation sets itself stays."""
    marks = getattr(field.type, "__metadata__", ())
    bare = get_args(field.type)[0] if marks else field.type
    changes: dict[str, Any] = {}
    present = [kind for kind in get_args(bare) if kind is not type(None)]
    if len(present) == 1 and type(None) in get_args(bare) and present[0] in _METAVARS:
        changes["metavar"] = _METAVARS[present[0]]
    if field.default is None or (field.default == () and get_origin(bare) is tuple):
        changes["help_behavior_hint"] = ""
    changes = {n: v for n, v in changes.items() if all(getattr(mark, n, None) is None for mark in marks)}
    kind: Any = Annotated[field.type, tyro.conf.arg(**changes)] if changes else field.type
    return replace(field, type=kind, helptext=partial(_one_line, field))


def _one_line(field: StructFieldSpec) -> str | None:
    text = field.helptext() if callable(field.helptext) else field.helptext
    if text is None:
        return None
    line = " ".join(text.split())
    shown = field.default not in (None, (), tyro.MISSING, tyro.MISSING_NONPROP)
    return line.partition(" Default: ")[0] if shown else line
