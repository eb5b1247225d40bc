//! Numbers of QEMU's files: big-endian.

use super::super::{Damage, Step};

/// Why something could not be read.
pub(super) enum Stop {
    /// So many bytes are needed, counted from the first that was given.
    More(usize),
    Bad(Damage),
}

/// What it comes to that a reader read so many bytes, or stopped; `need` is what it says it needs at least from then on.
pub(super) fn step(answer: Result<usize, Stop>, last: bool, need: &mut usize) -> Result<Step, Damage> {
    match answer {
        Ok(used) => {
            *need = 1;
            Ok(Step::Used(used))
        }
        Err(Stop::More(_)) if last => Ok(Step::More),
        Err(Stop::More(more)) => {
            *need = more;
            Ok(Step::More)
        }
        Err(Stop::Bad(damage)) => Err(damage),
    }
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Bad(damage)
    }
}

/// Reads from the front of some bytes of a file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    used: usize,
    /// Where the first byte lies in the file.
    base: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, used: 0, base }
    }

    /// How many bytes were read.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Where the next byte lies in the file.
    pub(super) fn at(&self) -> u64 {
        self.base.saturating_add(self.used as u64)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.used..]
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        let end = self.used.saturating_add(len);
        let bytes = self.bytes.get(self.used..end).ok_or(Stop::More(end))?;
        self.used = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        Ok(*self.bytes(N)?.first_chunk().expect("as many as were asked for"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_be_bytes)
    }

    /// A name with its length, one byte, before it.
    pub(super) fn name(&mut self, what: &str) -> Result<String, Stop> {
        let at = self.at();
        let len = usize::from(self.u8()?);
        self.text(len, what, at)
    }

    /// A text of printable ASCII, as all names in these files are.
    pub(super) fn text(&mut self, len: usize, what: &str, at: u64) -> Result<String, Stop> {
        let bytes = self.bytes(len)?;
        if bytes.is_empty() || !is_name(bytes) {
            let shown = &bytes[..bytes.len().min(16)];
            return Err(Damage::new(at, format!("{what}, a name"), format!("\"{}\"", shown.escape_ascii())).into());
        }
        Ok(bytes.iter().copied().map(char::from).collect())
    }
}

/// Whether these bytes can be a name.
pub(super) fn is_name(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}
