import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from nijigan.cli import main
from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.judges.quality import BLOCKS, STATISTICS, look
from nijigan.metrics.logistic import fit_logistic
from nijigan.networks import build_generator
from nijigan.polish import polishing, votes
from nijigan.polish.polishing import Lesson, Moments, entrance, polish, real_faces, real_moments
from nijigan.polish.sight import VIEWS, Sight, View, statistics
from nijigan.polish.taste import Taste
from nijigan.polish.votes import rated_faces
from nijigan.rate.store import VoteStore
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from nijigan.vision import lite0
from small import ATTRIBUTES, small_generator, small_header


@pytest.fixture(scope="module")
def sight() -> Sight:
    return Sight()


@pytest.fixture(scope="module")
def taste() -> Taste:
    return Taste.load()


@pytest.fixture(scope="module")
def packaged() -> Generator:
    return Generator(Generator.load().module, Generator.load().header)


def test_the_statistics_are_those_of_the_judge_of_yield(sight: Sight, packaged: Generator) -> None:
    images = packaged.sample(6)
    ours, theirs = statistics(sight, images, View()), look(images).statistics
    assert ours.shape == theirs.shape == (6, STATISTICS)
    stages = 2 * (64 + 128 + 256)  # the two resize faces for Lite0 in different ways, and for the anime network not
    np.testing.assert_allclose(ours[:, -stages:] ** 2, theirs[:, -stages:] ** 2, rtol=1e-2, atol=2e-4)
    faces = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        maps = lite0.load().eval().with_blocks(interpolate(faces, size=128, mode="bilinear"), BLOCKS)[1]
    described = [t for m in maps for t in (m.mean((2, 3)), (m.var((2, 3)) + 1e-4).sqrt(), m.amax((2, 3)))]
    np.testing.assert_allclose(ours[:, :-stages], torch.cat(described, 1), rtol=1e-3, atol=1e-3)


def test_views_show_the_same_face_softer_mirrored_and_shifted(sight: Sight) -> None:
    stripes = np.zeros((1, 64, 64, 3), np.uint8)
    stripes[:, :, ::2] = 255
    grey = np.full((1, 64, 64, 3), 128, np.uint8)
    apart = [np.abs(statistics(sight, stripes, v) - statistics(sight, grey, v)).mean() for v in (View(), View(True))]
    assert apart[1] < apart[0] * 0.6  # softened, what alternates from pixel to pixel is grey
    face = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    turned = statistics(sight, face[:, :, ::-1], View(mirrored=True))
    np.testing.assert_allclose(statistics(sight, face, View()), turned, rtol=1e-3, atol=1e-3)
    assert np.abs(statistics(sight, face, View(down=0)) - statistics(sight, face, View())).max() > 0.01
    assert len(set(VIEWS)) == 4


def test_every_statistic_has_a_gradient_even_of_a_flat_picture(sight: Sight) -> None:
    faces = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    sight(faces, View()).sum().backward()
    assert faces.grad is not None
    assert faces.grad.isfinite().all()


def test_faces_of_other_sizes_are_resized(sight: Sight, packaged: Generator) -> None:
    images = packaged.sample(2)
    large = statistics(sight, images.repeat(2, 1).repeat(2, 2), View())
    apart = [np.abs(large - row).mean(1) for row in statistics(sight, images, View())]
    assert apart[0].argmin() == 0
    assert apart[1].argmin() == 1


def test_the_packaged_judge_prefers_real_faces_to_noise(sight: Sight, taste: Taste, packaged: Generator) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    seen = [torch.from_numpy(statistics(sight, images, View())) for images in (packaged.sample(4), noise)]
    assert taste.odds(seen[0]).min() > taste.odds(seen[1]).max()


