//! The table of stages: cheap ones first, so that a slip is seen early.

use super::{Stage, browser, contract, rust, web};
use crate::tools::{self, node};
use crate::{codegen, tidy, wasm};

pub(super) const STAGES: &[Stage] = &[
    Stage { name: "fmt", about: "rustfmt has nothing to change", needs: &[], run: rust::fmt },
    Stage { name: "tidy", about: "the invariants of ARCHITECTURE.md", needs: &[], run: tidy::check },
    Stage { name: "codegen", about: "generated files are what the types say", needs: &[], run: codegen::check },
    Stage {
        name: "wasm-target",
        about: "the Rust target for browsers is there",
        needs: &[],
        run: tools::rust::ensure_wasm_target,
    },
    Stage {
        name: "npm-ci",
        about: "Node is new enough, packages are those of package-lock.json",
        needs: &[],
        run: node::ensure_packages,
    },
    Stage {
        name: "chromium",
        about: "Chromium and its driver are there",
        needs: &[],
        run: |_| tools::chromium::ensure().map(drop),
    },
    Stage {
        name: "browsers",
        about: "Firefox, WebKit and its driver are there",
        needs: &[],
        run: |_| tools::engines::ensure().map(drop),
    },
    Stage { name: "postgres", about: "PostgreSQL's programs are there", needs: &[], run: |_| tools::postgres::ensure() },
    Stage {
        name: "wasm-tools",
        about: "wasm-bindgen and wasm-pack in the right versions are there",
        needs: &[],
        run: rust::wasm_tools,
    },
    Stage {
        name: "wasm",
        about: "the browser client for the package",
        needs: &["wasm-target", "wasm-tools", "npm-ci"],
        run: wasm::build,
    },
    Stage { name: "package", about: "the npm package builds", needs: &["wasm"], run: web::build_package },
    // Before the server, which has the page in it and would be built twice.
    Stage { name: "demo", about: "the demo's page builds", needs: &["package"], run: web::build_page },
    Stage { name: "clippy", about: "no warning in any target", needs: &[], run: rust::clippy },
    Stage { name: "clippy-wasm", about: "no warning in the browser client", needs: &["wasm-target"], run: rust::clippy_wasm },
    Stage {
        name: "rust",
        about: "unit, integration, property and simulation tests; examples build",
        needs: &["postgres"],
        run: rust::test,
    },
    Stage {
        name: "simulation",
        about: "10,000 seeds of the simulation [--seeds COUNT] [--from FIRST]",
        needs: &[],
        run: rust::simulation,
    },
    Stage { name: "doc", about: "the documentation builds without a warning", needs: &[], run: rust::doc },
    Stage {
        name: "wasm-browser",
        about: "the browser client against a real server, in Chromium",
        needs: &["wasm-target", "wasm-tools", "chromium"],
        run: browser::wasm_pack_test,
    },
    Stage {
        name: "schemathesis",
        about: "the HTTP API is as /openapi.json says, asked in some 3,000 ways",
        needs: &[],
        run: contract::schemathesis,
    },
    Stage { name: "biome", about: "format and lints of TypeScript, JSON and CSS", needs: &["npm-ci"], run: web::biome },
    Stage { name: "types", about: "tsc has nothing to say about package and demo", needs: &["package"], run: web::typecheck },
    Stage {
        name: "vitest",
        about: "tests of the npm package and of the demo's pure parts",
        needs: &["package"],
        run: web::vitest,
    },
    Stage {
        name: "react",
        about: "the React hooks in Chromium and on a server, with React 18 and 19",
        needs: &["wasm", "chromium"],
        run: browser::react,
    },
    Stage { name: "size", about: "what a page loads is within its limits", needs: &["package"], run: web::size },
    Stage { name: "typedoc", about: "the package's reference is whole", needs: &["wasm"], run: web::reference },
    Stage { name: "sdk-live", about: "the npm package against the real server", needs: &["package"], run: web::live },
    Stage { name: "pack", about: "the packed tarball, seen by publint and attw", needs: &["package"], run: web::pack },
    Stage {
        name: "packaging",
        about: "the tarball in projects of Vite, webpack, Next.js, esbuild, no bundler, Node, vitest and Jest, against a real server",
        needs: &["pack", "chromium"],
        run: browser::packaging,
    },
    Stage {
        name: "tabs",
        about: "Chromium: tabs that share a connection, while leaders and the server are killed; pages off line, hidden, cached, frozen, asleep",
        needs: &["package", "chromium"],
        run: browser::tabs,
    },
    Stage {
        name: "engines",
        about: "Chromium, Firefox and WebKit: connecting, recovery, tabs, sleep, the back/forward cache",
        needs: &["package", "chromium", "browsers"],
        run: browser::engines,
    },
    Stage {
        name: "e2e",
        about: "the demo in Chromium, with the server killed and restarted under it",
        needs: &["demo", "chromium"],
        run: browser::e2e,
    },
];
