//! Grammars: what each takes and refuses.

use super::*;

const ALL: [Grammar; 24] = [
    OBJECT_NAME,
    PART_NAME,
    DOMAIN,
    CERTIFICATE_NAME,
    GIT_REFERENCE,
    COMMIT,
    VERSION,
    REFERENCE_PATTERN,
    WEB_URL,
    GIT_URL,
    URL_PATH,
    FORGE_NAME,
    HOST_PORT,
    HOST,
    ENGINE,
    SUBNET,
    SWARM_NAME,
    COMPOSE_FILE,
    FILE_PATH,
    IMAGE,
    CRON,
    DATA_KEY,
    VARIABLE,
    MOMENT,
];

#[test]
fn every_grammar_takes_its_example_and_refuses_options_spaces_and_nothing() {
    for grammar in ALL {
        grammar.check(grammar.example).unwrap();
        for bad in ["", "a b\n", "\0", &"a".repeat(3_000)] {
            assert!(grammar.check(bad).is_err(), "{} takes {bad:?}", grammar.what);
        }
        if grammar != DATA_KEY {
            for bad in ["-x", "--upload-pack=x", &format!("-{}", grammar.example)] {
                assert!(grammar.check(bad).is_err(), "{} takes {bad:?}", grammar.what);
            }
        }
        let with_newline = format!("{}\n", grammar.example);
        assert!(grammar.check(&with_newline).is_err(), "{} takes a newline", grammar.what);
    }
}

fn check(grammar: Grammar, good: &[&str], bad: &[&str]) {
    for text in good {
        assert!(grammar.check(text).is_ok(), "{} refuses {text:?}", grammar.what);
    }
    for text in bad {
        assert!(grammar.check(text).is_err(), "{} takes {text:?}", grammar.what);
    }
}

#[test]
fn each_grammar_knows_its_own_traps() {
    check(DOMAIN, &["a.b", "x-1.example.com"], &["localhost", "a..b", "A.b", "a.b.", ".a.b", "*.a.b", "a_b.c"]);
    check(CERTIFICATE_NAME, &["*.a.b", "localhost", "a.b"], &["*", "a.*.b", "**.a"]);
    check(
        GIT_REFERENCE,
        &["main", "feature/x-1", "v1.2.3", "1.0.0+2.1.0", "refs/pull/3/head"],
        &["a..b", "a.", "/a", ".a", "a~1", "a^", "a:b", "@{u}", "a\\b", "HEAD@{1}"],
    );
    check(COMMIT, &[&"a".repeat(64)], &["abc", &"A".repeat(40), &"g".repeat(40), &"a".repeat(41)]);
    check(
        WEB_URL,
        &["http://[::1]:3000", "http://a:1/x?y"],
        &["https://u:p@h", "ftp://a", "https://-a", "//a", "https://a/@b"],
    );
    check(
        GIT_URL,
        &["file:///srv/r", "ssh://git@h:22/r", "http://127.0.0.1:3000/o/r.git"],
        &["ext::sh -c x", "ssh://-oProxyCommand=x/r", "https://u:p@h/r", "git@h:r", "/srv/r", "ssh://git@-x/r"],
    );
    check(HOST_PORT, &["[::1]:443", "db:5432"], &["db", "db:", ":80", "db:123456"]);
    check(ENGINE, &["ssh://root@h:22"], &["tcp://h:2375", "ssh://-x", "unix://x"]);
    check(
        COMPOSE_FILE,
        &["compose.yml", "compose.a-b.c.yaml"],
        &["../compose.yml", "docker-compose.yml", "compose.yml.bak"],
    );
    check(FILE_PATH, &["/a", "/a/.b/c..d"], &["/", "/a/", "/a/../b", "/./a", "a", "//a", "/a/.."]);
    check(CRON, &["@daily", "*/5 0-3 1,2 * MON-FRI"], &["@never", "* * * *", "* * * * * *", "$(x) * * * *"]);
    check(SUBNET, &["fd00::/64"], &["10.0.0.0", "10.0.0/8"]);
    check(IMAGE, &["registry.a:5000/x/y@sha256:00"], &["/x", "x y"]);
}

#[test]
fn a_refusal_says_what_is_wanted() {
    let error = DOMAIN.check("--x").unwrap_err().to_string();
    assert_eq!(error, "\"--x\" is not a domain name (such as \"cloud.example.com\", at most 253 characters)");
}
