//! Tests of slots without a server.
