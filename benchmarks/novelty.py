"""Near-duplicates on simulated streets: is noise alone dropped, and a new vehicle kept?

    python benchmarks/novelty.py [--pairs 200] [--images FOLDER]

Prints both shares by night and by day, and what the perceptual hash would do alone. With FOLDER,
the frames of one fixed camera in the order of their names' numbers: which of them would be kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from pipeline.decoding import (
    DecodeLimits,
    measure_conditions,
    read_header,
    reduced_grey,
)
from pipeline.hashing import distance, perceptual_hash
from pipeline.looks import Look
from pipeline.novelty import find_near_duplicate
from pipeline.thumbnails import thumbnail
from services.simulation.drawing import draw
from services.simulation.geometry import build_camera
from services.simulation.scene import PAINTS, TRAFFIC, Item, Scene, build_scene
from services.simulation.truth import find_objects

CITY_SEED, CAMERAS = 7, 8
MAX_DISTANCE = 3  # bits, a camera's default
RECENT = 4
NEAREST_M, FARTHEST_M = 11.0, 95.0


@dataclass(frozen=True)
class Trial:
    """Three looks at one street: before, again with other noise, and with one more vehicle."""

    before: Look
    again: Look
    with_vehicle: Look


def look_at(data: bytes, name: str = "") -> Look:
    grey = reduced_grey(data, read_header(data, DecodeLimits()))
    return Look(name, perceptual_hash(grey), thumbnail(grey), measure_conditions(grey))


def photograph(scene: Scene, noise_seed: int, quality: int) -> Look:
    buffer = BytesIO()
    draw(scene, noise_seed=noise_seed).save(buffer, "JPEG", quality=quality)
    return look_at(buffer.getvalue())


def add_vehicle(scene: Scene, rng: np.random.Generator) -> Scene:
    """`scene` and one more vehicle that can be seen, in any lane, near or far."""
    lanes = [side * (1.6 + 3.2 * lane) for side in (-1, 1) for lane in range(scene.camera.lanes)]
    while True:
        x_m = float(rng.choice(lanes))
        item = Item(
            label=str(rng.choice(TRAFFIC)),
            x_m=x_m,
            z_m=float(np.exp(rng.uniform(np.log(NEAREST_M), np.log(FARTHEST_M)))),
            heading=1 if x_m > 0 else -1,
            colour=PAINTS[int(rng.integers(len(PAINTS)))],
            style=int(rng.integers(6)),
        )
        fuller = dataclasses.replace(scene, objects=(*scene.objects, item))
        if len(find_objects(fuller)) > len(find_objects(scene)):
            return fuller


def make_trials(count: int, *, night: bool) -> Iterator[Trial]:
    rng = np.random.default_rng(1)
    for number in range(count):
        camera = build_camera(CITY_SEED, 1 + number % CAMERAS)
        scene = build_scene(camera, int(rng.integers(1000)), night=night)
        quality = int(rng.integers(60, 91))
        yield Trial(
            before=photograph(scene, 2 * number, quality),
            again=photograph(scene, 2 * number + 1, quality),
            with_vehicle=photograph(add_vehicle(scene, rng), 2 * number + 1, quality),
        )


def report_trials(trials: Sequence[Trial], light: str) -> None:
    dropped = [bool(find_near_duplicate(t.again, [t.before], MAX_DISTANCE)) for t in trials]
    kept = [not find_near_duplicate(t.with_vehicle, [t.before], MAX_DISTANCE) for t in trials]
    bits = np.array(
        [[distance(t.before.phash, o.phash) for o in (t.again, t.with_vehicle)] for t in trials]
    )
    print(  # noqa: T201
        f"{light}, {len(trials)} pairs each: noise alone dropped {np.mean(dropped):.1%}, "
        f"new vehicle kept {np.mean(kept):.1%} (hash alone: "
        f"{np.mean(bits[:, 0] <= MAX_DISTANCE):.1%}, {np.mean(bits[:, 1] > MAX_DISTANCE):.1%})"
    )


def report_frames(folder: Path) -> None:
    """One camera's frames, each against the last four kept."""
    paths = [path for path in folder.iterdir() if re.search(r"\d", path.stem)]
    recent: list[Look] = []
    dropped: list[str] = []
    for path in sorted(paths, key=lambda path: int(re.findall(r"\d+", path.stem)[-1])):
        look = look_at(path.read_bytes(), path.name)
        like = find_near_duplicate(look, recent, MAX_DISTANCE)
        if like is None:
            recent = [look, *recent][:RECENT]
        else:
            dropped.append(f"{path.name}: {like.reason} since {like.image_id}")
    print(f"{folder.name}: {len(dropped)} of {len(paths)} dropped", *dropped, sep="\n  ")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--images", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    for light in ("night", "day"):
        pairs = options.pairs if light == "night" else options.pairs // 2
        report_trials(list(make_trials(pairs, night=light == "night")), light)
    if options.images:
        report_frames(options.images)


if __name__ == "__main__":
    main()
