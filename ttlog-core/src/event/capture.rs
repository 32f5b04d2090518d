//! Captures the arguments of log macros as native values.
//!
//! [`Value`] maps types to native ones. A value without a native form is formatted once, into a bounded buffer on the
//! stack, *before* a record is reserved. So a `Display` impl can log, panic or take long without harm to the ring.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::time::Duration;

use super::walk::Walk;
use crate::record::native::{UnixTime, UuidBytes};
use crate::record::packed::{Packer, SHORT_LEN_MAX, len_head, length_len};
use crate::record::types::Type;
use crate::record::value::{Bytes, FormattedText, Native, Sealed};

/// A type that can be a field.
///
/// Derive it for your own structs and enums. Their values are recorded as they are, member by member; the names are
/// stored once per callsite. The guide to the [log macros](crate::info) shows what readers make of it.
///
/// ```
/// use ttlog_core::{Value, info};
///
/// #[derive(Value)]
/// struct Order<'a> {
///     customer: Customer,
///     lines: &'a [(&'a str, u32)],
///     state: State,
///     #[value(rename = "via")]
///     channel: Option<&'a str>,
///     #[value(skip)]
///     cache: std::cell::RefCell<Vec<u8>>,
/// }
///
/// #[derive(Value)]
/// struct Customer {
///     id: CustomerId,
///     #[value(secret)]
///     card: u64,
///     #[value(debug)]
///     kind: Kind,
/// }
///
/// #[derive(Value)]
/// struct CustomerId(u64); // recorded as a u64
///
/// #[derive(Value)]
/// enum State {
///     Open,
///     Paid { cents: u64 },
/// }
///
/// #[derive(Debug)]
/// enum Kind { Retail }
///
/// let customer = Customer { id: CustomerId(7), card: 4111, kind: Kind::Retail };
/// let lines = &[("tea", 2), ("cups", 6)];
/// let order = Order { customer, lines, state: State::Paid { cents: 995 }, channel: None, cache: Default::default() };
/// info!("accepted", order); // order={customer: {id: 7, card: <withheld>, kind: Retail}, lines: [("tea", 2), …
/// ```
///
/// | attribute of a field | effect |
/// | --- | --- |
/// | `#[value(skip)]` | not recorded |
/// | `#[value(secret)]` | marked as secret: withheld by readers and from snapshots, like a field of that name |
/// | `#[value(rename = "…")]` | recorded under this name; also for a variant, and for the type itself |
/// | `#[value(display)]`, `#[value(debug)]` | recorded as the text of `Display` or `Debug` |
///
/// - A struct with one unnamed field, which is not secret, is recorded as what it holds. `#[value(transparent)]` on the
///   type does the same for a struct whose other fields are skipped.
/// - `#[value(crate = path)]` on the type names this crate (or ttlog-std, or ttlog-embedded) where it has another name.
/// - Type parameters and lifetimes are supported. Every field that is recorded natively has a type of which a sequence
///   could be recorded, too: one of those in the guide, or a type with this derive.
/// - A type that contains itself must mark the field with `skip`, `debug` or `display`.
/// - Texts of `display` and `debug` are made once, before anything is recorded, with room for 256 bytes in one field of
///   an event (64 where pointers are of 32 bits); longer ones are cut, and marked as cut. Such a type cannot be an
///   element of a sequence.
/// - A field of an event has at most 16 types nested in each other, and at most 2 KiB of names and types.
///
/// Or implement the trait to name the native type that represents yours. It can be a field then, but no member of a
/// type with the derive:
///
/// ```
/// struct OrderId(u64);
///
/// impl ttlog_core::Value for OrderId {
///     type Native<'a> = u64;
///     fn native(&self) -> u64 {
///         self.0
///     }
/// }
/// ttlog_core::info!("order accepted", order = OrderId(7));
/// ```
///
/// `native` runs in the log call, so it should be as cheap as reading a field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of an event",
    label = "no native encoding for this type",
    note = "write `%value` to record it with `Display`, `?value` with `Debug`, or derive `Value` for it"
)]
pub trait Value {
    /// Native type that represents this type in a record.
    type Native<'a>: Native
    where
        Self: 'a;

    /// Returns the native value.
    fn native(&self) -> Self::Native<'_>;
}

