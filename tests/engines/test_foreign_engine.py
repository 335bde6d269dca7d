# SPDX-License-Identifier: Apache-2.0
"""An engine of another package: the one of docs/adding-an-engine.md, through every verb."""

from __future__ import annotations

import json
import os
import re
import site
import subprocess
import sys
import tomllib
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TASK, LEAKING = "camera_height.higher", "camera_movement.y_direction"

# Runs in a process of its own, whose path holds the installed package.
DRIVER = """
import json, sys
from pathlib import Path

def main(source, out):
    from spatial_engine.commands import export, generate, plan, score, stats, verify
    from spatial_engine.dataset.dataset import open_records
    from spatial_engine.engines import engine_of, engines, subject_of
    from spatial_engine.records.wording import wording_of
    from spatial_engine.records.wording_lint import lint
    from spatialmllm.training.conversations import deal

    found = {"listed": [e.task for e in engines()][-1]}
    found["lint"] = lint(wording_of("TASK", file=engine_of("TASK").templates))
    asked = ["--tasks", "camera_height.*", "LEAKING"]
    found["generate"] = generate.main([source, "-o", out, *asked, "--workers", "2"])
    found["plan"] = plan.main([f"{out}/index", "-o", f"{out}.plan", "--tasks", "*height*"])
    found["verify"] = verify.main([out, "--all", "--workers", "1"])
    found["stats"] = stats.main([out, "--json"])
    for to in ("swift", "llava"):
        found[to] = export.main([out, "-o", f"{out}.{to}", "--to", to, "--no-render-marks"])
    found["score"] = score.main(
        ["--baseline", "oracle", "--records", out, "--split", "train", "--json"]
    )
    by_images = {}
    for opened in open_records(out):
        record = opened.record
        pair = (record.source, record.scene, sorted(record.frames))
        by_images.setdefault(repr(pair), []).append(record)
    both = [same for same in by_images.values() if len({r.task for r in same}) == 2]
    found["pairs asked by both"] = len(both)
    found["together"] = sum(
        len(hand) > 1
        for same in both
        for hand in deal([subject_of(r) for r in same], 6, seed=0, epoch=0, key="k")
    )
    print("FOUND" + json.dumps(found))

if __name__ == "__main__":
    main(*sys.argv[1:])
""".replace("TASK", TASK).replace("LEAKING", LEAKING)


def blocks_of_the_page() -> dict[str, str]:
    """The files that the page shows, by path inside the package's folder."""
    page = (ROOT / "docs/adding-an-engine.md").read_text(encoding="utf-8")
    found = re.findall(r"`camera-height/([\w./]+)`[^\n]*\n\n```\w+\n(.*?)```", page, re.DOTALL)
    return dict(found)


