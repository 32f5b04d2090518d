//! Captures the arguments of log macros as native values.
//!
//! [`Value`] maps types to native ones. A value without a native form is formatted once, into a bounded buffer on the
//! stack, *before* a record is reserved. So a `Display` impl can log, panic or take long without harm to the ring.

use core::fmt::{self, Write};

use crate::record::packed::{Packer, length_len};
use crate::record::types::Type;
use crate::record::value::{Bytes, FormattedText, Native, Sealed};

/// A type that can be a field.
///
/// Implement it for your own types to name the native type that represents them:
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
    note = "write `%value` to record it with `Display`, `?value` with `Debug`, or implement `ttlog_core::Value` for it"
)]
pub trait Value {
    /// Native type that represents this type in a record.
    type Native<'a>: Native
    where
        Self: 'a;

    /// Returns the native value.
    fn native(&self) -> Self::Native<'_>;
}

/// A value that can be an element of a sequence. Sealed, because the lengths of elements are read more than once, and
/// foreign code might return different ones.
#[diagnostic::on_unimplemented(
    message = "a sequence of `{Self}` cannot be a field of an event",
    label = "elements are numbers, `bool`, `char`, texts, options and sequences of them",
    note = "write `?value` to record it with `Debug`"
)]
pub trait Element: Value + ElementSealed {}

mod element_sealed {
    pub trait ElementSealed {}
}
use element_sealed::ElementSealed;

macro_rules! element {
    ($($(#[$attribute:meta])* ($($generics:tt)*) $rust:ty;)*) => {$(
        $(#[$attribute])*
        impl<$($generics)*> ElementSealed for $rust {}
        $(#[$attribute])*
        impl<$($generics)*> Element for $rust {}
    )*};
}
element! {
    () bool; () char; () u8; () u16; () u32; () u64; () u128; () usize; () i8; () i16; () i32; () i64; () i128;
    () isize; () f32; () f64; () str; () Bytes<'_>;
    (T: Element) Option<T>; (T: Element) [T]; (T: Element, const N: usize) [T; N];
    (T: Element + ?Sized) &T;
    #[cfg(feature = "alloc")] () alloc::string::String;
    #[cfg(feature = "alloc")] (T: Element) alloc::vec::Vec<T>;
    #[cfg(feature = "alloc")] (T: Element + ?Sized) alloc::boxed::Box<T>;
    #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))] (T: Element + ?Sized) alloc::sync::Arc<T>;
}

/// Elements of a sequence, as one value.
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
    /// Returns the number of leading elements that fit into `cap` bytes, and their length in bytes.
    fn fitting(&self, cap: usize) -> (usize, usize) {
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
}

impl<T> Sealed for Elements<'_, T> {}
impl<'a, T: Element> Native for Elements<'a, T> {
    const TYPE: Type = Type::Sequence(&<T::Native<'a> as Native>::TYPE);
    const SMALL_LEN_MAX: usize = 0;
    fn is_small(&self) -> bool {
        false
    }
    fn packed_len(&self, cap: usize) -> usize {
        let (count, len) = self.fitting(cap);
        length_len(count, count < self.0.len()) + len
    }
    fn pack(&self, packer: &mut Packer, cap: usize) {
        let count = if cap == usize::MAX { self.0.len() } else { self.fitting(cap).0 };
        let full = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        packer.put_len(count, (count < self.0.len()).then_some(full));
        for element in &self.0[..count] {
            element.native().pack(packer, cap);
        }
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

macro_rules! value_as {
    ($($rust:ty => $native:ty, |$value:ident| $mapped:expr;)*) => {$(
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
    core::num::NonZeroUsize => u64, |v| v.get() as u64;
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
