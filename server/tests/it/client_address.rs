//! The client's own address through `osbackend gateway`: what the server behind it counts by, and tells in its log.

use std::net::Ipv4Addr;

use crate::support::{Connecting, SECRET, Served, osbackend, user_token};

const ADA: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const BOB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// A server for one connection an address, which trusts these proxies, and the gateway before it.
async fn behind_gateway(trusted: &str) -> (Served, Served) {
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "0"]);
    command.env("JWT_SECRET", SECRET).env("MAX_CONNECTIONS_PER_IP", "1").env("TRUSTED_PROXIES", trusted);
    command.env("RUST_LOG", "info,osbackend_server::gateway=debug");
    let served = Served::start(command).await;
    let mut command = osbackend(&["gateway", "--host", "127.0.0.1", "--port", "0", "--drain", "0"]);
    command.env("WS_UPSTREAM", format!("ws://{}", served.ws));
    (served, Served::start(command).await)
}

#[tokio::test]
async fn clients_of_a_trusted_gateway_are_counted_by_their_own_addresses() {
    let (mut served, gateway) = behind_gateway("127.0.0.1").await;
    let from = |address: Ipv4Addr| Connecting::new(gateway.http).query(&user_token("ada")).from(address);
    let mut ada = from(ADA).open().await;
    ada.expect("connection_established").await;
    assert!(served.logged("connection opened").await.contains("address=127.0.0.2"));
    let mut bob = from(BOB).open().await;
    bob.expect("connection_established").await;
    assert!(served.logged("connection opened").await.contains("address=127.0.0.3"));
    // A second one of an address is one too many, whatever it says about itself.
    for forged in ["192.0.2.9", "127.0.0.4", "127.0.0.1"] {
        let mut again = from(ADA).header("x-forwarded-for", forged).open().await;
        again.expect_error("limit_reached").await;
        again.expect_close(4005, "connection_limit").await;
    }
    ada.is_alive().await;
    bob.is_alive().await;
}

#[tokio::test]
async fn without_trust_a_gateway_is_one_client() {
    let (_served, gateway) = behind_gateway("10.0.0.0/8").await;
    let from = |address: Ipv4Addr| Connecting::new(gateway.http).query(&user_token("ada")).from(address);
    let mut first = from(ADA).open().await;
    first.expect("connection_established").await;
    let mut other = from(BOB).open().await;
    other.expect_error("limit_reached").await;
    other.expect_close(4005, "connection_limit").await;
    first.is_alive().await;
}
