//! What every implementation of [`Abra`] must do: the same suite for the fake, for a program that plays abra, and for abra
//! itself where there is one.

use super::{Abra, AbraApp, Change, Target};
use crate::error::ErrorKind;

/// An implementation, and an app whose recipe has the secrets `db_password` and `token`, both of version `v1`.
pub trait Harness {
    /// The implementation.
    fn abra(&self) -> &dyn Abra;
    /// The app; its recipe is checked out and published as `1.0.0+1`.
    fn app(&self) -> AbraApp;
    /// The environment of the app.
    fn env(&self) -> String;
    /// Whether a backup bot runs on the server.
    fn has_backup_bot(&self) -> bool;
}

/// Runs the whole suite; nothing of the app must be there.
pub async fn check(harness: &impl Harness) {
    let (abra, app) = (harness.abra(), harness.app());
    assert!(!abra.version().await.expect("it is there").is_empty());
    abra.prepare(&app, &harness.env()).await.expect("writes the environment");
    assert_eq!(std::fs::read_to_string(app.env_file()).expect("is there"), harness.env());

    let version = Target::Version("1.0.0+1".to_owned());
    let error = abra.deploy(&app, &version).await.expect_err("secrets are missing");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "SecretMissing"), "{error}");
    assert_eq!(abra.undeploy(&app).await.expect("nothing is there"), Change::Was);

    let inserted = abra.insert_secret(&app, "db_password", "v1", b"correct-horse").await;
    assert_eq!(inserted.expect("puts it in"), Change::Made);
    let again = abra.insert_secret(&app, "db_password", "v1", b"another").await;
    assert_eq!(again.expect("it is there"), Change::Was);
    let made = abra.generate_secrets(&app).await.expect("makes the other");
    let names: Vec<&str> = made.iter().map(|secret| secret.name.as_str()).collect();
    assert_eq!(names, ["token"], "the one that was there is left alone");
    assert!(!made[0].value.is_empty() && !format!("{made:?}").contains(&made[0].value));
    assert_eq!(abra.generate_secrets(&app).await.expect("all are there"), []);

    for target in [version.clone(), version, Target::WorkTree] {
        abra.deploy(&app, &target).await.unwrap_or_else(|error| unreachable!("{target:?}: {error}"));
    }
    if harness.has_backup_bot() {
        let first = abra.back_up(&app).await.expect("takes a backup").expect("names it");
        let second = abra.back_up(&app).await.expect("takes another").expect("names it");
        assert_ne!(first, second);
        for snapshot in [second, first] {
            abra.restore(&app, &snapshot).await.expect("gives it back");
        }
        abra.restore(&app, "00000000").await.expect_err("there is no such snapshot");
    } else {
        let error = abra.back_up(&app).await.expect_err("nobody takes it");
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "NoBackupBot"), "{error}");
    }
    assert_eq!(abra.undeploy(&app).await.expect("undeploys"), Change::Made);
    assert_eq!(abra.undeploy(&app).await.expect("twice is fine"), Change::Was);
    assert_eq!(abra.remove_secrets(&app).await.expect("removes them"), Change::Made);
    assert_eq!(abra.remove_secrets(&app).await.expect("twice is fine"), Change::Was);
    abra.remove_volumes(&app).await.expect("removes them");
    assert_eq!(abra.remove_volumes(&app).await.expect("twice is fine"), Change::Was);
}
