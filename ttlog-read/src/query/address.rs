//! Addresses and UUIDs as people write them.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

/// An IP address, with or without a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Ip(IpAddr),
    Socket(SocketAddr),
}

impl Address {
    /// Parses `10.0.0.1`, `::1`, `[::1]`, `10.0.0.1:80` or `[::1]:80`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(Address::Ip).or_else(|_| text.parse().map(Address::Socket)).ok()
    }

    /// Returns how an address without a port compares; `None` if this one has a port.
    pub(super) fn order_of_ip(self, address: IpAddr) -> Option<Ordering> {
        match self {
            Address::Ip(wanted) => Some(address.cmp(&wanted)),
            Address::Socket(_) => None,
        }
    }

    /// Returns how an address with a port compares. If this one has no port, any will do.
    pub(super) fn order_of(self, address: SocketAddr) -> Ordering {
        match self {
            Address::Ip(wanted) => address.ip().cmp(&wanted),
            Address::Socket(wanted) => address.cmp(&wanted),
        }
    }
}

/// Parses a UUID: 32 hexadecimal digits, with or without hyphens between groups, in any case, also in braces or after
/// `urn:uuid:`.
pub(super) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let is_grouped = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let digits = if is_grouped { text.replace('-', "") } else { text.to_owned() };
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}
