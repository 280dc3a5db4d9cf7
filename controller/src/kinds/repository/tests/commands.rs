//! What comments say, and whose count.

use api_types::kinds::repository::Authorize;
use api_types::kinds::test_run::{Lane, RungName};
use ports::forge::{Account, Membership, Permission, RepositoryName};

use crate::kinds::repository::authorize::{Answers, Step, step};
use crate::kinds::repository::grammar::{Command, Found, Rerun, TestOptions, read};

fn found(body: &str) -> Found {
    read(body, &["!testme"])
}

fn test(options: TestOptions) -> Found {
    Found::Command(Command::Test("!testme".to_owned(), options))
}

#[test]
fn commands_are_read() {
    let quick = TestOptions { lane: Lane::Quick, ..TestOptions::default() };
    let only = TestOptions { stages: vec![RungName::Install, RungName::Lint], ..TestOptions::default() };
    for (body, expected) in [
        ("!testme", test(TestOptions::default())),
        ("  !testme \n", test(TestOptions::default())),
        ("Looks good.\r\n\r\n!testme\r\nThanks!", test(TestOptions::default())),
        ("!testme --quick", test(quick.clone())),
        ("!testme —quick", test(quick)),
        ("!testme --only lint,install", test(only.clone())),
        ("!testme --only=install,lint,lint", test(only)),
        ("!testme --from last", test(TestOptions::default())),
        (
            "!testme --from 1.2.0+3.4.5",
            test(TestOptions { from: Some("1.2.0+3.4.5".into()), ..TestOptions::default() }),
        ),
        ("!testme --from all", test(TestOptions { from: Some("all".into()), ..TestOptions::default() })),
        ("!rerun", Found::Command(Command::Rerun(Rerun::Same))),
        ("!rerun failed", Found::Command(Command::Rerun(Rerun::Failed))),
        ("!rerun backup", Found::Command(Command::Rerun(Rerun::Rung(RungName::BackupRestore)))),
        ("!cancel", Found::Command(Command::Cancel)),
        ("!ok", Found::Command(Command::Approve(None))),
        ("!ok 3FA21C9", Found::Command(Command::Approve(Some("3fa21c9".into())))),
        ("!deny", Found::Command(Command::Deny)),
        ("!status", Found::Command(Command::Status)),
        ("!why", Found::Command(Command::Why)),
        ("!help", Found::Command(Command::Help)),
        ("!wat\n!testme", test(TestOptions::default())),
    ] {
        assert_eq!(found(body), expected, "{body:?}");
    }
    let Found::Command(Command::Test(_, options)) = found("!testme --hold-on-fail 30m") else { panic!("no command") };
    assert_eq!(options.hold.map(|hold| hold.span().as_secs()), Some(1800));
}

#[test]
fn what_nobody_says_is_no_command() {
    for body in [
        "",
        "please run !testme",
        "> !testme",
        "  > !testme",
        "```\n!testme\n```",
        "````\n```\n!testme\n````",
        "~~~sh\n!testme\n~~~",
        "```\n!testme",
        "    !testme",
        "\t!testme",
        "<!-- \n!testme\n-->",
        "<!-- !testme -->",
        "<pre>\n!testme\n</pre>",
        "<blockquote>\n!testme\n</blockquote>",
        "`!testme`",
        "**!testme**",
        "testme",
        "! testme",
        "!!!",
        "!5",
    ] {
        assert_eq!(found(body), Found::Nothing, "{body:?}");
    }
    let long = format!("!testme {}", "x".repeat(600));
    assert_eq!(found(&long), Found::Nothing);
    // What follows a block counts again.
    assert_eq!(found("```\ncode\n```\n!testme"), test(TestOptions::default()));
    assert_eq!(found("<!-- hidden -->\n!testme"), test(TestOptions::default()));
}

