//! Sections of VFIO devices, as every generation of QEMU wrote them.

use vfio_migration_protocol::inspect::{Content, Ending, Format, ObjectOutline, Outline};
use vfio_migration_protocol::stream::payload_crc;

use crate::file::{CONFIG, END, File, INITIAL, READY, SETUP, pci_state, with_device};
use crate::seen::{Seen, inspect};

const ID: u32 = 200;
const NAME: &str = "0000:00:02.0/vfio";

fn sound(file: &[u8]) -> (Seen, Outline) {
    let (seen, outline) = inspect(file);
    assert_eq!((&outline.damage, outline.problems.as_slice()), (&None, &[][..]));
    assert_eq!((outline.format, outline.ending), (Format::Qemu, Some(Ending::End)));
    (seen, outline)
}

fn only_device(outline: &Outline) -> &ObjectOutline {
    let [device] = &outline.objects[..] else { panic!("{outline:?}") };
    assert_eq!((device.kind, device.protocol), ("device", None));
    device
}

#[test]
fn fsm_live() {
    let (seen, outline) = sound(&with_device());
    let device = only_device(&outline);
    assert_eq!((device.id.as_str(), device.frames, device.bytes, device.complete), (NAME, 3, 18, true));
    assert_eq!((device.initial_ends, device.checksum), (1, Some(payload_crc(b"first and the rest"))));
    assert_eq!(seen.data[&0], b"first and the rest");
    let config = device.config.as_ref().unwrap();
    assert_eq!((config.space, config.ids, config.class, config.revision), (256, [0x14e4, 0x1234, 1, 2], 0x02_0000, 3));
    let offsets: Vec<_> = seen
        .parts
        .iter()
        .filter_map(|part| match part.content {
            Content::VfioData { offset } => Some((offset, part.payload.unwrap().len, part.object)),
            _ => None,
        })
        .collect();
    assert_eq!(offsets, [(0, 5, Some(0)), (5, 9, Some(0)), (14, 4, Some(0))]);
    let sections = &outline.qemu.as_ref().unwrap().sections;
    assert_eq!((sections.len(), sections[0].sections, sections[0].name.as_str()), (1, 6, NAME));
    assert!(outline.notes.iter().any(|note| note.contains("which one a device spoke is not in the file")));
}

#[test]
fn region_with_large_and_empty_pieces() {
    let large = vec![7; 3 << 20];
    let mut file = File::new();
    file.first(1, ID, "vfio").u64(SETUP).u64(END).footer(ID);
    file.further(2, ID).data(b"").u64(END).footer(ID);
    file.further(3, ID).data(&large).data(b"").u64(END).footer(ID);
    file.first(4, ID, "vfio").u64(CONFIG).bytes(&pci_state(256, 0, false)).u64(END).footer(ID);
    let (seen, outline) = sound(&file.end("{}"));
    let device = only_device(&outline);
    assert_eq!((device.frames, device.bytes, device.complete), (3, 3 << 20, true));
    assert!(seen.data[&0] == large);
}

#[test]
fn region_of_the_first_version() {
    // 5.2 had no section of its own for the config: it came before the data, with an end of its own.
    let mut file = File::new();
    file.first(1, ID, NAME).u64(SETUP).u64(END).footer(ID);
    file.further(3, ID).u64(CONFIG).bytes(&pci_state(256, 2, false)).u64(END).data(b"state").u64(END).footer(ID);
    let (seen, outline) = sound(&file.end("{}"));
    assert_eq!(seen.data[&0], b"state");
    assert!(only_device(&outline).config.is_some());
}

#[test]
fn fsm_over_several_connections() {
    // The data go over the others; here is only what frames them.
    let mut file = File::new();
    file.first(1, ID, NAME).u64(SETUP).u64(END).footer(ID);
    file.further(2, ID).u64(INITIAL).footer(ID);
    file.further(3, ID).u64(END).footer(ID);
    file.first(4, ID, NAME).u64(READY).footer(ID);
    let (_, outline) = sound(&file.end("{}"));
    let device = only_device(&outline);
    assert_eq!((device.bytes, device.frames, device.checksum), (0, 0, None));
}

#[test]
fn several_devices_whose_sections_interleave() {
    let mut file = File::new();
    for (id, name) in [(7, "0000:00:02.0/vfio"), (8, "0000:20:04.0:00.0:00.0/vfio")] {
        file.first(1, id, name).u64(SETUP).u64(END).footer(id);
    }
    for (id, data) in [(7, &b"one"[..]), (8, b"two"), (8, b"two again"), (7, b"one again")] {
        file.further(2, id).data(data).u64(END).footer(id);
    }
    let (seen, outline) = sound(&file.end("{}"));
    assert_eq!(outline.objects[1].id, "0000:20:04.0:00.0:00.0/vfio");
    assert_eq!((&seen.data[&0][..], &seen.data[&1][..]), (&b"oneone again"[..], &b"twotwo again"[..]));
    assert!(!outline.objects[0].complete, "its last section is not there");
}

#[test]
fn data_that_a_driver_marked() {
    let mut mtty = [&0x7e9d_0989_8c3e_2c4e_u64.to_le_bytes()[..], &[1, 0, 0, 0, 0, 0, 0, 0, 1]].concat();
    mtty.resize(60, 0);
    let mut file = File::new();
    file.first(1, ID, NAME).u64(SETUP).u64(END).footer(ID);
    file.further(2, ID).data(&mtty[..24]).u64(END).footer(ID);
    file.further(3, ID).data(&mtty[24..]).u64(END).footer(ID);
    let (_, outline) = sound(&file.end("{}"));
    let found = only_device(&outline).recognised.as_ref().unwrap();
    assert_eq!(found.facts, [("version".into(), "1.0".into()), ("ports".into(), "1".into())]);
}
