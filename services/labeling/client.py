"""A Label Studio over HTTP, through its SDK: the only module that imports label_studio_sdk.

The SDK keeps the connections and the tokens (it exchanges a personal access token for one that
lives five minutes, again and again). Requests go through its transport rather than its methods:

* its methods try a request again that failed half-way, and an import tried again is a second copy
  of every task; they read an answer whatever its size, and follow a redirect with a POST as GET;
* its models of a page of 100 tasks take ten times as long as the JSON, and lose what they do not
  know; its error for a page of HTML shows the answer's headers;
* it has no bulk look-up by a task's data, and no order by the time of change.

LabelStudioBase is all of it but exports into pandas, whose import holds 70 MB.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

import httpx
from label_studio_sdk.base_client import LabelStudioBase
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.tokens.client_ext import TokensClientExt
from label_studio_sdk.types.token_refresh_response import TokenRefreshResponse

from services.labeling.studio.answers import NoAnswer, NotThere, explain, understanding
from services.labeling.studio.failures import ProjectMissing, StudioRefused, StudioUnavailable
from services.labeling.studio.pages import Filter, find_after, find_changed
from services.labeling.studio.protocol import (
    IMAGE_ID,
    MAX_TASKS_PER_REQUEST,
    NewStudioTask,
    SourceStorage,
    StudioPrediction,
    StudioProject,
    StudioTask,
)
from services.labeling.studio.task_lists import TaskList
from services.labeling.studio.transport import (
    Credentials,
    Transport,
    open_connections,
    translating,
)
from services.labeling.studio.wire import (
    image_id_of,
    read_project,
    read_task,
    upload_address,
    uploaded_name,
    write_prediction,
    write_storage,
    write_task,
    write_webhook,
)

TASKS_PER_PAGE = 200
ROWS_PER_PAGE = 250  # Label Studio takes milliseconds for each, with or without its annotations
IDS_PER_LOOKUP = 40  # they stand in the address, of which some servers take no more than 4 KB


class SdkStudio:
    """One Label Studio, for one user's token. Threads may share it; close() when it is not needed
    any more. `url` may have a path, where Label Studio is below one."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        if not (token and token.isascii() and token.isprintable() and " " not in token):
            raise StudioRefused(f"the token for {self.url} is empty, or has what no token has")
        self._connections = open_connections(self.url)
        try:
            credentials = _SdkCredentials(self.url, token, self._connections)
        except ApiError as error:
            self._connections.close()
            raise explain(self.url, error.status_code or 401, error.body) from None
        self._ask = Transport(self.url, self._connections, credentials).ask
        self._projects: set[int] = set()  # those asked about

    def __repr__(self) -> str:
        return f"SdkStudio({self.url!r})"

    def close(self) -> None:
        self._connections.close()

    def version(self) -> str:
        with understanding(self.url):
            return str(self._ask("GET", "/api/version", anonymous=True)["release"])

    def whoami(self) -> str:
        """The e-mail address of the token's user."""
        with understanding(self.url):
            return str(self._ask("GET", "/api/current-user/whoami")["email"])

    def find_projects(self, title: str) -> Sequence[StudioProject]:
        found: list[StudioProject] = []
        for page in range(1, 1_000):
            asked = {"title": title, "page": page, "page_size": 100}
            answer = self._ask("GET", "/api/projects/", params=asked)
            with understanding(self.url):
                rows = [row for row in answer["results"] if row["title"] == title]
                found += [self._project(row) for row in rows]
                if not answer["next"]:
                    break
        return sorted(found, key=lambda project: project.id)

    def get_project(self, project_id: int) -> StudioProject:
        return self._project(self._ask_project(project_id, "GET", f"/api/projects/{project_id}/"))

    def create_project(self, title: str, interface: str) -> StudioProject:
        made = {"title": title, "label_config": interface}
        return self._project(self._ask("POST", "/api/projects/", body=made))

    def change_interface(self, project_id: int, interface: str) -> None:
        self._change_project(project_id, {"label_config": interface})

    def set_model_version(self, project_id: int, version: str) -> None:
        self._change_project(project_id, {"model_version": version})

    def import_tasks(self, project_id: int, tasks: Sequence[NewStudioTask]) -> Sequence[int]:
        if not tasks:
            return []
        if len(tasks) > MAX_TASKS_PER_REQUEST:
            raise ValueError(f"more than {MAX_TASKS_PER_REQUEST} tasks in one request")
        path = f"/api/projects/{project_id}/import"
        asked = {"return_task_ids": "true"}
        body = [write_task(task) for task in tasks]
        answer = self._ask_project(project_id, "POST", path, params=asked, body=body)
        with understanding(self.url):
            made = [int(task_id) for task_id in answer["task_ids"]]
        if len(made) != len(tasks):
            raise StudioUnavailable(f"{self.url} took {len(made)} tasks of {len(tasks)}")
        return made

    def find_tasks(self, project_id: int, image_ids: Sequence[str]) -> Mapping[str, Sequence[int]]:
        found: dict[str, list[int]] = {}
        for first in range(0, len(image_ids), IDS_PER_LOOKUP):
            some = list(image_ids[first : first + IDS_PER_LOOKUP])
            wanted = Filter(f"data.{IMAGE_ID}", "in_list", "String", some)
            with understanding(self.url):
                for row in find_after(self._list(project_id, full=False), [wanted]):
                    found.setdefault(row["data"][IMAGE_ID], []).append(int(row["id"]))
        return found

    def get_task(self, task_id: int) -> StudioTask | None:
        # To read a task by itself can make Label Studio run its model for it: one of a list not.
        wanted = Filter("id", "equal", "Number", task_id)
        for project_id in tuple(self._projects):
            with suppress(ProjectMissing), understanding(self.url):
                for row in find_after(self._list(project_id, full=True), [wanted]):
                    return read_task(row)
        try:
            row = self._ask("GET", f"/api/tasks/{task_id}/", params={"resolve_uri": "false"})
        except NotThere:
            return None
        with understanding(self.url):
            self._projects.add(int(row["project"]))
            return read_task(row)

    def delete_tasks(self, task_ids: Sequence[int]) -> None:
        for task_id in task_ids:
            with suppress(NotThere):
                self._ask("DELETE", f"/api/tasks/{task_id}/")

    def list_changed(
        self, project_id: int, since: datetime | None, after: int = 0
    ) -> Iterator[StudioTask]:
        with understanding(self.url):
            for row in find_changed(self._list(project_id, full=True), since, after):
                yield read_task(row)

    def list_task_ids(self, project_id: int) -> Iterator[tuple[int, str | None]]:
        with understanding(self.url):
            for row in find_after(self._list(project_id, full=False), []):
                yield int(row["id"]), image_id_of(row["data"])

    def add_prediction(self, task_id: int, prediction: StudioPrediction) -> None:
        body = {"task": task_id, **write_prediction(prediction)}
        self._ask("POST", "/api/predictions/", body=body)

    def upload(self, project_id: int, name: str, data: bytes) -> str:
        path = f"/api/projects/{project_id}/import"
        asked = {"commit_to_project": "false"}
        sent = {"file": (name, data)}
        answer = self._ask_project(project_id, "POST", path, params=asked, files=sent)
        with understanding(self.url):
            number = int(answer["file_upload_ids"][0])
            return upload_address(self._ask("GET", f"/api/import/file-upload/{number}")["file"])

    def delete_copies(self, project_id: int, names: Sequence[str]) -> Sequence[str]:
        path = f"/api/projects/{project_id}/file-uploads"
        listed = self._ask_project(project_id, "GET", path, params={"all": "true"})
        with understanding(self.url):
            rows = [row for row in listed if uploaded_name(row["file"]) in set(names)]
            numbers = [int(row["id"]) for row in rows]
        if numbers:  # without any it would delete all of the project
            self._ask("DELETE", path, body={"file_upload_ids": numbers})
        return [upload_address(row["file"]) for row in rows]

    def ensure_webhook(self, project_id: int, url: str, headers: Mapping[str, str]) -> None:
        body = write_webhook(project_id, url, headers)
        self._ensure(project_id, "/api/webhooks/", ("url", url), body)

    def ensure_storage(self, project_id: int, storage: SourceStorage) -> None:
        body = write_storage(project_id, storage)
        self._ensure(project_id, "/api/storages/s3", ("title", "Traboule"), body)

    def ensure_backend(self, project_id: int, url: str, title: str, login: tuple[str, str]) -> None:
        body = {"project": project_id, "url": url, "title": title, "is_interactive": False}
        body |= {"auth_method": "BASIC_AUTH", "basic_auth_user": login[0]}
        body |= {"basic_auth_pass": login[1]}
        self._ensure(project_id, "/api/ml", ("title", title), body)

    def _ensure(
        self, project_id: int, path: str, name: tuple[str, str], body: Mapping[str, Any]
    ) -> None:
        """Make what has this name in the project, or bring it up to date."""
        self.get_project(project_id)  # the list of what is in none is not a 404
        listed = self._ask_project(project_id, "GET", path, params={"project": project_id})
        key, value = name
        with understanding(self.url):
            same = [int(row["id"]) for row in listed if row[key] == value]
        end = "/" if path.endswith("/") else ""
        if same:
            self._ask("PATCH", f"{path.rstrip('/')}/{same[0]}{end}", body=body)
        else:
            self._ask_project(project_id, "POST", path, body=body)
        for surplus in same[1:]:
            self._ask("DELETE", f"{path.rstrip('/')}/{surplus}{end}")

    def _ask_project(self, project_id: int, method: str, path: str, **parts: Any) -> Any:
        """ask(), for what is in a project: ProjectMissing where there is none."""
        self._projects.add(project_id)
        gone = ProjectMissing(f"{self.url} has no project {project_id}: it was deleted there")
        try:
            return self._ask(method, path, **parts)
        except NotThere:
            self._projects.discard(project_id)
            raise gone from None
        except NoAnswer as error:
            # An import into a deleted project is answered with a page.
            if error.status == 404 and method == "POST":
                self.get_project(project_id)
            raise

    def _change_project(self, project_id: int, body: Mapping[str, str]) -> None:
        self._ask_project(project_id, "PATCH", f"/api/projects/{project_id}/", body=body)

    def _project(self, row: Any) -> StudioProject:
        with understanding(self.url):
            project = read_project(self.url, row)
        self._projects.add(project.id)
        return project

    def _list(self, project_id: int, *, full: bool) -> TaskList:
        ask = partial(self._ask_project, project_id, "GET", "/api/tasks")
        return TaskList(ask, project_id, full, TASKS_PER_PAGE if full else ROWS_PER_PAGE)