/// A value that can be a part of another one: an element of a sequence, a member of a tuple or of a type with
/// `#[derive(Value)]`. Implemented by that derive, not by hand.
///
/// # Safety
/// - For an unchanged value, every call of `walk` visits the same values in the same order, and every call of
///   [`Value::native`] returns a native value of the same length: the length is measured before it is packed.
/// - They are those that `TYPE` describes.
/// - If `BLOCK_LEN` is not 0, it is the size of the type, which has no padding.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a part of a field's value",
    label = "no native encoding as a part of a value",
    note = "derive `Value` for it, or mark it `#[value(display)]`, `#[value(debug)]` or `#[value(skip)]` where it is a \
            field of a type with `#[derive(Value)]`; write `?value` to record a whole sequence with `Debug`"
)]
pub unsafe trait Element: Value {
    /// Type as recorded for readers, the same as that of the native value.
    #[doc(hidden)]
    const TYPE: Type;
    /// Whether it has members that are formatted when it is captured.
    #[doc(hidden)]
    const IS_FORMATTED: bool = false;
    /// Number of bytes that a value has both in memory and in a record, which are the same bytes on a little-endian
    /// target; 0: they differ, or depend on the value.
    #[doc(hidden)]
    const BLOCK_LEN: usize = 0;
    /// Visits the native values that it consists of.
    #[doc(hidden)]
    fn walk<W: Walk>(&self, walk: &mut W);
}

macro_rules! element {
    ($($rust:ty: $block_len:expr),* $(,)?) => {$(
        // SAFETY: the value is copied, or its length is part of the reference. Those with a block are numbers, bools
        // and chars.
        unsafe impl Element for $rust {
            const TYPE: Type = <<$rust as Value>::Native<'static> as Native>::TYPE;
            const BLOCK_LEN: usize = if cfg!(target_endian = "little") { $block_len } else { 0 };
            #[inline(always)]
            fn walk<W: Walk>(&self, walk: &mut W) {
                walk.leaf(self.native());
            }
        }
    )*};
}
element! {
    bool: 1, char: 4, u8: 1, u16: 2, u32: 4, u128: 16, i8: 1, i16: 2, i32: 4, i128: 16, f32: 4, f64: 8,
    u64: 0, usize: 0, i64: 0, isize: 0, (): 0, str: 0,
    core::num::NonZeroU8: 1, core::num::NonZeroU16: 2, core::num::NonZeroU32: 4, core::num::NonZeroU64: 0,
    core::num::NonZeroU128: 16, core::num::NonZeroUsize: 0,
    core::num::NonZeroI8: 1, core::num::NonZeroI16: 2, core::num::NonZeroI32: 4, core::num::NonZeroI64: 0,
    core::num::NonZeroI128: 16, core::num::NonZeroIsize: 0,
    IpAddr: 0, Ipv4Addr: 0, Ipv6Addr: 0, SocketAddr: 0, SocketAddrV4: 0, SocketAddrV6: 0, Duration: 0, UuidBytes: 0,
    UnixTime: 0,
}
#[cfg(any(test, feature = "std"))]
element!(std::time::SystemTime: 0);
#[cfg(feature = "uuid")]
element!(uuid::Uuid: 0);

// SAFETY: as for the macro above.
unsafe impl Element for Bytes<'_> {
    const TYPE: Type = Type::Bytes;
    #[inline(always)]
    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.leaf(*self);
    }
}

// SAFETY: whether there is a value does not change, and the rest follows from `T`.
unsafe impl<T: Element> Element for Option<T> {
    const TYPE: Type = Type::Option(&T::TYPE);
    const IS_FORMATTED: bool = T::IS_FORMATTED;
    #[inline(always)]
    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.leaf(self.is_some());
        if let Some(value) = self {
            value.walk(walk);
        }
    }
}

// SAFETY: the number of elements does not change, and the rest follows from `T`.
unsafe impl<T: Element> Element for [T] {
    const TYPE: Type = Elements::<T>::TYPE_OF_SEQUENCE;
    #[inline(always)]
    fn walk<W: Walk>(&self, walk: &mut W) {
        walk.leaf(Elements(self));
    }
}

