//! Where requests arrive: Kubernetes' HTTP API over the store.
//!
//! A request passes `serve` (connection, TLS, peer), `authentication` (who), `limits` (how much), `authorization`
//! (may they), the verb, and `audit` (what happened), in this order. This crate decides nothing about the meaning of
//! our kinds: that is the store's admission.

pub mod access;
pub mod admin;
mod answer;
pub mod api;
pub mod audit;
pub mod authentication;
pub mod authorization;
mod body;
pub mod bootstrap;
pub mod built_in;
pub mod clock;
pub mod config;
pub mod data_dir;
mod discovery;
pub mod documents;
mod events;
pub mod fuzz;
pub mod health;
pub mod hooks;
pub mod limits;
pub mod log_stream;
pub mod metrics;
mod negotiation;
mod openapi;
pub mod plans;
pub mod pods;
mod protobuf;
mod query;
mod render;
pub mod request;
mod reviews;
pub mod router;
mod scale;
mod selection;
pub mod serve;
mod served;
mod table;
pub mod tls;
mod tokens;
mod verbs;
mod watch_stream;
