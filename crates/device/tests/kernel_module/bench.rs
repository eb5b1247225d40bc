//! The module's devices as a test finds them: nobody else uses them, and every knob is at its default.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests share the devices.
static TAKEN: Mutex<()> = Mutex::new(());

/// The knobs and their defaults: testbed/module/README.md.
const DEFAULTS: &[(&str, u64)] = &[
    ("capabilities", 7),
    ("dma_log", 1),
    ("size", 1 << 20),
    ("wipe", 0),
    ("keep_state", 0),
    ("enomsg", 1),
    ("accept_corrupt", 0),
    ("data_size_mode", 0),
    ("initial_size", 4096),
    ("dirty_per_query", 0),
    ("dirty_queries", 0),
    ("reinit_at", 0),
    ("log_page_size", 0),
    ("counts", 0),
    ("truth", 0),
];

/// Two devices, for one test at a time.
pub(crate) struct Bench {
    pub(crate) knobs: [Knobs; 2],
    _taken: MutexGuard<'static, ()>,
}

impl Bench {
    /// `None`, with a line that says why, where there are no such devices.
    ///
    /// # Panics
    /// In the test bed, which says that it has loaded the module: there no test may be skipped.
    pub(crate) fn take() -> Option<Self> {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let knobs = [Knobs::of(0), Knobs::of(1)];
        if let Some(missing) = knobs.iter().find(|knobs| !knobs.files.is_dir()) {
            let why = format!("no test device: {} is not there", missing.files.display());
            assert!(std::env::var_os("VFIO_TEST_MODULE").is_none(), "{why}");
            skipped(&why);
            return None;
        }
        for (device, secret) in knobs.iter().zip([0x5ec2_e75e_c2e7, 1]) {
            device.write("faults", "clear");
            for (name, value) in DEFAULTS {
                device.set(name, *value);
            }
            device.set("secret", secret);
        }
        Some(Self { knobs, _taken: taken })
    }
}

/// The files of one device in debugfs.
pub(crate) struct Knobs {
    pub(crate) number: u32,
    files: PathBuf,
}

impl Knobs {
    fn of(number: u32) -> Self {
        Self { number, files: Path::new("/sys/kernel/debug/vfio-testdev").join(format!("vfio-testdev.{number}")) }
    }

    pub(crate) fn set(&self, name: &str, value: u64) {
        self.write(name, &value.to_string());
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        let text = self.text(name);
        text.trim().parse().unwrap_or_else(|_| panic!("{name} reads {text}"))
    }

    pub(crate) fn fault(&self, fault: &str) {
        self.write("faults", fault);
    }

    pub(crate) fn try_write(&self, name: &str, text: &str) -> std::io::Result<()> {
        fs::write(self.files.join(name), text)
    }

    fn write(&self, name: &str, text: &str) {
        self.try_write(name, text).unwrap_or_else(|error| panic!("{text} is not written to {name}: {error}"));
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.files.join(name)).unwrap_or_else(|error| panic!("{name} is not read: {error}"))
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        let counts = self.text("counts");
        let counts: BTreeMap<&str, &str> = counts.lines().filter_map(|line| line.split_once(' ')).collect();
        counts.get(name).map_or(0, |count| count.parse().expect("counts are numbers"))
    }

    /// The arcs that the driver walked since the counts were cleared, as it names them.
    pub(crate) fn arcs(&self) -> Vec<(String, String)> {
        let trace = self.text("trace");
        let words = trace.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        words
            .filter(|words| words[2] == "arc" && words[5] == "0")
            .map(|words| (words[3].to_owned(), words[4].to_owned()))
            .collect()
    }

    /// The numbers of the pages of 4096 bytes that the device wrote.
    pub(crate) fn truth(&self) -> std::collections::BTreeSet<u64> {
        let hexadecimal =
            |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).expect("a hexadecimal number");
        let text = self.text("truth");
        let ranges = text.lines().filter_map(|line| line.split_once(' '));
        ranges
            .flat_map(|(iova, length)| {
                let first = hexadecimal(iova) / 4096;
                first..first + hexadecimal(length) / 4096
            })
            .collect()
    }
}

/// Says it where a passing test is heard too.
pub(crate) fn skipped(why: &str) {
    writeln!(std::io::stderr(), "skipped: {why}").expect("standard error is there");
}

/// A length in memory.
pub(crate) fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it fits into memory")
}
