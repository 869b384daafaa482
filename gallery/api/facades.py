"""What the APIs of other services have in common: JSON alone, errors of their own shape, and bodies
that are no form."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gallery.api.fields import PictureFileField


class AnyBytes(BaseParser):
    """Takes the body as it is, whatever its Content-Type says."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream.read()


@extend_schema(exclude=True)
class FacadeView(APIView):
    """A view that clients of another service call. It is not part of our own schema."""

    renderer_classes = (JSONRenderer,)

    @abstractmethod
    def error_body(self, error: Exception, sentence: str) -> dict[str, Any]:
        """Return an error in the shape that these clients know."""

    def error_status(self, error: Exception, status: int) -> int:
        """Return the status that these clients know, if it is not ours."""
        return status

    def get_exception_handler(self) -> Callable[..., Response | None]:
        usual = super().get_exception_handler()

        def handler(error: Exception, context: dict[str, Any]) -> Response | None:
            answer: Response | None = usual(error, context)
            if answer is not None:
                answer.status_code = self.error_status(error, answer.status_code)
                answer.data = self.error_body(error, answer.data.get("detail", ""))
            return answer

        return handler


def picture_in(request: Request, name: str) -> bytes:
    """Return the uploaded picture of a field. Raises ``TooLarge`` and ``ValidationError``."""
    field = PictureFileField()
    field.field_name = name
    content: bytes = field.run_validation(request.FILES.get(name))
    return content


def value_in(request: Request, name: str) -> Any:
    """Return a value of the body or, as some clients send it, of the query; None if neither."""
    body = request.data if isinstance(request.data, Mapping) else {}
    return body.get(name, request.query_params.get(name))
