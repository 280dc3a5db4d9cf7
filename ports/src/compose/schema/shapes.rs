//! What every key of a compose file may be, and since which version.

use super::{Field, Fields, Keys, Kind, Shape};

const TEXT: Shape = Shape::Kinds(&[Kind::Text]);
const BOOL: Shape = Shape::Kinds(&[Kind::Bool]);
const INT: Shape = Shape::Kinds(&[Kind::Int]);
const NUMBER: Shape = Shape::Kinds(&[Kind::Number]);
const TEXT_OR_NULL: Shape = Shape::Kinds(&[Kind::Text, Kind::Null]);
const TEXT_OR_INT: Shape = Shape::Kinds(&[Kind::Text, Kind::Int]);
const TEXT_OR_NUMBER: Shape = Shape::Kinds(&[Kind::Text, Kind::Number]);
const TEXTS: Shape = Shape::List { item: &TEXT, repeats: false };
const TEXT_LIST: Shape = Shape::List { item: &TEXT, repeats: true };
const TEXT_OR_TEXTS: Shape = Shape::Either(&[TEXT, TEXTS]);
const COMMAND: Shape = Shape::Either(&[TEXT, TEXT_LIST]);
const PRINTABLE: Shape = Shape::Kinds(&[Kind::Text, Kind::Number, Kind::Null]);
const PAIRS: Shape = Shape::Either(&[Shape::Entries { keys: Keys::Any, value: &PRINTABLE, open: false }, TEXTS]);
const OPTIONS: Shape = Shape::Entries { keys: Keys::Any, value: &TEXT_OR_NUMBER, open: true };
const OPEN: Shape = Shape::Kinds(&[Kind::Map]);

const fn field(name: &'static str, since: u8, shape: Shape) -> Field {
    Field { name, since, shape }
}

const fn closed(known: &'static [Field]) -> Fields {
    Fields { known, open_since: None, extensions_since: None, required: &[] }
}

const fn open(known: &'static [Field]) -> Fields {
    Fields { known, open_since: Some(0), extensions_since: None, required: &[] }
}

/// The whole file.
pub(super) const FILE: Shape = Shape::Fields(&Fields {
    known: &[
        field("version", 0, TEXT),
        field("services", 0, Shape::Entries { keys: Keys::Name, value: &SERVICE, open: false }),
        field("networks", 0, Shape::Entries { keys: Keys::Name, value: &NETWORK, open: true }),
        field("volumes", 0, Shape::Entries { keys: Keys::Name, value: &VOLUME, open: false }),
        field("secrets", 1, Shape::Entries { keys: Keys::Name, value: &SECRET, open: false }),
        field("configs", 3, Shape::Entries { keys: Keys::Name, value: &CONFIG, open: false }),
    ],
    open_since: None,
    extensions_since: Some(4),
    required: &[],
});

const SERVICE: Shape = Shape::Fields(&Fields {
    known: &[
        field("build", 0, Shape::Either(&[TEXT, BUILD])),
        field("cap_add", 0, TEXTS),
        field("cap_drop", 0, TEXTS),
        field("cgroup_parent", 0, TEXT),
        field("cgroupns_mode", 9, TEXT),
        field("command", 0, COMMAND),
        field("configs", 3, REFERENCES),
        field("container_name", 0, TEXT),
        field("credential_spec", 3, CREDENTIAL_SPEC),
        field("depends_on", 0, TEXTS),
        field("deploy", 0, Shape::Either(&[DEPLOY, Shape::Kinds(&[Kind::Null])])),
        field("devices", 0, TEXTS),
        field("dns", 0, TEXT_OR_TEXTS),
        field("dns_search", 0, TEXT_OR_TEXTS),
        field("domainname", 0, TEXT),
        field("entrypoint", 0, COMMAND),
        field("env_file", 0, TEXT_OR_TEXTS),
        field("environment", 0, PAIRS),
        field("expose", 0, Shape::List { item: &TEXT_OR_NUMBER, repeats: false }),
        field("external_links", 0, TEXTS),
        field("extra_hosts", 0, PAIRS),
        field("healthcheck", 0, HEALTHCHECK),
        field("hostname", 0, TEXT),
        field("image", 0, TEXT),
        field("init", 7, BOOL),
        field("ipc", 0, TEXT),
        field("isolation", 5, TEXT),
        field("labels", 0, PAIRS),
        field("links", 0, TEXTS),
        field("logging", 0, LOGGING),
        field("mac_address", 0, TEXT),
        field("network_mode", 0, TEXT),
        field("networks", 0, Shape::Either(&[TEXTS, ATTACHMENTS])),
        field("oom_score_adj", 13, INT),
        field("pid", 0, TEXT_OR_NULL),
        field("ports", 0, Shape::List { item: &PORT, repeats: false }),
        field("privileged", 0, BOOL),
        field("read_only", 0, BOOL),
        field("restart", 0, TEXT),
        field("secrets", 1, REFERENCES),
        field("security_opt", 0, TEXTS),
        field("shm_size", 0, TEXT_OR_NUMBER),
        field("stdin_open", 0, BOOL),
        field("stop_grace_period", 0, Shape::Duration),
        field("stop_signal", 0, TEXT),
        field("sysctls", 0, PAIRS),
        field("tmpfs", 0, TEXT_OR_TEXTS),
        field("tty", 0, BOOL),
        field("ulimits", 0, Shape::Entries { keys: Keys::Lower, value: &ULIMIT, open: true }),
        field("user", 0, TEXT),
        field("userns_mode", 0, TEXT),
        field("volumes", 0, Shape::Since(2, &MOUNTS, &TEXTS)),
        field("working_dir", 0, TEXT),
    ],
    open_since: None,
    extensions_since: Some(7),
    required: &[],
});

