//! The real `ccctl` against the real `ccd`: whole outputs, and the same answers as `kubectl` gives.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tests::daemon::{Daemon, program};

/// A daemon and a home folder.
struct Cli {
    daemon: Daemon,
    folder: tempfile::TempDir,
}

impl Cli {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let daemon = Daemon::start(&folder.path().join("data")).expect("ccd starts");
        Self { daemon, folder }
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).expect("a file can be written");
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(self.daemon.kubeconfig())
            .arg("--cache-dir")
            .arg(self.folder.path().join("cache"))
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env("HOME", self.folder.path())
            .env("EDITOR", self.folder.path().join("editor"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn ccctl(&self, arguments: &[&str]) -> String {
        let output = self.command(&program("ccctl"), arguments).output().expect("ccctl runs");
        self.shown(&output, "[stderr] ")
    }

    fn shown(&self, output: &Output, mark: &str) -> String {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in String::from_utf8_lossy(&output.stderr).lines() {
            text += &format!("{mark}{line}\n");
        }
        text += &format!("[exit {}]\n", output.status.code().expect("it was not killed"));
        self.redacted(&text)
    }

    /// Takes out what differs from run to run.
    fn redacted(&self, text: &str) -> String {
        let text = text
            .replace(&self.folder.path().display().to_string(), "FOLDER")
            .replace(self.daemon.https(), "ADDRESS")
            .replace(self.daemon.http(), "ADDRESS");
        let mut lines = Vec::new();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').map(redacted_word).collect();
            let line = words.join(" ");
            let has_version = line.contains("resourceVersion\": ")
                || line.contains("resourceVersion: ")
                || line.contains("Resource Version: ");
            let line = if has_version {
                line.replace(|character: char| character.is_ascii_digit(), "N").replace("NN", "N").replace("NN", "N")
            } else {
                line
            };
            lines.push(line.trim_end().to_owned());
        }
        lines.join("\n") + "\n"
    }

    fn transcript(&self, commands: &[&str]) -> String {
        let shown = |line: &&str| format!("$ ccctl {line}\n{}", self.ccctl(&words(line)));
        commands.iter().map(shown).collect::<Vec<_>>().join("\n")
    }
}

