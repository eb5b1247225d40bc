//! The registers that its guest sees: what they mean, and what reading and writing them does.

use vfio_migration_protocol::{CallError, Errno, State};

use super::Model;
use crate::data::REGISTERS;
use crate::pages::mix;

/// A register of the device. All of them are data: they arrive at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// Ticks in which the device ran. Read-only.
    Counter,
    /// How many pages of guest memory were written. Read-only.
    DmaWrites,
    /// Anything but 0: the device is started. With [`INTERRUPTS`] it also interrupts after each ring of the doorbell.
    Control,
    /// How often the guest rang; each time a started device writes one page of guest memory. What is written is ignored,
    /// unless the settings say `dma-buffer`: then it comes back as the first word of that page, the buffer's first.
    Doorbell,
    /// Keeps what the guest writes. With `dma-buffer` in the settings the first two say where the buffer is and how many
    /// bytes it has, and DMA goes there and nowhere else.
    Scratch(Scratch),
}

/// One of the registers that only keep what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scratch {
    /// The first.
    A,
    /// The second.
    B,
    /// The third.
    C,
    /// The fourth.
    D,
}

/// The bit of [`Register::Control`] that asks for interrupts.
pub const INTERRUPTS: u64 = 2;

impl Register {
    /// All registers, in the order in which they stand in the data.
    pub const ALL: [Self; REGISTERS] = [
        Self::Counter,
        Self::DmaWrites,
        Self::Control,
        Self::Doorbell,
        Self::Scratch(Scratch::A),
        Self::Scratch(Scratch::B),
        Self::Scratch(Scratch::C),
        Self::Scratch(Scratch::D),
    ];

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Counter => 0,
            Self::DmaWrites => 1,
            Self::Control => 2,
            Self::Doorbell => 3,
            Self::Scratch(one) => 4 + one as usize,
        }
    }
}

impl Model {
    /// Reads a register.
    pub const fn register(&self, register: Register) -> u64 {
        self.registers[register.index()]
    }

    /// The guest writes a register. EINVAL for a read-only one. The guest must not touch the device in a quiet state or
    /// in error (linux/vfio.h): such writes are counted as [`touches`](Self::touches), and lost with EIO unless the
    /// device is in a P2P state.
    pub fn write_register(&mut self, register: Register, value: u64) -> Result<(), CallError> {
        if self.state.is_quiet() || self.state == State::Error {
            self.touches += 1;
        }
        if !self.state.is_running() {
            return Err(CallError::because(Errno::EIO, "the device does not run"));
        }
        match register {
            Register::Counter | Register::DmaWrites => {
                return Err(CallError::because(Errno::EINVAL, "the register is read-only"));
            }
            Register::Control | Register::Scratch(_) => self.registers[register.index()] = value,
            Register::Doorbell => {
                let rung = &mut self.registers[Register::Doorbell.index()];
                *rung = rung.wrapping_add(1);
                let random = mix(*rung ^ mix(self.settings.seed ^ 3));
                let control = self.registers[Register::Control.index()];
                if control != 0 {
                    match self.buffer() {
                        Some((first, _)) => self.write_page(first, value),
                        None if self.settings.dma_buffer => {}
                        None => self.write_memory(random),
                    }
                }
                if control & INTERRUPTS != 0 {
                    self.interrupts += 1;
                }
            }
        }
        Ok(())
    }

    /// The guest reads registers as memory: all of them lie one after the other from address 0 on, 8 bytes each,
    /// little-endian. Beyond them it reads zeros.
    pub fn load_registers(&self, address: u64, into: &mut [u8]) {
        for (at, byte) in (0u64..).zip(into) {
            let address = address.saturating_add(at);
            let register = usize::try_from(address / 8).ok().and_then(|number| self.registers.get(number));
            *byte = register.map_or(0, |register| register.to_le_bytes()[(address % 8) as usize]);
        }
    }

    /// The guest writes registers as memory. A write of less than a register leaves the rest of it as it is, but for the
    /// doorbell, which hears only what is written. Writes beyond the registers are lost.
    pub fn store_registers(&mut self, address: u64, from: &[u8]) -> Result<(), CallError> {
        let (mut address, mut rest) = (address, from);
        while !rest.is_empty() {
            let at = (address % 8) as usize;
            let (part, after) = rest.split_at(rest.len().min(8 - at));
            let register = usize::try_from(address / 8).ok().and_then(|number| Register::ALL.get(number).copied());
            if let Some(register) = register {
                let mut bytes = if register == Register::Doorbell { 0 } else { self.register(register) }.to_le_bytes();
                bytes[at..at + part.len()].copy_from_slice(part);
                self.write_register(register, u64::from_le_bytes(bytes))?;
            }
            (address, rest) = (address.saturating_add(part.len() as u64), after);
        }
        Ok(())
    }

    /// How often the device interrupted since this was last called.
    pub fn take_interrupts(&mut self) -> u64 {
        core::mem::take(&mut self.interrupts)
    }
}
