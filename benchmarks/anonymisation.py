"""How well faces are blurred on real pictures: what the detector finds before and after.

    python benchmarks/anonymisation.py IMAGES MODELS [--threshold 0.6] [--out FOLDER]

IMAGES is a folder of pictures, MODELS one that holds the YuNet model. The faces left are counted
in the encoded bytes, at the threshold used and at a lower one, which says how near they are.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import NotAnonymised, UnreadableImage
from pipeline.records import BoundingBox
from services.detection.anonymisation import anonymise
from services.detection.detector import DecodedImage
from services.detection.models import find_model
from services.detection.pixels import Pixels, decode_pixels
from services.detection.yunet import SCORE_THRESHOLD, YuNet

LOWER_THRESHOLD = 0.3
EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}


@dataclass
class Tally:
    images: int = 0
    unreadable: int = 0
    faces: int = 0
    blurred: int = 0
    faces_left: int = 0
    faces_left_lower: int = 0
    not_anonymised: list[str] = field(default_factory=list)
    rounds: Counter[int] = field(default_factory=Counter)
    find_s: float = 0.0
    anonymise_s: float = 0.0


def read_images(folder: Path) -> Iterator[tuple[Path, Pixels | None]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in EXTENSIONS:
            try:
                yield path, decode_pixels(path.read_bytes())
            except UnreadableImage:
                yield path, None


def find_boxes(detector: YuNet, pixels: Pixels) -> list[BoundingBox]:
    return [face.box for face in detector.detect([DecodedImage(pixels)])[0]]


def measure(folder: Path, models: Path, threshold: float, out: Path | None) -> Tally:
    model = find_model("yunet", models, models)
    detector, lower = YuNet(model, threshold), YuNet(model, LOWER_THRESHOLD)
    tally = Tally()
    for path, pixels in read_images(folder):
        tally.images += 1
        if pixels is None:
            tally.unreadable += 1
            continue
        started = time.perf_counter()
        faces = find_boxes(detector, pixels)
        found = time.perf_counter()
        tally.faces += len(faces)
        tally.find_s += found - started
        try:
            anonymised = anonymise(pixels, faces, lambda image: find_boxes(detector, image))
        except NotAnonymised as error:
            tally.not_anonymised.append(f"{path.name}: {error}")
            continue
        tally.anonymise_s += time.perf_counter() - found
        tally.blurred += anonymised.blurred
        tally.rounds[anonymised.rounds] += 1
        tally.faces_left += len(find_boxes(detector, anonymised.pixels))
        tally.faces_left_lower += len(find_boxes(lower, anonymised.pixels))
        if out:
            out.mkdir(parents=True, exist_ok=True)
            (out / f"{path.stem}.jpg").write_bytes(anonymised.jpeg)
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("models", type=Path)
    parser.add_argument("--threshold", type=float, default=SCORE_THRESHOLD)
    parser.add_argument("--out", type=Path, help="where the blurred pictures are written")
    arguments = parser.parse_args()
    tally = measure(arguments.images, arguments.models, arguments.threshold, arguments.out)
    read = max(1, tally.images - tally.unreadable)
    rows = {
        "images": f"{tally.images} ({tally.unreadable} unreadable)",
        f"faces found at {arguments.threshold}": tally.faces,
        "regions blurred": tally.blurred,
        "faces still found": tally.faces_left,
        f"faces still found at {LOWER_THRESHOLD}": tally.faces_left_lower,
        "images by rounds": dict(sorted(tally.rounds.items())),
        "not anonymised": tally.not_anonymised or 0,
        "ms per image, finding": round(1000 * tally.find_s / read, 1),
        "ms per image, blurring and checking": round(1000 * tally.anonymise_s / read, 1),
    }
    for name, value in rows.items():
        print(f"{name:36} {value}")  # noqa: T201


if __name__ == "__main__":
    main()
