"""A folder with code loads without this package; a hub takes and gives the same files."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoProcessor

from fgmfn.baselines import MODELS, model_class
from fgmfn.baselines.fitted import FittedModel
from fgmfn.processing import FgmfnProcessor
from fgmfn.remote_code import write_code
from tests.fgmfn.hub import Hub
from tests.fgmfn.models import TWEETS, batch_of, build, logits, processor_for, tweet_split

STEPPED = [name for name in MODELS if not issubclass(model_class(name), FittedModel)]

WITHOUT_THE_PACKAGE = """
import sys
from pathlib import Path
sys.modules["fgmfn"] = None  # whatever lies on the path, it cannot be imported
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoProcessor
for folder in map(Path, sys.argv[1:]):
    try:
        AutoModel.from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        assert "trust_remote_code=True" in str(error), error
    else:
        raise AssertionError("code was run unasked")
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
    assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)) is type(model)
    assert type(AutoConfig.from_pretrained(folder, trust_remote_code=True)).__name__ == type(model.config).__name__
    batch, text, tokens, said = torch.load(folder / "expected.pt")
    with torch.no_grad():
        assert torch.allclose(model(**batch).logits, said, atol=1e-6), folder
    processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
    assert torch.equal(processor(text=text)["input_ids"], tokens)
    for part in (model, processor):  # what was loaded so is saved with its code
        part.save_pretrained(folder / "again")
    again = AutoModel.from_pretrained(folder / "again", trust_remote_code=True).eval()
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, model(**batch).logits)
    processor = AutoProcessor.from_pretrained(folder / "again", trust_remote_code=True)
    assert torch.equal(processor(text=text)["input_ids"], tokens)
print("loaded", *sorted(name for name in sys.modules if name.startswith("fgmfn.")))
"""


@pytest.mark.slow
def test_a_folder_with_code_says_the_same_where_the_package_is_not_installed(tmp_path: Path) -> None:
    folders = []
    for name in ("fgmfn", "text_only", "image_only", "aom", "bilstm"):
        model, folder = build(name), tmp_path / name / "model"  # all of one name, which transformers knows code by
        processor, batch = processor_for(model), batch_of(model, tweet_split(), [0, 1, 2, 3])
        for part in (model, processor):
            part.save_pretrained(folder, with_code=True)
        seen = {field: values for field, values in batch.items() if field not in ("labels", "groups")}
        text = list(TWEETS)
        torch.save((seen, text, processor(text=text)["input_ids"], logits(model, batch)), folder / "expected.pt")
        folders.append(folder)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path / "modules")}
    command = [sys.executable, "-c", WITHOUT_THE_PACKAGE, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["loaded"]


@pytest.mark.parametrize("name", STEPPED)
def test_the_code_of_a_model_is_whole_and_names_no_package_that_is_not_there(name: str, tmp_path: Path) -> None:
    kind = model_class(name)
    files = write_code(kind.__module__, "fgmfn_entry", [kind.__name__], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {file.name for file in files}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert (tmp_path / f"{node.module}.py").is_file()
            elif isinstance(node, ast.ImportFrom | ast.Import):
                named = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
                assert not [one for one in named if one.split(".")[0] == "fgmfn"]


def test_whoever_has_the_package_runs_no_code_of_a_folder(tmp_path: Path) -> None:
    model = build("tombert")
    model.save_pretrained(tmp_path / "with", with_code=True)
    processor_for(model).save_pretrained(tmp_path / "with", with_code=True)
    for file in (tmp_path / "with").glob("*.py"):
        file.write_text("raise AssertionError('this was run')")
    loaded = AutoModel.from_pretrained(tmp_path / "with", local_files_only=True)
    assert type(loaded) is type(model)
    assert type(AutoModel.from_pretrained(tmp_path / "with", trust_remote_code=True)) is type(model)
    assert type(AutoProcessor.from_pretrained(tmp_path / "with")) is FgmfnProcessor
    for one in (loaded, model):  # and where no code is written, none is named
        one.save_pretrained(tmp_path / "without")
        assert "auto_map" not in json.loads((tmp_path / "without" / "config.json").read_text())
        assert not list((tmp_path / "without").glob("*.py"))


# --- a hub ---


@pytest.mark.parametrize("with_code", [False, True])
def test_what_is_pushed_to_a_hub_is_loaded_from_it(hub: Hub, tmp_path: Path, with_code: bool) -> None:
    model = build("text_only")
    processor, batch = processor_for(model), batch_of(model, tweet_split(), [0, 1, 2, 3])
    for part in (model, processor):
        part.push_to_hub("me/ads", with_code=with_code, token="hf_none")  # noqa: S106  no secret
    assert any(name.endswith(".py") for name in hub.files) == with_code
    assert {"config.json", "model.safetensors", "processor_config.json", "README.md"} <= set(hub.files)
    options: dict[str, Any] = {"cache_dir": tmp_path, "token": "hf_none"}
    loaded = AutoModelForSequenceClassification.from_pretrained("me/ads", **options)
    assert type(loaded) is type(model)
    assert torch.equal(logits(loaded, batch), logits(model, batch))
    again = AutoProcessor.from_pretrained("me/ads", **options)
    assert torch.equal(again(text=["good"])["input_ids"], processor(text=["good"])["input_ids"])


def test_code_is_not_left_out_in_silence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="push_to_hub"):
        build("text_only").save_pretrained(tmp_path, with_code=True, push_to_hub=True)
