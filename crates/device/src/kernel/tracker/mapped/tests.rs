//! The log against a kernel that answers for whole mappings only, overwrites what it answers for, and leaves holes alone.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::*;

const PAGE: u64 = 4096;

#[derive(Debug, Default)]
struct Fake {
    mapped: BTreeSet<(u64, u64)>,
    written: BTreeSet<u64>,
    on: bool,
    fails: Option<io::Errno>,
    asked: Vec<String>,
}

#[derive(Clone, Debug)]
struct Machine(Arc<Mutex<RefCell<Fake>>>);

impl Machine {
    /// Mappings by first page and how many.
    fn with(mapped: &[(u64, u64)]) -> Self {
        let fake = Fake { mapped: mapped.iter().copied().collect(), ..Fake::default() };
        Self(Arc::new(Mutex::new(RefCell::new(fake))))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Fake) -> T) -> T {
        change(&mut lock(&self.0).borrow_mut())
    }

    fn write(&self, pages: &[u64]) {
        self.change(|fake| fake.written.extend(pages));
    }

    fn tracker(&self, known: &[(u64, u64)], whose: Whose) -> MappedLog<Self> {
        let log = MappedLog::new(self.clone(), whose);
        for (first, count) in known {
            log.maps().mapped(range(*first, *count)).unwrap();
        }
        log
    }
}

impl Kernel for Machine {
    const NAME: &'static str = "a fake";

    fn supports(&self, _wish: u64) -> Result<(u64, u64), CallError> {
        Ok((PAGE, 16))
    }

    fn start(&self) -> io::Result<()> {
        self.change(|fake| (fake.on, fake.asked) = (true, vec!["start".into()]));
        Ok(())
    }

    fn stop(&self) -> io::Result<()> {
        self.change(|fake| (fake.on = false, fake.asked.push("stop".into())));
        Ok(())
    }

