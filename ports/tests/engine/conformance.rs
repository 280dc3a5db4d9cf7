//! A real engine keeps the contract.

use futures::future::BoxFuture;
use ports::swarm::Engine;
use ports::swarm::conformance::{Behaviour, Harness, cases, healthcheck};
use ports::swarm::docker::DockerEngine;
use ports::swarm::spec::ContainerSpec;

use crate::given;

struct Real {
    engine: DockerEngine,
}

impl Harness for Real {
    fn engine(&self) -> &dyn Engine {
        &self.engine
    }

    fn container(&self, behaviour: Behaviour) -> ContainerSpec {
        let run = "exec sleep 3600";
        let script = match behaviour {
            Behaviour::Runs | Behaviour::NeverHealthy | Behaviour::MissingImage => run.to_owned(),
            Behaviour::SaysHello => format!("echo hello; {run}"),
            Behaviour::GetsHealthy => format!("sleep 1; touch /tmp/healthy; {run}"),
            Behaviour::Exits(code) => format!("exit {code}"),
        };
        let image = match behaviour {
            Behaviour::MissingImage => format!("{}/there-is-none:1", given::registry()),
            _ => self.image(),
        };
        let healthcheck = match behaviour {
            Behaviour::GetsHealthy => Some(healthcheck("test -e /tmp/healthy")),
            Behaviour::NeverHealthy => Some(healthcheck("false")),
            _ => None,
        };
        let args = vec!["sh".to_owned(), "-c".to_owned(), script];
        ContainerSpec { image, args, healthcheck, ..ContainerSpec::default() }
    }

    fn image(&self) -> String {
        given::image()
    }

    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(std::time::Duration::from_millis(100)))
    }
}

/// Runs all cases beside each other: they wait more than they work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_conforms() {
    let mut running = tokio::task::JoinSet::new();
    let mut names = std::collections::HashMap::new();
    for case in cases() {
        let handle = running.spawn(async move {
            let engine = DockerEngine::at(&given::engine_address()).expect("the address is one");
            case.run(&Real { engine }).await;
        });
        names.insert(handle.id(), case.name);
    }
    let mut failed = Vec::new();
    while let Some(ended) = running.join_next_with_id().await {
        if let Err(error) = ended {
            failed.push(format!("{}: {error}", names[&error.id()]));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
