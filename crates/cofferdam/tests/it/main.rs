//! The built binary as people and programs use it: commands, their output and their exit codes.

mod check;
mod cli;
mod explain;
mod gateway;
mod init;
mod operate;
mod rest;
mod up;
mod wrap;

type Tested = Result<(), Box<dyn std::error::Error>>;
