import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from nijigan.errors import UserError
from nijigan.generator import walks as module
from nijigan.generator.enlarging import enlarge
from nijigan.generator.latents import latents, slerp
from nijigan.generator.walks import walk
from nijigan.recipe.parts import GeneratorConfig, LatentConfig
from small import ATTRIBUTES, small_generator, smooth_generator

QUICK = {"stops": 3, "frames_per_stop": 4, "scale": 1}


@pytest.fixture(scope="module")
def generator():
    return small_generator()


def frames_of(path):
    with Image.open(path) as film:
        frames, durations = [], []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB")))
            durations.append(film.info["duration"])
        return np.stack(frames), durations, film.info["loop"]


def ffmpeg(*arguments):
    return subprocess.run([module._find_ffmpeg(), "-v", "error", *arguments], check=True, capture_output=True).stdout


def decoded(path, height, width):
    raw = ffmpeg("-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


def rendered_frames(generator, monkeypatch, tmp_path, **arguments):
    """The frames as the encoder receives them."""
    kept = []
    monkeypatch.setattr(module, "_write_animation", lambda frames, *_: kept.extend(frames))
    walk(generator, tmp_path / "walk.webp", **arguments)
    return np.stack(kept)


def test_a_walk_visits_the_faces_of_its_seeds(generator, monkeypatch, tmp_path):
    frames = rendered_frames(generator, monkeypatch, tmp_path, **QUICK, seed=5, psi=0.5)
    assert frames.shape == (12, 32, 32, 3)
    stops = generator.sample(3, seed=5, psi=0.5)
    assert np.abs(frames[[0, 4, 8]].astype(int) - stops).max() <= 1
    z = latents([5, 7], 10) * np.float32(0.5)
    half_way_back = generator.synthesise(slerp(z[1:], z[:1], 0.5))[0]
    assert np.abs(frames[10].astype(int) - half_way_back).max() <= 1


@pytest.mark.parametrize("prior", ["normal", "truncated-normal", "uniform", "sphere"])
def test_a_walk_keeps_to_the_prior(monkeypatch, tmp_path, prior):
    generator = small_generator(latent=LatentConfig(size=10, prior=prior))
    frames = rendered_frames(generator, monkeypatch, tmp_path, stops=2, frames_per_stop=2, scale=1, seed=5)
    a, b = latents([5, 6], 10, prior)
    half_way = (a + b) / 2 if prior == "uniform" else slerp(a, b, 0.5)
    expected = generator.synthesise(np.stack([a, half_way, b, half_way]))
    assert np.abs(frames.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("prior", ["uniform", "sphere"])
def test_a_walk_truncates_only_styles(monkeypatch, tmp_path, prior):
    latent = LatentConfig(size=10, prior=prior)
    with pytest.raises(UserError, match="leave psi at 1"):
        walk(small_generator(latent=latent), tmp_path / "walk.webp", **QUICK, psi=0.7)
    styled = small_generator(latent=latent, generator=GeneratorConfig(kind="style", width=4))
    frames = rendered_frames(styled, monkeypatch, tmp_path, **QUICK, seed=5, psi=0.7)
    assert np.abs(frames[[0, 4, 8]].astype(int) - styled.sample(3, seed=5, psi=0.7)).max() <= 1


def test_a_walk_is_a_loop_of_even_steps(generator, monkeypatch, tmp_path):
    frames = rendered_frames(generator, monkeypatch, tmp_path, stops=3, frames_per_stop=40, scale=1)
    steps = [difference(a, b) for a, b in zip(frames, np.roll(frames, -1, axis=0), strict=True)]
    assert max(steps) < 4 * np.median(steps)  # the last step, back to the start, is no jump
    assert min(steps) > 0


def test_sequences_side_by_side_have_different_seeds(generator, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BATCH", 7)  # so that batches end in the middle of a stop
    frames = rendered_frames(generator, monkeypatch, tmp_path, **QUICK, n=2, columns=1, seed=5)
    assert frames.shape == (12, 70, 36, 3)
    stops = generator.sample(6, seed=5)
    for index in range(3):
        assert np.abs(frames[4 * index, 2:34, 2:34].astype(int) - stops[index]).max() <= 1
        assert np.abs(frames[4 * index, 36:68, 2:34].astype(int) - stops[3 + index]).max() <= 1


@pytest.mark.parametrize(("suffix", "loss"), [(".webp", 3), (".gif", 6)])
def test_animations_loop_at_their_speed(tmp_path, suffix, loss):
    generator, done = smooth_generator(), []
    walk(generator, tmp_path / f"walk{suffix}", **QUICK, fps=24, progress=lambda *now: done.append(now))
    frames, durations, loop = frames_of(tmp_path / f"walk{suffix}")
    assert done == [(12, 12)]
    assert frames.shape == (12, 32, 32, 3)
    assert sum(durations) == 500
    assert loop == 0
    assert difference(frames[[0, 4, 8]], generator.sample(3)) < loss


def test_an_mp4_plays(tmp_path):
    generator = smooth_generator()
    walk(generator, tmp_path / "walk.mp4", stops=3, frames_per_stop=4, fps=12, scale=3)
    frames = decoded(tmp_path / "walk.mp4", 96, 96)
    assert len(frames) == 12
    assert difference(frames[[0, 4, 8]], enlarge(generator.sample(3), 3)) < 3
    content = (tmp_path / "walk.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # can play before it is fully downloaded


@pytest.mark.parametrize(("n", "columns", "size"), [(3, 3, (36, 104)), (2, 1, (70, 36))])
def test_an_mp4_of_a_grid_has_even_sides(generator, tmp_path, n, columns, size):
    walk(generator, tmp_path / "walk.mp4", stops=2, frames_per_stop=1, n=n, columns=columns, scale=1)
    assert len(decoded(tmp_path / "walk.mp4", *size)) == 2


def test_odd_sides_are_padded_with_their_edge():
    frame = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    even = module._even(frame)
    assert even.shape == (4, 6, 3)
    np.testing.assert_array_equal(even[:3, :5], frame)
    np.testing.assert_array_equal(even[3, :5], frame[2])
    np.testing.assert_array_equal(even[:, 5], even[:, 4])


def test_without_ffmpeg_the_error_names_the_alternatives(generator, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"ffmpeg.*imageio-ffmpeg.*\.webp"):
        walk(generator, tmp_path / "walk.mp4", **QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "script", ["echo 'No such codec' >&2; exit 1", "cat > /dev/null; echo 'No such codec' >&2; exit 1"]
)
def test_a_failing_ffmpeg_is_a_user_error(generator, tmp_path, monkeypatch, script):
    """Both if it fails before it has read the frames and if it fails afterwards."""
    fake = tmp_path / "ffmpeg"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    with pytest.raises(UserError, match="No such codec"):
        walk(generator, tmp_path / "walk.mp4", stops=3, frames_per_stop=40)
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.parametrize(
    ("out", "arguments", "sentence"),
    [
        ("walk.avi", {}, r"\.webp, \.gif or \.mp4"),
        ("walk", {}, r"\.webp, \.gif or \.mp4"),
        ("walk.webp", {"stops": 1}, "2 stops"),
        ("walk.webp", {"frames_per_stop": 0}, "choose 1 to 10,000"),
        ("walk.mp4", {"frames_per_stop": 10**30}, "choose 1 to 10,000"),
        ("walk.mp4", {"stops": 10**30}, "at most 5,000"),
        ("walk.webp", {"fps": 0}, "out of range"),
        ("walk.webp", {"fps": 2.5}, "fps must be an integer"),
        ("walk.webp", {"stops": "8"}, "stops must be an integer"),
        ("walk.gif", {"fps": 60}, "1 to 50"),
        ("walk.webp", {"n": 0}, "number of sequences must be 1 or more"),
        ("walk.webp", {"seed": 2**63 - 2}, "seed"),
        ("walk.webp", {"psi": -1.0}, "psi"),
        ("walk.webp", {"scale": 0}, "scale"),
        ("walk.webp", {"columns": 0}, "columns"),
        ("walk.webp", {"n": 1000, "stops": 2, "scale": 16}, "too large"),
        ("walk.webp", {"n": 10**30}, "at most 5,000"),
        ("walk.webp", {"stops": 5000, "frames_per_stop": 100}, r"an \.mp4"),
        ("walk.webp", {"seeds": [1, 2]}, "1 sequences of 8 stops need 8 seeds, not 2"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_generated(
    generator, tmp_path, monkeypatch, out, arguments, sentence
):
    monkeypatch.setattr(generator, "synthesise", lambda *_: pytest.fail("something was generated"))
    with pytest.raises(UserError, match=sentence):
        walk(generator, tmp_path / out, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_sequence_keeps_the_attributes_of_its_first_face(monkeypatch, tmp_path):
    generator = small_generator(**ATTRIBUTES)
    frames = rendered_frames(
        generator, monkeypatch, tmp_path, stops=3, frames_per_stop=2, scale=1, seed=5, attributes={"hair": "red"}
    )
    codes = np.tile(generator.codes([5], hair="red"), (3, 1))
    np.testing.assert_array_equal(np.stack(frames[::2]), generator.synthesise(latents(range(5, 8), 10), codes))


def test_a_walk_visits_chosen_seeds_more_than_once_if_asked(generator, monkeypatch, tmp_path):
    frames = rendered_frames(generator, monkeypatch, tmp_path, stops=3, frames_per_stop=1, scale=1, seeds=[9, 2, 9])
    np.testing.assert_array_equal(frames[0], frames[2])
    np.testing.assert_array_equal(frames[1], generator.sample(1, seed=2)[0])


@pytest.mark.parametrize("suffix", [".webp", ".gif", ".mp4"])
def test_a_walk_replaces_only_a_film_of_nijigan(tmp_path, suffix):
    path, quick = tmp_path / f"walk{suffix}", {"stops": 2, "frames_per_stop": 1, "scale": 1}
    walk(smooth_generator(), path, **quick)
    first = path.read_bytes()
    walk(smooth_generator(), path, **quick, seed=5)
    assert path.read_bytes() != first
    path.write_bytes(b"holiday")
    with pytest.raises(UserError, match=r"not written by nijigan.*--overwrite"):
        walk(smooth_generator(), path, **quick)
    assert path.read_bytes() == b"holiday"
    walk(smooth_generator(), path, **quick, overwrite=True)
    assert path.read_bytes() == first
