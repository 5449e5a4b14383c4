"""Cost of a verdict from the file to the line of output: `ytb-ads predict` on a folder of videos, CPU seconds per ad.

Loading the model and the libraries is measured by a run over one video and subtracted: it happens once, for any number
of ads. 2.5 CPU seconds per ad are 0.8 ads per second on two cores. The exit code is 1 if the limit is exceeded.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

LIMIT_CPU_S = 2.5
SUFFIXES = (".mp4", ".webm", ".mkv")


def main() -> None:
    """Measure, print and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of videos, searched through")
    parser.add_argument("--model", required=True, metavar="RUN", help="folder of a run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    arguments = parser.parse_args()
    videos = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in SUFFIXES)
    if len(videos) < 2:
        raise SystemExit(f"error: {arguments.data} holds {len(videos)} videos; expected 2 or more")
    start = predict(videos[:1], arguments.model)
    whole = predict(videos, arguments.model)
    ads = len(videos) - 1
    measured = {
        "ads": ads,
        "cpu_s_per_ad": (whole["cpu_s"] - start["cpu_s"]) / ads,
        "wall_s_per_ad": (whole["wall_s"] - start["wall_s"]) / ads,
        "start_cpu_s": start["cpu_s"],
        "peak_mb": whole["peak_mb"],
        "limit_cpu_s_per_ad": LIMIT_CPU_S,
    }
    if arguments.json:
        print(json.dumps(measured, indent=1))
    else:
        print(
            f"{ads} ads: {measured['cpu_s_per_ad']:.2f} CPU s an ad (limit {LIMIT_CPU_S}), "
            f"{measured['wall_s_per_ad']:.2f} s an ad; the first, with all that is loaded, {start['cpu_s']:.1f} CPU s; "
            f"largest process {whole['peak_mb']:,.0f} MB"
        )
    raise SystemExit(measured["cpu_s_per_ad"] > LIMIT_CPU_S)


def predict(videos: Sequence[Path], model: str) -> dict[str, float]:
    """Run the command over these videos: seconds of the processor, with all its children, and of the clock."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flows", "predict", *map(str, videos), "--model", model]
        done = subprocess.run([*command, "--catalog", folder, "--json"], capture_output=True, text=True, check=False)
    if len(done.stdout.splitlines()) != len(videos):
        raise SystemExit(f"error: {done.stderr}")
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"cpu_s": spent, "wall_s": ended - begun, "peak_mb": after.ru_maxrss / 1024}


if __name__ == "__main__":
    main()
