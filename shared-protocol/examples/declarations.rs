//! Prints the TypeScript declarations of the contract: `cargo run -p osbackend-protocol --features ts --example declarations`.

fn main() {
    #[cfg(feature = "ts")]
    print!("{}", osbackend_protocol::ts::declarations());
}
