# SPDX-License-Identifier: Apache-2.0
"""The manifests of deploy/kubernetes: valid by Kubernetes' own schemas, and true of the sidecar that they run."""

import os
import re
import subprocess
from pathlib import PurePosixPath

import kubernetes_validate
import pytest
import yaml
from fixtures import kustomize
from fixtures.programs import ROOT, built
from fixtures.upstream import reply
from fixtures.wire import ask, until

FOLDER = ROOT / "deploy/kubernetes"
BASE = kustomize.built(FOLDER / "base")
PRODUCTION = kustomize.built(FOLDER / "overlays/production")
#: The oldest that has all that they ask for (`sleep` in `preStop`), and the newest that the package of schemas has.
VERSIONS = ["1.30", "1.37"]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PASSWORD = "correct-horse"


def only(manifests: list[dict], kind: str, name: str | None = None) -> dict:
    (found,) = [one for one in manifests if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found


def pod(manifests: list[dict]) -> dict:
    return only(manifests, "Deployment")["spec"]["template"]["spec"]


def sidecar(manifests: list[dict]) -> dict:
    (found,) = pod(manifests)["initContainers"]
    return found


def named(manifest: dict) -> str:
    return f"{manifest['kind']}-{manifest['metadata']['name']}"


# ---- Manifests -----------------------------------------------------------------------------------------------------------


def test_the_newest_schemas_are_used():
    assert kubernetes_validate.latest_version().startswith(f"{VERSIONS[-1]}.")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", BASE + [one for one in PRODUCTION if one["kind"] != "PodMonitor"], ids=named)
def test_kubernetes_accepts_each_manifest(manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_mistake_would_have_been_told():
    wrong = kustomize.merged(only(BASE, "Deployment"), {"spec": {"replica": 2}})
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


def test_every_file_is_in_its_kustomization():
    for folder in (FOLDER / "base", FOLDER / "overlays/production"):
        wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named = {*wanted["resources"], *(patch["path"] for patch in wanted.get("patches", []))}
        assert {one.name for one in folder.iterdir()} == {name for name in named if "/" not in name} | {"kustomization.yaml"}


def test_the_overlay_changes_what_it_names_and_nothing_else():
    base, patched = pod(BASE), pod(PRODUCTION)
    assert only(PRODUCTION, "Deployment")["spec"]["replicas"] == 3
    assert {one["metadata"]["namespace"] for one in PRODUCTION} == {"listings"}
    assert sidecar(PRODUCTION) == sidecar(BASE) | {"image": "registry.example.com/tollgate:0.1.0"}
    assert set(patched["containers"][0]) == {"name", "image", "args", "resources", "lifecycle", "readinessProbe"}
    assert patched["containers"][0]["lifecycle"] == base["containers"][0]["lifecycle"]
    assert {key: value for key, value in patched.items() if not key.endswith("ontainers")} == {
        key: value for key, value in base.items() if not key.endswith("ontainers")
    }


# ---- What they promise ---------------------------------------------------------------------------------------------------


def test_it_is_a_sidecar_with_few_rights():
    container = sidecar(BASE)
    assert container["restartPolicy"] == "Always"
    assert container["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not any("subPath" in mount for mount in container["volumeMounts"])


def test_only_the_port_of_the_sidecar_is_reachable():
    configuration = settings()
    labels = only(BASE, "Deployment")["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in sidecar(BASE)["ports"]}
    assert configuration["listen"] == f"0.0.0.0:{ports['http']}"
    assert configuration["admin"] == f"0.0.0.0:{ports['admin']}"
    assert configuration["upstream"]["url"].startswith("http://127.0.0.1:")
    policy = only(BASE, "NetworkPolicy")["spec"]
    assert policy == {
        "podSelector": {"matchLabels": labels},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"protocol": "TCP", "port": ports["http"]}]}],
    }
    service = only(BASE, "Service")["spec"]
    assert (service["selector"], [port["targetPort"] for port in service["ports"]]) == (labels, [ports["http"]])
    # Prometheus, and nobody else, comes by the other one.
    (rule,) = only(PRODUCTION, "NetworkPolicy", "monitoring")["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": ports["admin"]}] and len(rule["from"]) == 1


