"""A CPU host and a GPU host that share no path: a rebuild here has a training there, and the model comes back.

    python -m tests.drills.two_hosts

Each host is a mount namespace (`unshare`, as root) with a virtual environment, a home, a cache and folders of its own;
the folders of the other one are not there. The package is installed from a wheel, and no checkout is on any path. Once
the hosts share a bucket (moto's server of S3), and once a folder, which each has at another path. Prefect's server asks
for a password. Prints a line for each thing that was done or seen; `docs/service.md` has such a log.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows import SWITCHES
from flows.sample import render_sample
from tests.drills.recovery import QUICK, ROOT, say, wait
from tests.servers import s3_serving

PASSWORD = "admin:of-the-drill"  # noqa: S105 - of a server that lives for the drill
STORAGES = ("bucket", "folder")


@dataclass
class Host:
    """One of the two: what it runs sees only its own folder, as `/host-NAME`."""

    name: str
    folder: Path
    hidden: Path
    """Folder of the drill with all that it does not see; it sees its own in it under another name."""
    wheel: Path
    environment: dict[str, str]
    shared: Path | None = None
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def install(self) -> None:
        """Make its virtual environment: the wheel, and the libraries of this one, which are too large to copy."""
        for name in ("home", "tmp", "prefect", "settings"):
            (self.folder / name).mkdir(parents=True)
        python = str(Path(sys.executable).resolve())
        subprocess.run(self._inside(python, "-m", "venv", "--without-pip", f"{self.place}/venv"), check=True)
        site = next((self.folder / "venv/lib").glob("python*/site-packages"))
        libraries = os.path.realpath(next(path for path in sys.path if path.endswith("site-packages")))
        # not as a .pth file: that of the editable checkout would be read, too
        (site / "libraries.pth").write_text(f"import sys; sys.path.append({libraries!r})\n")
        shutil.unpack_archive(self.wheel, site, "zip")

    @property
    def place(self) -> str:
        """Where it sees its own folder."""
        return f"/host-{self.name}"

    def sees(self, path: str) -> bool:
        """Whether a path is there, for it."""
        return self._run("test", "-e", path).returncode == 0

    def ytb_ads(self, *words: str) -> str:
        """Run a command there; returns what it prints."""
        done = self._run(*self._module("flows", *words))
        if done.returncode:
            raise RuntimeError(f"{self.name}: ytb-ads {' '.join(words)}: {done.stderr}")
        return str(done.stdout)

    def package(self) -> str:
        """Where the package lies that it uses."""
        python = self._module("flows")[0]
        return self._run(python, "-c", "import flows; print(flows.__file__)").stdout

    def start_worker(self, pool: str) -> None:
        """Start a worker in the folder of its settings."""
        with (self.folder / "worker.log").open("ab") as log:
            words = self._module("prefect", "worker", "start", "--pool", pool)
            self.processes.append(
                subprocess.Popen(self._inside(*words), env=self._environment(), stdout=log, stderr=log)
            )

    def stop(self) -> None:
        """End its worker."""
        for process in self.processes:
            process.terminate()
            process.wait(timeout=60)

    def _module(self, name: str, *words: str) -> list[str]:
        return [f"{self.place}/venv/bin/python", "-m", name, *words]

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._inside(*words), env=self._environment(), capture_output=True, text=True, check=False
        )

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": f"{self.place}/home",
            "TMPDIR": f"{self.place}/tmp",
            "PREFECT_HOME": f"{self.place}/prefect",
            **SWITCHES,
            **self.environment,
        }

    def _inside(self, *words: str) -> list[str]:
        """A command in a mount namespace that has its own folder, and nothing else of the drill's."""
        shared = f"mkdir -p {self.place}/mount && mount --bind {self.shared} {self.place}/mount;" if self.shared else ""
        script = (
            f"set -e; mkdir -p {self.place}; mount --bind {self.folder} {self.place}; {shared}"
            f'mount -t tmpfs none {self.hidden}; cd {self.place}/settings; exec "$@"'
        )
        return ["unshare", "-m", "sh", "-c", script, "sh", *words]


