//! Checks at load that calls will reach us: a call that goes past us would not fail, the program would go on with wrong data.

use core::ffi::{CStr, c_int, c_void};
use core::ptr::null_mut;
use std::ffi::CString;
use std::path::Path;

use super::symbols;
use super::voice::give_up;

/// Ends the program if something else stands in front of us, or if it calls a variant of our functions that we lack.
pub(super) fn check() {
    // Not one of the symbols: by its name, each means to us too what stands in front.
    let ours = object_of(check as *const c_void);
    for symbol in symbols::all() {
        let name = CString::new(symbol).expect("names have no zeros");
        // SAFETY: the name is a C string.
        let found = object_of(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) });
        if found != ours {
            give_up(format_args!(
                "'{symbol}' is answered by {}: preload nothing else that stands in front of libc",
                found.as_deref().unwrap_or("nothing"),
            ));
        }
    }
    // SAFETY: the function below is of the type that is asked for, and keeps nothing.
    unsafe { libc::dl_iterate_phdr(Some(check_object), null_mut()) };
}

/// Whether a name is a variant of one of our functions that we do not have.
fn is_missed(name: &str) -> bool {
    /// The functions of which we answer all variants.
    const FAMILIES: [&str; 28] = [
        "open",
        "openat",
        "creat",
        "read",
        "pread",
        "readv",
        "preadv",
        "write",
        "pwrite",
        "writev",
        "pwritev",
        "ioctl",
        "fcntl",
        "mmap",
        "close",
        "close_range",
        "dup",
        "dup2",
        "dup3",
        "lseek",
        "opendir",
        "readlink",
        "readlinkat",
        "realpath",
        "poll",
        "ppoll",
        "select",
        "pselect",
    ];
    let base = name.trim_start_matches('_');
    let base = base.strip_prefix("libc_").unwrap_or(base);
    let base = ["_chk", "_2", "_nocancel", "_time64"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
    // `preadv64v2` is a variant of `preadv`, and `dup2` is a function of its own.
    let base = if FAMILIES.contains(&base) {
        base
    } else {
        base.strip_suffix("v2").or(base.strip_suffix('2')).unwrap_or(base)
    };
    let base = base.strip_suffix("64").unwrap_or(base);
    FAMILIES.contains(&base) && symbols::all().all(|symbol| symbol != name)
}

/// Looks at what one object of the program imports.
unsafe extern "C" fn check_object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader passes a description of an object that is loaded.
    let (info, path) = unsafe { (&*info, CStr::from_ptr((*info).dlpi_name)) };
    let path = path.to_string_lossy();
    if is_libc(&path) {
        return 0;
    }
    // SAFETY: as above.
    for name in unsafe { super::imports::of(info) } {
        if is_missed(&name) {
            let path = if path.is_empty() { "the program".into() } else { path };
            give_up(format_args!(
                "{path} calls '{name}', which this library does not answer: it would go past the devices"
            ));
        }
    }
    0
}

/// Whether an object is part of libc: its parts call each other by names that nobody else may use.
fn is_libc(path: &str) -> bool {
    const PARTS: [&str; 8] =
        ["libc.so", "ld-linux", "libpthread.so", "librt.so", "libdl.so", "libresolv.so", "libnss_", "linux-vdso"];
    let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    PARTS.iter().any(|part| name.starts_with(part))
}

/// The object that an address is in.
fn object_of(address: *const c_void) -> Option<String> {
    // SAFETY: it is all numbers and pointers, null at first.
    let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
    // SAFETY: any address may be asked for.
    if unsafe { libc::dladdr(address, &raw mut info) } == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader answered with a name of its own.
    Some(unsafe { CStr::from_ptr(info.dli_fname) }.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_that_we_lack_are_noticed() {
        for missed in
            ["__pwrite64_chk", "__libc_open64", "__read_nocancel", "__openat_chk", "__ioctl_time64", "__writev"]
        {
            assert!(is_missed(missed), "{missed}");
        }
        for other in
            ["readlink", "opendir", "fopen64", "pread64", "preadv64v2", "dup2", "closedir", "open_memstream", "", "2"]
        {
            assert!(!is_missed(other), "{other}");
        }
    }

    #[test]
    fn each_of_ours_is_called_by_the_test_of_variants() {
        let program = include_str!("../../tests/programs/variants.c");
        for symbol in symbols::all() {
            assert!(program.contains(&format!("\"{symbol}\"")), "{symbol}");
        }
    }

    #[test]
    fn each_of_ours_has_one_name() {
        let mut names: Vec<_> = symbols::all().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
