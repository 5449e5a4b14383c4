"""Engines are made by name, and say what is missing where they cannot be."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from flows.errors import OcrError
from flows.ocr.engine import OcrOptions
from flows.ocr.registry import ENGINES, make_engine, texts_fingerprint
from flows.settings import OcrSettings, Settings

BLANK = np.zeros((100, 300, 3), np.uint8)


def test_an_unknown_engine_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OcrError, match=r"'tesserakt'.*rapidocr, easyocr, tesseract"):
        make_engine("tesserakt")


def test_the_settings_know_every_engine() -> None:
    assert [OcrSettings(engine=name).engine for name in ENGINES] == list(ENGINES)  # type: ignore[arg-type]


@pytest.mark.parametrize("sides", [[], [640, 640], [960, 640], [8]])
def test_rungs_that_cannot_be_climbed_are_refused_as_settings(sides: list[int]) -> None:
    with pytest.raises(ValidationError):
        OcrSettings(sides=tuple(sides))


def test_texts_are_read_again_for_what_changes_them_and_for_nothing_else() -> None:
    now = texts_fingerprint(Settings())

    for same in (OcrSettings(more_than_words=9), OcrSettings(model_dir=Path("elsewhere"))):
        assert texts_fingerprint(Settings(ocr=same)) == now
    for other in (OcrSettings(sides=(640,)), OcrSettings(min_confidence=0.6), OcrSettings(languages=("de",))):
        assert texts_fingerprint(Settings(ocr=other)) != now


class Reader:
    """Stands in for EasyOCR, which is not installed for the tests: answers in its form."""

    made_with: dict[str, Any]
    seen: list[tuple[int, ...]]

    def __init__(self, languages: list[str], **options: Any) -> None:
        if options["model_storage_directory"] == "empty":
            raise FileNotFoundError("Missing craft_mlt_25k.pth and downloads disabled")
        Reader.made_with = {"languages": languages, **options}
        Reader.seen = []

    def readtext_batched(self, images: NDArray[np.uint8], batch_size: int) -> list[Any]:
        Reader.seen.append(images.shape)
        if images.max() == 255:
            raise RuntimeError("CUDA out of memory")
        return [
            [
                ([[10, 50], [210, 50], [210, 70], [10, 70]], "until Sunday", 0.9),
                ([[10, 10], [110, 10], [110, 30], [10, 30]], "25%OFF now", 0.8),
                ([[10, 90], [60, 90], [60, 99], [10, 99]], "smudge", 0.1),
            ]
            for _ in images
        ]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("easyocr")
    module.Reader = Reader  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "easyocr", module)
    monkeypatch.setattr("flows.ocr.easy.installed_version", lambda name: "1.7.2")


@pytest.mark.usefixtures("installed")
def test_easyocr_gives_the_same_words_by_the_same_rules() -> None:
    engine = make_engine("easyocr", OcrOptions(model_dir=Path("models")))

    (words,) = engine.read([BLANK])

    assert [word.text for word in words] == ["25%", "OFF", "now", "until", "Sunday"]
    assert words[3].box == pytest.approx((10, 50, 10 + 200 * 5 / 12, 70))
    assert engine.version.startswith("1.7.2+words")


@pytest.mark.usefixtures("installed")
def test_easyocr_sees_pictures_of_one_size_together_and_answers_in_their_order() -> None:
    engine = make_engine("easyocr")

    read = engine.read([BLANK, BLANK[:4], BLANK[:50], BLANK])

    assert [len(words) for words in read] == [5, 0, 5, 5]
    assert Reader.seen == [(2, 100, 300, 3), (1, 50, 300, 3)]


@pytest.mark.usefixtures("installed")
def test_what_easyocr_fails_on_is_named_with_its_size() -> None:
    with pytest.raises(OcrError, match="easyocr failed on 1 pictures of 300x100 pixels: CUDA out of memory"):
        make_engine("easyocr").read([BLANK + 255])


@pytest.mark.usefixtures("installed")
def test_easyocr_downloads_nothing_unless_allowed() -> None:
    make_engine("easyocr", OcrOptions(model_dir=Path("models"), languages=("en", "de")))
    assert Reader.made_with["download_enabled"] is False
    assert Reader.made_with["model_storage_directory"] == "models"
    assert Reader.made_with["languages"] == ["en", "de"]

    make_engine("easyocr", OcrOptions(allow_download=True))
    assert Reader.made_with["download_enabled"] is True


@pytest.mark.usefixtures("installed")
def test_missing_models_of_easyocr_are_named_with_the_setting() -> None:
    with pytest.raises(OcrError, match=r"empty.*craft_mlt_25k.*ocr\.model_dir"):
        make_engine("easyocr", OcrOptions(model_dir=Path("empty")))


def test_easyocr_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "easyocr", None)

    with pytest.raises(OcrError, match=r"pip install 'ytb-ads\[easyocr\]'"):
        make_engine("easyocr")


def test_tesseract_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(OcrError, match=r"tesseract is not installed.*apt-get install tesseract-ocr"):
        make_engine("tesseract")


TABLE = """\
level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext
1\t1\t0\t0\t0\t0\t0\t0\t640\t360\t-1\t
4\t1\t1\t1\t1\t0\t20\t40\t400\t40\t-1\t
5\t1\t1\t1\t1\t1\t20\t40\t160\t40\t96.5\tHalf"price
5\t1\t1\t1\t1\t2\t220\t40\t200\t40\t91\ttoday
5\t1\t1\t1\t2\t1\t20\t100\t200\t40\t12\tsmudge
5\t1\t2\t1\t1\t1\t20\t160\t200\t40\t88\t\u00a0
5\t1\t2\t1\t2\t1\t20\t220\t200\t40\t88\t25%OFF
"""


@pytest.fixture
def tesseract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program of this name that answers as the real one does."""
    (tmp_path / "table.tsv").write_text(TABLE, "utf-8")
    program = tmp_path / "tesseract"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        '  --version) echo "tesseract 5.9.1" ;;\n'
        '  --list-langs*) printf "List of languages\\neng\\nosd\\n" ;;\n'
        f'  *) cat > /dev/null; cat "{tmp_path}/table.tsv" ;;\n'
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return program


@pytest.mark.usefixtures("tesseract")
def test_the_table_of_tesseract_becomes_words_by_the_same_rules() -> None:
    engine = make_engine("tesseract")

    (words,) = engine.read([BLANK])

    assert [word.text for word in words] == ['Half"price', "today", "25%", "OFF"]
    assert words[1].box == pytest.approx((110, 20, 210, 40), abs=8)  # it saw the picture twice as large
    assert words[1].confidence == pytest.approx(0.91)
    assert engine.version.startswith("5.9.1+words")


@pytest.mark.usefixtures("tesseract")
def test_languages_that_tesseract_lacks_are_named() -> None:
    with pytest.raises(OcrError, match=r"no data for deu, only for eng, osd.*tesseract-ocr-deu"):
        make_engine("tesseract", OcrOptions(languages=("eng", "deu")))


def test_what_tesseract_says_as_it_fails_is_passed_on(tesseract: Path) -> None:
    engine = make_engine("tesseract")
    tesseract.write_text('#!/bin/sh\necho "out of ink" >&2\nexit 3\n')

    with pytest.raises(OcrError, match="tesseract ended with 3: out of ink"):
        engine.read([BLANK])