def ask(server: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the server's API answers to somebody who knows the password."""
    request = urllib.request.Request(
        f"{server}/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": f"Basic {base64.b64encode(PASSWORD.encode()).decode()}",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def drill(storage: str, folder: Path, wheel: Path, server: str, bucket: dict[str, str], ads: int) -> None:
    """A rebuild on the CPU host, the training that its event starts on the GPU host, and a look at the model."""
    shared = folder / "shared"
    (shared / "data").mkdir(parents=True)
    known = {"PREFECT_API_URL": server, "PREFECT_API_AUTH_STRING": PASSWORD, **QUICK}
    hosts = {}
    with ExitStack() as stack:
        for name, pool in (("cpu", "cpu"), ("gpu", "gpu")):
            at = f"{name}-{storage}"
            host = Host(at, folder / at, folder.parent, wheel, known, shared if storage == "folder" else None)
            host.install()
            # the shared folder is mounted at the same name of another folder, and holds the catalog at another depth
            place = "s3://drill/catalog" if storage == "bucket" else f"{host.place}/mount/data"
            keys = bucket if storage == "bucket" else {}
            lines = {"YTB_ADS_CATALOG": place, **keys}
            (host.folder / "settings/.env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
            (host.folder / "settings/ytb_ads.toml").write_text(
                '[training]\nconfig = "tiny"\nmodels = ["text_only"]\nfrom_scratch = true\n'
            )
            hosts[pool] = host
            stack.callback(host.stop)
        cpu, gpu = hosts["cpu"], hosts["gpu"]
        render_sample(cpu.folder / "settings/ads", ads=ads, seed=0)
        for one, other in ((cpu, gpu), (gpu, cpu)):
            assert one.sees(one.place)
            assert not one.sees(f"{other.place}/settings"), "the hosts share a path"
            assert not one.sees(str(other.folder)), "the hosts share a path"
            assert one.package().startswith(one.place), f"the package is not that of the wheel: {one.package()}"
        say(f"{storage}: two hosts, neither sees the other's folders")
        say(f"{storage}: {cpu.ytb_ads('deploy', '--source', 'folder:ads').splitlines()[-3]}")
        for deployment in ask(server, "deployments/filter", {}):
            told = json.dumps({key: deployment[key] for key in ("parameters", "entrypoint", "pull_steps", "path")})
            assert str(ROOT) not in told, told
            assert cpu.place not in told, told
        cpu.start_worker("cpu")
        gpu.start_worker("gpu")
        _train(storage, server, cpu, gpu)


def _train(storage: str, server: str, cpu: Host, gpu: Host) -> None:
    rebuild = ask(server, "deployments/name/build-dataset/weekly-rebuild")["id"]
    began = ask(server, f"deployments/{rebuild}/create_flow_run", {})
    ended = _wait_for(server, began["id"])
    say(f"{storage}: rebuild on {cpu.name}: {ended}")
    training = ask(server, "deployments/name/train/train-on-gpu")["id"]
    asked = {
        "flow_runs": {"expected_start_time": {"after_": began["created"]}},
        "deployments": {"id": {"any_": [training]}},
    }
    [run] = wait(lambda: ask(server, "flow_runs/filter", asked), "the training is asked for")
    parameters = run["parameters"]
    said = parameters["catalog"], parameters["release"], parameters["row_set_hash"][:16]
    say(f"{storage}: training is asked for: {', '.join(said)}")
    say(f"{storage}: training on {gpu.name}: {_wait_for(server, run['id'])}")
    [model] = json.loads(cpu.ytb_ads("models", "--json"))["runs"]
    say(f"{storage}: models on {cpu.name}: {model['run']}, in service: {model['in_service']}")


def _wait_for(server: str, run: str) -> str:
    def ended() -> dict[str, Any] | None:
        state = ask(server, f"flow_runs/{run}")["state"]
        return state if state["type"] in ("COMPLETED", "FAILED", "CRASHED") else None

    state: dict[str, Any] = wait(ended, f"run {run} ends")
    if state["type"] != "COMPLETED":
        lines = ask(server, "logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}})
        raise RuntimeError(
            f"{state['name']}: {state['message']}\n" + "\n".join(line["message"] for line in lines[-30:])
        )
    return str(state["name"])


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--storages", nargs="+", choices=STORAGES, default=STORAGES)
    words.add_argument("--ads", type=int, default=8)
    given = words.parse_args()
    if os.geteuid():
        sys.exit("mount namespaces need root")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hosts-", dir="/var/tmp")))
        build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(home), "."]
        subprocess.run(build, cwd=ROOT, check=True)
        [wheel] = home.glob("*.whl")
        say(f"wheel: {wheel.name}")
        s3 = stack.enter_context(s3_serving(home / "s3.log"))
        with urllib.request.urlopen(urllib.request.Request(f"{s3}/drill", method="PUT"), timeout=30):
            pass
        keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "of-the-drill", "AWS_ENDPOINT_URL": s3}
        for storage in given.storages:
            server, process = _serve(home / f"server-{storage}")
            stack.callback(process.terminate)
            drill(storage, home / storage, wheel, server, keys, given.ads)
            process.terminate()
            process.wait(timeout=60)
    say("the drill passed: a rebuild on one host, its training on the other, the model back, no path in common")


def _serve(home: Path) -> tuple[str, subprocess.Popen[bytes]]:
    """A Prefect server on all addresses, which asks for a password."""
    home.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"PREFECT_HOME": str(home), "PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "0.0.0.0", "--port", str(port)],  # noqa: S104 - as two hosts need it
            env={**os.environ, **SWITCHES, **environment},
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}/api"

    def answers() -> bool:
        time.sleep(0.3)
        try:
            return bool(ask(url, "health"))
        except OSError:
            return False

    wait(answers, "the server answers")
    return url, process


if __name__ == "__main__":
    main()
