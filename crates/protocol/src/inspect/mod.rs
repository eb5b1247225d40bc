//! What is in a file that holds a migration: its parts, its devices and their data, and where it is damaged.
//!
//! [`Inspector`] is a machine without I/O: bytes come in in any pieces, [`Part`]s go out as soon as they are complete, and
//! at the end the [`Outline`] says it all in short. Parts lie side by side: each begins where the one before ended, and
//! together they are the file. What is damaged is the last of them, from where it can no longer be read to the end of
//! the file. Memory is bounded whatever the bytes say.
//!
//! What a file holds is found by its first bytes. Streams of this project are verified as a restore verifies them.
//!
//! Nothing is searched for after damage. Of our streams a restore uses nothing that comes after it: the numbers, offsets
//! and totals of all later frames count the damaged one, so that a frame that is found by its magic could not be verified.
//! Of QEMU's files a section that was found by looking for one could as well be bytes of a page.
//!
//! ```
//! use vfio_migration_protocol::inspect::{Content, Format, Inspector, Part, Visit};
//!
//! #[derive(Default)]
//! struct Kinds(Vec<Part>);
//! impl Visit for Kinds {
//!     fn part(&mut self, part: Part) {
//!         self.0.push(part);
//!     }
//! }
//!
//! let mut inspector = Inspector::default();
//! let mut parts = Kinds::default();
//! for piece in [&b"no mig"[..], b"ration at all"] {
//!     inspector.feed(piece, &mut parts);
//! }
//! let outline = inspector.finish(&mut parts);
//! assert_eq!((outline.format, outline.size), (Format::Unknown, 19));
//! let damage = outline.damage.expect("it is nothing that is known");
//! assert_eq!((damage.at, damage.found.as_str()), (0, "\"no migration at \""));
//! assert!(matches!(parts.0[0].content, Content::Damage { .. }));
//! ```

mod damage;
mod data;
mod diff;
mod number;
mod outline;
mod own;
mod part;
mod qemu;

pub use damage::Damage;
pub use data::{Family, Recognised};
pub use diff::{Difference, Fingerprint, Place, diff};
pub use outline::{Ending, Format, ObjectOutline, Outline, PassportLine};
pub use part::{Content, Part, Payload};
pub use qemu::{Msix, PciConfig, QemuOutline, SectionOutline};

use data::Recogniser;

use crate::stream::payload_crc_combine;

/// Where the parts of a file go.
pub trait Visit {
    /// A part is complete, and what can be verified of it was.
    fn part(&mut self, part: Part);

    /// Bytes of an object, by its place in [`Outline::objects`], in order. They come before their part was verified: whoever
    /// keeps them waits for [`part`](Self::part).
    fn data(&mut self, _object: usize, _bytes: &[u8]) {}
}

/// Drops every part: for whoever wants the outline only.
impl Visit for () {
    fn part(&mut self, _part: Part) {}
}

/// The longest that the first bytes of any format are.
const SIGNATURE: usize = 16;
/// Most objects of a file; of our streams, [`MAX_OBJECTS`](crate::stream::MAX_OBJECTS).
const MOST_OBJECTS: usize = 1024;
/// A reader takes that many steps without bytes at most.
const MOST_IDLE: usize = 16;
/// Most notes, and most problems. A file that gives cause for more is told enough.
const MOST_NOTES: usize = 64;
/// Bits of the address of a byte in a page, where a file does not say: 4 KiB.
const PAGE_BITS: u32 = 12;

/// Looks into a file. [`feed`](Self::feed) takes its bytes, in order and in any pieces; [`finish`](Self::finish) says that
/// there are no more.
pub struct Inspector {
    known: Known,
    /// `None` until the first bytes have told what the file is, and after damage.
    reader: Option<Box<dyn Read + Send>>,
    /// Bytes that came before and were too few: never more than a reader's [`least`](Read::least).
    carry: Vec<u8>,
}

impl Default for Inspector {
    fn default() -> Self {
        Self { known: Known::default(), reader: Some(Box::new(Start)), carry: Vec::new() }
    }
}

impl core::fmt::Debug for Inspector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Inspector").field("outline", &self.known.outline).finish_non_exhaustive()
    }
}

