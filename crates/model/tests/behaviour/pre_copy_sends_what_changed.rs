//! Pre-copy: initial data, what changed since, new initial data, and what is only given in stop-copy.

use crate::transfer::{drain, load, pair, save};
use vfio_migration_model::Model;
use vfio_migration_protocol::{Device, Estimate, PreCopyInfo, State, Then};

const PAGE_RECORD: u64 = 16 + 4096;
const HEADER: u64 = 64;

fn info(source: &mut Model) -> (u64, u64, bool) {
    let PreCopyInfo { initial, dirty, reinit } = source.pre_copy_info().unwrap();
    (initial.known().unwrap(), dirty.known().unwrap(), reinit)
}

/// Reads exactly so many bytes.
fn read(source: &mut Model, bytes: u64, into: &mut Vec<u8>) {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap()];
    let mut at = 0;
    while at < buffer.len() {
        let filled = source.read(&mut buffer[at..]).unwrap();
        assert_eq!(filled.then, Then::More, "{} of {bytes} bytes", at + filled.len);
        at += filled.len;
    }
    into.append(&mut buffer);
}

#[test]
fn initial_data_comes_down_to_nothing_and_changes_follow() {
    let (mut source, mut destination) = pair("size=256KiB,pre-copy,p2p,dirty-rate=1");
    source.set_state(State::PreCopy).unwrap();
    let (initial, dirty, reinit) = info(&mut source);
    assert_eq!((initial, dirty, reinit), (HEADER + 64 * PAGE_RECORD, 0, false));

    let mut data = Vec::new();
    read(&mut source, 1000, &mut data);
    assert_eq!(info(&mut source).0, initial - 1000);
    read(&mut source, initial - 1000, &mut data);
    assert_eq!(info(&mut source), (0, 0, false));
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);

    source.advance(3);
    let (initial, dirty, _) = info(&mut source);
    assert!(initial == 0 && (PAGE_RECORD..=3 * PAGE_RECORD).contains(&dirty), "{dirty}");
    let before = data.len() as u64;
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
    assert_eq!(data.len() as u64 - before, dirty);

    source.set_state(State::PreCopyP2p).unwrap();
    source.advance(2);
    data.extend(save(&mut source, 4096));
    assert_eq!(load(&mut destination, &data, 4096), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn a_page_that_changes_while_it_is_read_comes_again() {
    let (mut source, mut destination) = pair("size=4096,pre-copy,dirty-rate=1");
    source.set_state(State::PreCopy).unwrap();
    let mut data = Vec::new();
    read(&mut source, HEADER + 2000, &mut data);
    source.advance(1);
    read(&mut source, PAGE_RECORD - 2000, &mut data);
    assert_eq!(info(&mut source).1, PAGE_RECORD);
    data.extend(save(&mut source, 4096));
    assert_eq!(load(&mut destination, &data, 4096), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn a_device_that_changes_faster_than_it_is_read_never_ends() {
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,dirty-rate=16");
    source.set_state(State::PreCopy).unwrap();
    let mut data = Vec::new();
    for _ in 0..1000 {
        read(&mut source, PAGE_RECORD, &mut data);
        source.advance(1);
    }
    assert!(info(&mut source).1 > 0);
    data.extend(save(&mut source, 65_536));
    assert_eq!(load(&mut destination, &data, 65_536), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn only_a_part_may_be_initial_and_a_part_may_wait_for_stop_copy() {
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,initial=8KiB,late=16KiB");
    source.set_state(State::PreCopy).unwrap();
    assert_eq!(info(&mut source), (HEADER + 2 * PAGE_RECORD, 10 * PAGE_RECORD, false));
    let mut data = Vec::new();
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
    assert_eq!(data.len() as u64, HEADER + 12 * PAGE_RECORD);
    assert_eq!(info(&mut source), (0, 0, false));
    let rest = save(&mut source, 4096);
    assert!(rest.len() as u64 > 4 * PAGE_RECORD);
    data.extend(rest);
    assert_eq!(load(&mut destination, &data, 4096), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn where_asking_makes_data_nothing_comes_unasked() {
    let (mut source, _) = pair("size=64KiB,pre-copy,info-makes-data,dirty-rate=1");
    source.set_state(State::PreCopy).unwrap();
    let mut data = Vec::new();
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
    source.advance(5);
    let before = data.len();
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
    assert_eq!(data.len(), before);
    let (_, dirty, _) = info(&mut source);
    assert!(dirty > 0);
    assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
    assert_eq!((data.len() - before) as u64, dirty);
}

#[test]
fn new_initial_data_is_announced_once_and_loads() {
    for by_call in [true, false] {
        let settings = if by_call { "size=64KiB,pre-copy" } else { "size=64KiB,pre-copy,reinit-after=30" };
        let (mut source, mut destination) = pair(settings);
        source.set_state(State::PreCopy).unwrap();
        let mut data = Vec::new();
        let initial = info(&mut source).0;
        assert_eq!(initial, HEADER + 16 * PAGE_RECORD);
        if by_call {
            assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
            assert_eq!(info(&mut source).0, 0);
            source.reinit();
        } else {
            (0..30).for_each(|_| read(&mut source, 100, &mut data));
        }
        let (again, _, reinit) = info(&mut source);
        assert!(again >= initial, "{again}");
        assert!(reinit);
        assert!(!info(&mut source).2, "it is said once");
        assert_eq!(drain(&mut source, 4096, &mut data), Then::Pause);
        assert_eq!(info(&mut source).0, 0);
        data.extend(save(&mut source, 4096));
        assert_eq!(load(&mut destination, &data, 777), Ok(()));
        assert_eq!(destination.proof(), source.proof());
    }
}

#[test]
fn leaving_pre_copy_ends_the_session_and_the_next_starts_afresh() {
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,p2p");
    source.set_state(State::PreCopy).unwrap();
    drain(&mut source, 4096, &mut Vec::new());
    source.set_state(State::Stop).unwrap();
    assert_eq!(source.data_size(), Ok(Estimate::Known(HEADER + 16 * PAGE_RECORD + 88 + 48)));
    let data = save(&mut source, 4096);
    assert_eq!(load(&mut destination, &data, 4096), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}