/// Splits a line as a shell would, with single quotes only.
fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("quotes are closed"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

fn redacted_word(word: &str) -> &str {
    let bare = word.trim_matches(['"', ',', '(', ')', ';']);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if bare.len() == 36 && bare.bytes().filter(|byte| *byte == b'-').count() == 4 && is_hex(bare) {
        return "UID";
    }
    if bare.starts_with("ccd_") && bare.len() > 40 {
        return "TOKEN";
    }
    if bare.parse::<jiff::Timestamp>().is_ok() {
        return "TIME";
    }
    let is_age = bare.len() > 1 && bare.ends_with(['s', 'm', 'h']) && bare.as_bytes()[0].is_ascii_digit();
    // Limits in the objects themselves are round; ages are not words that objects hold.
    if is_age
        && bare.bytes().all(|byte| byte.is_ascii_digit() || b"smh".contains(&byte))
        && !["720h", "10m", "5m", "15m", "60m"].contains(&bare)
    {
        return "AGE";
    }
    word
}

const RECIPE: &str = "\
apiVersion: ci.coopcloud.tech/v1alpha1
kind: Recipe
metadata: {name: mumble, labels: {team: a}}
spec:
  source: {url: https://git.coopcloud.tech/coop-cloud/mumble, branch: main}
  zone: ci.example.coop
  suspend: true
";

const WIDGETS: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [toys]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.count, statusReplicasPath: .status.count}}
    additionalPrinterColumns:
    - {name: Count, type: integer, jsonPath: .spec.count}
    - {name: Phase, type: string, jsonPath: .status.phase}
    - {name: Colour, type: string, jsonPath: .spec.colour, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A thing to play with.
        required: [spec]
        properties:
          spec:
            type: object
            description: What is wanted.
            required: [colour]
            properties:
              colour: {type: string, enum: [red, green], description: How it looks.}
              count: {type: integer, minimum: 0, default: 1, description: How many.}
              suspend: {type: boolean}
              partRef: {type: string}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
";

fn widget(name: &str, spec: &str) -> String {
    format!("apiVersion: example.org/v1\nkind: Widget\nmetadata: {{name: {name}, labels: {{team: a}}}}\nspec: {spec}\n")
}

#[test]
fn a_kind_that_somebody_defines_works_like_ours() {
    let cli = Cli::start();
    cli.write("widgets.yaml", WIDGETS);
    cli.write("a.yaml", &widget("a", "{colour: red}"));
    cli.write(
        "both.yaml",
        &format!("{}---\n{}", widget("a", "{colour: green, partRef: b}"), widget("b", "{colour: red, count: 3}")),
    );
    cli.write("bad.yaml", &widget("bad", "{colour: blue, count: -1}"));
    cli.write("unknown.yaml", &widget("unknown", "{colour: red, color: red}"));
    cli.write("editor", "#!/bin/sh\nsed -i 's/count: .*/count: 7/' \"$1\"\n");
    Command::new("chmod").arg("+x").arg(cli.folder.path().join("editor")).status().expect("chmod runs");
    insta::assert_snapshot!("widgets", cli.transcript(&[
        "get widgets",
        "apply -f widgets.yaml",
        "wait crd/widgets.example.org --for=condition=Established -q",
        "get widgets",
        "get wd -A",
        "explain widget.spec",
        "explain widget.spec.colour",
        "explain widget --recursive",
        "explain widget.spec.zork",
        "diff -f a.yaml",
        "create -f a.yaml",
        "create -f a.yaml",
        "create -f bad.yaml",
        "create -f unknown.yaml",
        "create -f unknown.yaml --validate=warn --dry-run=server",
        "apply -f a.yaml",
        "apply -f both.yaml",
        "get widgets",
        "get widgets -o wide",
        "get toys -o name",
        "get widgets.example.org b -o yaml",
        "get wd --sort-by=.spec.count",
        "get wd -l team=b",
        "get wd --field-selector=metadata.name=a --no-headers",
        "get wd a zork",
        "scale wd/a --replicas=5",
        "scale wd/a --replicas=5 --current-replicas=2",
        "patch wd/a -p '{spec: {count: 6}}'",
        "patch wd/a -p '{spec: {colour: blue}}'",
        "patch wd/a --type=json -p '[{\"op\": \"test\", \"path\": \"/spec/count\", \"value\": 1}]'",
        "patch wd/a --type=strategic -p '{}'",
        "patch wd/a --subresource=status -p '{status: {phase: Failed, conditions: [{type: Ready, status: \"False\", reason: PartMissing, message: part b does not fit}]}}'",
        "describe wd a",
        "why wd/a",
        "apply -f a.yaml --force-conflicts",
        "edit wd/b",
        "get wd/b -o 'jsonpath={.spec.count}{\"\\n\"}'",
        "label wd --all tier=one",
        "get wd --show-labels",
        "annotate wd/a note=x",
        "suspend wd/a",
        "why wd/a",
        "resume wd/a",
        "wait wd/a --for=jsonpath={.status.phase}=Failed -q",
        "wait wd/a --for=condition=Ready --timeout=0",
        "delete wd/a --dry-run=server",
        "delete wd --all",
        "get wd",
        "delete crd widgets.example.org",
        "get widgets",
    ]));
}

#[test]
fn our_own_kinds_and_the_built_in_ones_print_whole_pages() {
    let cli = Cli::start();
    cli.write("recipe.yaml", RECIPE);
    insta::assert_snapshot!(
        "our_kinds",
        cli.transcript(&[
            "version",
            "auth whoami",
            "auth can-i create testruns",
            "get ns",
            "get recipes",
            "get recipes -A",
            "apply -f recipe.yaml",
            "get recipe mumble",
            "get rcp/mumble -o 'jsonpath={.spec.zone}'",
            "why recipe/mumble",
            "run zork",
            "run mumble --commit=abc --name=a",
            "create namespace team-a",
            "create secret generic forge --from-literal=token=abc -n team-a",
            "create secret generic forge --from-literal=token=abc -n nowhere",
            "get secrets -n team-a",
            "describe secret forge -n team-a",
            "create configmap seed --from-literal=key=value",
            "get cm seed -o yaml",
            "delete ns default",
            "delete ns kube-public --dry-run=server",
            "events",
            "token create ci",
            "backup saved -q",
            "backup saved",
            "restore saved --yes",
            "get recipes --as=nobody",
            "get --raw /healthz",
            "get --raw /zork",
            "get recipes -s http://127.0.0.1:1",
            "get recipes --token=wrong",
        ])
    );
    let saved = std::fs::read_to_string(cli.folder.path().join("saved")).expect("the backup was written");
    assert!(saved.contains("mumble"), "{saved}");
}

const TWO: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: one}
data: {key: value}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two}
data: {key: value}
";

