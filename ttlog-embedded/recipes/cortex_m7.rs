use cortex_m::peripheral::MPU;

/// Lets `1 << size_log2` bytes (32 bytes to 4 GiB) from `start` on, a multiple of that, be memory that is not cached. To be called before
/// the data cache is switched on.
fn uncache(mpu: &mut MPU, start: u32, size_log2: u32) {
    const REGION: u32 = 7; // of several regions that an address is in, the one of the highest number counts
    const NO_EXECUTION: u32 = 1 << 28;
    const READ_AND_WRITE: u32 = 0b011 << 24;
    const NORMAL_NOT_CACHED: u32 = 0b001 << 19; // TEX; with C and B 0
    const REGION_ON: u32 = 1;
    const MPU_ON_REST_AS_USUAL: u32 = 0b101; // ENABLE, PRIVDEFENA
    cortex_m::asm::dsb();
    // SAFETY: nothing of this memory is in the cache, which is still off; who may read and write it stays the same.
    unsafe {
        mpu.rnr.write(REGION);
        mpu.rbar.write(start);
        mpu.rasr.write(NO_EXECUTION | READ_AND_WRITE | NORMAL_NOT_CACHED | (size_log2 - 1) << 1 | REGION_ON);
        mpu.ctrl.write(MPU_ON_REST_AS_USUAL);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}
