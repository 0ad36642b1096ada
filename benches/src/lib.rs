//! The workloads that `asyncio` and its peers are measured with, each written once.
//!
//! A workload is generic over a [`Runtime`](runtime::Runtime), which says how tasks are made, and its [`Kit`](kit::Kit),
//! which says how they sleep, talk and do I/O. An implementation of either is a list of one-line calls into the library it names,
//! so a reader can see in a page that nobody is asked for less than the others.
//!
//! The binary `asyncio-bench` runs them, compares them and counts; `README.md` holds the tables and says how.
#![deny(unsafe_code)]

pub mod baton;
pub mod catalogue;
pub mod kit;
pub mod process;
pub mod report;
pub mod runtime;
pub mod runtimes;
pub mod workloads;
