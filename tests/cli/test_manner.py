# SPDX-License-Identifier: Apache-2.0
"""One terminal manner: whatever is wrong, every verb says one sentence and gives its exit code."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

from spatialcore import cli
from spatialcore.commands.guard import explain, guarded, missing_package
from spatialcore.commands.text import one_line, printable
from spatialcore.commands.verbs import installed_verbs

# Verb -> arguments that read {path}, and write below {out}.
READERS = {
    "check": "{path}",
    "index": "{path} -o {out}/idx",
    "plan": "{path} -o {out}/plan",
    "generate": "{path} -o {out}/ds",
    "verify": "{path}",
    "stats": "{path}",
    "show": "{path}",
    "view": "{path} -o {out}/page",
    "export": "{path} -o {out}/set --to swift",
    "merge": "{path} {path} -o {out}/merged",
    "score": "--records {path} --baseline oracle",
    "train": "--records {path} --config tiny --out {out}/run",
    "eval": "--model {path} --records {path} -o {out}/results",
    "ask": "--model {path} --question why",
    "frames": "{path}",
}
NEED_TORCH = {"train", "eval", "ask"}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr."""
    text = capsys.readouterr().err
    assert text.count("\n") == 1, text
    for word in ("Errno", "Traceback", "Error(", "unexpected"):
        assert word not in text, text
    return text.rstrip("\n")


def run(verb: str, path: Path, out: Path) -> int:
    if verb in NEED_TORCH:
        pytest.importorskip("torch")
    return cli.main([verb, *READERS[verb].format(path=path, out=out).split()])


