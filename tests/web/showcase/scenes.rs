//! The scenes: what each of them puts into the store.

use serde_json::{Value, json};

use super::{HOSTILE, Showcase, ago, condition, own, put, put_all, recipe, run};

const RECIPES: [(&str, u8); 8] = [
    ("nextcloud", 5),
    ("keycloak", 4),
    ("hedgedoc", 5),
    ("matrix-synapse", 3),
    ("ghost", 5),
    ("mumble", 5),
    ("wordpress", 4),
    ("peertube", 5),
];

/// Everything is well, and much goes on.
pub(super) async fn busy(showcase: &Showcase) -> anyhow::Result<()> {
    let store = &showcase.server.store;
    put(store, host(false)).await?;
    put_all(store, RECIPES.map(|(name, level)| recipe(name, Some(level)))).await?;
    put(store, recipe("never-tested", None)).await?;
    for (name, level) in RECIPES {
        let mut runs = Vec::new();
        for (at, past) in (1..).zip([20, 15, 9, 4, 1]) {
            let (rungs, level) = if level == 3 { ("PPPUU", 3) } else { ("PPPPP", level) };
            runs.push(run(&format!("{name}-{at:03}"), name, "Succeeded", level, rungs, past * 86_400));
        }
        put_all(store, runs).await?;
    }
    put_all(store, [running("nextcloud-live", "nextcloud"), running("ghost-live", "ghost")]).await?;
    for at in 1..4 {
        put(store, queued(&format!("peertube-queued-{at}"), "peertube", at)).await?;
    }
    for (name, recipe) in [("traefik", "traefik"), ("cloud", "nextcloud"), ("auth", "keycloak")] {
        put(store, app(name, recipe, false)).await?;
    }
    put(store, certificate("wildcard", 62, "False")).await?;
    put(store, repository()).await?;
    put(store, event("nextcloud-live", "Normal", "RungPassed", "install passed in 2m10s")).await?;
    let lines = (1..=60).map(|at| format!("step {at} of 60: \u{1b}[32mok\u{1b}[0m"));
    showcase.logs.write("nextcloud-live", "install", lines);
    Ok(())
}

