//! Sections, guest memory, the description, and what others put around.

use vfio_migration_protocol::inspect::{Content, Ending, Format};

use crate::file::{File, SAMPLES, with_device};
use crate::seen::inspect;

#[test]
fn what_qemu_wrote() {
    for (machine, file) in SAMPLES {
        let (seen, outline) = inspect(file);
        assert_eq!((&outline.damage, outline.problems.as_slice()), (&None, &[][..]));
        assert_eq!((outline.format, outline.ending), (Format::Qemu, Some(Ending::End)));
        let qemu = outline.qemu.unwrap();
        assert_eq!(qemu.machine.as_deref(), Some(machine));
        // All sections but that of the memory are described, and each was found.
        assert_eq!(qemu.described, Some(qemu.sections.len() - 1));
        let ram = outline.objects.iter().find(|object| object.id.ends_with("ram")).unwrap();
        assert_eq!((ram.size, ram.frames, ram.zero_pages, ram.complete), (Some(1 << 20), 0, Some(256), true));
        assert!(matches!(seen.parts.last().unwrap().content, Content::Description));
    }
    let microvm = inspect(SAMPLES[2].1).1;
    let bytes: Vec<_> =
        microvm.qemu.unwrap().sections.into_iter().map(|section| (section.name, section.bytes)).collect();
    assert_eq!(bytes[5..8], [("cpu".into(), 1851), ("kvm-tpr-opt".into(), 144), ("ioapic".into(), 206)]);
    let tables = microvm.objects.iter().find(|object| object.id == "/rom@etc/acpi/tables").unwrap();
    assert_eq!((tables.size, tables.frames, tables.bytes), (Some(4096), 1, 4096));
}

