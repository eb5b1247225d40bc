//! The PCI configuration space of a software device.

use super::interrupts::VECTORS;
use super::regions::{BAR_SIZE, MSIX_BAR};

/// Bytes of a conventional device's configuration space.
pub(super) const SIZE: usize = 256;

/// The numbers of a device that nobody sells: the vendor is the one that emulated devices for tests bear, the device is
/// `VM` in ASCII.
const VENDOR: u16 = 0x1234;
const DEVICE: u16 = 0x564d;
/// Class "unassigned".
const CLASS: [u8; 3] = [0x00, 0x00, 0xff];

const COMMAND: usize = 0x04;
const BARS: usize = 0x10;
const CAPABILITIES: usize = 0x40;
/// Where the pending bits lie behind the table of vectors, in their BAR.
const PENDING: u32 = 0x800;

/// What the program reads and writes with the region of the configuration space.
#[derive(Debug)]
pub(super) struct Config {
    bytes: [u8; SIZE],
    /// The bits that can be written.
    writable: [u8; SIZE],
}

impl Config {
    /// Of a device that has just been powered on, with so many bytes in BAR 2: none, or a power of two.
    pub(super) fn new(memory: u64) -> Self {
        let mut config = Self { bytes: [0; SIZE], writable: [0; SIZE] };
        config.put(0x00, &VENDOR.to_le_bytes());
        config.put(0x02, &DEVICE.to_le_bytes());
        // Memory, bus master, parity, system errors, no INTx.
        config.allow(COMMAND, &0x0546_u16.to_le_bytes());
        // It has capabilities.
        config.put(0x06, &0x0010_u16.to_le_bytes());
        config.put(0x08, &[1]);
        config.put(0x09, &CLASS);
        config.allow(0x0c, &[0xff]);
        for (bar, size) in [(0, BAR_SIZE), (2, memory), (MSIX_BAR, BAR_SIZE)] {
            if let Ok(size @ 1..) = u32::try_from(size) {
                config.allow(BARS + bar as usize * 4, &(!(size - 1)).to_le_bytes());
            }
        }
        config.put(0x2c, &VENDOR.to_le_bytes());
        config.put(0x2e, &DEVICE.to_le_bytes());
        config.put(0x34, &[u8::try_from(CAPABILITIES).expect("it lies in the first 256 bytes")]);
        config.allow(0x3c, &[0xff]);
        // INTA.
        config.put(0x3d, &[1]);
        // MSI-X: table and pending bits in a BAR of their own.
        config.put(CAPABILITIES, &[0x11, 0]);
        config.put(CAPABILITIES + 2, &(u16::try_from(VECTORS).expect("there are few") - 1).to_le_bytes());
        config.allow(CAPABILITIES + 2, &0xc000_u16.to_le_bytes());
        config.put(CAPABILITIES + 4, &MSIX_BAR.to_le_bytes());
        config.put(CAPABILITIES + 8, &(PENDING | MSIX_BAR).to_le_bytes());
        config
    }

    /// Reads from an offset on, which lies inside.
    pub(super) fn read(&self, offset: usize, into: &mut [u8]) {
        into.copy_from_slice(&self.bytes[offset..offset + into.len()]);
    }

    /// Writes from an offset on, which lies inside: the bits that can be written.
    pub(super) fn write(&mut self, offset: usize, from: &[u8]) {
        let bytes = self.bytes[offset..].iter_mut().zip(&self.writable[offset..]);
        for ((byte, mask), new) in bytes.zip(from) {
            *byte = *byte & !mask | new & mask;
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, offset: usize, bytes: &[u8]) {
        self.writable[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(config: &Config, offset: usize) -> u32 {
        let mut bytes = [0; 4];
        config.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn bars_say_how_large_they_are() {
        let mut config = Config::new(0x2_0000);
        for (bar, size) in [(0, 0xffff_f000), (1, 0), (2, 0xfffe_0000), (3, 0), (4, 0xffff_f000), (5, 0)] {
            config.write(BARS + bar * 4, &[0xff; 4]);
            assert_eq!(word(&config, BARS + bar * 4), size, "BAR {bar}");
        }
        assert_eq!(Config::new(0).writable[BARS + 8..BARS + 12], [0; 4], "without memory there is no BAR 2");
    }

    #[test]
    fn what_a_device_is_cannot_be_written() {
        let mut config = Config::new(0);
        let (ids, class, capability) = (word(&config, 0), word(&config, 8), word(&config, CAPABILITIES));
        (0..SIZE).for_each(|offset| config.write(offset, &[0xff]));
        assert_eq!((word(&config, 0), word(&config, 8)), (ids, class));
        assert_eq!(word(&config, CAPABILITIES), capability | 0xc000_0000, "MSI-X can be switched on and masked");
        assert_eq!(word(&config, COMMAND) & 0xffff, 0x0546);
        assert_eq!((class >> 8, config.bytes[0x0e]), (0x00ff_0000, 0));
    }
}
