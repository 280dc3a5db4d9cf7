//! `deploy/program/build`: when it counts what ccd does and looks which functions it needs first, and what it does when it
//! cannot. Compilers and valgrind are played here, because a release takes half an hour; `make bench` uses the real ones and
//! measures what comes of it. What ccd is asked meanwhile, `deploy/program/load`, is asked of a real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use tests::daemon::{self, Daemon};

use super::*;

/// Builds when the source is newer; the program has the same bytes as long as its source has.
const CARGO: &str = r#"#!/bin/bash
release=${CARGO_TARGET_DIR:-target}/release
kept=$release/deps/ccd-1
[ ! -e "$kept" ] || [ controller/src/main.rs -nt "$kept" ] || { echo fresh >>log; exit 0; }
counted=${RUSTFLAGS:+, with${RUSTFLAGS//$PWD\/}}
echo "cargo $* with ${CCD_SYMBOL_ORDER:+$(wc -l <"$CCD_SYMBOL_ORDER") }names${CCD_PACKED_RELOCATIONS:+, packed}$counted" >>log
mkdir -p "$release/deps"
rm -f "$release/ccd"
case $counted in *profile-generate*) printf '#!/bin/bash\n' >"$kept"; cat bin/counting >>"$kept" ;; *) : >"$kept" ;; esac
printf '# %s\n' "$(cat controller/src/main.rs)" >>"$kept"
ln "$kept" "$release/ccd"
printf '#!/bin/bash\necho "ccctl $1" >>log\n[ ! -e deaf ]\n' >"$release/ccctl"
chmod +x "$kept" "$release/ccctl"
"#;
/// What a ccd does that counts.
const COUNTING: &str = r#"
trap 'echo "$*" | cut -d" " -f1 >"$LLVM_PROFILE_FILE"; exit 0' TERM
echo 'now it is ready; go on'
while :; do sleep 0.05; done
"#;
const LOAD: &str = "#!/bin/bash\necho load >>log\n[ -d \"$2\" ] && [ ! -e failing ]\n";
const PROFDATA: &str = r#"#!/bin/bash
[ ! -e "old-profdata" ] || exit 1
cat "$4" >"$3"
"#;
const VALGRIND: &str = r#"#!/bin/bash
for word; do case $word in --callgrind-out-file=*) functions=${word#*=};; esac; done
[ ! -e broken ] || { echo 'no such machine'; exit 1; }
trap 'printf "fn=start\ncfn=again'\''2\nfn=write@GLIBC\n" >"$functions"; exit 0' TERM
echo 'now it is ready; go on'
while :; do sleep 0.05; done
"#;
/// `-C ARGUMENT -o PROGRAM SOURCE`, or `--print sysroot`.
const RUSTC: &str = r#"#!/bin/bash
case $2 in
  sysroot) echo "$PWD/sysroot" ;;
  profile-generate) printf '#!/bin/bash\necho counted >"$LLVM_PROFILE_FILE"\n' >"$4" && chmod +x "$4" ;;
  profile-use=*) grep --quiet counted "${2#*=}" ;;
  *symbol-ordering-file*) [ ! -e other-linker ] ;;
  *pack-relative-relocs) [ ! -e old-linker ] && printf '#!/bin/bash\n[ ! -e old-library ]\n' >"$4" && chmod +x "$4" ;;
esac
"#;
const NM: &str = "#!/bin/bash\nprintf '0 t again\\n0 T start\\n0 T never\\n0 d data\\n'\n";

struct Place(tempfile::TempDir);

