//! What is done to hand a stack over, in which order, and what is left alone.

use std::collections::BTreeMap;

use ports::compose::stack::{Stack, StackNetwork, StackObject, StackService};
use ports::swarm::spec::{
    ConfigReference, EndpointSpec, FileTarget, Labels, Mount, NetworkAttachment, PortConfig, ServiceMode, ServiceSpec,
    VolumeOptions,
};
use ports::swarm::{IMAGE_LABEL, Network, NewNetwork, STACK_LABEL, Service, StackFile};

use super::compare::{differences, fit};
use super::decorate::{CONTENT_LABEL, Origin, decorate, hash, spec_hash, stack_hash};
use super::swarm::{Native, new_secret};
use super::*;
use crate::kinds::app::labels::{APP_LABEL, GIVEN_LABEL, SPEC_LABEL, UID_LABEL};
use crate::kinds::app::pull_secrets::PullSecrets;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn stack_labels() -> Labels {
    Labels::from([(STACK_LABEL.to_owned(), "x".to_owned())])
}

fn service(name: &str, image: &str) -> StackService {
    let mut spec = ServiceSpec { name: format!("x_{name}"), labels: stack_labels(), ..ServiceSpec::default() };
    spec.labels.insert(IMAGE_LABEL.to_owned(), image.to_owned());
    let container = &mut spec.task_template.container_spec;
    container.image = image.to_owned();
    container.labels = stack_labels();
    container.env = vec!["A=1".to_owned(), "PASSWORD=hunter2".to_owned()];
    container.configs = vec![ConfigReference {
        id: String::new(),
        name: "x_conf_v1".to_owned(),
        file: FileTarget { name: "/conf".to_owned(), ..FileTarget::default() },
    }];
    container.mounts = vec![Mount {
        type_: "volume".to_owned(),
        source: "x_data".to_owned(),
        target: "/data".to_owned(),
        volume_options: Some(VolumeOptions { labels: stack_labels(), ..VolumeOptions::default() }),
        ..Mount::default()
    }];
    spec.task_template.networks = ["x_default", "proxy"]
        .map(|target| NetworkAttachment {
            target: target.to_owned(),
            aliases: vec![name.to_owned()],
            ..NetworkAttachment::default()
        })
        .to_vec();
    StackService { short_name: name.to_owned(), spec, image_as_written: image.to_owned(), ..StackService::default() }
}

fn network(key: &str, name: &str, external: bool) -> StackNetwork {
    let new = NewNetwork { name: name.to_owned(), labels: stack_labels(), ..NewNetwork::default() };
    StackNetwork { key: key.to_owned(), name: name.to_owned(), external, new }
}

fn config(data: &str) -> StackObject {
    StackObject {
        key: "conf".to_owned(),
        name: "x_conf_v1".to_owned(),
        data: Some(data.as_bytes().to_vec()),
        file: Some("conf.tmpl".to_owned()),
        labels: stack_labels(),
        ..StackObject::default()
    }
}

fn wanted() -> Wanted {
    let owner = Owner {
        app: "default/x".to_owned(),
        uid: "u1".to_owned(),
        stack: "x".to_owned(),
        installation: "i".to_owned(),
        run: None,
    };
    let mut stack = Stack {
        name: "x".to_owned(),
        services: vec![service("app", "127.0.0.1:5000/app:1"), service("db", "127.0.0.1:5000/db:1")],
        networks: vec![network("default", "x_default", false), network("proxy", "proxy", true)],
        secrets: vec![StackObject {
            key: "pass".to_owned(),
            name: "x_pass_v1".to_owned(),
            external: true,
            ..StackObject::default()
        }],
        configs: vec![config("a")],
        ..Stack::default()
    };
    let origin = Origin { version: "1.0.0".to_owned(), commit: "c1".to_owned(), goes_with_app: true };
    decorate(&mut stack, &owner, &origin);
    Wanted {
        owner,
        stack,
        secrets: BTreeMap::from([("x_pass_v1".to_owned(), SecretValue(b"s3cret".to_vec()))]),
        given: BTreeSet::new(),
        retired: Vec::new(),
        goes_with_app: true,
        pull_secrets: PullSecrets::default(),
        images: BTreeMap::from([("127.0.0.1:5000/app:1".to_owned(), format!("127.0.0.1:5000/app:1@{DIGEST}"))]),
    }
}