@pytest.mark.parametrize("verb", READERS)
def test_a_path_that_is_not_there_is_a_usage_error(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    assert run(verb, gone, tmp_path / "out") == 2
    line = said(capsys)
    assert line.startswith(f"spatialcore {verb}: ")
    assert str(gone) in line


@pytest.mark.parametrize("verb", READERS)
@pytest.mark.parametrize("kind", ["file", "empty folder", "folder of folders"])
def test_what_is_something_else_is_named(
    verb: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "thing"
    if kind == "file":
        path.write_bytes(b"\x00\xff not what was meant")
    else:
        path.mkdir()
    if kind == "folder of folders":  # a folder stands where each file should be
        for name in ("manifest.json", "index.json", "plan.json", "config.json", "tokenizer.json",
                     "model.safetensors", "transforms.json", "scene.npz"):  # fmt: skip
            (path / name).mkdir()
    assert run(verb, path, tmp_path / "out") in (1, 2)
    report = capsys.readouterr()  # a scene that is left out is a line of the report
    assert str(path) in report.out + report.err
    assert "Errno" not in report.out + report.err
    assert report.err.count("\n") <= 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("verb", READERS)
def test_a_folder_that_may_not_be_read_is_named(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "locked"
    path.mkdir(mode=0)
    assert run(verb, path, tmp_path / "out") in (1, 2)
    assert str(path) in said(capsys)


WRONG = {
    "frobnicate": "unknown verb 'frobnicate'",
    "stat": "did you mean 'stats'?",
    "export": "missing PATH, --output, --to",
    "export a -o b --to llama-factory": "did you mean 'llamafactory'?",
    "stats a b": "unrecognized options: b",
    "index a -o b --threads 1": "unrecognized options: --threads, 1 (",
    "index a -o b --worker 1": "did you mean --workers?",
    "stats --jsn": "missing value for argument 'records'",
    "verify a --sample many": "--sample cannot be 'many'",
    "verify a --root here": "--root takes KEY=PATH",
    "verify a --shard 3/3": "--shard must be i/n",
    "check nope:a": "nope",
    "doctor --isa sse9": "--isa sse9",
    "generate a -o b --split test": "invalid choice 'test'",
    "frames a --sampler best": "invalid choice 'best'",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_one_sentence(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == 2
    assert WRONG[line] in said(capsys)


def test_unknown_tasks_name_the_nearest(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["generate", str(sample_dir / "scannet"), "-o", str(tmp_path / "out"), "--limit", "5"]
    assert cli.main([*argv, "--tasks", "camera_movement.distance"]) == 0
    capsys.readouterr()
    plan = ["plan", str(tmp_path / "out" / "index"), "-o", str(tmp_path / "plan")]
    for verb, glob, near in (
        (plan, "camera", "'camera_movement.*'"),
        (plan, "camera_movement.distances", "'camera_movement.distance'"),
        (["export", str(tmp_path / "out"), "-o", str(tmp_path / "set"), "--to", "swift"],
         "camera_movement.distances", "'camera_movement.distance'"),
        (["view", str(tmp_path / "out"), "-o", str(tmp_path / "page")], "depth*", ""),
    ):  # fmt: skip
        assert cli.main([*verb, "--tasks", glob]) == 2
        line = said(capsys)
        assert f"no task matches {glob!r}" in line
        assert near in line


def test_every_verb_is_guarded_and_knows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, entry in installed_verbs().items():
        assert cli.main([verb, "--help"]) == 0
        assert f"usage: spatialcore {verb}" in capsys.readouterr().out
        source = Path(importlib.import_module(entry.module).__file__ or "").read_text()
        assert "run_verb(" in source
        assert "INTERRUPTED" not in source
        assert "EXIT_" not in source


BLOCKED = """
import json, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
from spatialcore import cli
for line in {lines}:
    print(json.dumps(cli.main(line.split())), flush=True)
"""


def test_a_missing_extra_is_named_with_what_installs_it(tmp_path: Path, sample_dir: Path) -> None:
    names = ["torch", "transformers", "accelerate", "safetensors", "tokenizers", "peft", "triton"]
    lines = [
        f"train --records {tmp_path} --config tiny --out {tmp_path}/run",
        f"eval --model {tmp_path} --records {tmp_path} -o {tmp_path}/results",
        f"ask --model {tmp_path} --question why",
        f"frames {sample_dir}/scannet --geometry vggt --model {tmp_path}",
        f"train --records {tmp_path} --config tiny --out {tmp_path}/run --launch fsdp2",
    ]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(names=set(names), lines=lines)],
        capture_output=True, text=True, check=True, env={**os.environ, "SPATIALCORE_TRACEBACK": ""},
    )  # fmt: skip
    assert done.stdout.split() == ["1"] * len(lines)
    told = [line.partition(": ")[2] for line in done.stderr.splitlines()]
    assert len(told) == len(lines)
    for line in told:
        missing, _, rest = line.removeprefix("needs ").partition(",")
        assert missing in names
        assert rest == " which is not installed: pip install 'spatialcore-mllm[model]'"


def test_extras_are_those_of_the_package_metadata() -> None:
    for module, extra in (("ray", "dist"), ("av", "video"), ("peft", "lora"), ("cupy", "gpu")):
        error = ModuleNotFoundError(f"No module named {module!r}", name=module)
        assert missing_package(error).endswith(f"pip install 'spatialcore-mllm[{extra}]'")
    error = ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image")
    assert missing_package(error).endswith("pip install pillow")


def test_every_package_that_is_imported_can_be_named_as_pip_knows_it() -> None:
    """A package without an extra is one that is always installed, or is told by its own name."""
    root = Path(__file__).parents[2]
    found = set()
    for file in (*root.glob("src/**/*.py"), *root.glob("python_engines/**/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            found |= {name.partition(".")[0] for name in names}
    own = {"spatialcore", "spatial_engine", "spatialmllm", "lmms_eval"}  # the last imports us
    foreign = found - set(sys.stdlib_module_names) - own
    assert {"rerun", "sklearn", "av"} <= foreign
    wanted = requires("spatialcore-mllm") or ()
    known = {re.split(r"[\s;<>=!\[(]", text)[0].lower() for text in wanted}
    providers = packages_distributions()
    for module in sorted(foreign):
        error = ModuleNotFoundError(f"No module named {module!r}", name=module)
        advice = missing_package(error).partition("pip install ")[2]
        extra = re.fullmatch(r"'spatialcore-mllm\[\w+\]'", advice)
        own_name = advice in known or advice in map(str.lower, providers.get(module, ()))
        assert extra or own_name, f"{module}: {advice}"


def test_a_reader_that_goes_away_and_a_full_disk_are_no_traceback() -> None:
    command = f"{sys.executable} -m spatialcore --help"
    for line, code in ((f"{command} | true", 0), (f"{command} > /dev/full", 1)):
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, check=False,
            env={**os.environ, "SPATIALCORE_TRACEBACK": ""},
        )  # fmt: skip
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert done.stderr in ("", "spatialcore: no space left on device\n")


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), RecursionError()])
def test_a_fault_of_ours_says_so_and_is_never_hidden_from_tests(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        guarded("stats", fail)
    monkeypatch.delenv("SPATIALCORE_TRACEBACK")
    assert guarded("stats", fail) == 1
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "--traceback" in text


def test_system_errors_lose_their_number_and_keep_their_file() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/nowhere/at all").read_text()
    assert explain(caught.value) == (2, "/nowhere/at all: no such file or directory")
    assert explain(PermissionError(13, "Permission denied", "/x")) == (1, "/x: permission denied")
    assert explain(MemoryError()) == (
        1, "out of memory: use fewer --workers, or a smaller batch"
    )  # fmt: skip


def test_foreign_text_is_shown_and_never_obeyed() -> None:
    assert printable("a chair, été, 椅子") == "a chair, été, 椅子"
    hostile = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\ud800\r\nnext"
    shown = printable(hostile)
    assert not {"\x1b", "\u202e", "\r"} & set(shown)
    assert shown.endswith("\\r\nnext")
    assert shown.encode().decode() == shown
    assert one_line(hostile).count("\n") == 0
