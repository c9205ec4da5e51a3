//! The address that the server listens on. Owns its errors and how it is written for clients.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::TcpListener;

use crate::exit::{Exit, Trouble};

/// How many ports are tried for one to propose.
const PORTS_TRIED: u16 = 20;

/// Listens, or says what is in the way.
pub(crate) async fn listen(host: &str, port: u16) -> Result<TcpListener> {
    let error = match TcpListener::bind((host, port)).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let trouble = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let free = free_after(host, port).await;
            let port_named = free.map_or_else(|| "PORT".to_owned(), |port| port.to_string());
            Trouble::new(Exit::Conflict, format!("port {port} on {host} is in use"))
                .because("another program listens there; it may be another `automagik up`")
                .then(format!("choose another: automagik up --port {port_named}"))
        }
        std::io::ErrorKind::PermissionDenied => {
            Trouble::new(Exit::Failed, format!("port {port} on {host} may not be used"))
                .because(error.to_string())
                .then("choose one above 1023: automagik up --port 8888")
        }
        _ => Trouble::usage(format!("cannot listen on {host} port {port}"))
            .because(error.to_string())
            .then("name an address of this machine: --host 127.0.0.1, or 0.0.0.0 for all"),
    };
    Err(trouble.into())
}

/// A port above this one that nobody has at the moment, among the next few.
async fn free_after(host: &str, port: u16) -> Option<u16> {
    let first = port.checked_add(1)?.max(1024);
    for port in first..=first.saturating_add(PORTS_TRIED) {
        if TcpListener::bind((host, port)).await.is_ok() {
            return Some(port);
        }
    }
    None
}

/// The address as a client on this machine writes it.
pub(crate) fn url_of(address: SocketAddr) -> String {
    let ip = address.ip();
    let port = address.port();
    match (ip.is_unspecified(), ip.is_ipv6()) {
        (true, false) => format!("http://127.0.0.1:{port}"),
        (true, true) => format!("http://[::1]:{port}"),
        (false, _) => format!("http://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_a_client_writes_it() {
        let table = [
            ("127.0.0.1:8888", "http://127.0.0.1:8888"),
            ("0.0.0.0:8888", "http://127.0.0.1:8888"),
            ("192.168.1.5:80", "http://192.168.1.5:80"),
            ("[::]:8888", "http://[::1]:8888"),
            ("[::1]:8888", "http://[::1]:8888"),
        ];
        for (address, url) in table {
            assert_eq!(url_of(address.parse().unwrap()), url, "{address}");
        }
    }

    #[tokio::test]
    async fn a_port_in_use_is_a_conflict_with_a_way_out() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen("127.0.0.1", port).await.unwrap_err();
        let trouble = error.downcast_ref::<Trouble>().unwrap();
        assert_eq!(trouble.exit, Exit::Conflict);
        let proposed = trouble.next[0].rsplit(' ').next().unwrap().parse::<u16>();
        let proposed = proposed.expect("there is a free one");
        assert!(TcpListener::bind(("127.0.0.1", proposed)).await.is_ok(), "{proposed} is free");
        assert_eq!(trouble.next.len(), 1, "{trouble:?}");
    }
}
