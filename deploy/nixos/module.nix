# services.ccd: ccd as a service of a NixOS machine, with a Docker engine beside it.
#
#   imports = [ cc-ci.nixosModules.default ];
#   services.ccd = {
#     enable = true;
#     settings.runs.zone = "ci.example.org";
#     manifests = [ ./manifests ];
#   };
#
# The unit has the settings of deploy/systemd/ccd.service, which says why each is there; a test compares the two.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.ccd;
  toml = pkgs.formats.toml { };
  directory = "/var/lib/ccd";
  port = lib.toInt (lib.last (lib.splitString ":" (cfg.settings.server.https or "127.0.0.1:8443")));
  arguments = [
    "${cfg.package}/bin/ccd"
    "serve"
    "--data-dir"
    directory
  ]
  ++ lib.optionals (cfg.settings != { }) [
    "--config"
    "${toml.generate "ccd.toml" cfg.settings}"
  ];
  network = [ "network-online.target" ] ++ lib.optionals cfg.localEngine [ "docker.service" ];
in
{
  options.services.ccd = {
    enable = lib.mkEnableOption "ccd, the control plane of cc-ci";

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package with `bin/ccd` and `bin/ccctl`.";
    };

    settings = lib.mkOption {
      type = toml.type;
      default = { };
      example = {
        runs.zone = "ci.example.org";
        server.https = "0.0.0.0:8443";
        tls.names = [ "ci.example.org" ];
      };
      description = ''
        The configuration; docs/config.md lists every field, and ccd does not start with one that does not exist. Without
        any, `${directory}/config.toml` is read when it is there. It is readable by everybody on the machine: secrets
        belong into Secrets.
      '';
    };

    localEngine = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = "Whether this machine runs the Docker engine. Otherwise name engines in Hosts as `ssh://user@machine`.";
    };

    extraPackages = lib.mkOption {
      type = lib.types.listOf lib.types.package;
      default = [ ];
      example = lib.literalExpression "[ pkgs.abra ]";
      description = "Programs that ccd finds besides git and ssh.";
    };

    manifests = lib.mkOption {
      type = lib.types.listOf lib.types.path;
      default = [ ];
      example = lib.literalExpression "[ ./manifests ]";
      description = ''
        Files and folders that are applied at every start and whenever they change. They are copied to the store, which
        everybody on the machine can read: no secrets.
      '';
    };

    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether other machines may reach the port of `settings.server.https`.";
    };
  };

  config = lib.mkIf cfg.enable {
    users.users.ccd = {
      isSystemUser = true;
      group = "ccd";
      home = directory;
    };
    users.groups.ccd = { };

    # A swarm cannot be made while containers are to outlive their engine.
    virtualisation.docker = lib.mkIf cfg.localEngine {
      enable = true;
      liveRestore = false;
    };

    environment.systemPackages = [ cfg.package ];
    networking.firewall.allowedTCPPorts = lib.optionals cfg.openFirewall [ port ];

    systemd.services.ccd = {
      description = "cc-ci: recipes tested and apps kept running on Docker Swarm";
      documentation = [ "https://git.coopcloud.tech/coop-cloud/cc-ci" ];
      after = network;
      wants = network;
      wantedBy = [ "multi-user.target" ];
      startLimitIntervalSec = 0;
      path = [
        pkgs.git
        pkgs.openssh
      ]
      ++ cfg.extraPackages;
      serviceConfig = {
        Type = "notify";
        ExecStart = lib.concatStringsSep " " arguments;
        User = "ccd";
        Group = "ccd";
        SupplementaryGroups = lib.optionals cfg.localEngine [ "docker" ];
        StateDirectory = "ccd";
        StateDirectoryMode = "0700";
        WorkingDirectory = directory;
        UMask = "0077";
        Restart = "always";
        RestartSec = "5s";
        TimeoutStartSec = "5min";
        TimeoutStopSec = "30s";
        KillMode = "process";
        OOMPolicy = "continue";
        LimitNOFILE = 65536;

        ProtectSystem = "strict";
        ProtectHome = true;
        ProtectProc = "invisible";
        PrivateDevices = true;
        DevicePolicy = "closed";
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        TemporaryFileSystem = [
          "/tmp:mode=1777,nosuid,nodev,size=512M"
          "/var/tmp:mode=1777,nosuid,nodev,size=512M"
        ];

        CapabilityBoundingSet = "";
        AmbientCapabilities = "";
        NoNewPrivileges = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = "@system-service";
        SystemCallErrorNumber = "EPERM";
      };
    };

    systemd.services.ccd-manifests = lib.mkIf (cfg.manifests != [ ]) {
      description = "What ccd is to make true";
      after = [ "ccd.service" ];
      requires = [ "ccd.service" ];
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        User = "ccd";
        Group = "ccd";
        WorkingDirectory = directory;
        UMask = "0077";
        ExecStart = lib.concatStringsSep " " (
          [
            "${cfg.package}/bin/ccctl"
            "--kubeconfig"
            "${directory}/kubeconfig"
            "apply"
            "--recursive"
          ]
          ++ lib.concatMap (manifest: [
            "--filename"
            "${manifest}"
          ]) cfg.manifests
        );
        # An object may need a kind that another one brings.
        Restart = "on-failure";
        RestartSec = "10s";
      };
    };
  };
}