impl Place {
    fn new(valgrind: bool) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for dir in ["deploy/program", "controller/src", "bin", "target/release"] {
            fs::create_dir_all(place.0.path().join(dir)).unwrap();
        }
        place.put("deploy/program/build", &read("deploy/program/build"));
        place.put("controller/src/main.rs", "one");
        place.put("bin/cargo", CARGO);
        place.put("bin/nm", NM);
        place.put("bin/rustc", RUSTC);
        if valgrind {
            place.put("bin/valgrind", VALGRIND);
        }
        place
    }

    /// The same with what counting needs.
    fn counting() -> Self {
        let place = Self::new(false);
        place.put("bin/counting", COUNTING);
        place.put("bin/h2load", "");
        place.put("bin/llvm-profdata-19", PROFDATA);
        place.put("deploy/program/load", LOAD);
        place
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self) -> Command {
        let here = self.0.path();
        // Of the machine's programs only these: a valgrind that is installed must not be found.
        for program in [
            "bash",
            "dirname",
            "realpath",
            "mkdir",
            "sha256sum",
            "mktemp",
            "rm",
            "seq",
            "sleep",
            "grep",
            "sort",
            "awk",
            "comm",
        ]
        .into_iter()
        .chain(["cat", "wc", "chmod", "find", "ln", "mv", "cut"])
        {
            let link = here.join("bin").join(program);
            if !link.exists() {
                let found = ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(program));
                std::os::unix::fs::symlink(found.iter().find(|path| path.exists()).unwrap(), link).unwrap();
            }
        }
        let mut command = Command::new(here.join("deploy/program/build"));
        command.env("PATH", here.join("bin"));
        for variable in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CCD_PACKED_RELOCATIONS", "CCD_SYMBOL_ORDER"] {
            command.env_remove(variable);
        }
        command
    }

    /// Builds; returns what was called and what was said.
    fn build(&self) -> (String, String) {
        let here = self.0.path();
        let output = run(&mut self.command());
        assert!(output.status.success(), "{}", text(&output));
        let log = fs::read_to_string(here.join("log")).unwrap();
        fs::remove_file(here.join("log")).unwrap();
        (log, text(&output))
    }

    fn order(&self) -> String {
        fs::read_to_string(self.0.path().join("target/release/ccd.order")).unwrap()
    }
}

const BUILD: &str = "cargo build --release --package controller --package ccctl --bins with";
const UNCOUNTED: &str = "deploy/program/build: there is no h2load: ccd is built without knowing what clients ask\n";

#[test]
fn a_program_is_linked_again_with_what_it_needs_first_once_for_each_change() {
    let place = Place::new(true);
    let (log, said) = place.build();
    let asked = "ccctl get\nccctl apply\nccctl get\n";
    assert_eq!(log, format!("{BUILD} 0 names, packed\n{asked}{BUILD} 2 names, packed\n"), "{said}");
    assert_eq!(place.order(), "again\nstart\n");
    assert_eq!(place.build().0, "fresh\n", "nothing has changed");
    place.put("controller/src/main.rs", "two");
    assert_eq!(place.build().0, format!("{BUILD} 2 names, packed\n{asked}{BUILD} 2 names, packed\n"));
    let told = fs::read_to_string(place.0.path().join("target/release/ccd.environment")).unwrap();
    let order = fs::canonicalize(place.0.path()).unwrap().join("target/release/ccd.order");
    assert_eq!(told, format!("export CCD_PACKED_RELOCATIONS=1\nexport CCD_SYMBOL_ORDER={}\n", order.display()));
}

#[test]
fn relocations_are_packed_where_linker_and_library_know_how() {
    for unable in ["old-linker", "old-library"] {
        let place = Place::new(false);
        place.put(unable, "");
        let (log, said) = place.build();
        assert_eq!(log, format!("{BUILD} 0 names\n"), "{unable}: {said}");
    }
}

