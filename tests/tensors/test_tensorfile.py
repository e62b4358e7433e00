from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from nijigan.tensors.tensorfile import DamagedFileError, checksum, pack, unpack

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor([1, 2], dtype=torch.int64),
    "c": torch.ones(3).bfloat16(),
}


def read(path: Path) -> tuple[str | None, dict[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        return unpack(file)


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pack(TENSORS, "text ünd 字"))
    text, tensors = read(tmp_path / "file")
    assert text == "text ünd 字"
    assert tensors.keys() == TENSORS.keys()
    assert all(
        torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items()
    )


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    content = pack(TENSORS, "text")
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "file").write_bytes(damaged)
        try:
            text, tensors = read(tmp_path / "file")
        except (SafetensorError, DamagedFileError, UnicodeDecodeError, ValueError):
            continue
        assert text == "text", place
        assert checksum(tensors, text) == checksum(TENSORS, "text"), place


def test_files_without_a_checksum_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(save(TENSORS, {"nijigan": "old"}))
    assert read(tmp_path / "file")[0] == "old"


@pytest.mark.parametrize(
    "other",
    [
        {"a": TENSORS["a"] + 1, "b": TENSORS["b"]}, {"a": TENSORS["a"].reshape(3, 2), "b": TENSORS["b"]},
        {"a": TENSORS["a"].double(), "b": TENSORS["b"]}, {"x": TENSORS["a"], "b": TENSORS["b"]}, {"a": TENSORS["a"]},
    ],
)  # fmt: skip
def test_the_checksum_covers_names_types_shapes_and_values(other: dict[str, torch.Tensor]) -> None:
    plain = {"a": TENSORS["a"], "b": TENSORS["b"]}
    assert checksum(other, "text") != checksum(plain, "text")
    assert checksum(plain, "text") != checksum(plain, "test")


def test_the_same_content_is_the_same_bytes() -> None:
    """And otherwise the file is what safetensors itself writes."""
    assert len({pack(TENSORS, "text ünd 字") for _ in range(20)}) == 1
    written = {save(TENSORS, {"nijigan": "text", "nijigan-blake2b": checksum(TENSORS, "text")}) for _ in range(40)}
    assert pack(TENSORS, "text") in written
