import base64, datetime, json, ssl, subprocess, time, urllib.request

config = json.loads(subprocess.check_output(["kubectl", "config", "view", "--raw", "--minify", "-o", "json"]))
cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
tls = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
api, words = "/apis/demo.example.com/v1", {"en": "Hello", "de": "Hallo", "fr": "Bonjour"}

def ask(method, path, body=None):
    headers = {"Authorization": "Bearer " + user["token"], "Content-Type": "application/merge-patch+json"}
    data = json.dumps(body).encode() if body else None
    return urllib.request.urlopen(urllib.request.Request(cluster["server"] + path, data, headers, method=method), context=tls)

def reconcile(greeting):
    meta, spec = greeting["metadata"], greeting["spec"]
    if greeting.get("status", {}).get("observedGeneration") == meta["generation"]: return
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "reason": "Said", "message": "", "lastTransitionTime": now}
    status = {"says": f"{words[spec['language']]}, {spec['to']}!", "observedGeneration": meta["generation"], "conditions": [ready]}
    ask("PATCH", f"{api}/namespaces/{meta['namespace']}/greetings/{meta['name']}/status", {"status": status})
    print(meta["name"], "says", status["says"], flush=True)

while True:  # List, then watch from there; whatever goes wrong (an object gone, ccd restarted), begin again.
    try:
        seen = json.load(ask("GET", f"{api}/greetings"))
        for greeting in seen["items"]: reconcile(greeting)
        for line in ask("GET", f"{api}/greetings?watch=true&resourceVersion={seen['metadata']['resourceVersion']}"):
            event = json.loads(line)
            if event["type"] in ("ADDED", "MODIFIED"): reconcile(event["object"])
    except Exception as error: print("again after:", error, flush=True)
    time.sleep(1)
