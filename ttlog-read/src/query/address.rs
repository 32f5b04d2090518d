//! Addresses and UUIDs as people write them.

use std::cmp::Ordering;
use std::net::{IpAddr, SocketAddr};

/// An IP address, with or without a port, or a prefix of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Ip(IpAddr),
    Socket(SocketAddr),
    /// The addresses that have their first bits in common with this one.
    Prefix(IpAddr, u8),
}

impl Address {
    /// Parses `10.0.0.1`, `::1`, `[::1]`, `10.0.0.1:80`, `[::1]:80` or `10.0.0.0/8`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some((address, len)) = text.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let len = len.parse().ok().filter(|len| *len <= if address.is_ipv4() { 32 } else { 128 })?;
            return Some(Address::Prefix(address, len));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map(Address::Ip).or_else(|_| text.parse().map(Address::Socket)).ok()
    }

    /// Returns how an address without a port compares; `None` if this one has a port.
    pub(super) fn order_of_ip(self, address: IpAddr) -> Option<Ordering> {
        match self {
            Address::Ip(wanted) => Some(address.cmp(&wanted)),
            Address::Socket(_) => None,
            Address::Prefix(wanted, len) => Some(order_of_prefix(address, wanted, len)),
        }
    }

    /// Returns how an address with a port compares. If this one has no port, any will do.
    pub(super) fn order_of(self, address: SocketAddr) -> Ordering {
        match self {
            Address::Ip(wanted) => address.ip().cmp(&wanted),
            Address::Socket(wanted) => address.cmp(&wanted),
            Address::Prefix(wanted, len) => order_of_prefix(address.ip(), wanted, len),
        }
    }

    /// Returns how a text that is an address compares with a prefix; `None` if this is none, or the text is none.
    pub(super) fn order_of_text(self, text: &str) -> Option<Ordering> {
        let Address::Prefix(..) = self else { return None };
        match Address::parse(text)? {
            Address::Ip(address) => self.order_of_ip(address),
            Address::Socket(address) => Some(self.order_of(address)),
            Address::Prefix(..) => None,
        }
    }
}

/// Returns how an address compares with those of a prefix. Addresses of IPv4 are before those of IPv6.
fn order_of_prefix(address: IpAddr, wanted: IpAddr, len: u8) -> Ordering {
    let first_bits = |bits: u128, width: u32| bits.checked_shr(width - u32::from(len)).unwrap_or(0);
    match (address, wanted) {
        (IpAddr::V4(address), IpAddr::V4(wanted)) => {
            let [address, wanted] = [address, wanted].map(|address| first_bits(address.to_bits().into(), 32));
            address.cmp(&wanted)
        }
        (IpAddr::V6(address), IpAddr::V6(wanted)) => {
            let [address, wanted] = [address, wanted].map(|address| first_bits(address.to_bits(), 128));
            address.cmp(&wanted)
        }
        (address, wanted) => address.cmp(&wanted),
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
