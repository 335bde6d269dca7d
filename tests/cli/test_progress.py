# SPDX-License-Identifier: Apache-2.0
import pytest

from spatialcore.commands import progress


def test_a_pipe_gets_plain_lines_and_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.ProgressBar() as bar:
        bar.show("scene0", 1, 1200)  # no minute has passed
        monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
        bar.show("scene1", 1100, 1200)
    assert capsys.readouterr().err == "1,100 of 1,200: scene1\n"
