"""The faces in an exported file, and the check that another engine draws the same."""

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

import nijigan
from nijigan.cli import main
from nijigan.errors import UserError
from nijigan.export.certificate import FACES, certificate_faces, check_certificate, read_certificate
from nijigan.export.onnx import write_onnx
from nijigan.generator import onnx_network
from nijigan.generator.generator import Generator
from nijigan.generator.latents import latents, slerp
from nijigan.generator.records import read_face
from nijigan.recipe.parts import LatentConfig
from small import ATTRIBUTES, small_generator

UNLABELLED = ATTRIBUTES | {"priors": ((1, 0, 50), (0, -1, 30), (1, 1, 20))}


@pytest.fixture(scope="module")
def generator() -> Generator:
    return small_generator(**UNLABELLED)


@pytest.fixture(scope="module")
def exported(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "a.onnx"
    write_onnx(generator, path)
    return path


def changed(source: Path, target: Path, **metadata: str) -> onnx.ModelProto:
    """The model of a file, with other metadata, written to another file under a seal that fits."""
    model = onnx.load(source)
    for entry in model.metadata_props:
        entry.value = metadata.get(entry.key.replace("-", "_"), entry.value)
    reseal(model, target)
    return model


def reseal(model: onnx.ModelProto, target: Path) -> None:
    for entry in model.metadata_props:
        if entry.key == onnx_network.CHECKSUM:
            entry.value = onnx_network.SEAL + "0" * 64
    data = model.SerializeToString(deterministic=True)
    seal = onnx_network.SEAL.encode()
    target.write_bytes(data.replace(seal + b"0" * 64, seal + onnx_network.checksum(data).encode()))


def test_it_covers_every_value_truncation_and_a_latent_of_no_seed(generator: Generator) -> None:
    faces = certificate_faces(generator)
    assert [face.seed for face in faces] == list(range(FACES))
    assert {face.weights for face in faces} == {generator.weights_hash}
    requested = {name: {face.attributes.get(name) for face in faces} for name in ("hair", "eyes")}
    assert requested == {"hair": {"black", "blue", "red", None}, "eyes": {"green", "red", "unknown", None}}
    assert {face.psi for face in faces} == {1.0, 0.7}
    assert [bool(face.latent) for face in faces] == [False] * (FACES - 1) + [True]
    first, second = latents([0, 1], 10)
    assert np.allclose(faces[-1].latents(10, "normal")[0], slerp(first, second, 0.5))


@pytest.mark.parametrize("prior", ["uniform", "sphere"])
def test_what_cannot_be_truncated_is_not(prior: str) -> None:
    generator = small_generator(latent=LatentConfig(size=10, prior=prior))
    assert {face.psi for face in certificate_faces(generator)} == {1.0}


def test_its_pictures_are_what_torch_draws_and_record_their_faces(generator: Generator, exported: Path) -> None:
    network = nijigan.load(exported).exported
    assert network is not None
    certified = read_certificate(network)
    assert [one.face for one in certified] == certificate_faces(generator)
    for one in certified:
        assert np.array_equal(one.picture(), generator.draw(one.face))
        assert read_face(io.BytesIO(one.png)) == one.face
    assert check_certificate(exported) <= 1


def test_a_changed_weight_fails_it_although_the_seal_fits(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported)
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    data = bytearray(kernel.raw_data)
    data[3] = (data[3] & 0x80) | 0x41  # sign and exponent of the first number: now between 8 and 32
    kernel.raw_data = bytes(data)
    reseal(model, tmp_path / "b.onnx")
    nijigan.load(tmp_path / "b.onnx")  # opens: the seal tells damage, not intent
    with pytest.raises(UserError, match=r"b\.onnx does not draw the faces of its certificate.*\d+/255"):
        check_certificate(tmp_path / "b.onnx")


def damaged(text: str, fault: str) -> str:
    certificate = json.loads(text)
    first = certificate["faces"][0]
    if fault == "weights":
        first["face"]["weights"] = "0" * 64
    elif fault == "base64":
        first["png"] = "§"
    elif fault == "png":
        first["png"] = base64.b64encode(b"no picture").decode()
    elif fault == "size":
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8)).save(buffer, "PNG")
        first["png"] = base64.b64encode(buffer.getvalue()).decode()
    elif fault == "field":
        first["more"] = 1
    return {"none": '{"faces": []}', "text": "{", "absent": ""}.get(fault, json.dumps(certificate))


@pytest.mark.parametrize("fault", ["weights", "base64", "png", "size", "field", "none", "text", "absent"])
def test_a_damaged_certificate_ends_in_one_sentence(
    fault: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = nijigan.load(exported).exported
    assert network is not None
    path = tmp_path / "b.onnx"
    changed(exported, path, nijigan_certificate=damaged(network.metadata("nijigan-certificate"), fault))
    assert nijigan.load(path).sample(1).shape == (1, 32, 32, 3)  # drawing needs none
    assert main(["export", str(path), "--check"]) == 2
    told = capsys.readouterr().err
    assert "ertificate" in told
    assert "Traceback" not in told


def test_the_command_checks_files_and_the_package(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([str(exported)], []):
        assert main(["export", *words, "--check"]) == 0
        assert capsys.readouterr().out.endswith(("difference is 0/255\n", "difference is 1/255\n"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{folder}/a.onnx", "--out", "b.onnx"], "omit --out"),
        (["{folder}/a.onnx", "--to", "onnx", "--overwrite"], "omit --to and --overwrite"),
        (["{folder}/a.onnx", "--half", "--no-half"], "exclude each other"),
        (["{folder}"], "no site"),
        (["{folder}/none.onnx"], "nothing at"),
        (["{folder}/" + "long" * 1000], "cannot be opened"),
        (["{folder}/a.safetensors"], "no certificate"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    words: list[str], told: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (exported.parent / "a.safetensors").write_bytes(b"")
    assert main(["export", *(word.format(folder=exported.parent) for word in words), "--check"]) == 2
    assert told in " ".join(capsys.readouterr().err.split())


def test_a_certificate_belongs_to_the_rounded_weights(generator: Generator, tmp_path: Path) -> None:
    write_onnx(generator, tmp_path / "half.onnx", half=True)
    network = nijigan.load(tmp_path / "half.onnx").exported
    assert network is not None
    (weights,) = {one.face.weights for one in read_certificate(network)}
    assert weights == network.weights_hash != generator.weights_hash
    face = replace(certificate_faces(generator)[0], weights=weights)
    assert read_certificate(network)[0].face == face
