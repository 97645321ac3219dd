//! Both WebSocket transports carry what every transport must: chat-core's suite, over real sockets.

mod conformance;
mod support;

use chat_core::testkit::{Report, check_transport};
use conformance::SocketTransport;

/// What clients have words for has all been looked at.
fn passed(report: &Report) {
    report.assert_passed();
    let skipped: Vec<_> = report.skipped().map(|(case, _)| case).collect();
    assert_eq!(skipped, ["members_invite_through_the_transport"], "{report}");
}

#[actix_web::test]
async fn the_portable_route_carries_everything() {
    passed(&check_transport(async |engine, _| SocketTransport::portable(&engine)).await);
}

#[actix_web::test]
async fn the_direct_transport_carries_everything() {
    passed(&check_transport(async |engine, _| SocketTransport::direct(&engine, 1)).await);
}

#[actix_web::test]
async fn the_direct_transport_carries_everything_over_several_threads() {
    passed(&check_transport(async |engine, _| SocketTransport::direct(&engine, 3)).await);
}

#[actix_web::test]
async fn the_direct_transport_carries_everything_over_tls() {
    passed(&check_transport(async |engine, _| SocketTransport::direct_over_tls(&engine)).await);
}
