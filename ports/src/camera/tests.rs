//! With programs that play Chromium, and with a real one.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

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
async fn folders_of_a_ccd_that_was_killed_go_with_the_next_picture() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let camera = played(folder.path(), "printf '\\211PNG\\r\\n\\032\\n' > \"$out\"");
    let [old, new, link] = ["old", "new", "link"].map(|name| folder.path().join(format!("ccd-picture-{name}")));
    for made in [&old, &new] {
        fs::create_dir(made).unwrap();
        fs::write(made.join("page.html"), "what was drawn").unwrap();
    }
    std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH;
    fs::File::open(&old).unwrap().set_modified(long_ago).unwrap();
    fs::File::open(elsewhere.path()).unwrap().set_modified(long_ago).unwrap();
    camera.picture(&Subject::Page(String::new()), 10, 10).await.unwrap();
    assert!(!old.exists(), "it is older than any picture takes");
    assert!(new.exists(), "a picture may be in the making");
    assert!(link.exists() && elsewhere.path().exists(), "nobody is led elsewhere by a link");
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

fn chromium() -> ChromiumCamera {
    let chromium = PathBuf::from("/usr/bin/chromium");
    assert!(chromium.exists(), "there is no Chromium: run .ci/setup");
    let is_root = rustix::process::geteuid().is_root();
    ChromiumCamera::new(chromium, is_root.then(|| "/usr/bin/setpriv".into()), "/tmp".into())
}

/// Answers over TLS, with a certificate that nobody signed, with a page in this colour; returns where, and what it was
/// asked for.
async fn site(colour: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["wiki.ci.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let configuration = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(configuration));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, noted) = (acceptor.clone(), noted.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = vec![0; 8192];
                let Ok(count @ 1..) = stream.read(&mut request).await else { return };
                let line = String::from_utf8_lossy(&request[..count]).lines().next().unwrap_or_default().to_owned();
                noted.lock().unwrap().push(line);
                // Nothing but this address is reached: the script of elsewhere would make it black.
                let page = format!(
                    "<body style='background: {colour}'><script src='https://elsewhere.example/x.js'></script>\
                     <script>document.write('writ' + 'ten')</script>"
                );
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close";
                let answer = format!("{head}\r\nContent-Length: {}\r\n\r\n{page}", page.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_real_chromium_looks_at_a_site_at_the_address_that_it_is_told() {
    let mut pictures = Vec::new();
    for colour in ["#123456", "#fedcba"] {
        let (address, asked) = site(colour).await;
        let host = "wiki.ci.test".to_owned();
        let site = Subject::Site { url: format!("https://{host}/start"), host, address };
        pictures.push(chromium().picture(&site, 320, 200).await.unwrap());
        let asked = asked.lock().unwrap().clone();
        assert!(asked.iter().any(|line| line == "GET /start HTTP/1.1"), "{asked:?}");
    }
    assert_ne!(pictures[0].png, pictures[1].png, "what is seen is the page");
    let document = String::from_utf8(pictures[0].document.clone()).unwrap();
    assert!(document.contains("</script>written"), "with what its scripts wrote: {document}");
    assert_eq!(pictures[0].png[16..24], [320_u32.to_be_bytes(), 200_u32.to_be_bytes()].concat());
}

#[tokio::test]
async fn a_real_chromium_takes_a_picture_in_its_sandbox() {
    let camera = chromium();
    let page = "<body style='background: #123456'>hello";
    let picture = camera.picture(&Subject::Page(page.to_owned()), 320, 200).await.unwrap().png;
    // Width and height stand at fixed places of a PNG.
    assert_eq!((&picture[16..20], &picture[20..24]), (&320_u32.to_be_bytes()[..], &200_u32.to_be_bytes()[..]));
}
