# SPDX-License-Identifier: Apache-2.0
"""Pages and notebooks run as printed, links lead somewhere, and the site lists every page."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

from spatialcore.cli import main
from spatialcore.commands.verbs import installed_verbs
from tests.walkthroughs import ROOT, run_page

DOCS = ROOT / "docs"
TUTORIALS = DOCS / "tutorials"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TABLE = re.compile(r"^\|.*\n\|(?: *:?-+:? *\|)+\n(?:\|.*\n?)*", re.MULTILINE)
_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
VERBS = set(installed_verbs())
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def test_the_kernels_page_runs(tmp_path):
    seen, shared, few, parts = run_page(TUTORIALS / "kernels.md", tmp_path)
    assert "frames=3, points=20000" in seen
    assert "1." in shared
    assert len(few.splitlines()[-1].split()) == 2
    assert parts.splitlines()[-1] == "[0 0 0 0 0 0 1 1 1 1 1 1]"


def test_the_phone_scan_page_runs(tmp_path):
    from tests.phones import held, polycam

    polycam(tmp_path / "my office", held(24, turn=0))
    checked, made, shown = run_page(TUTORIALS / "phone-scan.md", tmp_path)
    assert "my_office" in checked
    assert "every answer follows from its source" in made
    assert (tmp_path / "office/llamafactory/dataset_info.json").is_file()
    assert (tmp_path / "office/llamafactory/qwen2_5_vl_lora.yaml").is_file()
    assert shown.count("my_office/") == 3
    assert (tmp_path / "office-page/index.html").is_file()


def test_the_scannet_page_runs(sample_dir, tmp_path):
    shutil.copytree(sample_dir / "scannet", tmp_path / "scans")
    printed = run_page(TUTORIALS / "scannet-to-hub.md", tmp_path)
    assert "every answer follows from its source" in printed[2]
    assert "nothing was sent" in printed[-1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A folder with `demo/scenes`, whose first room does not depend on how many there are."""
    folder = tmp_path_factory.mktemp("demo")
    few = "--rooms 1 --clips 0 --layouts scannet --workers 1"
    assert main(["sample", str(folder / "demo/scenes"), *few.split()]) == 0
    return folder


def _run(code, folder):
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_twelve_lines_of_the_readme_print_what_stands_there(demo):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    code, shown = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", page, re.DOTALL)[0]
    assert _run(code, demo) == shown


def test_the_lines_about_relations_run(demo):
    index = str(demo / "demo/out/index")
    assert main(["index", str(demo / "demo/scenes/scannet"), "-o", index]) == 0
    [code] = re.findall(r"```python\n(.*?)```", (DOCS / "relations.md").read_text(), re.DOTALL)
    larger, walk = _run(code, demo).split("\n", 1)
    assert larger.startswith("True Edge(type='larger', a=8, b=13")
    assert walk.startswith("Answer(value=Route(")


