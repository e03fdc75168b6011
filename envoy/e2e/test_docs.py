"""The blocks of the documentation that only a real Envoy, or the tools they name, can try.

tests/docs holds every fence to a language that is tried, here or there.
"""

import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess

import pytest
import yaml

from e2e.words import trip
from rig.config import ENVOY_DIRECTORY, bootstrap, cluster, connection_manager, example, plugin

ROOT = ENVOY_DIRECTORY.parent
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```([^\n`]+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

TOKEN = "open sesame"
PORTS = {"9901": "admin", "9902": "status", "10000": "proxy"}


def blocks(language):
    """Every block of a language, as (its text, unindented)."""
    found = []
    for page in PAGES:
        for indent, of, text in FENCE.findall(page.read_text()):
            if of == language:
                text = "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
                found.append(pytest.param(text, id=f"{page.name}-{len(found)}"))
    assert found, language
    return found


def commands():
    """Every command of the sh blocks, once; comments are taken off, and lines that go on are joined."""
    found = {}
    for block in blocks("sh"):
        for line in block.values[0].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                found.setdefault(tuple(words))
    return list(found)


def of(program):
    return [words for words in commands() if words[0] == program]


def assert_valid(config, directory):
    file = directory / "envoy.json"
    file.write_text(json.dumps(config))
    command = [os.environ["FUSEBOX_ENVOY"], "--mode", "validate", "--config-path", file]
    validated = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert validated.returncode == 0, validated.stderr


@pytest.mark.parametrize("text", blocks("yaml filters"))
def test_envoy_takes_the_filters(text, tmp_path):
    config = example("envoy.yaml")
    connection_manager(config, "proxy")["http_filters"] = yaml.safe_load(text)["http_filters"]

    # The module is named as it is from the repository's root.
    assert_valid(config, tmp_path)


@pytest.mark.parametrize("text", blocks("yaml route"))
def test_envoy_takes_the_routes(text, tmp_path):
    config = example("backup.yaml")
    [host] = connection_manager(config, "proxy")["route_config"]["virtual_hosts"]
    host["routes"] = [*yaml.safe_load(text), host["routes"][-1]]

    assert_valid(config, tmp_path)


def test_each_program_is_one_that_is_tried_here():
    # tests/cli/documented.rs runs these.
    native = {"dist/fusebox", "zcat"}
    assert {words[0] for words in commands()} == {"make", "curl", "docker", "skopeo", *native}


@pytest.mark.parametrize("words", of("make"), ids=" ".join)
def test_make_has_the_target(words):
    targets = re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert words[1] in targets
    assert all(word.startswith("ARGS=--") for word in words[2:])


@pytest.mark.parametrize("words", of("docker"), ids=" ".join)
def test_docker_gets_a_file_that_there_is(words):
    assert words[:3] == ("docker", "compose", "-f")
    profiles = {each for service in yaml.safe_load((ROOT / words[3]).read_text())["services"].values()
                for each in service.get("profiles", ())}
    assert words[4] == "--profile" and words[5] in profiles


@pytest.mark.parametrize("words", of("skopeo"), ids=" ".join)
def test_skopeo_copies_a_directory_that_the_release_makes(words):
    source = words[2].removeprefix("oci:").split(":")[0]
    assert words[1] == "copy" and pathlib.Path(source).name in ("image", "artifact")
    assert f"dist/{pathlib.Path(source).name}" in (ROOT / "Makefile").read_text()


@pytest.fixture
def proxy(start, upstream):
    configuration = plugin(opens_for="20s")
    configuration["status"]["control_token_sha256"] = hashlib.sha256(TOKEN.encode()).hexdigest()
    return start(cluster("backend", upstream), plugin=configuration)


def test_each_curl_is_answered(proxy):
    trip(proxy)
    ports = {**{port: proxy.ports.get(name) for port, name in PORTS.items()}, "9901": proxy.admin.base_url.port}

    for words in of("curl"):
        ran = subprocess.run([localized(word, ports) for word in ("curl", "--silent", "--show-error", "--fail", *words[1:])],
                             capture_output=True, text=True)
        assert ran.returncode == 0, (words, ran.stderr)
        assert "backend" in ran.stdout, words


def localized(word, ports):
    for shown, port in ports.items():
        word = word.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
    return word.replace("$TOKEN", TOKEN)


@pytest.mark.parametrize("text", blocks("http"))
def test_a_rejection_has_the_headers_and_the_members_that_are_shown(text, start, upstream):
    proxy = start(cluster("backend", upstream), plugin=plugin())
    trip(proxy)

    rejected = proxy.get()

    head, body = text.split("\n\n", 1)
    status, *headers = head.splitlines()
    assert status == f"HTTP/1.1 {rejected.status_code} {rejected.reason_phrase}"
    names = {line.split(": ")[0] for line in headers}
    assert names == rejected.headers.keys() - {"content-length", "date", "server"}
    shown = json.loads(body)
    assert list(shown) == list(rejected.json())
    same = ("type", "title", "status", "state")
    assert [shown[name] for name in same] == [rejected.json()[name] for name in same]


@pytest.mark.parametrize("text", blocks("promql"))
def test_promtool_takes_the_query(text, tmp_path):
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "docs", "rules": [{"record": "a:b:c", "expr": text}]}]}))

    checked = subprocess.run(["promtool", "check", "rules", rules], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("text", blocks("json"))
def test_the_filter_takes_the_configuration(text, tmp_path, upstream):
    config = bootstrap(cluster("backend", upstream), plugin={**json.loads(text)})

    assert_valid(config, tmp_path)
