//! Damaged files: nothing panics, every byte is accounted for, and where it shows the place is said.

use crate::file::{File, SAMPLES, with_device};
use crate::seen::{in_pieces, inspect};

fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = SAMPLES[..2].iter().map(|(_, file)| file.to_vec()).collect();
    files.push(with_device());
    files
}

#[test]
fn cut_anywhere() {
    for file in files() {
        for at in 0..file.len() {
            let cut = &file[..at];
            let (_, outline) = in_pieces(cut, 100);
            let Some(damage) = outline.damage else {
                assert!(outline.notes.iter().any(|note| note == "the file has no description of its sections"));
                continue;
            };
            if at >= 16 {
                assert_eq!((damage.at, damage.found.as_str()), (at as u64, "the end of the file"), "cut at {at}");
            }
        }
    }
}

#[test]
fn every_bit_flipped() {
    for file in files() {
        let mut seen = 0;
        for bit in 0..file.len() * 8 {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (_, outline) = in_pieces(&damaged, 1000);
            if let Some(damage) = outline.damage {
                assert!(damage.at <= file.len() as u64, "{damage}");
                seen += 1;
            }
        }
        assert!(seen > file.len() / 8, "only {seen} of {} were seen", file.len() * 8);
    }
    let (_, large) = SAMPLES[2];
    for at in (0..large.len()).step_by(7) {
        let mut damaged = large.to_vec();
        damaged[at] ^= 0x81;
        in_pieces(&damaged, 5000);
    }
}

#[test]
fn random_damage() {
    let mut state = 9_u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % limit.max(1)
    };
    for file in files() {
        for _ in 0..3000 {
            let mut damaged = file.clone();
            for _ in 0..=below(4) {
                let at = below(damaged.len());
                let end = (at + below(40)).min(damaged.len());
                match below(4) {
                    0 => damaged[at..end].fill(u8::try_from(below(256)).unwrap()),
                    1 => drop(damaged.drain(at..end)),
                    2 => {
                        let stretch = damaged[at..end].to_vec();
                        let to = below(damaged.len());
                        damaged.splice(to..to, stretch);
                    }
                    _ => damaged[at..end].fill(0xff),
                }
            }
            assert_eq!(in_pieces(&damaged, 50), in_pieces(&damaged, 1 << 20));
        }
    }
}

#[test]
fn what_is_said_about_it() {
    let sound = with_device();
    let says = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = sound.clone();
        change(&mut file);
        inspect(&file).1.damage.map(|damage| damage.to_string()).unwrap_or_default()
    };
    assert_eq!(says(&|file| file[7] = 9), "damaged at byte 4: expected version 3, found version 9");
    // The head of the first section begins at byte 17.
    assert_eq!(
        says(&|file| file[17] = 0x20),
        "damaged at byte 17: expected a section, a command or the end, found 0x20"
    );
    assert_eq!(says(&|file| file[22] = 0), "damaged at byte 22: expected a section, a name, found \"\"");
    assert_eq!(
        says(&|file| file[55] = 9),
        "damaged at byte 48: expected a tag of a VFIO section, found 0xffffffffef100009"
    );
    assert_eq!(says(&|file| file[64] = 0x7f), "damaged at byte 64: expected the footer of section 200, found 0x7f");
    let mut endless = File::new();
    endless.first(1, 1, "vfio").u64(0xffff_ffff_ef10_0004).u64(u64::MAX).bytes(b"not as many");
    let damage = inspect(&endless.0).1.damage.unwrap().to_string();
    assert!(damage.contains("expected 18446744073709551604 more of 18446744073709551615 bytes"), "{damage}");
}
