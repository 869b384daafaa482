"""The benchmark of the filter runs, on a tiny size: live server, the tests' database."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks import fileserver, filter, pictures
from benchmarks.speed import Target
from gallery.items.models import Image
from moderation.cases.models import ReviewCase
from moderation.lists import banned_hashes
from moderation.lists.models import BannedFingerprint, BannedHash
from moderation.pipeline import rescan


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_filter(live_server: Any, open_api: None) -> None:
    files = pictures.jpegs(4)
    address = urlsplit(live_server.url)
    assert address.hostname and address.port
    target = Target(address.hostname, address.port, filter.issue_key())
    list_id = filter.make_list()
    filled = filter.fill_hashes(list_id, 2000)
    assert BannedHash.objects.filter(kind="pdq").count() == 2000
    assert filled.megabytes == pytest.approx(0.08, rel=0.1)
    try:
        filter.fill_pictures(list_id, 3)
        assert rescan.run_left_over() == 1
        filter.wait_for_scans()
        assert BannedFingerprint.objects.values("item").distinct().count() == 3
        assert BannedFingerprint.objects.count() == 6, "by pixels, and by the learned model"
        with fileserver.serving(files) as urls:
            assert filter.add(target, urls).rate > 0
            assert Image.objects.ready().count() == 4
            assert filter.check(target, urls, 2).p50 > 0
            assert filter.check_hashes(target, 3, 1).rate > 0
        assert not ReviewCase.objects.exists()
    finally:
        banned_hashes.rows.path().unlink()
