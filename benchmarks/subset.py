"""A dataset with fewer training faces: a fixed random draw of them, and the whole validation and test splits.

    python benchmarks/subset.py FACES 2000 OUT [--unlabelled]

Runs on few faces are judged by the same real faces as runs on all of them.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nijigan.dataset.faces import FaceDataset
from nijigan.dataset.manifest import MANIFEST, fingerprint, write_manifest


def main() -> None:
    """Write the smaller dataset."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the dataset")
    parser.add_argument("faces", type=int, help="training faces to keep")
    parser.add_argument("out", type=Path, help="the folder to write, which must not exist")
    parser.add_argument("--unlabelled", action="store_true", help="leave the labels out")
    options = parser.parse_args()

    dataset = FaceDataset(options.data)
    attributes = {} if options.unlabelled else dataset.attributes
    table = pa.concat_tables(pq.read_table(file) for file in dataset.files)
    table = table.drop_columns([name for name in dataset.attributes if name not in attributes])
    split = np.array(table["split"].to_pylist())
    train = np.flatnonzero(split == "train")
    drawn = np.random.default_rng(0).permutation(train)[: options.faces]
    table = table.take(np.sort(np.concatenate([drawn, np.flatnonzero(split != "train")])))

    options.out.mkdir(parents=True)
    file = options.out / "faces-00000.parquet"
    pq.write_table(table, file, row_group_size=pq.ParquetFile(dataset.files[0]).metadata.row_group(0).num_rows)
    manifest = json.loads((options.data / MANIFEST).read_text()) | {
        "fingerprint": fingerprint(table, tuple(attributes), dataset.pad),
        "faces": len(table),
        "splits": {name: table["split"].to_pylist().count(name) for name in ("train", "val", "test")},
        "attributes": {name: list(values) for name, values in attributes.items()},
        "files": [file.name],
    }
    for stale in ("checksum", "priors", "report"):
        manifest.pop(stale, None)
    write_manifest(options.out, manifest)
    print(f"{options.out}: {manifest['splits']}")


if __name__ == "__main__":
    main()
