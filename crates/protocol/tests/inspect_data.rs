//! What a device's driver wrote is recognised by its header, and believed only as far as it holds.

use vfio_migration_protocol::inspect::{Family, Inspector, Recognised};
use vfio_migration_protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer};
use vfio_migration_protocol::stream::{Encoder, payload_crc};
use vfio_migration_protocol::{Capabilities, Estimate, Passport, Protocol};

/// What is said of a device with these data, however they are cut into frames.
fn recognised(data: &[u8]) -> Option<Recognised> {
    let cuts = [data.len().max(1), 1, 7, 64, 100];
    let mut said: Vec<_> = cuts.iter().map(|cut| in_frames(data, *cut)).collect();
    said.dedup();
    assert_eq!(said.len(), 1, "cut in different ways: {said:?}");
    said.remove(0)
}

fn in_frames(data: &[u8], cut: usize) -> Option<Recognised> {
    let kind = ObjectKind::Device {
        protocol: Protocol::Fsm,
        capabilities: Capabilities::STOP_COPY,
        passport: Passport::new(),
    };
    let objects = vec![ObjectDescription { id: "device".into(), kind, size: Estimate::Unknown }];
    let offer = Offer { session: [0; 16], mode: Mode::OneWay, chunk: 1 << 20, objects };
    let (mut encoder, mut stream) = Encoder::forward(&offer).unwrap();
    let mut offset = 0;
    for chunk in data.chunks(cut) {
        let len = u32::try_from(chunk.len()).unwrap();
        stream.extend(encoder.data(Object(0), offset, len, false, None, payload_crc(chunk)));
        stream.extend(chunk);
        offset += u64::from(len);
    }
    stream.extend(encoder.message(&Message::ObjectEnd(Object(0))));
    stream.extend(encoder.message(&Message::End { goes_on: false }));
    let mut inspector = Inspector::default();
    inspector.feed(&stream, &mut ());
    let outline = inspector.finish(&mut ());
    assert_eq!(outline.damage, None);
    outline.objects[0].recognised.clone()
}

fn fact<'a>(found: &'a Recognised, name: &str) -> &'a str {
    &found.facts.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name} in {found:?}")).1
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn record(size: usize, flags: u32, tag: u32) -> Vec<u8> {
    [&(size as u64).to_le_bytes()[..], &words(&[flags, tag]), &vec![0x5a; size]].concat()
}

#[test]
fn mtty() {
    let mut data = [&0x7e9d_0989_8c3e_2c4e_u64.to_le_bytes()[..], &words(&[1, 0, 2, 0])].concat();
    data.resize(24 + 2 * 36, 1);
    let found = recognised(&data).unwrap();
    assert_eq!((found.family, &found.problem), (Family::Mtty, &None));
    assert_eq!((fact(&found, "version"), fact(&found, "ports")), ("1.0", "2"));
    data.pop();
    assert_eq!(recognised(&data).unwrap().problem.unwrap(), "2 ports take 96 bytes, and there are 95");
    assert_eq!(recognised(&data[..20]).unwrap().problem.unwrap(), "2 ports take 96 bytes, and there are 20");
    assert_eq!(recognised(&data[..19]), None, "how many ports it has is not there");
}

#[test]
fn hisi_of_both_formats() {
    let mut data = [&0xaacc_feed_deca_dede_u64.to_le_bytes()[..], &words(&[64, 0xa251, 3, 0, 0, 1 << 16 | 2])].concat();
    data.resize(176, 0);
    let found = recognised(&data).unwrap();
    assert_eq!((found.family, fact(&found, "version"), fact(&found, "format")), (Family::Hisi, "2.1", "2"));
    assert_eq!((fact(&found, "device"), fact(&found, "queues")), ("0xa251", "64"));
    data[..8].copy_from_slice(&0xcdcd_cdcd_feed_aacc_u64.to_le_bytes());
    let found = recognised(&data).unwrap();
    assert_eq!((found.family, fact(&found, "format")), (Family::Hisi, "1"));
}

#[test]
fn records_of_mlx5_and_virtio() {
    let virtio = [record(1000, 0, 0), record(1, 0, 0), record(70_000, 0, 0)].concat();
    let found = recognised(&virtio).unwrap();
    assert_eq!((found.family, fact(&found, "records")), (Family::Records, "3"));
    assert_eq!(fact(&found, "driver"), "mlx5 or virtio");
    let mlx5 = [record(8, 1, 1), virtio.clone()].concat();
    assert_eq!(fact(&recognised(&mlx5).unwrap(), "driver"), "mlx5");
    // Without a magic, what does not fit to its end is taken for something else.
    assert_eq!(recognised(&virtio[..virtio.len() - 1]), None);
    assert_eq!(recognised(&[virtio.clone(), vec![0; 3]].concat()), None);
    assert_eq!(recognised(&[virtio, record(4, 0, 9)].concat()), None, "a mandatory record of an unknown kind");
}

