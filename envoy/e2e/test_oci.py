"""The images that a release has, made of the module that is tested."""

import gzip

import pytest

from e2e.layouts import Layout
from e2e.words import assert_rejected, trip
from release import oci
from rig.config import MODULE, bootstrap, cluster, plugin, wasm
from rig.wait import wait_until

FORMS = pytest.mark.parametrize("form", [oci.image, oci.artifact], ids=["image", "artifact"])


def made(form, directory):
    form(directory, MODULE.read_bytes(), {"org.opencontainers.image.title": "fusebox"}, "1.2.3")
    return Layout(directory)


@FORMS
def test_all_that_is_described_is_there_and_nothing_else(form, tmp_path):
    layout = made(form, tmp_path / "layout")

    for each in [layout.manifest["config"], *layout.manifest["layers"]]:
        layout.blob(each)
    assert layout.blobs() == layout.described_blobs()
    assert layout.described["annotations"] == {"org.opencontainers.image.ref.name": "1.2.3"}
    assert layout.manifest["annotations"]["org.opencontainers.image.title"] == "fusebox"
    assert layout.described["mediaType"] == layout.manifest["mediaType"]


def test_the_image_is_as_the_compat_variant_has_it(tmp_path):
    layout = made(oci.image, tmp_path / "layout")

    assert layout.manifest["annotations"]["module.wasm.image/variant"] == "compat"
    assert layout.manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    [layer] = layout.manifest["layers"]
    assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert layout.config["rootfs"]["diff_ids"] == [oci.digest(gzip.decompress(layout.blob(layer)))]


def test_the_artifact_is_as_the_specification_has_it(tmp_path):
    layout = made(oci.artifact, tmp_path / "layout")

    assert layout.manifest["config"]["mediaType"] == "application/vnd.module.wasm.config.v1+json"
    assert [each["mediaType"] for each in layout.manifest["layers"]] == [
        "application/vnd.module.wasm.config.v1+json",
        "application/vnd.module.wasm.content.layer.v1+wasm",
    ]
    assert layout.config["type"] == "envoy_proxy"
    [version] = layout.config["abiVersions"]
    assert f"proxy_abi_version_{version.replace('.', '_')}".encode() in layout.module()


@FORMS
def test_made_again_it_is_the_same_to_the_byte(form, tmp_path):
    first, second = made(form, tmp_path / "first"), made(form, tmp_path / "second")

    assert first.index == second.index


def test_made_in_the_same_place_it_leaves_nothing_of_the_last(tmp_path):
    oci.image(tmp_path / "layout", b"an older module", {}, "1.2.2")

    assert made(oci.image, tmp_path / "layout").blobs() == made(oci.image, tmp_path / "fresh").blobs()


@FORMS
def test_envoy_runs_the_module_that_is_in_it(form, run, upstream, tmp_path):
    unpacked = tmp_path / "plugin.wasm"
    unpacked.write_bytes(made(form, tmp_path / "layout").module())
    config = bootstrap(cluster("backend", upstream), plugin=plugin())
    wasm(config)["vm_config"]["code"] = {"local": {"filename": str(unpacked)}}
    proxy = run(config)

    trip(proxy)

    assert_rejected(proxy.get())
    wait_until(lambda: proxy.metric("opened") == 1)
