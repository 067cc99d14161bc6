//! Round trips under any fragmentation and any cut, and a second opinion: tungstenite on the same bytes.

mod differential;

use std::io;

use portcullis_frame::{Frame, Header, LengthForm, Opcode, Role, WireCode};
use proptest::{prelude::*, sample::Index};
use tungstenite::{
    Message as Theirs,
    protocol::{Role as TheirRole, WebSocket},
};

use self::differential::{End, Event, comparable, ours, theirs};

/// One message and how it is cut into frames, with a ping before each further frame where `pings` says so.
#[derive(Clone, Debug)]
struct Sent {
    event: Event,
    cuts: Vec<Index>,
    pings: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let short = || prop::collection::vec(any::<u8>(), 0..126);
    let event = prop_oneof![
        4 => "(.|[é€😀]){0,200}".prop_map(Event::Text),
        2 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Event::Binary),
        1 => (60_000_usize..66_000).prop_map(|length| Event::Binary(vec![b'x'; length])),
        1 => short().prop_map(Event::Ping),
        1 => short().prop_map(Event::Pong),
    ];
    (event, prop::collection::vec(any::<Index>(), 0..5), any::<bool>())
        .prop_map(|(event, cuts, pings)| Sent { event, cuts, pings })
}

fn close() -> impl Strategy<Value = Option<(u16, String)>> {
    let code = prop_oneof![Just(1000), Just(1001), 1007_u16..1014, 3000_u16..5000];
    prop::option::of((code, "[a-zé€]{0,40}"))
}

/// The frames, and the events that they come to.
fn wire(
    role: Role,
    sent: &[Sent],
    close: Option<&Option<(u16, String)>>,
    key: [u8; 4],
) -> (Vec<u8>, Vec<Event>) {
    let mut bytes = Vec::new();
    let mut events = Vec::new();
    let mut put = |frame: Frame<'_>| {
        let frame = if role == Role::Server { frame.masked(key) } else { frame };
        frame.append_to(&mut bytes);
    };
    for Sent { event, cuts, pings } in sent {
        let (opcode, payload) = match event {
            Event::Text(text) => (Opcode::Text, text.as_bytes()),
            Event::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            Event::Ping(bytes) => (Opcode::Ping, &bytes[..]),
            Event::Pong(bytes) => (Opcode::Pong, &bytes[..]),
            Event::Close(_) => unreachable!("closes come last"),
        };
        if opcode.is_control() {
            put(Frame::new(opcode, payload));
        } else {
            let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(payload.len());
            let mut start = 0;
            for (index, &end) in ends.iter().enumerate() {
                if index > 0 && *pings {
                    put(Frame::ping(b"between"));
                    events.push(Event::Ping(b"between".into()));
                }
                let frame =
                    Frame::new(if index == 0 { opcode } else { Opcode::Continuation }, &payload[start..end]);
                put(if index + 1 == ends.len() { frame } else { frame.unfinished() });
                start = end;
            }
        }
        events.push(event.clone());
    }
    if let Some(body) = close {
        put(match body {
            Some((code, reason)) => Frame::close(WireCode::new(*code).expect("only codes of frames"), reason),
            None => Frame::empty_close(),
        });
        events.push(Event::Close(body.clone()));
    }
    (bytes, events)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Server), Just(Role::Client)]
}

