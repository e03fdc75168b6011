"""Writes into dist/ what goes with the module that is there."""

import hashlib

from release import crates, oci, sbom
from rig.config import MODULE

module = MODULE.read_bytes()
crate = crates.own(crates.linked())
annotations = {
    "org.opencontainers.image.title": crate.name,
    "org.opencontainers.image.version": crate.version,
    "org.opencontainers.image.licenses": crate.license,
    "org.opencontainers.image.description": crate.description,
}

hashed = hashlib.sha256(module).hexdigest()
MODULE.with_name(f"{MODULE.name}.sha256").write_text(f"{hashed}  {MODULE.name}\n")
MODULE.with_name("fusebox.cdx.json").write_text(sbom.document(module))
oci.image(MODULE.with_name("image"), module, annotations, crate.version)
oci.artifact(MODULE.with_name("artifact"), module, annotations, crate.version)
