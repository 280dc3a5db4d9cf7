//! The fake keeps the contract; ids are checked.

use std::time::Duration;

use super::conformance::{Behaviour, Harness, check, spec};
use super::fake::FakeJobs;
use super::{JobId, JobState, Jobs};

impl Harness for FakeJobs {
    fn jobs(&self) -> &dyn Jobs {
        self
    }

    fn argv(&self, behaviour: Behaviour) -> Vec<String> {
        let text = match behaviour {
            Behaviour::Exit(code) => format!("exit {code}"),
            Behaviour::SayHello => "say hello 0".to_owned(),
            Behaviour::Sleep => "sleep 86400 0".to_owned(),
            Behaviour::Stubborn => "stubborn".to_owned(),
            Behaviour::Flood(bytes) => format!("flood {bytes}"),
            Behaviour::Missing => "/nowhere/at/all".to_owned(),
        };
        text.split(' ').map(ToOwned::to_owned).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn the_fake_conforms() {
    check(&FakeJobs::default()).await;
}

#[tokio::test(start_paused = true)]
async fn a_fake_job_that_loses_its_supervisor_is_lost() {
    let jobs = FakeJobs::default();
    let spec = spec("lost", jobs.argv(Behaviour::Sleep));
    jobs.start(&spec).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(jobs.lose(&spec.id));
    assert_eq!(jobs.state(&spec.id).await.unwrap(), JobState::Lost);
    assert_eq!(jobs.starts(&spec.id), 1);
}

#[test]
fn an_id_is_a_safe_file_name_or_refused() {
    for id in ["a", "testrun-7f.fetch", "0"] {
        assert!(JobId::new(id).is_ok(), "{id}");
    }
    for id in ["", ".", "..", "-x", "a/b", "A", "a b", "ä", &"x".repeat(201)] {
        assert!(JobId::new(id).is_err(), "{id}");
    }
    assert!(serde_json::from_str::<JobId>("\"../x\"").is_err());
}
