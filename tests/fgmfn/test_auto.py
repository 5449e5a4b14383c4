"""transformers' auto classes know the models: whoever has the package needs no code of a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor

import fgmfn.auto
from fgmfn.errors import ConfigError
from fgmfn.processing import FgmfnProcessor
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import build, processor_for, small_config

fgmfn.auto.register()


def run_python(code: str, **environment: str) -> str:
    """Run code in a new interpreter; return the last line that it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


ASKED = "print(type(AutoConfig.from_pretrained(sys.argv[1])).__name__)"


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import fgmfn; from transformers import pipeline, AutoConfig",
        "from transformers import AutoConfig, AutoProcessor; import fgmfn",
    ],
)
def test_the_models_are_known_in_whatever_order_both_packages_are_imported(imports: str, tmp_path: Path) -> None:
    build("tombert").config.save_pretrained(tmp_path)
    code = f"import sys; sys.argv = ['', {str(tmp_path)!r}]; {imports}; {ASKED}"
    assert run_python(code, PYTHONPATH=":".join(filter(None, sys.path))) == "TomBertConfig"


def test_importing_the_package_imports_neither_pytorch_nor_transformers() -> None:
    code = "import fgmfn, sys; print([name for name in ('torch', 'transformers') if name in sys.modules])"
    assert run_python(code, PYTHONPATH=":".join(filter(None, sys.path))) == "[]"


def test_a_trained_model_is_what_config_json_names(finished: Finished) -> None:
    for trained in finished[1]:
        model = AutoModelForSequenceClassification.from_pretrained(trained.checkpoint, local_files_only=True)
        assert [type(model).__name__] == model.config.architectures
        assert type(AutoModel.from_config(model.config)) is type(model)
    assert {type(AutoConfig.from_pretrained(one.checkpoint)).__name__ for one in finished[1]} == {"FgmfnConfig"}
    assert isinstance(AutoProcessor.from_pretrained(finished[1][0].checkpoint), FgmfnProcessor)


@pytest.mark.parametrize("word", ["dtype", "torch_dtype"])
def test_a_model_is_loaded_in_the_precision_that_is_asked_for(finished: Finished, word: str) -> None:
    for name, precision in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        for asked in (name, precision):
            model = AutoModel.from_pretrained(finished[1][0].checkpoint, **{word: asked})
            assert {weight.dtype for weight in model.parameters()} == {precision}


def test_outputs_that_no_model_gives_are_refused() -> None:
    for name in ("output_attentions", "output_hidden_states"):
        with pytest.raises(ConfigError, match=name):
            small_config(**{name: True})
    model, made = build("fgmfn"), processor_for(build("fgmfn"))
    with pytest.raises(TypeError, match="output_attentions"):
        model(**made(text=["x"]), output_attentions=True)
