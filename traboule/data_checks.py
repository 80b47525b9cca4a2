"""Doctor's checks of the data: folder, disk, catalog, and the catalog against the object store."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pipeline import keys
from pipeline.catalog import open_catalog
from pipeline.catalog.integrity import examine, is_there
from pipeline.errors import PipelineError
from pipeline.storage import open_store
from services.capture.settings import CaptureSettings
from services.maintenance.audit import Audit, Mismatch, audit
from services.maintenance.settings import MaintenanceSettings
from traboule.advice import Advice
from traboule.check import Check, Patient
from traboule.server_checks import judge_server
from traboule.status import find_holder

SETTLES_WITHIN_S = 2.0
SHOWN_IDS = 3
ELSEWHERE = "make it yours (chown), or choose another with --data"
FORGET = "forget it: {traboule} images delete ID"
# In braces: the fields of Advice.
ADVICE: Mapping[Mismatch, tuple[Literal["warn", "fail"], str]] = {
    Mismatch.IMAGE_MISSING: ("fail", f"put it back from a backup, or {FORGET}"),
    Mismatch.DETECTIONS_MISSING: ("fail", "put it back from a backup; else {rebuild}"),
    Mismatch.FRAME_MISSING: ("fail", FORGET),
    Mismatch.DROPPED_MISSING: ("warn", FORGET),
    Mismatch.IMAGE_WITHOUT_MARK: ("warn", "{mends_itself}"),
    Mismatch.MARK_WITHOUT_IMAGE: ("fail", FORGET),
    Mismatch.FRAME_WITHOUT_MARK: ("warn", "{mends_itself}"),
    Mismatch.MARK_WITHOUT_FRAME: ("warn", "{mends_itself}"),
    Mismatch.WITHOUT_ROW: ("fail", "{rebuild}"),
    Mismatch.FRAME_LEFT: ("warn", "{mends_itself}"),
    Mismatch.ERASED_BUT_LEFT: ("fail", "delete it again: {traboule} images delete ID"),
    Mismatch.ANNOTATION_MISSING: ("fail", "put it back from a backup; else {rebuild}"),
    Mismatch.ANNOTATION_WITHOUT_ROW: ("fail", "{rebuild}"),
    Mismatch.ANNOTATION_WITHOUT_IMAGE: ("warn", f"put its image back from a backup, or {FORGET}"),
    Mismatch.NOT_OURS: ("warn", "move it elsewhere: nothing here reads it"),
}


def check_folder(patient: Patient) -> Sequence[Check]:
    folder = patient.folder
    if folder is None:
        return []
    if not folder.exists():
        return [_check_place(folder)]
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        what = f"cannot write in {folder}: {error.strerror}"
        return [Check("data folder", "fail", what, ELSEWHERE)]
    holder = find_holder(folder)
    what = f"{folder} can be written; " + (f"at work: {holder}" if holder else "no run is at work")
    return [Check("data folder", "ok", what), _check_disk(folder)]


def _check_place(folder: Path) -> Check:
    """Whether a folder that is not there could be made."""
    there = next(parent for parent in folder.parents if parent.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Check("data folder", "ok", f"{folder} is made by the first `traboule run`")
    return Check("data folder", "fail", f"{folder} cannot be made in {there}", ELSEWHERE)


def _check_disk(folder: Path) -> Check:
    free, needed = shutil.disk_usage(folder).free, CaptureSettings().min_free_bytes
    what = f"{free / 1e9:.1f} GB free; below {needed / 1e9:.1f} GB nothing is captured"
    advice = "make room, or choose a folder on another disk with --data"
    if free < needed:
        return Check("disk", "fail", what, advice)
    return Check("disk", "warn" if free < 2 * needed else "ok", what, advice * (free < 2 * needed))


def check_catalog(patient: Patient) -> Sequence[Check]:
    """Without changing it: its schema is brought up to date by the first command that opens it."""
    if not is_there(patient.settings.catalog_url):
        return [Check("catalog", "ok", "none yet")]
    found = examine(patient.settings.catalog_url)
    if patient.folder is None:
        return [judge_server(found)]
    if found.damage:
        return [Check("catalog", "fail", f"it is damaged: {found.damage}", patient.advice.rebuild)]
    if not found.is_known:
        what = f"its schema {found.revision} is not known here"
        advice = "it was made by a newer Traboule: use that one"
        return [Check("catalog", "fail", what, advice)]
    if found.revision != found.newest:
        what = f"intact; its schema {found.revision} is older than {found.newest}"
        return [Check("catalog", "warn", what, "nothing: the next command brings it up to date")]
    return [Check("catalog", "ok", f"intact, schema {found.revision}")]


def check_store(patient: Patient) -> Sequence[Check]:
    """The catalog against the object store; a second look tells work under way from a fault."""
    url = patient.settings.catalog_url
    if not is_there(url) or any(check.status != "ok" for check in check_catalog(patient)):
        return []
    try:
        store = open_store(patient.settings.store_url)
        with closing(open_catalog(url)) as catalog:
            audited = audit(catalog, store)
            if not audited.is_sound and _may_be_at_work(patient):
                time.sleep(SETTLES_WITHIN_S)
                audited = audited.also_in(audit(catalog, store))
    except PipelineError as error:
        return [Check("catalog and store", "fail", str(error), "see the checks above")]
    return _judge(audited, patient.advice)


def _may_be_at_work(patient: Patient) -> bool:
    return patient.folder is None or find_holder(patient.folder) is not None


def _judge(audited: Audit, advice: Advice) -> Sequence[Check]:
    if audited.is_sound:
        counts = ", ".join(f"{n} {what}" for what, n in audited.counts.items() if n)
        return [Check("catalog and store", "ok", f"they agree: {counts or 'nothing there yet'}")]
    checks = []
    for kind, ids in audited.found.items():
        status, what_to_do = ADVICE[kind]
        shown = ", ".join(ids[:SHOWN_IDS]) + (", …" if len(ids) > SHOWN_IDS else "")
        what, what_to_do = f"{len(ids)} {kind}: {shown}", what_to_do.format_map(vars(advice))
        checks.append(Check("catalog and store", status, what, what_to_do))
    return checks


def check_lifetimes(patient: Patient) -> Sequence[Check]:
    """Unblurred frames that nobody was there to remove."""
    if patient.folder is not None and not patient.folder.exists():
        return []
    lifetime = timedelta(hours=MaintenanceSettings().raw_lifetime_h)
    try:
        store = open_store(patient.settings.store_url)
        listed = (entry for prefix in (keys.FRAMES, keys.DROPPED) for entry in store.list(prefix))
        ids = {image for entry in listed if keys.is_image_id(image := keys.image_of(entry.key))}
    except PipelineError as error:
        return [Check("raw frames", "fail", str(error), "see the checks above")]
    late = sum(patient.now - keys.captured_at(image) >= lifetime for image in ids)
    if late:
        what = f"{late} of {len(ids)} are older than {lifetime.total_seconds() / 3600:g} h"
        return [Check("raw frames", "warn", what, patient.advice.expired)]
    return [Check("raw frames", "ok", f"{len(ids)}, none past its lifetime")]
