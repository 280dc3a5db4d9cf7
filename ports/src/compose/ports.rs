//! Ports in the short form: `[ip:][published:]target[/protocol]`, ranges included.

use std::net::IpAddr;

use super::tree::{Node, Value};

/// Most ports that one entry may stand for.
const RANGE_MAX: u32 = 4096;

/// One published port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// Port in the container.
    pub target: u32,
    /// Port outside; 0 lets the engine choose.
    pub published: u32,
}

/// What a short form stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The ports, sorted as Docker sorts them.
    pub ports: Vec<Port>,
    /// An address that is written and that a swarm does not heed: it listens on all of them.
    pub ignored_address: Option<IpAddr>,
}

/// Checks a number or text that stands for ports.
pub(super) fn check(node: &Node) -> Result<(), String> {
    let text = match &node.value {
        // A number with decimals passes here, and is refused for being no whole number later.
        Value::Float(number) => super::scalar::print_float(number.trunc()),
        other => super::scalar::print(other).unwrap_or_default(),
    };
    parse(&text).map(|_| ())
}

/// Reads the short form.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn parse(text: &str) -> Result<Ports, String> {
    let wrong = || format!("{text:?} is not a port such as 8080:80, 8080-8090:80-90 or 53:53/udp");
    let mut parts: Vec<&str> = text.rsplitn(3, ':').collect();
    let target = parts.remove(0);
    let published = if parts.is_empty() { "" } else { parts.remove(0) };
    let address = parts.first().copied().unwrap_or_default();
    let (target, protocol) = match target.split_once('/') {
        Some((target, protocol)) if !protocol.is_empty() => (target, protocol.to_lowercase()),
        Some((target, _)) => (target, "tcp".to_owned()),
        None => (target, "tcp".to_owned()),
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("{protocol:?} is none of tcp, udp and sctp"));
    }
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    let address = match address {
        "" => None,
        other => Some(other.parse::<IpAddr>().map_err(|_| format!("{other:?} is not an IP address"))?),
    };
    let (target_start, target_end) = range(target).ok_or_else(wrong)?;
    let count = target_end - target_start + 1;
    let published = match published {
        "" => None,
        other => Some(range(other).ok_or_else(wrong)?),
    };
    let mut ports = Vec::new();
    match published {
        Some((start, end)) if count == 1 => {
            ports.extend((start..=end).map(|published| Port {
                protocol: protocol.clone(),
                target: target_start,
                published,
            }));
        }
        Some((start, end)) if end - start + 1 != count => {
            return Err(format!("the ranges in {text:?} are of different length"));
        }
        published => ports.extend((0..count).map(|step| Port {
            protocol: protocol.clone(),
            target: target_start + step,
            published: published.map_or(0, |(start, _)| start + step),
        })),
    }
    if ports.len() > RANGE_MAX as usize {
        return Err(format!("{text:?} stands for more than {RANGE_MAX} ports"));
    }
    // Docker sorts by the text `target/protocol`, so that 10 comes before 9.
    ports.sort_by_key(|port| (format!("{}/{}", port.target, port.protocol), port.published));
    Ok(Ports { ports, ignored_address: address.filter(|address| !address.is_unspecified()) })
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.parse::<u16>().ok().map(u32::from);
    match text.split_once('-') {
        None => number(text).map(|port| (port, port)),
        Some((start, end)) => {
            let (start, end) = (number(start)?, number(end)?);
            (start <= end).then_some((start, end))
        }
    }
}
