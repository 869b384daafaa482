"""A started service: no secret in its log, no file that others may read."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import psycopg2
import pytest
import requests

from imgsmlr_site.postgres.server import connection_settings
from tests import totp
from tests.factories import jpeg, photo
from tests.journeys.conftest import Service

pytestmark = pytest.mark.slow

NEW = "planted-word-of-the-admin"
WRONG = "planted-wrong-word"
FACTOR = "/admin/second-factor"


class Browser(requests.Session):
    def __init__(self, service: Service) -> None:
        super().__init__()
        self.site = service.url

    def open(self, path: str) -> str:
        return self.get(self.site + path, timeout=60).text

    def submit(self, path: str, **form: str | list[str]) -> requests.Response:
        self.open(path)
        token = self.cookies["csrftoken"]
        return self.post(
            self.site + path,
            {"csrfmiddlewaretoken": token, **form},
            headers={"X-CSRFToken": token},
            timeout=60,
        )


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text[:2000]
    return match[1]


def provoke_errors_of_the_database(data_dir: Path, secret: str) -> None:
    """Two statements that fail with a secret in them: in the text, and in the row."""
    names = {"NAME": "dbname", "USER": "user", "HOST": "host", "PORT": "port"}
    settings = connection_settings(data_dir)
    connection = psycopg2.connect(**{names[name]: settings[name] for name in names})
    for statement in (
        "SELECT nothing FROM nowhere WHERE a = %s",
        "INSERT INTO auth_group VALUES (1, %s)",
    ):
        with pytest.raises(psycopg2.Error), connection, connection.cursor() as cursor:
            cursor.execute(statement, [secret])
    connection.close()


def open_to_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False  # The running service deletes files, PostgreSQL as well.
    return not stat.S_ISLNK(mode) and bool(stat.S_IMODE(mode) & 0o077)


def test_no_secret_is_in_the_log_and_no_file_is_open(service: Service) -> None:
    """An administrator's first day, with every kind of secret, and with errors."""
    first = (service.data_dir / "first_password").read_text().strip()
    browser = Browser(service)
    login = "/admin/login/"
    browser.submit(login, login="admin", password=WRONG)
    browser.submit(login, login=WRONG, password=WRONG)
    browser.submit(login, login="admin", password=first)
    assert not (service.data_dir / "first_password").exists()
    change = {"old_password": first, "new_password1": NEW, "new_password2": NEW}
    assert "password_change/done" in browser.submit("/admin/password_change/", **change).url
    page = browser.open(f"{FACTOR}/totp/activate/")
    secret = found(r'id="totp-secret">(\w+)<', page)
    token = found(r'csrfmiddlewaretoken" value="(\w+)"', page)
    form = {"code": totp.code(secret), "csrfmiddlewaretoken": token}
    codes = browser.post(f"{service.url}{FACTOR}/totp/activate/", form, timeout=60).text
    recovery = re.findall(r"<li><code>(\d+)</code>", codes)
    assert len(recovery) == 10
    key_page = browser.submit(
        "/admin/imgsmlr_site/apikey/add/", name="planted", scopes=["search", "add"]
    )
    key = found(r"(imgs_[\w-]+)", key_page.text)
    hooks = f"{service.url}/api/v1/moderation/webhooks/"
    headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
    hook = {"name": "planted", "url": "https://h.example/", "events": ["verdict"]}
    made = browser.post(hooks, json=hook, headers=headers, timeout=60)
    signing = made.json()["secret"]
    assert browser.post(hooks, json=hook, headers=headers, timeout=60).status_code in (400, 409)
    for bad in (key, f"{key}x"):
        requests.get(f"{service.url}/api/v1/images/0/", headers={"X-API-Key": bad}, timeout=60)
    picture = {"image": ("a.jpg", jpeg(photo(977, (64, 48))))}
    auth = {"Authorization": f"Bearer {key}"}
    requests.post(f"{service.url}/api/v1/images/", files=picture, headers=auth, timeout=60)
    provoke_errors_of_the_database(service.data_dir, signing)

    log = (service.data_dir / "test.log").read_text()
    assert 'relation "nowhere" does not exist' in log, "the log of PostgreSQL is in it"
    own = (service.data_dir / "secret_key").read_text().strip()
    session = browser.cookies["sessionid"]
    secrets = (first, NEW, WRONG, secret, *recovery, key, signing, own, session)
    assert [text for text in secrets if text in log] == []

    opened = [
        str(path.relative_to(service.data_dir))
        for path in service.data_dir.rglob("*")
        if open_to_others(path)
    ]
    # Made by the tests, not by the service.
    assert [path for path in opened if not path.startswith(("models", "test.log", "tmp"))] == []
    static = found(r'href="(/static/[^"]+\.css)"', browser.open(login))
    assert browser.get(service.url + static, timeout=60).status_code == 200
