//! `Bitmap` against a plain list of booleans, with seeded operations.

mod dice;

use vfio_migration_protocol::Bitmap;

use dice::Dice;

fn at(page: u64) -> usize {
    usize::try_from(page).expect("a page of a test")
}

fn same(bitmap: &Bitmap, plain: &[bool], what: &str) {
    for (page, marked) in (0..).zip(plain) {
        assert_eq!(bitmap.get(page), *marked, "{what}: page {page} of {}", plain.len());
    }
    let count = plain.iter().filter(|marked| **marked).count() as u64;
    assert_eq!((bitmap.count(), bitmap.is_empty()), (count, count == 0), "{what}");
}

#[test]
fn it_does_what_a_list_of_booleans_does() {
    for pages in [0, 1, 2, 63, 64, 65, 127, 128, 129, 200] {
        for seed in 0..20 {
            let mut dice = Dice(seed ^ pages << 8);
            let mut bitmap = Bitmap::new(pages);
            let mut plain = vec![false; at(pages)];
            for step in 0..200 {
                // Pages beyond the end on purpose: they are ignored.
                let page = dice.roll(pages + 70);
                let what = format!("seed {seed}, step {step}");
                match dice.roll(14) {
                    0..4 => {
                        bitmap.set(page);
                        plain.iter_mut().skip(at(page)).take(1).for_each(|marked| *marked = true);
                    }
                    4..6 => {
                        bitmap.clear(page);
                        plain.iter_mut().skip(at(page)).take(1).for_each(|marked| *marked = false);
                    }
                    6 => {
                        let mut other = Bitmap::new(pages);
                        for one in (0..pages).filter(|_| dice.roll(9) == 0).collect::<Vec<_>>() {
                            other.set(one);
                            plain[at(one)] = true;
                        }
                        bitmap.merge(&other);
                    }
                    7 if dice.roll(20) == 0 => {
                        bitmap.fill();
                        plain.fill(true);
                    }
                    7..9 => {
                        let expected = (page..pages).find(|one| plain[at(*one)]);
                        assert_eq!(bitmap.next(page), expected, "{what}: next from {page} of {pages}");
                    }
                    9 => {
                        let count = dice.roll(pages + 70);
                        bitmap.set_run(page, count);
                        plain.iter_mut().skip(at(page)).take(at(count)).for_each(|marked| *marked = true);
                    }
                    10 => {
                        let words: Vec<u64> =
                            (0..dice.roll(5)).map(|_| dice.roll(u64::MAX) & dice.roll(u64::MAX)).collect();
                        let (from, count) = (dice.roll(200), dice.roll(200));
                        bitmap.merge_at(page, &words, from, count);
                        let bit = |bit: u64| words.get(at(bit / 64)).is_some_and(|word| word >> (bit % 64) & 1 != 0);
                        let marks = (from..from + count).map(bit);
                        plain.iter_mut().skip(at(page)).zip(marks).for_each(|(marked, mark)| *marked |= mark);
                    }
                    11 if dice.roll(2) == 0 => {
                        let count = dice.roll(pages + 70);
                        bitmap.clear_run(page, count);
                        plain.iter_mut().skip(at(page)).take(at(count)).for_each(|marked| *marked = false);
                    }
                    11 => {
                        let listed: Vec<u64> = bitmap.runs().flat_map(|(first, count)| first..first + count).collect();
                        let expected: Vec<u64> = (0..pages).filter(|one| plain[at(*one)]).collect();
                        assert_eq!(listed, expected, "{what}: runs of {pages}");
                        let runs: Vec<_> = bitmap.runs().collect();
                        assert!(runs.windows(2).all(|pair| pair[0].0 + pair[0].1 < pair[1].0), "{what}: {runs:?}");
                    }
                    _ => {
                        let most = dice.roll(pages + 2) + 1;
                        let expected = (page..pages).find(|one| plain[at(*one)]).map(|first| {
                            let end = (first..pages).take(at(most)).find(|one| !plain[at(*one)]);
                            let end = end.unwrap_or_else(|| pages.min(first + most));
                            plain[at(first)..at(end)].fill(false);
                            (first, end - first)
                        });
                        assert_eq!(bitmap.take_run(page, most), expected, "{what}: run from {page} of {pages}");
                    }
                }
                same(&bitmap, &plain, &what);
            }
        }
    }
}

/// The runs of a list of booleans, one at a time.
fn plain_runs(plain: &[bool], from: u64) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for page in (from..plain.len() as u64).filter(|page| plain[at(*page)]) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    runs
}

