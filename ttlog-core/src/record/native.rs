//! Native values of identifiers, addresses and times: how they are packed and read back.
//!
//! # Format
//! docs/format.md §4.2, tags 22 to 26.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

use super::packed::{Packer, Unpacker, is_short, short_varint, varint_len};
use super::types::Type;
use super::value::{Native, Sealed};
use crate::error::ValueError;

/// A UUID by its 16 bytes, in the order of its text. With the feature `uuid`, values of the `uuid` crate can be fields
/// as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UuidBytes(pub [u8; 16]);

impl UuidBytes {
    #[inline(always)]
    fn words(&self) -> [u64; 2] {
        let bits = u128::from_le_bytes(self.0);
        [bits as u64, (bits >> 64) as u64]
    }
}

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

/// First byte of an IPv4 address, alone or with a port.
const V4: u8 = 4;
/// First byte of an IPv6 address, alone or with a port.
const V6: u8 = 6;
/// First byte of an IPv6 address with a port, flow information and scope.
const V6_SCOPED: u8 = 7;

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

const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// In place of the nanoseconds of a duration: seconds and nanoseconds follow.
const LONG_DURATION: u64 = u64::MAX;
/// In place of the nanoseconds of a time: seconds and nanoseconds follow.
const FAR_TIME: i64 = i64::MIN;
/// Bytes of these seconds and nanoseconds.
pub(super) const SECONDS_AND_NANOS_LEN: usize = 12;

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

/// A time of the wall clock. With the feature `std`, a `SystemTime` can be a field as it is.
///
/// ```
/// # use ttlog_core::UnixTime;
/// let half_a_second_before_1970 = UnixTime::from_nanos(-500_000_000);
/// assert_eq!((half_a_second_before_1970.secs(), half_a_second_before_1970.subsec_nanos()), (-1, 500_000_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    secs: i64,
    /// Below 10^9.
    nanos: u32,
}

impl UnixTime {
    /// Creates the time that is `secs` seconds after 1970-01-01T00:00:00Z, or before if negative, and `nanos`
    /// nanoseconds later. `None` if there are 10^9 of these or more.
    #[must_use]
    pub const fn new(secs: i64, nanos: u32) -> Option<Self> {
        if nanos < NANOS_PER_SECOND { Some(UnixTime { secs, nanos }) } else { None }
    }

    /// Creates the time that is `ns` nanoseconds after 1970-01-01T00:00:00Z, or before if negative.
    #[must_use]
    pub const fn from_nanos(ns: i64) -> Self {
        let per_second = NANOS_PER_SECOND as i64;
        UnixTime { secs: ns.div_euclid(per_second), nanos: ns.rem_euclid(per_second) as u32 }
    }

    /// Returns the seconds since 1970-01-01T00:00:00Z, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.secs
    }

    /// Returns the nanoseconds since that second, below 10^9.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// Returns the nanoseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn as_nanos(self) -> i128 {
        self.secs as i128 * NANOS_PER_SECOND as i128 + self.nanos as i128
    }

    /// Returns the nanoseconds of a time between 1677 and 2262, else [`FAR_TIME`].
    #[inline(always)]
    fn near_ns(self) -> i64 {
        // One second less than possible, so that the sum cannot overflow either.
        const SECS_MAX: i64 = i64::MAX / NANOS_PER_SECOND as i64 - 1;
        if self.secs.unsigned_abs() > SECS_MAX as u64 {
            return FAR_TIME;
        }
        self.secs * i64::from(NANOS_PER_SECOND) + i64::from(self.nanos)
    }
}

#[cfg(any(test, feature = "std"))]
impl From<std::time::SystemTime> for UnixTime {
    #[inline]
    fn from(time: std::time::SystemTime) -> Self {
        // No platform has times that do not fit.
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => UnixTime { secs: after.as_secs() as i64, nanos: after.subsec_nanos() },
            Err(error) => {
                let before = error.duration();
                match before.subsec_nanos() {
                    0 => UnixTime { secs: before.as_secs().wrapping_neg() as i64, nanos: 0 },
                    // One second less than the negative number, which rounds towards zero.
                    nanos => UnixTime { secs: !before.as_secs() as i64, nanos: NANOS_PER_SECOND - nanos },
                }
            }
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
            packer.put_bits(self.secs as u64, 64);
            packer.put_bits(self.nanos.into(), 32);
        }
    }
}

// ----------------------------------------------------------------------------------------------------------------
// reading

