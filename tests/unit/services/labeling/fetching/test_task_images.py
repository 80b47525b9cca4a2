from __future__ import annotations

import base64
import hashlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.labeling.fetching.task_images import Match, TaskImage, TaskIndex, find_images, locate

STUDIO = "http://127.0.0.1:8080"
CAMERA = "http://127.0.0.1:9100"

# Tasks of a real Label Studio 1.23.2, and the names that its exports gave to their labels.
TASKS = {
    3: "/data/upload/2/c8bee958-a.jpg",
    4: "/data/upload/2/79aa8b8d-cam1__frame.jpg",
    6: "/data/upload/2/2409d490-stra%C3%9Fe_%C3%BC.jpg",
    8: "/data/upload/2/13ef163a-a.jpg",
    10: f"{CAMERA}/cam1/frame_0001.jpg",
    11: f"{CAMERA}/cam2/frame_0001.jpg",
    12: f"{CAMERA}/frame_0002.jpg",
    13: f"{CAMERA}/frame_0002.png",
    14: f"{CAMERA}/my%20truck.jpg",
    15: f"{CAMERA}/fr%C3%BCh.jpg",
    16: f"{CAMERA}/my truck.jpg",
    17: f"{CAMERA}/missing.jpg",
    18: f"{CAMERA}/frame_0003.jpg?sig=abc&x=1",
    36: "s3://veh/raw/cam1/frame_0001.jpg",
    38: "s3://veh/raw/früh.jpg",
    39: "s3://veh/raw/my truck.jpg",
    40: "s3://veh/raw/sub/deep.jpg",
}
EXPORTED = {
    "c8bee958-a": 3,
    "79aa8b8d-cam1__frame": 4,
    "2409d490-straße_ü": 6,
    "13ef163a-a": 8,
    "8691898b__frame_0001": 10,
    "1b9c0941__frame_0001": 11,
    "f7919c3c__my%20truck": 14,
    "9679e978__my truck": 16,
    "bb41b225__fr%C3%BCh": 15,
    "66596849__missing": 17,
    "730af8a2__frame_0003": 18,
    "a471f274__frame_0001": 36,
    "d5dd100c__früh": 38,
    "d9dddd8f__my truck": 39,
    "5353e65c__deep": 40,
    "a5d035ee__c8bee958-a": 3,  # a snapshot's doubled prefix
    "a981db4f__13ef163a-a": 8,
    "missing": 17,  # where its download failed
    "deep": 40,  # where LABEL_STUDIO_HOST is unset
}


def index(addresses: dict[int, str] | None = None) -> TaskIndex:
    given = TASKS if addresses is None else addresses
    return TaskIndex([TaskImage(task, address, True) for task, address in given.items()], STUDIO)


def task_of(match: Match) -> int | None:
    return match.image.task if match.image else None


@pytest.mark.parametrize(("stem", "task"), EXPORTED.items())
def test_every_exported_name_leads_to_its_task(stem: str, task: int) -> None:
    assert task_of(index().match(stem)) == task


def test_percent_encoding_and_composition_of_a_name_do_not_matter() -> None:
    assert task_of(index().match("bb41b225__früh")) == 15
    assert task_of(index().match("bb41b225__fru\u0308h")) == 15  # as macOS unpacks it
    assert task_of(index().match("f7919c3c__my truck")) == 14
    assert task_of(index().match("2409d490-stra%C3%9Fe_%C3%BC")) == 6


@pytest.mark.parametrize("stem", ["frame_0001", "a", "frame_0002"])
def test_bare_name_of_several_images_is_ambiguous(stem: str) -> None:
    match = index().match(stem)
    assert match.ambiguous and match.image is None
    assert "fits" in match.reason


def test_hash_of_another_address_is_never_taken_for_this_one() -> None:
    match = index().match("00000000__deep")
    assert task_of(match) is None and not match.ambiguous
    assert "task 40" in match.reason
    assert task_of(index().match("00000000__deep", trust_names=True)) == 40
    assert index().match("00000000__frame_0001", trust_names=True).ambiguous


def test_unknown_name_fits_nothing() -> None:
    assert index().match("elsewhere") == Match(reason="no task has an image of that name")


def test_stripped_upload_prefix_is_found_while_nothing_else_fits() -> None:
    assert task_of(index({4: TASKS[4]}).match("cam1__frame")) == 4


def test_task_imported_twice_has_one_image_and_the_annotated_one_speaks() -> None:
    url = f"{CAMERA}/frame_0004.jpg"
    images = [TaskImage(19, url, False), TaskImage(28, url, True), TaskImage(30, url, False)]
    match = TaskIndex(images, STUDIO).match("537f5b15__frame_0004")
    assert match.image == TaskImage(28, url, True)


def test_upload_without_the_prefix_of_label_studio_is_no_certain_name() -> None:
    both = index({1: "/data/upload/1/photo.jpg", 2: f"{CAMERA}/photo.jpg"})
    assert both.match("photo").ambiguous


def test_local_file_is_found_by_its_hash_and_by_its_name() -> None:
    local = index({1: "/data/local-files/?d=dir/street.jpg", 2: "/data/local-files/?d=x/a.jpg"})
    digest = hashlib.md5(f"{STUDIO}/data/local-files/?d=dir/street.jpg".encode()).hexdigest()[:8]
    assert task_of(local.match(f"{digest}__street")) == 1
    assert task_of(local.match("a")) == 2


