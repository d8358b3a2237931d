//! Traces: spans of connections, requests, handlers and services.
//!
//! Without the feature `otel` there are no spans, and the same calls do nothing. With it, the
//! decision whether to trace is made before any span is built, and touches nothing that
//! connections share.

#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod otel;
#[cfg(feature = "otel")]
mod sampling;

#[cfg(not(feature = "otel"))]
pub(crate) use self::off::{Attached, ConnectionTrace, Link, RequestTrace, Trace, Traces};
#[cfg(feature = "otel")]
pub(crate) use self::otel::{Attached, ConnectionTrace, Link, RequestTrace, Trace};
#[cfg(feature = "otel")]
pub use self::otel::{TraceContext, Traces};
#[cfg(feature = "otel")]
pub use self::sampling::Sampling;
