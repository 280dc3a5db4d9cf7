//! The names of a run's folders in the area of work trees. Pure.

/// What a folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// The recipe at the commit.
    Tree,
    /// The recipe as abra's linter looks at it.
    Abra,
    /// The backup.
    Backup,
}

impl Folder {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tree, Self::Abra, Self::Backup];

    /// Returns its name for the run with this uid.
    #[must_use]
    pub fn of(self, uid: &str) -> String {
        format!("{uid}{}", self.suffix())
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Tree => "",
            Self::Abra => "-abra",
            Self::Backup => "-backup",
        }
    }
}

/// How long a uid is: the store's are UUIDs in their usual spelling (RFC 9562, section 4).
const UID_LENGTH: usize = 36;

/// Returns the uid of the run that a folder belongs to; `None` when no folder of a run has such a name.
#[must_use]
pub fn uid_of(name: &str) -> Option<&str> {
    let (uid, suffix) = name.split_at_checked(UID_LENGTH)?;
    let is_uid = uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (is_uid && Folder::ALL.into_iter().any(|folder| folder.suffix() == suffix)).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_says_whose_it_is() {
        let uid = "0191e0b4-7c6e-7d3c-9d53-0b7f8f3c2a11";
        for folder in Folder::ALL {
            assert_eq!(uid_of(&folder.of(uid)), Some(uid), "{folder:?}");
        }
        for other in
            ["", "lost+found", "0191e0b4-7c6e-7d3c-9d53-0b7f8f3c2a11-notes", "0191e0b4-7c6e-7d3c-9d53-0b7f8f3c2a1"]
        {
            assert_eq!(uid_of(other), None, "{other}");
        }
    }
}
