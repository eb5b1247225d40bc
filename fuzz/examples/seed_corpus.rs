//! Writes the first files of the corpus: `cargo run -p fuzz --example seed_corpus`. A fuzzer finds the others.

use std::path::Path;
use std::{fs, io};

use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer, Protocol};
use vfio_migration_protocol::stream::{Encoder, payload_crc};
use vfio_migration_protocol::{Capabilities, Device, Estimate, Passport, State, Then};

const TWO_PROTOCOLS: &str = "seed=7 devices=stop-copy+p2p,stop-copy+p2p+pre-copy dialects=fsm,thread \
    region=window=8KiB,segment=100..4KiB data=5000 pages=3 way=pipe";
const MUCH_GOES_WRONG: &str = "seed=9 data=5000 pages=1 found=stop there=resuming chunk=512 depth=2 deadline=5000 \
    fault=save:12:fails(5) fault=back:3:cut(0) command=save:4:cancel settle=force";

fn main() -> io::Result<()> {
    for mode in [Mode::OneWay, Mode::Connected] {
        let name = if mode == Mode::OneWay { "one_way" } else { "connected" };
        let (stream, head) = stream(mode);
        write("stream", name, &stream)?;
        write("sealed", name, &stream)?;
        write("inspect", name, &stream)?;
        if mode == Mode::OneWay {
            // Neither the preamble nor the checksum: the target makes them.
            write("table", "devices_and_memory", &stream[64..head - 4])?;
        }
    }
    write("model", "moved_in_pre_copy", &device_data()?)?;
    write("settings", "most_of_them", b"size=12KiB,pre-copy,p2p,dirty-tracking,seed=7,fault=write@3:EIO")?;
    write("scenario", "two_protocols", TWO_PROTOCOLS.as_bytes())?;
    write("scenario", "much_goes_wrong", MUCH_GOES_WRONG.as_bytes())?;
    write("back", "all_messages", &back())
}

/// The data of a device that works while it is moved.
fn device_data() -> io::Result<Vec<u8>> {
    let settings = Settings::parse("size=12KiB,pre-copy,seed=3").map_err(io::Error::other)?;
    let mut device = Model::new(&settings, 2).map_err(io::Error::other)?;
    device.start();
    let mut data = Vec::new();
    for state in [State::PreCopy, State::StopCopy] {
        device.set_state(state).map_err(io::Error::other)?;
        device.advance(3);
        let mut buffer = [0; 4096];
        loop {
            let filled = device.read(&mut buffer).map_err(io::Error::other)?;
            data.extend_from_slice(&buffer[..filled.len]);
            if matches!(filled.then, Then::Pause | Then::End) {
                break;
            }
        }
    }
    Ok(data)
}

fn write(target: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), bytes)
}

/// A stream, and how long its head is.
fn stream(mode: Mode) -> (Vec<u8>, usize) {
    let device = |id: &str, protocol, passport| ObjectDescription {
        id: id.into(),
        kind: ObjectKind::Device { protocol, capabilities: Capabilities::STOP_COPY, passport },
        size: Estimate::Unknown,
    };
    let objects = vec![
        device("nic", Protocol::Fsm, Passport::new().needs("device", "model").says("host", "a")),
        device("old", Protocol::Region, Passport::new()),
        ObjectDescription { id: "ram".into(), kind: ObjectKind::Memory { iova: 4096 }, size: Estimate::Known(512) },
    ];
    let offer = Offer { session: [0; 16], mode, chunk: 4096, objects };
    let (mut encoder, mut stream) = Encoder::forward(&offer).expect("a sound offer");
    let head = stream.len();
    let (nic, old, ram) = (Object(0), Object(1), Object(2));
    if mode == Mode::Connected {
        stream.extend(encoder.message(&Message::Begin));
    }
    for (object, offset, payload, segment_end, initial_end) in [
        (nic, 0, &b"first"[..], false, Some(0)),
        (old, 0, b"seg", true, None),
        (ram, 256, &[1; 16], false, None),
        (nic, 5, b"", false, Some(1)),
        (ram, 256, &[2; 16], false, None),
    ] {
        let len = u32::try_from(payload.len()).expect("a few bytes");
        stream.extend(encoder.data(object, offset, len, segment_end, initial_end, payload_crc(payload)));
        stream.extend(payload);
    }
    stream.extend(encoder.message(&Message::Event("{}".into())));
    for object in [ram, nic, old] {
        stream.extend(encoder.message(&Message::ObjectEnd(object)));
    }
    let last = match mode {
        Mode::OneWay => vec![Message::Report(" ".repeat(4100)), Message::End { goes_on: false }],
        Mode::Connected => vec![
            Message::Alive,
            Message::GivenUp,
            Message::Withdraw,
            Message::Cancelled("why".into()),
            Message::Report("{}".into()),
        ],
    };
    for message in last {
        stream.extend(encoder.message(&message));
    }
    (stream, head)
}

fn back() -> Vec<u8> {
    let memory = |id: &str| ObjectDescription {
        id: id.into(),
        kind: ObjectKind::Memory { iova: 0 },
        size: Estimate::Known(4096),
    };
    // The offer of the target `back`.
    let objects = vec![memory("a"), memory("b")];
    let offer = Offer { session: [0; 16], mode: Mode::Connected, chunk: 4096, objects };
    let (forward, _) = Encoder::forward(&offer).expect("a sound offer");
    let mut encoder = Encoder::back(forward.back_key().expect("connected"));
    let messages = [
        Message::Accepted,
        Message::InitialLoaded(Object(0), 0),
        Message::Ack(Object(1), 4096),
        Message::Loaded,
        Message::Alive,
        Message::Running,
        Message::Refused("no".into()),
        Message::Failed("x".repeat(4100)),
    ];
    messages.iter().flat_map(|message| encoder.message(message)).collect()
}
