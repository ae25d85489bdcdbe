//! The door from outside.

mod http;