def test_verdicts_that_the_judge_expects_change_nothing_and_others_turn_it(sight: Sight, packaged: Generator) -> None:
    taste, images = Taste.load(), packaged.sample(60)
    odds = taste.odds(torch.from_numpy(np.stack([statistics(sight, images, v) for v in VIEWS])).mean(0))
    same = taste.adapted(sight, images, odds.sigmoid().double().numpy())
    contrary = taste.adapted(sight, images, (odds < odds.median()).double().numpy())
    seen = torch.from_numpy(statistics(sight, images, View()))
    assert (same.odds(seen) - taste.odds(seen)).abs().mean() < 0.3  # views differ a little
    strict = taste.adapted(sight, images, np.arange(60) % 10 == 0)
    assert (strict.odds(seen) - taste.odds(seen)).mean().abs() < 0.3  # somebody strict moves no face past the margin
    assert np.corrcoef(taste.odds(seen), contrary.odds(seen) - taste.odds(seen))[0, 1] < -0.5


def test_a_fit_that_starts_from_another_adds_what_is_missing() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((400, 3))
    truth = np.array([1.0, -2.0, 0.5])
    target = 1 / (1 + np.exp(-(x @ truth + 0.3)))
    whole = fit_logistic(x, target, penalty=0.0)
    np.testing.assert_allclose(whole.weight, truth, atol=1e-2)
    rest = fit_logistic(x, target, penalty=0.0, start=x @ np.array([1.0, 0.0, 0.0]))
    np.testing.assert_allclose(rest.weight, [0.0, -2.0, 0.5], atol=1e-2)
    np.testing.assert_allclose(rest.offset, 0.3, atol=1e-2)


def test_moments_like_those_of_real_faces_cost_nothing() -> None:
    mean, deviation = torch.tensor([2.0, -1.0]), torch.tensor([3.0, 0.5])
    normal = torch.tensor([-1.0, 1.0]).repeat(8)[:, None].repeat(1, 2)  # mean 0, mean square 1
    moments = Moments(mean, deviation)
    assert moments.loss(mean + normal * (deviation + 1e-3)) < 1e-10
    shifted = Moments(mean, deviation).loss(mean + (normal + torch.tensor([1.0, 0.0])) * (deviation + 1e-3))
    assert shifted == pytest.approx(0.5, abs=1e-5)  # a mean that is one deviation off, in one of two statistics
    alike = Moments(mean, deviation).loss(mean.repeat(4, 1))
    assert alike == pytest.approx(1.0, abs=1e-5)  # all faces the same: no spread


@pytest.mark.parametrize("kind", ["dcgan", "resnet", "r3", "style"])
@pytest.mark.parametrize("attributes", [{}, ATTRIBUTES["attributes"]], ids=["plain", "labels"])
def test_only_layers_without_places_learn_in_every_network(kind: str, attributes: dict) -> None:
    latent = LatentConfig(size=8)
    module = build_generator(GeneratorConfig(kind, width=4, max_width=16), latent, 32, attributes)
    inputs = (torch.randn(3, 8),) + ((torch.zeros(3, 2, dtype=torch.int64),) if attributes else ())
    weights = entrance(module.eval(), inputs)
    assert weights
    assert {id(w) for w in weights} == {id(w) for w in module.parameters() if w.requires_grad}
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Embedding | nn.Linear):
            assert all(w.requires_grad for w in layer.parameters(recurse=False)), name
        if type(layer).__name__ in ("Conv3", "Conv2d", "BatchNorm2d"):
            assert not any(w.requires_grad for w in layer.parameters(recurse=False)), name


