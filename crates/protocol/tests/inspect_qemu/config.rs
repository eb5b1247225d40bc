//! What QEMU saves beside a device's data.

use vfio_migration_protocol::inspect::PciConfig;

use crate::file::{CONFIG, END, File, SETUP, pci_state};
use crate::seen::inspect;

fn config(state: &[u8]) -> Result<PciConfig, String> {
    let mut file = File::new();
    file.first(1, 5, "vfio").u64(SETUP).u64(END).footer(5);
    file.first(4, 5, "vfio").u64(CONFIG).bytes(state).u64(END).footer(5);
    let (_, outline) = inspect(&file.end("{}"));
    outline.damage.map_or_else(|| Ok(outline.objects[0].config.clone().unwrap()), |damage| Err(damage.to_string()))
}

#[test]
fn of_every_size_with_every_table() {
    for size in [256, 4096] {
        for vectors in [0, 1, 8, 9, 2048] {
            for display in [false, true] {
                let config = config(&pci_state(size, vectors, display)).unwrap();
                assert_eq!((config.space, config.display), (size, display), "{vectors} vectors");
                assert_eq!(config.intx, [false, true, false, false]);
                assert_eq!((config.bars[0], config.command), (0xfe00_000c, 0x0406));
                let Some(msix) = config.msix else {
                    assert_eq!((vectors, config.capabilities), (0, vec![1]));
                    continue;
                };
                assert_eq!((msix.vectors, msix.enabled, msix.masked, msix.pending), (vectors, true, 1, 2));
                assert_eq!(config.capabilities, [1, 0x11]);
            }
        }
    }
}

#[test]
fn capabilities_in_a_circle_end() {
    let mut state = pci_state(256, 0, false);
    state[4 + 0x41] = 0x40;
    assert_eq!(config(&state).unwrap().capabilities.len(), 48);
}

#[test]
fn of_another_version_or_nothing_at_all() {
    let mut state = pci_state(256, 0, false);
    state[3] = 9;
    assert!(config(&state).unwrap_err().ends_with("expected version 2 of a PCI device's state, found version 9"));
    let mut state = pci_state(256, 0, false);
    state.push(0);
    assert!(config(&state).unwrap_err().contains("the state of a PCI device, and its end"));
}
