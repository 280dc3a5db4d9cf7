"""Talks to ccd as Python programs do: the dynamic client, the typed clients, watches. Usage: conversation.py KUBECONFIG."""

import json
import pathlib
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient

config.load_kube_config(sys.argv[1])
api = client.ApiClient()
definition = json.loads((pathlib.Path(__file__).parent.parent / "definition.json").read_text())
core = client.CoreV1Api(api)
NAMESPACE = "python"


def refused(code, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except ApiException as error:
        assert error.status == code, f"expected {code}, got {error.status}: {error.body}"
        return json.loads(error.body)
    raise AssertionError(f"expected {code}, but it went well")


def typed_clients():
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NAMESPACE)))
    assert core.read_namespace(NAMESPACE).status.phase == "Active"
    settings = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"a": "1"})
    core.create_namespaced_config_map(NAMESPACE, settings)
    settings.data = {"a": "2"}
    assert core.replace_namespaced_config_map("settings", NAMESPACE, settings).data == {"a": "2"}
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="token"), string_data={"t": "geheim"})
    assert core.create_namespaced_secret(NAMESPACE, secret).data == {"t": "Z2VoZWlt"}
    refused(409, core.create_namespaced_secret, NAMESPACE, secret)
    lease = client.V1Lease(
        metadata=client.V1ObjectMeta(name="leader"),
        spec=client.V1LeaseSpec(holder_identity="me", lease_duration_seconds=15),
    )
    leases = client.CoordinationV1Api(api)
    assert leases.create_namespaced_lease(NAMESPACE, lease).spec.holder_identity == "me"
    listed = core.list_namespaced_config_map(NAMESPACE)
    assert [item.metadata.name for item in listed.items if item.metadata.name != "kube-root-ca.crt"] == ["settings"]
    assert client.VersionApi(api).get_code().git_version.startswith("v1.")


def custom_kind():
    client.ApiextensionsV1Api(api).create_custom_resource_definition(definition)
    gadgets = DynamicClient(api).resources.get(api_version="clients.example.com/v1", kind="Gadget")
    body = {
        "apiVersion": "clients.example.com/v1",
        "kind": "Gadget",
        "metadata": {"name": "one", "labels": {"team": "a"}},
        "spec": {"colour": "red"},
    }
    created = gadgets.create(body=body, namespace=NAMESPACE)
    assert created.spec.replicas == 1, "the default is filled in"
    bad = dict(body, metadata={"name": "bad"}, spec={"colour": "pink"})
    answer = refused(422, gadgets.create, body=bad, namespace=NAMESPACE)
    assert answer["details"]["causes"][0]["field"] == "spec.colour", answer
    refused(404, gadgets.get, name="nobody", namespace=NAMESPACE)

    changed = gadgets.patch(
        name="one", namespace=NAMESPACE, body={"spec": {"colour": "green"}}, content_type="application/merge-patch+json"
    )
    assert changed.spec.colour == "green" and changed.metadata.generation == 2
    operations = [{"op": "test", "path": "/spec/colour", "value": "green"}, {"op": "add", "path": "/spec/replicas", "value": 3}]
    changed = gadgets.patch(
        name="one", namespace=NAMESPACE, body=operations, content_type="application/json-patch+json"
    )
    assert changed.spec.replicas == 3
    refused(415, gadgets.patch, name="one", namespace=NAMESPACE, body={}, content_type="application/strategic-merge-patch+json")
    applied = gadgets.server_side_apply(
        namespace=NAMESPACE, body=dict(body, metadata={"name": "two"}), field_manager="python"
    )
    assert [entry.manager for entry in applied.metadata.managedFields] == ["python"]

    stale = created.to_dict()
    refused(409, gadgets.replace, body=stale, namespace=NAMESPACE)
    status = gadgets.status.patch(
        name="one", namespace=NAMESPACE, body={"status": {"phase": "Ready"}}, content_type="application/merge-patch+json"
    )
    assert status.status.phase == "Ready" and status.metadata.generation == 3
    selected = gadgets.get(namespace=NAMESPACE, label_selector="team=a")
    assert [item.metadata.name for item in selected.items] == ["one"]


def watching():
    custom = client.CustomObjectsApi(api)
    place = ("clients.example.com", "v1", NAMESPACE, "gadgets")
    version = custom.list_namespaced_custom_object(*place)["metadata"]["resourceVersion"]

    def work():
        body = {
            "apiVersion": "clients.example.com/v1",
            "kind": "Gadget",
            "metadata": {"name": "watched"},
            "spec": {"colour": "blue"},
        }
        custom.create_namespaced_custom_object(*place, body=body)
        custom.patch_namespaced_custom_object(*place, name="watched", body={"spec": {"colour": "red"}})
        custom.delete_namespaced_custom_object(*place, name="watched")

    worker = threading.Thread(target=work)
    worker.start()
    seen = []
    stream = watch.Watch()
    for event in stream.stream(
        custom.list_namespaced_custom_object, *place, resource_version=version, timeout_seconds=20
    ):
        seen.append((event["type"], event["object"]["metadata"]["name"]))
        if event["type"] == "DELETED":
            stream.stop()
    worker.join()
    assert seen == [("ADDED", "watched"), ("MODIFIED", "watched"), ("DELETED", "watched")], seen


def main():
    typed_clients()
    custom_kind()
    watching()
    print("the conversation went well")


main()
