# What building and testing need, as .ci/setup installs it on Debian.
{
  mkShell,
  cargo,
  cargo-deny,
  cargo-insta,
  cargo-nextest,
  clippy,
  cmake,
  curl,
  distribution,
  docker,
  fuse3,
  git,
  iproute2,
  iptables,
  kubectl,
  nodejs,
  openssl,
  pkgsStatic,
  protobuf,
  python3,
  runCommand,
  rust-analyzer,
  rustc,
  rustfmt,
  tmux,
  util-linux,
  writeShellScriptBin,
}:
let
  # Debian's name of it.
  docker-registry = writeShellScriptBin "docker-registry" ''exec ${distribution}/bin/registry "$@"'';
  # The program alone: its applets must not stand in front of the tools of this machine.
  busybox = runCommand "busybox-alone" { } "install -D ${pkgsStatic.busybox}/bin/busybox $out/bin/busybox";
in
mkShell {
  packages = [
    busybox
    cargo
    cargo-deny
    cargo-insta
    cargo-nextest
    clippy
    cmake
    curl
    docker
    docker-registry
    fuse3
    git
    iproute2
    iptables
    kubectl
    nodejs
    openssl
    protobuf
    python3
    rust-analyzer
    rustc
    rustfmt
    tmux
    util-linux
  ];
}
