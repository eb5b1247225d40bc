//! ioctl and fcntl.

use core::ffi::{c_int, c_ulong, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use vfio_migration_protocol::Errno;

use super::super::process::{self, Served};
use super::super::serve::{Fds, errno, serve, set_errno};
use super::super::{descriptor, real, voice};
use super::symbols;

/// The numbers of VFIO's and iommufd's requests: type and number, without direction and size.
const KIND: c_ulong = 0xff00;
const VFIO: c_ulong = 0x3b00;

/// Requests that leave what was opened as it was: `VFIO_GET_API_VERSION`, `VFIO_CHECK_EXTENSION`,
/// `VFIO_GROUP_GET_STATUS`, and `IOMMU_OPTION`, which libvirt asks of an iommufd before it hands it on.
const QUESTIONS: [u32; 4] = [0x3b64, 0x3b65, 0x3b67, 0x3b87];

/// How often it is said that a request went to the kernel.
const WARNINGS: u32 = 8;
static WARNED: AtomicU32 = AtomicU32::new(0);

fn control(served: &Served, request: u32, argument: *mut c_void) -> Result<c_int, Errno> {
    let address = argument.expose_provenance() as u64;
    let answer = served.held.handle.ioctl(request, address, &Fds(served.process))?;
    if !served.held.used && !QUESTIONS.contains(&request) {
        descriptor::mark_used(served.fd);
        served.process.change(served.fd, |held| held.used = true);
    }
    Ok(answer)
}

/// Tells of a request of ours that went to the kernel: then the fd was opened by a call that went past us.
fn warn(fd: c_int, request: c_ulong) {
    if process::current().is_some() && WARNED.fetch_add(1, Ordering::Relaxed) < WARNINGS {
        process::inside(|| {
            let file = std::fs::read_link(format!("/proc/self/fd/{fd}"));
            let file = file.map_or_else(|_| "nothing".to_owned(), |file| format!("'{}'", file.display()));
            voice::say(format_args!(
                "ioctl {request:#x} on fd {fd} went to the kernel: it is {file}, which was not opened through this library"
            ));
        });
    }
}

symbols! {
    ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
        // The kernel looks at the low 32 bits only.
        let number = (request & 0xffff_ffff) as u32;
        serve(fd, |served| control(served, number, argument), || {
            // SAFETY: the program's own arguments.
            let answer = unsafe { real::IOCTL.get()(fd, request, argument) };
            let error = errno();
            if request & KIND == VFIO && (answer >= 0 || error != libc::EBADF) {
                warn(fd, request);
                set_errno(error);
            }
            answer
        })
    }

    fcntl | fcntl64 | __fcntl (fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
        // SAFETY: the program's own arguments.
        let libc = || unsafe { real::FCNTL.get()(fd, command, argument) };
        match command {
            libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => super::close::duplicated(fd, libc()),
            libc::F_GETFL => serve(fd, |served| Ok(served.held.flags), libc),
            libc::F_SETFL => serve(fd, |served| Ok(set_flags(served, argument.addr())), libc),
            _ => libc(),
        }
    }
}

/// Only these can be changed; none changes what we do, since no call of ours waits.
fn set_flags(served: &Served, flags: usize) -> c_int {
    const CHANGEABLE: c_int = libc::O_NONBLOCK | libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME;
    let flags = c_int::try_from(flags & 0x7fff_ffff).unwrap_or_default();
    served.process.change(served.fd, |held| held.flags = (held.flags & !CHANGEABLE) | (flags & CHANGEABLE));
    0
}
