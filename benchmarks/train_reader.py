"""Train the attribute reader of human tags, which judges conditional accuracy: `assets/attribute-reader.safetensors`.

    nijigan import konachan-96-tagged.zip --tags tags.csv --out faces/konachan
    python benchmarks/train_reader.py --data faces/konachan --out attribute-reader.safetensors

It starts from the network of the `anime` features, which has seen the same training split and nothing held out, and
learns from the tagged faces of that split: see `nijigan.judges.reader_training`. Choose the options by
the validation split. Then measure the accuracies in the file on the test split, with --split test.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nijigan.dataset.faces import FaceDataset
from nijigan.judges.anime import RESOLUTION
from nijigan.judges.reader_training import BATCH, train_reader
from nijigan.judges.readers import AttributeReader, AttributeReaderHeader, as_reader, save, split_accuracy
from nijigan.metrics.intervals import wilson


def print_classes(reader: AttributeReader, dataset: FaceDataset, split: str) -> None:
    """One line a value: faces tagged so, how many of them are read as such, and what most others are read as."""
    read, labels = reader.read(dataset.pixels(split, RESOLUTION)), dataset.labels(split)
    for name, values in reader.header.attributes.items():
        known = labels[name] >= 0
        plain = np.mean(read[name][known] == labels[name][known])
        print(f"{name}, {split}: {plain:.3f} of {known.sum():,} faces; balanced {reader.header.accuracy[name]:.3f}")
        for code, value in enumerate(values):
            seen = read[name][labels[name] == code]
            hits, count = int(np.sum(seen == code)), len(seen)
            low, high = wilson(hits, count)
            other = values[np.bincount(seen[seen != code], minlength=len(values)).argmax()]
            print(f"  {value:10}{hits:5} of {count:<5}{hits / count:.2f} ({low:.2f} to {high:.2f})   else {other}")


def main() -> None:
    """Teach, split_accuracy, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the tagged faces")
    parser.add_argument("--out", type=Path, required=True, help="the reader, a .safetensors file")
    parser.add_argument("--steps", type=int, default=1150, help=f"updates, on {BATCH} faces each")
    parser.add_argument("--rate", type=float, default=1e-3, help="the greatest learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what to examine it by")
    options = parser.parse_args()

    dataset = FaceDataset(options.data)
    clock = time.process_time()

    def progress(step: int, steps: int) -> None:
        if step % 50 == 0:
            print(f"{step}/{steps} · {time.process_time() - clock:.0f} s of CPU time", flush=True)

    net = train_reader(
        dataset, dataset.attributes, options.steps, rate=options.rate, seed=options.seed, progress=progress
    )
    taught = {"dataset": dataset.path.name, "fingerprint": dataset.fingerprint, "examined": options.split}
    taught |= {name: getattr(options, name) for name in ("steps", "rate", "seed")}
    header = AttributeReaderHeader(dataset.attributes, {}, taught)
    header = replace(header, accuracy=split_accuracy(as_reader(net, header, "people"), dataset, options.split))
    save(net, header, options.out)
    print_classes(as_reader(net, header, "people"), dataset, options.split)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
