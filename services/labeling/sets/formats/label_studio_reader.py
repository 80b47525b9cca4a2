"""A JSON export of Label Studio's: its tasks, with everybody's annotations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.errors import UserError
from services.labeling.sets.formats.coco_reader import find_documents
from services.labeling.sets.formats.documents import find_mappings, read_document
from services.labeling.sets.formats.packages import Package
from services.labeling.sets.formats.pictures import find_picture, guess_names, index_pictures
from services.labeling.sets.formats.vocabulary import FoundLabels
from services.labeling.studio.protocol import IMAGE_ID


def read_label_studio(package: Package) -> Iterator[FoundLabels]:
    """Each annotation of each task. UserError when there is no export."""
    pictures = index_pictures(package)
    names = find_documents(package)
    if not names:
        raise UserError("there is no JSON export of a Label Studio in it")
    for name in names:
        document = read_document(package, name)
        if not isinstance(document, list):
            raise UserError(f"{name} is no JSON export of a Label Studio: no list of tasks")
        for number, task in enumerate(document, start=1):
            for found in _read_task(name, number, task):
                yield FoundLabels(
                    file=found.file,
                    name=found.name,
                    problems=found.problems,
                    modified_at=package.modified_at(name),
                    picture=_find_picture(pictures, found.name),
                    task=found.task,
                    raw=found.raw,
                )


def _read_task(name: str, number: int, task: object) -> Iterator[FoundLabels]:
    where = f"{name}, task {number}"
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(task, Mapping) or not isinstance(data, Mapping):
        yield FoundLabels(where, "", problems=("it is no task",))
        return
    image = str(data.get(IMAGE_ID) or data.get("image") or "")[:2000]
    if not isinstance(task.get("annotations"), list):
        problem = "it has no annotations (JSON_MIN is no export that one could import)"
        yield FoundLabels(where, image, problems=(problem,))
        return
    annotations = find_mappings(task, "annotations")
    lost = len(task["annotations"]) - len(annotations)
    if lost:
        yield FoundLabels(where, image, problems=(f"{lost} broken annotations",))
    for place, raw in enumerate(annotations):
        yield FoundLabels(where, image, task=task, raw=_number(raw, image, task, place))


def _number(
    raw: Mapping[str, Any], image: str, task: Mapping[str, Any], place: int
) -> Mapping[str, Any]:
    """With a name of its own where it has no number, as in what scripts write: the same in the
    same file read again."""
    number = raw.get("id")
    if isinstance(number, str | int) and not isinstance(number, bool) and str(number).strip():
        return raw
    known = json.dumps([image, task.get("id"), place]).encode()
    return {**raw, "id": f"unnumbered-{hashlib.sha256(known).hexdigest()[:12]}"}


def _find_picture(pictures: Mapping[str, list[str]], name: str) -> str | None:
    found: Any = (find_picture(pictures, guess) for guess in guess_names(name))
    return next((picture for picture in found if picture), None)
