//! Atomics of this crate, for targets with and without compare-and-swap.
//!
//! On targets with compare-and-swap, and where the feature `critical-section` provides it, these are the types of
//! `portable_atomic`. On a target without it and with one core (feature `single-core`), read-modify-write operations
//! mask interrupts for their few instructions. That is cheaper than a critical section that has to work on several
//! cores.

#[cfg(not(ttlog_masked))]
pub(crate) use portable_atomic::{AtomicPtr, AtomicU8, AtomicU32};

#[cfg(ttlog_masked)]
pub(crate) use masked::{AtomicPtr, AtomicU8, AtomicU32};

/// Returns whether the caller is a non-maskable interrupt that might have interrupted a read-modify-write operation. If
/// so, it must not perform one itself. Constant where these operations are truly atomic.
#[inline(always)]
pub(crate) fn may_have_interrupted_one() -> bool {
    #[cfg(all(ttlog_masked, target_arch = "arm"))]
    return masked::is_nmi_while_masked();
    #[cfg(not(all(ttlog_masked, target_arch = "arm")))]
    false
}

#[cfg(ttlog_masked)]
mod masked {
    use core::arch::asm;
    use core::sync::atomic::{self, Ordering};

    /// Runs `body` with interrupts masked. Non-maskable interrupts still run.
    #[inline(always)]
    fn masked<R>(body: impl FnOnce() -> R) -> R {
        let before: usize;
        // SAFETY: masking interrupts has no effect on memory; the previous state is restored below. The assembly is a
        // barrier for the compiler (no `nomem`).
        #[cfg(target_arch = "arm")]
        unsafe {
            asm!("mrs {}, PRIMASK", "cpsid i", out(reg) before, options(nostack, preserves_flags));
        }
        // SAFETY: as above; bit 3 of mstatus enables interrupts in machine mode.
        #[cfg(target_arch = "riscv32")]
        unsafe {
            asm!("csrrci {}, mstatus, 8", out(reg) before, options(nostack));
        }
        let result = body();
        // SAFETY: as above.
        #[cfg(target_arch = "arm")]
        unsafe {
            asm!("msr PRIMASK, {}", in(reg) before, options(nostack, preserves_flags));
        }
        // SAFETY: as above; only the bit that was set before is set.
        #[cfg(target_arch = "riscv32")]
        unsafe {
            asm!("csrs mstatus, {}", in(reg) before & 8, options(nostack));
        }
        result
    }

    /// Implements [`may_have_interrupted_one`](super::may_have_interrupted_one).
    #[cfg(target_arch = "arm")]
    #[inline(always)]
    pub(crate) fn is_nmi_while_masked() -> bool {
        const NMI: u32 = 2;
        let primask: u32;
        // SAFETY: reads a register.
        unsafe { asm!("mrs {}, PRIMASK", out(reg) primask, options(nomem, nostack, preserves_flags)) };
        if primask & 1 == 0 {
            return false;
        }
        let exception: u32;
        // SAFETY: as above.
        unsafe { asm!("mrs {}, IPSR", out(reg) exception, options(nomem, nostack, preserves_flags)) };
        exception == NMI
    }

    /// Replaces the value at `place` if it is `current`, and returns the previous value. All in assembly, so that the
    /// compiler adds nothing to the five instructions that run with interrupts masked.
    ///
    /// # Safety
    /// - `place` is readable, writable and aligned.
    #[inline(always)]
    unsafe fn swap_if(place: *mut u32, current: u32, new: u32) -> u32 {
        let found: u32;
        // SAFETY: guaranteed by the caller; the previous mask state is restored.
        #[cfg(target_arch = "arm")]
        unsafe {
            asm!(
                "mrs {mask}, PRIMASK",
                "cpsid i",
                "ldr {found}, [{place}]",
                "cmp {found}, {current}",
                "bne 2f",
                "str {new}, [{place}]",
                "2: msr PRIMASK, {mask}",
                mask = out(reg) _,
                found = out(reg) found,
                place = in(reg) place,
                current = in(reg) current,
                new = in(reg) new,
                options(nostack),
            );
        }
        // SAFETY: as above; only the bit that was set before is set again.
        #[cfg(target_arch = "riscv32")]
        unsafe {
            asm!(
                "csrrci {mask}, mstatus, 8",
                "lw {found}, 0({place})",
                "bne {found}, {current}, 2f",
                "sw {new}, 0({place})",
                "2: andi {mask}, {mask}, 8",
                "csrs mstatus, {mask}",
                mask = out(reg) _,
                found = out(reg) found,
                place = in(reg) place,
                current = in(reg) current,
                new = in(reg) new,
                options(nostack),
            );
        }
        found
    }