macro_rules! element_deref {
    ($($(#[$attribute:meta])* ($($generics:tt)*) $rust:ty => $target:ty;)*) => {$(
        $(#[$attribute])*
        // SAFETY: follows from the target. These pointers return the same target every time.
        unsafe impl<$($generics)*> Element for $rust {
            const TYPE: Type = <$target as Element>::TYPE;
            const IS_FORMATTED: bool = <$target as Element>::IS_FORMATTED;
            #[inline(always)]
            fn walk<W: Walk>(&self, walk: &mut W) {
                <$target as Element>::walk(self, walk);
            }
        }
    )*};
}
element_deref! {
    (T: Element, const N: usize) [T; N] => [T];
    (T: Element + ?Sized) &T => T;
    (T: Element + ?Sized) &mut T => T;
    #[cfg(feature = "alloc")] () alloc::string::String => str;
    #[cfg(feature = "alloc")] (T: Element) alloc::vec::Vec<T> => [T];
    #[cfg(feature = "alloc")] (T: Element + ?Sized) alloc::boxed::Box<T> => T;
    #[cfg(feature = "alloc")] (T: Element + ?Sized) alloc::rc::Rc<T> => T;
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))] (T: Element + ?Sized) alloc::sync::Arc<T> => T;
    (const N: usize) heapless::String<N> => str;
}

#[cfg(feature = "alloc")]
// SAFETY: follows from the target: a type that is its own owner is borrowed as it is.
unsafe impl<T: Element + Clone> Element for alloc::borrow::Cow<'_, T> {
    const TYPE: Type = T::TYPE;
    const IS_FORMATTED: bool = T::IS_FORMATTED;
    #[inline(always)]
    fn walk<W: Walk>(&self, walk: &mut W) {
        <T as Element>::walk(self, walk);
    }
}

#[cfg(feature = "alloc")]
// SAFETY: as for `String`.
unsafe impl Element for alloc::borrow::Cow<'_, str> {
    const TYPE: Type = Type::Str;
    #[inline(always)]
    fn walk<W: Walk>(&self, walk: &mut W) {
        <str as Element>::walk(self, walk);
    }
}

/// Maximum number of bytes of a sequence that the hot path takes.
pub(super) const SMALL_BLOCK_MAX: usize = 512;

/// Elements of a sequence, as one value. Their members cannot be formatted, because there is no place for an unknown
/// number of texts:
///
/// ```compile_fail,E0080
/// #[derive(ttlog_core::Value)]
/// struct Shown {
///     #[value(display)]
///     text: String,
/// }
/// ttlog_core::info!("a list", list = [Shown { text: String::new() }]);
/// ```
#[derive(Debug)]
pub struct Elements<'a, T>(pub(crate) &'a [T]);

// Not derived, because `derive` would require `T: Copy`.
impl<T> Clone for Elements<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Elements<'_, T> {}

impl<T: Element> Elements<'_, T> {
    const TYPE_OF_SEQUENCE: Type = {
        assert!(
            !T::IS_FORMATTED,
            "elements of a sequence cannot have members with `#[value(display)]` or `#[value(debug)]`"
        );
        assert!(!T::TYPE.takes_no_bytes(), "elements of a sequence cannot be without contents, such as `()`");
        Type::Sequence(&T::TYPE)
    };

    /// Returns the number of leading elements that fit into `cap` bytes, and their length in bytes.
    fn fitting(&self, cap: usize) -> (usize, usize) {
        if let Some(most) = cap.checked_div(T::BLOCK_LEN) {
            let count = self.0.len().min(most);
            return (count, count * T::BLOCK_LEN);
        }
        let mut len = 0;
        for (index, element) in self.0.iter().enumerate() {
            let next = len + element.native().packed_len(cap);
            if next > cap {
                return (index, len);
            }
            len = next;
        }
        (self.0.len(), len)
    }

    /// Returns the number of elements kept under `cap`, and the original number if they are fewer.
    fn kept(&self, cap: usize) -> (usize, Option<u32>) {
        let count = if cap == usize::MAX { self.0.len() } else { self.fitting(cap).0 };
        (count, (count < self.0.len()).then(|| u32::try_from(self.0.len()).unwrap_or(u32::MAX)))
    }

    /// Returns the first `count` elements as they are in a record, if their type permits.
    #[inline(always)]
    fn block(&self, count: usize) -> Option<&[u8]> {
        let block = &self.0[..count];
        // SAFETY: a type with a `BLOCK_LEN` is a number, a bool or a char, which has no padding, and of that size.
        let bytes = || unsafe { core::slice::from_raw_parts(block.as_ptr().cast::<u8>(), size_of_val(block)) };
        (T::BLOCK_LEN > 0).then(bytes)
    }

    fn pack_elements(&self, packer: &mut Packer, count: usize, cap: usize) {
        if let Some(bytes) = self.block(count) {
            return packer.put_bytes(bytes);
        }
        for element in &self.0[..count] {
            element.native().pack(packer, cap);
        }
    }
}

