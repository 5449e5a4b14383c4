"""Machine and software behind a result, and the flags that decide whether a run is reproducible."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

PROJECT = "ytb-ads"
PACKAGES = (
    *("torchvision", "transformers", "tokenizers", "safetensors", "huggingface-hub", "timm", "accelerate"),
    *("numpy", "scipy", "scikit-learn", "pyarrow", "pillow"),
)
"""Packages whose version may change a score."""
VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
)
ANSWER_S = 20
"""Timeout of a program that is called for its version."""


def environment() -> dict[str, Any]:
    """Return the environment of this process as plain values, for a run's record."""
    has_gpu = torch.cuda.is_available()
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if has_gpu else []
    return {
        "versions": {"python": platform.python_version(), "torch": torch.__version__}  # which names CUDA's version, too
        | {name: _version(name) for name in (PROJECT, *PACKAGES)},
        "commit": commit(),
        "system": platform.platform(),
        "device": "cuda" if has_gpu else "cpu",
        "device_name": names[0] if names else processor_name(),
        "devices": names,
        "driver": driver_version() if has_gpu else None,
        "cuda": torch.version.cuda if has_gpu else None,
        "cudnn": torch.backends.cudnn.version() if has_gpu else None,
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "threads": torch.get_num_threads(),
        "flags": {
            "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "cuDNN deterministic": torch.backends.cudnn.deterministic,
            "cuDNN benchmark": torch.backends.cudnn.benchmark,
            "TF32 in matrix products": torch.backends.cuda.matmul.allow_tf32,
            "TF32 in cuDNN": torch.backends.cudnn.allow_tf32,
        }
        | {name: os.environ.get(name) for name in VARIABLES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def commit() -> str | None:
    """Return the commit of the checkout that this package lies in; None where it is installed without one."""
    here = Path(__file__).resolve().parent
    if not (here.parent / ".git").exists():
        return None
    found = _answer("git", "-C", str(here), "rev-parse", "HEAD")
    changed = _answer("git", "-C", str(here), "status", "--porcelain", "--", ".")
    return f"{found} with changes" if found and changed else found


@cache
def driver_version() -> str | None:
    """Return the version of NVIDIA's driver; None where it is not told."""
    told = _answer("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return told.splitlines()[0] if told else None


def processor_name() -> str:
    """Return the name of the processor."""
    told = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", told.read_text("utf-8"), re.MULTILINE) if told.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _answer(*command: str) -> str | None:
    """Return what a program prints; None where it is missing, fails or does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