@functools.cache
def _options(verb):
    """What the help of a verb names with two dashes."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main([verb, "--help"]) == 0
    return set(re.findall(r"--[a-z][\w-]*", said.getvalue()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_pages_name_parses(page):
    """Verbs with options that they know, targets of make, modules, files of the repository."""
    if page.name == "log.md":  # it tells of what was
        pytest.skip("the log names what is gone, too")
    text = page.read_text(encoding="utf-8")
    fenced = [m.replace("\\\n", " ").splitlines() for m in _FENCE.findall(text)]
    inline = re.findall(r"`([^`]+)`", _FENCE.sub("", text))
    wrong = []
    for code in [line for lines in fenced for line in lines] + inline:
        for part in re.split(r"&&|;|\|(?!\w)", code):
            words = part.split("#")[0].replace("$ ", "").split()
            if (
                words[:1] == ["spatialcore"]
                and len(words) > 1
                and re.fullmatch("[a-z-]+", words[1])
            ):
                words = words[1:]
                wrong += [words[0]] if words[0] not in VERBS else []
            if words and words[0] in VERBS:
                asked = {w.split("=")[0].rstrip(",.)") for w in words if re.match(r"--[a-z]", w)}
                wrong += sorted(asked - _options(words[0]))
            elif words[:1] == ["make"] and len(words) > 1:
                wrong += [part] if words[1] not in TARGETS else []
            elif words[:2] == ["python", "-m"] and re.match(r"benchmarks|tests", words[2]):
                wrong += [] if importlib.util.find_spec(words[2]) else [words[2]]
        if re.fullmatch(r"(benchmarks|csrc|docs|kernels|python_engines|src|tests)/[\w./-]+", code):
            wrong += [] if (ROOT / code).exists() else [code]
    assert wrong == []


NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_run(notebook, sample_dir, tmp_path):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells), "outputs do not belong in the repository"
    code = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    shutil.copytree(sample_dir / "scannet", tmp_path / "scenes")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in _LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else (page.parent / path)
        assert there.exists(), f"{target} leads nowhere"
        if anchor and there.suffix == ".md":
            headings = _HEADING.findall(there.read_text(encoding="utf-8"))
            assert anchor in map(_anchor, headings), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_parse(page):
    """Every row has the cells of its head; a row of another table shows here."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for head, rule, *rows in map(str.splitlines, _TABLE.findall(text)):
        assert [row for row in (head, *rows) if _cells(row) != _cells(rule)] == []


def _cells(row):
    return re.sub(r"`[^`]*`|\\\|", "", row).count("|")


def test_the_page_of_layouts_says_what_each_kind_reads():
    """Beside the table of what they give, which is run."""
    from spatialcore.io.layouts import LAYOUTS

    page = (DOCS / "inputs.md").read_text(encoding="utf-8")
    before, _, table = page.partition("<!-- layouts:")
    said = before.rpartition("| layout |")[2] + table.partition("<!-- end of layouts -->")[2]
    names = {"posed_images": "posed images", "rescan": "`rescan`", "scannet": "`scannet`"}
    lacking = [k for k in LAYOUTS if not re.search(names.get(k, k), said, re.IGNORECASE)]
    assert lacking == []


def test_the_page_of_the_api_parses():
    """Every public name is on it, under the place where it is defined."""
    named = set(re.findall(r"^::: ([\w.]+)$", (DOCS / "api.md").read_text(), re.MULTILINE))
    for name in ("spatialcore", "spatialcore.index", "spatial_engine", "spatial_engine.scoring"):
        module = importlib.import_module(name)
        found = (getattr(module, one) for one in module.__all__)
        public = {f"{one.__module__}.{one.__qualname__}" for one in found}
        assert public <= named
    for path in named - {path for path in named if path.startswith("spatialmllm")}:
        module, _, one = path.rpartition(".")
        assert hasattr(importlib.import_module(module), one), path


def test_the_log_parses_newest_first():
    dates = re.findall(r"^## (\d{4}-\d\d-\d\d): ", (DOCS / "log.md").read_text(), re.MULTILINE)
    assert len(dates) == (DOCS / "log.md").read_text().count("\n## ")
    assert dates == sorted(dates, reverse=True)


def _stored(name):
    return json.loads((ROOT / "benchmarks/results" / name).read_text(encoding="utf-8"))


def test_the_figures_of_rewards_are_the_stored_ones():
    page = (DOCS / "chains.md").read_text(encoding="utf-8")
    stored = _stored("rewards.json")
    arms = {"start": stored["start"]}
    for arm, steps in stored["arms"].items():
        arms |= {f"{arm}, step {step}": found for step, found in steps.items()}
    rows = re.findall(r"^\| (start|\w+, step \d+) \| (.*) \|$", page, re.MULTILINE)
    assert {"start", "rewarded, step 50", "shuffled, step 50"} <= {arm for arm, _ in rows}
    for arm, row in rows:
        cells = [cell.strip() for cell in row.split("|")]
        found = arms[arm]
        tasks = ("pitch_direction", "pitch_angle", "yaw_angle")
        earned = [found["earned"][f"camera_movement.{task}"] for task in tasks]
        mean = sum(found["reward"]) / len(found["reward"])
        shown = [f"{figure:.3f}" for figure in (mean, *earned)]
        assert [cells[0], *cells[2:]] == shown, arm


