# SPDX-License-Identifier: Apache-2.0
"""A static Linux program on an emulated Ice Lake: the machine code itself, without such a machine.

Bochs emulates a whole computer, AVX-512 included, so the program boots with a kernel of its own
(`tests/native/bare`). It takes about a minute. What it needs on Debian: `bochs bochs-term isolinux
syslinux-common genisoimage`.
"""

from __future__ import annotations

import os
import platform
import pty
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("bare")
LOADER = Path("/usr/lib/ISOLINUX/isolinux.bin")
MODULES = Path("/usr/lib/syslinux/modules/bios")
FIRMWARE = Path("/usr/share/bochs")
TOOLS = ("bochs", "gcc", "ld", "objcopy", "genisoimage")
PROCESSOR = "corei7_icelake_u"
SECONDS = 600

CONFIGURATION = """
cpu: model={processor}, count=1, ips=80000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
romimage: file={firmware}/BIOS-bochs-latest
vgaromimage: file={firmware}/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
display_library: term
clock: sync=none
"""
MENU = """
default run
prompt 0
label run
kernel mboot.c32
append /kernel --- /program
"""


def cannot_boot() -> str:
    """Why this machine cannot, or ""."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the program is for x86-64"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    files = (LOADER, MODULES / "mboot.c32", FIRMWARE / "BIOS-bochs-latest")
    missing += [str(file) for file in files if not file.exists()]
    return f"{', '.join(missing)} not installed" if missing else ""


def boot(program: Path) -> str:
    """What the program prints; RuntimeError with the end of the log where it does not finish."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_disc(program, folder)
        text = CONFIGURATION.format(processor=PROCESSOR, firmware=FIRMWARE)
        (folder / "bochsrc").write_text(text)
        (folder / "commands").write_text("c\n")  # Debian's Bochs starts in its debugger
        inside, outside = pty.openpty()
        try:
            subprocess.run(
                ["bochs", "-q", "-f", "bochsrc", "-rc", "commands"],
                cwd=folder, env=os.environ | {"TERM": "xterm"}, timeout=SECONDS, check=False,
                stdin=outside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        finally:
            os.close(inside)
            os.close(outside)
        said = (folder / "serial.txt").read_text(errors="replace").replace("\r", "")
        if not said.endswith("finished\n"):
            log = (folder / "bochs.log").read_text(errors="replace")
            raise RuntimeError(f"the program did not finish: {said}\n{log[-3000:]}")
    return said.removesuffix("finished\n")


def _make_disc(program: Path, folder: Path) -> None:
    """A bootable disc of the loader, the kernel and the program."""
    disc = folder / "disc"
    (disc / "isolinux").mkdir(parents=True)
    kernel = ["-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-mno-red-zone"]
    kernel += ["-mgeneral-regs-only", "-fcf-protection=none", "-Wall"]
    _run("gcc", *kernel, "-c", str(SOURCE / "machine.c"), "-o", "machine.o", folder=folder)
    _run("gcc", "-c", str(SOURCE / "boot.S"), "-o", "boot.o", folder=folder)
    script = str(SOURCE / "link.ld")
    _run("ld", "-T", script, "-z", "max-page-size=4096", "boot.o", "machine.o", folder=folder)
    # The loader takes 32-bit files alone.
    _run("objcopy", "-O", "elf32-i386", "a.out", str(disc / "kernel"), folder=folder)
    _run("objcopy", "--strip-all", str(program), str(disc / "program"), folder=folder)
    (disc / "isolinux/isolinux.cfg").write_text(MENU)
    for file in (LOADER, *(MODULES / f"{one}.c32" for one in ("ldlinux", "mboot", "libcom32"))):
        shutil.copy(file, disc / "isolinux")
    _run(
        "genisoimage", "-quiet", "-o", "disc.iso", "-b", "isolinux/isolinux.bin",
        "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table",
        "disc", folder=folder,
    )  # fmt: skip


def _run(*command: str, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
