"""The images that docker-compose.yaml names: the published ones where a registry is in reach, else stand-ins."""

import json

import yaml

from containers import stand_in
from containers.docker import DockerFailed, compose, docker
from rig.config import ENVOY_DIRECTORY

FILE = ENVOY_DIRECTORY / "docker-compose.yaml"
STAND_INS = {"upstream": stand_in.upstream, "envoy": stand_in.envoy, "prometheus": stand_in.prometheus}


class Missing(Exception):
    """An image that can neither be had nor made."""


def make_ready():
    """Says for each service which image will run."""
    for service, tag in tags().items():
        try:
            get(service, tag)
        except DockerFailed as failure:
            print(f"{tag} is neither here nor to be had: {failure}")
            if service in STAND_INS:
                stand_in_for(service, tag)
    for service, tag in tags().items():
        print(f"{service} runs {describe(tag)}" if inspect(tag) else f"{service} does not run: nothing stands in for {tag}")


def tags():
    """By the names of the services, with the variables filled in."""
    filled = yaml.safe_load(compose("--file", str(FILE), "--profile", "metrics", "config"))
    return {name: service["image"] for name, service in filled["services"].items()}


def get(service, tag):
    if service == "upstream":
        # Its sources may have changed since.
        compose("--file", str(FILE), "build", service)
    elif not inspect(tag) or is_stand_in(tag):
        docker("pull", "--quiet", tag)


def stand_in_for(service, tag):
    try:
        STAND_INS[service](tag)
    except FileNotFoundError as missing:
        raise Missing(f"{tag}: {missing}") from None


def describe(tag):
    found = inspect(tag)
    made_of = labels(found).get(stand_in.LABEL)
    kind = f"a stand-in made of {made_of}" if made_of else "the published image" if found["RepoDigests"] else "built here"
    return f"{tag} {found['Id'].removeprefix('sha256:')[:12]}, {kind}"


def is_stand_in(tag):
    return stand_in.LABEL in labels(inspect(tag))


def labels(found):
    return found["Config"]["Labels"] or {}


def inspect(tag):
    """None where there is no such image."""
    try:
        return json.loads(docker("image", "inspect", tag))[0]
    except DockerFailed:
        return None
