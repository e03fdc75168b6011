"""The manifests: held against schemas, and what Envoy gets through them run by a real one. No control plane takes part."""

import itertools
import json
import pathlib
import re

import jsonschema
import kubernetes_validate
import pytest
import yaml

from e2e.custom_resources import SCHEMAS
from e2e.manifests import MODULE_CODE, bootstrap_of_kubernetes, document, documents, ordered, patches
from e2e.words import assert_rejected, trip
from rig.config import ENVOY_DIRECTORY, bootstrap, cluster, connection_manager, localized, wasm
from rig.wait import wait_until

KUBERNETES, ENVOY_FILTER = "kubernetes/fusebox.yaml", "istio/envoy-filter.yaml"
WASM_PLUGIN, POLICY = "istio/wasm-plugin.yaml", "gateway/extension-policy.yaml"
FILES = [KUBERNETES, ENVOY_FILTER, WASM_PLUGIN, POLICY]
REVIEWS, ROUTE = "outbound|8080||reviews.default.svc.cluster.local", "httproute/default/backend/rule/0"
TAGS = yaml.safe_load((ENVOY_DIRECTORY / "envoy.yaml").read_text())["stats_config"]


@pytest.mark.parametrize("each", documents(KUBERNETES), ids=lambda each: each["kind"])
def test_kubernetes_knows_every_field(each):
    kubernetes_validate.validate(each, "1.35", strict=True)


@pytest.mark.parametrize("file", [ENVOY_FILTER, WASM_PLUGIN, POLICY])
def test_a_custom_resource_has_known_fields_only(file):
    for each in documents(file):
        jsonschema.validate(each, SCHEMAS[each["kind"]])


@pytest.mark.parametrize("file", FILES)
def test_the_image_is_of_this_version(file):
    version = re.search(r'^version = "(.+)"$', (ENVOY_DIRECTORY.parent / "Cargo.toml").read_text(), re.MULTILINE)[1]

    assert set(re.findall(r"/fusebox:(\S+?)['\s]", (ENVOY_DIRECTORY / file).read_text())) == {version}


def test_circuits_are_labelled_as_in_the_example():
    [patched] = patches(ENVOY_FILTER, "BOOTSTRAP", "fusebox-metrics")
    merged = yaml.safe_load(document(POLICY, "EnvoyProxy")["spec"]["bootstrap"]["value"])

    assert patched["value"]["stats_config"] == TAGS
    assert merged["stats_config"] == TAGS
    assert bootstrap_of_kubernetes()["stats_config"] == TAGS


def test_the_config_map_logs_what_a_replay_reads():
    own, example = (
        connection_manager(each, "proxy")["access_log"]
        for each in (bootstrap_of_kubernetes(), yaml.safe_load((ENVOY_DIRECTORY / "envoy.yaml").read_text()))
    )

    assert own == example


def test_the_configuration_of_the_config_map_guards_its_backend(run, upstream):
    proxy = run(localized(bootstrap_of_kubernetes(), backend=upstream))

    trip(proxy)

    assert_rejected(proxy.get())
    assert proxy.circuit()["state"] == "open"


def test_the_deployment_fits_the_configuration():
    config = bootstrap_of_kubernetes()["static_resources"]
    ports = {each["name"]: each["address"]["socket_address"]["port_value"] for each in config["listeners"]}
    [admin] = [each for each in config["clusters"] if each["name"] == "admin"]
    deployment = document(KUBERNETES, "Deployment", "envoy")["spec"]
    pod, labels = deployment["template"]["spec"], deployment["template"]["metadata"]["labels"]
    service = document(KUBERNETES, "Service", "envoy")["spec"]
    [container] = pod["containers"]
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    module = pathlib.Path(wasm(bootstrap_of_kubernetes())["vm_config"]["code"]["local"]["filename"])

    assert {each["name"]: each["containerPort"] for each in container["ports"]}.items() <= ports.items()
    assert container["readinessProbe"]["httpGet"]["port"] == "health"
    assert deployment["template"]["metadata"]["annotations"]["prometheus.io/port"] == str(ports["health"])
    assert address(admin) == bootstrap_of_kubernetes()["admin"]["address"]
    assert service["ports"][0]["targetPort"] == "proxy"
    assert service["selector"] == deployment["selector"]["matchLabels"] == labels
    # The name that the image gives the module.
    assert (mounts[str(module.parent)], module.name) == ("fusebox", "plugin.wasm")
    assert mounts.keys() == {"/etc/envoy", str(module.parent)}
    assert {each["name"] for each in pod["volumes"]} == set(mounts.values())


