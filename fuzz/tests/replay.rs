//! Every target, over its corpus and over seeded changes of it.

use std::fs;
use std::path::Path;

use fuzz::{TARGETS, Target};

#[test]
fn the_corpus_and_changes_of_it() {
    std::thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || replay(target));
        }
    });
}

#[test]
fn bytes_without_any_sense() {
    for Target { run, .. } in TARGETS {
        run(&[]);
        let mut random = Random(1);
        for _ in 0..1000 {
            let len = random.below(300);
            let noise: Vec<u8> = (0..len).map(|_| random.byte()).collect();
            run(&noise);
        }
    }
}

fn replay(Target { name, run, changes }: Target) {
    let seeds = corpus(name);
    assert!(!seeds.is_empty(), "corpus/{name} is empty");
    for (file, bytes) in &seeds {
        eprintln!("{name}/{file}");
        run(bytes);
        // The same changes each time, whatever else is in the corpus.
        let mut random = Random(file.bytes().fold(7, |sum, byte| sum * 31 % 1_000_003 + u64::from(byte)));
        for number in 0..changes {
            let mut changed = bytes.clone();
            for _ in 0..=random.below(4) {
                let other = &seeds[random.below(seeds.len())].1;
                change(&mut random, &mut changed, other);
            }
            let result = std::panic::catch_unwind(|| run(&changed));
            assert!(result.is_ok(), "change {number} of {name}/{file}; these bytes: {changed:02x?}");
        }
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = files
        .map(|file| {
            let file = file.expect("a readable folder");
            (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).expect("a readable file"))
        })
        .collect();
    files.sort();
    files
}

/// One change: of a bit, a byte, a number at its edge, or a stretch that is lost, repeated, or taken from elsewhere.
fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        return bytes.push(random.byte());
    }
    let at = random.below(bytes.len());
    let end = at + random.below(bytes.len() - at).min(random.below(160));
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.byte(),
        2 => {
            let edges = [0_u64, 1, 4095, 4096, 4097, 0x7fff_ffff, 0xffff_ffff, u64::MAX - 1, u64::MAX];
            let edge = edges[random.below(edges.len())].to_le_bytes();
            let width = (1 << random.below(4)).min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&edge[..width]);
        }
        3 => drop(bytes.drain(at..end)),
        4 => {
            let stretch = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, stretch);
        }
        5 => {
            let from = random.below(other.len());
            let stretch = &other[from..other.len().min(from + random.below(200))];
            bytes.splice(at..end, stretch.iter().copied());
        }
        6 => whole_frames(random, bytes),
        _ => bytes.truncate(at),
    }
}

/// Loses, repeats or moves a frame of a stream, or of whatever looks like one.
fn whole_frames(random: &mut Random, bytes: &mut Vec<u8>) {
    let word = |at: usize| {
        let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(u32::MAX, u32::from_le_bytes);
        usize::try_from(word).unwrap_or(usize::MAX)
    };
    let mut starts = vec![if bytes.starts_with(b"\x89VFM") { 64_usize.saturating_add(word(40)) } else { 0 }];
    while let Some(start) = starts.last().filter(|start| **start < bytes.len()) {
        starts.push(start.saturating_add(64).saturating_add(word(start + 4)));
    }
    if starts.pop().is_none_or(|end| end > bytes.len()) || starts.is_empty() {
        return;
    }
    let mut frames: Vec<Vec<u8>> = starts
        .iter()
        .enumerate()
        .map(|(i, start)| bytes[*start..starts.get(i + 1).copied().unwrap_or(bytes.len())].to_vec())
        .collect();
    let (from, to) = (random.below(frames.len()), random.below(frames.len()));
    match random.below(3) {
        0 => drop(frames.remove(from)),
        1 => frames.insert(to, frames[from].clone()),
        _ => frames.swap(from, to),
    }
    bytes.truncate(starts[0]);
    bytes.extend(frames.concat());
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
