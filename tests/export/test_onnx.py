"""Exported generators against the networks that they came from."""

import json
import pickle
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import nijigan
from nijigan.assets import PACKAGED
from nijigan.cli import main
from nijigan.errors import UserError
from nijigan.export.certificate import check_certificate
from nijigan.export.onnx import write_onnx
from nijigan.generator import onnx_network
from nijigan.generator.generator import Generator, GeneratorHeader
from nijigan.generator.latents import latents
from nijigan.generator.torch_network import TorchNetwork
from nijigan.networks import build_generator
from nijigan.recipe.named_recipes import RECIPES
from nijigan.recipe.recipe import Recipe
from small import ATTRIBUTES, small_generator

PRIORS = ((0, 0, 3), (1, 1, 2), (-1, 0, 1))


def generator_of(recipe: Recipe) -> Generator:
    """The recipe's generator with fewer channels, at its own resolution; its weights are random."""
    config = replace(recipe.generator, width=6, max_width=24)
    attributes = {"hair": ("black", "blue"), "eyes": ("green", "red")} if recipe.condition.kind != "none" else {}
    torch.manual_seed(0)
    module = build_generator(config, recipe.latent, recipe.resolution, attributes)
    for name, tensor in module.state_dict().items():  # statistics and biases that are not 0 or 1
        if tensor.is_floating_point() and not name.endswith("weight"):
            tensor += torch.rand_like(tensor) / 4
    header = GeneratorHeader(
        config, recipe.latent, recipe.resolution, attributes, PRIORS if attributes else (), recipe=recipe
    )
    return Generator(module, header)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_recipes_generator_draws_the_same_faces_with_onnxruntime(recipe: Recipe, tmp_path: Path) -> None:
    generator = generator_of(recipe)
    write_onnx(generator, tmp_path / "a.onnx", half=False)
    exported = nijigan.load(tmp_path / "a.onnx")
    assert exported.header == generator.header
    assert exported.weights_hash == generator.weights_hash
    psis = (1.0, 0.6) if recipe.latent.prior == "normal" or recipe.generator.kind == "style" else (1.0,)
    for n in (1, 7):
        for psi in psis:
            apart = exported.sample(n, seed=5, psi=psi).astype(int) - generator.sample(n, seed=5, psi=psi)
            assert np.abs(apart).max() <= 1
            assert (apart != 0).mean() < 0.01
    if generator.header.attributes:
        for codes in np.ndindex(3, 3):
            z = latents([1], recipe.latent.size, recipe.latent.prior)
            known = np.array([codes]) - 1
            apart = exported.synthesise(z, known).astype(int) - generator.synthesise(z, known)
            assert np.abs(apart).max() <= 1
    assert distance(exported, generator) < 1e-4


def distance(exported: Generator, generator: Generator) -> float:
    """The greatest difference between what two networks return, over batches of 1 and 7, and over codes."""
    header, network = generator.header, TorchNetwork(generator.module, generator.header)
    assert exported.exported is not None
    greatest = 0.0
    for n in (1, 7):
        z = latents(range(n), header.latent.size, header.latent.prior)
        columns = [np.arange(n) % (len(values) + 1) - 1 for values in header.attributes.values()]
        codes = np.array(columns, np.int64).reshape(len(columns), n).T
        for psi in (1.0, 0.6) if header.styled else (1.0,):
            apart = exported.exported.run(z, codes, psi) - network.run(z, codes, psi)
            greatest = max(greatest, float(np.abs(apart).max()))
    return greatest


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_kernels_in_fp16_change_every_recipes_faces_by_little(recipe: Recipe, tmp_path: Path) -> None:
    generator = generator_of(recipe)
    write_onnx(generator, tmp_path / "a.onnx", half=True)
    generator.save(tmp_path / "a.safetensors", half=True)
    exported, rounded = nijigan.load(tmp_path / "a.onnx"), nijigan.load(tmp_path / "a.safetensors")
    assert exported.weights_hash == rounded.weights_hash
    assert distance(exported, rounded) < 1e-4
    unit = (2 if recipe.generator.output == "tanh" else 1) / 255
    assert distance(exported, generator) <= 3 * unit  # random weights enlarge rounding more than trained ones
    assert check_certificate(tmp_path / "a.onnx") <= 1


