//! Grammars of texts that leave the program: names, domains, references, addresses.
//!
//! Each is strict, bounded and never begins with `-`, so that no text from an object can be taken for an option. The
//! schema of a field and the check in code are the same [`Grammar`].

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use regex::Regex;
use schemars::{Schema, SchemaGenerator, json_schema};

#[cfg(test)]
mod tests;

/// What a text must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grammar {
    /// What the text is, for error messages: "a domain name".
    pub what: &'static str,
    /// Regular expression that the whole text matches.
    pub pattern: &'static str,
    /// Most characters.
    pub length_max: usize,
    /// One text that is good.
    pub example: &'static str,
}

/// Why a text breaks a grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what} (such as {example:?}, at most {length_max} characters)")]
pub struct GrammarError {
    text: String,
    what: &'static str,
    example: &'static str,
    length_max: usize,
}

/// Name of an object of ours or of Kubernetes.
pub const OBJECT_NAME: Grammar = Grammar {
    what: "an object's name",
    pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    length_max: 253,
    example: "wordpress",
};
/// Short name of a part of an object: a test, a probe, an overlay.
pub const PART_NAME: Grammar = Grammar {
    what: "a short name of lower-case letters, digits and '-'",
    pattern: r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
    length_max: 63,
    example: "login-page",
};
/// Fully qualified domain name.
pub const DOMAIN: Grammar = Grammar {
    what: "a domain name",
    pattern: r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$",
    length_max: 253,
    example: "cloud.example.com",
};
/// Domain name in a certificate; the first label may be `*`.
pub const CERTIFICATE_NAME: Grammar = Grammar {
    what: "a domain name whose first label may be '*'",
    pattern: r"^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$",
    length_max: 253,
    example: "*.example.com",
};
/// Branch, tag or other reference of git.
pub const GIT_REFERENCE: Grammar = Grammar {
    what: "a branch or tag",
    pattern: r"^[A-Za-z0-9_]([A-Za-z0-9_+/-]|\.[A-Za-z0-9_+-])*$",
    length_max: 255,
    example: "main",
};
/// Whole object name of a git commit.
pub const COMMIT: Grammar = Grammar {
    what: "a whole commit hash of lower-case hexadecimal digits",
    pattern: r"^([0-9a-f]{40}|[0-9a-f]{64})$",
    length_max: 64,
    example: "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
};
/// Version of a recipe: its tag.
pub const VERSION: Grammar =
    Grammar { what: "a version", pattern: r"^[0-9A-Za-z][0-9A-Za-z.+_-]*$", length_max: 128, example: "1.2.0+6.4.3" };
/// Pattern of tags or branches; `*` stands for anything, `?` for one character.
pub const REFERENCE_PATTERN: Grammar = Grammar {
    what: "a pattern of tags or branches",
    pattern: r"^[A-Za-z0-9_*?][A-Za-z0-9_.*?+/-]*$",
    length_max: 255,
    example: "boot-v*",
};
/// Where a web server answers. Credentials belong into a secret, so there is no user part.
pub const WEB_URL: Grammar = Grammar {
    what: "an http or https URL without user and password",
    pattern: r"^https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*(/[^\s@]*)?$",
    length_max: 2048,
    example: "https://git.example.com",
};
/// Where git fetches from.
pub const GIT_URL: Grammar = Grammar {
    what: "an https, http, git, ssh or file URL without password",
    pattern: r"^((https?|git)://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/[^\s@]*|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*/[^\s@]*|file:///[^\s]*)$",
    length_max: 2048,
    example: "https://git.example.com/recipes/wordpress.git",
};
/// Path of a URL.
pub const URL_PATH: Grammar =
    Grammar { what: "a URL's path", pattern: r"^/[^\s]*$", length_max: 1024, example: "/health?full=1" };
