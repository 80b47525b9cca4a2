"""The folder that images are fetched into: images/, labels/, data.yaml, and a list of the fetched.

What leaves the set goes to withdrawn/: a trainer takes an image without labels for one in which
nothing is to be found. It is then no longer listed: what a person puts back is theirs.

A killed run leaves whole files and a list of them, which the next one goes on from.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any

import yaml

from pipeline.addresses import hide_secrets
from pipeline.errors import UserError
from services.labeling.fetching.label_files import LabelFile
from services.labeling.fetching.task_images import TaskImage

LIST_OF_FETCHED = "fetched.jsonl"
WITHDRAWN = "withdrawn"
PART = ".fetching-"
MOST_LEAVING = 10  # at once, where that is more than half
LONGEST_NAME_BYTES = 240  # file systems take 255, endings included
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


class FetchRefused(UserError):
    """What would be done to the folder looks like a mistake; it is as it was."""


@dataclass(frozen=True)
class Fetched:
    """An image that is there. `address_sha256` tells whether it is still the one wanted."""

    file: str  # its name in images/
    address_sha256: str
    size: int


class FetchedSet:
    """For one process at a time. Raises UserError where the folder cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._images, self._labels = folder, folder / "images", folder / "labels"
        self._fetched: dict[str, Fetched] = {}
        self._project_made_at: str | None = None
        try:
            for made in (self._images, self._labels):
                made.mkdir(parents=True, exist_ok=True)
                for left in made.glob(f"{PART}*"):
                    left.unlink(missing_ok=True)
            self._read_list()
        except OSError as error:
            raise _unwritable(folder, error) from error

    def claim(self, made_at: str | None) -> None:
        """Keep the folder for the project made at that time: after a reinstallation, another has
        its number. FetchRefused where it holds another's images."""
        if made_at is None or made_at == self._project_made_at:
            return
        if self._project_made_at is not None and self._fetched:
            told = f"{self._folder} was filled from another project, made at "
            advice = "move what is in it elsewhere, or fetch into another folder"
            raise FetchRefused(f"{told}{self._project_made_at}, this one at {made_at}: {advice}")
        self._append({"project_made_at": made_at})
        self._project_made_at = made_at

    def refuse_emptying(self, kept: Collection[str]) -> None:
        """FetchRefused where too many would leave the set at once, were only these kept."""
        leaving = len(self._list_others(kept))
        if leaving <= MOST_LEAVING:
            return
        there = len(self._list_others([]))
        if leaving > there / 2:
            told = f"{leaving} of {there} images would leave {self._folder} at once"
            advice = "If so, move what is in the folder elsewhere: all is then fetched anew"
            raise FetchRefused(f"{told}. Is that right? {advice}")

    def holds(self, name: str, image: TaskImage) -> bool:
        """Whether this very image is there, whole, under `name`."""
        known = self._fetched.get(name)
        if known is None or known.address_sha256 != _digest(image.address):
            return False
        if known.file not in [f"{name}{suffix}" for suffix in SUFFIXES.values()]:
            return False
        try:
            return (self._images / known.file).stat().st_size == known.size
        except OSError:
            return False

    def add(self, name: str, image: TaskImage, data: bytes, format: str) -> None:
        """Store an image as `name`; what was there by that name in another format goes."""
        fetched = Fetched(f"{name}{SUFFIXES[format]}", _digest(image.address), len(data))
        self._put(self._images / fetched.file, data)
        for suffix in SUFFIXES.values():
            if f"{name}{suffix}" != fetched.file:
                (self._images / f"{name}{suffix}").unlink(missing_ok=True)
        self._append(_describe(name, image, fetched, hashlib.sha256(data).hexdigest()))
        self._fetched[name] = fetched

    def add_labels(self, name: str, text: str) -> None:
        self._put(self._labels / f"{name}.txt", text.encode())

    def withdraw(self, name: str) -> bool:
        """Take an image that was fetched, and its labels, out of the set; False for none."""
        if not self.lists(name):
            return False
        there = [place for place in self._places(name) if place.is_file()]
        self._move_out(there)
        self._append({"name": name, "withdrawn": True})
        del self._fetched[name]
        return bool(there)

    def withdraw_others(self, kept: Collection[str]) -> Sequence[str]:
        """All that were fetched but these; their names."""
        return [name for name in self._list_others(kept) if self.withdraw(name)]

    def lists(self, name: str) -> bool:
        """Whether an image was fetched by that name, and is no way out of the folder."""
        return name in self._fetched and Path(name).name == name

    def describe(self, classes: Mapping[int, str]) -> None:
        """data.yaml, without `path`: `yolo` then takes its own folder. Trainers count classes from
        0 without gaps, so an id that no class has gets a name that says so."""
        names = {number: classes.get(number, f"unused-{number}") for number in _up_to(classes)}
        known = {"train": "images", "val": "images", "names": names}
        text = yaml.safe_dump(known, sort_keys=False, allow_unicode=True)
        note = "# Label Studio exports no split: train and val are the same images here.\n"
        self._put(self._folder / "data.yaml", f"{note}{text}".encode())

    def write_report(self, report: str) -> None:
        self._put(self._folder / "report.json", report.encode())

    def _list_others(self, kept: Collection[str]) -> Sequence[str]:
        """Those fetched but these of which something is there."""
        kept_files = set(map(_file_system_name, kept))
        others = [name for name in self._fetched if _file_system_name(name) not in kept_files]
        return [
            name
            for name in sorted(others)
            if self.lists(name) and any(place.is_file() for place in self._places(name))
        ]

    def _places(self, name: str) -> Sequence[Path]:
        images = [self._images / f"{name}{suffix}" for suffix in SUFFIXES.values()]
        return [*images, self._labels / f"{name}.txt"]

    def _read_list(self) -> None:
        with suppress(FileNotFoundError):
            for line in (self._folder / LIST_OF_FETCHED).read_bytes().splitlines():
                with suppress(ValueError, KeyError, TypeError):  # half a line of a killed run
                    self._read_entry(json.loads(line))

    def _read_entry(self, entry: Mapping[str, Any]) -> None:
        if "project_made_at" in entry:
            self._project_made_at = str(entry["project_made_at"])
        elif "withdrawn" in entry:
            self._fetched.pop(str(entry["name"]), None)
        else:
            file, digest = str(entry["file"]), str(entry["address_sha256"])
            self._fetched[str(entry["name"])] = Fetched(file, digest, int(entry["bytes"]))

    def _append(self, entry: Mapping[str, Any]) -> None:
        """Begins with a line's end, in case a killed run left half a line."""
        try:
            with (self._folder / LIST_OF_FETCHED).open("ab") as file:
                file.write(f"\n{json.dumps(entry, ensure_ascii=False)}\n".encode())
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def _move_out(self, paths: Sequence[Path]) -> None:
        try:
            for path, target in zip(paths, self._find_room(paths), strict=True):
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
        except OSError as error:
            raise _unwritable(self._folder / WITHDRAWN, error) from error

    def _find_room(self, paths: Sequence[Path]) -> Sequence[Path]:
        """Where they go: all with one number behind their names where those are taken."""
        for end in chain([""], (f"-{number}" for number in count(2))):
            targets = [
                self._folder / WITHDRAWN / path.parent.name / f"{path.stem}{end}{path.suffix}"
                for path in paths
            ]
            if not any(target.exists() for target in targets):
                break
        return targets

    def _put(self, path: Path, data: bytes) -> None:
        try:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=PART)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(0o644)
                Path(name).replace(path)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error


def name_apart(files: Sequence[LabelFile]) -> Sequence[str]:
    """Their stems, told apart where some file systems would take two for one."""
    taken: set[str] = set()
    names = []
    for file in files:
        stem = _shorten(file.stem)
        name, number = stem, 1
        while (key := _file_system_name(name)) in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(key)
        names.append(name)
    return names


def _describe(name: str, image: TaskImage, fetched: Fetched, sha256: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "file": fetched.file,
        "bytes": fetched.size,
        "sha256": sha256,
        "task": image.task,
        "address": hide_secrets(image.address),
        "address_sha256": fetched.address_sha256,
    }


def _file_system_name(name: str) -> str:
    """The same for what some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _shorten(stem: str) -> str:
    return stem.encode()[:LONGEST_NAME_BYTES].decode(errors="ignore")


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()


def _up_to(classes: Mapping[int, str]) -> range:
    return range(max(classes, default=-1) + 1)


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror or error}")
