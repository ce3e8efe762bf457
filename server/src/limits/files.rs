//! How many connections the process's limit of open files leaves room for: the default of `MAX_CONNECTIONS`.

/// The limit is raised to this at most: the system's hard limit may be a billion, and the kernel sizes tables by it.
const MOST_FILES: u64 = 1_048_576;
/// What is assumed where the system has no such limit.
const UNLIMITED: u64 = MOST_FILES;

/// Raises the soft limit of open files to the hard one, as servers do: the soft one, 1,024 mostly, is for programs that
/// use `select`. Where the system doesn't let it, it stays.
pub fn raise() {
    if let Ok((soft, hard)) = rlimit::Resource::NOFILE.get() {
        let wanted = hard.min(MOST_FILES);
        if wanted > soft {
            let _ = rlimit::Resource::NOFILE.set(wanted, hard);
        }
    }
}

/// Three quarters of the files that this process may open now: each connection takes one, and the others are for the HTTP API,
/// the event store, the backend and what the proxy opens.
pub fn connections() -> usize {
    let soft = rlimit::Resource::NOFILE.get().map_or(UNLIMITED, |(soft, _)| soft);
    of_files(soft)
}

fn of_files(files: u64) -> usize {
    let files = files.min(MOST_FILES);
    usize::try_from((files - files / 4).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_files_is_left_for_the_rest() {
        assert_eq!([0, 1, 1_024, 65_536, u64::MAX].map(of_files), [1, 1, 768, 49_152, 786_432]);
        assert!(connections() >= 1);
    }
}
