"""The resolutions of the networks: 4, 5, 6 or 7 times a power of two."""


def base_resolution(resolution: int) -> int | None:
    """The base, 4 to 7, such that `resolution` is the base times a power of two; None if there is none."""
    base = resolution
    while base > 7 and base % 2 == 0:
        base //= 2
    return base if 4 <= base <= 7 else None


def nearest_resolutions(resolution: int) -> list[int]:
    """The nearest allowed resolutions below and above `resolution`."""
    allowed = sorted(base << k for base in (4, 5, 6, 7) for k in range(1, 9) if 8 <= base << k <= 1024)
    below = [r for r in allowed if r < resolution][-1:]
    above = [r for r in allowed if r > resolution][:1]
    return below + above
