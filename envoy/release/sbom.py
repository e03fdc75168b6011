"""The crates that are in the module, as a CycloneDX document. The same module gives the same bytes."""

import hashlib
import re
import uuid

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from release import crates

RUSTC = re.compile(r"rustc (\S+)")


def document(module):
    hashed = hashlib.sha256(module).hexdigest()
    linked = crates.linked()
    components = {each.key: library(each) for each in linked}
    filter_itself = components[crates.own(linked).key]
    filter_itself.type = ComponentType.APPLICATION
    filter_itself.hashes.add(sha256(hashed))
    filter_itself.properties.add(Property(name="fusebox:built-with", value=crates.built_with()))
    std = standard_library()

    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{hashed}"))
    bom.metadata.timestamp = None
    bom.metadata.component = filter_itself
    bom.components.update([std, *(each for each in components.values() if each is not filter_itself)])
    for each in linked:
        bom.register_dependency(components[each.key], [std, *(components[key] for key in each.uses)])
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def library(crate):
    purl = PackageURL("cargo", name=crate.name, version=crate.version)
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        name=crate.name,
        version=crate.version,
        purl=purl,
        description=crate.description,
        licenses=[LicenseExpression(crate.license)],
        hashes=[sha256(crate.checksum)] if crate.checksum else [],
    )


def standard_library():
    """It is compiled in as the crates are, but no registry has it."""
    version = RUSTC.search(crates.built_with())[1]
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"rust-std@{version}",
        name="rust-std",
        version=version,
        licenses=[LicenseExpression("MIT OR Apache-2.0")],
    )


def sha256(hexadecimal):
    return HashType(alg=HashAlgorithm.SHA_256, content=hexadecimal)
