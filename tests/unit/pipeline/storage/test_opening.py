from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.storage import FolderStore, open_store
from pipeline.storage.s3 import S3Store


def test_scheme_says_which_store_is_opened(tmp_path: Path) -> None:
    assert isinstance(open_store(tmp_path.as_uri()), FolderStore)
    for scheme in ("s3+http", "s3+https"):
        assert isinstance(open_store(f"{scheme}://cli:x@object-store:9000"), S3Store)


@pytest.mark.parametrize("url", ["s3://me:secret@bucket", "http://me:secret@host/", "/data", ""])
def test_other_addresses_are_refused_with_advice(url: str) -> None:
    with pytest.raises(UserError, match=r"file://, s3\+http:// or s3\+https://") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


def test_folder_is_opened_without_the_client_of_s3(tmp_path: Path) -> None:
    script = (
        "import sys; from pipeline.storage import open_store; open_store(sys.argv[1])\n"
        "sys.exit('minio' in sys.modules or 'urllib3' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path.as_uri()], check=True)


def test_missing_client_is_the_users_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.storage.s3", None)
    with pytest.raises(UserError, match="pip install 'traboule"):
        open_store("s3+http://cli:x@object-store:9000")
