# A virtual machine with nothing but the module: ccd makes the swarm, is asked, killed, backed up and restored.
# `nix flake check` runs it; it needs KVM.
{
  name = "cc-ci";

  nodes.machine =
    { ... }:
    {
      imports = [ ./module.nix ];
      virtualisation = {
        memorySize = 2048;
        diskSize = 4096;
      };
      services.ccd = {
        enable = true;
        settings = {
          log.format = "json";
          runs.zone = "ci.test";
        };
        manifests = [ ./test ];
      };
    };

  testScript = ''
    as_ccd = "runuser --user ccd -- "
    ctl = "ccctl --kubeconfig /var/lib/ccd/kubeconfig "
    data = "--data-dir /var/lib/ccd"

    machine.wait_for_unit("ccd.service")
    machine.wait_for_unit("ccd-manifests.service")
    machine.succeed(ctl + "wait host/local --for=condition=Ready --timeout=2m")
    machine.succeed("docker network inspect proxy")

    with subtest("nobody else may read the data"):
        assert machine.succeed("stat --format=%U:%a /var/lib/ccd").strip() == "ccd:700"
        machine.succeed(as_ccd + "ccd check " + data)

    with subtest("it comes back after kill -9 with what it had"):
        machine.succeed(ctl + "create configmap kept --from-literal=a=b")
        machine.succeed("systemctl kill --kill-whom=main --signal=KILL ccd.service")
        machine.wait_until_succeeds(ctl + "get configmap kept")

    with subtest("a backup is restored into an empty store"):
        machine.succeed(as_ccd + "ccd backup /var/lib/ccd/drill.backup " + data)
        machine.succeed("systemctl stop ccd.service")
        machine.succeed(as_ccd + "ccd restore --replace /var/lib/ccd/drill.backup " + data)
        machine.succeed("systemctl start ccd.service")
        machine.succeed(ctl + "get configmap kept")
  '';
}
