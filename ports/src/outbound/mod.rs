//! [`Outbound`]: where requests may go that somebody else's text asks for: URLs of repositories, hosts of probes.
//!
//! Whoever may write a Recipe should not get at what only this machine can reach: its own services, its neighbours on the
//! link, and the addresses at which clouds hand out credentials. Private networks are no secret of this machine's, and
//! forges often stand in one; they may be reached. A name is judged by the addresses that it has, and the very address
//! that was judged is connected to: a name whose address changes in between gains nothing.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::error::Error;

/// Addresses at which clouds tell machines their credentials, outside of the link-local ranges.
const METADATA: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

/// Where requests may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbound {
    /// What may be reached although it is refused otherwise.
    allowed: Vec<IpNet>,
}

impl Outbound {
    /// Returns the rules with exceptions: addresses, or ranges such as `127.0.0.0/8`.
    ///
    /// # Errors
    /// `Terminal` with `AddressInvalid`, naming the first that is neither.
    pub fn allowing(exceptions: &[String]) -> Result<Self, Error> {
        let read = |text: &String| {
            let single = || text.parse::<IpAddr>().map(IpNet::from);
            text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
                let message = format!("{text:?} is no address and no range: write \"127.0.0.1\" or \"127.0.0.0/8\"");
                Error::terminal("AddressInvalid", message)
            })
        };
        Ok(Self { allowed: exceptions.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Returns rules that let everything pass: for tests, and where an operator chose the address.
    #[must_use]
    pub fn anywhere() -> Self {
        let everything = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        Self { allowed: everything.map(|zero| IpNet::new_assert(zero, 0)).to_vec() }
    }

    /// Returns why an address may not be reached; `None` when it may.
    #[must_use]
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        // `::ffff:127.0.0.1` leads where `127.0.0.1` does.
        let address = address.to_canonical();
        if self.allowed.iter().any(|range| range.contains(&address)) {
            return None;
        }
        let (is_own, is_on_link, is_many) = match address {
            IpAddr::V4(four) => (
                four.is_loopback() || four.octets()[0] == 0,
                four.is_link_local(),
                four.is_multicast() || four.is_broadcast(),
            ),
            IpAddr::V6(six) => {
                (six.is_loopback() || six.is_unspecified(), six.is_unicast_link_local(), six.is_multicast())
            }
        };
        if is_own {
            Some("this machine itself")
        } else if is_on_link || METADATA.contains(&address) {
            Some("the machine's own link, where clouds hand out credentials")
        } else if is_many {
            Some("many machines at once")
        } else {
            None
        }
    }

    /// Returns the addresses of a host that may be reached, of which there is at least one.
    ///
    /// # Errors
    /// `Retryable` with `HostUnknown` when it has no address; `Terminal` with `AddressNotAllowed` when it has none that may
    /// be reached.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let host = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|error| Error::retryable("HostUnknown", format!("{host} has no address in the DNS ({error})")))?;
        let (mut addresses, mut refused) = (Vec::new(), None);
        for address in found {
            match self.refusal(address.ip()) {
                None => addresses.push(address),
                Some(why) => refused = Some((address.ip(), why)),
            }
        }
        match refused {
            _ if !addresses.is_empty() => Ok(addresses),
            None => Err(Error::retryable("HostUnknown", format!("{host} has no address in the DNS"))),
            Some((address, why)) => {
                let message = format!(
                    "{host} leads to {address}, which is {why}, and nobody's recipe may reach that: give it its own \
                     address in the DNS, or allow it in the configuration: outbound.allow = [\"{address}\"]"
                );
                Err(Error::terminal("AddressNotAllowed", message))
            }
        }
    }
}
