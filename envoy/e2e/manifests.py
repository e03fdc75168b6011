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
