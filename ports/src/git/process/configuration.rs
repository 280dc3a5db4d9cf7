//! Git's home, its configuration and environment, and the files in its repositories that it does not look after itself.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;

use super::Pin;
use crate::git::Credential;

/// No hook, filter, helper or monitor of anybody runs; nothing follows a redirect; nothing is asked.
const GIT_CONFIGURATION: &str = "\
# Written by ccd at each start.
[core]
\thooksPath = /dev/null
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\tfsmonitor = false
\tautocrlf = false
\tsymlinks = false
\tquotePath = false
\tpackedGitLimit = 512m
\tpackedGitWindowSize = 64m
\tbigFileThreshold = 64m
[credential]
\thelper =
\tinteractive = never
[fetch]
\tunpackLimit = 1
\twriteCommitGraph = false
[gc]
\tauto = 0
[http]
\tfollowRedirects = false
\tlowSpeedLimit = 1000
\tlowSpeedTime = 60
[init]
\tdefaultBranch = main
\ttemplateDir =
[maintenance]
\tauto = false
[pack]
\tthreads = 1
\twindowMemory = 256m
[safe]
\tdirectory = *
[submodule]
\trecurse = false
[uploadpack]
\tallowAnySHA1InWant = true
";

/// Server keys must be known beforehand: the first one that answers is not believed.
fn ssh_configuration(home: &Path) -> String {
    let home = home.display();
    format!(
        "# Written by ccd at each start.\n\
         BatchMode yes\n\
         StrictHostKeyChecking yes\n\
         UserKnownHostsFile \"{home}/known_hosts\"\n\
         IdentityFile \"{home}/id_ed25519\"\n\
         IdentitiesOnly yes\n\
         IdentityAgent none\n\
         ForwardAgent no\n\
         ClearAllForwardings yes\n\
         PermitLocalCommand no\n\
         ConnectTimeout 20\n\
         ServerAliveInterval 15\n"
    )
}

/// Makes the folders and writes both configurations.
pub(super) fn write(root: &Path) -> io::Result<()> {
    let home = root.join("home");
    for folder in [&home, &root.join("mirrors")] {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    put(&home.join("gitconfig"), GIT_CONFIGURATION)?;
    put(&home.join("ssh_config"), &ssh_configuration(&home))
}

/// Replaces a file as a whole, for its owner only.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&new)?.write_all(text.as_bytes())?;
    fs::rename(&new, path)
}

/// Returns the whole environment of git.
pub(super) fn environment(root: &Path, path: &str) -> BTreeMap<String, String> {
    let home = root.join("home").display().to_string();
    let pairs = [
        ("PATH", path.to_owned()),
        ("LC_ALL", "C".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", format!("{home}/gitconfig")),
        ("GIT_ATTR_NOSYSTEM", "1".to_owned()),
        ("GIT_NO_REPLACE_OBJECTS", "1".to_owned()),
        ("GIT_OPTIONAL_LOCKS", "0".to_owned()),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
        // Nothing may be fetched unless the caller says so.
        ("GIT_ALLOW_PROTOCOL", "none".to_owned()),
        ("GIT_SSH_COMMAND", ssh_command(root)),
        ("GIT_SSH_VARIANT", "ssh".to_owned()),
        ("XDG_CONFIG_HOME", home.clone()),
        ("HOME", home),
        // The configuration of a repository cannot overrule these.
        ("GIT_CONFIG_COUNT", "2".to_owned()),
        ("GIT_CONFIG_KEY_0", "core.hooksPath".to_owned()),
        ("GIT_CONFIG_VALUE_0", "/dev/null".to_owned()),
        ("GIT_CONFIG_KEY_1", "core.fsmonitor".to_owned()),
        ("GIT_CONFIG_VALUE_1", "false".to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Adds a credential for its origin alone. The environment of a process can be read by its owner only.
pub(super) fn add_credential(env: &mut BTreeMap<String, String>, credential: &Credential) {
    let pair = format!("{}:{}", credential.user, credential.secret);
    let header = format!("Authorization: Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    env.insert("GIT_CONFIG_COUNT".to_owned(), "3".to_owned());
    env.insert("GIT_CONFIG_KEY_2".to_owned(), format!("http.{}/.extraHeader", credential.origin));
    env.insert("GIT_CONFIG_VALUE_2".to_owned(), header);
}

/// Makes git connect to one address of its host, which has been judged, whatever the DNS says by then.
pub(super) fn add_pin(env: &mut BTreeMap<String, String>, pin: &Pin, root: &Path) {
    match pin.protocol.as_str() {
        "http" | "https" => {
            let count = env.get("GIT_CONFIG_COUNT").and_then(|count| count.parse::<u32>().ok()).unwrap_or_default();
            let address = match pin.address {
                IpAddr::V4(four) => four.to_string(),
                IpAddr::V6(six) => format!("[{six}]"),
            };
            env.insert("GIT_CONFIG_COUNT".to_owned(), (count + 1).to_string());
            env.insert(format!("GIT_CONFIG_KEY_{count}"), "http.curloptResolve".to_owned());
            env.insert(format!("GIT_CONFIG_VALUE_{count}"), format!("{}:{}:{address}", pin.host, pin.port));
        }
        "ssh" => {
            // The host keeps its name for its key. Both are in our grammar: no character means anything to a shell.
            let options = format!("-o 'HostName={}' -o 'HostKeyAlias={}'", pin.address, pin.known_as());
            env.insert("GIT_SSH_COMMAND".to_owned(), format!("{} {options}", ssh_command(root)));
        }
        _ => {}
    }
}

/// Git hands this line to a shell; it holds nothing but our own path.
fn ssh_command(root: &Path) -> String {
    let home = root.join("home").display().to_string();
    format!("ssh -F '{}/ssh_config'", home.replace('\'', "'\\''"))
}

/// Removes a folder with everything in it, symbolic links not followed; one that is not there is fine.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes what a killed git leaves in a repository: lock files and unfinished packs. Only under the mirror's lock.
pub(super) fn remove_leftovers(repository: &Path) -> io::Result<()> {
    for entry in fs::read_dir(repository)? {
        remove_if(&entry?, |name| name.ends_with(".lock"))?;
    }
    remove_locks(&repository.join("refs"))?;
    let packs = repository.join("objects/pack");
    if packs.is_dir() {
        for entry in fs::read_dir(packs)? {
            remove_if(&entry?, |name| name.starts_with("tmp_") || name.ends_with(".keep"))?;
        }
    }
    Ok(())
}

fn remove_locks(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_locks(&entry.path())?;
        } else {
            remove_if(&entry, |name| name.ends_with(".lock"))?;
        }
    }
    Ok(())
}

fn remove_if(entry: &fs::DirEntry, is_leftover: impl Fn(&str) -> bool) -> io::Result<()> {
    let is_file = entry.file_type()?.is_file();
    if is_file && entry.file_name().to_str().is_some_and(is_leftover) { fs::remove_file(entry.path()) } else { Ok(()) }
}

/// Returns how many packs a repository has, and how many bytes they are.
pub(super) fn pack_figures(repository: &Path) -> io::Result<(usize, u64)> {
    let folder = repository.join("objects/pack");
    let (mut packs, mut bytes) = (0, 0_u64);
    if !folder.is_dir() {
        return Ok((0, 0));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes = bytes.saturating_add(entry.metadata()?.len());
        packs += usize::from(entry.path().extension().is_some_and(|extension| extension == "pack"));
    }
    Ok((packs, bytes))
}