/// Failures of every sort, with hostile texts in them.
pub(super) async fn failing(showcase: &Showcase) -> anyhow::Result<()> {
    let store = &showcase.server.store;
    put(store, host(true)).await?;
    put_all(store, ["nextcloud", "keycloak", "hedgedoc"].map(|name| recipe(name, Some(1)))).await?;
    let mut with_repository = recipe("mumble", Some(2));
    with_repository["spec"]["repositoryRef"] = json!("mumble");
    put(store, with_repository).await?;
    put(store, run("nextcloud-001", "nextcloud", "Succeeded", 5, "PPPPP", 9 * 86_400)).await?;
    let mut failed = run("nextcloud-002", "nextcloud", "Failed", 3, "PPPFU", 3600);
    failed["status"]["tests"][1]["message"] = json!(format!("expected a title, found {HOSTILE}"));
    failed["status"]["rungs"][3]["message"] = json!(format!("the page says {HOSTILE}"));
    failed["status"]["head"]["images"][0]["image"] = json!("nextcloud:29.0.6-fpm");
    failed["status"]["artifacts"] = json!([
        {"name": "screenshot.png", "mediaType": "image/png", "bytes": 70}, {"name": "report.html", "mediaType": "text/html", "bytes": 40},
    ]);
    put(store, failed).await?;
    put(store, run("keycloak-001", "keycloak", "Error", 0, "UUUUU", 7200)).await?;
    put(store, run("hedgedoc-001", "hedgedoc", "Failed", 1, "PFUUU", 86_400)).await?;
    let mut leaking = run("hedgedoc-002", "hedgedoc", "Cancelled", 1, "PUUUU", 90_000);
    leaking["status"]["cleanup"]["remaining"] = json!(["volume/hedg_data", "secret/hedg_key_v1"]);
    leaking["status"]["conditions"] =
        json!([condition("CleanedUp", "False", "Leftovers", "two things are still there")]);
    put(store, leaking).await?;
    let forge = json!({"url": "https://git.example.org", "tokenSecretRef": {"namespace": "default", "name": "forge", "key": "token"}});
    put(store, json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Forge", "metadata": {"name": "forge"}, "spec": forge})).await?;
    put(store, waiting("mumble-pr4", "mumble")).await?;
    put(store, app("cloud", "nextcloud", true)).await?;
    put(store, certificate("wildcard", 9, "True")).await?;
    put(store, certificate("gone", -3, "True")).await?;
    put(store, repository()).await?;
    put(store, event("nextcloud-002", "Warning", "RungFailed", &format!("functional failed: {HOSTILE}"))).await?;
    logs_of_a_failure(showcase);
    Ok(())
}

fn logs_of_a_failure(showcase: &Showcase) {
    let (logs, run) = (&showcase.logs, "nextcloud-002");
    logs.write(run, "prepare", ["fetched 91aa0e2b", "rendered compose.yml"]);
    logs.write(run, "install", (1..=1200).map(|at| format!("install line {at}")));
    let last = [
        "\u{1b}[1mGET\u{1b}[0m /entries".to_owned(),
        "\u{1b}[31merror:\u{1b}[0m 502 Bad Gateway".to_owned(),
        format!("body: {HOSTILE}"),
        "10%\r50%\r100% done".to_owned(),
    ];
    logs.write(run, "functional", last);
    logs.complete(run);
    logs.file(run, "screenshot.png", "image/png", &PIXEL);
    logs.file(run, "report.html", "text/html", b"<script>alert(1)</script>");
}

/// One grey pixel.
const PIXEL: [u8; 67] = [
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0, 58, 126, 155,
    85, 0, 0, 0, 10, 73, 68, 65, 84, 120, 156, 99, 104, 0, 0, 0, 130, 0, 129, 119, 205, 114, 182, 0, 0, 0, 0, 73, 69,
    78, 68, 174, 66, 96, 130,
];

/// A run that goes on.
fn running(name: &str, recipe: &str) -> Value {
    let mut object = own("TestRun", name, json!({"recipeRef": recipe, "source": {"ref": "main"}}));
    object["status"] = json!({
        "phase": "Running", "startedAt": ago(190),
        "rungs": [
            {"name": "install", "status": "Pass", "message": "it serves", "startedAt": ago(180), "finishedAt": ago(60)},
            {"name": "upgrade", "status": "Unverified", "startedAt": ago(58)},
            {"name": "backup-restore", "status": "Unverified"}, {"name": "functional", "status": "Unverified"},
            {"name": "lint", "status": "Unverified"},
        ],
        "steps": [
            {"name": "fetch", "startedAt": ago(190), "finishedAt": ago(181), "outcome": "Done"},
            {"name": "install-deploy", "startedAt": ago(180), "finishedAt": ago(60), "outcome": "Done", "attempts": 2},
            {"name": "upgrade-deploy", "startedAt": ago(58)},
        ],
        "logs": [{"name": "install", "bytes": 900}],
        "domain": "next-7ab21c.ci.example.org",
        "conditions": [condition("Scheduled", "True", "Scheduled", "there is room")],
    });
    object
}

/// A run that waits for room.
fn queued(name: &str, recipe: &str, position: i64) -> Value {
    let mut object = own("TestRun", name, json!({"recipeRef": recipe, "source": {"ref": "main"}}));
    let reason = "2 of 2 runs are going on; the next place is for the recipe that waits longest";
    object["status"] = json!({"phase": "Queued", "queue": {"position": position, "reason": reason}});
    object
}

/// A run of a stranger's pull request.
fn waiting(name: &str, recipe: &str) -> Value {
    let commit = "c0ffee12".repeat(5);
    let pull = json!({"number": 4, "headSHA": commit, "author": HOSTILE, "fork": true});
    let spec = json!({"recipeRef": recipe, "source": {"commit": commit, "pullRequest": pull}});
    let mut object = own("TestRun", name, spec);
    let message = "the pull request comes from a fork: a maintainer approves its head commit, or denies it";
    object["status"] =
        json!({"phase": "Pending", "conditions": [condition("Approved", "False", "ApprovalNeeded", message)]});
    object
}

fn host(is_tight: bool) -> Value {
    let free = if is_tight { 1_i64 << 30 } else { 60 << 30 };
    let ready = if is_tight {
        ("False", "DiskFull", "the disk is below its floor: remove images or make room")
    } else {
        ("True", "Ready", "the host takes runs")
    };
    json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Host", "metadata": {"name": "here"},
        "spec": {"capacity": {"runs": 2}},
        "status": {
            "engineVersion": "27.5.1", "swarmRole": "Manager", "nodes": 1, "running": 2, "observedAt": ago(20),
            "disk": {"path": "/var/lib/docker", "totalBytes": 100_i64 << 30, "freeBytes": free, "totalInodes": 6_500_000, "freeInodes": 4_100_000},
            "memory": {"totalBytes": 8_i64 << 30, "availableBytes": 5_i64 << 30},
            "images": {"count": 41, "bytes": 17_i64 << 30},
            "conditions": [condition("Ready", ready.0, ready.1, ready.2)],
        },
    })
}