class _Tokens(TokensClientExt):
    def refresh(self, refresh_token: str | None = None) -> TokenRefreshResponse:
        """The SDK's own, without its warning: it calls what Pydantic has deprecated."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return super().refresh(refresh_token)


class _SdkCredentials(Credentials):
    """The SDK's, which exchanges a personal access token for one that lives five minutes."""

    def __init__(self, url: str, token: str, connections: httpx.Client) -> None:
        self._url = url
        # Without the slash it asks for new tokens at the root, not below the address's path.
        sdk = LabelStudioBase(base_url=url + "/", api_key=token, httpx_client=connections)
        self._wrapper = sdk._client_wrapper
        self._wrapper._tokens_client = _Tokens(url + "/", token, self._wrapper)

    def headers(self) -> Mapping[str, str]:
        try:
            with translating(self._url):
                return self._wrapper.get_headers()
        except ApiError as error:
            raise explain(self._url, error.status_code or 401, error.body) from None
        except ValueError:  # of JSON, or of the SDK's models
            raise StudioUnavailable(f"{self._url} does not answer as a Label Studio does") from None

    def forget(self) -> bool:
        """It renews when our clock says so: the server's may be ahead."""
        tokens = self._wrapper._tokens_client
        known = tokens._access_token is not None
        tokens._access_token = None
        return known
