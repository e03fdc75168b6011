"""What `make release` has left in dist/."""

import hashlib
import json
import os
import pathlib
import shutil
import subprocess

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from e2e.layouts import Layout
from release import crates, sbom
from rig.config import MODULE, bootstrap, cluster
from rig.proxy import Proxy
from rig.upstream import Upstream

DIST = MODULE.parent
SBOM = (DIST / "fusebox.cdx.json").read_text()
VERSION = crates.own(crates.linked()).version


def test_sha256sum_agrees():
    checked = subprocess.run(["sha256sum", "--check", "fusebox.wasm.sha256"], cwd=DIST, capture_output=True, text=True)

    assert (checked.returncode, checked.stdout) == (0, "fusebox.wasm: OK\n")


@pytest.mark.parametrize("form", ["image", "artifact"])
def test_the_images_hold_this_module_under_its_version(form):
    layout = Layout(DIST / form)

    assert layout.module() == MODULE.read_bytes()
    assert layout.described["annotations"]["org.opencontainers.image.ref.name"] == VERSION
    assert layout.manifest["annotations"]["org.opencontainers.image.version"] == VERSION


def test_the_module_tells_the_version_of_the_release(tmp_path):
    with Upstream() as upstream, Proxy(bootstrap(cluster("backend", upstream)), tmp_path / "envoy") as proxy:
        assert f"circuit breaker initialized version={VERSION} " in proxy.log()
        assert proxy.admin.get(proxy.status_url).json()["version"] == VERSION


def test_the_list_of_crates_is_valid():
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(SBOM) is None


def test_the_list_has_what_is_in_the_module_and_no_tools():
    document = json.loads(SBOM)
    names = {each["name"] for each in document["components"]}

    assert document["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": sha256(MODULE)}]
    assert {"proxy-wasm", "serde_json", "sha2", "rust-std"} <= names
    # Macros, build scripts and tests leave nothing in it.
    assert not {"serde_derive", "syn", "version_check", "wasmtime", "proptest", "stateright"} & names
    assert all("hashes" in each for each in document["components"] if each["name"] != "rust-std")


def test_no_crate_that_panics_is_missing_from_the_list():
    """Panic messages name the source file that they are of: a trace of crates that cargo knows nothing of."""
    named = {f"{each['name']}-{each['version']}".encode() for each in json.loads(SBOM)["components"]}

    traces = {path.partition(b"/src/")[0] for path in paths(MODULE.read_bytes())}

    assert traces
    assert traces <= named


def paths(module):
    return [rest.partition(b"\0")[0][:200].partition(b"/")[2] for rest in module.split(b"/cargo/registry/src/")[1:]]


def test_made_again_the_list_is_the_same_to_the_byte():
    assert sbom.document(MODULE.read_bytes()) == SBOM


def test_built_elsewhere_the_module_is_the_same_to_the_byte(tmp_path):
    """In another directory, with cargo's home at another path."""
    for each in subprocess.check_output(["git", "ls-files"], cwd=crates.REPOSITORY, text=True).splitlines():
        place = tmp_path / "elsewhere" / each
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(crates.REPOSITORY / each, place)
    home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    (tmp_path / "cargo").symlink_to(home)

    environment = os.environ | {"CARGO_HOME": str(tmp_path / "cargo")}
    subprocess.run(["envoy/tools/build.sh"], cwd=tmp_path / "elsewhere", env=environment, check=True)

    assert sha256(tmp_path / "elsewhere" / "dist" / "fusebox.wasm") == sha256(MODULE)


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()
