//! [`AppLogs`]: what the services of an app write, as it comes, without secrets.

use std::io;
use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::Host;
use api_types::status::{Reason, Status};
use apiserver::pods::{AppLogRequest, LogStream};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use ports::error::Error;
use ports::redact::Redactor;
use ports::swarm::{Engines, Filter, LogOptions, STACK_LABEL, Service};
use serde::Deserialize as _;

use crate::runtime::objects::{ObjectKey, Objects};

/// Lines of each service when nobody says how many: the whole log of a year helps nobody.
const TAIL_LINES: u64 = 1000;

/// Serves what the services of apps write.
#[derive(Clone)]
pub struct AppLogs {
    objects: Arc<dyn Objects>,
    engines: Arc<dyn Engines>,
    redactor: Redactor,
}

impl AppLogs {
    /// Returns a source of what services on the engines of Hosts write.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, engines: Arc<dyn Engines>, redactor: Redactor) -> Self {
        Self { objects, engines, redactor }
    }

    pub(super) async fn open(&self, request: AppLogRequest) -> Result<LogStream, Status> {
        let app = Object::<App>::deserialize(&request.app)
            .map_err(|error| Status::failure(Reason::InternalError, format!("the App cannot be read: {error}")))?;
        let not_running = || {
            let message = format!("app {:?} has no log: it was not deployed yet", request.name);
            Status::failure(Reason::NotFound, message)
        };
        let (Some(stack), Some(host)) = (&app.status.stack, &app.status.host) else { return Err(not_running()) };
        let host = self.objects.get(&ObjectKey::new(&Host::resource(), "", host)).await?;
        let address = host.value["spec"]["engine"].as_str().unwrap_or_default();
        let engine = self.engines.connect(address).map_err(|error| failed(&error))?;
        let services = engine.services(&Filter::stack(stack)).await.map_err(|error| failed(&error))?;
        let wanted = pick(&services, request.service.as_deref()).map_err(|known| {
            if known.is_empty() {
                return not_running();
            }
            let service = request.service.as_deref().unwrap_or_default();
            let message =
                format!("service {service} is not valid for app {}: choose one of {}", request.name, known.join(", "));
            Status::failure(Reason::BadRequest, message)
        })?;
        let is_alone = wanted.len() == 1;
        let options = LogOptions {
            follow: request.follow,
            tail: Some(request.tail_lines.unwrap_or(TAIL_LINES)),
            since: request.since,
            timestamps: request.timestamps,
        };
        let mut streams = Vec::new();
        for (name, service) in wanted {
            let lines = engine.service_log(&service.id, &options).await.map_err(|error| failed(&error))?;
            let prefix = if is_alone { String::new() } else { format!("{name} | ") };
            streams.push(self.clean(lines, prefix));
        }
        // One client, one stream: dropping it drops those of the engine.
        Ok(stream::select_all(streams).boxed())
    }

    /// Takes secrets out of what a service writes, and names the service before each line.
    fn clean(&self, lines: BoxStream<'static, Result<Bytes, Error>>, prefix: String) -> LogStream {
        let redactor = self.redactor.clone();
        let clean = lines.map_err(|error| io::Error::other(ports::error::chain(&error)));
        // Lines come whole, and no secret has a line end within that would not be found by its lines.
        clean.map_ok(move |piece| prefixed(&redactor.bytes(&piece), &prefix)).boxed()
    }
}

fn prefixed(text: &[u8], prefix: &str) -> Bytes {
    if prefix.is_empty() {
        return Bytes::copy_from_slice(text);
    }
    let mut out = Vec::with_capacity(text.len() + prefix.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(line);
    }
    Bytes::from(out)
}

/// Returns the services that are meant, with their names in the compose file; the names of all when there is none such.
fn pick<'a>(services: &'a [Service], wanted: Option<&str>) -> Result<Vec<(String, &'a Service)>, Vec<String>> {
    let named = services.iter().map(|service| {
        let stack = service.spec.labels.get(STACK_LABEL).map(|stack| format!("{stack}_")).unwrap_or_default();
        let short = service.spec.name.strip_prefix(&stack).unwrap_or(&service.spec.name);
        (short.to_owned(), service)
    });
    let all: Vec<(String, &Service)> = named.collect();
    let names = all.iter().map(|(name, _)| name.clone()).collect();
    let picked: Vec<_> = all.into_iter().filter(|(name, _)| wanted.is_none_or(|wanted| wanted == name)).collect();
    if picked.is_empty() { Err(names) } else { Ok(picked) }
}

fn failed(error: &Error) -> Status {
    Status::failure(Reason::ServiceUnavailable, format!("the engine does not give the log: {error}"))
}

#[cfg(test)]
mod tests {
    use ports::swarm::spec::{Labels, ServiceSpec};

    use super::*;

    fn service(name: &str) -> Service {
        let labels = Labels::from([(STACK_LABEL.to_owned(), "x".to_owned())]);
        Service {
            spec: ServiceSpec { name: format!("x_{name}"), labels, ..ServiceSpec::default() },
            ..Service::default()
        }
    }

    #[test]
    fn services_are_picked_by_their_names_in_the_compose_file() {
        let services = [service("app"), service("db")];
        let names =
            |wanted| -> Vec<String> { pick(&services, wanted).unwrap().into_iter().map(|(name, _)| name).collect() };
        assert_eq!(names(None), ["app", "db"]);
        assert_eq!(names(Some("db")), ["db"]);
        assert_eq!(pick(&services, Some("web")).unwrap_err(), ["app", "db"]);
    }

    #[test]
    fn each_line_names_its_service_when_there_are_several() {
        assert_eq!(prefixed(b"one\ntwo\n", "db | "), "db | one\ndb | two\n");
        assert_eq!(prefixed(b"one\n", ""), "one\n");
    }
}
