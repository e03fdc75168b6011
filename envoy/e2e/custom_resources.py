"""The fields of Istio's and Envoy Gateway's resources that the manifests use, and no others, written by hand.

No registry that the tests install from has these schemas. These are of Istio 1.27 and Envoy Gateway 1.5.
"""


def fields(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def one_of(*values):
    return {"enum": list(values)}


def list_of(item):
    return {"type": "array", "items": item, "minItems": 1}


STRING, INTEGER, BOOLEAN, ANYTHING = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "object"}
LABELS = {"type": "object", "additionalProperties": STRING}


def resource(group, kind, spec):
    metadata = fields(["name", "namespace"], name=STRING, namespace=STRING)
    return fields(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion=one_of(group),
        kind=one_of(kind),
        metadata=metadata,
        spec=spec,
    )


WASM_PLUGIN = fields(
    ["url"],
    selector=fields(matchLabels=LABELS),
    url={"type": "string", "pattern": "^(oci|https?|file)://"},
    failStrategy=one_of("FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"),
    phase=one_of("AUTHN", "AUTHZ", "STATS"),
    priority=INTEGER,
    match=list_of(fields(mode=one_of("CLIENT", "SERVER", "CLIENT_AND_SERVER"))),
    pluginConfig=ANYTHING,
)

CONTEXT = one_of("ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY")
FILTER = fields(name=STRING, subFilter=fields(name=STRING))
ENVOY_FILTER = fields(
    workloadSelector=fields(labels=LABELS),
    configPatches=list_of(
        fields(
            ["applyTo", "patch"],
            applyTo=one_of("HTTP_FILTER", "EXTENSION_CONFIG", "BOOTSTRAP"),
            match=fields(context=CONTEXT, listener=fields(filterChain=fields(filter=FILTER))),
            patch=fields(["operation", "value"], operation=one_of("ADD", "MERGE", "INSERT_BEFORE"), value=ANYTHING),
        )
    ),
)

EXTENSION_POLICY = fields(
    ["targetRefs"],
    targetRefs=list_of(
        fields(
            ["group", "kind", "name"],
            group=one_of("gateway.networking.k8s.io"),
            kind=one_of("Gateway", "HTTPRoute", "GRPCRoute"),
            name=STRING,
        )
    ),
    wasm=list_of(
        fields(
            ["code"],
            name=STRING,
            code=fields(["type", "image"], type=one_of("Image"), image=fields(["url"], url=STRING)),
            failOpen=BOOLEAN,
            config=ANYTHING,
        )
    ),
)

FILTER_NAMES = one_of(
    *(f"envoy.filters.http.{name}" for name in ("wasm", "rbac", "local_ratelimit", "ratelimit")),
)
ENVOY_PROXY = fields(
    filterOrder=list_of(fields(["name"], name=FILTER_NAMES, after=FILTER_NAMES)),
    bootstrap=fields(["value"], type=one_of("Merge", "Replace", "JSONPatch"), value=STRING),
)

SCHEMAS = {
    "WasmPlugin": resource("extensions.istio.io/v1alpha1", "WasmPlugin", WASM_PLUGIN),
    "EnvoyFilter": resource("networking.istio.io/v1alpha3", "EnvoyFilter", ENVOY_FILTER),
    "EnvoyExtensionPolicy": resource("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy", EXTENSION_POLICY),
    "EnvoyProxy": resource("gateway.envoyproxy.io/v1alpha1", "EnvoyProxy", ENVOY_PROXY),
}
