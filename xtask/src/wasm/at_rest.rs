//! Puts the work that wasm-bindgen's script does at import off until its first use: a page of tests (jsdom in Jest) has neither
//! `TextDecoder` nor `TextEncoder`, and who only imports the package needs none.

use anyhow::{Result, anyhow, ensure};

const DECODER: &str = "\
let cachedTextDecoder = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
cachedTextDecoder.decode();
";
const DECODES: &str = "    return cachedTextDecoder.decode(";
const ENCODER: &str = "const cachedTextEncoder = new TextEncoder();\n";
const ENCODES: &str = "function passStringToWasm0(arg, malloc, realloc) {\n";
/// For browsers that are too old for the module itself.
const POLYFILL: &str = "\nif (!('encodeInto' in cachedTextEncoder)) {\n";

/// The script, which does nothing at its import.
pub(super) fn at_rest(script: &str) -> Result<String> {
    let mut script = script.to_owned();
    let (from, to) = script
        .find(POLYFILL)
        .and_then(|at| Some((at, at + script[at..].find("\n}\n")? + "\n}\n".len())))
        .ok_or_else(|| changed(POLYFILL))?;
    script.replace_range(from..to, "");
    for (what, by) in [
        (DECODER, "let cachedTextDecoder;\n".to_owned()),
        (DECODES, format!("    cachedTextDecoder ??= new TextDecoder('utf-8', {{ ignoreBOM: true, fatal: true }});\n{DECODES}")),
        (ENCODER, "let cachedTextEncoder;\n".to_owned()),
        (ENCODES, format!("{ENCODES}    cachedTextEncoder ??= new TextEncoder();\n")),
    ] {
        ensure!(script.contains(what), changed(what));
        script = script.replacen(what, &by, 1);
    }
    Ok(script)
}

fn changed(what: &str) -> anyhow::Error {
    anyhow!("wasm-bindgen's script has no {what:?} any more: see what it does at its import, and put that off here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_made_at_the_import_and_everything_at_its_first_use() {
        let script =
            format!("{ENCODES}use(cachedTextEncoder)\n}}\n{DECODER}{DECODES}bytes);\n{ENCODER}{POLYFILL}    x\n}}\nrest\n");
        let rested = at_rest(&script).expect("a script of wasm-bindgen");
        let top = |line: &&str| !line.starts_with(' ');
        assert!(rested.lines().filter(top).all(|line| !line.contains("new Text")), "{rested}");
        assert_eq!(rested.matches("??= new Text").count(), 2);
        assert!(rested.ends_with("rest\n") && !rested.contains("encodeInto"));
        assert!(at_rest("let cachedTextDecoder = other();").is_err());
    }
}
