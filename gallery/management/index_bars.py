"""The progress bar of an index that is built."""

from __future__ import annotations

from tqdm import tqdm

from gallery.items.vector_indexes import HnswIndex, Tell


def index_bar(index: HnswIndex) -> Tell:
    bar = tqdm(total=index.vectors, desc=index.name, unit="vector", disable=None)

    def tell(done: int, total: int) -> None:
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return tell
