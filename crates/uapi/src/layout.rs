//! The kernel's structures and numbers, on every platform: for whoever calls a kernel, and for whoever plays one.
//!
//! Sizes and offsets are asserted when this is compiled. [`STRUCTURES`] and [`NUMBERS`] list them under their C names,
//! so that a test can compare them with what a C compiler makes of a kernel's headers.
#![expect(
    missing_docs,
    non_upper_case_globals,
    reason = "fields and numbers bear the kernel's names, and linux/vfio.h, linux/iommufd.h say more"
)]

mod iommufd;
mod type1;
mod vfio;

pub use iommufd::*;
pub use type1::*;
pub use vfio::*;

/// A structure as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Structure {
    /// Its name in C, such as `struct vfio_precopy_info`.
    pub name: &'static str,
    /// A macro that headers define where they have the structure as it is here; empty where all have it.
    pub guard: &'static str,
    /// Its size, in bytes.
    pub size: usize,
    /// Name, offset in bytes and size in bytes of each field. Those that begin with `reserved` or `pad` have no meaning, and other names in newer headers.
    pub fields: &'static [(&'static str, usize, usize)],
}

/// A constant.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Its name in C.
    pub name: &'static str,
    /// A macro that headers define where they have the constant; empty where all have it.
    pub guard: &'static str,
    /// Its value.
    pub value: u64,
}

/// All structures, in groups.
pub const STRUCTURES: &[&[Structure]] = &[vfio::STRUCTURES, type1::STRUCTURES, iommufd::STRUCTURES];

/// All constants, in groups.
pub const NUMBERS: &[&[Number]] = &[vfio::NUMBERS, type1::NUMBERS, iommufd::NUMBERS];

/// Declares structures by offset, asserts what is declared, and lists them.
macro_rules! structures {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident = $c:literal $(if $guard:literal)?, $size:literal {
            $($offset:literal $field:ident: $kind:ty,)*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[repr(C)]
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $name {
                $(pub $field: $kind,)*
            }

            const _: () = {
                assert!(size_of::<$name>() == $size);
                $(assert!(core::mem::offset_of!($name, $field) == $offset);)*
            };
        )*

        pub(super) const STRUCTURES: &[super::Structure] = &[$(super::Structure {
            name: $c,
            guard: concat!($($guard)?),
            size: $size,
            fields: &[$((stringify!($field), $offset, size_of::<$kind>()),)*],
        },)*];
    };
}

/// Declares constants and lists them. `if "MACRO"` says which macro headers have that have the constant; a constant that
/// is a macro itself says `if "itself"` by its own name.
macro_rules! numbers {
    ($($name:ident: $kind:ty = $value:expr $(, if $guard:literal)?;)*) => {
        $(pub const $name: $kind = $value;)*

        pub(super) const NUMBERS: &[super::Number] = &[$(super::Number {
            name: stringify!($name),
            guard: concat!($($guard)?),
            value: $name as u64,
        },)*];
    };
}

use {numbers, structures};
