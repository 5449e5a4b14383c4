"""transformers' auto classes know the models: whoever has the package needs no code of a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import pytest
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor

from fgmfn.errors import ConfigError
from fgmfn.processing import FgmfnProcessor
from tests.fgmfn.conftest import Finished
from tests.fgmfn.models import build, processor_for, small_config


def run_python(code: str, **environment: str) -> str:
    """Run code in a new interpreter; return the last line that it prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


AUTO = ("fgmfn", "transformers.models.auto", "transformers.pipelines")


def anew(check: Callable[[], None]) -> None:
    """Run a check in a child of this process that has imported neither the package nor an auto class yet."""
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return
    code = 1
    try:
        for module in (transformers, transformers.models):  # they keep what was once asked of them
            for name, value in [*vars(module).items()]:
                if getattr(value, "__module__", getattr(value, "__name__", "")).startswith(AUTO):
                    delattr(module, name)
        for name in [name for name in sys.modules if name.startswith(AUTO)]:
            del sys.modules[name]
        sys.meta_path[:] = [finder for finder in sys.meta_path if not type(finder).__module__.startswith("fgmfn")]
        check()
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def ask(how: str, folder: str) -> str:
    """Import an auto class, and ask it for what lies in a folder."""
    while True:
        try:
            asked = getattr(transformers, how)
            break
        except (AttributeError, ImportError):  # transformers' own imports are not meant for several threads
            time.sleep(0.01)
    made = asked("ad-sentiment", model=folder) if how == "pipeline" else asked.from_pretrained(folder)
    return type(made).__name__


ANSWERS = {
    "AutoConfig": "BiLstmConfig",
    "AutoModel": "BiLstmForSentiment",
    "AutoProcessor": "FgmfnProcessor",
    "pipeline": "SentimentPipeline",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that no other module of the package imports."""
    made, model = tmp_path_factory.mktemp("model"), build("bilstm")
    for part in (model, processor_for(model)):
        part.save_pretrained(made)
    return str(made)


@pytest.mark.parametrize(
    ("imports", "how"),
    [
        ("import fgmfn", "AutoProcessor"),
        ("import fgmfn.auto", "AutoModel"),
        ("from fgmfn.modeling import FgmfnForSentiment", "AutoConfig"),
        ("import fgmfn.processing", "pipeline"),
        ("from transformers import AutoConfig, pipeline; import fgmfn", "AutoModel"),
    ],
)
def test_the_models_are_known_in_whatever_order_modules_are_imported(imports: str, how: str, folder: str) -> None:
    def check() -> None:
        exec(imports)  # noqa: S102  as it stands above
        if imports != "import fgmfn.auto":
            assert "bert" in transformers.models.auto.configuration_auto.CONFIG_MAPPING
            assert transformers.AutoConfig.for_model("bert").model_type == "bert"
            assert "fgmfn.auto" not in sys.modules, "somebody who asks for other models waits for ours"
        assert ask(how, folder) == ANSWERS[how]

    anew(check)


def test_no_thread_meets_an_auto_class_that_does_not_know_the_models_yet(folder: str) -> None:
    def check() -> None:
        import_module("fgmfn")
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda how: ask(how, folder), 2 * [*ANSWERS])) == 2 * [*ANSWERS.values()]

    anew(check)


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