    /// Adds `n` to the value at `place`, wrapping, and returns the previous value; in assembly, like [`swap_if`].
    ///
    /// # Safety
    /// - As for [`swap_if`].
    #[inline(always)]
    unsafe fn add(place: *mut u32, n: u32) -> u32 {
        let found: u32;
        // SAFETY: guaranteed by the caller; the previous mask state is restored.
        #[cfg(target_arch = "arm")]
        unsafe {
            asm!(
                "mrs {mask}, PRIMASK",
                "cpsid i",
                "ldr {found}, [{place}]",
                "adds {n}, {n}, {found}",
                "str {n}, [{place}]",
                "msr PRIMASK, {mask}",
                mask = out(reg) _,
                found = out(reg) found,
                place = in(reg) place,
                n = inout(reg) n => _,
                options(nostack),
            );
        }
        // SAFETY: as above; only the bit that was set before is set again.
        #[cfg(target_arch = "riscv32")]
        unsafe {
            asm!(
                "csrrci {mask}, mstatus, 8",
                "lw {found}, 0({place})",
                "add {n}, {n}, {found}",
                "sw {n}, 0({place})",
                "andi {mask}, {mask}, 8",
                "csrs mstatus, {mask}",
                mask = out(reg) _,
                found = out(reg) found,
                place = in(reg) place,
                n = inout(reg) n => _,
                options(nostack),
            );
        }
        found
    }

    macro_rules! masked_atomic {
        ($(#[$doc:meta])* $name:ident $(<$param:ident>)?, $inner:ty, $value:ty, $swap_if:expr) => {
            $(#[$doc])*
            #[derive(Debug)]
            #[repr(transparent)]
            pub(crate) struct $name $(<$param>)? ($inner);

            #[allow(dead_code)] // each type has all that any of them needs
            impl $(<$param>)? $name $(<$param>)? {
                pub(crate) const fn new(value: $value) -> Self {
                    $name(<$inner>::new(value))
                }

                #[inline(always)]
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.0.load(order)
                }

                #[inline(always)]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    self.0.store(value, order);
                }

                #[inline(always)]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    _success: Ordering,
                    _failure: Ordering,
                ) -> Result<$value, $value> {
                    // On one core, an order that binds the compiler, as the assembly does, binds all contexts.
                    let found = $swap_if(&self.0, current, new);
                    if found == current { Ok(found) } else { Err(found) }
                }
            }
        };
    }

    masked_atomic!(
        /// A pointer shared by contexts of one core.
        AtomicPtr<T>, atomic::AtomicPtr<T>, *mut T,
        // SAFETY: the address of an atomic; a pointer has 32 bits.
        |place: &atomic::AtomicPtr<T>, current: *mut T, new: *mut T| unsafe {
            swap_if(place.as_ptr().cast(), current as u32, new as u32) as *mut T
        }
    );
    masked_atomic!(
        /// A byte shared by contexts of one core. Not for the logging path.
        AtomicU8, atomic::AtomicU8, u8,
        |place: &atomic::AtomicU8, current: u8, new: u8| masked(|| {
            let found = place.load(Ordering::Relaxed);
            if found == current {
                place.store(new, Ordering::Relaxed);
            }
            found
        })
    );
    masked_atomic!(
        /// 32 bits shared by contexts of one core.
        AtomicU32, atomic::AtomicU32, u32,
        // SAFETY: the address of an atomic.
        |place: &atomic::AtomicU32, current: u32, new: u32| unsafe { swap_if(place.as_ptr(), current, new) }
    );

    impl AtomicU32 {
        #[inline(always)]
        pub(crate) fn compare_exchange_weak(
            &self,
            current: u32,
            new: u32,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u32, u32> {
            self.compare_exchange(current, new, success, failure)
        }

        #[inline(always)]
        pub(crate) fn fetch_add(&self, n: u32, _order: Ordering) -> u32 {
            // SAFETY: the address of an atomic.
            unsafe { add(self.0.as_ptr(), n) }
        }

        /// Applies any change to the value. Not for the logging path.
        #[inline(always)]
        fn change(&self, new: impl Fn(u32) -> Option<u32>) -> Result<u32, u32> {
            masked(|| {
                let now = self.0.load(Ordering::Relaxed);
                match new(now) {
                    Some(new) => {
                        self.0.store(new, Ordering::Relaxed);
                        Ok(now)
                    }
                    None => Err(now),
                }
            })
        }

        #[inline(always)]
        pub(crate) fn swap(&self, value: u32, _order: Ordering) -> u32 {
            let (Ok(before) | Err(before)) = self.change(|_| Some(value));
            before
        }

        #[inline(always)]
        pub(crate) fn fetch_or(&self, bits: u32, _order: Ordering) -> u32 {
            let (Ok(before) | Err(before)) = self.change(|now| Some(now | bits));
            before
        }

        #[inline(always)]
        pub(crate) fn fetch_update(
            &self,
            _success: Ordering,
            _failure: Ordering,
            new: impl Fn(u32) -> Option<u32>,
        ) -> Result<u32, u32> {
            self.change(new)
        }
    }
}
