//! What may be reached, and what only this machine can.

use std::net::IpAddr;

use super::Outbound;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn what_only_this_machine_can_reach_is_refused() {
    let rules = Outbound::default();
    let refused = [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "0.1.2.3",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "169.254.1.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
    ];
    for text in refused {
        assert!(rules.refusal(address(text)).is_some(), "{text}");
    }
    for text in ["1.2.3.4", "10.0.0.1", "172.18.0.3", "192.168.1.2", "100.64.0.1", "2001:db8::1", "fd00::1"] {
        assert_eq!(rules.refusal(address(text)), None, "{text}");
    }
}

#[test]
fn exceptions_are_addresses_and_ranges() {
    let rules = Outbound::allowing(&["127.0.0.0/8".to_owned(), "fe80::1".to_owned()]).unwrap();
    for (text, is_fine) in
        [("127.0.0.5", true), ("::ffff:127.0.0.5", true), ("fe80::1", true), ("fe80::2", false), ("::1", false)]
    {
        assert_eq!(rules.refusal(address(text)).is_none(), is_fine, "{text}");
    }
    for text in ["localhost", "127.0.0.1/33", "", "1.2.3"] {
        assert_eq!(Outbound::allowing(&[text.to_owned()]).unwrap_err().reason, "AddressInvalid", "{text}");
    }
    for text in ["127.0.0.1", "::1", "169.254.169.254"] {
        assert_eq!(Outbound::anywhere().refusal(address(text)), None, "{text}");
    }
}

#[tokio::test]
async fn a_host_is_judged_by_its_addresses() {
    let rules = Outbound::default();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        let error = rules.addresses(host, 80).await.unwrap_err();
        assert_eq!(error.reason, "AddressNotAllowed", "{host}: {error}");
        assert!(error.message.contains("outbound.allow"), "{error}");
    }
    assert_eq!(rules.addresses("10.1.2.3", 80).await.unwrap(), ["10.1.2.3:80".parse().unwrap()]);
    assert_eq!(Outbound::anywhere().addresses("127.0.0.1", 80).await.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
}
