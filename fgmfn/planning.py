"""What one run will train: a model, its settings, its rows and the folder that its key names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgmfn.baselines import check_models, model_class
from fgmfn.building import model_config
from fgmfn.code_version import code_version
from fgmfn.configuration import FgmfnConfig
from fgmfn.data import Source
from fgmfn.errors import DataError
from fgmfn.quiet import quiet_libraries
from fgmfn.settings import ModelSettings, load_settings, model_settings_for, shipped_configs


@dataclass(frozen=True)
class Run:
    """One model to train: everything its result depends on."""

    name: str
    settings: ModelSettings
    source: Source
    folder: Path

    @property
    def has_dev(self) -> bool:
        """Whether there are rows to choose the weights by."""
        return len(self.source.splits["validation"]) > 0


@quiet_libraries()
def plan_run(
    name: str,
    source: Source,
    config: Path | str | None,
    output: Path,
    *,
    seed: int | None = None,
    from_scratch: bool = False,
    changes: Mapping[str, Any] | None = None,
) -> Run:
    """Settle one model's run; nothing is built, read or downloaded yet.

    Args:
        name: the model's name in the registry.
        source: its rows.
        config: a TOML file of settings, a shipped configuration's name, or None for the model's own recipe.
        output: where the run's folder lies, named after the model and the key of all it depends on.
        seed: replaces the configuration's seed.
        from_scratch: start the encoders at random.
        changes: settings of the model that go before the configuration's, and a table `training` of its training's.

    Raises:
        ConfigError: A setting or the model's name is wrong.
        DataError: The model looks at pictures that are not there.
    """
    kind = model_class(name)
    if config is None and issubclass(kind.config_class, FgmfnConfig):
        config = source.name if source.name in shipped_configs() else "ytb_ads"
    run_settings = load_settings(config, from_scratch=from_scratch, seed=seed)
    if run_settings.models:
        check_models(list(run_settings.models))
    settings = model_settings_for(name, run_settings, kind, from_scratch=from_scratch, seed=seed, changes=changes)
    model_config(kind, settings.model, source.class_names)
    if "image" in kind.modalities and source.splits["train"].pictures is None:
        raise DataError(f"{source.name}: {name} looks at pictures; name their folder (--images DIR)")
    return Run(name, settings, source, output / f"{name}-{_key(name, settings, source)}")


def _key(name: str, settings: ModelSettings, source: Source) -> str:
    parts = {
        "code": code_version(name),
        "model": name,
        "settings": settings.as_json(),
        "rows": source.row_set_hash,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
