"""Say how much an installation of nijigan weighs: the size on disk of each distribution that it requires.

    python tools/install_weight.py                     # of the core, in the environment of this Python
    python tools/install_weight.py scipy torchmetrics  # of the core and of these
    python tools/install_weight.py --json              # the same as JSON, for results/install/weight.json

torch is left out, because its size depends on the build: that for CPUs or one with CUDA. A size is the sum of the files
that a distribution lists in its record, among them the bytecode that pip compiles.
"""

import argparse
import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LEFT_OUT = ("torch",)


def size(found: Distribution) -> int:
    """Bytes of the files of a distribution that exist; 0 for an editable installation without files of its own."""
    places = (found.locate_file(file) for file in found.files or ())
    return sum(place.stat().st_size for place in places if place.exists())


def closure(roots: Iterable[str], ignored: Collection[str] = ()) -> dict[str, Distribution]:
    """The distributions that these require, over any number of steps, by canonical name; themselves included.

    Args:
        roots: requirements, such as `nijigan` or `daft[ray]`.
        ignored: distributions that are left out together with all that only they require.

    Raises:
        PackageNotFoundError: a root is not installed.
    """
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(root) for root in roots]
    for root in waiting:
        distribution(root.name)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            with suppress(PackageNotFoundError):  # a requirement of another system
                found[name] = distribution(name)
                needed = (Requirement(text) for text in found[name].requires or ())
                waiting += [
                    one
                    for one in needed
                    if canonicalize_name(one.name) not in ignored
                    and (one.marker is None or one.marker.evaluate({"extra": extra}))
                ]
    return found


def main() -> None:
    """Print the sizes, the largest first, and their sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("more", nargs="*", help="requirements to count besides nijigan's own")
    parser.add_argument("--json", action="store_true", help="print {name: {version, bytes}}")
    options = parser.parse_args()
    found = closure(["nijigan", *options.more], LEFT_OUT)
    sizes = {name: {"version": one.version, "bytes": size(one)} for name, one in found.items()}
    sizes = dict(sorted(sizes.items(), key=lambda item: -item[1]["bytes"]))
    if options.json:
        print(json.dumps(sizes, indent=1))
        return
    for name, one in sizes.items():
        print(f"{one['bytes'] / 1e6:8.1f} MB  {name} {one['version']}")
    print(f"{sum(one['bytes'] for one in sizes.values()) / 1e6:8.1f} MB  together, without torch")


if __name__ == "__main__":
    main()
