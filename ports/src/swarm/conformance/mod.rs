//! What every implementation of [`Engine`] must do: the same suite for the fake and for a real Docker engine.
//!
//! Public because the real adapter's tests stand in a test binary of their own. Every case makes what it needs under a
//! stack of its own name and removes it in the end, so that cases may run beside each other on one engine.

mod outside;
mod parts;
mod services;
mod updates;

use std::time::Duration;

use futures::future::BoxFuture;

use super::spec::{
    ContainerSpec, EndpointSpec, Healthcheck, NetworkAttachment, RestartPolicy, ServiceMode, ServiceSpec, UpdateConfig,
};
use super::{Engine, Filter, Removal, STACK_LABEL, Service, Task, TaskState};

/// Longest that a case waits for something; generous, because a machine that tests may be busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks.
const POLL: Duration = Duration::from_millis(100);
/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// What a container of the suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behaviour {
    /// Runs until it is asked to end.
    Runs,
    /// Writes `hello` and a line feed, then runs until it is asked to end.
    SaysHello,
    /// Runs, and is healthy after about a second.
    GetsHealthy,
    /// Runs, and its health checks fail.
    NeverHealthy,
    /// Ends at once with this code.
    Exits(u8),
    /// Has an image that is nowhere.
    MissingImage,
}

/// Says how an implementation is told to behave.
pub trait Harness: Send + Sync {
    /// The implementation: the manager of a swarm, with a `proxy` network.
    fn engine(&self) -> &dyn Engine;
    /// A container that behaves in a way, in an image that the engine has.
    fn container(&self, behaviour: Behaviour) -> ContainerSpec;
    /// An image that the engine and a registry have, as `host/name:tag`.
    fn image(&self) -> String;
    /// Returns once what [`Behaviour::SaysHello`] wrote has reached the engine's log. Most need not do anything.
    fn settle(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// One case of the suite.
pub struct Case {
    /// What it shows, as a name of a test.
    pub name: &'static str,
    run: for<'h> fn(&'h dyn Harness, Stack) -> BoxFuture<'h, ()>,
}

impl Case {
    /// Runs the case under the stack `conformance-<name>`.
    pub async fn run(&self, harness: &dyn Harness) {
        let stack = Stack { name: self.name.replace('_', "-").chars().take(40).collect() };
        (self.run)(harness, stack.clone()).await;
        remove_stack(harness.engine(), &stack).await;
    }
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<&'static Case> {
    [parts::CASES, services::CASES, updates::CASES, outside::CASES].into_iter().flatten().collect()
}

/// Names what a case makes.
#[derive(Clone, Debug)]
struct Stack {
    name: String,
}

impl Stack {
    fn part(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    fn labels(&self) -> super::spec::Labels {
        [(STACK_LABEL.to_owned(), self.name.clone())].into()
    }

    fn filter(&self) -> Filter {
        Filter::stack(&self.name)
    }

    /// Returns the spec of a service with one task that is not started again soon.
    fn service(&self, name: &str, mut container: ContainerSpec) -> ServiceSpec {
        container.labels.extend(self.labels());
        container.stop_grace_period = Some(SECOND);
        container.init = Some(true);
        let mut spec = ServiceSpec { name: self.part(name), labels: self.labels(), ..ServiceSpec::default() };
        spec.task_template.container_spec = container;
        let delay = Some(SECOND / 2);
        spec.task_template.restart_policy = Some(RestartPolicy { delay, ..RestartPolicy::default() });
        spec.mode = ServiceMode::Replicated { replicas: Some(1) };
        spec.endpoint_spec = Some(EndpointSpec { mode: "dnsrr".to_owned(), ..EndpointSpec::default() });
        spec.update_config = Some(UpdateConfig { monitor: SECOND, ..UpdateConfig::default() });
        spec
    }
}

/// Returns a health check that runs a command each second.
#[must_use]
pub fn healthcheck(command: &str) -> Healthcheck {
    Healthcheck {
        test: vec!["CMD-SHELL".to_owned(), command.to_owned()],
        interval: SECOND,
        timeout: 5 * SECOND,
        retries: 2,
        ..Healthcheck::default()
    }
}

fn attach(spec: &mut ServiceSpec, network: &str) {
    spec.task_template.networks.push(NetworkAttachment { target: network.to_owned(), ..NetworkAttachment::default() });
}

/// Waits until `look` returns something.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic_with(&format!("waited {} s in vain: {what}", PATIENCE.as_secs())))
}

/// Fails the test.
#[expect(clippy::panic, reason = "a conformance suite fails by panicking")]
fn panic_with(message: &str) -> ! {
    panic!("{message}")
}

async fn service(engine: &dyn Engine, name: &str) -> Service {
    let found = engine.services(&Filter::name_prefix(name)).await.expect("services can be listed");
    found.into_iter().find(|service| service.spec.name == name).expect("the service is there")
}

async fn tasks(engine: &dyn Engine, stack: &Stack) -> Vec<Task> {
    engine.tasks(&stack.filter()).await.expect("tasks can be listed")
}

/// Waits for a task of the stack that fits.
async fn task(engine: &dyn Engine, stack: &Stack, what: &str, fits: impl Fn(&Task) -> bool) -> Task {
    until(what, async || tasks(engine, stack).await.into_iter().find(&fits)).await
}

/// Waits for a task that runs the present spec.
async fn running(engine: &dyn Engine, stack: &Stack) -> Task {
    task(engine, stack, "a task runs", |task| task.state == TaskState::Running && task.is_up_to_date).await
}

/// Removes everything that carries the stack's label or name, in the order that leaks nothing.
async fn remove_stack(engine: &dyn Engine, stack: &Stack) {
    let prefix = Filter::name_prefix(&format!("{}_", stack.name));
    for service in engine.services(&prefix).await.expect("services can be listed") {
        engine.remove_service(&service.id).await.expect("it can be removed");
    }
    until("all tasks and containers are gone", async || {
        let mut containers = engine.containers(&stack.filter()).await.expect("containers can be listed");
        let tasks = tasks(engine, stack).await;
        containers.retain(|container| container.state != "running");
        for container in containers {
            // What the swarm removes at the same moment is gone as well; what a job left nobody else removes.
            let _ = engine.remove_container(&container.id).await.expect("it can be removed");
        }
        let containers = engine.containers(&stack.filter()).await.expect("containers can be listed");
        (containers.is_empty() && tasks.iter().all(|task| task.state.is_terminal())).then_some(())
    })
    .await;
    until("all else is gone", async || {
        let mut is_left = false;
        for network in engine.networks(&prefix).await.expect("networks can be listed") {
            is_left |= true;
            engine.remove_network(&network.id).await.expect("it can be removed");
        }
        for secret in engine.secrets(&prefix).await.expect("secrets can be listed") {
            is_left |= engine.remove_secret(&secret.id).await.expect("it can be removed") != Removal::Gone;
        }
        for config in engine.configs(&prefix).await.expect("configs can be listed") {
            is_left |= engine.remove_config(&config.id).await.expect("it can be removed") != Removal::Gone;
        }
        for volume in engine.volumes(&prefix).await.expect("volumes can be listed") {
            is_left |= engine.remove_volume(&volume.name).await.expect("it can be removed") != Removal::Gone;
        }
        (!is_left).then_some(())
    })
    .await;
}
