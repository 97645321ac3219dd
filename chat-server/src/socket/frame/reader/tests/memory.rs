//! What is kept of what is incomplete, and what a reader costs that has nothing to keep.

use super::*;

fn go_on(_: Incoming<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// What the buffers take, filled or not.
fn taken(reader: &Reader) -> usize {
    reader.rest.as_ref().map_or(0, |rest| {
        let message = rest.message.as_ref().map_or(0, |message| message.bytes.capacity());
        rest.header.capacity() + rest.control.capacity() + message
    })
}

#[test]
fn an_idle_reader_is_small_and_has_nothing_on_the_heap() {
    assert!(size_of::<Reader>() <= 24, "{} bytes", size_of::<Reader>());
    let mut reader = Reader::new(MOST);
    let bytes = [
        frame(TEXT, b"whole"),
        frame(FIRST_TEXT, b"a"),
        frame(PING, b"?"),
        frame(LAST, b"b"),
        frame(BINARY, &[0; 500]),
    ];
    for byte in bytes.concat() {
        assert_eq!(reader.read(&mut [byte], go_on), Ok(ControlFlow::Continue(())));
    }
    assert!(reader.rest.is_none());
    assert_eq!(reader.kept(), 0);
}

#[test]
fn buffers_grow_by_what_has_come_and_not_by_what_was_announced() {
    let most = 1 << 30;
    let mut reader = Reader::new(most);
    let mut header = header(TEXT, most as u64, [0; 4]);
    assert_eq!(reader.read(&mut header, go_on), Ok(ControlFlow::Continue(())));
    assert_eq!(reader.kept(), 0);
    assert!(taken(&reader) < 64, "{} bytes", taken(&reader));
    for round in 1..=100 {
        assert_eq!(reader.read(&mut [b'x'; 100], go_on), Ok(ControlFlow::Continue(())));
        assert_eq!(reader.kept(), round * 100);
        assert!(taken(&reader) <= 2 * reader.kept(), "{} bytes", taken(&reader));
    }
}

#[test]
fn buffers_never_take_more_than_a_message_may_have() {
    let mut reader = Reader::new(MOST);
    let mut bytes = [frame(FIRST_TEXT, b""), frame(CONTINUE, b"x").repeat(MOST)].concat();
    for piece in bytes.chunks_mut(13) {
        assert_eq!(reader.read(piece, go_on), Ok(ControlFlow::Continue(())));
        assert!(taken(&reader) <= MOST + LONGEST, "{} bytes", taken(&reader));
    }
    assert_eq!(reader.kept(), MOST);
    assert_eq!(reader.read(&mut frame(LAST, b"x"), go_on), Err(FrameError::TooBig));
    assert_eq!(taken(&reader), 0);
}

#[test]
fn a_frame_that_is_whole_is_not_copied() {
    let mut bytes = [frame(TEXT, b"one"), frame(BINARY, &[9; 300]), frame(PING, b"?")].concat();
    let within = bytes.as_ptr_range();
    let mut count = 0;
    let mut reader = Reader::new(MOST);
    let outcome = reader.read(&mut bytes, |incoming| {
        let payload = match incoming {
            Incoming::Text(text) => text.as_bytes(),
            Incoming::Binary(bytes) | Incoming::Ping(bytes) | Incoming::Pong(bytes) => bytes,
            Incoming::Close(_) => b"",
        };
        assert!(within.contains(&payload.as_ptr()), "{payload:?}");
        count += 1;
        ControlFlow::Continue(())
    });
    assert_eq!((outcome, count), (Ok(ControlFlow::Continue(())), 3));
}
