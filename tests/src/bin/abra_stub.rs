//! Plays `abra` for tests: the commands, options, words and exit codes that ccd relies on, on a real engine.
//!
//! Compose files are loaded and deployed by `docker stack`, as abra's own code is docker's: so that what ccd loads
//! itself is compared with something else. `CC_TEST_ABRA` names a real abra to use instead.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ports::recipe::env::EnvFile;
use ports::recipe::secret::{Charset, Rule, generate};
use ports::recipe::{abra_sh, app, names};
use serde_json::{Value, json};

const STACK_LABEL: &str = "com.docker.stack.namespace";
/// Waits of 200 ms for tasks to stop: two minutes, more than any grace period of a test.
const STOP_PAUSES_MAX: usize = 600;
const HELP: &str = "\
Usage: abra [command]

Flags:
  -a, --all                   all of them
  -C, --chaos                 deploy what the work tree holds
  -D, --no-domain-checks      do not look the domain up
  -f, --force                 do it all the same
      --file                  read the value from a file
  -h, --help                  this
  -m, --machine               write JSON
  -c, --no-converge-checks    do not wait
  -n, --no-input              ask nothing
  -o, --offline               fetch nothing
  -s, --snapshot              the one to restore
";

/// What ends the program: the words behind `FATA`.
struct Fatal(String);

type Done<Value = ()> = Result<Value, Fatal>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asks = |word: &str| arguments.iter().any(|argument| argument == word);
    if asks("--version") {
        println!("abra version 0.13.0-beta-stub");
        return ExitCode::SUCCESS;
    }
    if asks("--help") || asks("-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Fatal(words)) => {
            // Abra writes what it gives up with to standard output.
            println!("FATA {words}");
            ExitCode::FAILURE
        }
    }
}

/// A command line, taken apart.
struct Call {
    words: Vec<String>,
    flags: BTreeSet<char>,
    snapshot: Option<String>,
    dir: PathBuf,
}

impl Call {
    fn parse(arguments: Vec<String>) -> Done<Self> {
        let (mut words, mut flags, mut only_words) = (Vec::new(), BTreeSet::new(), false);
        let mut snapshot = None;
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some("-") if !only_words => only_words = true,
                Some(letters) if !only_words && !letters.starts_with('-') => flags.extend(letters.chars()),
                Some(long) if !only_words && long.starts_with("-snapshot=") => {
                    snapshot = long.split_once('=').map(|(_, id)| id.to_owned());
                }
                Some(long) if !only_words => return Err(Fatal(format!("unknown flag: -{long}"))),
                _ => words.push(argument),
            }
        }
        let dir = variable("ABRA_DIR").ok_or_else(|| Fatal("ABRA_DIR is not set".to_owned()))?;
        Ok(Self { words, flags, snapshot, dir: PathBuf::from(dir) })
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of its own: its environment is its interface")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn run(arguments: Vec<String>) -> Done {
    let call = Call::parse(arguments)?;
    let words: Vec<&str> = call.words.iter().map(String::as_str).collect();
    match words[..] {
        ["app", "deploy", domain] => App::open(&call, domain)?.deploy(&call, None),
        ["app", "deploy", domain, version] => App::open(&call, domain)?.deploy(&call, Some(version)),
        ["app", "undeploy", domain] => App::open(&call, domain)?.undeploy(),
        ["app", "secret", "generate", domain] => App::open(&call, domain)?.generate_secrets(&call),
        ["app", "secret", "insert", domain, name, version, data] => {
            App::open(&call, domain)?.insert_secret(&call, name, version, data)
        }
        ["app", "secret", "remove" | "rm", domain] => App::open(&call, domain)?.remove_all("secret"),
        ["app", "volume", "remove" | "rm", domain] => App::open(&call, domain)?.remove_all("volume"),
        ["app", "backup", "create", domain] => App::open(&call, domain)?.ask_backup_bot("create", None),
        ["app", "restore", domain] => App::open(&call, domain)?.ask_backup_bot("restore", call.snapshot.as_deref()),
        ["recipe", "lint", recipe] => lint(&call.dir.join("recipes").join(recipe)),
        _ => Err(Fatal(format!("unknown command {:?} for \"abra\"", call.words.join(" ")))),
    }
}

/// An app and its recipe.
struct App {
    domain: String,
    env_path: PathBuf,
    env: EnvFile,
    recipe: String,
    recipe_folder: PathBuf,
    stack: String,
}

