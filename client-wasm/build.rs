//! Tells the tests whether there is a server for them: those that need one are ignored, with the reason, where there is none.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(test_server)");
    println!("cargo::rerun-if-env-changed=OSB_TEST_WS_URL");
    if std::env::var_os("OSB_TEST_WS_URL").is_some() {
        println!("cargo::rustc-cfg=test_server");
    }
}