/// Owner or name of a repository on a forge, or somebody's login there.
pub const FORGE_NAME: Grammar = Grammar {
    what: "a name on the forge",
    pattern: r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
    length_max: 100,
    example: "coop-cloud",
};
/// Host and port.
pub const HOST_PORT: Grammar = Grammar {
    what: "a host and a port",
    pattern: r"^([A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
    length_max: 262,
    example: "cloud.example.com:443",
};
/// Name of a host or an address without port.
pub const HOST: Grammar = Grammar {
    what: "a host's name or address",
    pattern: r"^([A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$",
    length_max: 253,
    example: "db",
};
/// Where a Docker engine listens.
pub const ENGINE: Grammar = Grammar {
    what: "the address of a Docker engine",
    pattern: r"^(unix:///[^\s]+|ssh://([A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]*)$",
    length_max: 512,
    example: "unix:///var/run/docker.sock",
};
/// Range of addresses.
pub const SUBNET: Grammar = Grammar {
    what: "a range of addresses",
    pattern: r"^([0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}|[0-9A-Fa-f]*:[0-9A-Fa-f:]*/[0-9]{1,3})$",
    length_max: 49,
    example: "10.0.1.0/24",
};
/// Name of a swarm network, service, secret or volume within its stack.
pub const SWARM_NAME: Grammar = Grammar {
    what: "a name in a compose file",
    pattern: r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
    length_max: 64,
    example: "db_password",
};
/// File name of a compose file.
pub const COMPOSE_FILE: Grammar = Grammar {
    what: "the file name of a compose file",
    pattern: r"^compose(\.[A-Za-z0-9_-]+)*\.ya?ml$",
    length_max: 128,
    example: "compose.mariadb.yml",
};
/// Absolute path of a file without `.` and `..`.
pub const FILE_PATH: Grammar = Grammar {
    what: "an absolute path without '.' and '..'",
    pattern: r"^(/([^/.\x00\s][^/\x00\s]*|\.[^/.\x00\s][^/\x00\s]*))+$",
    length_max: 1024,
    example: "/etc/ssl/example.com.pem",
};
/// Reference of a container image.
pub const IMAGE: Grammar = Grammar {
    what: "an image reference",
    pattern: r"^[a-zA-Z0-9][A-Za-z0-9._:/@-]*$",
    length_max: 512,
    example: "nginx:1.27.1",
};
/// When a schedule fires: five fields, or a name.
pub const CRON: Grammar = Grammar {
    what: "a schedule of five fields (minute hour day month weekday), or @hourly, @daily, @weekly, @monthly, @yearly",
    pattern: r"^(@(hourly|daily|weekly|monthly|yearly)|([0-9*][0-9*,/-]* +){2}([0-9*][0-9*,/-]* +)([0-9A-Za-z*][0-9A-Za-z*,/-]*) +([0-9A-Za-z*][0-9A-Za-z*,/-]*))$",
    length_max: 100,
    example: "0 3 * * 0",
};
/// Key in the data of a Secret or ConfigMap.
pub const DATA_KEY: Grammar =
    Grammar { what: "a key of a Secret's data", pattern: r"^[-._a-zA-Z0-9]+$", length_max: 253, example: "token" };
/// Name of an environment variable.
pub const VARIABLE: Grammar = Grammar {
    what: "the name of an environment variable",
    pattern: r"^[A-Za-z_][A-Za-z0-9_]*$",
    length_max: 128,
    example: "TIMEOUT",
};
/// A moment, RFC 3339.
pub const MOMENT: Grammar = Grammar {
    what: "an RFC 3339 time",
    pattern: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$",
    length_max: 40,
    example: "2026-11-21T04:45:44Z",
};

impl Grammar {
    /// Checks a text.
    ///
    /// # Errors
    /// Text that is too long or does not match.
    pub fn check(&self, text: &str) -> Result<(), GrammarError> {
        if text.chars().count() <= self.length_max && regex(self.pattern).is_match(text) {
            return Ok(());
        }
        let text = text.chars().take(100).collect();
        Err(GrammarError { text, what: self.what, example: self.example, length_max: self.length_max })
    }

    /// Returns the schema of a text with this grammar.
    #[must_use]
    pub fn schema(&self) -> Schema {
        json_schema!({"type": "string", "minLength": 1, "maxLength": self.length_max, "pattern": self.pattern})
    }
}