def test_the_measured_tables_of_operations_are_the_stored_ones():
    from benchmarks import measured

    result = json.loads(measured.RESULT.read_text(encoding="utf-8"))
    pages = [page.read_text(encoding="utf-8") for page in measured.PAGES.glob("*.md")]
    assert all(measured.written(page, result) == page for page in pages)
    named = {name for page in pages for name in re.findall(r"<!-- measured: ([a-z ]+) -->", page)}
    assert named == set(measured.TABLES)


def test_the_coverage_of_samplers_is_the_stored_one():
    pytest.importorskip("torch", reason="needs the extra `model`")
    from benchmarks.sampling import table

    assert table(_stored("sampling.json")) in (DOCS / "sampling.md").read_text(encoding="utf-8")


def test_every_extra_that_a_user_may_want_is_named_and_looked_for():
    from spatialcore.commands.doctor import EXTRAS

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert extras.keys() - EXTRAS.keys() == {"docs", "test", "fuzz", "lint", "bench"}
    start = (DOCS / "index.md").read_text(encoding="utf-8")
    for extra, packages in EXTRAS.items():
        assert list(packages) == [re.split(r"[\[<>=]", one)[0] for one in extras[extra]]
        assert f"`{extra}`" in start


def test_sizes_of_the_recipes_are_those_of_their_models():
    pytest.importorskip("torch", reason="needs the extra `model`")
    from spatialmllm.config import SpecialIds
    from spatialmllm.model.model import build_meta
    from spatialmllm.training.recipe import load_recipe

    page = (DOCS / "model.md").read_text(encoding="utf-8")
    ids = SpecialIds(**{name: k for k, name in enumerate(SpecialIds.__dataclass_fields__)})
    for name, words, unit, said in (
        ("tiny", 500, 1e6, r"`tiny` \| random weights, ([\d.]+) million"),
        ("small", 500, 1e6, r"`small` \| random weights, (\d+) million"),
        ("spatial-mllm", 151_936, 1e9, r"Published sizes: ([\d.]+) billion"),
    ):
        recipe = load_recipe(name)
        model = build_meta(recipe.model.config(ids, words, recipe.processor))
        count = sum(one.numel() for one in model.parameters()) / unit
        shown = re.search(said, page)[1]
        assert round(count, len(shown.partition(".")[2])) == float(shown), name


def test_the_changelog_counts_what_there_is():
    """The table on top; a new layout, task, format or benchmark changes it."""
    from spatial_engine.engines import OURS, engines
    from spatial_engine.export.part import TARGETS
    from spatial_engine.records.task_name import family_of
    from spatial_engine.scoring.dialects import BENCHMARKS
    from spatialcore.io.layouts import LAYOUTS

    top = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").partition("## Unreleased")[0]
    tasks = [one.task for one in engines() if type(one).__module__.partition(".")[0] == OURS]
    families = {family_of(task) for task in tasks}
    assert f"{len(LAYOUTS)} layouts" in top
    assert f"{len(tasks)} tasks of {len(families)} families" in top
    assert f"{len(TARGETS)} formats" in top
    assert f"{len(BENCHMARKS)} public benchmarks" in top


def _anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_the_site_lists_every_page():
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_workflows_and_forms_are_yaml_and_name_what_exists():
    makefile = (ROOT / "Makefile").read_text()
    for path in (ROOT / ".github").rglob("*.yml"):
        content = yaml.safe_load(path.read_text())
        assert content, path
        for target in re.findall(r"run: make (\w+)", path.read_text()):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["cff-version"] == "1.2.0"