def install(site: Path, files: dict[str, str]) -> None:
    """What pip leaves behind: the package, and its metadata with the entry points."""
    project = tomllib.loads(files["pyproject.toml"])["project"]
    name, version = project["name"], project["version"]
    for path, text in files.items():
        if path != "pyproject.toml":
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(text, encoding="utf-8")
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [
        line
        for group, points in project.get("entry-points", {}).items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def installed_by_pip(root: Path, files: dict[str, str]) -> Path:
    """A virtual environment that sees this one's packages, and has one more; its interpreter."""
    for name in ("pip", "setuptools"):
        if find_spec(name) is None:  # importing it would meddle with others' distutils
            pytest.skip(f"needs {name}")
    for path, text in files.items():
        (root / "source" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "source" / path).write_text(text, encoding="utf-8")
    venv.create(root / "venv", with_pip=False, symlinks=True)
    python = root / "venv/bin/python"
    (own,) = (root / "venv").glob("lib/*/site-packages")
    outer = [path for path in site.getsitepackages() if Path(path).is_dir()]
    lines = [f"import site; site.addsitedir({path!r})" for path in outer]
    (own / "outer.pth").write_text("\n".join(lines) + "\n")
    options = ["--no-index", "--no-build-isolation", "--no-deps", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check",
         "install", *options, str(root / "source")],
        check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return python


def run(site: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def package(name: str, module: str, body: str) -> dict[str, str]:
    points = f'[project.entry-points."spatialcore.engines"]\nmine = "{module}:ENGINES"\n'
    project = f'[project]\nname = "{name}"\nversion = "1"\n{points}'
    return {"pyproject.toml": project, f"{module}/__init__.py": body}


def test_the_page_holds_a_whole_package():
    assert sorted(blocks_of_the_page()) == [
        "camera_height/__init__.py", "camera_height/templates/camera_height.toml",
        "pyproject.toml",
    ]  # fmt: skip


def test_a_foreign_engine_goes_through_every_verb(sample_dir, tmp_path):
    out = tmp_path / "out"
    python = installed_by_pip(tmp_path, blocks_of_the_page())
    (tmp_path / "driver.py").write_text(DRIVER)
    done = subprocess.run(
        [str(python), str(tmp_path / "driver.py"), str(sample_dir / "scannet"), str(out)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found = json.loads(next(line for line in lines if line.startswith("FOUND"))[5:])
    codes = ("generate", "plan", "verify", "stats", "swift", "llava", "score")
    assert {name: found[name] for name in codes} == dict.fromkeys(codes, 0)
    assert found["listed"] == TASK
    assert found["lint"] == []

    printed = [json.loads(line) for line in lines if line.startswith("{")]
    stats = next(one for one in printed if "duplicate_ids" in one)
    assert stats["tasks"][TASK]["rows"] > 0
    assert stats["tasks"][TASK]["chance"] == 0.5
    assert stats["unknown_tasks"] == []
    answers = stats["tasks"][TASK]["answers"]
    assert set(answers) == {"first", "second"}
    scores = {row["task"]: row for row in next(one for one in printed if "multispa" in one)["rows"]}
    assert (scores[TASK]["value"], scores[TASK]["chance"]) == (1.0, 0.5)
    assert scores[TASK]["n"] == stats["tasks"][TASK]["rows"]
    for target in ("swift", "llava"):
        text = "".join(
            file.read_text() for file in Path(f"{out}.{target}").rglob("*.json*") if file.is_file()
        )
        assert "farther above the floor" in text

    assert found["pairs asked by both"] > 0
    assert found["together"] == 0
    # Where the package is not installed, its records are told apart, never guessed at.
    bare = run(tmp_path / "none", "-m", "spatialcore", "score", "--baseline", "oracle",
               "--records", str(out), "--split", "train")  # fmt: skip
    assert bare.returncode == 2
    assert f"unknown task '{TASK}'" in bare.stderr
    assert "Traceback" not in bare.stderr
    bare = run(tmp_path / "none", "-m", "spatialcore", "stats", str(out), "--json")
    assert json.loads(bare.stdout)["unknown_tasks"] == [TASK]


LIST = "from spatial_engine.engines import engines; print(len(engines()))"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("ENGINES = 3", "TypeError"),
        ("ENGINES = ('camera',)", "is no instance of"),
        ("from camera_height import Higher\nimport dataclasses\n"
         "class Other(Higher):\n    task = 'camera_height.unheard'\nENGINES = (Other(),)",
         "no readable templates/camera_height.toml"),
        ("from camera_height import Higher\n"
         "class Other(Higher):\n    task = 'Camera Height'\nENGINES = (Other(),)",
         "a task is named family.quantity"),
        ("from camera_height import Higher\n"
         "class Other(Higher):\n    words = ()\nENGINES = (Other(),)",
         "words and letters have a closed set"),
    ],
)  # fmt: skip
def test_a_broken_package_is_one_warning(tmp_path, body, why):
    whole = blocks_of_the_page()
    project = whole["pyproject.toml"].replace("spatialcore.engines", "another.group")
    install(tmp_path, {**whole, "pyproject.toml": project})
    install(tmp_path, package("broken-pack", "broken_pack", body))
    done = run(tmp_path, "-c", LIST)
    from spatial_engine.engines import engines

    assert (done.returncode, int(done.stdout)) == (0, len(engines())), done.stderr
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "'broken-pack'" in done.stderr


def test_two_engines_of_one_task_are_an_error_that_names_both(tmp_path):
    install(tmp_path, blocks_of_the_page())
    install(tmp_path, package("second-pack", "second_pack", "from camera_height import ENGINES"))
    done = run(tmp_path, "-m", "spatialcore", "plan", str(tmp_path), "-o", str(tmp_path / "p"),
               "--recipe", "default")  # fmt: skip
    assert done.returncode == 2
    assert "'camera-height' and 'second-pack' both make the task 'camera_height.higher'" in (
        done.stderr
    )
    assert "Traceback" not in done.stderr


def test_the_import_and_the_help_look_for_no_engine(tmp_path):
    install(tmp_path, package("broken-pack", "broken_pack", "raise RuntimeError('no licence')"))
    look = "import sys, spatial_engine.engines, spatial_engine.recipe; print(*sys.modules)"
    done = run(tmp_path, "-c", look)
    modules = done.stdout.split()
    assert not [name for name in modules if name.startswith("spatial_engine.engines.")]
    assert done.stderr == ""
    for verb in ("plan", "stats"):
        assert run(tmp_path, "-m", "spatialcore", verb, "--help").stderr == ""


def test_the_engines_do_not_know_the_recipe(tmp_path):
    """They take it as an argument: the recipe reads task names and so stands above them."""
    done = run(
        tmp_path,
        "-c",
        "import sys\nfrom spatial_engine.engines import engines\nengines()\n"
        "from spatial_engine.reference import scene\nprint('spatial_engine.recipe' in sys.modules)",
    )
    assert done.stdout.strip() == "False", done.stderr
