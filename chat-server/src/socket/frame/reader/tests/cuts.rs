//! Wherever the bytes are cut, the same comes of them: of messages what was written, of anything
//! else the same messages and the same error.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// One thing to write: a message cut into fragments, with control frames between them, or a control
/// frame of its own.
#[derive(Clone, Debug)]
enum Written {
    Message { got: Got, cuts: Vec<Index>, between: Vec<(Index, Got)> },
    Control(Got),
}

impl Written {
    /// The frames of it, and what must be read of them, in order.
    fn write(&self, mask: [u8; 4], bytes: &mut Vec<u8>, expected: &mut Vec<Got>) {
        let (got, cuts, between) = match self {
            Self::Control(got) => {
                expected.push(got.clone());
                return masked(got.first(), got.payload(), mask, bytes);
            }
            Self::Message { got, cuts, between } => (got, cuts, between),
        };
        let payload = got.payload();
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        ends.push(payload.len());
        ends.sort_unstable();
        let mut at = 0;
        for (number, end) in ends.iter().enumerate() {
            let last = if number + 1 == ends.len() { 0x80 } else { 0 };
            let opcode = if number == 0 { got.first() & 0x0f } else { CONTINUE };
            masked(last | opcode, &payload[at..*end], mask, bytes);
            at = *end;
            let here = |(place, _): &&(Index, Got)| place.index(ends.len()) == number;
            for (_, control) in between.iter().filter(|_| last == 0).filter(here) {
                masked(control.first(), control.payload(), mask, bytes);
                expected.push(control.clone());
            }
        }
        expected.push(got.clone());
    }
}

impl Got {
    fn first(&self) -> u8 {
        match self {
            Self::Text(_) => TEXT,
            Self::Binary(_) => BINARY,
            Self::Ping(_) => PING,
            Self::Pong(_) => PONG,
            Self::Close(_) => CLOSE,
        }
    }

    fn payload(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Ping(bytes) | Self::Pong(bytes) => bytes,
            Self::Close(_) => &[],
        }
    }
}

fn masked(first: u8, payload: &[u8], mask: [u8; 4], bytes: &mut Vec<u8>) {
    bytes.extend(header(first, payload.len() as u64, mask));
    bytes.extend(payload.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]));
}

fn control() -> impl Strategy<Value = Got> + Clone {
    let payload = prop_oneof![vec(any::<u8>(), 0..10), vec(any::<u8>(), 0..=125)];
    (payload, any::<bool>())
        .prop_map(|(bytes, ping)| if ping { Got::Ping(bytes) } else { Got::Pong(bytes) })
}

fn written() -> impl Strategy<Value = Written> {
    let text = |most: usize| vec(any::<char>(), 0..most).prop_map(String::from_iter);
    let message = prop_oneof![
        4 => text(20).prop_map(Got::Text),
        1 => text(249).prop_map(Got::Text),
        2 => vec(any::<u8>(), 0..30).prop_map(Got::Binary),
        1 => vec(any::<u8>(), 0..=MOST).prop_map(Got::Binary),
    ];
    let between = vec((any::<Index>(), control()), 0..4);
    prop_oneof![
        3 => (message, vec(any::<Index>(), 0..5), between)
            .prop_map(|(got, cuts, between)| Written::Message { got, cuts, between }),
        1 => control().prop_map(Written::Control),
    ]
}

/// What looks like a frame, and often is one: a first byte, what the second one says, a longer
/// length, and a payload of another one.
fn something() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        20 => proptest::sample::select(vec![
            TEXT, BINARY, FIRST_TEXT, FIRST_BINARY, CONTINUE, LAST, PING, PONG
        ]),
        2 => Just(CLOSE),
        1 => any::<u8>(),
    ];
    let mask = prop_oneof![Just([0; 4]), any::<[u8; 4]>()];
    let payload = prop_oneof![
        4 => vec(any::<char>(), 0..40).prop_map(|text| String::from_iter(text).into_bytes()),
        2 => vec(proptest::sample::select(b"a\xc3\xa9\xed\xa0\xf0\x9f\x98\x80".to_vec()), 0..6),
        1 => vec(any::<u8>(), 0..200),
        1 => (995..1_010_usize).prop_map(|length| vec![b'x'; length]),
        1 => (999..1_016_u16).prop_map(|code| code.to_be_bytes().to_vec()),
    ];
    let honest = (first, mask, payload).prop_map(|(first, mask, payload)| {
        let mut bytes = Vec::new();
        masked(first, &payload, mask, &mut bytes);
        bytes
    });
    prop_oneof![9 => honest, 1 => vec(any::<u8>(), 0..20)]
}

/// The places at which `bytes` are cut.
fn places(bytes: &[u8], cuts: &[Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn what_was_written_is_read(
        all in vec((written(), any::<[u8; 4]>()), 0..6),
        cuts in vec(any::<Index>(), 0..30),
    ) {
        let (mut bytes, mut got) = (Vec::new(), Vec::new());
        for (written, mask) in &all {
            written.write(*mask, &mut bytes, &mut got);
        }
        let expected =
            Outcome { got, end: Ok(ControlFlow::Continue(())), is_mid_message: false };
        prop_assert_eq!(&read(&bytes, MOST), &expected);
        prop_assert_eq!(&read_cut(&bytes, &places(&bytes, &cuts), MOST), &expected);
    }

    #[test]
    fn the_same_comes_of_anything_wherever_it_is_cut(
        frames in vec(something(), 0..8),
        missing in prop_oneof![Just(0), 0..20_usize],
        cuts in vec(any::<Index>(), 0..30),
    ) {
        let bytes = frames.concat();
        let bytes = &bytes[..bytes.len() - missing.min(bytes.len())];
        prop_assert_eq!(read_cut(bytes, &places(bytes, &cuts), MOST), read(bytes, MOST));
    }

    #[test]
    fn the_same_comes_of_garbage_wherever_it_is_cut(
        bytes in vec(any::<u8>(), 0..60),
        cuts in vec(any::<Index>(), 0..10),
    ) {
        prop_assert_eq!(read_cut(&bytes, &places(&bytes, &cuts), MOST), read(&bytes, MOST));
    }
}
