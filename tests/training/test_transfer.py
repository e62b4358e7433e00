"""Runs that start from another run's networks: what they know on their first day, and what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nijigan.dataset.faces import FaceDataset
from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.latents import latents
from nijigan.recipe.parts import ConditionConfig, DiscriminatorConfig, GeneratorConfig
from nijigan.recipe.recipe import Recipe
from nijigan.training import resume, train
from nijigan.training.checkpoint import load_checkpoint
from nijigan.training.dry_run import plan
from nijigan.training.rounds import Rounds
from nijigan.training.state import TrainingState
from nijigan.training.transfer.start import load_networks

CPU = torch.device("cpu")
HAIR = {"hair": ("black", "blue", "red"), "eyes": ("green", "red")}
NETWORKS = {
    "dcgan": GeneratorConfig(width=4, max_width=8),
    "resnet": GeneratorConfig("resnet", width=4, max_width=8),
    "r3": GeneratorConfig("r3", width=8, max_width=8),
    "style": GeneratorConfig("style", width=4, max_width=8),
}


@pytest.fixture
def run(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> Path:
    return train(tiny, faces, tmp_path / "origin", device="cpu")


def conditional(recipe: Recipe) -> Recipe:
    return replace(recipe, attributes=("hair", "eyes"), condition=ConditionConfig("acgan"))


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_generator_with_attributes_draws_at_first_what_the_one_without_drew(
    kind: str, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    recipe = replace(tiny, generator=NETWORKS[kind], kimg=0.1)
    run = train(recipe, faces, tmp_path / "origin", device="cpu")
    known = TrainingState.start(recipe, CPU, {})
    load_networks(known, recipe, {}, run)
    torch.manual_seed(1)
    grown = TrainingState.start(conditional(recipe), CPU, HAIR)
    load_networks(grown, conditional(recipe), HAIR, run)
    z = torch.from_numpy(latents(range(6), recipe.latent.size))
    codes = torch.tensor([[0, 0], [1, -1], [2, 1], [-1, -1], [0, 1], [2, 0]])
    with torch.no_grad():
        for old, new in ((known.generator, grown.generator), (known.ema.module, grown.ema.module)):
            old.eval(), new.eval()
            assert torch.allclose(old(z), new(z, codes), atol=1e-6)
        images = torch.rand(6, 3, 16, 16) * 2 - 1
        old, new = known.discriminator.eval(), grown.discriminator.eval()
        assert torch.allclose(old(images).logits, new(images, codes).logits, atol=1e-6)


def test_what_was_learnt_is_taken_over_and_the_clock_is_not(run: Path, tiny: Recipe) -> None:
    state, fresh = TrainingState.start(tiny, CPU, {}), TrainingState.start(tiny, CPU, {})
    load_networks(state, tiny, {}, run)
    again = TrainingState.start(tiny, CPU, {})
    load_networks(again, tiny, {}, run)
    for name, value in weights(state.discriminator).items():
        assert torch.equal(value, again.discriminator.state_dict()[name])
    assert any(not torch.equal(v, fresh.generator.state_dict()[n]) for n, v in weights(state.generator).items())
    assert (state.images, state.search.images) == (0, 0)
    assert all(not moment.any() for s in state.g_optimizer.state.values() for moment in s.values())


def test_parts_that_know_attributes_are_taken_over_where_those_are_the_same(
    tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    recipe = conditional(tiny)
    run = train(recipe, faces, tmp_path / "origin", device="cpu")
    hair, eyes = (tuple(faces.attributes[name]) for name in ("hair", "eyes"))
    origin = load_checkpoint(run / "checkpoints")[0]
    hair_of, eyes_of = origin["ema.embeddings.0.weight"], origin["ema.embeddings.1.weight"]
    for attributes, expected in (
        ({"hair": hair, "eyes": eyes}, (hair_of, eyes_of)),
        ({"eyes": eyes, "hair": hair}, (eyes_of, hair_of)),  # each finds its own
        ({"hair": hair[::-1], "eyes": eyes}, (None, eyes_of)),  # the same number of values, but others
        ({"mouth": hair, "eyes": eyes}, (None, eyes_of)),
    ):
        torch.manual_seed(5)
        state = TrainingState.start(recipe, CPU, attributes)
        new = weights(state.ema.module)
        load_networks(state, recipe, attributes, run)
        for place, table in enumerate(expected):
            name = f"embeddings.{place}.weight"
            assert torch.equal(state.ema.module.state_dict()[name], new[name] if table is None else table)
        assert torch.equal(state.discriminator.state_dict()["heads.1.bias"], learnt_bias(origin, list(attributes)[1]))


def learnt_bias(origin: dict[str, torch.Tensor], attribute: str) -> torch.Tensor:
    return origin[f"discriminator.heads.{('hair', 'eyes').index(attribute)}.bias"]


def test_another_kind_of_condition_starts_anew(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    run = train(conditional(tiny), faces, tmp_path / "origin", device="cpu")
    recipe = replace(conditional(tiny), condition=ConditionConfig("projection"))
    attributes = {name: tuple(faces.attributes[name]) for name in ("hair", "eyes")}
    state = TrainingState.start(recipe, CPU, attributes)
    new = weights(state.discriminator)
    load_networks(state, recipe, attributes, run)
    assert torch.equal(state.discriminator.state_dict()["heads.0.weight"], new["heads.0.weight"])
    origin = load_checkpoint(run / "checkpoints")[0]
    assert torch.equal(state.generator.state_dict()["embeddings.0.weight"], origin["generator.embeddings.0.weight"])


def test_a_run_that_starts_from_another_resumes_exactly(
    run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = train(conditional(tiny), faces, tmp_path / "straight", start_from=run, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):  # in its first round
            train(conditional(tiny), faces, tmp_path / "parts", start_from=run, device="cpu")
    started = Generator.load(run).weights_hash
    run.rename(tmp_path / "elsewhere")  # it is not needed any more
    parts = resume(tmp_path / "parts", device="cpu")
    assert (straight / "last.safetensors").read_bytes() == (parts / "last.safetensors").read_bytes()
    assert Generator.load(parts).header.origin == started
    assert Generator.load(tmp_path / "elsewhere").header.origin == ""


def test_the_origin_is_the_last_generator_and_not_the_best(run: Path, tiny: Recipe) -> None:
    last = Generator.load(run)
    other = TrainingState.start(tiny, CPU, {})
    Generator(other.ema.module, last.header).save(run / "best.safetensors")
    assert Generator.load(run).weights_hash != last.weights_hash
    load_networks(other, tiny, {}, run)
    assert other.origin == last.weights_hash


@pytest.mark.parametrize("modulated", [False, True])
def test_a_generator_without_attributes_draws_at_first_what_the_other_drew_for_unknown_ones(
    modulated: bool, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    recipe = replace(tiny, generator=replace(NETWORKS["resnet"], modulated=modulated), kimg=0.1)
    run = train(conditional(recipe), faces, tmp_path / "origin", device="cpu")
    attributes = Generator.load(run).header.attributes
    known = TrainingState.start(conditional(recipe), CPU, attributes)
    load_networks(known, conditional(recipe), attributes, run)
    plain = TrainingState.start(recipe, CPU, {})
    load_networks(plain, recipe, {}, run)
    z, codes = torch.from_numpy(latents(range(6), recipe.latent.size)), torch.full((6, 2), -1)
    images = torch.rand(6, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        for old, new in ((known.generator, plain.generator), (known.ema.module, plain.ema.module)):
            torch.testing.assert_close(new.eval()(z), old.eval()(z, codes), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            plain.discriminator.eval()(images).logits, known.discriminator.eval()(images, codes).logits
        )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": {"width": 8}}, "start from it with --generator.width 4"),
        ({"generator": {"output": "sigmoid"}}, "generator.output tanh"),
        ({"generator": {"activation": "leaky"}}, "generator.activation relu"),
        ({"discriminator": {"depth": 2}}, "discriminator.depth 1"),
        ({"latent": {"prior": "uniform"}}, "latent.prior normal"),
        ({"latent": {"size": 16}}, "latent.size 8"),
        (
            {"generator": {"width": 8, "max_width": 64}, "discriminator": {"depth": 2}},
            r"with --generator.width 4 --generator.max-width \d+ --discriminator.depth 1\.",
        ),
        ({"resolution": 32}, "with --resolution 16"),
    ],
)
def test_other_networks_are_refused(
    changes: dict, words: str, run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    parts = {name: replace(getattr(tiny, name), **v) if isinstance(v, dict) else v for name, v in changes.items()}
    with pytest.raises(UserError, match=words):
        train(replace(tiny, **parts), faces, tmp_path / "new", start_from=run, device="cpu")
    with pytest.raises(UserError, match=words):
        plan(replace(tiny, **parts), faces, "cpu", start_from=run)
    train(tiny, faces, tmp_path / "new", start_from=run, device="cpu")  # no run was left there


def test_what_is_no_run_is_refused(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    for place in ("nowhere", "last.safetensors"):
        with pytest.raises(UserError, match=f"no run to start from in .*{place}"):
            train(tiny, faces, tmp_path / "new", start_from=tmp_path / place, device="cpu")
    run = train(conditional(tiny), faces, tmp_path / "asked", device="cpu")
    with pytest.raises(UserError, match=r"is conditional.*choose --condition\.kind"):
        train(tiny, faces, tmp_path / "new", start_from=run, device="cpu")
    for checkpoint in (run / "checkpoints").iterdir():
        checkpoint.write_bytes(b"")
    with pytest.raises(UserError, match="asked cannot be started from"):
        train(conditional(tiny), faces, tmp_path / "new", start_from=run, device="cpu")


def test_the_callers_random_numbers_are_left_alone(run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    train(tiny, faces, tmp_path / "new", start_from=run, device="cpu")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("start", ["typo", "other", "same"])
def test_overwriting_deletes_nothing_before_the_start_is_known_to_fit(
    start: str, run: Path, tiny: Recipe, faces: FaceDataset, tmp_path: Path
) -> None:
    out = train(tiny, faces, tmp_path / "out", device="cpu")
    before = load_checkpoint(out / "checkpoints")
    if start == "same":  # a run may start again from its own networks
        train(replace(tiny, kimg=0.2), faces, out, start_from=out, device="cpu", overwrite=True)
        assert Generator.load(out).header.origin != ""
        return
    source = tmp_path / "typo"
    if start == "other":
        source = train(replace(tiny, resolution=32), faces, tmp_path / "other", device="cpu")
    with pytest.raises(UserError, match="no run to start from|resolution 32"):
        train(tiny, faces, out, start_from=source, device="cpu", overwrite=True)
    after = load_checkpoint(out / "checkpoints")
    assert before is not None
    assert after is not None
    assert after[1] == before[1]
    assert (out / "last.safetensors").is_file()


@pytest.mark.parametrize("kind", ["dcgan", "resnet", "r3"])
def test_frozen_layers_stay_and_the_others_learn(kind: str, tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    recipe = replace(tiny, discriminator=DiscriminatorConfig(kind, width=8, max_width=8, norm="none"), kimg=0.1)
    run = train(recipe, faces, tmp_path / "origin", device="cpu")
    frozen = replace(recipe, discriminator=replace(recipe.discriminator, frozen=2))
    started = train(frozen, faces, tmp_path / "frozen", start_from=run, device="cpu")
    before, after = (load_checkpoint(folder / "checkpoints")[0] for folder in (run, started))
    module = TrainingState.start(recipe, CPU, {}).discriminator
    weighted = [str(place) for place, layer in enumerate(module.layers) if list(layer.parameters())]
    changed = {n.split(".")[2] for n in before if n.startswith("discriminator.layers.")
               and not torch.equal(before[n], after[n])}  # fmt: skip
    assert changed == set(weighted[2:])
    assert any(not torch.equal(before[n], after[n]) for n in before if n.startswith("generator."))


def test_layers_are_frozen_only_as_another_run_left_them(tiny: Recipe, faces: FaceDataset, tmp_path: Path) -> None:
    recipe = replace(tiny, discriminator=replace(tiny.discriminator, frozen=1))
    with pytest.raises(UserError, match="name that run with --start-from"):
        train(recipe, faces, tmp_path / "new", device="cpu")
    assert not (tmp_path / "new").exists()
    run = train(tiny, faces, tmp_path / "origin", device="cpu")
    recipe = replace(tiny, discriminator=replace(tiny.discriminator, frozen=30))
    with pytest.raises(UserError, match="of which the last must learn; choose at most"):
        train(recipe, faces, tmp_path / "new", start_from=run, device="cpu")
