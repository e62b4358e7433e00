import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from nijigan.aliases import Images
from nijigan.errors import UserError
from nijigan.judges import anime
from nijigan.judges.feature_spaces import FeatureSpace, open_feature_space
from nijigan.procedural.faces import draw_face
from nijigan.vision import lite0

OWN = ("lite0", "anime")


@pytest.fixture(scope="module")
def spaces() -> dict[str, FeatureSpace]:
    return {name: open_feature_space(name) for name in OWN}


@pytest.fixture(scope="module")
def images() -> Images:
    return np.stack([draw_face(seed, 64)[0] for seed in range(20)])


@torch.no_grad()
def plain_anime(pictures: torch.Tensor) -> torch.Tensor:
    net = anime.AnimeNet()
    net.load_state_dict(safetensors.torch.load_file(anime.WEIGHTS))
    return net.eval()(pictures)


@torch.no_grad()
def published_lite0(pictures: torch.Tensor) -> torch.Tensor:
    """What the published weights give in efficientnet-lite-pytorch 0.1.0, in fp32, for procedural faces 0, 1 and 2."""
    features: torch.Tensor = safetensors.torch.load_file(Path(__file__).with_name("lite0-features.safetensors"))[
        "features"
    ]
    return features


@pytest.mark.parametrize(
    ("name", "wanted", "side", "cosine"),
    [("lite0", published_lite0, 128, 0.9999), ("anime", plain_anime, 64, 0.9999999)],
)
def test_features_are_the_direction_of_those_of_the_network_as_it_was_trained(
    name, wanted, side, cosine, spaces, images
):
    lanczos = Image.Resampling.LANCZOS
    resized = [np.array(Image.fromarray(image).resize((side, side), lanczos)) for image in images[:3]]
    direction = wanted(torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous() / 255)
    direction = torch.nn.functional.normalize(direction.double()) * direction.shape[1] ** 0.5
    found = spaces[name].extract(images[:3])
    assert found.shape == (3, spaces[name].size)
    assert found.dtype == np.float32
    assert ((found * direction.numpy()).mean(1) >= cosine).all()
    np.testing.assert_allclose((found**2).mean(1), 1, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_the_batch_size_changes_no_feature(name, spaces, images):
    whole = spaces[name].extract(images, batch_size=64)
    for batch_size in (1, 7):
        np.testing.assert_allclose(spaces[name].extract(images, batch_size), whole, atol=1e-4)


@pytest.mark.parametrize("name", OWN)
def test_other_resolutions_are_resized(name, spaces, images):
    large = np.stack([draw_face(seed, 96)[0] for seed in range(20)])
    features, again = spaces[name].extract(images), spaces[name].extract(large)
    nearest = ((features[:, None] - again) ** 2).sum(2).argmin(1)
    assert (nearest == np.arange(20)).mean() >= 0.9  # a face stays nearest to itself


def through(side: int, images: Images) -> Images:
    """Make images small and large again."""
    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BOX) for image in images]
    return np.stack([np.asarray(image.resize((64, 64))) for image in small])


@pytest.mark.parametrize("name", OWN)
def test_more_noise_and_more_blur_lie_further_from_real_faces(name, spaces, images):
    random, real = np.random.default_rng(0), spaces[name].extract(images).mean(0)

    def distance(flawed: Images) -> float:
        return float(np.linalg.norm(spaces[name].extract(flawed).mean(0) - real))

    noise = random.normal(size=images.shape)
    noisy = [distance((images + sigma * noise).clip(0, 255).astype(np.uint8)) for sigma in (0, 10, 40)]
    dull = [distance(through(side, images)) for side in (32, 16)]
    assert noisy[0] < 1e-4 < noisy[1] < noisy[2]
    assert 1e-4 < dull[0] < dull[1]


@pytest.mark.parametrize("name", OWN)
def test_a_running_training_is_not_disturbed(name, images):
    before = torch.get_rng_state()
    space = open_feature_space(name)
    quiet = space.extract(images[:2])
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(space.extract(images[:2]), quiet)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.is_grad_enabled()


def test_spaces_are_told_apart_by_name_and_hash_and_are_the_same_when_opened_again(spaces):
    assert [space.name for space in spaces.values()] == ["lite0@128", "anime@64"]
    assert spaces["lite0"].hash != spaces["anime"].hash
    for name, space in spaces.items():
        assert open_feature_space(name).hash == space.hash
        assert len(space.hash) == 64