impl<T> Sealed for Elements<'_, T> {}
impl<T: Element> Native for Elements<'_, T> {
    const TYPE: Type = Self::TYPE_OF_SEQUENCE;
    const HEAD_LEN: usize = 1;
    const SMALL_LEN_MAX: usize = 1;
    const CONTENT_LEN_MAX: usize = if T::BLOCK_LEN > 0 { SMALL_BLOCK_MAX } else { 0 };
    #[inline(always)]
    fn is_small(&self) -> bool {
        T::BLOCK_LEN > 0 && self.0.len() <= SHORT_LEN_MAX && size_of_val(self.0) <= SMALL_BLOCK_MAX
    }
    #[inline(always)]
    fn content_len(&self) -> usize {
        self.block(self.0.len()).map_or(0, <[u8]>::len)
    }
    #[inline(always)]
    fn pack_small(&self, packer: &mut Packer) {
        packer.put_loose(self.small_head(), 8);
        self.pack_small_tail(packer);
    }
    #[inline(always)]
    fn small_head(&self) -> u64 {
        self.0.len() as u64
    }
    #[inline(always)]
    fn pack_small_tail(&self, packer: &mut Packer) {
        if let Some(bytes) = self.block(self.0.len()) {
            packer.put_bytes_loose(bytes);
        }
    }
    fn packed_len(&self, cap: usize) -> usize {
        let (count, len) = self.fitting(cap);
        length_len(count, count < self.0.len()) + len
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        let (count, full_len) = self.kept(cap);
        packer.put_len(count, full_len);
        self.pack_elements(packer, count, cap);
    }
    fn head(&self, cap: usize) -> u64 {
        let (count, full_len) = self.kept(cap);
        len_head(count, full_len)
    }
    fn pack_tail(&self, packer: &mut Packer, cap: usize) {
        let (count, full_len) = self.kept(cap);
        packer.put_len_tail(count, full_len);
        self.pack_elements(packer, count, cap);
    }
}

macro_rules! value_itself {
    ($($rust:ty),*) => {$(
        impl Value for $rust {
            type Native<'a> = $rust;
            #[inline(always)]
            fn native(&self) -> $rust {
                *self
            }
        }
    )*};
}
value_itself!(bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, char, ());
value_itself!(IpAddr, SocketAddr, Duration, UuidBytes, UnixTime);

macro_rules! value_as {
    ($($(#[$attribute:meta])* $rust:ty => $native:ty, |$value:ident| $mapped:expr;)*) => {$(
        $(#[$attribute])*
        impl Value for $rust {
            type Native<'a> = $native;
            #[inline(always)]
            fn native(&self) -> $native {
                let $value = self;
                $mapped
            }
        }
    )*};
}
value_as! {
    usize => u64, |v| *v as u64;
    isize => i64, |v| *v as i64;
    core::num::NonZeroU8 => u8, |v| v.get();
    core::num::NonZeroU16 => u16, |v| v.get();
    core::num::NonZeroU32 => u32, |v| v.get();
    core::num::NonZeroU64 => u64, |v| v.get();
    core::num::NonZeroU128 => u128, |v| v.get();
    core::num::NonZeroUsize => u64, |v| v.get() as u64;
    core::num::NonZeroI8 => i8, |v| v.get();
    core::num::NonZeroI16 => i16, |v| v.get();
    core::num::NonZeroI32 => i32, |v| v.get();
    core::num::NonZeroI64 => i64, |v| v.get();
    core::num::NonZeroI128 => i128, |v| v.get();
    core::num::NonZeroIsize => i64, |v| v.get() as i64;
    Ipv4Addr => IpAddr, |v| IpAddr::V4(*v);
    Ipv6Addr => IpAddr, |v| IpAddr::V6(*v);
    SocketAddrV4 => SocketAddr, |v| SocketAddr::V4(*v);
    SocketAddrV6 => SocketAddr, |v| SocketAddr::V6(*v);
    #[cfg(any(test, feature = "std"))] std::time::SystemTime => UnixTime, |v| UnixTime::from(*v);
    #[cfg(feature = "uuid")] uuid::Uuid => UuidBytes, |v| UuidBytes(v.into_bytes());
}

impl Value for str {
    type Native<'a> = &'a str;
    #[inline(always)]
    fn native(&self) -> &str {
        self
    }
}

impl Value for Bytes<'_> {
    type Native<'a>
        = Bytes<'a>
    where
        Self: 'a;
    #[inline(always)]
    fn native(&self) -> Bytes<'_> {
        *self
    }
}