impl Inspector {
    /// Takes the next bytes of the file.
    pub fn feed(&mut self, bytes: &[u8], visit: &mut dyn Visit) {
        self.known.outline.size = self.known.outline.size.saturating_add(bytes.len() as u64);
        let mut rest = bytes;
        while let Some(least) = self.reader.as_ref().map(|reader| reader.least().max(1)) {
            if self.carry.is_empty() {
                if rest.len() < least {
                    self.carry.extend_from_slice(rest);
                    return;
                }
                let used = self.read(rest, visit);
                rest = &rest[used..];
                continue;
            }
            let more = least.saturating_sub(self.carry.len()).min(rest.len());
            let (taken, after) = rest.split_at(more);
            self.carry.extend_from_slice(taken);
            if self.carry.len() < least {
                return;
            }
            let mut carried = core::mem::take(&mut self.carry);
            let used = self.read(&carried, visit);
            let left = carried.len() - used;
            if left <= more {
                // What was not used is the end of what was taken just now: read it from where it is.
                rest = &rest[more - left..];
            } else {
                carried.drain(..used);
                self.carry = carried;
                rest = after;
            }
        }
    }

    /// The file ends here.
    pub fn finish(mut self, visit: &mut dyn Visit) -> Outline {
        let mut idle = 0;
        while let Some(reader) = &mut self.reader {
            let out = &mut Out { known: &mut self.known, visit };
            let step = if self.carry.is_empty() { Ok(Step::More) } else { reader.read(&self.carry, true, out) };
            let over = match step {
                Ok(Step::Used(used)) => {
                    idle = if used == 0 { idle + 1 } else { 0 };
                    assert!(idle < MOST_IDLE, "a reader gets on with what it is given");
                    drop(self.carry.drain(..used));
                    continue;
                }
                Ok(Step::Become(other)) => {
                    *reader = other;
                    continue;
                }
                Ok(Step::More) => reader.end(self.carry.len(), out),
                Err(damage) => Err(damage),
            };
            self.known.outline.damage = over.err();
            break;
        }
        let out = &mut Out { known: &mut self.known, visit };
        out.end();
        self.known.outline
    }

    /// What is known so far. Complete only in what [`finish`](Self::finish) gives.
    pub fn outline(&self) -> &Outline {
        &self.known.outline
    }

    /// Has the reader read until it needs more than there is, or is at its end.
    fn read(&mut self, bytes: &[u8], visit: &mut dyn Visit) -> usize {
        let (mut used, mut idle) = (0, 0);
        while let Some(reader) = &mut self.reader {
            let rest = &bytes[used..];
            if rest.len() < reader.least().max(1) {
                break;
            }
            match reader.read(rest, false, &mut Out { known: &mut self.known, visit }) {
                Ok(Step::Used(more)) => {
                    idle = if more == 0 { idle + 1 } else { 0 };
                    assert!(idle < MOST_IDLE, "a reader gets on with what it is given");
                    used += more;
                }
                Ok(Step::More) => assert!(reader.least() > rest.len(), "a reader that needs more says how much"),
                Ok(Step::Become(other)) => *reader = other,
                Err(damage) => {
                    self.known.outline.damage = Some(damage);
                    self.reader = None;
                    return bytes.len();
                }
            }
        }
        used
    }
}

/// What a reader did.
enum Step {
    /// It has read so many bytes; none if what comes next was not there.
    Used(usize),
    /// It needs more than it was given: as many as it now [says](Read::least), or, of the last bytes, more than there are.
    More,
    /// Somebody else reads on from here.
    Become(Box<dyn Read + Send>),
}

/// Reads one format.
trait Read {
    /// How many bytes it needs to go on, at least.
    fn least(&self) -> usize;

    /// Reads the first of these bytes: at least as many as it [needs](Self::least), unless they are the file's last.
    fn read(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<Step, Damage>;

    /// The file has ended, with so many bytes that were of no use.
    fn end(&mut self, left: usize, out: &mut Out<'_>) -> Result<(), Damage>;
}

/// What was found so far.
struct Known {
    outline: Outline,
    recognisers: Vec<Recogniser>,
    /// Where the next part begins.
    at: u64,
    /// Of a guest's page, in QEMU's files.
    page_bits: u32,
}

impl Default for Known {
    fn default() -> Self {
        Self { outline: Outline::default(), recognisers: Vec::new(), at: 0, page_bits: PAGE_BITS }
    }
}

/// Where a reader says what it found.
struct Out<'a> {
    known: &'a mut Known,
    visit: &'a mut dyn Visit,
}

impl Out<'_> {
    /// Where the next part begins.
    fn at(&self) -> u64 {
        self.known.at
    }

