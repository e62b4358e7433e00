"""Compare the splits of a dataset with those that its collection has had since version 0.1.

    nijigan import animefacedataset-64.zip --out faces
    python benchmarks/collection_splits.py animefacedataset faces

`tests/dataset/collection_splits.json` holds, for each collection, the digest of all splits and a sample of them. Faces
that were dropped as duplicates then and stay now are not compared.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from nijigan.dataset.faces import FaceDataset

FILE = Path(__file__).parents[1] / "tests" / "dataset" / "collection_splits.json"


def digest(splits: Iterable[tuple[str, str]]) -> str:
    """SHA-256 of the splits of faces: lines of the face's SHA-256 and its split, ordered."""
    return hashlib.sha256("\n".join(f"{sha256} {split}" for sha256, split in sorted(splits)).encode()).hexdigest()


def main(collection: str, faces: Path) -> int:
    """Return 0 if the splits are the same."""
    table = FaceDataset(faces).table
    rows = zip(*(table[name].to_pylist() for name in ("sha256", "split_family", "split")), strict=True)
    same = (
        digest((sha256, split) for sha256, family, split in rows if sha256 == family)
        == (json.loads(FILE.read_text())[collection]["digest"])
    )
    print(f"{faces}: {len(table):,} faces, {'the same splits' if same else 'OTHER SPLITS'}")
    return 0 if same else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", choices=json.loads(FILE.read_text()))
    parser.add_argument("faces", type=Path, help="the dataset")
    options = parser.parse_args()
    sys.exit(main(options.collection, options.faces))