def test_the_pod_monitor_finds_the_port_and_names_the_job():
    monitor = only(PRODUCTION, "PodMonitor")["spec"]
    labels = only(PRODUCTION, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in [port["name"] for port in sidecar(PRODUCTION)["ports"]]
    # The rules go by this name.
    assert labels[monitor["jobLabel"]] == "tollgate"


def test_selectors_name_one_instance():
    own = {"app.kubernetes.io/name": "tollgate", "app.kubernetes.io/instance": "listings"}
    assert only(PRODUCTION, "Deployment")["spec"]["template"]["metadata"]["labels"] == own
    specs = {named(one): one["spec"] for one in PRODUCTION if "spec" in one}
    assert specs.pop("Service-application")["selector"] == own
    selectors = {name: spec.get("selector") or spec["podSelector"] for name, spec in specs.items()}
    assert selectors == dict.fromkeys(
        [
            "Deployment-application",
            "NetworkPolicy-application",
            "NetworkPolicy-monitoring",
            "PodDisruptionBudget-application",
            "PodMonitor-tollgate",
        ],
        {"matchLabels": own},
    )


def test_the_document_makes_the_secret_where_the_overlay_looks_for_it():
    commands = re.search(r"^### Run it on Kubernetes\n.*?^```sh\n(.*?)^```", OPERATIONS, re.MULTILINE | re.DOTALL)[1]
    (namespace,) = {one["metadata"]["namespace"] for one in PRODUCTION}
    (secret,) = [volume["secret"]["secretName"] for volume in pod(PRODUCTION)["volumes"] if "secret" in volume]
    file = PurePosixPath(settings()["redis"]["password_file"])
    assert commands.splitlines() == [
        f"kubectl create namespace {namespace}",
        f"kubectl -n {namespace} create secret generic {secret} --from-file={file.name}",
        "kubectl apply -k deploy/kubernetes/overlays/production",
    ]
    mounts = {mount["name"]: mount["mountPath"] for mount in sidecar(PRODUCTION)["volumeMounts"]}
    assert mounts["redis"] == str(file.parent)


def test_a_node_is_drained_of_pods_that_serve_nobody():
    assert only(BASE, "PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_pod_has_time_to_end():
    grace = pod(BASE)["terminationGracePeriodSeconds"]
    (application,) = pod(BASE)["containers"]
    pause = application["lifecycle"]["preStop"]["sleep"]["seconds"]
    # drain.timeout where the ConfigMap doesn't say, and as long for the application.
    assert "drain" not in settings() and grace >= pause + 30 + 30


# ---- The configuration ---------------------------------------------------------------------------------------------------


def settings() -> dict:
    return yaml.safe_load(only(BASE, "ConfigMap")["data"]["tollgate.yaml"])


def settings_port() -> int:
    return int(settings()["listen"].rpartition(":")[2])


class Mounted:
    """A ConfigMap or Secret as the kubelet mounts it: files that lead by `..data` to a folder, which is changed in one step."""

    def __init__(self, folder, **files: str):
        self.folder, self.number = folder, 0
        folder.mkdir()
        self.put(**files)
        for name in files:
            (folder / self.file(name)).symlink_to(f"..data/{self.file(name)}")

    @staticmethod
    def file(name: str) -> str:
        return name.replace("_", ".")

    def put(self, **files: str):
        before = self.number
        self.number += 1
        (self.folder / f"..{self.number}").mkdir()
        for name, text in files.items():
            (self.folder / f"..{self.number}" / self.file(name)).write_text(text)
        (self.folder / "..data_tmp").symlink_to(f"..{self.number}")
        os.rename(self.folder / "..data_tmp", self.folder / "..data")
        if before:
            for name in files:
                (self.folder / f"..{before}" / self.file(name)).unlink()
            (self.folder / f"..{before}").rmdir()


def test_config_check_accepts_the_config_map(folder):
    file = folder / "tollgate.yaml"
    # It is read as the sidecar reads it, with the Secret, which is mounted elsewhere here.
    secret = Mounted(folder / "secret", password=PASSWORD)
    text = only(BASE, "ConfigMap")["data"]["tollgate.yaml"]
    assert text.count("/run/secrets/tollgate/password") == 1
    file.write_text(text.replace("/run/secrets/tollgate/password", str(secret.folder / "password")))
    done = subprocess.run(
        [built("tollgate"), "config", "check", file], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:3] == [
        f"{file}: ok",
        "listens on 0.0.0.0:8080; admin pages on 0.0.0.0:9901",
        "forwards to 127.0.0.1:8081",
    ]


def test_the_sidecar_of_the_pod_is_probed_and_follows_its_config_map_and_secret(launch, upstream, redis, folder, key):
    redis("ACL", "SETUSER", "tollgate", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    secret = Mounted(folder / "secret", password=PASSWORD)
    # As it is, but for addresses and ports, which are free here, and where the Secret is.
    text = only(BASE, "ConfigMap")["data"]["tollgate.yaml"]
    places = {
        "0.0.0.0:8080": "127.0.0.1:0",
        "0.0.0.0:9901": "127.0.0.1:0",
        "http://127.0.0.1:8081": upstream.url,
        "redis://redis:6379/0": redis.url,
        "/run/secrets/tollgate/password": str(secret.folder / "password"),
    }
    for place, other in places.items():
        assert text.count(place) == 1, place
        text = text.replace(place, other)
    configuration = Mounted(folder / "configuration", tollgate_yaml=text)
    command = sidecar(BASE)["command"]
    assert command[0] == "tollgate"
    arguments = [word.replace("/etc/tollgate/", f"{configuration.folder}/") for word in command[1:]]
    daemon = launch(upstream, arguments=arguments)
    # By the pod's address, as the kubelet asks.
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = sidecar(BASE)[probe]["httpGet"]["path"]
        assert ask(daemon.admin, "GET", path, fields={"Host": "10.244.1.7:9901"}).status == 200
    for target in ("/anything", "/any/thing", "/"):
        assert ask(daemon.port, "GET", target, key)["RateLimit-Policy"] == '"org";q=20;w=10'
        assert ask(daemon.port, "GET", target).status == 401
    # The application's: ready as soon as it answers and as long as it does, and more often than a policy allows.
    (application,) = pod(BASE)["containers"]
    probe = application["readinessProbe"]["httpGet"]
    assert probe["port"] == settings_port()
    upstream.behaviour = lambda request, _: reply(status="503 Service Unavailable")
    assert ask(daemon.port, "GET", probe["path"], fields={"Host": "10.244.1.7:8080"}).status == 503
    upstream.behaviour = lambda request, _: reply()
    for _ in range(40):
        assert ask(daemon.port, "GET", probe["path"], fields={"Host": "10.244.1.7:8080"}).status == 200
    # A change of the ConfigMap.
    configuration.put(tollgate_yaml=text.replace("limit: 20/10s", "limit: 30/10s"))
    until(lambda: daemon.times_said("configuration reloaded") == 1, "the ConfigMap's change being seen")
    assert ask(daemon.port, "GET", "/anything", key)["RateLimit-Policy"] == '"org";q=30;w=10'
    # And of the Secret.
    redis("ACL", "SETUSER", "tollgate", f">{PASSWORD}-2")
    secret.put(password=f"{PASSWORD}-2")
    until(lambda: daemon.times_said("the password of redis has changed") == 1, "the Secret's change being seen")
    redis("ACL", "SETUSER", "tollgate", f"<{PASSWORD}")
    assert ask(daemon.port, "GET", "/anything", key).status == 200