impl<T: Value> Value for Option<T> {
    type Native<'a>
        = Option<T::Native<'a>>
    where
        Self: 'a;
    #[inline(always)]
    fn native(&self) -> Self::Native<'_> {
        self.as_ref().map(|value| value.native())
    }
}

impl<T: Element> Value for [T] {
    type Native<'a>
        = Elements<'a, T>
    where
        Self: 'a;
    #[inline(always)]
    fn native(&self) -> Elements<'_, T> {
        Elements(self)
    }
}

impl<T: Element, const N: usize> Value for [T; N] {
    type Native<'a>
        = Elements<'a, T>
    where
        Self: 'a;
    #[inline(always)]
    fn native(&self) -> Elements<'_, T> {
        Elements(self)
    }
}

macro_rules! value_deref {
    ($($(#[$attribute:meta])* ($($generics:tt)*) $rust:ty => $target:ty;)*) => {$(
        $(#[$attribute])*
        impl<$($generics)*> Value for $rust {
            type Native<'a> = <$target as Value>::Native<'a> where Self: 'a;
            #[inline(always)]
            fn native(&self) -> Self::Native<'_> {
                <$target as Value>::native(self)
            }
        }
    )*};
}
value_deref! {
    (T: Value + ?Sized) &T => T;
    (T: Value + ?Sized) &mut T => T;
    #[cfg(feature = "alloc")] () alloc::string::String => str;
    #[cfg(feature = "alloc")] (T: Element) alloc::vec::Vec<T> => [T];
    #[cfg(feature = "alloc")] (T: Value + ?Sized) alloc::boxed::Box<T> => T;
    #[cfg(feature = "alloc")] (T: Value + ?Sized) alloc::rc::Rc<T> => T;
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))] (T: Value + ?Sized) alloc::sync::Arc<T> => T;
    #[cfg(feature = "alloc")] (T: Value + ?Sized + alloc::borrow::ToOwned) alloc::borrow::Cow<'_, T> => T;
    (const N: usize) heapless::String<N> => str;
}

/// Size of the buffer for formatted text, in bytes, on the stack of the log call.
pub const FORMAT_ROOM: usize = if cfg!(target_pointer_width = "64") { 1024 } else { 128 };

/// Text formatted into a bounded buffer; text that does not fit is cut at a character boundary and counted.
#[derive(Debug)]
struct Room {
    text: heapless::String<FORMAT_ROOM>,
    /// Number of bytes offered so far, stored or not.
    offered: usize,
}

impl Room {
    fn new() -> Self {
        Room { text: heapless::String::new(), offered: 0 }
    }

    fn full_len(&self) -> Option<u32> {
        (self.offered > self.text.len()).then(|| u32::try_from(self.offered).unwrap_or(u32::MAX))
    }
}

impl Write for Room {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // After a cut nothing more is stored: text with a hole in it would be wrong.
        let mut kept = if self.offered > self.text.len() { 0 } else { text.len().min(FORMAT_ROOM - self.text.len()) };
        while !text.is_char_boundary(kept) {
            kept -= 1;
        }
        self.offered += text.len();
        self.text.push_str(&text[..kept]).map_err(|_| fmt::Error)
    }
}