fn live_network(name: &str) -> Network {
    Network { id: format!("id-{name}"), name: name.to_owned(), scope: "swarm".to_owned(), ..Network::default() }
}

/// A swarm that has only what every swarm here has.
fn empty() -> Live {
    Live { networks: vec![live_network("proxy")], ..Live::default() }
}

/// What the swarm has once an effect has been carried out, as the engine shows it: ids instead of names.
fn carry_out(live: &mut Live, wanted: &Wanted, effect: &Effect) {
    let as_shown = |spec: &ServiceSpec, networks: &[Network]| {
        let mut spec = spec.clone();
        for attachment in &mut spec.task_template.networks {
            let network = networks.iter().find(|network| network.name == attachment.target).unwrap();
            attachment.target.clone_from(&network.id);
        }
        spec.task_template.networks.reverse();
        for config in &mut spec.task_template.container_spec.configs {
            config.id = "id".to_owned();
        }
        spec.mode = ServiceMode::Replicated { replicas: Some(1) };
        spec
    };
    match effect {
        Effect::CreateNetwork(key) => {
            let network = wanted.stack.networks.iter().find(|network| network.key == *key).unwrap();
            live.networks.push(live_network(&network.name));
        }
        Effect::CreateSecret(name) => {
            let labels = new_secret(wanted, name).unwrap().labels;
            live.secrets.push(StackFile { id: name.clone(), name: name.clone(), labels, ..StackFile::default() });
        }
        Effect::CreateConfig(key) => {
            let config = wanted.stack.configs.iter().find(|config| config.key == *key).unwrap();
            live.configs.push(StackFile {
                id: config.name.clone(),
                name: config.name.clone(),
                labels: config.labels.clone(),
                data: config.data.clone(),
                is_template: false,
            });
        }
        Effect::DeployByAbra(_) => {}
        Effect::CreateService(spec) => live.services.push(Service {
            id: format!("id-{}", spec.name),
            version: 1,
            spec: as_shown(spec, &live.networks),
            ..Service::default()
        }),
        Effect::UpdateService { id, spec, .. } => {
            let spec = as_shown(spec, &live.networks);
            let service = live.services.iter_mut().find(|service| service.id == *id).unwrap();
            service.previous = Some(std::mem::replace(&mut service.spec, spec));
            service.version += 1;
        }
        Effect::RemoveService(id, _) => live.services.retain(|service| service.id != *id),
        Effect::RemoveConfig(id, _) => live.configs.retain(|config| config.id != *id),
        Effect::RemoveSecret(id, _) => live.secrets.retain(|secret| secret.id != *id),
    }
}

fn deployed(wanted: &Wanted) -> Live {
    let mut live = empty();
    for effect in Native.missing(wanted, &live).unwrap() {
        carry_out(&mut live, wanted, &effect);
    }
    live
}

fn missing(wanted: &Wanted, live: &Live) -> Vec<String> {
    Native.missing(wanted, live).unwrap().iter().map(|effect| format!("{effect:?}")).collect()
}

#[test]
fn a_stack_is_handed_over_in_this_order() {
    assert_eq!(
        missing(&wanted(), &empty()),
        [
            "CreateNetwork(default)",
            "CreateSecret(x_pass_v1)",
            "CreateConfig(conf)",
            "CreateService(x_app)",
            "CreateService(x_db)"
        ]
    );
}

#[test]
fn what_was_cut_off_anywhere_goes_on_there_and_what_is_whole_needs_no_call() {
    let wanted = wanted();
    let mut live = empty();
    let effects = Native.missing(&wanted, &live).unwrap();
    for (done, effect) in effects.iter().enumerate() {
        assert_eq!(missing(&wanted, &live).len(), effects.len() - done, "after {done}");
        carry_out(&mut live, &wanted, effect);
    }
    assert_eq!(missing(&wanted, &live), [""; 0]);
}

