//! The fingerprint of the contract that travels in `connect` and in the greeting.

/// FNV-1a of the generated TypeScript declarations, in hexadecimal; `cargo xtask codegen` writes it.
pub const FINGERPRINT: &str = "a13203389bc3c125";

/// The fingerprint of `declarations`.
pub fn fingerprint(declarations: &str) -> String {
    let hash = declarations
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