def test_very_long_name_is_cut_where_label_studio_cuts_it() -> None:
    long = index({1: f"{CAMERA}/{'x' * 300}.jpg"})
    digest = hashlib.md5(f"{CAMERA}/{'x' * 300}.jpg".encode()).hexdigest()[:8]
    assert task_of(long.match(f"{digest}__{'x' * 300}"[:251])) == 1


def test_link_to_resolve_is_the_cloud_address_it_leads_to() -> None:
    uri = base64.urlsafe_b64encode(b"s3://veh/raw/sub/deep.jpg").decode()
    task = {"id": 40, "data": {"image": f"/tasks/40/resolve/?fileuri={uri}"}}
    (image,) = find_images(task)
    assert image.address == "s3://veh/raw/sub/deep.jpg"
    assert locate(image, STUDIO).endswith(f"/tasks/40/resolve/?fileuri={quote(uri)}")


@pytest.mark.parametrize("given", ["%00%ff", "aHR0cDovL2V2aWwv", "!!", "", "é"])
def test_link_that_resolves_to_no_cloud_address_stays_as_it_is(given: str) -> None:
    address = f"/tasks/40/resolve/?fileuri={given}"
    (image,) = find_images({"id": 40, "data": {"image": address}})
    assert image.address == address


@pytest.mark.parametrize(
    ("address", "located"),
    [
        ("/data/upload/2/c8bee958-a.jpg", f"{STUDIO}/data/upload/2/c8bee958-a.jpg"),
        ("http://cam/x y.jpg", "http://cam/x y.jpg"),
        ("s3://b/ü.jpg", f"{STUDIO}/tasks/7/resolve/?fileuri=czM6Ly9iL8O8LmpwZw%3D%3D"),
    ],
)
def test_image_is_located(address: str, located: str) -> None:
    assert locate(TaskImage(7, address, True), STUDIO) == located


@pytest.mark.parametrize("prefix", ["", "/label-studio"])
def test_image_is_located_under_the_path_of_label_studio(prefix: str) -> None:
    image = TaskImage(7, f"{prefix}/data/upload/2/c8bee958-a.jpg", True)
    expected = "https://lab.example/label-studio/data/upload/2/c8bee958-a.jpg"
    assert locate(image, "https://lab.example/label-studio") == expected


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"id": 1},
        {"id": 1, "data": None},
        {"id": "1", "data": {"image": "http://a/b.jpg"}},
        {"id": 1, "data": {"image": 7}},
        {"id": 1, "data": {"image": "not an address"}},
        {"id": 1, "data": {"image": "javascript:alert(1)"}},
        {"id": 1, "data": {"text": "hello", "nested": {"image": "http://a/b.jpg"}}},
    ],
)
def test_task_without_an_image_gives_none(task: dict[str, object]) -> None:
    assert list(find_images(task)) == []


def test_task_of_somebody_else_gives_every_address_in_its_data() -> None:
    data = {"photo": "http://a/b.jpg", "pages": ["s3://b/1.png", 7], "text": "x", "n": 1}
    assert [image.address for image in find_images({"id": 1, "data": data})] == [
        "http://a/b.jpg",
        "s3://b/1.png",
    ]


def test_task_without_annotations_is_told_from_others() -> None:
    data = {"image": "http://a/b.jpg"}
    (unseen,) = find_images({"id": 1, "data": data, "total_annotations": 0})
    (seen,) = find_images({"id": 1, "data": data, "total_annotations": 2})
    (unknown,) = find_images({"id": 1, "data": data})
    assert (unseen.annotated, seen.annotated, unknown.annotated) == (False, True, True)


def test_presigned_address_is_not_shown() -> None:
    assert "secret" not in repr(TaskImage(1, "http://a/b.jpg?X-Amz-Signature=secret", True))


ADDRESSES = st.one_of(
    st.text(),
    st.text().map("http://{}".format),
    st.text().map("s3://{}".format),
    st.text().map("/data/upload/2/0000000a-{}".format),
    st.text().map("/data/local-files/?d={}".format),
    st.text().map("/tasks/1/resolve/?fileuri={}".format),
)


@given(ADDRESSES, st.text())
def test_no_address_and_no_name_break_it(address: str, stem: str) -> None:
    images = list(find_images({"id": 1, "data": {"image": address}}))
    made = TaskIndex(images, STUDIO)
    for image in images:
        assert isinstance(locate(image, STUDIO), str)
        assert made.match(stem).image in (None, image)


@given(st.text(st.characters(exclude_characters="/?#.\\", categories=("L", "N", "Zs")), min_size=1))
def test_every_image_is_found_by_the_name_its_export_gives(name: str) -> None:
    url = f"{CAMERA}/{name}.jpg"
    digest = hashlib.md5(url.encode()).hexdigest()[:8]
    made = index({1: url, 2: f"{CAMERA}/other/{name}.jpg", 3: f"s3://veh/{name}.jpg"})
    assert task_of(made.match(f"{digest}__{name}"[:251])) == 1


def test_half_a_character_is_no_address() -> None:
    assert list(find_images({"id": 1, "data": {"image": "s3://veh/\ud800.jpg"}})) == []
