"""What stands and moves in a street: a pure function of the camera and the frame's number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.simulation.geometry import Camera, Colour

NEAREST_M, FARTHEST_M = 9.0, 95.0
CROSSING_M = 19.0  # where people cross the road
QUIET_FRAMES = 6  # a street stays quiet for so many frames

PAINTS: tuple[Colour, ...] = (
    (232, 232, 230),
    (38, 40, 44),
    (122, 126, 130),
    (176, 180, 184),
    (150, 28, 30),
    (34, 62, 120),
    (70, 92, 78),
    (196, 160, 96),
    (214, 92, 40),
)
CLOTHES: tuple[Colour, ...] = (
    (40, 44, 58),
    (160, 44, 48),
    (222, 218, 206),
    (64, 92, 130),
    (92, 112, 80),
    (196, 154, 60),
    (110, 76, 116),
    (34, 34, 36),
)


@dataclass(frozen=True)
class Item:
    """One thing in the street; `label` is COCO's. A bicycle and a motorcycle carry a person."""

    label: str
    x_m: float
    z_m: float
    heading: int  # 1 drives away from the camera, -1 towards it; 0 crosses the road
    colour: Colour
    style: int = 0  # 0 to 5: build, hair, kind of car
    parked: bool = False


@dataclass(frozen=True)
class Scene:
    """A camera's street at one moment; with no objects, the bare street."""

    camera: Camera
    night: bool
    objects: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Lane:
    """A line that things move along, one per slot, all at the same pace."""

    x_m: float
    heading: int
    slot_m: float
    step_m: float  # per frame
    busy: float  # share of the slots that are taken
    labels: tuple[str, ...]
    swing_m: float = 0.2  # how far from the line


TRAFFIC = ("car",) * 11 + ("bus", "truck", "truck", "motorcycle", "motorcycle")


def build_scene(camera: Camera, frame: int, *, night: bool) -> Scene:
    """The scene of `camera` at frame number `frame` (any integer; neighbours follow on)."""
    parked = park_cars(camera)
    if _is_quiet(camera, frame):
        return Scene(camera, night, parked)
    moving = [
        item
        for number, lane in enumerate(_lanes(camera, night))
        for item in _fill(camera, number, lane, frame)
    ]
    crossing = [
        walker
        for walker in _cross(camera, frame, night)
        if not any(_is_before(walker, item) for item in moving)
    ]
    return Scene(camera, night, (*parked, *moving, *crossing))


def _is_before(walker: Item, vehicle: Item) -> bool:
    near = abs(walker.x_m - vehicle.x_m) < 2.2 and abs(walker.z_m - vehicle.z_m) < 8.0
    return near and vehicle.label != "person"


def park_cars(camera: Camera) -> tuple[Item, ...]:
    """The cars along both kerbs, the same in every frame."""
    rng = np.random.default_rng([camera.seed, camera.number, 2])
    x_m = camera.road_m + 1.1
    return tuple(
        _item(rng, "car", (side * x_m, z_m), side, parked=True)
        for side in (-1, 1)
        for z_m in np.arange(CROSSING_M + 9, 75, 5.6)
        if rng.random() < 0.55
    )


def _lanes(camera: Camera, night: bool) -> list[Lane]:
    busy = 0.32 if night else 0.6
    lanes = [
        Lane(side * (1.6 + 3.2 * number), side, 19.0, 10.0 + 2.5 * number, busy, TRAFFIC)
        for side in (-1, 1)
        for number in range(camera.lanes)
    ]
    edge, walk = camera.road_m - 0.3, camera.kerb_m + 0.35 * camera.pavement_m
    few = 0.1 if night else 0.3
    for side in (-1, 1):
        lanes.append(Lane(side * edge, side, 17.0, 7.0, few * 0.7, ("bicycle",)))
        for heading in (-1, 1):
            lanes.append(Lane(side * walk, heading, 6.0, 3.1, few, ("person",), 0.9))
    return lanes


def _fill(camera: Camera, number: int, lane: Lane, frame: int) -> list[Item]:
    """Slots keep their occupant while they move, so that a vehicle is the same in the next frame.

    A lane's slots come in platoons, with nobody for a while between them.
    """
    travelled_m = frame * lane.step_m * lane.heading
    first = int((NEAREST_M - travelled_m) // lane.slot_m)
    last = int((FARTHEST_M - travelled_m) // lane.slot_m) + 1
    items = []
    for slot in range(first, last + 1):
        identity = [camera.seed, camera.number, number + 10, slot % 2**32]
        platoon = np.random.default_rng([*identity[:3], (slot // 5) % 2**32, 7])
        rng = np.random.default_rng(identity)
        if rng.random() > lane.busy * platoon.choice([0.3, 1.0, 1.5]):
            continue
        z_m = slot * lane.slot_m + travelled_m + rng.uniform(-0.1, 0.1) * lane.slot_m
        x_m = lane.x_m + rng.uniform(-1, 1) * lane.swing_m
        label = str(rng.choice(lane.labels))
        nearest = NEAREST_M + (5.0 if label in ("bus", "truck") else 0.0)
        if nearest <= z_m <= FARTHEST_M:
            items.append(_item(rng, label, (x_m, z_m), lane.heading))
    return items


def _cross(camera: Camera, frame: int, night: bool) -> tuple[Item, ...]:
    """People on the crossing; each is there for one frame."""
    rng = np.random.default_rng([camera.seed, camera.number, 3, frame % 2**32])
    if rng.random() > (0.15 if night else 0.4):
        return ()
    return tuple(
        _item(rng, "person", (x_m, CROSSING_M + rng.uniform(-1, 1)), 0)
        for x_m in rng.uniform(-camera.road_m, camera.road_m, rng.integers(1, 4))
    )


def _is_quiet(camera: Camera, frame: int) -> bool:
    spell = (frame // QUIET_FRAMES) % 2**32
    return bool(np.random.default_rng([camera.seed, camera.number, 4, spell]).random() < 0.15)


def _item(
    rng: np.random.Generator,
    label: str,
    place: tuple[float, float],
    heading: int,
    *,
    parked: bool = False,
) -> Item:
    colours = CLOTHES if label in ("person", "bicycle", "motorcycle") else PAINTS
    return Item(
        label=label,
        x_m=float(place[0]),
        z_m=float(place[1]),
        heading=heading,
        colour=colours[int(rng.integers(len(colours)))],
        style=int(rng.integers(6)),
        parked=parked,
    )
