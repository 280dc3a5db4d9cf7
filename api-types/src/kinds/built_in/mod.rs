//! Kubernetes' own kinds as far as they are served here: their shapes, so that its clients work.

pub mod access_control;
pub mod config_map;
pub mod custom_resource_definition;
pub mod event;
pub mod lease;
pub mod namespace;
pub mod secret;
pub mod service_account;
