//! The listener as clients of raw TCP see it: each rule of the transport, with a scripted world behind it.

mod client;
mod connections;
mod fakes;
mod rules;
mod sessions;
mod streams;