def drawing(header_changes: dict, seed: int = 0) -> Generator:
    """An untrained generator with conditional norms, at 32 px."""
    config = GeneratorConfig("resnet", width=4, max_width=16, norm="batch")
    header = small_header(generator=config, **header_changes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(build_generator(config, header.latent, 32, header.attributes), header)


@pytest.mark.parametrize("changes", [{}, ATTRIBUTES], ids=["plain", "labels"])
def test_polishing_pleases_the_judge_keeps_convolutions_and_repeats(
    sight: Sight, taste: Taste, faces: FaceDataset, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polishing, "MOMENTS", 0.0)  # an untrained generator is far from them
    monkeypatch.setattr(polishing, "BEFORE", 0.0)
    monkeypatch.setattr(polishing, "RATE", 1e-2)
    generator, real = drawing(changes), real_faces(faces, 32)
    before = {name: value.clone() for name, value in generator.module.state_dict().items()}
    torch.manual_seed(7)
    steps: list[tuple[int, int]] = []
    polished = polish(generator, real, taste, sight, kimg=0.1, seed=3, progress=lambda done, n: steps.append((done, n)))
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))  # the caller's random state is untouched
    assert steps[-1] == (96, 96)
    assert all(torch.equal(value, before[name]) for name, value in generator.module.state_dict().items())
    changed = {n for n, v in polished.module.state_dict().items() if not torch.equal(v, before[n])}
    kernels = {n for n, v in before.items() if v.ndim == 4}
    assert changed
    assert not changed & kernels
    assert polished.header.origin == generator.weights_hash
    assert "Polished with 0.1 thousand generated faces, seed 3." in polished.header.description
    assert (polished.header.metrics, polished.header.attributes) == ({}, generator.header.attributes)
    odds = [
        float(taste.odds(torch.from_numpy(statistics(sight, g.sample(32, seed=500), View()))).mean())
        for g in (generator, polished)
    ]
    assert odds[1] > odds[0]
    again = polish(generator, real, taste, sight, kimg=0.1, seed=3)
    assert again.weights_hash == polished.weights_hash


def test_what_was_drawn_before_holds_faces_in_place(
    sight: Sight, taste: Taste, faces: FaceDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polishing, "RATE", 1e-2)
    generator, real, moved = drawing({}), real_faces(faces, 32), []
    for weight in (0.0, 1000.0):
        monkeypatch.setattr(polishing, "BEFORE", weight)
        polished = polish(generator, real, taste, sight, kimg=0.1)
        moved.append(np.abs(polished.sample(8).astype(int) - generator.sample(8)).mean())
    assert moved[1] < 0.8 * moved[0]


