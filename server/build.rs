//! Puts files into the binary that are made elsewhere, compressed as browsers take them: Swagger UI, out of the crate that vendors it,
//! and the demo's page, where it is built (`cargo xtask demo`). Without a page the build is good all the same. Nothing is downloaded.

use std::error::Error;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The demo's sources, and what Vite makes of them.
const DEMO: &str = "../web-demo";
const PAGE: &str = "../web-demo/dist";
const VIEWER: [&str; 2] = ["dist/swagger-ui-bundle.js", "dist/swagger-ui.css"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    fs::write(out.join("viewer.rs"), viewer(&out)?)?;
    fs::write(out.join("page.rs"), page(&out)?)?;
    Ok(())
}

/// The files of Swagger UI that the page at `/openapi` loads, as a list for `embedded.rs`.
fn viewer(out: &Path) -> Result<String, Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    let mut list = String::new();
    for wanted in VIEWER {
        // Below a folder that is named by the version.
        let is_it = |name: &str| name.split_once('/').is_some_and(|(_, path)| path == wanted);
        let place = archive.file_names().position(|name| name.is_ok_and(|name| is_it(&name)));
        let place = place.ok_or_else(|| format!("Swagger UI has no {wanted}"))?;
        let mut bytes = Vec::new();
        archive.by_index(place)?.read_to_end(&mut bytes)?;
        let name = wanted.trim_start_matches("dist/");
        list += &entry(name, &compress(&bytes, &out.join(format!("{name}.gz")))?);
    }
    Ok(format!("&[{list}]"))
}

/// The files of the demo's page, as such a list; empty where it isn't built.
fn page(out: &Path) -> Result<String, Box<dyn Error>> {
    let (page, kept) = (Path::new(PAGE), out.join("page"));
    if kept.exists() {
        fs::remove_dir_all(&kept)?;
    }
    if !page.join("index.html").is_file() {
        // A path that isn't there would count as changed each time. Where the demo is left out, it can't appear.
        if Path::new(DEMO).is_dir() {
            println!("cargo::rerun-if-changed={DEMO}");
        }
        return Ok("&[]".to_owned());
    }
    println!("cargo::rerun-if-changed={PAGE}");
    fs::create_dir_all(&kept)?;
    let mut files = Vec::new();
    walk(page, &mut files)?;
    files.sort();
    let mut list = String::new();
    for (number, file) in files.iter().enumerate() {
        let parts: Vec<_> = file.strip_prefix(page)?.iter().map(|part| part.to_string_lossy()).collect();
        list += &entry(&parts.join("/"), &compress(&fs::read(file)?, &kept.join(format!("{number}.gz")))?);
    }
    Ok(format!("&[{list}]"))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { walk(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The same bytes always give the same file: the header has no time.
fn compress(bytes: &[u8], to: &Path) -> std::io::Result<PathBuf> {
    let mut encoder = GzEncoder::new(File::create(to)?, Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?;
    Ok(to.to_owned())
}

fn entry(name: &str, file: &Path) -> String {
    format!("File {{ name: {name:?}, gzip: include_bytes!({file:?}) }},\n")
}