#[test]
fn a_program_that_cannot_be_watched_is_left_as_it_is() {
    let (log, said) = Place::new(false).build();
    assert_eq!(log, format!("{BUILD} 0 names, packed\n"));
    let left = "deploy/program/build: there is no valgrind; ccd is left as the linker made it\n";
    assert_eq!(said, format!("{UNCOUNTED}{left}"));

    let place = Place::new(true);
    place.put("other-linker", "");
    let (log, said) = place.build();
    assert_eq!(log, format!("{BUILD} names, packed\n"), "it is told no order");
    assert!(said.contains("the linker puts functions in no given order"), "{said}");

    let place = Place::new(true);
    place.put("deaf", "");
    let (log, said) = place.build();
    assert_eq!(log, format!("{BUILD} 0 names, packed\nccctl get\n"));
    assert!(said.contains("ccctl get failed; ccd is left"), "{said}");

    let place = Place::new(true);
    place.put("broken", "");
    let (log, said) = place.build();
    assert_eq!(log, format!("{BUILD} 0 names, packed\n"));
    assert!(said.contains("no such machine\ndeploy/program/build: ccd did not start under valgrind; ccd is"), "{said}");
    assert_eq!(place.order(), "");
}

#[test]
fn a_program_is_built_for_what_clients_ask_and_counted_once_for_each_change() {
    let place = Place::counting();
    let counting = format!("{BUILD} names, packed, with -C profile-generate\n");
    let built = format!("{BUILD} 0 names, packed, with -C profile-use=target/release/ccd.profdata\n");
    let (log, said) = place.build();
    assert_eq!(log, format!("{counting}load\n{built}"), "{said}");
    let profile = place.0.path().join("target/release/ccd.profdata");
    assert_eq!(fs::read_to_string(&profile).unwrap(), "serve\n", "what ccd has counted");
    let told = fs::read_to_string(place.0.path().join("target/release/ccd.environment")).unwrap();
    assert!(!told.contains("profile"), "the profile is of ccd alone: {told}");
    assert_eq!(place.build().0, "fresh\nfresh\n", "nothing has changed");
    place.put("controller/src/main.rs", "two");
    assert_eq!(place.build().0, format!("{counting}load\n{built}"));
    fs::remove_file(&profile).unwrap();
    assert_eq!(place.build().0, "fresh\nload\nfresh\n", "a profile that is gone is made again");
}

#[test]
fn a_program_that_cannot_be_counted_is_built_all_the_same() {
    let place = Place::counting();
    place.put("old-profdata", "");
    let (log, said) = place.build();
    assert_eq!(log, format!("{BUILD} 0 names, packed\n"));
    assert!(said.contains("there is no llvm-profdata that reads what rustc writes: ccd is built without"), "{said}");

    let place = Place::counting();
    let output = run(place.command().env("CARGO_TARGET_DIR", "one two"));
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fs::read_to_string(place.0.path().join("log")).unwrap(), format!("{BUILD} 0 names, packed\n"));
    assert!(text(&output).contains("one two/release/ccd.profdata: ccd is built without"), "{}", text(&output));

    // That it does not start or answer is no matter of this machine.
    for (broken, script, words) in
        [("bin/counting", "exit 1", "the ccd that counts did not start\n"), ("failing", "", "")]
    {
        let place = Place::counting();
        place.put(broken, script);
        let output = run(&mut place.command());
        assert!(!output.status.success() && text(&output).ends_with(words), "{}", text(&output));
        assert!(!place.0.path().join("target/release/ccd.profdata").exists());
    }
}

/// Every request of the load is answered with success, by the ccd of today; one that is not ends it.
#[test]
fn the_load_is_what_ccd_answers() {
    let (data, sent) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let daemon = Daemon::start(data.path()).unwrap();
    let load = |ccctl: &Path| {
        run(Command::new(root().join("deploy/program/load"))
            .arg(ccctl)
            .arg(sent.path())
            .arg("50")
            .env("KUBECONFIG", daemon.kubeconfig()))
    };
    // A client that defines nothing: what is asked for is not there.
    let output = load(Path::new("true"));
    let (said, config) = (text(&output), fs::read_to_string(daemon.kubeconfig()).unwrap());
    assert!(!output.status.success() && said.contains("status codes: 0 2xx, 0 3xx, 20 4xx, 0 5xx"), "{said}");
    let token = config.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
    assert!(!said.contains(token), "{said}");
    let output = load(&daemon::program("ccctl"));
    assert!(output.status.success(), "{}", text(&output));
}
