//! The program's memory, reached as a kernel reaches it: what is not there is EFAULT, never a crash.
//!
//! Addresses come from the program, and from what it gave its devices; they may be wrong, or not be any more what they
//! were. So they are never made into pointers here: the kernel copies, and says where it could not.

use core::ffi::c_void;
use core::ptr::without_provenance_mut;

use vfio_migration_protocol::Errno;

/// Copies from the program's memory. EFAULT if not all of it is there.
pub(super) fn load(address: u64, into: &mut [u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = there(address, into.len())?;
    // SAFETY: `local` is a buffer that is ours alone, and the kernel checks the other side.
    let copied = unsafe { libc::process_vm_readv(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    whole(copied, into.len())
}

/// Copies into the program's memory. EFAULT if not all of it is there, or may not be written to; then some may have been
/// written.
pub(super) fn store(address: u64, from: &[u8]) -> Result<(), Errno> {
    let local = libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() };
    let remote = there(address, from.len())?;
    // SAFETY: `local` is only read. The address is one that the program said may be written to, by passing it in a call
    // that writes, or by giving it to a device; the kernel checks that it can be.
    let copied = unsafe { libc::process_vm_writev(libc::getpid(), &raw const local, 1, &raw const remote, 1, 0) };
    whole(copied, from.len())
}

/// Whether the kernel lets this process reach itself: a filter of its system calls may not.
pub(super) fn check() -> Result<(), Errno> {
    let mut here = 1_u64;
    let address = (&raw mut here).expose_provenance() as u64;
    let mut bytes = [0; 8];
    load(address, &mut bytes)?;
    store(address, &bytes)
}

fn there(address: u64, len: usize) -> Result<libc::iovec, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::EFAULT)?;
    Ok(libc::iovec { iov_base: without_provenance_mut::<c_void>(address), iov_len: len })
}

fn whole(copied: isize, len: usize) -> Result<(), Errno> {
    match usize::try_from(copied) {
        Ok(copied) if copied == len => Ok(()),
        Ok(_) => Err(Errno::EFAULT),
        Err(_) => {
            let error = std::io::Error::last_os_error().raw_os_error();
            Err(error.map_or(Errno::EFAULT, Errno::from_linux))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_copied_by_address() {
        let theirs = [1_u8, 2, 3, 4];
        let mut bytes = [0; 4];
        load(theirs.as_ptr().expose_provenance() as u64, &mut bytes).expect("it is there");
        assert_eq!(bytes, theirs);
        let mut into = [0_u8; 3];
        store(into.as_mut_ptr().expose_provenance() as u64, &[9, 8, 7]).expect("it is there");
        assert_eq!(std::hint::black_box(into), [9, 8, 7]);
    }

    #[test]
    fn what_is_not_there_is_a_fault() {
        static CONSTANT: [u8; 8] = *b"constant";
        for address in [0, 8, u64::MAX - 4, 1 << 63] {
            assert_eq!(load(address, &mut [0; 8]), Err(Errno::EFAULT), "{address:#x}");
            assert_eq!(store(address, &[0; 8]), Err(Errno::EFAULT), "{address:#x}");
        }
        // Constants cannot be written to.
        assert_eq!(store(CONSTANT.as_ptr().expose_provenance() as u64, b"variable"), Err(Errno::EFAULT));
    }
}
