//! Whose connection it is when it comes through a proxy. What a header says is believed only if it
//! was added by a proxy that the settings name.

use std::net::IpAddr;

use actix_web::http::header::{HeaderMap, X_FORWARDED_FOR};
use ipnet::IpNet;

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Those in these networks.
    #[must_use]
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The address at the far end of the believed proxies; `None` if they don't say.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        if !self.believes(peer) {
            return Some(peer);
        }
        let named: Vec<_> = headers
            .get_all(X_FORWARDED_FOR)
            .flat_map(|header| header.to_str().unwrap_or_default().split(','))
            .collect();
        // The last one was added by the proxy in front of us, the one before by the one before it.
        for address in named.into_iter().rev() {
            let address: IpAddr = address.trim().parse().ok()?;
            if !self.believes(address) {
                return Some(address.to_canonical());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_named_proxies_are_believed() {
        let networks = ["127.0.0.1/32", "10.0.0.0/8", "::1/128"];
        let proxies = Proxies::new(networks.map(|text| text.parse().unwrap()).into());
        let client = |peer: &str, forwarded: &'static str| {
            let mut headers = HeaderMap::new();
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(forwarded));
            proxies.client(peer.parse().unwrap(), &headers).map(|address| address.to_string())
        };
        let some = |address: &str| Some(address.to_owned());
        assert_eq!(client("203.0.113.7", "198.51.100.1"), some("203.0.113.7"), "not a proxy");
        assert_eq!(client("127.0.0.1", "198.51.100.1"), some("198.51.100.1"));
        assert_eq!(client("::ffff:127.0.0.1", "198.51.100.1"), some("198.51.100.1"));
        assert_eq!(client("10.1.2.3", "192.0.2.9, 198.51.100.1, 10.9.9.9"), some("198.51.100.1"));
        assert_eq!(client("127.0.0.1", "192.0.2.9, nonsense"), None);
        assert_eq!(client("127.0.0.1", "10.1.1.1"), None);
    }
}
