//! One of several connections, as it was recorded.

use vfio_migration_protocol::inspect::{Content, Ending, Format};

use crate::file::{CONFIG, END, File, pci_state};
use crate::seen::inspect;

fn hello() -> File {
    let mut file = File(Vec::new());
    file.u32(0x1122_3344).u32(1).bytes(&[7; 16]).u8(3).bytes(&[0; 39]);
    file
}

fn packet(file: &mut File, index: u32, flags: u32, data: &[u8]) {
    let mut name = b"0000:00:02.0/vfio".to_vec();
    name.resize(256, 0);
    file.u32(0x1122_3344).u32(1).u32(0x40).bytes(&name).u32(0).u32(12 + u32::try_from(data.len()).unwrap());
    file.u32(0).u32(index).u32(flags).bytes(data);
}

fn pages(file: &mut File, flags: u32, pages: u32, zero_pages: u32) {
    file.u32(0x1122_3344).u32(1).u32(flags).u32(128).u32(pages).u32(pages * 4096).u64(9).u32(zero_pages);
    file.bytes(&[0; 284]).bytes(&[0; 128 * 8]).bytes(&vec![1; pages as usize * 4096]);
}

#[test]
fn pages_data_and_config() {
    let mut file = hello();
    pages(&mut file, 0, 2, 3);
    pages(&mut file, 0, 0, 128);
    packet(&mut file, 0, 0, b"some ");
    packet(&mut file, 1, 0, b"data");
    let state = pci_state(4096, 5, false);
    packet(&mut file, 2, 1, &[&CONFIG.to_be_bytes()[..], &state, &END.to_be_bytes()].concat());
    pages(&mut file, 1, 0, 0);
    let (seen, outline) = inspect(&file.0);
    assert_eq!((&outline.damage, outline.format), (&None, Format::QemuMultifd));
    assert_eq!(outline.qemu.unwrap().channel, Some(3));
    let [device] = &outline.objects[..] else { panic!("{:?}", outline.objects) };
    assert_eq!((device.id.as_str(), device.frames, device.bytes), ("0000:00:02.0/vfio", 2, 9));
    assert_eq!(device.config.as_ref().unwrap().msix.as_ref().unwrap().vectors, 5);
    assert_eq!(seen.data[&0], b"some data");
    let kinds: Vec<_> = seen.parts.into_iter().map(|part| part.content).collect();
    assert_eq!(
        kinds,
        [
            Content::MultifdHello { channel: 3 },
            Content::MultifdPages { pages: 2, zero_pages: 3 },
            Content::MultifdPages { pages: 0, zero_pages: 128 },
            Content::MultifdData { index: 0 },
            Content::MultifdData { index: 1 },
            Content::MultifdConfig { index: 2 },
            Content::MultifdSync,
        ]
    );
}

#[test]
fn what_qemu_wrote() {
    use Content::{MultifdHello, MultifdPages, MultifdSync};
    let connections: [(&[u8], &[Content]); 2] = [
        (
            include_bytes!("samples/multifd-connection-1-11.1.qemu"),
            &[
                MultifdHello { channel: 0 },
                MultifdSync,
                MultifdPages { pages: 3, zero_pages: 125 },
                MultifdSync,
                MultifdSync,
            ],
        ),
        (
            include_bytes!("samples/multifd-connection-2-11.1.qemu"),
            &[
                MultifdHello { channel: 1 },
                MultifdSync,
                MultifdPages { pages: 0, zero_pages: 128 },
                MultifdSync,
                MultifdSync,
            ],
        ),
    ];
    for (file, contents) in connections {
        let (seen, outline) = inspect(file);
        assert_eq!((&outline.damage, outline.problems.as_slice()), (&None, &[][..]));
        assert_eq!(seen.parts.into_iter().map(|part| part.content).collect::<Vec<_>>(), contents);
    }
    let (seen, outline) = inspect(include_bytes!("samples/multifd-main-11.1.qemu"));
    assert_eq!((&outline.damage, outline.problems.as_slice()), (&None, &[][..]));
    assert_eq!(outline.ending, Some(Ending::End));
    assert!(seen.parts.iter().all(|part| !matches!(part.content, Content::Ram { pages: 1.., .. })));
}

#[test]
fn data_with_gaps_are_not_taken_for_a_whole() {
    let mut file = hello();
    packet(&mut file, 0, 0, &0x7e9d_0989_8c3e_2c4e_u64.to_le_bytes());
    packet(&mut file, 2, 0, &[1; 16]);
    let (_, outline) = inspect(&file.0);
    assert!(outline.notes.iter().any(|note| note.contains("what is here has gaps")), "{:?}", outline.notes);
    assert_eq!(outline.objects[0].recognised, None);
}

#[test]
fn packets_that_cannot_be() {
    let after_hello = |write: &dyn Fn(&mut File)| {
        let mut file = hello();
        write(&mut file);
        inspect(&file.0).1.damage.unwrap().expected
    };
    assert_eq!(after_hello(&|file| file.0.extend([0; 300])), "a packet");
    let device_in_step = |file: &mut File| file.0.extend([0x1122_3344_u32, 1, 0x41].map(u32::to_be_bytes).concat());
    assert_eq!(after_hello(&device_in_step), "the flags of a packet");
    assert_eq!(after_hello(&|file| pages(file, 0, 1, 128)), "pages that have room in their packet");
    assert_eq!(after_hello(&|file| packet(file, u32::MAX, 0, b"x")), "data of a device");
    assert_eq!(after_hello(&|file| packet(file, 0, 1, &[0; 100])), "the state of a PCI device, and its end");
}
