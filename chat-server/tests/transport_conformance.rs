//! The portable WebSocket route carries what every transport must: chat-core's suite, over real
//! sockets.

mod conformance;

use chat_core::testkit::check_transport;
use conformance::SocketTransport;

#[actix_web::test]
async fn the_portable_route_carries_everything() {
    let report = check_transport(async |engine, _| SocketTransport::new(&engine)).await;
    report.assert_passed();
    let skipped: Vec<_> = report.skipped().map(|(case, _)| case).collect();
    assert_eq!(skipped, ["members_invite_through_the_transport"], "{report}");
}
