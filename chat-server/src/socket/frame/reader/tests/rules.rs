//! Every rule of the standard, one by one.

use super::*;

/// These bytes deliver this and leave nothing incomplete.
fn delivers(bytes: &[u8], got: &[Got]) {
    let whole =
        Outcome { got: got.to_vec(), end: Ok(ControlFlow::Continue(())), is_mid_message: false };
    assert_eq!(read(bytes, MOST), whole, "{bytes:x?}");
}

/// These bytes, after these good ones, are found at fault at their last byte, and not before it.
fn fails_after(good: &[u8], bytes: &[u8], error: FrameError) {
    let all = [good, bytes].concat();
    let before = read(&all[..all.len() - 1], MOST);
    assert_eq!(before.end, Ok(ControlFlow::Continue(())), "too early: {bytes:x?}");
    let outcome = read(&all, MOST);
    assert_eq!(outcome.end, Err(error), "{bytes:x?}");
    assert_eq!(outcome.got, before.got, "{bytes:x?}");
}

fn fails(bytes: &[u8], error: FrameError) {
    fails_after(&[], bytes, error);
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

#[test]
fn messages_of_one_frame_are_delivered() {
    delivers(&frame(TEXT, "né 안녕 👋".as_bytes()), &[text("né 안녕 👋")]);
    delivers(&frame(TEXT, b""), &[text("")]);
    delivers(&frame(BINARY, b"\xff\x00"), &[Got::Binary(vec![0xff, 0])]);
    for length in [1, 7, 8, 9, 125, 126, 127, 999, MOST] {
        let long = "x".repeat(length);
        delivers(&frame(TEXT, long.as_bytes()), &[text(&long)]);
    }
    let two = [frame(TEXT, b"one"), frame(TEXT, b"two")].concat();
    delivers(&two, &[text("one"), text("two")]);
}

#[test]
fn a_message_longer_than_64_kib_is_delivered_if_it_is_allowed() {
    let payload: Vec<_> = (0..70_000_u32).map(|number| number as u8).collect();
    let outcome = read(&frame(BINARY, &payload), 70_000);
    assert_eq!(outcome.got, [Got::Binary(payload)]);
}

#[test]
fn control_frames_are_delivered() {
    delivers(&frame(PING, b"there?"), &[Got::Ping(b"there?".to_vec())]);
    delivers(&frame(PONG, b""), &[Got::Pong(Vec::new())]);
    delivers(&frame(PING, &[7; 125]), &[Got::Ping(vec![7; 125])]);
}

#[test]
fn fragments_are_put_together_with_control_frames_between_them() {
    let bytes = [
        frame(FIRST_TEXT, b"\xec"),
        frame(PING, b"1"),
        frame(CONTINUE, b"\x95"),
        frame(CONTINUE, b""),
        frame(PONG, b"2"),
        frame(LAST, b"\x88!"),
        frame(FIRST_BINARY, b""),
        frame(LAST, b"\xff"),
    ];
    let (ping, pong) = (Got::Ping(b"1".to_vec()), Got::Pong(b"2".to_vec()));
    delivers(&bytes.concat(), &[ping, pong, text("안!"), Got::Binary(vec![0xff])]);
}

#[test]
fn what_is_incomplete_is_said_to_be() {
    let whole = [frame(FIRST_TEXT, b"ab"), frame(PING, b"?"), frame(LAST, b"c")].concat();
    for end in 1..whole.len() {
        assert!(read(&whole[..end], MOST).is_mid_message, "after {end} bytes");
    }
    assert!(!read(&whole, MOST).is_mid_message);
    assert!(!read(&[], MOST).is_mid_message);
}

#[test]
fn the_first_byte_is_enough() {
    for reserved in [0x40, 0x20, 0x10, 0x70] {
        fails(&[TEXT | reserved], FrameError::Protocol);
        fails(&[PING | reserved], FrameError::Protocol);
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        fails(&[opcode], FrameError::Protocol);
        fails(&[0x80 | opcode], FrameError::Protocol);
    }
    for continued in [CONTINUE, LAST] {
        fails(&[continued], FrameError::Protocol);
        fails_after(&frame(TEXT, b"whole"), &[continued], FrameError::Protocol);
    }
    for begins in [TEXT, BINARY, FIRST_TEXT, FIRST_BINARY] {
        fails_after(&frame(FIRST_TEXT, b"{"), &[begins], FrameError::Protocol);
        fails_after(&frame(FIRST_BINARY, b""), &[begins], FrameError::Protocol);
    }
    for control in [CLOSE, PING, PONG] {
        fails(&[control & 0x7f], FrameError::Protocol);
    }
}

#[test]
fn the_second_byte_is_enough() {
    for first in [TEXT, BINARY, PING, CLOSE] {
        for length in [0, 5, 125, 126, 127] {
            fails(&[first, length], FrameError::Protocol);
        }
    }
    for control in [CLOSE, PING, PONG] {
        fails(&[control, 0x80 | 126], FrameError::Protocol);
        fails(&[control, 0x80 | 127], FrameError::Protocol);
    }
    fails(&[CLOSE, 0x80 | 1], FrameError::Protocol);
}

#[test]
fn lengths_are_said_in_as_few_bytes_as_they_can_be() {
    for length in [0_u16, 1, 125] {
        let header = [&[TEXT, 0x80 | 126][..], &length.to_be_bytes()].concat();
        fails(&header, FrameError::Protocol);
    }
    for length in [0_u64, 125, 126, 65_535] {
        let header = [&[BINARY, 0x80 | 127][..], &length.to_be_bytes()].concat();
        fails(&header, FrameError::Protocol);
    }
}

#[test]
fn what_is_too_big_is_found_before_the_mask() {
    for length in [1_001_u64, 65_535, 65_536, 1 << 40, i64::MAX as u64, 1 << 63, u64::MAX] {
        for first in [TEXT, BINARY, FIRST_TEXT] {
            let header = header(first, length, [0; 4]);
            fails(&header[..header.len() - 4], FrameError::TooBig);
        }
    }
    let first = frame(FIRST_TEXT, &[b'x'; 900]);
    for last in [CONTINUE, LAST] {
        fails_after(&first, &[last, 0x80 | 101], FrameError::TooBig);
    }
    let all = [&first[..], &frame(PING, &[b'?'; 125]), &frame(LAST, &[b'y'; 100])].concat();
    let text = Got::Text("x".repeat(900) + &"y".repeat(100));
    delivers(&all, &[Got::Ping(vec![b'?'; 125]), text]);
    let tiny = read(&frame(PING, b"1234"), 3);
    assert_eq!(tiny.end, Err(FrameError::TooBig), "a control frame is a frame");
}

#[test]
fn text_is_utf8_and_the_first_byte_that_is_not_is_enough() {
    for (good, bad) in [
        (&b""[..], 0xff),
        (b"\xc3", b'('),
        (b"", 0xc0),
        (b"\xe0", 0x9f),
        (b"\xed", 0xa0),
        (b"\xf0", 0x8f),
        (b"\xf4", 0x90),
        (b"\xf0\x9f\x98", b'x'),
        (b"", 0xf8),
        (b"fine so far, \xec\x95", 0x41),
    ] {
        let text = [good, &[bad]].concat();
        // Many bytes of the frame are still to come.
        let long = frame(TEXT, &[&text[..], &[b' '; 500]].concat());
        fails(&long[..8 + text.len()], FrameError::NotUtf8);
        fails(&frame(TEXT, &text), FrameError::NotUtf8);
        fails(&frame(FIRST_TEXT, &text), FrameError::NotUtf8);
        let first = [frame(FIRST_TEXT, good), frame(PING, b"")].concat();
        fails_after(&first, &frame(CONTINUE, &[bad]), FrameError::NotUtf8);
    }
    // Nothing is wrong with a cut character before the message's last byte.
    fails(&frame(TEXT, b"\xec\x95"), FrameError::NotUtf8);
    let cut = frame(FIRST_TEXT, b"\xec\x95");
    fails_after(&cut, &frame(LAST, b"")[..6], FrameError::NotUtf8);
    // Other messages need not be text.
    delivers(&frame(BINARY, b"\xff"), &[Got::Binary(vec![0xff])]);
}

#[test]
fn close_codes_are_looked_at() {
    let close = |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
    let ends = |bytes: &[u8], code: Option<u16>| {
        let outcome = read(bytes, MOST);
        assert_eq!(outcome.got, [Got::Close(code)], "{bytes:x?}");
        assert_eq!(outcome.end, Ok(ControlFlow::Break(())), "{bytes:x?}");
    };
    ends(&frame(CLOSE, b""), None);
    for code in 0..=u16::MAX {
        let is_good = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        if is_good {
            ends(&close(code, b""), Some(code));
        } else if code < 6_000 || code % 1_000 == 0 || code == u16::MAX {
            fails(&close(code, b""), FrameError::Protocol);
        }
    }
    ends(&close(1001, "작별".as_bytes()), Some(1001));
    ends(&close(1000, &[b'x'; 123]), Some(1000));
    fails(&close(1000, b"\xff"), FrameError::NotUtf8);
    fails(&close(1000, b"\xec\x95"), FrameError::NotUtf8);
    fails(&close(1005, b"\xff"), FrameError::Protocol);
}

#[test]
fn after_a_close_nothing_is_read() {
    let bytes = [frame(PING, b""), frame(CLOSE, b""), frame(TEXT, b"more"), vec![0xff]].concat();
    let outcome = read(&bytes, MOST);
    assert_eq!(outcome.got, [Got::Ping(Vec::new()), Got::Close(None)]);
    assert_eq!(outcome.end, Ok(ControlFlow::Break(())));
}

#[test]
fn nothing_is_read_after_the_end() {
    let read = |reader: &mut Reader, bytes: &[u8], flow: ControlFlow<()>| {
        let mut got = Vec::<Got>::new();
        let outcome = reader.read(&mut bytes.to_vec(), |incoming| {
            got.push(incoming.into());
            flow
        });
        (got, outcome)
    };
    let (more, stop) = (ControlFlow::Continue(()), ControlFlow::Break(()));
    let two = [frame(TEXT, b"one"), frame(TEXT, b"two")].concat();

    let mut stopped = Reader::new(MOST);
    assert_eq!(read(&mut stopped, &two, stop), (vec![text("one")], Ok(stop)));
    let mut failed = Reader::new(MOST);
    assert_eq!(read(&mut failed, &[0xff], more), (Vec::new(), Err(FrameError::Protocol)));
    let mut closed = Reader::new(MOST);
    assert_eq!(read(&mut closed, &frame(CLOSE, b""), more), (vec![Got::Close(None)], Ok(stop)));
    for reader in [&mut stopped, &mut failed, &mut closed] {
        assert_eq!(read(reader, &two, more), (Vec::new(), Ok(stop)));
        assert!(!reader.is_mid_message());
    }
}
