"""Words and pictures are given to a CLIP model as open_clip gives them, without torch."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from gallery.imaging.descriptors import clip_weights
from gallery.imaging.descriptors.clip_pixels import Preparation
from gallery.imaging.descriptors.clip_words import Vocabulary, vocabulary
from tests.examples import FACTOR

CONTEXT = 77
SENTENCES = [
    "a photo of a cat",
    "It's 3 o'clock -- WE'LL meet; don't, they've, I'm, you're, he'd!",
    "  many   spaces\tand\nlines  ",
    "",
    " ",
    "<start_of_text> marks <end_of_text> of <END_OF_TEXT> one's own",
    "R&amp;amp;D &lt;b&gt; caf\u00c3\u00a9 \u201cquotes\u201d ﬁligree",
    "Straße İstanbul ıŞık ΣΊΣΥΦΟΣ ſ'ſ K",
    "Ein großer Hund läuft über die Straße, während Mädchen Äpfel essen.",
    "Le garçon n'aime pas les œufs à Noël",
    "El niño comió una piña — ¿por qué? ¡Olé!",
    "Кошка сидит на столе и смотрит в окно",
    "Η γάτα κάθεται πάνω στο τραπέζι",
    "一只猫坐在桌子上看着窗外的雨",
    "猫がテーブルの上に座っている。カタカナ",
    "고양이가 테이블 위에 앉아 있다",
    "القطة تجلس على الطاولة",
    "החתול יושב על השולחן",
    "बिल्ली मेज पर बैठी है १२३",
    "แมวนั่งอยู่บนโต๊ะ",
    "Con mèo ngồi trên bàn với những cuốn sách",
    "კატა ზის მაგიდაზე",
    "Կատուն նստած է սեղանին",
    "ድመቷ ጠረጴዛው ላይ ተቀምጣለች",
    "🐈‍⬛👩‍👩‍👧‍👦🇩🇪 e\u0301 \u200bzero\u00adwidth \ufeff",
    "1234567890 3.14 ½ Ⅷ ² x² C++ #tag @user https://example.org/a?b=c&d=%20",
    "\x00\x1b[31m\ud7ff\U0010ffff\u202e",
    "word " * 500,
    "pneumonoultramicroscopicsilicovolcanoconiosis" * 20,
    "!" * 300,
    "猫" * 300,
]


def random_texts(count: int) -> list[str]:
    """Texts of characters of all scripts, of letters alone, and of words of this list."""
    random = np.random.default_rng(0)
    assigned = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) not in ("Cn", "Cs", "Co")
    ]
    words = " ".join(SENTENCES).split()
    letters = list("abcdefghijklmnopqrstuvwxyz'ABCÄé ")
    texts = []
    for at in range(count):
        source, joint = ((assigned, ""), (letters, ""), (words, " "))[at % 3]
        texts.append(joint.join(random.choice(source, size=int(random.integers(1, 60)))))
    return texts


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    import open_clip

    return open_clip.get_tokenizer("ViT-B-32")


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize(("context", "more"), [(CONTEXT, 300 * max(FACTOR, 1)), (16, 0)])
def test_words_become_the_numbers_of_open_clip(tokenizer: Any, context: int, more: int) -> None:
    texts = [*SENTENCES, *random_texts(more)]
    ours = vocabulary(clip_weights.merges()).tokens(texts, context)
    theirs = tokenizer(texts, context_length=context).numpy()
    wrong = [text for text, a, b in zip(texts, ours, theirs, strict=True) if (a != b).any()]
    assert wrong == []
    assert ours.dtype == theirs.dtype == np.int64


def test_every_word_of_the_vocabulary_has_its_number(tokenizer: Any) -> None:
    assert Vocabulary(clip_weights.merges())._numbers == tokenizer.encoder


def test_no_words_no_rows() -> None:
    assert vocabulary(clip_weights.merges()).tokens([], CONTEXT).shape == (0, CONTEXT)


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("mode", ["shortest", "squash"])
def test_pictures_become_the_pixels_of_open_clip(mode: str, interpolation: str) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    preprocess = image_transform_v2(
        PreprocessCfg(
            size=224,
            mean=(0, 0, 0),
            std=(1, 1, 1),
            resize_mode=mode,
            interpolation=interpolation,
        ),
        is_train=False,
    )
    preparation = Preparation(224, mode, interpolation)
    photo = skimage.data.astronaut()
    random = np.random.default_rng(0)
    sizes = [(512, 512), (224, 224), (225, 224), (1, 1), (1, 512), (512, 3), (223, 512)]
    for height, width in [*sizes, *random.integers(1, 513, (40, 2)).tolist()]:
        rgb = np.ascontiguousarray(photo[:height, :width])
        theirs = preprocess(Image.fromarray(rgb)).permute(1, 2, 0).numpy()
        ours = preparation.square(rgb)
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, np.rint(theirs * 255), err_msg=f"{height} {width}")