impl App {
    fn open(call: &Call, domain: &str) -> Done<Self> {
        let env_path = call.dir.join("servers/default").join(format!("{domain}.env"));
        let text = fs::read_to_string(&env_path).map_err(|_| Fatal(format!("unable to find app {domain}")))?;
        let env = EnvFile::parse(".env", &text).map_err(|_| Fatal(format!("unable to read {}", env_path.display())))?;
        let written = env.get("TYPE").or_else(|| env.get("RECIPE")).unwrap_or_default();
        let recipe = app::split_type(written).0.to_owned();
        if recipe.is_empty() {
            return Err(Fatal(format!("{domain} has no TYPE")));
        }
        let stack = env.get("STACK_NAME").map_or_else(|| names::stack_name(domain), str::to_owned);
        let recipe_folder = call.dir.join("recipes").join(&recipe);
        Ok(Self { domain: domain.to_owned(), env_path, env, recipe, recipe_folder, stack })
    }

    /// Returns what compose files are interpolated with.
    fn variables(&self, version: &str) -> BTreeMap<String, String> {
        let exports = fs::read_to_string(self.recipe_folder.join("abra.sh")).unwrap_or_default();
        let mut variables = self.env.values();
        variables.extend(abra_sh::exports(&exports));
        variables.insert("STACK_NAME".to_owned(), self.stack.clone());
        variables.insert("TYPE".to_owned(), app::type_value(&self.recipe, version));
        variables
    }

    fn compose_files(&self, variables: &BTreeMap<String, String>) -> Done<Vec<PathBuf>> {
        let files = app::compose_files(variables).map_err(|file| Fatal(format!("{file} is outside of the recipe")))?;
        let files: Vec<PathBuf> = files.iter().map(|file| self.recipe_folder.join(file)).collect();
        match files.iter().find(|file| !file.is_file()) {
            Some(absent) => Err(Fatal(format!("open {}: no such file or directory", absent.display()))),
            None => Ok(files),
        }
    }

    /// Returns the merged compose file, as docker loads it.
    fn rendered(&self, variables: &BTreeMap<String, String>) -> Done<Value> {
        let mut arguments = vec!["stack".to_owned(), "config".to_owned()];
        for file in self.compose_files(variables)? {
            arguments.extend(["-c".to_owned(), file.display().to_string()]);
        }
        let text = docker(&arguments, variables, &[])?;
        serde_saphyr::from_str(&text).map_err(|error| Fatal(format!("unable to read the compose file: {error}")))
    }

    fn deploy(&self, call: &Call, version: Option<&str>) -> Done {
        let version = self.ensure(call, version)?;
        if self.is_deployed()? && !call.has('f') && !call.has('C') {
            return Err(Fatal(format!("{} is already deployed", self.domain)));
        }
        let variables = self.variables(&version);
        let rendered = self.rendered(&variables)?;
        let there = self.names("secret")?;
        for secret in self.secrets(&rendered) {
            if !there.contains(&secret.name) {
                let by_hand = self.rule(&secret.key)? == Rule::ByHand;
                let what = if by_hand { "secret not inserted (#generate=false)" } else { "secret not generated" };
                return Err(Fatal(format!("{what}: {}", secret.name)));
            }
        }
        let injected = self.injected(call, &version, &variables, &rendered)?;
        let path = self.env_path.with_extension("injected.yml");
        fs::write(&path, injected.to_string()).map_err(|error| Fatal(error.to_string()))?;
        let mut arguments: Vec<String> =
            ["stack", "deploy", "--detach=true", "--resolve-image", "always"].map(str::to_owned).to_vec();
        for file in self.compose_files(&variables)?.into_iter().chain([path.clone()]) {
            arguments.extend(["-c".to_owned(), file.display().to_string()]);
        }
        arguments.push(self.stack.clone());
        let words = docker(&arguments, &variables, &[]);
        let _ = fs::remove_file(&path);
        print!("{}", words?);
        let mut env = self.env.clone();
        env.set("TYPE", &app::type_value(&self.recipe, &version));
        fs::write(&self.env_path, env.text()).map_err(|error| Fatal(error.to_string()))?;
        println!("INFO deployed {} ({version})", self.domain);
        Ok(())
    }

