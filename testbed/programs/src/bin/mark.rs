//! `mark PAGE_TABLE IOVA LENGTH SEED`, with an iommufd as standard input: lets the device that iommufd made up behind a page
//! table write to some pages of a mapping, about one in eight, and prints their numbers (address / 4096), a line each.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mark: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("mark: there is no iommufd here");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Error, Result, Write as _, stdin, stdout};
    use std::os::fd::AsFd as _;

    use vfio_migration_uapi::iommufd_mock;

    /// The pages that trackers know, and those of the made-up IOMMU, which takes marks by no others.
    const PAGE: u64 = 4096;
    const HALF: u64 = 2048;

    pub(super) fn run(arguments: &[String]) -> Result<()> {
        let numbers = arguments.iter().map(|word| word.parse::<u64>().map_err(Error::other));
        let numbers: Vec<_> = numbers.collect::<Result<_>>()?;
        let [table, iova, length, seed] = numbers[..] else {
            return Err(Error::other("usage: mark PAGE_TABLE IOVA LENGTH SEED"));
        };
        let table = u32::try_from(table).map_err(Error::other)?;
        let mut bits = vec![0_u64; usize::try_from(length.div_ceil(HALF).div_ceil(64)).map_err(Error::other)?];
        let mut dice = seed;
        // Splitmix64.
        let mut roll = || {
            dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (dice ^ dice >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        for word in &mut bits {
            *word = roll() & roll() & roll() & roll();
        }
        iommufd_mock::write_to(stdin().as_fd(), table, iova, length, HALF, &bits)?;
        let mut out = stdout().lock();
        for page in 0..length / PAGE {
            // Both halves of a page are in one word.
            let half = page * PAGE / HALF;
            if bits[usize::try_from(half / 64).map_err(Error::other)?] >> (half % 64) & 0b11 != 0 {
                writeln!(out, "{}", iova / PAGE + page)?;
            }
        }
        Ok(())
    }
}