#[test]
fn an_image_is_pinned_once_and_keeps_its_digest_while_its_text_stays() {
    let mut wanted = wanted();
    let live = deployed(&wanted);
    let image = |live: &Live, name: &str| live.service(name).unwrap().spec.task_template.container_spec.image.clone();
    assert_eq!(image(&live, "x_app"), format!("127.0.0.1:5000/app:1@{DIGEST}"));
    assert_eq!(image(&live, "x_db"), "127.0.0.1:5000/db:1", "the registry does not know it");
    // The tag points elsewhere now, or nobody has looked.
    wanted.images.insert("127.0.0.1:5000/app:1".to_owned(), "127.0.0.1:5000/app:1@sha256:2222".to_owned());
    assert_eq!(missing(&wanted, &live), [""; 0]);
    wanted.images.clear();
    assert_eq!(missing(&wanted, &live), [""; 0]);
    let app = wanted.stack.service_mut("app").unwrap();
    app.spec.task_template.container_spec.image = "127.0.0.1:5000/app:2".to_owned();
    app.spec.labels.insert(IMAGE_LABEL.to_owned(), "127.0.0.1:5000/app:2".to_owned());
    assert_eq!(missing(&wanted, &live), ["UpdateService(x_app)"]);
}

#[test]
fn words_that_the_engine_fills_in_are_no_difference() {
    let asked = wanted().stack.services[0].spec.clone();
    let port = |protocol: &str, publish_mode: &str| PortConfig {
        protocol: protocol.to_owned(),
        target_port: 8080,
        published_port: 0,
        publish_mode: publish_mode.to_owned(),
    };
    let with = |port: PortConfig| ServiceSpec {
        endpoint_spec: Some(EndpointSpec { mode: String::new(), ports: vec![port] }),
        ..asked.clone()
    };
    let names = BTreeMap::new();
    assert_eq!(differences(&with(port("", "")), &with(port("tcp", "ingress")), &names), [""; 0]);
    assert_eq!(differences(&with(port("", "host")), &with(port("udp", "host")), &names).len(), 1);
}

#[test]
fn a_change_by_hand_is_seen_and_told_without_values_that_could_be_secret() {
    let wanted = wanted();
    let mut live = deployed(&wanted);
    let template = &mut live.services[0].spec.task_template;
    template.container_spec.image = "127.0.0.1:5000/app:3".to_owned();
    template.container_spec.env[1] = "PASSWORD=other".to_owned();
    live.services[0].spec.mode = ServiceMode::Replicated { replicas: Some(0) };
    assert_eq!(missing(&wanted, &live), ["UpdateService(x_app)"]);
    let names = live.network_names();
    let asked = fit(&wanted.stack.services[0].spec, live.service("x_app"), &wanted.images, &names);
    assert_eq!(
        differences(&asked, &live.services[0].spec, &names),
        [
            "Replicas is 0 instead of 1",
            "the variables PASSWORD differ",
            &format!("Image is 127.0.0.1:5000/app:3 instead of 127.0.0.1:5000/app:1@{DIGEST}"),
        ]
    );
}

#[test]
fn a_stack_that_somebody_else_deployed_is_taken_over_without_touching_its_tasks() {
    let wanted = wanted();
    let mut live = deployed(&wanted);
    for service in &mut live.services {
        let bare = crate::kinds::app::labels::without_own;
        service.spec.labels = bare(&service.spec.labels);
        let container = &mut service.spec.task_template.container_spec;
        container.labels = bare(&container.labels);
        for options in container.mounts.iter_mut().filter_map(|mount| mount.volume_options.as_mut()) {
            options.labels = bare(&options.labels);
        }
    }
    let names = live.network_names();
    let effects = Native.missing(&wanted, &live).unwrap();
    assert_eq!(effects.len(), 2);
    for effect in &effects {
        let Effect::UpdateService { spec, .. } = effect else { panic!("{effect:?}") };
        let before = &live.service(&spec.name).unwrap().spec;
        let mut relabelled = before.clone();
        relabelled.labels.clone_from(&spec.labels);
        assert_eq!(differences(spec, &relabelled, &names), [""; 0], "only labels of the service change");
        assert_eq!(spec.labels[APP_LABEL], "default/x");
        assert!(spec.labels.contains_key(SPEC_LABEL));
    }
    for effect in &effects {
        carry_out(&mut live, &wanted, effect);
    }
    assert_eq!(missing(&wanted, &live), [""; 0], "and it stays so");
}

