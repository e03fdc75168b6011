"""OCI image layouts, read as a registry's client does: every digest and size is checked on the way."""

import gzip
import io
import json
import tarfile

from release.oci import IMAGE_LAYER, MODULE_LAYER, PLUGIN, digest


class Layout:
    def __init__(self, directory):
        self._blobs = directory / "blobs"
        assert json.loads((directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
        self.index = json.loads((directory / "index.json").read_text())
        [self.described] = self.index["manifests"]
        self.manifest = json.loads(self.blob(self.described))
        self.config = json.loads(self.blob(self.manifest["config"]))

    def blob(self, descriptor):
        algorithm, _, hexadecimal = descriptor["digest"].partition(":")
        content = (self._blobs / algorithm / hexadecimal).read_bytes()
        assert len(content) == descriptor["size"]
        assert digest(content) == descriptor["digest"]
        return content

    def blobs(self):
        """The digests of all that there are."""
        return {f"{each.parent.name}:{each.name}" for each in self._blobs.glob("*/*")}

    def described_blobs(self):
        described = [self.described, self.manifest["config"], *self.manifest["layers"]]
        return {each["digest"] for each in described}

    def module(self):
        """As Istio and Envoy Gateway look for it: in an image's last layer, else in that of two which is a module."""
        layers = self.manifest["layers"]
        if layers[-1]["mediaType"] == IMAGE_LAYER:
            return unpacked(self.blob(layers[-1]))[PLUGIN]
        assert len(layers) == 2
        [layer] = [each for each in layers if each["mediaType"] == MODULE_LAYER]
        return self.blob(layer)


def unpacked(layer):
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer))) as archive:
        return {each.name: archive.extractfile(each).read() for each in archive}