#[test]
fn memory_of_every_kind() {
    let mut file = File::new();
    file.first(1, 2, "ram").u64(0x3000 | 4).name("low").u64(0x2000).name("high").u64(0x1000).u64(0x10).footer(2);
    file.further(2, 2).u64(8).name("low").bytes(&[1; 4096]).u64(0x1000 | 8 | 0x20).bytes(&[2; 4096]);
    file.u64(2).name("high").u8(0).u64(0x200).u64(0x10).footer(2);
    file.further(3, 2).u64(0x40).name("low").u8(1).u16(5).bytes(b"delta").u64(0x100 | 0x20).u32(3).bytes(b"zip");
    file.u64(0x10).footer(2);
    let (seen, outline) = inspect(&file.end("{}"));
    assert_eq!(outline.damage, None);
    let [low, high] = &outline.objects[..] else { panic!("{outline:?}") };
    assert_eq!((low.size, low.frames, low.bytes, low.zero_pages), (Some(0x2000), 4, 8192 + 5 + 3, Some(0)));
    assert_eq!((high.frames, high.bytes, high.zero_pages, high.complete), (0, 0, Some(1), true));
    let counts: Vec<_> = seen
        .parts
        .iter()
        .filter_map(|part| match part.content {
            Content::Ram { pages, zero_pages } => Some((pages, zero_pages)),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [(0, 0), (2, 1), (2, 0)]);
    assert_eq!(seen.data.len(), 0, "memory is skipped");
}

#[test]
fn memory_that_lies_at_places_of_its_own() {
    let mut file = File::new();
    file.u8(5).name("configuration/capabilities").u32(1).u32(2).name("mapped-ram").name("x-ignore-shared");
    file.first(1, 2, "ram").u64(0x9000 | 4);
    file.name("a").u64(0x9000).u64(0xab_c000);
    let bitmap = file.0.len() as u64 + 28;
    let pages = bitmap.next_multiple_of(1 << 16);
    file.u32(1).u64(4096).u64(bitmap).u64(pages).u8(0b101).u8(1);
    file.0.resize(usize::try_from(pages + 0x9000).unwrap(), 0);
    file.u64(0x10).footer(2).further(3, 2).u64(0x10).footer(2);
    let (_, outline) = inspect(&file.end("{}"));
    assert_eq!(outline.damage, None);
    let [block] = &outline.objects[..] else { panic!("{outline:?}") };
    assert_eq!((block.iova, block.frames, block.bytes), (Some(0xab_c000), 3, 3 * 4096));
    assert_eq!(outline.qemu.unwrap().capabilities, ["mapped-ram", "x-ignore-shared"]);
}

#[test]
fn a_body_that_holds_what_looks_like_its_footer() {
    let mut file = File::new();
    // The number of its section after the mark of a footer, but with something after it that cannot come.
    let body =
        [&[0x7e, 0, 0, 0, 9, 0x33][..], &[0x7e; 40], &[0x7e, 0, 0, 0, 8, 0], &[0x7e, 0, 0, 0, 9, 3, 0, 0, 0, 77]];
    file.first(4, 9, "timer").bytes(&body.concat()).footer(9).first(4, 10, "next").footer(10);
    let (seen, outline) = inspect(&file.end("{}"));
    assert_eq!(outline.damage, None);
    let sections = outline.qemu.unwrap().sections;
    assert_eq!((sections[0].bytes, sections[1].bytes), (body.concat().len() as u64, 0));
    assert_eq!(seen.parts.iter().filter(|part| part.content == Content::Opaque).count(), 2);
}

#[test]
fn descriptions_that_lie() {
    let lies = |description: &str| {
        let sound = with_device();
        let at = sound.iter().rposition(|byte| *byte == 6).unwrap();
        let mut file = File(sound[..at - 1].to_vec());
        let (_, outline) = inspect(&file.end(description));
        assert_eq!(outline.damage, None);
        outline.problems
    };
    let name = "0000:00:02.0/vfio";
    assert_eq!(
        lies(&format!(r#"{{"devices":[{{"name":"{name}","size":17}}]}}"#)),
        [format!("the description says that \"{name}\" has 17 bytes, and it has 341")],
    );
    assert_eq!(
        lies(r#"{"devices":[{"name":"ghost"},{"name":"ghost"}]}"#),
        ["the description names \"ghost\", which is not there"],
    );
    for no_description in ["", "[", "{\"devices\":7}", &"[".repeat(1 << 20), &"{\"a\":".repeat(1 << 18)] {
        let problems = lies(no_description);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("the description of the sections cannot be read: "), "{problems:?}");
    }
    // A device of which there is too much to tell is told to some extent.
    let many: Vec<_> = (0..500).map(|number| format!("{{\"name\":\"ghost {number}\"}}")).collect();
    assert_eq!(lies(&format!("{{\"devices\":[{}]}}", many.join(","))).len(), 64);
}

#[test]
fn what_libvirt_puts_before() {
    let wrapped = |magic: &[u8; 16], version: u32, domain: &str, compressed: u32| {
        let words = [version, u32::try_from(domain.len()).unwrap(), 1, compressed, 0];
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        [&magic[..], &words, &[0; 56], domain.as_bytes(), &with_device()].concat()
    };
    for domain in ["", "<domain/>\0"] {
        let (seen, outline) = inspect(&wrapped(b"LibvirtQemudSave", 2, domain, 0));
        assert_eq!(outline.damage, None);
        assert!(outline.qemu.unwrap().libvirt);
        assert_eq!(seen.data[&0], b"first and the rest");
    }
    let unfinished = inspect(&wrapped(b"LibvirtQemudPart", 2, "", 0)).1;
    assert!(unfinished.notes.iter().any(|note| note == "libvirt had not finished writing the file"));
    let damage = inspect(&wrapped(b"LibvirtQemudSave", 2, "<domain/>", 1)).1.damage.unwrap();
    assert_eq!((damage.at, damage.found.as_str()), (28, "one that is compressed (format 1): decompress it first"));
    let damage = inspect(&wrapped(b"LibvirtQemudSave", 9, "", 0)).1.damage.unwrap();
    assert_eq!(damage.expected, "version 1 or 2 of libvirt's header");
}

#[test]
fn what_comes_after_the_end_is_said() {
    let mut file = with_device();
    file.extend([0; 10]);
    let (seen, outline) = inspect(&file);
    assert_eq!(outline.damage, None);
    assert!(outline.notes.contains(&"10 bytes come after the end".into()));
    assert_eq!(seen.parts.last().unwrap().content, Content::Trailing);
}