proptest! {
    #[test]
    fn any_fragmentation_and_any_cut_give_the_same_messages(
        role in role(),
        sent in prop::collection::vec(sent(), 0..6),
        close in prop::option::of(close()),
        key: [u8; 4],
        cuts in prop::collection::vec(1_usize..300, 1..8),
    ) {
        let (bytes, expected) = wire(role, &sent, close.as_ref(), key);
        let end = if close.is_some() { End::Closed } else { End::Open };
        prop_assert_eq!(ours(role, &bytes, &[]), (expected.clone(), end, None));
        prop_assert_eq!(ours(role, &bytes, &cuts), (expected.clone(), end, None));
        prop_assert_eq!(theirs(role, &bytes), (expected, end));
    }

    #[test]
    fn tungstenite_agrees_about_broken_streams(
        role in role(),
        sent in prop::collection::vec(sent(), 1..5),
        close in prop::option::of(close()),
        key: [u8; 4],
        faults in prop::collection::vec((any::<Index>(), any::<Index>(), 1_u8..), 0..4),
        cuts in prop::collection::vec(1_usize..200, 1..5),
    ) {
        let (mut bytes, _) = wire(role, &sent, close.as_ref(), key);
        let starts = header_starts(&bytes);
        for (frame, offset, bits) in faults {
            // Half of the faults hit headers, where most of the rules are.
            let at = if bits & 1 == 0 || starts.is_empty() {
                offset.index(bytes.len())
            } else {
                (starts[frame.index(starts.len())] + offset.index(8)).min(bytes.len() - 1)
            };
            bytes[at] ^= bits;
        }

        let whole = ours(role, &bytes, &[]);
        prop_assert_eq!(&ours(role, &bytes, &cuts), &whole, "cut differently");

        let same = comparable(&bytes);
        let (events, end, error) = ours(role, same, &cuts);
        prop_assert_eq!((events, end), theirs(role, same), "{:?}", error);

        // Beyond, we may be stricter, and earlier: a frame is judged there when all of it has arrived.
        let (their_events, their_end) = theirs(role, &bytes);
        if whole.1 == End::Failed {
            prop_assert!(their_events.starts_with(&whole.0));
        } else if bytes.len() == same.len() {
            prop_assert_eq!((whole.0, whole.1), (their_events, their_end));
        }
    }

    #[test]
    fn tungstenite_agrees_about_short_random_streams(
        role in role(), frames in prop::collection::vec((any::<u8>(), 0_u8..130, any::<[u8; 4]>()), 1..6), body: [u8; 130],
    ) {
        // Every first byte, each length form, masked or not, and bodies that are mostly not UTF-8.
        let mut bytes = Vec::new();
        for (first, length, key) in frames {
            let mut header = Header::new(Opcode::Binary, length.into());
            header.fin = first & 0x80 != 0;
            // Mostly without reserved bits, or nothing else would ever be reached.
            header.rsv = if first & 0x70 == 0x70 { first & 0x7 } else { 0 };
            header.opcode = first & 0xF;
            header.mask = (role == Role::Server).then_some(key);
            Frame { header, payload: body[..usize::from(length)].into() }.append_to(&mut bytes);
        }
        let same = comparable(&bytes);
        let (events, end, error) = ours(role, same, &[]);
        prop_assert_eq!((events, end), theirs(role, same), "{:?}", error);
    }

    #[test]
    fn reads_what_tungstenite_writes(sent in prop::collection::vec(sent(), 0..5), client: bool) {
        let (their_role, our_role) =
            if client { (TheirRole::Client, Role::Server) } else { (TheirRole::Server, Role::Client) };
        let mut socket = WebSocket::from_raw_socket(io::Cursor::new(Vec::new()), their_role, None);
        let mut expected = Vec::new();
        for Sent { event, .. } in sent {
            expected.push(event.clone());
            socket.send(match event {
                Event::Text(text) => Theirs::Text(text.into()),
                Event::Binary(bytes) => Theirs::Binary(bytes.into()),
                Event::Ping(bytes) => Theirs::Ping(bytes.into()),
                Event::Pong(bytes) => Theirs::Pong(bytes.into()),
                Event::Close(_) => unreachable!("closes come last"),
            }).expect("writing to memory");
        }
        let bytes = socket.get_ref().get_ref().clone();
        prop_assert_eq!(ours(our_role, &bytes, &[777]), (expected, End::Open, None));
    }
}

fn header_starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some((header, size)) = bytes.get(at..).and_then(Header::decode) {
        starts.push(at);
        at += size + header.length as usize;
    }
    starts
}

/// Where tungstenite is laxer than this crate, or stricter; if one of these fails, `comparable` can be simplified.
#[test]
fn differs_from_tungstenite_where_it_is_meant_to() {
    let frame = |payload: &'static [u8], opcode| Frame::new(opcode, payload).masked([0; 4]);
    let mut longer = frame(b"hello", Opcode::Text);
    longer.header.form = LengthForm::Bits16;
    // RFC 6455 §5.2 binds the sender to the shortest form; a receiver may be strict, and we are.
    assert_eq!(ours(Role::Server, &longer.to_vec(), &[]).1, End::Failed);
    assert_eq!(theirs(Role::Server, &longer.to_vec()), (vec![Event::Text("hello".into())], End::Open));

    // 1014 (bad gateway) is registered with IANA.
    let bad_gateway = frame(&[0x03, 0xF6], Opcode::Close).to_vec();
    assert_eq!(ours(Role::Server, &bad_gateway, &[]).0, [Event::Close(Some((1014, String::new())))]);
    assert_eq!(theirs(Role::Server, &bad_gateway), (vec![], End::Failed));

    // Judged here at the first byte that is wrong; there when the frame is whole.
    let mut begun = frame(b"\xFF and more", Opcode::Text).to_vec();
    begun.pop();
    assert_eq!(ours(Role::Server, &begun, &[]).1, End::Failed);
    assert_eq!(theirs(Role::Server, &begun), (vec![], End::Open));
}
