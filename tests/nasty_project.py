"""A Label Studio project in which everything happened that happens, and what must come of it.

    nasty = NastyProject(trip, ann, bob)    # two people's doors to a real Label Studio
    nasty.happen()
    nasty.images["rotated"], CASES["rotated"].boxes

Pictures are 320 by 240 pixels: a percent is 3.2 pixels across and 2.4 down. What is expected was
worked out by hand, in pixels, without the code that is tested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline import keys
from services.labeling.sets.choosing import Reason
from services.labeling.sets.formats.entries import GONE, NOTHING_LEFT
from services.labeling.studio.protocol import StudioProject
from tests.factories import MORNING, Wanted, make_image
from tests.label_studio import People
from tests.opened_sets import Box
from tests.round_trip import RoundTrip

Region = dict[str, Any]

GHOST = "ghost-20261121T091640Z-deadbeef"
FOREIGN: tuple[dict[str, Any], ...] = (
    {"image": "http://127.0.0.1:9/cam1/frame_0001.jpg"},
    {"image": "http://127.0.0.1:9/cam2/frame_0001.jpg"},
    {"image": "http://127.0.0.1:9/früh am/my truck.jpg"},
    {"image": "http://127.0.0.1:9/a.jpg", "image_id": "../../../../etc/passwd"},
    {"image": "http://127.0.0.1:9/b.jpg", "image_id": 17},
    {"image": "http://127.0.0.1:9/c.jpg", "image_id": GHOST},
)
ADDED = (
    '<PolygonLabels name="outline" toName="image"><Label value="person"/></PolygonLabels>'
    '<BrushLabels name="stroke" toName="image"><Label value="car"/></BrushLabels>'
    '<Choices name="weather" toName="image"><Choice value="rain"/></Choices>'
)


def rectangle(label: str, x: float, y: float, width: float, height: float, **more: Any) -> Region:
    """In percent; `more` says what else, or what instead."""
    turned = more.pop("rotation", 0)
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": turned}
    return {
        "id": f"{label}-{x}-{y}",
        "type": "rectanglelabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": 320,
        "original_height": 240,
        "image_rotation": 0,
        "value": {**value, "rectanglelabels": [label]},
        **more,
    }


def without(region: Region, *names: str) -> Region:
    return {name: value for name, value in region.items() if name not in names}


def drawn(kind: str, control: str, label: str, **value: Any) -> Region:
    made = rectangle(label, 0, 0, 0, 0, id=f"{kind}-{label}", type=kind, from_name=control)
    return {**made, "value": {**value, kind: [label]}}


CAR = rectangle("car", 10, 20, 30, 40)
CAR_BOX = ("car", 32, 48, 128, 144)
BUS = rectangle("bus", 50, 20, 30, 40)
BUS_BOX = ("bus", 160, 48, 256, 144)
TRUCK = rectangle("truck", 5, 50, 20, 25)
TRUCK_BOX = ("truck", 16, 120, 80, 180)
POLYGON = drawn(
    "polygonlabels", "outline", "person", points=[[10, 10], [30, 10], [30, 50]], closed=True
)
BRUSH = drawn("brushlabels", "stroke", "car", format="rle", rle=[0, 0, 0, 8, 3, 1, 2, 3])
KEYPOINT = drawn("keypointlabels", "point", "car", x=50, y=50, width=0.5)
ELLIPSE = drawn("ellipselabels", "round", "car", x=50, y=50, radiusX=10, radiusY=20, rotation=0)
CHOICE = {
    "id": "sky",
    "type": "choices",
    "from_name": "weather",
    "to_name": "image",
    "value": {"choices": ["rain"]},
}
RELATION = {"type": "relation", "from_id": "car-10-20", "to_id": "sky", "direction": "right"}


@dataclass(frozen=True)
class Says:
    regions: list[Region]
    by: str = "ann"
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepts:
    """The first prediction, as it is."""


@dataclass(frozen=True)
class Drafts:
    regions: list[Region]


@dataclass(frozen=True)
class Changes:
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Deletes:
    """The first that was said."""


Act = Says | Accepts | Drafts | Changes | Deletes
LABELLED, NEGATIVE, SKIPPED = ("labelled",), ("negative",), ("skipped",)
SKIP = {"was_cancelled": True}


@dataclass(frozen=True)
class Case:
    """`first` is done, then followed; then `later`, and followed. `statuses`: of the revisions, in
    the order of their times; `ends`: of the annotations in the end, where that is another thing.
    `boxes` are those in a set, none for a negative; None where the image is in none, and `why`."""

    first: tuple[Act, ...] = ()
    boxes: tuple[Box, ...] | None = None
    why: str = ""
    statuses: tuple[str, ...] = LABELLED
    later: tuple[Act, ...] = ()
    ends: tuple[str, ...] | None = None
    unknown: Mapping[str, int] = field(default_factory=dict)
    twin_of: str = ""  # a camera, that took the same picture at the same moment as another

    @property
    def ended(self) -> tuple[str, ...]:
        return self.statuses if self.ends is None else self.ends


def one(*regions: Region) -> tuple[Act, ...]:
    return (Says(list(regions)),)


CASES: dict[str, Case] = {
    "plain": Case(one(CAR), (CAR_BOX,)),
    "untouched": Case(statuses=()),
    "draft": Case((Drafts([CAR]),), statuses=()),
    "accepted": Case((Accepts(),), (("car", 0, 20, 40, 60),)),
    # Several people, several minds.
    "several": Case((Says([CAR]), Says([BUS], "bob")), (BUS_BOX,), statuses=LABELLED * 2),
    "agreed": Case(
        (Says([CAR]), Says([rectangle("car", 11, 21, 30, 40)], "bob")),
        (("car", 35.2, 50.4, 131.2, 146.4),),
        statuses=LABELLED * 2,
    ),
    "truth": Case(
        (Says([CAR]), Says([TRUCK], "bob", {"ground_truth": True}), Says([BUS])),
        (TRUCK_BOX,),
        statuses=LABELLED * 3,
    ),
    "changed": Case(
        one(CAR),
        (BUS_BOX,),
        later=(Changes({"result": [BUS]}),),
        statuses=LABELLED * 2,
        ends=LABELLED,
    ),
    # Nothing there, nothing said.
    "negative": Case(one(), (), statuses=NEGATIVE),
    "negative-of-late": Case((Says([CAR]), Says([], "bob")), (), statuses=("labelled", "negative")),
    "skipped": Case((Says([], fields=SKIP),), None, Reason.SKIPPED, SKIPPED),
    "skipped-drawn": Case((Says([CAR], fields=SKIP),), None, Reason.SKIPPED, SKIPPED),
    "skipped-later": Case(
        one(CAR), None, Reason.SKIPPED, ("labelled", "skipped"), (Changes(SKIP),), SKIPPED
    ),
    "skipped-by-one": Case(
        (Says([], fields=SKIP), Says([CAR], "bob")), (CAR_BOX,), statuses=("skipped", "labelled")
    ),
    "deleted": Case(
        one(CAR), None, Reason.DELETED, ("labelled", "deleted"), (Deletes(),), ("deleted",)
    ),
    "deleted-at-once": Case((Says([CAR]), Deletes()), statuses=()),
    # Other shapes than boxes. 64 by 72 pixels at 128, 72, turned by 30 degrees: its right side is
    # at 128 + 64 cos 30, its left one at 128 - 72 sin 30, its end at 72 + 64 sin 30 + 72 cos 30.
    "rotated": Case(
        one(rectangle("car", 40, 30, 20, 30, rotation=30)), (("car", 92, 72, 183.43, 166.35),)
    ),
    "rotated-out": Case(
        one(rectangle("car", 90, 10, 20, 20, rotation=45)), (("car", 254.06, 24, 320, 103.2),)
    ),
    "rotated-by-90": Case(
        one(rectangle("car", 40, 30, 20, 30, rotation=90)), (("car", 56, 72, 128, 136),)
    ),
    "polygon": Case(one(POLYGON, BUS), (("person", 32, 24, 96, 120), BUS_BOX)),
    "brush": Case(one(BRUSH, CAR), (CAR_BOX,)),
    "brush-alone": Case(one(BRUSH), None, NOTHING_LEFT),
    "keypoint": Case((), (CAR_BOX,), later=one(KEYPOINT, CAR)),
    "keypoint-alone": Case((), None, NOTHING_LEFT, later=one(KEYPOINT)),
    "ellipse": Case((), (("car", 128, 72, 192, 168),), later=one(ELLIPSE)),
    "shown-turned": Case(one({**CAR, "image_rotation": 90}), (CAR_BOX,)),
    # Labels that are none of ours.
    "tank": Case(one(CAR, rectangle("tank", 1, 1, 9, 9)), (CAR_BOX,), unknown={"tank": 1}),
    "tank-alone": Case(one(rectangle("tank", 1, 1, 9, 9)), None, NOTHING_LEFT, unknown={"tank": 1}),
    "case": Case(
        one(CAR, rectangle("Car", 50, 20, 9, 9), rectangle("CAR", 50, 40, 9, 9)),
        (CAR_BOX,),
        unknown={"Car": 1, "CAR": 1},
    ),
    "unicode": Case(
        one(CAR, rectangle("грузовик", 50, 20, 9, 9), rectangle("Auto 🚗 ", 50, 40, 9, 9)),
        (CAR_BOX,),
        unknown={"грузовик": 1, "Auto 🚗 ": 1},
    ),
    "spaces": Case(one(CAR, rectangle(" car", 50, 20, 9, 9)), (CAR_BOX,), unknown={" car": 1}),
    "two-labels": Case(
        one({**CAR, "value": {**CAR["value"], "rectanglelabels": ["car", "truck"]}}),
        (CAR_BOX, ("truck", *CAR_BOX[1:])),
    ),
    # What no server should take, and this one does.
    "garbage": Case(one({"foo": 1}), None, Reason.UNUSABLE, ("unusable",)),
    "choice-alone": Case(one(CHOICE), None, Reason.UNUSABLE, ("unusable",)),
    "mixed": Case(
        one(
            {"foo": 1},
            RELATION,
            CHOICE,
            rectangle("car", "ten", 20, 9, 9),  # type: ignore[arg-type]
            rectangle("car", 1e300, 20, 9, 9),
            rectangle("car", 20, 20, -9, 9),
            {**BUS, "value": {}},
            CAR,
            CAR,
        ),
        (CAR_BOX,),
    ),
    "other-control": Case((), (CAR_BOX,), later=one({**CAR, "from_name": "elsewhere"})),
    "no-size": Case(one(without(CAR, "original_width", "original_height")), (CAR_BOX,)),
    "no-area": Case(one(rectangle("bus", 20, 20, 0, 40), CAR), (CAR_BOX,)),
    "no-area-alone": Case(
        one(rectangle("bus", 20, 20, 0, 0)), None, Reason.UNUSABLE, ("unusable",)
    ),
    "over-the-edge": Case(
        one(rectangle("car", -10, -5, 30, 20), rectangle("bus", 90, 90, 20, 20)),
        (("car", 0, 0, 64, 36), ("bus", 288, 216, 320, 240)),
    ),
    # Two cameras, one moment, one picture.
    "twin-quai": Case(one(CAR), (CAR_BOX,), twin_of="quai-rive"),
    "twin-pont": Case(one(BUS), (BUS_BOX,), twin_of="pont-rive"),
    # What happens beside the drawing: see NastyProject.
    "doubled": Case(one(CAR), (BUS_BOX,), statuses=LABELLED * 2),
    "gone": Case(one(CAR), None, GONE),
    "erased": Case(one(CAR), statuses=()),
    "renamed": Case(
        later=one(rectangle("lorry", 50, 20, 9, 9), CAR), boxes=(CAR_BOX,), unknown={"lorry": 1}
    ),
}


class NastyProject:
    """`ann` and `bob` are two people. The interface is edited by hand before and in between."""

    def __init__(self, trip: RoundTrip, ann: People, bob: People) -> None:
        self.trip = trip
        self.people = {"ann": ann, "bob": bob}
        self.images: dict[str, str] = {}
        self.tasks: dict[str, int] = {}
        self.addresses: dict[str, str] = {}  # of the images, as their tasks have them
        self.said: defaultdict[str, list[int]] = defaultdict(list)

    def happen(self) -> None:
        self._send()
        self.edit_interface(self.project.interface.replace("</View>", f"{ADDED}</View>"))
        self._act({name: case.first for name, case in CASES.items()})
        self._add_tasks_by_hand()
        self.trip.follow()

    def happen_later(self) -> None:
        """A class is renamed and another removed while they are used."""
        known = self.project.interface.replace('<Label value="bus" category="4" />', "")
        self.edit_interface(known.replace('value="truck"', 'value="lorry"'))
        self._act({name: case.later for name, case in CASES.items()})
        self.trip.workspace.store.delete(keys.stored_image(self.images["gone"]))
        self.trip.delete(self.images["erased"])
        self.trip.wait(700)
        self.trip.follow()

    @property
    def project(self) -> StudioProject:
        with self.trip.context.connection.session() as found:
            assert found is not None, self.trip.context.connection.reason
            return found.studio.get_project(found.project.id)

    def edit_interface(self, xml: str) -> None:
        assert xml != self.project.interface
        path = f"/api/projects/{self.project.id}/"
        self.people["bob"].ask("PATCH", path, {"label_config": xml})

    def _send(self) -> None:
        for name, case in CASES.items():
            twin = Wanted(case.twin_of, at=MORNING, labels={"car": 1})
            workspace = self.trip.workspace
            self.images[name] = make_image(workspace, twin) if case.twin_of else self.trip.detect()
        self.trip.push()
        path = f"/api/tasks?project={self.project.id}&page_size=100"
        there = {
            task["data"]["image_id"]: task for task in self.people["ann"].ask("GET", path)["tasks"]
        }
        self.tasks = {name: there[image]["id"] for name, image in self.images.items()}
        self.addresses = {
            name: there[image]["data"]["image"] for name, image in self.images.items()
        }

    def _act(self, acts: Mapping[str, tuple[Act, ...]]) -> None:
        for name, some in acts.items():
            for act in some:
                self._do(act, self.tasks[name], self.said[name])

    def _do(self, act: Act, task: int, said: list[int]) -> None:
        ann = self.people["ann"]
        match act:
            case Says():
                said.append(self.people[act.by].annotate(task, act.regions, **act.fields))
            case Accepts():
                [made] = ann.ask("GET", f"/api/tasks/{task}/")["predictions"]
                said.append(ann.annotate(task, made["result"], parent_prediction=made["id"]))
            case Drafts():
                ann.ask("POST", f"/api/tasks/{task}/drafts", {"result": act.regions})
            case Changes():
                ann.change_annotation(said[0], **act.fields)
            case Deletes():
                ann.delete_annotation(said[0])

    def _add_tasks_by_hand(self) -> None:
        """Somebody's own, and the copy of one of ours: bob draws a bus in each."""
        bob = self.people["bob"]
        doubled = bob.ask("GET", f"/api/tasks/{self.tasks['doubled']}/")["data"]
        path = f"/api/projects/{self.project.id}/import?return_task_ids=true"
        made = bob.ask("POST", path, [{"data": data} for data in (*FOREIGN, doubled)])
        for task in made["task_ids"]:
            bob.annotate(task, [BUS])