    /// Brings the work tree to the version that is asked for, and returns what is deployed.
    fn ensure(&self, call: &Call, version: Option<&str>) -> Done<String> {
        let folder = &self.recipe_folder;
        if call.has('C') {
            if version.is_some() {
                return Err(Fatal("cannot use [version] and --chaos together".to_owned()));
            }
            let commit = git(folder, &["rev-parse", "HEAD"])?;
            let is_dirty = !git(folder, &["status", "--porcelain"])?.is_empty();
            return Ok(format!("{}{}", &commit[..8], if is_dirty { "+U" } else { "" }));
        }
        if !git(folder, &["status", "--porcelain"])?.is_empty() {
            return Err(Fatal(format!(
                "{} has locally unstaged changes? please commit/remove your changes",
                self.recipe
            )));
        }
        let pinned = app::split_type(self.env.get("TYPE").unwrap_or_default()).1;
        let newest = || Ok(git(folder, &["tag", "--sort=-creatordate"])?.lines().next().unwrap_or_default().to_owned());
        let version = match version.or(pinned) {
            Some(version) => version.to_owned(),
            None => newest()?,
        };
        git(folder, &["checkout", "--quiet", "--detach", "--end-of-options", &version])?;
        if git(folder, &["cat-file", "-t", &format!("refs/tags/{version}")])? != "tag" {
            return Err(Fatal("recipe lint failed: R014: only annotated tags used for recipe version".to_owned()));
        }
        if !folder.join(".env.sample").is_file() {
            return Err(Fatal("unable to validate recipe: .env.sample is missing".to_owned()));
        }
        Ok(version)
    }

