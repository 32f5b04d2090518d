//! Captures the arguments of log macros that are marked with `%` or `?`.
//!
//! The `Display` and `Debug` of std's own types depend on nothing but the value. So such a value is recorded natively,
//! the callsite says how it is to be shown ([`Shown`](super::metadata::Shown)), and readers make the text. Every other
//! type is formatted in the call, by its own impl, even if it implements [`Value`].

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::capture::{Element, Formatted, Value, ViaValue, debug, display};

mod sealed {
    pub trait DisplaySealed {}
    pub trait DebugSealed {}
}
use sealed::{DebugSealed, DisplaySealed};

/// A type whose `Display` readers can redo from the native value. Sealed, because they know only the impls of std.
pub trait ReadableDisplay: Value + DisplaySealed {}

/// A type whose `Debug` readers can redo from the native value. Sealed like [`ReadableDisplay`].
pub trait ReadableDebug: Value + DebugSealed {}

macro_rules! readable {
    ($readable:ident, $sealed:ident: $($(#[$attribute:meta])* ($($generics:tt)*) $rust:ty;)*) => {$(
        $(#[$attribute])*
        impl<$($generics)*> $sealed for $rust {}
        $(#[$attribute])*
        impl<$($generics)*> $readable for $rust {}
    )*};
}

/// Types that are readable in both ways.
macro_rules! readable_scalars {
    ($($rust:ty),*) => {
        readable!(ReadableDisplay, DisplaySealed: $(() $rust;)*);
        readable!(ReadableDebug, DebugSealed: $(() $rust;)*);
    };
}
readable_scalars!(bool, char, str, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
readable_scalars!(core::num::NonZeroU8, core::num::NonZeroU16, core::num::NonZeroU32, core::num::NonZeroU64);
readable_scalars!(core::num::NonZeroI8, core::num::NonZeroI16, core::num::NonZeroI32, core::num::NonZeroI64);
readable_scalars!(core::num::NonZeroU128, core::num::NonZeroI128, core::num::NonZeroUsize, core::num::NonZeroIsize);
readable_scalars!(IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6);
#[cfg(feature = "uuid")]
readable_scalars!(uuid::Uuid);

/// Types that hold others, readable in the way that these are.
macro_rules! readable_holders {
    ($readable:ident, $sealed:ident) => {
        readable! { $readable, $sealed:
            (T: $readable + ?Sized) &T;
            (T: $readable + ?Sized) &mut T;
            (const N: usize) heapless::String<N>;
            #[cfg(feature = "alloc")] () alloc::string::String;
            #[cfg(feature = "alloc")] (T: $readable + ?Sized) alloc::boxed::Box<T>;
            #[cfg(feature = "alloc")] (T: $readable + ?Sized) alloc::rc::Rc<T>;
            #[cfg(all(feature = "alloc", target_has_atomic = "ptr"))] (T: $readable + ?Sized) alloc::sync::Arc<T>;
            #[cfg(feature = "alloc")] (T: $readable + ?Sized + alloc::borrow::ToOwned) alloc::borrow::Cow<'_, T>;
        }
    };
}
readable_holders!(ReadableDisplay, DisplaySealed);
readable_holders!(ReadableDebug, DebugSealed);
readable! { ReadableDebug, DebugSealed:
    () ();
    () core::time::Duration;
    // Not as its `Debug`, which depends on the platform: as the time that it is.
    #[cfg(any(test, feature = "std"))] () std::time::SystemTime;
    (T: ReadableDebug) Option<T>;
    (T: ReadableDebug + Element) [T];
    (T: ReadableDebug + Element, const N: usize) [T; N];
    #[cfg(feature = "alloc")] (T: ReadableDebug + Element) alloc::vec::Vec<T>;
}

macro_rules! readable_tuples {
    ($(($($name:ident),+))*) => {
        readable!(ReadableDebug, DebugSealed: $(($($name: ReadableDebug),+) ($($name,)+);)*);
    };
}
readable_tuples! {
    (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) (A, B, C, D, E, F, G) (A, B, C, D, E, F, G, H)
    (A, B, C, D, E, F, G, H, I) (A, B, C, D, E, F, G, H, I, J) (A, B, C, D, E, F, G, H, I, J, K)
    (A, B, C, D, E, F, G, H, I, J, K, L)
}

// Chosen by method lookup, as in `capture`: by the number of references.

/// An argument marked with `%`: a readable value, else formatted with `Display`.
#[derive(Debug)]
pub struct AsDisplay<'a, T: ?Sized>(pub &'a T);

/// An argument marked with `?`: a readable value, else formatted with `Debug`.
#[derive(Debug)]
pub struct AsDebug<'a, T: ?Sized>(pub &'a T);

impl<'a, T: ReadableDisplay + ?Sized> ViaValue for &AsDisplay<'a, T> {
    type Held = &'a T;
    #[inline(always)]
    fn ttlog_hold(&self) -> &'a T {
        self.0
    }
}

impl<'a, T: ReadableDebug + ?Sized> ViaValue for &AsDebug<'a, T> {
    type Held = &'a T;
    #[inline(always)]
    fn ttlog_hold(&self) -> &'a T {
        self.0
    }
}

/// Selects `Display` for every other type. The bound is on the method, so that the compiler does not look further if it
/// is missing, and reports just that.
pub trait ViaOwnDisplay {
    /// Type of the argument.
    type Of: ?Sized;
    /// Captures the argument.
    fn ttlog_hold(&self) -> Formatted<false>
    where
        Self::Of: fmt::Display;
}

/// Selects `Debug`, like [`ViaOwnDisplay`].
pub trait ViaOwnDebug {
    /// Type of the argument.
    type Of: ?Sized;
    /// Captures the argument.
    fn ttlog_hold(&self) -> Formatted<true>
    where
        Self::Of: fmt::Debug;
}

impl<T: ?Sized> ViaOwnDisplay for AsDisplay<'_, T> {
    type Of = T;
    fn ttlog_hold(&self) -> Formatted<false>
    where
        T: fmt::Display,
    {
        display(self.0)
    }
}

impl<T: ?Sized> ViaOwnDebug for AsDebug<'_, T> {
    type Of = T;
    fn ttlog_hold(&self) -> Formatted<true>
    where
        T: fmt::Debug,
    {
        debug(self.0)
    }
}
