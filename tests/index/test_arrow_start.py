# SPDX-License-Identifier: Apache-2.0
"""Commands make arrays without pandas; who asks for a table of pandas still gets one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_COMMAND = """
import sys
from pathlib import Path
from spatialcore import cli
from spatialcore.index.tables import write_columns
import numpy as np

assert cli.main(["--version"]) == 0
write_columns(Path(sys.argv[1]), {"a": np.arange(3)})
print([name for name in sys.modules if name.partition(".")[0] == "pandas"])
import pyarrow.parquet

print(pyarrow.parquet.read_table(sys.argv[1]).to_pandas()["a"].tolist())
"""


def test_a_command_writes_tables_without_pandas(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    command = [sys.executable, "-c", _COMMAND, str(tmp_path / "a.parquet")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout.splitlines()[1:] == ["[]", "[0, 1, 2]"]
