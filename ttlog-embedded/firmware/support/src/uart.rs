//! The first serial port.

/// Type of a port.
#[allow(dead_code)] // each machine has one
#[derive(Clone, Copy)]
enum Kind {
    Cmsdk,
    Pl011,
    Stm32,
    Nrf,
    Ns16550,
}

const PORT: (Kind, usize) = if cfg!(feature = "microbit") {
    (Kind::Nrf, 0x4000_2000)
} else if cfg!(feature = "lm3s6965evb") {
    (Kind::Pl011, 0x4000_C000)
} else if cfg!(feature = "stm32vldiscovery") {
    (Kind::Stm32, 0x4001_3800)
} else if cfg!(feature = "mps2-an505") {
    (Kind::Cmsdk, 0x5020_0000)
} else if cfg!(feature = "riscv-virt") {
    (Kind::Ns16550, 0x1000_0000)
} else {
    (Kind::Cmsdk, 0x4000_4000)
};

fn read(offset: usize) -> u32 {
    // SAFETY: a register of the port, which exists on this machine.
    unsafe {
        match PORT {
            (Kind::Ns16550, base) => u32::from(((base + offset) as *const u8).read_volatile()),
            (_, base) => ((base + offset) as *const u32).read_volatile(),
        }
    }
}

fn write(offset: usize, value: u32) {
    // SAFETY: as above.
    unsafe {
        match PORT {
            (Kind::Ns16550, base) => ((base + offset) as *mut u8).write_volatile(value as u8),
            (_, base) => ((base + offset) as *mut u32).write_volatile(value),
        }
    }
}

/// Enables the port.
pub fn start() {
    match PORT.0 {
        Kind::Cmsdk => {
            write(16, 16); // the least divider that the port takes
            write(8, 0b11);
        }
        Kind::Pl011 => write(0x30, 0x301),
        Kind::Stm32 => write(0xC, 1 << 13 | 0b11 << 2),
        Kind::Nrf => {
            write(0x500, 4);
            write(0x000, 1);
            write(0x008, 1);
            // "Ready" is an event of the previous byte; send one.
            write(0x51C, 0);
        }
        Kind::Ns16550 => {}
    }
}

/// Sends a byte, when there is room.
pub fn send(byte: u8) {
    let byte = u32::from(byte);
    match PORT.0 {
        Kind::Cmsdk => {
            while read(4) & 1 != 0 {}
            write(0, byte);
        }
        Kind::Pl011 => {
            while read(0x18) & 1 << 5 != 0 {}
            write(0, byte);
        }
        Kind::Stm32 => {
            while read(0) & 1 << 7 == 0 {}
            write(4, byte);
        }
        Kind::Nrf => {
            while read(0x11C) == 0 {}
            write(0x11C, 0);
            write(0x51C, byte);
        }
        Kind::Ns16550 => {
            while read(5) & 1 << 5 == 0 {}
            write(0, byte);
        }
    }
}

/// Returns a received byte, if there is one.
pub fn receive() -> Option<u8> {
    let (is_there, at) = match PORT.0 {
        Kind::Cmsdk => (read(4) & 2 != 0, 0),
        Kind::Pl011 => (read(0x18) & 1 << 4 == 0, 0),
        Kind::Stm32 => (read(0) & 1 << 5 != 0, 4),
        Kind::Nrf => {
            let ready = read(0x108) != 0;
            if ready {
                write(0x108, 0); // only then: the event may come right now
            }
            (ready, 0x518)
        }
        Kind::Ns16550 => (read(5) & 1 != 0, 0),
    };
    is_there.then(|| read(at) as u8)
}

/// Sends all bytes.
pub fn send_all(bytes: &[u8]) {
    for byte in bytes {
        send(*byte);
    }
}
