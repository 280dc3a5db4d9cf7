//! Tokens over the API: of service accounts as `kubectl create token` makes them, and named ones.

use std::process::{Command, Output};

use serde_json::Value;
use tests::daemon::{Daemon, program};

struct World {
    daemon: Daemon,
    _dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(&dir.path().join("data")).unwrap();
        Self { daemon, _dir: dir }
    }

    fn kubectl(&self, line: &str) -> Said {
        Said::from(self.daemon.kubectl(&line.split(' ').collect::<Vec<_>>()).unwrap())
    }

    /// Runs kubectl as the holder of a token.
    fn kubectl_as(&self, token: &str, line: &str) -> Said {
        let server = format!("https://{}", self.daemon.https());
        let mut words = vec!["--server", &server, "--insecure-skip-tls-verify", "--token", token];
        words.extend(line.split(' '));
        let output = Command::new("kubectl").env("KUBECONFIG", "/dev/null").args(words).output().unwrap();
        Said::from(output)
    }

    fn ccctl(&self, line: &str) -> Said {
        let output = Command::new(program("ccctl"))
            .env("KUBECONFIG", self.daemon.kubeconfig())
            .args(line.split(' '))
            .output()
            .unwrap();
        Said::from(output)
    }
}

/// What a program printed.
struct Said {
    good: bool,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        Self { good: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    fn well(self, what: &str) -> String {
        assert!(self.good, "{what}: {}", self.err);
        self.out
    }

    fn refused(self, why: &str) {
        assert!(!self.good, "it printed {}", self.out);
        assert!(self.err.contains(why), "{why:?} is not in {}", self.err);
    }
}

#[test]
fn kubectl_makes_tokens_of_service_accounts() {
    let world = World::start();
    world.kubectl("create serviceaccount bot").well("an account");
    world.kubectl("create rolebinding bot --clusterrole=view --serviceaccount=default:bot").well("its rights");
    let token = world.kubectl("create token bot").well("a token");
    let who = world.kubectl_as(&token, "auth whoami -o json").well("the token works");
    let who: Value = serde_json::from_str(&who).unwrap();
    let user = &who["status"]["userInfo"];
    assert_eq!(user["username"], "system:serviceaccount:default:bot");
    let groups: Vec<&str> = user["groups"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(groups, ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
    world.kubectl_as(&token, "get configmaps").well("it may look");
    world.kubectl_as(&token, "create configmap x").refused("forbidden");
    world.kubectl_as(&token, "create token bot").refused("forbidden");
    world.kubectl_as(&format!("{token}x"), "get configmaps").refused("logged in");

    world.kubectl("create token bot --duration=5m").refused("may not specify a duration less than 10 minutes");
    world.kubectl("create token bot --audience=elsewhere").refused("spec.audiences");
    world.kubectl("create token nobody").refused("not found");
    let long = world.kubectl("create token bot --duration=24h -o json").well("a long one");
    let long: Value = serde_json::from_str(&long).unwrap();
    assert_eq!(long["spec"]["expirationSeconds"], 86400);

    // A token ends with its account, also when another one gets the name.
    world.kubectl("delete serviceaccount bot").well("the end of the account");
    world.kubectl_as(&token, "get configmaps").refused("logged in");
    world.kubectl("create serviceaccount bot").well("another account");
    world.kubectl_as(&token, "get configmaps").refused("logged in");
    let new = world.kubectl("create token bot").well("a new token");
    world.kubectl_as(&new, "get configmaps").well("the new one works");
    let kept =
        std::fs::read_to_string(world.daemon.kubeconfig().with_file_name("service-account-tokens.json")).unwrap();
    assert!(!kept.contains(new.splitn(3, '_').nth(2).unwrap()), "only hashes are kept");
}

#[test]
fn named_tokens_are_made_listed_and_revoked_over_the_api() {
    let world = World::start();
    let token = world.ccctl("token create ci --for jane --group devs").well("a token");
    let who = world.kubectl_as(&token, "auth whoami").well("it works");
    assert!(who.contains("jane") && who.contains("devs"), "{who}");
    let list = world.ccctl("token list").well("a list");
    assert!(list.lines().next().unwrap().starts_with("NAME"), "{list}");
    assert!(list.contains("ci") && list.contains("jane") && list.contains("devs"), "{list}");
    let shown = world.kubectl("get tokens ci -o json").well("kubectl sees it");
    assert!(!shown.contains("token\":") && !shown.contains("sha256"), "{shown}");
    assert!(world.kubectl("get tokens").well("as a table").contains("jane"));
    world.ccctl("token create ci").refused("already exists");
    world.kubectl_as(&token, "get tokens").refused("forbidden");

    // Making a token for somebody is being them: the right to impersonate is asked for.
    world
        .kubectl("create clusterrole minter --verb=create,list,get,delete --resource=tokens.authentication.ci.coopcloud.tech")
        .well("a role");
    world.kubectl("create clusterrolebinding minter --clusterrole=minter --user=jane").well("its binding");
    let body = r#"{"apiVersion":"authentication.ci.coopcloud.tech/v1alpha1","kind":"Token","metadata":{"name":"evil"},"spec":{"groups":["system:masters"]}}"#;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token.json");
    std::fs::write(&file, body).unwrap();
    let raw = format!("create --raw /apis/authentication.ci.coopcloud.tech/v1alpha1/tokens -f {}", file.display());
    let tried = std::time::Instant::now();
    loop {
        let said = world.kubectl_as(&token, &raw);
        assert!(!said.good, "jane made herself an administrator: {}", said.out);
        // Rights take effect a moment after they were given.
        if said.err.contains("impersonate") {
            break;
        }
        assert!(tried.elapsed() < std::time::Duration::from_secs(20), "{}", said.err);
    }
    world.ccctl("token revoke ci").well("it is revoked");
    world.kubectl_as(&token, "auth whoami").refused("logged in");
    world.ccctl("token revoke ci").refused("not found");
    assert!(!world.ccctl("token list").well("a list").contains("jane"));
}

#[test]
fn a_client_certificate_signs_in_as_its_user_and_group() {
    let world = World::start();
    world.kubectl("create clusterrolebinding viewers --clusterrole=view --group=viewers").well("rights of the group");
    let data = world.daemon.kubeconfig().parent().unwrap().to_owned();
    let made = Command::new(program("ccd"))
        .args(["certificate", "create", "monitor", "--group", "viewers", "--expires", "720h", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let config = data.with_extension("monitor");
    std::fs::write(&config, Said::from(made).well("a certificate")).unwrap();
    let kubectl = |line: &str| {
        let output = Command::new("kubectl").env("KUBECONFIG", &config).args(line.split(' ')).output().unwrap();
        Said::from(output)
    };
    let who: Value = serde_json::from_str(&kubectl("auth whoami -o json").well("it is known")).unwrap();
    let user = &who["status"]["userInfo"];
    assert_eq!((user["username"].as_str(), user["groups"][0].as_str()), (Some("monitor"), Some("viewers")));
    kubectl("get configmaps").well("it may look");
    kubectl("create configmap x").refused("forbidden");
    let listed =
        Command::new(program("ccctl")).env("KUBECONFIG", &config).args(["get", "configmaps"]).output().unwrap();
    Said::from(listed).well("ccctl takes the same file");
}
