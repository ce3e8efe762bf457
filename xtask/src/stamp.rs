//! Skips work whose inputs and outputs are as they were after it was last done.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::project::Project;

/// A record of inputs and outputs. It holds the outputs' contents as well, so that a file that was deleted or
/// changed by hand is made again.
#[derive(Debug)]
pub(crate) struct Stamp {
    file: PathBuf,
    inputs: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
}

impl Stamp {
    /// `inputs` and `outputs` are files or folders of the checkout.
    pub(crate) fn new(project: &Project, name: &str, inputs: &[&str], outputs: &[&str]) -> Result<Self> {
        Ok(Self {
            file: project.work_dir()?.join(format!("{name}.stamp")),
            inputs: inputs.iter().map(|path| project.path(path)).collect(),
            outputs: outputs.iter().map(|path| project.path(path)).collect(),
        })
    }

    /// Whether the work can be skipped.
    pub(crate) fn is_fresh(&self) -> Result<bool> {
        if self.outputs.iter().any(|path| !path.exists()) {
            return Ok(false);
        }
        let Ok(recorded) = fs::read_to_string(&self.file) else {
            return Ok(false);
        };
        Ok(recorded == self.digest()?)
    }

    /// To be called when the work is done.
    pub(crate) fn record(&self) -> Result<()> {
        fs::write(&self.file, self.digest()?).with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn digest(&self) -> Result<String> {
        // Not a defence against forgery: it only has to differ when somebody edits a file.
        let mut hasher = DefaultHasher::new();
        for path in self.inputs.iter().chain(&self.outputs) {
            hash_tree(path, &mut hasher)?;
        }
        Ok(format!("{:016x}\n", hasher.finish()))
    }
}

/// Folders that never are an input of anything.
const SKIPPED: &[&str] = &["node_modules", "target", ".git", "shots"];

fn hash_tree(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    if path.is_dir() {
        let mut entries =
            fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                hash_tree(&entry.path(), hasher)?;
            }
        }
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    hasher.write(path.as_os_str().as_encoded_bytes());
    hasher.write_usize(bytes.len());
    hasher.write(&bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> Project {
        let root = std::env::temp_dir().join(format!("xtask-stamp-{}-{name}", std::process::id()));
        fs::create_dir_all(root.join("in")).expect("create");
        fs::write(root.join("in/a"), "1").expect("write");
        fs::write(root.join("out"), "made").expect("write");
        Project { root }
    }

    #[test]
    fn work_is_skipped_until_an_input_or_output_changes() {
        let project = project("changes");
        let stamp = Stamp::new(&project, "t", &["in"], &["out"]).expect("stamp");
        assert!(!stamp.is_fresh().expect("never recorded"));
        stamp.record().expect("record");
        assert!(stamp.is_fresh().expect("recorded"));

        fs::write(project.path("in/b"), "").expect("write");
        assert!(!stamp.is_fresh().expect("a new input"));
        stamp.record().expect("record");

        fs::write(project.path("out"), "edited").expect("write");
        assert!(!stamp.is_fresh().expect("an edited output"));
        stamp.record().expect("record");

        fs::remove_file(project.path("out")).expect("remove");
        assert!(!stamp.is_fresh().expect("a deleted output"));
        fs::remove_dir_all(&project.root).expect("clean up");
    }
}