    /// Returns what abra adds: labels on `app`, and every variable in its environment that it does not set itself.
    fn injected(
        &self,
        call: &Call,
        version: &str,
        variables: &BTreeMap<String, String>,
        rendered: &Value,
    ) -> Done<Value> {
        let key = |suffix: &str| format!("coop-cloud.{}.{suffix}", self.stack);
        let mut labels = BTreeMap::from([(key("recipe"), self.recipe.clone())]);
        labels.insert(key("chaos"), call.has('C').to_string());
        labels.insert(key(if call.has('C') { "chaos-version" } else { "version" }), version.to_owned());
        let set = &rendered["services"]["app"]["environment"];
        let exposed = variables.iter().filter(|(name, _)| set.get(name.as_str()).is_none());
        let exposed: BTreeMap<&String, String> =
            exposed.map(|(name, value)| (name, value.replace('$', "$$"))).collect();
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(name, value)| (name, value.replace('$', "$$"))).collect();
        let mut injected = json!({"services": {"app": {"deploy": {"labels": labels}, "environment": exposed}}});
        // All files must agree about it, also if none says it.
        let files = self.compose_files(variables)?;
        let first = fs::read_to_string(&files[0]).unwrap_or_default();
        if first.lines().any(|line| line.starts_with("version:")) {
            injected["version"] = rendered["version"].clone();
        }
        Ok(injected)
    }

    fn is_deployed(&self) -> Done<bool> {
        Ok(!self.listed("service")?.is_empty())
    }

    /// Returns ids or names of what carries the stack's label.
    fn listed(&self, kind: &str) -> Done<Vec<String>> {
        let filter = format!("label={STACK_LABEL}={}", self.stack);
        let arguments = [kind, "ls", "--quiet", "--filter", &filter].map(str::to_owned);
        Ok(docker(&arguments, &BTreeMap::new(), &[])?.lines().map(str::to_owned).collect())
    }

    /// Returns names that begin with the stack's.
    fn names(&self, kind: &str) -> Done<Vec<String>> {
        let filter = format!("name={}_", self.stack);
        let arguments = [kind, "ls", "--format", "{{.Name}}", "--filter", &filter].map(str::to_owned);
        let listed = docker(&arguments, &BTreeMap::new(), &[])?;
        let prefix = format!("{}_", self.stack);
        Ok(listed.lines().filter(|name| name.starts_with(&prefix)).map(str::to_owned).collect())
    }

    fn undeploy(&self) -> Done {
        if !self.is_deployed()? {
            return Err(Fatal(format!("{} is not deployed?", self.domain)));
        }
        let words = docker(&["stack", "rm", &self.stack].map(str::to_owned), &BTreeMap::new(), &[])?;
        print!("{words}");
        self.wait_until_stopped()
    }

    /// Waits until no container of the stack is left, as abra does: what ignores SIGTERM takes its whole grace.
    fn wait_until_stopped(&self) -> Done {
        let filter = format!("label={STACK_LABEL}={}", self.stack);
        let arguments = ["ps", "--all", "--quiet", "--filter", &filter].map(str::to_owned);
        for _ in 0..STOP_PAUSES_MAX {
            if docker(&arguments, &BTreeMap::new(), &[])?.trim().is_empty() {
                return Ok(());
            }
            pause();
        }
        Err(Fatal(format!("timed out waiting for the tasks of {} to stop", self.domain)))
    }

    fn secrets(&self, rendered: &Value) -> Vec<Secret> {
        let declared = rendered["secrets"].as_object().into_iter().flatten();
        let external = declared.filter(|(_, secret)| secret["external"] == true);
        let named = external
            .map(|(key, secret)| Secret { key: key.clone(), name: secret["name"].as_str().unwrap_or(key).to_owned() });
        named.collect()
    }

    /// Returns how the value of a secret is made, by the modifiers in the app's own environment.
    fn rule(&self, key: &str) -> Done<Rule> {
        let variable = format!("SECRET_{}_VERSION", key.to_uppercase());
        let modifier = |name: &str| self.env.entry(&variable)?.modifiers.get(name).map(String::as_str);
        if modifier("generate") == Some("false") {
            return Ok(Rule::ByHand);
        }
        let Some(length) = modifier("length") else { return Ok(Rule::Passphrase) };
        let length = length.parse().map_err(|_| Fatal(format!("{variable}: length={length} is no number")))?;
        let charset = Charset::parse(modifier("charset").unwrap_or_default());
        let charset = charset.ok_or_else(|| Fatal(format!("{variable}: charset is not known")))?;
        Ok(Rule::Password { length, charset })
    }

    fn generate_secrets(&self, call: &Call) -> Done {
        if !call.has('a') {
            return Err(Fatal("missing arguments: give [secret] and [version], or --all".to_owned()));
        }
        let rendered = self.rendered(&self.variables(""))?;
        let there = self.names("secret")?;
        let mut made = Vec::new();
        for secret in self.secrets(&rendered) {
            if there.contains(&secret.name) {
                println!("WARN {} already exists", secret.name);
                continue;
            }
            let Some(value) = generate(self.rule(&secret.key)?, &mut random) else { continue };
            create_secret(&secret.name, value.as_bytes())?;
            made.push(json!({"name": secret.key, "value": value}));
        }
        if made.is_empty() {
            return Err(Fatal("no secrets to generate: they already exist?".to_owned()));
        }
        println!("{}", Value::from(made));
        Ok(())
    }

    fn insert_secret(&self, call: &Call, name: &str, version: &str, data: &str) -> Done {
        let value = match call.has('f') {
            true => fs::read(data).map_err(|error| Fatal(format!("unable to read {data}: {error}")))?,
            false => data.as_bytes().to_vec(),
        };
        let name = names::object_name(&self.stack, name, version);
        if self.names("secret")?.contains(&name) {
            return Err(Fatal(format!("rpc error: code = AlreadyExists desc = secret {name} already exists")));
        }
        create_secret(&name, &value)
    }

    /// Removes all secrets or volumes of an app that is not deployed.
    fn remove_all(&self, kind: &str) -> Done {
        if self.is_deployed()? {
            return Err(Fatal(format!("{} is still deployed. Run \"abra app undeploy {}\"", self.domain, self.domain)));
        }
        let names = self.names(kind)?;
        if names.is_empty() {
            return Err(Fatal(format!("no {kind}s to remove?")));
        }
        for name in names {
            // Tasks let go of what they use a little late.
            let arguments = [kind, "rm", &name].map(str::to_owned);
            let mut tries = 0;
            while let Err(error) = docker(&arguments, &BTreeMap::new(), &[]) {
                tries += 1;
                if tries > 50 {
                    return Err(error);
                }
                pause();
            }
        }
        Ok(())
    }
}

