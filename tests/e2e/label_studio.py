"""Label Studio of a stack, as people and programs come to it from this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from infra.init.administrator import EMAIL
from tests.e2e.stack import Stack

ANSWERS_WITHIN_S = 30


@dataclass(frozen=True)
class LabelStudio:
    stack: Stack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.stack.label_studio_port}"

    def lets_in(self, token: str) -> bool:
        """By a legacy token."""
        return self._whoami({"Authorization": f"Token {token}"})

    def sign_in(self, password: str) -> dict[str, str] | None:
        """The cookies of a browser that signed in; None where the password is refused."""
        session = requests.Session()
        form = {"email": EMAIL, "password": password}
        page = session.get(f"{self.url}/user/login/", timeout=ANSWERS_WITHIN_S)
        assert page.status_code == 200
        form["csrfmiddlewaretoken"] = session.cookies["csrftoken"]
        answer = session.post(
            f"{self.url}/user/login/",
            data=form,
            headers={"Referer": self.url},
            allow_redirects=False,
            timeout=ANSWERS_WITHIN_S,
        )
        return dict(session.cookies) if answer.status_code == 302 else None

    def is_signed_in(self, cookies: dict[str, str]) -> bool:
        return self._whoami({"Cookie": "; ".join(f"{key}={cookies[key]}" for key in cookies)})

    def make_personal_token(self) -> str:
        """As a person makes one on the account's page."""
        told = self.ask("POST", "/api/token/", expected=201)["token"]
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", told)
        return str(told)

    def takes_personal_token(self, token: str) -> bool:
        answer = requests.post(
            f"{self.url}/api/token/refresh/", json={"refresh": token}, timeout=ANSWERS_WITHIN_S
        )
        assert answer.status_code in {200, 401}, answer.text
        return answer.status_code == 200

    def tasks(self) -> list[dict[str, Any]]:
        """Of the project that labeling made, with all that is known of each."""
        projects = self.ask("GET", "/api/projects?title=Traboule")["results"]
        if not projects:
            return []
        path = f"/api/tasks?project={projects[0]['id']}&fields=all"
        return list(self.ask("GET", path)["tasks"])

    def show(self, task: Mapping[str, Any]) -> requests.Response:
        """The task's image, as a browser asks for it."""
        return self.fetch("GET", task["data"]["image"].removeprefix(self.url))

    def ask(self, method: str, path: str, body: Any = None, expected: int = 200) -> Any:
        """As its administrator."""
        answer = self.fetch(method, path, body)
        assert answer.status_code == expected, answer.text[:1000]
        return answer.json()

    def fetch(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers=self._authorization,
            allow_redirects=False,
            timeout=ANSWERS_WITHIN_S,
        )

    def upload(self, project: int, name: str, picture: bytes) -> None:
        """As a person drops a file on a project's page."""
        answer = requests.post(
            f"{self.url}/api/projects/{project}/import",
            files={"file": (name, picture)},
            headers=self._authorization,
            timeout=ANSWERS_WITHIN_S,
        )
        assert answer.status_code == 201, answer.text[:1000]

    @property
    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.stack.secrets()['label-studio/token']}"}

    def _whoami(self, headers: dict[str, str]) -> bool:
        answer = requests.get(
            f"{self.url}/api/current-user/whoami", headers=headers, timeout=ANSWERS_WITHIN_S
        )
        assert answer.status_code in {200, 401}, answer.text[:1000]
        return answer.status_code == 200 and answer.json()["email"] == EMAIL
