# SPDX-License-Identifier: Apache-2.0
"""The house keeps its rules: one path for each operation, small files, no foreign imports."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ("projection", "occlusion", "overlap", "rigidity", "coverage")
DEVICE_OPERATIONS = ("projection", "occlusion", "overlap", "rigidity")
# docs/adding-an-op.md, one line for each file that an operation owns.
PATHS = (
    "src/spatialcore/{op}.py",
    "src/spatialcore/_reference/{op}.py",
    "tests/ops/test_{op}.py",
    "csrc/include/spatialcore/{op}.h",
    "csrc/cpu/{op}.cpp",
    "benchmarks/ops/bench_{op}.py",
    "docs/ops/{op}.md",
)
CODE = ("*.py", "*.cpp", "*.h", "*.cu", "*.cuh")
FOLDERS = ("src", "python_engines", "kernels", "csrc", "tests", "benchmarks")


def code_files(*patterns: str) -> list[Path]:
    return sorted(
        path for folder in FOLDERS for p in patterns or CODE for path in (ROOT / folder).rglob(p)
    )


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("path", PATHS)
def test_every_operation_has_its_path(op: str, path: str) -> None:
    assert (ROOT / path.format(op=op)).is_file()


@pytest.mark.parametrize("op", DEVICE_OPERATIONS)
def test_device_operations_have_a_kernel(op: str) -> None:
    assert (ROOT / f"kernels/cuda/{op}.cu").is_file()


def test_every_file_names_its_licence_once() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in code_files()
        if path.read_text(encoding="utf-8").count("SPDX-License-Identifier: " + "Apache-2.0") != 1
    ]
    assert not wrong


def test_files_stay_short() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in code_files()
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


def kernel_lines(path: Path) -> int:
    """Lines without the opening block comment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    head = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    return len(lines) - head


def test_kernel_files_stay_shorter() -> None:
    folders = {"csrc/cpu": "*.cpp", "csrc/render": "*.cpp", "kernels/cuda": "*.cu"}
    kernels = [path for folder, names in folders.items() for path in (ROOT / folder).glob(names)]
    limits = dict.fromkeys(kernels, 150) | dict.fromkeys((ROOT / "csrc/cpu/isa").glob("*.cpp"), 250)
    long = {p.name: n for p, limit in limits.items() if (n := kernel_lines(p)) > limit}
    assert not long


def test_kernels_know_no_python() -> None:
    for folder in ("csrc/cpu", "csrc/render", "csrc/include", "kernels/cuda"):
        for path in (ROOT / folder).rglob("*.*"):
            text = path.read_text(encoding="utf-8")
            assert "pybind11/" not in text, path
            assert "Python.h" not in text, path


def test_the_renderer_serves_sample_scenes_alone() -> None:
    users = [p for p in (ROOT / "src").rglob("*.py") if "_render import" in p.read_text("utf-8")]
    users += [p for p in (ROOT / "src").rglob("*.py") if "import _render" in p.read_text("utf-8")]
    assert {path.parent.name for path in users} == {"sample"}


@pytest.mark.parametrize(
    "pattern",
    [r"pickle\.load", r"allow_pickle\s*=\s*True", r"except:\s*$", r"NotImplementedError"],
)
def test_forbidden_code(pattern: str) -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "python_engines", "kernels")
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(pattern, line)
    ]
    assert not hits


def test_parquet_is_opened_at_one_door() -> None:
    """Asked for a column's metadata, libparquet may end the process; asked for numpy, pyarrow
    imports pandas and swallows signals. The door never asks."""
    opens = r"pq\.(read_\w+|ParquetFile|ParquetDataset)\(|\.row_group\(|\.to_numpy\("
    users = {
        str(path.relative_to(ROOT))
        for folder in ("src", "python_engines")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(opens, path.read_text(encoding="utf-8"))
    }
    assert users == {"src/spatialcore/io/parquet.py"}


def test_import_needs_numpy_alone() -> None:
    code = (
        "import sys, spatialcore, spatialcore.cli; "
        "assert 'numpy' not in sys.modules; "  # the command says what it is before that
        "spatialcore.open; "
        "print(*sorted({m.partition('.')[0] for m in sys.modules} & "
        "{'pyarrow', 'scipy', 'PIL', 'rich', 'tyro', 'torch', 'cupy', 'triton', 'matplotlib'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


def test_no_folder_shadows_a_package() -> None:
    assert not (ROOT / "kernels" / "__init__.py").exists()


def test_triton_is_imported_by_name_alone() -> None:
    hits = [
        str(path.relative_to(ROOT))
        for folder in ("src", "python_engines")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(from|import) .*\b_triton\b", path.read_text(encoding="utf-8"), re.M)
    ]
    assert not hits


def verbs() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return sorted(project["entry-points"]["spatialcore.commands"])


@pytest.mark.parametrize("verb", ["", *verbs()])
def test_every_verb_explains_itself(verb: str) -> None:
    command = [sys.executable, "-m", "spatialcore", *([verb] if verb else []), "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert f"spatialcore {verb or 'VERB'}" in run.stdout
    assert run.stderr == ""


@pytest.mark.parametrize(
    "page", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=str
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_imports_flow_as_the_contracts_say(monkeypatch: pytest.MonkeyPatch) -> None:
    linter = pytest.importorskip("importlinter.cli", reason="needs the extra `lint`")
    monkeypatch.chdir(ROOT)
    assert linter.lint_imports(str(ROOT / "pyproject.toml"), no_cache=True) == 0
