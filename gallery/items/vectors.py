"""The abstract table of vectors of images, video frames and banned items: one narrow row per view.

Rows are inserted and deleted, never updated: an UPDATE would insert the row again into every
HNSW index. A row holds the columns of all descriptors with the same ``version``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from django.db import models
from pgvector.django import BitField, HalfVectorField, HnswIndex, VectorField

from gallery.imaging.descriptors.base import CNN_DIMENSIONS, COPY_VERSION, PIXELS_VERSION


class Fingerprint(models.Model):
    """Abstract: the descriptors of one view of one item, made by one version.

    ``view`` says which pixels were described (``full`` = the first frame unchanged). Subclasses
    add the foreign key ``item``. ``clip`` has no fixed dimension because models differ; each
    version gets its own partial index (``gallery.items.versions``).
    """

    view = models.CharField(max_length=16, default="full")
    version = models.CharField(max_length=160)
    haar = VectorField(dimensions=16, null=True, help_text="imgsmlr signature")
    pdq = BitField(length=256, null=True)
    pdq_quality = models.SmallIntegerField(null=True, help_text="0 to 100")
    cnn = HalfVectorField(dimensions=CNN_DIMENSIONS, null=True, help_text="unit length")
    clip = HalfVectorField(null=True, help_text="unit length")

    class Meta:
        abstract = True
        constraints = [
            models.UniqueConstraint(
                fields=["item", "view", "version"], name="%(class)s_item_view_version"
            )
        ]
        indexes = [
            HnswIndex(
                name="%(class)s_haar_hnsw",
                fields=["haar"],
                opclasses=["vector_l2_ops"],
                m=16,
                ef_construction=64,
                condition=models.Q(version=PIXELS_VERSION),
            ),
            HnswIndex(
                name="%(class)s_pdq_hnsw",
                fields=["pdq"],
                opclasses=["bit_hamming_ops"],
                m=16,
                ef_construction=100,
                condition=models.Q(version=PIXELS_VERSION),
            ),
            HnswIndex(
                name="%(class)s_cnn_hnsw",
                fields=["cnn"],
                opclasses=["halfvec_cosine_ops"],
                m=16,
                ef_construction=128,
                condition=models.Q(version=COPY_VERSION),
            ),
        ]


DESCRIPTOR_COLUMNS = tuple(field.name for field in Fingerprint._meta.fields if field.null)


def encode(value: Any) -> Any:
    """Return a descriptor's value in PostgreSQL's text form; 4,096 floats take 0.07 ms.

    Arrays become ``[1.0,2.0]``, which pgvector's types read. Other values are returned
    unchanged.
    """
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value, dtype=np.float32)
        return orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return value