fn app(name: &str, recipe: &str, is_broken: bool) -> Value {
    let mut object = own(
        "App",
        name,
        json!({"recipe": {"url": format!("https://git.example.org/recipes/{recipe}.git")}, "domain": format!("{name}.example.org")}),
    );
    let running = u32::from(!is_broken);
    object["status"] = json!({
        "stack": format!("{name}_example_org"), "host": "here",
        "desired": {"version": "2.1.0+29.0.5"}, "observed": {"version": if is_broken { "2.0.0+29.0.4" } else { "2.1.0+29.0.5" }},
        "services": [{"name": "app", "desired": 1, "running": running, "state": if is_broken { "rejected" } else { "running" },
            "lastError": if is_broken { HOSTILE } else { "" }, "tasks": tasks(is_broken)}],
        "conditions": if is_broken {
            json!([condition("Ready", "False", "CrashLoop", "the service app ends again and again"), condition("Drifted", "True", "Drifted", "the live image is another one")])
        } else {
            json!([condition("Ready", "True", "Ready", "it serves"), condition("Drifted", "False", "AsWanted", "what runs is what is wanted")])
        },
    });
    object
}

fn tasks(is_broken: bool) -> Value {
    let task = |id: &str, state: &str, seconds: i64, error: &str| json!({"id": id, "slot": 1, "state": state, "since": ago(seconds), "error": error});
    if is_broken {
        json!([task("t3q0", "rejected", 9, HOSTILE), task("k81x", "failed", 70, "task: non-zero exit (3)")])
    } else {
        json!([task("a7zf", "running", 4000, ""), task("m2bd", "shutdown", 4010, "")])
    }
}

fn certificate(name: &str, days_left: i64, expiring: &str) -> Value {
    let mut object = own("Certificate", name, json!({"source": {"selfSigned": {"dnsNames": ["*.ci.example.org"]}}}));
    object["status"] = json!({
        "serial": "049b", "fingerprint": "ab".repeat(32), "notBefore": ago((90 - days_left) * 86_400),
        "notAfter": ago(-days_left * 86_400 - 60), "dnsNames": ["*.ci.example.org", "ci.example.org"],
        "served": [{"address": "127.0.0.1:443", "serverName": "ci.example.org", "fingerprint": "ab".repeat(32), "checkedAt": ago(60)}],
        "conditions": [
            condition("Ready", "True", "Ready", "it is served"),
            condition("Expiring", expiring, "RenewBefore", "it is renewed 30 days before its end"),
        ],
    });
    object
}

fn repository() -> Value {
    let mut object = own("Repository", "mumble", json!({"forgeRef": "forge", "owner": "recipes", "name": "mumble"}));
    object["status"] = json!({
        "lastPolled": ago(12), "counts": {"seen": 412, "accepted": 61, "rejected": 3, "ignored": 348, "failedPolls": 2},
        "handled": [{"at": ago(5000), "on": "Comment", "commentId": 16, "pullRequest": 3, "author": "alice",
            "reason": "RunCreated", "message": "!testme started the TestRun mumble-pr3-91aa0e2-16"}],
        "ignored": [{"at": ago(4000), "on": "Comment", "commentId": 17, "pullRequest": 4, "author": HOSTILE,
            "reason": "NotAuthorized", "message": "the author is no member of the organisation recipes"}],
        "conditions": [condition("Ready", "True", "Ready", "the forge answers")],
    });
    object
}

fn event(run: &str, type_: &str, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{run}.1"), "namespace": "default"},
        "involvedObject": {"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "namespace": "default", "name": run},
        "type": type_, "reason": reason, "message": message, "count": 3, "firstTimestamp": ago(900), "lastTimestamp": ago(30),
        "source": {"component": "testrun"}, "eventTime": null, "reportingComponent": "", "reportingInstance": "",
    })
}
