//! Guests that mean harm: each ends its own connection and nothing else.

mod calls;
mod load;
mod memory;
mod text;
mod trial;