#[test]
fn an_app_that_was_made_anew_under_its_name_restarts_nothing() {
    let wanted = wanted();
    let mut live = deployed(&wanted);
    let mut anew = wanted.clone();
    for service in &mut anew.stack.services {
        let owner = Owner { uid: "u2".to_owned(), ..wanted.owner.clone() };
        owner.put_on(&mut service.spec.labels);
        owner.put_on(&mut service.spec.task_template.container_spec.labels);
    }
    let effects = Native.missing(&anew, &live).unwrap();
    for effect in &effects {
        let Effect::UpdateService { spec, .. } = effect else { panic!("{effect:?}") };
        assert_eq!(spec.task_template.container_spec.labels[UID_LABEL], "u1", "a label is worth no restart");
        assert_eq!(spec.labels[UID_LABEL], "u2");
        carry_out(&mut live, &anew, effect);
    }
    assert_eq!(missing(&anew, &live), [""; 0]);
}

#[test]
fn restarts_that_people_asked_for_are_kept() {
    let mut wanted = wanted();
    let mut live = deployed(&wanted);
    live.services[0].spec.task_template.force_update = 7;
    assert_eq!(missing(&wanted, &live), [""; 0]);
    wanted.stack.services[0].spec.task_template.container_spec.user = "1000".to_owned();
    let effects = Native.missing(&wanted, &live).unwrap();
    let [Effect::UpdateService { spec, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(spec.task_template.force_update, 7);
}

#[test]
fn what_a_person_must_change_first_is_said_before_anything_is_done() {
    let refusal = |wanted: &Wanted, live: &Live| Native.missing(wanted, live).unwrap_err();
    let mut changed = wanted();
    let live = deployed(&changed);
    changed.stack.configs[0].data = Some(b"b".to_vec());
    let mut without_secret = wanted();
    without_secret.secrets.clear();
    let mut file_secret = wanted();
    file_secret.stack.secrets[0].external = false;
    file_secret.stack.secrets[0].data = Some(b"new".to_vec());
    let mut with_secret = empty();
    with_secret.secrets.push(StackFile {
        name: "x_pass_v1".to_owned(),
        labels: Labels::from([(CONTENT_LABEL.to_owned(), hash(b"old"))]),
        ..StackFile::default()
    });
    let answers = [
        refusal(&changed, &live),
        refusal(&wanted(), &Live::default()),
        refusal(&without_secret, &empty()),
        refusal(&file_secret, &with_secret),
    ];
    let text: Vec<String> = answers.iter().map(|refusal| format!("{}: {}", refusal.reason, refusal.message)).collect();
    insta::assert_snapshot!(text.join("\n"), @r"
    ConfigChangedWithoutVersion: The content of the config conf (conf.tmpl) changed, but its name is still x_conf_v1: the swarm cannot replace what a config holds. Raise CONF_VERSION in abra.sh of the recipe (or whatever the `name:` of the config is made of).
    DependencyNotReady: The stack uses the network proxy, which the swarm does not have: add proxy to spec.networks of the Host, or make it by hand.
    SecretMissing: The stack needs the secret x_pass_v1, which is in the swarm under no such name, and which the recipe does not let us make: put its value into a Secret and name that in spec.secrets of the App (pass).
    ConfigChangedWithoutVersion: The content of the secret pass changed, but its name is still x_pass_v1: the swarm cannot replace what a secret holds. Raise PASS_VERSION in abra.sh of the recipe (or whatever the `name:` of the secret is made of).
    ");
}

#[test]
fn what_the_compose_file_no_longer_names_goes_first_services_then_what_they_used() {
    let mut wanted = wanted();
    let mut live = deployed(&wanted);
    wanted.stack.services.remove(1);
    wanted.stack.configs[0].name = "x_conf_v2".to_owned();
    let app = &mut wanted.stack.services[0].spec.task_template.container_spec;
    app.configs[0].name = "x_conf_v2".to_owned();
    for effect in Native.missing(&wanted, &live).unwrap() {
        carry_out(&mut live, &wanted, &effect);
    }
    let surplus = |live: &Live, prune: Prune| -> Vec<String> {
        Native.surplus(&wanted, live, prune).iter().map(|effect| format!("{effect:?}")).collect()
    };
    assert_eq!(surplus(&live, Prune::Nothing), [""; 0], "the old service and a rollback still need the old config");
    assert_eq!(surplus(&live, Prune::Services), ["RemoveService(x_db)"]);
    live.services.retain(|service| service.spec.name != "x_db");
    assert_eq!(surplus(&live, Prune::Services), [""; 0], "a rollback still needs it");
    live.services[0].previous = None;
    // Somebody else's, and one that only looks alike.
    live.configs.push(StackFile { name: "x_theirs".to_owned(), ..StackFile::default() });
    assert_eq!(surplus(&live, Prune::Services), ["RemoveConfig(x_conf_v1)"]);
}

#[test]
fn a_given_secret_goes_as_soon_as_no_service_mounts_it() {
    let mount = |wanted: &mut Wanted, version: &str| {
        let name = format!("x_pass_{version}");
        wanted.stack.secrets[0].name.clone_from(&name);
        wanted.secrets = BTreeMap::from([(name.clone(), SecretValue(version.as_bytes().to_vec()))]);
        wanted.given = BTreeSet::from([name.clone()]);
        let file = FileTarget { name: "/run/secrets/pass".to_owned(), ..FileTarget::default() };
        wanted.stack.services[0].spec.task_template.container_spec.secrets =
            vec![ports::swarm::spec::SecretReference { id: String::new(), name, file }];
    };
    let (mut before, mut after) = (wanted(), wanted());
    mount(&mut before, "v1");
    mount(&mut after, "v2");
    let mut live = deployed(&before);
    assert_eq!(live.secrets[0].labels[GIVEN_LABEL], "true");
    assert_eq!(Native.surplus(&after, &live, Prune::Services), [], "it is still mounted");
    for effect in Native.missing(&after, &live).unwrap() {
        carry_out(&mut live, &after, &effect);
    }
    assert!(live.services[0].previous.is_some(), "a rollback by hand would need it");
    let surplus: Vec<String> =
        Native.surplus(&after, &live, Prune::Services).iter().map(|effect| format!("{effect:?}")).collect();
    assert_eq!(surplus, ["RemoveSecret(x_pass_v1)"]);
    live.secrets.iter_mut().for_each(|secret| drop(secret.labels.remove(GIVEN_LABEL)));
    assert_eq!(Native.surplus(&after, &live, Prune::Services), [], "those of people stay");
}

#[test]
fn a_hash_changes_with_what_is_deployed_and_with_nothing_else() {
    let wanted = wanted();
    let extra = BTreeMap::new();
    let before = stack_hash(&wanted.stack, &extra);
    assert_eq!(before, stack_hash(&wanted.stack.clone(), &extra));
    let mut config = wanted.stack.clone();
    config.configs[0].data = Some(b"b".to_vec());
    assert_ne!(before, stack_hash(&config, &extra));
    let mut spec = wanted.stack.services[0].spec.clone();
    let hash = spec_hash(&spec);
    spec.labels.insert(SPEC_LABEL.to_owned(), hash.clone());
    spec.task_template.force_update = 3;
    assert_eq!(hash, spec_hash(&spec));
    spec.task_template.container_spec.args.push("x".to_owned());
    assert_ne!(hash, spec_hash(&spec));
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    let wanted = wanted();
    let text = format!("{wanted:?}");
    assert!(!text.contains("s3cret"), "{text}");
    let effects = Native.missing(&wanted, &empty()).unwrap();
    assert!(!format!("{effects:?}").contains("hunter2"));
}
