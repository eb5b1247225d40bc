//! The tracker of an IOMMU's page table against the page tables that iommufd makes up for its own tests, where it is known
//! which pages were written to. In other kernels the tests say so and are skipped.
#![cfg(target_os = "linux")]

mod bench;
mod requests;
mod tracker;
