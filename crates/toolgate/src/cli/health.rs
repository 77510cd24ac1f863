//! `toolgate health`: asks a gateway's data port whether it answers, for health checks of containers and supervisors.
//! What goes on inside a gateway: `status.rs`.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::{CliError, GatewayOptions, output};
use crate::config::Wanted;

/// Longest wait for each step; Docker gives a check 30 s by default.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The beginning of the answer that is read: its first line is all that counts.
const READ_BYTES: u64 = 256;

/// Options of `health`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    gateway: GatewayOptions,
}

pub(super) fn run(options: &Options) -> Result<ExitCode, CliError> {
    let listening = match options.gateway.listen {
        Some(address) => address,
        None => options.gateway.whereabouts(Wanted::Clients)?.clients,
    };
    let address = reachable(listening);
    let no_gateway = |reason: String| CliError::Gateway(format!("no gateway answers on {address}: {reason}"));
    let answer = ask(address).map_err(|error| no_gateway(error.to_string()))?;
    match status_code(&answer) {
        Some("200") => output::print("ok")?,
        Some(other) => {
            return Err(no_gateway(format!("it answers with HTTP status {}", output::printable(other))));
        }
        None => return Err(no_gateway("the answer is not HTTP".to_owned())),
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns where a gateway that listens on `address` is reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut reachable = address;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => reachable.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => reachable.set_ip(Ipv6Addr::LOCALHOST.into()),
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
    }
    reachable
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&address, TIMEOUT)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.take(READ_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

fn status_code(answer: &[u8]) -> Option<&str> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_on_every_address_is_asked_on_loopback() {
        for (listening, asked) in [
            ("0.0.0.0:8787", "127.0.0.1:8787"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("127.0.0.1:9", "127.0.0.1:9"),
        ] {
            let address: SocketAddr = listening.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), asked);
        }
    }

    #[test]
    fn only_the_status_line_counts() {
        assert_eq!(status_code(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Some("200"));
        assert_eq!(status_code(b"HTTP/1.0 503 Service Unavailable\r\n"), Some("503"));
        assert_eq!(status_code(b"SSH-2.0-x\r\n"), None);
        assert_eq!(status_code(b""), None);
        assert_eq!(status_code(b"HTTP/1.1 200 \xff\r\n"), None);
    }
}