#[test]
fn what_is_nearly_a_command_is_told() {
    for (body, part, is_our_word) in [
        ("!testmexyz", "no such command", false),
        ("!tetsme", "Did you mean `!testme`", false),
        ("!rerunn", "Did you mean `!rerun`", false),
        ("!frobnicate", "no such command", false),
        ("!testme --fast", "The options are", true),
        ("!testme now", "The options are", true),
        ("!testme --only everything", "takes rungs", true),
        ("!testme --only", "needs a value", true),
        ("!testme --from every", "`last`, `all` or a published version", true),
        ("!testme --from ../../etc", "published version", true),
        ("!testme --from --quick", "needs a value", true),
        ("!testme --hold-on-fail 25h", "up to 24h", true),
        ("!testme --hold-on-fail soon", "up to 24h", true),
        ("!rerun everything", "a rung", true),
        ("!cancel all", "takes nothing", true),
        ("!ok maybe", "the commit that you looked at", true),
    ] {
        let Found::Wrong { message, is_our_word: ours } = found(body) else { panic!("{body:?}: {:?}", found(body)) };
        assert!(message.contains(part), "{body:?}: {message}");
        assert_eq!(ours, is_our_word, "{body:?}");
        assert!(!message.contains("etc"), "words of others are not repeated: {message}");
    }
}

#[test]
fn whose_commands_count() {
    let repository = RepositoryName::new("coop", "wiki");
    let ada = Account { id: 3, login: "Ada".to_owned() };
    let rule = |organization: Option<&str>, team: Option<&str>, users: &[&str]| Authorize {
        organization: organization.map(str::to_owned),
        team: team.map(str::to_owned),
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    };
    let none = Answers::default();
    let of = |membership| Answers { organization: Some(membership), ..none };
    let may = |permission| Answers { organization: Some(Membership::Hidden), permission: Some(permission), ..none };
    let in_team = |membership| Answers { team: Some(membership), ..none };
    let coop = rule(Some("coop"), None, &[]);
    let other = rule(Some("elsewhere"), None, &[]);
    let team = rule(Some("coop"), Some("crew"), &[]);
    for (rule, answers, expected) in [
        (rule(None, None, &["ada"]), none, "allowed"),
        (rule(None, None, &["grace"]), none, "refused"),
        (Authorize::default(), none, "refused"),
        (coop.clone(), none, "organization"),
        (coop.clone(), of(Membership::Member), "allowed"),
        (coop.clone(), of(Membership::Stranger), "refused"),
        (coop.clone(), of(Membership::Hidden), "permission"),
        (coop.clone(), may(Some(Permission::Write)), "allowed"),
        (coop.clone(), may(Some(Permission::Admin)), "allowed"),
        (coop.clone(), may(Some(Permission::Read)), "refused"),
        (coop, may(None), "refused"),
        // Who may write to a repository says nothing of an organisation that does not own it.
        (other.clone(), of(Membership::Hidden), "refused"),
        (other, may(Some(Permission::Admin)), "refused"),
        (team.clone(), none, "team"),
        (team.clone(), in_team(Membership::Member), "allowed"),
        (team.clone(), in_team(Membership::Stranger), "refused"),
        (team, Answers { permission: Some(Some(Permission::Admin)), ..in_team(Membership::Hidden) }, "refused"),
    ] {
        let word = match step(&rule, &repository, &ada, &answers) {
            Step::Allowed(_) => "allowed",
            Step::Refused(_) => "refused",
            Step::AskOrganization(_) => "organization",
            Step::AskTeam(..) => "team",
            Step::AskPermission => "permission",
        };
        assert_eq!(word, expected, "{rule:?} {answers:?}");
    }
    for nobody in [(0, "ada"), (-1, "ada"), (5, ""), (5, "renovate[bot]")] {
        let account = Account { id: nobody.0, login: nobody.1.to_owned() };
        let open = rule(Some("coop"), None, &["ada", "renovate[bot]"]);
        assert!(matches!(step(&open, &repository, &account, &of(Membership::Member)), Step::Refused(_)), "{nobody:?}");
    }
}