impl App {
    /// Lets the server's backup bot do something for the app, in the bot's container.
    fn ask_backup_bot(&self, what: &str, snapshot: Option<&str>) -> Done {
        if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            return Err(Fatal("the input device is not a TTY".to_owned()));
        }
        if !self.is_deployed()? {
            return Err(Fatal(format!("{} is not deployed", self.domain)));
        }
        let run = |arguments: &[String]| docker(arguments, &BTreeMap::new(), &[]);
        let first = |text: String| text.lines().next().map(str::to_owned);
        let label = "label=coop-cloud.backupbot.enabled=true";
        let service = run(&["service", "ls", "--format={{.Name}}", "--filter", label].map(str::to_owned))?;
        let Some(service) = first(service) else {
            return Err(Fatal("no backupbot discovered, is it deployed?".to_owned()));
        };
        let label = format!("label=com.docker.swarm.service.name={service}");
        let container = run(&["ps", "--quiet", "--filter=status=running", "--filter", &label].map(str::to_owned))?;
        let Some(container) = first(container) else {
            return Err(Fatal(format!("no containers matching {service} found?")));
        };
        let mut arguments = vec!["exec".to_owned(), format!("--env=SERVICE={}", self.domain)];
        arguments.push("--env=MACHINE_LOGS=true".to_owned());
        arguments.extend(snapshot.map(|id| format!("--env=SNAPSHOT={id}")));
        arguments.extend([&*container, "/usr/bin/backup", "--", what].map(str::to_owned));
        print!("{}", run(&arguments)?);
        Ok(())
    }
}

/// A secret of a compose file.
struct Secret {
    key: String,
    name: String,
}

fn create_secret(name: &str, value: &[u8]) -> Done {
    docker(&["secret", "create", name, "-"].map(str::to_owned), &BTreeMap::new(), value).map(|_| ())
}

fn random(bytes: &mut [u8]) {
    let mut source = fs::File::open("/dev/urandom").expect("the kernel has random numbers");
    source.read_exact(bytes).expect("it always has more");
}

#[expect(clippy::disallowed_methods, reason = "the engine tells nobody when a volume is free")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(200));
}

/// Lints as abra does: a table, for which it needs a terminal unless it is told that it is automated.
fn lint(recipe: &Path) -> Done {
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
    if !is_terminal && variable("ABRA_CI").is_none() {
        return Err(Fatal("inappropriate ioctl for device".to_owned()));
    }
    let compose = fs::read_to_string(recipe.join("compose.yml"));
    let compose = compose.map_err(|error| Fatal(format!("unable to validate recipe: {error}")))?;
    let value: Value =
        serde_saphyr::from_str(&compose).map_err(|error| Fatal(format!("unable to validate recipe: {error}")))?;
    let tags = git(recipe, &["for-each-ref", "--format=%(objecttype)", "refs/tags"])?;
    let images =
        value["services"].as_object().is_some_and(|all| all.values().all(|service| service["image"].is_string()));
    let rules = [
        ("R008", "\".env.sample\" file exists", "error", recipe.join(".env.sample").is_file()),
        ("R009", "one service named \"app\"", "error", value["services"]["app"].is_object()),
        ("R011", "all services have images", "error", images),
        ("R014", "only annotated tags used for recipe version", "error", tags.lines().all(|kind| kind == "tag")),
        ("R004", "metadata is filled in", "warn", recipe.join("README.md").is_file()),
    ];
    println!("┃ REF ┃ RULE ┃ SEVERITY ┃ SATISFIED ┃ SKIPPED ┃ RESOLVE ┃");
    for (reference, rule, severity, is_satisfied) in rules {
        let sign = if is_satisfied { "✅" } else { "❌" };
        println!("┃ {reference} ┃ {rule} ┃ {severity} ┃ {sign} ┃ - ┃ see the documentation ┃");
    }
    Ok(())
}

/// Runs docker with the app's environment and nothing else; returns its standard output.
fn docker(arguments: &[String], variables: &BTreeMap<String, String>, input: &[u8]) -> Done<String> {
    let mut command = Command::new("docker");
    command.args(arguments).env_clear().envs(variables);
    for name in ["PATH", "HOME", "DOCKER_HOST"] {
        if let Some(value) = variable(name) {
            command.env(name, value);
        }
    }
    output(command, input)
}

fn git(folder: &Path, arguments: &[&str]) -> Done<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(["-c", "safe.directory=*"]).args(arguments);
    Ok(output(command, &[])?.trim().to_owned())
}

fn output(mut command: Command, input: &[u8]) -> Done<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |error: std::io::Error| Fatal(format!("{program}: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // What does not read has said why.
        let _ = stdin.write_all(input);
    }
    let done = child.wait_with_output().map_err(failed)?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&done.stderr);
    Err(Fatal(words.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")))
}
