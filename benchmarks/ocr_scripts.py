"""Quality of each OCR engine by script: character error rate, and the frames that it keeps.

Sentences of adverts, three on a picture, are drawn in the fonts below a folder that have all their letters. An error
is a character to insert, remove or replace; spaces do not count, capitals and accents do. Pictures in letters that an
engine knows are to be kept, and none of the others.
"""

from __future__ import annotations

import argparse
import json
import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.table import Table

from benchmarks.ocr_frames import DECISION, background, fonts_with
from flows.console import print_tables
from flows.errors import OcrError
from flows.frames.picture import Picture
from flows.ocr.engine import OcrEngine, OcrOptions
from flows.ocr.registry import ENGINES, make_engine

SIZE = (960, 540)
Half = Literal["first", "second"]
"""Thresholds are chosen on the first half of the fonts and sentences and measured on the second."""


@dataclass(frozen=True)
class Language:
    """A language, its codes, and sentences in it."""

    name: str
    tesseract: str
    easyocr: str
    """Empty where it has no model."""
    sentences: tuple[str, ...]


LANGUAGES = (
    Language("English", "eng", "en", (
        "Fresh bread every single morning", "Now 25% off until Sunday", "Order today and save on shipping",
        "Made for people who love the sea", "The new way to clean your home", "Call us for a free first lesson")),
    Language("German", "deu", "de", (
        "Größte Auswahl für Ihre Küche", "Jetzt kostenlos testen und sparen", "Frisch gebacken und täglich geöffnet",
        "Schöne Möbel für draußen", "Nur heute zum halben Preis", "Wir liefern bis an Ihre Tür")),
    Language("French", "fra", "fr", (
        "Découvrez nos nouveautés dès maintenant", "Une fraîcheur qui dure toute la journée",
        "Livraison offerte dès 49 €",
        "Goûtez la différence à chaque repas", "Prêt à changer de façon de vivre",
        "Le goût du pain comme à la maison")),
    Language("Spanish", "spa", "es", (
        "El sabor de siempre más cerca de ti", "Compra hoy y paga mañana", "Niños gratis todo el año",
        "Envío rápido a cualquier ciudad", "Más allá de lo que sueñas", "Tu música en cualquier lugar")),
    Language("Polish", "pol", "pl", (
        "Więcej świeżości każdego dnia", "Zamów już dziś i odbierz jutro", "Najlepsze ceny w całej Łodzi",
        "Ciepły chleb prosto z pieca", "Twój dom może być piękny", "Wszystko dla małych i dużych")),
    Language("Turkish", "tur", "tr", (
        "Yeni ürünler şimdi mağazalarda", "Ücretsiz kargo fırsatını kaçırma", "İlk siparişinde büyük indirim",
        "Sağlıklı dişler için her gün", "Çocuklar için güvenli oyuncaklar", "Eviniz için en iyi ışık")),
    Language("Vietnamese", "vie", "vi", (
        "Giảm giá lớn hôm nay", "Mua ngay kẻo hết hàng", "Sản phẩm mới cho gia đình bạn",
        "Miễn phí giao hàng toàn quốc", "Hương vị đậm đà của quê nhà", "Chất lượng tốt với giá rẻ")),
    Language("Greek", "ell", "", (
        "Μεγάλες προσφορές κάθε μέρα", "Φρέσκο ψωμί κάθε πρωί", "Αγοράστε σήμερα με έκπτωση",
        "Η γεύση της θάλασσας στο σπίτι", "Δωρεάν παράδοση σε όλη τη χώρα", "Όλα για τους μικρούς μας φίλους")),
    Language("Russian", "rus", "ru", (
        "Свежий хлеб каждое утро", "Скидки на всё до воскресенья", "Закажите сегодня и получите подарок",
        "Новая коллекция уже в магазинах", "Лучшие цены для вашей семьи", "Бесплатная доставка по городу")),
    Language("Ukrainian", "ukr", "uk", (
        "Свіжий хліб щодня для вашої родини", "Знижки до кінця цього тижня", "Замовляйте зараз і отримайте подарунок",
        "Їжа, яку люблять наші діти", "Найкращі ціни в нашому місті", "Безкоштовна доставка по країні")),
    Language("Arabic", "ara", "ar", (
        "خصم كبير على كل المنتجات", "اطلب الآن واحصل على هدية", "خبز طازج كل صباح",
        "توصيل مجاني إلى كل المدن", "أفضل الأسعار لعائلتك", "مذاق لا ينسى في بيتك")),
    Language("Hebrew", "heb", "", (
        "מבצע גדול על כל המוצרים", "הזמינו היום וקבלו מתנה", "לחם טרי בכל בוקר",
        "משלוח חינם לכל הארץ", "המחירים הטובים ביותר למשפחה", "טעם של בית בכל ארוחה")),
    Language("Hindi", "hin", "hi", (
        "आज ही खरीदें और पैसे बचाएं", "हर सुबह ताज़ी रोटी", "सभी उत्पादों पर भारी छूट",
        "पूरे देश में मुफ़्त डिलीवरी", "आपके परिवार के लिए सबसे अच्छा", "घर जैसा स्वाद हर दिन")),
    Language("Bengali", "ben", "bn", (
        "আজই কিনুন এবং টাকা বাঁচান", "প্রতিদিন সকালে তাজা রুটি", "সব পণ্যে বড় ছাড়",
        "সারা দেশে বিনামূল্যে ডেলিভারি", "আপনার পরিবারের জন্য সেরা দাম", "ঘরের মতো স্বাদ প্রতিদিন")),
    Language("Tamil", "tam", "ta", (
        "இன்றே வாங்கி பணத்தை சேமியுங்கள்", "தினமும் காலை புதிய ரொட்டி", "அனைத்து பொருட்களுக்கும் தள்ளுபடி",
        "நாடு முழுவதும் இலவச விநியோகம்", "உங்கள் குடும்பத்திற்கு சிறந்த விலை", "வீட்டு சுவை ஒவ்வொரு நாளும்")),
    Language("Malayalam", "mal", "", (
        "ഇന്ന് തന്നെ വാങ്ങൂ പണം ലാഭിക്കൂ", "എല്ലാ ദിവസവും പുതിയ രുചി", "എല്ലാ ഉൽപ്പന്നങ്ങൾക്കും വലിയ കിഴിവ്",
        "നിങ്ങളുടെ കുടുംബത്തിന് മികച്ച വില", "രാജ്യത്തുടനീളം സൗജന്യ ഡെലിവറി", "വീട്ടിലെ രുചി ഓരോ നേരവും")),
    Language("Thai", "tha", "th", (
        "ลดราคา สินค้า ทุกชิ้น วันนี้", "ขนมปัง สดใหม่ ทุกเช้า", "สั่งซื้อ วันนี้ รับของแถม ฟรี",
        "ส่งฟรี ทั่วประเทศ ทุกวัน", "ราคา ดีที่สุด สำหรับ ครอบครัว", "รสชาติ เหมือน อยู่บ้าน")),
    Language("Korean", "kor", "ko", (
        "오늘만 모든 상품 반값 할인", "매일 아침 갓 구운 빵", "지금 주문하고 선물 받으세요",
        "전국 어디나 무료 배송", "우리 가족을 위한 좋은 가격", "집에서 즐기는 바다의 맛")),
    Language("Georgian", "kat", "", (
        "ახალი პური ყოველ დილით", "დიდი ფასდაკლება ყველა პროდუქტზე", "შეუკვეთეთ დღეს და მიიღეთ საჩუქარი",
        "უფასო მიწოდება მთელ ქვეყანაში", "საუკეთესო ფასი თქვენი ოჯახისთვის", "სახლის გემო ყოველ დღე")),
    Language("Armenian", "hye", "", (
        "Թարմ հաց ամեն առավոտ", "Մեծ զեղչեր բոլոր ապրանքների համար", "Պատվիրեք այսօր և ստացեք նվեր",
        "Անվճար առաքում ամբողջ երկրում", "Լավագույն գները ձեր ընտանիքի համար", "Տան համը ամեն օր")),
    Language("Chinese", "chi_sim", "ch_sim", (
        "今天购买 全场 半价 优惠", "每天 早上 新鲜 面包", "现在 下单 就送 礼物",
        "全国 包邮 每天 发货", "为您 的家人 准备 好价", "家的 味道 天天 都有")),
    Language("Japanese", "jpn", "ja", (
        "本日 限り 全品 半額 セール", "毎朝 焼きたての パン です", "今すぐ 注文して プレゼント",
        "全国 どこでも 送料 無料", "ご家族の ための お得な 価格", "おうちで 楽しむ 海の味")),
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A picture and the sentences on it."""

    picture: Picture
    lines: tuple[str, ...]
    font: str


def main() -> None:
    """Read every language with every engine that is installed and has its data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fonts", type=Path, nargs="+", default=[Path("/usr/share/fonts")], metavar="DIR")
    parser.add_argument("--tessdata", type=Path, metavar="DIR", help="folder of tesseract's data for the languages")
    parser.add_argument("--easyocr", type=Path, metavar="DIR", help="folder of easyocr's models")
    parser.add_argument("--engine", choices=ENGINES, help="default: all that are installed")
    parser.add_argument("--language", action="append", help="by its English name; default: all")
    parser.add_argument("--half", choices=("first", "second"), default="second", help="of the fonts and sentences")
    parser.add_argument("--number", type=int, default=6, help="fonts a language")
    parser.add_argument("--json", action="store_true", help="one JSON object for each language and engine")
    arguments = parser.parse_args()
    chosen = [one for one in LANGUAGES if one.name in (arguments.language or [one.name])]
    rows = []
    for language in chosen:
        drawn = list(pages(language, arguments.fonts, arguments.half, arguments.number))
        if not drawn:
            Console(stderr=True).print(f"left out: no font has the letters of {language.name}", highlight=False)
            continue
        for name in [arguments.engine] if arguments.engine else ENGINES:
            engine = _engine(name, language, arguments.tessdata, arguments.easyocr)
            if engine is not None:
                rows.append({"language": language.name, "engine": name, **measure(engine, drawn)})
                if arguments.json:
                    print(json.dumps(rows[-1]), flush=True)
    if not arguments.json:
        print_tables(render(rows))


def pages(language: Language, folders: Sequence[Path], half: Half, number: int) -> Iterator[Page]:
    """Pictures of three sentences in each of at most `number` fonts."""
    draw = random.Random(language.name)
    parity = ("first", "second").index(half)
    sentences = language.sentences[3 * parity : 3 * parity + 3]
    usable = fonts_with("".join(language.sentences), folders)[parity::2]
    for font_file in draw.sample(usable, min(number, len(usable))):
        yield Page(_page(sentences, font_file, draw), sentences, font_file.stem)


def measure(engine: OcrEngine, drawn: Sequence[Page]) -> dict[str, Any]:
    """Error rate over all characters, and the share of pictures with more than five words."""
    errors = characters = kept = 0
    for page in drawn:
        [words] = engine.read([page.picture])
        truth, said = (
            unicodedata.normalize("NFC", "".join("".join(parts).split()))
            for parts in (page.lines, (word.text for word in words))
        )
        errors += edit_distance(truth, said)
        characters += len(truth)
        kept += len(words) > DECISION
    return {"pictures": len(drawn), "character_error_rate": errors / characters, "kept": kept}


def edit_distance(truth: str, said: str) -> int:
    """Least number of characters to insert, remove or replace."""
    row = np.arange(len(said) + 1)
    for index, character in enumerate(truth, start=1):
        replaced = row[:-1] + np.array([character != other for other in said], int)
        best = np.minimum(np.concatenate([[index], np.minimum(replaced, row[1:] + 1)]), row + 1)
        # an insertion costs one a step: the least of best[j] + (i - j) over all j before
        row = np.minimum.accumulate(best - np.arange(len(best))) + np.arange(len(best))
    return int(row[-1])


def render(rows: Sequence[dict[str, Any]]) -> Table:
    """One row a language; error rate and kept pictures by engine."""
    names = list(dict.fromkeys(row["engine"] for row in rows))
    table = Table(title="character error rate; pictures with more than five words")
    for title in ("language", *names):
        table.add_column(title, justify="left" if title == "language" else "right")
    for language in dict.fromkeys(row["language"] for row in rows):
        of = {row["engine"]: row for row in rows if row["language"] == language}
        cells = (
            f"{of[name]['character_error_rate']:.1%}, {of[name]['kept']} of {of[name]['pictures']}"
            if name in of else "no model" for name in names
        )  # fmt: skip
        table.add_row(language, *cells)
    return table


def _engine(name: str, language: Language, tessdata: Path | None, easyocr: Path | None) -> OcrEngine | None:
    codes = {"rapidocr": "", "tesseract": language.tesseract, "easyocr": language.easyocr}[name]
    if name == "easyocr" and not codes:
        return None
    folder = {"tesseract": tessdata, "easyocr": easyocr}.get(name)
    try:
        return make_engine(name, OcrOptions(languages=(codes,) if codes else (), model_dir=folder))
    except OcrError as error:
        Console(stderr=True).print(f"left out for {language.name}: {error}", highlight=False)
        return None


def _page(lines: Sequence[str], font_file: Path, draw: random.Random) -> Picture:
    """Lines below each other, as large as the widest allows."""
    base = background(draw, draw.choice(("gradient", "noise")), SIZE)
    image = Image.fromarray(cv2.cvtColor(base, cv2.COLOR_BGR2RGB))
    canvas = ImageDraw.Draw(image)
    size = draw.randint(26, 60)
    font = ImageFont.truetype(font_file, size)
    widest = max(canvas.textlength(line, font) for line in lines)
    font = ImageFont.truetype(font_file, int(min(size, size * 0.9 * SIZE[0] / widest)))
    light = draw.random() < 0.5
    ink, edge = ((255, 255, 255), (0, 0, 0)) if light else ((10, 10, 40), (255, 255, 255))
    for row, line in enumerate(lines):
        at = (40, 60 + 140 * row)
        left, top, right, bottom = canvas.textbbox(at, line, font)
        canvas.rectangle((left - 8, top - 6, right + 8, bottom + 6), fill=edge)
        canvas.text(at, line, ink, font)
    return cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR).astype(np.uint8)


if __name__ == "__main__":
    main()
