from e2e.words import assert_rejected, trip
from rig.config import cluster, plugin


def test_each_cluster_has_a_circuit_of_its_own(start, upstream, second_upstream):
    proxy = start(cluster("red", upstream), cluster("blue.example:80", second_upstream), plugin=plugin(opens_for="20s"))
    proxy.get(host="blue.example:80")

    trip(proxy, host="red")

    assert_rejected(proxy.get(host="red"), circuit="red")
    assert proxy.get(host="blue.example:80").status_code == 200
    states = {name: each["state"] for name, each in proxy.circuits().items()}
    assert states == {"red": "open", "blue.example:80": "closed"}


def test_policies_follow_the_name_of_the_cluster(start, upstream, second_upstream):
    configuration = plugin(opens_for="20s")
    configuration["circuits"] = {"red": {"trip": {"consecutive_failures": 2}}, "gr*": {"mode": "off"}}
    proxy = start(cluster("red", upstream), cluster("green", second_upstream), plugin=configuration)

    for _ in range(2):
        proxy.get("/status/503", host="red")
    for _ in range(10):
        proxy.get("/status/503", host="green")

    assert_rejected(proxy.get(host="red"), circuit="red")
    assert proxy.get(host="green").status_code == 200