pub(super) fn decode_ip(from: &mut Unpacker<'_>) -> Result<IpAddr, ValueError> {
    match from.byte().ok_or(ValueError::TooShort)? {
        V4 => decode_v4(from).map(IpAddr::V4),
        V6 => decode_v6(from).map(IpAddr::V6),
        _ => Err(ValueError::BadValue),
    }
}

fn decode_v4(from: &mut Unpacker<'_>) -> Result<Ipv4Addr, ValueError> {
    from.array().map(|octets: [u8; 4]| octets.into()).ok_or(ValueError::TooShort)
}

fn decode_v6(from: &mut Unpacker<'_>) -> Result<Ipv6Addr, ValueError> {
    from.array().map(|octets: [u8; 16]| octets.into()).ok_or(ValueError::TooShort)
}

pub(super) fn decode_socket(from: &mut Unpacker<'_>) -> Result<SocketAddr, ValueError> {
    let short = ValueError::TooShort;
    let first = from.byte().ok_or(short)?;
    let number = |from: &mut Unpacker<'_>| from.array().map(u32::from_le_bytes).ok_or(ValueError::TooShort);
    Ok(match first {
        V4 => {
            let address = decode_v4(from)?;
            SocketAddrV4::new(address, u16::from_le_bytes(from.array().ok_or(short)?)).into()
        }
        V6 | V6_SCOPED => {
            let address = decode_v6(from)?;
            let port = u16::from_le_bytes(from.array().ok_or(short)?);
            let (flow, scope) = if first == V6 { (0, 0) } else { (number(from)?, number(from)?) };
            SocketAddrV6::new(address, port, flow, scope).into()
        }
        _ => return Err(ValueError::BadValue),
    })
}

pub(super) fn decode_duration(from: &mut Unpacker<'_>) -> Result<Duration, ValueError> {
    match from.varint().ok_or(ValueError::TooShort)? {
        LONG_DURATION => {
            let (secs, nanos) = decode_seconds(from)?;
            Ok(Duration::new(secs, nanos))
        }
        ns => Ok(Duration::from_nanos(ns)),
    }
}

pub(super) fn decode_time(from: &mut Unpacker<'_>) -> Result<UnixTime, ValueError> {
    match from.word().ok_or(ValueError::TooShort)? as i64 {
        FAR_TIME => {
            let (secs, nanos) = decode_seconds(from)?;
            Ok(UnixTime { secs: secs as i64, nanos })
        }
        ns => Ok(UnixTime::from_nanos(ns)),
    }
}

/// Reads seconds, and nanoseconds below 10^9.
fn decode_seconds(from: &mut Unpacker<'_>) -> Result<(u64, u32), ValueError> {
    let secs = from.word().ok_or(ValueError::TooShort)?;
    let nanos = from.array().map(u32::from_le_bytes).ok_or(ValueError::TooShort)?;
    if nanos < NANOS_PER_SECOND { Ok((secs, nanos)) } else { Err(ValueError::BadValue) }
}

// ----------------------------------------------------------------------------------------------------------------
// masking

