"""The module as OCI image layouts, in the two forms that Istio and Envoy Gateway read.

The image is one that any tool can copy, with the module as plugin.wasm in its only layer; the artifact has the module
itself as a layer. The same module and version give the same bytes.
"""

import gzip
import hashlib
import io
import json
import shutil
import tarfile

LAYOUT = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
RUNTIME_CONFIG = "application/vnd.module.wasm.config.v1+json"
MODULE_LAYER = "application/vnd.module.wasm.content.layer.v1+wasm"

PLUGIN = "plugin.wasm"
TITLE = "org.opencontainers.image.title"
REF_NAME = "org.opencontainers.image.ref.name"
# That of the proxy-wasm SDK.
RUNTIME = {"type": "envoy_proxy", "abiVersions": ["0.2.1"], "config": {}}


def image(directory, module, annotations, version):
    layout = Layout(directory)
    archive = tar(PLUGIN, module)
    # No program, so for no machine in particular; but a config has to name one.
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(archive)]},
    }
    layout.write(
        config=layout.blob(IMAGE_CONFIG, encoded(config)),
        layers=[layout.blob(IMAGE_LAYER, gzip.compress(archive, mtime=0))],
        annotations={"module.wasm.image/variant": "compat", **annotations},
        version=version,
    )


def artifact(directory, module, annotations, version):
    layout = Layout(directory)
    config = layout.blob(RUNTIME_CONFIG, encoded(RUNTIME))
    layout.write(
        config=config,
        # Readers ask for two layers, of which the config is one.
        layers=[
            config | {"annotations": {TITLE: "runtime-config.json"}},
            layout.blob(MODULE_LAYER, module) | {"annotations": {TITLE: PLUGIN}},
        ],
        annotations=annotations,
        version=version,
    )


class Layout:
    def __init__(self, directory):
        shutil.rmtree(directory, ignore_errors=True)
        self._directory = directory
        self._blobs = directory / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def blob(self, media_type, content):
        """Its descriptor."""
        (self._blobs / digest(content).removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest(content), "size": len(content)}

    def write(self, config, layers, annotations, version):
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config,
            "layers": layers,
            "annotations": annotations,
        }
        named = self.blob(MANIFEST, encoded(manifest)) | {"annotations": {REF_NAME: version}}
        index = {"schemaVersion": 2, "mediaType": LAYOUT, "manifests": [named]}
        (self._directory / "index.json").write_bytes(encoded(index))
        (self._directory / "oci-layout").write_bytes(encoded({"imageLayoutVersion": "1.0.0"}))


def tar(name, content):
    """Of one file, without a time or an owner."""
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as opened:
        opened.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def encoded(document):
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