def test_the_anime_network_is_small_enough_to_ship():
    assert anime.WEIGHTS.stat().st_size <= 6e6


def test_other_anime_weights_are_another_space(tmp_path, monkeypatch):
    weights = safetensors.torch.load_file(anime.WEIGHTS)
    weights["stem.0.weight"] += 0.01
    safetensors.torch.save_file(weights, tmp_path / "other.safetensors")
    before = open_feature_space("anime").hash
    monkeypatch.setattr(anime, "WEIGHTS", tmp_path / "other.safetensors")
    assert open_feature_space("anime").hash != before


def test_damaged_lite0_weights_are_refused(tmp_path, monkeypatch):
    damaged = bytearray(lite0.WEIGHTS.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "lite0.safetensors").write_bytes(damaged)
    monkeypatch.setattr(lite0, "WEIGHTS", tmp_path / "lite0.safetensors")
    with pytest.raises(UserError, match="install nijigan again"):
        open_feature_space("lite0")


def test_lite0_is_small_enough_to_ship():
    assert lite0.WEIGHTS.stat().st_size <= 7e6


def test_progress_is_reported_and_no_faces_have_no_features(spaces, images):
    calls: list[tuple[int, int]] = []
    spaces["anime"].extract(images, batch_size=8, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(8, 20), (16, 20), (20, 20)]
    assert spaces["anime"].extract(images[:0]).shape == (0, spaces["anime"].size)


@pytest.mark.parametrize("wrong", [np.zeros((2, 8, 8, 3), np.float32), np.zeros((2, 3, 8, 8), np.uint8)])
def test_arrays_that_are_no_images_are_refused(wrong, spaces):
    with pytest.raises(ValueError, match="uint8 N×H×W×3"):
        spaces["anime"].extract(wrong)


def test_an_unknown_space_is_answered_with_a_list_of_spaces():
    with pytest.raises(UserError, match=r"'incepton'; choose lite0, anime, inception"):
        open_feature_space("incepton")


class InceptionStandIn(nn.Module):
    """Has the interface of torchmetrics' Inception; tests have neither weights nor internet."""

    def __init__(self, name: str, features: list[str]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        assert features == ["2048"]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3)).repeat(1, 683)[:, :2048]


INCEPTION = "torchmetrics.image.fid.NoTrainInceptionV3"


