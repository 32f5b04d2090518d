//! The error type: a text for whoever runs the benches.

/// A figure, or why there is none: something could not be set up, or an answer was wrong.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Fails with a formatted text unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}
pub(crate) use ensure;