const BUILD: Shape = Shape::Fields(&Fields {
    known: &[
        field("context", 0, TEXT),
        field("dockerfile", 0, TEXT),
        field("args", 0, PAIRS),
        field("cache_from", 2, TEXTS),
        field("labels", 3, PAIRS),
        field("network", 4, TEXT),
        field("target", 4, TEXT),
        field("shm_size", 5, TEXT_OR_INT),
        field("extra_hosts", 9, PAIRS),
    ],
    open_since: Some(11),
    extensions_since: None,
    required: &[],
});

const CREDENTIAL_SPEC: Shape =
    Shape::Fields(&closed(&[field("config", 8, TEXT), field("file", 3, TEXT), field("registry", 3, TEXT)]));

const REFERENCES: Shape = Shape::List {
    item: &Shape::Either(&[
        TEXT,
        Shape::Fields(&open(&[
            field("source", 0, TEXT),
            field("target", 0, TEXT),
            field("uid", 0, TEXT),
            field("gid", 0, TEXT),
            field("mode", 0, NUMBER),
        ])),
    ]),
    repeats: true,
};

const HEALTHCHECK: Shape = Shape::Fields(&closed(&[
    field("disable", 0, BOOL),
    field("interval", 0, Shape::Duration),
    field("retries", 0, NUMBER),
    field("start_interval", 12, Shape::Duration),
    field("start_period", 4, Shape::Duration),
    field("test", 0, COMMAND),
    field("timeout", 0, Shape::Duration),
]));

const LOGGING: Shape = Shape::Fields(&closed(&[
    field("driver", 0, TEXT),
    field("options", 0, Shape::Entries { keys: Keys::Any, value: &PRINTABLE, open: true }),
]));

const ATTACHMENTS: Shape = Shape::Entries {
    keys: Keys::Name,
    value: &Shape::Either(&[
        Shape::Fields(&closed(&[
            field("aliases", 0, TEXTS),
            field("driver_opts", 13, OPTIONS),
            field("ipv4_address", 0, TEXT),
            field("ipv6_address", 0, TEXT),
        ])),
        Shape::Kinds(&[Kind::Null]),
    ]),
    open: false,
};

const PORT: Shape = Shape::Since(
    2,
    &Shape::Either(&[
        Shape::Port,
        Shape::Fields(&closed(&[
            field("mode", 0, TEXT),
            field("target", 0, INT),
            field("published", 0, INT),
            field("protocol", 0, TEXT),
        ])),
    ]),
    &Shape::Port,
);

const ULIMIT: Shape = Shape::Either(&[
    INT,
    Shape::Fields(&Fields {
        known: &[field("hard", 0, INT), field("soft", 0, INT)],
        open_since: None,
        extensions_since: None,
        required: &["soft", "hard"],
    }),
]);

const MOUNTS: Shape = Shape::List {
    item: &Shape::Either(&[
        TEXT,
        Shape::Fields(&Fields {
            known: &[
                field("type", 0, TEXT),
                field("source", 0, TEXT),
                field("target", 0, TEXT),
                field("read_only", 0, BOOL),
                field("consistency", 0, TEXT),
                field("bind", 0, Shape::Fields(&open(&[field("propagation", 0, TEXT)]))),
                field("volume", 0, Shape::Fields(&open(&[field("nocopy", 0, BOOL)]))),
                field("tmpfs", 6, Shape::Fields(&open(&[field("size", 0, INT)]))),
            ],
            open_since: None,
            extensions_since: None,
            required: &["type"],
        }),
    ]),
    repeats: true,
};

