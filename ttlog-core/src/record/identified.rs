//! How identifiers, addresses and times are packed; [`native`](super::native) reads them back.
//!
//! # Format
//! docs/format.md §4.2, tags 22 to 26.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::time::Duration;

use super::native::{
    FAR_TIME, LONG_DURATION, NANOS_PER_SECOND, SECONDS_AND_NANOS_LEN, UnixTime, UuidBytes, V4, V6, V6_SCOPED,
};
use super::packed::{Packer, is_short, short_varint, varint_len};
use super::types::Type;
use super::value::{Native, Sealed};

impl Sealed for UuidBytes {}
impl Native for UuidBytes {
    const TYPE: Type = Type::Uuid;
    const WIDE_WORDS: usize = 2;
    const SMALL_LEN_MAX: usize = 16;
    #[inline(always)]
    fn packed_len(&self, _cap: usize) -> usize {
        16
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        let [first, last] = self.words();
        packer.put_bits(first, 64);
        packer.put_bits(last, 64);
    }
    #[inline(always)]
    fn put_wide(&self, packer: &mut Packer) {
        let [first, last] = self.words();
        packer.put_word(first);
        packer.put_word(last);
    }
}

#[inline(always)]
fn put_v4(packer: &mut Packer, address: Ipv4Addr) {
    packer.put_bits(u64::from(V4) | u64::from(u32::from_le_bytes(address.octets())) << 8, 40);
}

#[inline(always)]
fn put_v6(packer: &mut Packer, first: u8, address: Ipv6Addr) {
    let bits = u128::from_le_bytes(address.octets());
    packer.put_bits(u64::from(first), 8);
    packer.put_bits(bits as u64, 64);
    packer.put_bits((bits >> 64) as u64, 64);
}

impl Sealed for IpAddr {}
impl Native for IpAddr {
    const TYPE: Type = Type::Ip;
    const SMALL_LEN_MAX: usize = 17;
    #[inline(always)]
    fn packed_len(&self, _cap: usize) -> usize {
        if self.is_ipv4() { 5 } else { 17 }
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        match *self {
            IpAddr::V4(address) => put_v4(packer, address),
            IpAddr::V6(address) => put_v6(packer, V6, address),
        }
    }
}

fn is_scoped(address: &SocketAddrV6) -> bool {
    address.flowinfo() != 0 || address.scope_id() != 0
}

impl Sealed for SocketAddr {}
impl Native for SocketAddr {
    const TYPE: Type = Type::Socket;
    const SMALL_LEN_MAX: usize = 27;
    #[inline(always)]
    fn packed_len(&self, _cap: usize) -> usize {
        match self {
            SocketAddr::V4(_) => 7,
            SocketAddr::V6(address) if is_scoped(address) => 27,
            SocketAddr::V6(_) => 19,
        }
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        match self {
            SocketAddr::V4(address) => {
                put_v4(packer, *address.ip());
                packer.put_bits(address.port().into(), 16);
            }
            SocketAddr::V6(address) => {
                put_v6(packer, if is_scoped(address) { V6_SCOPED } else { V6 }, *address.ip());
                packer.put_bits(address.port().into(), 16);
                if is_scoped(address) {
                    packer.put_bits(address.flowinfo().into(), 32);
                    packer.put_bits(address.scope_id().into(), 32);
                }
            }
        }
    }
}

/// Returns the nanoseconds of a duration that is shorter than 584 years, else [`LONG_DURATION`].
#[inline(always)]
fn duration_ns(duration: Duration) -> u64 {
    let ns = duration.as_secs().checked_mul(NANOS_PER_SECOND.into());
    ns.and_then(|ns| ns.checked_add(duration.subsec_nanos().into())).unwrap_or(LONG_DURATION)
}

impl Sealed for Duration {}
impl Native for Duration {
    const TYPE: Type = Type::Duration;
    const SMALL_LEN_MAX: usize = 7;
    #[inline(always)]
    fn is_small(&self) -> bool {
        is_short(duration_ns(*self))
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        let (varint, bits) = short_varint(duration_ns(*self));
        packer.put_loose(varint, bits);
    }
    #[inline(always)]
    fn packed_len(&self, _cap: usize) -> usize {
        match duration_ns(*self) {
            LONG_DURATION => varint_len(LONG_DURATION) + SECONDS_AND_NANOS_LEN,
            ns => varint_len(ns),
        }
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        let ns = duration_ns(*self);
        packer.put_varint(ns);
        if ns == LONG_DURATION {
            packer.put_bits(self.as_secs(), 64);
            packer.put_bits(self.subsec_nanos().into(), 32);
        }
    }
}

impl Sealed for UnixTime {}
impl Native for UnixTime {
    const TYPE: Type = Type::Time;
    const SMALL_LEN_MAX: usize = 8;
    #[inline(always)]
    fn is_small(&self) -> bool {
        self.near_ns() != FAR_TIME
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        packer.put_loose(self.near_ns() as u64, 64);
    }
    #[inline(always)]
    fn packed_len(&self, _cap: usize) -> usize {
        if self.is_small() { 8 } else { 8 + SECONDS_AND_NANOS_LEN }
    }
    #[inline(always)]
    fn pack(&self, packer: &mut Packer, _cap: usize) {
        packer.put_bits(self.near_ns() as u64, 64);
        if !self.is_small() {
            packer.put_bits(self.secs() as u64, 64);
            packer.put_bits(self.subsec_nanos().into(), 32);
        }
    }
}
