//! Where requests arrive: Kubernetes' HTTP API over the store.
//!
//! A request passes `serve` (connection, TLS, peer), `authentication` (who), `limits` (how much), `authorization`
//! (may they), the verb, and `audit` (what happened), in this order. This crate decides nothing about the meaning of
//! our kinds: that is the store's admission.

pub mod access;
pub mod admin;
pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod bootstrap;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod health;
pub mod limits;
pub mod metrics;
pub mod request;
pub mod serve;
pub mod tls;
