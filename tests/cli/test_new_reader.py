# SPDX-License-Identifier: Apache-2.0
"""`new-reader` writes a package that passes its own test and whose reader every verb finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spatialcore.commands import exit_codes, new_reader
from tests.engines.test_foreign_engine import install, run
from tests.phones import millimetres, png, put
from tests.rays import pinhole, shots

# Runs in a process of its own, whose path holds the installed package.
DRIVER = """
import json, sys
from spatialcore.cli import main

if __name__ == "__main__":
    for verb in json.loads(sys.argv[1]):
        print("CODE", verb[0], main(verb))
"""


def made(folder: Path, name: str = "lab") -> dict[str, str]:
    """The files of a new package, by path."""
    assert new_reader.main([name, "-o", str(folder)]) == exit_codes.OK
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def write_capture(folder: Path) -> None:
    """A walk through the ray-cast room in the layout of the new reader."""
    rows = []
    for k, shot in enumerate(shots([pinhole(160, 120)] * 14)):
        put(folder / f"images/{k}.png", png(shot.colour))
        put(folder / f"depth/{k}.png", millimetres(shot))
        rows.append({"image": f"images/{k}.png", "depth": f"depth/{k}.png",
                     "world_from_cam": shot.world_from_cam.ravel().tolist()})  # fmt: skip
    K = pinhole(160, 120).K
    stored = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "frames": rows}
    put(folder / "cameras.json", json.dumps({**stored, "width": 160, "height": 120}))


def test_a_new_package_passes_its_test_and_is_found_by_every_verb(tmp_path: Path) -> None:
    site, files = tmp_path / "site", made(tmp_path / "lab-reader")
    assert sorted(files) == ["lab_reader/__init__.py", "pyproject.toml", "tests/test_lab_reader.py"]
    install(site, files)
    options = ("-q", "-p", "no:cacheprovider", "-W", "error")
    done = run(site, "-m", "pytest", *options, str(site / "tests/test_lab_reader.py"))
    assert done.returncode == 0, done.stdout
    assert "10 passed" in done.stdout

    write_capture(tmp_path / "captures/hall")
    captures, out = str(tmp_path / "captures"), str(tmp_path / "out")
    asked = ("--limit", "40", "--workers", "1")
    verbs = (
        ("check", captures, "--json"),
        ("index", f"lab:{captures}", "-o", f"{out}.index", "--workers", "1"),
        ("plan", f"{out}.index", "-o", f"{out}.plan", "--limit", "40"),
        ("generate", f"{out}.plan", "-o", f"{out}.planned", "--workers", "1"),
        ("generate", captures, "-o", out, *asked),
        ("verify", out, "--all", "--workers", "1"),
        ("stats", out),
    )
    put(tmp_path / "driver.py", DRIVER)
    done = run(site, str(tmp_path / "driver.py"), json.dumps(verbs))
    codes = [line for line in done.stdout.splitlines() if line.startswith("CODE")]
    assert codes == [f"CODE {verb[0]} 0" for verb in verbs], done.stdout + done.stderr
    (found,) = json.JSONDecoder().raw_decode(done.stdout)[0]["sources"]
    assert (found["kind"], found["scenes"][0]["usable_count"]) == ("lab", 14)
    assert found["scenes"][0]["agreement"] > 0.97
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["sources"]["lab"]["kind"] == "lab"
    # Without the package the layout is not known, and that is said.
    done = run(tmp_path, "-m", "spatialcore", "check", f"lab:{captures}")
    assert done.returncode == exit_codes.USAGE
    assert "'lab' is no kind of source" in done.stderr


BROKEN = {
    "a": "raise RuntimeError('no licence')",
    "b": "LAYOUT = 5",
    "colmap": "from spatialcore.io.layouts import LAYOUTS; LAYOUT = LAYOUTS['tum']",
}


def test_packages_that_cannot_be_used_are_left_out_and_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for kind, body in BROKEN.items():
        points = f'[project.entry-points."spatialcore.readers"]\n{kind} = "{kind}_r:LAYOUT"\n'
        project = f'[project]\nname = "{kind}-pack"\nversion = "1"\n{points}'
        install(site, {"pyproject.toml": project, f"{kind}_r/__init__.py": body})
    bad = 'def looks(entry): raise ValueError("what?")\n'
    layout = "from spatialcore.io.layouts import LAYOUTS\nLAYOUT = LAYOUTS['tum']._replace"
    points = '[project.entry-points."spatialcore.readers"]\nodd = "odd_r:LAYOUT"\n'
    install(site, {
        "pyproject.toml": f'[project]\nname = "odd-pack"\nversion = "1"\n{points}',
        "odd_r/__init__.py": f"{layout}(is_scene=lambda e: looks(e))\n{bad}",
    })  # fmt: skip
    from tests.fabricate import posed_scene

    posed_scene(tmp_path / "rooms" / "a", meta={"world_up": [0, 0, 1]})
    done = run(site, "-m", "spatialcore", "check", str(tmp_path / "rooms"), "--json")
    (found,) = json.loads(done.stdout)["sources"]
    assert found["kind"] == "posed_images"
    for kind in ("a", "b", "colmap"):
        assert f"the reader of package '{kind}-pack' is left out" in done.stderr
    assert "the reader 'odd' cannot look at" in done.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("colmap", "read already"), ("9lives", "names no layout"),
                       ("class", "names no layout"), ("../up", "names no layout")],
)  # fmt: skip
def test_names_that_cannot_be_kinds(tmp_path: Path, capsys, name: str, said: str) -> None:
    assert new_reader.main([name, "-o", str(tmp_path / "x")]) == exit_codes.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path, capsys) -> None:
    put(tmp_path / "x/mine.txt", "mine")
    assert new_reader.main(["lab", "-o", str(tmp_path / "x")]) == exit_codes.FAILED
    assert "is there already" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "x").iterdir()] == ["mine.txt"]
    names = made(tmp_path / "y", "My-Lab_reader")
    assert "my_lab_reader/__init__.py" in names
    assert 'name = "my-lab-reader"' in names["pyproject.toml"]
