"""Off switches of the libraries that report their use; set before the first of them is imported.

Each library reads its switch from the environment when it is imported, some of them only then. Children inherit it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

HUB_SWITCHES = {
    # huggingface_hub: package versions and the calling program's name in every request for weights, and events
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers asks the Hub to convert a model that has no safetensors file
    "DISABLE_SAFETENSORS_CONVERSION": "1",
    # ONNX Runtime, which reads this only while it is loaded: a device id and a database of events in the cache folder
    "ORT_DISABLE_TELEMETRY": "1",
    # the convention of consoledonottrack.com, which Prefect heeds, too
    "DO_NOT_TRACK": "1",
}


def turn_off_telemetry(switches: Mapping[str, str] = HUB_SWITCHES) -> None:
    """Set the switches that are not set in the environment."""
    for name, value in switches.items():
        os.environ.setdefault(name, value)
