"""Images made of this machine's programs and what these load, for where the published ones cannot be had.

A stand-in has the tag of the image it stands for, and says so in its label.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile

from containers.docker import docker
from rig.config import ENVOY_DIRECTORY

LABEL = "fusebox.stand-in"
# Of Python's library; the last is for embedding it.
LEFT_OUT = re.compile("/(site-packages|test|tests|idlelib|__pycache__|config-[^/]*)(/|$)")
LIBRARY = re.compile(r"(/\S+) \(0x")


def envoy(tag):
    make_of_program(tag, envoy_program())


def envoy_program():
    command = os.environ["FUSEBOX_ENVOY"]
    if not pathlib.Path(command).read_bytes().startswith(b"\x7fELF"):
        raise FileNotFoundError(f"{command} is a script; give the program itself: ENVOY=/path/to/envoy")
    return command


def prometheus(tag):
    program = shutil.which("prometheus")
    if not program:
        raise FileNotFoundError("there is no prometheus on this machine to make one of; `make prometheus` installs it")
    make_of_program(tag, program)


def make_of_program(tag, program):
    place = f"/bin/{pathlib.Path(program).name}"
    make(tag, [program], entrypoint=[place], files={program: place})


def upstream(tag):
    """This very Python with its standard library, and the one package that the upstream needs."""
    python = pathlib.Path(sys.executable).resolve()
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    files = {str(python): str(python), str(library): str(library), str(ENVOY_DIRECTORY / "upstream"): "/app/upstream"}
    files |= {str(packages / name): f"/app/{name}" for name in ("h2", "hpack", "hyperframe")}
    extensions = [str(each) for each in library.glob("lib-dynload/*.so")]
    make(
        tag,
        [str(python), *extensions],
        entrypoint=[str(python), "-m", "upstream"],
        files=files,
        environment={"PYTHONHOME": sys.base_prefix, "PYTHONDONTWRITEBYTECODE": "1"},
        directory="/app",
    )


def make(tag, programs, entrypoint, files, environment={}, directory="/"):
    content = tempfile.TemporaryFile()
    with tarfile.open(fileobj=content, mode="w") as archive:
        folder = tarfile.TarInfo("tmp")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777
        archive.addfile(folder)
        for library in libraries(programs):
            archive.add(os.path.realpath(library), library)
        for file, place in files.items():
            archive.add(file, place, filter=needed)
    content.seek(0)
    changes = [
        f"ENTRYPOINT {json.dumps(entrypoint)}",
        f"WORKDIR {directory}",
        f"LABEL {LABEL}={programs[0]}",
        *(f"ENV {name}={value}" for name, value in environment.items()),
    ]
    options = [option for change in changes for option in ("--change", change)]
    docker("import", *options, "-", tag, stdin=content)


def needed(member):
    return None if LEFT_OUT.search(member.name) else member


def libraries(programs):
    """All that the programs load when they start."""
    loaded = set()
    for program in programs:
        listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        loaded.update(LIBRARY.findall(listed))
    return sorted(loaded)
