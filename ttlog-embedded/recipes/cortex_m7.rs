use cortex_m::peripheral::MPU;

/// Exempts `1 << size_log2` bytes (32 bytes to 4 GiB) at `start`, a multiple of that size, from the data cache. Call it
/// before the cache is enabled.
fn uncache(mpu: &mut MPU, start: u32, size_log2: u32) {
    const REGION: u32 = 7; // where regions overlap, the highest number counts
    const NO_EXECUTION: u32 = 1 << 28;
    const READ_AND_WRITE: u32 = 0b011 << 24;
    const NORMAL_NOT_CACHED: u32 = 0b001 << 19; // TEX; with C and B 0
    const REGION_ON: u32 = 1;
    const MPU_ON_REST_AS_USUAL: u32 = 0b101; // ENABLE, PRIVDEFENA
    cortex_m::asm::dsb();
    // SAFETY: the cache is still off, so none of this memory is in it; access rights stay the same.
    unsafe {
        mpu.rnr.write(REGION);
        mpu.rbar.write(start);
        mpu.rasr.write(NO_EXECUTION | READ_AND_WRITE | NORMAL_NOT_CACHED | (size_log2 - 1) << 1 | REGION_ON);
        mpu.ctrl.write(MPU_ON_REST_AS_USUAL);
    }
    cortex_m::asm::dsb();
    cortex_m::asm::isb();
}