def test_numbers_agree_closely(tmp_path: Path) -> None:
    generator = generator_of(RECIPES["cgan-projection"])
    write_onnx(generator, tmp_path / "a.onnx", half=False)
    network = onnx_network.OnnxNetwork(tmp_path / "a.onnx")
    z, codes = torch.randn(7, generator.header.latent.size), torch.randint(-1, 2, (7, 2))
    (images,) = network._session.run(
        ["images"], {"latents": z.numpy(), "codes": codes.numpy(), "psi": np.array(0.7, np.float32)}
    )
    with torch.no_grad():
        expected = generator.module(z, codes, psi=0.7).numpy()
    assert np.abs(images - expected).max() < 1e-4


def test_half_the_size_and_the_same_faces_if_the_kernels_fit_fp16(tmp_path: Path) -> None:
    small_generator(**ATTRIBUTES).save(tmp_path / "a.safetensors", half=True)
    generator = nijigan.load(tmp_path / "a.safetensors")
    for half in (False, True):
        write_onnx(generator, tmp_path / f"{half}.onnx", half=half)
    models = [onnx.load(tmp_path / f"{half}.onnx") for half in (False, True)]
    sizes = [sum(len(tensor.raw_data) for tensor in model.graph.initializer) for model in models]
    assert sizes[1] < 0.55 * sizes[0]
    kinds = {t.data_type for t in onnx.load(tmp_path / "True.onnx").graph.initializer if len(t.dims) > 1}
    assert onnx.TensorProto.FLOAT not in kinds
    apart = nijigan.load(tmp_path / "True.onnx").sample(8).astype(int) - generator.sample(8)
    assert np.abs(apart).max() <= 1


def test_the_packaged_generator_is_the_same_in_both_formats() -> None:
    with_torch, with_onnx = nijigan.load(PACKAGED), nijigan.load(PACKAGED.with_suffix(".onnx"))
    assert with_onnx.header == with_torch.header
    assert with_onnx.weights_hash == with_torch.weights_hash
    for psi in (1.0, 0.5):
        apart = with_onnx.sample(16, psi=psi).astype(int) - with_torch.sample(16, psi=psi)
        assert np.abs(apart).max() <= 1


def test_without_onnxruntime_torch_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = nijigan.load().sample(2)
    monkeypatch.setattr(onnx_network, "is_available", lambda: False)
    generator = nijigan.load()
    assert generator._onnx is None
    assert np.abs(generator.sample(2).astype(int) - expected).max() <= 1


def test_the_packaged_generator_has_its_module_too(tmp_path: Path) -> None:
    generator = nijigan.load()
    assert generator._onnx is not None
    generator.save(tmp_path / "copy.safetensors")
    copy = nijigan.load(tmp_path / "copy.safetensors")
    assert copy.weights_hash == generator.weights_hash
    assert generator.to("cpu")._onnx is not None
    assert generator.to("meta")._onnx is None  # stands for any other device


def test_an_exported_file_only_draws(tmp_path: Path) -> None:
    write_onnx(small_generator(), tmp_path / "a.onnx")
    exported = nijigan.load(tmp_path / "a.onnx")
    for use in (
        lambda: exported.save(tmp_path / "b.safetensors"),
        lambda: exported.to("cuda"),
        lambda: exported.module,
    ):
        with pytest.raises(UserError, match="only draws faces"):
            use()
    with pytest.raises(UserError, match="finite real numbers"):
        exported.synthesise([["a"]])


def reseal(model: onnx.ModelProto) -> bytes:
    """The file of a changed model, with a checksum that fits."""
    for entry in model.metadata_props:
        if entry.key == onnx_network.CHECKSUM:
            entry.value = onnx_network.SEAL + "0" * 64
    data = model.SerializeToString(deterministic=True)
    seal = onnx_network.SEAL.encode()
    return data.replace(seal + b"0" * 64, seal + onnx_network.checksum(data).encode())


def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    write_onnx(small_generator(), path)
    data = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(data), 40):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        with pytest.raises(UserError, match=r"a\.onnx"):
            nijigan.load(path)


