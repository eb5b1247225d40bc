//! What a loaded object imports, by its relocations: they name exactly what it calls or points to.

use core::ffi::CStr;
use core::slice;

use libc::{Elf64_Addr, Elf64_Rela, Elf64_Sym, PT_DYNAMIC, dl_phdr_info};

/// An entry of the dynamic section.
#[repr(C)]
struct Entry {
    tag: i64,
    value: u64,
}

const DT_NULL: i64 = 0;
const DT_PLTRELSZ: i64 = 2;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_JMPREL: i64 = 23;

/// The names of undefined symbols that an object's relocations name.
///
/// # Safety
///
/// The description is of an object that is loaded, and stays so during the call.
pub(super) unsafe fn of(info: &dl_phdr_info) -> Vec<String> {
    // SAFETY: by the caller's word.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let Some(dynamic) = headers.iter().find(|header| header.p_type == PT_DYNAMIC) else { return Vec::new() };
    let mut entry = at::<Entry>(info.dlpi_addr + dynamic.p_vaddr);
    let (mut names, mut symbols, mut tables) = (0, 0, [(0, 0), (0, 0)]);
    // SAFETY: the dynamic section is mapped, and ends with an entry of zeros.
    while let Entry { tag, value } = unsafe { entry.read() }
        && tag != DT_NULL
    {
        match tag {
            DT_STRTAB => names = value,
            DT_SYMTAB => symbols = value,
            DT_RELA => tables[0].0 = value,
            DT_RELASZ => tables[0].1 = value,
            DT_JMPREL => tables[1].0 = value,
            DT_PLTRELSZ => tables[1].1 = value,
            _ => {}
        }
        // SAFETY: as above.
        entry = unsafe { entry.add(1) };
    }
    // The loader has made these addresses absolute, but for the vDSO's, which imports nothing.
    if names < info.dlpi_addr || symbols < info.dlpi_addr || names == 0 || symbols == 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (table, size) in tables.into_iter().filter(|(table, size)| *table != 0 && *size != 0) {
        let count = usize::try_from(size).unwrap_or(0) / size_of::<Elf64_Rela>();
        // SAFETY: the loader has just applied these relocations.
        for relocation in unsafe { slice::from_raw_parts(at::<Elf64_Rela>(table), count) } {
            let index = usize::try_from(relocation.r_info >> 32).unwrap_or(0);
            if index == 0 {
                continue;
            }
            // SAFETY: a relocation names a symbol of the object's table, and that a name of its strings.
            let (section, name) = unsafe {
                let symbol = at::<Elf64_Sym>(symbols).add(index).read();
                (symbol.st_shndx, CStr::from_ptr(at(names + u64::from(symbol.st_name))))
            };
            if section == 0 {
                found.push(name.to_string_lossy().into_owned());
            }
        }
    }
    found
}

fn at<T>(address: Elf64_Addr) -> *const T {
    core::ptr::with_exposed_provenance(usize::try_from(address).unwrap_or(0))
}
