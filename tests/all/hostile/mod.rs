//! Guests that mean harm: each ends its own connection and nothing else.

mod calls;
mod limits;
mod load;
mod memory;
mod siege;
mod text;
mod trial;
