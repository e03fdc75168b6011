"""The manifests for meshes and gateways: their documents, and what their control planes make of them."""

import yaml

from rig.config import ENVOY_DIRECTORY, MODULE

MODULE_CODE = {"local": {"filename": str(MODULE)}}


def documents(file):
    return list(yaml.safe_load_all((ENVOY_DIRECTORY / file).read_text()))


def document(file, kind, name="fusebox"):
    [found] = [each for each in documents(file) if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def patches(file, apply_to, name="fusebox"):
    """Of an EnvoyFilter: what is to be applied to this."""
    spec = document(file, "EnvoyFilter", name)["spec"]
    return [each["patch"] for each in spec["configPatches"] if each["applyTo"] == apply_to]


def bootstrap_of_kubernetes():
    """The Envoy configuration that the ConfigMap holds."""
    return yaml.safe_load(document("kubernetes/fusebox.yaml", "ConfigMap", "envoy")["data"]["envoy.yaml"])


def ordered(chain, positions):
    """The filters, by type, as Envoy Gateway orders them: a position whose other filter is not there does nothing."""
    chain = list(chain)
    for position in positions:
        moved = [each for each in chain if each == position["name"]]
        if moved and position["after"] in chain:
            rest = [each for each in chain if each != position["name"]]
            place = len(rest) - rest[::-1].index(position["after"])
            chain = rest[:place] + moved + rest[place:]
    return chain
