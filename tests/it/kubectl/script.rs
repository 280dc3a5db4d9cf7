//! What is typed, and what must come of it.

/// One command.
pub(super) struct Command {
    /// Behind `kubectl`; single quotes keep words together.
    pub line: &'static str,
    /// What it reads from its standard input; `UID(KIND/NAME)` stands for the uid of an object.
    pub input: &'static str,
    /// How it must end.
    pub code: i32,
    /// What it must print, on either output. With nothing here it must print nothing at all.
    pub shows: &'static [&'static str],
    /// What it must not print.
    pub hides: &'static [&'static str],
    /// What happens while it runs.
    pub live: Option<Live>,
    /// The first kubectl that knows it: the 35 of 1.35.
    pub since_minor: u32,
}

/// What happens while a command runs.
pub(super) struct Live {
    /// The resource, as the server's figures call it, that the command watches before anything happens.
    pub watched: &'static str,
    /// What is done then, behind `kubectl`, one after another.
    pub writes: &'static [&'static str],
    /// How it ends.
    pub ends: Ends,
}

/// How a command ends that runs while other things happen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// When it has seen what it waits for.
    ByItself,
    /// It is ended when it has shown everything, on its first output.
    Killed,
}

const fn ok(line: &'static str, shows: &'static [&'static str]) -> Command {
    Command { line, input: "", code: 0, shows, hides: &[], live: None, since_minor: 0 }
}

const fn fails(line: &'static str, shows: &'static [&'static str]) -> Command {
    Command { code: 1, ..ok(line, shows) }
}

const fn without(line: &'static str, shows: &'static [&'static str], hides: &'static [&'static str]) -> Command {
    Command { hides, ..ok(line, shows) }
}

const fn reading(line: &'static str, input: &'static str, shows: &'static [&'static str]) -> Command {
    Command { input, ..ok(line, shows) }
}

/// A command that prints nothing.
const fn silent(line: &'static str) -> Command {
    ok(line, &[])
}

/// A command that never ends, and what it shows of what is done meanwhile.
const fn watching(
    line: &'static str,
    watched: &'static str,
    writes: &'static [&'static str],
    shows: &'static [&'static str],
) -> Command {
    Command { live: Some(Live { watched, writes, ends: Ends::Killed }), ..ok(line, shows) }
}

/// Files beside the commands.
pub(super) const FILES: &[(&str, &str)] = &[
    ("definition.yaml", DEFINITION),
    ("one.yaml", ONE),
    ("one-larger.yaml", ONE_LARGER),
    (
        "two.json",
        r#"{"apiVersion":"test.example.com/v1","kind":"Gadget","metadata":{"name":"two","labels":{"tier":"back"}},"spec":{"size":2}}"#,
    ),
    (
        "bad.yaml",
        "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: bad}\nspec: {size: -1, color: pink}\n",
    ),
    ("typo.yaml", "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: typo}\nspec: {size: 1, sise: 2}\n"),
    ("applied.yaml", APPLIED),
    (
        "applied-other.yaml",
        "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: applied}\nspec: {size: 8}\n",
    ),
    ("run.yaml", RUN),
    ("live.yaml", "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: live}\nspec: {size: 1}\n"),
    (
        "event.yaml",
        "apiVersion: v1\nkind: Event\nmetadata: {name: e2}\ninvolvedObject: {apiVersion: ci.coopcloud.tech/v1alpha1, kind: TestRun, name: run1, namespace: default}\nreason: Tested\nmessage: all better\ntype: Normal\nlastTimestamp: '2026-01-01T00:00:00Z'\n",
    ),
    ("names.jsonpath", "{.items[*].metadata.name}"),
    ("names.tmpl", "{{range .items}}({{.metadata.name}}){{end}}"),
    ("list.yaml", LIST),
    ("columns.txt", "NAME TIER\n.metadata.name .metadata.labels.tier\n"),
];

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.test.example.com}
spec:
  group: test.example.com
  scope: Namespaced
  names: {plural: gadgets, singular: gadget, kind: Gadget, shortNames: [gdg], categories: [toys]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    selectableFields: [{jsonPath: .spec.color}]
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Color, type: string, jsonPath: .spec.color, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: Gadget is a thing to play with.
        properties:
          spec:
            type: object
            description: What it shall be.
            required: [size]
            properties:
              size: {type: integer, minimum: 0, description: How large it is.}
              color: {type: string, enum: [red, green], default: red}
              tags: {type: array, items: {type: string}}
          status:
            type: object
            properties:
              size: {type: integer}
              conditions:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [type]
                items: {type: object, required: [type, status], properties: {type: {type: string}, status: {type: string}}}
"#;

const MAY_I: &str = "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\nspec: {resourceAttributes: {verb: get, resource: pods, namespace: default}}\n";
const MAY_WE: &str = "apiVersion: authorization.k8s.io/v1\nkind: SelfSubjectAccessReview\nspec: {resourceAttribute: {verb: get, resource: pods, namespace: default}}\n";
const WHOSE_TOKEN: &str = "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nspec: {token: zork}\n";
const TOKEN: &str = "apiVersion: authentication.ci.coopcloud.tech/v1alpha1\nkind: Token\nmetadata: {name: jane}\nspec: {user: jane, groups: [devs], expiresAt: '2999-01-01T00:00:00Z'}\n";
const ONE: &str =
    "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: one, labels: {tier: front}}\nspec: {size: 1}\n";
const ONE_LARGER: &str =
    "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: one, labels: {tier: front}}\nspec: {size: 3}\n";
const APPLIED: &str =
    "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: applied}\nspec: {size: 7, tags: [a]}\n";
const RUN: &str = "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: TestRun\nmetadata: {name: run1, labels: {recipe: x}}\nspec: {recipeRef: x, source: {ref: main}}\n";
const LIST: &str = r#"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed, labels: {list: "yes"}}, data: {a: "1"}}
- {apiVersion: test.example.com/v1, kind: Gadget, metadata: {name: listed, labels: {list: "yes"}}, spec: {size: 1}}
"#;
const THREE: &str = "apiVersion: test.example.com/v1\nkind: Gadget\nmetadata: {name: three, finalizers: [test.example.com/hold]}\nspec: {size: 3, color: green}\n";

/// Gadgets as the server's figures call them.
const GADGETS: &str = "gadgets.test.example.com";
/// One is created, changed and deleted.
const COME_AND_GO: &[&str] = &[
    "--cache-dir fresh create -f live.yaml",
    "--cache-dir fresh label gadget live seen=yes",
    "--cache-dir fresh delete gadget live",
];

/// The script, in order.
pub(super) const COMMANDS: &[Command] = &[
    // the server
    ok("version", &["Server Version: v1.32.0+ccd"]),
    ok("version -o json", &["\"gitVersion\": \"v1.32.0+ccd"]),
    ok("api-versions", &["ci.coopcloud.tech/v1alpha1", "events.k8s.io/v1", "v1"]),
    ok("api-resources", &["testruns", "configmaps", "customresourcedefinitions", "pods"]),
    ok("api-resources --namespaced=false -o name", &["namespaces", "forges.ci.coopcloud.tech"]),
    ok("api-resources --api-group=ci.coopcloud.tech", &["recipes", "TestRun"]),
    ok("cluster-info", &["is running at"]),
    ok("get --raw /readyz", &["ok"]),
    ok("get --raw /livez?verbose", &["[+]ping ok", "livez check passed"]),
    ok("get --raw /version", &["gitVersion"]),
    ok("get --raw /apis/ci.coopcloud.tech", &["APIGroup"]),
    fails("get --raw /zork", &["the server could not find the requested resource"]),
    // who and whether
    ok("auth whoami", &["admin", "system:masters"]),
    ok("auth can-i create recipes.ci.coopcloud.tech", &["yes"]),
    fails("--context bob auth can-i delete secrets", &["no"]),
    ok("--context bob auth can-i --list", &["selfsubjectreviews.authentication.k8s.io"]),
    fails("--context bob get secrets", &["Forbidden", "User \"bob\" cannot list resource \"secrets\""]),
    fails("--context nobody get secrets", &["Unauthorized"]),
    ok("--as jane --as-group g1 auth whoami", &["jane", "g1"]),
    fails("--context bob --as jane get ns", &["Forbidden"]),
    // namespaces, configuration, secrets, accounts, roles
    ok("get ns", &["default", "kube-system", "Active"]),
    ok("create namespace team", &["namespace/team created"]),
    fails("create namespace team", &["AlreadyExists"]),
    fails("create namespace Bad_Name", &["a lowercase RFC 1123 label must consist of"]),
    ok("describe ns team", &["Name:", "team", "Active"]),
    ok("create configmap settings --from-literal=a=1 --from-literal=b=2", &["configmap/settings created"]),
    ok("get cm settings", &["NAME", "DATA", "settings", "2"]),
    ok("get cm settings -o jsonpath='{.data.b}'", &["2"]),
    ok("describe cm settings", &["Data", "a:"]),
    ok("patch cm settings -p '{\"data\":{\"a\":null,\"c\":\"3\"}}'", &["configmap/settings patched"]),
    without("get cm settings -o jsonpath={.data}", &["\"c\":\"3\""], &["\"a\""]),
    ok("create secret generic key --from-literal=password=hunter2", &["secret/key created"]),
    without("describe secret key", &["password:", "7 bytes"], &["hunter2"]),
    ok("get secret key", &["Opaque", "1"]),
    ok("create serviceaccount robot", &["serviceaccount/robot created"]),
    ok("create token robot", &["ccd_"]),
    fails("--context bob create token robot", &["forbidden"]),
    ok("create role reader --verb=get,list --resource=secrets", &["role.rbac.authorization.k8s.io/reader created"]),
    ok(
        "create rolebinding readers --role=reader --user=bob",
        &["rolebinding.rbac.authorization.k8s.io/readers created"],
    ),
    ok("describe role reader", &["secrets", "get list"]),
    ok("describe rolebinding readers", &["reader", "bob"]),
    ok("create clusterrole lister --verb=list --resource=namespaces", &["created"]),
    ok("create clusterrolebinding listers --clusterrole=lister --user=bob", &["created"]),
    fails("--context bob create role more --verb='*' --resource=secrets", &["Forbidden"]),
    // a kind that is added while the server runs
    fails("get gadgets", &["the server doesn't have a resource type \"gadgets\""]),
    ok("apply -f definition.yaml", &["customresourcedefinition.apiextensions.k8s.io/gadgets.test.example.com created"]),
    ok("wait --for=condition=Established crd/gadgets.test.example.com --timeout=10s", &["condition met"]),
    ok("get crd gadgets.test.example.com", &["NAME", "CREATED AT"]),
    ok("--cache-dir fresh api-resources --api-group=test.example.com", &["gadgets", "gdg", "Gadget"]),
    ok("--cache-dir fresh explain gadgets", &["Gadget is a thing to play with.", "spec"]),
    ok("--cache-dir fresh explain gadgets.spec.size", &["How large it is.", "<integer>"]),
    ok("--cache-dir fresh explain gadgets --recursive", &["size\t<integer>", "color\t<string>"]),
    ok("explain testruns.spec", &["recipeRef"]),
    ok("explain configmaps.data", &["data"]),
    // what is not stored is explained, and checked before it is sent
    ok("explain pods", &["KIND:       Pod", "Pod is a TestRun", "status\t<Object>"]),
    ok("explain pods.spec --recursive", &["containers\t<[]Object>", "image\t<string>", "restartPolicy\t<string>"]),
    ok("explain tokens.authentication.ci.coopcloud.tech", &["Token lets whoever holds it", "spec\t<Object>"]),
    ok("explain selfsubjectaccessreviews.spec", &["resourceAttributes\t<Object>", "A request for a path"]),
    reading("create -f - -o jsonpath={.status.allowed}", MAY_I, &["true"]),
    Command { code: 1, ..reading("create -f -", MAY_WE, &["unknown field \"resourceAttribute\""]) },
    reading("create -f - -o jsonpath={.status.error}", WHOSE_TOKEN, &["invalid bearer token"]),
    reading("create -f - -o jsonpath={.spec.user}{.status.token}", TOKEN, &["janeccd_"]),
    ok("delete tokens.authentication.ci.coopcloud.tech jane", &["deleted"]),
    // create and look
    ok("--cache-dir fresh create -f one.yaml", &["gadget.test.example.com/one created"]),
    fails("--cache-dir fresh create -f one.yaml", &["AlreadyExists"]),
    ok("--cache-dir fresh create -f two.json --dry-run=server", &["created (server dry run)"]),
    ok("--cache-dir fresh create -f two.json", &["two created"]),
    reading("--cache-dir fresh create -f -", THREE, &["three created"]),
    fails(
        "--cache-dir fresh create -f bad.yaml",
        &[
            "The Gadget \"bad\" is invalid:",
            "spec.size",
            "Unsupported value: \"pink\": supported values: \"red\", \"green\"",
        ],
    ),
    fails("--cache-dir fresh create -f typo.yaml", &["strict decoding error: unknown field \"spec.sise\""]),
    ok(
        "--cache-dir fresh create -f typo.yaml --validate=warn --dry-run=server",
        &["Warning: unknown field \"spec.sise\""],
    ),
    without("--cache-dir fresh get gadgets", &["NAME", "SIZE", "READY", "AGE", "one", "two", "three"], &["COLOR"]),
    ok("--cache-dir fresh get gdg -o wide", &["COLOR", "green"]),
    ok("--cache-dir fresh get gadget one -o yaml", &["kind: Gadget", "color: red", "size: 1"]),
    ok("--cache-dir fresh get gadget one -o json", &["\"kind\": \"Gadget\""]),
    ok("--cache-dir fresh get gadgets -o name", &["gadget.test.example.com/one", "gadget.test.example.com/two"]),
    ok("--cache-dir fresh get gadgets -o jsonpath='{.items[*].metadata.name}'", &["one three two"]),
    ok("--cache-dir fresh get gadgets -o custom-columns=N:.metadata.name,S:.spec.size", &["N", "two     2"]),
    ok("--cache-dir fresh get gadgets -o go-template='{{len .items}}'", &["3"]),
    ok("--cache-dir fresh get gadgets -A", &["NAMESPACE", "default"]),
    ok("--cache-dir fresh get gadgets -n team", &["No resources found in team namespace."]),
    without("--cache-dir fresh get gadgets -l tier=front", &["one"], &["two"]),
    without("--cache-dir fresh get gadgets -l 'tier in (back)'", &["two"], &["one"]),
    without("--cache-dir fresh get gadgets -l '!tier'", &["three"], &["one", "two"]),
    without("--cache-dir fresh get gadgets --field-selector metadata.name=two", &["two"], &["one"]),
    without("--cache-dir fresh get gadgets --field-selector spec.color=green", &["three"], &["one"]),
    fails("--cache-dir fresh get gadgets --field-selector spec.size=1", &["field label not supported: spec.size"]),
    ok("--cache-dir fresh get gadgets --sort-by=.spec.size", &["one", "three"]),
    ok("--cache-dir fresh get gadgets --chunk-size=1", &["one", "two", "three"]),
    ok("--cache-dir fresh get gadgets --show-labels", &["tier=front"]),
    ok("--cache-dir fresh get toys", &["one", "two"]),
    ok("--cache-dir fresh get gadget one two", &["one", "two"]),
    fails(
        "--cache-dir fresh get gadget zz",
        &["Error from server (NotFound): gadgets.test.example.com \"zz\" not found"],
    ),
    ok("--cache-dir fresh get gadgets -o jsonpath-as-json='{.items[*].metadata.name}'", &["[", "\"one\","]),
    ok("--cache-dir fresh get gadgets -o jsonpath-file=names.jsonpath", &["one three two"]),
    ok("--cache-dir fresh get gadgets -o custom-columns-file=columns.txt", &["TIER", "front"]),
    ok("--cache-dir fresh get gadgets -o template='{{range .items}}<{{.metadata.name}}>{{end}}'", &["<one>", "<two>"]),
    ok("--cache-dir fresh get gadgets -o go-template-file=names.tmpl", &["(one)", "(two)"]),
    ok("--cache-dir fresh get gadgets -o templatefile=names.tmpl", &["(one)", "(two)"]),
    Command { since_minor: 35, ..ok("--cache-dir fresh get gadget one -o kyaml", &["kind: \"Gadget\",", "size: 1,"]) },
    ok("--cache-dir fresh get -f one.yaml -o name", &["gadget.test.example.com/one"]),
    ok("--cache-dir fresh get gadgets -w --request-timeout=1s", &["NAME", "one", "two"]),
    watching(
        "--cache-dir fresh get gadgets --output-watch-events -w",
        GADGETS,
        COME_AND_GO,
        &["EVENT", "ADDED      one", "ADDED      live", "MODIFIED   live", "DELETED    live"],
    ),
    Command {
        hides: &["one", "two"],
        ..watching(
            "--cache-dir fresh get gadgets --watch-only -o name",
            GADGETS,
            COME_AND_GO,
            &["gadget.test.example.com/live\ngadget.test.example.com/live\ngadget.test.example.com/live\n"],
        )
    },
    ok("--cache-dir fresh describe gadget one", &["Name:", "one", "Kind:", "Gadget", "Events:"]),
    // change
    ok("--cache-dir fresh apply -f one.yaml", &["one configured"]),
    ok("--cache-dir fresh apply -f one.yaml", &["one unchanged"]),
    Command { code: 1, ..ok("--cache-dir fresh diff -f one-larger.yaml", &["-  size: 1", "+  size: 3"]) },
    ok("--cache-dir fresh apply -f one-larger.yaml --dry-run=server", &["one configured (server dry run)"]),
    ok("--cache-dir fresh apply -f one-larger.yaml", &["one configured"]),
    silent("--cache-dir fresh diff -f one-larger.yaml"),
    Command {
        code: 1,
        ..ok("--cache-dir fresh diff --server-side --force-conflicts -f one.yaml", &["-  size: 3", "+  size: 1"])
    },
    ok("--cache-dir fresh replace -f one.yaml", &["one replaced"]),
    ok("--cache-dir fresh patch gadget one --type=merge -p '{\"spec\":{\"size\":4}}'", &["one patched"]),
    ok(
        "--cache-dir fresh patch gadget one --type=json -p '[{\"op\":\"add\",\"path\":\"/spec/tags\",\"value\":[\"x\"]}]'",
        &["one patched"],
    ),
    fails(
        "--cache-dir fresh patch gadget one -p '{\"spec\":{\"size\":9}}'",
        &["strategic-merge-patch+json is not supported"],
    ),
    ok(
        "--cache-dir fresh patch gadget one --type=merge --subresource=status -p '{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}'",
        &["one patched"],
    ),
    ok("--cache-dir fresh get gadget one --subresource=status -o jsonpath={.status.conditions[0].type}", &["Ready"]),
    ok("--cache-dir fresh edit gadget one", &["one edited"]),
    ok("--cache-dir fresh get gadget one -o jsonpath={.spec.size}", &["5"]),
    ok("--cache-dir fresh label gadget one extra=yes", &["one labeled"]),
    fails("--cache-dir fresh label gadget one extra=no", &["already has a value"]),
    ok("--cache-dir fresh annotate gadget one note=hello", &["one annotated"]),
    ok("--cache-dir fresh scale gadget one --replicas=6", &["one scaled"]),
    fails("--cache-dir fresh scale gadget one --replicas=7 --current-replicas=1", &["Expected replicas to be 1"]),
    // server-side apply
    ok("--cache-dir fresh apply --server-side --field-manager=first -f applied.yaml", &["applied serverside-applied"]),
    fails(
        "--cache-dir fresh apply --server-side --field-manager=second -f applied-other.yaml",
        &["conflict with \"first\": .spec.size"],
    ),
    ok(
        "--cache-dir fresh apply --server-side --field-manager=second --force-conflicts -f applied-other.yaml",
        &["serverside-applied"],
    ),
    silent("--cache-dir fresh diff --server-side --field-manager=second -f applied-other.yaml"),
    ok("--cache-dir fresh get gadget applied -o yaml --show-managed-fields", &["manager: first", "manager: second"]),
    // a list of objects is taken apart by kubectl, and put together when several kinds are asked for
    ok("--cache-dir fresh create -f list.yaml --dry-run=server", &["configmap/listed created (server dry run)"]),
    ok("--cache-dir fresh apply -f list.yaml", &["configmap/listed created", "gadget.test.example.com/listed created"]),
    ok(
        "--cache-dir fresh apply -f list.yaml",
        &["configmap/listed unchanged", "gadget.test.example.com/listed unchanged"],
    ),
    ok(
        "--cache-dir fresh apply --server-side --force-conflicts -f list.yaml",
        &["configmap/listed serverside-applied"],
    ),
    silent("--cache-dir fresh diff -f list.yaml"),
    ok("--cache-dir fresh get cm,gadgets -l list=yes", &["configmap/listed", "gadget.test.example.com/listed"]),
    ok("--cache-dir fresh get cm,gadgets -l list=yes -o yaml", &["kind: List", "kind: ConfigMap", "kind: Gadget"]),
    ok("--cache-dir fresh get -f list.yaml -o name", &["configmap/listed", "gadget.test.example.com/listed"]),
    ok(
        "--cache-dir fresh label -f list.yaml more=yes",
        &["configmap/listed labeled", "gadget.test.example.com/listed labeled"],
    ),
    ok(
        "--cache-dir fresh replace -f list.yaml",
        &["configmap/listed replaced", "gadget.test.example.com/listed replaced"],
    ),
    ok(
        "--cache-dir fresh apply -f list.yaml --prune -l list=yes --prune-allowlist=core/v1/ConfigMap",
        &["configmap/listed"],
    ),
    ok(
        "--cache-dir fresh delete -f list.yaml",
        &["configmap \"listed\" deleted", "gadget.test.example.com \"listed\" deleted"],
    ),
    // wait and delete
    ok("--cache-dir fresh wait --for=condition=Ready gadget/one --timeout=10s", &["condition met"]),
    ok("--cache-dir fresh wait --for=jsonpath='{.spec.size}'=6 gadget/one --timeout=10s", &["condition met"]),
    fails("--cache-dir fresh wait --for=condition=Ready gadget/two --timeout=1s", &["timed out"]),
    ok("--cache-dir fresh delete gadget two --dry-run=server", &["\"two\" deleted", "(server dry run)"]),
    ok("--cache-dir fresh delete gadget two", &["gadget.test.example.com \"two\" deleted"]),
    silent("--cache-dir fresh wait --for=delete gadget/two --timeout=10s"),
    fails("--cache-dir fresh delete gadget three --wait --timeout=1s", &["\"three\" deleted", "timed out"]),
    ok("--cache-dir fresh delete gadget three --wait=false", &["\"three\" deleted"]),
    fails("--cache-dir fresh wait --for=delete gadget/three --timeout=1s", &["timed out"]),
    ok("--cache-dir fresh get gadget three -o jsonpath={.metadata.deletionTimestamp}", &["Z"]),
    ok(
        "--cache-dir fresh patch gadget three --type=merge -p '{\"metadata\":{\"finalizers\":null}}'",
        &["three patched"],
    ),
    fails("--cache-dir fresh get gadget three", &["NotFound"]),
    ok("--cache-dir fresh create -f two.json", &["two created"]),
    Command {
        live: Some(Live { watched: GADGETS, writes: &["--cache-dir fresh delete gadget two"], ends: Ends::ByItself }),
        ..ok(
            "--cache-dir fresh wait --for=delete gadget/two --timeout=50s",
            &["gadget.test.example.com/two condition met"],
        )
    },
    ok("--cache-dir fresh delete gadgets -l tier=front --cascade=foreground", &["\"one\" deleted"]),
    ok("--cache-dir fresh delete gadgets --all", &["\"applied\" deleted"]),
    ok("--cache-dir fresh get gadgets", &["No resources found in default namespace."]),
    ok("delete crd gadgets.test.example.com", &["deleted"]),
    fails("--cache-dir later get gadgets", &["the server doesn't have a resource type \"gadgets\""]),
    // events, leases, runs as pods, logs
    reading(
        "create -f -",
        "apiVersion: v1\nkind: Event\nmetadata: {name: e1}\ninvolvedObject: {apiVersion: ci.coopcloud.tech/v1alpha1, kind: TestRun, name: run1, namespace: default}\nreason: Tested\nmessage: all good\ntype: Normal\nlastTimestamp: '2026-01-01T00:00:00Z'\n",
        &["event/e1 created"],
    ),
    ok("get events", &["LAST SEEN", "Tested", "testrun/run1", "all good"]),
    ok("events", &["Tested", "all good"]),
    ok("events --for testrun/run1", &["TestRun/run1"]),
    watching("events --watch", "events", &["create -f event.yaml"], &["all good", "all better"]),
    watching("get events --watch", "events", &["label event e2 seen=yes"], &["all good", "all better"]),
    ok("explain events --api-version=events.k8s.io/v1", &["regarding", "note"]),
    ok("get events.events.k8s.io e1 -o jsonpath={.note}", &["all good"]),
    reading(
        "create -f -",
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l1}\nspec: {holderIdentity: me, leaseDurationSeconds: 5}\n",
        &["lease.coordination.k8s.io/l1 created"],
    ),
    ok("get leases", &["HOLDER", "me"]),
    ok("create -f run.yaml", &["testrun.ci.coopcloud.tech/run1 created"]),
    ok("get tr", &["run1"]),
    without("describe tr run1", &["Recipe Ref:", "Events:", "<none>"], &["all good"]),
    reading(
        "create -f -",
        "apiVersion: v1\nkind: Event\nmetadata: {name: e3}\ninvolvedObject: {apiVersion: ci.coopcloud.tech/v1alpha1, kind: TestRun, name: run1, namespace: default, uid: UID(tr/run1)}\nreason: Deployed\nmessage: it runs at last\ntype: Normal\nlastTimestamp: '2026-01-01T00:00:00Z'\n",
        &["event/e3 created"],
    ),
    without("describe tr run1", &["Recipe Ref:", "Events:", "Deployed", "it runs at last"], &["all good"]),
    ok("get pods", &["run1", "Pending"]),
    watching(
        "get pods -w --output-watch-events",
        "pods",
        &["label tr run1 live=yes"],
        &["ADDED      run1", "MODIFIED   run1"],
    ),
    ok("describe pod run1", &["Name:", "run1", "Containers:"]),
    ok("logs pod/run1 --since=1h", &["run1 everything line 3"]),
    ok("logs run1 --all-containers --timestamps", &["run1 everything line 3"]),
    ok("logs run1", &["run1 everything line 3"]),
    ok("logs run1 --tail=1", &["line 3"]),
    ok("logs run1 -f", &["followed"]),
    ok("logs -l recipe=x", &["run1 everything line 1"]),
    fails("logs run1 -c zork", &["container zork is not valid for pod run1"]),
    ok("get --raw /apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/run1/log", &["run1 everything line 1"]),
    fails("delete pod run1", &["the server does not allow this method on the requested resource"]),
    // the end
    ok("create configmap inside -n team --from-literal=a=1", &["configmap/inside created"]),
    ok("delete ns team --timeout=20s", &["namespace \"team\" deleted"]),
    fails("get ns team", &["namespaces \"team\" not found"]),
    fails("delete ns default", &["this namespace may not be deleted"]),
    ok("delete cm,secret,sa,role,rolebinding --all", &["deleted"]),
];