def address(cluster):
    return cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]


def test_the_patches_of_the_envoy_filter_guard_a_service(run, upstream, tmp_path):
    config = bootstrap(cluster(REVIEWS, upstream))
    filters = connection_manager(config, "proxy")["http_filters"]
    router = filters[-1]
    added = [each["value"] for each in patches(ENVOY_FILTER, "HTTP_FILTER")]
    filters[:] = [*added, router]
    # As Istio's agent does: the module in a file, and the extension from elsewhere.
    [extension] = [each["value"] for each in patches(ENVOY_FILTER, "EXTENSION_CONFIG")]
    extension["typed_config"]["config"]["vm_config"]["code"] = MODULE_CODE
    discovered = tmp_path / "extension.yaml"
    typed = {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", **extension}
    discovered.write_text(json.dumps({"resources": [typed]}))
    source = added[-1]["config_discovery"]["config_source"]
    del source["ads"]
    source["path_config_source"] = {"path": str(discovered)}
    config["node"] = {"id": "gateway", "cluster": "gateways"}

    assert_is_guarded(run(config), REVIEWS, upstream)


def test_what_istio_makes_of_the_wasm_plugin_guards_a_service(run, upstream):
    spec = document(WASM_PLUGIN, "WasmPlugin")["spec"]
    config = with_plugin(
        cluster(REVIEWS, upstream),
        failure_policy=spec["failStrategy"],
        vm_config={"runtime": "envoy.wasm.runtime.v8", "code": MODULE_CODE},
        configuration=spec["pluginConfig"],
    )

    assert_is_guarded(run(config), REVIEWS, upstream)


def test_what_envoy_gateway_makes_of_the_policy_guards_a_route(run, upstream):
    [extension] = document(POLICY, "EnvoyExtensionPolicy")["spec"]["wasm"]
    config = with_plugin(
        cluster(ROUTE, upstream),
        fail_open=extension["failOpen"],
        vm_config={"vm_id": "chosen", "runtime": "envoy.wasm.runtime.v8", "code": MODULE_CODE},
        configuration=extension["config"],
    )

    assert_is_guarded(run(config), ROUTE, upstream)


LATER = ("rbac", "local_ratelimit", "ratelimit")


@pytest.mark.parametrize("later", [each for n in range(4) for each in itertools.combinations(LATER, n)], ids="+".join)
def test_envoy_gateway_puts_the_filter_after_those_that_refuse_requests(later):
    """Once only a global rate limit moved it: with authorization alone it stayed in front, and so did its cache."""
    chain = [f"envoy.filters.http.{each}" for each in ("jwt_authn", "wasm", *later, "compressor", "router")]

    in_order = ordered(chain, document(POLICY, "EnvoyProxy")["spec"]["filterOrder"])

    others = [f"envoy.filters.http.{each}" for each in ("jwt_authn", *later)]
    assert in_order == [*others, "envoy.filters.http.wasm", *chain[-2:]]


def with_plugin(cluster, configuration, **plugin):
    """The example with this in place of its own plugin. Both control planes hand the configuration over as JSON text."""
    config = bootstrap(cluster, plugin=configuration)
    own = wasm(config)
    plugin["configuration"] = own["configuration"]
    own.clear()
    own.update(plugin)
    return config


def assert_is_guarded(proxy, circuit, upstream):
    """By the policy of that name: its open circuits wait for 10 s."""
    trip(proxy)
    assert_rejected(proxy.get(), circuit, retry_after=range(5, 11))
    assert upstream.calls == 5
    wait_until(lambda: proxy.metric("opened", circuit) == 1)
    assert f'circuit_breaker_opened{{circuit="{circuit}"}} 1' in proxy.admin.get("/stats/prometheus").text
