"""The engine: a face is the same in every batch, requests share batches, and mistakes stay with their request."""

import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest

from nijigan.errors import UserError
from nijigan.generator.generator import Generator
from nijigan.generator.latents import latents
from nijigan.recipe.parts import GeneratorConfig
from nijigan.studio.drawing import MOST_TOGETHER, SHARE, Engine
from nijigan.studio.models import Model, open_models, split_runs
from small import small_generator
from studio_server import small_models

MODELS, (HAIR, PLAIN) = small_models()
FILE = Path(__file__)


class Held:
    """A generator that waits before each batch until it is told to go on, and remembers what it was asked for."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.batches: list[tuple[int, float]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._generator, name)

    def synthesise(self, latents: np.ndarray, codes: np.ndarray, *, psi: float) -> np.ndarray:
        self.batches.append((len(latents), psi))
        self.begun.set()
        assert self.go.wait(30)
        if (latents[:, 0] == 666).any():
            raise UserError("A pixel is no number.")
        return self._generator.synthesise(latents, codes, psi=psi)


def work(generator: Generator, seeds: range, psi: float = 1.0) -> tuple[np.ndarray, np.ndarray, float]:
    return latents(seeds, generator.header.latent.size), generator.codes(seeds), psi


def wait_for(event: threading.Event) -> None:
    assert event.wait(30)


@pytest.mark.parametrize("generator", [MODELS[0].generator, HAIR], ids=["onnxruntime", "torch"])
def test_a_face_is_the_same_in_every_batch(generator: Generator) -> None:
    alone = np.concatenate([generator.sample(1, seed=seed) for seed in range(40)]).astype(int)
    for size in (2, 3, 8, 40):
        together = np.concatenate([generator.sample(size, seed=seed) for seed in range(0, 40, size)])[:40]
        assert np.abs(together - alone).max() <= 1
    engine = Engine(generator)
    futures = [engine.draw(*work(generator, range(seed, seed + 5))) for seed in range(0, 40, 5)]
    drawn = np.concatenate([future.result(30) for future in futures])
    assert np.abs(drawn - alone).max() <= 1
    engine.close()


def test_requests_that_wait_share_batches_in_turn() -> None:
    held, counted = Held(PLAIN), []
    engine = Engine(held, after_batch=counted.append)  # type: ignore[arg-type]
    first = engine.draw(*work(PLAIN, range(1)))
    wait_for(held.begun)
    large = engine.draw(*work(PLAIN, range(100)))
    others = [engine.draw(*work(PLAIN, range(seed, seed + 3), 0.5)) for seed in range(7)]
    held.go.set()
    np.testing.assert_array_equal(first.result(30), PLAIN.sample(1))
    for seed, future in enumerate(others):
        assert np.abs(future.result(30).astype(int) - PLAIN.sample(3, seed=seed, psi=0.5)).max() <= 1
    assert np.abs(large.result(30).astype(int) - PLAIN.sample(100)).max() <= 1
    engine.close()
    # ψ scales the latents of this network, so that requests with different ψ are drawn together.
    assert [size for size, _ in held.batches[:3]] == [1, SHARE + 7 * 3, MOST_TOGETHER]
    assert all(psi == 1 for _, psi in held.batches)
    assert sum(counted) == sum(size for size, _ in held.batches) == 1 + 100 + 7 * 3


def test_small_requests_are_drawn_in_their_order() -> None:
    held, done = Held(PLAIN), []
    engine = Engine(held)  # type: ignore[arg-type]
    engine.draw(*work(PLAIN, range(1)))
    wait_for(held.begun)
    futures = [engine.draw(*work(PLAIN, range(20))) for _ in range(5)]
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: done.append(number))
    held.go.set()
    for future in futures:
        assert np.abs(future.result(30).astype(int) - PLAIN.sample(20)).max() <= 1
    engine.close()
    assert done == [0, 1, 2, 3, 4]
    assert [size for size, _ in held.batches] == [1, 32, 32, 32, 4]


def test_without_batching_one_request_is_drawn_after_the_other() -> None:
    held = Held(PLAIN)
    held.go.set()
    engine = Engine(held, batching=False)  # type: ignore[arg-type]
    futures = [engine.draw(*work(PLAIN, range(n))) for n in (1, 50, 3)]
    assert [len(future.result(30)) for future in futures] == [1, 50, 3]
    assert [size for size, _ in held.batches] == [1, 50, 3]
    engine.close()


def test_truncation_of_styles_divides_batches() -> None:
    styled = small_generator(generator=GeneratorConfig(kind="style", width=4))
    held = Held(styled)
    engine = Engine(held)  # type: ignore[arg-type]
    engine.draw(*work(styled, range(1)))
    wait_for(held.begun)
    futures = {
        (seed, psi): engine.draw(*work(styled, range(seed, seed + 1), psi)) for seed in (5, 6) for psi in (0.5, 1)
    }
    held.go.set()
    for (seed, psi), future in futures.items():
        assert np.abs(future.result(30).astype(int) - styled.sample(1, seed=seed, psi=psi)).max() <= 1
    assert held.batches == [(1, 1.0), (2, 0.5), (2, 1.0)]
    engine.close()


def test_one_request_does_not_spoil_the_others() -> None:
    held = Held(PLAIN)
    engine = Engine(held)  # type: ignore[arg-type]
    engine.draw(*work(PLAIN, range(1)))
    wait_for(held.begun)
    bad, codes, _ = work(PLAIN, range(20))
    bad[3, 0] = 666
    spoilt = engine.draw(bad, codes, 1.0)
    good = engine.draw(*work(PLAIN, range(2)))
    held.go.set()
    with pytest.raises(UserError, match="no number"):
        spoilt.result(30)
    assert len(good.result(30)) == 2
    assert len(engine.draw(*work(PLAIN, range(2))).result(30)) == 2
    engine.close()
    with pytest.raises(UserError, match="psi is 3"):
        engine.draw(bad, codes, 3.0)


def test_what_is_withdrawn_is_not_drawn() -> None:
    held = Held(PLAIN)
    engine = Engine(held)  # type: ignore[arg-type]
    begun = engine.draw(*work(PLAIN, range(100)))
    wait_for(held.begun)
    waiting = engine.draw(*work(PLAIN, range(7)))
    assert begun.cancel()
    assert waiting.cancel()
    last = engine.draw(*work(PLAIN, range(2)))
    held.go.set()
    assert len(last.result(30)) == 2
    assert [size for size, _ in held.batches] == [MOST_TOGETHER, 2]
    engine.close()


def test_closing_withdraws_what_waits() -> None:
    held = Held(PLAIN)
    engine = Engine(held)  # type: ignore[arg-type]
    engine.draw(*work(PLAIN, range(1)))
    wait_for(held.begun)
    waiting = engine.draw(*work(PLAIN, range(2)))
    threading.Timer(0.1, held.go.set).start()
    start = time.monotonic()
    engine.close()
    assert time.monotonic() - start < 5
    with pytest.raises(CancelledError):
        waiting.result(0)
    with pytest.raises(RuntimeError):
        engine.draw(*work(PLAIN, range(2)))


def test_the_packaged_generator_is_served_as_it_is() -> None:
    (model,) = open_models()
    assert isinstance(model, Model)
    assert model.name == "default"
    assert model.file is not None
    assert model.description["bytes"] == len(model.file)


def test_models_of_the_same_name_get_different_ones(tmp_path: Path) -> None:
    places = []
    for seed, folder in enumerate(("a", "b", "runs/c d")):
        place = tmp_path / folder / ("best.safetensors" if "c d" in folder else "face.safetensors")
        place.parent.mkdir(parents=True)
        small_generator(seed).save(place)
        places.append(str(place))
    assert [model.name for model in open_models(places, onnx=False)] == ["face", "face-2", "c_d"]
    assert open_models([str(tmp_path / "runs" / "c d")], onnx=False)[0].name == "c_d"


def test_a_run_has_one_name_as_a_model_and_on_its_live_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, folder in enumerate(("a/run", "b/run", "二次元", "parent/inner")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "recipe.json").touch()
        if folder != "a/run":  # it trains, and has no generator yet
            small_generator(seed).save(tmp_path / folder / "last.safetensors")
    monkeypatch.chdir(tmp_path / "parent" / "inner")
    drawing, runs = split_runs([str(tmp_path / "a" / "run"), str(tmp_path / "b" / "run"), "../../二次元", "."])
    assert list(runs) == ["run", "run-2", "二次元", "inner"]
    models = open_models(drawing, onnx=False)
    assert [model.name for model in models] == ["run-2", "二次元", "inner"]
    assert models[0].weights == Generator.load(tmp_path / "b" / "run").weights_hash
    assert list(split_runs([".."])[0]) == ["parent"]
    with pytest.raises(UserError, match="too long"):
        split_runs(["a" * 5000])
