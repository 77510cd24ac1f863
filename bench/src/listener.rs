//! Listening sockets and runtimes for the parts that serve: several listeners may share one port.

use std::{io, net::SocketAddr, net::TcpListener};

use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::runtime::{Builder, Runtime};

/// Connections that wait to be accepted; far above the connections of any scenario.
const BACKLOG: i32 = 1_024;

/// Opens a non-blocking listener that shares its port with others (`SO_REUSEPORT`).
/// The kernel then spreads connections over them by a hash of the peer's address.
///
/// # Errors
/// Fails when the port is taken by a listener that does not share it.
pub fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Builds a runtime that lives on the calling thread alone.
///
/// # Errors
/// Fails when the kernel gives no poll instance.
pub fn current_thread() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
