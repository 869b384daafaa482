"""The search over everything: what it finds, and that it shows no more than the role may see."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from gallery.items.models import Image
from moderation.access.permissions import Role
from tests import factories as make
from tests.moderation.factories import make_case, make_item, make_list, make_person

pytestmark = pytest.mark.django_db


def found(client: Client, term: str) -> list[tuple[str, str]]:
    answer = client.get("/admin/search/", {"s": term, "extended": "1"})
    assert answer.status_code == 200
    results = answer.context["results"] if answer.context else []
    return [(one.title, str(one.link)) for one in results]


def test_what_is_found_and_by_whom(django_assert_max_num_queries: Any) -> None:
    image = make.add_ready_image(data_id="post-7")
    for number in range(1, 8):
        make.add_ready_image(make.photo(number), data_id=f"row-{number}")
    on = make_list("terror <b>")
    item = make_item(on, ("sha256", "ab" * 32), source_id="partner-9")
    case = make_case(item, image)
    root, viewer, nobody = Client(), Client(), Client()
    root.force_login(User.objects.create_superuser("rosa"))
    viewer.force_login(make_person(Role.VIEWER, "vera"))
    nobody.force_login(make_person(Role.NOBODY, "nora"))

    pages = {
        "image": (f"Image {image.pk}", f"/admin/gallery/image/{image.pk}/change/"),
        "case": (f"Case {case.pk}", f"/admin/moderation/console/cases/{case.pk}/"),
        "item": (f"Item {item.pk}", f"/admin/moderation/banneditem/{item.pk}/change/"),
        "list": (on.name, f"/admin/moderation/bannedlist/{on.pk}/change/"),
        "rosa": ("rosa", f"/admin/auth/user/{User.objects.get(username='rosa').pk}/change/"),
    }
    assert found(root, "post-7") == [pages["case"], pages["image"]]
    assert found(root, image.sha256) == [pages["case"], pages["image"]]
    assert found(root, "ab" * 32) == [pages["item"]]
    assert found(root, "partner-9") == [pages["item"]]
    assert found(root, "terror") == [pages["list"]]
    assert found(root, "rosa") == [pages["rosa"]]
    assert ("Review queue", "/admin/moderation/console/") in found(root, "queue")
    assert len(found(root, "row-")) == 5, "no more of each kind"
    with django_assert_max_num_queries(14):
        assert found(root, str(image.pk))[:1]
    for term in (str(case.pk), "post-7", "terror", "ab" * 32):
        assert found(viewer, term) != [], term
        assert found(nobody, term) == [], term
    assert found(viewer, "rosa") == found(nobody, "rosa") == []
    for term in ("", "9" * 300, "-", "99999999999999999999"):
        assert found(root, term) == [], term

    page = root.get("/admin/search/", {"s": "terror"}).content.decode()
    assert "terror &lt;b&gt;" in page
    # A role ends with the next request.
    User.objects.get(username="vera").groups.clear()
    assert found(viewer, "post-7") == []
    assert Client().get("/admin/search/", {"s": "1"}).status_code == 403
    assert Image.objects.count() == 8