/// Masks a value of one of these types as [`mask_packed`](super::mask::mask_packed) does: whether an address is one of
/// IPv4, and how a duration or a time is encoded, does not change.
pub(super) fn mask_native(tag: u8, bytes: &mut [u8], mask: bool) -> Option<usize> {
    let mut from = Unpacker::new(bytes);
    let kept = match tag {
        22 => from.bytes(16).map(|_| 0)?,
        23 => decode_ip(&mut from).map(|_| 1).ok()?,
        24 => decode_socket(&mut from).map(|_| 1).ok()?,
        25 => {
            let is_long = Unpacker::new(bytes).varint()? == LONG_DURATION;
            decode_duration(&mut from).map(|_| if is_long { varint_len(LONG_DURATION) } else { 0 }).ok()?
        }
        26 => {
            let is_far = Unpacker::new(bytes).word()? as i64 == FAR_TIME;
            decode_time(&mut from).map(|_| if is_far { 8 } else { 0 }).ok()?
        }
        _ => return None,
    };
    let len = bytes.len() - from.rest().len();
    if mask {
        let varint_form = if tag == 25 { bytes[0] & 7 } else { 0 };
        bytes[kept..len].fill(0);
        bytes[0] |= varint_form;
    }
    Some(len)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::record::mask::mask_packed;
    use crate::record::value::{ValueRef, decode_packed};

    /// A value of each form, as bytes, and the same with zeros in place of what is secret.
    fn values() -> Vec<(u8, Vec<u8>, Vec<u8>)> {
        let bytes = |parts: &[&[u8]]| parts.concat();
        let (v4, v6) = ([10, 1, 2, 3], [0x20; 16]);
        let seconds_and_nanos = [1, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xc9, 0x9a, 0x3b];
        let long = [7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let far = i64::MIN.to_le_bytes();
        std::vec![
            (22, [7; 16].to_vec(), [0; 16].to_vec()),
            (23, bytes(&[&[4], &v4]), bytes(&[&[4], &[0; 4]])),
            (23, bytes(&[&[6], &v6]), bytes(&[&[6], &[0; 16]])),
            (24, bytes(&[&[4], &v4, &[80, 1]]), bytes(&[&[4], &[0; 6]])),
            (24, bytes(&[&[6], &v6, &[80, 1]]), bytes(&[&[6], &[0; 18]])),
            (24, bytes(&[&[7], &v6, &[80, 1], &[9; 8]]), bytes(&[&[7], &[0; 26]])),
            (25, [0xf8].to_vec(), [0].to_vec()),
            (25, [2, 0, 1].to_vec(), [2, 0, 0].to_vec()),
            (25, [7, 1, 2, 3, 4, 5, 6, 7, 8].to_vec(), [7, 0, 0, 0, 0, 0, 0, 0, 0].to_vec()),
            (25, bytes(&[&long, &seconds_and_nanos]), bytes(&[&long, &[0; 12]])),
            (26, 5_i64.to_le_bytes().to_vec(), [0; 8].to_vec()),
            (26, bytes(&[&far, &seconds_and_nanos]), bytes(&[&far, &[0; 12]])),
        ]
    }

    #[test]
    fn masked_values_keep_their_form_and_nothing_else() {
        for (tag, mut bytes, masked) in values() {
            let len = bytes.len();
            bytes.extend([0xEE; 3]); // the payload goes on
            assert_eq!(mask_packed(&[tag], &mut bytes.clone(), false), Some(len));
            assert_eq!(mask_packed(&[tag], &mut bytes, true), Some(len), "{tag}");
            assert_eq!(bytes, [&masked[..], &[0xEE; 3]].concat(), "{tag}");
            let mut from = Unpacker::new(&bytes);
            assert!(
                decode_packed(core::slice::from_ref(&tag), &mut from).is_ok() && from.rest() == [0xEE; 3],
                "{tag}: {masked:?}"
            );
        }
    }

    #[test]
    fn cut_and_changed_values_are_read_or_refused() {
        for (tag, bytes, _) in values() {
            for len in 0..bytes.len() {
                let read = decode_packed(core::slice::from_ref(&tag), &mut Unpacker::new(&bytes[..len]));
                assert!(read.is_err() || tag == 25 && len > 0, "{tag}: {len} of {bytes:?}");
                let masked = mask_packed(&[tag], &mut bytes[..len].to_vec(), true);
                assert_eq!(masked.is_some(), read.is_ok(), "{tag}: {len} of {bytes:?}");
            }
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let mut from = Unpacker::new(&bytes);
                let read =
                    decode_packed(core::slice::from_ref(&tag), &mut from).ok().map(|_| bytes.len() - from.rest().len());
                assert_eq!(mask_packed(&[tag], &mut bytes.clone(), false), read, "{tag}: bit {bit}");
            }
        }
    }

    #[test]
    fn seconds_have_less_than_a_second_of_nanoseconds() {
        for (tag, marker) in [(25, &[7, 255, 255, 255, 255, 255, 255, 255, 255][..]), (26, &i64::MIN.to_le_bytes())] {
            let bytes = |nanos: u32| [marker, &[0; 8], &nanos.to_le_bytes()].concat();
            let read = |bytes: &[u8]| decode_packed(&[tag], &mut Unpacker::new(bytes)).map(|_| ());
            assert_eq!(read(&bytes(999_999_999)), Ok(()));
            assert_eq!(read(&bytes(1_000_000_000)), Err(ValueError::BadValue));
        }
        assert_eq!(UnixTime::new(0, 1_000_000_000), None);
    }

    #[test]
    fn system_times_on_both_sides_of_1970() {
        let at = |time: std::time::SystemTime| (UnixTime::from(time).secs(), UnixTime::from(time).subsec_nanos());
        let epoch = std::time::UNIX_EPOCH;
        assert_eq!(at(epoch + Duration::new(5, 100)), (5, 100));
        assert_eq!(at(epoch - Duration::new(5, 0)), (-5, 0));
        assert_eq!(at(epoch - Duration::new(5, 100)), (-6, 999_999_900));
        for ns in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(UnixTime::from_nanos(ns).as_nanos(), ns.into());
        }
        assert_eq!(ValueRef::Time(UnixTime::from_nanos(-1)), ValueRef::Time(UnixTime { secs: -1, nanos: 999_999_999 }));
    }
}