    fn read(&self, mapped: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()> {
        let (first, end) = (mapped.iova / page_size, (mapped.iova + mapped.length) / page_size);
        self.change(|fake| {
            fake.asked.push(format!("read {first}+{}", end - first));
            if let Some(errno) = fake.fails {
                return Err(errno);
            }
            let cut = |place: u64| fake.mapped.iter().any(|(at, count)| *at < place && place < at + count);
            if !fake.on || cut(first) || cut(end) {
                return Err(io::Errno::INVAL);
            }
            for page in (first..end).filter(|page| fake.written.remove(page)) {
                words[usize::try_from((page - first) / 64).unwrap()] |= 1 << ((page - first) % 64);
            }
            Ok(())
        })
    }

    fn unmap(&self, mapped: IovaRange, log: Option<(u64, &mut [u64])>) -> io::Result<u64> {
        let asks = log.is_some();
        if let Some((page_size, words)) = log {
            self.read(mapped, page_size, words)?;
        }
        let (first, end) = (mapped.iova / PAGE, (mapped.iova + mapped.length) / PAGE);
        self.change(|fake| {
            fake.asked.push(format!("unmap {first}+{} {asks}", end - first));
            fake.mapped.retain(|(at, count)| *at + count <= first || *at >= end);
            fake.written.retain(|page| !(first..end).contains(page));
        });
        Ok(mapped.length)
    }
}

const fn range(first: u64, count: u64) -> IovaRange {
    IovaRange { iova: first * PAGE, length: count * PAGE }
}

fn report(log: &mut MappedLog<Machine>, first: u64, count: u64) -> Vec<(u64, u64)> {
    let mut bits = Bitmap::new(count);
    log.report(range(first, count), &mut bits).unwrap();
    bits.runs().map(|(page, count)| (page + first, count)).collect()
}

#[test]
fn whole_mappings_are_read_whatever_is_asked_for() {
    let machine = Machine::with(&[(0, 70), (70, 60), (130, 100)]);
    let mut log = machine.tracker(&[(0, 70), (70, 60), (130, 100)], Whose::Ours);
    machine.write(&[9]);
    assert_eq!(log.start(&[range(0, 230)], PAGE), Ok(PAGE));
    assert_eq!(report(&mut log, 0, 230), [], "what was written before does not matter");
    machine.write(&[1, 69, 70, 71, 129, 130, 229]);
    assert_eq!(report(&mut log, 71, 60), [(71, 1), (129, 2)]);
    machine.change(|fake| assert_eq!(fake.asked[fake.asked.len() - 2..], ["read 70+60", "read 130+100"]));
    assert_eq!(report(&mut log, 0, 71), [(1, 1), (69, 2)], "what was read before is not lost");
    assert_eq!(report(&mut log, 131, 99), [(229, 1)]);
    assert_eq!(report(&mut log, 0, 230), []);
    log.stop().unwrap();
    drop(log);
    machine.change(|fake| assert_eq!(fake.asked.iter().filter(|asked| *asked == "stop").count(), 1));
}

#[test]
fn neighbours_are_read_at_once_as_far_as_a_bitmap_goes() {
    // One call may fill 16 bytes: 128 pages.
    let machine = Machine::with(&[(0, 60), (60, 60), (120, 60)]);
    let mut log = machine.tracker(&[(0, 60), (60, 60), (120, 60)], Whose::Ours);
    log.start(&[range(0, 180)], PAGE).unwrap();
    machine.change(|fake| fake.asked.clear());
    machine.write(&[59, 60, 121]);
    assert_eq!(report(&mut log, 0, 180), [(59, 2), (121, 1)]);
    machine.change(|fake| assert_eq!(fake.asked, ["read 0+120", "read 120+60"]));

    let large = Machine::with(&[(0, 129)]);
    let error = large.tracker(&[(0, 129)], Whose::Ours).start(&[range(0, 129)], PAGE).unwrap_err();
    assert_eq!(error.errno, Errno::E2BIG, "a mapping cannot be cut");
}

#[test]
fn holes_are_dirty() {
    let machine = Machine::with(&[(10, 10), (30, 10)]);
    let mut log = machine.tracker(&[(10, 10), (30, 10)], Whose::Ours);
    log.start(&[range(0, 50)], PAGE).unwrap();
    assert_eq!(report(&mut log, 0, 50), [(0, 10), (20, 10), (40, 10)]);
}

#[test]
fn what_was_written_before_an_unmap_is_reported_after_it() {
    let machine = Machine::with(&[(0, 10), (10, 10)]);
    let mut log = machine.tracker(&[(0, 10), (10, 10)], Whose::Ours);
    let maps = log.maps();
    log.start(&[range(0, 20)], PAGE).unwrap();
    machine.write(&[3, 12]);
    assert_eq!(maps.unmap(range(0, 5)).unwrap_err().errno, Errno::EINVAL, "it cuts a mapping");
    maps.unmap(range(10, 10)).unwrap();
    machine.change(|fake| assert!(fake.mapped.insert((10, 10))));
    maps.mapped(range(10, 10)).unwrap();
    assert_eq!(report(&mut log, 0, 20), [(3, 1), (12, 1)]);
    assert_eq!(maps.mapped(range(15, 10)).unwrap_err().errno, Errno::EEXIST);

    log.stop().unwrap();
    maps.unmap(range(10, 10)).unwrap();
    machine.change(|fake| assert_eq!(fake.asked.last().unwrap(), "unmap 10+10 false", "no log, no bits"));
}

#[test]
fn mappings_that_are_others_than_was_said_show_at_the_start() {
    let machine = Machine::with(&[(0, 20)]);
    let error = machine.tracker(&[(0, 10)], Whose::Ours).start(&[range(0, 10)], PAGE).unwrap_err();
    assert_eq!(error.errno, Errno::EINVAL);
    machine.change(|fake| assert_eq!(fake.asked, ["start", "read 0+10", "stop"]));
}

#[test]
fn without_mappings_the_ranges_are_taken_for_them_each_time() {
    let machine = Machine::with(&[(0, 20), (20, 5)]);
    let mut log = machine.tracker(&[], Whose::Ours);
    log.start(&[range(0, 20), range(20, 5)], PAGE).unwrap();
    machine.write(&[3]);
    assert_eq!(report(&mut log, 0, 20), [(3, 1)]);
    log.stop().unwrap();
    log.start(&[range(20, 5)], PAGE).unwrap();
    assert_eq!(report(&mut log, 0, 20), [(0, 20)], "not watched any more");
}

#[test]
fn after_an_error_everything_is_dirty_until_the_next_start() {
    let machine = Machine::with(&[(0, 20)]);
    let mut log = machine.tracker(&[], Whose::Ours);
    log.start(&[range(0, 20)], PAGE).unwrap();
    machine.change(|fake| fake.fails = Some(io::Errno::IO));
    let mut bits = Bitmap::new(20);
    assert_eq!(log.report(range(0, 20), &mut bits).unwrap_err().errno, Errno::EIO);
    assert_eq!(bits.count(), 20);
    machine.change(|fake| fake.fails = None);
    assert!(log.report(range(0, 20), &mut Bitmap::new(20)).is_err());
    log.stop().unwrap();
    log.start(&[range(0, 20)], PAGE).unwrap();
    assert_eq!(report(&mut log, 0, 20), []);
}

#[test]
fn a_borrowed_log_is_read_and_nothing_else() {
    let machine = Machine::with(&[(0, 20)]);
    machine.start().unwrap();
    machine.write(&[3]);
    let mut log = machine.tracker(&[], Whose::Borrowed { page_size: PAGE });
    log.start(&[range(0, 20)], PAGE).unwrap();
    assert_eq!(report(&mut log, 0, 20), [(3, 1)]);
    log.stop().unwrap();
    drop(log);
    machine.change(|fake| assert_eq!(fake.asked, ["start", "read 0+20"], "the first is the caller's"));
}
