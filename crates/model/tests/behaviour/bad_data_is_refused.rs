//! A destination believes nothing: whatever is done to the data, it is refused when it is written or when the device
//! leaves resuming, and the device stays there.

use crate::transfer::{drain, errno, load, pair, save, write};
use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::{Device, Errno, State};

const HEADER: usize = 64;
const PAGE_RECORD: usize = 16 + 4096;

/// A destination that is to refuse `data`, and with what.
fn refused(settings: &str, data: &[u8]) -> Errno {
    let (_, mut destination) = pair(settings);
    let answer = load(&mut destination, data, 65_536);
    assert_eq!(destination.current_state(), State::Resuming);
    let errno = errno(answer);
    assert!(destination.set_state(State::Stop).is_err(), "a load that failed stays failed");
    assert_eq!(destination.reset(), Ok(()));
    errno
}

fn data(settings: &str) -> Vec<u8> {
    save(&mut pair(settings).0, 65_536)
}

#[test]
fn data_cut_at_every_byte() {
    let whole = data("size=100");
    for len in 0..whole.len() {
        assert_eq!(refused("size=100", &whole[..len]), Errno::EINVAL, "{len} of {} bytes", whole.len());
    }
}

#[test]
fn every_flipped_bit() {
    let whole = data("size=5000");
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let errno = refused("size=5000", &flipped);
        // A kind of record that nobody knows is an unknown tag to a driver.
        assert!(matches!(errno, Errno::EINVAL | Errno::EOPNOTSUPP), "bit {bit}: {errno}");
    }
}

#[test]
fn a_wrong_byte_is_refused_by_the_write_that_brings_it() {
    let mut wrong = data("size=5000");
    wrong[HEADER + 2000] ^= 1;
    let (_, mut destination) = pair("size=5000");
    destination.set_state(State::Resuming).unwrap();
    assert_eq!(write(&mut destination, &wrong[..HEADER + 2000], 1), Ok(()));
    assert_eq!(errno(destination.write(&wrong[HEADER + 2000..=HEADER + 2000], false)), Errno::EINVAL);
    assert_eq!(errno(destination.write(&[0], false)), Errno::EINVAL, "the error stays");
}

#[test]
fn pages_left_out_repeated_or_swapped() {
    let whole = data("size=64KiB");
    let page = |number: usize| HEADER + number * PAGE_RECORD..HEADER + (number + 1) * PAGE_RECORD;
    let mut left_out = whole.clone();
    left_out.drain(page(3));
    let mut repeated = whole.clone();
    repeated.splice(page(3).start..page(3).start, whole[page(3)].to_vec());
    let mut replaced = whole.clone();
    replaced[page(3)].copy_from_slice(&whole[page(4)]);
    for wrong in [left_out, repeated, replaced] {
        assert_eq!(refused("size=64KiB", &wrong), Errno::EINVAL);
    }
    // Pages may come in any order: each says which it is.
    let mut swapped = whole.clone();
    swapped[page(3)].copy_from_slice(&whole[page(4)]);
    swapped[page(4)].copy_from_slice(&whole[page(3)]);
    let (_, mut destination) = pair("size=64KiB");
    assert_eq!(load(&mut destination, &swapped, 4096), Ok(()));
}

#[test]
fn an_old_version_in_place_of_the_new_one() {
    let (mut source, mut destination) = pair("size=4096,pre-copy,dirty-rate=1");
    source.set_state(State::PreCopy).unwrap();
    let mut stale = Vec::new();
    drain(&mut source, 4096, &mut stale);
    source.advance(1);
    let mut fresh = save(&mut source, 65_536);
    fresh[..PAGE_RECORD].copy_from_slice(&stale[HEADER..]);
    stale.extend(fresh);
    assert_eq!(errno(load(&mut destination, &stale, 4096)), Errno::EINVAL);
}

#[test]
fn more_than_all() {
    let mut more = data("size=4096");
    more.push(0);
    assert_eq!(refused("size=4096", &more), Errno::ENOMEM);
    let twice = [data("size=4096"), data("size=4096")].concat();
    assert_eq!(refused("size=4096", &twice), Errno::ENOMEM);
}

#[test]
fn data_of_something_else() {
    assert_eq!(refused("size=4096", &data("size=8192")), Errno::EINVAL);
    assert_eq!(refused("size=4096", &data("size=4097")), Errno::EINVAL);
    assert_eq!(refused("size=4096", &[0; 4096]), Errno::EINVAL);
    assert_eq!(refused("size=4096", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), Errno::EINVAL);
    let mut later = data("size=4096");
    later[4] = 2;
    assert_eq!(refused("size=4096", &later), Errno::EINVAL, "another version of the format");
}

#[test]
fn two_saves_of_one_device_do_not_mix() {
    let (mut source, _) = pair("size=64KiB");
    let first = save(&mut source, 65_536);
    source.set_state(State::Running).unwrap();
    source.advance(1);
    let second = save(&mut source, 65_536);
    let cut = HEADER + 8 * PAGE_RECORD;
    assert_eq!(refused("size=64KiB", &[&first[..cut], &second[cut..]].concat()), Errno::EINVAL);
}

#[test]
fn random_changes_of_all_sorts() {
    let whole = data("size=20000");
    let mut random = 1_u64;
    let mut draw = |count: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % count
    };
    for round in 0..5_000 {
        let mut wrong = whole.clone();
        let (at, len) = (draw(whole.len()), 1 + draw(40));
        let end = (at + len).min(whole.len());
        match draw(3) {
            0 => drop(wrong.drain(at..end)),
            1 => drop(wrong.splice(at..at, whole[at..end].to_vec())),
            _ => wrong[at..end].fill_with(|| u8::try_from(draw(256)).unwrap()),
        }
        if wrong != whole {
            let mut destination = Model::new(&Settings::parse("size=20000").unwrap(), 3).unwrap();
            assert!(load(&mut destination, &wrong, 1 + draw(9000)).is_err(), "round {round}");
        }
    }
}