#[test]
fn sections_of_qat() {
    let section = |id: &[u8; 8], size: u8| [&id[..], &words(&[size.into(), 0]), &vec![9; size.into()]].concat();
    let sections = [section(b"GENER\0\0\0", 40), section(b"MISCBAR\0", 100)].concat();
    let preamble = [words(&[0xadf5_caea, 1]), words(&[2 << 16 | 16, u32::try_from(sections.len()).unwrap()])].concat();
    let mut data = [preamble, sections].concat();
    let cut = data[..data.len() - 60].to_vec();
    data.resize(4096, 0);
    let found = recognised(&data).unwrap();
    assert_eq!((found.family, &found.problem, fact(&found, "ids")), (Family::Qat, &None, "GENER MISCBAR"));
    assert_eq!((fact(&found, "version"), fact(&found, "sections")), ("1", "2"));
    assert_eq!(recognised(&cut).unwrap().problem.unwrap(), "the data end within record 2");
}

/// As the driver writes it: what pre-copy sends, then all the rest, each with a preamble, then zeros up to a fixed size.
#[test]
fn both_parts_of_qat() {
    let section = |id: &[u8; 8], below: u32, bytes: &[u8]| {
        [&id[..], &words(&[u32::try_from(bytes.len()).unwrap(), below]), bytes].concat()
    };
    let part = |sections: &[Vec<u8>]| {
        let all = sections.concat();
        let count = u32::try_from(sections.len()).unwrap();
        [words(&[0xadf5_caea, 1, count << 16 | 16, u32::try_from(all.len()).unwrap()]), all].concat()
    };
    let below = [section(b"gencap\0\0", 0, &[1; 4]), section(b"svcmap\0\0", 0, &[2; 2])].concat();
    let setup = part(&[section(b"CONFIG\0\0", 2, &below)]);
    let state =
        part(&[section(b"GENER\0\0\0", 0, &[3; 20]), section(b"MISCBAR\0", 0, &[]), section(b"ETRBAR\0\0", 0, &[4])]);
    for padding in [0, 5, 4096] {
        let found = recognised(&[&setup[..], &state, &vec![0; padding]].concat()).unwrap();
        assert_eq!((found.family, &found.problem), (Family::Qat, &None), "{padding} bytes of padding");
        assert_eq!((fact(&found, "sections"), fact(&found, "ids")), ("4", "CONFIG GENER MISCBAR ETRBAR"));
        assert_eq!(fact(&found, "size"), (setup.len() + state.len() - 32).to_string());
    }
    let cut = [&setup[..], &state[..state.len() - 17]].concat();
    assert_eq!(recognised(&cut).unwrap().problem.unwrap(), "3 of 4 sections are there");
}

#[test]
fn packets_of_xe() {
    let packet = |kind: u8, payload: &[u8]| {
        let head = [&[1, kind, 0, 0][..], &[0; 4], &[0; 8], &(payload.len() as u64).to_le_bytes()].concat();
        [&head[..], payload].concat()
    };
    let descriptor = packet(1, &words(&[0xf001_0001, 0xe20b, 0xf002_0001, 4]));
    let data = [descriptor.clone(), packet(6, &[7; 5000]), packet(6, &[8; 50]), packet(2, &[])].concat();
    let found = recognised(&data).unwrap();
    assert_eq!((found.family, &found.problem), (Family::Xe, &None));
    assert_eq!((fact(&found, "device"), fact(&found, "revision"), fact(&found, "vram")), ("0xe20b", "0x4", "2"));
    let open = [descriptor.clone(), packet(5, &[1; 9])].concat();
    assert_eq!(recognised(&open).unwrap().problem.unwrap(), "there is no trailer");
    let odd = [descriptor, packet(77, &[1; 9]), packet(2, &[])].concat();
    assert_eq!(recognised(&odd).unwrap().problem.unwrap(), "1 packets are of an unknown type");
}

#[test]
fn the_software_device() {
    let header = [words(&[1, 1]), b"VFIOMODL".to_vec(), words(&[16 << 20, 0, 4096, 0]), vec![0; 40]].concat();
    let found = recognised(&header).unwrap();
    assert_eq!((found.family, fact(&found, "size"), fact(&found, "format")), (Family::Model, "16777216", "1"));
    let segment = [words(&[6, 0, 80, 0]), header].concat();
    assert_eq!(recognised(&segment).unwrap().family, Family::Model);
}

#[test]
fn what_nobody_knows_is_opaque() {
    assert_eq!(recognised(&[]), None);
    assert_eq!(recognised(&[0; 500]), None);
    assert_eq!(recognised(b"firmware of somebody"), None);
    assert_eq!(recognised(&[0xff; 500]), None);
}
