//! A file that appears under its name only when it is complete: written under a temporary name in the same folder,
//! synced, renamed, the folder synced.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, Stat, fstat, fsync, linkat, openat, renameat, renameat_with,
};
use rustix::fs::{statat, unlinkat};
use rustix::io::Errno;
use vfio_migration_protocol::session::CommitError;

use crate::transport::link::{ByteSink, write_both};
use crate::{Code, Error};

/// A file that is being written. Dropped before its [`commit`](ByteSink::commit), it leaves nothing behind.
pub(super) struct Growing {
    folder: OwnedFd,
    file: Option<File>,
    temporary: OsString,
    name: OsString,
    overwrite: bool,
}

impl Growing {
    /// Starts a file that will be called `path`. Nothing but its owner can read it: a device's data holds secrets of the
    /// guest.
    pub(super) fn create(path: &Path, overwrite: bool) -> Result<Self, Error> {
        let failed =
            |what: &str, error: io::Error| Error::io(Code::Transport, format!("{what} {}", path.display()), &error);
        // A link is followed, so that what it points to is replaced and not the link.
        let path = if overwrite { std::fs::canonicalize(path).unwrap_or_else(|_| path.into()) } else { path.into() };
        let Some(name) = path.file_name() else {
            return Err(Error::usage(format!("{} names no file", path.display())));
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, parent, flags, Mode::empty())
            .map_err(|error| failed("cannot open the folder of", error.into()))?;
        let (temporary, file) =
            create_temporary(&folder, name).map_err(|error| failed("cannot write beside", error.into()))?;
        Ok(Self { folder, file: Some(file), temporary, name: name.into(), overwrite })
    }

    /// Gives the file its name.
    fn rename(&self) -> rustix::io::Result<()> {
        let (folder, from, to) = (&self.folder, &self.temporary, &self.name);
        if self.overwrite {
            return renameat(folder, from, folder, to);
        }
        match renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
            // Some file systems cannot rename without replacing. A second name does not replace either.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(folder, from, folder, to, AtFlags::empty())?;
                // The file stands under its name; that it has a second one does not change that.
                let _ = unlinkat(folder, from, AtFlags::empty());
                Ok(())
            }
            answer => answer,
        }
    }

    /// Whether the file stands under its name; `None` if that cannot be seen.
    fn has_name(&self, own: &Stat) -> Option<bool> {
        match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Some((there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)),
            Err(Errno::NOENT) => Some(false),
            Err(_) => None,
        }
    }

    fn remove(&mut self) {
        if self.file.take().is_some() {
            // What cannot be removed bears a name that says what it is.
            let _ = unlinkat(&self.folder, &self.temporary, AtFlags::empty());
        }
    }
}

impl ByteSink for Growing {
    fn write_both(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        match &mut self.file {
            Some(file) => write_both(file, head, payload),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) {}

    fn commit(&mut self) -> Result<(), CommitError> {
        let error = |maybe_given_up, what: &str, error: Errno| CommitError {
            maybe_given_up,
            why: format!("{what}: {}", io::Error::from(error)),
        };
        let Some(file) = &self.file else {
            return Err(CommitError { maybe_given_up: false, why: "the file was discarded".into() });
        };
        fsync(file).map_err(|errno| error(false, "cannot sync the file", errno))?;
        let own = fstat(file).map_err(|errno| error(false, "cannot look at the file", errno))?;
        if let Err(errno) = self.rename() {
            // An error of rename does not say that the name has not changed (think of a network file system): look.
            let maybe = self.has_name(&own) != Some(false);
            return Err(error(maybe, "cannot give the file its name", errno));
        }
        self.file = None;
        fsync(&self.folder).map_err(|errno| error(true, "cannot sync the folder", errno))
    }

    fn commits_by_name(&self) -> bool {
        true
    }

    fn discard(&mut self) {
        self.remove();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.remove();
    }
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Growing").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A file or block device that is written in place. What was written stays there if the session fails: without its `end`
/// no restore takes it.
pub(super) struct InPlace {
    pub(super) file: File,
}

impl ByteSink for InPlace {
    fn write_both(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        write_both(&mut self.file, head, payload)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) {}

    fn commit(&mut self) -> Result<(), CommitError> {
        self.file
            .sync_all()
            .map_err(|error| CommitError { maybe_given_up: true, why: format!("cannot sync the file: {error}") })
    }
}

/// Creates a file with a name that nobody has, beside the one that it will get.
fn create_temporary(folder: &OwnedFd, name: &OsStr) -> rustix::io::Result<(OsString, File)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    loop {
        let temporary = temporary_name(name)?;
        match openat(folder, &temporary, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok((temporary, file.into())),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
}

/// `.NAME.partial-XXXXXXXX`, cut to what file systems take.
fn temporary_name(name: &OsStr) -> rustix::io::Result<OsString> {
    const LONGEST: usize = 255;
    let mut random = [0; 4];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    let tail = format!(".partial-{:08x}", u32::from_ne_bytes(random));
    let name = &name.as_bytes()[..name.len().min(LONGEST - 1 - tail.len())];
    Ok(OsString::from_vec([b".", name, tail.as_bytes()].concat()))
}

/// What stands at a path, for whoever wants to write there.
pub(super) enum Standing {
    Nothing,
    Regular,
    Fifo,
    Character,
    Block,
}

/// Looks at what stands at a path, links followed.
pub(super) fn look(path: &Path) -> Result<Standing, Error> {
    use std::os::unix::fs::FileTypeExt;
    let kind = match std::fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
        Err(error) => return Err(Error::io(Code::Transport, format!("cannot look at {}", path.display()), &error)),
    };
    let wrong = |what: &str| Err(Error::usage(format!("{} is {what}", path.display())));
    if kind.is_fifo() {
        Ok(Standing::Fifo)
    } else if kind.is_char_device() {
        Ok(Standing::Character)
    } else if kind.is_block_device() {
        Ok(Standing::Block)
    } else if kind.is_dir() {
        wrong("a folder, not a file")
    } else if kind.is_socket() {
        wrong("a socket: write unix:PATH")
    } else {
        Ok(Standing::Regular)
    }
}

/// Whether something has this name already, be it a link to nothing.
pub(super) fn is_taken(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Opens a file, a FIFO or a device at a path.
pub(super) fn open(path: &Path, access: OFlags) -> io::Result<OwnedFd> {
    let path: PathBuf = path.into();
    Ok(openat(CWD, &path, access | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_temporary_name_within_what_file_systems_take() {
        for len in [1, 200, 255] {
            let name = temporary_name(&OsString::from("n".repeat(len))).unwrap();
            assert!(name.len() <= 255);
            assert!(name.as_bytes().starts_with(b".n"));
        }
        assert_ne!(temporary_name(OsStr::new("a")).unwrap(), temporary_name(OsStr::new("a")).unwrap());
    }
}
