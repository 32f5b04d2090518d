//! The atomics that the crate uses, for targets with and without compare-and-swap.
//!
//! With it, and where the feature `critical-section` gives it, these are those of `portable_atomic`. On a target without it and with one
//! core (feature `single-core`), read-modify-write operations here mask interrupts for their few instructions, which is cheaper than any
//! critical section that has to work on several cores.

#[cfg(not(ttlog_masked))]
pub(crate) use portable_atomic::{AtomicPtr, AtomicU8, AtomicU32};

#[cfg(ttlog_masked)]
pub(crate) use masked::{AtomicPtr, AtomicU8, AtomicU32};

/// Tells whether the caller is a non-maskable interrupt that may have interrupted a read-modify-write operation: then it must not do
/// one itself. Constant where these are real ones.
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
    use core::sync::atomic::{self, Ordering, compiler_fence};

    /// Runs `body` with interrupts masked. Non-maskable ones get through.
    #[inline(always)]
    fn masked<R>(body: impl FnOnce() -> R) -> R {
        let before: usize;
        // SAFETY: masking interrupts has no effect on memory; the state from before is put back below. The assembly is a barrier
        // for the compiler (no `nomem`).
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

    /// As [`may_have_interrupted_one`](super::may_have_interrupted_one).
    #[cfg(target_arch = "arm")]
    #[inline(always)]
    pub(crate) fn is_nmi_while_masked() -> bool {
        const NMI: u32 = 2;
        let (exception, primask): (u32, u32);
        // SAFETY: reads two registers.
        unsafe {
            asm!("mrs {}, IPSR", "mrs {}, PRIMASK", out(reg) exception, out(reg) primask, options(nomem, nostack, preserves_flags));
        }
        exception == NMI && primask & 1 != 0
    }

    macro_rules! masked_atomic {
        ($(#[$doc:meta])* $name:ident $(<$param:ident>)?, $inner:ty, $value:ty) => {
            $(#[$doc])*
            #[derive(Debug)]
            #[repr(transparent)]
            pub(crate) struct $name $(<$param>)? ($inner);

            #[allow(dead_code)] // each has what one of them needs
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
                fn update(&self, new: impl FnOnce($value) -> Option<$value>) -> Result<$value, $value> {
                    // One core: what is ordered for the compiler is ordered for all contexts.
                    compiler_fence(Ordering::SeqCst);
                    let result = masked(|| {
                        let now = self.0.load(Ordering::Relaxed);
                        match new(now) {
                            Some(new) => {
                                self.0.store(new, Ordering::Relaxed);
                                Ok(now)
                            }
                            None => Err(now),
                        }
                    });
                    compiler_fence(Ordering::SeqCst);
                    result
                }

                #[inline(always)]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    _success: Ordering,
                    _failure: Ordering,
                ) -> Result<$value, $value> {
                    self.update(|now| (now == current).then_some(new))
                }

                #[inline(always)]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    self.compare_exchange(current, new, success, failure)
                }
            }
        };
    }

    masked_atomic!(
        /// A pointer that contexts of one core share.
        AtomicPtr<T>, atomic::AtomicPtr<T>, *mut T
    );
    masked_atomic!(
        /// A byte that contexts of one core share.
        AtomicU8, atomic::AtomicU8, u8
    );
    masked_atomic!(
        /// 32 bits that contexts of one core share.
        AtomicU32, atomic::AtomicU32, u32
    );

    impl AtomicU32 {
        #[inline(always)]
        fn change(&self, new: impl FnOnce(u32) -> u32) -> u32 {
            let (Ok(before) | Err(before)) = self.update(|now| Some(new(now)));
            before
        }

        #[inline(always)]
        pub(crate) fn fetch_add(&self, n: u32, _order: Ordering) -> u32 {
            self.change(|now| now.wrapping_add(n))
        }

        #[inline(always)]
        pub(crate) fn swap(&self, value: u32, _order: Ordering) -> u32 {
            self.change(|_| value)
        }

        #[inline(always)]
        pub(crate) fn fetch_or(&self, bits: u32, _order: Ordering) -> u32 {
            self.change(|now| now | bits)
        }

        #[inline(always)]
        pub(crate) fn fetch_update(
            &self,
            _success: Ordering,
            _failure: Ordering,
            mut new: impl FnMut(u32) -> Option<u32>,
        ) -> Result<u32, u32> {
            self.update(|now| new(now))
        }
    }
}
