//! With programs that play Chromium, and with a real one.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::error::ErrorKind;

/// Writes a program that does this with `$out`, the file for the picture.
fn played(folder: &Path, script: &str) -> ChromiumCamera {
    let program = folder.join("chromium");
    let find = "for a in \"$@\"; do case $a in --screenshot=*) out=${a#--screenshot=} ;; esac; done";
    fs::write(&program, format!("#!/bin/sh\n{find}\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    ChromiumCamera::new(program, None, folder.to_owned())
}

fn left(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("picture"))
        .count()
}

#[tokio::test]
async fn what_is_no_picture_is_none_and_nothing_is_left() {
    let page = Subject::Page("<p>hello</p>".to_owned());
    for (script, is_good) in [
        ("printf '\\211PNG\\r\\n\\032\\nrest' > \"$out\"", true),
        ("printf '<svg>' > \"$out\"", false),
        ("ln -s /etc/passwd \"$out\"", false),
        ("mkfifo \"$out\"", false),
        ("head -c 5000000 /dev/zero > \"$out\"", false),
        ("echo 'no usable sandbox' >&2; exit 1", false),
        ("true", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let taken = played(folder.path(), script).picture(&page, 10, 10).await;
        assert_eq!(taken.is_ok(), is_good, "{script}: {taken:?}");
        assert_eq!(left(folder.path()), 0, "{script}");
        if let Err(error) = taken {
            assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "NoPicture"));
        }
    }
}

#[tokio::test]
async fn only_sites_that_are_named_right_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let camera = played(folder.path(), "printf '\\211PNG\\r\\n\\032\\n' > \"$out\"");
    for (url, host, is_good) in [
        ("https://wiki.ci.test/", "wiki.ci.test", true),
        ("https://wiki.ci.test/", "other.ci.test", false),
        ("http://wiki.ci.test/", "wiki.ci.test", false),
        ("https://wiki.ci.test:8443/", "wiki.ci.test", false),
        ("file:///etc/passwd", "", false),
        ("https://a,MAP b/", "a,MAP b", false),
    ] {
        let site =
            Subject::Site { url: url.to_owned(), host: host.to_owned(), address: "127.0.0.1:443".parse().unwrap() };
        assert_eq!(camera.picture(&site, 10, 10).await.is_ok(), is_good, "{url}");
    }
}

#[tokio::test]
async fn a_real_chromium_takes_a_picture_in_its_sandbox() {
    let chromium = PathBuf::from("/usr/bin/chromium");
    assert!(chromium.exists(), "there is no Chromium: run .ci/setup");
    let is_root = rustix::process::geteuid().is_root();
    let camera = ChromiumCamera::new(chromium, is_root.then(|| "/usr/bin/setpriv".into()), "/tmp".into());
    let page = "<body style='background: #123456'>hello";
    let picture = camera.picture(&Subject::Page(page.to_owned()), 320, 200).await.unwrap();
    // Width and height stand at fixed places of a PNG.
    assert_eq!((&picture[16..20], &picture[20..24]), (&320_u32.to_be_bytes()[..], &200_u32.to_be_bytes()[..]));
}
