//! What a device is and what its state needs from a destination.

use core::fmt;

/// One line of a [`Passport`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What the line is about, such as `device`, `size` or `firmware`.
    pub key: String,
    /// The value, compared as text.
    pub value: String,
    /// Whether a destination must have the same value. The rest informs people.
    pub needed: bool,
}

/// What a device is, and which of that a destination must have as well. Compared before anything changes.
///
/// ```
/// use vfio_migration_protocol::Passport;
/// let source = Passport::new().needs("device", "model").needs("size", "4096").says("host", "a");
/// let same = Passport::new().needs("device", "model").needs("size", "4096").says("host", "b");
/// let other = Passport::new().needs("device", "model").needs("size", "8192");
/// assert_eq!(source.accepts(&same), Ok(()));
/// assert_eq!(source.accepts(&other).unwrap_err().to_string(), "size is 4096 at the source and 8192 here");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passport {
    entries: Vec<Entry>,
}

/// A line of the source's passport that this device does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the line is about.
    pub key: String,
    /// What the source has.
    pub source: String,
    /// What is here, if anything.
    pub here: Option<String>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, source, here } = self;
        match here {
            Some(here) => write!(f, "{key} is {source} at the source and {here} here"),
            None => write!(f, "{key} is {source} at the source and nothing here"),
        }
    }
}

impl core::error::Error for Mismatch {}

impl Passport {
    /// An empty passport, which fits everywhere.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Adds a line that a destination must have as well.
    #[must_use]
    pub fn needs(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(Entry { key: key.into(), value: value.into(), needed: true })
    }

    /// Adds a line that informs people.
    #[must_use]
    pub fn says(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(Entry { key: key.into(), value: value.into(), needed: false })
    }

    /// Adds a line.
    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// All lines, in the order in which they were added.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether the state of a device with this passport may go to a device with that one: every line that either of
    /// them needs stands in both.
    pub fn accepts(&self, destination: &Self) -> Result<(), Mismatch> {
        let value = |passport: &Self, key: &str| {
            passport.entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.clone())
        };
        for entry in self.entries.iter().chain(&destination.entries).filter(|entry| entry.needed) {
            let (source, here) = (value(self, &entry.key), value(destination, &entry.key));
            if source != here {
                let source = source.unwrap_or_else(|| "nothing".into());
                return Err(Mismatch { key: entry.key.clone(), source, here });
            }
        }
        Ok(())
    }
}
