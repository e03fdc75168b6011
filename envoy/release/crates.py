"""What cargo says about the crate and those that end in the module."""

import dataclasses
import json
import re
import shutil
import subprocess
import tomllib

from rig.config import ENVOY_DIRECTORY

REPOSITORY = ENVOY_DIRECTORY.parent
TARGET = "wasm32-unknown-unknown"
LISTED = re.compile(r"^(\S+) v(\S+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Crate:
    name: str
    version: str
    license: str
    description: str
    checksum: str | None
    """SHA-256 of the file at crates.io; only the crate itself has none."""
    uses: frozenset
    """Names and versions of those that it links."""

    @property
    def key(self):
        return self.name, self.version


def own(linked):
    [crate] = [each for each in linked if each.name == "fusebox"]
    return crate


def linked():
    """All that are compiled into the module: no tests' crates, no build scripts, no macros."""
    tree = cargo("tree", "--package", "fusebox", "--target", TARGET, "--prefix", "none", "--edges", "normal,no-proc-macro")
    keys = set(LISTED.findall(tree))
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))
    packages = {each["id"]: each for each in metadata["packages"]}
    nodes = {key(packages[each["id"]]): each for each in metadata["resolve"]["nodes"]}
    lock = tomllib.loads((REPOSITORY / "Cargo.lock").read_text())["package"]
    checksums = {key(each): each.get("checksum") for each in lock}
    return [
        Crate(
            name=package["name"],
            version=package["version"],
            # Old crates separate the choices with a slash.
            license=re.sub(r"\s*/\s*", " OR ", package["license"]),
            description=(package["description"] or "").strip(),
            checksum=checksums[key(package)],
            uses=frozenset(key(packages[each]) for each in nodes[key(package)]["dependencies"]) & keys,
        )
        for package in sorted(packages.values(), key=key)
        if key(package) in keys
    ]


def key(package):
    return package["name"], package["version"]


def cargo(*arguments):
    command = [shutil.which("cargo") or "/usr/bin/cargo", *arguments, "--locked"]
    return subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout


def built_with():
    """Compiler and optimiser: with others the module's bytes differ."""
    return (REPOSITORY / "target" / "wasm" / "built-with.fusebox").read_text().strip()