const DEPLOY: Shape = Shape::Fields(&closed(&[
    field("mode", 0, TEXT),
    field("endpoint_mode", 2, TEXT),
    field("replicas", 0, INT),
    field("labels", 0, PAIRS),
    field("update_config", 0, UPDATE_CONFIG),
    field("rollback_config", 7, UPDATE_CONFIG),
    field(
        "resources",
        0,
        Shape::Fields(&closed(&[
            field(
                "limits",
                0,
                Shape::Fields(&closed(&[field("cpus", 0, TEXT), field("memory", 0, TEXT), field("pids", 9, INT)])),
            ),
            field(
                "reservations",
                0,
                Shape::Fields(&closed(&[
                    field("cpus", 0, TEXT),
                    field("memory", 0, TEXT),
                    field("generic_resources", 5, GENERIC_RESOURCES),
                ])),
            ),
        ])),
    ),
    field(
        "restart_policy",
        0,
        Shape::Fields(&closed(&[
            field("condition", 0, TEXT),
            field("delay", 0, Shape::Duration),
            field("max_attempts", 0, INT),
            field("window", 0, Shape::Duration),
        ])),
    ),
    field(
        "placement",
        0,
        Shape::Fields(&closed(&[
            field("constraints", 0, TEXT_LIST),
            field(
                "preferences",
                3,
                Shape::List { item: &Shape::Fields(&closed(&[field("spread", 0, TEXT)])), repeats: true },
            ),
            field("max_replicas_per_node", 8, INT),
        ])),
    ),
]));

const UPDATE_CONFIG: Shape = Shape::Fields(&closed(&[
    field("parallelism", 0, INT),
    field("delay", 0, Shape::Duration),
    field("failure_action", 0, TEXT),
    field("monitor", 0, Shape::Duration),
    field("max_failure_ratio", 0, NUMBER),
    field("order", 4, Shape::Words(&["start-first", "stop-first"])),
]));

const GENERIC_RESOURCES: Shape = Shape::List {
    item: &Shape::Fields(&closed(&[field(
        "discrete_resource_spec",
        0,
        Shape::Fields(&closed(&[field("kind", 0, TEXT), field("value", 0, NUMBER)])),
    )])),
    repeats: true,
};

const EXTERNAL: Shape = Shape::Either(&[BOOL, Shape::Fields(&closed(&[field("name", 0, TEXT)]))]);
const EXTERNAL_FILE: Shape = Shape::Either(&[BOOL, Shape::Fields(&open(&[field("name", 0, TEXT)]))]);

const NETWORK: Shape = Shape::Either(&[
    Shape::Fields(&Fields {
        known: &[
            field("name", 5, TEXT),
            field("driver", 0, TEXT),
            field("driver_opts", 0, OPTIONS),
            field(
                "ipam",
                0,
                Shape::Fields(&closed(&[
                    field("driver", 0, TEXT),
                    field(
                        "config",
                        0,
                        Shape::List { item: &Shape::Fields(&closed(&[field("subnet", 0, TEXT)])), repeats: true },
                    ),
                ])),
            ),
            field("external", 0, EXTERNAL),
            field("internal", 0, BOOL),
            field("attachable", 2, BOOL),
            field("labels", 0, PAIRS),
        ],
        open_since: None,
        extensions_since: Some(7),
        required: &[],
    }),
    Shape::Kinds(&[Kind::Null]),
]);

const VOLUME: Shape = Shape::Either(&[
    Shape::Fields(&Fields {
        known: &[
            field("name", 4, TEXT),
            field("driver", 0, TEXT),
            field("driver_opts", 0, OPTIONS),
            field("external", 0, EXTERNAL),
            field("labels", 0, PAIRS),
            field("x-cluster-spec", 10, OPEN),
        ],
        open_since: None,
        extensions_since: Some(7),
        required: &[],
    }),
    Shape::Kinds(&[Kind::Null]),
]);

const SECRET: Shape = Shape::Fields(&Fields {
    known: &[
        field("name", 5, TEXT),
        field("file", 0, TEXT),
        field("external", 0, EXTERNAL_FILE),
        field("labels", 0, PAIRS),
        field("driver", 8, TEXT),
        field("driver_opts", 8, OPTIONS),
        field("template_driver", 8, TEXT),
    ],
    open_since: None,
    extensions_since: Some(7),
    required: &[],
});

const CONFIG: Shape = Shape::Fields(&Fields {
    known: &[
        field("name", 5, TEXT),
        field("file", 0, TEXT),
        field("external", 0, EXTERNAL_FILE),
        field("labels", 0, PAIRS),
        field("template_driver", 8, TEXT),
    ],
    open_since: None,
    extensions_since: Some(7),
    required: &[],
});
