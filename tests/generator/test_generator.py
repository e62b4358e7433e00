import hashlib
import json
import pickle
import struct
import sys
import types
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nijigan.generator
from nijigan.errors import UserError
from nijigan.generator.face import Face
from nijigan.generator.generator import Generator, GeneratorHeader
from nijigan.generator.latents import latents
from nijigan.networks import build_generator
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from small import ATTRIBUTES, small_generator, small_header


@pytest.fixture(scope="module")
def generator():
    return small_generator()


def take_apart(path):
    """Read a safetensors file by its published layout: length, JSON table of contents, bytes."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def put_together(path, table, tensors):
    text = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + tensors)
    return path


def forge(path, **fields):
    """Change fields of the generator's header in a file."""
    table, tensors = take_apart(path)
    header = json.loads(table["__metadata__"]["nijigan"]) | fields
    return put_together(path, table | {"__metadata__": {"nijigan": json.dumps(header)}}, tensors)


@pytest.fixture
def saved(generator, tmp_path):
    generator.save(tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def largest_difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


# Synthesis


def test_sample_gives_pictures_with_contrast(generator):
    faces = generator.sample(16, seed=3)
    assert faces.shape == (16, 32, 32, 3)
    assert faces.dtype == np.uint8
    assert faces.std(axis=0).mean() > 20  # faces differ from each other


@pytest.mark.parametrize(
    "config",
    [
        GeneratorConfig(width=4),
        GeneratorConfig(width=8, depth=2, output="sigmoid"),
        GeneratorConfig(kind="style", width=4, noise=True, style_mixing=0.9),
    ],
)
def test_a_face_is_the_same_picture_in_any_batch(config):
    generator = small_generator(generator=config)
    whole = generator.sample(64, seed=100)
    assert largest_difference(generator.sample(64, seed=100, batch_size=7), whole) <= 1
    for index in (0, 31, 63):
        assert largest_difference(generator.sample(1, seed=100 + index)[0], whole[index]) <= 1


def test_sampling_changes_nothing(generator):
    before, state = generator.weights_hash, torch.get_rng_state()
    first = generator.sample(4)
    np.testing.assert_array_equal(first, generator.sample(4))
    assert torch.equal(state, torch.get_rng_state())
    assert Generator(generator.module, generator.header).weights_hash == before


def test_psi_scales_the_latent(generator):
    z = latents([9], 10)
    np.testing.assert_array_equal(generator.sample(1, seed=9, psi=0.5), generator.synthesise(z * np.float32(0.5)))
    flat = generator.sample(2, seed=9, psi=0.0)
    np.testing.assert_array_equal(flat[0], flat[1])


@pytest.mark.parametrize("prior", ["truncated-normal", "uniform", "sphere"])
def test_faces_come_from_the_prior_trained_on(prior):
    generator = small_generator(latent=LatentConfig(size=10, prior=prior))
    z = latents([3, 4], 10, prior)
    np.testing.assert_array_equal(generator.sample(2, seed=3), generator.synthesise(z))
    if prior == "truncated-normal":
        half = generator.synthesise(z * np.float32(0.5))
        np.testing.assert_array_equal(generator.sample(2, seed=3, psi=0.5), half)
        np.testing.assert_array_equal(generator.synthesise(z, psi=0.5), half)
        return
    for refused in (
        lambda: generator.sample(2, psi=0.7),
        lambda: generator.synthesise(z, psi=0.7),
        lambda: generator.face(3, psi=0.7),
    ):
        with pytest.raises(UserError, match=f"psi is 0.7.*{prior}.*leave psi at 1"):
            refused()


def style_generator(prior="normal"):
    config = GeneratorConfig(kind="style", width=4, mapping_depth=2, noise=True, style_mixing=0.9)
    generator = small_generator(generator=config, latent=LatentConfig(size=10, prior=prior))
    generator.module.estimate_mean_style([(torch.from_numpy(latents(range(100), 10, prior)),)])
    return generator


@pytest.mark.parametrize("prior", ["normal", "truncated-normal", "uniform", "sphere"])
def test_psi_moves_styles_towards_their_mean(prior):
    generator = style_generator(prior)
    z = latents(range(20, 28), 10, prior)
    faces = generator.sample(8, seed=20)
    np.testing.assert_array_equal(faces, generator.synthesise(z, psi=1.0))
    flat = generator.sample(8, seed=20, psi=0.0)
    assert largest_difference(flat, flat[:1]) == 0
    w, mean = generator.module.mapping(torch.from_numpy(z)), generator.module.w_mean
    generator.module.mapping.forward = lambda _: mean + 0.5 * (w - mean)
    half = generator.synthesise(z)
    del generator.module.mapping.forward
    assert largest_difference(generator.sample(8, seed=20, psi=0.5), half) <= 1
    assert faces.std(axis=0).mean() > half.std(axis=0).mean() > 2
    assert generator.face(20, psi=0.5).psi == 0.5


def test_a_style_generator_round_trips_with_its_mean_style(tmp_path):
    generator = style_generator()
    generator.save(tmp_path / "style.safetensors")
    loaded = Generator.load(tmp_path / "style.safetensors")
    assert loaded.weights_hash == generator.weights_hash
    assert torch.equal(loaded.module.w_mean, generator.module.w_mean)
    assert loaded.module.w_mean.any()
    np.testing.assert_array_equal(loaded.sample(8, psi=0.6), generator.sample(8, psi=0.6))
    generator.save(tmp_path / "half.safetensors", half=True)
    half = Generator.load(tmp_path / "half.safetensors")
    assert torch.equal(half.module.w_mean, generator.module.w_mean)
    assert largest_difference(half.sample(8, psi=0.6), generator.sample(8, psi=0.6)) <= 3


class Echo(nn.Module):
    """Returns the latent as an image: N×192 → N×3×8×8."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, z):
        return self.scale * z.reshape(-1, 3, 8, 8)


@pytest.mark.parametrize(("output", "low"), [("tanh", -1.0), ("sigmoid", 0.0)])
def test_pixels_are_rounded_to_the_nearest_of_256_levels(output, low):
    header = small_header(generator=GeneratorConfig(output=output), latent=LatentConfig(size=192), resolution=8)
    levels = np.arange(192).reshape(3, 8, 8)  # channel, row, column
    shown = low + (levels + 0.4 * (-1) ** levels) / 255 * (1 - low)  # alternately above and below the level
    picture = Generator(Echo(), header).synthesise(shown.reshape(1, 192).astype(np.float32))
    np.testing.assert_array_equal(picture[0], levels.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n": 0}, "1 or more"),
        ({"seed": -1}, "seed"),
        ({"n": 2, "seed": 2**63 - 1}, "seed"),
        ({"psi": -1.0}, "psi"),
        ({"psi": float("nan")}, "psi"),
        ({"batch_size": 0}, "batch size"),
    ],
)
def test_numbers_out_of_range_are_refused(generator, arguments, word):
    with pytest.raises(UserError, match=word):
        generator.sample(**arguments)


def test_the_last_seed_is_valid(generator):
    assert generator.sample(2, seed=2**63 - 2).shape == (2, 32, 32, 3)


@pytest.mark.parametrize("shape", [(1, 9), (10,), (1, 1, 10)])
def test_latents_of_another_size_are_refused(generator, shape):
    with pytest.raises(UserError, match="N×10"):
        generator.synthesise(np.zeros(shape, np.float32))


def test_pixels_that_are_not_numbers_are_refused():
    generator = small_generator()
    batch_norm = next(layer for layer in generator.module.modules() if isinstance(layer, nn.BatchNorm2d))
    batch_norm.running_var.fill_(-1.0)  # finite, but its square root is not a number
    with pytest.raises(UserError, match="not numbers"):
        generator.sample()


# The file


@pytest.mark.parametrize("half", [False, True])
def test_saved_and_loaded_is_the_same(generator, tmp_path, half):
    generator.save(tmp_path / "a" / "g.safetensors", half=half)
    loaded = Generator.load(tmp_path / "a" / "g.safetensors")
    assert loaded.header == generator.header
    assert largest_difference(loaded.sample(8), generator.sample(8)) <= (3 if half else 0)
    loaded.save(tmp_path / "again.safetensors", half=half)
    again = Generator.load(str(tmp_path / "again.safetensors"))
    assert again.weights_hash == loaded.weights_hash
    assert (loaded.weights_hash == generator.weights_hash) is not half
    np.testing.assert_array_equal(again.sample(8), loaded.sample(8))
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["again.safetensors", "g.safetensors"]


def test_storing_half_weights_whole_keeps_their_hash(generator, tmp_path):
    generator.save(tmp_path / "half.safetensors", half=True)
    loaded = Generator.load(tmp_path / "half.safetensors")
    loaded.save(tmp_path / "whole.safetensors")
    assert Generator.load(tmp_path / "whole.safetensors").weights_hash == loaded.weights_hash
    whole, half = (take_apart(tmp_path / name)[0] for name in ("whole.safetensors", "half.safetensors"))
    assert {entry["dtype"] for name, entry in whole.items() if name != "__metadata__"} == {"F32"}
    for name, entry in half.items():
        if name != "__metadata__":
            assert entry["dtype"] == ("F16" if len(entry["shape"]) > 1 else "F32")


def test_bfloat16_weights_are_read(generator, tmp_path):
    from safetensors.torch import save_file

    rounded = {
        name: tensor.bfloat16() for name, tensor in generator.module.state_dict().items() if tensor.is_floating_point()
    }
    save_file(rounded, tmp_path / "g.safetensors", {"nijigan": generator.header.to_json()})
    loaded = Generator.load(tmp_path / "g.safetensors")
    for name, tensor in rounded.items():
        assert torch.equal(loaded.module.state_dict()[name], tensor.float())


def test_the_hash_is_of_the_bytes_in_the_file(generator, saved):
    table, tensors = take_apart(saved)
    digest = hashlib.sha256()
    for name in sorted(table.keys() - {"__metadata__"}):
        shape = ",".join(str(length) for length in table[name]["shape"])
        start, end = table[name]["data_offsets"]
        digest.update(name.encode() + b"\0" + shape.encode() + b"\0" + tensors[start:end])
    assert generator.weights_hash == digest.hexdigest()


def test_the_hash_tells_weights_apart(generator):
    other = small_generator()
    assert other.weights_hash == generator.weights_hash
    changed = small_generator()
    with torch.no_grad():
        next(changed.module.parameters()).view(-1)[0] += 1e-6
    assert changed.weights_hash != generator.weights_hash


def test_weights_laid_out_channels_last_are_the_same_generator(generator, tmp_path):
    other = small_generator()
    other.module.to(memory_format=torch.channels_last)
    other.save(tmp_path / "g.safetensors")
    assert other.weights_hash == generator.weights_hash == Generator.load(tmp_path / "g.safetensors").weights_hash


def test_loading_leaves_randomness_alone_and_the_file_free(generator, saved):
    state = torch.get_rng_state()
    loaded = Generator.load(saved)
    assert torch.equal(state, torch.get_rng_state())
    saved.write_bytes(bytes(saved.stat().st_size))
    np.testing.assert_array_equal(loaded.sample(3), generator.sample(3))
    assert not loaded.module.training
    assert not any(tensor.is_meta for tensor in loaded.module.state_dict().values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    generator = small_generator()
    with torch.no_grad():
        next(generator.module.parameters()).view(-1)[0] = 1e5
    generator.save(tmp_path / "whole.safetensors")
    with pytest.raises(UserError, match="not finite"):
        generator.save(tmp_path / "half.safetensors", half=True)
    assert [path.name for path in tmp_path.iterdir()] == ["whole.safetensors"]


# Where generators are found


def test_a_run_folder_gives_its_best_or_else_its_last(tmp_path):
    with pytest.raises(UserError, match="has no generator"):
        Generator.load(tmp_path)
    small_generator(seed=1).save(tmp_path / "last.safetensors")
    assert Generator.load(tmp_path).weights_hash == small_generator(seed=1).weights_hash
    small_generator(seed=2).save(tmp_path / "best.safetensors")
    assert Generator.load(str(tmp_path)).weights_hash == small_generator(seed=2).weights_hash


def test_the_default_is_the_packaged_generator(generator, saved, monkeypatch, tmp_path):
    monkeypatch.setattr(nijigan.generator.generator, "PACKAGED", saved)
    assert Generator.load().weights_hash == generator.weights_hash
    monkeypatch.setattr(nijigan.generator.generator, "PACKAGED", tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="name a run folder"):
        Generator.load()


@pytest.mark.parametrize("path", ["none.safetensors", "runs/none.safetensors", "a/b/c", Path("runs/none")])
def test_a_missing_path_is_a_user_error(path):
    with pytest.raises(UserError, match="There is no generator at"):
        Generator.load(path)


def test_a_hub_id_is_downloaded(generator, saved, monkeypatch):
    requested = []

    def hf_hub_download(repo_id, filename):
        requested.append((repo_id, filename))
        return str(saved)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=hf_hub_download))
    assert Generator.load("hf:user/anime-faces.v2").weights_hash == generator.weights_hash
    assert requested == [("user/anime-faces.v2", "model.safetensors")]


def test_a_failing_hub_is_a_user_error(monkeypatch):
    def hf_hub_download(repo_id, filename):
        raise ConnectionError("404 Client Error\nwith a long explanation")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=hf_hub_download))
    with pytest.raises(UserError, match=r"did not provide model.safetensors of user/model: 404 Client Error$"):
        Generator.load("hf:user/model")


def test_a_hub_id_without_the_client_is_a_user_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"in the folder of nijigan's source, run: pip install '\.\[hub\]'"):
        Generator.load("hf:user/model")


@pytest.mark.parametrize(
    "path", ["runs/a", "user/model", "./runs/a", "a", "HF:user/model", "hf/user", Path("user/model")]
)
def test_nothing_else_is_looked_up_on_the_hub(path, monkeypatch, tmp_path):
    hub = types.SimpleNamespace(hf_hub_download=lambda *_: pytest.fail("looked up"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no generator at .*hf:"):
        Generator.load(path)


@pytest.mark.parametrize("path", ["hf:", "hf:model", "hf:../../x", "hf:a/b/c", "hf:/etc/passwd", "hf:user/model\n"])
def test_what_is_no_hub_id_is_refused(path, monkeypatch):
    hub = types.SimpleNamespace(hf_hub_download=lambda *_: pytest.fail("looked up"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(UserError, match="write hf:user/model"):
        Generator.load(path)


def test_a_face_is_generated_again_with_one_value_changed():
    generator = small_generator(**ATTRIBUTES)
    for seed in range(8):
        face = generator.face(seed, hair="blue")
        was = generator.values(generator.codes([seed], hair="blue")[0])
        assert generator.attributes_of(face) == {"hair": "blue"}
        assert generator.attributes_of(face, hair="black") == was | {"hair": "black"}
    with pytest.raises(UserError, match="another generator"):
        small_generator().attributes_of(face)
    with pytest.raises(UserError, match="hair cannot be mauve"):
        generator.attributes_of(face, hair="mauve")


# Untrusted files


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"resolution": 10**12}, "A resolution of"),
        ({"resolution": 2**40}, "A resolution of"),
        ({"resolution": 31}, "resolution"),
        ({"latent": {"size": 10**12, "prior": "normal"}}, r"latent\.size"),
        ({"generator": {"kind": "dcgan", "width": 10**12}}, r"generator\.width"),
        ({"generator": {"kind": "dcgan", "depth": 10**12}}, r"generator\.depth"),
        (
            {"generator": {"kind": "dcgan", "width": 1024, "depth": 8}, "resolution": 1024},
            "parameters; nijigan opens at",
        ),
        (
            {"generator": {"kind": "style", "width": 1024, "depth": 8}, "resolution": 1024},
            "parameters; nijigan opens at",
        ),
        ({"generator": {"kind": "dcgan", "width": 5}}, "does not hold the network.*instead of floats"),
        ({"resolution": 64}, "does not hold the network.*it lacks"),
        ({"resolution": 16}, "does not hold the network.*have no place"),
        ({"generator": {"kind": "styleswan"}}, "kind.*upgrade"),
        ({"format": 2}, "newer nijigan.*Upgrade"),
        ({"format": 10**30}, "Its format is unknown"),
        ({"format": 10**3000}, "Its format is unknown"),
        ({"kimg": -5}, "is negative"),
        ({"dataset": {"name": "x", "fingerprint": "y", "count": -1}}, "is negative"),
        ({"attributes": {"a" * 101: ["x", "y"]}, "priors": [[0, 1]]}, "at most 100"),
        ({"attributes": {"hair": ["a", "\x1b]0;x\x07"]}, "priors": [[0, 1]]}, "cannot be requested"),
        ({"format": "2"}, "format"),
        ({"format": 0}, "format"),
        ({"surprise": 1}, "surprise"),
        ({"metrics": {"kid": float("nan")}}, "finite"),
        ({"kimg": "many"}, "kimg"),
    ],
)
def test_forged_headers_are_refused(saved, fields, sentence):
    with pytest.raises(UserError, match=sentence) as raised:
        Generator.load(forge(saved, **fields))
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", "7", '{"format": 1}', "\x1b[2J"),
        *("[" * 100_000, '{"a":' * 100_000, f'{{"format": {"9" * 6000}}}', r'{"description": "\ud800"}'),
    ],
)
def test_headers_that_are_no_header_are_refused(saved, text):
    table, tensors = take_apart(saved)
    with pytest.raises(UserError, match=r"damaged header|is not valid"):
        Generator.load(put_together(saved, table | {"__metadata__": {"nijigan": text}}, tensors))


@pytest.mark.parametrize("metadata", [{}, {"__metadata__": {"format": "pt"}}])
def test_safetensors_of_others_are_refused(saved, metadata):
    table, tensors = take_apart(saved)
    del table["__metadata__"]
    with pytest.raises(UserError, match="no nijigan generator"):
        Generator.load(put_together(saved, table | metadata, tensors))


def change(table, name, **entry):
    return table | {name: table[name] | entry}


FIRST = "layers.0.weight"


@pytest.mark.parametrize(
    "damage",
    [
        lambda table, tensors: (change(table, FIRST, shape=[10**12]), tensors),
        lambda table, tensors: (change(table, FIRST, shape=[10**12, 10**12]), tensors),
        lambda table, tensors: (change(table, FIRST, shape=list(reversed(table[FIRST]["shape"]))), tensors),
        lambda table, tensors: (change(table, FIRST, dtype="I32"), tensors),
        lambda table, tensors: (change(table, FIRST, dtype="F64"), tensors),
        lambda table, tensors: (change(table, FIRST, dtype="PY"), tensors),
        lambda table, tensors: (change(table, FIRST, data_offsets=[0, 10**15]), tensors),
        lambda table, tensors: ({name: entry for name, entry in table.items() if name != FIRST}, tensors),
        lambda table, tensors: (
            table | {"extra": {"dtype": "F32", "shape": [1], "data_offsets": [len(tensors), len(tensors) + 4]}},
            tensors + bytes(4),
        ),
        lambda table, tensors: (table, tensors[:-1]),
        lambda table, tensors: (table, tensors + b"\0"),
        lambda table, tensors: (table, b""),
        lambda table, tensors: (table, np.full(len(tensors) // 4, np.nan, np.float32).tobytes()),
        lambda table, tensors: (table, np.full(len(tensors) // 4, np.inf, np.float32).tobytes()),
    ],
)
def test_forged_tensors_are_refused(saved, damage):
    with pytest.raises(UserError, match=r"does not hold the network|Could not read|not finite"):
        Generator.load(put_together(saved, *damage(*take_apart(saved))))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


def test_pickles_are_refused_unopened(tmp_path):
    torch.save({"state": Bomb()}, tmp_path / "zip.safetensors")
    torch.save({"state": Bomb()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.safetensors").write_bytes(pickle.dumps(Bomb()))
    for path in tmp_path.iterdir():
        with pytest.raises(UserError, match="zip or a pickle"):
            Generator.load(path)


@pytest.mark.parametrize("content", [b"", b"\x01", b"not a generator at all", struct.pack("<Q", 2**63), bytes(100)])
def test_files_of_anything_are_refused(tmp_path, content):
    path = tmp_path / "g.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"is not a \.safetensors|Could not read"):
        Generator.load(path)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_damaged_file_is_refused_or_works(tmp_path_factory, data):
    """With any header byte changed and any end missing, loading raises a `UserError` or gives a generator."""
    path = tmp_path_factory.mktemp("damaged") / "g.safetensors"
    small_generator().save(path)
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    for place in data.draw(st.lists(st.integers(0, 7 + length), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2, 8 + length, 5]))])
    try:
        loaded = Generator.load(path)
    except UserError:
        return
    assert loaded.synthesise(np.zeros((1, loaded.header.latent.size), np.float32)).dtype == np.uint8


def test_an_unreadable_file_is_a_user_error(saved, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        Generator.load(saved)


def test_the_published_network_at_its_limits_is_within_bounds():
    """The widest published DCGAN, and one twice as wide at 512 px, can be opened."""
    from nijigan.generator.file import _build_unallocated

    for width, resolution in ((64, 64), (64, 256), (128, 512)):
        header = small_header(generator=GeneratorConfig(width=width), latent=LatentConfig(), resolution=resolution)
        assert next(_build_unallocated(header, Path("g")).parameters()).is_meta


# Header and Face


def test_header_round_trip():
    header = small_header()
    assert GeneratorHeader.from_json(header.to_json()) == header
    bare = GeneratorHeader(GeneratorConfig(), LatentConfig(), 64)
    assert GeneratorHeader.from_json(bare.to_json()) == bare
    with pytest.raises(UserError, match="finite"):
        replace(header, metrics={"kid": float("inf")})


def test_a_face_can_be_generated_again(generator, saved):
    face = generator.face(12, psi=0.7)
    again = Face.from_json(face.to_json())
    assert again == face
    assert asdict(again) == {"weights": generator.weights_hash, "seed": 12, "psi": 0.7, "attributes": {}, "latent": ""}
    assert again.to_json().isascii()
    loaded = Generator.load(saved)
    assert loaded.weights_hash == again.weights
    np.testing.assert_array_equal(
        loaded.sample(1, seed=again.seed, psi=again.psi), generator.sample(4, seed=10, psi=0.7)[2:3]
    )


def test_a_generator_trained_in_training_mode_is_put_in_evaluation_mode():
    header = small_header()
    module = build_generator(header.generator, header.latent, header.resolution).train()
    generator = Generator(module, header)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in generator.module.parameters())


def test_an_invalid_recipe_does_not_make_the_file_unusable(caplog):
    raw = json.loads(small_header().to_json())
    raw["recipe"]["batch_size"] = 1
    header = GeneratorHeader.from_json(json.dumps(raw), "old.safetensors")
    assert header == small_header(recipe=None)
    assert "recipe in old.safetensors is not valid" in caplog.text


def test_attributes_condition_the_faces_and_are_stored_in_the_file(tmp_path):
    generator = small_generator(**ATTRIBUTES)
    blue, red = generator.sample(8, seed=3, hair="blue"), generator.sample(8, seed=3, hair="red")
    assert (blue != red).any(axis=(1, 2, 3)).all()
    z = latents(range(3, 11), 10)
    np.testing.assert_array_equal(blue, generator.synthesise(z, generator.codes(range(3, 11), hair="blue")))
    np.testing.assert_array_equal(generator.synthesise(z), generator.synthesise(z, np.full((8, 2), -1)))
    generator.save(tmp_path / "conditional.safetensors")
    opened = Generator.load(tmp_path / "conditional.safetensors")
    assert (opened.header.attributes, opened.header.priors) == (ATTRIBUTES["attributes"], ATTRIBUTES["priors"])
    np.testing.assert_array_equal(opened.sample(8, seed=3, hair="blue"), blue)
    assert opened.face(3, hair="blue", eyes="any").attributes == {"hair": "blue"}
    assert opened.values(np.array([2, -1])) == {"hair": "red", "eyes": "unknown"}
    partly = small_generator(**(ATTRIBUTES | {"priors": ((1, -1, 50), (0, 1, 30), (1, 1, 20))}))
    np.testing.assert_array_equal(partly.codes([3], hair="red", eyes="unknown"), [[2, -1]])


@pytest.mark.parametrize(
    "codes", [np.zeros((2, 2), np.int64), np.zeros((3, 1), np.int64), np.full((3, 2), 3), np.full((3, 2), -2)]
)
def test_codes_of_another_kind_are_refused(codes):
    with pytest.raises(UserError, match="do not fit 3 faces"):
        small_generator(**ATTRIBUTES).synthesise(latents(range(3), 10), codes)


def test_an_unconditional_generator_refuses_attributes():
    with pytest.raises(UserError, match="trained without labels"):
        small_generator().sample(1, hair="blue")
    with pytest.raises(UserError, match="trained without labels"):
        small_generator().face(1, hair="blue")


def test_every_flipped_bit_of_a_file_is_refused_or_changes_nothing(tmp_path):
    """A bit in each of 400 places of the file, its header included."""
    generator = small_generator()
    path = tmp_path / "model.safetensors"
    generator.save(path)
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for place in [*range(0, start, start // 200), *range(start, len(content), (len(content) - start) // 200)]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            loaded = Generator.load(path)
        except UserError:
            continue
        assert loaded.weights_hash == generator.weights_hash, place
        assert loaded.header == generator.header, place


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_real_numbers_of_any_type_are_latents(generator, dtype):
    z = np.arange(20).reshape(2, 10).astype(dtype) / dtype(1)
    np.testing.assert_array_equal(generator.synthesise(z), generator.synthesise(z.astype(np.float32)))
    np.testing.assert_array_equal(generator.synthesise(z.tolist()), generator.synthesise(z.astype(np.float32)))


@pytest.mark.parametrize(
    "latents",
    [
        np.full((2, 10), np.nan, np.float32),
        np.full((2, 10), np.inf),
        np.full((2, 10), 1e300),
        np.ones((2, 10), complex),
        np.ones((2, 10), object),
        np.full((2, 10), "1"),
        [[1.0], [1.0, 2.0]],
        "latents",
        None,
        np.ones(10, np.float32),
        np.ones((2, 9), np.float32),
    ],
)
def test_what_is_no_latent_is_refused(generator, latents):
    with pytest.raises(UserError, match="[Ll]atents"):
        generator.synthesise(latents)


@pytest.mark.parametrize(
    "arguments",
    [{"seed": 1.5}, {"seed": "3"}, {"seed": True}, {"n": 2.5}, {"n": "4"}, {"psi": "a"}, {"psi": None}, {"n": 10**30}],
)
def test_numbers_of_another_type_are_refused(generator, arguments):
    with pytest.raises(UserError):
        generator.sample(**arguments)


@pytest.mark.parametrize("seeds", [[1.5], [1, 2.5, 3], ["3"], [None], np.array([1.5])])
def test_seeds_that_are_no_integers_are_refused(generator, seeds):
    for call in (generator.sample_seeds, small_generator(**ATTRIBUTES).codes):
        with pytest.raises(UserError, match="integer"):
            call(seeds)


def test_large_faces_are_generated_a_few_at_a_time(generator, monkeypatch):
    expected, sizes = generator.sample(5), []
    monkeypatch.setattr(nijigan.generator.generator, "_MOST_PIXELS_ON_CPU", 2 * 32**2)
    forward = generator.module.forward
    monkeypatch.setattr(generator.module, "forward", lambda z: (sizes.append(len(z)), forward(z))[1])
    np.testing.assert_array_equal(generator.sample(5), expected)
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("path", ["x" * 5000, "x" * 300 + "/y", "a\0b"])
def test_a_path_that_no_file_has_is_a_user_error(path):
    with pytest.raises(UserError, match="cannot be opened"):
        Generator.load(path)
