"""Pages of batches: what was quarantined or released at once, and how to undo it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _

from gallery.admin.selection import CHANGED, Selection
from gallery.items import batches, retention
from gallery.items.batches import UndoPlan
from gallery.items.item import STATUS_WORDS, Status
from gallery.items.kinds import ItemKind
from gallery.items.models import ItemBatch
from gallery.items.retention import WithheldReason
from gallery.shared.errors import NotFound, UserError

PREVIEWED_ITEMS: Final = 24


def actor(request: HttpRequest) -> str:
    """Return the user's name as stored in rows and in the audit log."""
    return f"user:{request.user.get_username()}"


class BatchPages:
    """The batch page in the admin of a kind of item."""

    item_kind: ClassVar[ItemKind]

    @property
    def _label(self) -> str:
        opts = self.item_kind.model._meta
        return f"{opts.app_label}_{opts.model_name}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.batch_view)  # type: ignore[attr-defined]
        page = path("batches/<int:pk>/", view, name=f"{self._label}_batch")
        return [page, *super().get_urls()]  # type: ignore[misc]

    def batch_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what was done and what undoing it would do. A POST from this page undoes it."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        batch = ItemBatch.objects.filter(pk=pk, kind=self.item_kind.name).first()
        if batch is None:
            raise NotFound(f"There is no batch {pk}.")
        may_undo = self._may_undo(request, batch)
        if request.method == "POST" and not may_undo:
            raise PermissionDenied
        plan = batches.plan_undo(self.item_kind, batch)
        selection = Selection(
            request, "undo", ItemBatch.objects.filter(pk=pk), ["undone_at", "undone_by"]
        )
        selection.says([plan.ids, plan.changed, sorted(plan.withheld)])
        if request.method == "POST":
            # Somebody else may have undone it since it was read.
            batch.refresh_from_db(fields=["undone_at"])
            if selection.is_confirmed or batch.undone_at:
                self._undo(request, pk)
            else:
                messages.warning(request, CHANGED)
            return HttpResponseRedirect(request.get_full_path())
        return self._batch_page(request, batch, plan, selection.token if may_undo else "")

    def _batch_page(
        self, request: HttpRequest, batch: ItemBatch, plan: UndoPlan, token: str
    ) -> HttpResponse:
        is_done = batch.undone_at is not None
        # For an undone batch, show all its items.
        ids = batch.ids if is_done else plan.ids
        rows = self.get_queryset(request).filter(pk__in=ids)  # type: ignore[attr-defined]
        counted = self.item_kind.count_text
        all_items = {"items": counted(len(batch.ids))}
        was_quarantined = batch.status == Status.QUARANTINED
        done = _("Quarantined %(items)s") if was_quarantined else _("Released %(items)s")
        left = {} if is_done else plan.changed
        more = len(ids) > PREVIEWED_ITEMS
        undoing = (
            _("Undoing it would make %(items)s %(status)s again, among them:")
            if more
            else _("Undoing it would make %(items)s %(status)s again:")
        )
        context = {
            **self.admin_site.each_context(request),  # type: ignore[attr-defined]
            "title": _("Batch %(id)s: %(done)s") % {"id": batch.pk, "done": done % all_items},
            "opts": self.item_kind.model._meta,
            "batch": batch,
            "done": done % all_items,
            "count": len(ids),
            "would": counted(len(ids)),
            "undoing": undoing
            % {"items": counted(len(ids)), "status": STATUS_WORDS.get(plan.back, "")},
            "noun": self.item_kind.words.noun,
            "rows": rows.order_by("-pk")[:PREVIEWED_ITEMS],
            "more": max(0, len(ids) - PREVIEWED_ITEMS),
            "change_view": self.item_kind.admin_view("change"),
            "list_url": self.item_kind.admin_url("changelist"),
            "skipped": [(counted(len(ids)), why) for why, ids in left.items()],
            # Reasons name cases, so show them only to users who may undo the batch.
            **self._withheld_context(plan.withheld if token and not is_done else {}),
            "token": token if plan.ids and not is_done else "",
        }
        return TemplateResponse(request, "gallery/items/batch.html", context)

    def _may_undo(self, request: HttpRequest, batch: ItemBatch) -> bool:
        if batch.status == Status.QUARANTINED:
            return bool(self.has_release_permission(request))  # type: ignore[attr-defined]
        return bool(self.has_change_permission(request))  # type: ignore[attr-defined]

    def _undo(self, request: HttpRequest, pk: int) -> None:
        reason = request.POST.get("reason", "").strip()[:1000]
        try:
            done = batches.undo(kind=self.item_kind, batch_id=pk, by=actor(request), reason=reason)
        except UserError as error:
            messages.error(request, error.message)
            return
        items = self.item_kind.count_text(len(done.ids))
        messages.success(request, _("Batch %(id)s undone: %(items)s.") % {"id": pk, "items": items})
        for words, ids in done.changed.items():
            items = self.item_kind.count_text(len(ids))
            text = _("%(items)s not changed: %(why)s.")
            messages.warning(request, text % {"items": items, "why": words})
        if done.withheld:
            messages.warning(request, self._withheld_text(done.withheld))

    def _withheld_text(self, withheld: Mapping[int, WithheldReason]) -> str:
        counts = _(", ").join(
            _("%(n)s by %(kind)s") % {"n": number, "kind": kind}
            for kind, number in retention.counts(withheld)
        )
        items = self.item_kind.count_text(len(withheld))
        return _("%(items)s left out, withheld: %(counts)s.") % {"items": items, "counts": counts}

    def _withheld_context(self, withheld: Mapping[int, WithheldReason]) -> dict[str, Any]:
        """Return the context of ``left_out.html``: counts, and the first withheld items."""
        return {
            "withheld_text": self._withheld_text(withheld) if withheld else "",
            "withheld_items": [
                {"pk": pk, "url": self.item_kind.admin_url("change", pk), "why": withheld[pk].text}
                for pk in sorted(withheld)[:PREVIEWED_ITEMS]
            ],
            "more_withheld": max(0, len(withheld) - PREVIEWED_ITEMS),
            "kind": self.item_kind.name,
        }
