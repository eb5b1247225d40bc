//! What becomes of a file of which one byte is another: every byte of files up to 64 KiB, of larger ones every byte of the
//! framing and the first and last 64 of each payload. Each byte is changed twice, in one bit and in a pattern of bits, so
//! that each of the 255 patterns comes about in each file.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use vfio_migration_protocol::inspect::{Content, Damage, Inspector, Outline, Part, Payload, Visit};

const SMALL: usize = 64 << 10;
/// So many bytes at each end of a payload.
const EDGE: usize = 64;

/// What stands around payloads, and whether parts lie side by side.
#[derive(Default)]
struct Seen {
    /// Each part with its payload.
    parts: Vec<(u64, u64, Option<Payload>)>,
    end: u64,
    is_damaged: bool,
}

impl Visit for Seen {
    fn part(&mut self, Part { at, len, payload, content, .. }: Part) {
        assert_eq!(at, self.end, "a part begins where the one before ended");
        assert!(!self.is_damaged, "damage is the last part");
        self.end += len;
        self.is_damaged = matches!(content, Content::Damage { .. });
        self.parts.push((at, len, payload));
    }
}

/// What is said of a file that is fed in pieces; every byte of it is accounted for.
fn look(bytes: &[u8]) -> (Seen, Outline) {
    let (mut inspector, mut seen) = (Inspector::default(), Seen::default());
    for piece in bytes.chunks(50_000) {
        inspector.feed(piece, &mut seen);
    }
    let outline = inspector.finish(&mut seen);
    assert_eq!((seen.end, outline.size), (bytes.len() as u64, bytes.len() as u64));
    assert_eq!(seen.is_damaged, outline.damage.is_some());
    (seen, outline)
}

/// Changes each byte that is to be changed, and has it looked at, with the part of the sound file that it lies in.
fn each_flip(name: &str, sound: &[u8], mut check: impl FnMut(usize, (u64, u64), &Seen, &Outline)) {
    let (seen, outline) = look(sound);
    assert_eq!(outline.damage, None, "{name} is sound");
    let (mut changed, mut flips, mut patterns) = (sound.to_vec(), 0, [false; 256]);
    for &(at, len, payload) in &seen.parts {
        let (at, len) = (usize::try_from(at).unwrap(), usize::try_from(len).unwrap());
        let inner = payload.filter(|_| sound.len() > SMALL).map_or(0..0, |payload| {
            let begin = usize::try_from(payload.at).unwrap() + EDGE;
            begin..(begin + usize::try_from(payload.len).unwrap()).saturating_sub(2 * EDGE).max(begin)
        });
        for place in (at..at + len).filter(|place| !inner.contains(place)) {
            let pattern = u8::try_from(flips / 2 % 255 + 1).unwrap();
            for flip in [pattern, 1 << (place % 8)] {
                changed[place] ^= flip;
                let (seen, outline) = look(&changed);
                check(place, (at as u64, len as u64), &seen, &outline);
                changed[place] ^= flip;
                patterns[usize::from(flip)] = true;
                flips += 1;
            }
        }
    }
    assert!(patterns[1..].iter().all(|pattern| *pattern), "{name}: each pattern came about");
    eprintln!("{name}: {flips} flips in {} bytes", sound.len());
}

fn is_clear(damage: &Damage) {
    assert!(!damage.expected.is_empty() && !damage.found.is_empty() && damage.expected != damage.found, "{damage}");
}

/// The bytes of the streams that the format's tests hold fast, as they are written there.
fn golden_streams() -> Vec<(String, Vec<u8>)> {
    let text = fs::read_to_string(root().join("crates/protocol/tests/stream_format/golden.hex")).unwrap();
    let mut streams = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            streams.push((title.to_owned(), Vec::new()));
        } else if !line.starts_with('#') {
            let (bytes, times) = line.split_once(" *").unwrap_or((line, "1"));
            let bytes: Vec<_> = bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
            streams.last_mut().unwrap().1.extend(bytes.repeat(times.parse().unwrap()));
        }
    }
    // The messages back are no file.
    streams.retain(|(title, _)| title.ends_with(" stream.") && !title.contains("back"));
    assert_eq!(streams.len(), 2);
    streams
}

#[test]
fn streams_of_ours_say_where_and_what() {
    for (name, sound) in golden_streams() {
        each_flip(&name, &sound, |place, (at, len), seen, outline| {
            let damage = outline.damage.as_ref().unwrap_or_else(|| panic!("{name}: byte {place} is not missed"));
            // Within the frame that has the byte, which is the first that is not shown.
            assert!((at..at + len).contains(&damage.at), "{name}: byte {place} of {at} to {}: {damage}", at + len);
            assert_eq!(seen.parts.last().map(|(at, ..)| *at), Some(at), "{name}: all before byte {place} is shown");
            is_clear(damage);
        });
    }
}

#[test]
fn files_of_qemu_account_for_every_byte_or_name_the_place() {
    let files = samples();
    assert!(files.len() >= 8, "{} files", files.len());
    std::thread::scope(|scope| {
        for (name, sound) in &files {
            scope.spawn(move || {
                let mut noticed = 0;
                each_flip(name, sound, |place, _, _, outline| {
                    let Some(damage) = &outline.damage else { return };
                    noticed += 1;
                    is_clear(damage);
                    assert!(damage.at <= outline.size, "{name}: byte {place}: {damage}");
                });
                assert!(noticed > 100, "{name}: {noticed} flips were noticed");
            });
        }
    });
}

#[test]
fn memory_at_places_of_its_own_as_qemu_wrote_it() {
    let (_, file) = samples().into_iter().find(|(name, _)| name == "mapped-ram-11.1.qemu.gz").expect("it is kept");
    let (_, outline) = look(&file);
    assert_eq!((outline.damage, outline.problems), (None, Vec::new()));
    let [ram] = &outline.objects[..] else { panic!("{:?}", outline.objects) };
    assert_eq!((ram.size, ram.frames, ram.bytes, ram.complete), (Some(1 << 20), 3, 3 * 4096, true));
}

/// Every file of QEMU's that is kept, those of the corpus among them.
fn samples() -> Vec<(String, Vec<u8>)> {
    let folders = ["testbed/vmm/samples", "crates/protocol/tests/inspect_qemu/samples", "fuzz/corpus/inspect"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let read = files.filter_map(|file| {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let bytes = match path.extension() {
            Some(ending) if ending == "gz" => gunzip(&bytes),
            Some(ending) if ending == "md" => return None,
            _ => bytes,
        };
        bytes.starts_with(b"QEVM").then_some(()).or(name.contains("connection").then_some(()))?;
        Some((name, bytes))
    });
    read.collect()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut whole).unwrap();
    whole
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
