"""The page *Operations*: what its buttons start, how far that is, and who may."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone
from django_q.models import OrmQ, Task

from gallery.imaging import descriptors
from gallery.items.models import DuplicatePair
from gallery.shared.errors import Conflict
from gallery.shared.locking import Lock, only_one
from imgsmlr_site.models import Job, WorkerCluster
from imgsmlr_site.operations import jobs
from imgsmlr_site.tasks import run_job
from moderation.access.permissions import Actor, Role
from moderation.audit.models import AuditEvent
from moderation.lists.models import RetroScan
from tests import factories as make
from tests.moderation.factories import make_item, make_list, make_person

PAGE = "/admin/operations/"
BY = Actor.machine("user:root")


@pytest.fixture
def root(db: None, client: Client) -> Client:
    client.force_login(User.objects.create_superuser("root"))
    return client


def start(client: Client, what: str, **more: str) -> list[str]:
    answer = client.post(PAGE, {"start": what, **more}, follow=True)
    assert answer.status_code == 200
    return [str(message) for message in answer.context["messages"]]


def queued() -> list[tuple[str, tuple[Any, ...]]]:
    tasks = [row.task for row in OrmQ.objects.filter(key="lists").order_by("pk")]
    return [(task["func"], task["args"]) for task in tasks]


def test_a_search_for_duplicates(root: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = make.wheel_photo("chelsea.png", 256)
    for image in (picture, picture.resize((200, 133)), make.photo(1)):
        make.add_ready_image(image, inline=descriptors.available_names())
    OrmQ.objects.all().delete()
    assert start(root, "duplicates") == ["Search for duplicates: a worker begins with it."]
    assert start(root, "duplicates") == ["Search for duplicates: this waits or runs already."]
    job = Job.objects.get()
    assert queued() == [("imgsmlr_site.tasks.run_job", (job.pk,))]
    event = AuditEvent.objects.get(verb="duplicates.started")
    assert (event.actor, event.subject_id) == ("user:root", job.pk)
    # After each batch it gives way, and another task goes on.
    monkeypatch.setattr(jobs, "TASK_SECONDS", 0.0)
    monkeypatch.setattr("gallery.duplicates.scan.IMAGES_PER_BATCH", 2)
    assert run_job(job.pk) == "running"
    assert len(queued()) == 2
    page = root.get(f"{PAGE}?part=1").content.decode()
    assert 'max="3" value="2"' in page and 'hx-get="?part=1"' in page
    monkeypatch.setattr(jobs, "TASK_SECONDS", 60.0)
    assert run_job(job.pk) == "done"
    assert run_job(job.pk) == "gone"
    job.refresh_from_db()
    assert job.result == "3 images compared. 1 cluster of 2 images."
    assert DuplicatePair.objects.count() == 1
    # From the beginning.
    start(root, "duplicates", restart="1")
    job = Job.objects.get(state="waiting")
    assert run_job(job.pk) == "done"
    job.refresh_from_db()
    assert (job.done, job.total) == (3, 3)


def test_scans_for_all_lists_and_failed_tasks(root: Client) -> None:
    assert start(root, "match_all") == [
        "No list of banned content is enabled: there is nothing to scan for."
    ]
    on = make_list("terror")
    make_item(on)
    make_list("off", enabled=False)
    make_list("allowed", kind="allow")
    assert start(root, "match_all") == ["1 scan queued."]
    scan = RetroScan.objects.get()
    assert (scan.list, scan.added_by) == (on, "user:root")
    assert queued() == [("moderation.tasks.scan", (scan.pk,))]
    assert AuditEvent.objects.filter(verb="scan.all_started", actor="user:root").exists()
    now = timezone.now()
    Task.objects.create(
        id="a", name="a", func="os.getpid", started=now, stopped=now, success=False, cluster="lists"
    )
    page = root.get(PAGE).content.decode()
    assert "1 task</a> failed" in page and "terror</a>" in page
    assert start(root, "retry") == ["1 task queued again."]
    assert not Task.objects.exists() and queued()[1][0] == "os.getpid"
    assert start(root, "rm -rf") == ["Choose what to start."]


def test_workers_and_when_they_were_seen(root: Client) -> None:
    assert "No workers were seen in the last day" in root.get(PAGE).content.decode()
    now = timezone.now()
    times = {"started_at": now, "moved_at": now}
    WorkerCluster.objects.create(queue="light", host="here", pid=7, seen_at=now, **times)
    gone = now - timedelta(hours=2)
    WorkerCluster.objects.create(queue="video", host="there", pid=8, seen_at=gone, **times)
    page = root.get(PAGE).content.decode()
    assert "here, 7" in page
    assert page.count("it does not run") == 1


def test_for_superusers_alone(root: Client) -> None:
    admin = Client()
    admin.force_login(make_person(Role.ADMIN))
    assert admin.get(PAGE).status_code == admin.post(PAGE, {"start": "backup"}).status_code == 403
    assert Client().post(PAGE, {"start": "backup"}).status_code == 302
    assert not Job.objects.exists()
    assert PAGE not in admin.get("/admin/").content.decode()
    assert f'href="{PAGE}"' in root.get("/admin/").content.decode()


def test_a_job_that_cannot_run_says_why(root: Client) -> None:
    job = jobs.start(by=BY, kind="duplicates")
    with connection.copy().cursor() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [int(Lock.DUPLICATES)])
        try:
            assert run_job(job.pk) == "failed"
        finally:
            other.connection.close()
    assert "Another search for duplicates is running." in root.get(PAGE).content.decode()
    with only_one(Lock.DUPLICATES, Conflict("It is free again.")):
        pass


@pytest.mark.django_db(transaction=True)
def test_a_backup(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make.add_ready_image(make.photo(1))
    settings.BACKUP_DIR = tmp_path / "closed" / "backups"
    (tmp_path / "closed").write_text("a file, not a directory")
    job = jobs.start(by=BY, kind="backup")
    assert run_job(job.pk) == "failed"
    job.refresh_from_db()
    assert "closed" in job.failure
    (tmp_path / "closed").unlink()
    monkeypatch.setattr(jobs, "TELL_EVERY", -1.0)
    told = []
    copied = jobs.make_backup

    def watched(target: Path, say: Any, tell: Any) -> Any:
        def told_and_stored(done: int, total: int) -> None:
            tell(done, total)
            with connection.copy().cursor() as other:
                other.execute("SELECT done, total FROM imgsmlr_site_job ORDER BY id DESC LIMIT 1")
                told.append(other.fetchone())
                other.connection.close()

        return copied(target, say, told_and_stored)

    monkeypatch.setattr(jobs, "make_backup", watched)
    job = jobs.start(by=BY, kind="backup")
    assert run_job(job.pk) == "done"
    assert told == [(1, 2), (2, 2)]
    job.refresh_from_db()
    (made,) = settings.BACKUP_DIR.iterdir()
    assert job.result.startswith(f"{made}: 2 files")
    assert json.loads((made / "manifest.json").read_text())["tables"]["gallery_image"] == 1
