//! Domains are short, and the same for the same work.

use proptest::prelude::*;

use super::*;

fn source(commit: &str) -> TestSource {
    TestSource { commit: Some(commit.to_owned()), ..TestSource::default() }
}

#[test]
fn the_shape() {
    let domain = domain("default", "custom-html", &source("abc"), "ci.example.com");
    let (label, zone) = domain.split_once('.').unwrap();
    assert_eq!(zone, "ci.example.com");
    let (letters, digits) = label.split_once('-').unwrap();
    assert_eq!(letters, "cust");
    assert!(digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{digits}");
    assert_eq!(ports::recipe::names::stack_name(&domain).len(), "cust-000000_ci_example_com".len());
}

#[test]
fn the_same_work_has_the_same_domain_and_other_work_another() {
    let of = |namespace: &str, recipe: &str, source: &TestSource| domain(namespace, recipe, source, "z");
    assert_eq!(of("a", "x", &source("1")), of("a", "x", &source("1")));
    let version = TestSource { version: Some("1".to_owned()), ..TestSource::default() };
    let others =
        [of("b", "x", &source("1")), of("a", "y", &source("1")), of("a", "x", &source("2")), of("a", "x", &version)];
    for other in others {
        assert_ne!(other, of("a", "x", &source("1")));
    }
    assert_ne!(dependency_domain("x-000001.z", "sso"), dependency_domain("x-000002.z", "sso"));
}

proptest! {
    #[test]
    fn labels_are_valid_whatever_the_recipe_is_called(recipe in "[a-z0-9.-]{1,40}", commit in "[0-9a-f]{40}") {
        for domain in [domain("n", &recipe, &source(&commit), "z"), dependency_domain("a-000000.z", &recipe)] {
            let label = domain.strip_suffix(".z").unwrap();
            prop_assert!(label.len() <= 11);
            prop_assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(!label.starts_with('-'));
        }
    }
}
