//! The platform: how sockets are made and accepted, chosen here and nowhere else.
//!
//! `accept4.rs` makes one system call where the system has one, `accept.rs` is for the rest; both offer `stream_socket`,
//! `accept`, `in_progress`, `is_connected`, `is_transient` and `is_out_of_resources`.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "accept4.rs"]
mod imp;

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "accept.rs"]
mod imp;

pub(crate) use imp::{
    accept, in_progress, is_connected, is_out_of_resources, is_transient, stream_socket,
};
