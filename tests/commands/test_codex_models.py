"""`codex-models`: a file that Codex can read, and lines that fit it. The program itself reads it in tests/clients."""

import json
import stat
import tomllib

import pytest

from kirogw import cli
from kirogw.dialects.catalogue import INSTRUCTIONS
from kirogw.twin import Twin
from tests.system.running import environment

WANTED = {
    # without a default in some version of Codex: 0.144 to 0.154, and 0.169
    "slug", "display_name", "description", "supported_reasoning_levels", "shell_type", "visibility", "supported_in_api",
    "priority", "upgrade", "base_instructions", "supports_reasoning_summaries", "support_verbosity", "default_verbosity",
    "apply_patch_tool_type", "truncation_policy", "supports_parallel_tool_calls", "experimental_supported_tools",
}  # fmt: skip


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    with Twin(accounts=["api_key"]) as twin:
        for name, value in environment(tmp_path, {**twin.settings(), "MODEL_ALIASES": "best=claude-opus-5-high"}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("KIRO_API_KEY", twin.account.api_key)
        monkeypatch.chdir(tmp_path)

        def run(*words):
            code = cli.main(["codex-models", *words])
            said = capsys.readouterr()
            return code, said.out, said.err

        yield run


def test_the_file_and_its_lines(run, tmp_path):
    file = tmp_path / "with blanks and \"quotes\".json"
    code, lines, _ = run("--write", str(file), "--url", "http://gate:1/v1", "--model", "best")
    assert code == 0
    assert tomllib.loads(lines) == {
        "model": "best", "model_provider": "kirogw", "model_catalog_json": str(file),
        "model_providers": {"kirogw": {"name": "kirogw", "base_url": "http://gate:1/v1", "env_key": "KIROGW_KEY",
                                       "wire_api": "responses"}},
    }  # fmt: skip
    assert stat.S_ISREG(file.stat().st_mode)
    models = {model["slug"]: model for model in json.loads(file.read_text())["models"]}
    assert {"claude-opus-5", "gpt-5.6-terra", "best"} <= models.keys() and "claude-opus-4-8" not in models
    assert all(model.keys() >= WANTED for model in models.values())
    assert [model["priority"] for model in models.values()] == list(range(len(models)))


def test_without_a_file_the_list_is_printed(run):
    code, out, lines = run()
    models = json.loads(out)["models"]
    assert code == 0 and models[0]["base_instructions"] == INSTRUCTIONS
    assert tomllib.loads(lines)["model_providers"]["kirogw"]["base_url"] == "http://127.0.0.1:8000/v1"


def test_what_can_not_be_is_said(run, tmp_path):
    assert run("--model", "unheard-of")[0] == 1
    file = tmp_path / "nowhere" / "file.json"
    code, _, said = run("--write", str(file))
    assert (code, said) == (1, f"kirogw: {file} can not be written (No such file or directory); is its folder there?\n")