def test_rounded_kernels_have_another_hash(tmp_path: Path) -> None:
    generator = small_generator()
    generator.save(tmp_path / "half.safetensors", half=True)
    write_onnx(generator, tmp_path / "half.onnx", half=True)
    exported = nijigan.load(tmp_path / "half.onnx")
    assert exported.weights_hash == nijigan.load(tmp_path / "half.safetensors").weights_hash != generator.weights_hash


def test_weights_beyond_fp16_are_refused(tmp_path: Path) -> None:
    generator = small_generator()
    next(p for p in generator.module.parameters() if p.ndim > 1)[0] = 1e6
    with pytest.raises(UserError, match="not finite"):
        write_onnx(generator, tmp_path / "a.onnx", half=True)
    assert not (tmp_path / "a.onnx").exists()


def test_a_generator_that_draws_with_onnxruntime_can_be_copied_and_pickled() -> None:
    generator = nijigan.load()
    for copy in (deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert np.array_equal(copy.sample(2), generator.sample(2))


@pytest.mark.parametrize("threads", ["1", "2", "0", "-3", "garbage", "", "99999999999", "100000", "٣"])
def test_any_number_of_threads_is_survived(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    assert nijigan.load().sample(1).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("fault", ["output", "size", "type", "input", "batch"])
def test_a_graph_that_is_no_generator_ends_in_one_sentence(
    fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.onnx"
    write_onnx(small_generator(), path)
    model = onnx.load(path)
    last = next(node for node in model.graph.node if "images" in node.output)
    if fault == "output":
        last.output[0] = model.graph.output[0].name = "pictures"
    elif fault == "input":
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    else:
        last.output[0] = "before"
        shapes = {"size": [0, 3, 16, 16], "type": [0, 3, 32, 32], "batch": [1, -1, 32, 32]}
        shape = onnx.numpy_helper.from_array(np.array(shapes[fault]), "shape")
        kind = onnx.TensorProto.INT64 if fault == "type" else onnx.TensorProto.FLOAT
        model.graph.initializer.append(shape)
        model.graph.node.append(onnx.helper.make_node("Reshape", ["before", "shape"], ["reshaped"]))
        model.graph.node.append(onnx.helper.make_node("Cast", ["reshaped"], ["images"], to=kind))
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_tensor_value_info("images", kind, None))
    path.write_bytes(reseal(model))
    check_refused(path, "2", capsys)


def check_refused(path: Path, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`generate` names the file in one sentence, and writes nothing."""
    face = path.parent / "face.png"
    assert main(["generate", str(path), "--n", count, "--out", str(face)]) == 2
    told = capsys.readouterr().err
    assert path.name in told
    assert "Traceback" not in told
    assert not face.exists()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "foreign", "header", "shape"])
def test_other_files_are_refused_in_one_sentence(damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.onnx"
    write_onnx(small_generator(), path)
    model = onnx.load(path)
    if damage in ("empty", "text", "cut"):
        path.write_bytes({"empty": b"", "text": b"an ONNX file", "cut": path.read_bytes()[:-100]}[damage])
    elif damage == "foreign":
        del model.metadata_props[:]
        path.write_bytes(model.SerializeToString())
    else:
        text = next(entry for entry in model.metadata_props if entry.key == "nijigan")
        header = json.loads(text.value)
        header["latent"]["size"] += 1
        text.value = json.dumps(header) if damage == "shape" else "{}"
        path.write_bytes(reseal(model))
    check_refused(path, "1", capsys)


def test_the_command_writes_a_file_and_replaces_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_generator().save(tmp_path / "a.safetensors")
    words = ["export", str(tmp_path / "a.safetensors"), "--out"]
    assert main([*words, str(tmp_path / "new" / "a.onnx")]) == 0
    assert main(["generate", str(tmp_path / "new" / "a.onnx"), "--n", "4", "--out", str(tmp_path / "grid.png")]) == 0
    before = (tmp_path / "new" / "a.onnx").read_bytes()
    assert main([*words, str(tmp_path / "new" / "a.onnx")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "new" / "a.onnx"), "--overwrite"]) == 0
    assert (tmp_path / "new" / "a.onnx").read_bytes() == before
    assert main([*words, str(tmp_path / "a.png")]) == 2
    assert ".onnx" in capsys.readouterr().err
