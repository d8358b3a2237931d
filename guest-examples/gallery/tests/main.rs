//! Tests of the codecs that speak protocols of others: each is built, tested, checked and served as
//! its README says, and programs of others use it.

mod gallery;
