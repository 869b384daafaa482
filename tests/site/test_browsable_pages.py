"""v1 in a browser: for each role, the forms of what it may do."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client, override_settings

from gallery.items.item import Status
from gallery.items.models import Image
from imgsmlr_site.browsable import addresses
from imgsmlr_site.env import LOOPBACK
from moderation.access.permissions import Role
from tests import factories as make
from tests.moderation.factories import make_case, make_item, make_list, make_person
from tests.site import access_cells

pytestmark = pytest.mark.django_db
PAGE = {"accept": "text/html"}
FORM = re.compile(r'data-method="(POST|PATCH|DELETE)"')
REFUSED = (400, 401, 403, 404)
MODERATION = "/api/v1/moderation/"


def forms_of(client: Client, path: str) -> set[str]:
    answer = client.get(path, headers=PAGE)
    assert answer.status_code < 500, path
    if not answer["Content-Type"].startswith("text/html"):
        return set()
    return set(FORM.findall(answer.content.decode()))


@pytest.mark.slow
def test_a_page_shows_what_the_role_may_do(settings: Any) -> None:
    settings.OPEN_API = LOOPBACK
    everybody = [one for one in access_cells.callers() if not one.key]
    world = access_cells.World()
    asked = [
        ask
        for ask in access_cells.asks(world)
        if ask.path.startswith("/api/v1/") and ask.method in ("POST", "PATCH", "DELETE")
    ]
    # A list that is deleted from by a filter has no button.
    asked = [ask for ask in asked if ask.method != "DELETE" or re.search(r"\d/$", ask.path)]
    # Whose item it is changes with the caller, only while it is asked for.
    asked = [ask for ask in asked if ask.own is None]
    assert len(asked) > 40
    for caller in everybody:
        for path in sorted({ask.path for ask in asked}):
            shown = forms_of(caller.client, path)
            for ask in asked:
                if ask.path != path:
                    continue
                code = access_cells.answer(caller, ask)
                # Some bodies are read before the role is.
                expected = code not in (401, 403) if ask.method in shown else code in REFUSED
                assert expected, f"{ask.name} for {caller.name}: {code}, {shown}"


@pytest.fixture
def lead(client: Client) -> Client:
    client.force_login(make_person(Role.LEAD))
    return client


def test_the_root_lists_what_there_is_and_leads_there(lead: Client) -> None:
    answer = lead.get("/api/v1/").json()
    assert lead.get("/api/").json() == answer
    assert answer["images"]["Search images"] == "http://testserver/api/v1/images/search/"
    assert {"lists", "cases", "imports", "webhooks", "check", "videos"} <= answer.keys()
    links = [link for part in answer.values() for link in part.values()]
    assert len(links) > 15
    links = [link for link in links if "/webhooks/" not in link]
    for root in ("/api/v1/", "/api/"):
        page = lead.get(root, headers=PAGE).content.decode()
        for link in links:
            assert (
                f'href="{link.removeprefix("http://testserver")}"' in page[: page.index("Answer")]
            )
        assert "/webhooks/" not in page[: page.index("Answer")]


def test_another_map_of_addresses_is_not_remembered(lead: Client) -> None:
    with override_settings(ROOT_URLCONF="tests.site.edge_views"):
        assert "images" not in addresses.parts(lambda view: True)
    assert "images" in lead.get("/api/v1/").json()


def test_nobody_is_asked_to_sign_in(client: Client) -> None:
    for path in ("/api/v1/", "/api/v1/images/search/"):
        answer = client.get(path, headers=PAGE)
        assert answer.status_code == 401
        assert f"/admin/login/?next={quote(path, safe='')}" in answer.content.decode()


def test_a_page_leads_up_down_and_to_its_rows(lead: Client) -> None:
    row = make_list("terror")
    make_item(row)
    page = lead.get(f"{MODERATION}lists/{row.pk}/items/", headers=PAGE).content.decode()
    for path in (
        "/api/v1/",
        f"{MODERATION}lists/",
        f"{MODERATION}lists/{row.pk}/",
        f"{MODERATION}lists/{row.pk}/items/retire/",
        f"{MODERATION}lists/{row.pk}/items/{row.items.get().pk}/",
    ):
        assert f'href="{path}"' in page, path
    assert "<h1>Items</h1>" in page
    assert f"List {row.pk}</a>" in page


def test_a_change_is_prefilled(lead: Client) -> None:
    row = make_list("terror <b>")
    page = lead.get(f"{MODERATION}lists/{row.pk}/", headers=PAGE).content.decode()
    assert 'value="terror &lt;b&gt;"' in page
    assert '<option value="medium" selected>' in page
    assert re.search(r'name="enabled" value="true" checked', page)


def test_nothing_is_chosen_in_advance(lead: Client) -> None:
    case = make_case(make_item(make_list()))
    for path in (f"cases/{case.pk}/decide/", "cases/next/", "lists/"):
        page = lead.get(f"{MODERATION}{path}", headers=PAGE).content.decode()
        form = page[page.index('data-method="POST"') :]
        selects = re.findall(r"<select.*?</select>", form, re.DOTALL)
        assert selects
        for select in selects:
            assert select.count(" selected") == select.count('value="" selected') == 1
            assert re.search(r'<select[^>]*><option value="" selected', select)


@pytest.mark.parametrize("kind", ["form", "json"])
def test_an_error_keeps_what_was_typed(lead: Client, kind: str) -> None:
    sent = {"name": "new <i>", "observe_share": "7"}
    given: dict[str, Any] = {"data": sent}
    if kind == "json":
        given["content_type"] = "application/json"
    answer = lead.post(f"{MODERATION}lists/", headers=PAGE, **given)
    assert answer.status_code == 400
    page = answer.content.decode()
    if kind == "form":
        assert 'value="new &lt;i&gt;"' in page
        assert re.search(r'name="observe_share" value="7"[^>]*aria-invalid="true"', page)
    else:
        assert "&quot;name&quot;: &quot;new &lt;i&gt;&quot;" in page
    assert "less than or equal to 1" in page


def test_rows_are_sent_as_json(lead: Client) -> None:
    page = lead.get("/api/v1/images/batch/", headers=PAGE).content.decode()
    assert "not currently supported" not in page
    assert "&quot;images&quot;" in page
    assert 'name="images"' not in page


def test_options_describe_each_body(lead: Client) -> None:
    row = make_list()
    answer = lead.options(f"{MODERATION}lists/{row.pk}/").json()
    assert answer["name"] == f"List {row.pk}"
    assert answer["actions"].keys() == {"PATCH"}
    assert answer["actions"]["PATCH"]["severity"]["type"] == "choice"
    answer = lead.options("/api/v1/images/search/").json()
    assert answer["actions"]["POST"]["file"]["type"] == "file upload"
    assert "actions" not in lead.options(f"{MODERATION}webhooks/").json()


def test_pictures_are_shown_unless_they_are_withheld(lead: Client) -> None:
    data = make.png(make.photo(1))
    shown, hidden = make.add_ready_image(data=data), make.add_ready_image(make.photo(2))
    Image.objects.filter(pk=hidden.pk).update(status=Status.QUARANTINED)
    pages = [
        lead.get("/api/v1/images/", headers=PAGE),
        lead.get(f"/api/v1/images/{shown.pk}/", headers=PAGE),
        lead.get(f"/api/v1/images/{hidden.pk}/", headers=PAGE),
    ]
    assert [
        re.findall(r'<img src="http://testserver/media/images/(\d+)/', page.content.decode())
        for page in pages
    ] == [[str(shown.pk)], [str(shown.pk)], []]
    assert "&quot;blurred&quot;: true" in pages[2].content.decode()
    query = {"id": shown.pk, "match_type": "pdq", "threshold": 0}
    found = lead.post("/api/v1/images/search/", query, headers=PAGE).content.decode()
    assert found.count("<img ") == 1


def test_ids_are_links_to_what_they_name(lead: Client) -> None:
    image = make.add_ready_image(meta={"list": 7})
    item = make_item(make_list())
    case = make_case(item, image)
    on = f"{MODERATION}lists/{item.list_id}/"
    page = lead.get(f"{MODERATION}cases/", headers=PAGE).content.decode()
    links = {
        *(f"/api/v1/images/{image.pk}/", on, f"{on}items/{item.pk}/"),
        *(f"{MODERATION}cases/{case.pk}/{step}" for step in ("", "claim/", "decide/")),
    }
    for link in links:
        assert f'href="{link}"' in page, link
    query = {"id": image.pk, "match_type": "pdq"}
    page = lead.post("/api/v1/images/search/", query, headers=PAGE).content.decode()
    assert f'href="/api/v1/images/{image.pk}/"' in page
    assert "lists/7/" not in page


def test_options_are_asked_as_they_are_documented(lead: Client) -> None:
    page = lead.get(f"{MODERATION}cases/?band=near&age=never", headers=PAGE).content.decode()
    assert '<option value="near" selected>' in page
    assert re.search(r'<select[^>]* name="age" aria-invalid="true"', page)
    assert not {"cursor", "format"} & set(re.findall(r'name="(\w+)"', page))
    row = make_list()
    page = lead.get(f"{MODERATION}lists/{row.pk}/thresholds/pdq/", headers=PAGE).content.decode()
    assert 'name="proposed"' in page and 'name="precision"' in page


def test_deleting_says_what_and_how_many(client: Client) -> None:
    client.force_login(make_person(Role.ADMIN))
    for number in (1, 2):
        make.add_ready_image(make.photo(number), data_id="<same>")
    row = make_list("terror")
    make_item(row)
    said = {
        "/api/v1/images/": None,
        "/api/v1/images/?data_id=": None,
        "/api/v1/images/?data_id=other": None,
        "/api/v1/images/?status=ready": None,
        "/api/v1/images/?data_id=%3Csame%3E": "2 images with the data_id “&lt;same&gt;”",
        f"{MODERATION}lists/{row.pk}/": "the list terror with 1 item",
    }
    for path, text in said.items():
        page = client.get(path, headers=PAGE).content.decode()
        found = re.findall(r"Deletes <strong>(.*?)</strong>", page)
        assert found == ([text] if text else []), path
    assert 'name="with_items"' in page and 'name="override"' in page