class Recorder(Sight):
    """Sees a face as its mean brightness, 3,200 times, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[torch.Tensor] = []
        self.views: list[View] = []

    def forward(self, faces: torch.Tensor, view: View) -> torch.Tensor:
        self.shown.append(faces.detach())
        self.views.append(view)
        return faces.mean((1, 2, 3))[:, None].expand(-1, STATISTICS)

    def maps(self, faces: torch.Tensor) -> list[torch.Tensor]:
        return [faces]


def lesson(generator: Generator, offset: float) -> tuple[Lesson, Recorder]:
    recorder = Recorder()
    real = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    moments = real_moments(recorder, real)
    made = Lesson(generator, Taste(torch.zeros(STATISTICS), offset), recorder, moments, seed=0)
    assert [view.soft for view in recorder.views] == [False, True]  # some of the real faces are softened too
    recorder.shown, recorder.views = [], []
    return made, recorder


@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_the_judge_sees_faces_between_black_and_white(output: str) -> None:
    generator = small_generator(generator=GeneratorConfig(width=4, output=output))
    made, recorder = lesson(generator, 0.0)
    latents = torch.randn(4, 10)
    made.loss((latents,))
    with torch.no_grad():
        drawn = generator.module(latents)
    torch.testing.assert_close(recorder.shown[0], (drawn + 1) / 2 if output == "tanh" else drawn)


def test_faces_above_the_margin_are_not_pushed_and_each_part_of_the_loss_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = (torch.randn(4, 10),)
    monkeypatch.setattr(polishing, "MOMENTS", 0.0)
    assert lesson(small_generator(), polishing.MARGIN + 1)[0].loss(inputs) == 0
    assert lesson(small_generator(), polishing.MARGIN - 3)[0].loss(inputs) == pytest.approx(3)
    monkeypatch.undo()
    assert lesson(small_generator(), polishing.MARGIN + 1)[0].loss(inputs) > 0  # the moments
    monkeypatch.setattr(polishing, "MOMENTS", 0.0)
    moved, _ = lesson(small_generator(), polishing.MARGIN + 1)
    with torch.no_grad():
        next(moved.module.parameters()).mul_(2)
    assert moved.loss(inputs) > 0  # what was drawn before


def test_views_vary_from_batch_to_batch() -> None:
    made, recorder = lesson(small_generator(), 0.0)
    for _ in range(60):
        made.loss((torch.randn(2, 10),))
    assert np.mean([view.soft for view in recorder.views]) == pytest.approx(polishing.SOFT, abs=0.2)
    assert np.mean([view.mirrored for view in recorder.views]) == pytest.approx(0.5, abs=0.2)
    assert {view.down for view in recorder.views} == {view.right for view in recorder.views} == set(range(9))


def test_a_signal_ends_it_early_and_keeps_what_was_learnt(taste: Taste, faces: FaceDataset) -> None:
    generator, done = small_generator(), []

    def stop(count: int, total: int) -> None:
        if total == 96:  # faces that are drawn, not real ones that are looked at
            done.append((count, total))
            signal.raise_signal(signal.SIGINT)

    polished = polish(generator, real_faces(faces, 32), taste, Recorder(), kimg=0.1, progress=stop)
    assert done == [(16, 96)]
    assert polished.weights_hash != generator.weights_hash


def test_every_pass_has_a_name_and_an_end(sight: Sight, taste: Taste, faces: FaceDataset) -> None:
    class Passes:
        def __init__(self) -> None:
            self.seen: list[tuple[str, int, int]] = []

        def name(self, title: str) -> None:
            self.seen.append((title, 0, 1))

        def __call__(self, done: int, total: int) -> None:
            self.seen[-1] = (self.seen[-1][0], done, total)

    passes, real = Passes(), real_faces(faces, 32)
    polish(drawing({}), real, taste, sight, kimg=0.032, progress=passes)
    sharp = round(0.3 * len(real))
    assert passes.seen == [
        (f"Looking at {sharp} real faces", sharp, sharp),
        (f"Looking at {len(real) - sharp} real faces, softened", len(real) - sharp, len(real) - sharp),
        ("Polishing", 32, 32),
    ]


def test_the_first_batch_moves_moments_no_more_than_later_ones() -> None:
    moments, gradients = Moments(torch.zeros(2), torch.ones(2)), []
    for _ in range(2):
        x = torch.full((4, 2), 3.0, requires_grad=True)
        moments.loss(x).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_labels_come_as_often_as_in_training_and_the_rate_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = small_generator(**{**ATTRIBUTES, "priors": ((0, 0, 30), (1, 1, 10))})
    torch.manual_seed(0)
    codes = torch.cat([polishing._inputs(generator.header, torch.device("cpu"))[1] for _ in range(40)])
    assert set(map(tuple, codes.tolist())) == {(0, 0), (1, 1)}
    assert (codes[:, 0] == 1).float().mean() == pytest.approx(0.25, abs=0.06)
    rates: list[float] = []
    step = torch.optim.Adam.step
    monkeypatch.setattr(torch.optim.Adam, "step", lambda adam: (rates.append(adam.param_groups[0]["lr"]), step(adam)))
    made, _ = lesson(small_generator(), 0.0)
    polishing._learn(made, 8, None)
    np.testing.assert_allclose(np.array(rates) / polishing.RATE, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize("changes", [{}, ATTRIBUTES], ids=["plain", "labels"])
def test_truncation_pulls_towards_the_mean_style_of_what_was_learnt(
    taste: Taste, faces: FaceDataset, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polishing, "RATE", 0.1)
    generator = small_generator(generator=GeneratorConfig("style", width=4, max_width=16), **changes)
    module = polish(generator, real_faces(faces, 32), taste, Recorder(), kimg=0.1).module
    style = module.base if changes else module
    with torch.no_grad():
        styles = style.mapping(torch.randn(20_000, 10))
    assert (style.w_mean - styles.mean(0)).abs().max() < 0.1 * styles.std()


@pytest.mark.parametrize("kimg", [0, -1, 2000, float("nan")])
def test_lengths_out_of_range_are_refused(kimg: float, sight: Sight, taste: Taste, faces: FaceDataset) -> None:
    with pytest.raises(UserError, match="--kimg is"):
        polish(small_generator(), real_faces(faces, 32), taste, sight, kimg=kimg)


def vote(folder: Path, generator: Generator, count: int, rater: str = "") -> None:
    store = VoteStore(folder, rater)
    for seed in range(count):
        store.cast(generator.face(seed).to_json(), "one", good=seed % 2 == 0)
        store.cast(generator.face(seed).to_json(), "one", good=True, repeat=True)
    store.cast('{"sha256": "' + "0" * 64 + '", "resolution": 32}', "real faces", good=True)


def test_votes_of_all_raters_on_the_named_generators_count(tmp_path: Path) -> None:
    one, two, three = (small_generator(seed) for seed in range(3))
    vote(tmp_path, one, 40)
    vote(tmp_path, two, 20, rater="Ann")
    vote(tmp_path, three, 20)
    store = VoteStore(tmp_path, "Ben")
    store.cast(one.face(0).to_json(), "one", good=False)
    images, kept = rated_faces(tmp_path, [one, two])
    assert len(images) == len(kept) == 60
    seeds = sorted((float(value), int(image.sum())) for value, image in zip(kept, images, strict=True))
    half = [total for value, total in seeds if value == 0.5]
    assert half == [int(one.sample(1).sum())]  # two raters disagree on this one


def test_too_few_votes_or_none_are_refused(tmp_path: Path) -> None:
    generator = small_generator()
    with pytest.raises(UserError, match=r"no ratings\.sqlite"):
        rated_faces(tmp_path, [generator])
    vote(tmp_path, generator, 10)
    with pytest.raises(UserError, match="votes on 10 faces"):
        rated_faces(tmp_path, [generator])
    with pytest.raises(UserError, match="several resolutions"):
        rated_faces(tmp_path, [generator, small_generator(resolution=64)])


def test_votes_that_are_all_alike_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(votes, "FEWEST", 1)
    generator = small_generator()
    vote(tmp_path, generator, 1)
    with pytest.raises(UserError, match="the same share of each face"):
        rated_faces(tmp_path, [generator])


def test_the_command_writes_a_generator_and_refuses_what_it_cannot_do(
    tmp_path: Path, faces: FaceDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = tmp_path / "model.safetensors", tmp_path / "polished.safetensors"
    generator = drawing({})
    generator.save(model)
    vote(tmp_path / "ratings", generator, 50)
    command = ["polish", str(model), "--data", str(faces.path), "--out", str(out), "--kimg", "0.05", "--device", "cpu"]
    assert main([*command, "--ratings", str(tmp_path / "ratings")]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert Generator.load(out).header.origin == generator.weights_hash
    refused = {
        "exists": command,
        "needs the suffix": [*command, "--out", str(tmp_path / "polished.png")],
        "is a folder": [*command, "--out", str(tmp_path / "folder.safetensors")],
        "no ratings.sqlite": [*command, "--overwrite", "--ratings", str(tmp_path / "none")],
        "--rated names generators": [*command, "--overwrite", "--rated", str(model)],
        "Could not write": [*command, "--out", str(model / "below" / "x.safetensors")],
        "cannot be opened": [*command, "--out", "a" * 300 + ".safetensors"],
        "--kimg is 0": [*command, "--overwrite", "--kimg", "0"],
    }
    (tmp_path / "folder.safetensors").mkdir()
    written = out.read_bytes()
    for words, arguments in refused.items():
        assert main(arguments) == 2
        assert words in capsys.readouterr().err
    assert out.read_bytes() == written


def test_a_dataset_with_too_few_faces_is_refused(faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nijigan.polish.polishing.LEAST_REAL", 1000)
    with pytest.raises(UserError, match="at least 1000"):
        real_faces(faces, 32)


def test_a_network_without_layers_of_the_latent_is_refused() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return self.places(latents[:, :3, None, None].expand(-1, -1, 8, 8))

    with pytest.raises(UserError, match="cannot be polished"):
        entrance(Constant(), (torch.randn(2, 4),))