/// What both programs answer alike.
const SHARED: &[&str] = &[
    "get recipes",
    "get recipes -o wide",
    "get recipe mumble -o yaml",
    "get recipe mumble -o json",
    "get recipes -o yaml",
    "get recipes -A",
    "get recipes -o name",
    "get recipes,ns",
    "get recipes,ns -o name",
    "get ns --no-headers",
    "get ns -L kubernetes.io/metadata.name",
    "get ns --sort-by=.metadata.name",
    "get ns -o custom-columns=A:.metadata.name,B:.status.phase,C:.zork",
    "get ns -o jsonpath={.items[*].metadata.name}",
    "get ns -o 'jsonpath={range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}'",
    "get ns -o 'jsonpath={.items[?(@.metadata.name==\"default\")].status.phase}'",
    "get recipe zork",
    "get zork",
    "get recipes -l a=b",
    "get recipes -l team=a --show-labels",
    "get recipes --field-selector=metadata.name=mumble",
    "get crd -o wide",
    "get cm seed -o yaml",
    "get all",
    "get events",
    "events",
    "api-resources",
    "api-resources -o wide",
    "api-resources -o name",
    "api-versions",
    "auth can-i get recipes",
    "auth whoami",
    "config get-contexts",
    "config current-context",
    "config view",
    "label ns default a=b --dry-run=server",
    "annotate ns default a=b --dry-run=server",
    "delete recipe mumble --dry-run=server",
    "delete recipe zork",
    "create ns default",
    "create -f recipe.yaml",
    "apply --server-side -f recipe.yaml --dry-run=server",
    "apply --server-side -f recipe.yaml --dry-run=server -o json",
    "apply --server-side -f two.yaml --dry-run=server",
    "apply --server-side -f two.yaml --dry-run=server -o name",
    "apply --server-side -f two.yaml --dry-run=server -o yaml",
    "create -f two.yaml --dry-run=client -o json",
    "create -f two.yaml --dry-run=client -o yaml",
    "diff --server-side -f recipe.yaml --field-manager=ccctl",
    "wait recipe/mumble --for=jsonpath={.spec.zone}=ci.example.coop",
    "get --raw /version",
];

#[test]
fn shared_commands_answer_as_kubectl_does() {
    let cli = Cli::start();
    cli.write("recipe.yaml", RECIPE);
    cli.ccctl(&["apply", "-f", "recipe.yaml"]);
    cli.ccctl(&["create", "configmap", "seed", "--from-literal=key=value"]);
    cli.write("two.yaml", TWO);
    let mut different = Vec::new();
    for line in SHARED {
        let ours = without_hints(&cli.ccctl(&words(line)));
        let theirs = cli.command(Path::new("kubectl"), &words(line)).output().expect("kubectl runs");
        let theirs = cli.shown(&theirs, "[stderr] ");
        let theirs = if line.ends_with("-o yaml") { unfolded(&theirs) } else { theirs };
        if ours != theirs {
            different.push(format!("$ {line}\n--- ccctl\n{ours}--- kubectl\n{theirs}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // Here kubectl runs one document into the next, which no reader takes apart.
    let labelled = cli.ccctl(&words("label ns default kube-system a=b --dry-run=server -o yaml"));
    assert_eq!(labelled.matches("---\napiVersion: v1\nkind: Namespace\n").count(), 1, "{labelled}");
}

/// Joins the lines over which kubectl folds long texts: ccctl leaves a text on its line, so that it can be searched for.
fn unfolded(yaml: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines: Vec<String> = Vec::new();
    for line in yaml.lines() {
        let is_entry = line.trim_start().starts_with("- ") || line.contains(": ") || line.ends_with(':');
        match lines.last_mut() {
            Some(last) if !is_entry && last.contains(": ") && indent(line) > indent(last) => {
                last.push(' ');
                last.push_str(line.trim_start());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

fn without_hints(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("[stderr] hint: ")).map(|line| format!("{line}\n")).collect()
}