#[test]
fn runs_are_those_of_a_list_of_booleans_however_long_they_are() {
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut plain = Vec::new();
        // Runs shorter and longer than a word, and than the eight words that are looked at as one.
        while plain.len() < 4000 {
            let length = [1, 2, 63, 64, 65, 511, 512, 513, 700][dice.place(9)];
            let marked = dice.roll(2) == 0;
            plain.extend(std::iter::repeat_n(marked, dice.place(length) + 1));
            // Words with edges in all of their bytes, and with hardly any.
            let (alike, marked) = (dice.place(20), dice.roll(2) == 0);
            plain.extend((0..dice.place(200)).map(|_| (dice.place(alike + 2) == 0) == marked));
        }
        plain.truncate(3000 + dice.place(1000));
        let pages = plain.len() as u64;
        let mut bitmap = Bitmap::new(pages);
        for (page, _) in (0..).zip(&plain).filter(|(_, marked)| **marked) {
            bitmap.set(page);
        }
        if let (Some(last), beyond @ 1..) = (bitmap.words_mut().last_mut(), pages % 64) {
            *last |= dice.roll(u64::MAX) << beyond;
        }
        assert_eq!(bitmap.runs().collect::<Vec<_>>(), plain_runs(&plain, 0), "seed {seed}");
        for from in [dice.roll(pages), dice.roll(pages + 200), pages - 1, pages, u64::MAX] {
            assert_eq!(
                bitmap.runs_from(from).collect::<Vec<_>>(),
                plain_runs(&plain, from),
                "seed {seed}, {from} of {pages}"
            );
            // All at once, some of them taken before.
            let (mut rest, taken) = (bitmap.runs_from(from), dice.place(100));
            let mut all: Vec<_> = rest.by_ref().take(taken).collect();
            rest.for_each(|run| all.push(run));
            assert_eq!(all, plain_runs(&plain, from), "seed {seed}, {from} of {pages}, {taken} by themselves");
            let expected = (from..pages).find(|page| plain[at(*page)]);
            assert_eq!(bitmap.next(from), expected, "seed {seed}, {from} of {pages}");
        }
        let mut runs = bitmap.runs();
        runs.by_ref().for_each(drop);
        assert_eq!(runs.next(), None, "the end stays the end");
    }
}

#[test]
fn runs_take_every_page_once_and_in_order() {
    for (pages, most) in [(1, 1), (64, 64), (65, 7), (300, 1), (300, 1000)] {
        let mut bitmap = Bitmap::new(pages);
        bitmap.fill();
        let mut at = 0;
        while let Some((first, len)) = bitmap.take_run(at, most) {
            assert_eq!(first, at);
            assert!((1..=most).contains(&len));
            at += len;
        }
        assert_eq!(at, pages);
        assert!(bitmap.is_empty());
    }
}

#[test]
fn a_run_of_no_pages_takes_nothing() {
    let mut bitmap = Bitmap::new(8);
    bitmap.set(5);
    assert_eq!(bitmap.take_run(0, 0), Some((5, 0)));
    assert!(bitmap.get(5));
}

#[test]
fn bits_lie_where_the_kernel_puts_them() {
    let mut bitmap = Bitmap::new(130);
    bitmap.set(0);
    bitmap.set(63);
    bitmap.set(64);
    bitmap.set(129);
    assert_eq!(bitmap.words_mut(), [1 | 1 << 63, 1, 2]);
    bitmap.words_mut()[1] |= 1 << 5;
    assert!(bitmap.get(69));
}

#[test]
fn bits_beyond_the_last_page_mean_nothing() {
    for pages in [1, 63, 64, 65, 100] {
        let mut kernel = Bitmap::new(pages);
        kernel.words_mut().fill(u64::MAX);
        assert_eq!(kernel.next(pages), None, "{pages} pages");
        assert_eq!(kernel.runs().collect::<Vec<_>>(), [(0, pages)]);
        assert!(!kernel.get(pages));

        let mut merged = Bitmap::new(pages);
        merged.merge(&kernel);
        assert_eq!(merged.count(), pages, "after a merge");

        // Taking everything leaves nothing behind that could be found again.
        let mut taken = 0;
        let mut from = 0;
        while let Some((first, len)) = kernel.take_run(from, 64) {
            taken += len;
            from = first + len;
        }
        assert_eq!(taken, pages);
        assert_eq!(kernel.next(0), None);
    }
}

#[test]
fn count_and_emptiness_ignore_bits_beyond_the_last_page() {
    for pages in [1, 63, 65, 100] {
        let mut kernel = Bitmap::new(pages);
        *kernel.words_mut().last_mut().expect("one word at least") = !0 << (pages % 64);
        assert_eq!((kernel.count(), kernel.is_empty()), (0, true), "{pages} pages, and a tracker that sets more");
        assert_eq!(kernel.runs().next(), None);
        assert!(kernel.to_words().iter().all(|word| *word == 0));
    }
}

#[test]
fn merging_bitmaps_of_other_lengths_keeps_to_the_own_length() {
    let (mut short, mut long) = (Bitmap::new(10), Bitmap::new(1000));
    long.fill();
    short.merge(&long);
    assert_eq!(short.count(), 10);
    let mut wide = Bitmap::new(1000);
    wide.merge(&short);
    assert_eq!(wide.count(), 10);
}
