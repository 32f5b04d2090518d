//! A run-time side for the macros that only notes its arguments, so that the expansion is tested alone.
//!
//! A test file has `mod support; pub use support::__private;`, because the macros use `$crate::__private`. The front
//! ends are those of ttlog-core, included from there.

#![allow(dead_code, unreachable_pub)] // each test file uses a part
// Public only because the macros reach it from the crate root.
#![allow(missing_docs, missing_debug_implementations, clippy::missing_panics_doc)]

#[path = "../../../ttlog-core/src/macros.rs"]
#[macro_use]
mod macros;

use std::cell::{Cell, RefCell};
use std::fmt;

/// An event as text: level, target if it is not the module, message in quotes, then the fields.
pub type Taken = String;

thread_local! {
    static TAKEN: RefCell<Vec<Taken>> = const { RefCell::new(Vec::new()) };
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Runs `events` and returns what it recorded.
pub fn record_of(events: impl FnOnce()) -> Vec<Taken> {
    TAKEN.take();
    events();
    TAKEN.take()
}

/// Runs `events` while every callsite is off, and returns what it recorded all the same.
pub fn record_of_disabled(events: impl FnOnce()) -> Vec<Taken> {
    ENABLED.set(false);
    let taken = record_of(events);
    ENABLED.set(true);
    taken
}

/// A type that only its implementations of the mock's traits know.
pub struct OnlyValue;

impl __private::Value for OnlyValue {
    fn native(&self) -> String {
        "value OnlyValue".to_owned()
    }
}

/// Implements `Display` and nothing else.
pub struct OnlyDisplay(pub &'static str);

impl fmt::Display for OnlyDisplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Implements `Debug` and nothing else.
#[derive(Debug)]
pub struct OnlyDebug;

/// An error.
#[derive(Debug)]
pub struct Failure;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl std::error::Error for Failure {}

/// The names that the expansion uses, in the shape of ttlog-core.
pub mod __private {
    use std::error::Error;
    use std::fmt::{Debug, Display};

    pub use ttlog_macros::event;

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub enum Level {
        Trace,
        Debug,
        Info,
        Warn,
        Error,
    }

    /// As if the ceiling at compile time were Debug.
    pub const fn level_enabled(level: Level) -> bool {
        !matches!(level, Level::Trace)
    }

    pub const fn is_priority(level: Level) -> bool {
        matches!(level, Level::Warn | Level::Error)
    }

    pub struct Metadata {
        pub level: Level,
        pub target: &'static str,
        pub message: &'static str,
        pub file: &'static str,
        pub line: u32,
        pub fields: &'static [Field],
    }

    pub struct Field {
        name: &'static str,
        literal: Option<Literal>,
        secret: bool,
        shown: Shown,
        is_span: bool,
    }

    #[derive(Clone, Copy)]
    pub enum Role {
        Span,
    }

    #[derive(Clone, Copy)]
    pub enum Shown {
        Plain,
        Display,
        Debug,
    }

    impl Field {
        pub const fn dynamic(name: &'static str) -> Self {
            Self { name, literal: None, secret: false, shown: Shown::Plain, is_span: false }
        }

        pub const fn literal(name: &'static str, value: Literal) -> Self {
            Self { name, literal: Some(value), secret: false, shown: Shown::Plain, is_span: false }
        }

        pub const fn id(name: &'static str, _: Role) -> Self {
            Self { name, literal: None, secret: false, shown: Shown::Plain, is_span: true }
        }

        pub const fn secret(mut self) -> Self {
            self.secret = true;
            self
        }

        pub const fn shown(mut self, shown: Shown) -> Self {
            self.shown = shown;
            self
        }
    }

    #[derive(Debug)]
    pub enum Literal {
        Bool(bool),
        U64(u64),
        I64(i64),
        U128(u128),
        I128(i128),
        F64(f64),
        Str(&'static str),
        Char(char),
    }

    pub struct Callsite(&'static Metadata);

    impl Callsite {
        pub const fn new(metadata: &'static Metadata) -> Self {
            Self(metadata)
        }

        pub fn is_enabled(&self) -> bool {
            super::ENABLED.get()
        }
    }

    pub fn record<const PRIORITY: bool, F: Fields>(callsite: &'static Callsite, fields: F) {
        let Metadata { level, target, message, file, line, fields: names } = *callsite.0;
        assert_eq!(PRIORITY, is_priority(level), "what is known at compile time and at run time");
        assert!(file.ends_with(".rs") && line > 0, "{file}:{line}");
        let mut text = format!("{level:?} ");
        let module = file.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).expect("a file name");
        if target.split("::").next() != Some(module) {
            text.push_str(&format!("[{target}] "));
        }
        text.push_str(&format!("{message:?}"));
        let mut values = Vec::new();
        fields.append_to(&mut values);
        let mut values = values.into_iter();
        for Field { name, literal, secret, shown, is_span } in names {
            let value = match literal {
                Some(literal) => format!("{literal:?}"),
                None => values.next().expect("a value for every field that is no literal"),
            };
            if *is_span {
                // The span that the context is in is a matter of course.
                text.push_str(&if value == CURRENT { String::new() } else { format!(" in({value})") });
                continue;
            }
            let mark = if *secret { "secret " } else { "" };
            let sigil = match shown {
                Shown::Plain => "",
                Shown::Display => "%",
                Shown::Debug => "?",
            };
            text.push_str(&format!(" {mark}{name}={sigil}{value}"));
        }
        assert_eq!(values.next(), None, "a value without a field");
        super::TAKEN.with_borrow_mut(|taken| taken.push(text));
    }

    const CURRENT: &str = "the current span";

    pub const NO_SPAN: String = String::new();

    pub fn current_id() -> String {
        CURRENT.to_owned()
    }

    pub fn event_parent(parent: &impl Debug) -> String {
        format!("{parent:?}")
    }

    pub trait Fields {
        fn append_to(self, values: &mut Vec<String>);
    }

    pub struct Nil;

    pub struct Cons<H, T>(pub H, pub T);

    impl Fields for Nil {
        fn append_to(self, _values: &mut Vec<String>) {}
    }

    impl<T: Fields> Fields for Cons<String, T> {
        fn append_to(self, values: &mut Vec<String>) {
            values.push(self.0);
            self.1.append_to(values);
        }
    }

    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be a field",
        label = "no value",
        note = "write `%` or `?`"
    )]
    pub trait Value {
        fn native(&self) -> String;
    }

    macro_rules! values {
        ($($rust:ty),*) => {$(
            impl Value for $rust {
                fn native(&self) -> String {
                    format!("{} {self:?}", stringify!($rust))
                }
            }
        )*};
    }
    values!(bool, u8, u32, u64, usize, i32, f64, char, str, String);

    impl<T: Value + ?Sized> Value for &T {
        fn native(&self) -> String {
            T::native(self)
        }
    }

    pub struct Text(&'static str, String);

    impl Value for Text {
        fn native(&self) -> String {
            format!("{} {}", self.0, self.1)
        }
    }

    pub fn display<T: Display + ?Sized>(value: &T) -> Text {
        Text("display", value.to_string())
    }

    pub fn debug<T: Debug + ?Sized>(value: &T) -> Text {
        Text("debug", format!("{value:?}"))
    }

    pub struct Bare<'a, T: ?Sized>(pub &'a T);
    pub struct Templ<'a, T: ?Sized>(pub &'a T);
    pub struct TemplDebug<'a, T: ?Sized>(pub &'a T);
    pub struct AsDisplay<'a, T: ?Sized>(pub &'a T);
    pub struct AsDebug<'a, T: ?Sized>(pub &'a T);

    pub trait Readable: Value {}
    impl Readable for u32 {}
    impl Readable for str {}
    impl<T: Readable + ?Sized> Readable for &T {}

    pub trait ViaValue {
        type Held;
        fn ttlog_hold(&self) -> Self::Held;
    }
    pub trait ViaError {
        fn ttlog_hold(&self) -> Text;
    }
    pub trait ViaDisplay {
        fn ttlog_hold(&self) -> Text;
    }
    pub trait ViaDebug {
        fn ttlog_hold(&self) -> Text;
    }
    pub trait ViaNothing {
        type Held;
        fn ttlog_hold(&self) -> Self::Held;
    }

    impl<'a, T: Value + ?Sized> ViaValue for &&&Bare<'a, T> {
        type Held = &'a T;
        fn ttlog_hold(&self) -> &'a T {
            self.0
        }
    }
    impl<'a, T: Value + ?Sized> ViaValue for &&Templ<'a, T> {
        type Held = &'a T;
        fn ttlog_hold(&self) -> &'a T {
            self.0
        }
    }
    impl<'a, T: Value + ?Sized> ViaValue for &&TemplDebug<'a, T> {
        type Held = &'a T;
        fn ttlog_hold(&self) -> &'a T {
            self.0
        }
    }
    impl<T: Error> ViaError for &&Bare<'_, T> {
        fn ttlog_hold(&self) -> Text {
            Text("error", self.0.to_string())
        }
    }
    impl ViaError for &Bare<'_, Box<dyn Error>> {
        fn ttlog_hold(&self) -> Text {
            Text("boxed error", self.0.to_string())
        }
    }
    impl<T: Display + ?Sized> ViaDisplay for &Templ<'_, T> {
        fn ttlog_hold(&self) -> Text {
            display(self.0)
        }
    }
    impl<T: Debug + ?Sized> ViaDebug for &TemplDebug<'_, T> {
        fn ttlog_hold(&self) -> Text {
            debug(self.0)
        }
    }
    impl<'a, T: Readable + ?Sized> ViaValue for &AsDisplay<'a, T> {
        type Held = &'a T;
        fn ttlog_hold(&self) -> &'a T {
            self.0
        }
    }
    impl<'a, T: Readable + ?Sized> ViaValue for &AsDebug<'a, T> {
        type Held = &'a T;
        fn ttlog_hold(&self) -> &'a T {
            self.0
        }
    }
    pub trait ViaOwnDisplay {
        type Of: ?Sized;
        fn ttlog_hold(&self) -> Text
        where
            Self::Of: Display;
    }
    pub trait ViaOwnDebug {
        type Of: ?Sized;
        fn ttlog_hold(&self) -> Text
        where
            Self::Of: Debug;
    }
    impl<T: ?Sized> ViaOwnDisplay for AsDisplay<'_, T> {
        type Of = T;
        fn ttlog_hold(&self) -> Text
        where
            T: Display,
        {
            display(self.0)
        }
    }
    impl<T: ?Sized> ViaOwnDebug for AsDebug<'_, T> {
        type Of = T;
        fn ttlog_hold(&self) -> Text
        where
            T: Debug,
        {
            debug(self.0)
        }
    }
    // Without a bound on `T`, so that lookup ends here and the error is that `T` is no `Value`.
    macro_rules! via_nothing {
        ($($wrapper:ident),*) => {$(
            impl<'a, T: ?Sized> ViaNothing for $wrapper<'a, T> {
                type Held = &'a T;
                fn ttlog_hold(&self) -> &'a T {
                    self.0
                }
            }
        )*};
    }
    via_nothing!(Bare, Templ, TemplDebug);
}
