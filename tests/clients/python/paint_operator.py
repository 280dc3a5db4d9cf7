"""A small operator on a kind of its user's own, as kopf's tutorial would write it."""

import kopf


@kopf.on.create("clients.example.com", "v1", "gadgets")
def paint(spec, patch, **_):
    patch.status["painted"] = spec["colour"]


@kopf.on.update("clients.example.com", "v1", "gadgets", field="spec.colour")
def repaint(new, patch, **_):
    patch.status["painted"] = new


@kopf.on.delete("clients.example.com", "v1", "gadgets")
def clean(name, **_):
    print(f"cleaned {name}", flush=True)
