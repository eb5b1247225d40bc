//! Files of every shape that the format allows, made at random with what they hold written down: it is found again.

use std::collections::BTreeMap;

use crate::file::{CONFIG, DATA, END, File, INITIAL, READY, SETUP, pci_state};
use crate::seen::in_pieces;

/// Splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// What a file was made of.
#[derive(Debug, Default, PartialEq)]
struct Truth {
    /// The data of each device, by its name.
    data: BTreeMap<String, Vec<u8>>,
    /// Pages with bytes and without, by the name of their block.
    pages: BTreeMap<String, (u64, u64)>,
    /// Sections and their bytes, by name; of those that are saved at once.
    full: BTreeMap<String, u64>,
}

const PAGE: u64 = 4096;

fn generate(random: &mut Random) -> (Vec<u8>, Truth) {
    let (mut file, mut truth) = (File::new(), Truth::default());
    if random.below(2) == 0 {
        file.u8(5).name("configuration/target-page-bits").u32(1).u32(12);
    }
    let blocks: Vec<String> = (0..random.below(3)).map(|block| format!("block {block}")).collect();
    let size = |block: usize| PAGE * (block as u64 + 1);
    if !blocks.is_empty() {
        let all: u64 = (0..blocks.len()).map(size).sum();
        file.first(1, 2, "ram").u64(all | 4);
        for (place, block) in blocks.iter().enumerate() {
            file.name(block).u64(size(place));
            truth.pages.insert(block.clone(), (0, 0));
        }
        file.u64(0x10).footer(2);
    }
    let devices: Vec<(u32, String)> = (0..).take(random.below(4)).map(|at| (40 + at, device_name(at))).collect();
    for (id, name) in &devices {
        file.first(1, *id, name).u64(SETUP).u64(END).footer(*id);
        truth.data.insert(name.clone(), Vec::new());
    }
    for _ in 0..random.below(12) {
        match random.below(3) {
            0 if !blocks.is_empty() => memory(random, &mut file, &blocks, &mut truth, 2),
            1 => drop(file.u8(8).u16(2).u16(4).u32(7)),
            _ if devices.is_empty() => {}
            _ => {
                let (id, name) = &devices[random.below(devices.len())];
                file.further(2, *id);
                data(random, &mut file, truth.data.get_mut(name).unwrap(), 1);
                file.u64([END, INITIAL][random.below(2)]).footer(*id);
            }
        }
    }
    if !blocks.is_empty() {
        memory(random, &mut file, &blocks, &mut truth, 3);
    }
    for (id, name) in &devices {
        file.further(3, *id);
        data(random, &mut file, truth.data.get_mut(name).unwrap(), 4);
        file.u64(END).footer(*id);
    }
    for number in (0..).take(random.below(5)) {
        let (id, name, body) = (80 + number, format!("other/{number}"), random.bytes(700));
        file.first(4, id, &name).bytes(&body).footer(id);
        truth.full.insert(name, body.len() as u64);
    }
    for (id, name) in &devices {
        file.first(4, *id, name);
        let vectors = random.below(70);
        let config = pci_state([256, 4096][random.below(2)], vectors, random.below(3) == 0);
        // With several connections the config comes over one of them, and only a mark stands here.
        let body = match random.below(3) {
            0 => READY.to_be_bytes().to_vec(),
            _ => [&CONFIG.to_be_bytes()[..], &config, &END.to_be_bytes()].concat(),
        };
        file.bytes(&body).footer(*id);
        truth.full.insert(name.clone(), body.len() as u64);
    }
    let described: Vec<_> =
        truth.full.iter().map(|(name, size)| format!(r#"{{"name":"{name}","instance_id":0,"size":{size}}}"#)).collect();
    let file = file.end(&format!(r#"{{"devices":[{}]}}"#, described.join(",")));
    (file, truth)
}

fn device_name(at: u32) -> String {
    if at == 0 { "vfio".into() } else { format!("0000:00:{at:02x}.0/vfio") }
}

fn data(random: &mut Random, file: &mut File, all: &mut Vec<u8>, most: usize) {
    for _ in 0..random.below(most + 1) {
        let piece = random.bytes(400);
        file.u64(DATA).u64(piece.len() as u64).bytes(&piece);
        all.extend(piece);
    }
}

/// Pages of random blocks, in a section that goes on (2) or ends (3).
fn memory(random: &mut Random, file: &mut File, blocks: &[String], truth: &mut Truth, kind: u8) {
    file.further(kind, 2);
    let mut last = None;
    for _ in 0..random.below(5) {
        let block = random.below(blocks.len());
        let (goes_on, is_zero) = (last == Some(block) && random.below(2) == 0, random.below(2) == 0);
        file.u64(if is_zero { 2 } else { 8 } | if goes_on { 0x20 } else { 0 });
        if !goes_on {
            file.name(&blocks[block]);
        }
        let (pages, zeros) = truth.pages.get_mut(&blocks[block]).unwrap();
        if is_zero {
            file.u8(0);
            *zeros += 1;
        } else {
            file.bytes(&[random.next().to_le_bytes()[0]; 4096]);
            *pages += 1;
        }
        last = Some(block);
    }
    file.u64(0x10).footer(2);
}

#[test]
fn what_was_written_is_found_again() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let (file, truth) = generate(&mut random);
        let (seen, outline) = in_pieces(&file, 1 + random.below(3000));
        assert_eq!((&outline.damage, outline.problems.as_slice()), (&None, &[][..]), "seed {seed}");
        let mut found = Truth::default();
        for (place, object) in outline.objects.iter().enumerate() {
            assert!(object.complete, "seed {seed}: {} is complete", object.id);
            if object.kind == "device" {
                let data = seen.data.get(&place).cloned().unwrap_or_default();
                assert_eq!(object.bytes, data.len() as u64, "seed {seed}");
                found.data.insert(object.id.clone(), data);
            } else {
                found.pages.insert(object.id.clone(), (object.frames, object.zero_pages.unwrap()));
            }
        }
        for section in outline.qemu.unwrap().sections {
            if truth.full.contains_key(&section.name) && section.name.starts_with("other/") {
                found.full.insert(section.name, section.bytes);
            }
        }
        // How many bytes the configs have, the description says and the inspector compares.
        let mut truth = truth;
        truth.full.retain(|name, _| name.starts_with("other/"));
        assert_eq!(found, truth, "seed {seed}");
    }
}

#[test]
fn what_was_damaged_is_accounted_for_all_the_same() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let (mut file, _) = generate(&mut random);
        for _ in 0..=random.below(3) {
            let at = random.below(file.len());
            match random.below(4) {
                0 => file.truncate(at),
                1 => drop(file.splice(at..at, random.bytes(50))),
                2 => drop(file.drain(at..(at + random.below(50)).min(file.len()))),
                _ => file[at] ^= 1 << random.below(8),
            }
            if file.is_empty() {
                break;
            }
        }
        let len = 1 + random.below(3000);
        assert_eq!(in_pieces(&file, len), in_pieces(&file, 1 << 20), "seed {seed}, in pieces of {len}");
    }
}