/// A formatted argument that lives for the duration of the log call.
#[derive(Debug)]
pub struct Formatted<const DEBUG: bool>(Room);

/// Formats `value` with `Display`, once. If the impl returns an error, the text ends there.
///
/// Runs the caller's code, which can do anything; nothing in the ring is reserved meanwhile.
#[inline(never)]
pub fn display<T: fmt::Display + ?Sized>(value: &T) -> Formatted<false> {
    let mut room = Room::new();
    let _ = write!(room, "{value}"); // on an error, the text before it is recorded
    Formatted(room)
}

/// Formats `value` with `Debug`, once. Otherwise like [`display`].
#[inline(never)]
pub fn debug<T: fmt::Debug + ?Sized>(value: &T) -> Formatted<true> {
    let mut room = Room::new();
    let _ = write!(room, "{value:?}"); // as in `display`
    Formatted(room)
}

impl<const DEBUG: bool> Value for Formatted<DEBUG> {
    type Native<'a> = FormattedText<'a, DEBUG>;
    #[inline(always)]
    fn native(&self) -> FormattedText<'_, DEBUG> {
        FormattedText { text: &self.0.text, full_len: self.0.full_len() }
    }
}

// The macros do not know the types of their arguments, but method lookup does: it tries a receiver before the value
// that the receiver points to. So `(&&&&&&&&Bare(&x)).ttlog_hold()` selects the impl for the most references that
// applies to the type of `x`. Those for errors are in `error_chain`.

/// A plain field: uses `Value`, else what it has of an error.
#[derive(Debug)]
pub struct Bare<'a, T: ?Sized>(pub &'a T);

/// An argument of `{}` or a number format in a template: uses `Value`, else `Display`.
#[derive(Debug)]
pub struct Templ<'a, T: ?Sized>(pub &'a T);

/// An argument of `{:?}` in a template: uses `Value`, else `Debug`.
#[derive(Debug)]
pub struct TemplDebug<'a, T: ?Sized>(pub &'a T);

/// Selects the native form.
pub trait ViaValue {
    /// Value that lives for the duration of the log call.
    type Held;
    /// Captures the argument.
    fn ttlog_hold(&self) -> Self::Held;
}

/// Selects `Display`.
pub trait ViaDisplay {
    /// Captures the argument.
    fn ttlog_hold(&self) -> Formatted<false>;
}

/// Selects `Debug`.
pub trait ViaDebug {
    /// Captures the argument.
    fn ttlog_hold(&self) -> Formatted<true>;
}

/// Selects nothing: rejects the argument with the diagnostic of [`Value`].
pub trait ViaNothing {
    /// Placeholder, never used.
    type Held;
    /// Never called.
    fn ttlog_hold(&self) -> Self::Held;
}

impl<'a, T: Value + ?Sized> ViaValue for &&&&&&&Bare<'a, T> {
    type Held = &'a T;
    #[inline(always)]
    fn ttlog_hold(&self) -> &'a T {
        self.0
    }
}

impl<'a, T: Value + ?Sized> ViaValue for &&Templ<'a, T> {
    type Held = &'a T;
    #[inline(always)]
    fn ttlog_hold(&self) -> &'a T {
        self.0
    }
}

impl<'a, T: Value + ?Sized> ViaValue for &&TemplDebug<'a, T> {
    type Held = &'a T;
    #[inline(always)]
    fn ttlog_hold(&self) -> &'a T {
        self.0
    }
}

impl<T: fmt::Display + ?Sized> ViaDisplay for &Templ<'_, T> {
    fn ttlog_hold(&self) -> Formatted<false> {
        display(self.0)
    }
}

impl<T: fmt::Debug + ?Sized> ViaDebug for &TemplDebug<'_, T> {
    fn ttlog_hold(&self) -> Formatted<true> {
        debug(self.0)
    }
}

macro_rules! via_nothing {
    ($($wrapper:ident),*) => {$(
        // Without a bound on `T`, so that the lookup ends here and the compiler rejects `Value::native` with its own
        // diagnostic.
        impl<'a, T: ?Sized> ViaNothing for $wrapper<'a, T> {
            type Held = &'a T;
            fn ttlog_hold(&self) -> &'a T {
                self.0
            }
        }
    )*};
}
via_nothing!(Bare, Templ, TemplDebug);