    fn outline(&mut self) -> &mut Outline {
        &mut self.known.outline
    }

    /// The next `len` bytes of the file are this.
    fn part(&mut self, len: u64, object: Option<usize>, payload: Option<Payload>, content: Content) {
        let part = Part { at: self.known.at, len, object, payload, content };
        self.known.at = self.known.at.saturating_add(len);
        self.known.outline.parts += 1;
        self.visit.part(part);
    }

    /// An object of which data will come; its place among the objects.
    fn object(&mut self, object: ObjectOutline) -> usize {
        self.known.outline.objects.push(object);
        self.known.recognisers.push(Recogniser::default());
        self.known.outline.objects.len() - 1
    }

    /// Bytes of a device, before they were verified.
    fn device_data(&mut self, object: usize, bytes: &[u8]) {
        if let Some(recogniser) = self.known.recognisers.get_mut(object) {
            recogniser.take(bytes);
        }
        self.visit.data(object, bytes);
    }

    /// The next `len` bytes of a device have this checksum: they have all gone by, and are verified where they can be.
    fn device_sum(&mut self, object: usize, len: u64, crc: u32) {
        if len == 0 {
            return;
        }
        if let Some(outline) = self.known.outline.objects.get_mut(object) {
            outline.checksum = Some(payload_crc_combine(outline.checksum.unwrap_or(0), crc, len));
        }
    }

    /// Whether no more objects are taken.
    fn is_full(&mut self) -> bool {
        self.known.outline.objects.len() >= MOST_OBJECTS
    }

    /// A device of which only parts are here: there is no sense in looking at them as one piece.
    fn has_gaps(&mut self, object: usize) {
        if let Some(recogniser) = self.known.recognisers.get_mut(object) {
            *recogniser = Recogniser::deaf();
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        add(&mut self.known.outline.notes, note.into());
    }

    fn problem(&mut self, problem: impl Into<String>) {
        add(&mut self.known.outline.problems, problem.into());
    }

    /// Says what could not be read, and of each device what its data are.
    fn end(&mut self) {
        let known = &mut *self.known;
        for (object, recogniser) in known.outline.objects.iter_mut().zip(&mut known.recognisers) {
            object.recognised = recogniser.end(object.complete);
            if let Some(problem) = object.recognised.as_ref().and_then(|found| found.problem.as_ref()) {
                add(&mut known.outline.problems, format!("{}: {problem}", object.id));
            }
        }
        if let Some(damage) = known.outline.damage.clone() {
            let len = known.outline.size.saturating_sub(known.at);
            self.part(len, None, None, Content::Damage { damage });
        }
    }
}

fn add(texts: &mut Vec<String>, text: String) {
    if texts.len() < MOST_NOTES && !texts.contains(&text) {
        texts.push(text);
    }
}

/// Finds out who reads.
struct Start;

impl Read for Start {
    fn least(&self) -> usize {
        SIGNATURE
    }

    fn read(&mut self, bytes: &[u8], _last: bool, out: &mut Out<'_>) -> Result<Step, Damage> {
        // What a text-mode transport made of the magic begins like this as well.
        if matches!(bytes, [0x89 | 0x09, b'V', b'F', b'M', ..]) {
            out.outline().format = Format::Stream;
            return Ok(Step::Become(Box::new(own::Reader::default())));
        }
        let first = &bytes[..bytes.len().min(SIGNATURE)];
        if first.starts_with(qemu::MAGIC) || qemu::LIBVIRT.iter().any(|magic| first == *magic) {
            out.outline().format = Format::Qemu;
            return Ok(Step::Become(Box::new(qemu::Reader::default())));
        }
        if first.starts_with(&qemu::MULTIFD_MAGIC) {
            out.outline().format = Format::QemuMultifd;
            return Ok(Step::Become(Box::new(qemu::MultifdReader::default())));
        }
        Err(Damage::new(0, "the first bytes of a format that is known here", format!("\"{}\"", first.escape_ascii())))
    }

    fn end(&mut self, _left: usize, _out: &mut Out<'_>) -> Result<(), Damage> {
        Err(Damage::new(0, "the first bytes of a format that is known here", "an empty file"))
    }
}
