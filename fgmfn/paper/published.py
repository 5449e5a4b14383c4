"""Figures that others have printed, in percent: the paper's own, and those that its baselines' authors published.

Several rows of the paper's Table 4 carry another model's figures: its TextCNN row is MGAN's, its AoM row is ARFN's.
They stand here as the paper prints them, beside what was published for the model itself where that is known.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Printed:
    """One printed result."""

    accuracy: float
    macro_f1: float | None = None
    """None where it was not printed."""
    source: str = "FGMFN 2025"


DATASETS = {"twitter2015": "Twitter-2015", "twitter2017": "Twitter-2017", "ytb_ads": "YTB-ADS"}
"""Data that figures have been printed for: their names here and in print."""

# Table 4: accuracy and macro-F1 on Twitter-2015 and on Twitter-2017, accuracy on YTB-ADS.
_TABLE_4 = {
    "res_target": (59.88, 46.48, 58.59, 53.98, 48.71),
    "vgg16": (64.32, 60.09, 66.45, 62.66, 57.82),
    "bilstm": (70.30, 63.43, 61.67, 57.97, 65.12),
    "text_cnn": (71.17, 64.21, 64.75, 61.46, 64.61),
    "roberta": (74.15, 68.86, 68.15, 65.23, 67.83),
    "mimn": (71.84, 65.69, 65.88, 62.99, 65.72),
    "esafn": (73.38, 67.37, 67.83, 64.22, 67.47),
    "vilbert": (73.69, 69.53, 67.86, 64.93, 68.62),
    "tombert": (77.15, 71.15, 70.34, 68.03, 69.42),
    "lxmert_mmsa": (77.83, 72.01, 71.28, 68.59, 69.84),
    "arfn": (78.14, 73.68, 71.14, 69.58, 68.03),
    "aom": (78.50, 73.70, 70.58, 68.43, 68.43),
    "mtvaf": (78.63, 74.52, 70.93, 68.95, 69.27),
    "fgmfn": (79.92, 75.28, 71.64, 69.16, 70.54),
}
# Table 6, in the same order of columns; the first row repeats Table 4's.
_TABLE_6 = {
    "fgmfn": _TABLE_4["fgmfn"],
    "without_msvf": (79.15, 74.31, 71.61, 69.84, 69.74),
    "without_ca": (78.80, 73.90, 70.32, 67.53, 69.14),
    "without_itc": (77.34, 72.77, 69.77, 67.65, 68.27),
    "without_mi": (76.80, 70.61, 70.69, 68.45, 67.36),
}


def _by_dataset(rows: dict[str, tuple[float, float, float, float, float]]) -> dict[str, dict[str, Printed]]:
    return {
        "twitter2015": {name: Printed(row[0], row[1]) for name, row in rows.items()},
        "twitter2017": {name: Printed(row[2], row[3]) for name, row in rows.items()},
        "ytb_ads": {name: Printed(row[4]) for name, row in rows.items()},
    }


TABLE_4 = _by_dataset(_TABLE_4)
"""The paper's Table 4 by data set and model."""
TABLE_6 = _by_dataset(_TABLE_6)
"""The paper's Table 6 by data set and configuration."""

ORIGINAL: dict[str, dict[str, Printed]] = {
    "twitter2015": {
        "text_only": Printed(74.15, 68.86, "Yu and Jiang 2019 (BERT)"),
        "tombert": Printed(77.15, 71.75, "Yu and Jiang 2019"),
        "mimn": Printed(71.84, 65.69, "Xu et al. 2019"),
        "esafn": Printed(73.38, 67.37, "Yu et al. 2020"),
        "aom": Printed(80.2, 75.9, "Zhou et al. 2023"),
    },
    "twitter2017": {
        "text_only": Printed(68.15, 65.23, "Yu and Jiang 2019 (BERT)"),
        "tombert": Printed(70.34, 68.03, "Yu and Jiang 2019"),
        "mimn": Printed(65.88, 62.99, "Xu et al. 2019"),
        "esafn": Printed(67.83, 64.22, "Yu et al. 2020"),
        "aom": Printed(76.4, 75.0, "Zhou et al. 2023"),
    },
    "ytb_ads": {},
}
"""Figures published for a model itself."""

BEST_SEEN: dict[str, Printed] = {
    "twitter2015": Printed(81.4, 76.7, "TCMT"),
    "twitter2017": Printed(77.3, 75.8, "TCMT"),
}
"""The highest that we have seen published for any model, so that no row is taken for the best there is."""

ROWS: dict[str, tuple[int, int, int]] = {"twitter2015": (3179, 1122, 1037), "twitter2017": (3562, 1176, 1234)}
"""Training, development and test rows of the sets that the figures were printed for."""

SHA256 = {
    "twitter2015": {
        "train.tsv": "ae0877588f155de80fc8858513e881562795fe644b59c808d31af3ded06f31fd",
        "dev.tsv": "cb0321455406ff7d41e191724d8f8b5507695fc6b9e35e117ab006f962a2aebe",
        "test.tsv": "60ffbf389c6adf12425af5199821890b17a15e4544a8557a6f5f34051ec62f2a",
    },
    "twitter2017": {
        "train.tsv": "27e16edea003f117d26074c83c7128c659d126c5f5821fa0140ba8f24ddfff09",
        "dev.tsv": "ff2120a17c29dd95cf53a325341ea852738fbb9dd934de1fcd060666ae1452e5",
        "test.tsv": "aec7b69e5ac43b7d7bfa9e4804aa5b99cb4d43d3ebc92f3fdc77450129fbbfed",
    },
}
"""Of the published files of the Twitter sets."""
PUBLICATION = "Yu and Jiang, IJCAI 2019, https://github.com/jefferyYu/TomBERT"
"""Publication of the Twitter sets: the texts are in the repository, a link to the pictures in its README."""
