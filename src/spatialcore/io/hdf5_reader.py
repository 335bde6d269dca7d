# SPDX-License-Identifier: Apache-2.0
"""The process that has libhdf5 read strangers' files: `python -P hdf5_reader.py`, never imported.

libhdf5 believes sizes that a file declares: 4.5 kB make it take gigabytes while it lists what is in
there. It gives no limit, so the system does: a request that needs more memory or processor time
than it may ends with an error, or ends this process, and the one that asked goes on.

A request is a line of JSON on the standard input, {"path", "part", "read"}; the answer is a line of
JSON on the standard output, {"shape", "dtype"} or {"fault", "hint"}, and where `read` was true the
numbers behind it. It ends with its input.
"""

import json
import sys
from pathlib import Path
from typing import Any

from spatialcore.io.bounds import address_space, bound

ROOM_BYTES = 192 << 20  # beside twice the file: the largest map, and what it is decoded of
SECONDS = 5  # of the processor, for a request


def main() -> None:
    """Answer until the input ends."""
    import h5py
    import numpy as np

    idle = address_space()
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        most = ROOM_BYTES + 2 * Path(asked["path"]).stat().st_size
        bound(None if idle is None else idle + most, SECONDS)
        numbers = None
        try:
            with h5py.File(asked["path"], "r") as file:
                dataset, answer = _dataset(h5py, file, asked["part"])
                if dataset is not None and asked["read"]:
                    numbers = np.ascontiguousarray(dataset[()])
                    answer["dtype"] = numbers.dtype.str
        except Exception:  # KeyError, MemoryError, OSError, RuntimeError, TypeError, ValueError ...
            numbers, answer = None, {"fault": "is not a readable HDF5 file", "hint": ""}
        bound(None, None)
        out = sys.stdout.buffer
        out.write(json.dumps(answer).encode() + b"\n")
        if numbers is not None:
            out.write(numbers.data)
        out.flush()


def _dataset(h5py: Any, file: Any, part: str) -> tuple[Any, dict[str, Any]]:
    """The data set of a name, or the only one; or None, and what is wrong."""
    names = [part] if part else list(file)[:9]
    if len(names) != 1:
        return None, {"fault": f"holds {', '.join(names[:8])[:80]}", "hint": "name one: #name"}
    # A link of the file may lead to another file: only what lies in this one is read.
    if not isinstance(file.get(names[0], getlink=True), h5py.HardLink):
        return None, {"fault": f"has no data set {names[0][:80]!r} of its own", "hint": ""}
    dataset = file[names[0]]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        return None, {"fault": f"{names[0][:80]!r} is no data set of numbers", "hint": ""}
    if dataset.dtype.kind not in "fui":
        return None, {"fault": f"holds {dataset.dtype}, not numbers", "hint": ""}
    return dataset, {"shape": list(dataset.shape or ()), "dtype": dataset.dtype.str}


if __name__ == "__main__":
    main()