/// Every pattern is compiled once for the whole process.
fn regex(pattern: &'static str) -> Arc<Regex> {
    static COMPILED: LazyLock<Mutex<HashMap<&'static str, Arc<Regex>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let regex = compiled
        .entry(pattern)
        .or_insert_with(|| Arc::new(Regex::new(pattern).expect("a test compiles every pattern of this module")));
    Arc::clone(regex)
}

/// Schema of [`OBJECT_NAME`].
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    OBJECT_NAME.schema()
}

/// Schema of [`PART_NAME`].
pub fn part_name(_: &mut SchemaGenerator) -> Schema {
    PART_NAME.schema()
}

/// Schema of [`DOMAIN`].
pub fn domain(_: &mut SchemaGenerator) -> Schema {
    DOMAIN.schema()
}

/// Schema of [`GIT_REFERENCE`].
pub fn git_reference(_: &mut SchemaGenerator) -> Schema {
    GIT_REFERENCE.schema()
}

/// Schema of [`COMMIT`].
pub fn commit(_: &mut SchemaGenerator) -> Schema {
    COMMIT.schema()
}

/// Schema of [`VERSION`].
pub fn version(_: &mut SchemaGenerator) -> Schema {
    VERSION.schema()
}

/// Schema of [`REFERENCE_PATTERN`].
pub fn reference_pattern(_: &mut SchemaGenerator) -> Schema {
    REFERENCE_PATTERN.schema()
}

/// Schema of [`WEB_URL`].
pub fn web_url(_: &mut SchemaGenerator) -> Schema {
    WEB_URL.schema()
}

/// Schema of [`GIT_URL`].
pub fn git_url(_: &mut SchemaGenerator) -> Schema {
    GIT_URL.schema()
}

/// Schema of [`URL_PATH`].
pub fn url_path(_: &mut SchemaGenerator) -> Schema {
    URL_PATH.schema()
}

/// Schema of [`FORGE_NAME`].
pub fn forge_name(_: &mut SchemaGenerator) -> Schema {
    FORGE_NAME.schema()
}

/// Schema of [`HOST_PORT`].
pub fn host_port(_: &mut SchemaGenerator) -> Schema {
    HOST_PORT.schema()
}

/// Schema of [`HOST`].
pub fn host(_: &mut SchemaGenerator) -> Schema {
    HOST.schema()
}

/// Schema of [`ENGINE`].
pub fn engine(_: &mut SchemaGenerator) -> Schema {
    ENGINE.schema()
}

/// Schema of [`SUBNET`].
pub fn subnet(_: &mut SchemaGenerator) -> Schema {
    SUBNET.schema()
}

/// Schema of [`SWARM_NAME`].
pub fn swarm_name(_: &mut SchemaGenerator) -> Schema {
    SWARM_NAME.schema()
}

/// Schema of [`FILE_PATH`].
pub fn file_path(_: &mut SchemaGenerator) -> Schema {
    FILE_PATH.schema()
}

/// Schema of [`IMAGE`].
pub fn image(_: &mut SchemaGenerator) -> Schema {
    IMAGE.schema()
}

/// Schema of [`CRON`].
pub fn cron(_: &mut SchemaGenerator) -> Schema {
    CRON.schema()
}

/// Schema of [`DATA_KEY`].
pub fn data_key(_: &mut SchemaGenerator) -> Schema {
    DATA_KEY.schema()
}

/// Schema of a moment: RFC 3339.
pub fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": MOMENT.length_max})
}

/// Schema of a map of environment variables: at most 256, values of at most 16 Ki characters.
pub fn environment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 256,
        "additionalProperties": {"type": "string", "maxLength": 16_384},
        "x-kubernetes-validations": [{
            "rule": "self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]{0,127}$'))",
            "message": "names of environment variables have letters, digits and '_', and do not begin with a digit",
        }],
    })
}

/// Schema of a list of texts that all have one grammar and occur once.
#[must_use]
pub fn set_of(grammar: &Grammar, items_max: usize) -> Schema {
    json_schema!({"type": "array", "maxItems": items_max, "items": grammar.schema(), "x-kubernetes-list-type": "set"})
}
