//! The ways out of the device: frames over byte streams, RTT channels and async writers.

pub mod dump;
#[cfg(feature = "rtt")]
pub mod rtt;
#[cfg(feature = "embedded-io-async")]
pub mod task;
#[cfg(all(test, any(feature = "rtt", all(feature = "embedded-io-async", feature = "embassy-time"))))]
mod testing;