def test_inception_is_given_bytes_at_their_own_size(monkeypatch, images):
    monkeypatch.setattr(INCEPTION, InceptionStandIn)
    space = open_feature_space("inception")
    assert (space.name, space.size) == ("inception@299", 2048)
    np.testing.assert_allclose(space.extract(images)[:, :3], images.mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ModuleNotFoundError("torch_fidelity"), r"pip install 'nijigan\[inception\]'"),
        (URLError("no route"), "no route"),
    ],
)
def test_a_missing_inception_says_what_to_do(error, advice, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(INCEPTION, fail)
    with pytest.raises(UserError, match=advice):
        open_feature_space("inception")


def test_inception_without_torchmetrics_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.image", None)
    with pytest.raises(UserError, match=r"torchmetrics and torch-fidelity \(.+\): pip install 'nijigan\[inception\]'"):
        open_feature_space("inception")


def colour_network(path: Path, shape: list[int | str], axes: tuple[int, ...] = (2, 3)) -> Path:
    """An ONNX network whose features are a face's mean colour."""
    reduced = ["N", 3] if axes == (2, 3) else ["N", 3, "H"]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["faces", "axes"], ["features"], keepdims=0)],
        "colour",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, reduced)],
        [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_an_onnx_network_of_any_size(tmp_path, images):
    space = open_feature_space(str(colour_network(tmp_path / "colour.onnx", ["N", 3, "H", "W"])))
    assert (space.name, space.size, space.resolution) == ("colour", 3, None)
    np.testing.assert_allclose(space.extract(images), images.mean((1, 2)) / 255, atol=1e-5)


def test_an_onnx_network_of_fixed_size_gets_faces_of_that_size(tmp_path, images):
    path = colour_network(tmp_path / "colour.onnx", ["N", 3, 32, 32])
    space = open_feature_space(str(path))
    assert (space.name, space.resolution) == ("colour@32", 32)
    np.testing.assert_allclose(space.extract(images), images.mean((1, 2)) / 255, atol=0.02)
    before = space.hash
    colour_network(path, ["N", 3, "H", "W"])
    assert open_feature_space(str(path)).hash != before


@pytest.mark.parametrize("shape", [[1, 3, 64, 64], ["N", 64, 64, 3], ["N", 3, 32, 64]])
def test_an_onnx_network_for_other_inputs_is_refused(shape, tmp_path):
    with pytest.raises(UserError, match="features need"):
        open_feature_space(str(colour_network(tmp_path / "odd.onnx", shape)))


def test_an_onnx_network_of_other_outputs_is_refused(tmp_path):
    with pytest.raises(UserError, match="2×D"):
        open_feature_space(str(colour_network(tmp_path / "odd.onnx", ["N", 3, "H", "W"], axes=(3,))))


def test_files_that_are_no_onnx_networks_are_refused(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        open_feature_space(str(tmp_path / "absent.onnx"))
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(UserError, match="is not an ONNX network"):
        open_feature_space(str(tmp_path / "text.onnx"))


MODULE = """
import torch
from torch import nn

class Colour(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.full((3,), scale))
        self.dropout = nn.Dropout(0.5)
        torch.rand(1)

    def forward(self, faces):
        return self.dropout(faces.view(len(faces), 3, -1).mean(2) * self.scale)

class Flat(nn.Module):
    def forward(self, faces):
        return faces.mean((1, 2, 3))

class Nothing(nn.Module):
    def forward(self, faces):
        return faces.mean((2, 3))[:, :0]

class Tuple(nn.Module):
    def forward(self, faces):
        return faces.mean((2, 3)), None

class Whole(nn.Module):
    def forward(self, faces):
        return faces.mean((2, 3)).long()

class Endless(nn.Module):
    def forward(self, faces):
        return faces.mean((2, 3)) / 0

class Sometimes(nn.Module):
    def forward(self, faces):
        return faces.mean((2, 3)).log()

class Choosy(nn.Module):
    def forward(self, faces):
        if faces.shape[2] != 48:
            raise ValueError("only faces of 48 pixels.")
        return faces.mean((2, 3))

instance = Colour(2.0)
number = 3

def plain():
    return "no network"
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "my_features.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_features", None)


@pytest.mark.usefixtures("module")
def test_a_torch_module_of_the_user(images):
    before = torch.get_rng_state()
    space, doubled = open_feature_space("my_features:Colour"), open_feature_space("my_features:instance")
    assert torch.equal(torch.get_rng_state(), before)
    assert (space.name, space.size) == ("my_features:Colour", 3)
    assert space.hash != doubled.hash
    np.testing.assert_allclose(space.extract(images), images.mean((1, 2)) / 255, atol=1e-5)
    np.testing.assert_allclose(doubled.extract(images), images.mean((1, 2)) / 127.5, atol=1e-5)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("my_features:absent", "no network at my_features:absent"),
        ("no_such_module:Net", "PYTHONPATH"),
        ("my_features:number", "no network"),
        ("builtins:exit", "no network at builtins:exit"),
        ("my_features:plain", "is a str, not a torch.nn.Module"),
        ("my_features:Flat", "features need 2×D"),
        ("my_features:Nothing", "features need 2×D"),
        ("my_features:Tuple", "features need 2×D"),
        ("my_features:Whole", "not finite real numbers"),
        ("my_features:Endless", "not finite real numbers"),
        ("my_features:Choosy", "of 64×64 pixels: only faces of 48 pixels. It receives faces at their own size"),
    ],
)
def test_a_module_that_cannot_serve_is_refused(name, reason):
    with pytest.raises(UserError, match=reason):
        open_feature_space(name)


@pytest.mark.usefixtures("module")
def test_features_that_are_not_finite_for_some_faces_are_refused():
    with pytest.raises(UserError, match="Sometimes turns some faces into values that are not finite"):
        open_feature_space("my_features:Sometimes").extract(np.zeros((3, 8, 8, 3), np.uint8))


@pytest.mark.usefixtures("module")
def test_a_module_is_tried_on_faces_of_the_size_to_come():
    assert open_feature_space("my_features:Choosy", 48).size == 3
    with pytest.raises(UserError, match="two faces of 32×32 pixels"):
        open_feature_space("my_features:Choosy", 32)
