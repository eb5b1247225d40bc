//! Reading and writing.

use core::ffi::{c_int, c_void};
use core::slice;

use libc::{ESPIPE, iovec, off64_t, size_t, ssize_t};
use vfio_migration_protocol::Errno;

use super::super::process::Served;
use super::super::serve::serve;
use super::super::{real, voice};
use super::symbols;

/// Where a transfer begins.
#[derive(Clone, Copy)]
enum From {
    /// Where the one before ended.
    There,
    /// At an offset.
    Offset(off64_t),
}

/// The program's memory, as the kernel takes it: at most what a signed size can say.
unsafe fn read_into(served: &Served, from: From, buffer: *mut c_void, size: size_t) -> Result<ssize_t, Errno> {
    if size == 0 {
        return Ok(0);
    }
    if buffer.is_null() || isize::try_from(size).is_err() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the program says that so many bytes may be written there, and that nobody else uses them meanwhile.
    let buffer = unsafe { slice::from_raw_parts_mut(buffer.cast(), size) };
    let len = match from {
        From::There => served.held.handle.read(buffer)?,
        From::Offset(offset) => served.held.handle.pread(buffer, offset_of(offset)?)?,
    };
    Ok(signed(len))
}

unsafe fn write_from(served: &Served, from: From, buffer: *const c_void, size: size_t) -> Result<ssize_t, Errno> {
    if size == 0 {
        return Ok(0);
    }
    if buffer.is_null() || isize::try_from(size).is_err() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: the program says that so many bytes may be read there, and that nobody changes them meanwhile.
    let buffer = unsafe { slice::from_raw_parts(buffer.cast(), size) };
    let len = match from {
        From::There => served.held.handle.write(buffer)?,
        From::Offset(offset) => served.held.handle.pwrite(buffer, offset_of(offset)?)?,
    };
    Ok(signed(len))
}

/// One transfer after another, as far as they go: an error is told only if nothing was moved before.
unsafe fn each(
    vectors: *const iovec,
    count: c_int,
    from: From,
    one: impl Fn(From, &iovec) -> Result<ssize_t, Errno>,
) -> Result<ssize_t, Errno> {
    const MOST: c_int = 1024;
    if !(0..=MOST).contains(&count) || (vectors.is_null() && count > 0) {
        return Err(Errno::EINVAL);
    }
    let mut moved = 0;
    for index in 0..count.cast_unsigned() as usize {
        // SAFETY: the program says that there are so many.
        let vector = unsafe { vectors.add(index).read() };
        let at = match from {
            From::There => From::There,
            From::Offset(offset) => From::Offset(offset + moved as off64_t),
        };
        match one(at, &vector) {
            Ok(len) => moved += len,
            Err(error) if moved == 0 => return Err(error),
            Err(_) => break,
        }
        if moved.cast_unsigned() < vector.iov_len {
            break;
        }
    }
    Ok(moved)
}

fn offset_of(offset: off64_t) -> Result<u64, Errno> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

fn signed(len: usize) -> ssize_t {
    ssize_t::try_from(len).expect("no more than the size that was asked for")
}

/// What libc's checking variants do: a buffer that is too small ends the program.
fn check(size: size_t, room: size_t) {
    if size > room {
        voice::give_up(format_args!("the program reads {size} bytes into a buffer of {room}"));
    }
}

symbols! {
    read | __read (fd: c_int, buffer: *mut c_void, size: size_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { read_into(served, From::There, buffer, size) }, || unsafe {
            real::READ.get()(fd, buffer, size)
        })
    }

    __read_chk(fd: c_int, buffer: *mut c_void, size: size_t, room: size_t) -> ssize_t {
        check(size, room);
        // SAFETY: the program's own arguments.
        unsafe { read(fd, buffer, size) }
    }

    pread | pread64 | __pread64 (fd: c_int, buffer: *mut c_void, size: size_t, offset: off64_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { read_into(served, From::Offset(offset), buffer, size) }, || unsafe {
            real::PREAD.get()(fd, buffer, size, offset)
        })
    }

    __pread_chk | __pread64_chk (
        fd: c_int, buffer: *mut c_void, size: size_t, offset: off64_t, room: size_t,
    ) -> ssize_t {
        check(size, room);
        // SAFETY: the program's own arguments.
        unsafe { pread64(fd, buffer, size, offset) }
    }

    readv(fd: c_int, vectors: *const iovec, count: c_int) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { read_each(served, vectors, count, From::There) }, || unsafe {
            real::READV.get()(fd, vectors, count)
        })
    }

    preadv | preadv64 (fd: c_int, vectors: *const iovec, count: c_int, offset: off64_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { read_each(served, vectors, count, From::Offset(offset)) }, || unsafe {
            real::PREADV.get()(fd, vectors, count, offset)
        })
    }

    preadv2 | preadv64v2 (
        fd: c_int, vectors: *const iovec, count: c_int, offset: off64_t, flags: c_int,
    ) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { read_each(served, vectors, count, second(offset)) }, || unsafe {
            real::PREADV2.get()(fd, vectors, count, offset, flags)
        })
    }

    write | __write (fd: c_int, buffer: *const c_void, size: size_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { write_from(served, From::There, buffer, size) }, || unsafe {
            real::WRITE.get()(fd, buffer, size)
        })
    }

    pwrite | pwrite64 | __pwrite64 (
        fd: c_int, buffer: *const c_void, size: size_t, offset: off64_t,
    ) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { write_from(served, From::Offset(offset), buffer, size) }, || unsafe {
            real::PWRITE.get()(fd, buffer, size, offset)
        })
    }

    writev(fd: c_int, vectors: *const iovec, count: c_int) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { write_each(served, vectors, count, From::There) }, || unsafe {
            real::WRITEV.get()(fd, vectors, count)
        })
    }

    pwritev | pwritev64 (fd: c_int, vectors: *const iovec, count: c_int, offset: off64_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { write_each(served, vectors, count, From::Offset(offset)) }, || unsafe {
            real::PWRITEV.get()(fd, vectors, count, offset)
        })
    }

    pwritev2 | pwritev64v2 (
        fd: c_int, vectors: *const iovec, count: c_int, offset: off64_t, flags: c_int,
    ) -> ssize_t {
        // SAFETY: the program's own arguments.
        serve(fd, |served| unsafe { write_each(served, vectors, count, second(offset)) }, || unsafe {
            real::PWRITEV2.get()(fd, vectors, count, offset, flags)
        })
    }

    lseek | lseek64 (fd: c_int, offset: off64_t, whence: c_int) -> off64_t {
        // No node has a position, as the kernel's have none.
        // SAFETY: the program's own arguments.
        serve(fd, |_| Err(Errno::from_linux(ESPIPE)), || unsafe { real::LSEEK.get()(fd, offset, whence) })
    }
}

unsafe fn read_each(served: &Served, vectors: *const iovec, count: c_int, from: From) -> Result<ssize_t, Errno> {
    // SAFETY: by the program's word, as in `readv`.
    unsafe { each(vectors, count, from, |at, vector| read_into(served, at, vector.iov_base, vector.iov_len)) }
}

unsafe fn write_each(served: &Served, vectors: *const iovec, count: c_int, from: From) -> Result<ssize_t, Errno> {
    // SAFETY: by the program's word, as in `writev`.
    unsafe { each(vectors, count, from, |at, vector| write_from(served, at, vector.iov_base, vector.iov_len)) }
}

/// The second generation of these calls takes -1 for "where the one before ended".
fn second(offset: off64_t) -> From {
    if offset == -1 { From::There } else { From::Offset(offset) }
}
